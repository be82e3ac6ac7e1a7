// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc

/// What of this process a tier could change, at one moment.
struct Surroundings {
  /// By id, their names.
  let threads: [String: String]
  /// By number, what is behind them.
  let descriptors: [String: String]
  /// What belongs to the whole process, by name.
  let process: [String: String]

  static func now() -> Surroundings {
    Surroundings(threads: threadNames(), descriptors: openDescriptors(), process: processState())
  }

  private static func list(_ folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private static func threadNames() -> [String: String] {
    var names: [String: String] = [:]
    for id in list("/proc/self/task") {
      let name = FileManager.default.contents(atPath: "/proc/self/task/\(id)/comm").map {
        String(decoding: $0, as: UTF8.self)
      }
      names[id] = name?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    }
    return names
  }

  private static func openDescriptors() -> [String: String] {
    var links: [String: String] = [:]
    for number in list("/proc/self/fd") {
      // The one that the listing itself needed is gone by now.
      var target = [CChar](repeating: 0, count: 4096)
      let count = readlink("/proc/self/fd/\(number)", &target, target.count - 1)
      if count > 0 { links[number] = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    }
    return links
  }

  private static func processState() -> [String: String] {
    var state: [String: String] = [:]
    state["working folder"] = FileManager.default.currentDirectoryPath
    let mask = umask(0)
    umask(mask)
    state["umask"] = String(mask, radix: 8)
    for number in 1...64 {
      var action = sigaction()
      if sigaction(Int32(number), nil, &action) == 0 {
        state["handler of signal \(number)"] = withUnsafeBytes(of: action) { "\($0.load(as: UInt.self))" }
      }
    }
    var blocked = sigset_t()
    if pthread_sigmask(SIG_BLOCK, nil, &blocked) == 0 {
      state["signal mask"] = withUnsafeBytes(of: blocked) { $0.map { String($0) }.joined(separator: ",") }
    }
    for (key, value) in ProcessInfo.processInfo.environment { state["environment variable \(key)"] = value }
    state["locale"] = setlocale(LC_ALL, nil).map { String(cString: $0) }
    return state
  }

  /// What is in the one and not, or otherwise, in the other, for people; empty when nothing is.
  static func changes(_ before: [String: String], _ after: [String: String]) -> [String] {
    Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }.sorted().map { key in
      switch (before[key], after[key]) {
      case (nil, let new?): "\(key) is new\(new.isEmpty ? "" : " (\(new))")"
      case (let old?, nil): "\(key) is gone\(old.isEmpty ? "" : " (\(old))")"
      default: "\(key) was \(before[key] ?? "") and is \(after[key] ?? "")"
      }
    }
  }
}
