/* Random events against the lease core and a naive model of it, which keeps for every waiter the
 * set of pairs (session, bucket) that it waits for (C2, C3, C5, C6). */
#include "base/random.h"
#include "lease_fixture.h"

enum { HOSTS = 70, BUCKETS = 48, WAITERS = 64, EVENTS = 30000, SEEDS = 6 };

struct host {
    uint64_t number; /* 0: none */
    bool ending, over;
    uint64_t until_ms, ticket;
    bool holds[BUCKETS];
    uint32_t queue[BUCKETS], count, batch;
    uint64_t sent, batch_number, all_number;
    bool listening;
    bool renewing;
    uint64_t arrival_ms, end_ms;
    uint32_t renew_after; /* of the queue, still to be answered */
    uint32_t zeros;       /* renewals to be answered with nothing */
};

struct wait {
    struct lease_waiter waiter;
    bool used;
    bool open[HOSTS][BUCKETS];
};

struct model {
    struct lease *lease;
    struct random random;
    uint64_t now_ms, next_number;
    struct host hosts[HOSTS];
    uint32_t pending[BUCKETS];
    struct wait waits[WAITERS];
    uint64_t tickets[4];
    uint64_t granted, revoked, woken, renewed, ended; /* that the test tests something */
};

static bool chance(struct model *model, unsigned percent)
{
    return random_below(&model->random, 100) < percent;
}

static uint32_t below(struct model *model, uint32_t bound)
{
    return (uint32_t)random_below(&model->random, bound);
}

/* --- the model ---------------------------------------------------------------------------------
 */

static bool is_live(const struct host *host)
{
    return host->number != 0 && !host->over;
}

static bool in_queue(const struct host *host, uint32_t bucket)
{
    for (uint32_t i = 0; i < host->count; i++) {
        if (host->queue[i] == bucket)
            return true;
    }
    return false;
}

static bool is_revoking(const struct model *model, uint32_t bucket)
{
    for (unsigned h = 0; h < HOSTS; h++) {
        if (is_live(&model->hosts[h]) && in_queue(&model->hosts[h], bucket))
            return true;
    }
    return false;
}

static void answer(struct model *model, unsigned h, uint32_t count)
{
    struct host *host = &model->hosts[h];

    for (uint32_t i = 0; i < count; i++) {
        for (unsigned w = 0; w < WAITERS; w++)
            model->waits[w].open[h][host->queue[i]] = false;
    }
    memmove(host->queue, host->queue + count, (host->count - count) * sizeof(*host->queue));
    host->count -= count;
    host->batch -= host->batch < count ? host->batch : count;
    host->renew_after -= host->renew_after < count ? host->renew_after : count;
}

static void finish(struct model *model, unsigned h)
{
    answer(model, h, model->hosts[h].count);
    model->hosts[h].over = true;
    model->ended++;
}

static void run_out(struct model *model, unsigned h)
{
    if (is_live(&model->hosts[h]) && model->hosts[h].until_ms <= model->now_ms)
        finish(model, h);
}

/* --- what the core says must be what the model expects ------------------------------------------
 */

static void check_batch(struct model *model, struct host *host, const struct lease_output *output)
{
    assert_true(host->listening);
    host->listening = false;
    assert_int_equal(output->all, host->ending);
    if (host->ending) {
        if (host->all_number == 0)
            host->all_number = ++host->sent;
        assert_int_equal(output->number, host->all_number);
        return;
    }
    if (host->batch == 0) {
        host->batch = host->count;
        host->batch_number = ++host->sent;
    }
    assert_int_equal(output->number, host->batch_number);
    assert_int_equal(output->count, host->batch);
    assert_memory_equal(output->buckets, host->queue, host->batch * sizeof(*host->queue));
    assert_true(host->batch > 0);
    model->revoked += host->batch;
}

static void check_granted(struct model *model, struct host *host, const struct lease_output *output)
{
    if (host->zeros > 0) {
        host->zeros--;
        assert_int_equal(output->granted_ms, 0);
        return;
    }
    assert_true(host->renewing && host->renew_after == 0);
    host->renewing = false;
    if (host->end_ms > host->until_ms)
        host->until_ms = host->end_ms;
    assert_int_equal(output->granted_ms, host->until_ms <= model->now_ms
                                             ? 0
                                             : lease_host_ms(host->until_ms - host->arrival_ms));
    model->renewed++;
}

