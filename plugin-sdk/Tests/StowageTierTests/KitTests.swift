// SPDX-License-Identifier: Apache-2.0
import StowageTier
import Testing

/// What the kit makes of a tier, seen through the C tables as a host sees it. One after the other, as the mock
/// host's message is one for all.
@Suite(.serialized)
struct KitTests {
  let transform: TierTable
  let backing: TierTable

  init() throws {
    var host = MockHost.table()
    transform = try #require(SampleTransform.entry(&host) { SampleTransform.open($0, $1) })
    backing = try #require(SampleBacking.entry(&host) { SampleBacking.open($0, $1) })
  }

  /// Values for the options of `SampleTransform`.
  private func options(add: Int64) -> [stowage_option_value] {
    let none = stowage_option_value()
    return [MockHost.number(add), none, none, none, none]
  }

  @Test func descriptorSaysWhatTheTierSays() throws {
    let tier = transform.pointee
    #expect(tier.magic == 0x3152_4549_5457_5453)
    #expect(tier.struct_size == UInt32(MemoryLayout<stowage_tier>.stride))
    #expect(String(cString: tier.name) == "sample")
    #expect(String(cString: tier.version) == "1.2.3")
    #expect(tier.role == STOWAGE_ROLE_TRANSFORM)
    #expect(tier.access == STOWAGE_ACCESS_TRANSPARENT)
    #expect(tier.priority == 77)
    #expect(tier.flags_required == 1)
    #expect(tier.flags_optional == 16)
    #expect(tier.backing == nil)
    #expect(tier.transform?.pointee.sidecar_length == 1)
    #expect(tier.thread_open != nil && tier.state_save != nil && tier.health != nil)
    #expect(tier.url == nil)
  }

  @Test func optionsStandInTheTable() throws {
    let options = try #require(transform.pointee.options)
    #expect(transform.pointee.option_count == 5)
    #expect(String(cString: options[0].key) == "add")
    #expect(options[0].number_max == 255)
    #expect(options[1].text_default == nil)
    let choices = try #require(options[2].choices)
    #expect(choices[0].map { String(cString: $0) } == "one")
    #expect(choices[2] == nil)
    #expect(options[3].flags == STOWAGE_OPTION_REQUIRED)
    #expect(options[4].type == STOWAGE_OPTION_FLAG)
  }

  @Test func aBackingOffersOnlyWhatItHas() throws {
    let table = try #require(backing.pointee.backing)
    #expect(backing.pointee.role == STOWAGE_ROLE_BACKING)
    #expect(backing.pointee.thread_open == nil)
    #expect(table.pointee.map != nil)
    #expect(table.pointee.trim == nil)
    #expect(table.pointee.submit == nil)
    #expect(table.pointee.sync == nil)
    #expect(table.pointee.root_swap == nil)
  }

