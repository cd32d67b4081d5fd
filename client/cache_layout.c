/* Where everything lies in a segment of a given size. */
#include "client/cache_layout.h"

#include "base/error.h"
#include "client/cache.h"

enum { GRAIN = 64 << 10, ROW_LIMIT = 1 << 20 };

static const uint32_t slot_bytes[CACHE_CLASSES] = {CACHE_SLOT_SMALL, CACHE_SLOT_MIDDLE,
                                                   CACHE_SLOT_LARGE};
/* Of what is left for entries, in percent: most values are small, and a large one costs as much as
 * many of them. */
static const uint32_t share[CACHE_CLASSES] = {45, 30, 25};

static size_t round_up(size_t value, size_t to)
{
    return (value + to - 1) / to * to;
}

static uint32_t power_of_two_up_to(size_t limit)
{
    uint32_t power = 1;

    while (power < UINT32_C(1) << 30 && 2 * (size_t)power <= limit)
        power *= 2;
    return power;
}

/* Each class gets its share; what rounding leaves stays unused. */
static void lay_out_entries(struct cache_geometry *geometry)
{
    const size_t room = geometry->bytes - geometry->entries;
    size_t at = geometry->entries;
    uint32_t fewest = UINT32_MAX;

    for (int i = 0; i < CACHE_CLASSES; i++) {
        struct cache_class *class = &geometry->classes[i];
        const size_t set = sizeof(struct cache_tags) + (size_t)CACHE_WAYS * slot_bytes[i];

        class->slot_bytes = slot_bytes[i];
        class->sets = (uint32_t)(room / 100 * share[i] / set);
        class->tags = at;
        at += class->sets * sizeof(struct cache_tags);
        class->slots = at;
        at += (size_t) class->sets * CACHE_WAYS * slot_bytes[i];
        if (class->sets < fewest)
            fewest = class->sets;
    }
    geometry->stripes = power_of_two_up_to(fewest < CACHE_STRIPES ? fewest : CACHE_STRIPES);
    while (UINT32_C(1) << geometry->stripe_bits < geometry->stripes)
        geometry->stripe_bits++;
}

int cache_geometry_of(size_t bytes, struct cache_geometry *geometry)
{
    const size_t limit = (size_t)64 << 30;

    *geometry = (struct cache_geometry){0};
    if (bytes < CACHE_BYTES_MIN || bytes > limit)
        return CAIRN_EINVAL;
    geometry->bytes = bytes / GRAIN * GRAIN;
    geometry->sketch = sizeof(struct cache_fixed);
    geometry->sketch_row = power_of_two_up_to(geometry->bytes / 256);
    if (geometry->sketch_row > ROW_LIMIT)
        geometry->sketch_row = ROW_LIMIT;
    geometry->map = round_up(
        geometry->sketch + 2 * (size_t)CACHE_SKETCH_ROWS * geometry->sketch_row, CACHE_PAGE);
    geometry->map_limit = geometry->bytes / 16;
    if (geometry->map_limit > CAIRN_MAP_LIMIT)
        geometry->map_limit = CAIRN_MAP_LIMIT;
    geometry->entries = round_up(geometry->map + geometry->map_limit, CACHE_PAGE);
    lay_out_entries(geometry);
    return 0;
}
