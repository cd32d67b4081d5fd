/* Sessions as the driver sees them: what to do with a mutation that arrives (S3, S4). */
#include "base/check.h"
#include "server/store_state.h"
#include "server/value.h"

/* Reads a SWAP's old value back from LMDB; false if it is damaged. */
static bool old_value_read(struct store *store, uint32_t partition, const struct session *session,
                           struct outcome *outcome)
{
    struct stored_key key;
    struct slice row;
    struct session_record record;
    session_key(&key, partition, session->client);
    int code = lmdb_read(store->lmdb, LMDB_SESSIONS, (struct slice){key.bytes, key.length}, &row);
    if (code != CAIRN_OK || session_decode(&key, row.data, row.length, true, &record) != CAIRN_OK ||
        record.number != session->number)
        return false;
    outcome->old_value = record.old_value;
    outcome->old_value_length = record.old_value_length;
    return true;
}

void store_session_replay(struct store *store, uint32_t partition, const struct session *session,
                          struct outcome *outcome)
{
    *outcome = (struct outcome){.code = (enum outcome_code)session->code,
                                .existed = session->existed,
                                .version = session->version};
    if (session->old_value != NULL) {
        outcome->old_value = session->old_value->bytes;
        outcome->old_value_length = session->old_value->length;
    } else if (session->stored && !old_value_read(store, partition, session, outcome)) {
        store->checksum_errors++; /* W8 */
        *outcome = (struct outcome){.code = OUTCOME_CORRUPT};
    }
}

enum session_verdict store_session_check(struct store *store, uint32_t partition, uint64_t client,
                                         uint64_t number, struct outcome *outcome,
                                         struct entry **entry)
{
    const struct session_table *table = &store_at(store, partition)->sessions;
    const struct session *session = session_find(table, client);
    *outcome = (struct outcome){0};
    *entry = NULL;
    if (session == NULL) {
        /* S4: never evict early, refuse new ones. */
        bool full = table->applied + table->tentative >= store->options.sessions_limit;
        return full ? SESSION_FULL : SESSION_NEW;
    }
    if (session->applied && number == session->number) {
        store_session_replay(store, partition, session, outcome);
        return SESSION_DUPLICATE;
    }
    if (session->applied && number < session->number)
        return SESSION_STALE;
    if (session->in_flight != NULL && number == session->in_flight->number) {
        *entry = session->in_flight;
        return SESSION_IN_FLIGHT;
    }
    if (session->in_flight != NULL && number < session->in_flight->number)
        return SESSION_STALE; /* the client went on to a later one */
    return SESSION_NEW;
}

int store_session_begin(struct store *store, struct entry *entry)
{
    if (entry->client == 0)
        return CAIRN_OK;
    struct session_table *table = &store_at(store, entry->partition)->sessions;
    struct session *session = session_find(table, entry->client);
    if (session == NULL)
        session = session_add(table, entry->client);
    if (session == NULL)
        return CAIRN_ENOMEM;
    session->in_flight = entry;
    return CAIRN_OK;
}

void store_session_forget(struct store *store, struct entry *entry)
{
    if (entry->client == 0)
        return;
    struct session_table *table = &store_at(store, entry->partition)->sessions;
    struct session *session = session_find(table, entry->client);
    if (session == NULL)
        return;
    if (session->in_flight == entry)
        session->in_flight = NULL;
    session_tidy(table, session);
}

uint64_t store_session_count(const struct store *store, uint32_t partition)
{
    return store_at_const(store, partition)->sessions.applied;
}

uint64_t store_session_oldest_ms(const struct store *store, uint32_t partition)
{
    const struct session *oldest = TAILQ_FIRST(&store_at_const(store, partition)->sessions.used);
    return oldest == NULL ? UINT64_MAX : oldest->used_ms;
}
