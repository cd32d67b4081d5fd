/* A simulated server's process: start, crash, pause, and the events that reach it. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { TICK_MS = 50, BEACON_MS = 250, HEARTBEAT_MS = 1000 };

/* L3: CLOCK_BOOTTIME of this host, whose rate is its own. */
uint64_t host_now_ms(const struct host *host)
{
    return (host->offset_us + (uint64_t)((double)host->sim->now_us * host->rate)) / MS;
}

static struct disk_of *new_disk(struct sim *sim)
{
    struct disk_of *disk = arena_alloc(&sim->arena, sizeof *disk);

    disk->store = ++sim->next_store;
    return disk;
}

void host_init(struct sim *sim, uint32_t node)
{
    struct host *host = &sim->hosts[node];

    memset(host, 0, sizeof *host);
    host->sim = sim;
    host->node = node;
    host->mounted = true;
    host->rate = sim_rate(sim);
    host->offset_us = sim_below(sim, 3600 * 1000) * MS;
    host->disk = new_disk(sim);
}

static void arm(struct host *host, enum event_kind kind, uint64_t period_ms)
{
    /* A little jitter, so that hosts do not march in step. */
    uint64_t after = period_ms * MS * 95 / 100 + sim_below(host->sim, period_ms * MS / 10);

    sim_schedule(host->sim, after, kind, host->node, host->generation, 0, NULL);
}

void host_start(struct host *host)
{
    struct sim *sim = host->sim;

    if (host->up)
        return;
    host->generation++;
    host->up = true;
    host->paused_until_us = 0;
    host->disk->incarnation++; /* R3: durable before anything else */
    host->self = (struct replica_member){host->node, host->disk->store, host->disk->incarnation};
    host->store = state_create(sim->plan.partitions);
    host_lease_start(host);
    memset(host->stores, 0, sizeof host->stores);
    memset(host->sent, 0, sizeof host->sent);
    for (uint32_t i = 0; i < SIM_SERVERS; i++)
        link_init(&host->links[i]);
    host->map_version = 0;
    host->registered = host->syncing = host->checkpointing = false;
    host->frozen = NULL;
    host->acks = NULL;
    host->acks_end = &host->acks;
    TRACE(sim, "server %u starts, store %llu, incarnation %llu", host->node,
          (unsigned long long)host->self.store, (unsigned long long)host->self.incarnation);
    host_recover(host);
    if (sim->failed)
        return;
    arm(host, EVENT_TICK, TICK_MS);
    arm(host, EVENT_BEACON, BEACON_MS);
    arm(host, EVENT_HEARTBEAT, HEARTBEAT_MS);
    host_heartbeat(host);
}

static void free_process(struct host *host)
{
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++)
        part_clear(&host->parts[i], 0, 0);
    state_free(host->store);
    host->store = NULL;
    host_lease_free(host);
}

/* Of what was written and not synced any prefix survives. */
static void lose_unsynced(struct host *host)
{
    struct disk_of *disk = host->disk;
    uint64_t unsynced = disk->last_lsn - disk->synced_lsn;
    uint64_t kept = sim_below(host->sim, unsynced + 1);

    if (kept < unsynced)
        host->sim->counters.torn++;
    disk->last_lsn = disk->synced_lsn = disk->synced_lsn + kept;
    while (disk->count > 0 && disk->items[disk->count - 1].lsn > disk->last_lsn)
        disk->count--;
}

/* A checkpoint commits whole partitions, some before others (W5). */
static void lose_checkpoint(struct host *host)
{
    if (!host->checkpointing)
        return;
    if (sim_chance(host->sim, 0.3)) {
        host_checkpointed(host);
        return;
    }
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        const struct image *now = &host->disk->images[i];

        if (sim_chance(host->sim, 0.5))
            host->frozen[i] = *now;
    }
    host_checkpointed(host);
}

