/* A node's clocks: those that only go forward run at the rate that the control page says, all by
 * the same, and the wall clock is off by more. Time-outs of the kernel's calls stay the machine's.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "fuzz/preload/node.h"

enum { SECOND_NS = 1000000000 };

typedef int gettime(clockid_t, struct timespec *);

static int read_clock(clockid_t clock, struct timespec *time)
{
    static _Atomic(gettime *) original;
    gettime *function = atomic_load_explicit(&original, memory_order_relaxed);

    if (function == NULL) {
        function = (gettime *)preload_original("clock_gettime");
        atomic_store_explicit(&original, function, memory_order_relaxed);
    }
    return function(clock, time);
}

static int64_t to_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * SECOND_NS + time->tv_nsec;
}

/* A sequence lock's reader: what was read while it was written is read again. */
static struct control_clock read_control(const struct control_page *page)
{
    struct control_clock copy;
    uint32_t before;

    do {
        before = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
        copy.from_ns = __atomic_load_n(&page->clock.from_ns, __ATOMIC_RELAXED);
        copy.skew_ns = __atomic_load_n(&page->clock.skew_ns, __ATOMIC_RELAXED);
        copy.rate_before_ppm = __atomic_load_n(&page->clock.rate_before_ppm, __ATOMIC_RELAXED);
        copy.rate_ppm = __atomic_load_n(&page->clock.rate_ppm, __ATOMIC_RELAXED);
        copy.wall_ns = __atomic_load_n(&page->clock.wall_ns, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (before % 2 != 0 || before != __atomic_load_n(&page->sequence, __ATOMIC_RELAXED));
    return copy;
}

static bool is_changed(clockid_t clock)
{
    return clock == CLOCK_BOOTTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
           clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME ||
           clock == CLOCK_REALTIME_COARSE;
}

PRELOAD_PUBLIC int clock_gettime(clockid_t clock, struct timespec *time)
{
    const struct control_page *page = preload_control();
    struct timespec boot;

    if (read_clock(clock, time) != 0)
        return -1;
    if (page == NULL || !is_changed(clock))
        return 0;
    if (clock == CLOCK_BOOTTIME)
        boot = *time;
    else if (read_clock(CLOCK_BOOTTIME, &boot) != 0)
        return -1;
    struct control_clock copy = read_control(page);
    int64_t shown = to_ns(time) + control_clock_skew(&copy, to_ns(&boot));
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        shown += copy.wall_ns;
    time->tv_sec = (time_t)(shown / SECOND_NS);
    time->tv_nsec = (long)(shown % SECOND_NS);
    return 0;
}
