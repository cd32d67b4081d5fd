/* The calls of the disk in memory, and the faults that they meet. */
#include "wal/io_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wal/io_memory_internal.h"

void *memory_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    CHECK(memory);
    return memory;
}

static struct node *node_create(struct memory_disk *disk)
{
    struct node *node = memory_allocate(sizeof *node);
    LIST_INSERT_HEAD(&disk->nodes, node, link);
    return node;
}

void memory_node_release(struct memory_disk *disk, struct node *node)
{
    CHECK(node->users > 0);
    if (--node->users > 0)
        return;
    struct unsynced_write *write, *next;
    for (write = TAILQ_FIRST(&disk->writes); write; write = next) {
        next = TAILQ_NEXT(write, link);
        if (write->node == node)
            memory_write_drop(disk, write);
    }
    LIST_REMOVE(node, link);
    free(node->seen.bytes);
    free(node->durable.bytes);
    free(node);
}

struct name *memory_name_find(const struct name_list *names, const char *text)
{
    struct name *name;
    LIST_FOREACH(name, names, link)
    if (strcmp(name->text, text) == 0)
        return name;
    return NULL;
}

static void name_remove(struct memory_disk *disk, struct name *name)
{
    struct node *node = name->node;
    LIST_REMOVE(name, link);
    free(name);
    memory_node_release(disk, node);
}

void memory_names_change(struct memory_disk *disk, struct name_list *names, const char *from,
                         const char *to, struct node *node)
{
    node->users++; /* not to vanish between the two steps */
    struct name *old = from[0] ? memory_name_find(names, from) : NULL;
    if (old)
        name_remove(disk, old);
    if (to[0]) {
        old = memory_name_find(names, to);
        if (old)
            name_remove(disk, old);
        struct name *name = memory_allocate(sizeof *name);
        memcpy(name->text, to, strlen(to) + 1);
        name->node = node;
        node->users++;
        LIST_INSERT_HEAD(names, name, link);
    }
    memory_node_release(disk, node);
}

void memory_names_clear(struct memory_disk *disk, struct name_list *names)
{
    struct name *name;
    while ((name = LIST_FIRST(names)))
        name_remove(disk, name);
}

void memory_content_write(struct content *content, uint64_t offset, const uint8_t *bytes,
                          size_t length)
{
    if (offset + length > content->length) {
        size_t larger = (size_t)(offset + length);
        content->bytes = realloc(content->bytes, larger);
        CHECK(content->bytes);
        memset(content->bytes + content->length, 0, larger - content->length);
        content->length = larger;
    }
    if (length > 0)
        memcpy(content->bytes + offset, bytes, length);
}

void memory_content_copy(struct content *to, const struct content *from)
{
    to->length = 0;
    memory_content_write(to, 0, from->bytes, from->length);
}

void memory_write_drop(struct memory_disk *disk, struct unsynced_write *write)
{
    TAILQ_REMOVE(&disk->writes, write, link);
    free(write);
}

void memory_change_drop(struct memory_disk *disk, struct unsynced_change *change)
{
    TAILQ_REMOVE(&disk->changes, change, link);
    memory_node_release(disk, change->node);
    free(change);
}

void memory_change_apply(struct memory_disk *disk, struct unsynced_change *change)
{
    memory_names_change(disk, &disk->durable_names, change->from, change->to, change->node);
}

/* Counts a call and says how it ends: 0 to go on; with `*torn` it takes effect and still fails. */
static int meet_faults(struct memory_disk *disk, enum memory_call call, bool *torn)
{
    int kind = __builtin_ctz((unsigned)call);
    disk->calls[kind]++;
    *torn = false;
    if (disk->crashed)
        return -EIO;
    if (disk->crash_in > 0 && --disk->crash_in == 0) {
        disk->crashed = true;
        *torn = true;
        return -EIO;
    }
    if (!(disk->fail_calls & (unsigned)call) || disk->fail_in == 0)
        return 0;
    if (disk->fail_in > 1) {
        disk->fail_in--;
        return 0;
    }
    if (!disk->fail_forever)
        disk->fail_in = 0;
    return disk->fail_error;
}

