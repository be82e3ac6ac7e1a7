// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Synchronization

/// Scalars of the engine that change; all guarded by its lock.
struct EngineState {
  /// Where puts append.
  var storeSegment = noSegment
  var nextFrameID: UInt64 = 1
  /// Moves on with every release; a load marks itself with the value it began under.
  var readerEpoch: UInt64 = 1
  var limboHead = noSegment
  var limboTail = noSegment
  var nextSequence: UInt64 = 1

  /// Segments that levels may have in all, the reserve apart; set by `rebalance`.
  var poolSegments = 0
  var tableBytesAtRebalance = 0
  var ramPeak = 0
  var memoryLimit: Int

  /// Pieces of engine work under way, and puts between their two sections.
  var jobs = 0
  var idleWorkers = 0
  var puts = 0
  var putWaiters = 0
  /// The context of the worker that is looking for work now.
  var finder: Context?
  /// Until then arrivals count as rapid growth.
  var burstUntil: UInt64 = 0
  var nextCapacityCheck: UInt64 = 0
  var isClosing = false
  var isFinished = false
  /// A suspend comes to its end: calls that change something wait.
  var stopsCalls = false
  /// It ends with its session kept: persistent pages go on in it.
  var isSuspended = false
  /// The last moments of a suspend: no work is begun.
  var rests = false
  /// A checkpoint makes its cut: puts wait.
  var holdsPuts = false
  /// A checkpoint is under way: frames stop nowhere above the session's tier.
  var passesToSession = false
  /// Workers save pages for a checkpoint, or load ahead for a resume.
  var savesPages = false
  var loadsAhead = false
  /// What the codec contexts of one thread take, at most.
  var contextBytes = 0
  /// Contexts of callers: made or being made; and room kept for some that are not made yet.
  var callerContexts = 0
  var contextsAhead = 0
  var wantsContext = false
  var isLockFailureSaid = false
  /// While a flush is under way: the level it goes to.
  var flushTarget = 0
  var flushes = 0
  var frameCursor: FrameIndex = 0
  var scratchSegments = 0

  var putCount = 0
  var replaceCount = 0
  /// Pages that came, or got other contents.
  var pagesPut: Int { putCount + replaceCount }
  var takeCount = 0
  var peekCount = 0
  var discardCount = 0
  var dropCount = 0
  var skipCount = 0
  var stallCount = 0
  var sameFilled = 0
  var discardablePages = 0
  /// Calls that changed something, when it was last looked; since when that many; and how many when no holes were left.
  var leisureCalls = 0
  var leisureSince: UInt64 = 0
  var denseCalls = -1
  /// Segments in use when holes were last squeezed out at leisure.
  var denseUse = 0
  var chunksCompacted = 0
  var framesCompacted = 0
}

/// The store's inside. `Store` is its face.
///
/// One lock guards all tables; sections are a few dozen instructions and no tier is called inside one. Page
/// contents are read and written outside: a segment's bytes never change once they are published, work on them is
/// optimistic (the page's place is compared before it is changed), and a segment is reused only when every
/// load begun before its release has ended.
final class Engine: @unchecked Sendable {
  let configuration: StoreConfiguration
  let environment: Environment
  let plan: PlanTable
  let pageSize: Int
  let segmentSize: Int
  /// Chunks begin at multiples of this; it makes any place in a segment fit 16 bits.
  let unit: Int
  let unitShift: Int
  let framesPerSegment: Int
  let codec: ChunkCodec
  let destructor: Destructor?

  let lock = FutexLock()
  let arena: SegmentArena
  let pages: PageTable
  let words: WordTable
  let frames: FrameTable
  /// By segment * framesPerSegment: the frames in segments of frame levels.
  let frameOwners: Region
  /// By level: its frames of discardable pages, where there can be any.
  let dropQueues: [FrameQueue]
  let levels: UnsafeMutablePointer<LevelState>
  let calls: UnsafeMutablePointer<TierCalls?>
  let state: UnsafeMutablePointer<EngineState>
  /// What segments' and frames' numbers of codecs and transforms stand for.
  let epochs = EpochTable()
  /// End-to-end checksums by page index, when they are kept.
  let pageSums: BlockTable?
  /// What a store with a session keeps beside the tables, and what it knows of its checkpoints.
  let session: SessionTables?
  let keeper: SessionKeeper?
  /// RAM of its tables for that.
  let sessionBytes: Int

  /// By place in the chain: level - 1. Written as `plan` is.
  var chain: [ChainTier?]
  var instances: [TierInstance?] = []
  var nextEpoch: UInt32 = 1
  /// Serialises changes of the chain.
  let chainGate = FutexLock()
  let callers: ContextPool
  let workers: [Context]
  let jobSpaces: [JobSpace]
  var ports: [BackingPort?] = []

  /// Whether the store has no room of its own for raw pages; changed with the lock, read without.
  let putsThrough = Atomic<Bool>(false)

