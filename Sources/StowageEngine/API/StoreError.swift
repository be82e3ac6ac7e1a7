// SPDX-License-Identifier: Apache-2.0

/// What a call on a store can fail with. `description` says what is wrong and what to do.
public enum StoreError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The handle's page was taken, discarded or dropped, or never was.
  case staleHandle(Handle)
  /// No level can take more and nothing is discardable. What is stored is unharmed.
  case full(String)
  /// The page cannot be loaded now; its handle is still good, trying again later may work.
  case unavailable(tier: String, reason: String)
  /// The page is damaged for good and has been dropped; its destructor is called.
  case unreadable(handle: Handle, tier: String, reason: String)
  /// A buffer is not as long as a page.
  case wrongSize(given: Int, pageSize: Int)
  /// The chain, a limit or another setting is not possible.
  case configuration(String)
  /// The store cannot do this with this chain.
  case unsupported(String)
  /// It was not done in the time given; what is stored is unharmed.
  case timedOut(String)
  /// The session is not to be had; the fault tells which way, the text whose and what to do.
  case session(SessionFault, String)
  /// The store is closed.
  case closed

  public var description: String {
    switch self {
    case .staleHandle(let handle):
      "handle \(handle) is stale: its page was taken, discarded or dropped"
    case .full(let reason): "the store is full: \(reason)"
    case .unavailable(let tier, let reason):
      "tier '\(tier)' cannot do what is needed of it now: \(reason); nothing is lost, try again later"
    case .unreadable(let handle, let tier, let reason):
      "page \(handle) in tier '\(tier)' is unreadable and was dropped: \(reason)"
    case .wrongSize(let given, let pageSize):
      "the buffer has \(given) bytes, a page of this store has \(pageSize)"
    case .configuration(let reason): reason
    case .unsupported(let reason): reason
    case .timedOut(let reason): reason
    case .session(_, let reason): reason
    case .closed: "the store is closed"
    }
  }
}
