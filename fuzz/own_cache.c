/* Names, finds and removes the segments of runs. A name is fuzz-PID-START: the process, and when it
 * began, in ticks since the machine's boot, so that a later process of the same number is another.
 */
#include "fuzz/own_cache.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/segment.h"

#define PREFIX      "fuzz-"
#define START_LIMIT UINT64_C(1000000000000)

static_assert(OWN_CACHE_NAME_SIZE == SEGMENT_NAME_LIMIT + 1, "the name of a segment");

enum { FIELD_START = 22 };

/* When the process began, or 0 if there is none. So long that it fits into a name. */
static uint64_t start_of(uint64_t process)
{
    char path[48], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", process);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    (void)fclose(file);
    /* The second field is a name in parentheses, with any bytes. */
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < FIELD_START; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? strtoull(at, NULL, 10) % START_LIMIT : 0;
}

void own_cache_name(char out[OWN_CACHE_NAME_SIZE])
{
    const uint64_t process = (uint64_t)getpid();
    (void)snprintf(out, OWN_CACHE_NAME_SIZE, PREFIX "%" PRIu64 "-%" PRIu64, process,
                   start_of(process));
}

void own_cache_numbered(const char *name, unsigned number, char out[OWN_CACHE_NAME_SIZE])
{
    (void)snprintf(out, OWN_CACHE_NAME_SIZE, "%.*s-%u", OWN_CACHE_NAME_SIZE - 3, name, number % 10);
}

/* Takes decimal digits. */
static bool take_number(const char **at, uint64_t *number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    *number = strtoull(*at, &end, 10);
    *at = end;
    return true;
}

/* Whether it is the name of a run's cache, and the run is over. */
static bool is_dead(const char *name)
{
    uint64_t process, start, number;
    const char *at = name + sizeof(PREFIX) - 1;
    if (strncmp(name, PREFIX, sizeof(PREFIX) - 1) != 0 || !take_number(&at, &process) ||
        *at++ != '-' || !take_number(&at, &start) || *at++ != '-' || !take_number(&at, &number) ||
        *at != '\0')
        return false;
    return start_of(process) != start;
}

static bool remove_own(void *context, const struct segment_listing *listing)
{
    const char *name = context;
    size_t length = strlen(name);
    if (strncmp(listing->name, name, length) == 0 && listing->name[length] == '-')
        (void)segment_unlink(listing->path);
    return true;
}

void own_cache_remove(const char *name)
{
    char copy[OWN_CACHE_NAME_SIZE];
    (void)snprintf(copy, sizeof(copy), "%s", name);
    segment_list(remove_own, copy);
}

static bool remove_dead(void *context, const struct segment_listing *listing)
{
    unsigned *removed = context;
    if (is_dead(listing->name) && segment_unlink(listing->path) == 0)
        (*removed)++;
    return true;
}

unsigned own_cache_remove_dead(void)
{
    unsigned removed = 0;
    segment_list(remove_dead, &removed);
    return removed;
}
