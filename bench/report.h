/* Prints what a run measured, for people or as JSON. */
#ifndef CAIRN_BENCH_REPORT_H
#define CAIRN_BENCH_REPORT_H

#include <stdio.h>

#include "bench/settings.h"

/* Latencies in microseconds, rates in operations a second. JSON is one object on one line. 0, or
 * CAIRN_EIO, CAIRN_ENOMEM. */
int report_print(const struct settings *settings, const struct run_result *result, FILE *out,
                 struct error *error);

#endif
