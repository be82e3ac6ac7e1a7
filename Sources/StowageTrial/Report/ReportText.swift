// SPDX-License-Identifier: Apache-2.0

extension TrialReport {
  /// The report for people: the growth table first, then figures, then the verdict.
  public func text() -> String {
    var parts = [growthTable(), phaseTable(), figures()]
    if !failures.isEmpty {
      parts.append((["FAILED"] + failures.map { "  " + $0 }).joined(separator: "\n"))
    }
    parts.append(verdict())
    return parts.joined(separator: "\n\n")
  }

  private func growthTable() -> String {
    var table = TextColumns(["level", "RAM/page", "disk/page", "pages", "RAM", "disk", "entered"])
    for level in levels {
      table.add([
        level.name, bytes(level.ramBytesPerPage), bytes(level.diskBytesPerPage), grouped(level.pages),
        "\(SizeLabel(level.ramBytes))", level.diskBytes == 0 ? "-" : "\(SizeLabel(level.diskBytes))",
        grouped(level.pagesEntered),
      ])
    }
    let notes = levels.filter { !$0.note.isEmpty }.map { "  \($0.name): \($0.note)" }
    return """
      Growth table. Bytes per page: of the same \(grouped(cohortPages)) pages at every level.
      Pages, RAM and disk: at the fullest, which is the end of the burst.

      \(table.text())
      """ + notes.map { "\n" + $0 }.joined()
  }

  private func bytes(_ value: Double?) -> String {
    guard let value, value > 0 else { return "-" }
    return decimal(value, 0) + " B"
  }

  private func phaseTable() -> String {
    var table = TextColumns(["phase", "pages", "seconds", "pages/s", "p50", "p99", "skips", "RAM peak"])
    for phase in phases {
      table.add([
        phase.name, grouped(phase.pages), decimal(phase.seconds, 1), decimal(phase.pagesPerS, 0),
        microseconds(phase.p50Us), microseconds(phase.p99Us), grouped(phase.skips),
        "\(SizeLabel(phase.ramPeakBytes))",
      ])
    }
    return table.text()
  }

  private func microseconds(_ value: Double) -> String { decimal(value, 1) + " us" }

  private func figures() -> String {
    func calls(_ name: String, _ calls: Calls) -> String {
      "\(name) \(decimal(calls.pagesPerS, 0)) pages/s within the calls, p50 \(microseconds(calls.p50Us)), "
        + "p99 \(microseconds(calls.p99Us))"
    }
    let share = ramLimitBytes == 0 ? 0 : Double(ramPeakBytes) * 100 / Double(ramLimitBytes)
    let lines = [
      calls("put       ", put),
      calls("take      ", take),
      "moved      \(grouped(demotions)) demotions, \(grouped(skips)) skips of levels",
      "dropped    \(grouped(discarded)) of \(grouped(discardablePages)) discardable pages, "
        + "with \(grouped(destructorCalls)) destructor calls",
      "RAM        peak \(SizeLabel(ramPeakBytes)) above the start, limit \(SizeLabel(ramLimitBytes))"
        + " (\(decimal(share, 0)) %)",
      "input      \(grouped(persistentPages)) persistent and \(grouped(discardablePages)) discardable pages"
        + " of \(grouped(pageSize)) bytes, \(grouped(sameFilledPages)) of one repeated word, seed \(seed)",
    ]
    return lines.joined(separator: "\n")
  }

  private func verdict() -> String {
    var lines: [String] = []
    if let full {
      lines.append("The store took \(grouped(pages)) pages and then no more: \(full)")
    }
    if absentPages > 0 {
      lines.append("\(grouped(absentPages)) pages were gone from their processes before their turn came.")
    }
    if filesChanged > 0 {
      lines.append("\(grouped(filesChanged)) dropped pages are of files that changed meanwhile; not compared.")
    }
    if isSuccess {
      lines.append(
        "All \(grouped(pages - discarded)) pages that were still there came back as they were put"
          + (discarded == 0 ? "." : "; the \(grouped(discarded)) dropped ones were read again from their files."))
    } else {
      lines.append(
        "NOT all is well: \(grouped(mismatches)) pages came back with other bytes, \(grouped(lost)) were lost, "
          + "\(grouped(destructorFaults)) destructors were not called once.")
    }
    return lines.joined(separator: "\n")
  }
}

/// Lines of cells in columns: the first to the left, the others to the right.
struct TextColumns {
  private var rows: [[String]]

  init(_ titles: [String]) { rows = [titles] }

  mutating func add(_ row: [String]) { rows.append(row) }

  func text() -> String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max()! }
    return rows.map { row in
      let first = row[0] + String(repeating: " ", count: widths[0] - row[0].count)
      return zip(row, widths).dropFirst().reduce(first) { $0 + "  " + padded($1.0, $1.1) }
    }.joined(separator: "\n")
  }
}
