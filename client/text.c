/* Bytes as text: escapes and hexadecimal. */
#include "client/text.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"

static const char hex_digits[] = "0123456789abcdef";

static bool is_plain(uint8_t byte)
{
    return byte > 0x20 && byte < 0x7f;
}

static bool all_plain(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_plain(bytes[i])) {
            return false;
        }
    }
    return true;
}

/* `escape` has room for the four bytes of \xNN. */
static void escape_byte(uint8_t byte, char *escape)
{
    escape[0] = '\\';
    escape[1] = 'x';
    escape[2] = hex_digits[byte >> 4];
    escape[3] = hex_digits[byte & 15];
}

int text_append_word(struct buffer *out, const void *data, size_t length)
{
    const uint8_t *bytes = data;

    if (all_plain(bytes, length)) {
        return length == 0 ? CAIRN_OK : buffer_append(out, bytes, length);
    }
    for (size_t i = 0; i < length; i++) {
        char escape[4];
        size_t size = 4;

        if (is_plain(bytes[i]) && bytes[i] != '\\') {
            escape[0] = (char)bytes[i];
            size = 1;
        } else {
            escape_byte(bytes[i], escape);
        }
        int status = buffer_append(out, escape, size);
        if (status != CAIRN_OK) {
            return status;
        }
    }
    return CAIRN_OK;
}

int text_append_hex(struct buffer *out, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    int status = buffer_reserve(out, 2 * length);

    for (size_t i = 0; i < length && status == CAIRN_OK; i++) {
        const char pair[2] = {hex_digits[bytes[i] >> 4], hex_digits[bytes[i] & 15]};
        status = buffer_append(out, pair, sizeof(pair));
    }
    return status;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

int text_from_hex(const char *text, size_t length, struct buffer *out)
{
    int status = CAIRN_OK;

    buffer_clear(out);
    if (length % 2 != 0) {
        return CAIRN_EINVAL;
    }
    for (size_t i = 0; i < length && status == CAIRN_OK; i += 2) {
        int high = hex_value(text[i]);
        int low = hex_value(text[i + 1]);

        if (high < 0 || low < 0) {
            return CAIRN_EINVAL;
        }
        const uint8_t byte = (uint8_t)(high << 4 | low);
        status = buffer_append(out, &byte, 1);
    }
    return status;
}

const char *text_excerpt(const void *data, size_t length, char *out, size_t size)
{
    const uint8_t *bytes = data;
    size_t at = 0;

    CHECK(size >= 8);
    for (size_t i = 0; i < length; i++) {
        bool plain = bytes[i] == ' ' || is_plain(bytes[i]);
        /* Room for this byte, for the dots that a later one may need, and for the NUL. */
        if (at + (plain ? 1 : 4) + 4 > size) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (plain) {
            out[at++] = (char)bytes[i];
        } else {
            escape_byte(bytes[i], out + at);
            at += 4;
        }
    }
    out[at] = '\0';
    return out;
}
