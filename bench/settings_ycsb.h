/* The part of the command line that is YCSB's: `load` and `run`, workload files and properties. */
#ifndef CAIRN_BENCH_SETTINGS_YCSB_H
#define CAIRN_BENCH_SETTINGS_YCSB_H

#include "bench/properties.h"
#include "bench/ycsb.h"

enum { YCSB_WORDS_MAX = 64 };

/* What was given beside the options, in its order; points into argv. */
struct ycsb_words {
    size_t count;
    struct {
        const char *property; /* the name; "": all of NAME=VALUE; NULL: a file of properties */
        const char *text;
    } list[YCSB_WORDS_MAX];
    bool progress; /* -s */
};

/* If the first word is `load` or `run`, tells which, takes it out, and all of -P FILE, -p
 * NAME=VALUE, -threads N, -target N, -s, -t. YCSB_NONE leaves all as it is. */
int ycsb_take_words(int *argc, char **argv, enum ycsb_phase *phase, struct ycsb_words *words,
                    struct error *error);
/* The properties: those of the workload with this name (NULL: none), then the words'. */
int ycsb_read_words(const struct ycsb_words *words, const char *workload,
                    struct properties *properties, struct error *error);

#endif