static void check_output(struct model *model, const struct lease_output *output)
{
    for (unsigned h = 0; h < HOSTS; h++) {
        struct host *host = &model->hosts[h];

        if (host->number != output->session)
            continue;
        assert_int_equal(output->kind == LEASE_OVER, host->over);
        if (output->kind == LEASE_BATCH)
            check_batch(model, host, output);
        else if (output->kind == LEASE_GRANTED)
            check_granted(model, host, output);
        else
            *host = (struct host){0};
        return;
    }
    fail_msg("an output for a session that is not there");
}

static void check_nothing_is_left(const struct model *model)
{
    for (unsigned h = 0; h < HOSTS; h++) {
        const struct host *host = &model->hosts[h];

        assert_false(host->over);
        assert_int_equal(host->zeros, 0);
        assert_false(host->renewing && host->renew_after == 0);
        assert_false(host->listening && (host->ending || host->count > 0));
    }
    for (unsigned w = 0; w < WAITERS; w++) {
        if (model->waits[w].used)
            assert_non_null(memchr(model->waits[w].open, true, sizeof(model->waits[w].open)));
    }
}

static void drain(struct model *model)
{
    struct lease_output output;
    struct lease_waiter *waiter;

    while (lease_next_output(model->lease, &output))
        check_output(model, &output);
    while ((waiter = lease_next_ready(model->lease)) != NULL) {
        struct wait *wait = (struct wait *)(void *)waiter; /* its first member */

        assert_true(wait->used);
        assert_null(memchr(wait->open, true, sizeof(wait->open)));
        wait->used = false;
        model->woken++;
    }
    check_nothing_is_left(model);
}

/* --- events ------------------------------------------------------------------------------------
 */

static uint64_t some_bound(struct model *model)
{
    return chance(model, 50) ? UNBOUND : model->now_ms + below(model, 2 * FIXTURE_LEASE_MS);
}

static uint64_t lease_end(const struct model *model, uint64_t bound_ms)
{
    const uint64_t end_ms = model->now_ms + FIXTURE_LEASE_MS;

    return end_ms < bound_ms ? end_ms : bound_ms;
}

static void event_open(struct model *model, unsigned h)
{
    const uint64_t bound_ms = some_bound(model);
    struct host *host = &model->hosts[h];
    uint64_t granted_ms;
    int status;

    if (host->number != 0)
        return;
    status = lease_open(model->lease, ++model->next_number, model->now_ms, bound_ms, &granted_ms);
    if (status == CAIRN_EBUSY) {
        assert_true(bound_ms < model->now_ms + 2);
        return;
    }
    assert_int_equal(status, 0);
    *host = (struct host){.number = model->next_number, .until_ms = lease_end(model, bound_ms)};
    assert_int_equal(granted_ms, lease_host_ms(host->until_ms - model->now_ms));
}

static void event_renew(struct model *model, unsigned h)
{
    const uint64_t bound_ms = some_bound(model);
    struct host *host = &model->hosts[h];

    run_out(model, h);
    assert_int_equal(lease_renew(model->lease, host->number, model->now_ms, bound_ms),
                     is_live(host));
    if (!is_live(host))
        return;
    host->zeros += host->renewing + (unsigned)host->ending;
    host->renewing = !host->ending;
    host->arrival_ms = model->now_ms;
    host->end_ms = lease_end(model, bound_ms);
    host->renew_after = host->count;
}

static void event_listen(struct model *model, unsigned h)
{
    struct host *host = &model->hosts[h];
    const uint64_t answered = host->sent + 1 - below(model, 100) / 45;

    run_out(model, h);
    assert_int_equal(lease_listen(model->lease, host->number, answered, model->now_ms),
                     is_live(host));
    if (!is_live(host))
        return;
    host->listening = true;
    if (host->all_number != 0 && answered == host->all_number)
        finish(model, h);
    else if (host->batch > 0 && answered == host->batch_number)
        answer(model, h, host->batch);
}

static void event_grant(struct model *model, unsigned h)
{
    const uint32_t bucket = below(model, BUCKETS);
    const uint64_t peers_ms = some_bound(model);
    struct host *host = &model->hosts[h];

    run_out(model, h);
    const bool expected = is_live(host) && !host->ending && model->pending[bucket] == 0 &&
                          !is_revoking(model, bucket) && host->until_ms <= peers_ms;

    assert_int_equal(lease_grant(model->lease, host->number, bucket, model->now_ms, peers_ms),
                     expected);
    if (expected) {
        host->holds[bucket] = true;
        model->granted++;
    }
}

