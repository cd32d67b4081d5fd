/* Copies of one partition in memory: cores with a log of epochs each, and messages carried by hand.
 * Everything that is appended is synced at once unless a test says otherwise. */
#ifndef CAIRN_TESTS_REPLICA_FIXTURE_H
#define CAIRN_TESTS_REPLICA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "replica/replica.h"

enum { FIXTURE_LOG = 64, FIXTURE_LEASE_MS = 1000, FIXTURE_GRACE_MS = 1500 };

struct copy {
    struct replica core;
    uint64_t epochs[FIXTURE_LOG];
    struct replica_update update; /* of the last step */
};

static uint64_t fixture_epoch_at(const void *context, uint64_t index)
{
    const struct copy *copy = context;

    assert_in_range(index, 1, FIXTURE_LOG - 1);
    return copy->epochs[index];
}

static struct replica_member fixture_member(uint32_t server)
{
    return (struct replica_member){.server = server, .store = 100 + server, .incarnation = 1};
}

static void fixture_start(struct copy *copy, uint32_t server)
{
    static const struct replica_times times = {FIXTURE_LEASE_MS, FIXTURE_GRACE_MS};
    const struct replica_log log = {copy, fixture_epoch_at};
    const struct replica_recovered recovered = {0};
    const struct replica_member self = fixture_member(server);

    memset(copy, 0, sizeof *copy);
    replica_init(&copy->core, 7, &self, &times, &log, &recovered, 0);
}

static const struct replica_update *fixture_step(struct copy *copy, struct replica_event event);

/* Does what a driver would: records epochs and no-ops at once. */
static void fixture_carry_out(struct copy *copy, uint64_t now_ms)
{
    const struct replica_update update = copy->update;

    if (update.persist_epoch)
        fixture_step(copy, (struct replica_event){.kind = REPLICA_EVENT_EPOCH_SYNCED,
                                                  .now_ms = now_ms,
                                                  .epoch = update.epoch});
    if (update.append_noop) {
        struct replica_position position;
        uint64_t log_time_ms;

        replica_append(&copy->core, now_ms, &position, &log_time_ms);
        copy->epochs[position.index] = position.epoch;
        fixture_step(copy, (struct replica_event){.kind = REPLICA_EVENT_SYNCED,
                                                  .now_ms = now_ms,
                                                  .index = position.index});
    }
    copy->update = update; /* what the test asked for, not what followed */
}

static const struct replica_update *fixture_step(struct copy *copy, struct replica_event event)
{
    replica_step(&copy->core, &event, &copy->update);
    fixture_carry_out(copy, event.now_ms);
    return &copy->update;
}

static const struct replica_update *fixture_tick(struct copy *copy, uint64_t now_ms)
{
    return fixture_step(copy, (struct replica_event){.kind = REPLICA_EVENT_TICK, .now_ms = now_ms});
}

/* Ticks often enough that no pause is noticed. */
static const struct replica_update *fixture_run(struct copy *copy, uint64_t until_ms)
{
    bool proposed = false;

    while (copy->core.stepped_ms < until_ms) {
        uint64_t next_ms = copy->core.stepped_ms + 100;

        fixture_tick(copy, next_ms < until_ms ? next_ms : until_ms);
        proposed = proposed || copy->update.propose;
    }
    copy->update.propose = proposed;
    return &copy->update;
}

static struct replica_configuration fixture_configuration(uint64_t epoch, uint32_t primary,
                                                          uint32_t members, uint32_t learners)
{
    struct replica_configuration configuration = {
        .history = 1, .epoch = epoch, .primary = fixture_member(primary)};

    for (uint32_t i = 0; i < members; i++) {
        configuration.members[i] = fixture_member(i);
        configuration.members[i].incarnation = 0;
    }
    configuration.member_count = members;
    for (uint32_t i = 0; i < learners; i++) {
        configuration.learners[i] = fixture_member(members + i);
        configuration.learners[i].incarnation = 0;
    }
    configuration.learner_count = learners;
    return configuration;
}

static const struct replica_update *fixture_hear(struct copy *copy, uint64_t now_ms,
                                                 const struct replica_configuration *heard)
{
    return fixture_step(copy, (struct replica_event){.kind = REPLICA_EVENT_CONFIGURATION,
                                                     .now_ms = now_ms,
                                                     .configuration = heard});
}

