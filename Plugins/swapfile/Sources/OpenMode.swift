// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier

/// The option `open`: what opening may do to the file.
enum OpenMode: String {
  /// Makes it if it is missing, and longer if it is shorter than `size`.
  case create
  /// Takes it as it is; it must be there.
  case existing
  /// The same, and nothing is written at all; others may read it meanwhile.
  case readOnly = "read-only"

  var systemFlags: Int32 {
    switch self {
    case .create: O_RDWR | O_CREAT
    case .existing: O_RDWR
    case .readOnly: O_RDONLY
    }
  }

  /// A reader keeps writers out, as they would change what it reads.
  var lock: Int32 { self == .readOnly ? LOCK_SH : LOCK_EX }

  /// Why the lock is not to be had, and what to do.
  var inUse: String {
    switch self {
    case .create, .existing: "is in use by another store, or is being looked at; each store needs a file of its own"
    case .readOnly: "is in use by a store; it can be read when that store is closed"
    }
  }
}
