/* Between the replication core and the rest of a simulated server: events in, updates carried out
 * in the order that replica.h demands. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

/* --- entries ---------------------------------------------------------------------------------- */

static uint64_t log_entry(struct part *part, struct sim_entry *entry, struct entry *pending)
{
    const struct wal_item item = {.kind = LOG_KIND_ENTRY,
                                  .partition = part->number,
                                  .entry = entry,
                                  .history = entry->history,
                                  .epoch = entry->epoch};
    uint64_t lsn = host_wal_append(part->host, &item);

    part_push(part, entry, lsn, pending);
    invariant_entry(part->host, part->number, entry);
    return lsn;
}

struct sim_entry *part_propose(struct part *part, const struct sim_entry *command)
{
    struct sim *sim = part->host->sim;
    struct sim_entry *entry = arena_alloc(&sim->arena, sizeof *entry);
    uint64_t now_ms = host_now_ms(part->host);
    struct replica_position position;
    struct entry *pending;
    uint64_t log_time_ms;

    *entry = *command;
    entry->id = ++sim->next_id;
    replica_next(&part->replica, now_ms, &position, &entry->log_time_ms);
    entry->history = part->replica.configuration.history;
    entry->epoch = position.epoch;
    entry->index = position.index;
    entry->previous_epoch = part->replica.last.epoch;
    if (RULE_BROKEN(S1)) /* its own clock instead of the log's */
        entry->log_time_ms = now_ms;
    part_write_begins(part, entry);
    pending = state_entry(part->number, entry);
    CHECK(store_session_begin(part->host->store, pending) == 0);
    log_entry(part, entry, pending);
    replica_append(&part->replica, now_ms, &position, &log_time_ms);
    return entry;
}

/* --- what an Append brings -------------------------------------------------------------------- */

static void take_entries(struct part *part, const struct message *append,
                         struct replica_update *update)
{
    uint32_t count = append->append.count;

    if (update->truncate_index != 0) {
        CHECK(update->truncate_index > store_applied(part->host->store, part->number)->index);
        TRACE(part->host->sim, "server %u: partition %u drops its log from %llu on",
              part->host->node, part->number, (unsigned long long)update->truncate_index);
        part_abandon_waiters(part);
        part_truncate(part, update->truncate_index);
    }
    /* No room for all of it: the rest is not noted, and the answer says so. */
    if (count > update->skip && sim_chance(part->host->sim, part->host->sim->plan.busy)) {
        count = update->skip + (count - update->skip) / 2;
        update->outcome = REPLICA_ACK_BUSY;
    }
    for (uint32_t i = update->skip; i < count; i++) {
        struct sim_entry *entry = append->append.entries[i];
        const struct replica_position position = {entry->epoch, entry->index};

        log_entry(part, entry, NULL);
        replica_follow(&part->replica, &position, entry->log_time_ms);
    }
}

/* --- applying --------------------------------------------------------------------------------- */

static void apply_one(struct part *part, struct slot *slot)
{
    struct store *store = part->host->store;
    struct sim_entry *from = slot->entry;
    struct entry *entry = slot->pending != NULL ? slot->pending : state_entry(part->number, from);
    bool own = slot->pending != NULL;
    struct outcome outcome;

    slot->pending = NULL;
    if (RULE_BROKEN(S3) && from->client != 0) { /* duplicates are not recognised */
        store_session_forget(store, entry);
        entry->client = 0;
    }
    CHECK(store_apply(store, entry, &outcome) == CAIRN_OK);
    if (own)
        part_write_ends(part, from);
    part_answer_waiters(part, from->index, from, &outcome);
    entry_free(entry);
}

