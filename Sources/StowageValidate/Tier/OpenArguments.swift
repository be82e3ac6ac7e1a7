// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine
internal import StowagePlugins

/// What `open` is called with, made from a table of options.
struct OpenArguments {
  var pageSize = 4096
  var owner: UInt64 = 1
  var epoch: UInt32 = 1
  var instanceName = "check"
  /// The size of a backing that nobody chose: a `BackingBench` uses no more slots than this holds.
  private static let room: Int64 = 16 << 20
  /// By key; what is missing has its default.
  var values: [String: TierOptionValue] = [:]

  /// Options as the user gave them, with files of this check's own, and for required ones that he did not, values made
  /// up: files in the check's folder, the number or size nearest to 16 Mi, the first choice.
  /// - Parameter suffix: tells the files of several instances apart.
  init(_ run: CheckRun, _ table: TierTable, suffix: String = "") throws {
    let check = OptionCheck(tier: table.name, options: table.options, baseFolder: run.order.folder)
    for (key, text) in run.order.options {
      // It is another file's then: what none has was refused before, see `GivenOptions`.
      guard let option = table.options.first(where: { $0.key == key }) else { continue }
      do { values[key] = try check.value(of: key, .word(text)) } catch { throw run.notRun("\(error)") }
      guard option.kind == .path, case .text(let file) = values[key] else { continue }
      values[key] = .text(try UserFile.own(file, key, run, suffix: suffix))
    }
    for option in table.options where option.isRequired && values[option.key] == nil {
      values[option.key] = Self.madeUp(option, folder: run.order.folder, suffix: suffix)
    }
    // Room of many gigabytes, reserved again and again, would only take time, and fill the disk of temporary files.
    for option in table.options where option.kind == .bytes && option.key == "size" && values["size"] == nil {
      values["size"] = .number(min(option.numberDefault, max(Self.room, option.numberRange.lowerBound)))
    }
    instanceName = table.name
  }

  private static func madeUp(_ option: TierOption, folder: String, suffix: String) -> TierOptionValue {
    let range = option.numberRange
    switch option.kind {
    case .flag: return .number(0)
    case .number, .bytes: return .number(min(max(room, range.lowerBound), range.upperBound))
    case .text: return .text("check")
    case .path: return .text("\(folder)/\(option.key)\(suffix)")
    case .choice: return .text(option.choices[0])
    }
  }

  /// Calls `open` with them.
  /// - Returns: its result, and the instance when that is OK.
  func open(_ tier: LoadedTier, _ table: TierTable) -> (code: Int32, instance: OpaquePointer?) {
    let (code, instance) = RawArguments(self, table).open(tier, in: .ordinary)
    return (code, code == STOWAGE_OK ? instance : nil)
  }
}
