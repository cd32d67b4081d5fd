/* The program's options: one table for all commands, so that options may stand anywhere. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/options.h"
#include "client/cli.h"
#include "proto/limits.h"

enum { SPECS_MAX = 20 };

static const char summary[] =
    "Usage: cairn [OPTION]... COMMAND [ARGUMENT]...\n"
    "Talks to a Cairn cluster.\n"
    "\n"
    "Commands:\n"
    "  put KEY VALUE     write; prints `PUT KEY found` or `PUT KEY not_found` (whether it "
    "existed)\n"
    "  get KEY           print the value and a newline\n"
    "  swap KEY VALUE    write; prints the old value, or `null`\n"
    "  delete KEY...     remove; prints how many existed\n"
    "  scan FROM TO      print KEY<TAB>VALUE lines, both ends inclusive; '' leaves an end open\n"
    "  status            print the cluster: servers, partitions, primaries, epochs, lag\n"
    "  admin COMMAND     move partitions, drain, add and remove servers: see cairn admin --help\n"
    "  workload          calls from stdin, one a line, answers on stdout; the default if stdin is\n"
    "                    no terminal\n"
    "  shell             interactive; the default on a terminal\n"
    "  help              print this\n"
    "\n"
    "A VALUE of `-` is read from stdin. Keys have 1 to 480 bytes, values up to 1048576.\n";

static const char epilog[] =
    "With --hex keys and values are hexadecimal, as arguments and in what is printed; a VALUE of\n"
    "`-` still reads raw bytes. With --json bytes that are no UTF-8 are hexadecimal in a member\n"
    "named key_hex or value_hex. Workload mode has its own format whatever --json and --hex say; "
    "a\n"
    "value or key in it that is no printable ASCII word is printed with \\xNN for each such byte\n"
    "and for each backslash.\n"
    "\n"
    "Exit status: 0 done; 1 not found, or version mismatch; 2 invalid input, or a needed resource\n"
    "or server is unavailable; 3 timed out or outcome unknown; 130 and 143 after SIGINT and\n"
    "SIGTERM. In workload mode: 0 after STOP; at the end of the input 0, or what the last failed\n"
    "call would have given.\n";

static const char admin_summary[] =
    "Usage: cairn [OPTION]... admin COMMAND [ARGUMENT]...\n"
    "Asks the manager to change where a cluster's copies are. Repeating a command is harmless.\n"
    "\n"
    "Commands:\n"
    "  move PARTITION SERVER    that server shall lead the partition\n"
    "  drain SERVER             move all copies away from it and place none there\n"
    "  undrain SERVER           copies may be placed there again\n"
    "  add-server HOST:PORT     one more server, with the next id, which is printed\n"
    "  remove-server SERVER     take a drained server out; its id is never used again\n"
    "  rebalance                spread copies and primaries evenly\n"
    "  unsafe-recover PARTITION --accept-data-loss [--from SERVER]\n"
    "                           go on with one copy when all others are lost for good: what only\n"
    "                           they hold is gone. Their servers must be off and stay off\n"
    "\n"
    "move, drain and rebalance wait until it is done and say on stderr how much is left, for as\n"
    "long as it takes or --timeout says; the manager carries on if they are ended.\n";

static const char admin_epilog[] =
    "With --json: {\"dry_run\", \"message\", \"moves\": [{\"partition\", \"from\", \"to\", "
    "\"leads\"}],\n\"server\" (add-server, unsafe-recover), \"moving\" (after waiting: partitions "
    "still to move)}.\n"
    "\n"
    "Exit status: 0 done; 2 refused, invalid, or the manager is unavailable; 3 timed out,\n"
    "interrupted while waiting, or outcome unknown.\n";

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
    };

    return add_specs(specs, count, here, sizeof(here) / sizeof(here[0]));
}

static size_t fill_specs(struct cli_options *o, bool in_shell, struct option_spec *specs)
{
    size_t count = add_data_specs(o, specs, 0);

    count = add_admin_specs(o, specs, count);
    return in_shell ? count : add_connection_specs(o, specs, count);
}

/* The first word that names a command, wherever the options stand. */
static bool about_admin_only(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name;

        for (size_t k = 0; (name = cli_command_name(k)) != NULL; k++) {
            if (strcmp(argv[i], name) == 0) {
                return strcmp(name, "admin") == 0;
            }
        }
    }
    return false;
}

int cli_options_parse(struct cli_options *options, int argc, char **argv, bool in_shell,
                      struct cli_words *words, bool *leave, struct error *error)
{
    static const struct options_usage general = {"cairn", summary, epilog};
    static const struct options_usage admin = {"cairn", admin_summary, admin_epilog};
    bool about_admin = !in_shell && about_admin_only(argc, argv);
    struct option_spec specs[SPECS_MAX];
    enum options_result result = OPTIONS_RUN;
    size_t count = fill_specs(options, in_shell, specs);

    words->count = 0;
    words->words = argv + 1;
    int status = options_parse(about_admin ? &admin : &general, specs, count, argc, argv, false,
                               &words->count, &result, error);
    *leave = result == OPTIONS_EXIT;
    return status;
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
