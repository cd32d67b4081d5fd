/* The bytes of the shared segment: see FORMATS.md, "Shared cache segment".
 *
 * A page with the header; the live words, sessions and counters that C1 compares; the marks of the
 * stripes; statistics, lists of managers, hints, the sketches that decide what is worth caching;
 * the map; the entries. What several processors write lies on cache lines of its own.
 *
 * Two kinds of words are trusted only with their check word, a keyed mix of what they say and of
 * where they lie: those that would make something valid that is not (generation, session with its
 * expiry), and those that would send a process astray (the map's length). Random bytes over them
 * pass with a chance of 2^-64. A counter needs none: garbage over it voids, whatever it is, and so
 * do zeros, because none is noted before it was set to a large random number. Entries carry a
 * checksum that the reader verifies on its own copy.
 *
 * Entries lie in slots of three sizes, for each a table of sets of eight ways. A set has a line of
 * eight tags, apart from its slots, so that looking for an absent key touches three lines. A key
 * belongs to one stripe, and a stripe to one range of sets in each of the three tables: whoever
 * holds the stripe's lock may change all that the key may have. */
#ifndef CAIRN_CLIENT_CACHE_LAYOUT_H
#define CAIRN_CLIENT_CACHE_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/bucket.h"
#include "proto/limits.h"

typedef _Atomic uint64_t cache_word;

enum {
    CACHE_MAJOR = 1,
    CACHE_MINOR = 0,
    CACHE_PAGE = 4096,
    CACHE_LINE = 64,
    CACHE_CLASSES = 3,
    CACHE_WAYS = 8,
    CACHE_STRIPES = 256, /* at most; the lock with this number is the map's */
    CACHE_MANAGERS = 64,
    CACHE_COUNT_LINES = 16,
    CACHE_SKETCH_ROWS = 4,
    CACHE_SLOT_SMALL = 256,
    CACHE_SLOT_MIDDLE = 1024,
    CACHE_SLOT_LARGE = 4672,
};

/* Counters that were noted are not below this. */
#define CACHE_COUNTER_NOTED (UINT64_C(1) << 62)
/* "CairnShm" */
#define CACHE_MAGIC UINT64_C(0x6d68536e72696143)

/* Magic, version and their places are the same in all versions. */
struct cache_header {
    cache_word magic;    /* 0: written last */
    cache_word version;  /* 8: major << 32 | minor */
    cache_word checksum; /* 16: XXH3 of what follows, seeded with magic and version */
    cache_word bytes;    /* 24: of the segment */
    cache_word cluster;  /* 32 */
    cache_word owner;    /* 40: user id */
    cache_word boot;     /* 48: of the machine, and the time namespace */
    cache_word seed;     /* 56: of check words and checksums: the hash of the four before */
    uint8_t rest[CACHE_PAGE - 64];
};

/* Seldom written, read with every hit. */
struct cache_live {
    cache_word generation; /* 0 (C6) */
    cache_word check;      /* 8: mix of it */
    cache_word entries;    /* 16: a fixed mix once the entries' memory is there */
    uint8_t rest[CACHE_LINE - 24];
};

struct cache_line {
    cache_word word;
    cache_word second;
    uint8_t rest[CACHE_LINE - 16];
};

struct cache_session_line {
    cache_word session;  /* 0: none */
    cache_word until_ms; /* 8: host's clock (C5) */
    cache_word check;    /* 16: mix of both and the server's id */
    uint8_t rest[CACHE_LINE - 24];
};

struct cache_hint {
    cache_word word;  /* epoch << 8 | server */
    cache_word check; /* 8: mix of it and the partition */
};

struct cache_managers_entry {
    cache_word managers; /* hash of the list's text */
    cache_word noted_ms; /* 8 */
    cache_word check;    /* 16: mix of both */
    cache_word rest;
};

/* Head of the map; its bytes follow on a page of their own. */
struct cache_map_head {
    cache_word sequence; /* odd: being written, or its writer died */
    cache_word version;  /* 8: of the map; 0: none */
    cache_word length;   /* 16 */
    cache_word checksum; /* 24: XXH3 of the bytes, seeded */
    cache_word check;    /* 32: mix of the three before */
    uint8_t rest[CACHE_LINE - 40];
};

