/* The program's options: one table for all commands, so that options may stand anywhere. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/options.h"
#include "client/cli.h"
#include "client/segment.h"
#include "proto/limits.h"

enum { SPECS_MAX = 24 };

#define CACHE_SIZE_MAX (UINT64_C(1) << 40)

/* Copies a table behind what is there already; returns how many there are then. */
static size_t add_specs(struct option_spec *specs, size_t count, const struct option_spec *more,
                        size_t more_count)
{
    CHECK(count + more_count <= SPECS_MAX);
    memcpy(specs + count, more, more_count * sizeof(*more));
    return count + more_count;
}

static size_t add_data_specs(struct cli_options *o, struct option_spec *specs, size_t count)
{
    const struct option_spec here[] = {
        {.name = "json", .kind = OPTION_FLAG, .target = &o->json, .help = "print JSON"},
        {.name = "hex",
         .kind = OPTION_FLAG,
         .target = &o->hex,
         .help = "keys and values are hexadecimal"},
        {.name = "timeout",
         .kind = OPTION_NUMBER,
         .target = &o->timeout_ms,
         .maximum = UINT64_C(1) << 53,
         .value = "MS",
         .given = &o->timeout_given,
         .help = "limit of one command, in scan of each page; 0: for ever (default 10000; "
                 "workload: 0)"},
        {.name = "if-version",
         .kind = OPTION_NUMBER,
         .target = &o->if_version,
         .maximum = UINT64_MAX,
         .value = "VERSION",
         .given = &o->if_version_given,
         .help = "put: only if the key's version is this; 0: only if absent"},
        {.name = "ttl",
         .kind = OPTION_NUMBER,
         .target = &o->ttl_s,
         .maximum = UINT64_C(1) << 42,
         .value = "SECONDS",
         .given = &o->ttl_given,
         .help = "put: the key expires after this time; 0: never (default)"},
        {.name = "with-version",
         .kind = OPTION_FLAG,
         .target = &o->with_version,
         .help = "get: print VERSION<TAB>VALUE"},
        {.name = "limit",
         .kind = OPTION_NUMBER,
         .target = &o->limit,
         .minimum = 1,
         .maximum = UINT64_MAX,
         .value = "N",
         .given = &o->limit_given,
         .help = "scan: print at most N pairs (default all)"},
    };

    return add_specs(specs, count, here, sizeof(here) / sizeof(here[0]));
}

static size_t add_admin_specs(struct cli_options *o, struct option_spec *specs, size_t count)
{
    const struct option_spec here[] = {
        {.name = "dry-run",
         .kind = OPTION_FLAG,
         .target = &o->dry_run,
         .help = "admin: say what would be done, change nothing"},
        {.name = "no-wait",
         .kind = OPTION_FLAG,
         .target = &o->no_wait,
         .help = "admin: do not wait until the copies have moved"},
        {.name = "accept-data-loss",
         .kind = OPTION_FLAG,
         .target = &o->accept_data_loss,
         .help = "admin unsafe-recover: needed"},
        {.name = "from",
         .kind = OPTION_NUMBER,
         .target = &o->from,
         .maximum = CAIRN_SERVERS_LIMIT - 1,
         .value = "SERVER",
         .given = &o->from_given,
         .help = "admin unsafe-recover: whose copy (default: the manager chooses)"},
    };

    return add_specs(specs, count, here, sizeof(here) / sizeof(here[0]));
}

static size_t add_cache_specs(struct cli_options *o, struct option_spec *specs, size_t count)
{
    const struct option_spec here[] = {
        {.name = "watch",
         .kind = OPTION_FLAG,
         .target = &o->watch,
         .help = "cache stat: print what happens, until interrupted"},
        {.name = "all",
         .kind = OPTION_FLAG,
         .target = &o->all,
         .help = "cache unlink: every cache of this user"},
    };

    return add_specs(specs, count, here, sizeof(here) / sizeof(here[0]));
}

