/* Looking for damage, and having it repaired, without being asked or when an operator asks (W8,
 * R13):
 *
 *   values      every stored one is read now and then, slice by slice, at a bounded rate; what
 * fails its checksum is replaced by what another copy has (repair.h) copies      of a partition led
 * here are compared as one log entry leaves them (digest_store.h), after each pass over the values;
 * one that differs is installed anew: it steps aside as a damaged copy does (R13), and its primary
 * sends it a snapshot
 *
 * Belongs to the loop thread; reading is done by libuv's pool. */
#ifndef CAIRN_SERVER_SCRUB_H
#define CAIRN_SERVER_SCRUB_H

#include <uv.h>

#include "proto/server_rpc.h"
#include "server/node.h"
#include "server/peers.h"
#include "server/repair.h"

struct scrub;

/* `rate_bytes`: of values a second; 0: nothing is done unasked. `node` is open; it knows of it then
 * (node->scrub, node->repairs). NULL: out of memory. */
struct scrub *scrub_open(uv_loop_t *loop, struct node *node, uint64_t rate_bytes, uint64_t now_ms);
/* From now on. */
void scrub_start(struct scrub *scrub, struct peers *peers);
/* Begins nothing more; peers may be closed then. */
void scrub_stop(struct scrub *scrub);
/* Once the loop has ended, before the node is closed. NULL is fine. */
void scrub_free(struct scrub *scrub);
/* Now and then, a few times a second at least. */
void scrub_tick(struct scrub *scrub, uint64_t now_ms);

/* --- an operator's run -------------------------------------------------------------------------
 */

/* Begins a run, in place of the one before. `partitions` names those to be compared, those led here
 * among them; none: all. CAIRN_EINVAL if a number is too high. */
int scrub_begin(struct scrub *scrub, const scrub_args *args, uint64_t now_ms);
/* Fills `report`, whose arrays live until the turn's end. */
void scrub_report_now(struct scrub *scrub, scrub_report *report);

/* --- what other servers ask ---------------------------------------------------------------------
 */

void scrub_take_fetch(struct scrub *scrub, const fetch_args *args, fetch_result *result);
void scrub_take_digest(struct scrub *scrub, const digest_args *args, uint64_t now_ms,
                       digest_result *result);
void scrub_take_differs(struct scrub *scrub, const differs_args *args, uint64_t now_ms,
                        differs_result *result);

#endif
