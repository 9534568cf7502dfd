/* SPDX-License-Identifier: BSD-2-Clause */
/* A fuzz target, in the form that every engine knows (LLVM's libFuzzer, AFL++, honggfuzz):
 *
 *   int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
 *
 * plus examples to begin with, for the engine of our own that `make check` runs (driver.c). */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_example {
    const void *data;
    size_t size;
};

/* Ends with {NULL, 0}. */
extern const struct fuzz_example fuzz_examples[];

#define FUZZ_TEXT(text)                                                                            \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

#endif
