// SPDX-License-Identifier: Apache-2.0

/// Whether bytes are a whole ELF shared library for this machine. The dynamic linker says so too, but
/// with a bus error when the file is cut short.
package struct ElfCheck {
  private let bytes: UnsafeRawBufferPointer
  private static let headerBytes = 64
  private static let programHeaderBytes = 56

  package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Why it is none; nil if it is one.
  package func objection() -> String? {
    guard bytes.count >= 4, bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46]) else {
      return "it is no shared library (no ELF file)"
    }
    guard bytes.count >= Self.headerBytes else { return cut(Self.headerBytes) }
    guard bytes[4] == 2, bytes[5] == 1 else {
      return "it is built for another machine (ELF class \(bytes[4]), byte order \(bytes[5]))"
    }
    let type = number16(16)
    guard type == 3 else { return "it is an ELF file, but no shared library (type \(type), expected 3)" }
    let machine = number16(18)
    guard machine == Self.ownMachine else {
      return
        "it is built for another machine (\(Self.machineName(machine)), this is \(Self.machineName(Self.ownMachine)))"
    }
    return segments()
  }

  /// Every part that gets mapped must be in the file.
  private func segments() -> String? {
    guard number16(54) == Self.programHeaderBytes else { return "its ELF program headers make no sense" }
    let start = number64(32)
    let count = UInt64(number16(56))
    let (end, overflow) = start.addingReportingOverflow(count * UInt64(Self.programHeaderBytes))
    guard !overflow, end <= UInt64(bytes.count) else { return cut(overflow ? Int.max : Int(clamping: end)) }
    for index in 0..<Int(count) {
      let header = Int(start) + index * Self.programHeaderBytes
      guard number32(header) == 1 else { continue }
      let (last, tooFar) = number64(header + 8).addingReportingOverflow(number64(header + 32))
      guard !tooFar, last <= UInt64(bytes.count) else { return cut(Int(clamping: last)) }
    }
    return nil
  }

  private func cut(_ needed: Int) -> String {
    "the file is cut short: it has \(bytes.count) bytes and needs at least \(needed); install it again"
  }

  private func number16(_ at: Int) -> UInt16 {
    UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
  }
  private func number32(_ at: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
  }
  private func number64(_ at: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }

  #if arch(x86_64)
    static let ownMachine: UInt16 = 62
  #elseif arch(arm64)
    static let ownMachine: UInt16 = 183
  #elseif arch(riscv64)
    static let ownMachine: UInt16 = 243
  #else
    #error("add this machine's ELF number")
  #endif

  private static func machineName(_ machine: UInt16) -> String {
    switch machine {
    case 3: "x86"
    case 40: "arm"
    case 62: "x86-64"
    case 183: "arm64"
    case 243: "riscv"
    default: "ELF machine \(machine)"
    }
  }
}
