/* The command cache: what an operator does to the memory that this host's processes share.
 *
 * The segment is found by the managers' list, as clients find it, so that nothing of the cluster
 * need be up; only a list by which nobody came here before makes it ask a manager. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "client/cli.h"
#include "client/handle.h"
#include "client/host.h"
#include "client/segment.h"

enum { ASK_LIMIT_MS = 3000 };

#define SECONDS_LIMIT 86400.0
#define FOLDER        "/dev/shm" /* where shm_open keeps what it names */

static const char *name_of(const struct cli *cli)
{
    return cli->options.cache_name != NULL ? cli->options.cache_name : "";
}

/* --- finding ----------------------------------------------------------------------------------
 */

/* The cluster as a manager tells it: CLI_DONE, or CLI_INVALID after an error line. */
static int ask_cluster(struct cli *cli, const char *command, uint64_t *cluster)
{
    uint64_t limit_ms = cli->options.timeout_ms;

    if (!cli->options.timeout_given || limit_ms == 0) {
        limit_ms = ASK_LIMIT_MS;
    }
    cairn_set_timeout(cli->db, limit_ms);
    int status = managers_await(cli->db, command, client_deadline(cli->db));
    if (status == CAIRN_OK) {
        *cluster = cli->db->route.cluster;
        return CLI_DONE;
    }
    if (status == CAIRN_ECANCELED && cli_signal_caught() != 0) {
        return cli_failure(cli, status);
    }
    return cli_error(CLI_INVALID, "%s; nor does this host know a cache of these managers",
                     cairn_errmsg(cli->db));
}

struct wanted {
    uint64_t cluster;
    const char *name;
    char path[SEGMENT_PATH_MAX]; /* empty: not found */
};

static bool is_wanted(void *context, const struct segment_listing *listing)
{
    struct wanted *wanted = context;

    if (listing->cluster != wanted->cluster || strcmp(listing->name, wanted->name) != 0) {
        return true;
    }
    snprintf(wanted->path, sizeof(wanted->path), "%s", listing->path);
    return false;
}

static bool find_path(const struct cli *cli, uint64_t cluster, char path[SEGMENT_PATH_MAX])
{
    struct wanted wanted = {.cluster = cluster, .name = name_of(cli)};

    segment_list(is_wanted, &wanted);
    snprintf(path, SEGMENT_PATH_MAX, "%s", wanted.path);
    return path[0] != '\0';
}

static int none(const struct cli *cli, const char *command, uint64_t cluster)
{
    bool named = name_of(cli)[0] != '\0';

    return cli_error(CLI_NEGATIVE, "%s: this host has no cache of cluster %016" PRIx64 "%s%s",
                     command, cluster, named ? " with the name " : "", name_of(cli));
}

int cli_cache_open(struct cli *cli, const char *command, struct segment **segment)
{
    struct error error = {0};
    char path[SEGMENT_PATH_MAX];
    uint64_t cluster = 0;
    uint64_t bytes = cli->options.cache_bytes; /* of what replaces one that cannot be used */
    bool replaced = false;

    if (segment_find(name_of(cli), host_managers_hash(cli->options.managers), segment) ==
        CAIRN_OK) {
        return CLI_DONE;
    }
    int code = ask_cluster(cli, command, &cluster);
    if (code != CLI_DONE) {
        return code;
    }
    if (!find_path(cli, cluster, path)) {
        return none(cli, command, cluster);
    }
    if (segment_open(name_of(cli), cluster, bytes, segment, &replaced, &error) != CAIRN_OK) {
        return cli_error(CLI_INVALID, "%s: %s", command, error.message);
    }
    return CLI_DONE;
}

/* --- stat, clear --------------------------------------------------------------------------------
 */

/* SECONDS of --watch; without it one. */
static int parse_seconds(const struct cli *cli, const struct cli_words *words, uint64_t *watch_ms)
{
    double seconds = 1;
    char *end = NULL;

    *watch_ms = 0;
    if (words->count > 2 && !cli->options.watch) {
        return cli_error(CLI_INVALID, "cache stat: takes SECONDS only with --watch");
    }
    if (words->count > 2) {
        seconds = strtod(words->words[2], &end);
    }
    if (words->count > 2 && (end == words->words[2] || *end != '\0' || !isfinite(seconds) ||
                             seconds < 0.1 || seconds > SECONDS_LIMIT)) {
        return cli_error(CLI_INVALID,
                         "cache stat: '%.64s' is not a number of seconds from 0.1 to %.0f",
                         words->words[2], SECONDS_LIMIT);
    }
    *watch_ms = cli->options.watch ? (uint64_t)(seconds * 1000) : 0;
    return CLI_DONE;
}

static int run_stat(struct cli *cli, const struct cli_words *words)
{
    struct segment *segment;
    uint64_t watch_ms;
    int code = parse_seconds(cli, words, &watch_ms);

    if (code == CLI_DONE) {
        code = cli_cache_open(cli, "cache stat", &segment);
    }
    return code != CLI_DONE ? code : cli_cache_stat(cli, segment, watch_ms);
}

