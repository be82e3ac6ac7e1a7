// SPDX-License-Identifier: Apache-2.0

/// The plan now in force, in memory of its own, so that reading it neither counts references nor checks exclusivity.
///
/// Sound because it is written only while every working context is held and the engine's lock too (or before any thread
/// runs), and read only by who holds one or the other; its length never changes.
struct PlanTable: @unchecked Sendable {
  let levels: UnsafeMutableBufferPointer<ChainPlan.Level>
  private let scalars: UnsafeMutablePointer<Scalars>
  /// Sidecars of all frame levels together, rounded up to 4 bytes; as long as the store is open.
  let sidecarLength: Int

  /// By level: who takes memory there beside segments. Without references, as the engine's `instances` and `ports` have
  /// these; each change of them is noted here.
  let holders: UnsafeMutableBufferPointer<Holder>

  struct Holder {
    var instance: Unmanaged<TierInstance>?
    var port: Unmanaged<BackingPort>?

    /// What the tier has asked for, and its I/O buffers.
    var byteCount: Int {
      let asked = instance?._withUnsafeGuaranteedRef { $0.memoryBytes } ?? 0
      return asked + (port?._withUnsafeGuaranteedRef { $0.bufferBytes } ?? 0)
    }
  }

  private struct Scalars {
    var lastPageLevel: Int
    var packingLevel: Int?
    var warnings: [String]
  }

  init(_ plan: ChainPlan) {
    levels = .allocate(capacity: plan.levels.count)
    _ = levels.initialize(from: plan.levels)
    scalars = .allocate(capacity: 1)
    scalars.initialize(to: Self.scalars(of: plan))
    sidecarLength = plan.sidecarLength
    holders = .allocate(capacity: plan.levels.count)
    holders.initialize(repeating: Holder())
  }

  func deallocate() {
    levels.deinitialize()
    levels.deallocate()
    scalars.deinitialize(count: 1)
    scalars.deallocate()
    holders.deallocate()
  }

  /// Puts another plan of as many levels in force.
  func replace(by plan: ChainPlan) {
    for index in levels.indices { levels[index] = plan.levels[index] }
    scalars.pointee = Self.scalars(of: plan)
  }

  private static func scalars(of plan: ChainPlan) -> Scalars {
    Scalars(lastPageLevel: plan.lastPageLevel, packingLevel: plan.packingLevel, warnings: plan.warnings)
  }

  var count: Int { levels.count }
  /// The last page level; 0 when the store is the only one.
  var lastPageLevel: Int { scalars.pointee.lastPageLevel }
  /// The level that packs frames, if any.
  var packingLevel: Int? { scalars.pointee.packingLevel }
  var warnings: [String] { scalars.pointee.warnings }

  /// The levels that there are, vacant places left out, as users count them.
  var listed: [Int] { levels.indices.filter { !levels[$0].isVacant } }

  /// A level's place among `listed`.
  func listedIndex(of level: Int) -> Int {
    var place = 0
    for index in 0..<level where !levels[index].isVacant { place += 1 }
    return place
  }
}
