// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let common: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// A shipped tier: one folder under Plugins/, one dynamic library. Module names carry the tier's version, as two builds
/// of one Swift module in a process would share runtime metadata. Products are named NAME-tier: one named like
/// its C library would be taken for it by the linker.
struct ShippedTier {
  let name, module, system, package: String
  /// A target in C beside the sources in Swift, if there is one.
  var helper: String?
}

let tierVersion = "0_9_0"
let shippedTiers = [
  ShippedTier(name: "lz4", module: "Lz4Tier", system: "CLZ4", package: "liblz4-dev"),
  ShippedTier(name: "zstd", module: "ZstdTier", system: "CZstd", package: "libzstd-dev"),
  ShippedTier(name: "brotli", module: "BrotliTier", system: "CBrotli", package: "libbrotli-dev"),
  ShippedTier(name: "aes-gcm", module: "AesGcmTier", system: "CCrypto", package: "libssl-dev", helper: "CKeyMemory"),
  ShippedTier(name: "swapfile", module: "SwapfileTier", system: "CUring", package: "liburing-dev"),
]

/// Only the entry symbol is exported.
let exportsOfTiers = "\(Context.packageDirectory)/plugin-sdk/tier.map"

let tierProducts: [Product] = shippedTiers.map {
  .library(name: "\($0.name)-tier", type: .dynamic, targets: ["\($0.module)_\(tierVersion)"])
}

let tierTargets: [Target] = shippedTiers.flatMap { tier -> [Target] in
  let helper = tier.helper.map { Target.target(name: $0, path: "Plugins/\(tier.name)/\($0)") }
  return [
    .systemLibrary(
      name: tier.system, path: "Plugins/\(tier.name)/\(tier.system)", providers: [.apt([tier.package])]),
    .target(
      name: "\(tier.module)_\(tierVersion)",
      dependencies: [.target(name: tier.system), .product(name: "StowageTier", package: "plugin-sdk")]
        + (tier.helper.map { [.target(name: $0)] } ?? []),
      path: "Plugins/\(tier.name)/Sources", swiftSettings: common,
      linkerSettings: [.unsafeFlags(["-Xlinker", "--version-script=\(exportsOfTiers)"])]),
  ] + (helper.map { [$0] } ?? [])
}

let package = Package(
  name: "stowage",
  products: [
    .executable(name: "stowage", targets: ["stowage"]),
    .library(name: "StowageEngine", targets: ["StowageEngine"]),
  ] + tierProducts,
  dependencies: [
    .package(path: "plugin-sdk"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/LebJe/TOMLKit", exact: "0.6.0"),
  ],
  targets: [
    .target(name: "CStowageSystem"),
    .target(name: "CStowageProbe"),
    .target(name: "CStowageTrial"),
    .target(name: "CStowageTemplates"),
    .target(name: "StowageBasics", swiftSettings: common),
    .target(name: "StowageTemplates", dependencies: ["CStowageTemplates"], swiftSettings: common),
    .target(
      name: "StowageEngine",
      dependencies: [
        "CStowageSystem", .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .target(
      name: "StowagePlugins",
      dependencies: [
        "StowageEngine", "CStowageSystem", "CStowageProbe", .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .target(
      name: "StowageValidate",
      dependencies: [
        "StowageBasics", "StowageEngine", "StowagePlugins", "CStowageSystem", "CStowageProbe",
        .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .target(
      name: "StowageControl",
      dependencies: [
        "StowageEngine", "StowagePlugins", "CStowageNet", .product(name: "TOMLKit", package: "TOMLKit"),
        .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .target(
      name: "StowageTrial",
      dependencies: ["StowageBasics", "StowageEngine", "CStowageSystem", "CStowageTrial"],
      swiftSettings: common),
    .target(
      name: "CStowageNet", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
    .target(
      name: "StowageNBD", dependencies: ["StowageEngine", "CStowageSystem", "CStowageNet"], swiftSettings: common),
    .executableTarget(
      name: "stowage",
      dependencies: [
        "StowageBasics", "StowageEngine", "StowagePlugins", "StowageControl", "StowageTrial", "StowageValidate",
        "StowageTemplates", "StowageNBD", "CStowageProbe", "CStowageNet",
        .product(name: "CStowageTier", package: "plugin-sdk"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: common),
    .target(
      name: "BenchSupport",
      dependencies: ["StowageEngine", .product(name: "CStowageTier", package: "plugin-sdk")],
      path: "Benchmarks/BenchSupport", swiftSettings: common),
    .executableTarget(
      name: "session-rates", dependencies: ["StowageEngine", "BenchSupport"], path: "Benchmarks/SessionRates",
      swiftSettings: common),
    .executableTarget(
      name: "store-bench",
      dependencies: ["StowageEngine", "BenchSupport", "CLZ4", "CZstd", "CBrotli", "CCrypto"],
      path: "Benchmarks/StoreBench", swiftSettings: common),
    .target(name: "CSmallSpace", path: "Benchmarks/CSmallSpace"),
    .executableTarget(
      name: "instruction-count",
      dependencies: ["StowageEngine", "BenchSupport", "CSmallSpace"],
      path: "Benchmarks/InstructionCount", exclude: ["ceiling.json"], swiftSettings: common),
    .target(name: "CStowageTestPages", path: "Tests/CStowageTestPages"),
    .target(
      name: "StowageTestSupport",
      dependencies: ["StowageBasics", "StowageEngine", .product(name: "CStowageTier", package: "plugin-sdk")],
      path: "Tests/StowageTestSupport", swiftSettings: common),
    .testTarget(
      name: "StowageEngineTests",
      dependencies: [
        "StowageBasics", "StowageEngine", "StowageTestSupport", "CStowageTestPages", "CStowageSystem",
        .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .executableTarget(
      name: "session-churn", dependencies: ["StowageBasics", "StowageEngine", "StowageTestSupport"],
      path: "Tests/SessionChurn", swiftSettings: common),
    .executableTarget(
      name: "session-markers", dependencies: ["StowageEngine", "StowageTestSupport"], path: "Tests/SessionMarkers",
      swiftSettings: common),
    .testTarget(
      name: "StowageSessionTests",
      dependencies: ["StowageBasics", "StowageEngine", "StowageTestSupport", "session-churn", "session-markers"],
      swiftSettings: common),
    .testTarget(
      name: "StowagePluginsTests",
      dependencies: ["StowageBasics", "StowageEngine", "StowagePlugins", "StowageControl", "StowageTestSupport"],
      swiftSettings: common),
    .testTarget(
      name: "StowageValidateTests",
      dependencies: [
        "StowageValidate", "StowagePlugins", "StowageTestSupport", "stowage",
        .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .testTarget(
      name: "StowageAuthorTests",
      dependencies: [
        "StowageBasics", "StowageEngine", "StowagePlugins", "StowageTemplates", "StowageTestSupport",
        .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .testTarget(
      name: "StowageFaultTests",
      dependencies: [
        "StowageBasics", "StowageEngine", "StowageTestSupport", .product(name: "CStowageTier", package: "plugin-sdk"),
      ],
      swiftSettings: common),
    .testTarget(
      name: "StowageNBDTests",
      dependencies: [
        "StowageBasics", "StowageEngine", "StowageNBD", "StowageTestSupport", "stowage",
      ],
      swiftSettings: common),
    .testTarget(
      name: "StowageTrialTests",
      dependencies: ["StowageBasics", "StowageTrial", "StowageEngine", "StowageTestSupport", "stowage"],
      swiftSettings: common),
  ] + tierTargets
)
