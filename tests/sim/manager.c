/* The simulated manager: the real membership and its journal's records, over a simulated disk, as
 * manager/driver.c drives them (W1, R10, R11). */
#include "manager/membership.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "manager/journal.h"
#include "manager/membership_internal.h"
#include "manager/reconcile.h"
#include "proto/map.h"
#include "tests/sim/sim.h"

enum { FIRST_PORT = 3777, RECONCILE_MS = 1000, RECORD_LIMIT = 1 << 20 };

static uint64_t now_ms(const struct sim *sim)
{
    return (sim->manager.offset_us + (uint64_t)((double)sim->now_us * sim->manager.rate)) / MS;
}

/* --- the journal --------------------------------------------------------------------------------
 */

static void start_sync(struct sim *sim)
{
    struct manager_host *manager = &sim->manager;

    if (manager->syncing || manager->synced == manager->count)
        return;
    manager->syncing = true;
    sim_schedule(sim, sim->plan.sync_us / 2 + sim_below(sim, sim->plan.sync_us + 1), EVENT_SYNCED,
                 SIM_MANAGER, manager->generation, manager->count, NULL);
}

static void record(struct sim *sim, const struct change *change)
{
    struct manager_host *manager = &sim->manager;
    struct journal_item *item;
    enum journal_kind kind;
    struct buffer buffer;
    uint8_t *payload;

    buffer_init(&buffer, RECORD_LIMIT);
    CHECK(journal_encode(manager->membership, change, &kind, &buffer) == 0);
    payload = arena_alloc(&sim->arena, buffer.length + 1);
    memcpy(payload, buffer.data, buffer.length);
    if (manager->count == manager->capacity)
        manager->items = arena_grow(&sim->arena, manager->items, sizeof *manager->items,
                                    manager->count, &manager->capacity);
    item = &manager->items[manager->count++];
    *item = (struct journal_item){(uint16_t)kind, payload, buffer.length};
    buffer_free(&buffer);
}

static void note_change(struct sim *sim, const struct change *change)
{
    if (change->kind == CHANGE_CONFIGURATION) {
        if (change->removed_count > 0)
            sim->counters.removals++;
        TRACE(sim,
              "manager: partition %u epoch %llu, primary server %u.%llu, members %u, "
              "learners %u, step %d",
              change->configuration.partition, (unsigned long long)change->configuration.epoch,
              change->configuration.primary.server,
              (unsigned long long)change->configuration.primary.incarnation,
              change->configuration.member_count, change->configuration.learner_count,
              (int)change->step);
        if (change->step == STEP_TAKEOVER)
            sim->counters.takeovers++;
    }
}

static void record_changes(struct sim *sim)
{
    struct membership *membership = sim->manager.membership;

    for (size_t i = 0; i < membership->change_count; i++) {
        note_change(sim, &membership->changes[i]);
        record(sim, &membership->changes[i]);
    }
    membership_clear_changes(membership);
    start_sync(sim);
}

/* --- life ---------------------------------------------------------------------------------------
 */

static void found_cluster(struct sim *sim)
{
    struct cluster_map map = {.cluster = 1,
                              .version = 1,
                              .partitions = sim->plan.partitions,
                              .replicas = sim->plan.replicas,
                              .server_count = sim->plan.servers};

    map.servers = calloc(sim->plan.servers, sizeof *map.servers);
    CHECK(map.servers != NULL);
    for (uint32_t i = 0; i < sim->plan.servers; i++) {
        struct map_server *server = &map.servers[i];

        server->id = i;
        (void)snprintf(server->address.host, sizeof server->address.host, "127.0.0.1");
        server->address.port = (uint16_t)(FIRST_PORT + i);
        address_format(&server->address, server->address_text);
    }
    CHECK(membership_create(&map, now_ms(sim), &sim->manager.membership, NULL) == 0);
    record(sim, &(struct change){.kind = CHANGE_PLACED});
    sim->manager.synced = sim->manager.count;
}