/* Where the shell is connected does not change within it. */
static size_t add_connection_specs(struct cli_options *o, struct option_spec *specs, size_t count)
{
    const struct option_spec here[] = {
        {.name = "manager",
         .kind = OPTION_STRING,
         .target = &o->managers,
         .value = "HOST:PORT,...",
         .help = "the cluster's managers"},
        {.name = "server",
         .kind = OPTION_STRING,
         .target = &o->managers,
         .value = "HOST:PORT,...",
         .help = "another name for --manager",
         .is_alias = true},
        {.name = "no-cache",
         .kind = OPTION_FLAG,
         .target = &o->no_cache,
         .help = "do not use the host's shared cache"},
        {.name = "cache-size",
         .kind = OPTION_BYTES,
         .target = &o->cache_bytes,
         .maximum = CACHE_SIZE_MAX,
         .value = "BYTES",
         .given = &o->cache_bytes_given,
         .help = "of the shared cache, if this process creates it; 0: use none"},
        {.name = "cache-name",
         .kind = OPTION_STRING,
         .target = &o->cache_name,
         .value = "NAME",
         .help = "share a cache only with those who give the same name"},
    };

    return add_specs(specs, count, here, sizeof(here) / sizeof(here[0]));
}

static size_t fill_specs(struct cli_options *o, bool in_shell, struct option_spec *specs)
{
    size_t count = add_data_specs(o, specs, 0);

    count = add_admin_specs(o, specs, count);
    count = add_cache_specs(o, specs, count);
    return in_shell ? count : add_connection_specs(o, specs, count);
}

/* What the table of options cannot say of the cache's. */
static int check_cache(struct cli_options *options, struct error *error)
{
    const char *name = options->cache_name;

    if (options->cache_bytes_given && options->cache_bytes == 0) {
        options->no_cache = true;
    } else if (options->cache_bytes_given && options->cache_bytes < CACHE_BYTES_MIN) {
        return error_set(error, CAIRN_EINVAL,
                         "cache-size: %" PRIu64 " bytes: less than %dM, the least; 0: no cache",
                         options->cache_bytes, CACHE_BYTES_MIN >> 20);
    }
    if (name != NULL && (strlen(name) > SEGMENT_NAME_LIMIT ||
                         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789_.-") != strlen(name))) {
        return error_set(error, CAIRN_EINVAL,
                         "cache-name: '%.64s' is not 1 to %d letters, digits, '_', '.', '-'", name,
                         SEGMENT_NAME_LIMIT);
    }
    return CAIRN_OK;
}

int cli_options_parse(struct cli_options *options, int argc, char **argv, bool in_shell,
                      struct cli_words *words, bool *leave, struct error *error)
{
    struct option_spec specs[SPECS_MAX];
    enum options_result result = OPTIONS_RUN;
    size_t count = fill_specs(options, in_shell, specs);

    words->count = 0;
    words->words = argv + 1;
    const struct options_usage *usage = cli_usage(in_shell ? 0 : argc, argv);
    int status =
        options_parse(usage, specs, count, argc, argv, false, &words->count, &result, error);
    *leave = result == OPTIONS_EXIT;
    return status != CAIRN_OK ? status : check_cache(options, error);
}

static bool takes_option(const char *takes, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = takes; (at = strstr(at, name)) != NULL; at += length) {
        bool begins = at == takes || at[-1] == ' ';
        bool ends = at[length] == '\0' || at[length] == ' ';
        if (begins && ends) {
            return true;
        }
    }
    return false;
}

/* What the environment sets for all commands is no mistake in one that does not take it. */
static bool from_environment(const char *name)
{
    char variable[64];

    snprintf(variable, sizeof(variable), "CAIRN_%s", name);
    for (char *at = variable; *at != '\0'; at++) {
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    }
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

int cli_options_check(const struct cli_options *options, const char *command, const char *takes,
                      struct error *error)
{
    const struct {
        const char *name;
        bool given;
    } given[] = {
        {"if-version", options->if_version_given},
        {"ttl", options->ttl_given},
        {"limit", options->limit_given},
        {"with-version", options->with_version},
        {"dry-run", options->dry_run},
        {"no-wait", options->no_wait},
        {"accept-data-loss", options->accept_data_loss},
        {"from", options->from_given},
        {"watch", options->watch},
        {"all", options->all},
    };

    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        if (given[i].given && !takes_option(takes, given[i].name) &&
            !from_environment(given[i].name)) {
            return error_set(error, CAIRN_EINVAL, "--%s: not an option of %s", given[i].name,
                             command);
        }
    }
    return CAIRN_OK;
}
