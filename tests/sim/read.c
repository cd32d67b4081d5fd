/* GETs of simulated clients by way of their machine's cache, as the library makes them (C1): one
 * step at a time, for a process may be stopped between any two. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static const struct machine *machine_of(const struct sim *sim, const struct client *client)
{
    return &sim->machines[client->machine];
}

static void go_on(struct sim *sim, struct client *client, enum read_step step, const void *data)
{
    uint64_t after_us = machine_step_us(sim);

    if (client->stop_us[step] != 0) {
        after_us = client->stop_us[step];
        client->stop_us[step] = 0;
    }
    if (after_us > MS)
        TRACE(sim, "client %u is stopped before step %d of a read for %llu ms",
              client->node - SIM_FIRST_CLIENT, (int)step, (unsigned long long)(after_us / MS));
    sim_schedule(sim, after_us, EVENT_READ, client->node, client->generation, step, data);
}

/* A process notices some time after it that its segment is no longer the machine's. */
static void look_at_segment(struct sim *sim, struct client *client)
{
    const struct machine *machine = machine_of(sim, client);
    const struct segment *segment = client_segment(sim, client);

    if (client->segment != machine->current &&
        (!cache_is_sound(&segment->cache) || sim_chance(sim, 0.2)))
        client->segment = machine->current;
}

void read_begin(struct sim *sim, struct client *client)
{
    look_at_segment(sim, client);
    go_on(sim, client, READ_COPY, NULL);
}

static void copy(struct sim *sim, struct client *client)
{
    uint8_t text[8];
    uint32_t length;
    uint64_t hash = key_hash(client->request.key, text, &length);

    if (cache_copy(&client_segment(sim, client)->cache, text, length, hash, client->copy))
        go_on(sim, client, READ_CHECK, NULL);
    else
        client_ask(sim, client);
}

static void check(struct sim *sim, struct client *client)
{
    if (cache_check(&client_segment(sim, client)->cache, client->copy, &client->until_ms))
        go_on(sim, client, READ_CLOCK, NULL);
    else
        client_ask(sim, client);
}

static void read_clock(struct sim *sim, struct client *client)
{
    if (machine_now_ms(machine_of(sim, client)) < client->until_ms)
        go_on(sim, client, READ_RETURN, NULL);
    else
        client_ask(sim, client);
}

static void hit(struct sim *sim, struct client *client)
{
    struct sim_reply reply = {
        .status = REPLY_OK, .existed = true, .version = client->copy->version, .cached = true};

    CHECK(client->copy->length == 2 * sizeof reply.value);
    memcpy(&reply.value, client->copy->value, sizeof reply.value);
    sim->counters.hits++;
    client_finish_read(sim, client, &reply);
    client_next(sim, client);
}

/* --- misses -------------------------------------------------------------------------------------
 */

void read_ask(struct sim *sim, struct client *client, uint32_t server)
{
    client->server = server;
    client->note = (struct cache_note){0};
    go_on(sim, client, READ_NOTE, NULL);
}

/* C1: before the GET leaves. */
static void note(struct sim *sim, struct client *client)
{
    const struct machine *machine = machine_of(sim, client);
    uint8_t text[8];
    uint32_t length;
    uint64_t hash = key_hash(client->request.key, text, &length);

    client->noted_ms = machine_now_ms(machine);
    client->request.cache_session = 0;
    if (cache_note(&client_segment(sim, client)->cache, hash, client->server, client->noted_ms,
                   &client->note))
        client->request.cache_session = client->note.session;
    go_on(sim, client, READ_SEND, NULL);
}

bool read_fill(struct sim *sim, struct client *client, const struct sim_reply *reply)
{
    struct fill *fill;

    if (client_segment(sim, client) == NULL || client->request.kind != OPERATION_GET)
        return false;
    sim->counters.misses++;
    if (reply->granted == 0 || reply->granted != client->request.cache_session)
        return false;
    fill = arena_alloc(&sim->arena, sizeof *fill);
    *fill = (struct fill){.segment = client_segment(sim, client),
                          .note = client->note,
                          .key = client->request.key,
                          .value = reply->value,
                          .modified = reply->modified,
                          .version = reply->version,
                          .expires_ms = UINT64_MAX};
    fill->life = fill->segment->life;
    /* S2: on the slow side of two clocks, from before the value was asked for. */
    if (reply->expires_in_ms != 0)
        fill->expires_ms = client->noted_ms + lease_host_ms(reply->expires_in_ms);
    go_on(sim, client, READ_FILL, fill);
    return true;
}

static void put_in(void *context)
{
    struct fill *fill = context;
    struct sim *sim = fill->segment->machine->sim;
    uint64_t value[2] = {fill->value, fill->modified};
    uint8_t text[8];
    uint32_t length;
    uint64_t hash = key_hash(fill->key, text, &length);

    if (cache_fill(&fill->segment->cache, &fill->note, text, length, hash, (const uint8_t *)value,
                   sizeof value, fill->version, fill->expires_ms))
        sim->counters.fills++;
    else
        sim->counters.fills_refused++;
}

static void insert(struct sim *sim, struct client *client, const struct fill *from)
{
    struct fill fill = *from;
    struct machine *machine = fill.segment->machine;
    uint8_t text[8];
    uint32_t length;
    bool lives = true;

    if (RULE_BROKEN(C1_NOTE))
        (void)cache_note(&fill.segment->cache, key_hash(fill.key, text, &length), fill.note.server,
                         machine_now_ms(machine), &fill.note);
    if (fill.life == fill.segment->life)
        lives = machine_risk(sim, put_in, &fill);
    machine_check_key(machine, fill.key);
    if (lives)
        client_next(sim, client);
    else
        client_restart(sim, client->node - SIM_FIRST_CLIENT);
}

void read_event(struct sim *sim, struct client *client, const struct event *event)
{
    enum read_step step = (enum read_step)event->number;

    if (step == READ_FILL) {
        insert(sim, client, event->data);
        return;
    }
    if (!client->busy)
        return;
    switch (step) {
    case READ_COPY:
        copy(sim, client);
        break;
    case READ_CHECK:
        check(sim, client);
        break;
    case READ_CLOCK:
        read_clock(sim, client);
        break;
    case READ_RETURN:
        hit(sim, client);
        break;
    case READ_NOTE:
        note(sim, client);
        break;
    case READ_SEND:
        client_send(sim, client, client->server);
        break;
    case READ_FILL:
    case READ_STEPS:
        CHECK(false);
    }
}