static void replay_journal(struct sim *sim)
{
    struct journal_replay replay = {.now_ms = now_ms(sim)};
    struct error error = {0};

    for (size_t i = 0; i < sim->manager.count; i++) {
        const struct journal_item *item = &sim->manager.items[i];

        if (journal_apply(&replay, item->kind, item->payload, item->length, &error) != 0) {
            sim_fail(sim, "manager: its journal does not replay: %s", error.message);
            break;
        }
    }
    CHECK(replay.membership != NULL);
    sim->manager.membership = replay.membership;
}

void manager_init(struct sim *sim)
{
    struct manager_host *manager = &sim->manager;

    memset(manager, 0, sizeof *manager);
    manager->rate = sim_rate(sim);
    manager->offset_us = sim_below(sim, 3600 * 1000) * MS;
}

void manager_start(struct sim *sim)
{
    struct manager_host *manager = &sim->manager;

    if (manager->up)
        return;
    manager->generation++;
    manager->up = true;
    manager->syncing = false;
    manager->paused_until_us = 0;
    manager->answers = NULL;
    manager->answers_end = &manager->answers;
    TRACE(sim, "manager starts");
    if (manager->count == 0)
        found_cluster(sim);
    else
        replay_journal(sim);
    manager->membership->replace_after_ms = sim->plan.replace_after_ms;
    CHECK(membership_place(manager->membership) == 0);
    record_changes(sim);
    sim_schedule(sim, RECONCILE_MS * MS, EVENT_TICK, SIM_MANAGER, manager->generation, 0, NULL);
}

void manager_crash(struct sim *sim)
{
    struct manager_host *manager = &sim->manager;

    if (!manager->up)
        return;
    TRACE(sim, "manager crashes");
    manager->count = manager->synced + sim_below(sim, manager->count - manager->synced + 1);
    manager->synced = manager->count; /* W1: made durable again before it is told */
    membership_free(manager->membership);
    manager->membership = NULL;
    manager->up = false;
    manager->generation++;
}

