// SPDX-License-Identifier: Apache-2.0
import StowageTier
import Synchronization

/// A host that counts memory and keeps the last message. One for the process, as the binary interface has it.
enum MockHost {
  struct Record {
    var bytesInUse = 0
    var message = ""
    var log: [String] = []
  }

  static let record = Mutex(Record())

  static var message: String { record.withLock { $0.message } }
  static var bytesInUse: Int { record.withLock { $0.bytesInUse } }

  private static func text(_ bytes: UnsafePointer<CChar>, _ length: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(start: bytes, count: length), as: UTF8.self)
  }

  /// Its table; a test may change it before an entry function sees it.
  static func table() -> stowage_host {
    stowage_host(
      magic: 0x3154_534F_4857_5453, struct_size: UInt32(MemoryLayout<stowage_host>.stride),
      abi_major: UInt16(STOWAGE_ABI_MAJOR), abi_minor: UInt16(STOWAGE_ABI_MINOR), host_name: name, host_version: name,
      set_error: { bytes, length in MockHost.record.withLock { $0.message = MockHost.text(bytes, length) } },
      log: { _, _, bytes, length in MockHost.record.withLock { $0.log.append(MockHost.text(bytes, length)) } },
      memory_allocate: { _, size, alignment, _ in
        guard size < 1 << 30 else { return nil }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: alignment)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        MockHost.record.withLock { $0.bytesInUse += size }
        return memory
      },
      memory_free: { _, memory, size, _ in
        guard let memory else { return }
        memory.deallocate()
        MockHost.record.withLock { $0.bytesInUse -= size }
      },
      random_fill: { bytes, size in
        bytes.initializeMemory(as: UInt8.self, repeating: 7, count: size)
        return STOWAGE_OK
      },
      now_ns: { 42 },
      wipe: { bytes, size in bytes.initializeMemory(as: UInt8.self, repeating: 0, count: size) },
      get_extension: nil)
  }

  private static var name: UnsafePointer<CChar> {
    UnsafeRawPointer(("mock" as StaticString).utf8Start).assumingMemoryBound(to: CChar.self)
  }

  /// Opens an instance with these values for its options, in the order of its table.
  static func open(_ tier: TierTable, options: [stowage_option_value] = [], pageSize: UInt32 = 4096)
    -> (instance: OpaquePointer?, result: Int32)
  {
    var instance: OpaquePointer?
    let result = options.withUnsafeBufferPointer { values in
      var arguments = stowage_open(
        struct_size: UInt32(MemoryLayout<stowage_open>.stride), page_size: pageSize, owner: 3, epoch: 5,
        option_count: UInt32(values.count), options: values.baseAddress, instance_name: name)
      return tier.pointee.open(&arguments, &instance)
    }
    return (instance, result)
  }

  static func number(_ number: Int64) -> stowage_option_value {
    stowage_option_value(text: nil, text_length: 0, number: number, given: 1, reserved: 0)
  }
}
