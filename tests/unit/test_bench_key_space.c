/* Numbers of records: each claimed once, and never below the limit before all up to it are
 * acknowledged, by threads and by processes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "bench/shared.h"

enum { FIRST = 100, THREADS = 4, EACH = 100000, OUTSTANDING = 8 };

static struct shared *shared;
static pthread_barrier_t together; /* where the threads begin */
/* By number: acknowledged, or about to be. */
static _Atomic unsigned char told[FIRST + THREADS * EACH];

static int setup(void **state)
{
    (void)state;
    return shared_create(&shared, NULL);
}

static int teardown(void **state)
{
    (void)state;
    shared_free(shared);
    return 0;
}

static void the_limit_waits_for_what_is_not_acknowledged(void **state)
{
    (void)state;
    struct key_space *space = &shared->keys;
    key_space_init(space, FIRST);
    assert_int_equal(key_space_limit(space), FIRST);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(key_space_claim(space), FIRST + i);
    assert_true(key_space_acknowledge(space, FIRST + 2));
    assert_true(key_space_acknowledge(space, FIRST + 1));
    assert_int_equal(key_space_limit(space), FIRST);
    assert_true(key_space_acknowledge(space, FIRST));
    assert_int_equal(key_space_limit(space), FIRST + 3);
}

static void what_is_a_window_ahead_is_refused(void **state)
{
    (void)state;
    struct key_space *space = &shared->keys;
    key_space_init(space, FIRST);
    for (uint64_t i = 1; i < KEY_SPACE_WINDOW; i++)
        assert_true(key_space_acknowledge(space, FIRST + i));
    assert_false(key_space_acknowledge(space, FIRST + KEY_SPACE_WINDOW));
    assert_true(key_space_acknowledge(space, FIRST));
    assert_int_equal(key_space_limit(space), FIRST + KEY_SPACE_WINDOW);
    assert_true(key_space_acknowledge(space, FIRST + KEY_SPACE_WINDOW));
    assert_int_equal(key_space_limit(space), FIRST + KEY_SPACE_WINDOW + 1);
}

/* Holds a few claims, and acknowledges them in any order; all below the limit must be told. */
static void *insert_some(void *seed)
{
    static char refused[] = "refused", missing[] = "below the limit, and not acknowledged once";
    uint64_t held[OUTSTANDING], checked = FIRST;
    struct random random;
    random_seed(&random, *(const uint64_t *)seed);
    pthread_barrier_wait(&together);
    for (int i = 0; i < OUTSTANDING; i++)
        held[i] = key_space_claim(&shared->keys);
    for (int i = 0; i < EACH; i++) {
        uint64_t at = random_below(&random, OUTSTANDING);
        if (i >= EACH - OUTSTANDING)
            at = (uint64_t)(i - (EACH - OUTSTANDING));
        atomic_fetch_add(&told[held[at]], 1);
        if (!key_space_acknowledge(&shared->keys, held[at]))
            return refused;
        if (i < EACH - OUTSTANDING)
            held[at] = key_space_claim(&shared->keys);
        for (uint64_t limit = key_space_limit(&shared->keys); checked < limit; checked++)
            if (atomic_load(&told[checked]) != 1)
                return missing;
    }
    return NULL;
}

static void threads_claim_each_number_once_and_lose_none(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
    key_space_init(&shared->keys, FIRST);
    for (uint64_t i = 0; i < THREADS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, insert_some, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
    assert_int_equal(key_space_limit(&shared->keys), FIRST + THREADS * EACH);
}

static void processes_claim_each_number_once_and_lose_none(void **state)
{
    (void)state;
    pid_t children[THREADS];
    key_space_init(&shared->keys, FIRST);
    for (int i = 0; i < THREADS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        for (int k = 0; children[i] == 0 && k < EACH; k++)
            if (!key_space_acknowledge(&shared->keys, key_space_claim(&shared->keys)))
                _exit(1);
        if (children[i] == 0)
            _exit(0);
    }
    for (int i = 0; i < THREADS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(key_space_limit(&shared->keys), FIRST + THREADS * EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_waits_for_what_is_not_acknowledged),
        cmocka_unit_test(what_is_a_window_ahead_is_refused),
        cmocka_unit_test(threads_claim_each_number_once_and_lose_none),
        cmocka_unit_test(processes_claim_each_number_once_and_lose_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
