/* The program's help texts. */
#include <string.h>

#include "client/cli.h"

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
    "  cache COMMAND     the shared cache of this host: see cairn cache --help\n"
    "  agent             run this host's cache agent in the foreground\n"
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
    "SIGTERM, but 0 in agent. In workload mode: 0 after STOP; at the end of the input 0, or what "
    "the\n"
    "last failed call would have given.\n";

static const char admin_summary[] =
    "Usage: cairn [OPTION]... admin COMMAND [ARGUMENT]...\n"
    "Changes where a cluster's copies are, through the manager, and looks after them. Repeating a\n"
    "command is harmless.\n"
    "\n"
    "Commands:\n"
    "  move PARTITION SERVER    that server shall lead the partition\n"
    "  drain SERVER             move all copies away from it and place none there\n"
    "  undrain SERVER           copies may be placed there again\n"
    "  add-server HOST:PORT     one more server, with the next id, which is printed\n"
    "  remove-server SERVER     take a drained server out; its id is never used again\n"
    "  rebalance                spread copies and primaries evenly\n"
    "  scrub                    have all servers read all values and compare all copies now; what\n"
    "                           is damaged is repaired from another copy\n"
    "  verify                   compare all copies of all partitions, each at one entry of its "
    "log\n"
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
    "scrub and verify say on stderr how far they are. With --json: {\"partitions\", \"copies\", "
    "\"equal\",\n\"differing\": [{\"partition\", \"copies\", \"index\", \"bad_rows\", "
    "\"servers\"}], \"not_compared\",\n\"unreachable\"}, scrub also \"values\", \"bytes\", "
    "\"bad_values\", \"repaired\", \"unrepaired\",\n\"reinstalled\".\n"
    "\n"
    "Exit status: 0 done, in scrub also: all is repaired; 1 scrub: something could not be "
    "repaired;\n"
    "verify: copies differ; 2 refused, invalid, or the manager or, in scrub and verify, a server "
    "is\n"
    "unavailable; 3 timed out, interrupted while waiting, or outcome unknown.\n";

static const char cache_summary[] =
    "Usage: cairn [OPTION]... cache COMMAND [ARGUMENT]...\n"
    "The cache that all processes of a user on this host share, one for each cluster and name. It "
    "is\n"
    "found by the managers' list even while no manager answers.\n"
    "\n"
    "Commands:\n"
    "  stat [--watch [SECONDS]]   what is in it and what it did; with --watch what it does each "
    "second,\n"
    "                             or each SECONDS, until interrupted\n"
    "  clear                      void all values; prints how many entries there were\n"
    "  unlink [--all]             remove it from the host; processes that use it go on with a new "
    "one.\n"
    "                             With --all every cache of this user, whatever the cluster, and "
    "what\n"
    "                             crashed processes left\n";

static const char cache_epilog[] =
    "Nothing is lost but speed, whatever is done to a cache.\n"
    "\n"
    "Exit status: 0 done (also after --watch was interrupted, and when there was nothing to "
    "unlink);\n"
    "1 stat, clear: this host has no such cache; 2 invalid input, or nobody knows which cluster\n"
    "these managers have.\n";

/* The first word that names a command, wherever the options stand. */
static const char *topic(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name;

        for (size_t k = 0; (name = cli_command_name(k)) != NULL; k++) {
            if (strcmp(argv[i], name) == 0) {
                return name;
            }
        }
    }
    return "";
}

const struct options_usage *cli_usage(int argc, char **argv)
{
    static const struct options_usage general = {"cairn", summary, epilog};
    static const struct options_usage admin = {"cairn", admin_summary, admin_epilog};
    static const struct options_usage cache = {"cairn", cache_summary, cache_epilog};
    const char *name = topic(argc, argv);

    if (strcmp(name, "admin") == 0) {
        return &admin;
    }
    return strcmp(name, "cache") == 0 ? &cache : &general;
}
