/* One segment for each user, cluster, boot and name: created once, shared, replaced when it cannot
 * be used, found by the managers' list, removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "client/segment_internal.h"

enum { BYTES = CACHE_BYTES_MIN };

/* Nobody else's: of this process and test. */
static char name[SEGMENT_NAME_LIMIT + 1];
static uint64_t cluster;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(name, sizeof name, "test.%d", (int)getpid());
    cluster = random_id();
    return 0;
}

static bool remove_if_ours(void *context, const struct segment_listing *listing)
{
    (void)context;
    if (strcmp(listing->name, name) == 0)
        (void)segment_unlink(listing->path);
    return true;
}

static int tear_down(void **state)
{
    (void)state;
    segment_list(remove_if_ours, NULL);
    return 0;
}

static struct segment *opened(bool expect_replaced)
{
    struct segment *segment;
    struct error error = {0};
    bool replaced;

    assert_int_equal(segment_open(name, cluster, BYTES, &segment, &replaced, &error), 0);
    assert_int_equal(replaced, expect_replaced);
    assert_non_null(segment);
    return segment;
}

static void fill(struct segment *segment, const char *key, const char *value)
{
    const uint64_t hash = hash_bytes(key, strlen(key));
    struct cache_note note;

    cache_set_session(&segment->cache, 0, 4711, UINT64_MAX);
    (void)cache_note(&segment->cache, hash, 0, 1, &note);
    assert_true(cache_note(&segment->cache, hash, 0, 1, &note));
    assert_true(cache_fill(&segment->cache, &note, (const uint8_t *)key, strlen(key), hash,
                           (const uint8_t *)value, strlen(value), 1, UINT64_MAX));
}

static bool has(struct segment *segment, const char *key, const char *value)
{
    struct cache_copy copy;

    return cache_get(&segment->cache, (const uint8_t *)key, strlen(key),
                     hash_bytes(key, strlen(key)), &copy) &&
           strcmp((const char *)copy.value, value) == 0;
}

static void what_one_fills_another_reads(void **state)
{
    struct segment *one = opened(false), *two = opened(false);

    (void)state;
    assert_string_equal(one->path, two->path);
    assert_int_equal(segment_reserve_entries(one), 0);
    assert_int_equal(segment_reserve_entries(two), 0);
    cache_open_entries(&one->cache);
    fill(one, "key", "value");
    assert_true(has(two, "key", "value"));
    assert_true(cache_cluster(&two->cache) == cluster);
    assert_true(segment_is_current(one) && segment_is_current(two));
    segment_close(one);
    segment_close(two);
    two = opened(false);
    assert_true(has(two, "key", "value"));
    segment_close(two);
}

static void names_and_sizes_are_checked(void **state)
{
    struct segment *segment;
    struct error error = {0};
    bool replaced;

    (void)state;
    assert_int_equal(segment_open("a/b", cluster, BYTES, &segment, &replaced, &error),
                     CAIRN_EINVAL);
    assert_int_equal(segment_open("a23456789012345678901234567890123", cluster, BYTES, &segment,
                                  &replaced, &error),
                     CAIRN_EINVAL);
    assert_int_equal(segment_open(name, cluster, BYTES - 1, &segment, &replaced, &error),
                     CAIRN_EINVAL);
    assert_int_equal(segment_open(name, 0, BYTES, &segment, &replaced, &error), CAIRN_EINVAL);
    assert_null(segment);
    assert_int_not_equal(error.message[0], 0);
}

