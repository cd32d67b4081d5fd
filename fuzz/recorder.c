/* Writes calls as lines of JSON. All texts are of our own making, or were made printable. */
#include "fuzz/recorder.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static_assert(PLAN_VALUE_FOREIGN != OPERATION_NO_RESULT, "a damaged value is looked at");

int recorder_open(struct recorder *recorder, const struct plan *plan, const char *path,
                  struct error *error)
{
    *recorder = (struct recorder){.plan = plan, .path = path};
    recorder->value = malloc(PLAN_VALUE_SHORT + plan->value_bytes + 1);
    if (recorder->value == NULL)
        return error_set(error, CAIRN_ENOMEM, "history: out of memory");
    if (path == NULL)
        return 0;
    recorder->file = fopen(path, "we");
    if (recorder->file == NULL)
        return error_set(error, CAIRN_EIO, "%s: %s", path, strerror(errno));
    return 0;
}

int recorder_close(struct recorder *recorder, struct error *error)
{
    int status = 0;
    if (recorder->file != NULL) {
        bool failed = ferror(recorder->file) != 0;
        if (fclose(recorder->file) != 0 || failed)
            status = error_set(error, CAIRN_EIO, "%s: cannot be written", recorder->path);
    }
    free(recorder->value);
    *recorder = (struct recorder){0};
    return status;
}

static enum operation_kind kind_of(enum call_kind kind)
{
    switch (kind) {
    case CALL_PUT:
        return OPERATION_PUT;
    case CALL_PUT_IF:
        return OPERATION_PUT_IF;
    case CALL_SWAP:
        return OPERATION_SWAP;
    case CALL_DELETE:
        return OPERATION_DELETE;
    case CALL_GET:
    case CALL_SCAN:
        break;
    }
    return OPERATION_GET;
}

size_t recorder_operations(const struct lane_entry *entry, uint32_t client,
                           struct operation out[PLAN_SCAN_KEYS])
{
    const struct call *call = &entry->call;
    enum operation_kind kind = kind_of(call->kind);
    bool open = entry->answer.outcome == OUTCOME_OPEN;
    if (entry->answer.outcome == OUTCOME_NOT_APPLIED || (open && kind == OPERATION_GET))
        return 0;
    for (uint32_t i = 0; i < call->keys; i++)
        out[i] = (struct operation){.kind = kind,
                                    .process = client,
                                    .key = call->key + i,
                                    .value = call->value,
                                    .if_version = call->if_version,
                                    .result = call->kind == CALL_SCAN ? entry->answer.values[i]
                                                                      : entry->answer.result,
                                    .version = entry->answer.version,
                                    .start_ns = entry->start_ns,
                                    .end_ns = open ? OPERATION_OPEN : entry->end_ns};
    return call->keys;
}

/* --- the file -----------------------------------------------------------------------------------
 */

static void put_value(struct recorder *recorder, uint64_t value, const char *foreign)
{
    const char *text = foreign;
    size_t length = strlen(foreign);
    if (value == 0) {
        (void)fputs("null", recorder->file);
        return;
    }
    if (value != PLAN_VALUE_FOREIGN) {
        length = plan_value_text(recorder->plan, value, recorder->value);
        text = recorder->value;
    }
    (void)fputc('"', recorder->file);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\')
            (void)fputc('\\', recorder->file);
        (void)fputc(text[i], recorder->file);
    }
    (void)fputc('"', recorder->file);
}

static void put_key(struct recorder *recorder, const char *name, uint64_t key)
{
    char text[PLAN_KEY_SIZE];
    plan_key_text(recorder->plan, key, text);
    (void)fprintf(recorder->file, ",\"%s\":\"%s\"", name, text);
}

static void put_scan(struct recorder *recorder, const struct lane_entry *entry, const char *foreign)
{
    const struct call *call = &entry->call;
    char text[PLAN_KEY_SIZE];
    const char *between = "";
    put_key(recorder, "from", call->key);
    put_key(recorder, "to", call->key + call->keys - 1);
    (void)fputs(",\"result\":[", recorder->file);
    for (uint32_t i = 0; i < call->keys; i++) {
        if (entry->answer.values[i] == 0)
            continue;
        plan_key_text(recorder->plan, call->key + i, text);
        (void)fprintf(recorder->file, "%s[\"%s\",", between, text);
        put_value(recorder, entry->answer.values[i], foreign);
        (void)fputc(']', recorder->file);
        between = ",";
    }
    (void)fputc(']', recorder->file);
}

static void put_result(struct recorder *recorder, const struct lane_entry *entry,
                       const char *foreign)
{
    static const char *const RESULTS[] = {"not_found", "found", "mismatch"};
    (void)fputs(",\"result\":", recorder->file);
    if (entry->answer.outcome != OUTCOME_ANSWERED)
        (void)fputs("null", recorder->file);
    else if (entry->call.kind == CALL_GET || entry->call.kind == CALL_SWAP)
        put_value(recorder, entry->answer.result, foreign);
    else
        (void)fprintf(recorder->file, "\"%s\"", RESULTS[entry->answer.result]);
    if (entry->answer.outcome == OUTCOME_ANSWERED && entry->answer.version != OPERATION_NO_VERSION)
        (void)fprintf(recorder->file, ",\"version\":%" PRIu64, entry->answer.version);
}

void recorder_write(struct recorder *recorder, const struct lane_entry *entry, uint32_t client,
                    const char *foreign)
{
    static const char *const OPS[] = {"get", "put", "put_if", "swap", "delete", "scan"};
    FILE *file = recorder->file;
    if (file == NULL || entry->answer.outcome == OUTCOME_NOT_APPLIED)
        return;
    (void)fprintf(file, "{\"process\":%" PRIu32 ",\"op\":\"%s\"", client, OPS[entry->call.kind]);
    if (entry->call.kind == CALL_SCAN) {
        put_scan(recorder, entry, foreign);
    } else {
        put_key(recorder, "key", entry->call.key);
        if (entry->call.value != 0) {
            (void)fputs(",\"value\":", file);
            put_value(recorder, entry->call.value, foreign);
        }
        if (entry->call.kind == CALL_PUT_IF)
            (void)fprintf(file, ",\"if_version\":%" PRIu64, entry->call.if_version);
        put_result(recorder, entry, foreign);
    }
    (void)fprintf(file, ",\"start\":%" PRIu64 ",\"end\":", entry->start_ns);
    if (entry->answer.outcome == OUTCOME_OPEN)
        (void)fputs("null}\n", file);
    else
        (void)fprintf(file, "%" PRIu64 "}\n", entry->end_ns);
}
