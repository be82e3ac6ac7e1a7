// SPDX-License-Identifier: Apache-2.0

/// A folder of the search path.
public struct SearchedFolder: Sendable, Hashable {
  public enum State: String, Sendable, Hashable {
    case read, missing, unreadable
  }
  public var path: String
  public var state: State
}

/// The outcome of a search.
public struct PluginCatalog: Sendable {
  /// By priority, ties by name; those of which nothing is known last.
  public var plugins: [PluginRecord]
  public var searched: [SearchedFolder]
  /// For people: shadowed files, folders that cannot be read.
  public var notes: [String]
  /// Every name in the path, probed or not.
  public var names: [String]

  public init(
    plugins: [PluginRecord], searched: [SearchedFolder] = [], notes: [String] = [], names: [String]? = nil
  ) {
    self.plugins = plugins.sorted(by: Self.isBefore)
    self.searched = searched
    self.notes = notes
    self.names = names ?? plugins.map(\.name)
  }

  /// The plug-in of this name.
  /// - Throws: `unknown`, with names that are near.
  public func plugin(named name: String) throws(PluginError) -> PluginRecord {
    guard let record = plugins.first(where: { $0.name == name }) else {
      throw .unknown(
        name: name, near: NearNames.of(name, in: names), searched: searched.map(\.path))
    }
    return record
  }

  private static func isBefore(_ a: PluginRecord, _ b: PluginRecord) -> Bool {
    let (x, y) = (a.description?.priority ?? Int.max, b.description?.priority ?? Int.max)
    return (x, a.name) < (y, b.name)
  }
}

/// Searches the plug-in path and probes what it finds.
public struct PluginFinder: Sendable {
  public var path: PluginPath
  public var prober: PluginProber

  public init(path: PluginPath, prober: PluginProber) {
    self.path = path
    self.prober = prober
  }

  public var trust: PluginTrust { prober.trust }

  /// Probes the plug-ins in the path.
  /// - Parameter names: only these; nil: all. One that is not found is no error here.
  /// - Throws: `helper` when probing itself does not work.
  public func catalog(names: Set<String>? = nil) throws(PluginError) -> PluginCatalog {
    let search = PluginSearch(path)
    let wanted = search.files.filter { names?.contains($0.name) ?? true }
    return PluginCatalog(
      plugins: try prober.probe(wanted.map(\.file)), searched: search.searched, notes: search.notes,
      names: search.files.map(\.name))
  }

  /// Probes one file, wherever it lies.
  public func probe(file: String) throws(PluginError) -> PluginRecord {
    try prober.probe([FilePaths.absolute(file)])[0]
  }

  /// The file of this name in the path, without probing; nil if there is none.
  public func file(named name: String) -> String? { PluginSearch(path).files.first { $0.name == name }?.file }

  /// The names in the path, without probing.
  public func names() -> [String] { PluginSearch(path).files.map(\.name).sorted() }
}
