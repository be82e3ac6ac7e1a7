// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageControl
internal import StowageEngine
internal import StowageNBD
internal import StowagePlugins

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve a store as disks, over NBD: swap or disks for machines.",
    discussion: """
      Runs until SIGTERM or SIGINT (or 'stowage suspend'). A store with a session is suspended then, and goes on where \
      it was when it is served again. Without one, what is on the disks would be lost: it says so and goes on, unless \
      --discard is given.

      Settings come from flags, else from the environment (STOWAGE_CONFIG, STOWAGE_LISTEN, STOWAGE_CONTROL, \
      STOWAGE_MEMORY), else from the configuration. It can be started by systemd (Type=notify, socket activation).
      """)

  @Option(
    help: ArgumentHelp(
      "Offer a disk. May be given several times.",
      discussion: """
        Behind the size, with commas: read-only; durable (a flush survives a crash; needs a session); reserve (the chain \
        must have room for all of it); tls (only over TLS); quota=SIZE.
        """, valueName: "name=size[,word...]"))
  var export: [String] = []

  @Option(
    help: ArgumentHelp(
      "Where clients connect: unix:PATH, or tcp:ADDRESS:PORT (default: nbd.sock in the folder of the control socket). "
        + "May be given several times.", valueName: "address"))
  var listen: [String] = []

  @OptionGroup(title: "Control") var control: ControlOptions

  @Option(
    help: ArgumentHelp("What the store may use in all (default: 256 MiB).", valueName: "size"),
    transform: SizeArgument.parse)
  var memory: Int?

  @Option(
    name: .customLong("swap-file"),
    help: ArgumentHelp("Where the chain ends: the path of the last swap file tier.", valueName: "file"))
  var swapFile: String?

  @Option(
    name: .customLong("swap-size"),
    help: ArgumentHelp("The size of that swap file.", valueName: "size"), transform: SizeArgument.parse)
  var swapSize: Int?

  @Option(
    help: ArgumentHelp(
      "Keep what is on the disks in a session of this name, in the swap file, and go on with it if it is there.",
      valueName: "name"))
  var session: String?

  @Flag(help: "Go on with a session also if it has another name, or is used up.") var force = false

  @Flag(help: "Give up what cannot be kept: at the end, and pages of exports that are not offered any more.")
  var discard = false

  @Flag(help: "For the machine's own swap: lock all memory, and take only tiers that allocate none.") var swap = false

  @Option(help: ArgumentHelp("Clients at one time (default: 256).", valueName: "count")) var connections: Int?

  @Flag(help: "Serve addresses that other machines reach also without TLS.") var insecure = false

  @OptionGroup(title: "TLS") var tls: TLSOptions

  @Flag(help: "Say what is served as JSON, a line for each event.") var json = false

  @OptionGroup(title: "Keys") var keys: KeyOptions

  @OptionGroup(title: "Chain") var chain: ChainOptions

  func validate() throws {
    _ = try export.map { try ExportArgument.parse($0) }
    if let connections, connections < 1 || connections > 4096 {
      throw ValidationError("--connections is \(connections); expected 1 to 4096")
    }
  }

  func run() throws {
    // Who reads the output may end before this does.
    signal(SIGPIPE, SIG_IGN)
    var command = self
    let environment = try ServeEnvironment.current
    command.chain.config = chain.config ?? environment.config
    let file = try command.chain.config.map { try ConfigurationFile.read($0) } ?? ChainSettings()
    let settings = try command.merged(file.serve, environment)
    let daemon = try Daemon(command: command, settings: settings, file: file, memory: memory ?? environment.memory)
    guard try daemon.run() else { throw ExitCode(1) }
  }

  /// The configuration's settings, the environment's and the flags' in their place.
  private func merged(_ file: ServeSettings, _ environment: ServeEnvironment) throws -> ServeSettings {
    var settings = file
    let addresses = listen.isEmpty ? environment.listen : listen
    if !addresses.isEmpty { settings.listen = addresses }
    settings.control = ControlPath.resolve(control.path, configured: file.control)
    settings.connections = connections ?? settings.connections
    settings.session = session ?? settings.session
    if swap { settings.swap = true }
    if discard { settings.discard = true }
    if insecure { settings.insecure = true }
    tls.apply(to: &settings.tls)
    let given = try export.map { try ExportArgument.parse($0) }
    settings.exports = settings.exports.filter { old in !given.contains { $0.name == old.name } } + given
    return settings
  }
}

/// What the environment says.
struct ServeEnvironment {
  var config: String?
  var listen: [String]
  var memory: Int?

  static var current: ServeEnvironment {
    get throws {
      func value(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
      }
      var memory: Int?
      if let text = value("STOWAGE_MEMORY") {
        guard let bytes = SizeText.parse(text), bytes > 0 else {
          throw ExportError("STOWAGE_MEMORY is '\(DisplayText.plain(text))'; expected \(SizeText.expected)")
        }
        memory = Int(bytes)
      }
      return ServeEnvironment(
        config: value("STOWAGE_CONFIG"),
        listen: value("STOWAGE_LISTEN")?.split(separator: ",").map(String.init) ?? [], memory: memory)
    }
  }
}

/// An export as --export says it.
enum ExportArgument {
  static func parse(_ text: String) throws -> ExportText {
    let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let sides = words[0].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard sides.count == 2, let size = SizeText.parse(sides[1]), size > 0 else {
      throw ValidationError(
        "--export \(DisplayText.plain(text)): expected NAME=SIZE, such as swap=8GiB, and words behind commas")
    }
    var export = ExportText(name: sides[0], size: Int(size))
    for word in words.dropFirst() {
      switch word {
      case "read-only": export.isReadOnly = true
      case "durable": export.isDurable = true
      case "volatile": export.isDurable = false
      case "reserve": export.isReserved = true
      case "tls": export.needsTLS = true
      case _ where word.hasPrefix("quota="):
        guard let bytes = SizeText.parse(String(word.dropFirst(6))), bytes > 0 else { fallthrough }
        export.quota = Int(bytes)
      default:
        throw ValidationError(
          "--export \(DisplayText.plain(text)): '\(DisplayText.plain(word))' is none of read-only, durable, volatile, "
            + "reserve, tls, quota=SIZE")
      }
    }
    return export
  }
}

/// The files of TLS.
struct TLSOptions: ParsableArguments {
  @Option(name: .customLong("tls-certificate"), help: ArgumentHelp("The server's certificate, PEM.", valueName: "file"))
  var certificate: String?
  @Option(name: .customLong("tls-key"), help: ArgumentHelp("Its private key, PEM.", valueName: "file"))
  var key: String?
  @Option(
    name: .customLong("tls-client-authority"),
    help: ArgumentHelp("Clients must have a certificate that this one signed, PEM.", valueName: "file"))
  var clientAuthority: String?
  @Option(
    name: .customLong("tls-psk"),
    help: ArgumentHelp("Keys that both sides know: lines of NAME:KEY, as psktool writes them.", valueName: "file"))
  var psk: String?
  @Flag(name: .customLong("tls-required"), help: "Serve nobody without TLS.") var isRequired = false

  func apply(to settings: inout TLSFileSettings) {
    settings.certificate = certificate.map { FilePaths.absolute($0) } ?? settings.certificate
    settings.key = key.map { FilePaths.absolute($0) } ?? settings.key
    settings.clientAuthority = clientAuthority.map { FilePaths.absolute($0) } ?? settings.clientAuthority
    settings.psk = psk.map { FilePaths.absolute($0) } ?? settings.psk
    if isRequired { settings.isRequired = true }
  }
}
