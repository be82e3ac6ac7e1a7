/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts in memory of our own and frames without a magic number are in the part of zstd.h that may change
 * between releases; the shared library exports it all the same. Only what follows is used of it. */
#ifndef STOWAGE_ZSTD_SHIM_H
#define STOWAGE_ZSTD_SHIM_H

#include <stddef.h>
#include <stdint.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

/* The parameters that fit inputs of up to page_size bytes: tables no larger than a page can use. */
static inline ZSTD_compressionParameters stowage_zstd_parameters(int level, size_t page_size) {
  return ZSTD_getCParams(level, page_size, 0);
}

/* Bytes of memory for a compressor or a decompressor. */
static inline size_t stowage_zstd_encoder_size(int level, size_t page_size) {
  return ZSTD_estimateCCtxSize_usingCParams(stowage_zstd_parameters(level, page_size));
}

static inline size_t stowage_zstd_decoder_size(void) { return ZSTD_estimateDCtxSize(); }

/* The compressor lives in `memory` and allocates nothing, ever. Frames carry neither magic number, length,
 * checksum nor dictionary id: the host keeps what is needed of these. Null if anything is refused. */
static inline ZSTD_CCtx *_Nullable stowage_zstd_encoder(void *_Nonnull memory, size_t size, int level,
                                                        size_t page_size) {
  ZSTD_CCtx *context = ZSTD_initStaticCCtx(memory, size);
  if (!context) return 0;
  const ZSTD_compressionParameters parameters = stowage_zstd_parameters(level, page_size);
  const struct {
    ZSTD_cParameter name;
    int value;
  } settings[] = {
      {ZSTD_c_format, ZSTD_f_zstd1_magicless},
      {ZSTD_c_contentSizeFlag, 0},
      {ZSTD_c_checksumFlag, 0},
      {ZSTD_c_dictIDFlag, 0},
      {ZSTD_c_compressionLevel, level},
      {ZSTD_c_windowLog, (int)parameters.windowLog},
      {ZSTD_c_chainLog, (int)parameters.chainLog},
      {ZSTD_c_hashLog, (int)parameters.hashLog},
      {ZSTD_c_searchLog, (int)parameters.searchLog},
      {ZSTD_c_minMatch, (int)parameters.minMatch},
      {ZSTD_c_targetLength, (int)parameters.targetLength},
      {ZSTD_c_strategy, (int)parameters.strategy},
  };
  for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
    if (ZSTD_isError(ZSTD_CCtx_setParameter(context, settings[i].name, settings[i].value))) return 0;
  return context;
}

static inline ZSTD_DCtx *_Nullable stowage_zstd_decoder(void *_Nonnull memory, size_t size) {
  ZSTD_DCtx *context = ZSTD_initStaticDCtx(memory, size);
  if (!context || ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_format, ZSTD_f_zstd1_magicless))) return 0;
  return context;
}

/* Whether the bytes are exactly one frame of those that the compressor above makes, as far as the lengths of
 * its blocks go. Needed before ZSTD_decompressDCtx, which looks for another frame behind the first: without
 * magic numbers, releases up to 1.5.5 then read up to 3 bytes past the end. */
static inline _Bool stowage_zstd_is_one_frame(const uint8_t *_Nullable bytes, size_t length) {
  /* A descriptor without flags, the window, then blocks: 1 bit "last", 2 of type (1: one byte, repeated),
   * 21 of length. */
  if (length < 2 || bytes[0] != 0) return 0;
  size_t at = 2;
  for (;;) {
    if (length - at < 3) return 0;
    const uint32_t header = bytes[at] | (uint32_t)bytes[at + 1] << 8 | (uint32_t)bytes[at + 2] << 16;
    const size_t size = (header >> 1 & 3) == 1 ? 1 : header >> 3;
    at += 3;
    if (length - at < size) return 0;
    at += size;
    if (header & 1) return at == length;
  }
}

#endif
