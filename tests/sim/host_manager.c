/* A simulated server's calls to the manager: registering, heartbeats, proposals (R10, R11). */
#include <string.h>

#include "base/check.h"
#include "proto/map.h"
#include "tests/sim/sim.h"

enum { RESTART_MS = 2500 };

static struct message *call(struct host *host, enum message_kind kind)
{
    struct message *message = message_create(host->sim, kind, host->node, SIM_MANAGER);

    message->sender = host->self;
    message->call = ++host->next_call;
    return message;
}

void host_heartbeat(struct host *host)
{
    struct message *message = call(host, host->registered ? MESSAGE_HEARTBEAT : MESSAGE_REGISTER);

    message->report.cluster = host->disk->cluster;
    message->report.map_version = host->map_version;
    message->report.replace_store = host->replace_store;
    for (uint32_t i = 0; i < host->sim->plan.partitions && host->registered; i++) {
        const struct replica *replica = &host->parts[i].replica;

        message->report.logs[message->report.count] = (struct heartbeat_log){
            .last_epoch = replica->last.epoch, .last_index = replica->last.index};
        message->report.partitions[message->report.count++] =
            (struct heartbeat_partition){.partition = i,
                                         .epoch = replica->seen_epoch,
                                         .role = (unsigned)replica->role,
                                         .commit_index = replica->commit_index};
    }
    network_send(host->sim, message);
}

static void take_map(struct host *host, const struct message *message)
{
    struct cluster_map map;
    struct error error = {0};

    if (message->told.map == NULL || message->told.map_version <= host->map_version)
        return;
    if (cluster_map_unpack(message->told.map, message->told.map_length, &map, &error) != 0) {
        sim_fail(host->sim, "server %u: the map does not unpack: %s", host->node, error.message);
        return;
    }
    host->map_version = map.version;
    for (size_t i = 0; i < map.server_count && i < SIM_SERVERS; i++)
        host->stores[i] = map.servers[i].store;
    for (uint32_t i = 0; i < map.partitions && map.configurations != NULL; i++)
        part_set_configuration(&host->parts[i], &map.configurations[i]);
    cluster_map_free(&map);
}

static void take_wish(struct host *host, const struct sim_wish *wanted)
{
    struct replica_event event = {.kind = REPLICA_EVENT_WISH,
                                  .wish = wanted->kind,
                                  .wish_epoch = wanted->epoch,
                                  .member = wanted->subject};
    struct replica_update update;

    part_step(&host->parts[wanted->partition], &event, &update, NULL);
}

/* The manager will not have this store: the process ends, and is started again later. */
static void take_refusal(struct host *host, enum manager_status status)
{
    host->registered = false;
    if (status != MANAGER_WIPED_STORE && status != MANAGER_DUPLICATE_ID)
        return;
    TRACE(host->sim, "server %u is rejected, status %d", host->node, (int)status);
    host_crash(host);
    sim_schedule(host->sim, RESTART_MS * MS, EVENT_START, host->node, 0, 0, NULL);
}

void host_take_told(struct host *host, const struct message *message)
{
    if (message->to_store != host->self.store || message->call > host->next_call)
        return;
    if (message->told.status != MANAGER_OK) {
        /* An answer that waited in the network says nothing of this process. */
        if (message->sender.incarnation == host->self.incarnation)
            take_refusal(host, message->told.status);
        return;
    }
    if (message->kind == MESSAGE_REGISTERED &&
        message->sender.incarnation == host->self.incarnation) {
        host->registered = true;
        host->replace_store = false;
        host->disk->cluster = message->told.cluster;
    }
    if (!host->registered)
        return;
    take_map(host, message);
    for (uint32_t i = 0; i < message->told.wish_count; i++)
        take_wish(host, &message->told.wishes[i]);
}

void part_send_proposal(struct part *part, const struct replica_configuration *wanted)
{
    struct message *message = call(part->host, MESSAGE_PROPOSE);
    struct configuration *to = &message->proposal.configuration;

    *to = (struct configuration){
        .partition = part->number,
        .history = wanted->history,
        .epoch = wanted->epoch,
        .switched = wanted->switched,
        .primary = {wanted->primary.server, wanted->primary.store, wanted->primary.incarnation},
        .member_count = wanted->member_count,
        .learner_count = wanted->learner_count};
    for (uint32_t i = 0; i < wanted->member_count; i++)
        to->members[i] =
            (struct replica_id){wanted->members[i].server, wanted->members[i].store, 0};
    for (uint32_t i = 0; i < wanted->learner_count; i++)
        to->learners[i] =
            (struct replica_id){wanted->learners[i].server, wanted->learners[i].store, 0};
    part->host->sim->counters.proposals++;
    TRACE(part->host->sim,
          "server %u: partition %u proposes epoch %llu: primary server %u, members %u, learners %u",
          part->host->node, part->number, (unsigned long long)to->epoch, to->primary.server,
          to->member_count, to->learner_count);
    network_send(part->host->sim, message);
}

void host_take_proposed(struct host *host, const struct message *message)
{
    if (message->to_store != host->self.store || !message->proposal.known)
        return;
    part_set_configuration(&host->parts[message->proposal.configuration.partition],
                           &message->proposal.configuration);
}