  /// Something to do for the workers; room for puts; the end of a piece of work.
  let work = Event()
  let space = Event()
  let quiet = Event()

  let degradedReasons = Guarded<[Int: String]>([:])
  let pendingDrops = Guarded<[DroppedPage]>([])
  let hasPendingDrops = Atomic<Bool>(false)
  var threads: [EngineThread] = []

  var levelCount: Int { plan.count }
  /// While part of a resumed session's index is not in the tables yet.
  let isLoading = Atomic<Bool>(false)
  /// What the engine's own threads are known by.
  var identity: UInt { UInt(bitPattern: state) }
  var isManual: Bool { environment.scheduling == .manual }

  /// Opens a store's engine. What is impossible is refused before anything is made.
  static func open(
    _ configuration: StoreConfiguration, _ chain: [ChainTier], _ environment: Environment = .system,
    _ destructor: Destructor? = nil
  ) throws(StoreError) -> Engine {
    let setting = try Setting(configuration, chain)
    return try Engine(setting, configuration, chain, environment, destructor)
  }

  /// What the session in a backing says of itself. Nothing is written.
  static func describeSession(in tier: ChainTier, pageSize: Int) throws(StoreError) -> SessionDescription {
    var configuration = StoreConfiguration(memoryLimit: 16 << 20)
    configuration.pageSize = pageSize
    configuration.workers = 1
    configuration.session = SessionConfiguration(name: "", start: .inspect)
    let chain = [tier]
    let setting = try Setting(configuration, chain)
    let engine = try Engine(setting, configuration, chain, .system, nil, describes: true)
    defer { engine.close() }
    guard let description = engine.keeper?.description else {
      throw .session(.none, "'\(tier.name)' holds no session")
    }
    return description
  }

  private init(
    _ setting: Setting, _ configuration: StoreConfiguration, _ chain: [ChainTier], _ environment: Environment,
    _ destructor: Destructor?, describes: Bool = false
  ) throws(StoreError) {
    self.configuration = configuration
    self.environment = environment
    self.destructor = destructor
    self.chain = setting.places
    plan = PlanTable(setting.plan)
    pageSize = configuration.pageSize
    segmentSize = setting.segmentSize
    unit = setting.unit
    unitShift = setting.unit.trailingZeroBitCount
    framesPerSegment = setting.segmentSize / configuration.pageSize
    codec = ChunkCodec(pageSize: configuration.pageSize)
    arena = try SegmentArena(
      segmentSize: setting.segmentSize, capacity: setting.segmentCapacity,
      locks: configuration.locksMemory)
    pages = try PageTable()
    words = try WordTable()
    frames = try FrameTable(sidecarLength: setting.plan.sidecarLength)
    frameOwners = try Region(
      byteCount: setting.segmentCapacity * (setting.segmentSize / configuration.pageSize) * 4)
    pageSums =
      configuration.checksEndToEnd ? try BlockTable(stride: 8, capacity: 1 << 31) : nil
    dropQueues = try Self.makeDropQueues(setting.plan, isChangeable: configuration.isChainChangeable)
    let count = setting.plan.count
    levels = .allocate(capacity: count)
    levels.initialize(repeating: LevelState(), count: count)
    calls = .allocate(capacity: count)
    calls.initialize(repeating: nil, count: count)
    state = .allocate(capacity: 1)
    state.initialize(to: EngineState(memoryLimit: configuration.memoryLimit))
    (callers, workers, jobSpaces) = try Self.makeContexts(setting, count)
    session = try setting.sessionLevel.map { level throws(StoreError) in try SessionTables(level: level) }
    if let session = configuration.session {
      let space = try JobSpace(setting)
      sessionBytes = space.byteCount
      keeper = SessionKeeper(session, workers[workers.count - 1], space, describes: describes)
    } else {
      (keeper, sessionBytes) = (nil, 0)
    }
    instances = Array(repeating: nil, count: setting.places.count)
    ports = Array(repeating: nil, count: count)
    // Every property has its value from here on: what fails now is freed by `deinit`.
    try finishOpening(setting)
  }

  /// What must be torn down when opening fails part way is closed here too.
  private func finishOpening(_ setting: Setting) throws(StoreError) {
    do {
      for index in 0..<levelCount {
        levels[index].nextID = UInt64(index) << 56 | 1
        levels[index].codec = UInt8(index)
        levels[index].limitGiven = setting.limits[index] ?? -1
      }
      let image = try openTiers()
      putsThrough.store(levels[0].limitGiven == 0, ordering: .relaxed)
      let before = tierMemory
      for context in workers { try prepareWorker(context) }
      lock.withLock {
        state.pointee.contextBytes = (tierMemory - before) / workers.count + pageSize * 3
        state.pointee.contextsAhead = 1
      }
      try lock.withLock { () throws(StoreError) in
        try rebalance(force: true)
        try checkRoom()
        // So that it shows at once when memory cannot be locked.
        if configuration.locksMemory { _ = arena.prepareOne() }
      }
      if let image { try begin(image) }
      sayLockFailure()
      if !isManual { startWorkers() }
      if !isManual, let keeper { keeper.thread = try EngineThread("stowage-session", owner: 0) { [unowned self] in serveSession() } }
    } catch {
      closeTiers()
      throw error
    }
  }

