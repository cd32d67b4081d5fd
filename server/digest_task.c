/* See digest_task.h. */
#include "server/digest_task.h"

#include <stdlib.h>

#include "base/check.h"

enum { TASKS_LIMIT = 64, FORGET_MS = 10000 };

void digest_tasks_init(struct digest_tasks *tasks)
{
    TAILQ_INIT(&tasks->list);
    tasks->count = 0;
}

static void free_task(struct digest_tasks *tasks, struct digest_task *task)
{
    CHECK(!task->reading && tasks->count > 0);
    TAILQ_REMOVE(&tasks->list, task, link);
    tasks->count--;
    digest_capture_close(task->capture);
    free(task);
}

void digest_tasks_free(struct digest_tasks *tasks)
{
    while (!TAILQ_EMPTY(&tasks->list))
        free_task(tasks, TAILQ_FIRST(&tasks->list));
}

struct digest_task *digest_tasks_find(const struct digest_tasks *tasks, uint32_t partition,
                                      uint64_t number)
{
    struct digest_task *task;

    TAILQ_FOREACH(task, &tasks->list, link)
    {
        if (task->partition == partition && task->number == number && !task->dropped)
            return task;
    }
    return NULL;
}

void digest_task_drop(struct digest_tasks *tasks, struct node *node, struct digest_task *task)
{
    struct partition *partition = &node->partitions[task->partition];

    if (task->state == DIGEST_TASK_WAITING && partition->watch_index == task->index)
        partition->watch_index = 0;
    task->dropped = true;
    if (!task->reading)
        free_task(tasks, task);
}

/* What is applied is exactly the task's index. */
static void take(struct digest_task *task, struct node *node)
{
    const struct store_position *applied = store_applied(node->store, task->partition);

    CHECK(applied->index == task->index && !applied->installing);
    if (digest_capture_open(node->store, task->partition, &task->capture) == CAIRN_OK) {
        task->state = DIGEST_TASK_COUNTING;
        return;
    }
    task->state = DIGEST_TASK_BUSY;
    node->wants_checkpoint = true; /* then less is in memory */
}

/* A partition is watched for one index: who asked before for another one asks in vain. */
static void drop_others(struct digest_tasks *tasks, struct node *node, uint32_t partition)
{
    struct digest_task *task, *next;

    for (task = TAILQ_FIRST(&tasks->list); task != NULL; task = next) {
        next = TAILQ_NEXT(task, link);
        if (task->partition == partition && !task->dropped)
            digest_task_drop(tasks, node, task);
    }
}

static void begin(struct digest_task *task, struct node *node)
{
    const struct store_position *applied = store_applied(node->store, task->partition);

    if (applied->installing)
        task->state = DIGEST_TASK_BUSY;
    else if (applied->index > task->index)
        task->state = DIGEST_TASK_PASSED;
    else if (applied->index == task->index)
        take(task, node);
    else
        node->partitions[task->partition].watch_index = task->index;
}

struct digest_task *digest_tasks_ask(struct digest_tasks *tasks, struct node *node,
                                     uint32_t partition, uint64_t number, uint64_t index,
                                     uint64_t now_ms)
{
    struct digest_task *task = digest_tasks_find(tasks, partition, number);

    CHECK(partition < node->partition_count);
    if (task == NULL) {
        drop_others(tasks, node, partition);
        if (tasks->count == TASKS_LIMIT)
            return NULL;
        task = calloc(1, sizeof *task);
        if (task == NULL)
            return NULL;
        task->number = number;
        task->partition = partition;
        task->index = index;
        TAILQ_INSERT_TAIL(&tasks->list, task, link);
        tasks->count++;
        begin(task, node);
    }
    task->asked_ms = now_ms;
    return task;
}

void digest_tasks_reached(struct digest_tasks *tasks, struct node *node,
                          struct partition *partition)
{
    struct digest_task *task;

    partition->watch_index = 0;
    TAILQ_FOREACH(task, &tasks->list, link)
    {
        if (task->partition == partition->replica.partition && task->state == DIGEST_TASK_WAITING &&
            task->index == partition->applied.index)
            take(task, node);
    }
}

struct digest_task *digest_tasks_next(const struct digest_tasks *tasks)
{
    struct digest_task *task;

    TAILQ_FOREACH(task, &tasks->list, link)
    {
        if (task->state == DIGEST_TASK_COUNTING && !task->dropped)
            return task;
    }
    return NULL;
}

bool digest_task_counted(struct digest_task *task, int code, bool done)
{
    task->reading = false;
    if (code != CAIRN_OK) {
        task->state = DIGEST_TASK_BUSY;
        return false;
    }
    if (!done)
        return false;
    task->state = DIGEST_TASK_DONE;
    task->digest = *digest_capture_result(task->capture);
    task->value = digest_capture_value(task->capture);
    return true;
}

void digest_task_settle(struct digest_tasks *tasks, struct digest_task *task)
{
    if (task->dropped) {
        free_task(tasks, task);
    } else if (task->state != DIGEST_TASK_COUNTING) {
        digest_capture_close(task->capture);
        task->capture = NULL;
    }
}

void digest_tasks_expire(struct digest_tasks *tasks, struct node *node, uint64_t now_ms)
{
    struct digest_task *task, *next;

    for (task = TAILQ_FIRST(&tasks->list); task != NULL; task = next) {
        next = TAILQ_NEXT(task, link);
        if (!task->dropped && now_ms > task->asked_ms + FORGET_MS)
            digest_task_drop(tasks, node, task);
    }
}
