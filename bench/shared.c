/* Maps what processes share, and lets the user end a run. */
#include "bench/shared.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

/* A signal's handler is told nothing, so it has to find this. */
static struct shared *interruptible;

static void on_interrupt(int number)
{
    (void)number;
    atomic_store(&interruptible->stop, true);
}

static void handle_interrupt(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
}

int shared_create(struct shared **shared, struct error *error)
{
    void *memory =
        mmap(NULL, sizeof(**shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = memory == MAP_FAILED ? NULL : memory;
    if (*shared == NULL)
        return error_set(error, CAIRN_ENOMEM, "run: no memory to share: %s", strerror(errno));
    return 0;
}

void shared_free(struct shared *shared)
{
    if (shared == NULL)
        return;
    if (interruptible == shared) {
        handle_interrupt(SIG_DFL);
        interruptible = NULL;
    }
    CHECK(munmap(shared, sizeof(*shared)) == 0);
}

void shared_stop_on_interrupt(struct shared *shared)
{
    interruptible = shared;
    handle_interrupt(on_interrupt);
}
