// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let common: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

// Each is a tier of its own, and a pattern to copy from. They are built here only, never by a package that
// uses this one.
let examples = ["Pass", "Xor", "Memory"]

let package = Package(
  name: "plugin-sdk",
  products: [
    // The C header alone: for hosts, and for tiers that want no kit.
    .library(name: "CStowageTier", targets: ["CStowageTier"]),
    // The Swift kit over it.
    .library(name: "StowageTier", targets: ["StowageTier"]),
  ]
    + examples.map { .library(name: "\($0)-tier", type: .dynamic, targets: ["\($0)Tier_1_0_0"]) },
  targets: [
    .systemLibrary(name: "CStowageTier", path: "include"),
    .target(name: "StowageTier", dependencies: ["CStowageTier"], swiftSettings: common),
    .testTarget(name: "StowageTierTests", dependencies: ["StowageTier"], swiftSettings: common),
  ]
    + examples.map {
      .target(
        name: "\($0)Tier_1_0_0", dependencies: ["StowageTier"], path: "Examples/\($0)", swiftSettings: common,
        // A tier exports its entry and nothing else.
        linkerSettings: [
          .unsafeFlags(["-Xlinker", "--version-script=\(Context.packageDirectory)/tier.map"])
        ])
    }
)
