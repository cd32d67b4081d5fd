/* Snapshots: a partition's checkpointed state, in pieces, to a follower whose log reaches back too
 * little (R8, R12, W6). */
#include "base/check.h"
#include "tests/sim/sim.h"

enum { PIECES_MAX = 4, RESEND_MS = 300, TRIES_MAX = 20 };

/* --- sending -----------------------------------------------------------------------------------
 */

static struct replica_follower *follower_to_install(struct part *part, uint32_t server)
{
    for (uint32_t i = 0; i < part->replica.follower_count; i++) {
        struct replica_follower *follower = &part->replica.followers[i];

        /* R8, R11: one that was proposed may be a member already, and a member never installs. */
        if (follower->id.server == server && follower->mode == REPLICA_INSTALL &&
            !follower->proposed)
            return follower;
    }
    return NULL;
}

static void send_piece(struct part *part, struct sender_of *sender)
{
    struct host *host = part->host;
    struct message *message =
        message_create(host->sim, MESSAGE_SNAPSHOT, host->node, sender->member.server);

    message->sender = host->self;
    message->to_store = sender->member.store;
    message->partition = part->number;
    message->call = sender->install;
    message->snapshot.history = part->replica.configuration.history;
    message->snapshot.epoch = part->replica.configuration.epoch;
    message->snapshot.install = sender->install;
    message->snapshot.piece = sender->piece;
    message->snapshot.pieces = sender->pieces;
    message->snapshot.image = sender->image;
    sender->deadline_us = host->sim->now_us + RESEND_MS * MS;
    invariant_epoch_leaves(host, part->number, message->snapshot.epoch);
    network_send(host->sim, message);
}

static void open_sender(struct part *part, const struct replica_follower *follower)
{
    struct sim *sim = part->host->sim;
    struct sender_of *sender = &part->senders[follower->id.server];
    struct image *image = arena_alloc(&sim->arena, sizeof *image);

    *image = part->host->disk->images[part->number];
    *sender = (struct sender_of){.open = true,
                                 .member = follower->id,
                                 .install = ++sim->next_id,
                                 .pieces = 1 + (uint32_t)sim_below(sim, PIECES_MAX),
                                 .image = image};
    TRACE(sim, "server %u: partition %u: snapshot at %llu to server %u, install %llu",
          part->host->node, part->number, (unsigned long long)image->position.index,
          follower->id.server, (unsigned long long)sender->install);
    send_piece(part, sender);
}

void part_drive_snapshots(struct part *part)
{
    for (uint32_t server = 0; server < part->host->sim->plan.servers; server++) {
        struct replica_follower *follower = follower_to_install(part, server);
        struct sender_of *sender = &part->senders[server];
        bool leads = replica_may_send(&part->replica) && part->replica.barrier_index != 0;

        if (sender->open && (!leads || follower == NULL || sender->tries > TRIES_MAX ||
                             !replica_same_copy(&follower->id, &sender->member) ||
                             sender->image->position.index < part->base))
            sender->open = false;
        if (!leads || follower == NULL)
            continue;
        if (!sender->open) {
            open_sender(part, follower);
        } else if (sender->deadline_us <= part->host->sim->now_us) {
            sender->tries++;
            send_piece(part, sender);
        }
    }
}

