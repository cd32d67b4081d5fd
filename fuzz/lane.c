/* The ring between a client and the checker. */
#include "fuzz/lane.h"

#include "base/check.h"
#include "base/clock.h"

enum { WAIT_MS = 1 };

bool lane_wait(struct lane *lane, const _Atomic bool *stop)
{
    while (atomic_load(&lane->begun) - atomic_load(&lane->taken) >= LANE_ROOM) {
        if (atomic_load(stop))
            return false;
        clock_sleep_ms(WAIT_MS);
    }
    return !atomic_load(stop);
}

void lane_begin(struct lane *lane, const struct call *call)
{
    uint64_t begun = atomic_load(&lane->begun);
    CHECK(begun == atomic_load(&lane->ended));
    struct lane_entry *entry = &lane->ring[begun % LANE_ROOM];
    atomic_store(&lane->reads_clock, true);
    *entry = (struct lane_entry){.call = *call, .start_ns = clock_now_ns()};
    atomic_store(&lane->seen_ns, entry->start_ns);
    atomic_store(&lane->begun, begun + 1);
    atomic_store(&lane->reads_clock, false);
}

void lane_end(struct lane *lane, const struct answer *answer)
{
    uint64_t ended = atomic_load(&lane->ended);
    CHECK(ended + 1 == atomic_load(&lane->begun));
    struct lane_entry *entry = &lane->ring[ended % LANE_ROOM];
    entry->end_ns = clock_now_ns();
    entry->answer = *answer;
    atomic_store(&lane->ended, ended + 1);
}

void lane_close(struct lane *lane, const struct error *error)
{
    if (error != NULL)
        lane->error = *error;
    atomic_store(&lane->closed, true);
}

uint64_t lane_floor(const struct lane *lane)
{
    /* In this order: whoever reads a clock after `now_ns` was read shows a later time. */
    uint64_t now_ns = clock_now_ns();
    if (atomic_load(&lane->closed))
        return OPERATION_OPEN;
    return atomic_load(&lane->reads_clock) ? atomic_load(&lane->seen_ns) : now_ns;
}

const struct lane_entry *lane_next(const struct lane *lane)
{
    uint64_t taken = atomic_load(&lane->taken);
    return taken < atomic_load(&lane->ended) ? &lane->ring[taken % LANE_ROOM] : NULL;
}

void lane_take(struct lane *lane)
{
    uint64_t taken = atomic_load(&lane->taken);
    CHECK(taken < atomic_load(&lane->begun));
    atomic_store(&lane->taken, taken + 1);
}

const struct lane_entry *lane_untaken(const struct lane *lane)
{
    uint64_t taken = atomic_load(&lane->taken);
    return taken < atomic_load(&lane->begun) ? &lane->ring[taken % LANE_ROOM] : NULL;
}

uint64_t lane_count(const struct lane *lane)
{
    return atomic_load(&lane->begun);
}

uint64_t lane_taken(const struct lane *lane)
{
    return atomic_load(&lane->taken);
}
