// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// What the tier says of itself. Each check reads the raw descriptor, believing only what those that it needs have seen.
enum DescriptorChecks {
  static let all =
    [magic, size, abi, reserved, texts, name, kinds, threads, priority, flags, attributes, functions, pairs]
    + [tables, tableFunctions, sidecar] + DescriptorOptionChecks.all + [extensions, repeats] + HandshakeChecks.all

  /// What every check needs that reads more than the first fields.
  static let base = ["descriptor-abi"]

  static let magic = Check(
    "descriptor-magic", .descriptor, needs: ["loading-entry"], timeLimit: .seconds(10),
    proves: "The descriptor begins with STOWAGE_TIER_MAGIC.",
    advice: "Return the address of a stowage_tier with its field magic set to STOWAGE_TIER_MAGIC."
  ) { run in
    let magic = UnsafeRawPointer(try run.load().raw).load(as: UInt64.self)
    try run.expect(
      magic == 0x3152_4549_5457_5453, "magic is 0x\(String(magic, radix: 16)), expected 0x3152454954575453")
  }

  static let size = Check(
    "descriptor-size", .descriptor, needs: ["descriptor-magic"], timeLimit: .seconds(10),
    proves: "struct_size covers every field that is not optional, and so many bytes are there.",
    advice: "Set struct_size to sizeof(stowage_tier)."
  ) { run in
    let raw = UnsafeRawPointer(try run.load().raw)
    let size = Int(
      raw.load(fromByteOffset: MemoryLayout<stowage_tier>.offset(of: \stowage_tier.struct_size)!, as: UInt32.self))
    let least = MemoryLayout<stowage_tier>.offset(of: \stowage_tier.get_extension)!
    try run.expect(
      (least...65536).contains(size),
      "struct_size is \(size), expected \(MemoryLayout<stowage_tier>.size), or at least \(least)")
    var sum: UInt8 = 0
    for offset in 0..<size { sum &+= raw.load(fromByteOffset: offset, as: UInt8.self) }
    run.summary = "\(size) bytes, sum \(sum)"
  }

  static let abi = Check(
    "descriptor-abi", .descriptor, needs: ["descriptor-size"], timeLimit: .seconds(10),
    proves: "It is built against this version of the interface, and asks for no later one.",
    advice:
      "Set abi_major and abi_minor to STOWAGE_ABI_MAJOR and STOWAGE_ABI_MINOR, and rebuild against this plugin-sdk."
  ) { run in
    let tier = try run.load().descriptor
    let (major, minor) = (tier[\.abi_major], tier[\.abi_minor])
    try run.expect(major == STOWAGE_ABI_MAJOR, "abi_major is \(major), expected \(STOWAGE_ABI_MAJOR)")
    // Drafts before 1.0 promise nothing to each other.
    try run.expect(
      major > 0 || minor == STOWAGE_ABI_MINOR,
      "abi_minor is \(minor), expected draft \(STOWAGE_ABI_MAJOR).\(STOWAGE_ABI_MINOR)")
    let required = tier[\.minor_required]
    try run.expect(
      required <= UInt16(STOWAGE_ABI_MINOR),
      "minor_required is \(required), later than this host's \(STOWAGE_ABI_MINOR)")
  }

  static let reserved = Check(
    "descriptor-reserved", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "Reserved fields are zero.",
    advice: "Clear the whole structure before filling it in: later versions give these fields a meaning."
  ) { run in
    let tier = try run.load()
    let found = tier.descriptor[\.reserved0]
    try run.expect(found == 0, "reserved0 is \(found)")
  }

  static let texts = Check(
    "descriptor-texts", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "Name, version and summary are there, and all texts are UTF-8 without control characters.",
    advice: "Give name, version and summary as one line of UTF-8 each; vendor, licence and url may be null."
  ) { run in
    let tier = try run.load().descriptor
    let fields: [(String, PartialKeyPath<stowage_tier>, isNeeded: Bool)] = [
      ("name", \.name, true), ("version", \.version, true), ("summary", \.summary, true), ("vendor", \.vendor, false),
      ("licence", \.licence, false), ("url", \.url, false),
    ]
    for field in fields {
      let text = tier.text(field.1)
      try run.expect(text != nil || !field.isNeeded, "\(field.0) is null")
      guard let text else { continue }
      try run.expect(!text.isEmpty || !field.isNeeded, "\(field.0) is empty")
      let objection = RawText.objection(text)
      try run.expect(objection == nil, "\(field.0) \(objection ?? "")")
    }
  }