void host_take_snapshot_answer(struct host *host, const struct message *message)
{
    struct part *part = &host->parts[message->partition];
    struct sender_of *sender = &part->senders[message->from];
    struct replica_event event = {.kind = REPLICA_EVENT_FOLLOWER_INSTALLED,
                                  .member = message->sender,
                                  .install = message->snapshot_answer.install};
    struct replica_update update;

    if (!sender->open || sender->install != message->snapshot_answer.install ||
        message->to_store != host->self.store || !replica_may_send(&part->replica))
        return;
    if (message->snapshot_answer.refused) {
        sender->open = false;
        return;
    }
    if (message->snapshot_answer.installed) {
        sender->open = false;
        event.position =
            (struct replica_position){sender->image->position.epoch, sender->image->position.index};
        part_step(part, &event, &update, NULL);
        part_pump(part, false);
        return;
    }
    if (message->snapshot_answer.next_piece == sender->piece + 1 &&
        sender->piece + 1 < sender->pieces) {
        sender->piece++;
        sender->tries = 0;
        send_piece(part, sender);
    }
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static void answer(struct part *part, const struct message *to, bool refused, bool installed)
{
    struct host *host = part->host;
    struct message *message =
        message_create(host->sim, MESSAGE_SNAPSHOT_ANSWER, host->node, to->from);

    message->sender = host->self;
    message->to_store = to->sender.store;
    message->partition = part->number;
    message->snapshot_answer.install = to->snapshot.install;
    message->snapshot_answer.refused = refused;
    message->snapshot_answer.installed = installed;
    message->snapshot_answer.next_piece = part->receiver.next_piece;
    network_send(host->sim, message);
}

void part_begin_install(struct part *part, const struct message *message)
{
    struct host *host = part->host;

    host->sim->counters.installs++;
    TRACE(host->sim, "server %u: partition %u begins install %llu", host->node, part->number,
          (unsigned long long)message->snapshot.install);
    part_abandon_waiters(part);
    part_clear(part, 0, 0);
    state_clear(host->store, part->number);
    state_note_epoch(host->store, part->number, part->replica.seen_history,
                     part->replica.seen_epoch);
    part->receiver = (struct receiver_of){.state = RECEIVER_MARKING,
                                          .from = message->sender,
                                          .history = message->snapshot.history,
                                          .epoch = message->snapshot.epoch,
                                          .install = message->snapshot.install,
                                          .pieces = message->snapshot.pieces,
                                          .image = message->snapshot.image};
    sim_schedule(host->sim, sim_below(host->sim, 20 * MS), EVENT_INSTALL_STEP, host->node,
                 host->generation, part->number, NULL);
}

static void take_piece(struct part *part, const struct message *message)
{
    struct receiver_of *receiver = &part->receiver;

    if (receiver->state == RECEIVER_READY && message->snapshot.piece == receiver->next_piece &&
        ++receiver->next_piece == receiver->pieces) {
        receiver->state = RECEIVER_ENDING;
        sim_schedule(part->host->sim, sim_below(part->host->sim, 20 * MS), EVENT_INSTALL_STEP,
                     part->host->node, part->host->generation, part->number, NULL);
    }
    answer(part, message, false, false);
}

void host_take_snapshot(struct host *host, const struct message *message)
{
    struct part *part = &host->parts[message->partition];
    struct replica_event event = {.kind = REPLICA_EVENT_INSTALL,
                                  .history = message->snapshot.history,
                                  .epoch = message->snapshot.epoch,
                                  .member = message->sender,
                                  .install = message->snapshot.install,
                                  .position = {message->snapshot.image->position.epoch,
                                               message->snapshot.image->position.index}};
    struct replica_update update;

    if (message->to_store != host->self.store)
        return;
    if (part->replica.install == message->snapshot.install) {
        if (part->receiver.state != RECEIVER_NONE)
            take_piece(part, message);
        else /* complete; or cut short by a crash: another install has to begin */
            answer(part, message, part->replica.installing, !part->replica.installing);
        return;
    }
    if (message->snapshot.piece != 0) {
        answer(part, message, true, false);
        return;
    }
    part_step(part, &event, &update, message);
    answer(part, message, !update.granted && !update.held, update.held);
}

/* The mark first, then the RESET: a RESET without a mark would drop a log for nothing. */
static void marked(struct part *part)
{
    struct disk_of *disk = part->host->disk;
    const struct wal_item item = {.kind = LOG_KIND_RESET,
                                  .partition = part->number,
                                  .history = part->replica.seen_history,
                                  .install = part->receiver.install};

    disk->images[part->number] =
        (struct image){.position = {.history = part->replica.seen_history,
                                    .seen_epoch = part->replica.durable_epoch,
                                    .install = part->receiver.install,
                                    .installing = true}};
    part->receiver.reset_lsn = host_wal_append(part->host, &item);
    part->receiver.state = RECEIVER_READY;
}

static void installed(struct part *part)
{
    struct host *host = part->host;
    struct image image = *part->receiver.image;
    struct replica_event event = {.kind = REPLICA_EVENT_INSTALLED,
                                  .history = image.position.history,
                                  .epoch = part->receiver.epoch,
                                  .install = part->receiver.install,
                                  .position = {image.position.epoch, image.position.index},
                                  .log_time_ms = image.position.log_time_ms};
    struct replica_update update;

    image.position.install = part->receiver.install;
    image.position.installing = false;
    image.position.seen_epoch = part->replica.durable_epoch;
    host->disk->images[part->number] = image;
    host->disk->damaged[part->number] = false;
    state_restore(host->store, part->number, &image);
    state_note_epoch(host->store, part->number, part->replica.seen_history,
                     part->replica.seen_epoch);
    part_clear(part, image.position.index, image.position.epoch);
    part->receiver.state = RECEIVER_NONE;
    TRACE(host->sim, "server %u: partition %u has installed %llu at %llu", host->node, part->number,
          (unsigned long long)event.install, (unsigned long long)image.position.index);
    part_step(part, &event, &update, NULL);
}

void host_install_step(struct host *host, uint32_t partition)
{
    struct part *part = &host->parts[partition];

    if (part->receiver.state == RECEIVER_MARKING) {
        marked(part);
    } else if (part->receiver.state == RECEIVER_ENDING) {
        /* The old entries must be void before the partition counts as installed. */
        if (host->disk->synced_lsn < part->receiver.reset_lsn)
            sim_schedule(host->sim, 2 * MS, EVENT_INSTALL_STEP, host->node, host->generation,
                         partition, NULL);
        else
            installed(part);
    }
}
