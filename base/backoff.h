/* Jittered exponential back-off ("full jitter", AWS Architecture Blog, 2015). */
#ifndef CAIRN_BASE_BACKOFF_H
#define CAIRN_BASE_BACKOFF_H

#include <stdint.h>

#include "base/random.h"

struct backoff {
    uint64_t first_ms, limit_ms;
    uint64_t ceiling_ms; /* of the next delay */
};

void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t limit_ms);
/* The next delay: uniform in [ceiling/2, ceiling]; the ceiling doubles up to the limit. */
uint64_t backoff_next_ms(struct backoff *backoff, struct random *random);
void backoff_reset(struct backoff *backoff);

#endif
