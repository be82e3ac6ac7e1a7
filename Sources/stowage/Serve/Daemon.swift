// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageControl
internal import StowageEngine
internal import StowageNBD
internal import StowagePlugins
internal import StowageTrial
internal import Synchronization

/// A store, its exports, and what serves them, from the start to the end of `stowage serve`.
final class Daemon: @unchecked Sendable {
  private static let defaultMemory = 256 << 20

  let settings: ServeSettings
  let finder: PluginFinder
  let store: Store
  let exports: ExportSet
  let server: NBDServer
  let listeners: [Listener]
  let started = time(nil)
  let isChangeable: Bool
  private let controlListener: Listener
  private let output: ServeOutput
  private let isEncrypted: Bool
  private let waiter: EndWaiter
  private let wasSuspended: Bool

  /// Opens everything; nobody is served yet.
  init(command: ServeCommand, settings: ServeSettings, file: ChainSettings, memory: Int?) throws {
    self.settings = settings
    finder = command.chain.plugins.finder
    output = ServeOutput(json: command.json)
    ServeOutput.raiseDescriptorLimit()
    let addresses = try Self.addresses(settings)
    try Self.checkTLS(settings)
    var opening = try StoreOpening(
      command: command, settings: settings, memory: memory, defaultMemory: Self.defaultMemory)
    var notes = opening.resolved.notes
    if settings.swap == true { notes += try opening.keepOnlySwapSafe(isDefault: file.tiers == nil) }
    isChangeable = opening.resolved.configuration.isChainChangeable
    wasSuspended = opening.wasSuspended
    // Sockets before the store: who is in use already must not touch another's session.
    try ControlPath.prepare(settings.control!)
    controlListener = try Listener(.unix(settings.control!))
    var opened: [Listener] = []
    var half: Store?
    do {
      try Self.listen(addresses, settings, &opened)
      let drops = DropRelay()
      if settings.swap == true { notes += try SwapMode.enter() }
      // From here on there is something to lose: who asks for the end gets an orderly one, when all is open.
      waiter = EndWaiter()
      store = try opening.open { drops.deliver($0) }
      half = store
      try opening.checkCanBeKept(store)
      exports = try ExportSet(
        Self.exports(settings), store: store, wasSuspended: opening.wasSuspended, forgets: settings.discard == true)
      drops.target = exports
      server = try NBDServer(exports, Self.serverSettings(settings))
    } catch {
      for listener in opened { listener.close() }
      controlListener.close()
      // What was suspended stays so: a mistake in the settings must cost nothing.
      if opening.wasSuspended, let half, half.sessionSummary != nil { _ = try? half.suspend() }
      throw error
    }
    listeners = opened
    isEncrypted = settings.tls.isRequired == true
    for note in notes + store.warnings + exports.notes { output.note(note) }
  }

  /// Takes over the sockets of the service manager, and opens those of the settings. What is open when it fails is in
  /// the list.
  private static func listen(
    _ addresses: [ListenAddress], _ settings: ServeSettings, _ listeners: inout [Listener]
  ) throws {
    for descriptor in ServiceManager.activatedDescriptors() {
      let listener = try Listener(activated: descriptor)
      listeners.append(listener)
      try check(listener.address, settings)
    }
    guard listeners.isEmpty || !settings.listen.isEmpty else { return }
    for address in addresses { listeners.append(try Listener(address)) }
  }

  private static func addresses(_ settings: ServeSettings) throws -> [ListenAddress] {
    let texts = settings.listen.isEmpty ? ["unix:\(FilePaths.folder(of: settings.control!))/nbd.sock"] : settings.listen
    return try texts.map { text in
      guard let address = ListenAddress(text) else {
        throw ExportError(
          "'\(DisplayText.plain(text))' is no address to listen on; expected unix:PATH, tcp:ADDRESS or tcp:ADDRESS:PORT, "
            + "the address in digits")
      }
      try check(address, settings)
      return address
    }
  }

  /// Clients of other machines must be known: a certificate of the server's alone hides what is said, from whomever.
  private static func check(_ address: ListenAddress, _ settings: ServeSettings) throws(ExportError) {
    let tls = settings.tls
    let knowsClients =
      tls.isRequired == true && (tls.clientAuthority != nil || (tls.psk != nil && tls.certificate == nil))
    guard address.isLocal || knowsClients || settings.insecure == true else {
      throw ExportError(
        "other machines can reach \(address), and nothing keeps them from reading the disks; require TLS that knows its "
          + "clients (--tls-required, and --tls-client-authority or --tls-psk without a certificate), or say --insecure"
      )
    }
  }

  /// Who asks for TLS has to say with what; found out before the store is opened.
  private static func checkTLS(_ settings: ServeSettings) throws(ExportError) {
    guard settings.tls.certificate == nil, settings.tls.psk == nil else { return }
    let asking = settings.tls.isRequired == true ? "--tls-required" : settings.exports.first(where: \.needsTLS).map {
      "export '\(DisplayText.plain($0.name))'"
    }
    guard let asking else { return }
    throw ExportError(
      "\(asking) wants TLS, and there is nothing to serve it with; give --tls-certificate and --tls-key, or --tls-psk")
  }

