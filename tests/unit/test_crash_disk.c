/* What a power loss may leave is what tests/crash/disk.h says: what was synced is there, what was
 * not may be lost, kept, torn; a rename leaves a file under its old name or its new one, or both.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/crash/disk.h"
#include "tests/lib/scratch.h"

enum {
    SEEDS = 24,
    MIXTURE_SEEDS = 80,
    ROOT = 1,
    NODE,
    HERE,
    THERE,
    FILE_A,
    FILE_B,
    PATH_LIMIT = 256
};

/* A disk with ROOT/s0/{here,there}, all durable, and the events that follow. */
struct fixture {
    struct disk disk;
    uint64_t number; /* of the last event */
    char out[SCRATCH_PATH_MAX];
};

static void apply(struct fixture *f, struct event *event)
{
    event->head.number = ++f->number;
    event->head.name_length = event->name == NULL ? 0 : (uint32_t)strlen(event->name);
    event->head.name2_length = event->name2 == NULL ? 0 : (uint32_t)strlen(event->name2);
    disk_apply(&f->disk, event);
}

static void make(struct fixture *f, enum event_kind kind, uint64_t parent, const char *name,
                 uint64_t object)
{
    struct event event = {.head = {.kind = (uint16_t)kind, .parent = parent, .object = object},
                          .name = name};
    apply(f, &event);
}

static void sync_object(struct fixture *f, uint64_t object)
{
    struct event event = {.head = {.kind = EVENT_SYNC, .object = object, .since = f->number}};
    apply(f, &event);
}

static void move(struct fixture *f, uint64_t from, const char *name, uint64_t to, const char *name2)
{
    struct event event = {.head = {.kind = EVENT_RENAME, .parent = from, .parent2 = to},
                          .name = name,
                          .name2 = name2};
    apply(f, &event);
}

static void write_at(struct fixture *f, uint64_t object, uint64_t offset, const char *data,
                     size_t length)
{
    struct event event = {.head = {.kind = EVENT_WRITE,
                                   .object = object,
                                   .offset = offset,
                                   .length = length,
                                   .data_length = length},
                          .data = (const uint8_t *)data};
    apply(f, &event);
}

