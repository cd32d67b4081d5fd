/* Reads and writes in bursts, each looked at and recorded. */
#include "tests/lib/cache_client/work.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "client/cairn.h"

enum { EXIT_WRONG_VALUE = 4, EXIT_WRONG_CHILD = 5, BLOCK = 10000, REST_ONE_IN = 40 };

struct work {
    const struct work_options *options;
    cairn_t *db;
    struct random random;
    struct record record;
    uint64_t numbers; /* given to values */
    pid_t child;
};

static cairn_t *open_handle(const struct work_options *options, bool no_agent)
{
    struct cairn_options how = {.no_cache = options->no_cache,
                                .no_agent = no_agent,
                                .cache_name = getenv("CAIRN_CACHE_NAME"),
                                .cache_bytes = 8 << 20};
    cairn_t *db;
    if (cairn_open(options->manager, &how, &db) == CAIRN_OK)
        return db;
    fprintf(stderr, "ERROR: cache-client: %s\n", db != NULL ? cairn_errmsg(db) : "no memory");
    exit(2);
}

static void refuse_value(const struct work *work, uint32_t key, const void *value, size_t length)
{
    fprintf(stderr, "WRONG VALUE: process %" PRIu64 ", key %s, %zu bytes: %.*s\n",
            work->options->process, work->options->keys[key], length, (int)(length % 200),
            (const char *)value);
    _exit(EXIT_WRONG_VALUE);
}

static void read_key(struct work *work, uint32_t key)
{
    const char *name = work->options->keys[key];
    const void *value;
    size_t length;
    struct record_read read = {.start_ns = clock_now_ns()};
    int code = cairn_get(work->db, name, strlen(name), &value, &length, &read.version);
    read.end_ns = clock_now_ns();
    if (code != CAIRN_OK && code != CAIRN_ENOTFOUND)
        return;
    if (code == CAIRN_ENOTFOUND)
        read.version = 0;
    else if (!value_check(name, value, length, read.id))
        refuse_value(work, key, value, length);
    record_read(&work->record, key, &read, random_below(&work->random, work->options->sample) == 0);
}

/* What is certain ends a mutation's line; what is not leaves it open. */
static void end_write(struct work *work, const struct record_write *write, int code,
                      const char *result, uint64_t version)
{
    uint64_t end_ns = clock_now_ns();
    if (code == CAIRN_OK)
        record_write_ends(&work->record, write, RECORD_APPLIED, result, version, end_ns);
    else if (code != CAIRN_EUNKNOWN)
        record_write_ends(&work->record, write, RECORD_NOT_APPLIED, NULL, 0, end_ns);
}

static void new_value(struct work *work, struct record_write *write, char *value, size_t *length)
{
    (void)snprintf(write->id, sizeof write->id, "p%" PRIu64 "n%" PRIu64, work->options->process,
                   work->numbers++);
    uint64_t wanted = random_below(&work->random, work->options->value_max + 1);
    *length = value_make(work->options->keys[write->key], write->id, wanted, value);
}

static void put_key(struct work *work, uint32_t key)
{
    const char *name = work->options->keys[key];
    char value[VALUE_LENGTH_MAX];
    size_t length;
    struct record_write write = {.op = "put", .key = key, .start_ns = clock_now_ns()};
    new_value(work, &write, value, &length);
    record_write_begins(&work->record, &write);
    /* Running out is a removal at some later time. */
    struct record_write expiry = {.op = "delete", .key = key, .start_ns = write.start_ns + 1};
    if (work->options->ttl_ms > 0)
        record_write_begins(&work->record, &expiry);
    int existed = 0;
    uint64_t version = 0;
    int code = cairn_put_ttl(work->db, name, strlen(name), value, length, work->options->ttl_ms,
                             &existed, &version);
    end_write(work, &write, code, existed ? "found" : "not_found", version);
}

static void swap_key(struct work *work, uint32_t key)
{
    const char *name = work->options->keys[key];
    char value[VALUE_LENGTH_MAX], old_id[VALUE_ID_MAX] = "";
    size_t length, old_length;
    const void *old;
    struct record_write write = {.op = "swap", .key = key, .start_ns = clock_now_ns()};
    new_value(work, &write, value, &length);
    record_write_begins(&work->record, &write);
    int code = cairn_swap(work->db, name, strlen(name), value, length, &old, &old_length);
    if (code == CAIRN_OK && old != NULL && !value_check(name, old, old_length, old_id))
        refuse_value(work, key, old, old_length);
    end_write(work, &write, code, old_id, 0);
}

