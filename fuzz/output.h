/* What a run tells: results on stdout, progress on stderr, and both in a log. */
#ifndef CAIRN_FUZZ_OUTPUT_H
#define CAIRN_FUZZ_OUTPUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

/* Lines of several threads do not mix. */
struct output {
    FILE *log; /* NULL: none */
    pthread_mutex_t lock;
    bool in_place;   /* stderr is a terminal: a line of progress replaces the one before */
    bool unfinished; /* such a line stands there */
};

/* `log`: a path, or NULL; missing folders are made. CAIRN_EIO. */
int output_open(struct output *output, const char *log, struct error *error);
void output_close(struct output *output);

/* A line of the result, without its newline. */
void output_say(struct output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line of progress; `passing` ones may be replaced by the next, and are not logged then. */
void output_progress(struct output *output, bool passing, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
