// SPDX-License-Identifier: Apache-2.0

/// What a session says of itself in the clear: who it is, and what opens the rest.
struct SessionHead: Equatable {
  /// A tier that wrote something of the session.
  struct Tier: Equatable {
    var name = ""
    var plugin = ""
    var version = ""
    /// Its level then.
    var level: UInt8 = 0
    var isMandatory = false
    /// What it encoded with when the checkpoint was made.
    var epoch: UInt32 = 0
    /// The next id of its level's encodings.
    var nextID: UInt64 = 0
    /// Of frames' transforms: its bit, and where its sidecar is among a frame's.
    var transformBit: UInt8 = 0
    var sidecarOffset: UInt16 = 0
    var sidecarLength: UInt16 = 0
    /// Of mandatory tiers; those of others stand in the tail.
    var secrets = Opening()
  }

  /// What it takes to open a tier as it was.
  struct Opening: Equatable {
    /// Options that were given and are no secrets, as text.
    var options: [String: String] = [:]
    var hasState = false
    var state: [UInt8] = []
  }

  struct CodecRecord: Equatable {
    var number: UInt8
    /// Of `tiers`; none for raw pages of the store.
    var tier: UInt8
    var space: UInt8
    var epoch: UInt32
    /// How many have it: with none, it need not be there.
    var frames: UInt32
  }

  struct SetRecord: Equatable {
    var number: UInt8
    var members: [(tier: UInt8, epoch: UInt32)]
    var sum: UInt32
    var frames: UInt32

    static func == (left: SetRecord, right: SetRecord) -> Bool {
      left.number == right.number && left.sum == right.sum && left.frames == right.frames
        && left.members.elementsEqual(right.members) { $0.tier == $1.tier && $0.epoch == $1.epoch }
    }
  }

  var name = ""
  var attributes: [String: String] = [:]
  /// Seconds since 1970 of the checkpoint that wrote this head.
  var time: UInt64 = 0
  var tiers: [Tier] = []
  var codecs: [CodecRecord] = []
  var sets: [SetRecord] = []

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.put(name)
    writer.put(attributes)
    writer.put(time)
    writer.put(UInt8(tiers.count))
    for tier in tiers { tier.put(&writer) }
    writer.put(UInt8(codecs.count))
    for codec in codecs {
      writer.put(codec.number)
      writer.put(codec.tier)
      writer.put(codec.space)
      writer.put(codec.epoch)
      writer.put(codec.frames)
    }
    writer.put(UInt16(sets.count))
    for set in sets {
      writer.put(set.number)
      writer.put(set.sum)
      writer.put(set.frames)
      writer.put(UInt8(set.members.count))
      for member in set.members {
        writer.put(member.tier)
        writer.put(member.epoch)
      }
    }
    return writer.bytes
  }

  init() {}

  init(decoding bytes: [UInt8]) throws(ByteShortage) {
    var reader = ByteReader(bytes)
    name = try reader.text()
    attributes = try reader.texts()
    time = try reader.number()
    for _ in 0..<(try reader.number(UInt8.self)) { tiers.append(try Tier(&reader)) }
    for _ in 0..<(try reader.number(UInt8.self)) {
      let codec = CodecRecord(
        number: try reader.number(), tier: try reader.number(), space: try reader.number(), epoch: try reader.number(),
        frames: try reader.number())
      guard codec.number < EpochTable.codecsMax, Int(codec.tier) < tiers.count else { throw ByteShortage() }
      codecs.append(codec)
    }
    for _ in 0..<(try reader.number(UInt16.self)) {
      var set = SetRecord(
        number: try reader.number(), members: [], sum: try reader.number(), frames: try reader.number())
      for _ in 0..<(try reader.number(UInt8.self)) {
        let member = (tier: try reader.number(UInt8.self), epoch: try reader.number(UInt32.self))
        guard Int(member.tier) < tiers.count else { throw ByteShortage() }
        set.members.append(member)
      }
      sets.append(set)
    }
    guard reader.left == 0, Set(tiers.map(\.name)).count == tiers.count else { throw ByteShortage() }
  }
}

extension SessionHead.Tier {
  func put(_ writer: inout ByteWriter) {
    writer.put(name)
    writer.put(plugin)
    writer.put(version)
    writer.put(level)
    writer.put(UInt8(isMandatory ? 1 : 0))
    writer.put(epoch)
    writer.put(nextID)
    writer.put(transformBit)
    writer.put(sidecarOffset)
    writer.put(sidecarLength)
    secrets.put(&writer)
  }

  init(_ reader: inout ByteReader) throws(ByteShortage) {
    name = try reader.text()
    plugin = try reader.text()
    version = try reader.text()
    level = try reader.number()
    isMandatory = try reader.number(UInt8.self) != 0
    epoch = try reader.number()
    nextID = try reader.number()
    transformBit = try reader.number()
    sidecarOffset = try reader.number()
    sidecarLength = try reader.number()
    secrets = try SessionHead.Opening(&reader)
    guard nextID & (1 << 56 - 1) < 1 << 55 else { throw ByteShortage() }
  }
}

extension SessionHead.Opening {
  func put(_ writer: inout ByteWriter) {
    writer.put(options)
    writer.put(UInt8(hasState ? 1 : 0))
    writer.put(state)
  }

  init(_ reader: inout ByteReader) throws(ByteShortage) {
    options = try reader.texts()
    hasState = try reader.number(UInt8.self) != 0
    state = try reader.block()
  }
}

extension ByteWriter {
  mutating func put(_ texts: [String: String]) {
    put(UInt16(texts.count))
    for (key, value) in texts.sorted(by: { $0.key < $1.key }) {
      put(key)
      put(value)
    }
  }
}

extension ByteReader {
  mutating func texts() throws(ByteShortage) -> [String: String] {
    var texts: [String: String] = [:]
    for _ in 0..<(try number(UInt16.self)) {
      let key = try text()
      texts[key] = try text()
    }
    return texts
  }
}