void manager_free(struct sim *sim)
{
    membership_free(sim->manager.membership);
    sim->manager.membership = NULL;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void release(struct sim *sim)
{
    struct manager_host *manager = &sim->manager;

    while (manager->answers != NULL && manager->answers->lsn <= manager->synced) {
        const struct message *message = manager->answers->message;

        if (message->kind == MESSAGE_PROPOSED && message->proposal.known)
            invariant_told(sim, &message->proposal.configuration);
        network_send(sim, message);
        manager->answers = manager->answers->next;
    }
    if (manager->answers == NULL)
        manager->answers_end = &manager->answers;
}

/* W1: a reply may tell of anything that was changed before it. */
static void answer_later(struct sim *sim, struct message *message)
{
    struct manager_answer *answer = arena_alloc(&sim->arena, sizeof *answer);

    record_changes(sim);
    *answer = (struct manager_answer){NULL, sim->manager.count, message};
    *sim->manager.answers_end = answer;
    sim->manager.answers_end = &answer->next;
    release(sim);
}

static struct message *answer_to(struct sim *sim, const struct message *call,
                                 enum message_kind kind)
{
    struct message *answer = message_create(sim, kind, SIM_MANAGER, call->from);

    answer->to_store = call->sender.store;
    answer->sender = call->sender; /* whom it answers */
    answer->call = call->call;
    return answer;
}

static void fill_told(struct sim *sim, const struct membership_reply *reply,
                      struct message *message)
{
    message->told.status = reply->status;
    message->told.cluster = sim->manager.membership->map.cluster;
    message->told.map_version = reply->map_version;
    if (reply->map != NULL) {
        uint8_t *copy = arena_alloc(&sim->arena, reply->map->bytes.length + 1);

        memcpy(copy, reply->map->bytes.data, reply->map->bytes.length);
        message->told.map = copy;
        message->told.map_length = reply->map->bytes.length;
        message->told.map_version = reply->map->version;
    }
    for (uint32_t i = 0; i < reply->wish_count && i < 2 * SIM_PARTITIONS; i++) {
        const struct wish *wanted = &reply->wishes[i];

        message->told.wishes[message->told.wish_count++] =
            (struct sim_wish){wanted->partition,
                              wanted->epoch,
                              (enum replica_wish_kind)wanted->kind,
                              {.server = wanted->server, .store = wanted->store}};
        TRACE(sim, "manager: wish %d for partition %u epoch %llu, server %u", (int)wanted->kind,
              wanted->partition, (unsigned long long)wanted->epoch, wanted->server);
    }
}

/* --- calls --------------------------------------------------------------------------------------
 */

static struct server_identity identity_of(const struct message *message)
{
    return (struct server_identity){message->report.cluster, message->sender.server,
                                    message->sender.store, message->sender.incarnation};
}

static void handle_register(struct sim *sim, const struct message *message)
{
    struct membership *membership = sim->manager.membership;
    struct register_args args = {.who = identity_of(message),
                                 .replace_store = message->report.replace_store};
    struct message *answer = answer_to(sim, message, MESSAGE_REGISTERED);
    struct membership_reply reply;
    char listen[32];
    int length =
        snprintf(listen, sizeof listen, "127.0.0.1:%u", FIRST_PORT + message->sender.server);

    args.listen.data = (const uint8_t *)listen;
    args.listen.length = (uint32_t)length;
    CHECK(membership_register(membership, now_ms(sim), &args, &reply) == 0);
    if (reply.status != MANAGER_OK)
        TRACE(sim, "manager refuses server %u: %s", message->sender.server, reply.message);
    fill_told(sim, &reply, answer);
    membership_reply_free(&reply);
    answer_later(sim, answer);
}

static void handle_heartbeat(struct sim *sim, const struct message *message)
{
    struct heartbeat_args args = {.who = identity_of(message),
                                  .map_version = message->report.map_version};
    struct message *answer = answer_to(sim, message, MESSAGE_HEARTBEAT_ANSWER);
    struct heartbeat_partition partitions[SIM_PARTITIONS];
    struct heartbeat_log logs[SIM_PARTITIONS];
    struct membership_reply reply;

    memcpy(partitions, message->report.partitions, sizeof partitions);
    args.partitions.partitions_len = message->report.count;
    args.partitions.partitions_val = partitions;
    memcpy(logs, message->report.logs, sizeof logs);
    args.logs.logs_len = message->report.count;
    args.logs.logs_val = logs;
    CHECK(membership_heartbeat(sim->manager.membership, now_ms(sim), &args, &reply) == 0);
    fill_told(sim, &reply, answer);
    membership_reply_free(&reply);
    answer_later(sim, answer);
}

static void handle_get_map(struct sim *sim, const struct message *message)
{
    const struct map_args args = {.known_version = message->report.map_version};
    struct message *answer = answer_to(sim, message, MESSAGE_MAP);
    struct membership_reply reply;

    CHECK(membership_get_map(sim->manager.membership, &args, &reply) == 0);
    fill_told(sim, &reply, answer);
    membership_reply_free(&reply);
    answer_later(sim, answer);
}

/* R9, broken: a copy that was removed is heard as if it were a member still. */
static void accept_removed(struct sim *sim, const struct message *message, struct message *answer)
{
    struct membership *membership = sim->manager.membership;
    struct change change = {.kind = CHANGE_CONFIGURATION,
                            .step = STEP_TAKEOVER,
                            .configuration = message->proposal.configuration};
    const struct configuration *present =
        &membership->map.configurations[change.configuration.partition];

    if (answer->proposal.status != MANAGER_INVALID ||
        change.configuration.epoch != present->epoch + 1 ||
        configuration_has_member(present, message->sender.server, message->sender.store) ||
        membership_reserve_changes(membership, 1) != 0)
        return;
    membership_change(membership, &change);
    answer->proposal.status = MANAGER_OK;
    answer->proposal.configuration = change.configuration;
}

static void handle_propose(struct sim *sim, const struct message *message)
{
    struct membership *membership = sim->manager.membership;
    struct message *answer = answer_to(sim, message, MESSAGE_PROPOSED);
    struct propose_args args = {.who = {membership->map.cluster, message->sender.server,
                                        message->sender.store, message->sender.incarnation}};
    struct proposal offer = {.expected_epoch = message->proposal.configuration.epoch - 1};
    struct membership_reply reply;
    struct buffer packed;

    buffer_init(&packed, CAIRN_PACKED_LIMIT);
    CHECK(configuration_pack(&message->proposal.configuration, &packed, NULL) == 0);
    offer.configuration.data = packed.data;
    offer.configuration.length = (uint32_t)packed.length;
    args.proposals.proposals_len = 1;
    args.proposals.proposals_val = &offer;
    CHECK(membership_propose(membership, now_ms(sim), &args, &reply) == 0);
    answer->proposal.status = reply.status;
    if (reply.status == MANAGER_OK && reply.result_count == 1) {
        answer->proposal.status = reply.results[0].status;
        answer->proposal.known =
            configuration_unpack(reply.results[0].current.data, reply.results[0].current.length,
                                 membership->map.partitions, &answer->proposal.configuration,
                                 NULL) == 0;
    }
    if (RULE_BROKEN(R9))
        accept_removed(sim, message, answer);
    TRACE(sim, "manager: proposal of server %u for partition %u epoch %llu: status %d %s",
          message->sender.server, message->proposal.configuration.partition,
          (unsigned long long)message->proposal.configuration.epoch, (int)answer->proposal.status,
          reply.message);
    buffer_free(&packed);
    membership_reply_free(&reply);
    if (answer->proposal.status == MANAGER_OK)
        fault_accepted(sim, message->sender.server, &message->proposal.configuration);
    answer_later(sim, answer);
}

/* --- events -------------------------------------------------------------------------------------
 */

static void take_message(struct sim *sim, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_REGISTER:
        handle_register(sim, message);
        break;
    case MESSAGE_HEARTBEAT:
        handle_heartbeat(sim, message);
        break;
    case MESSAGE_GET_MAP:
        handle_get_map(sim, message);
        break;
    case MESSAGE_PROPOSE:
        handle_propose(sim, message);
        break;
    default:
        CHECK(false);
    }
}

