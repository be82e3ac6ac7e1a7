// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem
internal import Glibc

/// A plug-in file that is open, with the checks made before any of its code runs.
struct PluginFile: ~Copyable {
  /// As it was found, absolute.
  let path: String
  /// Behind all symbolic links: this is what gets loaded.
  let realPath: String
  /// NAME of NAME.tier.so.
  let name: String
  let identity: FileIdentity
  /// Of its contents: "xxh3-128:" and 32 hexadecimal digits.
  let hash: String
  private let descriptor: Int32

  static let suffix = ".tier.so"
  /// Larger files are refused rather than read.
  static let bytesMax = 1 << 29

  /// NAME of NAME.tier.so; nil for other files, hidden ones among them.
  static func name(of fileName: String) -> String? {
    guard fileName.hasSuffix(suffix), !fileName.hasPrefix("."), fileName.count > suffix.count else { return nil }
    return String(fileName.dropLast(suffix.count))
  }

  /// Opens and checks a file: that it is one, that it is trusted, and built for this machine.
  init(path: String, trust: PluginTrust) throws(PluginError) {
    func refuse(_ reason: String) -> PluginError { .refused(file: path, reason: reason) }
    guard let name = Self.name(of: FilePaths.last(of: path)) else {
      throw refuse("a tier's file is named NAME\(Self.suffix)")
    }
    guard let realPath = FilePaths.real(path) else { throw refuse(errnoText(errno)) }
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    let descriptor = open(realPath, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw refuse("cannot open it: \(errnoText(errno))") }
    do throws(PluginError) {
      let status = try Self.status(descriptor, file: path)
      if let objection = trust.objection(to: status, of: realPath) { throw refuse(objection) }
      let contents = try Self.read(descriptor, size: Int(status.st_size), file: path)
      defer { contents.deallocate() }
      if let objection = ElfCheck(UnsafeRawBufferPointer(contents)).objection() { throw refuse(objection) }
      identity = FileIdentity(status)
      hash = Self.hash(UnsafeRawBufferPointer(contents))
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.realPath = realPath
    self.name = name
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  private static func status(_ descriptor: Int32, file: String) throws(PluginError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .refused(file: file, reason: errnoText(errno)) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .refused(file: file, reason: "it is no regular file but \(FileKind.words(status))")
    }
    guard status.st_size > 0 else { throw .refused(file: file, reason: "the file is empty") }
    guard status.st_size <= bytesMax else {
      throw .refused(
        file: file,
        reason:
          "it is \(SizeText.format(Int64(status.st_size))) long, at most \(SizeText.format(Int64(bytesMax))) are loaded"
      )
    }
    return status
  }

  /// Read and not mapped: a mapped file that somebody shortens would end this process.
  private static func read(_ descriptor: Int32, size: Int, file: String) throws(PluginError)
    -> UnsafeMutableRawBufferPointer
  {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    var done = 0
    while done < size {
      let count = pread(descriptor, bytes.baseAddress! + done, size - done, done)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        let reason = count == 0 ? "it became shorter while it was read" : errnoText(errno)
        bytes.deallocate()
        throw .refused(file: file, reason: reason)
      }
      done += count
    }
    return bytes
  }

  private static func hash(_ contents: UnsafeRawBufferPointer) -> String {
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) {
      stowage_hash128(contents.baseAddress!, contents.count, 0, $0.baseAddress!.assumingMemoryBound(to: UInt64.self))
    }
    return "xxh3-128:" + hex(words.1) + hex(words.0)
  }

  private static func hex(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// Which file it is, whatever its name.
struct FileIdentity: Sendable, Hashable {
  let device: UInt64
  let inode: UInt64

  init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
  }

  /// Of the file that has this name now; nil if there is none.
  init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }
}
