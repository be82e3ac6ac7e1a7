// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Synchronization

/// One call into a backing, with buffers of the host's own; preallocated, so that I/O allocates nothing.
///
/// `request` comes first, so that the pointer a tier hands to `complete` is the pointer to this.
struct IORequest {
  var request: stowage_request
  /// The word that a waiter sleeps on.
  let state: UnsafeMutablePointer<Atomic<UInt32>>
  var result: Int32 = STOWAGE_OK
  /// Of a question: a number of slots, or an address.
  var answer: UInt64 = 0
  /// What the tier said on the thread that ran the call.
  var message: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) =
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  let objects: UnsafeMutablePointer<stowage_object>
  /// One page, for reads.
  let buffer: UnsafeMutableRawPointer
  /// A write from a segment: it is pinned until the call returns.
  var holder = noSegment
  /// A read of a frame: it is pinned until the call returns.
  var frame: FrameIndex = .max
  /// A write that is set aside keeps its slots until it ends.
  var slotsKept = false
  /// In the free list, or in a writer's list of what it started.
  var next: UnsafeMutablePointer<IORequest>?
  /// In the queue of I/O threads.
  var queued: UnsafeMutablePointer<IORequest>?
  let port: Unmanaged<BackingPort>

  /// What a tier is asked, as operations of the host's own; requests with them are never handed to a tier.
  static let firstQuestion: UInt32 = 1000
  static let capacity = firstQuestion
  static let map = firstQuestion + 1
  /// To `buffer`, and its length to `answer`.
  static let rootRead = firstQuestion + 2
  /// By the root in `buffer`, of `slot` bytes, the one behind it of `slot_count` bytes; both of a request's own buffers.
  static let rootSwap = firstQuestion + 3

  static let idle: UInt32 = 0
  static let pending: UInt32 = 1
  static let done: UInt32 = 2
  /// The waiter's deadline has passed; whoever completes it cleans up.
  static let abandoned: UInt32 = 3

  init(port: BackingPort, slots: Int, buffer: UnsafeMutableRawPointer) {
    self.port = Unmanaged.passUnretained(port)
    self.buffer = buffer
    state = .allocate(capacity: 1)
    state.initialize(to: Atomic(Self.idle))
    objects = .allocate(capacity: slots)
    objects.initialize(repeating: stowage_object(), count: slots)
    request = stowage_request(
      struct_size: UInt32(MemoryLayout<stowage_request>.size), operation: 0, slot: 0, slot_count: 0, reserved: 0,
      buffer: nil, objects: nil, deadline_ns: 0, complete: ioRequestCompleted, host_data: nil,
      tier_data: nil, tier_number: 0)
  }

  func deallocate() {
    state.deallocate()
    objects.deallocate()
  }

  /// The state's storage, for the futex: an atomic of 32 bits is one 32-bit word.
  var word: UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(state).assumingMemoryBound(to: UInt32.self)
  }

  mutating func keepMessage() {
    let text = stowage_error_get()
    withUnsafeMutableBytes(of: &message) { bytes in
      var index = 0
      while index < bytes.count - 1, text[index] != 0 {
        bytes[index] = UInt8(bitPattern: text[index])
        index += 1
      }
      bytes[index] = 0
    }
  }

  var said: String {
    withUnsafeBytes(of: message) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

typealias RequestPointer = UnsafeMutablePointer<IORequest>

/// `complete` of every request: called by the tier, once, on any thread.
private func ioRequestCompleted(_ raw: UnsafeMutablePointer<stowage_request>, _ result: Int32) {
  let request = UnsafeMutableRawPointer(raw).assumingMemoryBound(to: IORequest.self)
  request.pointee.result = result
  if result != STOWAGE_OK { request.pointee.keepMessage() }
  // After the exchange a waiter may reuse the request at once, so what the wake needs is read before.
  let word = request.pointee.word
  let before = request.pointee.state.pointee.exchange(IORequest.done, ordering: .acquiringAndReleasing)
  if before == IORequest.abandoned {
    request.pointee.port._withUnsafeGuaranteedRef { $0.lateEnd(request) }
  } else {
    stowage_futex_wake(word, 1)
  }
}
