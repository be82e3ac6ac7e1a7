// SPDX-License-Identifier: Apache-2.0

/// The languages that a new tier can be begun in.
public enum TierTemplateLanguage: String, Sendable, CaseIterable {
  case c, swift, rust
}

/// What a new tier can be.
public enum TierTemplateRole: String, Sendable, CaseIterable {
  case transform, backing
}

/// A folder to begin a tier from, as text.
public struct TierTemplate: Sendable {
  /// One file of the folder.
  public struct File: Sendable, Hashable {
    /// Below the folder.
    public var path: String
    public var text: String
  }

  public let name: String
  public let language: TierTemplateLanguage
  public let role: TierTemplateRole

  /// - Throws: `name` when the ABI allows no tier of this name.
  public init(name: String, language: TierTemplateLanguage, role: TierTemplateRole) throws(TierTemplateError) {
    guard Self.isName(name) else { throw .name(name) }
    self.name = name
    self.language = language
    self.role = role
  }

  /// As in NAME.tier.so: lower-case letters, digits and '-', at most 32, no '-' first.
  static func isName(_ text: String) -> Bool {
    let allowed = text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    return allowed && !text.isEmpty && text.utf8.count <= 32 && text.utf8.first != 45
  }

  /// All files, by path.
  public func files() throws(TierTemplateError) -> [File] {
    var files: [File] = []
    for (path, source) in layout() {
      guard let text = KitFiles.text(source) else { throw .missing(source) }
      files.append(File(path: path, text: source.hasPrefix("templates/") ? filledIn(text) : text))
    }
    return files.sorted { $0.path < $1.path }
  }

  /// Each file, and where it comes from.
  private func layout() -> [(path: String, source: String)] {
    let own = "templates/\(language.rawValue)"
    let common = [
      ("README.md", "\(own)/README.md"), ("Makefile", "\(own)/Makefile"), (".gitignore", "templates/gitignore"),
    ]
    switch language {
    case .c:
      return common + [
        ("\(name).c", "\(own)/\(role.rawValue).c"), header("tier"), header("tier-helpers"), header("extensions"),
      ]
    case .rust:
      return common + [
        ("Cargo.toml", "\(own)/Cargo.toml"), ("src/lib.rs", "\(own)/\(role.rawValue).rs"),
        ("src/stowage.rs", "\(own)/stowage.rs"), header("tier"),
      ]
    case .swift:
      let kit = KitFiles.paths.filter { !$0.hasPrefix("templates/") }
      return common + [
        ("Package.swift", "\(own)/Package.swift"), ("Sources/Tier.swift", "\(own)/\(role.rawValue).swift"),
        ("stowage-kit/Package.swift", "\(own)/kit-Package.swift"),
      ] + kit.map { ("stowage-kit/\($0)", $0) }
    }
  }

  private func header(_ name: String) -> (path: String, source: String) {
    ("include/stowage/\(name).h", "include/stowage/\(name).h")
  }

  private func filledIn(_ text: String) -> String {
    let module = "Tier_" + name.map { $0 == "-" ? "_" : String($0) }.joined()
    var text = text
    for (mark, value) in [("@NAME@", name), ("@MODULE@", module), ("@ROLE@", role.rawValue)] {
      text = text.split(separator: mark, omittingEmptySubsequences: false).joined(separator: value)
    }
    return text
  }
}

/// Why there is no new tier. `description` is one sentence that says what to do.
public enum TierTemplateError: Error, Sendable, Hashable, CustomStringConvertible {
  case name(String)
  /// The folder, or something else of its name, is there already.
  case exists(String)
  /// A file or folder could not be made.
  case system(path: String, reason: String)
  /// A file that this executable should hold.
  case missing(String)

  public var description: String {
    switch self {
    case .name(let name):
      "'\(name)' is no name for a tier: lower-case letters, digits and '-' are allowed, at most 32, no '-' first"
    case .exists(let path):
      "\(path) exists already and is left alone; choose another name, or another folder with --into"
    case .system(let path, let reason): "cannot make \(path): \(reason)"
    case .missing(let path): "this executable was built without the template \(path)"
    }
  }
}
