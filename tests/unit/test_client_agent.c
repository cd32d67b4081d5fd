/* The agent of a host: who is it, how it comes and how it goes (ARCHITECTURE.md C6). */
#include "tests/unit/shared_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

#include "client/host.h"

/* A process of its own that becomes the agent, and lives until it is killed or `go` is closed. */
struct child {
    pid_t pid;
    int go;
};

/* With a child of its own, that has all it had when it was forked and outlives it. */
static void leave_orphan(int go)
{
    char byte;

    if (fork() == 0) {
        alarm(60);
        (void)!read(go, &byte, 1);
        _exit(0);
    }
}

/* The descriptors that a child finds its pipes under. */
enum { CHILD_READY = 200, CHILD_GO = 201 };

static char *own_program;

/* main of a child: its program, "child", the managers, the cache's name, whether to fork. */
static void be_child(char **words)
{
    const char *managers = words[2];
    bool forks = strcmp(words[4], "forks") == 0;
    int ready = CHILD_READY, go = CHILD_GO;
    char byte = 0;

    alarm(60);
    snprintf(shared_name, sizeof(shared_name), "%s", words[3]);
    cairn_t *db = shared_open_at(managers, 0);
    for (int i = 0; i < 9; i++) {
        char value[8];
        (void)fake_get(db, "nothing", value, sizeof(value));
    }
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        shared_await_live(db, i, true);
    }
    if (forks) {
        leave_orphan(go);
    }
    CHECK(write(ready, &byte, 1) == 1);
    (void)!read(go, &byte, 1);
    cairn_close(db);
    _exit(0);
}

/* This program anew, and not a mere fork: of a process with threads a forked child may not allocate
 * memory, which some sanitizers' allocators do not forgive. */
static pid_t spawn_child(char *managers, bool forks, int ready, int go)
{
    char role[] = "child", yes[] = "forks", no[] = "alone";
    char *words[] = {own_program, role, managers, shared_name, forks ? yes : no, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;

    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, ready, CHILD_READY) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, go, CHILD_GO) == 0);
    CHECK(posix_spawn(&pid, own_program, &actions, NULL, words, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static struct child start_child(const struct fake *fake, bool forks)
{
    char text[ADDRESS_TEXT_MAX];
    int ready[2];
    int go[2];
    char byte;

    address_format(&fake->manager_address, text);
    CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
    pid_t pid = spawn_child(text, forks, ready[1], go[0]);
    close(ready[1]);
    close(go[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return (struct child){pid, go[1]};
}

static int end_child(struct child child, int signal_number)
{
    int status = 0;

    if (signal_number != 0) {
        kill(child.pid, signal_number);
    }
    close(child.go);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    return status;
}

static uint64_t generation(const cairn_t *db)
{
    struct cache_stat stat;

    cache_stat(handle_cache_segment(db), clock_now_ms(), &stat);
    return stat.generation;
}

static uint64_t session(struct fake *fake, uint32_t server)
{
    pthread_mutex_lock(&fake->mutex);
    uint64_t number = fake->servers[server].host.session;
    pthread_mutex_unlock(&fake->mutex);
    return number;
}

/* A process whose own agent never gets the lock reads what the other's agent keeps valid. */
static void test_another_process_is_the_agent(void **state)
{
    struct fake *fake = *state;
    struct child child = start_child(fake, false);
    cairn_t *db = shared_open(fake, 0);
    char key[32];

    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "v");
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        assert_int_equal(fake_count(fake, &fake->servers[i].host.opened), 1);
    }
    cairn_close(db);
    assert_int_equal(end_child(child, 0), 0);
}

/* C6: who takes over raises the generation, so that nothing noted under the former agent counts. */
static void test_a_killed_agent_is_followed_by_one_who_stands_by(void **state)
{
    struct fake *fake = *state;
    struct child child = start_child(fake, false);
    cairn_t *db = shared_open(fake, 0);
    char key[32];

    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "v");
    uint64_t before = generation(db);
    uint64_t number = session(fake, 1);
    assert_int_equal(WTERMSIG(end_child(child, SIGKILL)), SIGKILL);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        shared_await(fake, &fake->servers[i].host.opened, 2);
    }
    assert_true(generation(db) > before);
    assert_true(session(fake, 1) != number);
    shared_await_live(db, 1, true);
    assert_true(shared_asks(fake, db, 1, key, "v"));
    shared_warm(fake, db, 1, fake_key(fake, 1, 2, key), "w");
    cairn_close(db);
}

/* C6: and the servers know at once, so that no write waits for the end of a lease. */
static void test_an_agent_that_leaves_closes_its_sessions(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    cairn_t *other = shared_open(fake, 1);
    char key[32];

    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "v");
    uint64_t before = generation(db);
    cairn_close(other);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        assert_int_equal(fake_count(fake, &fake->servers[i].host.closed), 0);
    }
    cairn_close(db);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        assert_int_equal(fake_count(fake, &fake->servers[i].host.closed), 1);
    }
    db = shared_open(fake, 1);
    assert_true(generation(db) > before);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        assert_false(shared_is_live(db, i));
    }
    assert_true(shared_asks(fake, db, 1, key, "v"));
    cairn_close(db);
}

