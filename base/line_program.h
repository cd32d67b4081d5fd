/* A program that answers lines with lines, such as one in workload mode: started by a shell, spoken
 * to through pipes. */
#ifndef CAIRN_BASE_LINE_PROGRAM_H
#define CAIRN_BASE_LINE_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"

/* Which process group it joins: one of its own, so that its end is the end of all that the shell
 * started; or that of the caller, who is ended together with it. */
enum line_program_group { LINE_PROGRAM_OWN_GROUP, LINE_PROGRAM_THIS_GROUP };

/* Used by one thread. */
struct line_program {
    const char *command; /* the caller's */
    uint64_t timeout_ms; /* of a call; 0: none */
    pid_t pid;           /* of the shell; 0: none */
    enum line_program_group group;
    int to, from;        /* ends of pipes, not blocking */
    struct buffer input; /* what came and is not yet taken; of it the first `taken` bytes are */
    size_t taken;
    uint64_t deadline_ms; /* of the call under way; UINT64_MAX: none */
};

/* Runs `command` by /bin/sh -c; its stderr is ours. On failure nothing is left to be ended. */
int line_program_start(struct line_program *program, const char *command,
                       enum line_program_group group, uint64_t timeout_ms, struct error *error);
/* Sends STOP, waits a moment for the end, then ends it, and what is left of its own group.
 * Nothing happens if no program was started. */
void line_program_end(struct line_program *program);

/* Begins a call: `length` bytes that end with a newline are sent, and its answer must be complete
 * timeout_ms from now. CAIRN_ETIMEDOUT; CAIRN_EUNAVAILABLE if the program ended. */
int line_program_send(struct line_program *program, const char *text, size_t length,
                      struct error *error);
/* The next line of the answer, without its newline but with a NUL, valid until the next call of
 * this module. Errors as line_program_send, and CAIRN_ETOOBIG. */
int line_program_line(struct line_program *program, const char **line, size_t *length,
                      struct error *error);

#endif