  static let name = Check(
    "descriptor-name", .descriptor, needs: ["descriptor-texts"], timeLimit: .seconds(10),
    proves: "The name is that of the file, NAME.tier.so.",
    advice: "Name the file after the tier: lower-case letters, digits and '-', at most 32, and then .tier.so."
  ) { run in
    let name = try run.load().descriptor.text(\.name) ?? []
    try run.expect(
      RawText.isName(name), "name is \(RawText.shown(name)), expected at most 32 lower-case letters, digits and '-'")
    let file = run.order.file.split(separator: "/").last.map(String.init) ?? ""
    try run.expect(
      file == String(decoding: name, as: UTF8.self) + ".tier.so",
      "name is \(RawText.shown(name)), but the file is named \(file)")
  }

  static let kinds = Check(
    "descriptor-kinds", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "Role, lifetime and access each have one of their values.",
    advice: "Set role, lifetime and access to one of STOWAGE_ROLE_*, STOWAGE_LIFETIME_* and STOWAGE_ACCESS_*."
  ) { run in
    let tier = try run.load().descriptor
    for (field, value) in [("role", tier[\.role]), ("lifetime", tier[\.lifetime]), ("access", tier[\.access])] {
      try run.expect((1...2).contains(value), "\(field) is \(value), expected 1 or 2")
    }
  }

  static let threads = Check(
    "descriptor-threads", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "The thread model has one of its values.",
    advice: "Set thread_model to one of STOWAGE_THREADS_*."
  ) { run in
    let model = try run.load().descriptor[\.thread_model]
    try run.expect((1...3).contains(model), "thread_model is \(model), expected 1, 2 or 3")
  }

  static let priority = Check(
    "descriptor-priority", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "The priority is from 0 to 999.",
    advice: "Set priority to the tier's place in a chain: 0 is nearest to RAM, STOWAGE_PRIORITY_MAX farthest."
  ) { run in
    let priority = try run.load().descriptor[\.priority]
    try run.expect(priority <= STOWAGE_PRIORITY_MAX, "priority is \(priority), expected 0 to \(STOWAGE_PRIORITY_MAX)")
  }

  static let flags = Check(
    "descriptor-flags", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "It requires no flag that this host does not know.",
    advice: "Put flags that a host may overlook into flags_optional, and only STOWAGE_FLAG_* into flags_required."
  ) { run in
    let unknown = try run.load().descriptor[\.flags_required] & ~TierFlags.known.rawValue
    try run.expect(
      unknown == 0, "flags_required has bits 0x\(String(unknown, radix: 16)), which this host does not know")
  }

  static let attributes = Check(
    "descriptor-attributes", .descriptor, needs: ["descriptor-kinds", "descriptor-flags"], timeLimit: .seconds(10),
    proves: "Role, lifetime, access and flags go together.",
    advice:
      "A transform is transient. Only a transform can be mandatory; it must be transparent and length-preserving then."
  ) { run in
    let tier = try run.load().descriptor
    let isTransform = tier[\.role] == STOWAGE_ROLE_TRANSFORM
    let flags = TierFlags(rawValue: tier[\.flags_required] | tier[\.flags_optional])
    try run.expect(
      !isTransform || tier[\.lifetime] == STOWAGE_LIFETIME_TRANSIENT,
      "a transform calls itself persistent, though it holds nothing itself")
    try run.expect(isTransform || !flags.contains(.lengthPreserving), "a backing calls itself length-preserving")
    guard flags.contains(.mandatory) else { return }
    try run.expect(isTransform, "a backing calls itself mandatory")
    try run.expect(
      tier[\.access] == STOWAGE_ACCESS_TRANSPARENT,
      "a mandatory transform is terminal: what it encoded would be decoded below it")
    try run.expect(
      flags.contains(.lengthPreserving), "a mandatory transform does not preserve length: its frames may not fit a slot"
    )
  }

  static let functions = Check(
    "descriptor-functions", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "open and close are there.",
    advice: "Every tier needs open and close, also one that has nothing to do in them."
  ) { run in
    let tier = try run.load().descriptor
    try run.expect(!tier.isNull(\.open), "open is null")
    try run.expect(!tier.isNull(\.close), "close is null")
  }

  static let pairs = Check(
    "descriptor-pairs", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "Functions that go together are there or absent together.",
    advice: "Give both or neither of thread_open and thread_close, and of state_save and state_load."
  ) { run in
    let tier = try run.load().descriptor
    try pair(run, ("thread_open", tier.isNull(\.thread_open)), ("thread_close", tier.isNull(\.thread_close)))
    try pair(run, ("state_save", tier.isNull(\.state_save)), ("state_load", tier.isNull(\.state_load)))
  }

  private static func pair(
    _ run: CheckRun, _ first: (name: String, isNull: Bool), _ second: (name: String, isNull: Bool)
  ) throws {
    try run.expect(
      first.isNull == second.isNull,
      "\(first.name) is \(first.isNull ? "null" : "there"), but \(second.name) is \(second.isNull ? "null" : "there")")
  }