void manager_event(struct sim *sim, const struct event *event)
{
    struct manager_host *manager = &sim->manager;

    if (!manager->up)
        return;
    switch (event->kind) {
    case EVENT_MESSAGE:
        take_message(sim, event->data);
        break;
    case EVENT_SYNCED:
        manager->syncing = false;
        manager->synced = event->number;
        start_sync(sim);
        release(sim);
        break;
    case EVENT_TICK:
        CHECK(membership_reconcile(manager->membership, now_ms(sim)) == 0);
        record_changes(sim);
        sim_schedule(sim, RECONCILE_MS * MS, EVENT_TICK, SIM_MANAGER, manager->generation, 0, NULL);
        break;
    default:
        CHECK(false);
    }
}

const struct configuration *manager_configuration(const struct sim *sim, uint32_t partition)
{
    const struct membership *membership = sim->manager.membership;

    if (membership == NULL || membership->map.configurations == NULL)
        return NULL;
    return &membership->map.configurations[partition];
}

bool manager_admin(struct sim *sim, enum admin_kind kind, uint32_t partition, uint32_t server)
{
    struct admin_args args = {.kind = kind, .partition = partition, .server = server};
    struct membership_reply reply;
    bool done;

    if (!sim->manager.up)
        return false;
    CHECK(membership_admin(sim->manager.membership, now_ms(sim), &args, &reply) == 0);
    done = reply.status == MANAGER_OK;
    TRACE(sim, "manager: admin call %d partition %u server %u: %s", (int)kind, partition, server,
          reply.message);
    membership_reply_free(&reply);
    record_changes(sim);
    return done;
}
