// SPDX-License-Identifier: Apache-2.0
public import CStowageTier

/// A tier that turns bytes into bytes and holds nothing: compression, encryption.
public protocol TransformTier: Tier, ~Copyable {
  /// Turns `job.input` into at most `job.output.count` bytes and says how many. Throws `.tooBig` when the
  /// result does not fit; writes nothing past the room either way.
  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int

  /// The way back: fills the whole of `job.output`, or throws.
  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError)

  // The kit's own, as in `Tier`. Never implement these.
  static func _encode(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ job: EncodeJob, _ length: UnsafeMutablePointer<Int>
  ) -> Int32
  static func _decode(_ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ job: DecodeJob) -> Int32
}

/// One call of `encode`. Everything in it is valid until the call returns.
public struct EncodeJob: BitwiseCopyable {
  /// Which object this is.
  public let object: UnsafePointer<stowage_object>
  public let input: UnsafeRawBufferPointer
  /// Where the result goes; may be smaller than the input.
  public let output: UnsafeMutableRawBufferPointer
  /// As many bytes as the description's `sidecarLength`; nil when that is 0.
  public let sidecar: UnsafeMutableRawPointer?

  @inlinable
  init(
    _ object: UnsafePointer<stowage_object>, _ input: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<UInt8>,
    _ room: Int, _ sidecar: UnsafeMutablePointer<UInt8>?
  ) {
    self.object = object
    self.input = UnsafeRawBufferPointer(start: input, count: Int(object.pointee.length))
    self.output = UnsafeMutableRawBufferPointer(start: output, count: room)
    self.sidecar = UnsafeMutableRawPointer(sidecar)
  }

  /// Copies the input to the output, for bytes that stay as they are.
  @inlinable
  public func copy() throws(TierError) -> Int {
    guard output.count >= input.count else { throw .tooBig }
    output.copyMemory(from: input)
    return input.count
  }
}

/// One call of `decode`. Everything in it is valid until the call returns.
public struct DecodeJob: BitwiseCopyable {
  /// Which object this is.
  public let object: UnsafePointer<stowage_object>
  public let input: UnsafeRawBufferPointer
  /// Exactly as long as the object was before encoding.
  public let output: UnsafeMutableRawBufferPointer
  /// As many bytes as the description's `sidecarLength`; nil when that is 0.
  public let sidecar: UnsafeRawPointer?

  @inlinable
  init(
    _ object: UnsafePointer<stowage_object>, _ input: UnsafePointer<UInt8>, _ length: Int,
    _ output: UnsafeMutablePointer<UInt8>, _ sidecar: UnsafePointer<UInt8>?
  ) {
    self.object = object
    self.input = UnsafeRawBufferPointer(start: input, count: length)
    self.output = UnsafeMutableRawBufferPointer(start: output, count: Int(object.pointee.length))
    self.sidecar = UnsafeRawPointer(sidecar)
  }

  /// Copies the input to the output, for bytes that stayed as they were.
  @inlinable
  public func copy() throws(TierError) {
    guard output.count == input.count else { throw .corrupt }
    output.copyMemory(from: input)
  }
}

extension TransformTier where Self: ~Copyable {
  @inlinable
  public static func _encode(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ job: EncodeJob, _ length: UnsafeMutablePointer<Int>
  ) -> Int32 {
    do throws(TierError) {
      length.pointee = try tier.assumingMemoryBound(to: Self.self).pointee.encode(job, &_context(context).pointee)
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }

  @inlinable
  public static func _decode(_ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ job: DecodeJob) -> Int32 {
    do throws(TierError) {
      try tier.assumingMemoryBound(to: Self.self).pointee.decode(job, &_context(context).pointee)
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }
}

/// The functions behind every transform's table. The instance's header names the tier's type; the call
/// through it lands in code that was specialised for that type.
func makeTransformTable(sidecarLength: UInt32) -> UnsafePointer<stowage_transform> {
  let table = UnsafeMutablePointer<stowage_transform>.allocate(capacity: 1)
  table.initialize(
    to: stowage_transform(
      struct_size: UInt32(MemoryLayout<stowage_transform>.stride), sidecar_length: sidecarLength,
      encode: { instance, context, object, input, output, room, length, sidecar in
        TierInstance.header(instance).pointee.transform.unsafelyUnwrapped._encode(
          TierInstance.tier(instance), context, EncodeJob(object, input, output, room, sidecar), length)
      },
      decode: { instance, context, object, input, length, output, sidecar in
        TierInstance.header(instance).pointee.transform.unsafelyUnwrapped._decode(
          TierInstance.tier(instance), context, DecodeJob(object, input, length, output, sidecar))
      }))
  return UnsafePointer(table)
}
