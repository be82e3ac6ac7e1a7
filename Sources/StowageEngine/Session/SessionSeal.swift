// SPDX-License-Identifier: Apache-2.0

/// What a session's tail says of its root and head. These are in the clear, with checksums that anybody can make; the tail
/// went through the mandatory tiers. With a cipher among them, root and head are thus what the one who has the key wrote:
/// no stream, delta or tier can be left out, exchanged or added.
struct SessionSeal {
  private var root: SessionRoot
  private var head: [UInt8]

  init(of root: SessionRoot, head: [UInt8]) {
    self.root = Self.lasting(root)
    self.head = head
  }

  /// What no later run changes, but for the limits, which only grow. The places of head and tail are left out: the tail
  /// cannot name its own, and of the head there are the bytes.
  private static func lasting(_ root: SessionRoot) -> SessionRoot {
    var lasting = root
    lasting.flags.formIntersection([.once, .sums])
    lasting.head = StreamPlace()
    lasting.tail = StreamPlace()
    return lasting
  }

  func put(_ writer: inout ByteWriter) {
    writer.put(root.encoded())
    writer.put(head)
  }

  init(_ reader: inout ByteReader) throws(ByteShortage) {
    let bytes = try reader.block()
    do throws(RootFault) { root = try SessionRoot(decoding: bytes) } catch { throw ByteShortage() }
    head = try reader.block()
  }

  /// Whether they are those that the tail was written with.
  func fits(_ root: SessionRoot, head: SessionHead) -> Bool {
    var now = Self.lasting(root)
    guard now.generationLimit >= self.root.generationLimit, now.frameIDLimit >= self.root.frameIDLimit,
      now.chunkIDReserve >= self.root.chunkIDReserve, now.epochLimit >= self.root.epochLimit
    else { return false }
    now.generationLimit = self.root.generationLimit
    now.frameIDLimit = self.root.frameIDLimit
    now.chunkIDReserve = self.root.chunkIDReserve
    now.epochLimit = self.root.epochLimit
    return now == self.root && head.encoded() == self.head
  }
}
