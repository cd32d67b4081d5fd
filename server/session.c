/* The table of a partition's sessions (S3, S4). */
#include "server/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BUCKETS_FIRST = 16 };

struct kept_value *kept_value_create(const uint8_t *data, uint32_t length)
{
    struct kept_value *value = malloc(sizeof(*value) + length);
    if (value == NULL)
        return NULL;
    value->references = 1;
    value->length = length;
    if (length > 0)
        memcpy(value->bytes, data, length);
    return value;
}

void kept_value_release(struct kept_value *value)
{
    if (value == NULL)
        return;
    CHECK(value->references > 0);
    if (--value->references == 0)
        free(value);
}

static uint64_t session_bytes(const struct session *session)
{
    uint64_t bytes = sizeof(struct session_frozen);
    if (session->old_value != NULL)
        bytes += sizeof(struct kept_value) + session->old_value->length;
    return bytes;
}

void session_table_init(struct session_table *table)
{
    memset(table, 0, sizeof(*table));
    TAILQ_INIT(&table->used);
    TAILQ_INIT(&table->dirty);
    TAILQ_INIT(&table->removed);
}

void session_list_free(struct session_list *list)
{
    struct session *session;
    while ((session = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, session, used);
        kept_value_release(session->old_value);
        free(session);
    }
}

void session_table_free(struct session_table *table)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct session *session = table->buckets[i];
        while (session != NULL) {
            struct session *next = session->chain;
            kept_value_release(session->old_value);
            free(session);
            session = next;
        }
    }
    session_list_free(&table->removed);
    free(table->buckets);
    session_table_init(table);
}

/* --- the hash table -----------------------------------------------------------------------------
 */

