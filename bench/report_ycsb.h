/* A run's result as YCSB prints it. */
#ifndef CAIRN_BENCH_REPORT_YCSB_H
#define CAIRN_BENCH_REPORT_YCSB_H

#include <stdio.h>

#include "bench/settings.h"

/* Lines of `[SECTION], NAME, NUMBER`: [OVERALL], then one section for each kind of operation with
 * service times and, of a run at a rate, one [Intended-...] with latencies from the time when the
 * operation should have begun. Before them [SETUP], which YCSB has not: what was measured. */
void report_ycsb(const struct settings *settings, const struct run_result *result, FILE *out);

#endif
