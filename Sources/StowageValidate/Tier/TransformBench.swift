// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine
internal import Synchronization

/// What encode made of a page, and all that decode needs to undo it. Checks damage copies of it.
struct Encoding {
  var page: [UInt8]
  var object: stowage_object
  var bytes: [UInt8]
  var sidecar: [UInt8]
}

/// Encodes and decodes in buffers with room to spare, so that only the checks of bounds see an overrun.
final class TransformBench {
  let tier: OpenTier
  let context: OpaquePointer?
  /// Bytes that nobody asked for, behind every buffer.
  static let slack = 1024

  private var run: CheckRun { tier.run }

  init(_ tier: OpenTier, _ context: OpaquePointer?) {
    self.tier = tier
    self.context = context
  }

  /// With a context of its own for both uses.
  convenience init(_ tier: OpenTier) throws { self.init(tier, try tier.context()) }

  /// Ends the context and closes the instance.
  func close() {
    tier.end(context)
    tier.close()
  }

  // MARK: Encoding

  /// Encodes a page as an object into `room` bytes.
  /// - Returns: the result, *output_length as the tier set it, and the encoding when both make sense.
  func attempt(_ page: [UInt8], _ object: stowage_object, room: Int) -> (code: Int32, length: Int, encoding: Encoding?)
  {
    var output = [UInt8](repeating: 0xA5, count: room + Self.slack)
    var sidecar = [UInt8](repeating: 0xA5, count: tier.sidecarLength + Self.slack)
    let (code, length) = output.withUnsafeMutableBytes { output in
      sidecar.withUnsafeMutableBytes { sidecar in
        (page + [UInt8](repeating: 0, count: Self.slack)).withUnsafeBytes { input in
          tier.encode(
            context, object, input.baseAddress!, output.baseAddress!, room: room,
            tier.sidecarLength > 0 ? sidecar.baseAddress! : nil)
        }
      }
    }
    guard code == STOWAGE_OK, length >= 0, length <= room else { return (code, length, nil) }
    let encoding = Encoding(
      page: page, object: object, bytes: Array(output[..<length]), sidecar: Array(sidecar[..<tier.sidecarLength]))
    return (code, length, encoding)
  }

  /// Encodes with more room than the page is long.
  /// - Returns: nil when the tier says that it does not fit all the same.
  func encode(_ page: [UInt8], id: UInt64, flags: UInt32 = 0) throws -> Encoding? {
    let room = tier.room(for: page.count)
    let (code, length, encoding) = attempt(page, tier.object(id, length: page.count, flags: flags), room: room)
    if code == STOWAGE_TOO_BIG { return nil }
    guard code == STOWAGE_OK else { throw run.fail("encode of \(page.count) bytes answered \(OpenTier.said(code))") }
    guard let encoding else {
      throw run.fail(
        length == .max
          ? "encode of \(page.count) bytes answered OK and did not set *output_length"
          : "encode of \(page.count) bytes says that it wrote \(length) into a room of \(room)")
    }
    return encoding
  }

  // MARK: Decoding

  /// Decodes anything, damaged or not.
  func decode(_ encoding: Encoding) -> (code: Int32, output: [UInt8]) {
    let length = Int(encoding.object.length)
    var output = [UInt8](repeating: 0x5A, count: length + Self.slack)
    let code = output.withUnsafeMutableBytes { output in
      (encoding.bytes + [UInt8](repeating: 0, count: Self.slack)).withUnsafeBytes { input in
        (encoding.sidecar + [UInt8](repeating: 0, count: Self.slack)).withUnsafeBytes { sidecar in
          tier.decode(
            context, encoding.object, input.baseAddress!, length: encoding.bytes.count, output.baseAddress!,
            tier.sidecarLength > 0 ? sidecar.baseAddress! : nil)
        }
      }
    }
    output.removeLast(Self.slack)
    return (code, output)
  }

  /// Expects that the page comes back. One observation.
  /// - Parameter about: for the message, such as "a page of text".
  func expectBack(_ encoding: Encoding, _ about: @autoclosure () -> String) throws {
    let (code, output) = decode(encoding)
    guard !tier.isLossy else { return try run.expect(true, "") }
    guard code == STOWAGE_OK else { throw run.fail("decode of \(about()) answered \(OpenTier.said(code))") }
    try run.expect(output == encoding.page, "\(about()) came back changed: \(Self.difference(encoding.page, output))")
  }

  /// Encodes a page and expects it back.
  /// - Returns: nil when the tier says that it does not fit.
  @discardableResult
  func roundTrip(_ page: [UInt8], id: UInt64, _ about: @autoclosure () -> String) throws -> Encoding? {
    guard let encoding = try encode(page, id: id) else { return nil }
    try expectBack(encoding, about())
    return encoding
  }

  /// "byte 17 is 3, expected 9", for messages.
  static func difference(_ page: [UInt8], _ back: [UInt8]) -> String {
    guard page.count == back.count else { return "\(back.count) bytes, expected \(page.count)" }
    guard let index = page.indices.first(where: { page[$0] != back[$0] }) else { return "no difference" }
    return "byte \(index) is \(back[index]), expected \(page[index])"
  }
}

extension SamplePages {
  /// Read once for each page size: the file of real pages is long.
  private static let read = Mutex<[Int: SamplePages]>([:])

  static func kept(_ run: CheckRun, pageSize: Int) -> SamplePages {
    read.withLock { read in
      let pages = read[pageSize] ?? SamplePages(run, pageSize: pageSize)
      read[pageSize] = pages
      return pages
    }
  }

  /// A page of each kind in turn, encoded: what many checks begin with.
  static func encodings(_ bench: TransformBench, kinds: [Kind] = Kind.allCases, firstId: UInt64 = 1) throws
    -> [Encoding]
  {
    let run = bench.tier.run
    let pages = Self.kept(run, pageSize: bench.tier.pageSize)
    return try kinds.enumerated().compactMap { index, kind in
      let page = pages.bytes(kind, length: bench.tier.pageSize, &run.random)
      return try bench.encode(page, id: firstId + UInt64(index))
    }
  }
}
