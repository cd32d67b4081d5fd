/* Figures: for people, nothing decides by them. */
#include "client/cache_internal.h"

static_assert((int)CACHE_COUNTS <= (int)CACHE_COUNT_LINES, "each count has its line");

void cache_add(const struct cache *cache, enum cache_count what, uint64_t more)
{
    if (more > 0 && (unsigned)what < CACHE_COUNTS)
        atomic_fetch_add_explicit(&cache_fixed(cache)->counts[what].word, more,
                                  memory_order_relaxed);
}

static uint64_t count_entries(const struct cache *cache, int class)
{
    uint64_t used = 0;

    for (uint32_t set = 0; set < cache->geometry.classes[class].sets; set++)
        for (uint32_t way = 0; way < CACHE_WAYS; way++)
            used += cache_load(&cache_tags_at(cache, class, set)->tags[way]) != 0;
    return used;
}

void cache_stat(const struct cache *cache, uint64_t now_ms, struct cache_stat *stat)
{
    *stat = (struct cache_stat){
        .bytes = cache->geometry.bytes,
        .cluster = cache->cluster,
        .map_version = cache_map_version(cache),
    };
    if (!cache_generation(cache, &stat->generation))
        stat->generation = 0;
    for (int i = 0; i < CACHE_COUNTS; i++)
        stat->counts[i] = cache_load(&cache_fixed(cache)->counts[i].word);
    for (int class = 0; class < CACHE_CLASSES; class ++) {
        stat->entries_limit += (uint64_t)CACHE_WAYS * cache->geometry.classes[class].sets;
        if (cache_entries_open(cache))
            stat->entries += count_entries(cache, class);
    }
    for (uint32_t server = 0; server < CAIRN_SERVERS_LIMIT; server++)
        stat->sessions += cache_session(cache, server, now_ms) != 0;
}
