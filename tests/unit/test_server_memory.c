/* Out of memory at any moment of an apply changes nothing; opening and freezing fail cleanly.
 *
 * The Nth allocation of this thread fails, for N = 1, 2, ... until none does. The program's own
 * malloc replaces the C library's, which sanitizers do themselves: under them nothing fails, and
 * what remains is a run of the same steps. */
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_model.h"

static _Thread_local uint64_t allocations_left; /* 0: none fails */
static _Thread_local bool failed;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_FAIL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAN_FAIL 0
#endif
#endif
#ifndef CAN_FAIL
#define CAN_FAIL 1
#endif

#if CAN_FAIL
/* glibc's own functions behind malloc and calloc. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);

static bool fails(void)
{
    if (allocations_left == 0 || --allocations_left > 0)
        return false;
    failed = true;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}
#endif

static void fail_after(uint64_t count)
{
    allocations_left = count;
    failed = false;
}

static void must(const char *fault, uint64_t index)
{
    if (fault != NULL)
        fail_msg("index %llu: %s", (unsigned long long)index, fault);
}

/* Applies the model's next entry, with every one of its allocations failing once before. */
static uint64_t apply_next(struct store *store, struct model *model)
{
    struct outcome expected, outcome;
    struct entry *entry = model_entry(model, model->index + 1);
    uint64_t failures = 0;
    assert_non_null(entry);
    for (uint64_t count = 1;; count++) {
        struct item *item = entry->item;
        fail_after(count);
        int code = store_apply(store, entry, &outcome);
        fail_after(0);
        if (code == CAIRN_OK)
            break;
        assert_int_equal(code, CAIRN_ENOMEM);
        assert_ptr_equal(entry->item, item); /* still the caller's */
        must(model_compare(model, store), entry->index);
        failures++;
    }
    entry_free(entry); /* the store took its item */
    entry = model_entry(model, model->index + 1);
    model_apply(model, entry, &expected);
    if (!same_outcome(&expected, &outcome))
        must("an outcome differs", entry->index);
    entry_free(entry);
    return failures;
}

static void an_apply_without_memory_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct model model;
    uint64_t failures = 0;
    model_init(&model, 3, 0);
    for (int i = 0; i < 600; i++) {
        failures += apply_next(fixture->store, &model);
        if (i % 100 == 99)
            store_checkpoint_now(fixture->store);
    }
    must(model_compare(&model, fixture->store), model.index);
    assert_true(!CAN_FAIL || failures > 50);
    model_free(&model);
}

static void a_freeze_without_memory_waits_for_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct entry *entry = text_entry(fixture, COMMAND_SWAP, "k", "v");
    entry->client = 7;
    entry->number = 1;
    fixture_apply(fixture, entry);
    uint64_t bytes = store_live_bytes(fixture->store);
    for (uint64_t count = 1;; count++) {
        fail_after(count);
        bool started = store_checkpoint_start(fixture->store);
        fail_after(0);
        if (started)
            break;
        assert_true(count < 100);
        assert_false(store_checkpoint_running(fixture->store));
        assert_int_equal(store_live_bytes(fixture->store), bytes);
        assert_string_equal(get_text(fixture, "k"), "v");
    }
    fixture_reopen(fixture);
    assert_string_equal(get_text(fixture, "k"), "v");
    assert_int_equal(store_session_count(fixture->store, 0), 1);
}

static void an_opening_without_memory_fails_cleanly(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "k", "v");
    struct entry *entry = text_entry(fixture, COMMAND_SWAP, "k", "w");
    entry->client = 7;
    entry->number = 1;
    fixture_apply(fixture, entry);
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    for (uint64_t count = 1;; count++) {
        struct error error = {0};
        fail_after(count);
        int code = store_open(&fixture->options, &fixture->store, &error);
        bool reached = failed;
        fail_after(0);
        if (code == CAIRN_OK && !reached)
            break;
        assert_true(count < 1000);
        if (code == CAIRN_OK) { /* something could do without */
            store_close(fixture->store);
            continue;
        }
        assert_null(fixture->store);
        assert_true(error.message[0] != '\0');
    }
    assert_string_equal(get_text(fixture, "k"), "w");
}

static void a_scan_without_memory_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct model model;
    const uint32_t partition = 0;
    struct store_scan bounds = {.partitions = &partition, .partition_count = 1};
    struct model_scan scan = {.model = &model};
    model_init(&model, 4, 0);
    for (int i = 0; i < 100; i++)
        apply_next(fixture->store, &model);
    store_checkpoint_now(fixture->store);
    for (uint64_t count = 1;; count++) {
        fail_after(count);
        scan = (struct model_scan){.model = &model};
        int code = store_scan(fixture->store, &bounds, model_scan_visit, &scan);
        fail_after(0);
        if (code == CAIRN_OK)
            break;
        assert_int_equal(code, CAIRN_ENOMEM);
        assert_true(count < 100);
    }
    must(scan.fault, model.index);
    model_free(&model);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_apply_without_memory_changes_nothing),
        T(a_freeze_without_memory_waits_for_the_next),
        T(an_opening_without_memory_fails_cleanly),
        T(a_scan_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
