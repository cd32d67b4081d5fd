/* A host's shared cache: what is in the segment, and how it is read and written.
 *
 * All of this works on memory that other processes write at the same time, may leave half written
 * when they are killed, and may even have overwritten with garbage: nothing read from it is used
 * before it is checked, sizes come from this process's own copy of the geometry, and nothing here
 * waits. Losing what is cached costs speed only. Time is passed in: the simulator drives these very
 * functions. See cache_layout.h for the bytes, segment.h for how the memory comes to be shared.
 *
 * One process, the agent, writes generation, sessions, counters; every process reads, and fills
 * entries. Thread-safe but for a `struct cache` itself, whose fields do not change once attached.
 */
#ifndef CAIRN_CLIENT_CACHE_H
#define CAIRN_CLIENT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cache_layout.h"
#include "proto/limits.h"

enum { CACHE_VALUE_LIMIT = 4096 }; /* larger values are not cached */

/* Who keeps two writers out of one stripe of entries, or of the map (number CACHE_STRIPES).
 * `try_lock` may wait a bounded, short time; false: leave it. A lock whose owner died is free
 * again. Functions that are NULL lock nothing: for a segment that one thread alone writes. */
struct cache_locks {
    bool (*try_lock)(void *context, uint32_t stripe);
    void (*unlock)(void *context, uint32_t stripe);
    void *context;
};

/* For tests: called at every step of a change at which a process may die. NULL: not called. */
struct cache_hook {
    void (*step)(void *context, const char *where);
    void *context;
};

struct cache {
    struct cache_header *header;
    uint8_t *memory;
    struct cache_geometry geometry; /* computed here from the size, never read from the segment */
    struct cache_locks locks;
    const struct cache_hook *hook;
    uint64_t seed, cluster; /* as the header said when it was attached */
    uint64_t entries_open;  /* what the live word says once entries may be used */
};

/* Smallest segment that holds any entries. */
enum { CACHE_BYTES_MIN = 4 << 20, CACHE_BYTES_DEFAULT = 64 << 20 };

/* Lays out `bytes` of zeroed, page-aligned memory and marks it valid, last of all. `bytes` is
 * rounded down to what the geometry uses. CAIRN_EINVAL: too small. */
int cache_format(void *memory, size_t bytes, uint64_t cluster, uint64_t owner, uint64_t boot);
/* Takes memory that cache_format laid out, in this process or another. CAIRN_EVERSION: of another
 * version. CAIRN_ECORRUPT: no header that passes its check, or of another size, owner, boot or
 * cluster (0: any). Nothing is kept on failure. */
int cache_attach(struct cache *cache, void *memory, size_t bytes, uint64_t cluster, uint64_t owner,
                 uint64_t boot, const struct cache_locks *locks);
/* Whether the header still passes its check: something wrote over it otherwise. */
bool cache_is_sound(const struct cache *cache);
uint64_t cache_cluster(const struct cache *cache);

/* --- readers ------------------------------------------------------------------------------------
 */

/* What C1 compares. */
struct cache_note {
    uint64_t generation, session, counter;
    uint32_t server; /* id, of the session */
    uint32_t bucket;
    bool displaces_none; /* worth a slot that is free, and no other entry's */
};

/* A copy of an entry, in the reader's own memory; the value is followed by a NUL. */
struct cache_copy {
    struct cache_note note;
    uint64_t version;
    uint64_t expires_ms; /* host's clock; UINT64_MAX: never (S2) */
    uint64_t tag;        /* where it was found, for cache_check to count the reference */
    size_t tag_at;
    uint32_t length;
    uint8_t value[CACHE_VALUE_LIMIT + 1];
};

/* First half of a read: copies the key's entry, if there is one that is whole. Of `copy->value`
 * only `length` + 1 bytes are written. */
bool cache_copy(const struct cache *cache, const uint8_t *key, size_t length, uint64_t hash,
                struct cache_copy *copy);
/* Second half (C1), after the copy: generation, session and counter are still those of the note.
 * `*until_ms`: the copy counts if a clock read after this call returns is before it. */
bool cache_check(const struct cache *cache, const struct cache_copy *copy, uint64_t *until_ms);
/* Both, with a fresh clock: a hit, or not. The library's hot path; no system call. */
bool cache_get(const struct cache *cache, const uint8_t *key, size_t length, uint64_t hash,
               struct cache_copy *copy);

/* --- fillers ------------------------------------------------------------------------------------
 */

