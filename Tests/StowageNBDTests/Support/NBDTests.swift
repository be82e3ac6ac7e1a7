// SPDX-License-Identifier: Apache-2.0
import Testing

/// All tests of this module, one after the other: some count the threads and sockets of the process.
@Suite(.serialized) enum NBDTests {}