  private func prepareWorker(_ context: Context) throws(StoreError) {
    do {
      try context.pointee.prepare(calls, use: UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE))
    } catch {
      throw .configuration("tier '\(plan.levels[error.level].name)' cannot be used: \(error.reason)")
    }
  }

  /// Opens every tier, and for a session that is resumed finds out what it was; nil when none is.
  private func openTiers() throws(StoreError) -> SessionImage? {
    nextEpoch = UInt32(chain.count + 1)
    if let session, let keeper { return try openTiers(session, keeper) }
    for (index, tier) in chain.enumerated() where tier != nil { try openTier(at: index, epoch: UInt32(index + 1)) }
    try refuseSessions()
    return nil
  }

  /// Opens the tier at a place of the chain, and its port if it is a backing.
  func openTier(at place: Int, epoch: UInt32, state: [UInt8]? = nil) throws(StoreError) {
    guard let tier = chain[place] else { return }
    let level = place + 1
    let instance = try TierInstance(
      tier, pageSize: pageSize, epoch: epoch, deadline: nanoseconds(tier.deadline ?? configuration.deadline))
    instances[place] = instance
    calls[level] = instance.calls
    noteHolders()
    if let state { try instance.loadState(state) }
    epochs.setCodec(
      Int(levels[level].codec), Codec(level: UInt8(level), space: UInt8(levels[level].nextID >> 56), epoch: epoch))
    guard let port = try makePort(level: level, tier, instance) else { return }
    ports[level] = port
    noteHolders()
    guard let total = try port.readCapacity(isOpening: true) else { return }
    lock.withLock { port.slots.setTotal(total) }
  }

  private static func makeDropQueues(_ plan: ChainPlan, isChangeable: Bool) throws(StoreError) -> [FrameQueue] {
    var queues: [FrameQueue] = []
    var passesDiscardPoint = false
    for level in plan.levels {
      passesDiscardPoint = passesDiscardPoint || level.isDiscardPoint
      queues.append(try FrameQueue(
          isKept: isChangeable || (!passesDiscardPoint && (level.role == .frame || level.role == .backing))))
    }
    return queues
  }

  private static func makeContexts(_ setting: Setting, _ levels: Int) throws(StoreError)
    -> (ContextPool, [Context], [JobSpace])
  {
    var all: [Context] = []
    let workers = setting.workers + (setting.sessionLevel == nil ? 0 : 1)
    for number in 0..<(setting.callers + workers) {
      let context = Context.allocate(capacity: 1)
      context.initialize(
        to: try WorkContext(
          number: number, isWorker: number >= setting.callers, levelCount: levels,
          pageSize: setting.pageSize))
      all.append(context)
    }
    var spaces: [JobSpace] = []
    for _ in 0..<setting.workers { spaces.append(try JobSpace(setting)) }
    return (ContextPool(Array(all[..<setting.callers])), Array(all[setting.callers...]), spaces)
  }

  /// Ends the tiers: every context, then every instance. A backing with a call that never returned stays
  /// open, as close may come only when a tier is idle.
  func closeTiers() {
    for index in 0..<callers.count { callers[index].pointee.close(calls) }
    for context in workers { context.pointee.close(calls) }
    for rekeyed in keeper?.rekeyed.values ?? [:].values { rekeyed.instance.close() }
    keeper?.rekeyed = [:]
    for (index, instance) in instances.enumerated().reversed() {
      if index + 1 < ports.count, let port = ports[index + 1], !port.shutDown() {
        // The late end of that call will come to this engine: it stays for ever.
        _ = Unmanaged.passRetained(self)
        continue
      }
      instance?.close()
    }
  }

  deinit {
    for index in 0..<callers.count {
      callers[index].deinitialize(count: 1)
      callers[index].deallocate()
    }
    for context in workers {
      context.deinitialize(count: 1)
      context.deallocate()
    }
    callers.deallocate()
    for space in jobSpaces { space.unmap() }
    arena.unmap()
    pages.unmap()
    words.unmap()
    frames.unmap()
    pageSums?.unmap()
    session?.unmap()
    frameOwners.unmap()
    for queue in dropQueues { queue.unmap() }
    levels.deallocate()
    calls.deinitialize(count: levelCount)
    calls.deallocate()
    state.deallocate()
    lock.deallocate()
    work.deallocate()
    space.deallocate()
    quiet.deallocate()
    chainGate.deallocate()
    epochs.deallocate()
    plan.deallocate()
  }
}
