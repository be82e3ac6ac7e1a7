// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// The fixed newstyle handshake, from the greeting to the transmission phase. Not the data path: it may allocate, but it is
/// bounded in time, in options and in bytes.
struct Handshake {
  /// How long it may take, in nanoseconds: a client that knows what it wants needs some milliseconds.
  static let patience: UInt64 = 10_000_000_000
  private static let optionsMax = 256
  /// Longer options are refused as too big; much longer ones end the connection.
  private static let optionBytesMax = 64 << 10
  private static let optionBytesSkipped: UInt32 = 256 << 10

  /// What connections have in common.
  let service: Service
  private(set) var transport: Transport
  private let deadline: UInt64
  private var skipsZeroes = false
  private var hasStructuredReplies = false
  /// The export that contexts were set for, and they.
  private var contexts: (name: String, list: [MetaContext])?

  init(_ transport: Transport, _ service: Service) {
    self.transport = transport
    self.service = service
    deadline = monotonicNow() &+ Self.patience
  }

  /// - Returns: nil when there is nothing to serve: the client went, or broke the protocol.
  mutating func run() -> Negotiated? {
    var greeting = MessageBytes()
    greeting.append(NBD.magic)
    greeting.append(NBD.optionMagic)
    greeting.append(NBD.fixedNewstyle | NBD.noZeroes)
    guard send(greeting), let flags = receiveNumber(UInt32.self) else { return nil }
    // Unknown flags of the client end the connection: it would go on in a way that is not known here.
    guard flags & ~UInt32(NBD.fixedNewstyle | NBD.noZeroes) == 0, flags & UInt32(NBD.fixedNewstyle) != 0 else {
      return nil
    }
    skipsZeroes = flags & UInt32(NBD.noZeroes) != 0
    for _ in 0..<Self.optionsMax {
      switch nextOption() {
      case .goOn: continue
      case .end: return nil
      case .enter(let export):
        let isForThis = contexts.map { service.exports.named($0.name)?.number == export.number } ?? false
        return Negotiated(
          export: export, hasStructuredReplies: hasStructuredReplies, contexts: isForThis ? contexts?.list ?? [] : [])
      }
    }
    return nil
  }

  private enum Step {
    case goOn, end
    case enter(Export)
  }

  /// Why an option is answered with an error; the client may go on.
  private struct Refusal: Error {
    let type: UInt32
    let reason: String

    init(_ type: UInt32, _ reason: String) { (self.type, self.reason) = (type, reason) }
    static func invalid(_ reason: String) -> Refusal { Refusal(NBD.OptionReply.invalid, reason) }
  }

  private mutating func nextOption() -> Step {
    guard receiveNumber(UInt64.self) == NBD.optionMagic, let option = receiveNumber(UInt32.self),
      let length = receiveNumber(UInt32.self), length <= Self.optionBytesSkipped, let data = receive(Int(length))
    else { return .end }
    // This one option has no reply that says no.
    if option == NBD.Option.exportName, service.isEnding || data.count > Self.optionBytesMax || isTLSMissing {
      return .end
    }
    do throws(Refusal) {
      return try answer(option, data)
    } catch {
      return reply(option, error.type, error.reason)
    }
  }

  private var isTLSMissing: Bool { service.requiresTLS && !transport.isEncrypted }

  private mutating func answer(_ option: UInt32, _ data: [UInt8]) throws(Refusal) -> Step {
    guard data.count <= Self.optionBytesMax else {
      throw Refusal(NBD.OptionReply.tooBig, "the option is too long")
    }
    if option == NBD.Option.abort {
      _ = reply(option, NBD.OptionReply.ack)
      return .end
    }
    if service.isEnding { throw Refusal(NBD.OptionReply.shutdown, "the server is shutting down") }
    if isTLSMissing, option != NBD.Option.startTLS {
      throw Refusal(NBD.OptionReply.tlsRequired, "this server needs TLS")
    }
    switch option {
    case NBD.Option.exportName: return enterByName(data)
    case NBD.Option.startTLS: return try startTLS(data)
    case NBD.Option.list: return try list(data)
    case NBD.Option.info, NBD.Option.go: return try info(option, data)
    case NBD.Option.structuredReply:
      try checkEmpty(data)
      hasStructuredReplies = true
      return reply(option, NBD.OptionReply.ack)
    case NBD.Option.listMetaContext, NBD.Option.setMetaContext: return try metaContext(option, data)
    default: throw Refusal(NBD.OptionReply.unsupported, "option \(option) is not known here")
    }
  }

