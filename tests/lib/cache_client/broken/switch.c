/* Which rule is broken, in programs built with CAIRN_BREAK_RULES: what the environment names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rules.h"

enum broken_rule cairn_broken_rule = BROKEN_NONE;

/* Those that a test may ask for. */
static const struct {
    const char *name;
    enum broken_rule rule;
} rules[] = {
    {"C1_COUNTER", BROKEN_C1_COUNTER},
    {"C1_EXPIRY", BROKEN_C1_EXPIRY},
    {"C1_GENERATION", BROKEN_C1_GENERATION},
    {"C1_NOTE", BROKEN_C1_NOTE},
    {"C2_PENDING", BROKEN_C2_PENDING},
    {"C3_MUTATION", BROKEN_C3_MUTATION},
    {"C3_GET", BROKEN_C3_GET},
    {"C3_LOST", BROKEN_C3_LOST},
    {"C4", BROKEN_C4},
    {"C5_ARRIVAL", BROKEN_C5_ARRIVAL},
    {"C5_UNANSWERED", BROKEN_C5_UNANSWERED},
    {"C6", BROKEN_C6},
    {"C7", BROKEN_C7},
};

__attribute__((constructor)) static void choose(void)
{
    const char *wanted = getenv("CACHE_BROKEN_RULE");
    for (size_t i = 0; wanted != NULL && i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i].name, wanted) == 0) {
            cairn_broken_rule = rules[i].rule;
            return;
        }
    }
    if (wanted != NULL) {
        fprintf(stderr, "ERROR: CACHE_BROKEN_RULE=%s: no such rule\n", wanted);
        exit(2);
    }
}
