/* Taking inputs apart and making them. */
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>

#include "base/check.h"

unsigned long fuzz_accepted;

const uint8_t *input_bytes(struct input *input, size_t wanted, size_t *length)
{
    const uint8_t *bytes = input->data;

    *length = wanted < input->left ? wanted : input->left;
    if (*length > 0)
        input->data += *length;
    input->left -= *length;
    return bytes;
}

uint64_t input_number(struct input *input, unsigned bytes)
{
    uint64_t number = 0;
    size_t length;
    const uint8_t *from = input_bytes(input, bytes, &length);

    for (size_t i = length; i-- > 0;)
        number = number << 8 | from[i];
    return number;
}

uint8_t *fuzz_copy(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);

    CHECK(copy != NULL);
    if (length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

void seed_bytes(struct buffer *out, const void *bytes, size_t length)
{
    CHECK(buffer_append(out, bytes, length) == 0);
}

void seed_number(struct buffer *out, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        const uint8_t byte = (uint8_t)(number >> (8 * i));

        seed_bytes(out, &byte, 1);
    }
}

void seed_text(struct buffer *out, const char *text)
{
    seed_bytes(out, text, strlen(text));
}
