// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Glibc

/// The last call into the tier, in memory shared with the parent, so that it is known after a crash or a hang.
///
/// Sound although several threads and two processes write and read it without a lock: it is a hint for people, every
/// word of it is a number, and any mixture of two notes is a valid one.
final class CallNotes: @unchecked Sendable {
  enum Call: UInt64, CaseIterable {
    case none, entry, open, close, threadOpen, threadClose, encode, decode, capacity, read, write, trim, sync, submit,
      map
    case rootRead, rootSwap, stateSave, stateLoad, health, getExtension, link

    var text: String {
      switch self {
      case .none: ""
      case .entry: "stowage_tier_entry"
      case .threadOpen: "thread_open"
      case .threadClose: "thread_close"
      case .rootRead: "root_read"
      case .rootSwap: "root_swap"
      case .stateSave: "state_save"
      case .stateLoad: "state_load"
      case .getExtension: "get_extension"
      case .link: "dlopen"
      default: "\(self)"
      }
    }
  }

  static let byteCount = 4096
  private let words: UnsafeMutablePointer<UInt64>
  private let descriptor: Int32

  /// Made by the parent.
  init?() {
    descriptor = stowage_memory_file("stowage-check")
    guard descriptor >= 0 else { return nil }
    guard ftruncate(descriptor, off_t(Self.byteCount)) == 0, let words = Self.map(descriptor) else {
      Glibc.close(descriptor)
      return nil
    }
    self.words = words
  }

  /// In the child: the parent's, by its process id and descriptor there.
  init?(parent: Int32, descriptor number: Int32) {
    let file = open("/proc/\(parent)/fd/\(number)", O_RDWR | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { Glibc.close(file) }
    guard let words = Self.map(file) else { return nil }
    self.words = words
    descriptor = -1
  }

  /// For a check in the process of its user.
  static let local = CallNotes()!

  private static func map(_ descriptor: Int32) -> UnsafeMutablePointer<UInt64>? {
    let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    return memory.bindMemory(to: UInt64.self, capacity: byteCount / 8)
  }

  deinit {
    munmap(words, Self.byteCount)
    if descriptor >= 0 { Glibc.close(descriptor) }
  }

  /// For the child, to open.
  var number: Int32 { descriptor }

  /// Called before each call into the tier.
  @inline(__always) func note(_ call: Call, _ first: UInt64 = 0, _ second: UInt64 = 0, _ third: UInt64 = 0) {
    words[0] = call.rawValue
    words[1] = first
    words[2] = second
    words[3] = third
    words[4] &+= 1
  }

  /// How many calls there were.
  var count: UInt64 { words[4] }

  /// "decode(object 17, 231 of 4096 bytes), call 5032"; nil when there was no call.
  var last: String? {
    guard let call = Call(rawValue: words[0]), call != .none else { return nil }
    let (first, second, third) = (words[1], words[2], words[3])
    let arguments =
      switch call {
      case .encode: "object \(first), \(second) bytes, room \(third)"
      case .decode: "object \(first), \(second) bytes from \(third)"
      case .read, .write, .trim: "slot \(first), \(second) slots"
      case .submit: "\(first) requests"
      case .map: "slot \(first)"
      case .stateSave, .stateLoad: "\(first) bytes"
      case .rootRead, .rootSwap: "\(first) bytes"
      default: ""
      }
    return "\(call.text)(\(arguments)), call \(words[4])"
  }
}
