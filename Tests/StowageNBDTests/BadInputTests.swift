// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  /// Clients that break the protocol, vanish, or are slow: an error or a closed connection for them, nothing for others.
  @Suite struct BadInputTests {
    /// That another client is served as if nothing were.
    private func checkServes(_ rig: ServerRig, _ sourceLocation: SourceLocation = #_sourceLocation) throws {
      let client = try rig.client()
      let data = [UInt8](repeating: 0x3C, count: 10_000)
      #expect(
        try client.ask(NBD.Command.write, offset: 12_345, payload: data).status == 0, sourceLocation: sourceLocation)
      #expect(
        try client.ask(NBD.Command.read, offset: 12_345, length: data.count).data == data,
        sourceLocation: sourceLocation)
      try client.send(RawClient.request(NBD.Command.disconnect))
      #expect(client.isClosed(), sourceLocation: sourceLocation)
    }

    @Test("a seeded fuzzer of handshakes", .timeLimit(.minutes(3)))
    func fuzzedHandshakes() throws {
      let rig = try ServerRig()
      try checkServes(rig)
      try rig.waitUntilIdle()
      let before = ProcessFigures.now
      var generator = SeededRandom(TestSeed.value, #function)
      for _ in 0..<Self.rounds {
        let client = try RawClient(rig.path)
        try client.greet(flags: generator.below(10) == 0 ? UInt32(truncatingIfNeeded: generator.next()) : 3)
        for _ in 0..<generator.below(6) { guard client.trySend(Self.option(&generator)) else { break } }
        if generator.below(2) == 0 { shutdown(client.descriptor, Int32(SHUT_WR)) }
      }
      try checkServes(rig)
      try rig.waitUntilIdle()
      #expect(before.isReachedAgain())
    }

    @Test("a seeded fuzzer of requests", .timeLimit(.minutes(3)))
    func fuzzedRequests() throws {
      let rig = try ServerRig()
      try checkServes(rig)
      try rig.waitUntilIdle()
      let before = ProcessFigures.now
      var generator = SeededRandom(TestSeed.value, #function)
      for _ in 0..<Self.rounds {
        let client = try rig.client(structured: generator.below(3) > 0, contexts: ["base:allocation", "stowage:level"])
        // Answers are thrown away, so that the server is never kept from sending them.
        let reader = Background { [descriptor = client.descriptor] in
          var bytes = [UInt8](repeating: 0, count: 65536)
          while recv(descriptor, &bytes, bytes.count, 0) > 0 {}
        }
        for _ in 0..<generator.below(20) { guard client.trySend(Self.request(&generator)) else { break } }
        shutdown(client.descriptor, Int32(generator.below(2) == 0 ? SHUT_WR : SHUT_RDWR))
        reader.join(within: 60)
      }
      try checkServes(rig)
      try rig.waitUntilIdle()
      #expect(before.isReachedAgain())
      let client = try rig.client()
      #expect(try client.ask(NBD.Command.trim, length: 64 << 20).status == 0)
      #expect(rig.store.statistics().pages == 0, "pages were left behind that no block names")
    }

    private static let rounds =
      ProcessInfo.processInfo.environment["STOWAGE_TEST_SANITIZER"] == nil ? 400 : 150

    /// One that is nearly right, mostly.
    private static func option(_ generator: inout SeededRandom) -> [UInt8] {
      let number = UInt32(generator.below(13))
      var data = [
        [], RawClient.exportData("disk", items: [1, 2, 3]), RawClient.contextData("disk", ["base:allocation", "x"]),
        noise(generator.below(300), &generator),
      ][generator.below(4)]
      if generator.below(3) == 0, !data.isEmpty {
        data[generator.below(data.count)] ^= UInt8(truncatingIfNeeded: generator.next())
      }
      if generator.below(5) == 0 { data.removeLast(generator.below(data.count + 1)) }
      let length = generator.below(8) == 0 ? UInt32(truncatingIfNeeded: generator.next()) : UInt32(data.count)
      return RawClient.bytes {
        $0.append(generator.below(20) == 0 ? generator.next() : NBD.optionMagic)
        $0.append(number)
        $0.append(length)
      } + data
    }

    private static func request(_ generator: inout SeededRandom) -> [UInt8] {
      let command = UInt16(generator.below(10))
      let offsets: [UInt64] = [0, UInt64(generator.below(64 << 20)), (64 << 20) - 100, generator.next(), .max]
      let lengths = [generator.below(9000), 4096, 1 << 20, 33 << 20, Int(UInt32(truncatingIfNeeded: generator.next()))]
      let length = UInt32(lengths[[0, 0, 0, 1, 1, 1, 2, 2, 3, 4][generator.below(10)]])
      var bytes = RawClient.request(
        command, flags: generator.below(3) == 0 ? UInt16(generator.below(64)) : 0, cookie: generator.next(),
        offset: offsets[generator.below(5)], length: length,
        magic: generator.below(40) == 0 ? UInt32(truncatingIfNeeded: generator.next()) : NBD.requestMagic)
      if command == NBD.Command.write, length < 2 << 20 {
        bytes += noise(generator.below(10) == 0 ? Int(length) / 2 : Int(length), &generator)
      }
      return bytes
    }

    private static func noise(_ count: Int, _ generator: inout SeededRandom) -> [UInt8] {
      (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    @Test("ten thousand connection attempts", .timeLimit(.minutes(3)))
    func manyConnections() throws {
      let rig = try ServerRig()
      try checkServes(rig)
      try rig.waitUntilIdle()
      let before = ProcessFigures.now
      do {
        let served = try rig.client()
        for attempt in 0..<10_000 {
          let client = try RawClient(rig.path)
          if attempt % 3 == 0 { client.trySend([1, 2, 3]) }
          if attempt % 1000 == 0 { #expect(try served.ask(NBD.Command.read, length: 4096).status == 0) }
        }
        try checkServes(rig)
        try served.send(RawClient.request(NBD.Command.disconnect))
        #expect(served.isClosed())
      }
      try rig.waitUntilIdle()
      #expect(before.isReachedAgain())
    }

    @Test("handshakes of a byte now and then keep nobody out, and end", .timeLimit(.minutes(2)))
    func slowHandshakes() throws {
      let rig = try ServerRig()
      let slow = try (0..<300).map { _ in try RawClient(rig.path) }
      for client in slow { client.trySend([0]) }
      let began = ContinuousClock.now
      try checkServes(rig)
      #expect(ContinuousClock.now - began < .seconds(5))
      // Whoever says no more is let go after ten seconds.
      for client in slow { #expect(client.isClosed()) }
      #expect(ContinuousClock.now - began < .seconds(25))
      try rig.waitUntilIdle()
    }

    @Test("those that were let go in the handshake take nobody's place", .timeLimit(.minutes(2)))
    func floodedServer() throws {
      var settings = ServerSettings()
      settings.connectionsMax = 1
      let rig = try ServerRig(server: settings)
      for _ in 0..<20 {
        // More than there is room for: the oldest go, and need a moment for that.
        let flood = try (0..<300).map { _ in try RawClient(rig.path) }
        try checkServes(rig)
        withExtendedLifetime(flood) {}
        try rig.waitUntilIdle()
      }
      #expect(rig.server.served == 20)
    }

    /// A ring of io_uring interrupts the threads that have used it some milliseconds after it was closed. Test clients must
    /// not take that for the end of a connection.
    @Test("a test client goes on when a ring that its thread has used is gone", .timeLimit(.minutes(1)))
    func interruptedClient() throws {
      let rig = try ServerRig()
      let client = try RawClient(rig.path)
      try client.greet()
      var disk = ChainTier(try TierLibrary.shipped("swapfile"))
      disk.options["path"] = .text(rig.folder.file("swap").path)
      disk.options["size"] = .number(64 << 20)
      let store = try Store(configuration: StoreConfiguration(memoryLimit: 8 << 20), chain: [disk])
      var generator = SeededRandom(seed: 1)
      let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
      defer { page.deallocate() }
      var handles: [Handle] = []
      for _ in 0..<4000 {
        for index in page.indices { page[index] = UInt8(truncatingIfNeeded: generator.next()) }
        handles.append(try store.put(UnsafeRawBufferPointer(page), tag: 0))
      }
      for handle in handles { _ = try store.peek(handle, into: page) }
      store.close()
      let server = rig.server
      let ending = Background {
        usleep(200_000)
        server.stop()
      }
      #expect(client.isClosed())
      ending.join(within: 60)
    }

    @Test("a client that takes nothing in stalls nobody else", .timeLimit(.minutes(2)))
    func deafClient() throws {
      let rig = try ServerRig()
      let deaf = try rig.client(structured: false)
      try deaf.ask(NBD.Command.write, payload: [UInt8](repeating: 7, count: 4 << 20))
      for cookie in 0..<64 {
        try deaf.send(RawClient.request(NBD.Command.read, cookie: UInt64(cookie), length: 4 << 20))
      }
      for _ in 0..<20 { try checkServes(rig) }
      #expect(rig.server.summaries.count == 1)
    }

    @Test("a client that vanishes in the middle of a write", .timeLimit(.minutes(2)))
    func vanishingClient() throws {
      let rig = try ServerRig()
      try checkServes(rig)
      try rig.waitUntilIdle()
      let before = ProcessFigures.now
      for count in [0, 1, 4095, 4096, 100_000] {
        let client = try rig.client()
        try client.send(RawClient.request(NBD.Command.write, length: 1 << 20) + [UInt8](repeating: 9, count: count))
      }
      try checkServes(rig)
      try rig.waitUntilIdle()
      #expect(before.isReachedAgain())
    }

    @Test("the end of a server answers what was asked", .timeLimit(.minutes(1)))
    func orderlyEnd() throws {
      let rig = try ServerRig()
      let client = try rig.client()
      let idle = try RawClient(rig.path)
      let data = [UInt8](repeating: 5, count: 4096)
      try client.send(RawClient.request(NBD.Command.write, cookie: 9, length: 4096) + data)
      usleep(100_000)
      rig.server.stop()
      #expect(try client.answer(to: 9, offset: 0, length: 0).status == 0)
      #expect(client.isClosed() && idle.isClosed())
      #expect(throws: TestFailure.self) { try RawClient(rig.path) }
    }

    @Test func socketPathsInUse() throws {
      let rig = try ServerRig()
      #expect(throws: ExportError.self) { try Listener(.unix(rig.path)) }
      let file = try rig.folder.write("something", to: "file")
      #expect(throws: ExportError.self) { try Listener(.unix(file)) }
      #expect(throws: ExportError.self) { try Listener(.unix(String(repeating: "x", count: 200))) }
      // One that a server has left behind is taken over.
      let path = rig.folder.file("left").path
      let address = try #require(SocketAddress(path: path))
      let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      #expect(address.withPointer { bind(left, $0, $1) } == 0)
      close(left)
      let listener = try Listener(.unix(path))
      listener.close()
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }
}
