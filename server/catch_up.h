/* Catching up from the log on disk: entries that a follower lacks and memory no longer has (W6,
 * R8).
 *
 * One pass reads the log from its oldest record, on another thread, and picks out what the
 * followers on one server lack; the loop thread sends each piece as an Append. At the pass's end
 * they go on from memory, or another pass follows. */
#ifndef CAIRN_SERVER_CATCH_UP_H
#define CAIRN_SERVER_CATCH_UP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "server/exchange.h"
#include "server/node.h"

struct catch_up;

/* Begins a pass for all followers on the server that exchange_is_behind speaks of. CAIRN_ENOTFOUND
 * if there is none; CAIRN_ENOMEM. Loop thread. */
int catch_up_open(struct node *node, uint32_t server, struct catch_up **pass);
/* Reads the next piece, about `limit_bytes` of records. Blocks on the disk; on any thread, one call
 * at a time, while the loop thread leaves the pass alone. */
int catch_up_read(struct catch_up *pass, uint64_t limit_bytes, struct error *error);
/* The piece that was read as an Append, to be called until it returns 0: a follower that has moved
 * on or away meanwhile is left out. Notes what it adds as sent. Loop thread. */
uint32_t catch_up_build(struct catch_up *pass, struct node *node, uint64_t now_ms,
                        struct append_builder *builder);
/* Nothing more will come: the pass reached the log's end as it was at the last read. */
bool catch_up_done(const struct catch_up *pass);
void catch_up_close(struct node *node, struct catch_up *pass); /* NULL is fine */

#endif
