/* Values here that fail their checksums (W8), until another copy's have taken their place.
 *
 * A value comes onto the list when a read or the scrub met it. The other members of its partition
 * are asked in turn (scrub_repair.c); what fits replaces it (repair_store.h). If none of them can
 * help, it stays on the list: it is refused to whoever asks for it, and tried again now and then.
 */
#ifndef CAIRN_SERVER_REPAIR_H
#define CAIRN_SERVER_REPAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/replica_rpc.h"
#include "server/digest_store.h"
#include "server/node.h"

enum repair_state {
    REPAIR_NONE,    /* nothing is known against the value */
    REPAIR_WAITING, /* it may be sound soon */
    REPAIR_FAILED,  /* no copy has a sound one, or there is no other copy */
};

struct repair {
    TAILQ_ENTRY(repair) link;
    uint32_t partition;
    struct bad_key key;
    enum repair_state state;
    bool calling;          /* another member is being asked: not to be freed */
    uint64_t due_ms;       /* not before */
    uint64_t epoch;        /* of the configuration whose members are asked */
    uint32_t member;       /* of these, the one that is or was asked */
    uint32_t helpless;     /* bit map: of these, those that cannot help */
    uint32_t absent;       /* bit map: of these, those that have no such key */
    uint64_t absent_index; /* that all of them had applied at least */
};

struct repairs {
    TAILQ_HEAD(, repair) list;
    uint32_t count, failed;
    uint64_t found, repaired;
    uint64_t dropped_ms; /* when it was last said that there are too many */
};

void repairs_init(struct repairs *repairs);
void repairs_free(struct repairs *repairs);

/* A value that failed. Looks at it again, and puts it onto the list if it does still: logs where it
 * lies. Returns what is to be told about it. NONE also where it is not this copy's to repair: then
 * the caller goes by what it read. */
enum repair_state repairs_note(struct repairs *repairs, struct node *node, uint32_t partition,
                               const uint8_t *key, uint32_t key_length, uint64_t now_ms);
/* A sound value without a row in the expiry table: it is written anew with the next checkpoint. */
void repairs_expiry(struct repairs *repairs, struct node *node, uint32_t partition,
                    const struct bad_key *key);
/* Those that no copy could help with are tried again now. */
void repairs_retry(struct repairs *repairs, uint64_t now_ms);
uint32_t repairs_waiting(const struct repairs *repairs);

/* --- asking, one at a time ---------------------------------------------------------------------
 */

/* The next one that is due and can be asked for, with `*from` whom to ask. What needs no repair any
 * more leaves the list. NULL: nothing to do now. */
struct repair *repairs_next(struct repairs *repairs, struct node *node, uint64_t now_ms,
                            struct replica_member *from);
/* What the member that was asked answered; NULL: nothing. `repair` may be gone afterwards. */
void repairs_answered(struct repairs *repairs, struct node *node, struct repair *repair,
                      const fetch_result *result, uint64_t now_ms);

#endif
