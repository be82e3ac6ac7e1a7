// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  /// `stowage serve` and the commands that talk to it, each as a process.
  @Suite struct ServeCommandTests {
    private static let page = [UInt8](repeating: 0x5A, count: 3000) + [UInt8](repeating: 7, count: 1096)

    private func write(_ rig: DaemonRig, _ export: String, blocks: Range<Int>, commits: Bool = false) throws {
      let client = try RawClient(rig.socket)
      try client.enter(export)
      for block in blocks {
        #expect(try client.ask(NBD.Command.write, offset: block * 4096, payload: Self.page).status == 0)
      }
      if commits { #expect(try client.ask(NBD.Command.flush).status == 0) }
    }

    /// Blocks that are not as they were written.
    private func missing(_ rig: DaemonRig, _ export: String, blocks: Range<Int>) throws -> [Int] {
      let client = try RawClient(rig.socket)
      try client.enter(export)
      return try blocks.filter { try client.ask(NBD.Command.read, offset: $0 * 4096, length: 4096).data != Self.page }
    }

    @Test("suspended by SIGTERM, resumed, suspended by command, resumed", .timeLimit(.minutes(3)))
    func suspends() throws {
      let rig = try DaemonRig()
      let arguments = DaemonRig.session + ["--export", "disk=64MiB"]
      try rig.start(arguments)
      try write(rig, "disk", blocks: 0..<2000)
      #expect(try rig.end() == 0)
      #expect(rig.output.contains("suspended: "), "\(rig.output)")
      try rig.start(arguments)
      #expect(try missing(rig, "disk", blocks: 0..<2000) == [])
      try write(rig, "disk", blocks: 2000..<2100)
      let checkpoint = try rig.stowage("checkpoint", "--json")
      #expect(checkpoint.status == 0 && checkpoint.output.contains("\"pages\""), "\(checkpoint.errors)")
      let suspended = try rig.stowage("suspend", "--json")
      #expect(suspended.status == 0 && suspended.output.contains("\"suspended\""), "\(suspended.errors)")
      try rig.process?.waitUntilExit(within: .seconds(60))
      try rig.start(arguments)
      #expect(try missing(rig, "disk", blocks: 0..<2100) == [])
      #expect(try rig.end(SIGINT) == 0)
    }

    @Test("a durable export after a kill", .timeLimit(.minutes(3)))
    func durable() throws {
      let rig = try DaemonRig()
      let arguments = DaemonRig.session + ["--export", "disk=64MiB,durable", "--export", "swap=64MiB"]
      try rig.start(arguments)
      try write(rig, "swap", blocks: 0..<100)
      try write(rig, "disk", blocks: 0..<500, commits: true)
      _ = try rig.end(SIGKILL)
      try rig.start(arguments)
      #expect(try missing(rig, "disk", blocks: 0..<500) == [])
      #expect(try missing(rig, "swap", blocks: 0..<100).count == 100)
      #expect(rig.errors.contains("volatile exports are older"))
      #expect(try rig.end() == 0)
    }

    @Test("what would be lost is said, and needs --discard", .timeLimit(.minutes(2)))
    func discards() throws {
      let rig = try DaemonRig()
      try rig.start(["--export", "disk=64MiB", "--swap-file", "swap", "--swap-size", "256MiB"])
      try write(rig, "disk", blocks: 0..<10)
      kill(try #require(rig.process).processIdentifier, SIGTERM)
      for _ in 0..<500 where !rig.errors.contains("--discard") { usleep(10_000) }
      #expect(rig.errors.contains("10 blocks") && rig.errors.contains("'disk'"), "\(rig.errors)")
      #expect(try missing(rig, "disk", blocks: 0..<10) == [], "it does not serve any more")
      let refused = try rig.stowage("suspend")
      #expect(refused.status == 1 && refused.errors.contains("10 blocks"))
      #expect(try rig.stowage("suspend", "--discard").status == 0)
      try rig.process?.waitUntilExit(within: .seconds(60))
      #expect(rig.process?.terminationStatus == 0)
    }

    @Test("a mistake in the settings costs a suspended session nothing", .timeLimit(.minutes(2)))
    func mistakes() throws {
      let rig = try DaemonRig()
      try rig.start(DaemonRig.session + ["--export", "disk=64MiB"])
      try write(rig, "disk", blocks: 0..<100)
      #expect(try rig.end() == 0)
      #expect(throws: TestFailure.self) { try rig.start(DaemonRig.session + ["--export", "other=64MiB"]) }
      #expect(rig.errors.contains("'disk'") && rig.errors.contains("--discard"), "\(rig.errors)")
      try rig.start(DaemonRig.session + ["--export", "disk=64MiB"])
      #expect(try missing(rig, "disk", blocks: 0..<100) == [])
      #expect(try rig.end() == 0)
    }

    @Test("tiers come and go", .timeLimit(.minutes(3)))
    func tiers() throws {
      let rig = try DaemonRig()
      try rig.folder.write("[[tier]]\nplugin = \"lz4\"\n[[export]]\nname = \"disk\"\nsize = \"64MiB\"\n", to: "c.toml")
      try rig.start(["--config", "c.toml", "--memory", "32MiB"])
      try write(rig, "disk", blocks: 0..<3000)
      let added = try rig.stowage("tiers", "add", "zstd", "--set", "level=3", "--json")
      #expect(added.status == 0 && added.output.contains("\"added\""), "\(added.errors)")
      #expect(try rig.stowage("tiers", "list").output.contains("zstd"))
      #expect(try rig.stowage("tiers", "set", "lz4", "--limit", "2MiB").status == 0)
      #expect(try rig.stowage("tiers", "set", "--memory", "40MiB", "--json").output.contains("41943040"))
      #expect(try rig.stowage("tiers", "drain", "zstd").status == 0)
      #expect(try missing(rig, "disk", blocks: 0..<3000) == [])
      let wrong = try rig.stowage("tiers", "add", "nothing")
      #expect(wrong.status == 1 && wrong.errors.contains("nothing"))
      #expect(try rig.stowage("tiers", "remove", "absent").status == 1)
      #expect(try rig.stowage("suspend", "--discard").status == 0)
      try rig.process?.waitUntilExit(within: .seconds(60))
    }

    @Test("a stopped daemon, a foreign socket and another version are told apart", .timeLimit(.minutes(2)))
    func controlErrors() throws {
      let rig = try DaemonRig()
      try rig.start(["--export", "disk=1MiB", "--swap-file", "swap", "--swap-size", "64MiB"])
      let control = rig.path("stowage/control.sock")
      var status = stat()
      #expect(lstat(control, &status) == 0 && status.st_mode & 0o777 == 0o600)
      let second = try rig.stowage(
        "serve", "--export", "x=1MiB", "--swap-file", "other", "--swap-size", "64MiB", "--plugin-path", "plugins")
      #expect(second.status == 1 && second.errors.contains("in use by another server"), "\(second.errors)")
      #expect(try rig.status()["process"] as? Int == Int(try #require(rig.process).processIdentifier))
      #expect(try rig.end() == 0)
      let stopped = try rig.stowage("status")
      #expect(stopped.status == 3 && stopped.errors.contains("no daemon is running"))

      for (greeting, word) in [("hello\n", "another program"), ("stowage-control 9 7.5.0\n", "stowage 7.5.0")] {
        let path = rig.path("fake")
        let listener = try Listener(.unix(path))
        let server = Background {
          usleep(100_000)
          let client = accept(listener.descriptor, nil, nil)
          _ = Array(greeting.utf8).withUnsafeBytes { Glibc.send(client, $0.baseAddress, $0.count, 0) }
          usleep(200_000)
          close(client)
        }
        let outcome = try rig.stowage("status", "--control", path)
        #expect(outcome.status == 4 && outcome.errors.contains(word), "\(outcome.errors)")
        server.join(within: 30)
        listener.close()
      }
      let file = try rig.stowage("status", "--control", try rig.folder.write("x", to: "plain"))
      #expect(file.status == 4 && file.errors.contains("no socket"))
    }

    @Test("readiness and sockets by systemd's protocol", .timeLimit(.minutes(2)))
    func serviceManager() throws {
      let rig = try DaemonRig()
      let notify = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
      defer { close(notify) }
      let address = try #require(SocketAddress(path: rig.path("notify")))
      try #require(address.withPointer { bind(notify, $0, $1) } == 0)
      // The socket is descriptor 3, and the number of the process its own, as systemd sets it.
      let script = """
        import os, socket, sys
        s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8)
        os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
        os.execv(sys.argv[2], sys.argv[2:])
        """
      try rig.start(
        ["--export", "disk=1MiB", "--swap-file", "swap", "--swap-size", "64MiB"],
        environment: ["NOTIFY_SOCKET": rig.path("notify")],
        program: ["/usr/bin/python3", "-c", script, rig.path("activated")])
      var time = timeval(tv_sec: 10, tv_usec: 0)
      setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &time, 16)
      var bytes = [UInt8](repeating: 0, count: 200)
      let count = recv(notify, &bytes, bytes.count, 0)
      #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).hasPrefix("READY=1"))
      let client = try RawClient(rig.path("activated"))
      try client.enter("disk")
      #expect(try client.ask(NBD.Command.write, payload: Self.page).status == 0)
      #expect(try rig.stowage("suspend", "--discard").status == 0)
      try rig.process?.waitUntilExit(within: .seconds(60))
    }

    @Test("what is wrong is one clear message", .timeLimit(.minutes(2)))
    func wrongSettings() throws {
      let rig = try DaemonRig()
      let chain = ["--swap-file", "swap", "--swap-size", "64MiB", "--plugin-path", "plugins", "--plugin-path-only"]
      func refusal(_ arguments: String...) throws -> String {
        // One that is not refused would serve for ever.
        let outcome = try Command.run(
          "/usr/bin/timeout", ["60", Command.stowage, "serve"] + arguments + chain,
          environment: ["XDG_RUNTIME_DIR": rig.folder.path, "STOWAGE_PLUGIN_PATH": nil], in: rig.folder.url)
        #expect(outcome.status != 0)
        return outcome.errors
      }
      #expect(try refusal().contains("there is no export"))
      #expect(try refusal("--export", "disk").contains("NAME=SIZE"))
      #expect(try refusal("--export", "disk=1MiB,fast").contains("'fast'"))
      #expect(try refusal("--export", "disk=1MiB,durable").contains("no session"))
      #expect(try refusal("--export", "disk=1MiB", "--listen", "nowhere").contains("'nowhere'"))
      #expect(try refusal("--export", "disk=1MiB", "--listen", "tcp:0.0.0.0:0").contains("--tls-required"))
      #expect(try refusal("--export", "disk=1MiB", "--tls-certificate", "absent").contains("give both"))
      // Before anything is made of what is to be served.
      try? FileManager.default.removeItem(atPath: rig.path("swap"))
      #expect(try refusal("--export", "disk=1MiB,tls").contains("export 'disk' wants TLS"))
      #expect(try refusal("--export", "disk=1MiB", "--tls-required").contains("--tls-required wants TLS"))
      #expect(!FileManager.default.fileExists(atPath: rig.path("swap")))
      #expect(try refusal("--export", "disk=1MiB", "--tls-psk", "absent").contains("absent: No such file"))
      #expect(try refusal("--export", "disk=512MiB,reserve").contains("has room for"))
      #expect(try refusal("--export", "disk=1MiB", "--session", "s").contains("--key-file"))
      try rig.folder.write("[[export]]\nname = \"a\"\n", to: "bad.toml")
      #expect(try refusal("--config", "bad.toml").contains("bad.toml:1"))
    }
  }
}
