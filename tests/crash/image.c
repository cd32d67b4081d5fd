/* See disk.h: choosing what a power loss leaves, and writing it down. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/crash/disk.h"

enum { PATH_LIMIT = 4096, NEVER = -1, TEAR_ONE_IN = 3 };

struct image {
    enum disk_loss loss;
    struct random *random;
    uint64_t cut;    /* PREFIX: the change that is torn */
    uint64_t chance; /* SCATTER: of 8, how likely a change is kept */
    uint64_t digest; /* of all choices */
    const char *top;
    struct kept_names *directories; /* all that may be there */
    size_t directory_count, directory_capacity;
    struct written_file *files;
    size_t file_count, file_capacity;
};

/* How many of a directory's changes are kept. */
struct kept_names {
    const struct disk_object *directory;
    size_t count;
};

/* A file under the name that it got first; it may have two. */
struct written_file {
    const struct disk_object *file;
    char *path;
};

static _Noreturn void cannot(const char *what, const char *path)
{
    fprintf(stderr, "ERROR: %s: cannot %s: %s\n", path, what, strerror(errno));
    abort();
}

/* --- choosing ----------------------------------------------------------------------------------
 */

enum fate { LOST, KEPT, TORN };

static bool note(struct image *image, uint64_t choice)
{
    image->digest = (image->digest ^ choice) * UINT64_C(0x9e3779b97f4a7c15);
    image->digest ^= image->digest >> 29;
    return choice != 0;
}

static enum fate fate_of(struct image *image, uint64_t number)
{
    switch (image->loss) {
    case DISK_KEEP:
        return KEPT;
    case DISK_PREFIX:
        return number < image->cut ? KEPT : number > image->cut ? LOST : TORN;
    case DISK_SCATTER:
        if (random_below(image->random, TEAR_ONE_IN) == 0)
            return TORN;
        return random_below(image->random, 8) < image->chance ? KEPT : LOST;
    case DISK_DROP:
    case DISK_LOSSES:
    default:
        return LOST;
    }
}

static size_t choose_names(const struct image *image, const struct disk_object *directory)
{
    size_t count = 0;
    switch (image->loss) {
    case DISK_KEEP:
        return directory->name_count;
    case DISK_PREFIX:
        while (count < directory->name_count && directory->names[count].number <= image->cut)
            count++;
        return count;
    case DISK_SCATTER:
        return (size_t)random_below(image->random, directory->name_count + 1);
    case DISK_DROP:
    case DISK_LOSSES:
    default:
        return 0;
    }
}

static struct kept_names *kept_of(const struct image *image, const struct disk_object *directory)
{
    for (size_t i = 0; i < image->directory_count; i++)
        if (image->directories[i].directory == directory)
            return &image->directories[i];
    return NULL;
}

/* For the directory and all below it, whatever name of them will be there. */
static void choose_directory(struct image *image, const struct disk_object *directory)
{
    if (!directory->directory || kept_of(image, directory) != NULL)
        return;
    void *directories = image->directories;
    disk_grow(&directories, image->directory_count, &image->directory_capacity,
              sizeof *image->directories);
    image->directories = directories;
    image->directories[image->directory_count++] =
        (struct kept_names){.directory = directory, .count = choose_names(image, directory)};
    for (size_t i = 0; i < directory->entry_count; i++)
        choose_directory(image, directory->entries[i].object);
    for (size_t i = 0; i < directory->name_count; i++)
        if (directory->names[i].object != NULL)
            choose_directory(image, directory->names[i].object);
}

/* Has `change`, a name gone elsewhere, arrive there. True if it would not have. */
static bool arrive(const struct image *image, const struct disk_name *change)
{
    struct kept_names *to = change->moved_to == NULL ? NULL : kept_of(image, change->moved_to);
    size_t needed = 0;
    while (to != NULL && needed < to->directory->name_count &&
           to->directory->names[needed].number <= change->number)
        needed++;
    if (to == NULL || to->count >= needed)
        return false;
    to->count = needed;
    return true;
}

/* A name that left a directory is where it went, so more is kept there. */
static void keep_moved(const struct image *image)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < image->directory_count; i++)
            for (size_t j = 0; j < image->directories[i].count; j++)
                more |= arrive(image, &image->directories[i].directory->names[j]);
    }
}

/* The cut is one of all pending changes below the object. */
static void pick_cut(struct image *image, const struct disk_object *object, uint64_t *seen)
{
    for (size_t i = 0; i < object->change_count; i++)
        if (random_below(image->random, ++*seen) == 0)
            image->cut = object->changes[i].number;
    for (size_t i = 0; i < object->name_count; i++) {
        if (random_below(image->random, ++*seen) == 0)
            image->cut = object->names[i].number;
        if (object->names[i].object != NULL)
            pick_cut(image, object->names[i].object, seen);
    }
    for (size_t i = 0; i < object->entry_count; i++)
        pick_cut(image, object->entries[i].object, seen);
}

