/* Histories as JSON lines: what is read can be printed, and is the same when it is written as JSON
 * again.
 *
 * The input: the file. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "base/error.h"
#include "fuzz/history_file.h"
#include "tests/fuzz/lib/fuzz.h"

static int read_history(struct history *history, const void *bytes, size_t length,
                        struct error *error)
{
    uint8_t *copy = fuzz_copy(bytes, length);
    FILE *file = length > 0 ? fmemopen(copy, length, "r") : fopen("/dev/null", "r");
    int status;

    CHECK(file != NULL);
    *history = (struct history){0};
    status = history_read(history, file, "history", error);
    fclose(file);
    free(copy);
    return status;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static json_t *value_json(const struct history *history, uint64_t value)
{
    return value == 0 ? json_null() : json_string(names_text(&history->values, value));
}

static json_t *result_json(const struct history *history, const struct operation *operation)
{
    static const char *const results[] = {"not_found", "found", "mismatch"};

    if (operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP)
        return value_json(history, operation->result);
    CHECK(operation->result <= RESULT_MISMATCH);
    return json_string(results[operation->result]);
}

static void put_operation(const struct history *history, const struct operation *operation,
                          struct buffer *out)
{
    static const char *const kinds[] = {"put", "put_if", "get", "swap", "delete"};
    const bool is_open = operation->end_ns == OPERATION_OPEN;
    json_t *object = json_pack(
        "{s:I,s:s,s:s,s:o,s:I,s:o,s:o}", "process", (json_int_t)operation->process, "op",
        kinds[operation->kind], "key", names_text(&history->keys, operation->key), "value",
        value_json(history, operation->value), "start", (json_int_t)operation->start_ns, "end",
        is_open ? json_null() : json_integer((json_int_t)operation->end_ns), "result",
        is_open ? json_null() : result_json(history, operation));
    char *line;

    CHECK(object != NULL);
    if (operation->kind == OPERATION_PUT_IF)
        json_object_set_new(object, "if_version", json_integer((json_int_t)operation->if_version));
    if (operation->version != OPERATION_NO_VERSION)
        json_object_set_new(object, "version", json_integer((json_int_t)operation->version));
    line = json_dumps(object, JSON_COMPACT);
    CHECK(line != NULL);
    seed_text(out, line);
    seed_text(out, "\n");
    free(line);
    json_decref(object);
}

/* --- what must hold -----------------------------------------------------------------------------
 */

static void require_same_value(const struct history *left, uint64_t a, const struct history *right,
                               uint64_t b)
{
    CHECK((a == 0) == (b == 0));
    CHECK(a == 0 || strcmp(names_text(&left->values, a), names_text(&right->values, b)) == 0);
}

static void require_same(const struct history *left, const struct operation *a,
                         const struct history *right, const struct operation *b)
{
    CHECK(a->kind == b->kind && a->process == b->process && a->if_version == b->if_version &&
          a->version == b->version && a->start_ns == b->start_ns && a->end_ns == b->end_ns);
    CHECK(strcmp(names_text(&left->keys, a->key), names_text(&right->keys, b->key)) == 0);
    require_same_value(left, a->value, right, b->value);
    if (a->kind == OPERATION_GET || a->kind == OPERATION_SWAP)
        require_same_value(left, a->result, right, b->result);
    else
        CHECK(a->result == b->result);
}

static void round_trip(const struct history *history)
{
    struct history again;
    struct error error = {0};
    struct buffer text;

    buffer_init(&text, SIZE_MAX / 2);
    for (size_t i = 0; i < history->count; i++)
        put_operation(history, &history->operations[i], &text);
    CHECK(read_history(&again, text.data, text.length, &error) == 0);
    CHECK(again.count == history->count);
    for (size_t i = 0; i < history->count; i++)
        require_same(history, &history->operations[i], &again, &again.operations[i]);
    history_free(&again);
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct history history;
    struct error error = {0};

    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL);
    if (read_history(&history, data, size, &error) == 0) {
        fuzz_accepted++;
        for (size_t i = 0; i < history.count; i++) {
            const struct operation *operation = &history.operations[i];

            CHECK(operation->end_ns >= operation->start_ns);
            history_print(&history, operation, operation->start_ns, nowhere);
        }
        round_trip(&history);
    } else {
        CHECK(error.code == CAIRN_EINVAL && error.message[0] != '\0');
    }
    history_free(&history);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    static const char *const lines[] = {
        "{\"process\":0,\"op\":\"put\",\"key\":\"k\",\"value\":\"v1\",\"result\":\"not_found\","
        "\"start\":10,\"end\":25}\n",
        "{\"process\":1,\"op\":\"get\",\"key\":\"k\",\"result\":\"v1\",\"start\":10,\"end\":25}\n"
        "{\"process\":1,\"op\":\"get\",\"key\":\"k\",\"result\":null,\"start\":30,\"end\":31}\n",
        "{\"process\":2,\"op\":\"put_if\",\"key\":\"k\",\"value\":\"v2\",\"if_version\":3,"
        "\"version\":4,\"result\":\"mismatch\",\"start\":1,\"end\":2}\n",
        "\n{\"process\":3,\"op\":\"swap\",\"key\":\"\",\"value\":\"v3\",\"start\":1,\"end\":null}"
        "\n",
        "{\"process\":4,\"op\":\"delete\",\"key\":\"k\",\"result\":\"found\",\"start\":1,\"end\":9,"
        "\"more\":[1.5,true]}\n",
    };

    if (number >= sizeof lines / sizeof *lines)
        return false;
    seed_text(out, lines[number]);
    return true;
}
