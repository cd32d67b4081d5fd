/* Tells a person on stderr how far a run is. */
#ifndef CAIRN_BENCH_PROGRESS_H
#define CAIRN_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PROGRESS_LINE_SIZE = 160 };

struct progress_options {
    FILE *out;
    bool in_place;         /* one line that changes, for terminals; else one line after another */
    uint64_t interval_ms;  /* from one to the next */
    const char *label;     /* what is going on: "load" */
    uint64_t operations;   /* of all processes, to be measured; 0: no such end */
    uint64_t milliseconds; /* for which is measured; 0: no such end */
};

struct progress {
    const struct progress_options *options; /* NULL: nothing is told */
    uint64_t begun_ms, told_ms, told_operations;
};

void progress_begin(struct progress *progress, const struct progress_options *options,
                    uint64_t now_ms);
/* Tells it if it is time to. */
void progress_tell(struct progress *progress, uint64_t now_ms, uint64_t operations);
/* Removes a line that was changing. */
void progress_end(const struct progress *progress);
/* The line for `operations` until now, without a line's end. */
void progress_text(const struct progress *progress, uint64_t now_ms, uint64_t operations,
                   char out[PROGRESS_LINE_SIZE]);

#endif
