/* A program that answers lines with lines: started by a shell, spoken to through pipes. */
#ifndef CAIRN_BENCH_TARGET_WORKLOAD_PROGRAM_H
#define CAIRN_BENCH_TARGET_WORKLOAD_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"

/* Used by one thread. */
struct program {
    const char *command; /* the caller's */
    uint64_t timeout_ms;
    pid_t pid;           /* of the shell, and of the process group that it leads; 0: none */
    int to, from;        /* ends of pipes, not blocking */
    struct buffer input; /* what came and is not yet taken; of it the first `taken` bytes are */
    size_t taken;
    uint64_t deadline_ms; /* of the call under way */
};

/* Runs `command` by /bin/sh -c; its stderr is ours. On failure nothing is left to be ended. */
int program_start(struct program *program, const char *command, uint64_t timeout_ms,
                  struct error *error);
/* Sends STOP, waits a moment for the end, then ends what is left of the group. Nothing happens if
 * no program was started. */
void program_end(struct program *program);

/* Begins a call: `length` bytes that end with a newline are sent, and its answer must be complete
 * timeout_ms from now. CAIRN_ETIMEDOUT; CAIRN_EUNAVAILABLE if the program ended. */
int program_send(struct program *program, const char *text, size_t length, struct error *error);
/* The next line of the answer, without its newline but with a NUL, valid until the next call of
 * this module. Errors as program_send, and CAIRN_ETOOBIG. */
int program_line(struct program *program, const char **line, size_t *length, struct error *error);

#endif