/* Before a GET leaves for `server`: notes what is current (C1). False: ask without a grant, because
 * no session with it is live at `now_ms`, or the key is not worth it. Counts the read. */
bool cache_note(const struct cache *cache, uint64_t hash, uint32_t server, uint64_t now_ms,
                struct cache_note *note);
/* After the reply granted it under the note's session. `expires_ms` as in cache_copy. False:
 * refused, what was noted is over (C4), it is too large, the stripe is busy, or it would displace
 * an entry and is not worth it. */
bool cache_fill(const struct cache *cache, const struct cache_note *note, const uint8_t *key,
                size_t length, uint64_t hash, const uint8_t *value, size_t value_length,
                uint64_t version, uint64_t expires_ms);

/* --- the agent ----------------------------------------------------------------------------------
 */

/* C6: voids everything; returns the new generation. */
uint64_t cache_raise_generation(const struct cache *cache);
/* C5: a session with `server` is open, or longer, until `until_ms`. Another number than before: the
 * earlier one is void first. */
void cache_set_session(const struct cache *cache, uint32_t server, uint64_t session,
                       uint64_t until_ms);
/* Voids the server's session, whatever it is. */
void cache_void_session(const struct cache *cache, uint32_t server);
/* C4: one atomic increment voids what was noted under the old value. */
void cache_invalidate(const struct cache *cache, uint32_t bucket);
/* The session with the server that is live at `now_ms`; 0: none. */
uint64_t cache_session(const struct cache *cache, uint32_t server, uint64_t now_ms);
/* Entries may be used: their memory is there. Until then only the map is shared. */
void cache_open_entries(const struct cache *cache);
/* Whether generation and entries are as the agent left them. Otherwise something wrote over them,
 * and nothing is valid until an agent takes over anew. */
bool cache_is_live(const struct cache *cache);

/* --- the map ------------------------------------------------------------------------------------
 */

/* Version of the map in the segment, 0: none. Cheap. */
uint64_t cache_map_version(const struct cache *cache);
/* Publishes a packed map (proto/map.h) unless a newer one is there, or somebody else is writing, or
 * it does not fit. */
bool cache_map_write(const struct cache *cache, uint64_t version, const uint8_t *bytes,
                     size_t length);
/* Copies it; `*bytes` from malloc. CAIRN_ENOTFOUND: none, or it does not pass its check.
 * CAIRN_EBUSY: being written for long. */
int cache_map_read(const struct cache *cache, uint8_t **bytes, size_t *length);
/* What a redirect taught: `server` is the partition's primary since `epoch`. An older epoch changes
 * nothing. */
void cache_hint_write(const struct cache *cache, uint32_t partition, uint64_t epoch,
                      uint32_t server);
bool cache_hint_read(const struct cache *cache, uint32_t partition, uint64_t *epoch,
                     uint32_t *server);
/* Grows with every map and hint. */
uint64_t cache_hint_count(const struct cache *cache);

/* Manager lists by which the cluster was reached: so a process finds the segment before it knows
 * the cluster. `managers`: hash of the list's text. A bounded table; the oldest goes. */
void cache_note_managers(const struct cache *cache, uint64_t managers, uint64_t now_ms);
void cache_forget_managers(const struct cache *cache, uint64_t managers);
/* When it was last noted; 0: not there. */
uint64_t cache_managers_noted_ms(const struct cache *cache, uint64_t managers);

/* --- statistics
 * ----------------------------------------------------------------------------------- */

enum cache_count {
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_FILLS,
    CACHE_REFUSED, /* fills that came too late (C4) */
    CACHE_SKIPPED, /* fills left: the stripe was busy, no memory, too large, or no slot free */
    CACHE_INVALIDATIONS,
    CACHE_LAPSES, /* sessions that ran out before they were renewed */
    CACHE_EVICTIONS,
    CACHE_AGENTS, /* agents that took over */
    CACHE_COUNTS,
};

/* Readers count in their own memory and add up now and then. */
void cache_add(const struct cache *cache, enum cache_count what, uint64_t more);

struct cache_stat {
    uint64_t counts[CACHE_COUNTS];
    uint64_t bytes, entries_limit, entries; /* of the segment; how many fit; in use */
    uint64_t cluster, generation, map_version;
    uint32_t sessions; /* live at the time given */
};
void cache_stat(const struct cache *cache, uint64_t now_ms, struct cache_stat *stat);

#endif
