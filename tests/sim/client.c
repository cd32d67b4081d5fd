/* Simulated clients: one operation at a time, retried with the same number until it is answered,
 * and recorded for the checker (S3). */
#include <string.h>

#include "base/check.h"
#include "proto/map.h"
#include "tests/sim/sim.h"

enum { ATTEMPT_MS = 400, AGAIN_MS = 60, MAP_EVERY = 3, TTL_MIN_MS = 200, TTL_RANGE_MS = 3000 };

void client_init(struct sim *sim, uint32_t index)
{
    struct client *client = &sim->clients[index];

    memset(client, 0, sizeof *client);
    client->node = SIM_FIRST_CLIENT + index;
    client->generation = 1;
    client->id = ++sim->next_id;
    client->left = sim->plan.operations;
    client->machine = SIM_MACHINES;
    if (sim->plan.machines > 0 && (sim->plan.scripted || !sim_chance(sim, 0.15)))
        client->machine = index % sim->plan.machines;
    client->copy = arena_alloc(&sim->arena, sizeof *client->copy);
    client->scripted = sim->plan.scripted;
    for (uint32_t i = 0; i < SIM_PARTITIONS; i++)
        client->leader[i] = SIM_SERVERS;
    if (!client->scripted)
        sim_schedule(sim, sim_below(sim, sim->plan.think_us + 1), EVENT_CLIENT, client->node,
                     client->generation, 0, NULL);
}

/* --- the history --------------------------------------------------------------------------------
 */

static void record(struct sim *sim, const struct operation *operation)
{
    CHECK(sim->history_count < SIM_OPERATIONS);
    sim->history[sim->history_count++] = *operation;
}

static void record_start(struct sim *sim, struct client *client)
{
    const struct sim_request *request = &client->request;

    client->record = sim->history_count;
    record(sim, &(struct operation){.kind = request->kind,
                                    .process = client->node - SIM_FIRST_CLIENT,
                                    .key = request->key,
                                    .value = request->value,
                                    .if_version = request->if_version,
                                    .version = OPERATION_NO_VERSION,
                                    .start_ns = sim->now_us * 1000,
                                    .end_ns = OPERATION_OPEN});
    /* S1, S2: the value may vanish by itself, once, but not before its time: with the fastest clock
     * it lives this long. To the checker that is a deletion that is never answered. */
    if (request->ttl_ms != 0)
        record(sim, &(struct operation){.kind = OPERATION_DELETE,
                                        .process = SIM_CLIENTS,
                                        .key = request->key,
                                        .version = OPERATION_NO_VERSION,
                                        .start_ns = (sim->now_us + request->ttl_ms * 985) * 1000,
                                        .end_ns = OPERATION_OPEN});
}

static void record_end(struct sim *sim, struct client *client, const struct sim_reply *reply)
{
    struct operation *operation = &sim->history[client->record];

    operation->end_ns = sim->now_us * 1000;
    switch (operation->kind) {
    case OPERATION_GET:
        operation->result = reply->status == REPLY_OK ? reply->value : 0;
        operation->version = reply->status == REPLY_OK ? reply->version : 0;
        break;
    case OPERATION_SWAP:
        operation->result = reply->existed ? reply->value : 0;
        operation->version = reply->version;
        break;
    case OPERATION_PUT_IF:
    case OPERATION_PUT:
        operation->result = reply->existed ? RESULT_FOUND : RESULT_NOT_FOUND;
        if (reply->status == REPLY_MISMATCH)
            operation->result = RESULT_MISMATCH;
        operation->version = reply->version;
        break;
    case OPERATION_DELETE:
        operation->result = reply->existed ? RESULT_FOUND : RESULT_NOT_FOUND;
        operation->version = 0;
        break;
    }
}

/* --- asking -------------------------------------------------------------------------------------
 */

static void ask_for_map(struct sim *sim, const struct client *client)
{
    network_send(sim, message_create(sim, MESSAGE_GET_MAP, client->node, SIM_MANAGER));
}

