/* W4: a new store appears whole; an interrupted first start leaves nothing that matters. */
#include <fcntl.h>
#include <sys/stat.h>

#include "server/store_lmdb.h"
#include "tests/unit/store_fixture.h"

static const char *path_of(const struct fixture *fixture, const char *name)
{
    static char path[SCRATCH_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    return path;
}

static bool is_there(const struct fixture *fixture, const char *name)
{
    struct stat status;
    return stat(path_of(fixture, name), &status) == 0;
}

static void put_garbage(const struct fixture *fixture, const char *name)
{
    int fd = open(path_of(fixture, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "torn", 4), 4);
    assert_int_equal(close(fd), 0);
}

/* Leaves the store closed. */
static void put_key(struct fixture *fixture)
{
    put(fixture, "key", "value");
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    fixture->store = NULL;
}

static void assert_has_key(struct fixture *fixture)
{
    fixture_open(fixture);
    assert_string_equal(get_text(fixture, "key"), "value");
}

static int closed_setup(void **state)
{
    static struct fixture fixture;
    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int closed_teardown(void **state)
{
    fixture_end(*state);
    return 0;
}

static void test_a_new_store_leaves_nothing_but_itself(void **state)
{
    struct fixture *fixture = *state;
    fixture_open(fixture);
    assert_true(is_there(fixture, "data.mdb"));
    assert_false(is_there(fixture, "new"));
}

static void test_what_was_never_renamed_is_made_anew(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(path_of(fixture, "new"), 0700), 0);
    put_garbage(fixture, "new/data.mdb");
    put_garbage(fixture, "new/lock.mdb");
    fixture_open(fixture);
    assert_false(is_there(fixture, "new"));
    put_key(fixture);
    assert_has_key(fixture);
}

/* A power loss may leave both names of one file. */
static void test_a_store_with_its_old_name_too_keeps_its_data(void **state)
{
    struct fixture *fixture = *state;
    char old[SCRATCH_PATH_MAX + 64];
    fixture_open(fixture);
    put_key(fixture);
    assert_int_equal(mkdir(path_of(fixture, "new"), 0700), 0);
    snprintf(old, sizeof old, "%s", path_of(fixture, "new/data.mdb"));
    assert_int_equal(link(path_of(fixture, "data.mdb"), old), 0);
    assert_has_key(fixture);
    assert_false(is_there(fixture, "new"));
}

/* Before, LMDB made its file in its place. */
static void test_a_store_made_in_its_place_opens(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct lmdb *lmdb;
    assert_int_equal(lmdb_open(fixture->directory, 64 << 20, &lmdb, &error), CAIRN_OK);
    lmdb_close(lmdb);
    fixture_open(fixture);
    put_key(fixture);
    assert_has_key(fixture);
}

/* It was none of ours before, so it is none now. */
static void test_what_others_put_there_does_not_matter_to_a_store(void **state)
{
    struct fixture *fixture = *state;
    fixture_open(fixture);
    put_key(fixture);
    assert_int_equal(mkdir(path_of(fixture, "new"), 0700), 0);
    put_garbage(fixture, "new/notes");
    assert_has_key(fixture);
    assert_true(is_there(fixture, "new/notes"));
}

static void test_a_new_store_that_cannot_be_made_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    assert_int_equal(mkdir(path_of(fixture, "new"), 0700), 0);
    put_garbage(fixture, "new/notes");
    assert_int_equal(store_open(&fixture->options, &fixture->store, &error), CAIRN_EIO);
    assert_non_null(strstr(error.message, "/new: cannot remove"));
    assert_false(is_there(fixture, "data.mdb"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, closed_setup, closed_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_store_leaves_nothing_but_itself),
        TEST(test_what_was_never_renamed_is_made_anew),
        TEST(test_a_store_with_its_old_name_too_keeps_its_data),
        TEST(test_a_store_made_in_its_place_opens),
        TEST(test_what_others_put_there_does_not_matter_to_a_store),
        TEST(test_a_new_store_that_cannot_be_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
