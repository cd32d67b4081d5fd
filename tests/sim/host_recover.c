/* A server's start: what the disk holds becomes the log and the state again (W1, W6, R12). */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static void start_from_image(struct host *host, uint32_t number, struct replica_recovered *out)
{
    const struct store_position *position = &host->disk->images[number].position;
    struct part *part = &host->parts[number];

    *out = (struct replica_recovered){
        .history = position->history,
        .seen_epoch =
            position->seen_epoch > position->epoch ? position->seen_epoch : position->epoch,
        .last = {.epoch = position->epoch, .index = position->index},
        .applied_index = position->index,
        .base_index = position->index,
        .last_log_ms = position->log_time_ms,
        .install = position->install,
        .installing = position->installing,
        .damaged = host->disk->damaged[number],
        .had_earlier_life = host->disk->incarnation > 1,
    };
    state_restore(host->store, number, &host->disk->images[number]);
    part->base = position->index;
    part->base_epoch = position->epoch;
}

/* W6: a record at index i voids the partition's earlier ones at or above i. */
static void recover_entry(struct part *part, const struct wal_item *item, bool *gap)
{
    struct sim_entry *entry = item->entry;

    while (part->count > 0 && part->base + part->count >= entry->index)
        part->count--;
    /* A gap may be behind a RESET that is still to come, or be voided: judged at the end. */
    *gap = entry->index > part->base + part->count + 1;
    if (entry->index > part->base && !*gap)
        part_push(part, entry, item->lsn, NULL);
}

static void recover_log(struct host *host, struct replica_recovered *recovered)
{
    const struct disk_of *disk = host->disk;
    bool gaps[SIM_PARTITIONS] = {false};

    for (size_t i = 0; i < disk->count; i++) {
        const struct wal_item *item = &disk->items[i];
        struct replica_recovered *out = &recovered[item->partition];

        if (item->history > out->history)
            out->history = item->history;
        if (item->epoch > out->seen_epoch)
            out->seen_epoch = item->epoch;
        if (item->kind == LOG_KIND_ENTRY)
            recover_entry(&host->parts[item->partition], item, &gaps[item->partition]);
        if (item->kind == LOG_KIND_RESET) {
            host->parts[item->partition].count = 0;
            gaps[item->partition] = false;
        }
    }
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++)
        if (gaps[i] && !recovered[i].installing)
            sim_fail(host->sim, "server %u: the log of partition %u lacks entries behind %llu",
                     host->node, i,
                     (unsigned long long)(host->parts[i].base + host->parts[i].count));
}

static void end_log(struct part *part, struct replica_recovered *out)
{
    if (out->installing)
        part->count = 0;
    if (part->count == 0)
        return;
    out->last.index = part->base + part->count;
    out->last.epoch = part->slots[part->count - 1].entry->epoch;
    out->last_log_ms = part->slots[part->count - 1].entry->log_time_ms;
}

void host_recover(struct host *host)
{
    struct replica_recovered recovered[SIM_PARTITIONS];
    struct sim *sim = host->sim;

    for (uint32_t i = 0; i < sim->plan.partitions; i++) {
        struct part *part = &host->parts[i];

        memset(part, 0, sizeof *part);
        part->number = i;
        part->host = host;
        start_from_image(host, i, &recovered[i]);
    }
    recover_log(host, recovered);
    /* W1: what was found is made durable again before anybody is told of it. */
    host->disk->synced_lsn = host->reported_lsn = host->disk->last_lsn;
    for (uint32_t i = 0; i < sim->plan.partitions && !sim->failed; i++) {
        struct part *part = &host->parts[i];
        const struct replica_log log = {.context = part, .epoch_at = part_epoch_at};
        const struct replica_times times = {sim->plan.lease_ms, sim->plan.grace_ms};

        end_log(part, &recovered[i]);
        state_note_epoch(host->store, i, recovered[i].history, recovered[i].seen_epoch);
        invariant_recovered(host, i, &recovered[i]);
        replica_init(&part->replica, i, &host->self, &times, &log, &recovered[i],
                     host_now_ms(host));
    }
}
