// SPDX-License-Identifier: Apache-2.0
#include "stowage_templates.h"

// The compiler puts the files in: they are true to the checkout at every build, and the executable needs none of
// them beside it.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char file0[] = {
#embed "../../plugin-sdk/include/stowage/tier.h"
};
static const unsigned char file1[] = {
#embed "../../plugin-sdk/include/module.modulemap"
};
static const unsigned char file2[] = {
#embed "../../plugin-sdk/tier.map"
};
static const unsigned char file3[] = {
#embed "../../plugin-sdk/Sources/StowageTier/BackingTable.swift"
};
static const unsigned char file4[] = {
#embed "../../plugin-sdk/Sources/StowageTier/BackingTier.swift"
};
static const unsigned char file5[] = {
#embed "../../plugin-sdk/Sources/StowageTier/Tier.swift"
};
static const unsigned char file6[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierArguments.swift"
};
static const unsigned char file7[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierDescription.swift"
};
static const unsigned char file8[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierEntry.swift"
};
static const unsigned char file9[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierError.swift"
};
static const unsigned char file10[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierHost.swift"
};
static const unsigned char file11[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierInstance.swift"
};
static const unsigned char file12[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierOption.swift"
};
static const unsigned char file13[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TransformTier.swift"
};
static const unsigned char file14[] = {
#embed "../../plugin-sdk/templates/c/Makefile"
};
static const unsigned char file15[] = {
#embed "../../plugin-sdk/templates/c/README.md"
};
static const unsigned char file16[] = {
#embed "../../plugin-sdk/templates/c/backing.c"
};
static const unsigned char file17[] = {
#embed "../../plugin-sdk/templates/c/transform.c"
};
static const unsigned char file18[] = {
#embed "../../plugin-sdk/templates/gitignore"
};
static const unsigned char file19[] = {
#embed "../../plugin-sdk/templates/rust/Cargo.toml"
};
static const unsigned char file20[] = {
#embed "../../plugin-sdk/templates/rust/Makefile"
};
static const unsigned char file21[] = {
#embed "../../plugin-sdk/templates/rust/README.md"
};
static const unsigned char file22[] = {
#embed "../../plugin-sdk/templates/rust/backing.rs"
};
static const unsigned char file23[] = {
#embed "../../plugin-sdk/templates/rust/stowage.rs"
};
static const unsigned char file24[] = {
#embed "../../plugin-sdk/templates/rust/transform.rs"
};
static const unsigned char file25[] = {
#embed "../../plugin-sdk/templates/swift/Makefile"
};
static const unsigned char file26[] = {
#embed "../../plugin-sdk/templates/swift/Package.swift"
};
static const unsigned char file27[] = {
#embed "../../plugin-sdk/templates/swift/README.md"
};
static const unsigned char file28[] = {
#embed "../../plugin-sdk/templates/swift/backing.swift"
};
static const unsigned char file29[] = {
#embed "../../plugin-sdk/templates/swift/kit-Package.swift"
};
static const unsigned char file30[] = {
#embed "../../plugin-sdk/templates/swift/transform.swift"
};
static const unsigned char file31[] = {
#embed "../../plugin-sdk/include/stowage/tier-helpers.h"
};
static const unsigned char file32[] = {
#embed "../../plugin-sdk/include/stowage/extensions.h"
};
static const unsigned char file33[] = {
#embed "../../plugin-sdk/Sources/StowageTier/TierExtensions.swift"
};
static const unsigned char file34[] = {
#embed "../../plugin-sdk/Sources/StowageTier/RekeyTier.swift"
};

#define FILE_AT(number, path) {path, file##number, sizeof file##number}

static const stowage_template_file files[] = {
    FILE_AT(0, "include/stowage/tier.h"),
    FILE_AT(1, "include/module.modulemap"),
    FILE_AT(2, "tier.map"),
    FILE_AT(3, "Sources/StowageTier/BackingTable.swift"),
    FILE_AT(4, "Sources/StowageTier/BackingTier.swift"),
    FILE_AT(5, "Sources/StowageTier/Tier.swift"),
    FILE_AT(6, "Sources/StowageTier/TierArguments.swift"),
    FILE_AT(7, "Sources/StowageTier/TierDescription.swift"),
    FILE_AT(8, "Sources/StowageTier/TierEntry.swift"),
    FILE_AT(9, "Sources/StowageTier/TierError.swift"),
    FILE_AT(10, "Sources/StowageTier/TierHost.swift"),
    FILE_AT(11, "Sources/StowageTier/TierInstance.swift"),
    FILE_AT(12, "Sources/StowageTier/TierOption.swift"),
    FILE_AT(13, "Sources/StowageTier/TransformTier.swift"),
    FILE_AT(14, "templates/c/Makefile"),
    FILE_AT(15, "templates/c/README.md"),
    FILE_AT(16, "templates/c/backing.c"),
    FILE_AT(17, "templates/c/transform.c"),
    FILE_AT(18, "templates/gitignore"),
    FILE_AT(19, "templates/rust/Cargo.toml"),
    FILE_AT(20, "templates/rust/Makefile"),
    FILE_AT(21, "templates/rust/README.md"),
    FILE_AT(22, "templates/rust/backing.rs"),
    FILE_AT(23, "templates/rust/stowage.rs"),
    FILE_AT(24, "templates/rust/transform.rs"),
    FILE_AT(25, "templates/swift/Makefile"),
    FILE_AT(26, "templates/swift/Package.swift"),
    FILE_AT(27, "templates/swift/README.md"),
    FILE_AT(28, "templates/swift/backing.swift"),
    FILE_AT(29, "templates/swift/kit-Package.swift"),
    FILE_AT(30, "templates/swift/transform.swift"),
    FILE_AT(31, "include/stowage/tier-helpers.h"),
    FILE_AT(32, "include/stowage/extensions.h"),
    FILE_AT(33, "Sources/StowageTier/TierExtensions.swift"),
    FILE_AT(34, "Sources/StowageTier/RekeyTier.swift"),
};

size_t stowage_template_file_count(void) { return sizeof files / sizeof files[0]; }

const stowage_template_file *stowage_template_file_at(size_t index) { return &files[index]; }
