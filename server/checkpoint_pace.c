/* See checkpoint_pace.h. */
#include "server/checkpoint_pace.h"

#include <stddef.h>

#include "base/clock.h"

enum {
    ROWS_PER_LOOK = 16, /* at the clock */
    SLICE_NS = 500 * 1000,
    PAUSE_PER_WORK = 7, /* with nobody in need of it, an eighth of the time is worked */
    PAUSE_LIMIT_NS = 20 * 1000 * 1000,
};

void checkpoint_pace_begin(struct checkpoint_pace *pace, uint64_t rows, uint64_t bytes)
{
    atomic_store(&pace->hurry, false);
    atomic_store(&pace->live_bytes, 0);
    pace->frozen_bytes = bytes;
    pace->rows = 0;
    pace->total_rows = rows;
}

void checkpoint_pace_resume(struct checkpoint_pace *pace)
{
    pace->slice_began_ns = clock_now_ns();
}

/* Less is done than of the next checkpoint is due: this one is to end when the memtables are three
 * quarters as full again as they were. */
static bool is_behind(const struct checkpoint_pace *pace)
{
    double filled = (double)atomic_load(&pace->live_bytes) * (double)pace->total_rows;
    double written = (double)pace->rows * (double)pace->frozen_bytes;

    return filled * 4 > written * 3;
}

static bool may_pause(const struct checkpoint_pace *pace)
{
    return !atomic_load(&pace->hurry) && !is_behind(pace) && !pace->waited_for(pace->context);
}

static void pause_after(const struct checkpoint_pace *pace, uint64_t now_ns)
{
    uint64_t length = (now_ns - pace->slice_began_ns) * PAUSE_PER_WORK;
    uint64_t end = now_ns + (length < PAUSE_LIMIT_NS ? length : PAUSE_LIMIT_NS);

    while (may_pause(pace) && clock_now_ns() < end)
        clock_sleep_ms(1);
}

void checkpoint_pace_rest(struct checkpoint_pace *pace)
{
    pause_after(pace, clock_now_ns());
    pace->slice_began_ns = clock_now_ns();
}

void checkpoint_pace_row(struct checkpoint_pace *pace)
{
    if (++pace->rows % ROWS_PER_LOOK != 0)
        return;
    if (clock_now_ns() - pace->slice_began_ns >= SLICE_NS)
        checkpoint_pace_rest(pace);
}
