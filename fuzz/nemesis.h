/* The nemesis: a cluster of its own, real processes, and faults that are drawn by a seed, begin,
 * last a while and are healed.
 *
 *     nemesis_parse("kill,clock", &options.kinds, &error);
 *     nemesis_open(&options, &nemesis, &error);       (the cluster is up and whole)
 *     ... start clients on nemesis_managers(nemesis), in the network of nemesis_enter ...
 *     while (time is left)
 *         nemesis_cycle(nemesis, &error);
 *     ... end the clients ...
 *     nemesis_settle(nemesis, &error);                (all healed, all copies equal)
 *     nemesis_close(nemesis, failed);
 *
 * One thread makes all calls but those said to be thread-safe, and it has to live as long as the
 * nemesis: the kernel ends the nodes (PR_SET_PDEATHSIG) when the thread that started them ends, so
 * that nothing is left even when this process is killed. nemesis_open comes before other threads:
 * with disk-full it gives the calling thread a mount namespace of its own, and threads made later
 * inherit it.
 *
 * The same seed and options draw the same faults in the same order; when they hit the clients'
 * operations is up to the machine.
 *
 * Every wait has a limit. What does not come back names the node, its log and what was wrong. */
#ifndef CAIRN_FUZZ_NEMESIS_H
#define CAIRN_FUZZ_NEMESIS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum nemesis_kind {
    NEMESIS_KILL,            /* kill -9 of servers, relaunched later or at once */
    NEMESIS_PAUSE,           /* SIGSTOP and SIGCONT of a server or the manager */
    NEMESIS_PARTITION,       /* links between nodes and clients cut, one way or both; needs root */
    NEMESIS_SLOW_DISK,       /* writes and syncs of a server take long */
    NEMESIS_DISK_FULL,       /* no room left for a server's data */
    NEMESIS_CLOCK,           /* clocks run at rates of their own, wall clocks jump */
    NEMESIS_RESTART_MANAGER, /* the same of the manager */
    NEMESIS_MOVE,            /* moves, drains and rebalancing by the operator */
    NEMESIS_KINDS,
};

/* A set of kinds. */
struct nemesis_kinds {
    uint32_t bits;     /* 1 << kind */
    bool where_usable; /* leave out, and name, what this machine does not allow, else refuse it */
};

/* "kill", "restart-manager", ...; static storage. */
const char *nemesis_kind_name(enum nemesis_kind kind);
/* All of them, separated by commas, for help and errors; static storage. */
const char *nemesis_kind_names(void);
/* Takes names separated by commas; "all": every kind that this machine allows; "none" or "": no
 * faults. CAIRN_EINVAL names the wrong word and the right ones. Thread-safe. */
int nemesis_parse(const char *text, struct nemesis_kinds *kinds, struct error *error);

/* Zero every field you do not set: zero is the default. */
struct nemesis_options {
    struct nemesis_kinds kinds;
    uint64_t seed;
    unsigned servers;       /* 3; at most 16 */
    unsigned replicas;      /* 2, or 1 with one server; at most `servers` */
    unsigned partitions;    /* 8 */
    unsigned client_hosts;  /* 1; networks for clients, each to be cut off by itself; at most 8 */
    unsigned lease_ms;      /* 250: short, so that failovers do not take most of a run */
    uint64_t hold_min_ms;   /* 20; how long a fault lasts is drawn between the two */
    uint64_t hold_max_ms;   /* 1500 */
    uint64_t heal_limit_ms; /* 60000; to be whole again */
    const char *programs;   /* "bin": cairn-server, cairn-manager, cairn; there or in ../lib/cairn:
                             * cairn-nemesis.so */
    const char
        *folder; /* data and logs, has to be missing or empty; NULL: a new one under TMPDIR */
    const char *const
        *server_arguments; /* more of them for each server, ended by NULL; may be NULL */
    /* One line of progress without its newline; may be NULL. Called on the calling thread. */
    void (*say)(void *context, const char *line);
    /* Whether to give up waiting, then CAIRN_ECANCELED is returned; may be NULL. Asked every few
     * ms, on the calling thread. */
    bool (*is_cancelled)(void *context);
    void *context;
};

struct nemesis;

/* Starts a cluster and waits until it is whole. Strings of the options are copied. On failure
 * everything that was started has ended, `*nemesis` is NULL, and the logs stay where the message
 * says. CAIRN_EINVAL (options, or a kind that this machine does not allow, with the reason),
 * CAIRN_ENOTFOUND (a program is missing), CAIRN_EIO, CAIRN_ETIMEDOUT, CAIRN_ECANCELED,
 * CAIRN_ENOMEM. */
int nemesis_open(const struct nemesis_options *options, struct nemesis **nemesis,
                 struct error *error);

/* HOST:PORT,... for clients; where data and logs are; the kinds in force, which are fewer than
 * asked for only with `where_usable`. Owned by the nemesis. Thread-safe. */
const char *nemesis_managers(const struct nemesis *nemesis);
const char *nemesis_folder(const struct nemesis *nemesis);
uint32_t nemesis_kinds_in_force(const struct nemesis *nemesis);

/* Moves the calling thread, and the threads and processes that it starts from then on, into the
 * network of client host `host` % client_hosts; sockets that are open stay where they were.
 * nemesis_leave moves it back to where the program began. To start a client program: enter,
 * posix_spawn, leave. A forked child may call both. Without the kind partition both do nothing.
 * Thread-safe. */
int nemesis_enter(const struct nemesis *nemesis, unsigned host, struct error *error);
int nemesis_leave(const struct nemesis *nemesis, struct error *error);

/* Draws one fault, at times two of different kinds, begins it, holds it for a drawn while, heals it
 * and waits until the cluster is whole: every partition has all its copies and serves, and no
 * epoch changes any more. Without kinds it holds nothing for that while. An error ends the run: the
 * cluster did not recover, or a process ended that nobody had killed. When it is cancelled the
 * fault is healed, too, but not waited for. */
int nemesis_cycle(struct nemesis *nemesis, struct error *error);
/* How many cycles there were, and how many faults of a kind began. */
uint64_t nemesis_cycles(const struct nemesis *nemesis);
uint64_t nemesis_faults(const struct nemesis *nemesis, enum nemesis_kind kind);

/* Heals everything and requires that the cluster becomes whole and that all copies of each
 * partition are equal (`cairn admin verify`, if this version has it). Clients are quiet. */
int nemesis_settle(struct nemesis *nemesis, struct error *error);

/* For scripted runs instead of cycles: kill -9 of one server, and its relaunch; the latter does not
 * wait until it is caught up, nemesis_settle does. CAIRN_EINVAL if it is not so. */
int nemesis_kill_server(struct nemesis *nemesis, unsigned server, struct error *error);
int nemesis_start_server(struct nemesis *nemesis, unsigned server, struct error *error);

/* Ends all processes, removes namespaces and mounts, and the folder unless `keep` (the files on a
 * small disk of disk-full are then copied out). 0, or CAIRN_EIO if a process had ended or
 * complained (sanitizer, failed check, damage) that nobody had killed: then the folder stays, too.
 * NULL is fine. */
int nemesis_close(struct nemesis *nemesis, bool keep, struct error *error);

#endif