/* Of all, or of one entry of the root; its own name is a change of the root's. */
static void pick_cut_of(struct image *image, const struct disk_object *root)
{
    uint64_t seen = 0;
    if (image->top == NULL)
        pick_cut(image, root, &seen);
    for (size_t i = 0; image->top != NULL && i < root->entry_count; i++)
        if (strcmp(root->entries[i].name, image->top) == 0)
            pick_cut(image, root->entries[i].object, &seen);
    for (size_t i = 0; image->top != NULL && i < root->name_count; i++)
        if (strcmp(root->names[i].name, image->top) == 0)
            pick_cut(image, root->names[i].object, &seen);
}

/* --- content -----------------------------------------------------------------------------------
 */

static void put(int fd, const char *path, const void *data, uint64_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t n = pwrite(fd, data, length, (off_t)offset);
        if (n <= 0)
            cannot("write", path);
        data = (const uint8_t *)data + n;
        length -= (uint64_t)n;
        offset += (uint64_t)n;
    }
}

static void put_zeros(int fd, const char *path, uint64_t length, uint64_t offset)
{
    static const uint8_t zeros[1 << 16];
    while (length > 0) {
        uint64_t part = length < sizeof zeros ? length : sizeof zeros;
        put(fd, path, zeros, part, offset);
        length -= part;
        offset += part;
    }
}

