/* Opening, closing and waiting. */
#include "client/handle.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "client/retire.h"

enum {
    CLOSE_LIMIT_MS = 1000,
    LOOP_TURN_MS = 50, /* timers and other connections of the handle wait no longer */
};

static void on_timer(uv_timer_t *timer)
{
    cairn_t *db = timer->data;

    db->timer_fired = true;
}

/* The wait that this ends looks at `interrupted` itself. */
static void on_wake(uv_async_t *wake)
{
    uv_stop(wake->loop);
}

static int open_loop(cairn_t *db)
{
    if (!descriptors_left(DESCRIPTORS_OF_A_LOOP) || uv_loop_init(&db->loop) != 0) {
        return CAIRN_ENOMEM;
    }
    uv_timer_init(&db->loop, &db->timer);
    db->timer.data = db;
    uv_timer_init(&db->loop, &db->watch);
    db->watch.data = db;
    if (uv_async_init(&db->loop, &db->wake, on_wake) != 0) {
        uv_close((uv_handle_t *)&db->timer, NULL);
        uv_close((uv_handle_t *)&db->watch, NULL);
        uv_run(&db->loop, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&db->loop) == 0);
        return CAIRN_ENOMEM;
    }
    uv_unref((uv_handle_t *)&db->wake);
    return CAIRN_OK;
}

static int open_parts(cairn_t *db, const char *addresses, const struct cairn_options *options)
{
    struct address_list *list = malloc(sizeof(*list));
    uint64_t seed;

    if (list == NULL) {
        return error_set(&db->error, CAIRN_ENOMEM, "out of memory");
    }
    int status = address_list_parse(addresses, list, &db->error);
    if (status == CAIRN_OK && managers_init(db, list, options->cluster) != CAIRN_OK) {
        status = error_set(&db->error, CAIRN_ENOMEM, "out of memory");
    }
    free(list);
    if (status != CAIRN_OK) {
        return status;
    }
    /* Room for the largest value, so that an answer that came is never lost for want of memory. */
    buffer_init(&db->value, CAIRN_VALUE_MAX + 1);
    if (buffer_reserve(&db->value, CAIRN_VALUE_MAX + 1) != CAIRN_OK) {
        return error_set(&db->error, CAIRN_ENOMEM, "out of memory");
    }
    if (open_loop(db) != CAIRN_OK) {
        return error_set(&db->error, CAIRN_ENOMEM, "cannot create an event loop");
    }
    random_entropy(&seed, sizeof(seed));
    random_seed(&db->random, seed);
    route_init(&db->route, &db->loop, &db->closing);
    session_begin(&db->session, random_id());
    db->usable = true;
    return CAIRN_OK;
}

int cairn_open(const char *managers, const struct cairn_options *options, cairn_t **db)
{
    static const struct cairn_options defaults;

    *db = calloc(1, sizeof(**db));
    if (*db == NULL) {
        return CAIRN_ENOMEM;
    }
    if (managers == NULL) {
        return error_set(&(*db)->error, CAIRN_EINVAL, "managers: no address given");
    }
    if (options == NULL) {
        options = &defaults;
    }
    (*db)->pid = getpid();
    (*db)->timeout_ms = options->timeout_ms;
    int status = handle_cache_check(*db, options);
    if (status == CAIRN_OK) {
        status = open_parts(*db, managers, options);
    }
    if (status == CAIRN_OK) {
        handle_cache_open(*db, managers, options);
    }
    return status;
}

static void free_memory(cairn_t *db)
{
    managers_free(&db->managers);
    handle_cache_free(db);
    buffer_free(&db->value);
    free(db->status);
    free(db);
}

/* Runs the loop until all connections are closed, at most CLOSE_LIMIT_MS: a name that is being
 * resolved cannot be stopped. True if everything is closed. */
static bool drain(cairn_t *db)
{
    uint64_t end_ms = clock_now_ms() + CLOSE_LIMIT_MS;

    while (db->closing > 0 && clock_now_ms() < end_ms) {
        uv_update_time(&db->loop);
        uv_timer_start(&db->timer, on_timer, 50, 0);
        uv_run(&db->loop, UV_RUN_ONCE);
    }
    if (db->closing > 0) {
        return false;
    }
    uv_close((uv_handle_t *)&db->timer, NULL);
    uv_close((uv_handle_t *)&db->watch, NULL);
    uv_close((uv_handle_t *)&db->wake, NULL);
    uv_run(&db->loop, UV_RUN_DEFAULT);
    return uv_loop_close(&db->loop) == 0;
}

void cairn_close(cairn_t *db)
{
    if (db == NULL) {
        return;
    }
    if (!db->usable) {
        free_memory(db);
        return;
    }
    handle_cache_close(db);
    if (db->pid == getpid()) {
        retire_sessions(db);
    } else if (uv_loop_fork(&db->loop) != 0) {
        /* A child shares the parent's epoll instance until the loop has one of its own: without
         * one, taking descriptors out of it would take them from the parent. */
        return;
    }
    managers_close(&db->managers);
    route_close(&db->route);
    /* What cannot be closed now is still used by the loop: better a leak than freed memory in use.
     */
    if (drain(db)) {
        free_memory(db);
    }
}

void cairn_set_timeout(cairn_t *db, uint64_t timeout_ms)
{
    db->timeout_ms = timeout_ms;
}

const char *cairn_strerror(int code)
{
    return error_text(code);
}

const char *cairn_errmsg(const cairn_t *db)
{
    if (db == NULL) {
        return error_text(CAIRN_ENOMEM);
    }
    return db->error.code == CAIRN_OK ? error_text(CAIRN_OK) : db->error.message;
}

const char *cairn_version(void)
{
    return CAIRN_VERSION;
}

uint64_t client_deadline(const cairn_t *db)
{
    uint64_t now_ms;

    if (db->timeout_ms == 0) {
        return UINT64_MAX;
    }
    now_ms = clock_now_ms();
    return db->timeout_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + db->timeout_ms;
}

uint64_t client_left_ms(uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t now_ms = clock_now_ms();
    return now_ms >= deadline_ms ? 0 : deadline_ms - now_ms;
}

static bool run(cairn_t *db, uv_run_mode mode)
{
    if (db->interrupted) {
        return false;
    }
    db->turning = true;
    uv_run(&db->loop, mode);
    db->turning = false;
    db->turned_ms = clock_now_ms();
    return !db->interrupted;
}

bool client_turn(cairn_t *db)
{
    return run(db, UV_RUN_ONCE);
}

bool client_run(cairn_t *db)
{
    return run(db, UV_RUN_DEFAULT);
}

bool client_may_skip_loop(const cairn_t *db)
{
    return !db->interrupted && !db->managers.refreshing && db->closing == 0 &&
           clock_now_ms() - db->turned_ms < LOOP_TURN_MS;
}

bool client_wait(cairn_t *db, const bool *flag, uint64_t delay_ms)
{
    bool go_on = true;

    uv_update_time(&db->loop);
    db->timer_fired = false;
    uv_timer_start(&db->timer, on_timer, delay_ms, 0);
    while (go_on && !db->timer_fired && (flag == NULL || !*flag)) {
        go_on = client_turn(db);
    }
    uv_timer_stop(&db->timer);
    return go_on;
}

void client_interrupt(cairn_t *db)
{
    db->interrupted = 1;
    uv_async_send(&db->wake);
}

void client_interrupt_clear(cairn_t *db)
{
    db->interrupted = 0;
}
