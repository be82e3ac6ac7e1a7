// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageControl
internal import StowageEngine
internal import StowageNBD
internal import StowagePlugins

/// Answers what is asked over the control socket.
struct DaemonControl {
  let daemon: Daemon
  let waiter: EndWaiter

  func answer(_ request: ControlRequest) -> ControlAnswer {
    do {
      switch request.command {
      case "status": return .result(DaemonStatus.json(daemon))
      case "checkpoint": return .result(Self.json(try daemon.store.checkpoint()))
      case "suspend": return suspend(request)
      case "tiers-add": return try add(request)
      case "tiers-drain":
        let name = try name(request)
        try daemon.store.drainTier(named: name)
        return .result(.object(["tier": .text(name), "state": .text("draining")]))
      case "tiers-remove": return try remove(request)
      case "tiers-set": return try set(request)
      default: return .failure("this daemon knows no command '\(DisplayText.plain(request.command))'")
      }
    } catch {
      return .failure("\(error)")
    }
  }

  private func suspend(_ request: ControlRequest) -> ControlAnswer {
    switch waiter.ask(discards: request.arguments["discard"] == "true") {
    case .ended(let value): .result(value)
    case .stays(let reason), .failed(let reason): .failure(reason)
    }
  }

  private static func json(_ report: CheckpointReport) -> JSONValue {
    .object([
      "sequence": .number(Int(clamping: report.sequence)), "pages": .number(report.pages),
      "pages_written": .number(report.pagesWritten), "bytes_written": .number(report.bytesWritten),
      "milliseconds": .decimal(Double(report.duration_ns) / 1e6, digits: 1),
    ])
  }

  // MARK: Tiers

  private func name(_ request: ControlRequest) throws -> String {
    guard let name = request.arguments["tier"], !name.isEmpty else {
      throw ExportError("the name of a tier is missing")
    }
    return name
  }

  private func checkChangeable() throws {
    guard !daemon.isChangeable else { return }
    throw ExportError(
      "the chain of a store with a session does not change while it is served; suspend it, and serve it with another "
        + "configuration")
  }

  private func add(_ request: ControlRequest) throws -> ControlAnswer {
    try checkChangeable()
    let plugin = try name(request)
    var settings = ChainSettings()
    var tier = TierSettings(plugin: plugin)
    tier.name = request.arguments["name"]
    tier.options = Dictionary(
      request.arguments.compactMap { key, value in
        key.hasPrefix("option.") ? (String(key.dropFirst(7)), OptionInput.word(value)) : nil
      }) { _, last in last }
    tier.limit = try size(request, "limit")
    settings.tiers = [tier]
    let resolved = try ChainResolver(finder: daemon.finder).resolve(settings, defaultMemory: 0)
    if daemon.settings.swap == true { _ = try SwapMode.admit(resolved.chain, isDefault: false) }
    try daemon.store.addTier(resolved.chain[0])
    return .result(.object(["tier": .text(resolved.chain[0].name), "state": .text("added")]))
  }

  private func remove(_ request: ControlRequest) throws -> ControlAnswer {
    try checkChangeable()
    let name = try name(request)
    let isGone = try daemon.store.removeTier(named: name, timeout: .seconds(20)) == .removed
    return .result(.object(["tier": .text(name), "state": .text(isGone ? "removed" : "needed")]))
  }

  private func set(_ request: ControlRequest) throws -> ControlAnswer {
    var members: [JSONValue.Member] = []
    if let memory = try size(request, "memory") {
      try daemon.store.setMemoryLimit(memory)
      members.append(.init("memory", .number(memory)))
    }
    if let text = request.arguments["limit"] {
      let name = try name(request)
      guard let level = daemon.store.levelNames.firstIndex(of: name) else {
        throw ExportError(
          "there is no level '\(DisplayText.plain(name))'; it has \(daemon.store.levelNames.joined(separator: ", "))")
      }
      let limit = text == "auto" ? nil : try size(request, "limit")
      try daemon.store.setLimit(limit, level: level)
      members += [.init("tier", .text(name)), .init("limit", .number(orNull: limit))]
    }
    return .result(.object(members))
  }

  private func size(_ request: ControlRequest, _ key: String) throws -> Int? {
    guard let text = request.arguments[key] else { return nil }
    guard let bytes = SizeText.parse(text) else {
      throw ExportError("\(key) is '\(DisplayText.plain(text))'; expected \(SizeText.expected)")
    }
    return Int(bytes)
  }
}

/// How a daemon is, as JSON.
enum DaemonStatus {
  static func json(_ daemon: Daemon) -> JSONValue {
    let figures = daemon.store.statistics()
    return .object([
      "version": .text(HostTable.version), "process": .number(Int(getpid())),
      "seconds": .number(time(nil) - daemon.started), "swap": .flag(daemon.settings.swap == true),
      "listen": .list(daemon.listeners.map { .text("\($0.address)") }),
      "exports": .list(daemon.exports.exports.map(export)),
      "clients": .list(daemon.server.summaries.map(client)), "clients_served": .number(daemon.server.served),
      "clients_refused": .number(daemon.server.refused), "tls_failures": .number(daemon.server.tlsFailures),
      "session": session(daemon), "levels": .list(figures.levels.map(level)),
      "page_size": .number(figures.pageSize), "pages": .number(figures.pages),
      "same_filled_pages": .number(figures.sameFilledPages), "memory_limit": .number(figures.memoryLimit),
      "ram_bytes": .number(figures.ramBytes), "ram_peak_bytes": .number(figures.ramPeakBytes),
      "workspace_bytes": .number(figures.workspaceBytes),
      "puts": .number(figures.puts), "replaces": .number(figures.replaces), "peeks": .number(figures.peeks),
      "discards": .number(figures.discards), "drops": .number(figures.drops), "skips": .number(figures.skips),
      "stalls": .number(figures.stalls),
    ])
  }

  private static func export(_ export: Export) -> JSONValue {
    let settings = export.settings
    return .object([
      "name": .text(settings.name), "size": .number(settings.size), "used_bytes": .number(export.usedBytes),
      "quota": .number(orNull: settings.quota), "read_only": .flag(settings.isReadOnly),
      "durability": .text(settings.durability.rawValue), "reserved": .flag(settings.isReserved),
      "tls": .flag(settings.needsTLS), "map_bytes": .number(export.mapBytes),
    ])
  }

  private static func client(_ client: ClientSummary) -> JSONValue {
    .object([
      "peer": .text(client.peer), "export": .text(orNull: client.export), "tls": .flag(client.isEncrypted),
      "requests": .number(client.requests), "bytes_read": .number(client.bytesRead),
      "bytes_written": .number(client.bytesWritten), "errors": .number(client.errors),
    ])
  }

  private static func session(_ daemon: Daemon) -> JSONValue {
    guard let session = daemon.store.sessionSummary else { return .null }
    return .object([
      "name": .text(session.name), "checkpoint": .number(Int(clamping: session.sequence)),
      "bytes_held": .number(session.bytesHeld),
    ])
  }

  private static func level(_ level: LevelStatistics) -> JSONValue {
    .object([
      "name": .text(level.name), "kind": .text(level.kind.rawValue), "note": .text(level.note),
      "pages": .number(level.pages), "ram_bytes": .number(level.ramBytes), "disk_bytes": .number(level.diskBytes),
      "limit_bytes": .number(level.limitBytes), "pages_entered": .number(level.pagesEntered),
      "pages_demoted": .number(level.pagesDemoted), "pages_skipped": .number(level.pagesSkipped),
      "degraded": .text(orNull: level.degraded),
    ])
  }
}
