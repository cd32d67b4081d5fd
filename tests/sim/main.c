/* The simulator's command line: many seeds over several processes, one seed with its trace,
 * scenarios, and the proof that breaking a rule is noticed. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/sim/rules.h"
#include "tests/sim/sim.h"

enum {
    JOBS_MAX = 64,
    SEEDS_DEFAULT = 200,
    SELF_TEST_SEEDS = 3000,
    TRACE_LINES = 60,
    MMAP_BYTES = 128 << 10
};

struct options {
    uint64_t seeds, first, seed;
    bool has_seed, trace, messages, self_test;
    uint32_t jobs;
    const char *scenario;
};

/* What a worker process leaves for the one that started it. */
struct worker {
    pid_t pid;
    enum broken_rule rule;
    uint64_t seed; /* the present one */
    uint64_t done;
    bool failed;
    char violation[512];
    struct counters_of counters;
};

typedef unsigned long long ull;

static const char usage[] =
    "usage: sim [--seeds N] [--first S] [--jobs N] [--break RULE]   run N seeds from S on\n"
    "       sim --seed S [--trace | --messages] [--break RULE]      run one\n"
    "       sim --scenario FILE... [--trace]                        run scripted ones\n"
    "       sim --self-test [--seeds N] [--jobs N]                  break each rule: found?\n"
    "       sim --list-rules | --help\n"
    "\n"
    "A seed decides a cluster, its clients and what befalls them. In three of five seeds clients "
    "run\n"
    "on machines with shared caches, whose agents and segments fail, too: the line `caches` of "
    "the\n"
    "summary counts what was reached. Scenarios: tests/sim/scenarios/README.\n";

/* --- one run
 * -------------------------------------------------------------------------------------- */

static void add_counters(struct counters_of *to, const struct counters_of *from)
{
    uint64_t *sums = (uint64_t *)to;
    const uint64_t *numbers = (const uint64_t *)from;

    _Static_assert(sizeof *to % sizeof *sums == 0, "numbers only");
    for (size_t i = 0; i < sizeof *to / sizeof *sums; i++)
        sums[i] += numbers[i];
}

static bool run_seed(struct sim *sim, uint64_t seed, bool tracing, bool messages)
{
    bool passed;

    sim_init(sim, seed, tracing);
    sim->trace_messages = messages;
    plan_draw(sim);
    TRACE(sim, "seed %llu: servers %u, partitions %u, copies %u, clients %u", (ull)seed,
          sim->plan.servers, sim->plan.partitions, sim->plan.replicas, sim->plan.clients);
    passed = sim_run(sim);
    sim_free(sim);
    return passed;
}

static bool run_script(struct sim *sim, struct script *script, bool tracing)
{
    bool passed;

    sim_init(sim, script_seed(script), tracing);
    script_plan(script, &sim->plan);
    script_begin(sim, script);
    passed = sim_run(sim);
    sim_free(sim);
    return passed;
}

/* --- workers
 * --------------------------------------------------------------------------------------- */

static double seconds(void)
{
    return (double)clock_now_ms() / 1000;
}

static struct worker *share_workers(size_t count)
{
    void *memory = mmap(NULL, count * sizeof(struct worker), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(memory != MAP_FAILED);
    return memory;
}

static _Noreturn void work(struct worker *worker, uint64_t first, uint64_t step, uint64_t end)
{
    struct sim *sim = calloc(1, sizeof *sim);

    CHECK(sim != NULL);
    cairn_broken_rule = worker->rule;
    if (worker->rule != BROKEN_NONE)
        (void)freopen("/dev/null", "w", stderr); /* aborts are expected */
    for (worker->seed = first; worker->seed < end; worker->seed += step) {
        bool passed = run_seed(sim, worker->seed, false, false);

        worker->done++;
        add_counters(&worker->counters, &sim->counters);
        if (!passed) {
            memcpy(worker->violation, sim->violation, sizeof worker->violation);
            worker->failed = true;
            _exit(1);
        }
    }
    _exit(0);
}

static void start_worker(struct worker *worker, uint64_t first, uint64_t step, uint64_t end)
{
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        work(worker, first, step, end);
    worker->pid = pid;
}

/* Waits for any one of ours to end; NULL: none is left. A process that died failed, too. */
static struct worker *await_worker(struct worker *workers, size_t count)
{
    int status;
    pid_t pid = wait(&status);

