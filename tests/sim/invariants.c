/* What must hold after every step, and what must have been reached at the end. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "fuzz/checker.h"
#include "server/entry.h"
#include "tests/sim/sim.h"

typedef unsigned long long ull;

/* --- R4: the same (epoch, index) is the same entry, with the same one before it ----------------
 */

static uint64_t match_key(uint32_t partition, uint64_t epoch, uint64_t index)
{
    return (epoch << 36 | index << 4 | partition) + 1;
}

static struct match *find_match(struct sim *sim, uint64_t key)
{
    size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (sim->match_capacity - 1);

    while (sim->matches[at].key != 0 && sim->matches[at].key != key)
        at = (at + 1) & (sim->match_capacity - 1);
    return &sim->matches[at];
}

static void grow_matches(struct sim *sim)
{
    struct match *old = sim->matches;
    size_t capacity = sim->match_capacity;

    sim->match_capacity = capacity == 0 ? 4096 : 2 * capacity;
    sim->matches = arena_alloc(&sim->arena, sim->match_capacity * sizeof *sim->matches);
    for (size_t i = 0; i < capacity; i++)
        if (old[i].key != 0)
            *find_match(sim, old[i].key) = old[i];
}

void invariant_entry(struct host *host, uint32_t partition, const struct sim_entry *entry)
{
    struct sim *sim = host->sim;
    struct match *match;

    if (2 * sim->match_count >= sim->match_capacity)
        grow_matches(sim);
    match = find_match(sim, match_key(partition, entry->epoch, entry->index));
    if (match->key == 0) {
        *match = (struct match){match_key(partition, entry->epoch, entry->index), entry->id,
                                entry->previous_epoch};
        sim->match_count++;
    } else if (match->id != entry->id) {
        sim_fail(sim, "R4: partition %u has two entries %llu.%llu, the second at server %u",
                 partition, (ull)entry->epoch, (ull)entry->index, host->node);
    }
    if (part_epoch_at(&host->parts[partition], entry->index - 1) != entry->previous_epoch)
        sim_fail(sim, "R4: partition %u: server %u has %llu.%llu behind an entry of epoch %llu",
                 partition, host->node, (ull)entry->epoch, (ull)entry->index,
                 (ull)part_epoch_at(&host->parts[partition], entry->index - 1));
}

/* --- R1, R5: committed entries never change ------------------------------------------------------
 */

static struct fact *fact_at(struct sim *sim, uint32_t partition, uint64_t index)
{
    struct facts *facts = &sim->facts[partition];

    while (index >= facts->capacity)
        facts->committed = arena_grow(&sim->arena, facts->committed, sizeof *facts->committed,
                                      facts->capacity, &facts->capacity);
    return &facts->committed[index];
}

/* Whether the disk of a server that is down has the entry for good. */
static bool disk_has(const struct disk_of *disk, uint32_t partition, uint64_t index, uint64_t id)
{
    bool found = disk->images[partition].position.index >= index;

    for (size_t i = 0; i < disk->count; i++) {
        const struct wal_item *item = &disk->items[i];

        if (item->partition != partition || item->lsn > disk->synced_lsn)
            continue;
        if (item->kind == LOG_KIND_ENTRY && item->entry->index <= index)
            found = found || item->entry->id == id;
    }
    return found;
}

static bool has_durably(struct host *host, uint32_t partition, uint64_t index, uint64_t id)
{
    struct part *part = &host->parts[partition];
    const struct slot *slot;

    if (!host->up)
        return disk_has(host->disk, partition, index, id);
    slot = part_slot(part, index);
    if (slot == NULL)
        return part->base >= index;
    return slot->entry->id == id && slot->lsn <= host->disk->synced_lsn;
}

/* R1: what a primary takes to be committed, and nobody did before, is durable on every member. */
static void check_members(struct part *part, uint64_t index, uint64_t id)
{
    const struct replica_configuration *configuration = &part->replica.configuration;
    struct sim *sim = part->host->sim;

    for (uint32_t i = 0; i < configuration->member_count; i++) {
        struct host *host = &sim->hosts[configuration->members[i].server];

        if (host->disk->store == configuration->members[i].store &&
            !has_durably(host, part->number, index, id))
            sim_fail(sim, "R1: server %u commits %llu of partition %u, which server %u lacks",
                     part->host->node, (ull)index, part->number, host->node);
    }
}

static void check_commit(struct part *part, uint64_t index)
{
    struct sim *sim = part->host->sim;
    struct slot *slot = part_slot(part, index);
    struct fact *fact = fact_at(sim, part->number, index);

    if (slot == NULL)
        return; /* came with a snapshot */
    if (fact->id == 0) {
        *fact = (struct fact){slot->entry->epoch, slot->entry->id};
        sim->counters.commits++;
        if (part->replica.barrier_index != 0)
            check_members(part, index, slot->entry->id);
    } else if (fact->id != slot->entry->id) {
        sim_fail(sim,
                 "committed entries change: partition %u index %llu is of epoch %llu at server %u, "
                 "but one of epoch %llu was committed there",
                 part->number, (ull)index, (ull)slot->entry->epoch, part->host->node,
                 (ull)fact->epoch);
    }
}

