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
#define RULE(name)                                                                                 \
    {                                                                                              \
#name, BROKEN_##name                                                                       \
    }
    RULE(C1_SESSION), RULE(C1_EXPIRY),     RULE(C1_COUNTER),  RULE(C1_NOTE),
    RULE(C2_LIVE),    RULE(C2_PENDING),    RULE(C2_REVOKING), RULE(C3_MUTATION),
    RULE(C3_GET),     RULE(C3_REPLAY),     RULE(C3_LOST),     RULE(C4),
    RULE(C5_ARRIVAL), RULE(C5_UNANSWERED), RULE(C5_PEERS),    RULE(C5_REUSE),
    RULE(C6),         RULE(C6_SWITCH),     RULE(C7),          RULE(S3),
    RULE(LOST_WRITE), RULE(EARLY_ANSWER),
#undef RULE
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
