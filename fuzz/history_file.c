/* Reads histories from JSON lines and prints their operations. */
#include "fuzz/history_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fuzz/checker.h"
#include "fuzz/history_scan.h"

static const char *const KIND_NAMES[] = {
    [OPERATION_PUT] = "put",   [OPERATION_PUT_IF] = "put_if", [OPERATION_GET] = "get",
    [OPERATION_SWAP] = "swap", [OPERATION_DELETE] = "delete",
};
static const char *const RESULT_NAMES[] = {
    [RESULT_NOT_FOUND] = "not_found", [RESULT_FOUND] = "found", [RESULT_MISMATCH] = "mismatch"};

/* Index of a text in an array, or -1. */
static int find_text(const char *const *texts, size_t count, const char *text)
{
    for (size_t i = 0; text != NULL && i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return (int)i;
    return -1;
}

/* A non-negative integer member; false if it is anything else. */
static bool get_number(const json_t *object, const char *name, uint64_t *number)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_integer(member) || json_integer_value(member) < 0)
        return false;
    *number = (uint64_t)json_integer_value(member);
    return true;
}

/* A value's number, 0 for null; what is missing or no text gives a message. */
static const char *get_value(struct history *history, const json_t *object, const char *name,
                             uint64_t *number)
{
    const json_t *member = json_object_get(object, name);
    *number = 0;
    if (json_is_null(member))
        return NULL;
    if (!json_is_string(member))
        return "value or result is neither a text nor null";
    *number = names_number(&history->values, json_string_value(member));
    return *number != 0 ? NULL : "out of memory";
}

static const char *read_result(struct history *history, const json_t *object,
                               struct operation *operation)
{
    if (operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP) {
        const char *problem = get_value(history, object, "result", &operation->result);
        if (problem != NULL)
            return problem;
    } else {
        int result = find_text(RESULT_NAMES, operation->kind == OPERATION_PUT_IF ? 3 : 2,
                               json_string_value(json_object_get(object, "result")));
        if (result < 0)
            return "result is none of this operation's";
        operation->result = (uint64_t)result;
    }
    if (json_object_get(object, "version") != NULL &&
        !get_number(object, "version", &operation->version))
        return "version is no number";
    return NULL;
}

static const char *read_written(struct history *history, const json_t *object,
                                struct operation *operation)
{
    if (operation->kind == OPERATION_GET || operation->kind == OPERATION_DELETE)
        return NULL;
    const char *problem = get_value(history, object, "value", &operation->value);
    if (problem == NULL && operation->value == 0)
        problem = "value is missing";
    if (problem == NULL && operation->kind == OPERATION_PUT_IF &&
        !get_number(object, "if_version", &operation->if_version))
        problem = "if_version is no number";
    return problem;
}

/* Fills `operation`; NULL or what is wrong. */
static const char *read_operation(struct history *history, const json_t *object,
                                  struct operation *operation)
{
    uint64_t process = 0;
    const char *key = json_string_value(json_object_get(object, "key"));
    int kind = find_text(KIND_NAMES, 5, json_string_value(json_object_get(object, "op")));
    if (kind < 0)
        return "op is none of put, put_if, get, swap, delete, scan";
    if (key == NULL)
        return "key is no text";
    if (!get_number(object, "process", &process) || process > UINT32_MAX)
        return "process is no number";
    *operation = (struct operation){.kind = (enum operation_kind)kind,
                                    .process = (uint32_t)process,
                                    .version = OPERATION_NO_VERSION,
                                    .end_ns = OPERATION_OPEN};
    operation->key = names_number(&history->keys, key);
    if (operation->key == 0)
        return "out of memory";
    if (!get_number(object, "start", &operation->start_ns))
        return "start is no number";
    const char *problem = read_written(history, object, operation);
    if (problem != NULL || json_is_null(json_object_get(object, "end")))
        return problem;
    if (!get_number(object, "end", &operation->end_ns) || operation->end_ns < operation->start_ns)
        return "end is neither null nor a number from start on";
    return read_result(history, object, operation);
}

int history_add(struct history *history, const struct operation *operation, struct error *error)
{
    if (history->count == history->room) {
        size_t room = history->room == 0 ? 1024 : history->room * 2;
        struct operation *operations = realloc(history->operations, room * sizeof(*operations));
        if (operations == NULL)
            return error_set(error, CAIRN_ENOMEM, "history: out of memory");
        history->operations = operations;
        history->room = room;
    }
    history->operations[history->count++] = *operation;
    return 0;
}

static const char *read_line(struct history *history, const char *line, size_t length)
{
    struct operation operation;
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *op = json_string_value(json_object_get(object, "op"));
    const char *problem = "no JSON object";
    if (op != NULL && strcmp(op, "scan") == 0) {
        problem = history_scan_read(history, object);
    } else if (json_is_object(object)) {
        problem = read_operation(history, object, &operation);
        if (problem == NULL && history_add(history, &operation, NULL) != 0)
            problem = "out of memory";
    }
    json_decref(object);
    return problem;
}

int history_read(struct history *history, FILE *file, const char *name, struct error *error)
{
    char *line = NULL;
    size_t size = 0, number = 0;
    const char *problem = NULL;
    ssize_t length;
    while (problem == NULL && (length = getline(&line, &size, file)) >= 0) {
        number++;
        if (strspn(line, " \t\r\n") != (size_t)length)
            problem = read_line(history, line, (size_t)length);
    }
    free(line);
    if (problem != NULL)
        return error_set(error, CAIRN_EINVAL, "%s:%zu: %s", name, number, problem);
    if (ferror(file))
        return error_set(error, CAIRN_EIO, "%s: cannot be read", name);
    return history_scans_expand(history, error);
}

void history_free(struct history *history)
{
    history_scans_free(history);
    free(history->operations);
    names_free(&history->keys);
    names_free(&history->values);
    memset(history, 0, sizeof(*history));
}

static const char *value_text(const struct history *history, uint64_t value)
{
    return value == 0 ? "null" : names_text(&history->values, value);
}

static void print_result(const struct history *history, const struct operation *operation,
                         FILE *out)
{
    if (operation->end_ns == OPERATION_OPEN)
        fprintf(out, "outcome unknown");
    else if (operation->result == OPERATION_NO_RESULT)
        fprintf(out, "done");
    else if (operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP)
        fprintf(out, "%s", value_text(history, operation->result));
    else
        fprintf(out, "%s", RESULT_NAMES[operation->result]);
    if (operation->version != OPERATION_NO_VERSION)
        fprintf(out, " (version %" PRIu64 ")", operation->version);
}

void history_print(const struct history *history, const struct operation *operation,
                   uint64_t origin_ns, FILE *out)
{
    fprintf(out, "process %-4" PRIu32 " [%12" PRIu64 ", ", operation->process,
            operation->start_ns - origin_ns);
    if (operation->end_ns == OPERATION_OPEN)
        fprintf(out, "%12s]  ", "open");
    else
        fprintf(out, "%12" PRIu64 "]  ", operation->end_ns - origin_ns);
    fprintf(out, "%-6s %s", KIND_NAMES[operation->kind],
            names_text(&history->keys, operation->key));
    if (operation->value != 0)
        fprintf(out, " %s", value_text(history, operation->value));
    if (operation->kind == OPERATION_PUT_IF)
        fprintf(out, " if-version %" PRIu64, operation->if_version);
    fprintf(out, " -> ");
    print_result(history, operation, out);
    fprintf(out, "\n");
}
