// SPDX-License-Identifier: Apache-2.0
import CStowageTrial
import Glibc
internal import StowageBasics

/// The body of the helper process that holds real data in its memory, for a machine whose processes
/// are too small to fill a trial: shared objects, text, and data structures built from that text.
///
/// It says `ready` on its standard output when everything is in place and ends when its standard
/// input does.
public enum DataHolder {
  static let command = "__hold-data"

  /// Arguments that make this program such a helper of the calling process.
  static func arguments(bytes: Int, seed: UInt64) -> [String] {
    [command, String(getpid()), String(bytes), String(seed)]
  }

  /// Call this first in `main`: when the process was started as a helper it does its work and never
  /// returns.
  public static func runIfAsked() {
    let arguments = CommandLine.arguments
    guard arguments.count == 5, arguments[1] == command, let parent = Int32(arguments[2]),
      let bytes = Int(arguments[3]), let seed = UInt64(arguments[4])
    else { return }
    stowage_trial_die_with(parent)
    var data = HeldData(budget: bytes)
    data.fill(from: SystemFiles.list(seed: seed), seed: seed)
    let word = data.isEmpty ? "empty\n" : "ready\n"
    _ = write(STDOUT_FILENO, word, word.utf8.count)
    withExtendedLifetime(data) {
      var byte: UInt8 = 0
      while read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR { errno = 0 }
    }
    exit(0)
  }
}

/// Real data in anonymous memory.
private struct HeldData {
  /// What one part of the data may take, as shares of the budget.
  private static let objectShare = 0.45
  private static let textShare = 0.3
  private static let longestPiece = 2 << 20

  private let budget: Int
  private let atStart = HeldData.ownBytes()
  private var objectBytes = 0
  private var textBytes = 0
  private var pieces: [UnsafeMutableRawBufferPointer] = []
  private var indexes: [WordIndex] = []

  init(budget: Int) { self.budget = budget }

  var isEmpty: Bool { pieces.isEmpty }

  /// Resident anonymous memory of this process.
  private static func ownBytes() -> Int {
    OpenFile.contents(of: "/proc/self/status").flatMap(ProcessList.anonymousBytes) ?? 0
  }

  private var heldBytes: Int { Self.ownBytes() - atStart }

  /// Loads until the budget is used, beginning again with the files when they are not enough.
  mutating func fill(from files: [SystemFiles.File], seed: UInt64) {
    var generator = SeededRandom(seed: seed)
    // The shares leave a quarter to data structures; when those want less, the second round ignores
    // the shares.
    for sharesHold in [true, false] {
      repeat {
        let before = pieces.count
        for file in files {
          // What listing the files took is counted too: a small budget still gets a piece.
          guard pieces.isEmpty || heldBytes < budget else { return }
          load(file, sharesHold: sharesHold, &generator)
        }
        if pieces.count == before { break }
      } while !sharesHold
    }
  }

  private mutating func load(
    _ file: SystemFiles.File, sharesHold: Bool, _ generator: inout SeededRandom
  ) {
    guard case .success(let handle) = OpenFile.reading(file.path),
      let kind = Self.kind(of: handle)
    else { return }
    let share = kind == .object ? Self.objectShare : Self.textShare
    let used = kind == .object ? objectBytes : textBytes
    if sharesHold, Double(used) >= share * Double(budget) {
      // There is enough such text; what may still be wanted is structures.
      guard kind == .text else { return }
    }
    let length = min(file.bytes, Self.longestPiece)
    let offset = Int.random(in: 0...(file.bytes - length), using: &generator) & ~4095
    guard let piece = Self.copy(handle, offset: offset, length: length) else { return }
    pieces.append(piece)
    switch kind {
    case .object: objectBytes += length
    case .text:
      textBytes += length
      let structures = heldBytes - objectBytes - textBytes
      if Double(structures) < (1 - Self.objectShare - Self.textShare) * Double(budget) {
        indexes.append(WordIndex(of: piece))
      }
    }
  }

  private enum Kind { case object, text }

  /// nil for what memory rarely holds in bulk, such as packed archives and pictures.
  private static func kind(of file: OpenFile) -> Kind? {
    withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 8) { head in
      let got = file.read(into: head, at: 0)
      guard got == head.count else { return nil }
      if head.prefix(4).elementsEqual([0x7F, 0x45, 0x4C, 0x46]) { return .object }
      let isText = head.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x0A || $0 == 0x09 || $0 == 0x0D }
      return isText ? .text : nil
    }
  }

  /// A copy in anonymous memory of its own.
  private static func copy(_ file: OpenFile, offset: Int, length: Int) -> UnsafeMutableRawBufferPointer? {
    let map = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let map, map != MAP_FAILED else { return nil }
    let buffer = UnsafeMutableRawBufferPointer(start: map, count: length)
    guard file.read(into: buffer, at: offset) > 0 else {
      munmap(map, length)
      return nil
    }
    return buffer
  }
}

/// Where each word of a text stands: a hash table of strings and small arrays, as programs have them.
private struct WordIndex {
  private var places: [String: [Int32]] = [:]

  init(of text: UnsafeMutableRawBufferPointer) {
    var start = 0
    for (place, byte) in text.enumerated() {
      let isLetter = byte >= 0x80 || byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte == 0x5F
      if isLetter { continue }
      if place > start + 2 {
        let word = String(decoding: text[start..<place], as: UTF8.self)
        places[word, default: []].append(Int32(place))
      }
      start = place + 1
    }
  }
}
