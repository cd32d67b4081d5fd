/* Jittered exponential back-off. */
#include "base/backoff.h"

#include "base/check.h"

void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t limit_ms)
{
    CHECK(first_ms > 0 && first_ms <= limit_ms);
    *backoff = (struct backoff){
        .first_ms = first_ms,
        .limit_ms = limit_ms,
        .ceiling_ms = first_ms,
    };
}

uint64_t backoff_next_ms(struct backoff *backoff, struct random *random)
{
    const uint64_t ceiling = backoff->ceiling_ms;
    const uint64_t half = ceiling / 2;

    backoff->ceiling_ms = ceiling > backoff->limit_ms / 2 ? backoff->limit_ms : ceiling * 2;
    return half + random_below(random, ceiling - half + 1);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->ceiling_ms = backoff->first_ms;
}