    for (size_t i = 0; i < count && pid > 0; i++) {
        struct worker *worker = &workers[i];

        if (worker->pid != pid)
            continue;
        worker->pid = 0;
        if (!worker->failed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
            worker->failed = true;
            (void)snprintf(worker->violation, sizeof worker->violation,
                           "the process died of %s %d (a CHECK, or a sanitizer)",
                           WIFSIGNALED(status) ? "signal" : "status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        return worker;
    }
    return NULL;
}

/* The last lines of the seed's trace, from a run of its own. */
static void print_end_of_trace(uint64_t seed, enum broken_rule rule)
{
    static char lines[TRACE_LINES][256];
    size_t count = 0;
    int pipes[2];
    FILE *file;
    pid_t pid;

    CHECK(pipe(pipes) == 0);
    (void)fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct sim *sim = calloc(1, sizeof *sim);

        CHECK(sim != NULL && dup2(pipes[1], STDOUT_FILENO) >= 0);
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        (void)close(pipes[0]);
        cairn_broken_rule = rule;
        (void)run_seed(sim, seed, true, false);
        (void)fflush(stdout);
        _exit(0);
    }
    (void)close(pipes[1]);
    file = fdopen(pipes[0], "r");
    CHECK(file != NULL);
    while (fgets(lines[count % TRACE_LINES], sizeof lines[0], file) != NULL)
        count++;
    (void)fclose(file);
    (void)waitpid(pid, NULL, 0);
    for (size_t i = count < TRACE_LINES ? 0 : count - TRACE_LINES; i < count; i++)
        (void)printf("  %s", lines[i % TRACE_LINES]);
}

/* --- reports
 * ---------------------------------------------------------------------------------------- */

static void print_totals(const struct counters_of *totals, double wall)
{
    (void)printf("seeds %llu, operations checked %llu, events %llu, simulated hours %.2f, wall "
                 "seconds %.1f (%.1f ms a seed)\n",
                 (ull)totals->seeds, (ull)totals->operations, (ull)totals->events,
                 (double)totals->simulated_us / 3.6e9, wall,
                 totals->seeds > 0 ? 1000 * wall / (double)totals->seeds : 0);
    (void)printf("faults:");
    for (uint32_t i = 0; i < FAULT_KINDS; i++)
        (void)printf(" %s %llu%s", fault_names[i], (ull)totals->faults[i],
                     i + 1 < FAULT_KINDS ? "," : "\n");
    (void)printf("network: lost %llu, doubled %llu, late %llu; torn tails %llu\n",
                 (ull)totals->lost, (ull)totals->duplicated, (ull)totals->late, (ull)totals->torn);
    (void)printf("reached: commits %llu, promotions %llu, takeovers %llu, proposals %llu, removals "
                 "%llu, installs %llu, truncations %llu, answers withheld %llu, partitions lost "
                 "%llu\n",
                 (ull)totals->commits, (ull)totals->promotions, (ull)totals->takeovers,
                 (ull)totals->proposals, (ull)totals->removals, (ull)totals->installs,
                 (ull)totals->truncations, (ull)totals->serving_waits,
                 (ull)totals->lost_partitions);
    (void)printf("caches: hits %llu, misses %llu, granted %llu, fills %llu, refused %llu, "
                 "invalidations %llu, replies held %llu, sessions lapsed %llu, agents %llu, killed "
                 "within a change %llu\n",
                 (ull)totals->hits, (ull)totals->misses, (ull)totals->granted, (ull)totals->fills,
                 (ull)totals->fills_refused, (ull)totals->invalidations, (ull)totals->held,
                 (ull)totals->lapses, (ull)totals->agents, (ull)totals->deaths);
}

static void print_violation(const struct worker *worker)
{
    (void)printf("VIOLATION seed %llu: %s\n", (ull)worker->seed, worker->violation);
    print_end_of_trace(worker->seed, worker->rule);
    (void)printf("VIOLATION seed %llu: %s\nagain with the whole trace: sim --seed %llu --trace\n",
                 (ull)worker->seed, worker->violation, (ull)worker->seed);
}

/* --- modes
 * ------------------------------------------------------------------------------------------- */

static void stop_workers(struct worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (workers[i].pid > 0)
            (void)kill(workers[i].pid, SIGTERM);
}

static int run_many(const struct options *options, enum broken_rule rule)
{
    struct worker *workers = share_workers(options->jobs), *ended;
    const struct worker *failed = NULL;
    struct counters_of totals = {0};
    double begun = seconds();

    for (uint32_t i = 0; i < options->jobs; i++) {
        workers[i].rule = rule;
        start_worker(&workers[i], options->first + i, options->jobs,
                     options->first + options->seeds);
    }
    while ((ended = await_worker(workers, options->jobs)) != NULL)
        if (ended->failed && failed == NULL) {
            failed = ended;
            stop_workers(workers, options->jobs);
        }
    for (uint32_t i = 0; i < options->jobs; i++)
        add_counters(&totals, &workers[i].counters);
    if (failed != NULL)
        print_violation(failed);
    print_totals(&totals, seconds() - begun);
    return failed != NULL ? 1 : 0;
}

static int run_one(const struct options *options, enum broken_rule rule)
{
    struct sim *sim = calloc(1, sizeof *sim);
    bool passed;

    CHECK(sim != NULL);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    cairn_broken_rule = rule;
    passed = run_seed(sim, options->seed, options->trace, options->messages);
    (void)printf("seed %llu: %s\n", (ull)options->seed, passed ? "no violation" : sim->violation);
    print_totals(&sim->counters, 0);
    sim_close(sim);
    return passed ? 0 : 1;
}

static int run_scenarios(const struct options *options, char *const *paths, int count)
{
    struct sim *sim = calloc(1, sizeof *sim);
    int failures = 0;

    CHECK(sim != NULL);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < count; i++) {
        struct script *script;
        bool passed;

        if (script_load(paths[i], &script) != 0)
            return 2;
        passed = run_script(sim, script, options->trace);
        (void)printf("%s %s%s%s\n", passed ? "PASS" : "FAIL", paths[i], passed ? "" : ": ",
                     passed ? "" : sim->violation);
        failures += passed ? 0 : 1;
        script_free(script);
    }
    sim_close(sim);
    return failures > 0 ? 1 : 0;
}

static int report_rule(const struct worker *worker, uint64_t limit)
{
    const char *name = rule_name(worker->rule);

    if (worker->failed)
        (void)printf("%-12s %7llu  %s\n             %7s  %.120s\n", name, (ull)worker->done + 1,
                     rule_what(worker->rule), "", worker->violation);
    else
        (void)printf("%-12s  NOT FOUND in %llu seeds: %s\n", name, (ull)limit,
                     rule_what(worker->rule));
    (void)fflush(stdout);
    return worker->failed ? 0 : 1;
}

/* Each switch by one worker, so that the number of seeds needed is the same every time. */
static int self_test(const struct options *options)
{
    struct worker *workers = share_workers(BROKEN_COUNT), *ended;
    uint32_t next = BROKEN_NONE + 1, running = 0;
    int missed = 0;

    (void)printf("%-12s %7s  %s\n", "rule", "seeds", "what is broken, and what was noticed");
    while (next < BROKEN_COUNT || running > 0) {
        while (next < BROKEN_COUNT && running < options->jobs) {
            workers[next].rule = (enum broken_rule)next;
            start_worker(&workers[next], options->first, 1, options->first + options->seeds);
            running++;
            next++;
        }
        ended = await_worker(workers, BROKEN_COUNT);
        CHECK(ended != NULL);
        running--;
        missed += report_rule(ended, options->seeds);
    }
    (void)printf("%d of %d broken rules were not noticed\n", missed, BROKEN_COUNT - 1);
    return missed > 0 ? 1 : 0;
}

static int list_rules(void)
{
    for (uint32_t i = 1; i < BROKEN_COUNT; i++)
        (void)printf("%-12s %s\n", rule_name((enum broken_rule)i), rule_what((enum broken_rule)i));
    return 0;
}

static int bad_usage(void)
{
    (void)fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"seeds", required_argument, NULL, 'n'}, {"first", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},  {"jobs", required_argument, NULL, 'j'},
        {"break", required_argument, NULL, 'b'}, {"trace", no_argument, NULL, 't'},
        {"self-test", no_argument, NULL, 'T'},   {"scenario", no_argument, NULL, 'S'},
        {"list-rules", no_argument, NULL, 'l'},  {"messages", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    struct options options = {.first = 1, .jobs = 1};
    enum broken_rule rule = BROKEN_NONE;
    bool scenarios = false;
    int letter;

    /* A lease core's tables come as pages of zeros, and most of them are never touched. */
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;

        if (letter == 'n')
            options.seeds = number;
        else if (letter == 'f')
            options.first = number;
        else if (letter == 'j' && number >= 1 && number <= JOBS_MAX)
            options.jobs = (uint32_t)number;
        else if (letter == 's' && (options.has_seed = true))
            options.seed = number;
        else if (letter == 'b' && (rule = rule_of(optarg)) != BROKEN_COUNT)
            continue;
        else if (letter == 't')
            options.trace = true;
        else if (letter == 'm')
            options.trace = options.messages = true;
        else if (letter == 'T')
            options.self_test = true;
        else if (letter == 'S')
            scenarios = true;
        else if (letter == 'l')
            return list_rules();
        else if (letter == 'h')
            return fputs(usage, stdout) < 0;
        else
            return bad_usage();
    }
    if (options.seeds == 0)
        options.seeds = options.self_test ? SELF_TEST_SEEDS : SEEDS_DEFAULT;
    cairn_broken_rule = rule;
    if (scenarios)
        return run_scenarios(&options, argv + optind, argc - optind);
    if (options.self_test)
        return self_test(&options);
    return options.has_seed ? run_one(&options, rule) : run_many(&options, rule);
}
