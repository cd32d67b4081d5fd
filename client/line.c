/* Workload mode's input: assembling lines and recognising calls. */
#include "client/line.h"

#include <string.h>

#include "client/text.h"

enum { WORDS_MAX = 3, EXCERPT_SIZE = 48 };

struct verb_rule {
    const char *name;
    enum line_verb verb;
    size_t arguments;
    bool second_is_value;
};

static const struct verb_rule verb_rules[] = {
    {"PUT", LINE_PUT, 2, true},        {"SWAP", LINE_SWAP, 2, true},  {"GET", LINE_GET, 1, false},
    {"DELETE", LINE_DELETE, 1, false}, {"SCAN", LINE_SCAN, 2, false}, {"STOP", LINE_STOP, 0, false},
};

void line_init(struct line *line)
{
    memset(line, 0, sizeof(*line));
    buffer_init(&line->text, LINE_LIMIT);
}

void line_free(struct line *line)
{
    buffer_free(&line->text);
}

void line_reset(struct line *line)
{
    buffer_clear(&line->text);
    line->begun = false;
    line->too_long = false;
    line->has_bad_byte = false;
    line->space_pending = false;
}

/* Running out of memory is treated as the limit: the line is refused, the next one is read. */
static void append(struct line *line, const void *data, size_t length)
{
    if (!line->too_long && buffer_append(&line->text, data, length) != CAIRN_OK) {
        line->too_long = true;
    }
}

static bool is_word_byte(uint8_t byte)
{
    return byte > 0x20 && byte < 0x7f;
}

static void take_other(struct line *line, uint8_t byte)
{
    if (byte == ' ') {
        line->space_pending = line->text.length > 0;
    } else if (!line->has_bad_byte) {
        line->has_bad_byte = true;
        line->bad_byte = byte;
    }
}

bool line_feed(struct line *line, const uint8_t *data, size_t length, size_t *used)
{
    size_t at = 0;

    while (at < length) {
        size_t run = at;

        while (run < length && is_word_byte(data[run])) {
            run++;
        }
        line->begun = true;
        if (run > at) {
            if (line->space_pending) {
                append(line, " ", 1);
                line->space_pending = false;
            }
            append(line, data + at, run - at);
            at = run;
            continue;
        }
        if (data[at] == '\n') {
            *used = at + 1;
            return true;
        }
        take_other(line, data[at]);
        at++;
    }
    *used = length;
    return false;
}

/* Returns how many words there are, storing at most WORDS_MAX of them. */
static size_t split(const struct line *line, struct line_word words[WORDS_MAX])
{
    const uint8_t *data = line->text.data;
    size_t count = 0;
    size_t begin = 0;

    if (line->text.length == 0) {
        return 0;
    }
    for (size_t at = 0; at <= line->text.length; at++) {
        if (at < line->text.length && data[at] != ' ') {
            continue;
        }
        if (count < WORDS_MAX) {
            words[count] = (struct line_word){data + begin, at - begin};
        }
        count++;
        begin = at + 1;
    }
    return count;
}

static const struct verb_rule *find_verb(const struct line_word *word)
{
    for (size_t i = 0; i < sizeof(verb_rules) / sizeof(verb_rules[0]); i++) {
        const struct verb_rule *rule = &verb_rules[i];
        if (strlen(rule->name) == word->length &&
            memcmp(rule->name, word->data, word->length) == 0) {
            return rule;
        }
    }
    return NULL;
}

static int check_length(const char *verb, const char *what, const struct line_word *word,
                        size_t limit, struct error *error)
{
    if (word->length <= limit) {
        return CAIRN_OK;
    }
    return error_set(error, CAIRN_EINVAL, "%s: the %s has %zu bytes, the limit is %zu", verb, what,
                     word->length, limit);
}

static int check_bytes(const struct line *line, struct error *error)
{
    if (line->has_bad_byte) {
        return error_set(error, CAIRN_EINVAL,
                         "the line holds the byte 0x%02x: words are printable ASCII",
                         line->bad_byte);
    }
    if (line->too_long) {
        return error_set(error, CAIRN_EINVAL,
                         "the line is too long: keys have at most %d bytes, values %d",
                         CAIRN_KEY_LIMIT, CAIRN_VALUE_LIMIT);
    }
    if (line->text.length == 0) {
        return error_set(error, CAIRN_EINVAL, "the line is empty");
    }
    return CAIRN_OK;
}

int line_parse(const struct line *line, struct line_call *call, struct error *error)
{
    struct line_word words[WORDS_MAX] = {{NULL, 0}};
    char excerpt[EXCERPT_SIZE];

    memset(call, 0, sizeof(*call));
    if (check_bytes(line, error) != CAIRN_OK) {
        return CAIRN_EINVAL;
    }
    size_t count = split(line, words);
    const struct verb_rule *rule = find_verb(&words[0]);
    if (rule == NULL) {
        return error_set(error, CAIRN_EINVAL,
                         "%s: unknown command; PUT, SWAP, GET, DELETE, SCAN and STOP are known",
                         text_excerpt(words[0].data, words[0].length, excerpt, sizeof(excerpt)));
    }
    if (count - 1 != rule->arguments) {
        return error_set(error, CAIRN_EINVAL, "%s: takes %zu arguments, the line has %zu",
                         rule->name, rule->arguments, count - 1);
    }
    call->verb = rule->verb;
    call->words[0] = words[1];
    call->words[1] = words[2];
    int status = check_length(rule->name, "key", &words[1], CAIRN_KEY_LIMIT, error);
    if (status == CAIRN_OK) {
        status = check_length(rule->name, rule->second_is_value ? "value" : "key", &words[2],
                              rule->second_is_value ? CAIRN_VALUE_LIMIT : CAIRN_KEY_LIMIT, error);
    }
    return status;
}