static size_t bucket_of(uint64_t client, size_t bucket_count)
{
    /* Clients are random numbers, but of other people's making: mix them (SplitMix64's last step).
     */
    uint64_t mixed = (client ^ (client >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return (size_t)(mixed ^ (mixed >> 31)) & (bucket_count - 1);
}

struct session *session_find(const struct session_table *table, uint64_t client)
{
    if (table->bucket_count == 0)
        return NULL;
    struct session *session = table->buckets[bucket_of(client, table->bucket_count)];
    while (session != NULL && session->client != client)
        session = session->chain;
    return session;
}

/* Doubles the buckets; without memory the old ones go on, only longer. */
static void table_grow(struct session_table *table)
{
    size_t count = table->bucket_count == 0 ? BUCKETS_FIRST : table->bucket_count * 2;
    struct session **buckets = calloc(count, sizeof(struct session *));
    if (buckets == NULL)
        return;
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct session *session = table->buckets[i];
        while (session != NULL) {
            struct session *next = session->chain;
            size_t bucket = bucket_of(session->client, count);
            session->chain = buckets[bucket];
            buckets[bucket] = session;
            session = next;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

struct session *session_add(struct session_table *table, uint64_t client)
{
    if (table->applied + table->tentative >= table->bucket_count)
        table_grow(table);
    if (table->bucket_count == 0)
        return NULL;
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return NULL;
    session->client = client;
    size_t bucket = bucket_of(client, table->bucket_count);
    session->chain = table->buckets[bucket];
    table->buckets[bucket] = session;
    table->tentative++;
    return session;
}

static void table_unlink(struct session_table *table, struct session *session)
{
    struct session **link = &table->buckets[bucket_of(session->client, table->bucket_count)];
    while (*link != session) {
        CHECK(*link != NULL);
        link = &(*link)->chain;
    }
    *link = session->chain;
}

void session_tidy(struct session_table *table, struct session *session)
{
    if (session->applied || session->in_flight != NULL)
        return;
    table_unlink(table, session);
    table->tentative--;
    free(session);
}

/* --- what mutations do --------------------------------------------------------------------------
 */

static void session_clean(struct session_table *table, struct session *session)
{
    if (!session->is_dirty)
        return;
    TAILQ_REMOVE(&table->dirty, session, dirty);
    session->is_dirty = false;
    table->dirty_count--;
    table->dirty_bytes -= session_bytes(session);
}

void session_record(struct session_table *table, struct session *session, uint64_t number,
                    uint64_t used_ms, const struct outcome *outcome, struct kept_value *old_value)
{
    session_clean(table, session);
    if (session->applied) {
        TAILQ_REMOVE(&table->used, session, used);
    } else {
        session->applied = true;
        table->tentative--;
        table->applied++;
    }
    kept_value_release(session->old_value);
    session->old_value = old_value;
    session->stored = false;
    session->number = number;
    session->used_ms = used_ms;
    session->code = (uint8_t)outcome->code;
    session->existed = outcome->existed;
    session->version = outcome->version;
    TAILQ_INSERT_TAIL(&table->used, session, used);
    TAILQ_INSERT_TAIL(&table->dirty, session, dirty);
    session->is_dirty = true;
    table->dirty_count++;
    table->dirty_bytes += session_bytes(session);
}

void session_remove(struct session_table *table, struct session *session)
{
    CHECK(session->applied);
    session_clean(table, session);
    TAILQ_REMOVE(&table->used, session, used);
    table_unlink(table, session);
    table->applied--;
    kept_value_release(session->old_value);
    session->old_value = NULL;
    if (session->in_flight != NULL) {
        /* Without memory the entry is only no longer found by a retry: its apply decides (S3). */
        struct session *tentative = session_add(table, session->client);
        if (tentative != NULL)
            tentative->in_flight = session->in_flight;
        session->in_flight = NULL;
    }
    if (!session->known) {
        free(session);
        return;
    }
    TAILQ_INSERT_TAIL(&table->removed, session, used);
    table->removed_count++;
    table->dirty_bytes += sizeof(*session);
}

void session_evict(struct session_table *table, uint64_t cutoff_ms)
{
    struct session *session;
    while ((session = TAILQ_FIRST(&table->used)) != NULL && session->used_ms < cutoff_ms)
        session_remove(table, session);
}

/* --- from and to LMDB ---------------------------------------------------------------------------
 */

int session_restore(struct session_table *table, const struct session_record *record)
{
    struct session *session = session_add(table, record->client);
    if (session == NULL)
        return CAIRN_ENOMEM;
    session->applied = true;
    table->tentative--;
    table->applied++;
    session->number = record->number;
    session->used_ms = record->used_ms;
    session->version = record->version;
    session->code = (uint8_t)record->code;
    session->existed = record->existed;
    session->stored = record->has_old_value;
    session->known = true;
    TAILQ_INSERT_TAIL(&table->used, session, used);
    return CAIRN_OK;
}

static int compare_used(const void *left, const void *right)
{
    const struct session *a = *(struct session *const *)left;
    const struct session *b = *(struct session *const *)right;
    return (a->used_ms > b->used_ms) - (a->used_ms < b->used_ms);
}

int session_table_order(struct session_table *table)
{
    if (table->applied == 0)
        return CAIRN_OK;
    struct session **sorted = malloc(table->applied * sizeof(struct session *));
    if (sorted == NULL)
        return CAIRN_ENOMEM;
    size_t count = 0;
    struct session *session;
    TAILQ_FOREACH(session, &table->used, used)
    {
        sorted[count++] = session;
    }
    CHECK(count == table->applied);
    qsort(sorted, count, sizeof(struct session *), compare_used);
    TAILQ_INIT(&table->used);
    for (size_t i = 0; i < count; i++)
        TAILQ_INSERT_TAIL(&table->used, sorted[i], used);
    free(sorted);
    return CAIRN_OK;
}

void session_table_move(struct session_table *to, struct session_table *from)
{
    session_table_free(to);
    *to = *from;
    TAILQ_INIT(&to->used); /* a list's end points into its head */
    TAILQ_INIT(&to->dirty);
    TAILQ_INIT(&to->removed);
    TAILQ_CONCAT(&to->used, &from->used, used);
    TAILQ_CONCAT(&to->dirty, &from->dirty, dirty);
    TAILQ_CONCAT(&to->removed, &from->removed, used);
    session_table_init(from);
}

void session_table_freeze(struct session_table *table, struct session_frozen *frozen,
                          struct session_list *removed)
{
    size_t count = 0;
    struct session *session;
    while ((session = TAILQ_FIRST(&table->dirty)) != NULL) {
        struct kept_value *old_value = session->old_value;
        session_clean(table, session);
        session->known = true;
        struct session_frozen *out = &frozen[count++];
        *out = (struct session_frozen){.old_value = old_value};
        out->record = (struct session_record){.client = session->client,
                                              .number = session->number,
                                              .used_ms = session->used_ms,
                                              .version = session->version,
                                              .code = (enum outcome_code)session->code,
                                              .existed = session->existed};
        if (old_value == NULL)
            continue;
        old_value->references++;
        out->record.has_old_value = true;
        out->record.old_value = old_value->bytes;
        out->record.old_value_length = old_value->length;
    }
    TAILQ_INIT(removed);
    TAILQ_CONCAT(removed, &table->removed, used);
    table->dirty_bytes -= table->removed_count * sizeof(*session);
    table->removed_count = 0;
    CHECK(table->dirty_count == 0 && table->dirty_bytes == 0);
}

void session_settle(struct session_table *table, struct session_frozen *frozen)
{
    if (frozen->old_value == NULL)
        return;
    struct session *session = session_find(table, frozen->record.client);
    if (session != NULL && session->old_value == frozen->old_value) {
        kept_value_release(session->old_value);
        session->old_value = NULL;
        session->stored = true;
    }
    kept_value_release(frozen->old_value);
    frozen->old_value = NULL;
}
