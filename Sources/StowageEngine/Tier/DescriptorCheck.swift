// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// The checks on a descriptor that need no call into the tier. Each throws a refusal that names the
/// field, what was found and what was expected.
struct DescriptorCheck {
  let file: String

  func refuse(_ reason: String) -> TierRefusal { TierRefusal(file: file, reason: reason) }

  /// The end of the fields that every draft had: without them nothing else can be said.
  static var leastSize: Int { MemoryLayout<stowage_tier>.offset(of: \stowage_tier.get_extension)! }

  func version(_ tier: UnsafePointer<stowage_tier>) throws(TierRefusal) {
    let head = tier.pointee
    guard head.magic == UInt64(0x3152_4549_5457_5453) else {
      throw refuse(
        "descriptor field magic is 0x\(String(head.magic, radix: 16)), expected 0x3152454954575453; this is no Stowage tier"
      )
    }
    guard head.abi_major == STOWAGE_ABI_MAJOR else {
      throw refuse(
        "descriptor field abi_major is \(head.abi_major), this host has \(STOWAGE_ABI_MAJOR); rebuild the tier against this host's plugin-sdk"
      )
    }
    // Drafts before 1.0 promise nothing to each other.
    guard STOWAGE_ABI_MAJOR > 0 || head.abi_minor == STOWAGE_ABI_MINOR else {
      throw refuse(
        "descriptor field abi_minor is \(head.abi_minor), this host has draft \(STOWAGE_ABI_MAJOR).\(STOWAGE_ABI_MINOR); rebuild the tier against this host's plugin-sdk"
      )
    }
    guard head.minor_required <= UInt16(STOWAGE_ABI_MINOR) else {
      throw refuse(
        "descriptor field minor_required is \(head.minor_required), this host has \(STOWAGE_ABI_MINOR); a newer stowage is needed"
      )
    }
    guard Int(head.struct_size) >= Self.leastSize, head.struct_size <= 65536 else {
      throw refuse(
        "descriptor field struct_size is \(head.struct_size), expected \(MemoryLayout<stowage_tier>.size) (at least \(Self.leastSize))"
      )
    }
  }

  /// Reads a pointer field that the header calls non-null as one that may be null all the same, as
  /// a careless tier may leave it so.
  static func pointer<Root, Value>(
    _ base: UnsafePointer<Root>, _ field: KeyPath<Root, Value>
  ) -> UnsafePointer<CChar>? {
    guard let offset = MemoryLayout<Root>.offset(of: field) else { return nil }
    let word = UnsafeRawPointer(base).load(fromByteOffset: offset, as: UInt.self)
    return UnsafePointer(bitPattern: word)
  }

  static func pointer<Root, Value>(
    _ base: UnsafeMutablePointer<Root>, _ field: KeyPath<Root, Value>
  ) -> UnsafePointer<CChar>? { pointer(UnsafePointer(base), field) }

  func text(_ pointer: UnsafePointer<CChar>?, field: String) throws(TierRefusal) -> String {
    guard let pointer else { throw refuse("descriptor field \(field) is null") }
    let text = try optionalText(pointer, field: field)
    guard !text.isEmpty else { throw refuse("descriptor field \(field) is empty") }
    return text
  }

