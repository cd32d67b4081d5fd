/* See backoff.h. */
#include "base/backoff.h"

#include "base/check.h"

void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t limit_ms)
{
    CHECK(first_ms > 0 && first_ms <= limit_ms && limit_ms < UINT64_MAX / 2);
    *backoff = (struct backoff){.first_ms = first_ms, .limit_ms = limit_ms, .ceiling_ms = first_ms};
}

uint64_t backoff_next_ms(struct backoff *backoff, struct random *random)
{
    uint64_t ceiling = backoff->ceiling_ms;
    uint64_t half = ceiling / 2;

    backoff->ceiling_ms = ceiling * 2 < backoff->limit_ms ? ceiling * 2 : backoff->limit_ms;
    return half + random_below(random, ceiling - half + 1);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->ceiling_ms = backoff->first_ms;
}