/* The last part of a path: the disk has one directory. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    CHECK(strlen(name) < MEMORY_NAME_MAX);
    return name;
}

static void change_names(struct memory_disk *disk, const char *from, const char *to,
                         struct node *node)
{
    struct unsynced_change *change = memory_allocate(sizeof *change);
    memcpy(change->from, from, strlen(from) + 1);
    memcpy(change->to, to, strlen(to) + 1);
    change->node = node;
    node->users++;
    TAILQ_INSERT_TAIL(&disk->changes, change, link);
    memory_names_change(disk, &disk->names, from, to, node);
}

static int open_locked(struct memory_disk *disk, const char *path, bool create,
                       struct io_file **file)
{
    bool torn;
    int rc = meet_faults(disk, MEMORY_OPEN, &torn);
    const char *name = name_of(path);
    struct name *found = memory_name_find(&disk->names, name);
    if (!found && create && (rc == 0 || torn)) {
        struct node *node = node_create(disk);
        change_names(disk, "", name, node);
        found = memory_name_find(&disk->names, name);
    }
    if (rc != 0)
        return rc;
    if (!found)
        return -ENOENT;
    *file = memory_allocate(sizeof **file);
    (*file)->node = found->node;
    (*file)->generation = disk->generation;
    found->node->users++;
    return 0;
}

static int memory_open(void *context, const char *path, bool create, struct io_file **file)
{
    struct memory_disk *disk = context;
    *file = NULL;
    pthread_mutex_lock(&disk->mutex);
    int rc = open_locked(disk, path, create, file);
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static void memory_close(void *context, struct io_file *file)
{
    struct memory_disk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    memory_node_release(disk, file->node);
    pthread_mutex_unlock(&disk->mutex);
    free(file);
}

/* Begins a call on a file; takes the mutex. */
static int begin(struct memory_disk *disk, const struct io_file *file, enum memory_call call,
                 bool *torn)
{
    pthread_mutex_lock(&disk->mutex);
    int rc = meet_faults(disk, call, torn);
    if (file && file->generation != disk->generation) {
        *torn = false;
        rc = -EIO;
    }
    return rc;
}

