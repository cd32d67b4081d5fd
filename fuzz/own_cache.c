/* Finds and removes a run's segments. */
#include "fuzz/own_cache.h"

#include <stdbool.h>
#include <string.h>

#include "client/segment.h"

static bool remove_one(void *context, const struct segment_listing *listing)
{
    if (strcmp(listing->name, context) == 0)
        segment_unlink(listing->path);
    return true;
}

void own_cache_remove(const char *name)
{
    char copy[SEGMENT_NAME_LIMIT + 1] = {0};
    memcpy(copy, name, strnlen(name, SEGMENT_NAME_LIMIT));
    segment_list(remove_one, copy);
}