static void mode_is_for_the_owner_alone(void **state)
{
    struct segment *segment = opened(false);
    struct stat status;

    (void)state;
    assert_int_equal(fstat(segment->descriptor, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_nlink, 1);
    assert_true(fcntl(segment->descriptor, F_GETFD) & FD_CLOEXEC);
    segment_close(segment);
}

/* --- unusable ones ------------------------------------------------------------------------------
 */

static void damage_size(struct segment *segment)
{
    assert_int_equal(ftruncate(segment->descriptor, BYTES / 2), 0);
}

static void damage_size_to_nothing(struct segment *segment)
{
    assert_int_equal(ftruncate(segment->descriptor, 0), 0);
}

static void damage_growth(struct segment *segment)
{
    assert_int_equal(ftruncate(segment->descriptor, 2 * BYTES), 0);
}

static void damage_growth_of_a_page(struct segment *segment)
{
    assert_int_equal(ftruncate(segment->descriptor, BYTES + 4096), 0);
}

static void damage_mode(struct segment *segment)
{
    assert_int_equal(fchmod(segment->descriptor, 0644), 0);
}

static void damage_magic(struct segment *segment)
{
    segment->cache.header->magic = 0; /* as if its creator had died before the end */
}

static void damage_version(struct segment *segment)
{
    segment->cache.header->version += (uint64_t)1 << 32;
}

static void damage_checksum(struct segment *segment)
{
    segment->cache.header->seed ^= 1;
}

static void damage_cluster(struct segment *segment)
{
    const uint64_t boot = segment->cache.header->boot, owner = segment->cache.header->owner;

    segment->cache.header->magic = 0;
    assert_int_equal(cache_format(segment->memory, BYTES, cluster + 1, owner, boot), 0);
}

static void damage_boot(struct segment *segment)
{
    const uint64_t boot = segment->cache.header->boot, owner = segment->cache.header->owner;

    assert_int_equal(cache_format(segment->memory, BYTES, cluster, owner, boot + 1), 0);
}

static void damage_owner(struct segment *segment)
{
    const uint64_t boot = segment->cache.header->boot, owner = segment->cache.header->owner;

    assert_int_equal(cache_format(segment->memory, BYTES, cluster, owner + 1, boot), 0);
}

static void one_that_cannot_be_used_is_replaced(void **state)
{
    static void (*const damages[])(struct segment * segment) = {
        damage_size,  damage_size_to_nothing, damage_growth,   damage_growth_of_a_page, damage_mode,
        damage_magic, damage_version,         damage_checksum, damage_cluster,          damage_boot,
        damage_owner,
    };

    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct segment *old = opened(false), *new;

        damages[i](old);
        new = opened(true);
        assert_false(segment_is_current(old));
        assert_true(segment_is_current(new));
        segment_close(old);
        old = opened(false);
        assert_true(segment_is_current(old));
        segment_close(old);
        segment_close(new);
        assert_int_equal(tear_down(NULL), 0);
    }
}

static void one_that_was_unlinked_is_not_current(void **state)
{
    struct segment *old = opened(false), *new;

    (void)state;
    assert_int_equal(segment_unlink(old->path), 0);
    assert_int_equal(segment_unlink(old->path), CAIRN_ENOTFOUND);
    assert_false(segment_is_current(old));
    new = opened(false);
    assert_false(segment_is_current(old));
    assert_true(segment_is_current(new));
    cache_invalidate(&old->cache, 1); /* memory stays until it is given back */
    segment_close(old);
    segment_close(new);
}

static void another_users_is_an_error(void **state)
{
    struct segment *segment;
    struct error error = {0};
    bool replaced;

    (void)state;
    if (geteuid() != 0)
        return; /* nobody else can make such a file */
    segment = opened(false);
    assert_int_equal(fchown(segment->descriptor, 12345, 12345), 0);
    segment_close(segment);
    assert_int_equal(segment_open(name, cluster, BYTES, &segment, &replaced, &error), CAIRN_EIO);
    assert_null(segment);
    assert_false(replaced);
}

/* --- creators ----------------------------------------------------------------------------------
 */

enum { CREATORS = 16, ROUNDS = 20 };

/* Each child opens, and all must have opened the same; `start` lets them go at once. */
static int create_and_tell(int start, int answers)
{
    struct segment *segment;
    struct stat status;
    bool replaced;
    char byte;

    if (read(start, &byte, 1) != 0 ||
        segment_open(name, cluster, BYTES, &segment, &replaced, NULL) != 0 ||
        fstat(segment->descriptor, &status) != 0 || !cache_is_sound(&segment->cache))
        return 1;
    segment_close(segment);
    return write(answers, &status.st_ino, sizeof status.st_ino) == sizeof status.st_ino ? 0 : 1;
}