static void put_durable(int fd, const char *path, const struct disk_object *file)
{
    uint64_t pages = (file->size + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES;
    for (uint64_t page = 0; page < pages;) {
        uint64_t end = page;
        while (end < pages && file->pages[end] != 0)
            end++;
        if (end > page) {
            uint64_t offset = page * DISK_PAGE_BYTES, to = end * DISK_PAGE_BYTES;
            put(fd, path, file->content + offset, (to < file->size ? to : file->size) - offset,
                offset);
        }
        page = end > page ? end : page + 1;
    }
}

static uint64_t end_of(const struct disk_change *change)
{
    return change->kind == EVENT_SIZE ? change->length : change->offset + change->length;
}

/* Per sector the last change whose content it has: that one and all before it. */
static int *choose_sectors(struct image *image, const struct disk_object *file, uint64_t *size)
{
    uint64_t longest = file->size;
    for (size_t i = 0; i < file->change_count; i++)
        longest = end_of(&file->changes[i]) > longest ? end_of(&file->changes[i]) : longest;
    size_t sectors = (size_t)(longest / DISK_SECTOR_BYTES + 1);
    int *last = malloc(sectors * sizeof *last);
    CHECK(last != NULL);
    for (size_t s = 0; s < sectors; s++)
        last[s] = NEVER;
    for (size_t i = 0; i < file->change_count; i++) {
        const struct disk_change *change = &file->changes[i];
        enum fate fate = fate_of(image, change->number);
        note(image, (uint64_t)fate + 1);
        if (change->kind == EVENT_SIZE) {
            if (fate == KEPT && change->length > *size)
                *size = change->length;
            continue;
        }
        for (uint64_t s = change->offset / DISK_SECTOR_BYTES;
             s * DISK_SECTOR_BYTES < end_of(change); s++) {
            if (fate == LOST || (fate == TORN && !note(image, random_below(image->random, 2))))
                continue;
            last[s] = (int)i;
            uint64_t end = (s + 1) * DISK_SECTOR_BYTES;
            end = end < end_of(change) ? end : end_of(change);
            *size = end > *size ? end : *size;
        }
    }
    return last;
}

static bool was_always_zero(const struct disk_object *file, uint64_t from, uint64_t to)
{
    for (uint64_t page = from / DISK_PAGE_BYTES; page * DISK_PAGE_BYTES < to; page++)
        if (page * DISK_PAGE_BYTES < file->capacity && file->pages[page] != 0)
            return false;
    for (size_t i = 0; i < file->change_count; i++)
        if (file->changes[i].kind == EVENT_WRITE && file->changes[i].offset < to &&
            end_of(&file->changes[i]) > from)
            return false;
    return true;
}

static void put_change(int fd, const char *path, const struct disk_object *file, size_t index,
                       const int *last)
{
    const struct disk_change *change = &file->changes[index];
    uint64_t end = end_of(change);
    if (change->kind == EVENT_SIZE ||
        (change->kind == EVENT_ZEROS && was_always_zero(file, change->offset, end)))
        return;
    for (uint64_t at = change->offset; at < end;) {
        uint64_t to = at;
        while (to < end && last[to / DISK_SECTOR_BYTES] >= (int)index)
            to = (to / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
        to = to < end ? to : end;
        if (to > at && change->kind == EVENT_WRITE)
            put(fd, path, change->data + (at - change->offset), to - at, at);
        else if (to > at)
            put_zeros(fd, path, to - at, at);
        at = to > at ? to : (at / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
    }
}

/* A file that was cut since its last sync: changes in order, up to one of them. */
static uint64_t put_in_order(struct image *image, int fd, const char *path,
                             const struct disk_object *file)
{
    uint64_t size = file->size;
    for (size_t i = 0; i < file->change_count; i++) {
        const struct disk_change *change = &file->changes[i];
        if (!note(image, fate_of(image, change->number) == KEPT))
            break;
        if (change->kind == EVENT_SIZE && ftruncate(fd, (off_t)change->length) != 0)
            cannot("cut", path);
        if (change->kind == EVENT_WRITE)
            put(fd, path, change->data, change->length, change->offset);
        if (change->kind == EVENT_ZEROS)
            put_zeros(fd, path, change->length, change->offset);
        if (change->kind == EVENT_SIZE || end_of(change) > size)
            size = end_of(change);
    }
    return size;
}

static bool was_cut(const struct disk_object *file)
{
    uint64_t size = file->size;
    for (size_t i = 0; i < file->change_count; i++) {
        uint64_t end = end_of(&file->changes[i]);
        if (file->changes[i].kind == EVENT_SIZE && end < size)
            return true;
        size = end > size ? end : size;
    }
    return false;
}

static void put_file(struct image *image, const struct disk_object *file, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        cannot("create", path);
    put_durable(fd, path, file);
    uint64_t size = file->size;
    if (was_cut(file)) {
        size = put_in_order(image, fd, path, file);
    } else if (file->change_count > 0) {
        int *last = choose_sectors(image, file, &size);
        for (size_t i = 0; i < file->change_count; i++)
            put_change(fd, path, file, i, last);
        free(last);
    }
    if (ftruncate(fd, (off_t)size) != 0)
        cannot("extend", path);
    close(fd);
}

static void put_name_of_file(struct image *image, const struct disk_object *file, const char *path)
{
    for (size_t i = 0; i < image->file_count; i++)
        if (image->files[i].file == file) {
            if (link(image->files[i].path, path) != 0)
                cannot("link", path);
            return;
        }
    void *files = image->files;
    disk_grow(&files, image->file_count, &image->file_capacity, sizeof *image->files);
    image->files = files;
    struct written_file *written = &image->files[image->file_count++];
    *written = (struct written_file){.file = file, .path = strdup(path)};
    CHECK(written->path != NULL);
    put_file(image, file, path);
}

/* --- directories -------------------------------------------------------------------------------
 */

static void put_directory(struct image *image, const struct disk_object *directory,
                          const char *path);

static void put_entry(struct image *image, const struct disk_name *entry, const char *directory)
{
    char path[PATH_LIMIT];
    snprintf(path, sizeof path, "%s/%s", directory, entry->name);
    if (!entry->object->directory) {
        put_name_of_file(image, entry->object, path);
        return;
    }
    if (mkdir(path, 0700) != 0)
        cannot("create", path);
    put_directory(image, entry->object, path);
}

static void put_directory(struct image *image, const struct disk_object *directory,
                          const char *path)
{
    size_t count = 0, capacity = 0;
    struct disk_name *entries = NULL;
    for (size_t i = 0; i < directory->entry_count; i++)
        disk_rename(&entries, &count, &capacity, &directory->entries[i]);
    const struct kept_names *kept = kept_of(image, directory);
    CHECK(kept != NULL); /* choose_directory went the same ways */
    note(image, kept->count + 1);
    for (size_t i = 0; i < kept->count; i++)
        disk_rename(&entries, &count, &capacity, &directory->names[i]);
    for (size_t i = 0; i < count; i++)
        if (image->top == NULL || strcmp(entries[i].name, image->top) == 0) {
            const char *top = image->top;
            image->top = NULL; /* of the root only */
            put_entry(image, &entries[i], path);
            image->top = top;
        }
    free(entries);
}

uint64_t disk_image(const struct disk *disk, const char *top, enum disk_loss loss,
                    struct random *random, const char *out)
{
    struct image image = {.loss = loss, .random = random, .top = top};
    if (disk->root == NULL)
        return 0;
    image.chance = random_below(random, 9);
    if (loss == DISK_PREFIX)
        pick_cut_of(&image, disk->root);
    choose_directory(&image, disk->root);
    keep_moved(&image);
    put_directory(&image, disk->root, out);
    for (size_t i = 0; i < image.file_count; i++)
        free(image.files[i].path);
    free(image.files);
    free(image.directories);
    return image.digest;
}
