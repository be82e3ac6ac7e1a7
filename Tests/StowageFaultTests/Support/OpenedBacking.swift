// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Glibc
import StowageEngine

/// The calls of a backing.
extension OpenedTier {
  private var backing: stowage_backing { tier.backing.unsafelyUnwrapped.pointee }
  private var opened: OpaquePointer { instance.unsafelyUnwrapped }

  var slotCount: Int {
    var capacity = stowage_capacity(
      struct_size: UInt32(MemoryLayout<stowage_capacity>.size), reserved: 0, slots_total: 0)
    return backing.capacity(opened, &capacity) == STOWAGE_OK ? Int(capacity.slots_total) : -1
  }

  func write(_ slot: UInt64, _ byte: UInt8) throws {
    try withPage { page in
      memset(page, Int32(byte), 4096)
      HostTable.clearError()
      try TierAnswer.check(backing.write(opened, nil, slot, 1, page, nil))
    }
  }

  /// The byte that a slot is full of.
  func read(_ slot: UInt64) throws -> UInt8? {
    try withPage { page in
      HostTable.clearError()
      try TierAnswer.check(backing.read(opened, nil, slot, 1, page, nil))
      return (0..<4096).allSatisfy { page[$0] == page[0] } ? page[0] : nil
    }
  }

  private func withPage<Result>(_ body: (UnsafeMutablePointer<UInt8>) throws -> Result) rethrows -> Result {
    let page = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
    defer { page.deallocate() }
    return try body(page.assumingMemoryBound(to: UInt8.self))
  }

  func trim(_ slot: UInt64) throws {
    HostTable.clearError()
    try TierAnswer.check(backing.trim.unsafelyUnwrapped(opened, nil, slot, 1))
  }

  func sync() throws {
    HostTable.clearError()
    try TierAnswer.check(backing.sync.unsafelyUnwrapped(opened, nil))
  }

  func root() throws -> [UInt8] {
    var root = [UInt8](repeating: 0, count: Int(STOWAGE_ROOT_BYTES_MAX))
    var length = 0
    HostTable.clearError()
    try TierAnswer.check(backing.root_read.unsafelyUnwrapped(opened, &root, root.count, &length))
    return Array(root.prefix(length))
  }

  func swapRoot(to new: [UInt8]) throws {
    let expected = try root()
    HostTable.clearError()
    try TierAnswer.check(
      backing.root_swap.unsafelyUnwrapped(opened, expected + [0], expected.count, new + [0], new.count))
  }

  /// Submits one request, and waits for its answer.
  func submit(_ operation: UInt32, slot: UInt64) throws {
    try withPage { page in
      let answer = Answer()
      var object = stowage_object(id: 1, epoch: 1, length: 4096, flags: 1, reserved: 0)
      let isSync = operation == STOWAGE_OPERATION_SYNC
      try withUnsafePointer(to: &object) { object in
        var request = stowage_request(
          struct_size: UInt32(MemoryLayout<stowage_request>.size), operation: operation, slot: slot,
          slot_count: isSync ? 0 : 1, reserved: 0, buffer: isSync ? nil : page, objects: isSync ? nil : object,
          deadline_ns: 0, complete: { Answer.give($0, $1) },
          host_data: Unmanaged.passUnretained(answer).toOpaque(), tier_data: nil, tier_number: 0)
        try withUnsafeMutablePointer(to: &request) { request in
          var taken: UInt32 = 0
          HostTable.clearError()
          try TierAnswer.check(backing.submit.unsafelyUnwrapped(opened, nil, [request], 1, &taken))
          answer.wait()
        }
      }
      if answer.code != STOWAGE_OK { throw TierAnswer(code: answer.code, text: answer.text) }
    }
  }

  /// What a request ends with, on another thread.
  private final class Answer: @unchecked Sendable {
    var code: Int32 = 0
    var text = ""
    private var done = sem_t()

    init() { sem_init(&done, 0, 0) }

    /// Waits for its end. One that does not come ends the tests, as the tier still has the request.
    func wait() {
      var until = timespec()
      clock_gettime(CLOCK_REALTIME, &until)
      until.tv_sec += 60
      while sem_timedwait(&done, &until) != 0 {
        guard errno == EINTR else { fatalError("a request was not completed within 60 s") }
      }
    }

    static func give(_ request: UnsafeMutablePointer<stowage_request>, _ code: Int32) {
      guard let data = request.pointee.host_data else { return }
      let answer = Unmanaged<Answer>.fromOpaque(data).takeUnretainedValue()
      (answer.code, answer.text) = (code, HostTable.lastError())
      sem_post(&answer.done)
    }
  }
}
