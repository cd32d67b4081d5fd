/* A handle's share in the host's cache: hits, the map and hints that processes share, and what is
 * noted for fills (ARCHITECTURE.md C1). For the library's own files only.
 *
 * Everything here is a shortcut: without a segment, or with one that turns out to be another
 * cluster's, the handle goes on by asking managers and servers. */
#ifndef CAIRN_CLIENT_HANDLE_CACHE_H
#define CAIRN_CLIENT_HANDLE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cairn.h"
#include "client/host.h"

struct handle_cache {
    struct host *host; /* NULL: none */
    unsigned forks;    /* host_forks when it was got */
    bool wanted;       /* the options allow a cache */
    bool lent;         /* the host is another's to release */
    bool no_agent;
    bool asked_agent;
    bool unconfirmed;  /* the route comes from the segment: no manager has said so yet */
    uint32_t hits;     /* not yet added to the segment's */
    uint32_t gets;     /* up to the number that makes an agent worth it */
    uint64_t hints;    /* cache_hint_count when last looked */
    uint64_t retry_ms; /* another host is not sought before */
    struct host_options options;
    char *managers; /* of the options */
    char *name;
    uint64_t managers_hash;
    struct cache_copy *copy; /* the last hit */
};

/* CAIRN_EINVAL and a message in db->error if the options ask for what cannot be. */
int handle_cache_check(cairn_t *db, const struct cairn_options *options);
/* Takes the options; the cluster's segment, if these managers are known to it, and its map. Without
 * memory there is no cache. */
void handle_cache_open(cairn_t *db, const char *managers, const struct cairn_options *options);
/* Gives back the host: the last one ends the agent. */
void handle_cache_close(cairn_t *db);
void handle_cache_free(cairn_t *db);
/* Uses this host without keeping it. */
void handle_cache_lend(cairn_t *db, struct host *host);

/* A hit, valid until the handle's next operation; or NULL. The hot path: no system call. */
const struct cache_copy *handle_cache_get(cairn_t *db, const void *key, size_t length,
                                          uint64_t hash);
/* A read was no hit: looks after the segment and the agent. */
void handle_cache_missed(cairn_t *db);
/* The host's cache, or NULL. */
const struct cache *handle_cache_segment(const cairn_t *db);

/* Takes what other processes have learnt of the map and of primaries. True if the route changed. */
bool handle_cache_look(cairn_t *db);
/* A manager confirmed the route; `bytes` is the packed map that it sent, or NULL. */
void handle_cache_confirm(cairn_t *db, const uint8_t *bytes, size_t length);
/* A redirect taught where the partition is. */
void handle_cache_redirected(cairn_t *db, uint32_t partition);
/* The route contradicts managers or servers. If it was only the segment's word, and the caller did
 * not ask for that very cluster, forgets it with all that depends on it: the managers are asked
 * anew. False: the contradiction stands. */
bool handle_cache_disown(cairn_t *db);

#endif
