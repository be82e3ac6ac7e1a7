// SPDX-License-Identifier: Apache-2.0
import StowageBasics
import StowageEngine
import StowageTestSupport

/// What the owner of a simulated store does with it.
extension SessionWorld {
  func step(_ store: Store) {
    let before = store.sessionSequence
    for _ in 0..<random.below(3) { store.step() }
    noteAutomatic(store, since: before)
    switch random.below(100) {
    case 0..<2: checkpoint(store)
    case 2..<4: try? store.flush(timeout: .seconds(1000))
    default: operate(store)
    }
  }

  @discardableResult func checkpoint(_ store: Store) -> Bool {
    defer { try? disk.setInterleave(nil) }
    do {
      if profile.interleaves { try disk.setInterleave(interleaveNow) }
      let report = try store.checkpoint()
      if report.sequence <= known.completed { fail("checkpoint \(report.sequence) after \(known.completed)") }
      known.completed = report.sequence
      counts.checkpoints += 1
      counts.merges += report.deltasMerged > 0 ? 1 : 0
      return true
    } catch {
      counts.failedCheckpoints += 1
      return false
    }
  }

  /// Called in the middle of a checkpoint.
  func interleave() {
    guard let store, !isInterleaving else { return }
    isInterleaving = true
    defer { isInterleaving = false }
    for _ in 0..<random.below(4) {
      operate(store)
      counts.interleaved += 1
    }
  }

  func operate(_ store: Store) {
    let before = store.sessionSequence
    perform(store)
    if !isInterleaving { noteAutomatic(store, since: before) }
  }

  /// The store may make a checkpoint by itself.
  private func noteAutomatic(_ store: Store, since before: UInt64) {
    guard before != store.sessionSequence else { return }
    counts.automatic += 1
    known.completed = store.sessionSequence
  }

  private func perform(_ store: Store) {
    let grows = known.live.count < profile.target / 2 + random.below(profile.target)
    do {
      switch random.below(grows ? 14 : 8) {
      case 0, 1: try end(store, takes: true)
      case 2: try end(store, takes: false)
      case 3: try peek(store)
      case 4:
        guard let handle = pick() else { return }
        try reading(handle) { () throws(StoreError) in try store.touch(handle) }
      case 5, 6: try replace(store)
      case 7 where !known.ended.isEmpty: tryStale(store)
      default: try put(store)
      }
    } catch {
      switch error {
      case .full: counts.full += 1
      case .unavailable, .closed: break
      default: fail("\(error)")
      }
    }
  }

  private func pick() -> Handle? { known.order.isEmpty ? nil : known.order[random.below(known.order.count)] }

  func forget(_ handle: Handle) {
    guard known.live.removeValue(forKey: handle) != nil else { return }
    if let at = known.order.firstIndex(of: handle) { known.order.swapAt(at, known.order.count - 1) }
    known.order.removeLast()
    known.ended.append(handle)
    if known.ended.count > 64 { known.ended.remove(at: random.below(known.ended.count)) }
  }

  private func put(_ store: Store) throws(StoreError) {
    let contents = Contents.random(&random)
    let kind: PageKind = random.one(in: 8) ? .discardable : .persistent
    let tag = random.next()
    buffer.fill(contents)
    let handle = try store.put(buffer.read, tag: tag, kind: kind)
    if !known.issued.insert(handle).inserted { fail("handle \(handle) was given out twice") }
    known.live[handle] = Page(contents: contents, tag: tag, kind: kind)
    known.order.append(handle)
  }

  private func replace(_ store: Store) throws(StoreError) {
    guard let handle = pick() else { return }
    let contents = Contents.random(&random)
    buffer.fill(contents)
    try reading(handle) { () throws(StoreError) in
      try store.replace(handle, with: buffer.read)
      known.live[handle]?.contents = contents
    }
  }

  private func end(_ store: Store, takes: Bool) throws(StoreError) {
    guard let handle = pick(), let page = known.live[handle] else { return }
    try reading(handle) { () throws(StoreError) in
      if takes {
        compare(handle, page, try store.take(handle, into: buffer.bytes))
      } else {
        try store.discard(handle)
      }
      forget(handle)
    }
  }

  /// Puts so many pages, and lets them go down.
  func fill(_ store: Store, _ count: Int) {
    for _ in 0..<count { do { try put(store) } catch { fail("\(error)") } }
    do { try store.flush(timeout: .seconds(1000)) } catch { fail("\(error)") }
  }

  /// Discards pages, the oldest first, until so many are left.
  func discard(_ store: Store, but count: Int) {
    for handle in known.live.keys.sorted(by: { $0.rawValue < $1.rawValue }).dropLast(count) {
      do {
        try reading(handle) { () throws(StoreError) in
          try store.discard(handle)
          forget(handle)
        }
      } catch { fail("\(error)") }
    }
  }

  private func peek(_ store: Store) throws(StoreError) {
    guard let handle = pick(), let page = known.live[handle] else { return }
    try reading(handle) { () throws(StoreError) in
      compare(handle, page, try store.peek(handle, into: buffer.bytes))
    }
  }

  private func tryStale(_ store: Store) {
    let handle = known.ended[random.below(known.ended.count)]
    guard known.live[handle] == nil else { return }
    do {
      _ = try store.peek(handle, into: buffer.bytes)
      fail("handle \(handle) of a page that ended is good again")
    } catch StoreError.staleHandle { } catch StoreError.unavailable { } catch { fail("\(error)") }
  }
}
