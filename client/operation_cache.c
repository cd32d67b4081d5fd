/* Between a GET and the host's cache. */
#include "client/operation_cache.h"

#include "base/clock.h"
#include "client/handle.h"

enum { DRIFT_PERMILLE = 10 }; /* how far two clocks may drift apart, each */

void operation_cache_note(struct operation *operation)
{
    const struct cache *segment = handle_cache_segment(operation->db);

    operation->granted = 0;
    operation->args.get.cache_session = 0;
    if (segment == NULL) {
        return;
    }
    operation->noted_ms = clock_now_ms();
    if (cache_note(segment, operation->hash, operation->server, operation->noted_ms,
                   &operation->note)) {
        operation->args.get.cache_session = operation->note.session;
    }
}

/* S2: the value may be read until the key expires, by the host's clock counted from before the GET
 * left, and shorter by what that clock may be slow. */
static uint64_t expiry_ms(const struct operation *operation)
{
    uint64_t left_ms = operation->expires_in_ms;

    if (left_ms == 0) {
        return UINT64_MAX;
    }
    left_ms = left_ms > UINT32_MAX ? left_ms / (1000 + DRIFT_PERMILLE) * (1000 - DRIFT_PERMILLE)
                                   : left_ms * (1000 - DRIFT_PERMILLE) / (1000 + DRIFT_PERMILLE);
    return left_ms < UINT64_MAX / 2 ? operation->noted_ms + left_ms : UINT64_MAX;
}

void operation_cache_fill(struct operation *operation)
{
    const struct cache *segment = handle_cache_segment(operation->db);
    const struct buffer *value = &operation->db->value;

    if (segment == NULL || operation->rpc_status != CAIRN_OK || operation->status != SERVER_OK ||
        operation->granted == 0 || operation->granted != operation->args.get.cache_session) {
        return;
    }
    size_t length = value->length - 1; /* the NUL */
    if (length > CACHE_VALUE_LIMIT) {
        cache_add(segment, CACHE_SKIPPED, 1);
        return;
    }
    (void)cache_fill(segment, &operation->note, operation->key.data, operation->key.length,
                     operation->hash, value->data, length, operation->version,
                     expiry_ms(operation));
}
