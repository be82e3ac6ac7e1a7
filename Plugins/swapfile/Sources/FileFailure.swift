// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier

/// A failed system call: what was tried, and the system's answer.
struct FileFailure {
  let path: String
  let code: Int32

  init(_ path: String, _ code: Int32 = errno) {
    self.path = path
    self.code = code
  }

  /// The code for the host.
  var tierError: TierError {
    switch code {
    case ENOSPC, EDQUOT, EFBIG: .full
    case EAGAIN, ENOMEM, ENOBUFS: .retry
    case EOPNOTSUPP, ENOSYS: .unsupported
    default: .io
    }
  }

  var systemText: String { String(cString: stowage_error_text(code)) }

  /// Tells the host and gives the error to throw: "PATH: could not read: Input/output error".
  func told(to host: TierHost, _ action: String) -> TierError {
    host.fail(tierError, "\(path): could not \(action): \(systemText)")
  }
}
