/* W1, W3, W4: the power fails at every I/O call of a scripted run, and in recoveries after it, with
 * the unsynced writes lost, kept, torn and reordered by many seeds. Whatever was reported durable
 * is visited again, with the bytes that were written last; what is visited is durable. */
#include "wal_fixture.h"

enum { SEEDS_PER_CALL = 2, CHAINS = 100, LIVES = 12 };

/* CAIRN_TEST_EFFORT multiplies the seeds, for long runs. */
static uint64_t effort(void)
{
    const char *text = getenv("CAIRN_TEST_EFFORT");
    uint64_t factor = text ? strtoull(text, NULL, 10) : 1;
    return factor > 0 ? factor : 1;
}

/* A run that rolls, splits batches, cuts, recycles and marks. Ends at a crash through `escape`. */
static void scripted_run(struct fixture *f, uint64_t seed, unsigned steps)
{
    struct random random;
    random_seed(&random, seed);
    for (unsigned i = 0; i < steps; i++) {
        uint64_t records = 1 + random_below(&random, 4);
        uint32_t limit = random_below(&random, 5) == 0 ? 14000 : 600;
        for (uint64_t r = 0; r < records; r++)
            fixture_append(f, (uint32_t)random_below(&random, limit));
        wal_submit(f->wal);
        f->durable = wal_complete(f->wal);
        if (random_below(&random, 6) == 0)
            wal_mark(f->wal);
        if (random_below(&random, 10) == 0) {
            uint64_t lsn = f->durable - random_below(&random, f->durable < 20 ? 1 : 20);
            f->cut = lsn > f->cut ? lsn : f->cut; /* before the call: it may not come back */
            wal_cut(f->wal, f->cut);
        }
    }
}

/* Opens and runs; true if it came to its end without a crash. */
static bool live(struct fixture *f, uint64_t seed, unsigned steps)
{
    if (setjmp(f->escape) != 0) {
        f->durable = wal_durable_lsn(f->wal);
        fixture_abandon(f);
        return false;
    }
    int rc = fixture_open(f);
    if (rc != 0) {
        assert_int_equal(rc, CAIRN_EIO); /* never taken for damage */
        assert_true(memory_disk_crashed(f->disk));
        return false;
    }
    const char *verdict = fixture_verdict(f);
    if (verdict)
        fail_msg("visited %llu to %llu, durable %llu, cut %llu: %s", (unsigned long long)f->first,
                 (unsigned long long)f->last, (unsigned long long)f->durable,
                 (unsigned long long)f->cut, verdict);
    f->finished = f->durable = wal_last_lsn(f->wal);
    scripted_run(f, seed, steps);
    fixture_close(f);
    return true;
}

/* Comes back after a crash; twice, since what a recovery showed must outlive the next failure. */
static void come_back(struct fixture *f, uint64_t seed)
{
    for (int i = 0; i < 2; i++) {
        memory_disk_restart(f->disk, seed + (uint64_t)i);
        fixture_reopen(f);
        fixture_abandon(f);
    }
}

static void test_a_crash_at_every_call_loses_nothing_durable(void **state)
{
    (void)state;
    enum { SEED = 7, STEPS = 100 };
    static struct fixture f;
    for (uint64_t call = 1;; call++) {
        bool ended = false;
        for (uint64_t seed = 0; seed < SEEDS_PER_CALL * effort() && !ended; seed++) {
            struct memory_disk *disk = memory_disk_create();
            fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
            memory_disk_crash_at(disk, call);
            ended = live(&f, SEED, STEPS);
            come_back(&f, call * 1000 + seed);
            memory_disk_free(disk);
        }
        if (ended) {
            assert_true(call > 200); /* the run was no empty one */
            return;
        }
    }
}

/* A log whose last batch is not marked, and one more that is lost half way. */
static void write_and_crash(struct fixture *f, uint64_t scenario)
{
    fixture_reopen(f);
    scripted_run(f, scenario, 40);
    fixture_append(f, 3000);
    fixture_flush(f);
    memory_disk_crash_at(f->disk, 1);
    fixture_append(f, 3000);
    if (setjmp(f->escape) == 0)
        wal_submit(f->wal);
    fixture_abandon(f);
}

/* A recovery that rewrites records is itself interrupted at each of its calls. */
static void test_a_crash_at_every_call_of_a_recovery_loses_nothing(void **state)
{
    (void)state;
    static struct fixture f;
    for (uint64_t scenario = 0; scenario < 3; scenario++) {
        bool ended = false;
        for (uint64_t call = 1; !ended; call++) {
            for (uint64_t seed = 0; seed < SEEDS_PER_CALL * effort() && !ended; seed++) {
                struct memory_disk *disk = memory_disk_create();
                fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
                write_and_crash(&f, scenario);
                memory_disk_restart(disk, seed);
                memory_disk_crash_at(disk, call);
                ended = live(&f, 0, 0);
                come_back(&f, call * 1000 + seed);
                memory_disk_free(disk);
            }
        }
    }
}

/* Life after life on one disk, each ended somewhere: LSNs are used again, files recycled. */
static void run_chains(enum wal_backend backend, uint64_t chains)
{
    static struct fixture f;
    for (uint64_t chain = 0; chain < chains; chain++) {
        struct random random;
        random_seed(&random, chain);
        struct memory_disk *disk = memory_disk_create();
        fixture_init(&f, disk, "/log", backend);
        f.options.spare_segments = 1 + (uint32_t)random_below(&random, 3);
        for (int i = 0; i < LIVES; i++) {
            memory_disk_crash_at(disk, 1 + random_below(&random, 150));
            live(&f, random_next(&random), 40);
            memory_disk_restart(disk, random_next(&random));
        }
        come_back(&f, chain);
        memory_disk_free(disk);
    }
}

static void test_chains_of_crashes_lose_nothing_durable(void **state)
{
    (void)state;
    run_chains(WAL_BACKEND_INLINE, CHAINS * effort());
}

/* The failure may now strike the writer or the keeper while the others are at work. */
static void test_chains_of_crashes_with_threads_lose_nothing_durable(void **state)
{
    (void)state;
    run_chains(WAL_BACKEND_THREAD, CHAINS / 4 * effort());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_at_every_call_loses_nothing_durable),
        cmocka_unit_test(test_a_crash_at_every_call_of_a_recovery_loses_nothing),
        cmocka_unit_test(test_chains_of_crashes_lose_nothing_durable),
        cmocka_unit_test(test_chains_of_crashes_with_threads_lose_nothing_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
