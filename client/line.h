/* Workload mode's input: bytes become lines of bounded memory, lines become calls. Pure.
 *
 * A line may be of any length: runs of spaces are squeezed to one as they arrive, and of what is
 * longer than any valid call only the fact is kept. */
#ifndef CAIRN_CLIENT_LINE_H
#define CAIRN_CLIENT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "proto/limits.h"

/* The longest valid call is `DELETE k`-like words plus one key and one value. */
enum { LINE_LIMIT = CAIRN_KEY_LIMIT + CAIRN_VALUE_LIMIT + 64 };

struct line {
    struct buffer text; /* words with one space between, none before or after */
    bool begun;         /* something came since the last newline */
    bool too_long;      /* more than LINE_LIMIT bytes */
    bool has_bad_byte;  /* a control byte or one that is not ASCII */
    uint8_t bad_byte;   /* the first such */
    bool space_pending;
};

void line_init(struct line *line);
void line_free(struct line *line);
/* Forgets the finished line; keeps the memory. */
void line_reset(struct line *line);
/* Takes bytes up to and with a newline; `*used` says how many. True when a newline ended the line
 * (call line_parse, then line_reset), false when more bytes are needed. */
bool line_feed(struct line *line, const uint8_t *data, size_t length, size_t *used);

enum line_verb { LINE_PUT, LINE_SWAP, LINE_GET, LINE_DELETE, LINE_SCAN, LINE_STOP };

struct line_word {
    const uint8_t *data;
    size_t length;
};

/* words: the key, or the two ends of a SCAN; the value of PUT and SWAP. Views into the line. */
struct line_call {
    enum line_verb verb;
    struct line_word words[2];
};

/* 0, or CAIRN_EINVAL and what is wrong with the line, with the limit if one is exceeded. */
int line_parse(const struct line *line, struct line_call *call, struct error *error);

#endif