static uint64_t fixture_append(struct copy *copy, uint64_t now_ms)
{
    struct replica_position position;
    uint64_t log_time_ms;

    replica_append(&copy->core, now_ms, &position, &log_time_ms);
    copy->epochs[position.index] = position.epoch;
    fixture_step(copy, (struct replica_event){.kind = REPLICA_EVENT_SYNCED,
                                              .now_ms = now_ms,
                                              .index = position.index});
    return position.index;
}

/* An Append as it would leave for that follower now. */
static struct replica_append fixture_message(struct copy *from, uint32_t follower, uint64_t now_ms)
{
    const struct replica *core = &from->core;
    uint64_t first = core->followers[follower].next_index;
    struct replica_append append = {
        .from = core->self,
        .history = core->configuration.history,
        .epoch = core->configuration.epoch,
        .previous = {first == 1 ? 0 : from->epochs[first - 1], first - 1},
        .commit_index = core->commit_index,
        .epochs = &from->epochs[first],
    };

    if (core->followers[follower].mode == REPLICA_REPLICATE)
        append.count = (uint32_t)(core->last.index + 1 - first);
    replica_sent(&from->core, follower, append.previous.index + append.count, now_ms);
    return append;
}

/* Takes it, syncs all of it, and tells the answer. */
static struct replica_ack fixture_take(struct copy *to, const struct replica_append *append,
                                       uint64_t now_ms)
{
    struct replica_ack ack;
    const struct replica_update *update = fixture_step(
        to,
        (struct replica_event){.kind = REPLICA_EVENT_APPEND, .now_ms = now_ms, .append = append});
    enum replica_ack_outcome outcome = update->outcome;

    for (uint32_t i = update->skip; update->accepted && i < append->count; i++) {
        struct replica_position position = {append->epochs[i], append->previous.index + 1 + i};

        to->epochs[position.index] = position.epoch;
        replica_follow(&to->core, &position, position.index);
    }
    fixture_step(to, (struct replica_event){.kind = REPLICA_EVENT_SYNCED,
                                            .now_ms = now_ms,
                                            .index = to->core.last.index});
    replica_ack(&to->core, outcome, &ack);
    return ack;
}

static void fixture_answer(struct copy *to, const struct replica_ack *ack, uint64_t now_ms)
{
    fixture_step(to,
                 (struct replica_event){.kind = REPLICA_EVENT_ACK, .now_ms = now_ms, .ack = ack});
}

/* One Append there and its answer back. */
static struct replica_ack fixture_exchange(struct copy *from, uint32_t follower, struct copy *to,
                                           uint64_t now_ms)
{
    struct replica_append append = fixture_message(from, follower, now_ms);
    struct replica_ack ack = fixture_take(to, &append, now_ms);

    fixture_answer(from, &ack, now_ms);
    return ack;
}

static bool fixture_beacon(struct copy *from, struct copy *to, bool echoed, uint64_t now_ms)
{
    return fixture_step(to, (struct replica_event){.kind = REPLICA_EVENT_BEACON,
                                                   .now_ms = now_ms,
                                                   .member = from->core.self,
                                                   .history = from->core.configuration.history,
                                                   .epoch = from->core.configuration.epoch,
                                                   .echoed = echoed})
        ->granted;
}

static void fixture_lease(struct copy *from, struct copy *to, uint64_t sent_ms, uint64_t now_ms)
{
    fixture_step(to, (struct replica_event){.kind = REPLICA_EVENT_LEASE,
                                            .now_ms = now_ms,
                                            .member = from->core.self,
                                            .epoch = to->core.configuration.epoch,
                                            .sent_ms = sent_ms});
}

/* A group of `count` started copies, server 0 leading them all and serving from `now_ms` on. */
static void fixture_group(struct copy *copies, uint32_t count, uint32_t learners, uint64_t now_ms)
{
    const struct replica_configuration configuration = fixture_configuration(1, 0, count, learners);

    for (uint32_t i = 0; i < count + learners; i++) {
        fixture_start(&copies[i], i);
        fixture_hear(&copies[i], now_ms, &configuration);
    }
    for (uint32_t i = 1; i < count; i++) {
        fixture_exchange(&copies[0], i - 1, &copies[i], now_ms);
        assert_true(fixture_beacon(&copies[0], &copies[i], false, now_ms));
        fixture_lease(&copies[i], &copies[0], now_ms, now_ms);
    }
    assert_true(replica_serves(&copies[0].core, now_ms));
}

#endif