static void delete_key(struct work *work, uint32_t key)
{
    const char *name = work->options->keys[key];
    struct record_write write = {.op = "delete", .key = key, .start_ns = clock_now_ns()};
    record_write_begins(&work->record, &write);
    int existed = 0;
    int code = cairn_delete(work->db, name, strlen(name), &existed);
    end_write(work, &write, code, existed ? "found" : "not_found", 0);
}

static void write_key(struct work *work, uint32_t key)
{
    uint64_t drawn = random_below(&work->random, 10);
    if (drawn < 6 || work->options->ttl_ms > 0)
        put_key(work, key);
    else if (drawn < 9)
        swap_key(work, key);
    else
        delete_key(work, key);
}

static void burst(struct work *work)
{
    const struct work_options *options = work->options;
    for (uint64_t n = 0; n < options->burst && !*options->stopped; n++) {
        uint32_t key = (uint32_t)random_below(&work->random, options->keys_count);
        if (random_below(&work->random, 100) < options->reads)
            read_key(work, key);
        else
            write_key(work, key);
    }
    record_flush(&work->record);
    if (options->rest_ms > 0 && random_below(&work->random, REST_ONE_IN) == 0)
        clock_sleep_ms(random_below(&work->random, options->rest_ms));
    else if (options->pause_us > 0)
        (void)usleep((useconds_t)random_below(&work->random, 2 * options->pause_us));
}

static uint32_t count_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    CHECK(folder != NULL);
    uint32_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* In the child of a fork: nothing of the parent's runs here, and its handle only frees memory. */
static void become_child(struct work *work, struct work_options *changed)
{
    uint32_t threads = count_threads();
    if (threads != 1) {
        fprintf(stderr, "WRONG CHILD: it has %u threads\n", threads);
        _exit(EXIT_WRONG_CHILD);
    }
    *changed = *work->options;
    changed->process += 50000;
    changed->seed += 50000;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s.child", work->options->history);
    record_leave(&work->record);
    record_open(&work->record, changed->history != NULL ? path : NULL, changed->process,
                changed->keys, changed->keys_count);
    work->options = changed;
    random_seed(&work->random, changed->seed);
    cairn_close(work->db);
    work->db = open_handle(changed, true);
}

static void fork_once(struct work *work, struct work_options *changed)
{
    if (!*work->options->forking || work->child != 0)
        return;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        become_child(work, changed);
    else
        printf("child %d\n", (int)child);
    (void)fflush(stdout);
    work->child = child == 0 ? -1 : child;
}

static int wait_for_child(const struct work *work)
{
    int status = 0;
    if (work->child <= 0)
        return 0;
    (void)kill(work->child, SIGTERM);
    pid_t ended;
    while ((ended = waitpid(work->child, &status, 0)) < 0 && errno == EINTR)
        ; /* another SIGTERM */
    CHECK(ended == work->child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_WRONG_CHILD;
}

int work_run(const struct work_options *options)
{
    static struct work work;
    struct work_options changed;
    work.options = options;
    work.db = open_handle(options, options->no_agent);
    random_seed(&work.random, options->seed);
    record_open(&work.record, options->history, options->process, options->keys,
                options->keys_count);
    uint64_t end_ms = clock_now_ms() + options->seconds * 1000;
    for (uint64_t n = 0; !*options->stopped && (options->count == 0 || n < options->count) &&
                         (options->seconds == 0 || clock_now_ms() < end_ms);
         n++) {
        burst(&work);
        fork_once(&work, &changed);
    }
    record_close(&work.record);
    cairn_close(work.db);
    return wait_for_child(&work);
}

static void mark(const char *text)
{
    if (write(-1, text, strlen(text)) >= 0)
        abort();
}

int work_blocks(const struct work_options *options)
{
    static struct work work;
    work.options = options;
    work.db = open_handle(options, options->no_agent);
    const char *name = options->keys[0];
    uint64_t wrong = 0;
    for (uint64_t block = 0; block < options->blocks; block++) {
        clock_sleep_ms(20);
        mark("block begins");
        for (uint32_t n = 0; n < BLOCK; n++) {
            const void *value;
            size_t length;
            wrong += cairn_get(work.db, name, strlen(name), &value, &length, NULL) != CAIRN_OK;
        }
        mark("block ends");
    }
    cairn_close(work.db);
    printf("%" PRIu64 " of %" PRIu64 " GETs failed\n", wrong, options->blocks * BLOCK);
    return wrong == 0 ? 0 : EXIT_WRONG_VALUE;
}
