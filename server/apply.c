/* Applies committed entries: what mutations do to keys and sessions (S2, S3, S4).
 *
 * Everything here is a function of the state and the entry alone: no clock, no configuration, no
 * limit of this server. All memory is obtained before anything changes. */
#include "base/check.h"
#include "base/rules.h"
#include "server/store_state.h"
#include "server/value.h"

/* One mutation on its way through. */
struct mutation {
    struct store *store;
    struct store_partition *at;
    struct entry *entry;
    uint64_t log_time_ms;
    struct store_value current; /* zeroed when the key is absent */
    bool present;
    struct kept_value *old_value; /* of a SWAP of a present key */
};

/* S2: what has expired at the entry's log time is absent. W8: what is lost on all copies is not
 * looked at, also by a copy that has it after all: it is the entry that decides. */
static int find_current(struct mutation *mutation)
{
    const struct item *item = mutation->entry->item;
    if (mutation->entry->over_damage) {
        mutation->present = true;
        return CAIRN_OK;
    }
    int code = store_get(mutation->store, mutation->entry->partition, item->bytes, item->key_length,
                         &mutation->current);
    mutation->present = code == CAIRN_OK && (mutation->current.expires_ms == 0 ||
                                             mutation->current.expires_ms > mutation->log_time_ms);
    if (!mutation->present)
        mutation->current = (struct store_value){0};
    return code == CAIRN_ENOTFOUND ? CAIRN_OK : code;
}

static uint64_t expiry_of(const struct mutation *mutation)
{
    uint64_t ttl_ms = mutation->entry->ttl_ms;
    if (mutation->entry->kind != COMMAND_PUT || ttl_ms == 0)
        return 0;
    return ttl_ms > UINT64_MAX - mutation->log_time_ms ? UINT64_MAX
                                                       : mutation->log_time_ms + ttl_ms;
}

/* W8: each write takes an entry and raises the version by one at most: the index is beyond what the
 * version may have been. */
static uint64_t version_of(const struct mutation *mutation)
{
    const struct entry *entry = mutation->entry;
    if (entry->kind == COMMAND_DELETE)
        return 0;
    return entry->over_damage ? entry->index : mutation->current.version + 1;
}

/* Gives the entry's item to the memtable, as value or as deletion. */
static void put_item(struct mutation *mutation)
{
    struct item *item = mutation->entry->item;
    mutation->entry->item = NULL;
    item->modified = mutation->entry->index;
    item->version = version_of(mutation);
    if (item->version == 0) {
        item->expires_ms = 0;
    } else {
        struct store_value value;
        item->expires_ms = expiry_of(mutation);
        value_of_item(item, &value);
        item->checksum = value_checksum(item->bytes, item->key_length, &value); /* W8 */
    }
    memtable_put(&mutation->at->live, item);
}

/* Decides and makes the change; everything it needs is there. */
static void change(struct mutation *mutation, struct outcome *outcome)
{
    const struct entry *entry = mutation->entry;
    outcome->existed = mutation->present;
    if (entry->kind == COMMAND_PUT && entry->conditional &&
        entry->if_version != mutation->current.version) {
        outcome->code = OUTCOME_VERSION_MISMATCH;
        outcome->version = mutation->current.version;
        return;
    }
    outcome->version = version_of(mutation);
    /* An absent key needs no deletion; an expired one is the checkpoint's to reclaim. */
    if (entry->kind != COMMAND_DELETE || mutation->present)
        put_item(mutation);
}

/* All memory that the change needs. `session` is NULL for an entry without a client. */
static int obtain(struct mutation *mutation, struct session **session)
{
    const struct entry *entry = mutation->entry;
    if (entry->client != 0 && *session == NULL) {
        *session = session_add(&mutation->at->sessions, entry->client);
        if (*session == NULL)
            return CAIRN_ENOMEM;
    }
    if (entry->kind == COMMAND_SWAP && mutation->present) {
        mutation->old_value = kept_value_create(mutation->current.data, mutation->current.length);
        if (mutation->old_value == NULL) {
            if (*session != NULL)
                session_tidy(&mutation->at->sessions, *session);
            return CAIRN_ENOMEM;
        }
    }
    return CAIRN_OK;
}

