/* See disk.h: following the events. */
#include "tests/crash/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define LOG_SEGMENT "wal-" /* what the names of the log's segments in use begin with */

static _Noreturn void unknown(const struct event *event, const char *what)
{
    fprintf(stderr, "ERROR: event %llu of kind %u: %s\n", (unsigned long long)event->head.number,
            event->head.kind, what);
    abort();
}

void disk_grow(void **array, size_t count, size_t *capacity, size_t element)
{
    if (count < *capacity)
        return;
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    *array = realloc(*array, *capacity * element);
    CHECK(*array != NULL);
}

static struct disk_object *find(const struct disk *disk, const struct event *event, uint64_t inode)
{
    for (size_t i = disk->count; i-- > 0;) /* the newest of that number */
        if (disk->objects[i]->inode == inode)
            return disk->objects[i];
    unknown(event, "of a file that was there before the recording began");
}

static struct disk_object *create(struct disk *disk, uint64_t inode, bool directory)
{
    struct disk_object *object = calloc(1, sizeof *object);
    CHECK(object != NULL);
    object->inode = inode;
    object->directory = directory;
    void *objects = disk->objects;
    disk_grow(&objects, disk->count, &disk->capacity, sizeof *disk->objects);
    disk->objects = objects;
    disk->objects[disk->count++] = object;
    return object;
}

/* --- names -------------------------------------------------------------------------------------
 */

static void copy_name(const struct event *event, char to[DISK_NAME_LIMIT], const char *from,
                      size_t length)
{
    if (length >= DISK_NAME_LIMIT)
        unknown(event, "its name is too long");
    if (length > 0) /* else there may be no second name to point at */
        memcpy(to, from, length);
    to[length] = '\0';
}

static void add_name(struct disk_object *directory, const struct disk_name *change)
{
    void *names = directory->names;
    disk_grow(&names, directory->name_count, &directory->name_capacity, sizeof *directory->names);
    directory->names = names;
    directory->names[directory->name_count++] = *change;
}

static void change_name(const struct disk *disk, const struct event *event,
                        struct disk_object *object)
{
    struct disk_name change = {
        .number = event->head.number, .kind = event->head.kind, .object = object};
    copy_name(event, change.name, event->name, event->head.name_length);
    copy_name(event, change.name2, event->name2, event->head.name2_length);
    add_name(find(disk, event, event->head.parent), &change);
}

static size_t entry_of(const struct disk_name *entries, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(entries[i].name, name) != 0)
        i++;
    return i;
}

static void drop_entry(struct disk_name *entries, size_t *count, const char *name)
{
    size_t i = entry_of(entries, *count, name);
    if (i < *count)
        entries[i] = entries[--*count];
}

void disk_rename(struct disk_name **entries, size_t *count, size_t *capacity,
                 const struct disk_name *change)
{
    struct disk_name entry = *change;
    if (change->kind == EVENT_RENAME) {
        size_t i = entry_of(*entries, *count, change->name);
        CHECK(i < *count);
        entry = (*entries)[i];
        drop_entry(*entries, count, change->name);
        memcpy(entry.name, change->name2, sizeof entry.name);
    }
    drop_entry(*entries, count, entry.name);
    if (change->kind == EVENT_UNLINK)
        return;
    entry.kind = EVENT_CREATE;
    void *array = *entries;
    disk_grow(&array, *count, capacity, sizeof entry);
    *entries = array;
    (*entries)[(*count)++] = entry;
}

/* What has the name as far as programs see, lost or not after a power loss. */
static struct disk_object *object_named(const struct disk_object *directory, const char *name)
{
    struct disk_name *entries = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < directory->entry_count; i++)
        disk_rename(&entries, &count, &capacity, &directory->entries[i]);
    for (size_t i = 0; i < directory->name_count; i++)
        disk_rename(&entries, &count, &capacity, &directory->names[i]);
    size_t i = entry_of(entries, count, name);
    struct disk_object *object = i < count ? entries[i].object : NULL;
    free(entries);
    return object;
}

/* A rename from one directory into another is a change of each. */
static void move_name(const struct disk *disk, const struct event *event)
{
    struct disk_object *from = find(disk, event, event->head.parent);
    struct disk_object *to = find(disk, event, event->head.parent2);
    struct disk_name gone = {.number = event->head.number, .kind = EVENT_UNLINK, .moved_to = to};
    struct disk_name come = {.number = event->head.number, .kind = EVENT_CREATE};
    copy_name(event, gone.name, event->name, event->head.name_length);
    copy_name(event, come.name, event->name2, event->head.name2_length);
    come.object = object_named(from, gone.name);
    if (come.object == NULL)
        unknown(event, "there is no such name");
    add_name(from, &gone);
    add_name(to, &come);
}

