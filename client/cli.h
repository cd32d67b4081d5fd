/* The parts of the command line program `cairn`, a user of the library. */
#ifndef CAIRN_CLIENT_CLI_H
#define CAIRN_CLIENT_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/options.h"
#include "client/cairn.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_NEGATIVE = 1,  /* not found, version mismatch */
    CLI_INVALID = 2,   /* invalid input, or something needed is unavailable */
    CLI_TIMED_OUT = 3, /* or the outcome is unknown */
    CLI_LEAVE = -1,    /* the shell: end */
};

struct cli_options {
    const char *managers;
    uint64_t timeout_ms;
    bool timeout_given, json, no_cache, hex;
    uint64_t if_version, ttl_s, limit;
    bool if_version_given, ttl_given, limit_given, with_version;
    uint64_t from;
    bool from_given, dry_run, no_wait, accept_data_loss;
    uint64_t cache_bytes;
    bool cache_bytes_given, watch, all;
    const char *cache_name; /* NULL: the usual one */
};

struct cli {
    cairn_t *db;
    struct cli_options options;
    struct buffer key, value; /* arguments decoded or read */
    bool in_shell;
};

/* A command's words: words[0] is its name. */
struct cli_words {
    int count;
    char **words;
};

/* --- cli_options.c -------------------------------------------------------------------------- */

/* Parses argv; the words that are no options are then argv[1..words->count]. */
int cli_options_parse(struct cli_options *options, int argc, char **argv, bool in_shell,
                      struct cli_words *words, bool *leave, struct error *error);
/* CAIRN_EINVAL if an option was given that the command does not take. `takes` lists the names of
 * those it does, separated by spaces. */
int cli_options_check(const struct cli_options *options, const char *command, const char *takes,
                      struct error *error);

/* --- cli_help.c ------------------------------------------------------------------------------ */

/* What --help says, by the command in argv. */
const struct options_usage *cli_usage(int argc, char **argv);

/* --- cli_output.c --------------------------------------------------------------------------- */

/* Prints `ERROR: ...` on stderr as one line; returns `code`. */
int cli_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints what the handle's last operation said; returns the exit code for `status`. */
int cli_failure(const struct cli *cli, int status);
/* The exit code for a status of the library. */
int cli_exit_code(int status);
/* Flushes stdout: CLI_DONE, or CLI_INVALID after an error line. */
int cli_flush(void);
/* Prints bytes on stdout: raw, or hexadecimal if so asked; in the shell control bytes as \xNN. */
void cli_print(const struct cli *cli, const void *data, size_t length);
/* Sets `name` to the bytes if they are UTF-8, else `name`_hex to their hexadecimal form. */
void cli_json_bytes(json_t *object, const char *name, const void *data, size_t length);
/* Prints the object on one line and releases it. */
void cli_json_print(json_t *object);

/* --- cli_commands.c, cli_scan.c, cli_status.c, cli_admin.c ------------------------------------ */

/* Runs one command and flushes stdout; returns the exit code. */
int cli_run(struct cli *cli, const struct cli_words *words);
/* The command's name if there is one, else NULL; `index` counts from 0. */
const char *cli_command_name(size_t index);
/* CLI_DONE, or CLI_INVALID after an error line: an unknown command, wrong arguments or options. */
int cli_check(const struct cli *cli, const struct cli_words *words);
/* An argument as bytes, decoded if --hex says so. */
int cli_argument(const struct cli *cli, const char *text, struct buffer *out, const char *what);

int cli_scan(struct cli *cli, const struct cli_words *words);
int cli_status(struct cli *cli, const struct cli_words *words);
/* The sentences of status, from its JSON. (cli_status_notes.c) */
void cli_status_notes(const json_t *status);
int cli_admin(struct cli *cli, const struct cli_words *words);
/* The same as of cli_check, for the words behind `admin`. */
int cli_admin_check(const struct cli *cli, const struct cli_words *words);

/* --- cli_cache.c, cli_cache_stat.c, cli_agent.c ----------------------------------------------- */

struct segment; /* client/segment.h */

int cli_cache(struct cli *cli, const struct cli_words *words);
/* The same as of cli_check, for the words behind `cache`. */
int cli_cache_check(const struct cli *cli, const struct cli_words *words);
/* Opens this host's segment of the handle's cluster, for `command` in messages. CLI_DONE, or after
 * an error line CLI_NEGATIVE if there is none, CLI_INVALID if nobody knows the cluster. */
int cli_cache_open(struct cli *cli, const char *command, struct segment **segment);
/* Prints what is in the segment: once, or each `watch_ms` what happened meanwhile, until
 * interrupted. Releases the segment. */
int cli_cache_stat(struct cli *cli, struct segment *segment, uint64_t watch_ms);
int cli_agent(struct cli *cli, const struct cli_words *words);

/* --- cli_workload.c, cli_shell.c
 * ------------------------------------------------------------------ */

int cli_workload(struct cli *cli);
int cli_shell(struct cli *cli);

/* --- cli_scrub.c --- */
/* admin scrub (`repairs`) and admin verify. Returns the exit status. */
int cli_scrub(struct cli *cli, bool repairs);

/* --- cli_signal.c --------------------------------------------------------------------------- */

/* From now on SIGINT and SIGTERM end what `db` waits for; a second one ends the process. */
int cli_signal_catch(cairn_t *db);
/* Before the handle is closed: signals no longer reach it. */
void cli_signal_release(void);
/* The signal that came, or 0. */
int cli_signal_caught(void);
/* Forgets it. */
void cli_signal_clear(void);
/* It as a flag for others to look at. */
const volatile int *cli_signal_flag(void);
/* Waits until `fd` can be read. False when a signal came first. */
bool cli_signal_wait(int fd);

#endif
