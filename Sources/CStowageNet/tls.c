// SPDX-License-Identifier: Apache-2.0
#include "stowage_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PSK_BYTES_MAX = 64, PSK_NAME_MAX = 128 };

struct psk {
  char name[PSK_NAME_MAX + 1];
  unsigned char key[PSK_BYTES_MAX];
  size_t length;
};

struct stowage_tls_server {
  SSL_CTX *context;
  struct psk *psks;
  size_t psk_count;
};

struct stowage_tls {
  SSL *ssl;
};

static void say(char *error, size_t size, const char *file, const char *what) {
  unsigned long code = ERR_get_error();
  const char *reason = code ? ERR_reason_error_string(code) : NULL;
  snprintf(error, size, "%s: %s%s%s", file, what, reason ? ": " : "", reason ? reason : "");
}

static const struct psk *psk_named(SSL *ssl, const char *name, size_t length) {
  const stowage_tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  for (size_t index = 0; index < server->psk_count; index++) {
    const struct psk *psk = &server->psks[index];
    if (strlen(psk->name) == length && memcmp(psk->name, name, length) == 0)
      return psk;
  }
  return NULL;
}

/// TLS 1.2.
static unsigned int give_key(SSL *ssl, const char *name, unsigned char *key, unsigned int room) {
  const struct psk *psk = name ? psk_named(ssl, name, strlen(name)) : NULL;
  if (!psk || psk->length > room)
    return 0;
  memcpy(key, psk->key, psk->length);
  return (unsigned int)psk->length;
}

/// TLS 1.3: a key without a cipher of its own goes with SHA-256 (RFC 8446, 4.2.11). An unknown name is no error here: the
/// handshake goes on with a certificate, or fails for want of one.
static int give_session(SSL *ssl, const unsigned char *name, size_t length, SSL_SESSION **session) {
  static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
  const struct psk *psk = psk_named(ssl, (const char *)name, length);
  *session = NULL;
  if (!psk)
    return 1;
  const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
  SSL_SESSION *made = SSL_SESSION_new();
  if (!made || !cipher || !SSL_SESSION_set1_master_key(made, psk->key, psk->length) ||
      !SSL_SESSION_set_cipher(made, cipher) || !SSL_SESSION_set_protocol_version(made, TLS1_3_VERSION)) {
    SSL_SESSION_free(made);
    return 0;
  }
  *session = made;
  return 1;
}

static int hexadecimal(const char *text, struct psk *psk) {
  size_t digits = strspn(text, "0123456789abcdefABCDEF");
  if (digits == 0 || digits % 2 != 0 || digits / 2 > PSK_BYTES_MAX || text[digits] != 0)
    return 0;
  for (size_t index = 0; index < digits / 2; index++) {
    unsigned int byte;
    sscanf(text + 2 * index, "%2x", &byte);
    psk->key[index] = (unsigned char)byte;
  }
  psk->length = digits / 2;
  return 1;
}

static int read_psks(stowage_tls_server *server, const char *file, char *error, size_t size) {
  FILE *stream = fopen(file, "re");
  if (!stream) {
    snprintf(error, size, "%s: %s", file, strerror(errno));
    return 0;
  }
  char line[PSK_NAME_MAX + 2 * PSK_BYTES_MAX + 4];
  int number = 0, fine = 1;
  while (fine && fgets(line, sizeof line, stream)) {
    number++;
    line[strcspn(line, "\r\n")] = 0;
    if (line[0] == 0 || line[0] == '#')
      continue;
    char *colon = strrchr(line, ':');
    struct psk *more = realloc(server->psks, (server->psk_count + 1) * sizeof *more);
    if (more)
      server->psks = more;
    struct psk *psk = more ? &more[server->psk_count] : NULL;
    fine = psk && colon && colon > line && colon - line <= PSK_NAME_MAX && hexadecimal(colon + 1, psk);
    if (fine) {
      memcpy(psk->name, line, (size_t)(colon - line));
      psk->name[colon - line] = 0;
      server->psk_count++;
    }
  }
  explicit_bzero(line, sizeof line);
  fclose(stream);
  if (!fine)
    snprintf(error, size, "%s:%d: expected NAME:KEY, the key as up to 64 bytes in hexadecimal digits", file, number);
  else if (server->psk_count == 0)
    snprintf(error, size, "%s: there is no key in it; make one with: psktool -u NAME -p FILE", file);
  return fine && server->psk_count > 0;
}

