/* See digest.h. */
#include "server/digest.h"

#include "base/check.h"
#include "base/hash.h"

/* Sums of other things must not cancel pairs. */
enum { SESSION_SEED = 0x5e551077, VALUE_SEED = 0xd16e57 };

void digest_add_pair(struct digest *digest, uint64_t checksum)
{
    digest->sum += checksum;
    digest->pairs++;
}

void digest_add_session(struct digest *digest, const struct digest_session *session)
{
    digest->sum += hash_seeded(session, sizeof *session, SESSION_SEED);
    digest->sessions++;
}

uint64_t digest_value(const struct digest *digest, uint64_t index, uint64_t log_time_ms)
{
    const uint64_t parts[] = {digest->sum, digest->pairs, digest->sessions, index, log_time_ms};

    return hash_seeded(parts, sizeof parts, VALUE_SEED);
}

/* How many sound copies hold what copies[at] holds. */
static uint32_t holders(const struct digest_copy *copies, uint32_t count, uint32_t at)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        found += copies[i].bad == 0 && copies[i].value == copies[at].value;
    return found;
}

/* The sound copy that is taken to be right; `count` if there is none. */
static uint32_t choose(const struct digest_copy *copies, uint32_t count)
{
    uint32_t chosen = count;
    uint32_t most = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t found = copies[i].bad == 0 ? holders(copies, count, i) : 0;

        if (found > most) { /* the primary comes first: of equally many its own count */
            chosen = i;
            most = found;
        }
    }
    return chosen;
}

enum digest_verdict digest_judge(struct digest_copy *copies, uint32_t count)
{
    uint32_t right = choose(copies, count);
    enum digest_verdict verdict = DIGEST_ALIKE;

    CHECK(count > 0);
    for (uint32_t i = 0; i < count; i++)
        copies[i].differs = false;
    if (right == count)
        return DIGEST_UNDECIDED;
    for (uint32_t i = 0; i < count; i++) {
        if (copies[i].bad == 0 && copies[i].value == copies[right].value)
            continue;
        copies[i].differs = true;
        verdict = DIGEST_SOME;
        if (i == 0)
            break;
    }
    return verdict;
}
