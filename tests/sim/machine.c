/* Simulated machines: their clocks, the memory of their segments, and what must hold of it. */
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "client/cache_internal.h"
#include "tests/sim/sim.h"

enum { CLUSTER = 1, OWNER = 1, BOOT = 1, PAGE = 4096 };

uint64_t machine_now_ms(const struct machine *machine)
{
    return (machine->offset_us + (uint64_t)((double)machine->sim->now_us * machine->rate)) / MS;
}

uint64_t key_hash(uint32_t key, uint8_t text[8], uint32_t *length)
{
    *length = key_text(key, text);
    return hash_bytes(text, *length);
}

/* --- processes killed in the middle of a change ------------------------------------------------
 */

static jmp_buf killed;

static void step(void *context, const char *where)
{
    struct sim *sim = context;

    (void)where;
    if (sim->die_after != 0 && --sim->die_after == 0)
        longjmp(killed, 1);
}

bool machine_risk(struct sim *sim, void (*act)(void *context), void *context)
{
    enum { STEPS = 12 };

    sim->die_after = sim_chance(sim, sim->plan.die) ? 1 + (uint32_t)sim_below(sim, STEPS) : 0;
    if (setjmp(killed) != 0) {
        sim->counters.deaths++;
        return false;
    }
    act(context);
    sim->die_after = 0;
    return true;
}

/* --- segments -----------------------------------------------------------------------------------
 */

/* One thread runs at a time, and a killed process's locks are free. */
static bool try_lock(void *context, uint32_t stripe)
{
    (void)context;
    (void)stripe;
    return true;
}

static void unlock(void *context, uint32_t stripe)
{
    (void)context;
    (void)stripe;
}

