/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenSSL's parameter lists and control macros, in a form that Swift can call. Keys, salts and hashes have 32 bytes. */
#ifndef STOWAGE_CRYPTO_SHIM_H
#define STOWAGE_CRYPTO_SHIM_H

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

/* Derives 32 bytes by the function of this name. */
static inline _Bool stowage_derive(const char *_Nonnull name, void *_Nonnull output,
                                   const OSSL_PARAM *_Nonnull parameters) {
  EVP_KDF *kdf = EVP_KDF_fetch(0, name, 0);
  EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : 0;
  EVP_KDF_free(kdf);
  if (!context) return 0;
  const int result = EVP_KDF_derive(context, (unsigned char *)output, 32, parameters);
  EVP_KDF_CTX_free(context);
  return result > 0;
}

/* HKDF-SHA256 (RFC 5869) from a key, a salt and a text. What is given is only read: the parameters are not const
 * because the same type also carries results. */
static inline _Bool stowage_hkdf_sha256(void *_Nonnull output, const void *_Nonnull key, const void *_Nonnull salt,
                                        const void *_Nonnull info, size_t info_length) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, 32),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, 32),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_length),
      OSSL_PARAM_construct_end(),
  };
  return stowage_derive("HKDF", output, parameters);
}

/* scrypt (RFC 7914) from a passphrase and a salt; refused when it needs more memory than this. */
static inline _Bool stowage_scrypt(void *_Nonnull output, const void *_Nonnull passphrase, size_t length,
                                   const void *_Nonnull salt, uint64_t n, uint32_t r, uint32_t p, uint64_t memory) {
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)passphrase, length),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, 32),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
      OSSL_PARAM_construct_end(),
  };
  return stowage_derive("SCRYPT", output, parameters);
}

static inline _Bool stowage_sha256(void *_Nonnull output, const void *_Nonnull bytes, size_t length) {
  return EVP_Digest(bytes, length, (unsigned char *)output, 0, EVP_sha256(), 0) > 0;
}

static inline _Bool stowage_hmac_sha256(void *_Nonnull output, const void *_Nonnull key, const void *_Nonnull bytes,
                                        size_t length) {
  return HMAC(EVP_sha256(), key, 32, (const unsigned char *)bytes, length, (unsigned char *)output, 0) != 0;
}

static inline _Bool stowage_gcm_get_tag(EVP_CIPHER_CTX *_Nonnull context, void *_Nonnull tag) {
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) > 0;
}

/* The tag is only read. */
static inline _Bool stowage_gcm_set_tag(EVP_CIPHER_CTX *_Nonnull context, const void *_Nonnull tag) {
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, (void *)tag) > 0;
}

/* AES-256-GCM over one key of 32 bytes, up to the tag. The nonce is all zero: for a key that enciphers nothing else, ever. */
static inline _Bool stowage_cipher_key(EVP_CIPHER_CTX *_Nullable context, EVP_CIPHER *_Nonnull cipher, int encrypts,
                                       const void *_Nonnull wrapping_key, const void *_Nonnull associated,
                                       int associated_length, const void *_Nonnull input, void *_Nonnull output) {
  const unsigned char nonce[12] = {0};
  int length;
  return context &&
         EVP_CipherInit_ex2(context, cipher, (const unsigned char *)wrapping_key, nonce, encrypts, 0) > 0 &&
         EVP_CipherUpdate(context, 0, &length, (const unsigned char *)associated, associated_length) > 0 &&
         EVP_CipherUpdate(context, (unsigned char *)output, &length, (const unsigned char *)input, 32) > 0;
}

/* The tag of 16 bytes stands after the ciphertext. */
static inline _Bool stowage_wrap_key(EVP_CIPHER *_Nonnull cipher, const void *_Nonnull wrapping_key,
                                     const void *_Nonnull associated, int associated_length,
                                     const void *_Nonnull key, void *_Nonnull wrapped) {
  unsigned char *tag = (unsigned char *)wrapped + 32;
  int length;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  const _Bool done =
      stowage_cipher_key(context, cipher, 1, wrapping_key, associated, associated_length, key, wrapped) &&
      EVP_CipherFinal_ex(context, tag, &length) > 0 && stowage_gcm_get_tag(context, tag);
  EVP_CIPHER_CTX_free(context);
  return done;
}

/* The way back: 1, 0 if the tag does not fit, -1 if it could not be tried. The key is wiped if it is not genuine. */
static inline int stowage_unwrap_key(EVP_CIPHER *_Nonnull cipher, const void *_Nonnull wrapping_key,
                                     const void *_Nonnull associated, int associated_length,
                                     const void *_Nonnull wrapped, void *_Nonnull key) {
  int length;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  const _Bool tried =
      stowage_cipher_key(context, cipher, 0, wrapping_key, associated, associated_length, wrapped, key) &&
      stowage_gcm_set_tag(context, (const unsigned char *)wrapped + 32);
  const _Bool genuine = tried && EVP_CipherFinal_ex(context, (unsigned char *)key + 32, &length) > 0;
  EVP_CIPHER_CTX_free(context);
  if (!genuine) OPENSSL_cleanse(key, 32);
  return tried ? genuine : -1;
}

/* Whether an error of OpenSSL is that it got no memory. */
static inline _Bool stowage_is_out_of_memory(unsigned long error) {
  return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
}

#endif
