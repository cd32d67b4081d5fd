/* Calls in flight by xid: a direct-mapped table at most half full, with xids that count up. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "rpc/client_internal.h"

enum { FIRST_PLACES = 64 };

int call_table_init(struct call_table *table, uint32_t limit)
{
    memset(table, 0, sizeof *table);
    table->places = calloc(FIRST_PLACES, sizeof(struct client_call *));
    table->mask = FIRST_PLACES - 1;
    table->limit = limit;
    /* A random start: answers meant for an earlier process do not fit. */
    table->next_id = random_id() & UINT32_MAX;
    return table->places == NULL ? CAIRN_ENOMEM : 0;
}

void call_table_free(struct call_table *table)
{
    free((void *)table->places);
    table->places = NULL;
}

/* Calls that had places of their own keep that in a larger table. */
static int grow(struct call_table *table)
{
    uint32_t places = (table->mask + 1) * 2;
    struct client_call **larger = calloc(places, sizeof(struct client_call *));
    if (larger == NULL) {
        return CAIRN_ENOMEM;
    }
    for (uint32_t i = 0; i <= table->mask; i++) {
        struct client_call *call = table->places[i];
        if (call != NULL) {
            larger[(uint32_t)call->id & (places - 1)] = call;
        }
    }
    free((void *)table->places);
    table->places = larger;
    table->mask = places - 1;
    return 0;
}

int call_table_add(struct call_table *table, struct client_call *call)
{
    if (table->count >= table->limit) {
        return CAIRN_EFULL;
    }
    if (table->count > table->mask / 2 && grow(table) != 0) {
        return CAIRN_ENOMEM;
    }
    while (table->places[(uint32_t)table->next_id & table->mask] != NULL) {
        table->next_id++;
    }
    call->id = table->next_id++;
    table->places[(uint32_t)call->id & table->mask] = call;
    table->count++;
    return 0;
}

void call_table_remove(struct call_table *table, const struct client_call *call)
{
    struct client_call **place = &table->places[(uint32_t)call->id & table->mask];
    CHECK(*place == call && table->count > 0);
    *place = NULL;
    table->count--;
}

struct client_call *call_table_find(const struct call_table *table, uint32_t xid)
{
    struct client_call *call = table->places[xid & table->mask];
    return call != NULL && (uint32_t)call->id == xid ? call : NULL;
}
