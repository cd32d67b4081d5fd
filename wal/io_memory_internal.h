/* Shared by io_memory.c (the calls) and io_memory_crash.c (what a power failure leaves). */
#ifndef CAIRN_WAL_IO_MEMORY_INTERNAL_H
#define CAIRN_WAL_IO_MEMORY_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "wal/io_memory.h"

enum { MEMORY_SECTOR_BYTES = 512, MEMORY_NAME_MAX = 64, MEMORY_CALL_KINDS = 10 };

struct content {
    uint8_t *bytes;
    size_t length;
};

/* A file, whatever its name. */
struct node {
    LIST_ENTRY(node) link;
    unsigned users;         /* names, durable names, operations and handles that stand for it */
    struct content seen;    /* by the process */
    struct content durable; /* by a process after a power failure that loses all unsynced */
};

/* A write or a change of size that is not synced. */
struct unsynced_write {
    TAILQ_ENTRY(unsynced_write) link;
    struct node *node;
    uint64_t offset;
    size_t length;
    uint8_t bytes[];
};

struct name {
    LIST_ENTRY(name) link;
    char text[MEMORY_NAME_MAX];
    struct node *node;
};
LIST_HEAD(name_list, name);

/* A change of the directory that is not synced: `from` goes (unless empty), `to` appears (unless
 * empty) and stands for the node. */
struct unsynced_change {
    TAILQ_ENTRY(unsynced_change) link;
    char from[MEMORY_NAME_MAX], to[MEMORY_NAME_MAX];
    struct node *node;
};

struct memory_disk {
    struct io io;
    pthread_mutex_t mutex;
    LIST_HEAD(, node) nodes;
    struct name_list names, durable_names;
    TAILQ_HEAD(, unsynced_write) writes;   /* in the order they were made */
    TAILQ_HEAD(, unsynced_change) changes; /* likewise */
    uint64_t limit;
    uint64_t generation; /* of handles; grows with each restart */
    uint64_t calls[MEMORY_CALL_KINDS];
    unsigned fail_calls;
    uint64_t fail_in;
    int fail_error;
    bool fail_forever;
    uint64_t crash_in;
    bool crashed;
};

struct io_file {
    struct node *node;
    uint64_t generation;
};

void memory_node_release(struct memory_disk *disk, struct node *node);
struct name *memory_name_find(const struct name_list *names, const char *text);
/* Makes the change in a list of names. */
void memory_names_change(struct memory_disk *disk, struct name_list *names, const char *from,
                         const char *to, struct node *node);
void memory_names_clear(struct memory_disk *disk, struct name_list *names);
void memory_content_write(struct content *content, uint64_t offset, const uint8_t *bytes,
                          size_t length);
void memory_content_copy(struct content *to, const struct content *from);
/* Forgets the write or change, wherever it went. */
void memory_write_drop(struct memory_disk *disk, struct unsynced_write *write);
void memory_change_drop(struct memory_disk *disk, struct unsynced_change *change);
void memory_change_apply(struct memory_disk *disk, struct unsynced_change *change);
void *memory_allocate(size_t bytes); /* zeroed; aborts without memory */

#endif
