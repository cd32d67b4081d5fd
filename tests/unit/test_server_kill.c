/* W5: a store killed at any moment of a checkpoint comes back with every partition's data, sessions
 * and position in agreement.
 *
 * A child applies the model's log to all partitions with checkpoints all the while and is killed by
 * SIGKILL. The parent opens what is left and compares each partition with the model at the index
 * that LMDB names. kill cannot lose what the page cache holds; what a power cut may do to a
 * transaction is LMDB's part, given that every commit is synced. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/store_fixture.h"
#include "tests/unit/store_model.h"

enum { ROUNDS = 12, PARTITIONS = FIXTURE_PARTITIONS };

/* Applies until it is killed; never returns. Exits by itself only on an error. */
static _Noreturn void child_main(const struct store_options *options, uint64_t seed, int ready)
{
    struct store *store;
    struct error error;
    struct model models[PARTITIONS];
    if (store_open(options, &store, &error) != CAIRN_OK)
        _exit(2);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        model_init(&models[i], seed, i);
    for (uint64_t step = 0;; step++) {
        uint32_t partition = (uint32_t)(step % PARTITIONS);
        struct outcome outcome;
        struct entry *entry =
            model_entry(&models[partition], store_applied(store, partition)->index + 1);
        if (entry == NULL || store_apply(store, entry, &outcome) != CAIRN_OK)
            _exit(3);
        entry_free(entry);
        if (step % 7 == 0) {
            store_end_turn(store);
            store_checkpoint_finish(store);
            store_checkpoint_start(store);
        }
        if (step == 100 && write(ready, "r", 1) != 1)
            _exit(4);
    }
}

static void kill_one(struct fixture *fixture, uint64_t seed, struct random *random)
{
    int ready[2], status;
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        child_main(&fixture->options, seed, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    usleep((useconds_t)random_below(random, 60000));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check(struct fixture *fixture, struct model *models, uint64_t *total)
{
    fixture_open(fixture);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct store_position *position = store_applied(fixture->store, i);
        assert_true(position->index >= models[i].index); /* what was synced stays */
        model_advance(&models[i], position->index);
        const char *fault = model_compare(&models[i], fixture->store);
        if (fault != NULL)
            fail_msg("partition %u, index %llu: %s", (unsigned)i,
                     (unsigned long long)position->index, fault);
        *total += position->index;
    }
    store_close(fixture->store);
    fixture->store = NULL;
}

static void a_killed_store_agrees_with_its_positions(void **state)
{
    struct fixture *fixture = *state;
    struct model models[PARTITIONS];
    struct random random;
    uint64_t total = 0;
    const char *text = getenv("CAIRN_TEST_SEED");
    uint64_t seed = text == NULL ? 1 : strtoull(text, NULL, 10);
    random_seed(&random, seed);
    store_close(fixture->store); /* a child must not inherit it */
    fixture->store = NULL;
    fixture->options.map_bytes = 256 << 10;
    fixture->options.transaction_bytes = 128 << 10;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        model_init(&models[i], seed, i);
    for (int round = 0; round < ROUNDS; round++) {
        kill_one(fixture, seed, &random);
        check(fixture, models, &total);
    }
    assert_true(total > 0); /* checkpoints did happen */
    for (uint32_t i = 0; i < PARTITIONS; i++)
        model_free(&models[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_killed_store_agrees_with_its_positions, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
