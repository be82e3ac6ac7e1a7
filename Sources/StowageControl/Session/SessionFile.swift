// SPDX-License-Identifier: Apache-2.0
internal import Glibc
public import StowageEngine
public import StowagePlugins

/// A file that a session is, or may be, in: one of the swap file tier's.
public struct SessionFile: Sendable {
  /// The plug-in that keeps sessions in files.
  public static let plugin = "swapfile"
  /// What such a file begins with, and where the bytes of a slot stand in it; Plugins/swapfile/README.md describes the
  /// rest.
  private static let mark = Array("stowage swapfile".utf8)
  private static let slotBytesPlace = 20
  private static let headBytes = 24
  private static let leastPage = 4096

  /// What stands at the beginning of a file whose session was erased, should the rest not be gone.
  public static let erasedMark = Array("stowage erased\n\n".utf8)
  /// Bytes before the first slot: identity and roots.
  public static let beginningBytes = 65_536

  /// What the file says that it is.
  public enum Kind: Sendable, Hashable {
    case swapFile, erased, empty, foreign
  }

  /// Absolute.
  public let path: String
  public let kind: Kind
  /// Bytes in the file.
  public let bytes: Int
  /// Bytes in a page, as the file says; the tier checks that. The least where it says nothing sensible.
  public let pageSize: Int

  /// Looks at the beginning of a file.
  /// - Throws: when it cannot be read.
  public init(_ name: String) throws(SessionFileError) {
    let path = FilePaths.absolute(name)
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw SessionFileError(path, String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw SessionFileError(path, "it is no regular file")
    }
    var head = [UInt8](repeating: 0, count: Self.headBytes)
    let count = pread(descriptor, &head, head.count, 0)
    guard count >= 0 else { throw SessionFileError(path, String(cString: strerror(errno))) }
    let start = Array(head.prefix(16))
    self.path = path
    bytes = Int(status.st_size)
    kind = count == 0 ? .empty : start == Self.mark ? .swapFile : start == Self.erasedMark ? .erased : .foreign
    let said = (0..<4).reduce(0) { $0 | Int(head[Self.slotBytesPlace + $1]) << (8 * $1) }
    pageSize = said >= Self.leastPage && said <= 65536 && said & (said - 1) == 0 ? said : Self.leastPage
  }

  /// - Throws: when it is no file that a session can be in.
  public func check() throws(SessionFileError) {
    switch kind {
    case .swapFile: return
    case .erased: throw SessionFileError(path, "its session was erased")
    case .empty: throw SessionFileError(path, "it is empty: there is no session in it")
    case .foreign: throw SessionFileError(path, "it is no swap file of Stowage: there is no session in it")
    }
  }

  /// What the session says of itself, without its keys. Nothing is written.
  public func describe(_ finder: PluginFinder) throws -> SessionDescription {
    try check()
    let record = try finder.catalog(names: [Self.plugin]).plugin(named: Self.plugin)
    var tier = ChainTier(try PluginLoader.load(record, trust: finder.trust))
    tier.options = ["path": .text(path), "open": .text(SessionAccess.readOnly.rawValue)]
    return try Store.describeSession(in: tier, pageSize: pageSize)
  }
}

/// What a session's file is opened for: values of the swap file's option `open`.
public enum SessionAccess: String, Sendable {
  case existing
  case readOnly = "read-only"
}

/// Why a file has no session to be had.
public struct SessionFileError: Error, Sendable, Hashable, CustomStringConvertible {
  public var file: String
  public var reason: String

  init(_ file: String, _ reason: String) {
    self.file = file
    self.reason = reason
  }

  public var description: String { "\(DisplayText.plain(file)): \(reason)" }
}
