// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// Answers to questions for the status of blocks: a chunk for each context.
extension ReplyWriter {
  /// Stretches that one answer tells at most, and blocks whose level is looked up for it; the protocol lets a server stop
  /// early.
  private static let stretchesMax = 2048
  private static let lookupsMax = 16_384

  mutating func blockStatus(_ negotiated: Negotiated, _ request: Request) {
    for (index, context) in negotiated.contexts.enumerated() {
      reserve(NBD.structuredReplyBytes + 4 + 8 * Self.stretchesMax)
      let mark = used
      chunk(NBD.Chunk.blockStatus, isLast: index == negotiated.contexts.count - 1, request.cookie, payload: 0)
      end.setBig(context.rawValue, at: 0)
      advance(4)
      let count = stretches(context, negotiated.export, request)
      (buffer.base + mark).setBig(UInt32(4 + 8 * count), at: 16)
    }
  }

  /// - Returns: how many there are; each of 8 bytes.
  private mutating func stretches(_ context: MetaContext, _ export: Export, _ request: Request) -> Int {
    let most = request.flags & NBD.CommandFlag.reqOne != 0 ? 1 : Self.stretchesMax
    let last = request.offset + request.length
    var (at, count, lookups) = (request.offset, 0, 0)
    var state = self.state(context, export, at >> export.pageShift)
    while at < last, count < most {
      var block = at >> export.pageShift + 1
      var next = state
      while block << export.pageShift < last {
        let group = export.map.emptyGroup(at: block)
        if group.isEmpty {
          next = Self.holeState(context)
          if next == state { block = group.end } else { break }
        } else {
          lookups += 1
          if lookups > Self.lookupsMax, context == .level { break }
          next = self.state(context, export, block)
          guard next == state else { break }
          block += 1
        }
      }
      let until = min(last, block << export.pageShift)
      end.setBig(UInt32(until - at), at: 0)
      end.setBig(state, at: 4)
      advance(8)
      count += 1
      (at, state) = (until, next)
      if lookups > Self.lookupsMax, context == .level { break }
    }
    return count
  }

  private static func holeState(_ context: MetaContext) -> UInt32 {
    context == .allocation ? NBD.State.hole | NBD.State.zero : 0
  }

  private func state(_ context: MetaContext, _ export: Export, _ block: Int) -> UInt32 {
    let word = export.map.load(block)
    guard context == .level else { return word.isHole ? Self.holeState(.allocation) : 0 }
    guard !word.isHole else { return Self.holeState(.level) }
    guard !word.isLost, let handle = word.handle, let place = export.store.location(of: handle) else { return 2 }
    // docs/serve.md: 1 a repeated word, 2 lost, from 16 on the place in the chain.
    switch place {
    case .sameFilled: return 1
    case .memory(let level), .backing(let level): return 16 + UInt32(level)
    }
  }
}