void client_ask(struct sim *sim, struct client *client)
{
    uint32_t server = client->leader[client->partition];

    client->attempts++;
    if (server >= sim->plan.servers) {
        ask_for_map(sim, client);
        server = (uint32_t)sim_below(sim, sim->plan.servers);
    } else if (client->attempts % MAP_EVERY == 0) {
        ask_for_map(sim, client);
    }
    if (client->request.kind == OPERATION_GET && client_segment(sim, client) != NULL) {
        client->call++; /* what still comes of earlier attempts comes too late */
        read_ask(sim, client, server);
    } else {
        client_send(sim, client, server);
    }
}

void client_send(struct sim *sim, struct client *client, uint32_t server)
{
    struct message *message;

    message = message_create(sim, MESSAGE_REQUEST, client->node, server);
    message->partition = client->partition;
    message->call = ++client->call;
    message->request = client->request;
    network_send(sim, message);
    sim_schedule(sim, ATTEMPT_MS * MS + sim_below(sim, ATTEMPT_MS * MS), EVENT_CLIENT, client->node,
                 client->generation, client->call, NULL);
}

static void draw_kind(struct sim *sim, struct client *client, struct sim_request *request)
{
    uint64_t drawn = sim_below(sim, 100);

    if (sim_below(sim, 100) < sim->plan.reads_percent)
        request->kind = OPERATION_GET;
    else if (drawn < 40)
        request->kind = OPERATION_PUT;
    else if (drawn < 65)
        request->kind = OPERATION_SWAP;
    else if (drawn < 80)
        request->kind = OPERATION_DELETE;
    else
        request->kind = OPERATION_PUT_IF;
    if (request->kind == OPERATION_PUT_IF)
        request->if_version = client->versions[request->key];
}

static void draw_request(struct sim *sim, struct client *client)
{
    struct sim_request *request = &client->request;
    uint32_t partition = (uint32_t)sim_below(sim, sim->plan.partitions);
    uint32_t key = (uint32_t)sim_below(sim, sim->plan.keys);

    *request = (struct sim_request){.client = client->id};
    if (sim_below(sim, 100) < sim->plan.expiring_percent) { /* S2 */
        key = SIM_EXPIRING + (uint32_t)sim_below(sim, SIM_KEYS - SIM_EXPIRING);
        request->key = partition * SIM_KEYS + key;
        request->kind =
            sim_below(sim, 100) < sim->plan.reads_percent ? OPERATION_GET : OPERATION_PUT;
        if (request->kind == OPERATION_PUT)
            request->ttl_ms = TTL_MIN_MS + sim_below(sim, TTL_RANGE_MS);
    } else {
        request->key = partition * SIM_KEYS + key;
        draw_kind(sim, client, request);
    }
}

static void begin(struct sim *sim, struct client *client)
{
    struct sim_request *request = &client->request;

    client->partition = request->key / SIM_KEYS;
    client->busy = true;
    client->attempts = 0;
    request->client = client->id;
    if (request->kind != OPERATION_GET)
        request->number = ++client->number;
    if (request->value == 0 && request->kind != OPERATION_GET && request->kind != OPERATION_DELETE)
        request->value = ++sim->next_id;
    record_start(sim, client);
    if (request->kind == OPERATION_GET && client_segment(sim, client) != NULL)
        read_begin(sim, client);
    else
        client_ask(sim, client);
}

bool client_begin(struct sim *sim, uint32_t index, const struct sim_request *request)
{
    struct client *client = &sim->clients[index];

    if (client->busy)
        return false;
    client->request = *request;
    begin(sim, client);
    return true;
}

/* --- answers ------------------------------------------------------------------------------------
 */

void client_next(struct sim *sim, struct client *client)
{
    if (!client->scripted)
        sim_schedule(sim, sim_below(sim, 2 * sim->plan.think_us + 1), EVENT_CLIENT, client->node,
                     client->generation, 0, NULL);
}

