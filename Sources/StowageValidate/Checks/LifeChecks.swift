// SPDX-License-Identifier: Apache-2.0

/// Instances from open to close.
enum LifeChecks {
  static let all = [open]

  static let open = Check(
    "life-open", .life, needs: ["loading-entry"],
    proves: "An instance opens with default options and closes again.",
    advice: "open must answer STOWAGE_OK with valid options and set *instance; say with set_error why it cannot."
  ) { run in
    let tier = try run.open()
    run.summary = "opened and closed"
    try run.expect(true, "")
    tier.close()
  }
}
