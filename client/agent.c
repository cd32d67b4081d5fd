/* The agent's thread: standing by, taking over, leaving. */
#include "client/agent.h"

#include <signal.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "client/agent_internal.h"
#include "client/host_internal.h"

enum {
    STANDBY_MS = 100,
    LOOK_MS = 100,      /* whether the segment is still the host's */
    STOP_LOOK_MS = 50,  /* whether `*stop` was set */
    NO_ROOM_MS = 10000, /* after entries found no memory */
    LEAVE_LIMIT_MS = 200,
};

struct agent *agent_create(struct host *host)
{
    const struct cairn_options options = {.no_cache = true, .cluster = host->cluster};
    struct agent *agent = calloc(1, sizeof(*agent));

    if (agent == NULL) {
        return NULL;
    }
    if (cairn_open(host->managers, &options, &agent->db) != CAIRN_OK) {
        cairn_close(agent->db);
        free(agent);
        return NULL;
    }
    /* Lent: what the segment knows of the map is read from it, and newer maps go there. */
    handle_cache_lend(agent->db, host);
    agent->host = host;
    return agent;
}

void agent_free(struct agent *agent)
{
    if (agent != NULL) {
        cairn_close(agent->db);
        free(agent);
    }
}

/* --- turning ------------------------------------------------------------------------------------
 */

static bool shall_leave(const struct agent *agent)
{
    return atomic_load(&agent->leave) || (agent->stop != NULL && *agent->stop);
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop once, until something happens or the time has passed. */
static void turn(struct agent *agent, uint64_t delay_ms)
{
    cairn_t *db = agent->db;

    if (agent->stop != NULL && delay_ms > STOP_LOOK_MS) {
        delay_ms = STOP_LOOK_MS;
    }
    uv_update_time(&db->loop);
    uv_timer_start(&db->timer, on_timer, delay_ms, 0);
    uv_run(&db->loop, UV_RUN_ONCE);
    uv_timer_stop(&db->timer);
}

static bool is_current(const struct agent *agent)
{
    return host_is_current(agent->host, clock_now_ms());
}

/* --- being the agent ----------------------------------------------------------------------------
 */

/* `cairn agent` says what it does; a thread of a program that does something else says little. */
static void tell(const struct agent *agent, const char *what)
{
    if (agent->stop != NULL) {
        log_info("cache", "%s path=%s", what, agent->host->segment->path);
    } else {
        log_debug("cache", "%s path=%s", what, agent->host->segment->path);
    }
}

/* C6: what was noted under the agent before is void before any session is opened. */
static bool take_over(struct agent *agent)
{
    const struct cache *cache = host_cache(agent->host);
    int status = segment_reserve_entries(agent->host->segment);

    if (status != CAIRN_OK) {
        host_warn_once(status, "no room in shared memory for its entries");
        return false;
    }
    agent_sessions_begin(agent);
    cache_raise_generation(cache);
    cache_open_entries(cache);
    cache_add(cache, CACHE_AGENTS, 1);
    tell(agent, "agent of this host");
    return true;
}

/* What was overwritten ends it: whoever takes over writes it anew (C6). */
static void serve(struct agent *agent)
{
    const struct cache *cache = host_cache(agent->host);

    while (!shall_leave(agent) && is_current(agent) && cache_is_live(cache)) {
        uint64_t now_ms = clock_now_ms();
        uint64_t next_ms = agent_sessions_drive(agent, now_ms);
        uint64_t delay_ms = next_ms <= now_ms ? 0 : next_ms - now_ms;

        turn(agent, delay_ms < LOOK_MS ? delay_ms : LOOK_MS);
    }
}

/* C6: raises the generation, and only then tells the servers that nobody reads any more what they
 * granted. Who does not answer soon waits for the end of the lease. */
static void leave(struct agent *agent)
{
    uint64_t now_ms = clock_now_ms();
    uint64_t end_ms = now_ms + LEAVE_LIMIT_MS;

    cache_raise_generation(host_cache(agent->host));
    agent_sessions_end(agent, now_ms);
    while (now_ms < end_ms && agent_sessions_closing(agent, now_ms)) {
        turn(agent, end_ms - now_ms);
        now_ms = clock_now_ms();
    }
    tell(agent, "left");
}

/* Trying again takes all the room there is for a moment, which others may need: not soon. */
static void await_room(struct agent *agent)
{
    uint64_t end_ms = clock_now_ms() + NO_ROOM_MS;
    uint64_t now_ms = clock_now_ms();

    while (now_ms < end_ms && !shall_leave(agent) && is_current(agent)) {
        turn(agent, end_ms - now_ms);
        now_ms = clock_now_ms();
    }
}

static void run(struct agent *agent)
{
    struct segment *segment = agent->host->segment;
    bool told = false;

    while (!shall_leave(agent) && is_current(agent)) {
        if (!segment_try_lock_agent(segment)) {
            if (!told) {
                tell(agent, "stands by: another process is the agent");
                told = true;
            }
            turn(agent, STANDBY_MS);
            continue;
        }
        bool served = take_over(agent);
        if (served) {
            serve(agent);
            leave(agent);
        }
        segment_unlock_agent(segment);
        if (!served) {
            await_room(agent);
        }
    }
}

/* --- the thread ---------------------------------------------------------------------------------
 */

static void *thread_main(void *context)
{
    run(context);
    return NULL;
}

/* The program's signals are none of this thread's business: it is created with all blocked. */
bool agent_start(struct agent *agent)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    agent->threaded = pthread_create(&agent->thread, NULL, thread_main, agent) == 0;
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return agent->threaded;
}

void agent_stop(struct agent *agent)
{
    if (agent == NULL) {
        return;
    }
    if (agent->threaded) {
        atomic_store(&agent->leave, true);
        uv_async_send(&agent->db->wake);
        CHECK(pthread_join(agent->thread, NULL) == 0);
    }
    agent_free(agent);
}

void agent_run(struct agent *agent, const volatile int *stop)
{
    agent->stop = stop;
    run(agent);
}
