/* The disk in memory as a test handles it: faults ordered, power failures, damage. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"
#include "wal/io_memory_internal.h"

/* What becomes of unsynced writes and changes of names, each drawn on its own. */
enum fate {
    FATE_NONE,
    FATE_ALL,
    FATE_PREFIX,  /* the first so many, in the order they were made; the last of them partly */
    FATE_ANY,     /* each one or not */
    FATE_SECTORS, /* each sector of each one or not; the order is lost */
    FATE_TORN,    /* the same, and some sectors in part */
    FATES,
};

void memory_disk_free(struct memory_disk *disk)
{
    if (!disk)
        return;
    struct unsynced_change *change;
    while ((change = TAILQ_FIRST(&disk->changes)))
        memory_change_drop(disk, change);
    memory_names_clear(disk, &disk->names);
    memory_names_clear(disk, &disk->durable_names);
    CHECK(LIST_EMPTY(&disk->nodes)); /* else a file is open */
    pthread_mutex_destroy(&disk->mutex);
    free(disk);
}

struct memory_disk *memory_disk_clone(const struct memory_disk *disk)
{
    struct memory_disk *clone = memory_disk_create();
    clone->limit = disk->limit;
    const struct name *name;
    LIST_FOREACH(name, &disk->names, link)
    {
        struct node *node = memory_allocate(sizeof *node);
        LIST_INSERT_HEAD(&clone->nodes, node, link);
        memory_content_copy(&node->seen, &name->node->seen);
        memory_content_copy(&node->durable, &name->node->seen);
        memory_names_change(clone, &clone->names, "", name->text, node);
        memory_names_change(clone, &clone->durable_names, "", name->text, node);
    }
    return clone;
}

void memory_disk_limit(struct memory_disk *disk, uint64_t bytes)
{
    pthread_mutex_lock(&disk->mutex);
    disk->limit = bytes;
    pthread_mutex_unlock(&disk->mutex);
}

uint64_t memory_disk_calls(struct memory_disk *disk, unsigned calls)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&disk->mutex);
    for (int kind = 0; kind < MEMORY_CALL_KINDS; kind++)
        if (calls & (1U << kind))
            sum += disk->calls[kind];
    pthread_mutex_unlock(&disk->mutex);
    return sum;
}

void memory_disk_fail(struct memory_disk *disk, unsigned calls, uint64_t nth, int error,
                      bool forever)
{
    CHECK(nth > 0 && error < 0);
    pthread_mutex_lock(&disk->mutex);
    disk->fail_calls = calls;
    disk->fail_in = nth;
    disk->fail_error = error;
    disk->fail_forever = forever;
    pthread_mutex_unlock(&disk->mutex);
}

void memory_disk_crash_at(struct memory_disk *disk, uint64_t nth)
{
    pthread_mutex_lock(&disk->mutex);
    disk->crash_in = nth;
    pthread_mutex_unlock(&disk->mutex);
}

bool memory_disk_crashed(struct memory_disk *disk)
{
    pthread_mutex_lock(&disk->mutex);
    bool crashed = disk->crashed;
    pthread_mutex_unlock(&disk->mutex);
    return crashed;
}

/* Brings a write to the disk sector by sector, as the fate says. */
static void land_sectors(const struct unsynced_write *write, enum fate fate, struct random *random)
{
    for (size_t at = 0; at < write->length;) {
        size_t rest = MEMORY_SECTOR_BYTES - (size_t)((write->offset + at) % MEMORY_SECTOR_BYTES);
        size_t length = write->length - at < rest ? write->length - at : rest;
        size_t landed = random_below(random, 2) == 0 ? 0 : length;
        if (fate == FATE_TORN && random_below(random, 4) == 0)
            landed = (size_t)random_below(random, length + 1);
        if (landed > 0)
            memory_content_write(&write->node->durable, write->offset + at, write->bytes + at,
                                 landed);
        at += length;
    }
}

static void land_write(const struct unsynced_write *write, enum fate fate, uint64_t *prefix,
                       struct random *random)
{
    size_t length = write->length;
    switch (fate) {
    case FATE_PREFIX:
        if (*prefix == 0)
            return;
        if (--*prefix == 0)
            length = (size_t)random_below(random, length + 1);
        break;
    case FATE_ANY:
        if (random_below(random, 2) == 0)
            return;
        break;
    case FATE_SECTORS:
    case FATE_TORN:
        land_sectors(write, fate, random);
        return;
    case FATE_ALL:
        break;
    case FATE_NONE:
    case FATES:
        return;
    }
    memory_content_write(&write->node->durable, write->offset, write->bytes, length);
}

static void land_writes(struct memory_disk *disk, struct random *random)
{
    enum fate fate = (enum fate)random_below(random, FATES);
    uint64_t count = 0;
    struct unsynced_write *write;
    TAILQ_FOREACH(write, &disk->writes, link)
    count++;
    uint64_t prefix = random_below(random, count + 1);
    while ((write = TAILQ_FIRST(&disk->writes))) {
        land_write(write, fate, &prefix, random);
        memory_write_drop(disk, write);
    }
}

static void land_changes(struct memory_disk *disk, struct random *random)
{
    enum fate fate = (enum fate)random_below(random, FATE_SECTORS);
    uint64_t count = 0;
    struct unsynced_change *change;
    TAILQ_FOREACH(change, &disk->changes, link)
    count++;
    uint64_t prefix = random_below(random, count + 1);
    while ((change = TAILQ_FIRST(&disk->changes))) {
        bool lands = fate == FATE_ALL || (fate == FATE_PREFIX && prefix > 0) ||
                     (fate == FATE_ANY && random_below(random, 2) == 0);
        if (prefix > 0)
            prefix--;
        if (lands)
            memory_change_apply(disk, change);
        memory_change_drop(disk, change);
    }
}

void memory_disk_restart(struct memory_disk *disk, uint64_t seed)
{
    struct random random;
    random_seed(&random, seed);
    pthread_mutex_lock(&disk->mutex);
    land_writes(disk, &random);
    land_changes(disk, &random);
    memory_names_clear(disk, &disk->names);
    const struct name *name;
    LIST_FOREACH(name, &disk->durable_names, link)
    memory_names_change(disk, &disk->names, "", name->text, name->node);
    struct node *node;
    LIST_FOREACH(node, &disk->nodes, link)
    memory_content_copy(&node->seen, &node->durable);
    disk->generation++;
    disk->crashed = false;
    disk->crash_in = 0;
    disk->fail_in = 0;
    pthread_mutex_unlock(&disk->mutex);
}

uint8_t *memory_disk_file(struct memory_disk *disk, const char *text, size_t *length)
{
    *length = 0;
    const struct name *name = memory_name_find(&disk->names, text);
    if (!name)
        return NULL;
    *length = name->node->seen.length;
    return name->node->seen.bytes;
}

void memory_disk_truncate(struct memory_disk *disk, const char *text, size_t length)
{
    const struct name *name = memory_name_find(&disk->names, text);
    CHECK(name && length <= name->node->seen.length);
    name->node->seen.length = length;
    memory_content_copy(&name->node->durable, &name->node->seen);
}

const char *memory_disk_name(struct memory_disk *disk, size_t index)
{
    /* The index-th smallest: the one with `index` names before it. */
    const struct name *name, *other;
    LIST_FOREACH(name, &disk->names, link)
    {
        size_t before = 0;
        LIST_FOREACH(other, &disk->names, link)
        before += strcmp(other->text, name->text) < 0;
        if (before == index)
            return name->text;
    }
    return NULL;
}
