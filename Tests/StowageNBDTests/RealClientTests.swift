// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

extension NBDTests {
  /// Programs that others have written, as clients of `stowage serve`.
  @Suite struct RealClientTests {
    private static let size = "96MiB"
    /// The threads that tests run on block signals, and programs that end by SIGTERM would inherit that.
    private static let unblocking = "/usr/bin/env"

    /// A disk with a chain down to an encrypted file, and little RAM.
    private func rig(_ more: String...) throws -> DaemonRig {
      let rig = try DaemonRig()
      try rig.start(
        ["--export", "disk=\(Self.size)", "--memory", "48MiB", "--swap-file", "swap", "--swap-size", "1GiB"] + more)
      return rig
    }

    /// A file with something in it that compresses, something that does not, and holes.
    private func image(_ rig: DaemonRig) throws -> String {
      let script = """
        head -c 20000000 /dev/urandom >image; cat /usr/bin/[c-g]* 2>/dev/null | head -c 30000000 >>image
        truncate -s 70M image; head -c 5000001 /dev/urandom >>image; truncate -s \(96 << 20) image
        """
      try expectSuccess(try Command.run("/bin/sh", ["-c", script], in: rig.folder.url))
      return rig.path("image")
    }

    private func expectSuccess(_ outcome: Command.Outcome, _ sourceLocation: SourceLocation = #_sourceLocation) throws {
      #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)", sourceLocation: sourceLocation)
    }

    private func expectSame(_ a: String, _ b: String, _ sourceLocation: SourceLocation = #_sourceLocation) throws {
      let outcome = try Command.run("/usr/bin/cmp", [a, b])
      #expect(outcome.status == 0, "\(outcome.output)", sourceLocation: sourceLocation)
    }

    private func end(_ rig: DaemonRig) throws {
      let outcome = try rig.stowage("suspend", "--discard")
      #expect(outcome.status == 0, "\(outcome.errors)")
      try rig.process?.waitUntilExit(within: .seconds(60))
      #expect(rig.process?.terminationStatus == 0, "\(rig.errors)")
    }

    @Test(.timeLimit(.minutes(3))) func nbdinfoAndNbdcopy() throws {
      let info = try Requirement.program("nbdinfo", package: "libnbd-bin")
      let copy = try Requirement.program("nbdcopy", package: "libnbd-bin")
      let rig = try rig()
      let said = try Command.run(info, [rig.uri("disk")])
      try expectSuccess(said)
      for word in ["stowage:level", "can_multi_conn: true", "block_size_preferred: 4096"] {
        #expect(said.output.contains(word))
      }
      let image = try image(rig)
      try expectSuccess(try Command.run(copy, [image, rig.uri("disk")]))
      try expectSuccess(try Command.run(copy, [rig.uri("disk"), rig.path("back")]))
      try expectSame(image, rig.path("back"))
      let map = try Command.run(info, ["--map", "--totals", rig.uri("disk")])
      try expectSuccess(map)
      #expect(map.output.contains("hole,zero"))
      try end(rig)
    }

    @Test(.timeLimit(.minutes(3))) func qemuImg() throws {
      let qemu = try Requirement.program("qemu-img", package: "qemu-utils")
      let rig = try rig()
      let image = try image(rig)
      try expectSuccess(try Command.run(qemu, ["convert", "-n", "-f", "raw", "-O", "raw", image, rig.uri("disk")]))
      try expectSuccess(try Command.run(qemu, ["compare", "-f", "raw", "-F", "raw", image, rig.uri("disk")]))
      try end(rig)
    }

    @Test("fio, random reads and writes with verify, in odd sizes too", .timeLimit(.minutes(3)))
    func fio() throws {
      let fio = try Requirement.program("fio", package: "fio")
      let rig = try rig()
      for (size, depth) in [("4k", 16), ("512-70000", 8)] {
        let block = size.contains("-") ? "--bsrange=\(size)" : "--bs=\(size)"
        let outcome = try Command.run(
          fio,
          [
            "--name=verify", "--ioengine=nbd", "--uri=\(rig.uri("disk"))", "--rw=randrw", block, "--bs_unaligned=1",
            "--iodepth=\(depth)", "--size=64M", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1",
            "--buffer_compress_percentage=60",
          ], in: rig.folder.url)
        try expectSuccess(outcome)
        #expect(outcome.output.contains("err= 0"), "\(outcome.output)")
      }
      try end(rig)
    }

    @Test("behind nbdkit's nbd plug-in", .timeLimit(.minutes(3)))
    func nbdkit() throws {
      let nbdkit = try Requirement.program("nbdkit", package: "nbdkit")
      let copy = try Requirement.program("nbdcopy", package: "libnbd-bin")
      let rig = try rig()
      let image = try image(rig)
      try expectSuccess(
        try Command.run(
          Self.unblocking, ["--default-signal", nbdkit, "-U", "-", "nbd", "uri=\(rig.uri("disk"))",
            "--run", "\(copy) \(image) $uri && \(copy) $uri \(rig.path("back"))"]))
      try expectSame(image, rig.path("back"))
      try end(rig)
    }

    @Test("mounted as a file by nbdfuse", .timeLimit(.minutes(3)))
    func nbdfuse() throws {
      let fuse = try Requirement.program("nbdfuse", package: "libnbd-bin")
      guard access("/dev/fuse", R_OK | W_OK) == 0 else { try Test.cancel("/dev/fuse is missing, or not for this user") }
      let rig = try rig()
      let image = try image(rig)
      let mount = Process()
      mount.executableURL = URL(fileURLWithPath: Self.unblocking)
      mount.arguments = ["--default-signal", fuse, rig.path("mount/disk"), rig.uri("disk")]
      try FileManager.default.createDirectory(at: rig.folder.file("mount"), withIntermediateDirectories: true)
      try Data().write(to: rig.folder.file("mount/disk"))
      mount.standardError = FileHandle.nullDevice
      try mount.run()
      let script = """
        for i in $(seq 200); do [ "$(stat -c %s mount/disk)" = \(96 << 20) ] && break; sleep 0.05; done
        [ "$(stat -c %s mount/disk)" = \(96 << 20) ] || { echo "it did not mount" >&2; exit 1; }
        dd if=image of=mount/disk bs=65k conv=notrunc status=none && cmp image mount/disk
        """
      let outcome = try Command.run("/bin/sh", ["-c", script], in: rig.folder.url)
      kill(mount.processIdentifier, SIGTERM)
      try mount.waitUntilExit(within: .seconds(30))
      if outcome.errors.contains("did not mount") { try Test.cancel("nbdfuse cannot mount here (no rights for FUSE)") }
      #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors) \(image)")
      try end(rig)
    }
  }
}