void host_crash(struct host *host)
{
    if (!host->up)
        return;
    TRACE(host->sim, "server %u crashes", host->node);
    lose_checkpoint(host);
    free_process(host);
    lose_unsynced(host);
    host->up = false;
    host->generation++;
    agents_server_died(host->sim, host->node);
}

void host_free(struct host *host)
{
    if (host->up)
        free_process(host);
    host->up = false;
}

void host_wipe(struct host *host)
{
    host_crash(host);
    TRACE(host->sim, "server %u loses its disk", host->node);
    host->disk = new_disk(host->sim);
    host->replace_store = true;
}

void host_unmount(struct host *host)
{
    host_crash(host);
    if (!host->mounted)
        return;
    TRACE(host->sim, "server %u: its disk is not mounted", host->node);
    host->mounted = false;
    host->unmounted = host->disk;
    host->disk = new_disk(host->sim);
}

void host_mount(struct host *host)
{
    if (host->mounted)
        return;
    host_crash(host);
    TRACE(host->sim, "server %u: its disk is mounted again", host->node);
    host->mounted = true;
    host->disk = host->unmounted;
}

/* --- events ------------------------------------------------------------------------------------
 */

static void take_message(struct host *host, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_APPEND:
        host_take_append(host, message);
        break;
    case MESSAGE_ACK:
        host_take_ack(host, message);
        break;
    case MESSAGE_BEACON:
        host_take_beacon(host, message);
        break;
    case MESSAGE_BEACON_ANSWER:
        host_take_beacon_answer(host, message);
        break;
    case MESSAGE_SNAPSHOT:
        host_take_snapshot(host, message);
        break;
    case MESSAGE_SNAPSHOT_ANSWER:
        host_take_snapshot_answer(host, message);
        break;
    case MESSAGE_REGISTERED:
    case MESSAGE_HEARTBEAT_ANSWER:
        host_take_told(host, message);
        break;
    case MESSAGE_PROPOSED:
        host_take_proposed(host, message);
        break;
    case MESSAGE_REQUEST:
        host_take_request(host, message);
        break;
    case MESSAGE_HOST_CALL:
        host_take_host_call(host, message);
        break;
    default:
        CHECK(false);
    }
}

static void tick(struct host *host)
{
    arm(host, EVENT_TICK, TICK_MS);
    host_lease_tick(host);
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        struct replica_event event = {.kind = REPLICA_EVENT_TICK};
        struct replica_update update;
        struct part *part = &host->parts[i];

        part_step(part, &event, &update, NULL);
        part_expire_calls(part, false);
        part_pump(part, true);
        part_drive_snapshots(part);
    }
}

void host_event(struct host *host, const struct event *event)
{
    if (!host->up)
        return;
    switch (event->kind) {
    case EVENT_MESSAGE:
        take_message(host, event->data);
        break;
    case EVENT_TICK:
        tick(host);
        break;
    case EVENT_BEACON:
        arm(host, EVENT_BEACON, BEACON_MS);
        host_send_beacons(host);
        break;
    case EVENT_HEARTBEAT:
        arm(host, EVENT_HEARTBEAT, host->registered ? HEARTBEAT_MS : HEARTBEAT_MS / 3);
        host_heartbeat(host);
        break;
    case EVENT_SYNCED:
        host_synced(host, event->number);
        break;
    case EVENT_CHECKPOINTED:
        host_checkpointed(host);
        break;
    case EVENT_INSTALL_STEP:
        host_install_step(host, (uint32_t)event->number);
        break;
    case EVENT_REPLY:
        host_reply_leaves(host, event->data);
        break;
    case EVENT_LEASE_RECORDED:
        host_lease_recorded(host);
        break;
    case EVENT_LEASE_BROKEN:
        host_connection_broken(host, event->number);
        break;
    default:
        CHECK(false);
    }
    if (host->up && !host->sim->failed)
        host_lease_drain(host);
}
