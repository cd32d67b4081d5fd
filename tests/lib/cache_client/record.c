/* A client's own record of what it did, as lines of JSON. */
#include "tests/lib/cache_client/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { LINE_MAX_BYTES = 1024 };

void record_open(struct record *record, const char *path, uint64_t process, const char *const *keys,
                 uint32_t keys_count)
{
    *record =
        (struct record){.file = -1, .process = process, .keys = keys, .keys_count = keys_count};
    record->last = calloc(keys_count, sizeof(struct record_read));
    CHECK(record->last != NULL);
    if (path == NULL)
        return;
    record->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECK(record->file >= 0);
}

static void write_all(struct record *record)
{
    uint32_t done = 0;
    while (record->file >= 0 && done < record->used) {
        ssize_t count = write(record->file, record->buffer + done, record->used - done);
        if (count < 0 && errno == EINTR)
            continue;
        CHECK(count > 0);
        done += (uint32_t)count;
    }
    record->used = 0;
}

static void add_line(struct record *record, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add_line(struct record *record, const char *format, ...)
{
    if (record->file < 0)
        return;
    if (record->used + LINE_MAX_BYTES > RECORD_BUFFER)
        write_all(record);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(record->buffer + record->used, LINE_MAX_BYTES, format, arguments);
    va_end(arguments);
    CHECK(length > 0 && length < LINE_MAX_BYTES);
    record->used += (uint32_t)length;
}

/* A JSON text, or null for "". */
struct json_text {
    char text[VALUE_ID_MAX + 8];
};

static struct json_text json_text(const char *id)
{
    struct json_text made;
    (void)snprintf(made.text, sizeof made.text, id[0] != '\0' ? "\"%s\"" : "null", id);
    return made;
}

static void write_read(struct record *record, uint32_t key, struct record_read *read)
{
    if (!read->seen || read->written)
        return;
    read->written = 1;
    add_line(record,
             "{\"process\":%" PRIu64 ",\"op\":\"get\",\"key\":\"%s\",\"result\":%s,"
             "\"version\":%" PRIu64 ",\"start\":%" PRIu64 ",\"end\":%" PRIu64 "}\n",
             record->process, record->keys[key], json_text(read->id).text, read->version,
             read->start_ns, read->end_ns);
}

void record_read(struct record *record, uint32_t key, const struct record_read *read, int at_random)
{
    struct record_read *last = &record->last[key];
    record->reads++;
    int changed = !last->seen || last->version != read->version || strcmp(last->id, read->id) != 0;
    if (changed)
        write_read(record, key, last);
    *last = *read;
    last->seen = 1;
    last->written = 0;
    if (changed || at_random)
        write_read(record, key, last);
}

void record_flush(struct record *record)
{
    for (uint32_t key = 0; key < record->keys_count; key++)
        write_read(record, key, &record->last[key]);
    add_line(record, "# %" PRIu64 " %" PRIu64 "\n", record->reads, record->writes);
    write_all(record);
}

static void write_line(struct record *record, const struct record_write *write, const char *rest)
{
    add_line(record,
             "{\"process\":%" PRIu64 ",\"op\":\"%s\",\"key\":\"%s\",\"value\":%s,"
             "\"start\":%" PRIu64 ",%s}\n",
             record->process, write->op, record->keys[write->key], json_text(write->id).text,
             write->start_ns, rest);
}

void record_write_begins(struct record *record, const struct record_write *write)
{
    record->writes++;
    write_line(record, write, "\"result\":null,\"end\":null");
    write_all(record);
}

void record_write_ends(struct record *record, const struct record_write *write,
                       enum record_outcome outcome, const char *result, uint64_t version,
                       uint64_t end_ns)
{
    char rest[LINE_MAX_BYTES / 2], told[40] = "";
    if (version != 0)
        (void)snprintf(told, sizeof told, "\"version\":%" PRIu64 ",", version);
    if (outcome == RECORD_NOT_APPLIED)
        (void)snprintf(rest, sizeof rest, "\"void\":true,\"end\":null");
    else
        (void)snprintf(rest, sizeof rest, "\"result\":%s,%s\"end\":%" PRIu64,
                       json_text(result != NULL ? result : "").text, told, end_ns);
    write_line(record, write, rest);
    write_all(record);
}

void record_leave(struct record *record)
{
    if (record->file >= 0)
        (void)close(record->file);
    free(record->last);
    record->last = NULL;
}

void record_close(struct record *record)
{
    record_flush(record);
    record_leave(record);
}
