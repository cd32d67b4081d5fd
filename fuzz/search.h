/* Searches an order of one key's steps that explains all answers. Private to the checker. */
#ifndef CAIRN_FUZZ_SEARCH_H
#define CAIRN_FUZZ_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "fuzz/checker.h"
#include "fuzz/problem.h"

/* 0 with `*verdict`, or CAIRN_ENOMEM when the search's own tables cannot be had; running out of
 * `limits` is VERDICT_UNKNOWN. Adds the configurations visited to `*configurations`. */
int search_run(const struct problem *problem, const struct check_limits *limits,
               enum verdict *verdict, uint64_t *configurations);

#endif
