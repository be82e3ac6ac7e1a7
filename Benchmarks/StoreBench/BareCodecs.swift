// SPDX-License-Identifier: Apache-2.0
import CBrotli
import CCrypto
import CLZ4
import CZstd
import Foundation

/// A codec by itself, called as the tier calls it: the same library, the same settings, a context that is kept.
class BareCodec {
  let name: String
  /// The tier of the store that it is compared with, and its option.
  let tier: String
  let option: (key: String, value: Int64)?

  init(_ name: String, tier: String, option: (String, Int64)? = nil) {
    self.name = name
    self.tier = tier
    self.option = option
  }

  /// - Returns: the length, or 0 when it does not fit 4095 bytes (a page then is kept as it is).
  func encode(_ page: UnsafeRawPointer, into output: UnsafeMutableRawPointer) -> Int { 0 }
  func decode(_ input: UnsafeRawPointer, _ length: Int, into page: UnsafeMutableRawPointer) -> Bool { false }
}

final class BareLZ4: BareCodec {
  private let state = UnsafeMutableRawPointer.allocate(byteCount: Int(LZ4_sizeofState()), alignment: 64)

  init() { super.init("lz4", tier: "lz4") }

  override func encode(_ page: UnsafeRawPointer, into output: UnsafeMutableRawPointer) -> Int {
    Int(
      LZ4_compress_fast_extState(
        state, page.assumingMemoryBound(to: CChar.self), output.assumingMemoryBound(to: CChar.self), 4096, 4095, 1))
  }

  override func decode(_ input: UnsafeRawPointer, _ length: Int, into page: UnsafeMutableRawPointer) -> Bool {
    LZ4_decompress_safe(
      input.assumingMemoryBound(to: CChar.self), page.assumingMemoryBound(to: CChar.self), Int32(length), 4096) == 4096
  }
}

final class BareZstd: BareCodec {
  private let encoder: OpaquePointer
  private let decoder: OpaquePointer

  init(level: Int32) throws {
    let encoderSize = stowage_zstd_encoder_size(level, pageBytes)
    let decoderSize = stowage_zstd_decoder_size()
    guard
      let encoder = stowage_zstd_encoder(
        .allocate(byteCount: encoderSize, alignment: 64), encoderSize, level, pageBytes),
      let decoder = stowage_zstd_decoder(.allocate(byteCount: decoderSize, alignment: 64), decoderSize)
    else { throw Failure("libzstd refuses its settings") }
    (self.encoder, self.decoder) = (encoder, decoder)
    super.init("zstd \(level)", tier: "zstd", option: ("level", Int64(level)))
  }

  override func encode(_ page: UnsafeRawPointer, into output: UnsafeMutableRawPointer) -> Int {
    let length = ZSTD_compress2(encoder, output, 4095, page, 4096)
    return ZSTD_isError(length) == 0 ? length : 0
  }

  override func decode(_ input: UnsafeRawPointer, _ length: Int, into page: UnsafeMutableRawPointer) -> Bool {
    ZSTD_decompressDCtx(decoder, page, 4096, input, length) == 4096
  }
}

/// Brotli has no context that can be kept: each call makes one. The tier gives it memory from an arena, as here.
final class BareBrotli: BareCodec {
  private let quality: UInt32
  private let arena: UnsafeMutablePointer<BumpArena>

  init(quality: UInt32) {
    self.quality = quality
    arena = .allocate(capacity: 1)
    arena.initialize(to: BumpArena(memory: warmBuffer(pages: 1024)))
    super.init("brotli \(quality)", tier: "brotli", option: ("quality", Int64(quality)))
  }

  override func encode(_ page: UnsafeRawPointer, into output: UnsafeMutableRawPointer) -> Int {
    arena.pointee.used = 0
    guard let encoder = BrotliEncoderCreateInstance(bumpAllocate, bumpFree, arena) else { return 0 }
    defer { BrotliEncoderDestroyInstance(encoder) }
    BrotliEncoderSetParameter(encoder, BROTLI_PARAM_QUALITY, quality)
    BrotliEncoderSetParameter(encoder, BROTLI_PARAM_LGWIN, 16)
    BrotliEncoderSetParameter(encoder, BROTLI_PARAM_SIZE_HINT, 4096)
    var (inputLeft, outputLeft) = (4096, 4095)
    var input: UnsafePointer<UInt8>? = page.assumingMemoryBound(to: UInt8.self)
    var target: UnsafeMutablePointer<UInt8>? = output.assumingMemoryBound(to: UInt8.self)
    let done = BrotliEncoderCompressStream(
      encoder, BROTLI_OPERATION_FINISH, &inputLeft, &input, &outputLeft, &target, nil)
    return done != 0 && BrotliEncoderIsFinished(encoder) != 0 ? 4095 - outputLeft : 0
  }