static int set_up(stowage_tls_server *server, const char *certificate, const char *key, const char *authority,
                  const char *psk_file, char *error, size_t size) {
  SSL_CTX *context = server->context;
  SSL_CTX_set_app_data(context, server);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  // Keys that both sides know are sessions to the library, which with clients' certificates wants to know whose they are.
  SSL_CTX_set_session_id_context(context, (const unsigned char *)"stowage", 7);
  if (certificate) {
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
      return say(error, size, certificate, "no usable certificate"), 0;
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
      return say(error, size, key, "no usable private key"), 0;
    if (SSL_CTX_check_private_key(context) != 1)
      return say(error, size, key, "the private key does not belong to the certificate"), 0;
  }
  if (authority) {
    if (SSL_CTX_load_verify_locations(context, authority, NULL) != 1)
      return say(error, size, authority, "no usable certificate of an authority"), 0;
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(authority));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  }
  if (psk_file) {
    if (!read_psks(server, psk_file, error, size))
      return 0;
    SSL_CTX_set_psk_server_callback(context, give_key);
    SSL_CTX_set_psk_find_session_callback(context, give_session);
    // TLS 1.2 has ciphers of its own for keys.
    SSL_CTX_set_cipher_list(context, "HIGH:!aNULL:ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:PSK-AES256-GCM-SHA384:"
                                     "PSK-AES128-GCM-SHA256");
  }
  return 1;
}

stowage_tls_server *stowage_tls_server_make(const char *certificate, const char *key, const char *authority,
                                            const char *psk_file, char *error, size_t error_size) {
  ERR_clear_error();
  stowage_tls_server *server = calloc(1, sizeof *server);
  if (!server || !(server->context = SSL_CTX_new(TLS_server_method()))) {
    free(server);
    say(error, error_size, "TLS", "no memory");
    return NULL;
  }
  if (set_up(server, certificate, key, authority, psk_file, error, error_size))
    return server;
  SSL_CTX_free(server->context);
  if (server->psks)
    explicit_bzero(server->psks, server->psk_count * sizeof *server->psks);
  free(server->psks);
  free(server);
  return NULL;
}

stowage_tls *stowage_tls_open(stowage_tls_server *server, int socket) {
  stowage_tls *tls = calloc(1, sizeof *tls);
  if (!tls)
    return NULL;
  tls->ssl = SSL_new(server->context);
  if (!tls->ssl || SSL_set_fd(tls->ssl, socket) != 1) {
    stowage_tls_close(tls);
    return NULL;
  }
  return tls;
}

void stowage_tls_close(stowage_tls *tls) {
  SSL_free(tls->ssl);
  free(tls);
}

static int outcome(stowage_tls *tls, int result) {
  switch (SSL_get_error(tls->ssl, result)) {
  case SSL_ERROR_WANT_READ: return STOWAGE_TLS_WANTS_READ;
  case SSL_ERROR_WANT_WRITE: return STOWAGE_TLS_WANTS_WRITE;
  case SSL_ERROR_ZERO_RETURN: return 0;
  default: return STOWAGE_TLS_FAILED;
  }
}

int stowage_tls_accept(stowage_tls *tls) {
  ERR_clear_error();
  int result = SSL_accept(tls->ssl);
  if (result == 1)
    return 1;
  int why = outcome(tls, result);
  return why == 0 ? STOWAGE_TLS_FAILED : why;
}

long stowage_tls_read(stowage_tls *tls, void *bytes, size_t size) {
  size_t count = 0;
  ERR_clear_error();
  int result = SSL_read_ex(tls->ssl, bytes, size, &count);
  return result == 1 ? (long)count : outcome(tls, result);
}

long stowage_tls_write(stowage_tls *tls, const void *bytes, size_t size) {
  size_t count = 0;
  ERR_clear_error();
  int result = SSL_write_ex(tls->ssl, bytes, size, &count);
  return result == 1 ? (long)count : outcome(tls, result);
}

void stowage_tls_shutdown(stowage_tls *tls) {
  ERR_clear_error();
  SSL_shutdown(tls->ssl);
}
