/* crash-images, crash-images-manager: a node's recovery on what power losses may leave of its
 * files.
 *
 * The recording of a run is followed event by event. Behind each event of the node it is cut off,
 * what a power loss may leave there is written down in several ways, and the node's recovery runs
 * on each of them, in a process of its own; then all that was acknowledged is looked for.
 * Everything is decided by the seed. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/crash/tries.h"

static const char *const lie_names[DISK_LIES] = {
    [DISK_HONEST] = "none",
    [DISK_NO_LOG_SYNC] = "log",
    [DISK_NO_STORE_SYNC] = "store",
    [DISK_NO_DIRECTORY_SYNC] = "directory",
};

static const struct option options[] = {
    {"logs", required_argument, NULL, 'l'},     {"marks", required_argument, NULL, 'm'},
    {"images", required_argument, NULL, 'i'},   {"node", required_argument, NULL, 'd'},
    {"server", required_argument, NULL, 's'},   {"slot", required_argument, NULL, 'S'},
    {"variants", required_argument, NULL, 'v'}, {"limit", required_argument, NULL, 'n'},
    {"jobs", required_argument, NULL, 'j'},     {"seed", required_argument, NULL, 'r'},
    {"lie", required_argument, NULL, 'L'},      {"segment", required_argument, NULL, 'g'},
    {"map", required_argument, NULL, 'M'},      {"memtable", required_argument, NULL, 't'},
    {"event", required_argument, NULL, 'e'},    {"write", required_argument, NULL, 'w'},
    {"variant", required_argument, NULL, 'V'},  {"from", required_argument, NULL, 'f'},
    {"until", required_argument, NULL, 'u'},    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: crash-images --logs DIR --marks FILE --images DIR --node NAME --slot N\n"
    "           --server N --segment BYTES --map BYTES --memtable BYTES\n"
    "           [--variants N] [--limit STATES] [--jobs N] [--seed N]\n"
    "           [--lie log|store|directory] [--event N [--variant N]] [--from EVENT]\n"
    "           [--until EVENT]\n"
    "       crash-images --logs DIR --event N --variant N --seed N --write DIR\n"
    "\n"
    "--node, --slot: as recorded. --server and what follows it in its line: a server's options.\n"
    "--event: behind this one alone. --write: the image of all nodes, for starting them on it.\n";

static _Noreturn void misuse(void)
{
    fputs(usage, stderr);
    exit(2);
}

static enum disk_lie lie_of(const char *name)
{
    for (int lie = DISK_HONEST; lie < DISK_LIES; lie++)
        if (strcmp(name, lie_names[lie]) == 0)
            return (enum disk_lie)lie;
    misuse();
}

struct arguments {
    struct tries tries;
    const char *logs, *marks, *write;
};

static void take_path(struct arguments *arguments, int letter, const char *text)
{
    switch (letter) {
    case 'l':
        arguments->logs = text;
        break;
    case 'm':
        arguments->marks = text;
        break;
    case 'i':
        arguments->tries.images = text;
        break;
    case 'd':
        arguments->tries.node = text;
        break;
    case 'w':
        arguments->write = text;
        break;
    case 'L':
        arguments->tries.lie = lie_of(text);
        break;
    default:
        misuse();
    }
}

static void take(struct arguments *arguments, int letter, const char *text)
{
    struct tries *tries = &arguments->tries;
    uint64_t number = strtoull(text, NULL, 10);
    switch (letter) {
    case 's':
        tries->task.server = (uint32_t)number;
        break;
    case 'S':
        tries->slot = (unsigned)number;
        break;
    case 'v':
        tries->variants = (uint32_t)number;
        break;
    case 'V':
        tries->only_variant = (int)number;
        break;
    case 'n':
        tries->limit = number;
        break;
    case 'j':
        tries->jobs = (uint32_t)number;
        break;
    case 'r':
        tries->seed = number;
        break;
    case 'g':
        tries->task.segment_bytes = number;
        break;
    case 'M':
        tries->task.map_bytes = number;
        break;
    case 't':
        tries->task.memtable_bytes = number;
        break;
    case 'f':
        tries->from = number;
        break;
    case 'u':
        tries->until = number;
        break;
    case 'e':
        tries->only_event = number;
        break;
    default:
        take_path(arguments, letter, text);
    }
}

static int fail(const struct error *error)
{
    fprintf(stderr, "ERROR: %s\n", error->message);
    return 2;
}

int main(int argc, char **argv)
{
    static struct recording recording;
    struct arguments arguments = {
        .tries = {.variants = 4, .jobs = 1, .seed = 1, .until = UINT64_MAX, .only_variant = -1}};
    struct tries *tries = &arguments.tries;
    struct error error = {0};
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
        take(&arguments, letter, optarg == NULL ? "" : optarg);
    if (arguments.logs == NULL || optind != argc || tries->jobs == 0 || tries->jobs > TRIES_JOBS)
        misuse();
    if (recording_open(&recording, arguments.logs, &error) != CAIRN_OK)
        return fail(&error);
    tries->recording = &recording;
    if (arguments.write != NULL) {
        tries_write(tries, arguments.write);
        return 0;
    }
    if (arguments.marks == NULL || tries->images == NULL || tries->node == NULL)
        misuse();
    if (recovery_marks_open(arguments.marks, &tries->task.marks, &error) != CAIRN_OK)
        return fail(&error);
    return tries_run(tries) ? 0 : 1;
}
