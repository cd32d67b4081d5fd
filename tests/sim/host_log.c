/* A server's log in memory, its WAL, and its checkpoints (W1, W5, W6). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

/* --- the WAL --------------------------------------------------------------------------------- */

static void start_sync(struct host *host)
{
    struct sim *sim = host->sim;
    uint64_t after = sim->plan.sync_us / 2 + sim_below(sim, sim->plan.sync_us + 1);

    if (host->syncing || host->disk->synced_lsn == host->disk->last_lsn)
        return;
    if (host->slow_until_us > sim->now_us)
        after += 100 * MS + sim_below(sim, 1500 * MS);
    host->syncing = true;
    sim_schedule(sim, after, EVENT_SYNCED, host->node, host->generation, host->disk->last_lsn,
                 NULL);
}

uint64_t host_wal_append(struct host *host, const struct wal_item *item)
{
    struct disk_of *disk = host->disk;

    if (disk->count == disk->capacity)
        disk->items = arena_grow(&host->sim->arena, disk->items, sizeof *disk->items, disk->count,
                                 &disk->capacity);
    disk->items[disk->count] = *item;
    disk->items[disk->count].lsn = ++disk->last_lsn;
    disk->count++;
    start_sync(host);
    return disk->last_lsn;
}

/* The highest index that is durable, as the slots of the present log tell it: what a truncation
 * dropped cannot be reported. W1: nothing before its sync. */
static uint64_t durable_index(const struct part *part, uint64_t lsn)
{
    uint64_t index = part->replica.synced_index;

    if (RULE_BROKEN(W1))
        lsn = UINT64_MAX;
    if (index < part->base)
        index = part->base;
    while (index < part->replica.last.index && part->slots[index - part->base].lsn <= lsn)
        index++;
    return index;
}

static void report_epochs(struct host *host, uint64_t from_lsn, uint64_t lsn)
{
    const struct disk_of *disk = host->disk;
    size_t at = disk->count;

    while (at > 0 && disk->items[at - 1].lsn > from_lsn)
        at--;
    for (; at < disk->count && disk->items[at].lsn <= lsn; at++) {
        const struct wal_item *item = &disk->items[at];
        struct replica_event event = {
            .kind = REPLICA_EVENT_EPOCH_SYNCED, .history = item->history, .epoch = item->epoch};
        struct replica_update update;

        if (item->kind == LOG_KIND_EPOCH)
            part_step(&host->parts[item->partition], &event, &update, NULL);
    }
}

void host_synced(struct host *host, uint64_t lsn)
{
    uint64_t before = host->reported_lsn;

    host->syncing = false;
    if (host->disk->synced_lsn < lsn)
        host->disk->synced_lsn = lsn;
    host->reported_lsn = lsn;
    start_sync(host);
    report_epochs(host, before, lsn);
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        struct part *part = &host->parts[i];
        struct replica_event event = {.kind = REPLICA_EVENT_SYNCED};
        struct replica_update update;

        event.index = durable_index(part, lsn);
        if (event.index > part->replica.synced_index)
            part_step(part, &event, &update, NULL);
    }
    host_send_answers(host);
}

/* --- the log in memory ------------------------------------------------------------------------ */

struct slot *part_slot(struct part *part, uint64_t index)
{
    if (index <= part->base || index > part->base + part->count)
        return NULL;
    return &part->slots[index - part->base - 1];
}

uint64_t part_epoch_at(const void *context, uint64_t index)
{
    const struct part *part = context;

    if (index == 0)
        return 0;
    if (index == part->base)
        return part->base_epoch;
    CHECK(index > part->base && index <= part->base + part->count);
    return part->slots[index - part->base - 1].entry->epoch;
}

void part_push(struct part *part, struct sim_entry *entry, uint64_t lsn, struct entry *pending)
{
    if (part->count == part->capacity) {
        size_t capacity;

        part->slots = arena_grow(&part->host->sim->arena, part->slots, sizeof *part->slots,
                                 part->count, &capacity);
        part->capacity = (uint32_t)capacity;
    }
    CHECK(entry->index == part->base + part->count + 1);
    part->slots[part->count++] = (struct slot){entry, lsn, pending};
}

static void drop_pending(struct part *part, struct slot *slot)
{
    if (slot->pending == NULL)
        return;
    part_write_ends(part, slot->entry);
    store_session_forget(part->host->store, slot->pending);
    entry_free(slot->pending);
    slot->pending = NULL;
}

