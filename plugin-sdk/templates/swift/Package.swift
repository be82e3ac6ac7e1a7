// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// The module's name carries the tier's version: two builds of one Swift module in a process would share the runtime's
// records of their types. Change it together with the version in Tier.swift.
let module = "@MODULE@_0_1_0"

let package = Package(
  name: "@NAME@",
  products: [.library(name: "@NAME@-tier", type: .dynamic, targets: [module])],
  dependencies: [.package(path: "stowage-kit")],
  targets: [
    .target(
      name: module, dependencies: [.product(name: "StowageTier", package: "stowage-kit")], path: "Sources",
      swiftSettings: [
        .treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("InternalImportsByDefault"),
      ],
      // A tier exports its entry and nothing else.
      linkerSettings: [
        .unsafeFlags(["-Xlinker", "--version-script=\(Context.packageDirectory)/stowage-kit/tier.map"])
      ])
  ]
)
