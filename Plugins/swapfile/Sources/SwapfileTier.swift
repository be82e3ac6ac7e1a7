// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
public import StowageTier

/// Slots in a file of its own, read and written past the page cache, through io_uring where there is one.
struct SwapfileTier: BackingTier, ~Copyable {
  static let about = TierDescription(
    name: "swapfile", version: "0.9.0", summary: "Pages in a preallocated file on disk.", priority: 900,
    lifetime: .persistent, access: .terminal, threads: .parallel, optional: [.swapSafe],
    offers: [.trim, .submit],
    options: [
      .path("path", "the file; made if it is missing, refused if it holds something else", required: true),
      .bytes("size", "room for pages, in bytes, reserved on the disk at once", default: 1 << 30, in: 65536...(1 << 50)),
      .choice(
        "open",
        "create: made if it is missing; existing: as it is, 'size' does not count; read-only: nothing is written",
        of: ["create", "existing", "read-only"], default: "create"),
      .choice(
        "io", "how to reach the file: io-uring with many requests in flight, or plain system calls",
        of: ["auto", "io-uring", "plain"], default: "auto"),
    ],
    vendor: "Stowage", licence: "Apache-2.0")

  let host: TierHost
  let file: SwapFile
  /// Nil where the system refuses io_uring, or `io` says so.
  let ring: Ring?
  /// Behind `rootLock`; both lie in the host's memory, as calls to a tier only borrow it.
  let root: UnsafeMutablePointer<Root>
  let rootLock: UnsafeMutablePointer<pthread_mutex_t>

  init(_ arguments: TierArguments) throws(TierError) {
    let host = arguments.host
    guard let path = try arguments.text("path"), !path.isEmpty else {
      throw host.fail(.invalid, "the option 'path' is missing: say where the file shall be")
    }
    let size = try arguments.number("size") / arguments.pageSize * arguments.pageSize
    guard size > 0 else { throw host.fail(.invalid, "'size' must be at least one page") }

    let word = try arguments.text("open") ?? ""
    guard let mode = OpenMode(rawValue: word) else {
      throw host.fail(.invalid, "'open' is \(word), not create, existing or read-only")
    }
    let opening = FileOpening(path: path, mode: mode, size: size, slotSize: arguments.pageSize, host: host)
    let file = try opening.open()
    let parts: (UnsafeMutablePointer<Root>, UnsafeMutablePointer<pthread_mutex_t>)
    do throws(TierError) {
      parts = try SwapfileTier.openRoot(file, host)
    } catch {
      file.close(host)
      throw error
    }
    let ring: Ring?
    do throws(TierError) {
      ring = try SwapfileTier.openRing(file, try arguments.text("io") ?? "auto", host)
    } catch {
      SwapfileTier.closeRoot(parts.0, parts.1, host)
      file.close(host)
      throw error
    }
    self.host = host
    self.file = file
    self.ring = ring
    (root, rootLock) = parts
  }

  private static var rootOffset: Int { 64 }
  private static var sharedSize: Int { rootOffset + MemoryLayout<Root>.stride }

  /// Reads the root and puts it and its lock at an address of their own.
  private static func openRoot(_ file: SwapFile, _ host: TierHost) throws(TierError)
    -> (UnsafeMutablePointer<Root>, UnsafeMutablePointer<pthread_mutex_t>)
  {
    let shared = try host.allocate(sharedSize, alignment: 64)
    do throws(TierError) {
      let loaded = try Root(file, host)
      let address = shared.baseAddress.unsafelyUnwrapped
      let root = (address + rootOffset).bindMemory(to: Root.self, capacity: 1)
      root.initialize(to: loaded)
      let lock = address.bindMemory(to: pthread_mutex_t.self, capacity: 1)
      pthread_mutex_init(lock, nil)
      return (root, lock)
    } catch {
      host.free(shared)
      throw error
    }
  }

  private static func closeRoot(
    _ root: UnsafeMutablePointer<Root>, _ lock: UnsafeMutablePointer<pthread_mutex_t>, _ host: TierHost
  ) {
    root.pointee.free(host)
    root.deinitialize(count: 1)
    pthread_mutex_destroy(lock)
    host.free(UnsafeMutableRawBufferPointer(start: lock, count: sharedSize))
  }

  private static func openRing(_ file: SwapFile, _ way: String, _ host: TierHost) throws(TierError) -> Ring? {
    guard way != "plain" else { return nil }
    var refusal = ""
    if let ring = try Ring(file, host, refusal: &refusal) { return ring }
    guard way == "auto" else {
      throw host.fail(.unsupported, "the system refuses io_uring (\(refusal)); set 'io' to auto or plain")
    }
    host.log(.info, "\(file.path): the system refuses io_uring (\(refusal)): using plain system calls")
    return nil
  }

  mutating func close() {
    ring?.close()
    SwapfileTier.closeRoot(root, rootLock, host)
    file.close(host)
  }

  func slotCount() -> UInt64 { UInt64(file.slotCount) }

  func read(_ run: SlotRun, into buffer: UnsafeMutableRawBufferPointer, _ context: inout NoContext) throws(TierError) {
    try file.read(run, into: buffer, host)
  }

  func write(_ run: SlotRun, from buffer: UnsafeRawBufferPointer, _ context: inout NoContext) throws(TierError) {
    try file.write(run, from: buffer, host)
  }

  func trim(_ run: SlotRun, _ context: inout NoContext) throws(TierError) { try file.trim(run, host) }

  func sync(_ context: inout NoContext) throws(TierError) { try file.sync(host) }

  func submit(_ requests: SlotRequests, _ context: inout NoContext) throws(TierError) -> Int {
    guard let ring else { throw .unsupported }
    return try ring.submit(requests)
  }

  func readRoot(into room: UnsafeMutableRawBufferPointer) throws(TierError) -> Int {
    pthread_mutex_lock(rootLock)
    defer { pthread_mutex_unlock(rootLock) }
    let contents = root.pointee.contents
    guard contents.count <= room.count else { throw .tooBig }
    room.copyMemory(from: contents)
    return contents.count
  }

  func swapRoot(from expected: UnsafeRawBufferPointer, to new: UnsafeRawBufferPointer) throws(TierError) {
    pthread_mutex_lock(rootLock)
    defer { pthread_mutex_unlock(rootLock) }
    try root.pointee.replace(expected, by: new, in: file, host)
  }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? {
  SwapfileTier.entry(host) { SwapfileTier.open($0, $1) }
}