  private static func exports(_ settings: ServeSettings) -> [ExportSettings] {
    settings.exports.map { text in
      var export = ExportSettings(name: text.name, size: text.size, description: text.description)
      export.quota = text.quota
      export.isReadOnly = text.isReadOnly
      export.durability = text.isDurable ? .durable : .volatile
      export.isReserved = text.isReserved
      export.needsTLS = text.needsTLS
      return export
    }
  }

  private static func serverSettings(_ settings: ServeSettings) -> ServerSettings {
    var server = ServerSettings()
    if let connections = settings.connections { server.connectionsMax = connections }
    var files = TLSSettings()
    files.certificate = settings.tls.certificate
    files.key = settings.tls.key
    files.clientAuthority = settings.tls.clientAuthority
    files.psk = settings.tls.psk
    if !files.isEmpty { server.tls = files }
    server.requiresTLS = settings.tls.isRequired == true
    return server
  }

  // MARK: Serving

  /// Serves until it is told to end.
  /// - Returns: whether all went well.
  func run() throws -> Bool {
    do {
      for listener in listeners { try server.serve(listener) }
    } catch {
      server.stop()
      controlListener.close()
      if wasSuspended, store.sessionSummary != nil { _ = try? store.suspend() }
      throw error
    }
    let control = ControlServer(descriptor: controlListener.descriptor, program: HostTable.version) { [self] request in
      DaemonControl(daemon: self, waiter: self.waiter).answer(request)
    }
    control.start()
    output.ready(listeners, exports, isEncrypted: isEncrypted, control: settings.control!)
    ServiceManager.notify("READY=1\nSTATUS=serving \(exports.exports.count) exports")
    while true {
      let request = waiter.wait()
      let outcome = end(discards: request.discards || settings.discard == true, output: request.isSignal ? output : nil)
      if case .stays = outcome {
        request.answer(outcome)
        continue
      }
      // Who is told that it has ended can begin another one there at once.
      controlListener.close()
      request.answer(outcome)
      // The control thread may still be writing its answer.
      if !request.isSignal { usleep(200_000) }
      if case .failed(let reason) = outcome {
        Terminal.complain(reason)
        return false
      }
      return true
    }
  }

  /// Suspends, or gives up what is on the disks.
  private func end(discards: Bool, output: ServeOutput?) -> EndOutcome {
    var refusal = "it has no session to be kept in"
    if store.sessionSummary != nil {
      do throws(StoreError) {
        // While everything is served still: what fails here costs nothing.
        try store.checkpoint()
        return suspend(output)
      } catch {
        refusal = "\(error)"
      }
    }
    let blocks = exports.usedBlocks
    guard blocks == 0 || discards else {
      let names = exports.exports.map { "'\($0.settings.name)'" }.joined(separator: ", ")
      let reason =
        "still serving: \(blocks) blocks (\(SizeLabel(blocks * store.pageSize))) on \(names) would be lost, as "
        + "\(refusal); 'stowage suspend --discard' ends it all the same"
      output?.complain(reason)
      return .stays(reason)
    }
    ServiceManager.notify("STOPPING=1")
    server.stop()
    store.close()
    self.output.ended(
      "stopped; \(blocks) blocks were given up", ["state": .text("stopped"), "blocks_lost": .number(blocks)])
    return .ended(.object(["state": .text("stopped"), "blocks_lost": .number(blocks)]))
  }

  private func suspend(_ output: ServeOutput?) -> EndOutcome {
    ServiceManager.notify("STOPPING=1\nSTATUS=suspending")
    server.stop()
    do throws(StoreError) {
      let report = try suspended()
      let members: KeyValuePairs<String, JSONValue> = [
        "state": .text("suspended"), "pages": .number(report.pages), "bytes_written": .number(report.bytesWritten),
      ]
      self.output.ended("suspended: \(report.pages) pages are kept", members)
      return .ended(.object(members))
    } catch {
      // A checkpoint was completed a moment ago.
      store.close()
      return .failed(
        "the session could not be suspended: \(error); its last checkpoint can be resumed: durable exports as they were "
          + "flushed, volatile ones empty")
    }
  }

  /// Nobody is served any more, but the store is open until it has worked: what fails for a moment is tried again.
  private func suspended() throws(StoreError) -> CheckpointReport {
    for _ in 0..<5 {
      if let report = try? store.suspend() { return report }
      sleep(1)
    }
    return try store.suspend()
  }
}

/// Hands pages that end by themselves to the exports, once there are any.
private final class DropRelay: @unchecked Sendable {
  private let lock = Mutex<ExportSet?>(nil)

  var target: ExportSet? {
    get { lock.withLock { $0 } }
    set { lock.withLock { $0 = newValue } }
  }

  func deliver(_ page: DroppedPage) { target?.noteDrop(page) }
}