static int memory_read(void *context, struct io_file *file, uint64_t offset, void *data,
                       size_t length, size_t *got)
{
    struct memory_disk *disk = context;
    bool torn;
    int rc = begin(disk, file, MEMORY_READ, &torn);
    *got = 0;
    const struct content *seen = &file->node->seen;
    if (rc == 0 && offset < seen->length) {
        size_t rest = seen->length - (size_t)offset;
        *got = length < rest ? length : rest;
        memcpy(data, seen->bytes + offset, *got);
    }
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static uint64_t used_bytes(const struct memory_disk *disk)
{
    uint64_t used = 0;
    const struct node *node;
    LIST_FOREACH(node, &disk->nodes, link)
    used += node->seen.length;
    return used;
}

/* `bytes` may be NULL for zeros. */
static int write_unsynced(struct memory_disk *disk, struct node *node, uint64_t offset,
                          const void *bytes, size_t length)
{
    uint64_t end = offset + length;
    if (disk->limit > 0 && end > node->seen.length &&
        used_bytes(disk) + (end - node->seen.length) > disk->limit)
        return -ENOSPC;
    struct unsynced_write *write = memory_allocate(sizeof *write + length);
    write->node = node;
    write->offset = offset;
    write->length = length;
    if (bytes)
        memcpy(write->bytes, bytes, length);
    TAILQ_INSERT_TAIL(&disk->writes, write, link);
    memory_content_write(&node->seen, offset, write->bytes, length);
    return 0;
}

static int memory_write(void *context, struct io_file *file, uint64_t offset, const void *data,
                        size_t length)
{
    struct memory_disk *disk = context;
    bool torn;
    int rc = begin(disk, file, MEMORY_WRITE, &torn);
    if (rc == 0)
        rc = write_unsynced(disk, file->node, offset, data, length);
    else if (torn)
        (void)write_unsynced(disk, file->node, offset, data, length);
    else if (!disk->crashed && file->generation == disk->generation)
        (void)write_unsynced(disk, file->node, offset, data, length / 2);
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

/* Ends the node's unsynced writes: durable, or lost for good. */
static void settle(struct memory_disk *disk, const struct node *node, bool durable)
{
    struct unsynced_write *write, *next;
    for (write = TAILQ_FIRST(&disk->writes); write; write = next) {
        next = TAILQ_NEXT(write, link);
        if (write->node != node)
            continue;
        if (durable)
            memory_content_write(&write->node->durable, write->offset, write->bytes, write->length);
        memory_write_drop(disk, write);
    }
}

static int memory_sync(void *context, struct io_file *file)
{
    struct memory_disk *disk = context;
    bool torn;
    int rc = begin(disk, file, MEMORY_SYNC, &torn);
    /* At a power failure the writes stay unsynced: the restart decides on each. */
    if (!disk->crashed && file->generation == disk->generation)
        settle(disk, file->node, rc == 0);
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static int memory_size(void *context, struct io_file *file, uint64_t *bytes)
{
    struct memory_disk *disk = context;
    bool torn;
    int rc = begin(disk, file, MEMORY_SIZE, &torn);
    *bytes = rc == 0 ? file->node->seen.length : 0;
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static int memory_preallocate(void *context, struct io_file *file, uint64_t bytes)
{
    struct memory_disk *disk = context;
    bool torn;
    int rc = begin(disk, file, MEMORY_PREALLOCATE, &torn);
    if (rc == 0)
        rc = write_unsynced(disk, file->node, 0, NULL, (size_t)bytes);
    else if (torn)
        (void)write_unsynced(disk, file->node, 0, NULL, (size_t)bytes);
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static int memory_rename(void *context, const char *from, const char *to)
{
    struct memory_disk *disk = context;
    bool torn;
    int rc = begin(disk, NULL, MEMORY_RENAME, &torn);
    const struct name *name = memory_name_find(&disk->names, name_of(from));
    if (rc == 0 && !name)
        rc = -ENOENT;
    if (name && (rc == 0 || torn))
        change_names(disk, name_of(from), name_of(to), name->node);
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static int memory_remove(void *context, const char *path)
{
    struct memory_disk *disk = context;
    bool torn;
    int rc = begin(disk, NULL, MEMORY_REMOVE, &torn);
    const struct name *name = memory_name_find(&disk->names, name_of(path));
    if (rc == 0 && !name)
        rc = -ENOENT;
    if (name && (rc == 0 || torn))
        change_names(disk, name_of(path), "", name->node);
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static int memory_sync_directory(void *context, const char *path)
{
    struct memory_disk *disk = context;
    (void)path;
    bool torn;
    int rc = begin(disk, NULL, MEMORY_SYNC_DIRECTORY, &torn);
    struct unsynced_change *change;
    while (!disk->crashed && (change = TAILQ_FIRST(&disk->changes))) {
        if (rc == 0)
            memory_change_apply(disk, change);
        memory_change_drop(disk, change);
    }
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static int memory_list(void *context, const char *path,
                       void (*visit)(void *visitor, const char *name), void *visitor)
{
    struct memory_disk *disk = context;
    (void)path;
    bool torn;
    int rc = begin(disk, NULL, MEMORY_LIST, &torn);
    const struct name *name;
    if (rc == 0)
        LIST_FOREACH(name, &disk->names, link)
    visit(visitor, name->text);
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

static int memory_descriptor(void *context, struct io_file *file)
{
    (void)context;
    (void)file;
    return -1;
}

struct memory_disk *memory_disk_create(void)
{
    struct memory_disk *disk = memory_allocate(sizeof *disk);
    disk->io = (struct io){
        .context = disk,
        .open = memory_open,
        .close = memory_close,
        .read = memory_read,
        .write = memory_write,
        .sync = memory_sync,
        .size = memory_size,
        .preallocate = memory_preallocate,
        .rename = memory_rename,
        .remove = memory_remove,
        .sync_directory = memory_sync_directory,
        .list = memory_list,
        .descriptor = memory_descriptor,
    };
    CHECK(pthread_mutex_init(&disk->mutex, NULL) == 0);
    LIST_INIT(&disk->nodes);
    LIST_INIT(&disk->names);
    LIST_INIT(&disk->durable_names);
    TAILQ_INIT(&disk->writes);
    TAILQ_INIT(&disk->changes);
    return disk;
}

const struct io *memory_disk_io(struct memory_disk *disk)
{
    return &disk->io;
}
