/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenSSL's parameter lists and control macros, in a form that Swift can call. */
#ifndef STOWAGE_CRYPTO_SHIM_H
#define STOWAGE_CRYPTO_SHIM_H

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

/* HKDF-SHA256 (RFC 5869): 32 bytes from a key of 32, a salt of 32 and a text. */
static inline _Bool stowage_hkdf_sha256(void *_Nonnull output, void *_Nonnull key, void *_Nonnull salt,
                                        const void *_Nonnull info, size_t info_length) {
  EVP_KDF *kdf = EVP_KDF_fetch(0, "HKDF", 0);
  EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : 0;
  EVP_KDF_free(kdf);
  if (!context) return 0;
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, 32),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, 32),
      /* Only read; the parameter is not const because the same type also carries results. */
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_length),
      OSSL_PARAM_construct_end(),
  };
  const int result = EVP_KDF_derive(context, (unsigned char *)output, 32, parameters);
  EVP_KDF_CTX_free(context);
  return result > 0;
}

static inline _Bool stowage_gcm_get_tag(EVP_CIPHER_CTX *_Nonnull context, void *_Nonnull tag) {
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) > 0;
}

/* The tag is only read. */
static inline _Bool stowage_gcm_set_tag(EVP_CIPHER_CTX *_Nonnull context, const void *_Nonnull tag) {
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, (void *)tag) > 0;
}

#endif
