/* Plays the agents of many hosts for one server, in one loop: what ten hosts cost a server, without
 * the processes that ten hosts would run on processors of their own.
 *
 * Each host has a session of its own and a connection of its own, carries out invalidations in
 * memory of its own, and answers them, by the code of the real agent (client/host_session.h). Its
 * reads are plain GETs under its session: they make it a holder of what they were granted. */
#ifndef CAIRN_BENCH_PLAYER_H
#define CAIRN_BENCH_PLAYER_H

#include "base/error.h"
#include "bench/workload.h"

enum { PLAYER_HOSTS_MAX = 64 };

struct player_options {
    const char *server; /* HOST:PORT; leads all partitions */
    uint32_t hosts;
    struct workload workload; /* keys and their lengths */
};

/* Opens the sessions and does what the lines on descriptor `in`, a pipe, say, until its end:
 *
 *     read    every host reads every key once; then `read GRANTED of ALL` is printed to stdout
 *
 * `open HOSTS` is printed first, when all sessions are open. CAIRN_EINVAL (address), CAIRN_ENOMEM,
 * CAIRN_EUNAVAILABLE (no session within ten seconds, or a read that failed). */
int player_run(const struct player_options *options, int in, struct error *error);

#endif