  private func checkEmpty(_ data: [UInt8]) throws(Refusal) {
    guard data.isEmpty else { throw .invalid("this option has no data") }
  }

  private mutating func startTLS(_ data: [UInt8]) throws(Refusal) -> Step {
    guard data.isEmpty, !transport.isEncrypted else {
      throw .invalid("TLS is on already, or the option has data")
    }
    guard let tls = service.tls else { throw Refusal(NBD.OptionReply.policy, "this server has no TLS") }
    guard case .goOn = reply(NBD.Option.startTLS, NBD.OptionReply.ack) else { return .end }
    guard let encrypted = transport.startingTLS(tls.context, deadline: deadline) else {
      service.noteTLSFailure()
      return .end
    }
    // What was agreed in the clear does not count: somebody else may have said it.
    transport = encrypted
    hasStructuredReplies = false
    contexts = nil
    return .goOn
  }

  // MARK: Exports

  /// Whether a client may use it as it is connected.
  private func isOpen(_ export: Export) -> Bool { !export.settings.needsTLS || transport.isEncrypted }

  /// The export that an option names, of which `reader` has read all that belongs to it.
  private func export(named name: String, _ reader: MessageReader) throws(Refusal) -> Export {
    guard reader.isAtEnd else { throw .invalid("the option is longer than it says") }
    guard let export = service.exports.named(name) else {
      throw Refusal(NBD.OptionReply.unknown, "there is no export of that name")
    }
    guard isOpen(export) else { throw Refusal(NBD.OptionReply.tlsRequired, "this export needs TLS") }
    return export
  }

  private mutating func enterByName(_ data: [UInt8]) -> Step {
    guard let name = String(validating: data, as: UTF8.self), let export = service.exports.named(name), isOpen(export)
    else {
      return .end
    }
    var answer = MessageBytes()
    answer.append(UInt64(export.size))
    answer.append(flags(export))
    if !skipsZeroes { answer.append(zeros: 124) }
    return send(answer) ? .enter(export) : .end
  }

  private func flags(_ export: Export) -> UInt16 {
    typealias Flag = NBD.Flag
    // Every connection works on the same store, so what one has flushed all have.
    var flags = Flag.hasFlags | Flag.sendFlush | Flag.sendFUA | Flag.canMultiConn | Flag.sendCache
    flags |= export.settings.isReadOnly ? Flag.readOnly : Flag.sendTrim | Flag.sendWriteZeroes | Flag.sendFastZero
    if hasStructuredReplies { flags |= Flag.sendDF }
    return flags
  }

  private mutating func list(_ data: [UInt8]) throws(Refusal) -> Step {
    let option = NBD.Option.list
    try checkEmpty(data)
    for export in service.exports.exports where isOpen(export) {
      var item = MessageBytes()
      item.append(UInt32(export.settings.name.utf8.count))
      item.append(text: export.settings.name)
      item.append(text: export.settings.description)
      guard reply(option, NBD.OptionReply.server, item) else { return .end }
    }
    return reply(option, NBD.OptionReply.ack)
  }

  private mutating func info(_ option: UInt32, _ data: [UInt8]) throws(Refusal) -> Step {
    var reader = MessageReader(data)
    guard let name = reader.text(), let count = reader.number(UInt16.self) else {
      throw .invalid("the option is cut short")
    }
    var wanted: Set<UInt16> = []
    for _ in 0..<count {
      guard let item = reader.number(UInt16.self) else { throw .invalid("the option is cut short") }
      wanted.insert(item)
    }
    let export = try export(named: name, reader)
    for item in items(export, wanted) {
      guard reply(option, NBD.OptionReply.info, item) else { return .end }
    }
    guard case .goOn = reply(option, NBD.OptionReply.ack) else { return .end }
    return option == NBD.Option.go ? .enter(export) : .goOn
  }

