/* Moves what the clients did from their lanes into history and watch, and ends the run. */
#include "fuzz/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz/findings.h"
#include "fuzz/shrink.h"

enum { IDLE_MS = 1, PROGRESS_MS = 2000, INTERRUPTED_MS = 3000, FOUND_MS = 1000 };

int run_begin(struct run *run, const struct settings *settings, struct output *output,
              const struct clients_options *options, struct error *error)
{
    const struct plan *plan = &settings->plan;
    const struct watch_options watched = {.versions = plan->versions,
                                          .limits.configurations = settings->configurations};
    struct clients_options started = *options;
    started.plan = plan;
    started.place = &settings->place;
    started.processes = (uint32_t)settings->processes;
    started.operations = settings->operations;
    run->settings = settings;
    run->output = output;
    run->begun_ms = run->told_ms = clock_now_ms();
    run->pending = calloc((size_t)plan->clients * PLAN_SCAN_KEYS, sizeof(*run->pending));
    int status = run->pending == NULL ? error_set(error, CAIRN_ENOMEM, "run: out of memory") : 0;
    if (status == 0)
        status = watch_create(&watched, &run->watch, error);
    if (status == 0)
        status = recorder_open(&run->recorder, plan, settings->history, error);
    if (status == 0)
        status = clients_start(&started, &run->clients, error);
    if (status != 0) {
        (void)recorder_close(&run->recorder, NULL);
        watch_free(run->watch);
        free(run->pending);
    }
    return status;
}

/* --- taking what lanes show ---------------------------------------------------------------------
 */

static int take_entry(struct run *run, const struct lane *lane, uint32_t client,
                      const struct lane_entry *entry, struct error *error)
{
    struct operation operations[PLAN_SCAN_KEYS];
    size_t count = recorder_operations(entry, client, operations);
    int status = 0;
    if (lane->foreign[0] != '\0' && run->foreign[0] == '\0')
        memcpy(run->foreign, lane->foreign, sizeof(run->foreign) - 1);
    recorder_write(&run->recorder, entry, client, run->foreign);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = watch_add(run->watch, &operations[i], error);
    run->operations++;
    run->lost += entry->answer.outcome == OUTCOME_OPEN;
    return status;
}

/* What a client was in that is no more. */
static int take_lost(struct run *run, struct lane *lane, uint32_t client, struct error *error)
{
    const struct lane_entry *entry = lane_untaken(lane);
    if (entry == NULL)
        return 0;
    struct lane_entry lost = *entry;
    lost.answer = (struct answer){.outcome = OUTCOME_OPEN, .version = OPERATION_NO_VERSION};
    int status = take_entry(run, lane, client, &lost, error);
    lane_take(lane);
    return status;
}

static int take_lane(struct run *run, uint32_t client, bool *took, struct error *error)
{
    struct lane *lane = clients_lane(run->clients, client);
    const struct lane_entry *entry;
    int status = 0;
    bool closed = atomic_load(&lane->closed); /* before the ring: then that shows all there is */
    while (status == 0 && (entry = lane_next(lane)) != NULL) {
        status = take_entry(run, lane, client, entry, error);
        lane_take(lane);
        *took = true;
    }
    if (status == 0 && closed)
        status = take_lost(run, lane, client, error);
    if (closed && lane->error.code != 0 && run->error.code == 0)
        run->error = lane->error;
    return status;
}

static size_t gather_pending(struct run *run)
{
    size_t count = 0;
    for (uint32_t i = 0; i < run->settings->plan.clients; i++) {
        const struct lane_entry *entry = lane_untaken(clients_lane(run->clients, i));
        for (uint32_t k = 0; entry != NULL && k < entry->call.keys; k++)
            run->pending[count++] = (struct pending){entry->call.key + k, entry->start_ns};
    }
    return count;
}

/* Rounds that all clients have left are over; with `all`, those that any has entered. */
static int finish_rounds(struct run *run, bool all, struct error *error)
{
    const struct plan *plan = &run->settings->plan;
    uint64_t first = UINT64_MAX, end = 0;
    int status = 0;
    for (uint32_t i = 0; i < plan->clients; i++) {
        struct lane *lane = clients_lane(run->clients, i);
        uint64_t round = plan_round(plan, lane_taken(lane));
        if (round < first && !(atomic_load(&lane->closed) && lane_untaken(lane) == NULL))
            first = round;
        if (round + 1 > end)
            end = round + 1;
    }
    if (!all && first < end)
        end = first;
    else if (!all)
        return 0; /* the end of the run will do */
    for (; status == 0 && run->round < end && !watch_finding(run->watch); run->round++)
        status = watch_finish(run->watch, plan_first_key(plan, run->round),
                              plan_first_key(plan, run->round + 1), error);
    return status;
}

