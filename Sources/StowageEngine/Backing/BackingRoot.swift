// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Synchronization

/// The root of a persistent backing, and reading runs of slots: what sessions need of one.
extension BackingPort {
  static let rootBytesMax = Int(STOWAGE_ROOT_BYTES_MAX)

  /// How a call for the root ended.
  struct RootAnswer {
    var code: Int32
    var root: [UInt8] = []
  }

  /// The root as it is now; empty when there is none yet.
  func readRoot() -> RootAnswer {
    guard isAtRoot.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
      return RootAnswer(code: timedOut("an earlier call for the root has not returned"))
    }
    let asked = callRoot(IORequest.rootRead, old: 0, new: 0)
    guard !asked.isSetAside else { return RootAnswer(code: asked.code) }
    defer { isAtRoot.store(false, ordering: .releasing) }
    guard asked.code == STOWAGE_OK else { return RootAnswer(code: asked.code) }
    guard asked.answer <= UInt64(Self.rootBytesMax) else {
      noteFailure("it gave a root of \(asked.answer) bytes, at most \(Self.rootBytesMax) are possible")
      return RootAnswer(code: STOWAGE_INVALID)
    }
    return RootAnswer(
      code: STOWAGE_OK, root: Array(UnsafeRawBufferPointer(start: roots.base, count: Int(asked.answer))))
  }

  /// Replaces the root, if it is still `old`. Any answer but OK and GONE leaves it open which of the two holds.
  func swapRoot(_ old: [UInt8], by new: [UInt8]) -> Int32 {
    guard isAtRoot.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
      return timedOut("an earlier call for the root has not returned")
    }
    old.withUnsafeBytes { if let base = $0.baseAddress { roots.base.copyMemory(from: base, byteCount: $0.count) } }
    new.withUnsafeBytes { roots.base.advanced(by: old.count).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let asked = callRoot(IORequest.rootSwap, old: old.count, new: new.count)
    if !asked.isSetAside { isAtRoot.store(false, ordering: .releasing) }
    return asked.code
  }

  private func callRoot(_ question: UInt32, old: Int, new: Int) -> (code: Int32, answer: UInt64, isSetAside: Bool) {
    guard let request = acquire(keep: 0) else {
      isAtRoot.store(false, ordering: .releasing)
      return (timedOut("no request is free: earlier calls hang"), 0, true)
    }
    request.pointee.frame = .max
    request.pointee.holder = noSegment
    request.pointee.slotsKept = false
    set(request, question, slot: UInt64(old), count: new, buffer: roots.base)
    start(nil, request)
    let result = wait(request)
    guard result.isDone else { return (result.code, 0, true) }
    let answer = request.pointee.answer
    release(request)
    return (result.code, answer, false)
  }

  /// On an I/O thread: the call itself.
  static func callRoot(_ calls: TierCalls, _ backing: stowage_backing, _ request: RequestPointer) -> Int32 {
    let wanted = request.pointee.request
    let buffer = wanted.buffer.unsafelyUnwrapped
    if wanted.operation == IORequest.rootRead {
      guard let read = backing.root_read else { return STOWAGE_UNSUPPORTED }
      var length = 0
      let result = read(calls.instance, buffer, rootBytesMax, &length)
      request.pointee.answer = UInt64(length)
      return result
    }
    guard let swap = backing.root_swap else { return STOWAGE_UNSUPPORTED }
    let old = Int(wanted.slot)
    return swap(calls.instance, old > 0 ? buffer : nil, old, buffer + old, Int(wanted.slot_count))
  }

  /// Begins to read `count` neighbouring slots, whose objects' ids are given, into a segment that `pin` keeps until the call
  /// has ended; `endRead` waits for that. Nil when no request is free, but for so many that are kept for others.
  /// - Parameter waits: for one to become free. Who has requests under way must not, or all might wait for each other.
  func beginRead(
    _ context: Context, slot: UInt64, count: Int, _ kind: ObjectKind, ids: (Int) -> UInt64,
    into buffer: UnsafeMutableRawPointer,
    holder: SegmentIndex, keep: Int, waits: Bool, pin: (SegmentIndex) -> Void
  ) -> RequestPointer? {
    guard let request = acquire(keep: keep, waits: waits) else { return nil }
    request.pointee.frame = .max
    request.pointee.holder = holder
    request.pointee.slotsKept = false
    for index in 0..<count { request.pointee.objects[index] = object(ids(index), kind) }
    pin(holder)
    set(request, STOWAGE_OPERATION_READ, slot: slot, count: count, buffer: buffer)
    start(context, request)
    return request
  }

  /// RETRY past the deadline: then the segment stays pinned until the call has ended.
  func endRead(_ request: RequestPointer) -> Int32 {
    let result = wait(request)
    guard result.isDone else { return result.code }
    endPinned(request)
    return result.code
  }
}