/* R5: only what is committed. */
static void apply_through(struct part *part, uint64_t index)
{
    uint64_t applied = store_applied(part->host->store, part->number)->index;

    while (applied < index) {
        struct slot *slot = part_slot(part, ++applied);

        if (slot == NULL) {
            sim_fail(part->host->sim, "server %u: partition %u is to apply %llu, which it lacks",
                     part->host->node, part->number, (unsigned long long)applied);
            return;
        }
        apply_one(part, slot);
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

static void persist_epoch(struct part *part, const struct replica_update *update)
{
    const struct wal_item item = {.kind = LOG_KIND_EPOCH,
                                  .partition = part->number,
                                  .history = update->history,
                                  .epoch = update->epoch};

    state_note_epoch(part->host->store, part->number, update->history, update->epoch);
    host_wal_append(part->host, &item);
}

static void note_role(struct part *part)
{
    const struct replica *replica = &part->replica;
    struct sim *sim = part->host->sim;

    TRACE(sim, "server %u: partition %u is %s in epoch %llu, log %llu.%llu, committed %llu",
          part->host->node, part->number, replica_role_name(replica->role),
          (unsigned long long)replica->seen_epoch, (unsigned long long)replica->last.epoch,
          (unsigned long long)replica->last.index, (unsigned long long)replica->commit_index);
    if (replica->role == REPLICA_PRIMARY)
        sim->counters.promotions++;
    if (replica->role != REPLICA_PRIMARY && replica->role != REPLICA_STARTING)
        part_abandon_waiters(part);
}

static void note_lead(struct part *part)
{
    bool leads = part->replica.barrier_index != 0;

    if (part->led && !leads)
        part_leads_no_more(part);
    part->led = leads;
}

void part_step(struct part *part, struct replica_event *event, struct replica_update *update,
               const struct message *message)
{
    static const struct sim_entry noop = {.kind = COMMAND_NOOP};
    struct replica *replica = &part->replica;
    uint64_t commit_before = replica->commit_index;

    event->now_ms = host_now_ms(part->host);
    replica_step(replica, event, update);
    if (update->persist_epoch)
        persist_epoch(part, update);
    if (message != NULL && update->accepted)
        take_entries(part, message, update);
    if (message != NULL && event->kind == REPLICA_EVENT_INSTALL && update->granted)
        part_begin_install(part, message);
    if (update->append_noop)
        part_propose(part, &noop);
    if (update->propose) {
        invariant_proposal(part, &update->proposal);
        part_send_proposal(part, &update->proposal);
    }
    if (update->ask_manager)
        host_heartbeat(part->host);
    if (update->role_changed)
        note_role(part);
    note_lead(part);
    apply_through(part, update->commit_index);
    invariant_step(part, commit_before);
    if (update->must_send)
        part_pump(part, false);
    if (update->end_hosts)
        part_end_hosts(part);
}

void part_pump(struct part *part, bool idle)
{
    uint64_t now_ms = host_now_ms(part->host);

    if (!replica_may_send(&part->replica))
        return;
    for (uint32_t i = 0; i < part->replica.follower_count; i++)
        for (uint32_t sent = 0; sent < SIM_WINDOW; sent++) {
            if (!replica_wants_append(&part->replica, i, idle, now_ms))
                break;
            part_send_append(part, i);
        }
}

/* --- configurations ----------------------------------------------------------------------------
 */

static struct replica_member member_of(const struct replica_id *from)
{
    return (struct replica_member){from->server, from->store, from->incarnation};
}

void part_set_configuration(struct part *part, const struct configuration *from)
{
    struct replica_configuration to = {.history = from->history,
                                       .epoch = from->epoch,
                                       .primary = member_of(&from->primary),
                                       .switched = from->switched,
                                       .member_count = from->member_count,
                                       .learner_count = from->learner_count};
    struct replica_event event = {.kind = REPLICA_EVENT_CONFIGURATION, .configuration = &to};
    struct replica_update update;

    for (uint32_t i = 0; i < from->member_count; i++)
        to.members[i] = member_of(&from->members[i]);
    for (uint32_t i = 0; i < from->learner_count; i++)
        to.learners[i] = member_of(&from->learners[i]);
    part_step(part, &event, &update, NULL);
}
