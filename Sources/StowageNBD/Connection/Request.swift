// SPDX-License-Identifier: Apache-2.0

/// A request as it came. Offset and length are within the export, once `check` has found nothing.
struct Request {
  var flags: UInt16
  var command: UInt16
  var cookie: UInt64
  var offset: Int
  var length: Int

  /// - Parameter bytes: `NBD.requestBytes` of them. Nil when they are no request.
  @inline(__always) init?(_ bytes: UnsafeRawPointer) {
    guard bytes.big(0, as: UInt32.self) == NBD.requestMagic else { return nil }
    flags = bytes.big(4, as: UInt16.self)
    command = bytes.big(6, as: UInt16.self)
    cookie = bytes.big(8, as: UInt64.self)
    offset = Int(clamping: bytes.big(16, as: UInt64.self))
    length = Int(bytes.big(24, as: UInt32.self))
  }

  var range: Range<Int> { offset..<offset + length }
  var isFUA: Bool { flags & NBD.CommandFlag.fua != 0 }

  /// What is wrong with it; `ok` when nothing is.
  @inline(__always) func check(_ export: Export, _ negotiated: Negotiated) -> NBDStatus {
    let isPast = offset > export.size || length > export.size - offset
    var allowed = NBD.CommandFlag.fua
    switch command {
    case NBD.Command.read:
      if negotiated.hasStructuredReplies { allowed |= NBD.CommandFlag.df }
      guard flags & ~allowed == 0, length <= NBD.requestBytesMax else { return .invalid }
      return isPast ? .invalid : .ok
    case NBD.Command.write, NBD.Command.trim, NBD.Command.writeZeroes:
      if command == NBD.Command.writeZeroes { allowed |= NBD.CommandFlag.noHole | NBD.CommandFlag.fastZero }
      guard flags & ~allowed == 0 else { return .invalid }
      if export.settings.isReadOnly { return .notPermitted }
      if command == NBD.Command.write, length > NBD.requestBytesMax { return .invalid }
      return isPast ? .noSpace : .ok
    case NBD.Command.flush:
      return flags & ~allowed == 0 ? .ok : .invalid
    case NBD.Command.cache:
      return flags & ~allowed == 0 && !isPast ? .ok : .invalid
    case NBD.Command.blockStatus:
      allowed |= NBD.CommandFlag.reqOne
      return flags & ~allowed == 0 && !isPast && length > 0 && !negotiated.contexts.isEmpty ? .ok : .invalid
    default: return .invalid
    }
  }
}

/// What a handshake ended with.
struct Negotiated {
  var export: Export
  var hasStructuredReplies: Bool
  /// Contexts of the block status that were asked for, without repeats.
  var contexts: [MetaContext]
}

/// What can be told of blocks.
enum MetaContext: UInt32, CaseIterable {
  case allocation = 1
  case level = 2

  var name: String {
    switch self {
    case .allocation: "base:allocation"
    case .level: "stowage:level"
    }
  }
}