/* --- one serving primary --------------------------------------------------------------------- */

static void check_serving(struct part *part)
{
    struct sim *sim = part->host->sim;
    struct facts *facts = &sim->facts[part->number];
    uint64_t applied = store_applied(part->host->store, part->number)->index;

    if (!replica_serves(&part->replica, host_now_ms(part->host)))
        return;
    if (applied < facts->acknowledged)
        sim_fail(sim, "stale primary: server %u serves partition %u at %llu, but %llu was answered",
                 part->host->node, part->number, (ull)applied, (ull)facts->acknowledged);
    for (uint32_t i = 0; i < sim->plan.servers; i++) {
        struct host *other = &sim->hosts[i];

        if (other != part->host && other->up &&
            replica_serves(&other->parts[part->number].replica, host_now_ms(other)))
            sim_fail(sim, "two primaries: servers %u and %u both serve partition %u",
                     part->host->node, i, part->number);
    }
    if (!part->serving_said)
        TRACE(sim, "server %u serves partition %u", part->host->node, part->number);
    part->serving_said = true;
}

/* R3: only the very process that the configuration names leads. */
static void check_leading(struct part *part)
{
    const struct replica *replica = &part->replica;

    if (replica->barrier_index != 0 &&
        !replica_same_process(&replica->configuration.primary, &replica->self))
        sim_fail(part->host->sim, "R3: server %u leads partition %u, but is not named",
                 part->host->node, part->number);
}

void invariant_step(struct part *part, uint64_t commit_before)
{
    const struct replica *replica = &part->replica;
    struct sim *sim = part->host->sim;

    for (uint64_t i = commit_before + 1; i <= replica->commit_index; i++)
        check_commit(part, i);
    if (store_applied(part->host->store, part->number)->index > replica->commit_index)
        sim_fail(sim, "R5: server %u applied more of partition %u than is committed",
                 part->host->node, part->number);
    if (part->receiver.state == RECEIVER_NONE && replica->last.index != part->base + part->count)
        sim_fail(sim, "server %u: partition %u: the core's log ends at %llu, the driver's at %llu",
                 part->host->node, part->number, (ull)replica->last.index,
                 (ull)(part->base + part->count));
    if (part->serving_said && !replica_serves(replica, host_now_ms(part->host)))
        part->serving_said = false;
    check_leading(part);
    check_serving(part);
}

/* L2: nobody seeks the lead who heard the primary less than `grace` ago, by its own clock. A
 * primary that proposes another one answers no more in this epoch. */
void invariant_proposal(struct part *part, const struct replica_configuration *wanted)
{
    const struct replica *replica = &part->replica;
    struct sim *sim = part->host->sim;
    bool takes_over = replica_same_copy(&wanted->primary, &replica->self) &&
                      !replica_same_copy(&replica->configuration.primary, &replica->self);

    if (takes_over && part->heard_ms != 0 &&
        host_now_ms(part->host) < part->heard_ms + sim->plan.grace_ms)
        sim_fail(sim, "L2: server %u seeks the lead of partition %u, whose primary it has heard",
                 part->host->node, part->number);
    if (!replica_same_copy(&wanted->primary, &replica->self))
        part->switched_epoch = replica->configuration.epoch;
}

void invariant_answers(struct part *part)
{
    if (part->switched_epoch != 0 && part->switched_epoch == part->replica.configuration.epoch)
        sim_fail(part->host->sim, "server %u answers for partition %u after it proposed to switch",
                 part->host->node, part->number);
}

void invariant_acknowledged(struct part *part, uint64_t index)
{
    struct facts *facts = &part->host->sim->facts[part->number];

    if (index > facts->acknowledged)
        facts->acknowledged = index;
}

/* --- R2: epochs
 * ----------------------------------------------------------------------------------- */

void invariant_epoch_leaves(struct host *host, uint32_t partition, uint64_t epoch)
{
    if (epoch > host->disk->told_epoch[partition])
        host->disk->told_epoch[partition] = epoch;
}

void invariant_recovered(struct host *host, uint32_t partition,
                         const struct replica_recovered *recovered)
{
    struct sim *sim = host->sim;

    if (recovered->seen_epoch < host->disk->told_epoch[partition])
        sim_fail(sim, "R2: server %u forgot epoch %llu of partition %u, which it spoke in",
                 host->node, (ull)host->disk->told_epoch[partition], partition);
    for (uint64_t i = recovered->base_index + 1; i <= recovered->applied_index; i++)
        check_commit(&host->parts[partition], i);
}

