/* What a server did to its files, in order: the format of the recorder's logs.
 *
 * Each slot (a node of the cluster, over all its lives) has a log of its own, SLOT.events: events
 * one after the other, each a struct event_head, then its names, then its data; numbers as the
 * machine has them, for the logs live no longer than a run. The numbers of all events come from one
 * counter in shared memory, so that logs of several nodes can be merged. Files and directories are
 * called by their inode numbers. */
#ifndef CAIRN_TESTS_CRASH_EVENTS_H
#define CAIRN_TESTS_CRASH_EVENTS_H

#include <assert.h>
#include <stdint.h>

enum { EVENT_MAGIC = 0x43564e45, EVENT_SLOTS = 16 };

enum event_kind {
    EVENT_START = 1,  /* a life begins; object: the recorded root */
    EVENT_CREATE,     /* object, a file, appears in parent as name */
    EVENT_MKDIR,      /* the same of a directory */
    EVENT_WRITE,      /* data at offset */
    EVENT_ZEROS,      /* length zeros at offset */
    EVENT_SIZE,       /* the file's size becomes length */
    EVENT_SYNC,       /* what object, a file or directory, was up to event `since` is durable */
    EVENT_SYNC_WRITE, /* the write that was event `since` is durable (O_DSYNC) */
    EVENT_RENAME,     /* name of parent becomes name2 of parent2, which may be the same */
    EVENT_UNLINK,     /* name, of a file or directory, leaves parent */
    EVENT_KINDS,
};

struct event_head {
    uint32_t magic;
    uint16_t kind, slot;
    uint64_t number; /* from 1; taken when the call was done */
    uint64_t since;
    uint64_t object, parent, parent2;
    uint64_t offset, length;
    uint32_t name_length, name2_length; /* without an end */
    uint64_t data_length;
};
static_assert(sizeof(struct event_head) == 80, "no padding");

/* The memory that recorders and the driver share. The counter is the number of the last event: who
 * reads it after an answer has come knows that all that the answer stands on is not above it. */
struct event_shared {
    _Atomic uint64_t counter;
    _Atomic uint32_t die[EVENT_SLOTS]; /* not 0: the node kills itself at its next event */
};

#endif