  @Test func aRoundTripLeavesNoMemory() throws {
    let before = MockHost.bytesInUse
    let tier = transform.pointee
    let instance = try #require(MockHost.open(transform, options: options(add: 3)).instance)
    var context: OpaquePointer?
    #expect(tier.thread_open?(instance, STOWAGE_CONTEXT_ENCODE, &context) == STOWAGE_OK)
    var object = stowage_object(id: 1, epoch: 5, length: 4, flags: 0, reserved: 0)
    var chunk: [UInt8] = [0, 0, 0, 0]
    var page: [UInt8] = [0, 0, 0, 0]
    var length = 0
    var sidecar: UInt8 = 0
    let table = try #require(tier.transform).pointee
    #expect(table.encode(instance, context, &object, [1, 2, 3, 255], &chunk, 4, &length, &sidecar) == STOWAGE_OK)
    #expect(chunk == [4, 5, 6, 2])
    #expect(length == 4)
    #expect(sidecar == 1)
    #expect(table.encode(instance, context, &object, [1, 2, 3, 4], &chunk, 3, &length, &sidecar) == STOWAGE_TOO_BIG)
    #expect(table.decode(instance, context, &object, chunk, 4, &page, &sidecar) == STOWAGE_OK)
    #expect(page == [1, 2, 3, 255])
    #expect(table.decode(instance, context, &object, chunk, 3, &page, &sidecar) == STOWAGE_CORRUPT)
    tier.thread_close?(instance, try #require(context))
    tier.close(instance)
    #expect(MockHost.bytesInUse == before)
  }

  @Test func aRefusedOpenSaysWhyAndLeavesNothing() {
    let before = MockHost.bytesInUse
    let (instance, result) = MockHost.open(transform, options: options(add: 99))
    #expect(instance == nil)
    #expect(result == STOWAGE_INVALID)
    #expect(MockHost.message == "99 is?bad")
    #expect(MockHost.open(transform, options: options(add: 98)).result == STOWAGE_INVALID)
    #expect(MockHost.message.contains("no-such"))
    for add in [-1, 256, Int64.max, .min] {
      #expect(MockHost.open(transform, options: options(add: add)).result == STOWAGE_INVALID)
      #expect(MockHost.message.contains("is \(add), not from 0 to 255"))
    }
    #expect(MockHost.bytesInUse == before)
  }

  @Test func stateIsSavedAndLoaded() throws {
    let tier = transform.pointee
    let instance = try #require(MockHost.open(transform, options: options(add: 9)).instance)
    defer { tier.close(instance) }
    var length = 0
    var state: [UInt8] = [0, 0, 0]
    #expect(tier.state_save?(instance, nil, 0, &length) == STOWAGE_TOO_BIG)
    #expect(length == 2)
    #expect(tier.state_save?(instance, &state, 3, &length) == STOWAGE_OK)
    #expect(state == [9, 9, 0])
    #expect(tier.state_load?(instance, [4, 4], 2) == STOWAGE_OK)
    #expect(tier.state_load?(instance, [4], 1) == STOWAGE_CORRUPT)
    #expect(tier.state_save?(instance, &state, 3, &length) == STOWAGE_OK)
    #expect(state == [4, 4, 0])
  }

  @Test func aStateIsWrittenForAnotherInstance() throws {
    var host = MockHost.table()
    let tier = try #require(
      SampleTransform.entry(&host) { SampleTransform.open($0, $1) } extensions: { sampleRekey.table($0) })
    #expect(tier.pointee.get_extension?(STOWAGE_EXTENSION_DESCRIBE) == nil)
    let found = try #require(tier.pointee.get_extension?(STOWAGE_EXTENSION_REKEY))
    let offered = found.assumingMemoryBound(to: stowage_rekey_extension.self).pointee
    #expect(offered.struct_size == UInt32(MemoryLayout<stowage_rekey_extension>.size))
    let from = try #require(MockHost.open(tier, options: options(add: 9)).instance)
    let to = try #require(MockHost.open(tier, options: options(add: 4)).instance)
    defer { for instance in [from, to] { tier.pointee.close(instance) } }
    var (state, length): ([UInt8], Int) = ([0, 0, 77], 0)
    #expect(offered.rekey(from, to, nil, 0, &length) == STOWAGE_TOO_BIG)
    #expect(length == 2)
    #expect(offered.rekey(from, to, &state, 3, &length) == STOWAGE_OK)
    #expect(state == [9, 4, 77] && length == 2)
    #expect(offered.rekey(to, to, &state, 3, &length) == STOWAGE_UNSUPPORTED)
    #expect(MockHost.message == "the same key")
  }

  @Test func aSecretIsReadInPlace() throws {
    func open(_ text: String) -> (instance: OpaquePointer?, result: Int32) {
      text.withCString { word in
        var values = options(add: 1)
        // Longer in memory than it says.
        values[1] = stowage_option_value(text: word, text_length: 4, number: 0, given: 1, reserved: 0)
        return MockHost.open(transform, options: values)
      }
    }
    let opened = open("open sesame")
    #expect(opened.result == STOWAGE_OK)
    opened.instance.map { transform.pointee.close($0) }
    #expect(open("shut").result == STOWAGE_AUTH)
    #expect(MockHost.message == "4 bytes")
  }