  override func decode(_ input: UnsafeRawPointer, _ length: Int, into page: UnsafeMutableRawPointer) -> Bool {
    arena.pointee.used = 0
    guard let decoder = BrotliDecoderCreateInstance(bumpAllocate, bumpFree, arena) else { return false }
    defer { BrotliDecoderDestroyInstance(decoder) }
    var (inputLeft, outputLeft) = (length, 4096)
    var source: UnsafePointer<UInt8>? = input.assumingMemoryBound(to: UInt8.self)
    var target: UnsafeMutablePointer<UInt8>? = page.assumingMemoryBound(to: UInt8.self)
    let result = BrotliDecoderDecompressStream(decoder, &inputLeft, &source, &outputLeft, &target, nil)
    return result == BROTLI_DECODER_RESULT_SUCCESS && outputLeft == 0
  }
}

struct BumpArena {
  let memory: UnsafeMutableRawBufferPointer
  var used = 0
}

private func bumpAllocate(_ arena: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
  guard let arena = arena?.assumingMemoryBound(to: BumpArena.self) else { return nil }
  let rounded = (size + 15) & ~15
  guard rounded <= arena.pointee.memory.count - arena.pointee.used else { return nil }
  defer { arena.pointee.used += rounded }
  return arena.pointee.memory.baseAddress! + arena.pointee.used
}

private func bumpFree(_ arena: UnsafeMutableRawPointer?, _ address: UnsafeMutableRawPointer?) {}

/// AES-256-GCM with a nonce and associated data for each page; the tag follows the bytes.
final class BareGCM: BareCodec {
  private let encryption: OpaquePointer
  private let decryption: OpaquePointer
  private var counter: UInt64 = 0

  init() throws {
    let key = [UInt8](repeating: 0x5A, count: 32)
    guard let encryption = EVP_CIPHER_CTX_new(), let decryption = EVP_CIPHER_CTX_new(),
      EVP_EncryptInit_ex2(encryption, EVP_aes_256_gcm(), key, nil, nil) > 0,
      EVP_DecryptInit_ex2(decryption, EVP_aes_256_gcm(), key, nil, nil) > 0
    else { throw Failure("OpenSSL refuses AES-256-GCM") }
    (self.encryption, self.decryption) = (encryption, decryption)
    super.init("aes-256-gcm", tier: "aes-gcm")
  }

  /// Page, nonce of 12 bytes and tag of 16, one behind the other.
  override func encode(_ page: UnsafeRawPointer, into output: UnsafeMutableRawPointer) -> Int {
    counter += 1
    let nonce = (output + 4096).assumingMemoryBound(to: UInt8.self)
    memset(nonce, 0, 12)
    (output + 4096).storeBytes(of: counter, as: UInt64.self)
    let target = output.assumingMemoryBound(to: UInt8.self)
    var length: Int32 = 0
    guard EVP_EncryptInit_ex2(encryption, nil, nil, nonce, nil) > 0,
      EVP_EncryptUpdate(encryption, nil, &length, nonce, 12) > 0,
      EVP_EncryptUpdate(encryption, target, &length, page.assumingMemoryBound(to: UInt8.self), 4096) > 0,
      EVP_EncryptFinal_ex(encryption, target, &length) > 0, stowage_gcm_get_tag(encryption, target + 4108)
    else { return 0 }
    return 4124
  }

  override func decode(_ input: UnsafeRawPointer, _ length: Int, into page: UnsafeMutableRawPointer) -> Bool {
    let source = input.assumingMemoryBound(to: UInt8.self)
    let target = page.assumingMemoryBound(to: UInt8.self)
    var length: Int32 = 0
    return EVP_DecryptInit_ex2(decryption, nil, nil, source + 4096, nil) > 0
      && EVP_DecryptUpdate(decryption, nil, &length, source + 4096, 12) > 0
      && EVP_DecryptUpdate(decryption, target, &length, source, 4096) > 0
      && stowage_gcm_set_tag(decryption, UnsafeMutablePointer(mutating: source + 4108))
      && EVP_DecryptFinal_ex(decryption, target, &length) > 0
  }
}

/// Pages as a bare codec left them, one behind the other in one buffer.
final class BareOutput {
  let codec: BareCodec
  private let pages: Pages
  private let output: UnsafeMutableRawBufferPointer
  private var places: [(offset: Int, length: Int)]
  private var offset = 0
  private(set) var bytes = 0

  init(_ codec: BareCodec, _ pages: Pages, count: Int) {
    self.codec = codec
    self.pages = pages
    output = warmBuffer(pages: count + count / 8 + 2)
    places = Array(repeating: (0, 0), count: count)
  }

  deinit { output.deallocate() }

  func begin() { (offset, bytes) = (0, 0) }

  func encode(_ range: Range<Int>) {
    for index in range {
      let page = pages[index].baseAddress!
      let target = output.baseAddress! + offset
      var length = codec.encode(page, into: target)
      if length == 0 {
        memcpy(target, page, 4096)
        length = 4096
      }
      places[index] = (offset, length)
      offset += (length + 7) & ~7
      bytes += min(length, 4096)
    }
  }

  func decode(_ index: Int, into page: UnsafeMutableRawPointer) -> Bool {
    let (offset, length) = places[index]
    if length == 4096 {
      memcpy(page, output.baseAddress! + offset, 4096)
      return true
    }
    return codec.decode(output.baseAddress! + offset, length, into: page)
  }
}