static void wait_for(struct model *model, bool all, uint32_t bucket)
{
    struct wait *wait = &model->waits[below(model, WAITERS)];

    if (wait->used || !(all ? lease_is_revoking_any(model->lease) : is_revoking(model, bucket)))
        return;
    wait->used = true;
    for (unsigned h = 0; h < HOSTS; h++) {
        for (uint32_t b = 0; b < BUCKETS; b++)
            wait->open[h][b] =
                is_live(&model->hosts[h]) && in_queue(&model->hosts[h], b) && (all || b == bucket);
    }
    if (all)
        lease_wait_all(model->lease, &wait->waiter);
    else
        lease_wait(model->lease, bucket, &wait->waiter);
}

static void event_write(struct model *model)
{
    const uint32_t bucket = below(model, BUCKETS);

    for (unsigned h = 0; h < HOSTS; h++) {
        struct host *host = &model->hosts[h];

        if (host->holds[bucket])
            run_out(model, h);
        if (is_live(host) && host->holds[bucket])
            host->queue[host->count++] = bucket;
        host->holds[bucket] = false;
    }
    model->pending[bucket]++;
    lease_write_begins(model->lease, bucket, model->now_ms);
    assert_int_equal(lease_is_revoking(model->lease, bucket), is_revoking(model, bucket));
    wait_for(model, false, bucket);
}

static void event_write_ends(struct model *model)
{
    const uint32_t bucket = below(model, BUCKETS);

    while (model->pending[bucket] > 0) {
        model->pending[bucket]--;
        lease_write_ends(model->lease, bucket);
    }
}

static void event_end(struct model *model, unsigned h)
{
    struct host *host = &model->hosts[h];

    if (chance(model, 90)) {
        lease_unlisten(model->lease, host->number);
        host->listening = false;
        return;
    }
    lease_close(model->lease, host->number);
    if (is_live(host))
        finish(model, h);
}

static void event_end_all(struct model *model)
{
    const uint64_t ticket = lease_end_all(model->lease);

    model->tickets[below(model, 4)] = ticket;
    for (unsigned h = 0; h < HOSTS; h++) {
        struct host *host = &model->hosts[h];

        if (!is_live(host) || host->ending)
            continue;
        host->ending = true;
        host->ticket = ticket;
        host->zeros += host->renewing;
        host->renewing = false;
    }
}

static void check_tickets(const struct model *model)
{
    for (unsigned t = 0; t < 4; t++) {
        bool ended = true;

        for (unsigned h = 0; h < HOSTS; h++) {
            const struct host *host = &model->hosts[h];

            ended = ended && !(is_live(host) && host->ending && host->ticket <= model->tickets[t]);
        }
        assert_int_equal(lease_ended(model->lease, model->tickets[t]), ended);
    }
}

static void event_time(struct model *model)
{
    model->now_ms += below(model, 30);
    for (unsigned h = 0; h < HOSTS; h++)
        run_out(model, h);
    lease_tick(model->lease, model->now_ms);
}

static void any_event(struct model *model)
{
    const unsigned h = below(model, HOSTS), what = below(model, 1000);

    model->now_ms += what % 97 == 0;
    if (what < 200)
        event_grant(model, h);
    else if (what < 380)
        event_write(model);
    else if (what < 560)
        event_write_ends(model);
    else if (what < 760)
        event_listen(model, h);
    else if (what < 850)
        event_renew(model, h);
    else if (what < 920)
        event_open(model, h);
    else if (what < 960)
        event_end(model, h);
    else if (what < 970)
        wait_for(model, true, 0);
    else if (what < 998)
        event_time(model);
    else
        event_end_all(model);
}

static void run(uint64_t seed)
{
    const struct lease_options options = {.lease_ms = FIXTURE_LEASE_MS};
    struct model *model = calloc(1, sizeof(*model));

    assert_non_null(model);
    model->now_ms = FIXTURE_START_MS;
    model->lease = lease_create(&options, model->now_ms);
    assert_non_null(model->lease);
    random_seed(&model->random, seed);
    for (unsigned i = 0; i < EVENTS; i++) {
        any_event(model);
        drain(model);
        check_tickets(model);
    }
    assert_true(model->granted > 100 && model->revoked > 100 && model->woken > 100);
    assert_true(model->renewed > 20 && model->ended > 100);
    lease_free(model->lease);
    free(model);
}

static void test_the_core_does_what_a_naive_model_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_core_does_what_a_naive_model_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
