// SPDX-License-Identifier: Apache-2.0
//
// TLS of a server over a socket: OpenSSL, whose interface is macros and callbacks that Swift cannot use.
#ifndef STOWAGE_TLS_H
#define STOWAGE_TLS_H

#include <stddef.h>

/// What connections have in common: certificates, keys. Made once, used by any thread, lives as long as the process.
typedef struct stowage_tls_server stowage_tls_server;
/// One connection. One thread at a time.
typedef struct stowage_tls stowage_tls;

/// Makes a server's context for TLS 1.2 and 1.3.
/// certificate, key: PEM files, both or neither. authority: a PEM file; clients must have a certificate signed by it.
/// psk_file: lines of NAME:HEXADECIMAL KEY, as psktool writes them; NULL for none. Gives NULL on failure, with the reason
/// in error.
stowage_tls_server *_Nullable stowage_tls_server_make(
    const char *_Nullable certificate, const char *_Nullable key, const char *_Nullable authority,
    const char *_Nullable psk_file, char *_Nonnull error, size_t error_size);

/// A connection over a socket, which must not block; NULL without memory. The socket stays the caller's.
stowage_tls *_Nullable stowage_tls_open(stowage_tls_server *_Nonnull server, int socket);
void stowage_tls_close(stowage_tls *_Nonnull tls);

/// What calls give beside counts.
enum { STOWAGE_TLS_WANTS_READ = -1, STOWAGE_TLS_WANTS_WRITE = -2, STOWAGE_TLS_FAILED = -3 };

/// 1: done. Otherwise one of the above: to be called again when the socket is ready, or it has failed.
int stowage_tls_accept(stowage_tls *_Nonnull tls);
/// Bytes read or written (at least 1), 0 at the end of what the other side sends, or one of the above.
long stowage_tls_read(stowage_tls *_Nonnull tls, void *_Nonnull bytes, size_t size);
long stowage_tls_write(stowage_tls *_Nonnull tls, const void *_Nonnull bytes, size_t size);
/// Tells the other side that nothing comes any more.
void stowage_tls_shutdown(stowage_tls *_Nonnull tls);

#endif
