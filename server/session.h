/* The sessions of one partition: what each client's last mutation was and came to (S3).
 *
 * A session that was applied is ordered by the log time of its last use, so that the idle ones are
 * found from the front (S4). A tentative one exists only because an entry of it is in flight.
 * Owned and called by the loop thread; what the checkpoint thread needs is copied at the freeze. */
#ifndef CAIRN_SERVER_SESSION_H
#define CAIRN_SERVER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/value.h"

/* A SWAP's old value: shared by the session and a checkpoint under way, which only reads it. The
 * loop thread alone counts references. */
struct kept_value {
    uint32_t references;
    uint32_t length;
    uint8_t bytes[];
};

struct kept_value *kept_value_create(const uint8_t *data, uint32_t length); /* NULL: no memory */
void kept_value_release(struct kept_value *value);                          /* NULL is fine */

struct session {
    struct session *chain;      /* in its bucket */
    TAILQ_ENTRY(session) used;  /* applied ones, the longest unused first; or the removed ones */
    TAILQ_ENTRY(session) dirty; /* changed since the last freeze */
    uint64_t client, number, used_ms, version;
    struct entry *in_flight; /* the newest one; NULL: none */
    struct kept_value *old_value;
    uint8_t code; /* enum outcome_code */
    bool existed;
    bool applied;  /* false: tentative */
    bool is_dirty; /* on the dirty list */
    bool stored;   /* its old value is to be read from LMDB */
    bool known;    /* LMDB or a checkpoint under way has it: its removal must be written */
};

TAILQ_HEAD(session_list, session);

struct session_table {
    struct session **buckets;
    size_t bucket_count; /* 0 or a power of two */
    uint64_t applied, tentative, dirty_count, removed_count;
    struct session_list used, dirty;
    struct session_list removed; /* since the last freeze: to be deleted from LMDB */
    uint64_t dirty_bytes;        /* memory that the next checkpoint gives back */
};

void session_table_init(struct session_table *table);
void session_table_free(struct session_table *table);
struct session *session_find(const struct session_table *table, uint64_t client);
/* A new tentative session of a client that has none; NULL: out of memory. */
struct session *session_add(struct session_table *table, uint64_t client);
/* Frees a tentative session without an entry in flight; others stay. */
void session_tidy(struct session_table *table, struct session *session);
/* Notes what mutation `number` came to. Takes `old_value`, which may be NULL. used_ms never falls
 * within a table. */
void session_record(struct session_table *table, struct session *session, uint64_t number,
                    uint64_t used_ms, const struct outcome *outcome, struct kept_value *old_value);
/* Forgets an applied session. What it has in flight goes on as tentative. */
void session_remove(struct session_table *table, struct session *session);
/* Removes the sessions last used before `cutoff_ms`. */
void session_evict(struct session_table *table, uint64_t cutoff_ms);

/* Takes a session as LMDB has it, at open; the caller then calls session_table_order once. */
int session_restore(struct session_table *table, const struct session_record *record);
int session_table_order(struct session_table *table);

/* `to` becomes what `from` is; what it was is freed. `from` is empty afterwards. */
void session_table_move(struct session_table *to, struct session_table *from);

/* A dirty session as the checkpoint writes it. */
struct session_frozen {
    struct session_record record;
    struct kept_value *old_value; /* a reference, or NULL */
};
/* Copies the dirty sessions into `frozen` (dirty_count of them) and gives the removed ones away;
 * nothing is dirty afterwards. */
void session_table_freeze(struct session_table *table, struct session_frozen *frozen,
                          struct session_list *removed);
/* The frozen one is in LMDB: drops its reference, and the session's old value from memory unless
 * the session went on. */
void session_settle(struct session_table *table, struct session_frozen *frozen);
void session_list_free(struct session_list *list);

#endif
