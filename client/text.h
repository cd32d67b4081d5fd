/* Bytes as text: the escapes of workload mode and shell, and hexadecimal. Pure. */
#ifndef CAIRN_CLIENT_TEXT_H
#define CAIRN_CLIENT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Appends `data` so that it is one word of printable ASCII. Bytes 0x21 to 0x7e alone go out as they
 * are. If any other byte occurs, it becomes `\xNN`, and so does every backslash of that text.
 * 0 or an error of buffer_append. */
int text_append_word(struct buffer *out, const void *data, size_t length);
/* Appends lower-case hexadecimal. */
int text_append_hex(struct buffer *out, const void *data, size_t length);
/* Decodes hexadecimal of either case into `out`, cleared first. CAIRN_EINVAL for an odd number of
 * digits or anything that is no digit, CAIRN_ETOOBIG past the buffer's limit, or CAIRN_ENOMEM. */
int text_from_hex(const char *text, size_t length, struct buffer *out);
/* Writes `data` for an error message: unprintable bytes as `\xNN`, cut with `...` to fit `size`
 * (at least 8) with a NUL. Returns `out`. */
const char *text_excerpt(const void *data, size_t length, char *out, size_t size);

#endif