/* All but entries, map and sketch: of fixed size. */
struct cache_fixed {
    struct cache_header header;
    struct cache_live live;
    struct cache_line hint_count;
    struct cache_line aging; /* misses counted since the sketches were halved */
    struct cache_map_head map;
    struct cache_line counts[CACHE_COUNT_LINES];
    struct cache_line stripes[CACHE_STRIPES]; /* the mark, odd: being changed; the clock's hand */
    struct cache_session_line sessions[CAIRN_SERVERS_LIMIT];
    struct cache_managers_entry managers[CACHE_MANAGERS];
    cache_word counters[CAIRN_BUCKETS];
    struct cache_hint hints[CAIRN_PARTITIONS_LIMIT];
};

/* A slot begins so; key and value follow without a gap. All in 64-bit words of the machine. */
struct cache_entry {
    cache_word sequence;   /* odd: being written; grows only */
    cache_word checksum;   /* 8: XXH3 of all that follows, seeded */
    cache_word generation; /* 16: as noted (C1) */
    cache_word session;    /* 24 */
    cache_word counter;    /* 32 */
    cache_word version;    /* 40 */
    cache_word expires_ms; /* 48 */
    cache_word lengths;    /* 56: bucket << 48 | server << 32 | value's << 16 | key's */
};

struct cache_tags {
    cache_word tags[CACHE_WAYS]; /* 0: empty; hash, bit 2 set, bits 0 and 1 count references */
};

static_assert(sizeof(cache_word) == 8, "words are plain 64-bit numbers in memory");
static_assert(sizeof(struct cache_header) == CACHE_PAGE, "the header is one page");
static_assert(sizeof(struct cache_live) == CACHE_LINE, "one line");
static_assert(sizeof(struct cache_line) == CACHE_LINE, "one line");
static_assert(sizeof(struct cache_session_line) == CACHE_LINE, "one line");
static_assert(sizeof(struct cache_map_head) == CACHE_LINE, "one line");
static_assert(sizeof(struct cache_tags) == CACHE_LINE, "one line");
static_assert(sizeof(struct cache_entry) == CACHE_LINE, "one line");
static_assert(sizeof(struct cache_hint) == 16, "two words");
static_assert(sizeof(struct cache_managers_entry) == 32, "four words");
static_assert(offsetof(struct cache_fixed, live) == 4096, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, hint_count) == 4160, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, aging) == 4224, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, map) == 4288, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, counts) == 4352, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, stripes) == 5376, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, sessions) == 21760, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, managers) == 38144, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, counters) == 40192, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, hints) == 564480, "FORMATS.md");
static_assert(sizeof(struct cache_fixed) == 826624, "FORMATS.md");
static_assert(offsetof(struct cache_fixed, counters) % CACHE_LINE == 0, "whole lines");
static_assert(offsetof(struct cache_fixed, hints) % CACHE_LINE == 0, "whole lines");
static_assert(CACHE_SLOT_LARGE % CACHE_LINE == 0, "whole lines");
static_assert(CACHE_SLOT_LARGE >= 64 + CAIRN_KEY_LIMIT + 4096, "the largest pair fits");
static_assert(CAIRN_SERVERS_LIMIT <= 256, "a hint's server has eight bits");

/* The slots of one size. */
struct cache_class {
    uint32_t slot_bytes;
    uint32_t sets;
    size_t tags, slots; /* offsets */
};

/* Where everything lies, computed from the size of the segment alone. */
struct cache_geometry {
    size_t bytes; /* a multiple of 64 KiB */
    size_t sketch;
    uint32_t sketch_row; /* bytes, a power of two; misses first, then wasted fills */
    uint32_t stripes;    /* a power of two: */
    uint32_t stripe_bits;
    size_t map; /* the bytes of the map */
    size_t map_limit;
    size_t entries; /* from here to the end: not touched before cache_open_entries */
    struct cache_class classes[CACHE_CLASSES];
};

/* CAIRN_EINVAL: `bytes` is too small, or beyond 64 GiB. Rounds down: the geometry of
 * `geometry->bytes` is the same. */
int cache_geometry_of(size_t bytes, struct cache_geometry *geometry);

#endif