/* A file whose content and name are durable. */
static void make_file(struct fixture *f, uint64_t parent, const char *name, uint64_t object,
                      const char *content)
{
    make(f, EVENT_CREATE, parent, name, object);
    write_at(f, object, 0, content, strlen(content));
    sync_object(f, object);
    sync_object(f, parent);
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    struct event start = {.head = {.kind = EVENT_START, .object = ROOT}};
    fixture = (struct fixture){0};
    apply(f, &start);
    make(f, EVENT_MKDIR, ROOT, "s0", NODE);
    make(f, EVENT_MKDIR, NODE, "here", HERE);
    make(f, EVENT_MKDIR, NODE, "there", THERE);
    sync_object(f, ROOT);
    sync_object(f, NODE);
    assert_int_equal(disk_pending(&f->disk, "s0"), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    disk_free(&f->disk);
    return 0;
}

/* --- looking at what is left -------------------------------------------------------------------
 */

static void put_image(struct fixture *f, enum disk_loss loss, uint64_t seed)
{
    struct random random;
    random_seed(&random, seed);
    scratch_create(f->out);
    disk_image(&f->disk, "s0", loss, &random, f->out);
}

/* The text of a file of the image; NULL: it is not there. */
static const char *text_of(const struct fixture *f, const char *name)
{
    static char text[4 * DISK_SECTOR_BYTES];
    char path[PATH_LIMIT];
    snprintf(path, sizeof path, "%s/s0/%s", f->out, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t length = read(fd, text, sizeof text - 1);
    assert_true(length >= 0);
    text[length] = '\0';
    close(fd);
    return text;
}

static bool has(const struct fixture *f, const char *name, const char *wanted)
{
    const char *text = text_of(f, name);
    return text != NULL && strcmp(text, wanted) == 0;
}

/* Whether a file that was here/a and was moved to there/b is at either place: bits of these. */
enum { AT_NEITHER = 1, AT_OLD = 2, AT_NEW = 4, AT_BOTH = 8 };

static unsigned place(const struct fixture *f)
{
    const bool old = text_of(f, "here/a") != NULL, new = text_of(f, "there/b") != NULL;
    return old && new ? AT_BOTH : old ? AT_OLD : new ? AT_NEW : AT_NEITHER;
}

/* Its content is there with its name. */
static unsigned place_after(struct fixture *f, enum disk_loss loss, uint64_t seed)
{
    put_image(f, loss, seed);
    unsigned at = place(f);
    assert_true((at & (AT_OLD | AT_BOTH)) == 0 || has(f, "here/a", "moved"));
    assert_true((at & (AT_NEW | AT_BOTH)) == 0 || has(f, "there/b", "moved"));
    scratch_remove(f->out);
    return at;
}

/* All places that it is found at, whatever is lost. */
static unsigned places(struct fixture *f)
{
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        seen |= place_after(f, DISK_SCATTER, seed);
    for (int loss = 0; loss < DISK_LOSSES; loss++)
        seen |= place_after(f, (enum disk_loss)loss, 1);
    return seen;
}

/* --- tests: renames ----------------------------------------------------------------------------
 */

static void test_a_move_leaves_the_old_name_the_new_one_or_both(void **state)
{
    struct fixture *f = *state;
    make_file(f, HERE, "a", FILE_A, "moved");
    move(f, HERE, "a", THERE, "b");
    assert_int_equal(places(f), AT_OLD | AT_NEW | AT_BOTH);
    assert_int_equal(place_after(f, DISK_DROP, 1), AT_OLD);
    assert_int_equal(place_after(f, DISK_KEEP, 1), AT_NEW);
}

static void test_where_it_went_is_synced(void **state)
{
    struct fixture *f = *state;
    make_file(f, HERE, "a", FILE_A, "moved");
    move(f, HERE, "a", THERE, "b");
    sync_object(f, THERE);
    assert_int_equal(places(f), AT_NEW | AT_BOTH);
    sync_object(f, HERE);
    assert_int_equal(places(f), AT_NEW);
    assert_int_equal(disk_pending(&f->disk, "s0"), 0);
}

static void test_what_it_left_is_synced(void **state)
{
    struct fixture *f = *state;
    make_file(f, HERE, "a", FILE_A, "moved");
    move(f, HERE, "a", THERE, "b");
    sync_object(f, HERE);
    assert_int_equal(places(f), AT_NEW);
    assert_int_equal(disk_pending(&f->disk, "s0"), 0);
}

/* A sync covers what was done before it began. */
static void test_a_sync_that_began_before_the_move_is_not_one_of_it(void **state)
{
    struct fixture *f = *state;
    make_file(f, HERE, "a", FILE_A, "moved");
    const uint64_t before = f->number;
    move(f, HERE, "a", THERE, "b");
    struct event late = {.head = {.kind = EVENT_SYNC, .object = THERE, .since = before}};
    apply(f, &late);
    assert_int_equal(places(f), AT_OLD | AT_NEW | AT_BOTH);
}

static void test_a_move_onto_a_file_leaves_that_one_or_the_moved(void **state)
{
    struct fixture *f = *state;
    bool seen_old = false, seen_new = false;
    make_file(f, THERE, "b", FILE_B, "was there");
    make_file(f, HERE, "a", FILE_A, "moved");
    move(f, HERE, "a", THERE, "b");
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        put_image(f, DISK_SCATTER, seed);
        bool old = has(f, "there/b", "was there"), new = has(f, "there/b", "moved");
        assert_true(old != new);
        assert_true(new || has(f, "here/a", "moved"));
        seen_old |= old;
        seen_new |= new;
        scratch_remove(f->out);
    }
    assert_true(seen_old && seen_new);
}

/* The directory that it left is removed: as the server does with that of a new store. */
static void test_what_it_left_is_removed(void **state)
{
    struct fixture *f = *state;
    make_file(f, HERE, "a", FILE_A, "moved");
    move(f, HERE, "a", THERE, "b");
    make(f, EVENT_UNLINK, NODE, "here", 0);
    sync_object(f, THERE);
    assert_int_equal(places(f), AT_NEW | AT_BOTH);
    sync_object(f, NODE);
    assert_int_equal(places(f), AT_NEW);
}

/* There and back, while neither directory was synced: each move that is kept has an end. */
static void test_a_move_and_its_way_back(void **state)
{
    struct fixture *f = *state;
    make_file(f, HERE, "a", FILE_A, "moved");
    move(f, HERE, "a", THERE, "b");
    move(f, THERE, "b", HERE, "a");
    assert_int_equal(places(f) & AT_NEITHER, 0);
    sync_object(f, THERE);
    assert_int_equal(places(f), AT_OLD);
}

static void test_a_move_within_a_directory_is_one_change(void **state)
{
    struct fixture *f = *state;
    unsigned seen = 0;
    make_file(f, HERE, "a", FILE_A, "moved");
    move(f, HERE, "a", HERE, "c");
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        put_image(f, DISK_SCATTER, seed);
        bool old = text_of(f, "here/a") != NULL, new = text_of(f, "here/c") != NULL;
        assert_true(old != new);
        seen |= old ? AT_OLD : AT_NEW;
        scratch_remove(f->out);
    }
    assert_int_equal(seen, AT_OLD | AT_NEW);
}

