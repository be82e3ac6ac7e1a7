// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Synchronization

private let numbers = Atomic<Int>(0)

/// A backing under a name of its own, well at first.
func faultyBacking(_ form: String = "faulty", slots: Int = 2000) -> (tier: ChainTier, knobs: Knobs) {
  let number = numbers.add(1, ordering: .relaxed).newValue
  let (tier, knobs) = FaultyTier.backing(form).tier(named: "\(form)-\(number)")
  knobs[.slots] = slots
  for knob in [BackingKnob.readSlot, .flipSlot, .hangSlot] { knobs[knob] = -1 }
  return (tier, knobs)
}

/// A transform under a name of its own, well at first.
func faultyTransform(_ form: String, limit: Int? = nil) -> (tier: ChainTier, knobs: Knobs) {
  let number = numbers.add(1, ordering: .relaxed).newValue
  var (tier, knobs) = FaultyTier.transform(form).tier(named: "\(form)-\(number)")
  tier.limit = limit
  return (tier, knobs)
}
