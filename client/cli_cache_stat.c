/* What `cairn cache stat` prints: a list or JSON, and under --watch a line for each interval. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/cli.h"
#include "client/handle.h"
#include "client/segment.h"

enum { HEADING_EVERY = 20 };

static const struct {
    enum cache_count what;
    const char *name; /* in JSON */
    const char *text;
} counts[] = {
    {CACHE_HITS, "hits", "hits"},
    {CACHE_MISSES, "misses", "misses"},
    {CACHE_FILLS, "fills", "fills"},
    {CACHE_REFUSED, "refused", "refused fills"},
    {CACHE_SKIPPED, "skipped", "skipped fills"},
    {CACHE_INVALIDATIONS, "invalidations", "invalidations"},
    {CACHE_LAPSES, "lapses", "lease lapses"},
    {CACHE_EVICTIONS, "evictions", "evictions"},
    {CACHE_AGENTS, "agents", "agents so far"},
};

enum { SHOWN = sizeof(counts) / sizeof(counts[0]) };
_Static_assert((int)SHOWN == (int)CACHE_COUNTS, "every count is shown");

/* Of all reads, those that the cache answered; 0 when there was none. */
static double hit_rate(const uint64_t number[CACHE_COUNTS])
{
    uint64_t reads = number[CACHE_HITS] + number[CACHE_MISSES];

    return reads == 0 ? 0 : (double)number[CACHE_HITS] / (double)reads;
}

/* --- once ---------------------------------------------------------------------------------------
 */

static json_t *to_json(const struct segment *segment, const struct cache_stat *stat)
{
    json_t *object = json_object();

    json_object_set_new(object, "cluster", json_sprintf("%016" PRIx64, stat->cluster));
    json_object_set_new(object, "path", json_sprintf("/dev/shm%s", segment->path));
    json_object_set_new(object, "bytes", json_integer((json_int_t)stat->bytes));
    json_object_set_new(object, "entries", json_integer((json_int_t)stat->entries));
    json_object_set_new(object, "entries_limit", json_integer((json_int_t)stat->entries_limit));
    for (size_t i = 0; i < SHOWN; i++) {
        json_object_set_new(object, counts[i].name,
                            json_integer((json_int_t)stat->counts[counts[i].what]));
    }
    json_object_set_new(object, "hit_rate", json_real(hit_rate(stat->counts)));
    json_object_set_new(object, "sessions", json_integer((json_int_t)stat->sessions));
    json_object_set_new(object, "agent", json_boolean(segment_has_agent(segment)));
    json_object_set_new(object, "generation", json_integer((json_int_t)stat->generation));
    json_object_set_new(object, "map_version", json_integer((json_int_t)stat->map_version));
    return object;
}

static void print_list(const struct segment *segment, const struct cache_stat *stat)
{
    printf("cluster        %016" PRIx64 "\n", stat->cluster);
    printf("path           /dev/shm%s\n", segment->path);
    printf("size           %" PRIu64 " bytes\n", stat->bytes);
    printf("entries        %" PRIu64 " of at most %" PRIu64 "\n", stat->entries,
           stat->entries_limit);
    for (size_t i = 0; i < SHOWN; i++) {
        printf("%-14s %" PRIu64 "\n", counts[i].text, stat->counts[counts[i].what]);
        if (counts[i].what == CACHE_MISSES) {
            printf("hit rate       %.1f%%\n", 100 * hit_rate(stat->counts));
        }
    }
    printf("sessions       %u live\n", stat->sessions);
    printf("agent          %s\n",
           segment_has_agent(segment) ? "running" : "none: nothing is cached");
    printf("map version    %" PRIu64 "\n", stat->map_version);
}

static void print_once(const struct cli *cli, const struct segment *segment)
{
    struct cache_stat stat;

    cache_stat(&segment->cache, clock_now_ms(), &stat);
    if (cli->options.json) {
        cli_json_print(to_json(segment, &stat));
    } else {
        print_list(segment, &stat);
    }
}

/* --- watching -----------------------------------------------------------------------------------
 */

struct watch {
    uint64_t since_ms;
    uint64_t counts[CACHE_COUNTS];
    unsigned lines;
};

