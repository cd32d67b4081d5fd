/* The file DAMAGED (see damage.h, R13), text:
 *
 *   cairn-damaged 1            the format's version; a newer one is refused
 *   3                          numbers of the damaged partitions, decimal, ascending, one a line
 *   17
 *   checksum 29c298aa93123565  XXH3-64 of all lines before, 16 hexadecimal digits; the end
 *
 * Written whole (W4); where nothing is damaged there is no file. */
#include "server/damage.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "proto/limits.h"

enum { LINE_LIMIT = 64, DIGITS_LIMIT = 9, CHECKSUM_LENGTH = 9 + 16 + 1 };
enum { FILE_LIMIT = CAIRN_PARTITIONS_LIMIT * (DIGITS_LIMIT + 1) + 2 * LINE_LIMIT };

static const char format_word[] = "cairn-damaged ";

static void name_file(const struct damage *damage, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/DAMAGED", damage->directory);

    CHECK(length > 0 && length < PATH_MAX); /* IDENTITY lies there, too, and has a longer name */
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* Takes a line that is one number in its shortest form off the text. */
static bool take_number(const char **text, const char *end, uint32_t *number)
{
    const char *at = *text;

    for (*number = 0; at < end && *at >= '0' && *at <= '9' && at - *text < DIGITS_LIMIT; at++)
        *number = *number * 10 + (uint32_t)(*at - '0');
    if (at == *text || at == end || *at != '\n' || (**text == '0' && at - *text > 1))
        return false;
    *text = at + 1;
    return true;
}

static void put_checksum(const void *lines, size_t length, char text[CHECKSUM_LENGTH + 1])
{
    snprintf(text, CHECKSUM_LENGTH + 1, "checksum %016" PRIx64 "\n", hash_bytes(lines, length));
}

/* The version goes first: a newer one may have changed all that follows it. */
static int check_frame(const char *path, const char *text, size_t length, struct error *error)
{
    const size_t word = sizeof format_word - 1;
    char checksum[CHECKSUM_LENGTH + 1];
    const char *at = text + word;
    uint32_t version;

    if (length < word || memcmp(text, format_word, word) != 0 ||
        !take_number(&at, text + length, &version))
        return error_set(error, CAIRN_ECORRUPT, "%s: damaged: its first line is wrong", path);
    if (version > DAMAGE_FORMAT)
        return error_set(error, CAIRN_EVERSION,
                         "%s: format version %u is newer than %d, the newest this program reads",
                         path, version, DAMAGE_FORMAT);
    if ((size_t)(text + length - at) >= CHECKSUM_LENGTH) {
        put_checksum(text, length - CHECKSUM_LENGTH, checksum);
        if (version == DAMAGE_FORMAT &&
            memcmp(text + length - CHECKSUM_LENGTH, checksum, CHECKSUM_LENGTH) == 0)
            return CAIRN_OK;
    }
    return error_set(error, CAIRN_ECORRUPT, "%s: damaged: its checksum is wrong", path);
}

/* The lines between the first and the last. */
static int take_marks(struct damage *damage, const char *path, const char *text, const char *end,
                      struct error *error)
{
    uint32_t number, next = 0;

    while (text < end) {
        if (!take_number(&text, end, &number) || number < next || number >= damage->partitions)
            return error_set(error, CAIRN_ECORRUPT,
                             "%s: damaged: a line is not the next of %u partitions", path,
                             damage->partitions);
        damage->marks[number] = true;
        next = number + 1;
    }
    return CAIRN_OK;
}

static int take_file(struct damage *damage, const char *path, const struct buffer *file,
                     struct error *error)
{
    const char *text = (const char *)file->data;
    int status = check_frame(path, text, file->length, error);

    if (status != CAIRN_OK)
        return status;
    return take_marks(damage, path, (const char *)memchr(text, '\n', file->length) + 1,
                      text + file->length - CHECKSUM_LENGTH, error);
}

int damage_open(struct damage *damage, const char *directory, uint32_t partitions,
                struct error *error)
{
    char path[PATH_MAX];
    struct buffer file;
    int status;

    *damage = (struct damage){.directory = directory, .partitions = partitions};
    damage->marks = calloc(partitions, sizeof *damage->marks);
    if (damage->marks == NULL)
        return error_set(error, CAIRN_ENOMEM, "server: out of memory");
    name_file(damage, path);
    buffer_init(&file, FILE_LIMIT);
    status = file_read(path, &file, error);
    if (status == CAIRN_OK)
        status = take_file(damage, path, &file, error);
    else if (status == CAIRN_ETOOBIG)
        status = error_set(error, CAIRN_ECORRUPT, "%s: damaged: it is too big", path);
    else if (status == CAIRN_ENOTFOUND)
        status = CAIRN_OK;
    buffer_free(&file);
    return status;
}

void damage_close(struct damage *damage)
{
    free(damage->marks);
    *damage = (struct damage){0};
}

bool damage_has(const struct damage *damage, uint32_t partition)
{
    CHECK(partition < damage->partitions);
    return damage->marks[partition];
}

/* --- writing ------------------------------------------------------------------------------------
 */

static int put_text(struct buffer *file, const char *text)
{
    return buffer_append(file, text, strlen(text));
}

/* Returns the number of marks, or an error. */
static int put_file(const struct damage *damage, struct buffer *file)
{
    char line[LINE_LIMIT];
    int count = 0;

    snprintf(line, sizeof line, "%s%d\n", format_word, DAMAGE_FORMAT);
    if (put_text(file, line) != CAIRN_OK)
        return CAIRN_ENOMEM;
    for (uint32_t i = 0; i < damage->partitions; i++) {
        if (!damage->marks[i])
            continue;
        snprintf(line, sizeof line, "%u\n", i);
        if (put_text(file, line) != CAIRN_OK)
            return CAIRN_ENOMEM;
        count++;
    }
    put_checksum(file->data, file->length, line);
    return put_text(file, line) == CAIRN_OK ? count : CAIRN_ENOMEM;
}

static int remove_file(const struct damage *damage, const char *path, struct error *error)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set(error, CAIRN_EIO, "%s: cannot remove: %s", path, strerror(errno));
    return directory_sync(damage->directory, error);
}

static void save(struct damage *damage)
{
    char path[PATH_MAX];
    struct error error = {0};
    struct buffer file;
    int status;

    name_file(damage, path);
    buffer_init(&file, FILE_LIMIT);
    status = put_file(damage, &file);
    if (status > 0)
        status = file_replace(path, file.data, file.length, &error);
    else if (status == 0)
        status = remove_file(damage, path, &error);
    else
        (void)error_set(&error, status, "%s: %s", path, error_text(status));
    buffer_free(&file);
    if (status != CAIRN_OK && !damage->unsaved)
        log_error("server", "damage is not recorded yet error=\"%s\"", error.message);
    damage->unsaved = status != CAIRN_OK;
}

void damage_mark(struct damage *damage, uint32_t partition)
{
    if (damage_has(damage, partition))
        return;
    damage->marks[partition] = true;
    save(damage);
}

void damage_clear(struct damage *damage, uint32_t partition)
{
    if (!damage_has(damage, partition))
        return;
    damage->marks[partition] = false;
    save(damage);
}

void damage_retry(struct damage *damage)
{
    if (damage->unsaved)
        save(damage);
}