void client_finish_read(struct sim *sim, struct client *client, const struct sim_reply *reply)
{
    record_end(sim, client, reply);
    client->versions[client->request.key] = reply->version;
    client->last_reply = *reply;
    client->busy = false;
    client->call++;
    sim->counters.operations++;
}

static void finish(struct sim *sim, struct client *client, const struct sim_reply *reply)
{
    client_finish_read(sim, client, reply);
    if (!read_fill(sim, client, reply))
        client_next(sim, client);
}

static void take_reply(struct sim *sim, struct client *client, const struct message *message)
{
    const struct sim_reply *reply = &message->reply;

    if (!client->busy || message->call != client->call)
        return; /* of an attempt that was given up */
    if (reply->status == REPLY_STALE) {
        sim_fail(sim, "client %u: its operation %llu is called stale by server %u",
                 client->node - SIM_FIRST_CLIENT, (unsigned long long)client->request.number,
                 message->from);
        return;
    }
    if (reply->status != REPLY_NOT_PRIMARY && reply->status != REPLY_UNKNOWN) {
        finish(sim, client, reply);
        return;
    }
    if (reply->hint_epoch > client->leader_epoch[client->partition] &&
        reply->hint_server < sim->plan.servers) {
        client->leader[client->partition] = reply->hint_server;
        client->leader_epoch[client->partition] = reply->hint_epoch;
    }
    client->call++; /* this attempt is over; the next one soon */
    sim_schedule(sim, AGAIN_MS * MS / 2 + sim_below(sim, AGAIN_MS * MS), EVENT_CLIENT, client->node,
                 client->generation, client->call, NULL);
}

static void take_map(struct sim *sim, struct client *client, const struct message *message)
{
    struct cluster_map map;

    if (message->told.map == NULL ||
        cluster_map_unpack(message->told.map, message->told.map_length, &map, NULL) != 0)
        return;
    for (uint32_t i = 0; i < sim->plan.partitions && map.configurations != NULL; i++)
        if (map.configurations[i].epoch > client->leader_epoch[i] ||
            client->leader[i] == SIM_SERVERS) {
            client->leader_epoch[i] = map.configurations[i].epoch;
            client->leader[i] = map.configurations[i].primary.server;
        }
    cluster_map_free(&map);
}

void client_event(struct sim *sim, const struct event *event)
{
    struct client *client = &sim->clients[event->node - SIM_FIRST_CLIENT];
    const struct message *message = event->data;

    if (event->kind == EVENT_MESSAGE) {
        if (message->kind == MESSAGE_REPLY)
            take_reply(sim, client, message);
        else
            take_map(sim, client, message);
        return;
    }
    if (event->kind == EVENT_READ) {
        read_event(sim, client, event);
        return;
    }
    if (client->busy) {
        if (event->number == client->call)
            client_ask(sim, client);
        return;
    }
    if (event->number != 0 || client->left == 0 || client->scripted)
        return;
    client->left--;
    draw_request(sim, client);
    begin(sim, client);
}

/* The process ends; what it had under way may still take effect at any time. */
void client_restart(struct sim *sim, uint32_t index)
{
    struct client *client = &sim->clients[index];

    TRACE(sim, "client %u restarts", index);
    client->generation++;
    client->id = ++sim->next_id;
    client->number = 0;
    client->busy = false;
    client->call++;
    for (uint32_t i = 0; i < SIM_SEGMENTS && client->machine < sim->plan.machines; i++)
        if (sim->machines[client->machine].segments[i].agent.client == index)
            agent_kill(&sim->machines[client->machine].segments[i]);
    if (client->machine < sim->plan.machines)
        client->segment = sim->machines[client->machine].current;
    if (!client->scripted)
        sim_schedule(sim, sim->plan.think_us, EVENT_CLIENT, client->node, client->generation, 0,
                     NULL);
}
