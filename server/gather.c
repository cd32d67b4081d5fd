/* See gather.h. */
#include "server/gather.h"

#include "base/check.h"

bool gather_holds(struct gather *gather, size_t entries, size_t bytes, uint64_t now_ns)
{
    CHECK(entries > 0);
    if (gather->since_ns == 0)
        gather->since_ns = now_ns;
    if (gather->usual > 1 && entries <= gather->usual && bytes < GATHER_LIMIT_BYTES &&
        now_ns - gather->since_ns < GATHER_LIMIT_NS)
        return true;
    gather->since_ns = 0;
    gather->usual = (gather->usual + entries) / 2;
    return false;
}
