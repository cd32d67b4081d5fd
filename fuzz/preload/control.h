/* What a node's clocks and disk shall do: a page that the nemesis writes and the node's preloaded
 * library reads, shared by mapping the file that NEMESIS_CONTROL names.
 *
 * The clock's fields belong together and are under a sequence lock (odd: being written). The others
 * stand alone; a reader may see one before another. All are read and written atomically. */
#ifndef CAIRN_FUZZ_PRELOAD_CONTROL_H
#define CAIRN_FUZZ_PRELOAD_CONTROL_H

#include <assert.h>
#include <stdint.h>

/* Names of the variables of a node's environment: the control file, and the process id of who
 * started it. */
#define CONTROL_FILE_VARIABLE   "NEMESIS_CONTROL"
#define CONTROL_PARENT_VARIABLE "NEMESIS_PARENT"

/* How far ahead a node's clock is of the machine's: skew_ns at the time from_ns, growing by
 * rate_ppm from then on and by rate_before_ppm until then. So a change of the rate that is
 * announced before from_ns comes makes no clock jump. */
struct control_clock {
    int64_t from_ns; /* of the machine's CLOCK_BOOTTIME */
    int64_t skew_ns;
    int64_t rate_before_ppm, rate_ppm;
    int64_t wall_ns; /* more, of CLOCK_REALTIME alone; jumps */
};

struct control_page {
    uint32_t sequence;
    uint32_t reserved;
    struct control_clock clock;
    uint32_t write_delay_us, sync_delay_us; /* of each write and sync of a regular file */
    uint32_t is_full;                       /* writes that may need room fail with ENOSPC */
    uint32_t reserved_end;
};

static_assert(sizeof(struct control_page) == 64, "two programs share it");

/* The skew at the time `now_ns` of the machine's CLOCK_BOOTTIME. */
static inline int64_t control_clock_skew(const struct control_clock *clock, int64_t now_ns)
{
    int64_t past_ns = now_ns - clock->from_ns;
    int64_t rate_ppm = past_ns < 0 ? clock->rate_before_ppm : clock->rate_ppm;

    /* In two parts, so that no product overflows within 290 years. */
    return clock->skew_ns + past_ns / 1000000 * rate_ppm + past_ns % 1000000 * rate_ppm / 1000000;
}

#endif
