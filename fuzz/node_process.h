/* Starts programs, also in another network namespace, and waits for their end. */
#ifndef CAIRN_FUZZ_NODE_PROCESS_H
#define CAIRN_FUZZ_NODE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct process_start {
    char *const *words;       /* the program and its arguments, ended by NULL */
    char *const *environment; /* ended by NULL */
    int network;              /* a network namespace's descriptor, or -1: the caller's */
    int input;                /* or -1: /dev/null */
    int output, errors;       /* descriptors */
};

/* Starts a program, found by PATH if its name has no slash, in a process group of its own, so that
 * a terminal's signals reach the caller alone. The descriptors stay the caller's. CAIRN_EIO. */
int process_start(const struct process_start *start, pid_t *process, struct error *error);
/* Waits for its end; `*status` as from waitpid. CAIRN_ETIMEDOUT: it still runs. */
int process_wait(pid_t process, uint64_t limit_ms, int *status);
/* "ended with 3", "was killed by signal 6". */
void process_describe(int status, char *out, size_t size);

/* Moves the calling thread into a network namespace; aborts if that fails, for then it would go on
 * in the wrong one. */
void process_enter(int network);

#endif
