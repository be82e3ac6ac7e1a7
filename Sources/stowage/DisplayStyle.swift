// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageTrial

extension TrialDisplay.Style {
  /// What a descriptor can show: a bar on a terminal, lines elsewhere.
  /// - Parameter isPlainWanted: whether anything is to be shown where there is no terminal.
  static func fit(for target: Int32, isPlainWanted: Bool) -> Self {
    guard Terminal.isTerminal(target) else { return isPlainWanted ? .plain : .none }
    let term = getenv("TERM").map { String(cString: $0) } ?? ""
    guard !term.isEmpty, term != "dumb" else { return .plain }
    return .live(isUnicode: isUnicode) { Terminal.width(target) ?? 80 }
  }

  /// Whether the locale is one of UTF-8.
  private static var isUnicode: Bool {
    for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
      guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { continue }
      let locale = value.lowercased()
      return locale.contains("utf-8") || locale.contains("utf8")
    }
    return false
  }
}
