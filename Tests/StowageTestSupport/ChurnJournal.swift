// SPDX-License-Identifier: Apache-2.0
public import StowageEngine

/// What a process that is going to be killed says of what it does: records of 24 bytes, on its standard output.
///
/// Each operation is told before it begins and after it has ended, a cut in between; so whoever reads them knows what a
/// checkpoint has to hold, but for the one operation that was under way.
public enum ChurnJournal {
  public enum Kind: UInt64, Sendable { case begins = 1, ended, cut, completed, opened }
  public enum Operation: UInt64, Sendable { case put = 1, replace, take, discard }

  public struct Record: Sendable {
    public var kind: Kind
    /// Of an operation; else 0.
    public var operation: Operation?
    /// The handle (0: not known yet), or a checkpoint's number.
    public var subject: UInt64
    /// What the page holds from then on.
    public var version: UInt64

    public init(_ kind: Kind, _ operation: Operation? = nil, subject: UInt64, version: UInt64 = 0) {
      (self.kind, self.operation, self.subject, self.version) = (kind, operation, subject, version)
    }

    public var words: (UInt64, UInt64, UInt64) { (kind.rawValue | (operation?.rawValue ?? 0) << 8, subject, version) }

    public init?(_ words: (UInt64, UInt64, UInt64)) {
      guard let kind = Kind(rawValue: words.0 & 255) else { return nil }
      self.init(kind, Operation(rawValue: words.0 >> 8), subject: words.1, version: words.2)
    }
  }

  /// Fills a page with what follows from a version; it begins with that. Some compress well, some do not.
  public static func fill(_ page: UnsafeMutableRawBufferPointer, version: UInt64) {
    let words = page.bindMemory(to: UInt64.self)
    var state = version
    let period = [3, 9, 40, words.count][Int(version % 4)]
    for index in words.indices {
      if index < period {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        words[index] = state
      } else {
        words[index] = words[index - period]
      }
    }
    words[0] = version
  }

  public static func version(of page: UnsafeRawBufferPointer) -> UInt64 { page.load(as: UInt64.self) }

  /// The chain that the process uses: compressed, encrypted with a key file if one is named, in a file.
  public static func chain(file: String, size: Int64, keyFile: String?) throws -> [ChainTier] {
    var chain = [ChainTier(try TierLibrary.shipped("lz4")), ChainTier(try TierLibrary.shipped("zstd"))]
    if let keyFile {
      var cipher = ChainTier(try TierLibrary.shipped("aes-gcm"))
      cipher.options["key-file"] = .text(keyFile)
      cipher.limit = 0
      chain.append(cipher)
    }
    var swap = ChainTier(try TierLibrary.shipped("swapfile"))
    swap.options = ["path": .text(file), "size": .number(size)]
    return chain + [swap]
  }

  public static func configuration(_ start: SessionConfiguration.Start) -> StoreConfiguration {
    var configuration = StoreConfiguration(memoryLimit: 6 << 20)
    configuration.workers = 2
    configuration.session = SessionConfiguration(name: "churn", start: start)
    return configuration
  }
}
