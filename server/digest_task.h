/* Digests that were asked for of partitions here: each waits until its entry is applied, is taken
 * in that very turn, and counted later. Loop thread; counting goes through whoever owns the
 * threads. */
#ifndef CAIRN_SERVER_DIGEST_TASK_H
#define CAIRN_SERVER_DIGEST_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/digest_store.h"
#include "server/node.h"

enum digest_task_state {
    DIGEST_TASK_WAITING,  /* the entry is not applied yet */
    DIGEST_TASK_COUNTING, /* taken */
    DIGEST_TASK_DONE,
    DIGEST_TASK_PASSED, /* applied too far when it was asked for */
    DIGEST_TASK_BUSY,   /* could not be taken now */
};

struct digest_task {
    TAILQ_ENTRY(digest_task) link;
    uint64_t number; /* of the comparison */
    uint32_t partition;
    uint64_t index;
    enum digest_task_state state;
    struct digest_capture *capture; /* COUNTING */
    bool reading;                   /* a thread has the capture */
    bool dropped;                   /* meanwhile: to be freed when it comes back */
    struct digest digest;           /* DONE */
    uint64_t value;
    uint64_t asked_ms; /* last */
};
TAILQ_HEAD(digest_task_list, digest_task);

struct digest_tasks {
    struct digest_task_list list;
    uint32_t count;
};

void digest_tasks_init(struct digest_tasks *tasks);
void digest_tasks_free(struct digest_tasks *tasks); /* none is being read */
/* The task of that number, made if there is none; an older one of the partition is given up. NULL:
 * out of memory, or too many. Takes it at once if the index is what is applied. */
struct digest_task *digest_tasks_ask(struct digest_tasks *tasks, struct node *node,
                                     uint32_t partition, uint64_t number, uint64_t index,
                                     uint64_t now_ms);
struct digest_task *digest_tasks_find(const struct digest_tasks *tasks, uint32_t partition,
                                      uint64_t number);
/* partition->watch_index was applied, just now. */
void digest_tasks_reached(struct digest_tasks *tasks, struct node *node,
                          struct partition *partition);
/* The first one to be counted, or NULL. */
struct digest_task *digest_tasks_next(const struct digest_tasks *tasks);
/* A count came back with `code`. True if the task is done, and `keys` tells what failed: until the
 * next call of digest_task_settle or free. */
bool digest_task_counted(struct digest_task *task, int code, bool done);
/* Closes the capture of a task that is done; frees one that was dropped. */
void digest_task_settle(struct digest_tasks *tasks, struct digest_task *task);
void digest_task_drop(struct digest_tasks *tasks, struct node *node, struct digest_task *task);
/* Gives up what nobody has asked for lately. */
void digest_tasks_expire(struct digest_tasks *tasks, struct node *node, uint64_t now_ms);

#endif