/* --- tests: content and names ------------------------------------------------------------------
 */

static void test_a_synced_file_without_a_synced_name_may_be_gone(void **state)
{
    struct fixture *f = *state;
    unsigned seen = 0;
    make(f, EVENT_CREATE, HERE, "a", FILE_A);
    write_at(f, FILE_A, 0, "moved", 5);
    sync_object(f, FILE_A);
    seen = places(f);
    assert_int_equal(seen, AT_NEITHER | AT_OLD);
    sync_object(f, HERE);
    assert_int_equal(places(f), AT_OLD);
}

/* Two sectors of x, synced; then y over both, and a third one behind: any mixture, nothing else. */
static void test_what_was_not_synced_is_lost_kept_or_torn_at_sectors(void **state)
{
    struct fixture *f = *state;
    char old[2 * DISK_SECTOR_BYTES + 1] = "", new[3 * DISK_SECTOR_BYTES + 1] = "";
    unsigned mixtures = 0;
    memset(old, 'x', sizeof old - 1);
    memset(new, 'y', sizeof new - 1);
    make_file(f, HERE, "a", FILE_A, old);
    write_at(f, FILE_A, 0, new, sizeof new - 1);
    for (uint64_t seed = 0; seed < MIXTURE_SEEDS; seed++) {
        put_image(f, DISK_SCATTER, seed);
        const char *text = text_of(f, "here/a");
        assert_true(text != NULL && strlen(text) % DISK_SECTOR_BYTES == 0);
        assert_true(strlen(text) >= sizeof old - 1);
        unsigned mixture = 0;
        for (size_t at = 0; text[at] != '\0'; at += DISK_SECTOR_BYTES) {
            for (size_t i = at; i < at + DISK_SECTOR_BYTES; i++)
                assert_int_equal(text[i], text[at]);
            mixture |= (text[at] == 'y' ? 1U : 0U) << at / DISK_SECTOR_BYTES;
        }
        mixtures |= 1U << mixture;
        scratch_remove(f->out);
    }
    assert_int_equal(mixtures, 0xff);
    sync_object(f, FILE_A);
    put_image(f, DISK_DROP, 1);
    assert_true(has(f, "here/a", new));
    scratch_remove(f->out);
}

static void test_a_lie_is_no_sync(void **state)
{
    struct fixture *f = *state;
    f->disk.lie = DISK_NO_STORE_SYNC;
    make(f, EVENT_CREATE, HERE, "data.mdb", FILE_A);
    write_at(f, FILE_A, 0, "moved", 5);
    sync_object(f, FILE_A);
    sync_object(f, HERE);
    put_image(f, DISK_DROP, 1);
    assert_true(has(f, "here/data.mdb", ""));
    scratch_remove(f->out);
}

static int end_of_two_writes_and_a_sync(struct fixture *f, const char *name)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        make(f, EVENT_CREATE, HERE, name, FILE_A);
        sync_object(f, HERE);
        write_at(f, FILE_A, 0, "one", 3);
        write_at(f, FILE_A, 3, "two", 3);
        sync_object(f, FILE_A);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Else a recording of the log's thread would not stand for io_uring. */
static void test_one_sync_for_several_writes_to_the_log_is_not_accepted(void **state)
{
    int status = end_of_two_writes_and_a_sync(*state, "wal-1.seg");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_int_equal(end_of_two_writes_and_a_sync(*state, "spare-1.seg"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_move_leaves_the_old_name_the_new_one_or_both),
        TEST(test_where_it_went_is_synced),
        TEST(test_what_it_left_is_synced),
        TEST(test_a_sync_that_began_before_the_move_is_not_one_of_it),
        TEST(test_a_move_onto_a_file_leaves_that_one_or_the_moved),
        TEST(test_what_it_left_is_removed),
        TEST(test_a_move_and_its_way_back),
        TEST(test_a_move_within_a_directory_is_one_change),
        TEST(test_a_synced_file_without_a_synced_name_may_be_gone),
        TEST(test_what_was_not_synced_is_lost_kept_or_torn_at_sectors),
        TEST(test_a_lie_is_no_sync),
        TEST(test_one_sync_for_several_writes_to_the_log_is_not_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
