/* Looks after segments by the name that tells them from others of their cluster. */
#include "bench/host_cache.h"

#include <string.h>

#include "base/clock.h"
#include "client/segment.h"

struct count {
    const char *name;
    struct target_counts *counts;
};

static void add(struct target_counts *counts, const struct cache_stat *stat)
{
    counts->hits += stat->counts[CACHE_HITS];
    counts->misses += stat->counts[CACHE_MISSES];
    counts->fills += stat->counts[CACHE_FILLS];
    counts->refused += stat->counts[CACHE_REFUSED];
    counts->skipped += stat->counts[CACHE_SKIPPED];
    counts->invalidations += stat->counts[CACHE_INVALIDATIONS];
    counts->lapses += stat->counts[CACHE_LAPSES];
    counts->evictions += stat->counts[CACHE_EVICTIONS];
}

static bool count_one(void *context, const struct segment_listing *listing)
{
    const struct count *count = context;
    struct segment *segment;
    struct cache_stat stat;
    bool replaced;
    if (strcmp(listing->name, count->name) == 0 &&
        segment_open(listing->name, listing->cluster, listing->bytes, &segment, &replaced, NULL) ==
            0) {
        cache_stat(&segment->cache, clock_now_ms(), &stat);
        add(count->counts, &stat);
        segment_close(segment);
    }
    return true;
}

void host_cache_count(const char *name, struct target_counts *counts)
{
    struct count count = {name, counts};
    memset(counts, 0, sizeof(*counts));
    segment_list(count_one, &count);
}

static bool unlink_one(void *context, const struct segment_listing *listing)
{
    if (strcmp(listing->name, context) == 0)
        segment_unlink(listing->path);
    return true;
}

void host_cache_unlink(const char *name)
{
    char copy[SEGMENT_NAME_LIMIT + 1] = {0};
    memcpy(copy, name, strnlen(name, SEGMENT_NAME_LIMIT));
    segment_list(unlink_one, copy);
}