static void race(bool broken)
{
    int start[2], answers[2];
    pid_t children[CREATORS];
    ino_t first = 0, inode;

    assert_int_equal(pipe(start), 0);
    assert_int_equal(pipe(answers), 0);
    if (broken) {
        struct segment *segment = opened(false);

        damage_magic(segment);
        segment_close(segment);
    }
    for (int i = 0; i < CREATORS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            (void)close(start[1]);
            _exit(create_and_tell(start[0], answers[1]));
        }
    }
    (void)close(start[1]);
    for (int i = 0; i < CREATORS; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
        assert_int_equal(read(answers[0], &inode, sizeof inode), sizeof inode);
        if (i == 0)
            first = inode;
        assert_true(inode == first);
    }
    (void)close(start[0]);
    (void)close(answers[0]);
    (void)close(answers[1]);
    assert_int_equal(tear_down(NULL), 0);
}

static void a_size_is_chosen_for_who_names_none(void **state)
{
    struct segment *segment;
    bool replaced;

    (void)state;
    assert_int_equal(segment_open(name, cluster, 0, &segment, &replaced, NULL), 0);
    assert_in_range(segment->bytes, CACHE_BYTES_MIN, CACHE_BYTES_DEFAULT);
    segment_close(segment);
}

static void of_many_creators_one_wins(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++)
        race(round % 2 == 1);
}

static unsigned new_files(void)
{
    struct segment_place place;
    char command[SEGMENT_PATH_MAX];
    unsigned count = 0;

    /* Those of this process's place under "new" with the number that the test gave. */
    assert_int_equal(segment_place_find(&place), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        const int descriptor = (segment_path_new(&place, cluster + i, command),
                                shm_open(command, O_RDWR | O_CLOEXEC, 0));

        if (descriptor >= 0) {
            count++;
            (void)close(descriptor);
        }
    }
    return count;
}

