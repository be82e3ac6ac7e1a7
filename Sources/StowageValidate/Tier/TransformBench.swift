// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// One encoding and its way back, in buffers with room to spare, so that only the check of bounds sees an overrun.
final class TransformBench {
  private let tier: OpenTier
  private let context: OpaquePointer?
  private(set) var encoded: [UInt8] = []
  private(set) var sidecar: [UInt8] = []
  /// Bytes that nobody asked for, behind every buffer.
  static let slack = 1024

  init(_ tier: OpenTier, _ context: OpaquePointer?) throws {
    self.tier = tier
    self.context = context
  }

  /// Encodes; `encoded` and `sidecar` are set.
  /// - Returns: the length; nil when the tier says that it does not fit (it would not get shorter).
  func encode(_ page: [UInt8], id: UInt64) throws -> Int? {
    let room = tier.room(for: page.count)
    var output = [UInt8](repeating: 0xA5, count: room + Self.slack)
    var side = [UInt8](repeating: 0xA5, count: tier.sidecarLength + Self.slack)
    let (code, length) = output.withUnsafeMutableBytes { output in
      side.withUnsafeMutableBytes { side in
        (page + [0]).withUnsafeBytes { page in
          tier.encode(
            context, tier.object(id, length: page.count - 1), page.baseAddress!, output.baseAddress!, room: room,
            tier.sidecarLength > 0 ? side.baseAddress! : nil)
        }
      }
    }
    if code == STOWAGE_TOO_BIG { return nil }
    guard code == STOWAGE_OK else { throw tier.run.fail("encode of \(page.count) bytes answered \(OpenTier.said(code))") }
    guard length <= room else {
      throw tier.run.fail("encode of \(page.count) bytes says that it wrote \(length) into a room of \(room)")
    }
    encoded = Array(output[..<length])
    sidecar = Array(side[..<tier.sidecarLength])
    return length
  }

  /// Decodes what was encoded last.
  func decode(length: Int, id: UInt64) throws -> [UInt8] {
    let (code, output) = decode(encoded, sidecar, length: length, id: id)
    guard code == STOWAGE_OK else { throw tier.run.fail("decode of \(length) bytes answered \(OpenTier.said(code))") }
    return output
  }

  /// Decodes anything, damaged or not.
  func decode(_ input: [UInt8], _ side: [UInt8], length: Int, id: UInt64) -> (code: Int32, output: [UInt8]) {
    var output = [UInt8](repeating: 0x5A, count: length + Self.slack)
    let code = output.withUnsafeMutableBytes { output in
      (input + [UInt8](repeating: 0, count: Self.slack)).withUnsafeBytes { input in
        (side + [0]).withUnsafeBytes { side in
          tier.decode(
            context, tier.object(id, length: length), input.baseAddress!, length: self.count(input), output.baseAddress!,
            tier.sidecarLength > 0 ? side.baseAddress! : nil)
        }
      }
    }
    return (code, Array(output[..<length]))
  }

  private func count(_ padded: UnsafeRawBufferPointer) -> Int { padded.count - Self.slack }

  /// "byte 17 is 3, expected 9", for messages.
  func difference(_ page: [UInt8], _ back: [UInt8]) -> String {
    guard page.count == back.count else { return "\(back.count) bytes, expected \(page.count)" }
    guard let index = page.indices.first(where: { page[$0] != back[$0] }) else { return "no difference" }
    return "byte \(index) is \(back[index]), expected \(page[index])"
  }
}