static void print_rates(struct watch *watch, const struct segment *segment,
                        const struct cache_stat *stat, const double rates[CACHE_COUNTS],
                        double rate_of_hits)
{
    if (watch->lines++ % HEADING_EVERY == 0) {
        printf("%10s %10s %6s %9s %9s %9s %9s %10s %8s %5s\n", "HITS/S", "MISSES/S", "HIT %",
               "FILLS/S", "REFUSED/S", "INVALID/S", "EVICTED/S", "ENTRIES", "SESSIONS", "AGENT");
    }
    printf("%10.0f %10.0f %6.1f %9.0f %9.0f %9.0f %9.0f %10" PRIu64 " %8u %5s\n", rates[CACHE_HITS],
           rates[CACHE_MISSES], 100 * rate_of_hits, rates[CACHE_FILLS], rates[CACHE_REFUSED],
           rates[CACHE_INVALIDATIONS], rates[CACHE_EVICTIONS], stat->entries, stat->sessions,
           segment_has_agent(segment) ? "yes" : "no");
}

static void print_rates_json(const struct segment *segment, const struct cache_stat *stat,
                             const double rates[CACHE_COUNTS], double rate_of_hits,
                             uint64_t passed_ms)
{
    json_t *object = to_json(segment, stat);
    json_t *per_second = json_object();

    for (size_t i = 0; i < SHOWN; i++) {
        json_object_set_new(per_second, counts[i].name, json_real(rates[counts[i].what]));
    }
    json_object_set_new(object, "interval_ms", json_integer((json_int_t)passed_ms));
    json_object_set_new(object, "interval_hit_rate", json_real(rate_of_hits));
    json_object_set_new(object, "per_second", per_second);
    cli_json_print(object);
}

/* What happened since the last look; a counter that fell is another segment's, or was overwritten.
 */
static void print_interval(const struct cli *cli, struct watch *watch,
                           const struct segment *segment)
{
    uint64_t passed[CACHE_COUNTS];
    double rates[CACHE_COUNTS];
    struct cache_stat stat;
    uint64_t now_ms = clock_now_ms();
    uint64_t passed_ms = now_ms > watch->since_ms ? now_ms - watch->since_ms : 1;

    cache_stat(&segment->cache, now_ms, &stat);
    for (size_t i = 0; i < CACHE_COUNTS; i++) {
        passed[i] = stat.counts[i] >= watch->counts[i] ? stat.counts[i] - watch->counts[i] : 0;
        rates[i] = (double)passed[i] * 1000 / (double)passed_ms;
        watch->counts[i] = stat.counts[i];
    }
    watch->since_ms = now_ms;
    if (cli->options.json) {
        print_rates_json(segment, &stat, rates, hit_rate(passed), passed_ms);
    } else {
        print_rates(watch, segment, &stat, rates, hit_rate(passed));
    }
}

static void begin(struct watch *watch, const struct segment *segment)
{
    struct cache_stat stat;

    watch->since_ms = clock_now_ms();
    cache_stat(&segment->cache, watch->since_ms, &stat);
    for (size_t i = 0; i < CACHE_COUNTS; i++) {
        watch->counts[i] = stat.counts[i];
    }
}

/* An interrupt is how watching ends: no failure. SIGTERM stays what it is. */
static int end_watch(const struct cli *cli)
{
    if (!cli->in_shell) {
        cli_signal_clear();
    }
    return CLI_DONE;
}

int cli_cache_stat(struct cli *cli, struct segment *segment, uint64_t watch_ms)
{
    struct watch watch = {0};
    int code = CLI_DONE;

    if (watch_ms == 0) {
        print_once(cli, segment);
        segment_close(segment);
        return CLI_DONE;
    }
    begin(&watch, segment);
    while (code == CLI_DONE) {
        if (!client_wait(cli->db, NULL, watch_ms)) {
            code = end_watch(cli);
            break;
        }
        if (!segment_is_current(segment)) {
            segment_close(segment);
            segment = NULL;
            code = cli_cache_open(cli, "cache stat", &segment);
            if (code != CLI_DONE) {
                return code;
            }
            begin(&watch, segment);
            continue;
        }
        print_interval(cli, &watch, segment);
        code = cli_flush();
    }
    segment_close(segment);
    return code;
}
