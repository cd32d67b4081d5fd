/* LMDB as ordered tables: the only way to the library, whose header store_lmdb.c alone includes.
 *
 * The loop thread reads through one shared transaction that begins with the first read of a turn
 * and ends with lmdb_end_read; the checkpoint thread alone writes. Snapshots are read transactions
 * of their own, which live longer. The map grows only when no transaction is open (W7): a lock that
 * the loop thread shares per turn keeps it apart, and snapshots are given up. */
#ifndef CAIRN_SERVER_STORE_LMDB_H
#define CAIRN_SERVER_STORE_LMDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum lmdb_table { LMDB_META, LMDB_DATA, LMDB_EXPIRY, LMDB_SESSIONS, LMDB_TABLE_COUNT };

struct slice {
    const uint8_t *data;
    size_t length;
};

struct lmdb;

/* W4: makes an environment with its tables, unless there is one; clears what an interrupted call
 * left. Errors as of lmdb_open. In store_lmdb_new.c. */
int lmdb_make(const char *directory, uint64_t map_bytes, struct error *error);
/* Opens or creates. CAIRN_EVERSION, CAIRN_ECORRUPT, CAIRN_ENOSPC, CAIRN_ENOMEM, CAIRN_EIO with a
 * message that names the file. Nothing in an existing one is changed. */
int lmdb_open(const char *directory, uint64_t map_bytes, struct lmdb **lmdb, struct error *error);
/* False if an existing environment lacks a table; then only LMDB_META may be read. */
bool lmdb_complete(const struct lmdb *lmdb);
void lmdb_close(struct lmdb *lmdb); /* NULL is fine */

/* --- reads, the loop thread's; slices live until lmdb_end_read ---------------------------------
 */

/* CAIRN_OK, CAIRN_ENOTFOUND, or CAIRN_ECORRUPT if LMDB cannot read its pages. */
int lmdb_read(struct lmdb *lmdb, enum lmdb_table table, struct slice key, struct slice *value);
void lmdb_end_read(struct lmdb *lmdb);

/* Walks a table in key order within the shared read transaction. */
struct lmdb_cursor;
int lmdb_cursor_open(struct lmdb *lmdb, enum lmdb_table table, struct lmdb_cursor **cursor);
void lmdb_cursor_close(struct lmdb_cursor *cursor); /* before lmdb_end_read; NULL is fine */
/* The first row at or behind `key`; the next row. CAIRN_ENOTFOUND behind the last one. */
int lmdb_cursor_seek(struct lmdb_cursor *cursor, struct slice key, struct slice *found,
                     struct slice *value);
int lmdb_cursor_next(struct lmdb_cursor *cursor, struct slice *found, struct slice *value);

/* --- snapshots: long reads of one state ---------------------------------------------------------
 *
 * Opened and closed by the loop thread; read by one thread at a time, any one, between enter and
 * leave. Pages that a snapshot sees are not reused while it is open. */

struct lmdb_snapshot;
/* CAIRN_ENOMEM, CAIRN_EIO. */
int lmdb_snapshot_open(struct lmdb *lmdb, struct lmdb_snapshot **snapshot);
/* Not between enter and leave. NULL is fine. */
void lmdb_snapshot_close(struct lmdb_snapshot *snapshot);
/* Keeps the map where it is. False if it moved since the snapshot was opened (W7): it is lost, and
 * slices of it with it. */
bool lmdb_snapshot_enter(struct lmdb_snapshot *snapshot);
void lmdb_snapshot_leave(struct lmdb_snapshot *snapshot); /* only after enter said true */
/* As lmdb_read and the cursors', with one cursor for each table. Slices live until it is closed or
 * lost. */
int lmdb_snapshot_read(struct lmdb_snapshot *snapshot, enum lmdb_table table, struct slice key,
                       struct slice *value);
int lmdb_snapshot_seek(struct lmdb_snapshot *snapshot, enum lmdb_table table, struct slice key,
                       struct slice *found, struct slice *value);
int lmdb_snapshot_next(struct lmdb_snapshot *snapshot, enum lmdb_table table, struct slice *found,
                       struct slice *value);

/* --- writes, the checkpoint thread's -----------------------------------------------------------
 */

struct lmdb_writer;
/* Fills one transaction. It may run more than once: after the map grew it starts anew (W7). Any
 * error of a call below is to be returned at once. */
typedef int (*lmdb_fill)(void *context, struct lmdb_writer *writer);
/* One fully synced transaction (W5): all of it or nothing. Any error is final. `bytes`: how much it
 * may add to the file, at worst. */
int lmdb_write(struct lmdb *lmdb, uint64_t bytes, lmdb_fill fill, void *context,
               struct error *error);

/* Each table has one cursor, so rows taken in key order cost no search from the root. */
int lmdb_find(struct lmdb_writer *writer, enum lmdb_table table, struct slice key,
              struct slice *value);
/* The first row at or behind `key`; slices live until the next write. */
int lmdb_find_from(struct lmdb_writer *writer, enum lmdb_table table, struct slice key,
                   struct slice *found, struct slice *value);
/* The value is `head` then `body`, copied once into its page. */
int lmdb_put(struct lmdb_writer *writer, enum lmdb_table table, struct slice key, struct slice head,
             struct slice body);
/* CAIRN_ENOTFOUND if there was none, which is no failure. */
int lmdb_delete(struct lmdb_writer *writer, enum lmdb_table table, struct slice key);
/* Deletes the row that the last lmdb_find or lmdb_find_from in this table found. */
int lmdb_delete_found(struct lmdb_writer *writer, enum lmdb_table table);

/* From any thread. */
uint64_t lmdb_pages_bytes(const struct lmdb *lmdb); /* up to the last page in use */
uint64_t lmdb_free_bytes(const struct lmdb *lmdb);  /* of these, pages that may be reused */
uint64_t lmdb_map_growths(const struct lmdb *lmdb);
/* Where in the file what a read found lies, for messages; loop thread, while the slice lives. */
uint64_t lmdb_offset(const struct lmdb *lmdb, const uint8_t *data);
const char *lmdb_path(const struct lmdb *lmdb); /* of the file */

#endif
