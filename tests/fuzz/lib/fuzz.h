/* What a fuzz target has and may use. A target is one file tests/fuzz/fuzz_MODULE_NAME.c with the
 * two functions below: libFuzzer calls the first (llvm.org/docs/LibFuzzer.html), or feed.c, which
 * gives it the files of a corpus. A rule that does not hold ends the process (CHECK). */
#ifndef CAIRN_TESTS_FUZZ_H
#define CAIRN_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"

/* Decodes the bytes, checks what must hold for what was decoded. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Appends a valid input to `out`, the same one for the same number; false: there are no more. */
bool fuzz_seed(unsigned number, struct buffer *out);

/* Grows with every input that was decoded whole: what fuzz_seed gives must be. */
extern unsigned long fuzz_accepted;

/* --- taking an input apart: what is not there reads as zeros ------------------------------------
 */

struct input {
    const uint8_t *data;
    size_t left;
};

/* At most `wanted` bytes; `*length` says how many. */
const uint8_t *input_bytes(struct input *input, size_t wanted, size_t *length);
/* Little-endian, of 1 to 8 bytes. */
uint64_t input_number(struct input *input, unsigned bytes);

static inline uint8_t input_u8(struct input *input)
{
    return (uint8_t)input_number(input, 1);
}

/* A copy of exactly `length` bytes, so that a step beyond them is seen; free it. */
uint8_t *fuzz_copy(const void *bytes, size_t length);

/* --- making one; running out of memory ends the process -----------------------------------------
 */

void seed_number(struct buffer *out, uint64_t number, unsigned bytes);
void seed_bytes(struct buffer *out, const void *bytes, size_t length);
void seed_text(struct buffer *out, const char *text);

/* A directory of this process, made with the first call and removed at exit with its files. */
const char *fuzz_directory(void);
/* Makes DIRECTORY/NAME hold exactly these bytes. */
void fuzz_file(const char *name, const void *bytes, size_t length);

#endif
