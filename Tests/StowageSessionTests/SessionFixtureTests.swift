// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport
import Testing

/// Session files that were made once are read for ever.
@Suite(.serialized) struct SessionFixtureTests {
  /// STOWAGE_MAKE_SESSIONS: a folder to make them in, instead of opening those that are kept.
  private static let target = ProcessInfo.processInfo.environment["STOWAGE_MAKE_SESSIONS"]

  @Test("a kept session is read, resumed and gone on with", arguments: SessionFixture.kept)
  func kept(fixture: SessionFixture) throws {
    try check(fixture, SessionFixture.folder.appendingPathComponent("\(fixture.name).swap"))
  }

  @Test("so is one that is made now", arguments: SessionFixtureMaker.kinds)
  func made(kind: SessionFixture) throws {
    let folder = try TemporaryFolder()
    let fixture = try SessionFixtureMaker.make(kind, in: folder.url)
    #expect(fixture.pages.count > 40 && fixture.pages.contains { $0.version == 0 })
    try check(fixture, folder.file("\(kind.name).swap"))
  }

  @Test("make them", .enabled(if: target != nil))
  func make() throws {
    try SessionFixtureMaker.makeAll(in: URL(fileURLWithPath: try #require(Self.target)))
  }

  private func check(_ fixture: SessionFixture, _ file: URL) throws {
    let folder = try TemporaryFolder()
    let path = folder.file("copy").path
    try FileManager.default.copyItem(atPath: file.path, toPath: path)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    let looked = try fixture.open(path, .inspect, "read-only", keys: folder)
    #expect(looked.sessionSummary?.sequence == fixture.sequence)
    #expect(try fixture.faults(looked) == [])
    looked.close()
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(contentsOf: file), "it was written to")
    let resumed = try fixture.open(path, .resume(force: false), "existing", keys: folder)
    #expect(try fixture.faults(resumed) == [])
    if fixture.isOnce {
      resumed.close()
      #expect(throws: StoreError.self) { try fixture.open(path, .resume(force: false), "existing", keys: folder) }
    } else {
      try resumed.checkpoint()
      try resumed.suspend()
    }
    let last = try fixture.open(path, .resume(force: fixture.isOnce), "existing", keys: folder)
    #expect(try fixture.faults(last) == [])
    last.close()
  }
}
