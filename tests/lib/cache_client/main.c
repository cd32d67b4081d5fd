/* cache-client: a program that uses the library as hard as it can, and records what it saw.
 *
 *     cache-client --manager M --keys K,K,... [OPTION VALUE]...
 *
 * Reads and writes the keys at random, back to back in bursts, until SIGTERM or for --seconds. All
 * values say what they are (value.h), and each is looked at: a wrong one ends the program with exit
 * code 4. --history names the file for what was done (record.h). On SIGUSR1 the process forks,
 * once; the child checks that it has one thread, goes on with a handle of its own that runs no
 * agent, as process + 50000 and with a record in FILE.child.
 *
 * --blocks N: once the first key is served from the shared cache, N blocks of 10,000 GETs of it,
 * each between two writes to a closed descriptor that a tracer sees (`block begins`, `block ends`).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/cache_client/work.h"

static volatile sig_atomic_t stopped, forking;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static void fork_soon(int number)
{
    (void)number;
    forking = 1;
}

enum { LETTERS = 256 };

static const struct option options[] = {
    {"manager", required_argument, NULL, 'm'},  {"keys", required_argument, NULL, 'k'},
    {"history", required_argument, NULL, 'h'},  {"process", required_argument, NULL, 'p'},
    {"seed", required_argument, NULL, 's'},     {"seconds", required_argument, NULL, 't'},
    {"reads", required_argument, NULL, 'r'},    {"burst", required_argument, NULL, 'b'},
    {"pause-us", required_argument, NULL, 'u'}, {"rest-ms", required_argument, NULL, 'R'},
    {"ttl-ms", required_argument, NULL, 'T'},   {"value-max", required_argument, NULL, 'v'},
    {"sample", required_argument, NULL, 'S'},   {"count", required_argument, NULL, 'c'},
    {"blocks", required_argument, NULL, 'B'},   {"no-cache", no_argument, NULL, 'C'},
    {"no-agent", no_argument, NULL, 'A'},       {NULL, 0, NULL, 0},
};

static int fail(const char *what)
{
    fprintf(stderr, "ERROR: cache-client: %s\n", what);
    return 2;
}

/* Splits the list in place. */
static uint32_t split_keys(char *list, const char **keys)
{
    uint32_t count = 0;
    for (char *at = list; at != NULL && *at != '\0' && count < RECORD_KEYS_MAX;) {
        char *comma = strchr(at, ',');
        keys[count++] = at;
        if (comma != NULL)
            *comma++ = '\0';
        at = comma;
    }
    return count;
}

static void take_option(struct work_options *work, int letter, char *text, const char **keys)
{
    uint64_t *numbers[LETTERS] = {
        ['p'] = &work->process, ['s'] = &work->seed,   ['t'] = &work->seconds,
        ['r'] = &work->reads,   ['b'] = &work->burst,  ['u'] = &work->pause_us,
        ['R'] = &work->rest_ms, ['T'] = &work->ttl_ms, ['v'] = &work->value_max,
        ['S'] = &work->sample,  ['c'] = &work->count,  ['B'] = &work->blocks,
    };
    if (letter == 'm')
        work->manager = text;
    else if (letter == 'h')
        work->history = text;
    else if (letter == 'k')
        work->keys_count = split_keys(text, keys);
    else if (letter == 'C')
        work->no_cache = true;
    else if (letter == 'A')
        work->no_agent = true;
    else
        *numbers[letter] = strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
    static const char *keys[RECORD_KEYS_MAX];
    struct work_options work = {.keys = keys,
                                .reads = 100,
                                .burst = 500,
                                .pause_us = 1000,
                                .value_max = 200,
                                .sample = 200,
                                .stopped = &stopped,
                                .forking = &forking};
    for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (letter == '?')
            return 2;
        take_option(&work, letter, optarg, keys);
    }
    if (optind < argc || work.manager == NULL || work.keys_count == 0)
        return fail("usage: cache-client --manager M --keys K,K,... [OPTION VALUE]...");
    if (work.burst == 0 || work.sample == 0 || work.value_max > VALUE_LENGTH_MAX)
        return fail("burst and sample: from 1; value-max: up to 8192");
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = fork_soon;
    sigaction(SIGUSR1, &action, NULL);
    return work.blocks > 0 ? work_blocks(&work) : work_run(&work);
}
