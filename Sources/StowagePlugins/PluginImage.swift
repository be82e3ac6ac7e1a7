// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import CStowageTier
internal import Glibc
internal import StowageEngine

/// How far the loading of a plug-in has come; said before each step, so that it is known which one did
/// not come back.
enum LoadStage: String, CaseIterable {
  case checking, linking, entering, describing, asking

  /// After "while ".
  var text: String {
    switch self {
    case .checking: "the file was being checked"
    case .linking: "the dynamic linker loaded it (constructors run there)"
    case .entering: "stowage_tier_entry ran"
    case .describing: "its descriptor was read"
    case .asking: "it was asked for its extensions"
    }
  }
}

/// Loads a plug-in into this process: the helper's, or for good.
struct PluginImage {
  let table: TierTable
  let hash: String
  let identity: FileIdentity

  /// - Parameters:
  ///   - expectedHash: what the contents must be; nil: anything.
  ///   - stage: called before each step.
  init(
    path: String, trust: PluginTrust, expectedHash: String? = nil, stage: (LoadStage) -> Void = { _ in }
  ) throws(PluginError) {
    stage(.checking)
    let file = try PluginFile(path: path, trust: trust)
    hash = file.hash
    identity = file.identity
    if let expectedHash, expectedHash != hash {
      throw .refused(
        file: path,
        reason: "it has changed since it was probed (\(expectedHash) then, \(hash) now); run the command again")
    }
    stage(.linking)
    let entry = try Self.entry(of: file)
    stage(.entering)
    let descriptor = try Self.call(entry, file: path)
    stage(.describing)
    do {
      table = try TierTable(descriptor: descriptor, file: path)
    } catch {
      throw .refused(file: path, reason: error.reason)
    }
    guard table.name == file.name else {
      throw .refused(
        file: path,
        reason: "descriptor field name is '\(table.name)', but the file is named \(file.name)\(PluginFile.suffix); rename one of them"
      )
    }
  }

  /// Never closed again: unloading code, Swift code above all, is unsafe.
  private static func entry(of file: borrowing PluginFile) throws(PluginError) -> UnsafeMutableRawPointer {
    func refuse(_ reason: String) -> PluginError { .refused(file: file.path, reason: reason) }
    guard let library = dlopen(file.realPath, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)) else {
      throw refuse("the dynamic linker refuses it: \(linkerMessage(of: file.realPath))")
    }
    guard let entry = dlsym(library, STOWAGE_TIER_ENTRY_NAME) else {
      throw refuse("it is no tier: it does not export \(STOWAGE_TIER_ENTRY_NAME)")
    }
    guard let name = stowage_file_of_address(entry) else {
      throw refuse("\(STOWAGE_TIER_ENTRY_NAME) lies in no file that the dynamic linker knows")
    }
    let found = String(cString: name)
    guard FileIdentity(of: found) == file.identity else {
      throw refuse(
        found == file.realPath
          ? "it was replaced while it was loaded; run the command again"
          : "it is no tier: \(STOWAGE_TIER_ENTRY_NAME) is not in it but in \(found), on which it depends")
    }
    return entry
  }

  private static func call(_ entry: UnsafeMutableRawPointer, file: String) throws(PluginError)
    -> UnsafePointer<stowage_tier>
  {
    let function = unsafeBitCast(entry, to: stowage_tier_entry_function.self)
    HostTable.clearError()
    guard let descriptor = function(HostTable.shared) else {
      let said = HostTable.lastError()
      throw .refused(
        file: file, reason: "\(STOWAGE_TIER_ENTRY_NAME) gave no descriptor" + (said.isEmpty ? "" : ": \(said)"))
    }
    return descriptor
  }

  /// What the linker says, without the file's name in front.
  private static func linkerMessage(of path: String) -> String {
    guard let text = dlerror().map({ String(cString: $0) }) else { return "no reason given" }
    return text.hasPrefix(path + ": ") ? String(text.dropFirst(path.count + 2)) : text
  }
}