static uint8_t *memory_of(struct sim *sim, const struct segment *segment)
{
    size_t index = segment->machine->number * SIM_SEGMENTS + segment->number;

    if (sim->segments == NULL) {
        sim->segments =
            mmap(NULL, (size_t)SIM_MACHINES * SIM_SEGMENTS * SIM_SEGMENT_BYTES,
                 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(sim->segments != MAP_FAILED);
    }
    return (uint8_t *)sim->segments + index * SIM_SEGMENT_BYTES;
}

static void forget_bytes(struct sim *sim, const struct segment *segment)
{
    /* Gives back the pages: the next touch finds zeros. */
    CHECK(madvise(memory_of(sim, segment), SIM_SEGMENT_BYTES, MADV_DONTNEED) == 0);
}

/* As a cache that other keys filled: their entries are void, but they are there. */
static void crowd(const struct cache *cache)
{
    for (int class = 0; class < CACHE_CLASSES; class ++)
        for (uint32_t set = 0; set < cache->geometry.classes[class].sets; set++)
            for (uint32_t way = 0; way < CACHE_WAYS; way++)
                atomic_store(&cache_tags_at(cache, class, set)->tags[way],
                             cache_tag_of(UINT64_MAX - 8 * way));
}

static void lay_out(struct segment *segment)
{
    static struct cache_hook hook = {.step = step};
    static const struct cache_locks locks = {try_lock, unlock, NULL};
    struct sim *sim = segment->machine->sim;
    uint8_t *memory = memory_of(sim, segment);

    forget_bytes(sim, segment);
    CHECK(cache_format(memory, SIM_SEGMENT_BYTES, CLUSTER, OWNER, BOOT) == 0);
    CHECK(cache_attach(&segment->cache, memory, SIM_SEGMENT_BYTES, CLUSTER, OWNER, BOOT, &locks) ==
          0);
    hook.context = sim;
    segment->cache.hook = &hook;
    cache_open_entries(&segment->cache);
    if (sim->plan.crowded)
        crowd(&segment->cache);
    segment->life++;
}

static bool is_used(const struct machine *machine, const struct segment *segment)
{
    const struct sim *sim = machine->sim;

    for (uint32_t i = 0; i < sim->plan.clients; i++)
        if (sim->clients[i].machine == machine->number &&
            sim->clients[i].segment == segment->number)
            return true;
    return segment->agent.up;
}

bool machine_replace_segment(struct machine *machine, bool wipe)
{
    struct segment *old = &machine->segments[machine->current];
    struct segment *new = &machine->segments[1 - machine->current];

    if (new->life != 0 && is_used(machine, new))
        return false;
    TRACE(machine->sim, "machine %u: its segment is %s", machine->number,
          wipe ? "wiped and replaced" : "replaced");
    if (wipe)
        forget_bytes(machine->sim, old);
    lay_out(new);
    machine->current = new->number;
    agent_elect(new, sim_below(machine->sim, 200 * MS));
    return true;
}

void machine_init(struct sim *sim, uint32_t number)
{
    struct machine *machine = &sim->machines[number];

    machine->sim = sim;
    machine->number = number;
    machine->node = SIM_FIRST_MACHINE + number;
    machine->rate = sim_rate(sim);
    machine->offset_us = sim_below(sim, 3600 * 1000) * MS;
    for (uint32_t i = 0; i < SIM_SEGMENTS; i++) {
        machine->segments[i].machine = machine;
        machine->segments[i].number = i;
    }
    lay_out(&machine->segments[0]);
    agent_elect(&machine->segments[0], sim_below(sim, 500 * MS));
}

void machine_pause(struct machine *machine, uint64_t for_us)
{
    TRACE(machine->sim, "machine %u stands still for %llu ms", machine->number,
          (unsigned long long)(for_us / MS));
    machine->paused_until_us = machine->sim->now_us + for_us;
}

struct segment *client_segment(struct sim *sim, const struct client *client)
{
    if (client->machine >= sim->plan.machines)
        return NULL;
    return &sim->machines[client->machine].segments[client->segment];
}

uint64_t machine_step_us(struct sim *sim)
{
    return sim_chance(sim, sim->plan.stop) ? sim_below(sim, sim->plan.stop_us + 1)
                                           : sim_below(sim, 20);
}

/* --- what must hold ----------------------------------------------------------------------------
 */

/* Whether a read of now would be a hit. */
static bool is_readable(const struct segment *segment, uint32_t key, struct cache_copy *copy)
{
    uint8_t text[8];
    uint32_t length;
    uint64_t hash = key_hash(key, text, &length), until_ms;

    return cache_copy(&segment->cache, text, length, hash, copy) &&
           cache_check(&segment->cache, copy, &until_ms) &&
           machine_now_ms(segment->machine) < until_ms;
}

bool machine_has_key(const struct machine *machine, uint32_t key)
{
    struct cache_copy copy;

    return is_readable(&machine->segments[machine->current], key, &copy);
}

static void check_segment(const struct segment *segment, uint32_t key)
{
    struct sim *sim = segment->machine->sim;
    struct cache_copy copy;
    uint64_t modified;

    if (!is_readable(segment, key, &copy))
        return;
    CHECK(copy.length == 2 * sizeof modified);
    memcpy(&modified, copy.value + sizeof modified, sizeof modified);
    if (modified < sim->keys[key].floor)
        sim_fail(sim,
                 "a stale value is readable: machine %u has key %u as entry %llu wrote it, but a "
                 "later state than %llu was told",
                 segment->machine->number, key, (unsigned long long)modified,
                 (unsigned long long)sim->keys[key].floor);
}

void machine_check_key(struct machine *machine, uint32_t key)
{
    for (uint32_t i = 0; i < SIM_SEGMENTS; i++)
        if (machine->segments[i].life != 0)
            check_segment(&machine->segments[i], key);
}

void machine_check_keys(struct machine *machine)
{
    const struct plan *plan = &machine->sim->plan;

    for (uint32_t partition = 0; partition < plan->partitions; partition++)
        for (uint32_t k = 0; k < SIM_KEYS; k++)
            if (k < plan->keys || k >= SIM_EXPIRING)
                machine_check_key(machine, partition * SIM_KEYS + k);
}

void machines_told(struct sim *sim, uint32_t key, uint64_t floor)
{
    if (floor > sim->keys[key].floor)
        sim->keys[key].floor = floor;
    for (uint32_t i = 0; i < sim->plan.machines; i++)
        machine_check_key(&sim->machines[i], key);
}

const char *machine_progress(struct machine *machine)
{
    const struct sim *sim = machine->sim;
    const struct segment *segment = &machine->segments[machine->current];

    if (!segment->agent.up)
        return "a machine has no agent";
    for (uint32_t i = 0; i < sim->plan.servers; i++)
        if (cache_session(&segment->cache, i, machine_now_ms(machine)) == 0)
            return "an agent has no session with a server";
    return NULL;
}
