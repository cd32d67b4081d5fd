/* What a program wrote to files and did not sync yet, for fail_nth.c: a sync that fails loses it,
 * as a kernel may that drops pages which it could not write. */
#ifndef CAIRN_TESTS_FAIL_UNSYNCED_H
#define CAIRN_TESTS_FAIL_UNSYNCED_H

#include <stddef.h>
#include <sys/types.h>

struct unsynced;

/* Around a write: between them nothing is lost. Keeps what stands there. An `fd` with O_SYNC or
 * O_DSYNC has nothing to lose. */
void unsynced_begin(int fd, off_t offset, size_t length);
void unsynced_end(void);

/* What was written to fd's file until now is lost: what stood there before is written back. */
void unsynced_lose(int fd);

/* What was written to fd's file until now, for a sync that begins; NULL if nothing was. */
struct unsynced *unsynced_take(int fd);
void unsynced_free(struct unsynced *list);

#endif
