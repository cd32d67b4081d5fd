/* Command lines: a table of long options, each also an environment variable CAIRN_<OPTION>
 * (upper case, `-` as `_`); the command line wins. `--help` and `--version` are built in.
 *
 * Accepts `--name VALUE`, `--name=VALUE`, flags without a value, `--` as the end of options, and
 * options after positional arguments. An unknown option, a missing or out-of-range value is an
 * error that names the option and the limits. */
#ifndef CAIRN_BASE_OPTIONS_H
#define CAIRN_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum option_kind {
    OPTION_FLAG,         /* target: bool, set true; the variable takes 1/0/true/false/yes/no */
    OPTION_STRING,       /* target: const char *; points into argv or the environment */
    OPTION_NUMBER,       /* target: uint64_t; checked against minimum and maximum */
    OPTION_BYTES,        /* target: uint64_t; NUMBER with an optional suffix K, M, G, T (1024s) */
    OPTION_ADDRESS,      /* target: struct address */
    OPTION_ADDRESS_LIST, /* target: struct address_list */
};

struct option_spec {
    const char *name; /* without dashes; "no-cache" */
    enum option_kind kind;
    void *target; /* keeps its value (the default) when the option is not given */
    uint64_t minimum, maximum;
    const char *value; /* how help names the value: "HOST:PORT"; NULL for flags */
    const char *help;  /* one line */
    bool *given;   /* set true if given on the command line or in the environment; may be NULL */
    bool is_alias; /* not listed in help, no environment variable of its own */
};

struct options_usage {
    const char *program; /* "cairn-server" */
    const char *summary; /* lines printed above the options by --help */
    const char *epilog;  /* printed below; may be NULL */
};

enum options_result { OPTIONS_RUN, OPTIONS_EXIT };

/* Parses argv. Positional arguments are moved, in order, to the front of argv[1..] and counted in
 * `*positional`. `--help` and `--version` print to stdout and give OPTIONS_EXIT in `*result`.
 * With `stop_at_positional` the first positional argument ends the options, for programs with
 * commands that have options of their own. 0, or CAIRN_EINVAL with the message in `error`. */
int options_parse(const struct options_usage *usage, const struct option_spec *specs, size_t count,
                  int argc, char **argv, bool stop_at_positional, int *positional,
                  enum options_result *result, struct error *error);

#endif