  @Test func aLongHealthMessageIsCutBetweenCharacters() throws {
    let instance = try #require(MockHost.open(transform, options: options(add: 9)).instance)
    defer { transform.pointee.close(instance) }
    var health = stowage_health()
    health.struct_size = UInt32(MemoryLayout<stowage_health>.stride)
    #expect(transform.pointee.health?(instance, &health) == STOWAGE_OK)
    #expect(health.state == STOWAGE_HEALTH_DEGRADED)
    let text = withUnsafeBytes(of: health.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    #expect(text == String(repeating: "é", count: 127))
  }

  @Test func nothingIsFilledInBeyondTheHostsStructures() throws {
    let instance = try #require(MockHost.open(transform, options: options(add: 9)).instance)
    defer { transform.pointee.close(instance) }
    var health = stowage_health()
    withUnsafeMutableBytes(of: &health) { bytes in
      for index in bytes.indices { bytes[index] = 0xAA }
    }
    health.struct_size = 11
    #expect(transform.pointee.health?(instance, &health) == STOWAGE_OK)
    #expect(health.state == STOWAGE_HEALTH_DEGRADED)
    let bytes = withUnsafeBytes(of: health) { Array($0) }
    #expect(Array(bytes[8..<12]) == [0xC3, 0xA9, 0, 0xAA])
    health.struct_size = 7
    #expect(transform.pointee.health?(instance, &health) == STOWAGE_INVALID)

    let slots = try #require(MockHost.open(backing).instance)
    defer { backing.pointee.close(slots) }
    var capacity = stowage_capacity(struct_size: 8, reserved: 0, slots_total: 77)
    #expect(try #require(backing.pointee.backing).pointee.capacity(slots, &capacity) == STOWAGE_INVALID)
    #expect(capacity.slots_total == 77)
  }

  @Test func anExtensionIsFoundByItsIdAndCutBetweenCharacters() throws {
    var host = MockHost.table()
    let tier = try #require(
      SampleBacking.entry(&host) { SampleBacking.open($0, $1) } extensions: { sampleDescription.table($0) })
    #expect(tier.pointee.get_extension?("stowage.tier.describe/2") == nil)
    let found = try #require(tier.pointee.get_extension?(STOWAGE_EXTENSION_DESCRIBE))
    let offered = found.assumingMemoryBound(to: stowage_describe_extension.self).pointee
    #expect(offered.struct_size == UInt32(MemoryLayout<stowage_describe_extension>.size))
    var (text, length) = ([CChar](repeating: 77, count: 8), 0)
    #expect(offered.describe(&text, 8, &length) == STOWAGE_OK)
    #expect(length == 4 && text[4] == 77)
    #expect(offered.describe(&text, 3, &length) == STOWAGE_OK)
    #expect(length == 2)
    #expect(backing.pointee.get_extension == nil)
  }

  @Test func slotsGoThereAndBack() throws {
    let before = MockHost.bytesInUse
    let table = try #require(backing.pointee.backing).pointee
    let instance = try #require(MockHost.open(backing).instance)
    var capacity = stowage_capacity(struct_size: 16, reserved: 0, slots_total: 0)
    #expect(table.capacity(instance, &capacity) == STOWAGE_OK)
    #expect(capacity.slots_total == 8)
    let pages = [UInt8](repeating: 8, count: 8192)
    var back = [UInt8](repeating: 0, count: 8192)
    #expect(table.write(instance, nil, 0, 2, pages, nil) == STOWAGE_OK)
    #expect(table.read(instance, nil, 0, 2, &back, nil) == STOWAGE_OK)
    #expect(back == pages)
    #expect(table.write(instance, nil, 7, 1, pages, nil) == STOWAGE_FULL)
    #expect(MockHost.message == "slot 7 is full")
    #expect(table.map?(instance, 0)?.pointee == 8)
    #expect(table.map?(instance, 1) == nil)
    backing.pointee.close(instance)
    #expect(MockHost.bytesInUse == before)
  }

  @Test func aHostOfAnotherVersionIsRefused() {
    var host = MockHost.table()
    host.abi_major = UInt16(STOWAGE_ABI_MAJOR) + 1
    #expect(SampleBacking.entry(&host) { SampleBacking.open($0, $1) } == nil)
    #expect(MockHost.message.contains("'slots' needs interface"))
    host = MockHost.table()
    host.abi_minor = 0
    #expect(SampleBacking.entry(&host) { SampleBacking.open($0, $1) } == nil)
    host = MockHost.table()
    host.magic = 1
    #expect(SampleBacking.entry(&host) { SampleBacking.open($0, $1) } == nil)
  }
}

private let sampleRekey = RekeyExtension { SampleTransform.rekey($0, $1, $2, $3, $4) }
private let sampleDescription = DescribeExtension { DescribeExtension.write("éé", $0, $1, $2) }
