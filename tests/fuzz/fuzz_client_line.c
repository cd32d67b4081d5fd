/* Workload lines: the pieces in which they arrive do not matter, and what is valid is the same when
 * it is written down again. */
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "client/line.h"
#include "client/text.h"
#include "tests/fuzz/lib/fuzz.h"

static const char *const verbs[] = {
    [LINE_PUT] = "PUT",       [LINE_SWAP] = "SWAP", [LINE_GET] = "GET",
    [LINE_DELETE] = "DELETE", [LINE_SCAN] = "SCAN", [LINE_STOP] = "STOP"};
static const size_t word_counts[] = {[LINE_PUT] = 2,    [LINE_SWAP] = 2, [LINE_GET] = 1,
                                     [LINE_DELETE] = 1, [LINE_SCAN] = 2, [LINE_STOP] = 0};

static void put_call(struct buffer *out, const struct line_call *call)
{
    seed_text(out, verbs[call->verb]);
    for (size_t i = 0; i < word_counts[call->verb]; i++) {
        seed_text(out, " ");
        seed_bytes(out, call->words[i].data, call->words[i].length);
    }
    seed_text(out, "\n");
}

static void require_words(const struct line_call *call)
{
    for (size_t i = 0; i < word_counts[call->verb]; i++) {
        const struct line_word *word = &call->words[i];
        const bool is_value = i == 1 && (call->verb == LINE_PUT || call->verb == LINE_SWAP);
        struct buffer text;

        CHECK(word->length > 0 &&
              word->length <= (size_t)(is_value ? CAIRN_VALUE_LIMIT : CAIRN_KEY_LIMIT));
        buffer_init(&text, word->length);
        CHECK(text_append_word(&text, word->data, word->length) == 0);
        CHECK(text.length == word->length && memcmp(text.data, word->data, word->length) == 0);
        buffer_free(&text);
    }
}

/* Appends for each line what it says: the call as the line it would be, or the message. */
static void take_line(const struct line *line, struct buffer *said)
{
    struct line_call call;
    struct error error = {0};

    if (line_parse(line, &call, &error) == CAIRN_OK) {
        fuzz_accepted++;
        require_words(&call);
        put_call(said, &call);
        return;
    }
    CHECK(error.code == CAIRN_EINVAL && error.message[0] != '\0');
    seed_text(said, "ERROR: ");
    seed_text(said, error.message);
    seed_text(said, "\n");
}

/* `random` NULL: all at once. */
static void read_lines(const uint8_t *data, size_t size, struct random *random, struct buffer *said)
{
    struct line line;

    line_init(&line);
    for (size_t at = 0; at < size;) {
        size_t piece = random == NULL ? size - at : 1 + random_below(random, size - at);
        uint8_t *copy = fuzz_copy(data + at, piece);
        size_t used = 0;
        const bool ended = line_feed(&line, copy, piece, &used);

        CHECK(used > 0 && used <= piece && (ended || used == piece));
        CHECK(ended == (memchr(copy, '\n', piece) != NULL));
        free(copy);
        at += used;
        if (!ended)
            continue;
        take_line(&line, said);
        line_reset(&line);
    }
    line_free(&line);
}

static void require_same(const struct buffer *left, const struct buffer *right)
{
    CHECK(left->length == right->length &&
          (left->length == 0 || memcmp(left->data, right->data, left->length) == 0));
}

static bool all_valid(const struct buffer *said)
{
    return said->length > 0 && memmem(said->data, said->length, "ERROR: ", 7) == NULL;
}

/* The input: a byte that decides the pieces, then the lines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct random random;
    struct buffer whole, pieces, again;

    random_seed(&random, input_u8(&input));
    buffer_init(&whole, SIZE_MAX / 2);
    buffer_init(&pieces, SIZE_MAX / 2);
    buffer_init(&again, SIZE_MAX / 2);
    read_lines(input.data, input.left, NULL, &whole);
    read_lines(input.data, input.left, &random, &pieces);
    require_same(&whole, &pieces);
    if (all_valid(&whole)) {
        read_lines(whole.data, whole.length, NULL, &again);
        require_same(&whole, &again);
    }
    buffer_free(&whole);
    buffer_free(&pieces);
    buffer_free(&again);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    static const char *const lines[] = {
        "PUT key value\nGET key\n",       "  SWAP  key   new\nDELETE key\n",   "SCAN a z\nSTOP\n",
        "GET\nGET a b\nNOSUCH x\nSTOP\n", "PUT k\tx y\n\nPUT k v\nGET \xff\n",
    };

    if (number >= sizeof lines / sizeof *lines)
        return false;
    seed_number(out, number, 1);
    seed_text(out, lines[number]);
    return true;
}
