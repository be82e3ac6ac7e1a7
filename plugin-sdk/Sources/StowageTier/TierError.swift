// SPDX-License-Identifier: Apache-2.0
@_exported public import CStowageTier

/// Why a call of a tier failed: one of the codes of `stowage/tier.h`.
///
/// It is a bare number, so throwing one (`throws(TierError)`) allocates nothing. The words that go
/// with it are handed to the host by ``TierHost/fail(_:_:)``.
public struct TierError: Error, RawRepresentable, Equatable, Sendable, BitwiseCopyable {
  public let rawValue: Int32

  @inlinable
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// Cannot now, may later: the host tries again.
  @inlinable public static var retry: TierError { TierError(rawValue: STOWAGE_RETRY) }
  /// No room.
  @inlinable public static var full: TierError { TierError(rawValue: STOWAGE_FULL) }
  /// The output did not fit into the room given; for `encode` an ordinary answer.
  @inlinable public static var tooBig: TierError { TierError(rawValue: STOWAGE_TOO_BIG) }
  /// The bytes to decode, or read from storage, are damaged.
  @inlinable public static var corrupt: TierError { TierError(rawValue: STOWAGE_CORRUPT) }
  /// Authentication failed.
  @inlinable public static var authentication: TierError { TierError(rawValue: STOWAGE_AUTH) }
  /// What the call names is not there any more.
  @inlinable public static var gone: TierError { TierError(rawValue: STOWAGE_GONE) }
  /// An argument or an option's value makes no sense.
  @inlinable public static var invalid: TierError { TierError(rawValue: STOWAGE_INVALID) }
  /// The tier does not do this.
  @inlinable public static var unsupported: TierError { TierError(rawValue: STOWAGE_UNSUPPORTED) }
  /// Input or output failed for another reason.
  @inlinable public static var io: TierError { TierError(rawValue: STOWAGE_IO) }
}
