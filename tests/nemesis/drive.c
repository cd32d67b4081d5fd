/* Drives the nemesis without clients of its own: opens it, says where its cluster is, runs so many
 * cycles, settles and closes.
 *
 *   drive-nemesis --nemesis KINDS [--cycles N] [--seed N] [--programs DIR] [--folder DIR
 * [--keep]]...
 *
 * Progress goes to stdout, a line each, the first two being `managers ADDRESSES` and `folder PATH`.
 * Exit 0 done, 1 the nemesis found something wrong, 2 it could not begin. */
#include <stdio.h>

#include "base/options.h"
#include "fuzz/nemesis.h"

static const struct options_usage usage = {.program = "drive-nemesis",
                                           .summary = "Runs the nemesis without clients."};

static void say(void *context, const char *line)
{
    (void)context;
    (void)printf("%s\n", line);
    (void)fflush(stdout);
}

static int fail(const char *what, const struct error *error, int exit_code)
{
    (void)fprintf(stderr, "ERROR: %s: %s\n", what, error->message);
    return exit_code;
}

static int drive(struct nemesis *nemesis, uint64_t cycles, bool keep)
{
    struct error error = {0};
    int rc = 0;

    (void)printf("managers %s\nfolder %s\n", nemesis_managers(nemesis), nemesis_folder(nemesis));
    (void)fflush(stdout);
    for (uint64_t i = 0; rc == 0 && i < cycles; i++)
        rc = nemesis_cycle(nemesis, &error);
    if (rc == 0)
        rc = nemesis_settle(nemesis, &error);
    if (rc != 0)
        (void)fail("nemesis", &error, 1);
    int closed = nemesis_close(nemesis, keep, &error);
    if (rc == 0 && closed != 0)
        (void)fail("close", &error, 1);
    return rc != 0 || closed != 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct nemesis_options options = {.say = say};
    uint64_t cycles = 1, hold_ms = 0, servers = 3, replicas = 0;
    const char *kinds = "all";
    bool keep = false;
    const struct option_spec specs[] = {
        {.name = "nemesis", .kind = OPTION_STRING, .target = &kinds, .value = "KINDS"},
        {.name = "programs", .kind = OPTION_STRING, .target = &options.programs, .value = "DIR"},
        {.name = "folder", .kind = OPTION_STRING, .target = &options.folder, .value = "DIR"},
        {.name = "keep", .kind = OPTION_FLAG, .target = &keep},
        {.name = "cycles", .kind = OPTION_NUMBER, .target = &cycles, .maximum = 1 << 20},
        {.name = "seed", .kind = OPTION_NUMBER, .target = &options.seed, .maximum = UINT64_MAX},
        {.name = "hold", .kind = OPTION_NUMBER, .target = &hold_ms, .maximum = 1 << 20},
        {.name = "servers", .kind = OPTION_NUMBER, .target = &servers, .maximum = 99},
        {.name = "replicas", .kind = OPTION_NUMBER, .target = &replicas, .maximum = 99},
    };
    enum options_result result;
    struct nemesis *nemesis;
    struct error error = {0};
    int positional;

    int rc = options_parse(&usage, specs, sizeof specs / sizeof *specs, argc, argv, false,
                           &positional, &result, &error);
    if (rc == 0 && result == OPTIONS_EXIT)
        return 0;
    if (rc == 0)
        rc = nemesis_parse(kinds, &options.kinds, &error);
    options.servers = (unsigned)servers;
    options.replicas = (unsigned)replicas;
    options.hold_min_ms = options.hold_max_ms = hold_ms;
    if (rc == 0)
        rc = nemesis_open(&options, &nemesis, &error);
    return rc != 0 ? fail("nemesis", &error, 2) : drive(nemesis, cycles, keep);
}
