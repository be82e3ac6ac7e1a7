// SPDX-License-Identifier: Apache-2.0

extension Engine {
  func location(of handle: Handle) -> PageLocation? {
    lock.lock()
    defer { lock.unlock() }
    guard let place = find(handle)?.pointee.place else { return nil }
    if place.state == .word { return .sameFilled }
    let level = levelIndex(of: place)
    let listed = plan.listedIndex(of: level)
    return ports[level] == nil ? .memory(level: listed) : .backing(level: listed)
  }
}
