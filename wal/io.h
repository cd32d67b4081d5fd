/* File I/O of the log behind a vtable, so that tests can put a faulty disk beneath it.
 *
 * io_posix() is the real one. The in-memory twin (wal/io_memory.h) keeps what was synced apart from
 * what was not: it can lose, tear and reorder unsynced writes at a crash and fail the Nth call. */
#ifndef CAIRN_WAL_IO_H
#define CAIRN_WAL_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_file;

/* All return 0 or a negative errno (`-EIO`, `-ENOSPC`, ...). Paths are NUL-terminated. Calls may
 * come from any thread, but never two at once on the same file. */
struct io {
    void *context;
    int (*open)(void *context, const char *path, bool create, struct io_file **file);
    void (*close)(void *context, struct io_file *file);
    /* Reads up to `length` bytes; short only at the end of file: `*got` says how many. */
    int (*read)(void *context, struct io_file *file, uint64_t offset, void *data, size_t length,
                size_t *got);
    /* Writes all of it or fails. */
    int (*write)(void *context, struct io_file *file, uint64_t offset, const void *data,
                 size_t length);
    int (*sync)(void *context, struct io_file *file); /* data, and what is needed to read it */
    int (*size)(void *context, struct io_file *file, uint64_t *bytes);
    /* Makes the file `bytes` long, its blocks allocated and written with zeros. */
    int (*preallocate)(void *context, struct io_file *file, uint64_t bytes);
    int (*rename)(void *context, const char *from, const char *to);
    int (*remove)(void *context, const char *path);
    int (*sync_directory)(void *context, const char *path);
    /* Calls `visit` with each name in the directory, in no order, without `.` and `..`. */
    int (*list)(void *context, const char *path, void (*visit)(void *visitor, const char *name),
                void *visitor);
    /* The descriptor for io_uring, or -1 if the file has none. */
    int (*descriptor)(void *context, struct io_file *file);
};

/* The operating system's files; static storage. */
const struct io *io_posix(void);

#endif
