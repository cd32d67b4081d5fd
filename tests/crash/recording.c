/* See recording.h: reading the recorder's logs back. */
#include "tests/crash/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum { PATH_LIMIT = 4096 };

static int add(struct recording *recording, const struct event_head *head, size_t *capacity)
{
    if (recording->count == *capacity) {
        *capacity = *capacity == 0 ? 4096 : 2 * *capacity;
        struct event *grown = realloc(recording->events, *capacity * sizeof *grown);
        if (grown == NULL)
            return -1;
        recording->events = grown;
    }
    const char *names = (const char *)(head + 1);
    struct event *event = &recording->events[recording->count++];
    memcpy(&event->head, head, sizeof event->head);
    event->name = names;
    event->name2 = names + head->name_length;
    event->data = (const uint8_t *)event->name2 + head->name2_length;
    return 0;
}

/* Heads lie anywhere: they are copied before they are looked at. */
static int add_all(struct recording *recording, const uint8_t *bytes, size_t length,
                   size_t *capacity)
{
    for (size_t at = 0; at < length;) {
        struct event_head head;
        if (length - at < sizeof head)
            return -1;
        memcpy(&head, bytes + at, sizeof head);
        if (head.magic != EVENT_MAGIC || head.kind == 0 || head.kind >= EVENT_KINDS)
            return -1;
        size_t names = (size_t)head.name_length + head.name2_length;
        size_t rest = length - at - sizeof head;
        if (names > rest || head.data_length > rest - names)
            return -1;
        if (add(recording, (const struct event_head *)(const void *)(bytes + at), capacity) != 0)
            return -1;
        at += sizeof head + names + head.data_length;
    }
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct event *a = left, *b = right;
    return a->head.number < b->head.number ? -1 : a->head.number > b->head.number;
}

/* The log of a slot, mapped for as long as the process lives; 0 if there is none. */
static int read_slot(struct recording *recording, const char *directory, unsigned slot,
                     size_t *capacity)
{
    char path[PATH_LIMIT];
    struct stat status;
    snprintf(path, sizeof path, "%s/%u.events", directory, slot);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return -1;
    return add_all(recording, bytes, (size_t)status.st_size, capacity);
}

int recording_open(struct recording *recording, const char *directory, struct error *error)
{
    size_t capacity = 0;
    *recording = (struct recording){0};
    for (unsigned slot = 0; slot < EVENT_SLOTS; slot++)
        if (read_slot(recording, directory, slot, &capacity) != 0)
            return error_set(error, CAIRN_ECORRUPT, "%s/%u.events: cannot be read", directory,
                             slot);
    if (recording->count == 0)
        return error_set(error, CAIRN_ENOTFOUND, "%s: nothing was recorded", directory);
    qsort(recording->events, recording->count, sizeof *recording->events, compare);
    for (size_t i = 0; i < recording->count; i++)
        if (recording->events[i].head.number != i + 1)
            return error_set(error, CAIRN_ECORRUPT, "%s: event %zu is missing", directory, i + 1);
    return CAIRN_OK;
}
