// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import StowageTestSupport

/// A tier's file, loaded in this process as a copy of its own, so that its entry is called once for each.
struct LoadedTier: @unchecked Sendable {
  let table: UnsafePointer<stowage_tier>
  private let folder: TemporaryFolder

  init(_ file: String, host: UnsafePointer<stowage_host> = AuthorHost.table()) throws {
    folder = try TemporaryFolder()
    let copy = folder.file("\(UUID().uuidString).so")
    try FileManager.default.copyItem(atPath: file, toPath: copy.path)
    guard let library = dlopen(copy.path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) else {
      throw TestFailure(String(cString: dlerror()))
    }
    guard let symbol = dlsym(library, STOWAGE_TIER_ENTRY_NAME) else { throw TestFailure("\(file) has no entry") }
    typealias Entry = @convention(c) (UnsafePointer<stowage_host>) -> UnsafePointer<stowage_tier>?
    guard let table = unsafeBitCast(symbol, to: Entry.self)(host) else {
      throw TestFailure("\(file) gave no descriptor")
    }
    self.table = table
  }

  var name: String { String(cString: table.pointee.name) }
  var transform: stowage_transform? { table.pointee.transform?.pointee }
  var backing: stowage_backing? { table.pointee.backing?.pointee }

  /// The defaults of its options, but for the numbers that are given.
  private func values(_ numbers: [String: Int64]) -> [stowage_option_value] {
    (0..<Int(table.pointee.option_count)).map { index in
      let option = table.pointee.options.unsafelyUnwrapped[index]
      let given = numbers[String(cString: option.key)]
      return stowage_option_value(
        text: option.text_default, text_length: option.text_default.map { UInt64(strlen($0)) } ?? 0,
        number: given ?? option.number_default, given: given == nil ? 0 : 1, reserved: 0)
    }
  }

  /// The result of `open`, and the instance if there is one.
  func tryOpen(owner: UInt64, pageSize: Int = 4096, numbers: [String: Int64] = [:]) -> (Int32, OpaquePointer?) {
    var instance: OpaquePointer?
    let values = values(numbers)
    let result = values.withUnsafeBufferPointer { values in
      "instance".withCString { name in
        var arguments = stowage_open(
          struct_size: UInt32(MemoryLayout<stowage_open>.size), page_size: UInt32(pageSize), owner: owner, epoch: 1,
          option_count: UInt32(values.count), options: values.isEmpty ? nil : values.baseAddress, instance_name: name)
        return table.pointee.open(&arguments, &instance)
      }
    }
    return (result, instance)
  }

  func open(owner: UInt64 = AuthorHost.newOwner(), pageSize: Int = 4096, numbers: [String: Int64] = [:]) throws
    -> OpaquePointer
  {
    let (result, instance) = tryOpen(owner: owner, pageSize: pageSize, numbers: numbers)
    guard result == STOWAGE_OK, let instance else {
      throw TestFailure("\(name): open gave \(result): \(AuthorHost.takeMessage())")
    }
    return instance
  }

  func encode(_ instance: OpaquePointer, _ input: [UInt8], room: Int, id: UInt64 = 1) -> (Int32, [UInt8]) {
    var object = stowage_object(id: id, epoch: 1, length: UInt32(input.count), flags: 0, reserved: 0)
    let (source, target) = (GuardedBuffer(input), GuardedBuffer(byteCount: room))
    var length = 0
    let result = transform.unsafelyUnwrapped.encode(
      instance, nil, &object, source.bytes, target.bytes, room, &length, nil)
    return (result, result == STOWAGE_OK ? Array(target.contents.prefix(length)) : [])
  }

  func decode(_ instance: OpaquePointer, _ input: [UInt8], length: Int, id: UInt64 = 1) -> (Int32, [UInt8]) {
    var object = stowage_object(id: id, epoch: 1, length: UInt32(length), flags: 0, reserved: 0)
    let (source, target) = (GuardedBuffer(input), GuardedBuffer(byteCount: length))
    let result = transform.unsafelyUnwrapped.decode(
      instance, nil, &object, source.bytes, input.count, target.bytes, nil)
    return (result, Array(target.contents))
  }
}

/// Bytes that end where a page begins that nobody may touch; what is given is read-only.
final class GuardedBuffer {
  let bytes: UnsafeMutablePointer<UInt8>
  let byteCount: Int
  private let memory: UnsafeMutableRawPointer
  private let mapped: Int

  init(byteCount: Int) {
    let whole = (byteCount + 4095) & ~4095
    mapped = whole + 8192
    self.byteCount = byteCount
    memory = mmap(nil, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if whole > 0 { mprotect(memory + 4096, whole, PROT_READ | PROT_WRITE) }
    bytes = (memory + 4096 + whole - byteCount).assumingMemoryBound(to: UInt8.self)
  }

  convenience init(_ contents: [UInt8]) {
    self.init(byteCount: contents.count)
    for (index, byte) in contents.enumerated() { bytes[index] = byte }
    if mapped > 8192 { mprotect(memory + 4096, mapped - 8192, PROT_READ) }
  }

  var contents: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: bytes, count: byteCount) }

  deinit { munmap(memory, mapped) }
}