static void what_dead_creators_left_is_removed(void **state)
{
    struct segment_place place;
    char dead[SEGMENT_PATH_MAX], live[SEGMENT_PATH_MAX], old[SEGMENT_PATH_MAX];
    struct segment *segment = opened(false);
    int descriptor, other;

    (void)state;
    assert_int_equal(segment_place_find(&place), 0);
    segment_path_new(&place, cluster + 1, dead);
    segment_path_new(&place, cluster + 2, live);
    descriptor = shm_open(dead, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
    descriptor = shm_open(live, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(flock(descriptor, LOCK_EX), 0);
    place.boot ^= (uint64_t)1 << 40;
    segment_path(&place, cluster, name, old);
    other = shm_open(old, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(other >= 0);
    (void)close(other);
    assert_int_equal(new_files(), 2);
    assert_true(segment_unlink_stale() >= 2);
    assert_int_equal(new_files(), 1);
    assert_int_equal(shm_open(old, O_RDWR | O_CLOEXEC, 0), -1);
    assert_true(segment_is_current(segment));
    (void)close(descriptor);
    assert_true(segment_unlink_stale() >= 1);
    assert_int_equal(new_files(), 0);
    segment_close(segment);
}

static void another_time_namespace_is_left_alone(void **state)
{
    struct segment_place place;
    struct segment_listing listing;
    char path[SEGMENT_PATH_MAX];

    (void)state;
    assert_int_equal(segment_place_find(&place), 0);
    segment_path(&place, cluster, "x-y", path);
    assert_int_equal(segment_path_parse(&place, path, &listing), SEGMENT_CURRENT);
    assert_true(listing.cluster == cluster);
    assert_string_equal(listing.name, "x-y");
    place.boot ^= 1;
    assert_int_equal(segment_path_parse(&place, path, &listing), SEGMENT_FOREIGN);
    place.boot ^= (uint64_t)1 << 32;
    assert_int_equal(segment_path_parse(&place, path, &listing), SEGMENT_OUTDATED);
    place.owner++;
    assert_int_equal(segment_path_parse(&place, path, &listing), SEGMENT_FOREIGN);
    assert_int_equal(segment_path_parse(&place, "/cairn-", &listing), SEGMENT_FOREIGN);
    assert_int_equal(segment_unlink("/other"), CAIRN_ENOTFOUND);
}

/* --- found by its managers
 * ------------------------------------------------------------------------
 */

static void it_is_found_by_the_managers_last_used(void **state)
{
    const uint64_t managers = random_id();
    struct segment *one = opened(false), *two, *found;

    (void)state;
    assert_int_equal(segment_find(name, managers, &found), CAIRN_ENOTFOUND);
    assert_null(found);
    cache_note_managers(&one->cache, managers, 100);
    cluster++;
    two = opened(false);
    assert_int_equal(segment_find(name, managers, &found), 0);
    assert_string_equal(found->path, one->path);
    segment_close(found);
    cache_note_managers(&two->cache, managers, 101);
    assert_int_equal(segment_find(name, managers, &found), 0);
    assert_string_equal(found->path, two->path);
    segment_close(found);
    cache_note_managers(&one->cache, managers, 102);
    assert_int_equal(segment_find(name, managers, &found), 0);
    assert_string_equal(found->path, one->path);
    segment_close(found);
    assert_int_equal(segment_find("other", managers, &found), CAIRN_ENOTFOUND);
    cache_forget_managers(&one->cache, managers);
    damage_magic(two);
    assert_int_equal(segment_find(name, managers, &found), CAIRN_ENOTFOUND);
    segment_close(one);
    segment_close(two);
}

/* --- locks --------------------------------------------------------------------------------------
 */

static void the_agent_is_one(void **state)
{
    struct segment *one = opened(false), *two = opened(false);

    (void)state;
    assert_false(segment_has_agent(one));
    assert_true(segment_try_lock_agent(one));
    assert_false(segment_try_lock_agent(one));
    assert_false(segment_try_lock_agent(two));
    assert_true(segment_has_agent(one) && segment_has_agent(two));
    segment_unlock_agent(two); /* has none */
    assert_true(segment_has_agent(two));
    segment_unlock_agent(one);
    assert_false(segment_has_agent(one) || segment_has_agent(two));
    assert_true(segment_try_lock_agent(two));
    segment_unlock_agent(two);
    segment_close(one);
    segment_close(two);
}

static void a_stripe_has_one_holder(void **state)
{
    struct segment *one = opened(false), *two = opened(false);

    (void)state;
    assert_true(one->cache.locks.try_lock(one, 3));
    assert_false(one->cache.locks.try_lock(one, 4)); /* threads: one writer in a process */
    assert_false(two->cache.locks.try_lock(two, 3));
    assert_true(two->cache.locks.try_lock(two, 4));
    two->cache.locks.unlock(two, 4);
    one->cache.locks.unlock(one, 3);
    assert_true(two->cache.locks.try_lock(two, 3));
    two->cache.locks.unlock(two, 3);
    segment_close(one);
    segment_close(two);
}

static void locks_end_with_their_process(void **state)
{
    struct segment *segment = opened(false);
    int status, ready[2];
    char byte;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct segment *own;
        bool replaced;

        segment_abandon(segment);
        if (segment_open(name, cluster, BYTES, &own, &replaced, NULL) != 0 ||
            !segment_try_lock_agent(own) || !own->cache.locks.try_lock(own, 7) ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        (void)alarm(60); /* if the test fails before it kills */
        (void)pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(segment_has_agent(segment));
    assert_false(segment_try_lock_agent(segment));
    assert_false(segment->cache.locks.try_lock(segment, 7));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_true(segment_try_lock_agent(segment));
    assert_true(segment->cache.locks.try_lock(segment, 7));
    segment->cache.locks.unlock(segment, 7);
    segment_unlock_agent(segment);
    segment_close(segment);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* The parent's lock is on the open file description, which the child shares until it gives it back.
 */
static void a_forked_child_keeps_no_lock(void **state)
{
    struct segment *segment = opened(false), *other = opened(false);
    int status, go[2];
    pid_t child;
    char byte;

    (void)state;
    assert_int_equal(pipe(go), 0);
    assert_true(segment_try_lock_agent(segment));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(go[1]);
        segment_abandon(segment);
        segment_abandon(other);
        _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
    }
    /* As if the parent died: its description goes, and with it the lock, though the child lives. */
    segment->agent = false;
    segment_abandon(segment);
    for (int i = 0; i < 2000 && segment_has_agent(other); i++)
        clock_sleep_ms(1); /* the child gives it back when it gets to run */
    assert_true(segment_try_lock_agent(other));
    segment_unlock_agent(other);
    (void)close(go[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(go[0]);
    (void)munmap(segment->memory, segment->bytes);
    free(segment);
    segment_close(other);
}

/* --- memory -------------------------------------------------------------------------------------
 */

static uint64_t memory_of(const struct segment *segment)
{
    struct stat status;

    assert_int_equal(fstat(segment->descriptor, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

static void memory_is_taken_before_it_is_touched(void **state)
{
    struct segment *segment = opened(false);
    const struct cache_geometry *geometry = &segment->cache.geometry;

    (void)state;
    assert_true(memory_of(segment) >= geometry->map);
    assert_true(memory_of(segment) < BYTES / 2);
    assert_int_equal(segment_reserve_map(segment, 10000), 0);
    assert_true(memory_of(segment) >= geometry->map + 10000);
    assert_int_equal(segment_reserve_map(segment, geometry->map_limit + 1), CAIRN_ENOSPC);
    assert_int_equal(segment_reserve_entries(segment), 0);
    assert_true(memory_of(segment) >= geometry->map + BYTES - geometry->entries);
    assert_int_equal(segment_reserve_entries(segment), 0);
    segment_close(segment);
}

/* The kernel ends who makes a file larger than RLIMIT_FSIZE. Exit codes: 0 as it shall be. */
static _Noreturn void open_with_small_files(void)
{
    const struct rlimit limit = {BYTES / 2, BYTES / 2};
    struct segment *segment;
    struct error error = {0};
    bool replaced;

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(1);
    _exit(segment_open(name, cluster, BYTES, &segment, &replaced, &error) == CAIRN_ENOSPC ? 0 : 2);
}

static void a_limit_of_files_is_an_error_and_no_signal(void **state)
{
    struct segment *segment;
    int status = 0;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0)
        open_with_small_files();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    segment = opened(false);
    segment_close(segment);
}

struct seen {
    unsigned count;
    uint64_t bytes;
};

static bool see(void *context, const struct segment_listing *listing)
{
    struct seen *seen = context;

    if (strcmp(listing->name, name) == 0 && listing->cluster == cluster) {
        seen->count++;
        seen->bytes = listing->bytes;
    }
    return true;
}

static void broken_ones_are_listed_too(void **state)
{
    struct segment *segment = opened(false);
    struct seen seen = {0};

    (void)state;
    segment_list(see, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.bytes, BYTES);
    damage_magic(segment);
    segment_list(see, &seen);
    assert_int_equal(seen.count, 2);
    segment_close(segment);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_one_fills_another_reads),
        TEST(names_and_sizes_are_checked),
        TEST(mode_is_for_the_owner_alone),
        TEST(one_that_cannot_be_used_is_replaced),
        TEST(one_that_was_unlinked_is_not_current),
        TEST(another_users_is_an_error),
        TEST(a_size_is_chosen_for_who_names_none),
        TEST(of_many_creators_one_wins),
        TEST(what_dead_creators_left_is_removed),
        TEST(another_time_namespace_is_left_alone),
        TEST(it_is_found_by_the_managers_last_used),
        TEST(the_agent_is_one),
        TEST(a_stripe_has_one_holder),
        TEST(locks_end_with_their_process),
        TEST(a_forked_child_keeps_no_lock),
        TEST(memory_is_taken_before_it_is_touched),
        TEST(a_limit_of_files_is_an_error_and_no_signal),
        TEST(broken_ones_are_listed_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
