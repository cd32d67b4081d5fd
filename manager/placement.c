/* Consistent hashing with bounded load: see placement.h.
 *
 * First all primaries are placed, then all second copies, and so on, so that a copy that found no
 * room displaces none of a lower rank. Copies on distinct servers can dead-end: every server with
 * room may already hold the partition. Then a copy of another partition is moved to one of those,
 * which makes room for this one elsewhere. */
#include "manager/placement.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

/* Seeds keep the points of servers and partitions apart. They are part of the format: another value
 * would place everything anew. */
enum { SEED_SERVER = 1, SEED_PARTITION = 2 };

struct point {
    uint64_t hash;
    uint32_t server; /* id */
    uint32_t slot;   /* index into the load tables */
};

struct ring {
    const struct placement *placement;
    size_t point_count;
    struct point *points;
    uint32_t *primaries, *copies; /* loads by slot */
    uint32_t *slots;              /* what `members` holds, as slots */
};

uint32_t placement_limit(uint64_t items, size_t servers)
{
    const uint64_t parts = (uint64_t)servers * 100;

    return (uint32_t)((items * (100 + PLACEMENT_SLACK_PERCENT) + parts - 1) / parts);
}

/* Hashed as little-endian bytes, so that every machine agrees. */
static uint64_t hash_numbers(uint32_t first, uint32_t second, uint64_t seed)
{
    uint8_t bytes[8];

    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(first >> (8 * i));
        bytes[4 + i] = (uint8_t)(second >> (8 * i));
    }
    return hash_seeded(bytes, sizeof bytes, seed);
}

static int compare_points(const void *left, const void *right)
{
    const struct point *a = left, *b = right;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->server < b->server ? -1 : a->server > b->server;
}

static void ring_fill(struct ring *ring)
{
    struct point *point = ring->points;

    for (uint32_t slot = 0; slot < ring->placement->server_count; slot++)
        for (uint32_t i = 0; i < PLACEMENT_POINTS; i++) {
            point->server = ring->placement->servers[slot];
            point->slot = slot;
            point->hash = hash_numbers(point->server, i, SEED_SERVER);
            point++;
        }
    qsort(ring->points, ring->point_count, sizeof *ring->points, compare_points);
}

/* The first point at or behind the partition's place. */
static size_t ring_find(const struct ring *ring, uint32_t partition)
{
    const uint64_t hash = hash_numbers(partition, 0, SEED_PARTITION);
    size_t low = 0, high = ring->point_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (ring->points[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ring->point_count ? 0 : low;
}

static bool holds(const struct ring *ring, uint32_t partition, uint32_t ranks, uint32_t slot)
{
    const uint32_t *slots = ring->slots + (size_t)partition * ring->placement->replicas;

    for (uint32_t rank = 0; rank < ranks; rank++)
        if (slots[rank] == slot)
            return true;
    return false;
}

static void give(struct ring *ring, uint32_t partition, uint32_t rank, uint32_t slot)
{
    ring->slots[(size_t)partition * ring->placement->replicas + rank] = slot;
    ring->copies[slot]++;
    if (rank == 0)
        ring->primaries[slot]++;
}

/* The next server clockwise that has room by `loads` and does not hold the partition yet. */
static bool walk(struct ring *ring, uint32_t partition, uint32_t rank, const uint32_t *loads,
                 uint32_t limit)
{
    const size_t start = ring_find(ring, partition);

    for (size_t i = 0; i < ring->point_count; i++) {
        const uint32_t slot = ring->points[(start + i) % ring->point_count].slot;

        if (loads[slot] < limit && !holds(ring, partition, rank, slot)) {
            give(ring, partition, rank, slot);
            return true;
        }
    }
    return false;
}

/* Moves one copy (not a primary) of `other` from a full server that `partition` could use to one
 * with room that it could not. `ranks` copies of `other` are placed, `rank` of `partition`. */
static bool make_room(struct ring *ring, uint32_t partition, uint32_t rank, uint32_t other,
                      uint32_t ranks, uint32_t limit)
{
    uint32_t *slots = ring->slots + (size_t)other * ring->placement->replicas;

    for (uint32_t i = 1; i < ranks; i++) {
        const uint32_t full = slots[i];

        if (holds(ring, partition, rank, full))
            continue;
        for (uint32_t slot = 0; slot < ring->placement->server_count; slot++) {
            if (ring->copies[slot] >= limit || holds(ring, other, ranks, slot))
                continue;
            slots[i] = slot;
            ring->copies[slot]++;
            ring->copies[full]--;
            give(ring, partition, rank, full);
            return true;
        }
    }
    return false;
}

/* Where even moving does not help the least loaded server takes one more than its limit. */
static void overload(struct ring *ring, uint32_t partition, uint32_t rank)
{
    const uint32_t none = UINT32_MAX;
    uint32_t best = none;

    for (uint32_t slot = 0; slot < ring->placement->server_count; slot++)
        if (!holds(ring, partition, rank, slot) &&
            (best == none || ring->copies[slot] < ring->copies[best]))
            best = slot;
    CHECK(best != none);
    give(ring, partition, rank, best);
}

static void place_copy(struct ring *ring, uint32_t partition, uint32_t rank, uint32_t limit)
{
    if (walk(ring, partition, rank, ring->copies, limit))
        return;
    for (uint32_t other = 0; other < ring->placement->partitions; other++) {
        const uint32_t ranks = other < partition ? rank + 1 : rank;

        if (other != partition && make_room(ring, partition, rank, other, ranks, limit))
            return;
    }
    overload(ring, partition, rank);
}

static void place_all(struct ring *ring)
{
    const struct placement *placement = ring->placement;
    const uint32_t primaries = placement_limit(placement->partitions, placement->server_count);
    const uint32_t copies = placement_limit((uint64_t)placement->partitions * placement->replicas,
                                            placement->server_count);

    for (uint32_t partition = 0; partition < placement->partitions; partition++)
        CHECK(walk(ring, partition, 0, ring->primaries, primaries));
    for (uint32_t rank = 1; rank < placement->replicas; rank++)
        for (uint32_t partition = 0; partition < placement->partitions; partition++)
            place_copy(ring, partition, rank, copies);
}

int placement_compute(const struct placement *placement, uint32_t *members)
{
    const size_t servers = placement->server_count;
    const size_t all = (size_t)placement->partitions * placement->replicas;
    struct ring ring = {.placement = placement, .point_count = servers * PLACEMENT_POINTS};
    int status = CAIRN_ENOMEM;

    if (servers == 0 || all == 0 || placement->replicas > servers)
        return CAIRN_EINVAL;
    ring.points = calloc(ring.point_count, sizeof *ring.points);
    ring.primaries = calloc(servers, sizeof *ring.primaries);
    ring.copies = calloc(servers, sizeof *ring.copies);
    ring.slots = calloc(all, sizeof *ring.slots);
    if (ring.points == NULL || ring.primaries == NULL || ring.copies == NULL || ring.slots == NULL)
        goto out;
    ring_fill(&ring);
    place_all(&ring);
    for (size_t i = 0; i < all; i++)
        members[i] = placement->servers[ring.slots[i]];
    status = 0;
out:
    free(ring.points);
    free(ring.primaries);
    free(ring.copies);
    free(ring.slots);
    return status;
}
