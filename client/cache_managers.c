/* By which lists of managers this cluster was reached, and when last: a process that knows a list
 * finds the segment by it (segment_find). Two writers may cross; a check word that does not fit is
 * an empty place. */
#include "client/cache_internal.h"

/* 0: nothing valid there. */
static uint64_t read_entry(const struct cache *cache, int i, uint64_t *managers)
{
    const struct cache_managers_entry *entry = &cache_fixed(cache)->managers[i];
    const uint64_t noted_ms = cache_load(&entry->noted_ms);

    *managers = cache_load(&entry->managers);
    if (cache_load(&entry->check) != cache_mix(cache, CACHE_OF_MANAGERS, *managers, noted_ms))
        return 0;
    return noted_ms;
}

static void write_entry(const struct cache *cache, int i, uint64_t managers, uint64_t noted_ms)
{
    struct cache_managers_entry *entry = &cache_fixed(cache)->managers[i];

    cache_store(&entry->check, 0);
    cache_step(cache, "managers: no check");
    cache_store(&entry->managers, managers);
    cache_store(&entry->noted_ms, noted_ms);
    cache_step(cache, "managers: words");
    atomic_store_explicit(&entry->check, cache_mix(cache, CACHE_OF_MANAGERS, managers, noted_ms),
                          memory_order_release);
    cache_step(cache, "managers: check");
}

static int find(const struct cache *cache, uint64_t managers)
{
    for (int i = 0; i < CACHE_MANAGERS; i++) {
        uint64_t there;

        if (read_entry(cache, i, &there) != 0 && there == managers)
            return i;
    }
    return -1;
}

static int oldest(const struct cache *cache)
{
    uint64_t least = UINT64_MAX;
    int found = 0;

    for (int i = 0; i < CACHE_MANAGERS; i++) {
        uint64_t there;
        const uint64_t noted_ms = read_entry(cache, i, &there);

        if (noted_ms < least) {
            least = noted_ms;
            found = i;
        }
    }
    return found;
}

void cache_note_managers(const struct cache *cache, uint64_t managers, uint64_t now_ms)
{
    const int there = find(cache, managers);

    write_entry(cache, there >= 0 ? there : oldest(cache), managers, now_ms > 0 ? now_ms : 1);
}

void cache_forget_managers(const struct cache *cache, uint64_t managers)
{
    for (int i = find(cache, managers), round = 0; i >= 0 && round < CACHE_MANAGERS;
         i = find(cache, managers), round++)
        write_entry(cache, i, 0, 0);
}

uint64_t cache_managers_noted_ms(const struct cache *cache, uint64_t managers)
{
    uint64_t newest = 0;

    for (int i = 0; i < CACHE_MANAGERS; i++) {
        uint64_t there;
        const uint64_t noted_ms = read_entry(cache, i, &there);

        if (there == managers && noted_ms > newest)
            newest = noted_ms;
    }
    return newest;
}