  static let tables = Check(
    "descriptor-tables", .descriptor, needs: ["descriptor-kinds"], timeLimit: .seconds(10),
    proves: "The table of its role is there and as long as it must be, and that of the other role is null.",
    advice: "Set the one of transform and backing that the role asks for, and its struct_size to the structure's size."
  ) { run in
    let tier = try run.load()
    let isTransform = tier.descriptor[\.role] == STOWAGE_ROLE_TRANSFORM
    let (own, other) = isTransform ? ("transform", "backing") : ("backing", "transform")
    let (transform, backing) = (tier.descriptor.isNull(\.transform), tier.descriptor.isNull(\.backing))
    try run.expect(!(isTransform ? transform : backing), "\(own) is null in a \(own)")
    try run.expect(isTransform ? backing : transform, "\(other) is not null in a \(own)")
    let size = Int(isTransform ? tier.transformTable![\.struct_size] : tier.backingTable![\.struct_size])
    let least =
      isTransform
      ? MemoryLayout<stowage_transform>.size : MemoryLayout<stowage_backing>.offset(of: \stowage_backing.trim)!
    try run.expect((least...65536).contains(size), "struct_size of \(own) is \(size), expected at least \(least)")
  }

  static let tableFunctions = Check(
    "descriptor-table-functions", .descriptor, needs: ["descriptor-tables"], timeLimit: .seconds(10),
    proves: "The functions that its role cannot do without are there.",
    advice:
      "A transform needs encode and decode; a backing capacity, read and write; a persistent one also sync, root_read and root_swap."
  ) { run in
    let tier = try run.load()
    if let table = tier.transformTable {
      for (name, field) in [("encode", \stowage_transform.encode as PartialKeyPath), ("decode", \.decode)] {
        try run.expect(!table.isNull(field), "\(name) is null")
      }
    }
    guard let table = tier.backingTable else { return }
    var fields: [(String, PartialKeyPath<stowage_backing>)] = [
      ("capacity", \.capacity), ("read", \.read), ("write", \.write),
    ]
    if tier.descriptor[\.lifetime] == STOWAGE_LIFETIME_PERSISTENT {
      fields += [("sync", \.sync), ("root_read", \.root_read), ("root_swap", \.root_swap)]
    } else {
      try pair(run, ("root_read", table.isNull(\.root_read)), ("root_swap", table.isNull(\.root_swap)))
    }
    for (name, field) in fields { try run.expect(!table.isNull(field), "\(name) is null") }
  }

  static let sidecar = Check(
    "descriptor-sidecar", .descriptor, scope: .transforms, needs: ["descriptor-tables"], timeLimit: .seconds(10),
    proves: "The sidecar is no longer than 32 bytes.",
    advice: "Set sidecar_length to at most STOWAGE_SIDECAR_BYTES_MAX, and put anything longer into the output."
  ) { run in
    guard let table = try run.load().transformTable else { throw run.notApplicable("it is for transforms") }
    let length = table[\.sidecar_length]
    try run.expect(
      length <= STOWAGE_SIDECAR_BYTES_MAX,
      "sidecar_length is \(length), at most \(STOWAGE_SIDECAR_BYTES_MAX) is allowed")
  }

  static let extensions = Check(
    "descriptor-extensions", .descriptor, needs: base, timeLimit: .seconds(10),
    proves: "get_extension gives null for ids that it does not know.",
    advice: "Compare the id in get_extension with those that the tier has, and answer null to all others."
  ) { run in
    let tier = try run.load()
    guard !tier.descriptor.isNull(\.get_extension) else { throw run.notApplicable("it has no get_extension") }
    for id in ["nobody-knows-this/1", "", "/", "nobody/4294967296", String(repeating: "long", count: 2000)] {
      run.notes.note(.getExtension)
      let answer = id.withCString { tier.raw.pointee.get_extension?($0) }
      try run.expect(answer == nil, "get_extension(\"\(id.prefix(20))\") is not null")
    }
  }

  static let repeats = Check(
    "descriptor-repeats", .descriptor,
    needs: ["descriptor-texts", "descriptor-tables"] + DescriptorOptionChecks.all.map(\.id),
    timeLimit: .seconds(15),
    proves: "The descriptor is the same in every process.",
    advice: "Make the descriptor constant: nothing in it may depend on the machine, the time or chance."
  ) { run in
    var seen: [[UInt8]] = []
    for _ in 0..<2 {
      let answer = ProcessCopy.bytes { (try? DescriptorText.lines(run.load())).map { Array($0.utf8) } ?? [] }
      guard let bytes = answer.bytes, !bytes.isEmpty else { throw run.fail("loading it once more: \(answer.ended)") }
      seen.append(bytes)
    }
    let lines = seen.map { String(decoding: $0, as: UTF8.self).split(separator: "\n") }
    run.summary = "\(lines[0].count) fields compared"
    let other = zip(lines[0], lines[1]).first { $0 != $1 }
    try run.expect(
      seen[0] == seen[1], "in one process it says \(other?.0 ?? "less"), in another \(other?.1 ?? "more")")
  }
}
