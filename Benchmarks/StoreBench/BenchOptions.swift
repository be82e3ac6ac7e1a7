// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What the command line says. Words that a part does not use are passed over by it.
struct BenchOptions {
  var part = ""
  var file = ""
  /// Folder of `*.tier.so`.
  var plugins = "bin/plugins"
  /// Where files may be written that are to be on a disk.
  var folder = "."
  var rounds = 5
  var pages = 65536
  /// Fewer pages and rounds: to see that it works, not to judge by.
  var quick = false
  /// Names of tiers, nearest to RAM first.
  var chain: [String] = []
  var sizes = [100_000, 1_000_000, 16_000_000]
  var device = "/dev/zram0"
  var socket = ""
  var export = ""
  var operation = "read"
  var depth = 1
  var seconds = 1.0
  var cgroup = ""
  /// Bytes that RAM holds as it is, in the parts that compare with swap.
  var resident = 0
  var seed: UInt64 = 1

  init(_ arguments: [String]) throws {
    var rest = arguments.dropFirst()
    var names: [String] = []
    func value(_ word: String) throws -> String {
      guard let text = rest.popFirst() else { throw Failure("\(word) needs a value") }
      return text
    }
    func number(_ word: String) throws -> Int {
      let text = try value(word)
      guard let number = Int(text), number >= 0 else { throw Failure("\(word): '\(text)' is no number") }
      return number
    }
    while let word = rest.popFirst() {
      switch word {
      case "--plugins": plugins = try value(word)
      case "--folder": folder = try value(word)
      case "--rounds": rounds = max(1, try number(word))
      case "--pages": pages = max(256, try number(word))
      case "--quick": quick = true
      case "--chain": chain = try value(word).split(separator: ",").map(String.init)
      case "--sizes": sizes = try value(word).split(separator: ",").compactMap { Int($0) }.filter { $0 > 0 }
      case "--device": device = try value(word)
      case "--socket": socket = try value(word)
      case "--export": export = try value(word)
      case "--operation": operation = try value(word)
      case "--depth": depth = max(1, try number(word))
      case "--seconds": seconds = Double(try value(word)) ?? 1
      case "--cgroup": cgroup = try value(word)
      case "--resident": resident = try number(word)
      case "--seed": seed = UInt64(try number(word))
      default:
        guard !word.hasPrefix("--") else { throw Failure("there is no option \(word)") }
        names.append(word)
      }
    }
    guard names.count == 2 else { throw Failure("usage: store-bench PART PAGES-FILE [options]") }
    (part, file) = (names[0], names[1])
  }
}
