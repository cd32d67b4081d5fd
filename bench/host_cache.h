/* The segment of a host's cache, as the one who measures sees it: its counts, and its end. */
#ifndef CAIRN_BENCH_HOST_CACHE_H
#define CAIRN_BENCH_HOST_CACHE_H

#include "bench/target.h"

/* What the segments of this name have counted together; all 0 if there is none. */
void host_cache_count(const char *name, struct target_counts *counts);
/* Removes the names of the segments of this name. */
void host_cache_unlink(const char *name);

#endif
