// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier

/// A descriptor as text, a line for each field, with what its pointers point to instead of their addresses: to compare
/// it with itself at another time or in another process.
enum DescriptorText {
  static func lines(_ tier: LoadedTier) -> String {
    let descriptor = tier.descriptor
    var lines = numbers(descriptor) + texts(descriptor) + functions(descriptor)
    if let table = tier.transformTable {
      lines += ["sidecar_length \(table[\.sidecar_length])"]
    }
    if let table = tier.backingTable {
      let fields: [(String, PartialKeyPath<stowage_backing>)] = [
        ("trim", \.trim), ("sync", \.sync), ("submit", \.submit), ("map", \.map), ("root_read", \.root_read),
        ("root_swap", \.root_swap),
      ]
      lines += fields.map { "\($0.0) is \(table.isNull($0.1) ? "null" : "there")" }
    }
    for (index, option) in tier.rawOptions.enumerated() { lines += self.option(option, index) }
    return lines.joined(separator: "\n")
  }

  private static func numbers(_ tier: RawTable<stowage_tier>) -> [String] {
    [
      "struct_size \(tier[\.struct_size])", "abi \(tier[\.abi_major]).\(tier[\.abi_minor])",
      "minor_required \(tier[\.minor_required])", "role \(tier[\.role])", "lifetime \(tier[\.lifetime])",
      "access \(tier[\.access])", "priority \(tier[\.priority])", "thread_model \(tier[\.thread_model])",
      "flags_required \(tier[\.flags_required])", "flags_optional \(tier[\.flags_optional])",
      "option_count \(tier[\.option_count])", "option_size \(tier[\.option_size])",
    ]
  }

  private static func texts(_ tier: RawTable<stowage_tier>) -> [String] {
    let fields: [(String, PartialKeyPath<stowage_tier>)] = [
      ("name", \.name), ("version", \.version), ("summary", \.summary), ("vendor", \.vendor), ("licence", \.licence),
      ("url", \.url),
    ]
    return fields.map { "\($0.0) \(RawText.shown(tier.text($0.1)))" }
  }

  private static func functions(_ tier: RawTable<stowage_tier>) -> [String] {
    let fields: [(String, PartialKeyPath<stowage_tier>)] = [
      ("thread_open", \.thread_open), ("thread_close", \.thread_close), ("state_save", \.state_save),
      ("state_load", \.state_load), ("health", \.health), ("transform", \.transform), ("backing", \.backing),
      ("get_extension", \.get_extension),
    ]
    return fields.map { "\($0.0) is \(tier.isNull($0.1) ? "null" : "there")" }
  }

  private static func option(_ option: RawTable<stowage_option>, _ index: Int) -> [String] {
    var parts = ["option \(index) \(RawText.shown(option.text(\.key)))", RawText.shown(option.text(\.help))]
    parts += ["type \(option[\.type])", "flags \(option[\.flags])", "default \(option[\.number_default])"]
    parts += ["from \(option[\.number_min])", "to \(option[\.number_max])", RawText.shown(option.text(\.text_default))]
    if let list = option.pointer(\.choices) {
      var at = 0
      while at < 64,
        let choice = RawText.bytes(UnsafeRawPointer(bitPattern: list.load(fromByteOffset: at * 8, as: UInt.self)))
      {
        parts.append(RawText.shown(choice))
        at += 1
      }
    }
    return [parts.joined(separator: ", ")]
  }
}