/* A change leaves the list before its name's new place is synced, which may lead back here. */
static void sync_names(struct disk_object *directory, uint64_t since)
{
    while (directory->name_count > 0 && directory->names[0].number <= since) {
        struct disk_name change = directory->names[0];
        directory->name_count--;
        memmove(directory->names, directory->names + 1,
                directory->name_count * sizeof *directory->names);
        disk_rename(&directory->entries, &directory->entry_count, &directory->entry_capacity,
                    &change);
        if (change.moved_to != NULL)
            sync_names(change.moved_to, change.number);
    }
}

/* --- content -----------------------------------------------------------------------------------
 */

static void reserve(struct disk_object *file, uint64_t size)
{
    if (size <= file->capacity)
        return;
    uint64_t capacity = file->capacity == 0 ? 64 * DISK_PAGE_BYTES : file->capacity;
    while (capacity < size)
        capacity *= 2;
    uint8_t *content = calloc(1, capacity), *pages = calloc(1, capacity / DISK_PAGE_BYTES);
    CHECK(content != NULL && pages != NULL);
    if (file->capacity > 0) {
        memcpy(content, file->content, file->capacity);
        memcpy(pages, file->pages, file->capacity / DISK_PAGE_BYTES);
    }
    free(file->content);
    free(file->pages);
    file->content = content;
    file->pages = pages;
    file->capacity = capacity;
}

static void sync_change(struct disk_object *file, const struct disk_change *change)
{
    uint64_t end = change->kind == EVENT_SIZE ? change->length : change->offset + change->length;
    reserve(file, end);
    if (change->kind == EVENT_SIZE && end < file->size)
        memset(file->content + end, 0, file->size - end);
    if (change->kind == EVENT_SIZE || end > file->size)
        file->size = end;
    if (change->kind == EVENT_ZEROS)
        memset(file->content + change->offset, 0, change->length);
    if (change->kind != EVENT_WRITE)
        return;
    memcpy(file->content + change->offset, change->data, change->length);
    for (uint64_t page = change->offset / DISK_PAGE_BYTES; page * DISK_PAGE_BYTES < end; page++)
        file->pages[page] = 1;
}

static void sync_file(struct disk_object *file, uint64_t since)
{
    size_t done = 0;
    while (done < file->change_count && file->changes[done].number <= since)
        sync_change(file, &file->changes[done++]);
    file->change_count -= done;
    memmove(file->changes, file->changes + done, file->change_count * sizeof *file->changes);
}

/* One write past the others. Whoever writes so has synced what lay in these sectors before. */
static void sync_write(struct disk_object *file, const struct event *event)
{
    size_t i = 0;
    while (i < file->change_count && file->changes[i].number != event->head.since)
        i++;
    if (i == file->change_count)
        unknown(event, "the write is not known");
    struct disk_change change = file->changes[i];
    uint64_t first = change.offset / DISK_SECTOR_BYTES;
    uint64_t last = (change.offset + change.length - 1) / DISK_SECTOR_BYTES;
    for (size_t j = 0; j < i; j++) {
        const struct disk_change *other = &file->changes[j];
        if (other->kind == EVENT_SIZE ||
            (other->offset / DISK_SECTOR_BYTES <= last &&
             first * DISK_SECTOR_BYTES < other->offset + other->length))
            unknown(event, "it follows a write to the same sectors that was not synced");
    }
    sync_change(file, &change);
    file->change_count--;
    memmove(file->changes + i, file->changes + i + 1,
            (file->change_count - i) * sizeof *file->changes);
}

static void change_file(struct disk_object *file, const struct event *event)
{
    void *changes = file->changes;
    disk_grow(&changes, file->change_count, &file->change_capacity, sizeof *file->changes);
    file->changes = changes;
    file->changes[file->change_count++] = (struct disk_change){
        .number = event->head.number,
        .kind = event->head.kind,
        .offset = event->head.offset,
        .length = event->head.length,
        .data = event->data,
    };
}

/* --- events ------------------------------------------------------------------------------------
 */