static int turn(struct run *run, bool *took, struct error *error)
{
    uint64_t floor_ns = OPERATION_OPEN;
    int status = 0;
    *took = false;
    for (uint32_t i = 0; i < run->settings->plan.clients; i++) {
        uint64_t lane_ns = lane_floor(clients_lane(run->clients, i));
        if (lane_ns < floor_ns)
            floor_ns = lane_ns;
    }
    for (uint32_t i = 0; status == 0 && i < run->settings->plan.clients; i++)
        status = take_lane(run, i, took, error);
    if (status == 0)
        status = watch_advance(run->watch, floor_ns, run->pending, gather_pending(run), error);
    return status == 0 ? finish_rounds(run, false, error) : status;
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static void tell_progress(struct run *run, uint64_t now_ms)
{
    struct watch_counts counts;
    if (now_ms - run->told_ms < PROGRESS_MS)
        return;
    watch_counts(run->watch, &counts);
    uint64_t rate = (run->operations - run->told_operations) * 1000 / (now_ms - run->told_ms);
    char of[32] = "";
    if (run->settings->operations > 0)
        (void)snprintf(of, sizeof(of), " of %" PRIu64,
                       run->settings->operations * run->settings->plan.clients);
    output_progress(run->output, true,
                    "%" PRIu64 "%s operations, %" PRIu64 " of %" PRIu64
                    " on single keys checked, %" PRIu64 "/s, %d violations, %" PRIu64 " s",
                    run->operations, of, counts.checked, counts.operations, rate,
                    watch_finding(run->watch) != NULL, (now_ms - run->begun_ms) / 1000);
    run->told_ms = now_ms;
    run->told_operations = run->operations;
}

/* Ends the clients, and in the end kills them. */
static void stop_by(struct run *run, uint64_t deadline_ms)
{
    if (run->deadline_ms == 0 || deadline_ms < run->deadline_ms)
        run->deadline_ms = deadline_ms;
    clients_stop(run->clients);
}

static void look_for_end(struct run *run, uint64_t now_ms, bool interrupted)
{
    uint64_t seconds = run->settings->seconds;
    if (run->error.code != 0 || watch_finding(run->watch) != NULL)
        atomic_store(&run->over, true);
    if (atomic_load(&run->over))
        stop_by(run, now_ms + FOUND_MS);
    else if (interrupted)
        stop_by(run, now_ms + INTERRUPTED_MS);
    else if (atomic_load(&run->stop) || (seconds > 0 && now_ms - run->begun_ms >= seconds * 1000))
        stop_by(run, now_ms + run->patience_ms);
    if (run->killed || run->deadline_ms == 0 || now_ms < run->deadline_ms)
        return;
    run->killed = true;
    for (uint32_t i = 0; i < run->settings->plan.clients; i++)
        run->unfinished += lane_untaken(clients_lane(run->clients, i)) != NULL;
    clients_kill(run->clients);
}

void run_loop(struct run *run, bool (*interrupted)(void))
{
    bool runs = true, took = true;
    while (runs) {
        struct error error = {0};
        runs = clients_run(run->clients);
        /* Once something is found nothing more is looked at, but clients may wait for room. */
        if (turn(run, &took, &error) != 0 && run->error.code == 0)
            run->error = error;
        uint64_t now_ms = clock_now_ms();
        look_for_end(run, now_ms, interrupted());
        tell_progress(run, now_ms);
        if (runs && !took)
            clock_sleep_ms(IDLE_MS);
    }
    atomic_store(&run->over, true);
}

bool run_is_complete(const struct run *run, bool interrupted)
{
    return run->unfinished == 0 || interrupted || run->error.code != 0;
}

/* --- the verdict --------------------------------------------------------------------------------
 */

static void say_finding(struct run *run)
{
    struct finding *finding = (struct finding *)(uintptr_t)watch_finding(run->watch);
    struct error error = {0};
    size_t before = finding->count;
    int status = shrink(finding, &error);
    if (status == 0 && finding->count < before)
        output_say(run->output, "shrunk from %zu operations to %zu", before, finding->count);
    if (status == 0)
        status = findings_say(run->output, &run->settings->plan, finding, run->foreign, &error);
    if (status != 0 && run->error.code == 0)
        run->error = error;
}

static void say_counts(struct run *run)
{
    struct watch_counts counts;
    uint64_t now_ms = clock_now_ms();
    watch_counts(run->watch, &counts);
    output_say(
        run->output,
        "%s: %" PRIu64 " operations (%" PRIu64 " without an outcome), on single keys %" PRIu64
        ", keys %" PRIu64 ", cuts %" PRIu64 ", longest part %" PRIu64 ", %" PRIu64 ".%" PRIu64 " s",
        watch_finding(run->watch) != NULL
            ? verdict_text(watch_finding(run->watch)->verdict)
            : (run->error.code == 0 ? "linearizable" : "no fault found"),
        run->operations, run->lost, counts.operations, counts.keys, counts.cuts, counts.longest,
        (now_ms - run->begun_ms) / 1000, (now_ms - run->begun_ms) % 1000 / 100);
}

bool run_end(struct run *run)
{
    struct error error = {0};
    if (!watch_finding(run->watch) && finish_rounds(run, true, &error) != 0 && run->error.code == 0)
        run->error = error;
    if (recorder_close(&run->recorder, &error) != 0 && run->error.code == 0)
        run->error = error;
    say_counts(run);
    bool good = watch_finding(run->watch) == NULL;
    if (!good)
        say_finding(run);
    if (run->unfinished > 0)
        output_say(run->output, "%" PRIu64 " calls did not end and were given up", run->unfinished);
    watch_free(run->watch);
    clients_free(run->clients);
    free(run->pending);
    return good;
}
