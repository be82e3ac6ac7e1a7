// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine
internal import Synchronization

/// Memory of the host: refused at every place in turn, and its books.
enum HostMemoryChecks {
  static let all = [books, freed, refusedOpen, refusedContext, refusedData]

  /// Requests for memory after which nobody tries on.
  private static let most = 200

  static let books = Check(
    "host-memory-books", .host, needs: LifeChecks.works,
    proves: "Memory is asked for in sizes and kinds that there are, and freed once, as it was allocated.",
    advice: "Pass memory_free the owner, size and kind that memory_allocate got, and ask for alignments up to 4096."
  ) { run in
    let tier = try live(run)
    let (allocations, wrong) = CheckHost.books.withLock {
      ($0.allocations, $0.violations.filter { $0.hasPrefix("memory") })
    }
    tier.close()
    let after = CheckHost.books.withLock { $0.violations.filter { $0.hasPrefix("memory") } }
    guard allocations > 0 || !wrong.isEmpty else { throw run.notApplicable("it asks the host for no memory") }
    run.summary = "\(allocations) allocations"
    try run.expect(after.isEmpty, after.first ?? "")
  }

  static let freed = Check(
    "host-memory-freed", .host, needs: ["host-memory-books"],
    proves: "After close nothing of the host's memory is left.",
    advice: "Free in thread_close what thread_open allocated, and in close everything else."
  ) { run in
    let tier = try live(run)
    let (allocations, before) = CheckHost.books.withLock { ($0.allocations, $0.blocks.count) }
    guard allocations > 0 else { throw run.notApplicable("it asks the host for no memory") }
    tier.close()
    let (count, bytes) = CheckHost.books.withLock { ($0.blocks.count, $0.bytes) }
    run.summary = "\(before) blocks before close"
    try run.expect(count == 0, "after close \(count) blocks with \(bytes) bytes of the host's memory are left")
  }

  /// Opened, used in several contexts, and not closed yet.
  private static func live(_ run: CheckRun) throws -> OpenTier {
    let tier = try run.open()
    let context = try tier.context()
    try tier.work("with two contexts")
    tier.end(context)
    return tier
  }

  static let refusedOpen = Check(
    "host-memory-open", .host, needs: ["life-again", "host-memory-freed"],
    proves: "When the host refuses memory, open fails cleanly, at every place, and opens when there is memory again.",
    advice:
      "Look at every pointer that memory_allocate gives, undo what open has done so far, and answer STOWAGE_RETRY."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    let arguments = try OpenArguments(run, table)
    for allowance in 0..<most {
      let (answer, refusals) = refusing(after: allowance) { arguments.open(tier, table) }
      if let instance = answer.instance { OpenTier(tier, table, arguments, instance: instance).close() }
      if refusals == 0 {
        guard allowance > 0 else { throw run.notApplicable("it asks the host for no memory in open") }
        run.summary = "\(allowance) places"
        break
      }
      try expectClean(run, "open", answer.code, allowance, blocks: 0)
      let again = try OpenTier(tier, table, arguments)
      try again.work("after an open without memory")
      again.close()
    }
  }

  static let refusedContext = Check(
    "host-memory-context", .host, needs: ["life-again", "host-memory-freed"],
    proves: "When the host refuses memory, thread_open fails cleanly, at every place, and works when there is memory again.",
    advice: "Look at every pointer that memory_allocate gives, undo what thread_open has done so far, and answer STOWAGE_RETRY."
  ) { run in
    let tier = try run.open()
    guard let open = tier.raw.thread_open else { throw run.notApplicable("it has no contexts") }
    for allowance in 0..<most {
      let blocks = CheckHost.books.withLock { $0.blocks.count }
      var context: OpaquePointer?
      run.notes.note(.threadOpen)
      HostTable.clearError()
      let (code, refusals) = refusing(after: allowance) {
        open(tier.instance, UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE), &context)
      }
      if code == STOWAGE_OK { tier.end(context) }
      if refusals == 0 {
        guard allowance > 0 else { throw run.notApplicable("it asks the host for no memory in thread_open") }
        run.summary = "\(allowance) places"
        break
      }
      try expectClean(run, "thread_open", code, allowance, blocks: blocks)
      try tier.work("after a thread_open without memory")
    }
    tier.close()
  }

  static let refusedData = Check(
    "host-memory-data", .host, needs: ["life-again", "host-memory-freed"],
    proves: "When the host refuses memory, data calls fail cleanly, and work when there is memory again.",
    advice: "Allocate in thread_open what data calls need; if that cannot be, answer STOWAGE_RETRY when there is none."
  ) { run in
    let tier = try run.open()
    let context = try tier.context()
    for allowance in 0..<most {
      let blocks = CheckHost.books.withLock { $0.blocks.count }
      let (code, refusals) = try refusing(after: allowance) { try dataCall(tier, context) }
      if refusals == 0 {
        guard allowance > 0 else { throw run.notApplicable("it asks the host for no memory in data calls") }
        run.summary = "\(allowance) places"
        break
      }
      try expectClean(
        run, tier.table.role == .transform ? "encode or decode" : "write or read", code, allowance, blocks: blocks)
      try tier.work("after a call without memory")
    }
    tier.end(context)
    tier.close()
  }

  /// A page there and back; the first result that is not OK.
  private static func dataCall(_ tier: OpenTier, _ context: OpaquePointer?) throws -> Int32 {
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * tier.pageSize, alignment: 4096)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * tier.pageSize, alignment: 4096)
    let sidecar = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(STOWAGE_SIDECAR_BYTES_MAX), alignment: 16)
    defer {
      page.deallocate()
      output.deallocate()
      sidecar.deallocate()
    }
    page.copyBytes(from: tier.page(3) + tier.page(3))
    guard tier.table.role == .transform else {
      guard try tier.capacity() > 0 else { throw tier.run.notRun("it has no slots") }
      let code = tier.write(context, slot: 0, count: 1, page.baseAddress!)
      return code == STOWAGE_OK ? tier.read(context, slot: 0, count: 1, output.baseAddress!) : code
    }
    let object = tier.object(tier.run.random.next() >> 1, length: tier.pageSize)
    let room = tier.room(for: tier.pageSize)
    let (code, length) = tier.encode(
      context, object, page.baseAddress!, output.baseAddress!, room: room,
      tier.sidecarLength > 0 ? sidecar.baseAddress! : nil)
    guard code == STOWAGE_OK, length <= room else { return code }
    return tier.decode(
      context, object, output.baseAddress!, length: length, page.baseAddress!,
      tier.sidecarLength > 0 ? sidecar.baseAddress! : nil)
  }

  /// - Returns: what the body gave, and how many requests for memory were refused in it.
  private static func refusing<Result>(after allowance: Int, _ body: () throws -> Result) rethrows -> (Result, Int) {
    CheckHost.books.withLock {
      $0.allowance = allowance
      $0.refusals = 0
    }
    defer { CheckHost.books.withLock { $0.allowance = nil } }
    let result = try body()
    return (result, CheckHost.books.withLock { $0.refusals })
  }

  private static func expectClean(_ run: CheckRun, _ call: String, _ code: Int32, _ allowance: Int, blocks: Int) throws
  {
    // A tier may also do without what it was refused.
    try run.expect(
      code == STOWAGE_OK || TierCodes.isError(code),
      "\(call) without its memory request number \(allowance + 1) answered \(code), which is no error of the interface")
    let now = CheckHost.books.withLock { $0.blocks.count }
    try run.expect(
      now <= blocks, "\(call) without its memory request number \(allowance + 1) left \(now - blocks) blocks of the host's memory behind")
  }
}
