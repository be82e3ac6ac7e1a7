// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  /// The handshake, option by option.
  @Suite struct HandshakeTests {
    private func rig() throws -> ServerRig {
      var second = ExportSettings(name: "second", size: 1 << 20, description: "the other one")
      second.isReadOnly = true
      return try ServerRig([ExportSettings(name: "first", size: 64 << 20), second])
    }

    @Test("a server that is to have TLS and nothing for it is refused, whoever makes it")
    func needsMaterial() throws {
      let rig = try rig()
      var settings = ServerSettings()
      settings.requiresTLS = true
      #expect(throws: ExportError.self) { try NBDServer(rig.exports, settings) }
      // Nothing, half of a pair, and an authority alone.
      let files: [(inout TLSSettings) -> Void] = [
        { _ in }, { $0.certificate = "absent" }, { $0.key = "absent" }, { $0.clientAuthority = "absent" },
        { ($0.psk, $0.clientAuthority) = ("absent", "absent") },
      ]
      for (number, fill) in files.enumerated() {
        var tls = TLSSettings()
        fill(&tls)
        settings.tls = tls
        do {
          _ = try NBDServer(rig.exports, settings)
          Issue.record("number \(number) was taken")
        } catch {
          #expect("\(error)".contains("certificate"), "number \(number): \(error)")
        }
      }
    }

    @Test func listsExports() throws {
      let rig = try rig()
      let client = try RawClient(rig.path)
      try client.greet()
      let replies = try client.option(NBD.Option.list)
      #expect(replies.map(\.type) == [NBD.OptionReply.server, NBD.OptionReply.server, NBD.OptionReply.ack])
      #expect(replies[0].text.hasSuffix("first"))
      #expect(replies[1].text.hasSuffix("secondthe other one"))
      #expect(try client.option(NBD.Option.list, [1]).last?.type == NBD.OptionReply.invalid)
      #expect(try client.option(NBD.Option.abort).last?.type == NBD.OptionReply.ack)
      #expect(client.isClosed())
    }

    @Test func tellsWhatAnExportIs() throws {
      let rig = try rig()
      let client = try RawClient(rig.path)
      try client.greet()
      let items = [NBD.Info.name, NBD.Info.description]
      let replies = try client.option(NBD.Option.info, RawClient.exportData("second", items: items))
      let infos = replies.dropLast().map(\.data)
      let export = try #require(infos.first { $0.starts(with: [0, 0]) })
      export.withUnsafeBytes {
        #expect($0.baseAddress!.big(2, as: UInt64.self) == 1 << 20)
        let flags = $0.baseAddress!.big(10, as: UInt16.self)
        #expect(flags & NBD.Flag.readOnly != 0 && flags & NBD.Flag.sendTrim == 0 && flags & NBD.Flag.canMultiConn != 0)
      }
      let sizes = try #require(infos.first { $0.starts(with: [0, 3]) })
      let told: [UInt32] = sizes.withUnsafeBytes { bytes in
        [2, 6, 10].map { place in bytes.baseAddress!.big(place, as: UInt32.self) }
      }
      #expect(told == [1, 4096, 33_554_432])
      #expect(infos.contains([0, 1] + Array("second".utf8)))
      #expect(infos.contains([0, 2] + Array("the other one".utf8)))
      // The name that is none is the first export's; GO ends the handshake.
      #expect(try client.option(NBD.Option.go, RawClient.exportData("")).last?.type == NBD.OptionReply.ack)
      #expect(try client.ask(NBD.Command.read, offset: (64 << 20) - 1, length: 1).status == 0)
    }

    @Test func refusesWhatIsWrong() throws {
      let rig = try rig()
      let client = try RawClient(rig.path)
      try client.greet()
      #expect(try client.option(NBD.Option.go, RawClient.exportData("third")).last?.type == NBD.OptionReply.unknown)
      #expect(try client.option(NBD.Option.info, [0, 0]).last?.type == NBD.OptionReply.invalid)
      #expect(
        try client.option(NBD.Option.go, RawClient.exportData("first") + [0]).last?.type == NBD.OptionReply.invalid)
      #expect(try client.option(NBD.Option.startTLS).last?.type == NBD.OptionReply.policy)
      #expect(try client.option(77).last?.type == NBD.OptionReply.unsupported)
      let contexts = RawClient.contextData("first", ["base:allocation"])
      #expect(try client.option(NBD.Option.setMetaContext, contexts).last?.type == NBD.OptionReply.invalid)
      let long = [UInt8](repeating: 0, count: 100_000)
      #expect(try client.option(NBD.Option.list, long).last?.type == NBD.OptionReply.tooBig)
      // After all that it still serves.
      #expect(try client.option(NBD.Option.go, RawClient.exportData("first")).last?.type == NBD.OptionReply.ack)
    }

    @Test func setsContexts() throws {
      let rig = try rig()
      let client = try RawClient(rig.path)
      try client.greet()
      _ = try client.option(NBD.Option.structuredReply)
      let all = try client.option(NBD.Option.listMetaContext, RawClient.contextData("first", []))
      #expect(all.count == 3)
      let base = try client.option(NBD.Option.listMetaContext, RawClient.contextData("first", ["base:"]))
      #expect(base.count == 2 && base[0].text.hasSuffix("base:allocation"))
      let set = try client.option(
        NBD.Option.setMetaContext, RawClient.contextData("first", ["stowage:level", "other:thing", "stowage:level"]))
      #expect(set.count == 2 && set[0].text.hasSuffix("stowage:level"))
      let unknown = try client.option(NBD.Option.setMetaContext, RawClient.contextData("third", ["base:allocation"]))
      #expect(unknown.last?.type == NBD.OptionReply.unknown)
    }

    @Test func entersByName() throws {
      let rig = try rig()
      for (flags, rest) in [(UInt32(1), 134), (3, 10)] {
        let client = try RawClient(rig.path)
        try client.greet(flags: flags)
        try client.sendOption(NBD.Option.exportName, Array("first".utf8))
        let answer = try client.receive(rest)
        #expect(answer.withUnsafeBytes { $0.baseAddress!.big(0, as: UInt64.self) } == 64 << 20)
        #expect(try client.ask(NBD.Command.read, length: 4096).data == [UInt8](repeating: 0, count: 4096))
      }
      let client = try RawClient(rig.path)
      try client.greet()
      try client.sendOption(NBD.Option.exportName, Array("third".utf8))
      #expect(client.isClosed())
    }

    @Test func wrongFlagsEndIt() throws {
      let rig = try rig()
      for flags in [UInt32(0), 4, 0xFFFF_FFFF] {
        let client = try RawClient(rig.path)
        try client.greet(flags: flags)
        #expect(client.isClosed())
      }
    }
  }
}
