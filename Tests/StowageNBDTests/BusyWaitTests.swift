// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  @Suite struct BusyWaitTests {
    /// Nanoseconds that this thread has run.
    private static var threadTime: UInt64 {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    @Test("a client that pauses costs nothing, however fast it was before; nothing is lost, and its end is seen")
    func pauses() throws {
      var ends: [Int32] = [0, 0]
      try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
      let (server, client) = (ends[0], ends[1])
      defer { close(server) }
      let idle = Locked<[UInt64]>([])
      let received = Locked<[UInt8]>([])
      // Each byte is answered, so that the next one comes soon.
      let waiter = Background {
        let transport = Transport(server)
        var waiting = BusyWait()
        var byte: UInt8 = 0
        while true {
          let before = Self.threadTime
          guard waiting.receive(transport, &byte, 1) == 1 else { return }
          let spent = Self.threadTime - before
          received.withLock { $0.append(byte) }
          idle.withLock { $0.append(spent) }
          _ = transport.send(&byte, 1)
        }
      }
      var sent: [UInt8] = []
      for round in 0..<3 {
        for number in 0..<200 {
          var byte = UInt8(truncatingIfNeeded: round * 7 + number)
          var answer: UInt8 = 0
          try #require(send(client, &byte, 1, 0) == 1)
          try #require(recv(client, &answer, 1, 0) == 1)
          #expect(answer == byte)
          sent.append(byte)
        }
        usleep(300_000)
      }
      close(client)
      waiter.join()
      #expect(received.withLock { $0 } == sent)
      let spent = idle.withLock { $0 }
      // The first of rounds 2 and 3 came after a pause of 300 ms.
      for first in [200, 400] { #expect(spent[first] < 20_000_000, "\(spent[first]) ns of processor time in a pause") }
    }
  }
}
