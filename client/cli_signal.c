/* SIGINT and SIGTERM: end what is waited for, retire the session, leave with 128 + signal.
 *
 * A handler can reach only what is static. It wakes the handle's loop (uv_async_send is
 * async-signal-safe) and a pipe that waits for input watch beside their input. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/handle.h"

static cairn_t *volatile handle; /* NULL while there is none */
static int pipe_ends[2] = {-1, -1};
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    int saved = errno;

    if (caught != 0) {
        _exit(128 + number);
    }
    caught = number;
    cairn_t *db = handle;
    if (db != NULL) {
        client_interrupt(db);
    }
    (void)!write(pipe_ends[1], "", 1);
    errno = saved;
}

int cli_signal_catch(cairn_t *db)
{
    struct sigaction action;

    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return cli_error(CLI_INVALID, "pipe: %s", strerror(errno));
    }
    handle = db;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal; /* without SA_RESTART: reads end as well */
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        return cli_error(CLI_INVALID, "sigaction: %s", strerror(errno));
    }
    return CLI_DONE;
}

void cli_signal_release(void)
{
    handle = NULL;
}

int cli_signal_caught(void)
{
    return caught;
}

const volatile int *cli_signal_flag(void)
{
    return &caught;
}

void cli_signal_clear(void)
{
    char byte;

    while (read(pipe_ends[0], &byte, 1) == 1) {
    }
    caught = 0;
    client_interrupt_clear(handle);
}

bool cli_signal_wait(int fd)
{
    struct pollfd watched[2] = {
        {.fd = fd, .events = POLLIN},
        {.fd = pipe_ends[0], .events = POLLIN},
    };

    while (caught == 0) {
        int count = poll(watched, 2, -1);
        /* An input that cannot be polled or is at its end shows that in the read. */
        if (count > 0 && watched[0].revents != 0) {
            return true;
        }
        if (count < 0 && errno != EINTR) {
            return true;
        }
    }
    return false;
}
