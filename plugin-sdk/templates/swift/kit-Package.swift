// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// Stowage's tier kit: the header and the Swift layer over it.
let package = Package(
  name: "stowage-kit",
  products: [
    .library(name: "CStowageTier", targets: ["CStowageTier"]),
    .library(name: "StowageTier", targets: ["StowageTier"]),
  ],
  targets: [
    .systemLibrary(name: "CStowageTier", path: "include"),
    .target(
      name: "StowageTier", dependencies: ["CStowageTier"],
      swiftSettings: [
        .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
      ]),
  ]
)