  private func items(_ export: Export, _ wanted: Set<UInt16>) -> [MessageBytes] {
    func item(_ number: UInt16, _ fill: (inout MessageBytes) -> Void) -> MessageBytes {
      var item = MessageBytes()
      item.append(number)
      fill(&item)
      return item
    }
    var items = [
      item(NBD.Info.export) {
        $0.append(UInt64(export.size))
        $0.append(flags(export))
      },
      // Any alignment works; pages are fast.
      item(NBD.Info.blockSize) {
        $0.append(UInt32(1))
        $0.append(UInt32(export.pageSize))
        $0.append(UInt32(NBD.requestBytesMax))
      },
    ]
    if wanted.contains(NBD.Info.name) { items.append(item(NBD.Info.name) { $0.append(text: export.settings.name) }) }
    if wanted.contains(NBD.Info.description), !export.settings.description.isEmpty {
      items.append(item(NBD.Info.description) { $0.append(text: export.settings.description) })
    }
    return items
  }

  // MARK: Contexts

  private mutating func metaContext(_ option: UInt32, _ data: [UInt8]) throws(Refusal) -> Step {
    // What was set before does not count any more, also when this fails.
    if option == NBD.Option.setMetaContext { contexts = nil }
    guard hasStructuredReplies else { throw .invalid("structured replies must be agreed on before") }
    var reader = MessageReader(data)
    guard let name = reader.text(), let count = reader.number(UInt32.self), count <= 1024 else {
      throw .invalid("the option is cut short, or asks for too much")
    }
    var queries: [String] = []
    for _ in 0..<count {
      guard let query = reader.text() else { throw .invalid("the option is cut short, or a query is no text") }
      queries.append(query)
    }
    _ = try export(named: name, reader)
    let isSet = option == NBD.Option.setMetaContext
    let found = MetaContext.allCases.filter { context in
      queries.contains { $0 == context.name || (!isSet && context.name.hasPrefix($0) && $0.hasSuffix(":")) }
        || (!isSet && queries.isEmpty)
    }
    if isSet { contexts = (name, found) }
    for context in found {
      var item = MessageBytes()
      item.append(isSet ? context.rawValue : 0)
      item.append(text: context.name)
      guard reply(option, NBD.OptionReply.metaContext, item) else { return .end }
    }
    return reply(option, NBD.OptionReply.ack)
  }

  // MARK: Bytes

  private func reply(_ option: UInt32, _ type: UInt32, _ message: String = "") -> Step {
    var data = MessageBytes()
    data.append(text: message)
    return reply(option, type, data) ? .goOn : .end
  }

  private func reply(_ option: UInt32, _ type: UInt32, _ data: MessageBytes) -> Bool {
    var message = MessageBytes()
    message.append(NBD.optionReplyMagic)
    message.append(option)
    message.append(type)
    message.append(UInt32(data.bytes.count))
    return send(message) && (data.bytes.isEmpty || send(data))
  }

  private func send(_ message: MessageBytes) -> Bool {
    message.bytes.withUnsafeBytes { transport.send($0.baseAddress.unsafelyUnwrapped, $0.count, deadline: deadline) }
  }

  private func receive(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes {
        transport.receive($0.baseAddress.unsafelyUnwrapped + done, count - done, deadline: deadline)
      }
      guard got > 0 else { return nil }
      done += got
    }
    return bytes
  }

  private func receiveNumber<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type) -> Number? {
    guard let bytes = receive(MemoryLayout<Number>.size) else { return nil }
    return bytes.withUnsafeBytes { $0.baseAddress.unsafelyUnwrapped.big(0, as: type) }
  }
}
