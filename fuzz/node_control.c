/* See node_control.h. */
#include "fuzz/node_control.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

/* How long before a new rate counts it is announced: far longer than writing it down takes. */
enum { ANNOUNCE_NS = 20 * 1000000 };

int control_open(const char *path, struct control_page **page, struct error *error)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *mapped = MAP_FAILED;

    *page = NULL;
    if (file >= 0 && ftruncate(file, sizeof **page) == 0)
        mapped = mmap(NULL, sizeof **page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        error_set(error, CAIRN_EIO, "%s: %s", path, strerror(errno));
    if (file >= 0)
        close(file);
    if (mapped == MAP_FAILED)
        return CAIRN_EIO;
    *page = mapped;
    return 0;
}

void control_close(struct control_page *page)
{
    if (page != NULL)
        munmap(page, sizeof *page);
}

/* A sequence lock's writer; there is one. Each field is stored after the odd number
 * (ThreadSanitizer knows no fences). */
static void write_clock(struct control_page *page, const struct control_clock *clock)
{
    uint32_t sequence = page->sequence;

    __atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&page->clock.from_ns, clock->from_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&page->clock.skew_ns, clock->skew_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&page->clock.rate_before_ppm, clock->rate_before_ppm, __ATOMIC_RELEASE);
    __atomic_store_n(&page->clock.rate_ppm, clock->rate_ppm, __ATOMIC_RELEASE);
    __atomic_store_n(&page->clock.wall_ns, clock->wall_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&page->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void control_set_rate(struct control_page *page, int64_t rate_ppm)
{
    struct control_clock clock = page->clock;
    int64_t now_ns = (int64_t)clock_now_ns();

    /* Two changes within the announcement would lose the piece before the first. */
    while (now_ns < clock.from_ns) {
        clock_sleep_ms(1);
        now_ns = (int64_t)clock_now_ns();
    }
    clock.skew_ns = control_clock_skew(&page->clock, now_ns + ANNOUNCE_NS);
    clock.from_ns = now_ns + ANNOUNCE_NS;
    clock.rate_before_ppm = page->clock.rate_ppm;
    clock.rate_ppm = rate_ppm;
    write_clock(page, &clock);
}

void control_set_wall(struct control_page *page, int64_t wall_ns)
{
    struct control_clock clock = page->clock;

    clock.wall_ns = wall_ns;
    write_clock(page, &clock);
}

void control_set_disk(struct control_page *page, uint32_t write_delay_us, uint32_t sync_delay_us)
{
    __atomic_store_n(&page->write_delay_us, write_delay_us, __ATOMIC_RELAXED);
    __atomic_store_n(&page->sync_delay_us, sync_delay_us, __ATOMIC_RELAXED);
}

void control_set_full(struct control_page *page, uint32_t is_full)
{
    __atomic_store_n(&page->is_full, is_full, __ATOMIC_RELAXED);
}
