/* Locks between processes: bytes of the segment's file, locked by the kernel for an open file
 * description (F_OFD_SETLK, fcntl(2)). They end with the process, nothing in the segment can break
 * them, and a fork()ed child that closes its descriptor does not release them. Threads of a process
 * share the description, so a mutex of the process comes first. Every wait is short and bounded. */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "client/segment_internal.h"

enum { AGENT_BYTE = 0, FIRST_STRIPE_BYTE = 1, TRIES = 5, PAUSE_NS = 40000 };

static bool lock_byte(int descriptor, off_t byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int code;

    do
        code = fcntl(descriptor, F_OFD_SETLK, &lock);
    while (code != 0 && errno == EINTR);
    return code == 0;
}

static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    (void)nanosleep(&pause, NULL); /* a signal makes it shorter; the tries are counted */
}

bool segment_try_lock_stripe(void *context, uint32_t stripe)
{
    struct segment *segment = context;
    int tries = TRIES;

    while (pthread_mutex_trylock(&segment->filling) != 0) {
        if (--tries <= 0)
            return false;
        pause_shortly();
    }
    while (!lock_byte(segment->descriptor, FIRST_STRIPE_BYTE + (off_t)stripe, F_WRLCK)) {
        if (--tries <= 0) {
            (void)pthread_mutex_unlock(&segment->filling);
            return false;
        }
        pause_shortly();
    }
    return true;
}

void segment_unlock_stripe(void *context, uint32_t stripe)
{
    struct segment *segment = context;

    (void)lock_byte(segment->descriptor, FIRST_STRIPE_BYTE + (off_t)stripe, F_UNLCK);
    (void)pthread_mutex_unlock(&segment->filling);
}

bool segment_try_lock_agent(struct segment *segment)
{
    bool taken = false;

    /* The kernel would give this description its own lock a second time. */
    if (!atomic_compare_exchange_strong(&segment->agent, &taken, true))
        return false;
    if (lock_byte(segment->descriptor, AGENT_BYTE, F_WRLCK))
        return true;
    atomic_store(&segment->agent, false);
    return false;
}

void segment_unlock_agent(struct segment *segment)
{
    if (!atomic_load(&segment->agent))
        return;
    (void)lock_byte(segment->descriptor, AGENT_BYTE, F_UNLCK);
    atomic_store(&segment->agent, false);
}

bool segment_has_agent(const struct segment *segment)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = AGENT_BYTE, .l_len = 1};

    if (atomic_load(&segment->agent))
        return true;
    return fcntl(segment->descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
