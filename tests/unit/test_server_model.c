/* The store does what a simple model does, through freezes, checkpoints, clean and unclean stops.
 *
 * A stop that loses the memtables is followed by what recovery does: the log is applied again from
 * where LMDB is, and every outcome must come out as the first time. */
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_model.h"

struct run {
    struct fixture fixture;
    struct model models[FIXTURE_PARTITIONS];
    struct random random;
    uint64_t seed;
};

static void must(struct run *run, const char *fault, uint32_t partition)
{
    if (fault != NULL)
        fail_msg("seed %llu, partition %u, index %llu: %s", (unsigned long long)run->seed,
                 (unsigned)partition, (unsigned long long)run->models[partition].index, fault);
}

static void apply_next(struct run *run, uint32_t partition)
{
    struct model *model = &run->models[partition];
    struct outcome expected, outcome;
    struct entry *entry = model_entry(model, model->index + 1);
    assert_non_null(entry);
    bool begun = random_below(&run->random, 2) == 0;
    if (begun)
        assert_int_equal(store_session_begin(run->fixture.store, entry), CAIRN_OK);
    model_apply(model, entry, &expected);
    assert_int_equal(store_apply(run->fixture.store, entry, &outcome), CAIRN_OK);
    if (!same_outcome(&expected, &outcome))
        must(run, "an outcome differs", partition);
    entry_free(entry);
}

/* Applies the log again from where LMDB is, with a model that started there, up to where the run
 * was. */
static void recover(struct run *run)
{
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++) {
        uint64_t index = run->models[i].index;
        model_free(&run->models[i]);
        model_init(&run->models[i], run->seed, i);
        model_advance(&run->models[i], store_applied(run->fixture.store, i)->index);
        must(run, model_compare(&run->models[i], run->fixture.store), i);
        while (run->models[i].index < index)
            apply_next(run, i);
    }
}

static void compare_all(struct run *run)
{
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++)
        must(run, model_compare(&run->models[i], run->fixture.store), i);
}

static void disturb(struct run *run)
{
    struct store *store = run->fixture.store;
    switch (random_below(&run->random, 12)) {
    case 0:
        store_close(store);
        fixture_open(&run->fixture);
        recover(run);
        break;
    case 1:
        fixture_reopen(&run->fixture);
        break;
    case 2:
        store_checkpoint_now(store);
        break;
    case 3:
    case 4:
    case 5:
        store_end_turn(store);
        store_checkpoint_start(store);
        break;
    case 6:
    case 7:
    case 8:
        store_checkpoint_finish(store);
        break;
    default:
        compare_all(run);
    }
}

static void run_seed(uint64_t seed, uint32_t steps)
{
    static struct run run;
    memset(&run, 0, sizeof(run));
    run.seed = seed;
    random_seed(&run.random, seed);
    fixture_init(&run.fixture);
    /* Small limits, so that maps grow and checkpoints take several commits. */
    run.fixture.options.map_bytes = 128 << 10;
    run.fixture.options.transaction_bytes = (uint64_t)(64 << 10) << random_below(&run.random, 6);
    fixture_open(&run.fixture);
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++)
        model_init(&run.models[i], seed, i);
    for (uint32_t step = 0; step < steps; step++) {
        apply_next(&run, (uint32_t)random_below(&run.random, FIXTURE_PARTITIONS));
        if (random_below(&run.random, 8) == 0)
            store_end_turn(run.fixture.store);
        if (random_below(&run.random, 40) == 0)
            disturb(&run);
    }
    compare_all(&run);
    fixture_reopen(&run.fixture);
    compare_all(&run);
    fixture_end(&run.fixture);
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++)
        model_free(&run.models[i]);
}

/* CAIRN_TEST_SEED=n runs that seed alone, CAIRN_TEST_RUNS=n other numbers of runs. */
static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void random_logs_agree_with_the_model(void **state)
{
    (void)state;
    uint64_t first = number_from("CAIRN_TEST_SEED", 1), runs = number_from("CAIRN_TEST_RUNS", 8);
    if (getenv("CAIRN_TEST_SEED") != NULL)
        runs = 1;
    for (uint64_t seed = first; seed < first + runs; seed++)
        run_seed(seed, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_logs_agree_with_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