  func optionalText(_ pointer: UnsafePointer<CChar>?, field: String) throws(TierRefusal) -> String {
    guard let pointer else { return "" }
    guard let text = String(validatingCString: pointer) else {
      throw refuse("descriptor field \(field) is not UTF-8")
    }
    guard text.utf8.count <= 4096, !text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 })
    else { throw refuse("descriptor field \(field) has control characters or is over 4096 bytes") }
    return text
  }

  static func isName(_ text: String) -> Bool {
    let allowed = text.utf8.allSatisfy {
      (97...122).contains($0) || (48...57).contains($0) || $0 == 45
    }
    return allowed && !text.isEmpty && text.utf8.count <= 32 && text.utf8.first != 45
  }

  func name(_ name: String) throws(TierRefusal) {
    guard Self.isName(name) else {
      throw refuse(
        "descriptor field name is '\(name)', expected at most 32 lower-case letters, digits and '-'")
    }
  }

  func choice<Value>(_ raw: UInt32, _ known: [UInt32: Value], field: String) throws(TierRefusal)
    -> Value
  {
    guard let value = known[raw] else {
      let list = known.keys.sorted().map(String.init).joined(separator: ", ")
      throw refuse("descriptor field \(field) is \(raw), expected one of \(list)")
    }
    return value
  }

  func flags(required: UInt64, optional: UInt64) throws(TierRefusal) -> TierFlags {
    let unknown = required & ~TierFlags.known.rawValue
    guard unknown == 0 else {
      throw refuse(
        "descriptor field flags_required has bits 0x\(String(unknown, radix: 16)) that this host does not know; a newer stowage is needed"
      )
    }
    return TierFlags(rawValue: (required | optional) & TierFlags.known.rawValue)
  }

  func priority(_ raw: UInt32) throws(TierRefusal) -> Int {
    guard raw <= STOWAGE_PRIORITY_MAX else {
      throw refuse("descriptor field priority is \(raw), expected 0 to \(STOWAGE_PRIORITY_MAX)")
    }
    return Int(raw)
  }

  /// Function fields that the header calls non-null, and pairs that go together.
  func callbacks(_ tier: UnsafePointer<stowage_tier>) throws(TierRefusal) {
    try present(tier, \.open, "open")
    try present(tier, \.close, "close")
    try pair(tier.pointee.thread_open == nil, tier.pointee.thread_close == nil, "thread_open", "thread_close")
    try pair(tier.pointee.state_save == nil, tier.pointee.state_load == nil, "state_save", "state_load")
  }

  func pair(_ first: Bool, _ second: Bool, _ a: String, _ b: String) throws(TierRefusal) {
    guard first == second else {
      throw refuse("descriptor fields \(a) and \(b) go together, \(first ? a : b) is null")
    }
  }

  func present<Root, Value>(
    _ base: UnsafePointer<Root>, _ field: KeyPath<Root, Value>, _ name: String
  ) throws(TierRefusal) {
    guard Self.pointer(base, field) != nil else { throw refuse("descriptor field \(name) is null") }
  }

  func tables(_ tier: stowage_tier, role: TierRole) throws(TierRefusal)
    -> (UnsafePointer<stowage_transform>?, UnsafePointer<stowage_backing>?)
  {
    switch role {
    case .transform:
      guard let source = tier.transform else {
        throw refuse("descriptor field transform is null in a tier of role transform")
      }
      guard tier.backing == nil else {
        throw refuse("descriptor field backing is not null in a tier of role transform")
      }
      return (try transformTable(source), nil)
    case .backing:
      guard let source = tier.backing else {
        throw refuse("descriptor field backing is null in a tier of role backing")
      }
      guard tier.transform == nil else {
        throw refuse("descriptor field transform is not null in a tier of role backing")
      }
      return (nil, try backingTable(source, lifetime: tier.lifetime))
    }
  }

  private func sized(_ size: UInt32, least: Int, field: String) throws(TierRefusal) {
    guard Int(size) >= least, size <= 65536 else {
      throw refuse("field \(field).struct_size is \(size), expected at least \(least)")
    }
  }

  private func transformTable(_ source: UnsafePointer<stowage_transform>) throws(TierRefusal)
    -> UnsafePointer<stowage_transform>
  {
    try sized(source.pointee.struct_size, least: MemoryLayout<stowage_transform>.size, field: "transform")
    let copy = UnsafeMutablePointer<stowage_transform>.allocate(capacity: 1)
    copyTable(from: source, size: source.pointee.struct_size, to: copy)
    let table = UnsafePointer(copy)
    try present(table, \.encode, "transform.encode")
    try present(table, \.decode, "transform.decode")
    guard table.pointee.sidecar_length <= STOWAGE_SIDECAR_BYTES_MAX else {
      throw refuse(
        "field transform.sidecar_length is \(table.pointee.sidecar_length), at most \(STOWAGE_SIDECAR_BYTES_MAX) is allowed"
      )
    }
    return table
  }

  private func backingTable(_ source: UnsafePointer<stowage_backing>, lifetime: UInt32) throws(TierRefusal)
    -> UnsafePointer<stowage_backing>
  {
    let least = MemoryLayout<stowage_backing>.offset(of: \stowage_backing.trim)!
    try sized(source.pointee.struct_size, least: least, field: "backing")
    let copy = UnsafeMutablePointer<stowage_backing>.allocate(capacity: 1)
    copyTable(from: source, size: source.pointee.struct_size, to: copy)
    let table = UnsafePointer(copy)
    try present(table, \.capacity, "backing.capacity")
    try present(table, \.read, "backing.read")
    try present(table, \.write, "backing.write")
    let persistent = lifetime == STOWAGE_LIFETIME_PERSISTENT
    if persistent {
      for (missing, name) in [
        (table.pointee.sync == nil, "sync"), (table.pointee.root_read == nil, "root_read"),
        (table.pointee.root_swap == nil, "root_swap"),
      ] where missing {
        throw refuse("field backing.\(name) is null in a persistent backing")
      }
    }
    return table
  }

  func attributes(role: TierRole, lifetime: TierLifetime, access: TierAccess, flags: TierFlags)
    throws(TierRefusal)
  {
    if role == .transform, lifetime == .persistent {
      throw refuse(
        "a transform calls itself persistent; it holds nothing itself, so its lifetime must be transient")
    }
    if flags.contains(.mandatory) {
      guard role == .transform else { throw refuse("a backing cannot be mandatory") }
      guard access == .transparent else {
        throw refuse(
          "a mandatory transform is terminal; what it encoded would be decoded below it, so its access must be transparent"
        )
      }
      guard flags.contains(.lengthPreserving) else {
        throw refuse(
          "a mandatory transform must preserve length (STOWAGE_FLAG_LENGTH_PRESERVING): its frames must fit one slot"
        )
      }
    }
  }

  func options(_ tier: stowage_tier) throws(TierRefusal) -> [TierOption] {
    guard tier.option_count > 0 else { return [] }
    guard tier.option_count <= 256 else {
      throw refuse("descriptor field option_count is \(tier.option_count), at most 256 is allowed")
    }
    guard let table = tier.options else {
      throw refuse("descriptor field options is null, option_count is \(tier.option_count)")
    }
    let own = MemoryLayout<stowage_option>.size
    guard Int(tier.option_size) >= own, tier.option_size <= 65536, tier.option_size % 8 == 0 else {
      throw refuse("descriptor field option_size is \(tier.option_size), expected at least \(own)")
    }
    var options: [TierOption] = []
    for index in 0..<Int(tier.option_count) {
      let entry = UnsafeRawPointer(table).advanced(by: index * Int(tier.option_size))
        .assumingMemoryBound(to: stowage_option.self)
      let option = try option(entry, index: index)
      guard !options.contains(where: { $0.key == option.key }) else {
        throw refuse("option '\(option.key)' stands twice in the options table")
      }
      options.append(option)
    }
    return options
  }

  private func option(_ entry: UnsafePointer<stowage_option>, index: Int) throws(TierRefusal)
    -> TierOption
  {
    let raw = entry.pointee
    let key = try text(Self.pointer(entry, \.key), field: "options[\(index)].key")
    guard Self.isName(key) else {
      throw refuse("option key '\(key)' must be lower-case letters, digits and '-', at most 32")
    }
    let help = try text(Self.pointer(entry, \.help), field: "options[\(index)].help")
    let kinds: [UInt32: TierOption.Kind] = [
      1: .flag, 2: .number, 3: .bytes, 4: .text, 5: .path, 6: .choice,
    ]
    let kind = try choice(raw.type, kinds, field: "type of option '\(key)'")
    let required = raw.flags & STOWAGE_OPTION_REQUIRED != 0
    var range: ClosedRange<Int64> = 0...1
    if kind == .number || kind == .bytes {
      guard raw.number_min <= raw.number_max else {
        throw refuse("option '\(key)': number_min \(raw.number_min) is above number_max \(raw.number_max)")
      }
      range = raw.number_min...raw.number_max
    }
    let isNumber = kind == .number || kind == .bytes || kind == .flag
    if isNumber, !required, !range.contains(raw.number_default) {
      throw refuse(
        "option '\(key)': the default \(raw.number_default) is outside \(range.lowerBound) to \(range.upperBound)")
    }
    let choices = kind == .choice ? try choiceList(raw.choices, key: key) : []
    let fallback = try raw.text_default.map { pointer throws(TierRefusal) in
      try optionalText(pointer, field: "default of option '\(key)'")
    }
    if kind == .choice, let fallback, !choices.contains(fallback) {
      throw refuse("option '\(key)': the default '\(fallback)' is none of its choices")
    }
    return TierOption(
      key: key, help: help, kind: kind, isRequired: required,
      isSecret: raw.flags & STOWAGE_OPTION_SECRET != 0, numberDefault: raw.number_default,
      numberRange: range, textDefault: fallback, choices: choices)
  }

  private func choiceList(
    _ list: UnsafePointer<UnsafePointer<CChar>?>?, key: String
  ) throws(TierRefusal) -> [String] {
    guard let list else { throw refuse("option '\(key)' is a choice without choices") }
    var choices: [String] = []
    while choices.count < 64, let entry = list[choices.count] {
      choices.append(try text(entry, field: "choices of option '\(key)'"))
    }
    guard !choices.isEmpty, choices.count < 64 else {
      throw refuse("option '\(key)' has \(choices.isEmpty ? "no" : "too many") choices")
    }
    return choices
  }
}