void invariant_told(struct sim *sim, const struct configuration *configuration)
{
    struct facts *facts = &sim->facts[configuration->partition];

    if (configuration->epoch < facts->newest_epoch)
        sim_fail(sim, "R11: the manager went back from epoch %llu to %llu in partition %u",
                 (ull)facts->newest_epoch, (ull)configuration->epoch, configuration->partition);
    facts->newest_epoch = configuration->epoch;
}

/* --- the end
 * --------------------------------------------------------------------------------------- */

/* R9: a partition whose every member's store is gone waits for ever, as it has to. */
static bool is_lost(struct sim *sim, uint32_t partition)
{
    const struct configuration *configuration = manager_configuration(sim, partition);

    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct host *host = &sim->hosts[configuration->members[i].server];

        if (host->disk->store == configuration->members[i].store &&
            !host->disk->damaged[partition] && !host->disk->images[partition].position.installing)
            return false;
    }
    return true;
}

static bool has_copy(const struct sim *sim, const struct configuration *configuration,
                     uint32_t index, uint64_t last)
{
    const struct host *host = &sim->hosts[configuration->members[index].server];
    const struct replica *replica = &host->parts[configuration->partition].replica;

    return host->up && host->self.store == configuration->members[index].store &&
           replica->last.index == last && replica->commit_index == last;
}

static const char *partition_progress(struct sim *sim, uint32_t partition)
{
    static _Thread_local char text[160];
    const struct configuration *configuration = manager_configuration(sim, partition);
    const struct host *primary;
    const struct replica *replica;

    if (configuration == NULL)
        return "the partitions are not placed";
    if (is_lost(sim, partition)) {
        sim->facts[partition].lost = true;
        return NULL;
    }
    primary = &sim->hosts[configuration->primary.server];
    replica = &primary->parts[partition].replica;
    (void)snprintf(
        text, sizeof text,
        "partition %u: epoch %llu, primary server %u (%s), members %u, learners %u, "
        "log %llu, committed %llu%s",
        partition, (ull)configuration->epoch, configuration->primary.server,
        primary->up ? replica_role_name(replica->role) : "down", configuration->member_count,
        configuration->learner_count, (ull)replica->last.index, (ull)replica->commit_index,
        primary->up && replica_serves(replica, host_now_ms(primary)) ? ", copies lag behind"
                                                                     : ", not served");
    if (!primary->up || !replica_serves(replica, host_now_ms(primary)) ||
        configuration->member_count != sim->plan.replicas || configuration->learner_count != 0)
        return text;
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (!has_copy(sim, configuration, i, replica->last.index))
            return text;
    return NULL;
}

const char *invariant_progress(struct sim *sim)
{
    const char *reason = NULL;

    if (!sim->manager.up)
        return "the manager is down";
    for (uint32_t i = 0; i < sim->plan.partitions && reason == NULL; i++)
        reason = partition_progress(sim, i);
    for (uint32_t i = 0; i < sim->plan.clients && reason == NULL; i++) {
        const struct client *client = &sim->clients[i];

        if (client->busy && !sim->facts[client->partition].lost)
            reason = "a client waits for its answer";
    }
    for (uint32_t i = 0; i < sim->plan.machines && reason == NULL; i++)
        reason = machine_progress(&sim->machines[i]);
    return reason;
}

static void compare_copies(struct sim *sim, uint32_t partition)
{
    const struct configuration *configuration = manager_configuration(sim, partition);
    struct image first, other;

    if (configuration == NULL || sim->facts[partition].lost)
        return;
    state_freeze(sim, sim->hosts[configuration->members[0].server].store, partition, &first);
    for (uint32_t i = 1; i < configuration->member_count; i++) {
        state_freeze(sim, sim->hosts[configuration->members[i].server].store, partition, &other);
        if (!image_equal(&first, &other))
            sim_fail(sim, "copies differ: partition %u at servers %u and %u, index %llu", partition,
                     configuration->members[0].server, configuration->members[i].server,
                     (ull)first.position.index);
    }
}

static void check_history(struct sim *sim)
{
    struct check_report report;
    struct error error = {0};

    if (history_check(sim->history, sim->history_count, NULL, &report, &error) != 0)
        sim_fail(sim, "the history cannot be checked: %s", error.message);
    else if (report.verdict != VERDICT_LINEARIZABLE)
        sim_fail(sim, "%s: key %llu, operations up to %llu us: %s", verdict_text(report.verdict),
                 (ull)report.key, (ull)(report.until_ns / 1000), report.reason);
}

void invariant_end(struct sim *sim)
{
    if (!sim->failed && invariant_progress(sim) == NULL)
        for (uint32_t i = 0; i < sim->plan.partitions; i++)
            compare_copies(sim, i);
    for (uint32_t i = 0; i < sim->plan.partitions; i++)
        sim->counters.lost_partitions += sim->facts[i].lost ? 1 : 0;
    if (!sim->failed)
        check_history(sim);
}