void part_truncate(struct part *part, uint64_t index)
{
    CHECK(index > part->base);
    part->host->sim->counters.truncations++;
    while (part->base + part->count >= index)
        drop_pending(part, &part->slots[--part->count]);
}

void part_clear(struct part *part, uint64_t base, uint64_t base_epoch)
{
    for (uint32_t i = 0; i < part->count; i++)
        drop_pending(part, &part->slots[i]);
    part->count = 0;
    part->base = base;
    part->base_epoch = base_epoch;
}

void part_cut(struct part *part, uint64_t base)
{
    uint32_t drop;

    if (base <= part->base)
        return;
    CHECK(base <= part->base + part->count);
    drop = (uint32_t)(base - part->base);
    part->base_epoch = part->slots[drop - 1].entry->epoch;
    memmove(part->slots, part->slots + drop, (part->count - drop) * sizeof *part->slots);
    part->count -= drop;
    part->base = base;
    replica_set_base(&part->replica, base);
}

/* --- checkpoints and cutting ------------------------------------------------------------------ */

void host_checkpoint(struct host *host)
{
    struct sim *sim = host->sim;

    if (host->checkpointing)
        return;
    host->checkpointing = true;
    host->frozen = arena_alloc(&sim->arena, SIM_PARTITIONS * sizeof *host->frozen);
    host->frozen_lsn = host->disk->last_lsn;
    for (uint32_t i = 0; i < sim->plan.partitions; i++)
        state_freeze(sim, host->store, i, &host->frozen[i]);
    sim_schedule(sim, sim_below(sim, 60 * MS), EVENT_CHECKPOINTED, host->node, host->generation, 0,
                 NULL);
}

void host_checkpointed(struct host *host)
{
    host->checkpointing = false;
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        struct image *image = &host->disk->images[i];

        /* An install that began meanwhile has the partition to itself. */
        if (image->position.install != host->frozen[i].position.install ||
            host->parts[i].receiver.state != RECEIVER_NONE)
            continue;
        if (!image->position.installing)
            *image = host->frozen[i];
        image->position.history = host->frozen[i].position.history;
        image->position.seen_epoch = host->frozen[i].position.seen_epoch;
    }
}

/* W6: below the checkpoint; what followers lack is kept unless the log is too long; at a backup
 * below what is told as committed, which the checkpoint is. */
static uint64_t wanted_base(const struct part *part, bool keep_for_followers)
{
    const struct host *host = part->host;
    uint64_t base = host->disk->images[part->number].position.index;

    if (RULE_BROKEN(W6))
        return store_applied(host->store, part->number)->index;
    for (uint32_t i = 0; i < part->replica.follower_count && keep_for_followers; i++)
        if (part->replica.followers[i].matched_index < base)
            base = part->replica.followers[i].matched_index;
    for (uint32_t i = 0; i < SIM_SERVERS; i++)
        if (part->senders[i].open && part->senders[i].image->position.index < base)
            base = part->senders[i].image->position.index;
    return base;
}

/* The WAL is one file for all partitions: it is cut below the first record that any of them needs,
 * and never beyond what the checkpoint froze, whose EPOCH records it covers. */
void host_cut_log(struct host *host, bool keep_for_followers)
{
    struct disk_of *disk = host->disk;
    uint64_t bases[SIM_PARTITIONS], cut = host->frozen_lsn + 1;
    size_t drop = 0;

    if (host->checkpointing || host->frozen == NULL)
        return;
    if (RULE_BROKEN(W6))
        cut = disk->synced_lsn + 1;
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        struct part *part = &host->parts[i];
        struct slot *first;

        if (part->receiver.state != RECEIVER_NONE)
            return;
        bases[i] = wanted_base(part, keep_for_followers);
        first = part_slot(part, bases[i] < part->base ? part->base + 1 : bases[i] + 1);
        if (first != NULL && first->lsn < cut)
            cut = first->lsn;
    }
    while (drop < disk->count && disk->items[drop].lsn < cut &&
           disk->items[drop].lsn <= disk->synced_lsn)
        drop++;
    if (drop > 0)
        memmove(disk->items, disk->items + drop, (disk->count - drop) * sizeof *disk->items);
    disk->count -= drop;
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++)
        part_cut(&host->parts[i], bases[i]);
}
