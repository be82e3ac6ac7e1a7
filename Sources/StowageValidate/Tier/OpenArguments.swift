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
  var structSize = MemoryLayout<stowage_open>.size
  /// By key; what is missing has its default.
  var values: [String: TierOptionValue] = [:]

  /// Options as the user gave them, and for required ones that he did not, values made up: files in the check's folder,
  /// the number or size nearest to 64 Mi, the first choice.
  /// - Parameter suffix: tells the files of several instances apart.
  init(_ run: CheckRun, _ table: TierTable, suffix: String = "") throws {
    let check = OptionCheck(tier: table.name, options: table.options, baseFolder: run.order.folder)
    for (key, text) in run.order.options where table.options.contains(where: { $0.key == key }) {
      do { values[key] = try check.value(of: key, .word(text)) } catch { throw run.notRun("\(error)") }
    }
    for option in table.options where option.isRequired && values[option.key] == nil {
      values[option.key] = Self.madeUp(option, folder: run.order.folder, suffix: suffix)
    }
    // Room of many gigabytes, reserved again and again, would only take time.
    for option in table.options where option.kind == .bytes && option.key == "size" && values["size"] == nil {
      values["size"] = .number(min(option.numberDefault, max(64 << 20, option.numberRange.lowerBound)))
    }
    instanceName = table.name
  }

  private static func madeUp(_ option: TierOption, folder: String, suffix: String) -> TierOptionValue {
    let range = option.numberRange
    switch option.kind {
    case .flag: return .number(0)
    case .number, .bytes: return .number(min(max(64 << 20, range.lowerBound), range.upperBound))
    case .text: return .text("check")
    case .path: return .text("\(folder)/\(option.key)\(suffix)")
    case .choice: return .text(option.choices[0])
    }
  }

  /// Calls `open` with them.
  /// - Returns: its result, and the instance when that is OK.
  func open(_ tier: LoadedTier, _ table: TierTable) -> (code: Int32, instance: OpaquePointer?) {
    var texts: [UnsafeMutablePointer<CChar>] = []
    defer { for text in texts { text.deallocate() } }
    let options = table.options.map { value(of: $0, keep: &texts) }
    var instance: OpaquePointer?
    tier.run.notes.note(.open)
    HostTable.clearError()
    let code = options.withUnsafeBufferPointer { options in
      instanceName.withCString { name in
        var arguments = stowage_open(
          struct_size: UInt32(structSize), page_size: UInt32(pageSize), owner: owner, epoch: epoch,
          option_count: UInt32(options.count), options: options.isEmpty ? nil : options.baseAddress, instance_name: name)
        return tier.raw.pointee.open(&arguments, &instance)
      }
    }
    return (code, code == STOWAGE_OK ? instance : nil)
  }

  private func value(of option: TierOption, keep: inout [UnsafeMutablePointer<CChar>]) -> stowage_option_value {
    let given = values[option.key]
    var value = stowage_option_value(
      text: nil, text_length: 0, number: option.numberDefault, given: given == nil ? 0 : 1, reserved: 0)
    var text = option.textDefault
    switch given {
    case .number(let number): value.number = number
    case .text(let given): text = given
    case .secret(let secret): text = secret.withBytes { String(decoding: $0, as: UTF8.self) }
    case nil: break
    }
    if let text, [.text, .path, .choice].contains(option.kind) {
      let bytes = Array(text.utf8)
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
      for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
      copy[bytes.count] = 0
      keep.append(copy)
      value.text = UnsafePointer(copy)
      value.text_length = UInt64(bytes.count)
    }
    return value
  }
}
