// SPDX-License-Identifier: Apache-2.0

/// The numbers of the NBD protocol: `doc/proto.md` of the reference implementation
/// (https://github.com/NetworkBlockDevice/nbd), fixed newstyle. All are sent with the highest byte first.
enum NBD {
  /// "NBDMAGIC", then "IHAVEOPT": what a server greets with; the second begins each option, too.
  static let magic: UInt64 = 0x4E42_444D_4147_4943
  static let optionMagic: UInt64 = 0x4948_4156_454F_5054
  static let optionReplyMagic: UInt64 = 0x0003_E889_0455_65A9
  static let requestMagic: UInt32 = 0x2560_9513
  static let simpleReplyMagic: UInt32 = 0x6744_6698
  static let structuredReplyMagic: UInt32 = 0x668E_33EF

  /// Bytes of a request, of a simple reply, and of a structured reply's head.
  static let requestBytes = 28
  static let simpleReplyBytes = 16
  static let structuredReplyBytes = 20
  /// The default port (IANA).
  static let port: UInt16 = 10809
  /// The longest name of an export or a context.
  static let nameBytesMax = 4096
  /// What a client may ask for at once; advertised.
  static let requestBytesMax = 32 << 20

  /// Flags of the handshake: the server's, and the client's in answer.
  static let fixedNewstyle: UInt16 = 1 << 0
  static let noZeroes: UInt16 = 1 << 1

  /// Flags of an export.
  enum Flag {
    static let hasFlags: UInt16 = 1 << 0
    static let readOnly: UInt16 = 1 << 1
    static let sendFlush: UInt16 = 1 << 2
    static let sendFUA: UInt16 = 1 << 3
    static let sendTrim: UInt16 = 1 << 5
    static let sendWriteZeroes: UInt16 = 1 << 6
    static let sendDF: UInt16 = 1 << 7
    static let canMultiConn: UInt16 = 1 << 8
    static let sendCache: UInt16 = 1 << 10
    static let sendFastZero: UInt16 = 1 << 11
  }

  enum Option {
    static let exportName: UInt32 = 1
    static let abort: UInt32 = 2
    static let list: UInt32 = 3
    static let startTLS: UInt32 = 5
    static let info: UInt32 = 6
    static let go: UInt32 = 7
    static let structuredReply: UInt32 = 8
    static let listMetaContext: UInt32 = 9
    static let setMetaContext: UInt32 = 10
  }

  enum OptionReply {
    static let ack: UInt32 = 1
    static let server: UInt32 = 2
    static let info: UInt32 = 3
    static let metaContext: UInt32 = 4
    static let unsupported: UInt32 = 1 << 31 | 1
    static let policy: UInt32 = 1 << 31 | 2
    static let invalid: UInt32 = 1 << 31 | 3
    static let tlsRequired: UInt32 = 1 << 31 | 5
    static let unknown: UInt32 = 1 << 31 | 6
    static let shutdown: UInt32 = 1 << 31 | 7
    static let tooBig: UInt32 = 1 << 31 | 9
  }

  /// Items of information in answer to INFO and GO.
  enum Info {
    static let export: UInt16 = 0
    static let name: UInt16 = 1
    static let description: UInt16 = 2
    static let blockSize: UInt16 = 3
  }

  enum Command {
    static let read: UInt16 = 0
    static let write: UInt16 = 1
    static let disconnect: UInt16 = 2
    static let flush: UInt16 = 3
    static let trim: UInt16 = 4
    static let cache: UInt16 = 5
    static let writeZeroes: UInt16 = 6
    static let blockStatus: UInt16 = 7
  }

  enum CommandFlag {
    static let fua: UInt16 = 1 << 0
    static let noHole: UInt16 = 1 << 1
    static let df: UInt16 = 1 << 2
    static let reqOne: UInt16 = 1 << 3
    static let fastZero: UInt16 = 1 << 4
  }

  enum Chunk {
    static let done: UInt16 = 1 << 0
    static let none: UInt16 = 0
    static let offsetData: UInt16 = 1
    static let offsetHole: UInt16 = 2
    static let blockStatus: UInt16 = 5
    static let error: UInt16 = 1 << 15 | 1
    static let errorOffset: UInt16 = 1 << 15 | 2
  }

  /// Of the context `base:allocation`.
  enum State {
    static let hole: UInt32 = 1 << 0
    static let zero: UInt32 = 1 << 1
  }
}

/// How a request ended, as the protocol numbers it.
enum NBDStatus: UInt32 {
  case ok = 0
  case notPermitted = 1
  case io = 5
  case invalid = 22
  case noSpace = 28
  case overflow = 75
  case notSupported = 95
  case shutdown = 108

  /// For the people at the client, where the protocol has room for it.
  var message: StaticString {
    switch self {
    case .ok: "no error"
    case .notPermitted: "this export is read-only"
    case .io: "the store cannot give or keep a page of it now, or the page is damaged; the server's log says more"
    case .invalid: "no such command or flag, or not within the export"
    case .noSpace: "past the end of the export, over its quota, or the store is full"
    case .overflow: "too long to be answered in one piece"
    case .notSupported: "not supported"
    case .shutdown: "the server is shutting down"
    }
  }
}