static void keep_outcome(struct mutation *mutation, struct session *session,
                         struct outcome *outcome)
{
    struct kept_value *old_value = mutation->old_value;
    if (old_value != NULL) {
        outcome->old_value = old_value->bytes;
        outcome->old_value_length = old_value->length;
    }
    if (session == NULL)
        mutation->store->loose_value = old_value;
    else
        session_record(&mutation->at->sessions, session, mutation->entry->number,
                       mutation->log_time_ms, outcome, old_value);
}

static int apply_mutation(struct mutation *mutation, struct outcome *outcome)
{
    struct store *store = mutation->store;
    const struct entry *entry = mutation->entry;
    struct session *session =
        entry->client == 0 ? NULL : session_find(&mutation->at->sessions, entry->client);
    CHECK(entry->item != NULL);
    if (session != NULL && session->applied && entry->number <= session->number &&
        !RULE_BROKEN(S3)) {
        /* S3: the decision about duplicates falls here, on every replica. */
        if (entry->number == session->number)
            store_session_replay(store, entry->partition, session, outcome);
        else
            outcome->code = OUTCOME_STALE_NUMBER;
        return CAIRN_OK;
    }
    int code = find_current(mutation);
    if (code == CAIRN_ECORRUPT) {
        outcome->code = OUTCOME_CORRUPT; /* W8: neither the old value nor its version is known */
        return CAIRN_OK;
    }
    if (code == CAIRN_OK)
        code = obtain(mutation, &session);
    if (code != CAIRN_OK)
        return code;
    change(mutation, outcome);
    keep_outcome(mutation, session, outcome);
    return CAIRN_OK;
}

static int apply_command(struct mutation *mutation, struct outcome *outcome)
{
    struct session_table *sessions = &mutation->at->sessions;
    struct session *session;
    switch (mutation->entry->kind) {
    case COMMAND_NOOP:
        return CAIRN_OK;
    case COMMAND_PUT:
    case COMMAND_SWAP:
    case COMMAND_DELETE:
        return apply_mutation(mutation, outcome);
    case COMMAND_RETIRE: /* S4 */
        session = session_find(sessions, mutation->entry->client);
        if (session != NULL && session->applied)
            session_remove(sessions, session);
        return CAIRN_OK;
    case COMMAND_EVICT_SESSIONS: /* S4 */
        session_evict(sessions, mutation->entry->cutoff_ms);
        return CAIRN_OK;
    }
    CHECK(false);
}

static uint64_t partition_bytes(const struct store_partition *at)
{
    return at->live.bytes + at->sessions.dirty_bytes;
}

int store_apply(struct store *store, struct entry *entry, struct outcome *outcome)
{
    struct store_partition *at = store_at(store, entry->partition);
    struct store_position *applied = &at->applied;
    CHECK(!applied->installing && entry->index == applied->index + 1);
    *outcome = (struct outcome){0};
    kept_value_release(store->loose_value);
    store->loose_value = NULL;
    /* S1: log time never goes back, also if an entry's did. */
    struct mutation mutation = {.store = store, .at = at, .entry = entry};
    mutation.log_time_ms =
        entry->log_time_ms > applied->log_time_ms ? entry->log_time_ms : applied->log_time_ms;
    uint64_t before = partition_bytes(at);
    int code = apply_command(&mutation, outcome);
    if (code != CAIRN_OK)
        return code;
    store->live_bytes += partition_bytes(at) - before;
    store_session_forget(store, entry);
    /* R9: entries of the history before may follow on the first of a new one's epochs. */
    if (entry->history > applied->history)
        applied->history = entry->history;
    applied->epoch = entry->epoch;
    applied->index = entry->index;
    applied->log_time_ms = mutation.log_time_ms;
    if (entry->epoch > applied->seen_epoch)
        applied->seen_epoch = entry->epoch;
    store_touch(store, at);
    return CAIRN_OK;
}
