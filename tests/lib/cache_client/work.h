/* What cache-client does. */
#ifndef CAIRN_TESTS_CACHE_CLIENT_WORK_H
#define CAIRN_TESTS_CACHE_CLIENT_WORK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/cache_client/record.h"

struct work_options {
    const char *manager, *history;
    const char *const *keys;
    uint32_t keys_count;
    uint64_t process, seed;
    uint64_t seconds;  /* 0: until stopped */
    uint64_t reads;    /* per cent of the calls */
    uint64_t burst;    /* calls back to back */
    uint64_t pause_us; /* between bursts, on average */
    uint64_t rest_ms;  /* now and then instead, up to */
    uint64_t ttl_ms;   /* of what is put; 0: none */
    uint64_t value_max;
    uint64_t sample; /* one read in so many is recorded at random */
    uint64_t count;  /* of bursts; 0: no limit */
    uint64_t blocks; /* of cached GETs, see main.c */
    bool no_cache, no_agent;
    volatile sig_atomic_t *stopped, *forking;
};

/* The program's exit code: 0; 2 no handle; 4 a wrong value; 5 a child that is wrong. */
int work_run(const struct work_options *options);
int work_blocks(const struct work_options *options);

#endif
