// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageTrial

@Suite struct CaptureTests {
  @Test(.timeLimit(.minutes(1))) func capturesEvenlyAndOverwritesOnlyWhenTold() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let process = try ChildProcess(shell: "echo ready; read y")
    let out = folder.path + "/out"
    func capture(overwrites: Bool) throws -> (written: Int, absent: Int) {
      try Capture.run(pid: process.pid, to: out, pages: 5, pageSize: 4096, overwrites: overwrites)
    }
    let first = try capture(overwrites: false)
    #expect(first.written == 5 && first.absent == 0)
    let attributes = try FileManager.default.attributesOfItem(atPath: out)
    #expect(attributes[.size] as? Int == 5 * 4096)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    #expect(throws: TrialError.self) { try capture(overwrites: false) }
    #expect(try capture(overwrites: true).written == 5)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["out"])
  }

  @Test func theSwapFileIsPutWhereThereIsRoom() throws {
    let place = try SwapPlace.temporary(bytes: 1 << 20, isExact: true)
    let folder = String(place.path.dropLast("/swap".count))
    #expect(FileManager.default.fileExists(atPath: folder))
    try Data([1]).write(to: URL(fileURLWithPath: place.path))
    place.hide()
    #expect(!FileManager.default.fileExists(atPath: folder))
    #expect(throws: TrialError.self) { try SwapPlace.temporary(bytes: 1 << 60, isExact: true) }
  }

  @Test func aNamedSwapFileIsNeverOverwritten() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let path = try folder.pages(1)
    #expect(throws: TrialError.self) { try SwapPlace.named(path, bytes: 1 << 20) }
    #expect(throws: TrialError.self) { try SwapPlace.named(folder.path, bytes: 1 << 20) }
    let fresh = folder.path + "/swap"
    do {
      let place = try SwapPlace.named(fresh, bytes: 1 << 20)
      try Data([1]).write(to: URL(fileURLWithPath: place.path))
      place.hide()
      #expect(FileManager.default.fileExists(atPath: fresh))
    }
    #expect(!FileManager.default.fileExists(atPath: fresh))
  }
}