/* What a file is, its last name says. */
static bool is_named(const struct disk *disk, const struct disk_object *object, const char *part)
{
    bool named = false;
    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_object *parent = disk->objects[i];
        for (size_t j = 0; j < parent->entry_count; j++)
            named |= parent->entries[j].object == object && strstr(parent->entries[j].name, part);
        for (size_t j = 0; j < parent->name_count; j++)
            named |= parent->names[j].object == object && strstr(parent->names[j].name, part);
    }
    return named;
}

static bool holds_segments(const struct disk_object *directory)
{
    bool holds = false;
    for (size_t i = 0; i < directory->entry_count; i++)
        holds |= strstr(directory->entries[i].name, ".seg") != NULL;
    for (size_t i = 0; i < directory->name_count; i++)
        holds |= strstr(directory->names[i].name, ".tmp") != NULL;
    return holds;
}

static bool is_a_lie(const struct disk *disk, const struct disk_object *object)
{
    switch (disk->lie) {
    case DISK_NO_LOG_SYNC:
        return !object->directory && is_named(disk, object, ".seg");
    case DISK_NO_STORE_SYNC:
        return !object->directory && is_named(disk, object, "data.mdb");
    case DISK_NO_DIRECTORY_SYNC:
        return object->directory && holds_segments(object);
    default:
        return false;
    }
}

/* The log's thread syncs the file behind each write; io_uring's writes sync nothing but themselves.
 * So that a recording of the one stands for both, no sync may cover two. */
static void check_log_sync(const struct disk *disk, const struct event *event,
                           const struct disk_object *file)
{
    size_t covered = 0;
    while (covered < file->change_count && file->changes[covered].number <= event->head.since)
        covered++;
    if (covered > 1 && is_named(disk, file, LOG_SEGMENT))
        unknown(event, "it covers several writes to the log");
}

static void sync_object(struct disk *disk, const struct event *event)
{
    struct disk_object *object = find(disk, event, event->head.object);
    if (is_a_lie(disk, object))
        return;
    check_log_sync(disk, event, object);
    if (event->head.kind == EVENT_SYNC_WRITE)
        sync_write(object, event);
    else if (object->directory)
        sync_names(object, event->head.since);
    else
        sync_file(object, event->head.since);
}

void disk_apply(struct disk *disk, const struct event *event)
{
    const struct event_head *head = &event->head;
    switch ((enum event_kind)head->kind) {
    case EVENT_START:
        if (disk->root == NULL)
            disk->root = create(disk, head->object, true);
        break;
    case EVENT_CREATE:
    case EVENT_MKDIR:
        change_name(disk, event, create(disk, head->object, head->kind == EVENT_MKDIR));
        break;
    case EVENT_RENAME:
        if (head->parent2 != head->parent)
            move_name(disk, event);
        else
            change_name(disk, event, NULL);
        break;
    case EVENT_UNLINK:
        change_name(disk, event, NULL);
        break;
    case EVENT_WRITE:
    case EVENT_ZEROS:
    case EVENT_SIZE:
        change_file(find(disk, event, head->object), event);
        break;
    case EVENT_SYNC:
    case EVENT_SYNC_WRITE:
        sync_object(disk, event);
        break;
    case EVENT_KINDS:
    default:
        unknown(event, "no such kind");
    }
}

static size_t pending_of(const struct disk_object *object)
{
    size_t count = object->change_count + object->name_count;
    for (size_t i = 0; i < object->entry_count; i++)
        count += pending_of(object->entries[i].object);
    for (size_t i = 0; i < object->name_count; i++)
        if (object->names[i].object != NULL)
            count += pending_of(object->names[i].object);
    return count;
}

size_t disk_pending(const struct disk *disk, const char *top)
{
    const struct disk_object *root = disk->root;
    size_t count = 0;
    for (size_t i = 0; root != NULL && i < root->entry_count; i++)
        if (strcmp(root->entries[i].name, top) == 0)
            count += pending_of(root->entries[i].object);
    for (size_t i = 0; root != NULL && i < root->name_count; i++)
        if (strcmp(root->names[i].name, top) == 0)
            count += 1 + pending_of(root->names[i].object);
    return count;
}

void disk_free(struct disk *disk)
{
    for (size_t i = 0; i < disk->count; i++) {
        struct disk_object *object = disk->objects[i];
        free(object->content);
        free(object->pages);
        free(object->changes);
        free(object->entries);
        free(object->names);
        free(object);
    }
    free(disk->objects);
    *disk = (struct disk){0};
}