/* The lock of a killed agent must not live on in its children. */
static void test_a_child_does_not_keep_the_agents_lock(void **state)
{
    struct fake *fake = *state;
    struct child child = start_child(fake, true);
    cairn_t *db = shared_open(fake, 0);

    shared_agent(fake, db);
    kill(child.pid, SIGKILL);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        shared_await(fake, &fake->servers[i].host.opened, 2);
    }
    assert_int_equal(WTERMSIG(end_child(child, 0)), SIGKILL);
    cairn_close(db);
}

/* A server that takes no sessions keeps nobody from the others, and is asked on. */
static void test_a_server_that_grants_nothing_stops_nobody(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];
    char value[8];

    fake->servers[1].host.lease_ms = 0;
    fake_key(fake, 0, 99, key);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_ENOTFOUND);
    }
    shared_await_live(db, 0, true);
    shared_await_live(db, 2, true);
    shared_await(fake, &fake->servers[1].host.opened, 1);
    assert_false(shared_is_live(db, 1));
    shared_warm(fake, db, 2, fake_key(fake, 2, 1, key), "v");
    assert_int_equal(fake_put(db, fake_key(fake, 1, 1, key), "w"), CAIRN_OK);
    assert_true(shared_asks(fake, db, 1, key, "w"));
    cairn_close(db);
}

struct runner {
    struct host *host;
    volatile int stop;
    pthread_t thread;
};

static void *run_agent(void *context)
{
    struct runner *runner = context;

    CHECK(host_run_agent(runner->host, &runner->stop) == CAIRN_OK);
    return NULL;
}

/* How often this process has a segment of this test mapped that has no name any more. */
static unsigned nameless_segments(void)
{
    char line[512];
    unsigned count = 0;
    FILE *file = fopen("/proc/self/maps", "r");

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        count += strstr(line, shared_name) != NULL && strstr(line, "(deleted)") != NULL;
    }
    (void)fclose(file);
    return count;
}

/* For `cairn agent`: also when the segment is replaced under it, whose memory it then gives back.
 */
static void test_an_agent_runs_in_the_calling_thread(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 1);
    char text[ADDRESS_TEXT_MAX];
    const struct host_options options = {address_format(&fake->manager_address, text), shared_name,
                                         SHARED_BYTES};
    struct runner runner = {.host = host_get(&options, fake->cluster)};
    char key[32];

    assert_non_null(runner.host);
    assert_int_equal(pthread_create(&runner.thread, NULL, run_agent, &runner), 0);
    /* There was no map: the agent asked the manager itself. */
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_OK);
    shared_await_live(db, 1, true);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "v");
    unsigned opened = fake_count(fake, &fake->servers[1].host.opened);
    segment_list(shared_unlink, NULL);
    shared_await(fake, &fake->servers[1].host.opened, opened + 1);
    fake_key(fake, 1, 1, key);
    shared_await_live(db, 1, false);
    assert_true(shared_asks(fake, db, 1, key, "v"));
    assert_int_equal(nameless_segments(), 0);
    runner.stop = 1;
    assert_int_equal(pthread_join(runner.thread, NULL), 0);
    assert_int_equal(session(fake, 1), 0);
    cairn_close(db);
}

/* The signals that one of this process's threads blocks. */
static uint64_t blocked_signals(const char *thread)
{
    static const char label[] = "SigBlk:";
    char path[64];
    char line[128];
    uint64_t mask = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", thread);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, label, strlen(label)) == 0) {
            mask = strtoull(line + strlen(label), NULL, 16);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return mask;
}

/* The program's handlers run on the program's threads. */
static void test_the_agent_takes_no_signals(void **state)
{
    const uint64_t ends = UINT64_C(1) << (SIGTERM - 1) | UINT64_C(1) << (SIGINT - 1);
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    const struct dirent *entry;
    unsigned blocked = 0;
    unsigned threads = 0;

    shared_agent(fake, db);
    DIR *list = opendir("/proc/self/task");
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL) {
        if (entry->d_name[0] != '.') {
            threads++;
            blocked += (blocked_signals(entry->d_name) & ends) == ends;
        }
    }
    closedir(list);
    assert_int_equal(threads, 3); /* the test's, the fakes', the agent's */
    assert_true(blocked >= 1);    /* valgrind blocks them in threads of its own accord */
    cairn_close(db);
}

int main(int argc, char **argv)
{
    own_program = argv[0];
    if (argc == 5 && strcmp(argv[1], "child") == 0) {
        be_child(argv);
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_another_process_is_the_agent),
        TEST(test_a_killed_agent_is_followed_by_one_who_stands_by),
        TEST(test_an_agent_that_leaves_closes_its_sessions),
        TEST(test_a_child_does_not_keep_the_agents_lock),
        TEST(test_a_server_that_grants_nothing_stops_nobody),
        TEST(test_an_agent_runs_in_the_calling_thread),
        TEST(test_the_agent_takes_no_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