/* Readers compare the generation, so whoever raises it voids all there is (C1, C6). */
static int run_clear(struct cli *cli, const struct cli_words *words)
{
    struct segment *segment;
    struct cache_stat stat;
    int code = cli_cache_open(cli, "cache clear", &segment);

    (void)words;
    if (code != CLI_DONE) {
        return code;
    }
    cache_stat(&segment->cache, clock_now_ms(), &stat);
    cache_raise_generation(&segment->cache);
    if (cli->options.json) {
        cli_json_print(json_pack("{s:I}", "entries", (json_int_t)stat.entries));
    } else {
        printf("%" PRIu64 " %s voided\n", stat.entries, stat.entries == 1 ? "entry" : "entries");
    }
    segment_close(segment);
    return CLI_DONE;
}

/* --- unlink -------------------------------------------------------------------------------------
 */

struct removal {
    const struct cli *cli;
    json_t *paths;
    unsigned failures;
};

static void remove_path(struct removal *removal, const char *path)
{
    int status = segment_unlink(path);

    if (status == CAIRN_ENOTFOUND) { /* somebody was faster */
        return;
    }
    if (status != CAIRN_OK) {
        removal->failures++;
        (void)cli_error(CLI_INVALID, "cache unlink: " FOLDER "%s: %s", path, strerror(errno));
        return;
    }
    json_array_append_new(removal->paths, json_sprintf(FOLDER "%s", path));
    if (!removal->cli->options.json) {
        printf("unlinked " FOLDER "%s\n", path);
    }
}

static bool remove_listed(void *context, const struct segment_listing *listing)
{
    remove_path(context, listing->path);
    return true;
}

static unsigned remove_all(struct removal *removal)
{
    segment_list(remove_listed, removal);
    unsigned stale = segment_unlink_stale();
    if (stale > 0 && !removal->cli->options.json) {
        printf("unlinked %u that earlier processes left\n", stale);
    }
    return stale;
}

/* Also one that cannot be used any more: for that the cluster is asked for. */
static int remove_one(struct cli *cli, struct removal *removal)
{
    char path[SEGMENT_PATH_MAX];
    struct segment *segment;
    uint64_t cluster = 0;

    if (segment_find(name_of(cli), host_managers_hash(cli->options.managers), &segment) ==
        CAIRN_OK) {
        snprintf(path, sizeof(path), "%s", segment->path);
        segment_close(segment);
        remove_path(removal, path);
        return CLI_DONE;
    }
    int code = ask_cluster(cli, "cache unlink", &cluster);
    if (code == CLI_DONE && find_path(cli, cluster, path)) {
        remove_path(removal, path);
    }
    return code;
}

static int run_unlink(struct cli *cli, const struct cli_words *words)
{
    struct removal removal = {.cli = cli, .paths = json_array()};
    unsigned stale = 0;
    int code = CLI_DONE;

    (void)words;
    if (cli->options.all) {
        stale = remove_all(&removal);
    } else {
        code = remove_one(cli, &removal);
    }
    bool nothing = json_array_size(removal.paths) == 0 && stale == 0 && removal.failures == 0;
    if (cli->options.json && code == CLI_DONE) {
        cli_json_print(
            json_pack("{s:O, s:I}", "unlinked", removal.paths, "stale", (json_int_t)stale));
    } else if (nothing && code == CLI_DONE) {
        puts(cli->options.all ? "this user has no cache on this host"
                              : "this host has no such cache");
    }
    json_decref(removal.paths);
    return removal.failures > 0 ? CLI_INVALID : code;
}

/* --- the command --------------------------------------------------------------------------------
 */

struct cache_command {
    const char *name;
    int arguments_max;
    const char *options;
    int (*run)(struct cli *cli, const struct cli_words *words);
};

static const struct cache_command commands[] = {
    {"stat", 1, "watch", run_stat},
    {"clear", 0, "", run_clear},
    {"unlink", 0, "all", run_unlink},
};

static const struct cache_command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

int cli_cache_check(const struct cli *cli, const struct cli_words *words)
{
    const struct cache_command *command = find(words->words[1]);
    struct error error = {0};
    char name[32];
    uint64_t watch_ms;

    if (command == NULL) {
        return cli_error(CLI_INVALID, "cache %.64s: unknown; there are stat, clear, unlink",
                         words->words[1]);
    }
    snprintf(name, sizeof(name), "cache %s", command->name);
    if (words->count - 2 > command->arguments_max) {
        return cli_error(CLI_INVALID, "%s: takes %s, %d arguments are given", name,
                         command->arguments_max == 0 ? "no arguments" : "[--watch [SECONDS]]",
                         words->count - 2);
    }
    if (cli_options_check(&cli->options, name, command->options, &error) != CAIRN_OK) {
        return cli_error(CLI_INVALID, "%s", error.message);
    }
    return command->run == run_stat ? parse_seconds(cli, words, &watch_ms) : CLI_DONE;
}

int cli_cache(struct cli *cli, const struct cli_words *words)
{
    const struct cache_command *command = find(words->words[1]);

    CHECK(command != NULL); /* cli_cache_check has seen it */
    return command->run(cli, words);
}
