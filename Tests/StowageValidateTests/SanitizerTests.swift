// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageValidate

/// Plug-ins that were built with a sanitizer are checked under it.
@Suite(.serialized) struct SanitizerTests {
  private func build(_ sanitizer: String, _ body: String, into folder: TemporaryFolder) throws -> String {
    let source = try folder.write("#include \"base.h\"\n\(body)\n", to: "checked.c")
    let target = folder.file("checked.tier.so").path
    let fixtures = TierCompiler.fixtures.appendingPathComponent("bad-tiers").path
    let include = TierCompiler.checkout.appendingPathComponent("plugin-sdk/include").path
    let outcome = try Command.run(
      "/usr/bin/cc",
      [
        "-g", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-fsanitize=\(sanitizer)", "-I", fixtures, "-I",
        include, "-DFIXTURE_NAME=\"checked\"", source, "-o", target,
      ])
    guard outcome.status == 0 else { throw TestFailure(outcome.errors) }
    return target
  }

  private static let good =
    "const stowage_tier *stowage_tier_entry(const stowage_host *host) { (void)host; return &base_tier; }"

  @Test func `what only AddressSanitizer sees is found, with its words`() throws {
    let folder = try TemporaryFolder()
    let body = """
      #include <stdlib.h>
      static int32_t careless(stowage_instance *i, stowage_context *c, const stowage_object *o, const uint8_t *in, uint8_t *out,
                              size_t room, size_t *length, uint8_t *side) {
        volatile char *block = malloc(o->length + 1);
        block[o->length + 1] = 1;
        free((void *)block);
        return base_encode(i, c, o, in, out, room, length, side);
      }
      const stowage_tier *stowage_tier_entry(const stowage_host *host) {
        (void)host;
        base_transform.encode = careless;
        return &base_tier;
      }
      """
    var validator = Validator(seed: 7, helper: Command.stowage)
    validator.level = 1
    validator.checks = ["transform-round-trip"]
    let result = try validator.validate(file: try build("address", body, into: folder))
    #expect(result.status == 3)
    #expect(
      result.results.contains { $0.outcome == .crashed && $0.message.contains("heap-buffer-overflow") },
      "\(result.results)")
  }

  @Test(arguments: ["address", "thread"]) func `a good tier passes`(sanitizer: String) throws {
    let folder = try TemporaryFolder()
    var validator = Validator(seed: 7, helper: Command.stowage)
    validator.level = 2
    let result = try validator.validate(file: try build(sanitizer, Self.good, into: folder))
    let bad = result.results.filter {
      $0.outcome.isBad && !$0.id.hasPrefix("file-") && !$0.id.hasPrefix("loading-time")
    }
    #expect(bad.isEmpty, "\(bad)")
    #expect(result.count(.passed) > 40)
    let unrun = result.results.filter { $0.outcome == .notRun && $0.message.contains("ThreadSanitizer") }
    #expect(unrun.isEmpty == (sanitizer == "address"))
  }
}
