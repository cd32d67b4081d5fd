/* The file HOSTS (see hosts_record.h, C7), text:
 *
 *   cairn-hosts 1              the format's version; a newer one is refused
 *   longest 980                milliseconds, decimal, 1 to 3600000
 *   checksum a59a4e12ac360dec  XXH3-64 of all lines before, 16 hexadecimal digits; the end
 *
 * Written whole (W4); a store that never granted anything has none. */
#include "server/hosts_record.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"

enum { FILE_LIMIT = 256, DIGITS_LIMIT = 9 };

static const char format_word[] = "cairn-hosts ", longest_word[] = "longest ";

static void name_file(const struct hosts_record *record, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/HOSTS", record->directory);

    CHECK(length > 0 && length < PATH_MAX); /* IDENTITY lies there, too, and has a longer name */
}

/* The whole file that says so; its length. */
static size_t put_file(uint64_t longest_ms, char text[FILE_LIMIT])
{
    int length = snprintf(text, FILE_LIMIT, "%s%d\n%s%" PRIu64 "\n", format_word,
                          HOSTS_RECORD_FORMAT, longest_word, longest_ms);

    CHECK(length > 0 && length < FILE_LIMIT);
    length += snprintf(text + length, FILE_LIMIT - (size_t)length, "checksum %016" PRIx64 "\n",
                       hash_bytes(text, (size_t)length));
    CHECK(length < FILE_LIMIT);
    return (size_t)length;
}

/* Takes a line of one word and one number off the text. */
static bool take_line(const char **text, const char *end, const char *word, uint64_t *number)
{
    const size_t length = strlen(word);
    const char *at = *text + length;

    *number = 0;
    if ((size_t)(end - *text) < length || memcmp(*text, word, length) != 0)
        return false;
    for (; at < end && *at >= '0' && *at <= '9' && at - *text < (ptrdiff_t)length + DIGITS_LIMIT;
         at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    if (at == *text + length || at == end || *at != '\n')
        return false;
    *text = at + 1;
    return true;
}

/* The version goes first: a newer one may have changed all that follows it. */
static int take_file(struct hosts_record *record, const char *path, const struct buffer *file,
                     struct error *error)
{
    const char *at = (const char *)file->data;
    const char *end = at + file->length;
    char again[FILE_LIMIT];
    uint64_t version, longest_ms;

    if (file->length > 0 && take_line(&at, end, format_word, &version) &&
        version > HOSTS_RECORD_FORMAT)
        return error_set(error, CAIRN_EVERSION,
                         "%s: format version %" PRIu64
                         " is newer than %d, the newest this program reads",
                         path, version, HOSTS_RECORD_FORMAT);
    /* There is one way to write each record: what was read is compared with it. */
    if (file->length == 0 || !take_line(&at, end, longest_word, &longest_ms) || longest_ms == 0 ||
        longest_ms > HOSTS_RECORD_LONGEST_MS || put_file(longest_ms, again) != file->length ||
        memcmp(again, file->data, file->length) != 0)
        return error_set(error, CAIRN_ECORRUPT,
                         "%s: damaged; if this server has been down for longer than any "
                         "--host-lease it was ever started with, remove the file",
                         path);
    record->longest_ms = longest_ms;
    return CAIRN_OK;
}

int hosts_record_open(struct hosts_record *record, const char *directory, struct error *error)
{
    char path[PATH_MAX];
    struct buffer file;
    int status;

    *record = (struct hosts_record){.directory = directory};
    name_file(record, path);
    buffer_init(&file, FILE_LIMIT);
    status = file_read(path, &file, error);
    if (status == CAIRN_OK)
        status = take_file(record, path, &file, error);
    else if (status == CAIRN_ETOOBIG)
        status = error_set(error, CAIRN_ECORRUPT, "%s: damaged: it is too big", path);
    else if (status == CAIRN_ENOTFOUND)
        status = CAIRN_OK;
    buffer_free(&file);
    return status;
}

int hosts_record_raise(struct hosts_record *record, uint64_t longest_ms, struct error *error)
{
    char path[PATH_MAX];
    char text[FILE_LIMIT];
    int status;

    CHECK(longest_ms <= HOSTS_RECORD_LONGEST_MS);
    if (longest_ms <= record->longest_ms)
        return CAIRN_OK;
    name_file(record, path);
    status = file_replace(path, text, put_file(longest_ms, text), error);
    if (status == CAIRN_OK)
        record->longest_ms = longest_ms;
    return status;
}
