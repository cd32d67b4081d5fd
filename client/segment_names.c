/* Names of segments, and what is in the directory of them. */
#include "client/segment_names.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"

static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

/* An absent file of the kernel without time namespaces: all are in one. */
static uint64_t time_namespace(void)
{
    char text[64];
    const ssize_t length = readlink("/proc/self/ns/time", text, sizeof text - 1);
    const char *number;

    if (length <= 0)
        return 0;
    text[length] = 0;
    number = strchr(text, '[');
    return number != NULL ? strtoull(number + 1, NULL, 10) & UINT32_MAX : 0;
}

int segment_place_find(struct segment_place *place)
{
    const int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    char id[64];
    ssize_t length;

    *place = (struct segment_place){.owner = (uint64_t)geteuid()};
    if (descriptor < 0)
        return CAIRN_EIO;
    length = read(descriptor, id, sizeof id);
    (void)close(descriptor);
    if (length <= 0)
        return CAIRN_EIO;
    place->boot = hash_bytes(id, (size_t)length) << 32 | time_namespace();
    return 0;
}

bool segment_name_is_valid(const char *name)
{
    return name == NULL ||
           (strlen(name) <= SEGMENT_NAME_LIMIT && strspn(name, allowed) == strlen(name));
}

void segment_path(const struct segment_place *place, uint64_t cluster, const char *name,
                  char path[SEGMENT_PATH_MAX])
{
    const bool named = name != NULL && name[0] != 0;
    const int length =
        snprintf(path, SEGMENT_PATH_MAX, "/cairn-%" PRIu64 "-%016" PRIx64 "-%016" PRIx64 "%s%s",
                 place->owner, place->boot, cluster, named ? "-" : "", named ? name : "");

    CHECK(length > 0 && length < SEGMENT_PATH_MAX);
}

void segment_path_new(const struct segment_place *place, uint64_t number,
                      char path[SEGMENT_PATH_MAX])
{
    const int length =
        snprintf(path, SEGMENT_PATH_MAX, "/cairn-%" PRIu64 "-%016" PRIx64 "-new-%016" PRIx64,
                 place->owner, place->boot, number);

    CHECK(length > 0 && length < SEGMENT_PATH_MAX);
}

/* Exactly 16 lower-case hexadecimal digits; NULL: not. Returns what follows them. */
static const char *take_hex(const char *text, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < 16; i++, text++) {
        const char *digits = "0123456789abcdef";
        const char *digit = *text != 0 ? strchr(digits, *text) : NULL;

        if (digit == NULL)
            return NULL;
        *number = *number << 4 | (uint64_t)(digit - digits);
    }
    return text;
}

static const char *take_text(const char *text, const char *wanted)
{
    return strncmp(text, wanted, strlen(wanted)) == 0 ? text + strlen(wanted) : NULL;
}

/* What follows "cluster[-name]" of the name. */
static enum segment_kind parse_tail(const char *tail, const char *path,
                                    struct segment_listing *listing)
{
    const char *name = take_hex(tail, &listing->cluster);

    if (take_text(tail, "new-") != NULL)
        return SEGMENT_NEW;
    if (name == NULL || (*name != 0 && *name++ != '-') || !segment_name_is_valid(name))
        return SEGMENT_FOREIGN;
    (void)snprintf(listing->path, sizeof listing->path, "%s", path);
    (void)snprintf(listing->name, sizeof listing->name, "%s", name);
    return SEGMENT_CURRENT;
}

enum segment_kind segment_path_parse(const struct segment_place *place, const char *path,
                                     struct segment_listing *listing)
{
    char start[64];
    const char *rest;
    uint64_t boot;

    *listing = (struct segment_listing){0};
    (void)snprintf(start, sizeof start, "/cairn-%" PRIu64 "-", place->owner);
    rest = strlen(path) < SEGMENT_PATH_MAX ? take_text(path, start) : NULL;
    if (rest == NULL || (rest = take_hex(rest, &boot)) == NULL || *rest++ != '-')
        return SEGMENT_FOREIGN;
    if (boot >> 32 != place->boot >> 32)
        return SEGMENT_OUTDATED;
    if (boot != place->boot)
        return SEGMENT_FOREIGN;
    return parse_tail(rest, path, listing);
}

void segment_file(const char *path, char file[SEGMENT_FILE_MAX])
{
    const int length = snprintf(file, SEGMENT_FILE_MAX, SEGMENT_DIRECTORY "%s", path);

    CHECK(length > 0 && length < SEGMENT_FILE_MAX);
}
