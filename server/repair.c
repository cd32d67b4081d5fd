/* See repair.h. */
#include "server/repair.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "server/repair_store.h"

enum {
    REPAIRS_LIMIT = 1024, /* more than that is not a value here and there: copies are compared */
    AGAIN_MS = 100,
    FAILED_AGAIN_MS = 10000,
    SAY_EVERY_MS = 10000,
    TEXT_LIMIT = 48, /* bytes of a key that a log line shows */
};

void repairs_init(struct repairs *repairs)
{
    *repairs = (struct repairs){0};
    TAILQ_INIT(&repairs->list);
}

static void set_state(struct repairs *repairs, struct repair *repair, enum repair_state state)
{
    repairs->failed -= repair->state == REPAIR_FAILED;
    repairs->failed += state == REPAIR_FAILED;
    repair->state = state;
}

static void drop(struct repairs *repairs, struct repair *repair)
{
    CHECK(!repair->calling && repairs->count > 0);
    set_state(repairs, repair, REPAIR_NONE);
    TAILQ_REMOVE(&repairs->list, repair, link);
    repairs->count--;
    free(repair);
}

void repairs_free(struct repairs *repairs)
{
    struct repair *repair;

    while ((repair = TAILQ_FIRST(&repairs->list)) != NULL) {
        repair->calling = false; /* whoever is asked answers to nobody */
        drop(repairs, repair);
    }
}

/* --- noting ------------------------------------------------------------------------------------
 */

static struct repair *find(const struct repairs *repairs, uint32_t partition, const uint8_t *key,
                           uint32_t key_length)
{
    struct repair *repair;

    TAILQ_FOREACH(repair, &repairs->list, link)
    {
        if (repair->partition == partition && repair->key.length == key_length &&
            memcmp(repair->key.bytes, key, key_length) == 0)
            return repair;
    }
    return NULL;
}

/* Printable ASCII as it is, other bytes as \xNN. */
static const char *key_text(const struct bad_key *key, char text[4 * TEXT_LIMIT + 4])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;

    for (uint32_t i = 0; i < key->length && i < TEXT_LIMIT; i++) {
        uint8_t byte = key->bytes[i];

        if (byte > ' ' && byte < 0x7f && byte != '\\' && byte != '"') {
            *at++ = (char)byte;
            continue;
        }
        *at++ = '\\';
        *at++ = 'x';
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    memcpy(at, key->length > TEXT_LIMIT ? "..." : "", key->length > TEXT_LIMIT ? 4 : 1);
    return text;
}

/* Learners are not asked for anything, and copies that are to be replaced as a whole need none. */
static bool is_ours(const struct replica *replica)
{
    return (replica->role == REPLICA_PRIMARY || replica->role == REPLICA_BACKUP) &&
           !replica->installing && !replica->damaged;
}

static void say_where(const struct node *node, const struct repair *repair, uint64_t offset)
{
    char text[4 * TEXT_LIMIT + 4];

    log_error(
        "store",
        "%s: offset %" PRIu64 ": the value of key %s of partition %" PRIu32 " fails its checksum",
        repair_row_path(node->store), offset, key_text(&repair->key, text), repair->partition);
}

static void say_too_many(struct repairs *repairs, uint64_t now_ms)
{
    if (repairs->dropped_ms != 0 && now_ms - repairs->dropped_ms < SAY_EVERY_MS)
        return;
    repairs->dropped_ms = now_ms;
    log_error("store", "more than %d values fail their checksums", REPAIRS_LIMIT);
}

static struct repair *add(struct repairs *repairs, uint32_t partition, const uint8_t *key,
                          uint32_t key_length, uint64_t now_ms)
{
    struct repair *repair = NULL;

    if (repairs->count < REPAIRS_LIMIT)
        repair = calloc(1, sizeof *repair);
    if (repair == NULL) {
        say_too_many(repairs, now_ms);
        return NULL;
    }
    repair->partition = partition;
    repair->key.length = key_length;
    memcpy(repair->key.bytes, key, key_length);
    repair->state = REPAIR_WAITING;
    repair->due_ms = now_ms;
    TAILQ_INSERT_TAIL(&repairs->list, repair, link);
    repairs->count++;
    repairs->found++;
    return repair;
}

enum repair_state repairs_note(struct repairs *repairs, struct node *node, uint32_t partition,
                               const uint8_t *key, uint32_t key_length, uint64_t now_ms)
{
    struct repair *repair;
    uint64_t offset;

    if (key_length == 0 || key_length > CAIRN_KEY_LIMIT || partition >= node->partition_count ||
        !is_ours(&node->partitions[partition].replica))
        return REPAIR_NONE;
    repair = find(repairs, partition, key, key_length);
    if (repair != NULL)
        return repair->state;
    if (repair_row_look(node->store, partition, key, key_length, &offset) != REPAIR_ROW_BAD)
        return REPAIR_NONE;
    repair = add(repairs, partition, key, key_length, now_ms);
    if (repair == NULL)
        return REPAIR_FAILED;
    say_where(node, repair, offset);
    if (node->partitions[partition].replica.configuration.member_count < 2) {
        set_state(repairs, repair, REPAIR_FAILED); /* there is nobody to be asked */
        repair->due_ms = now_ms + FAILED_AGAIN_MS;
    }
    return repair->state;
}

void repairs_expiry(struct repairs *repairs, struct node *node, uint32_t partition,
                    const struct bad_key *key)
{
    char text[4 * TEXT_LIMIT + 4];

    if (partition >= node->partition_count || !is_ours(&node->partitions[partition].replica) ||
        repair_expiry_put(node->store, partition, key->bytes, key->length) != CAIRN_OK)
        return;
    repairs->found++;
    repairs->repaired++;
    log_error("store", "%s: key %s of partition %" PRIu32 " had no row in the expiry table",
              repair_row_path(node->store), key_text(key, text), partition);
}

void repairs_retry(struct repairs *repairs, uint64_t now_ms)
{
    struct repair *repair;

    TAILQ_FOREACH(repair, &repairs->list, link)
    {
        if (repair->state != REPAIR_FAILED)
            continue;
        set_state(repairs, repair, REPAIR_WAITING);
        repair->helpless = 0;
        repair->due_ms = now_ms;
    }
}

uint32_t repairs_waiting(const struct repairs *repairs)
{
    return repairs->count - repairs->failed;
}

/* --- asking ------------------------------------------------------------------------------------
 */

/* Nobody of this epoch can help. Others may later, and the value may be written anew. */
static void fail(struct repairs *repairs, struct repair *repair, uint64_t now_ms)
{
    char text[4 * TEXT_LIMIT + 4];

    if (repair->state != REPAIR_FAILED)
        log_error("store", "no copy has a sound value of key %s of partition %" PRIu32,
                  key_text(&repair->key, text), repair->partition);
    set_state(repairs, repair, REPAIR_FAILED);
    repair->helpless = repair->absent = 0;
    repair->due_ms = now_ms + FAILED_AGAIN_MS;
}

/* S2: a key that has expired is gone from copies that have swept it. If it is from all others, it
 * is to go here. */
static bool expires(struct repairs *repairs, struct node *node, struct repair *repair)
{
    char text[4 * TEXT_LIMIT + 4];

    if (repair->absent == 0 || repair->absent != repair->helpless ||
        repair->absent_index < store_checkpointed(node->store, repair->partition)->index ||
        repair_absence_put(node->store, repair->partition, repair->key.bytes, repair->key.length) !=
            CAIRN_OK)
        return false;
    repairs->repaired++;
    log_info("store", "repaired key=%s partition=%" PRIu32 " expired=1",
             key_text(&repair->key, text), repair->partition);
    drop(repairs, repair);
    return true;
}

/* The next member that may help, after the one that was asked last. */
static bool choose(struct repair *repair, const struct replica *replica)
{
    const struct replica_configuration *configuration = &replica->configuration;
    uint32_t count = configuration->member_count;

    if (repair->epoch != configuration->epoch) {
        repair->epoch = configuration->epoch;
        repair->helpless = repair->absent = repair->member = 0;
    }
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t at = (repair->member + i) % count;

        if (configuration->members[at].store == replica->self.store ||
            (repair->helpless & (1u << at)) != 0)
            continue;
        repair->member = at;
        return true;
    }
    return false;
}

/* Whether it has to be repaired still, and can be. */
static bool is_wanted(struct node *node, const struct repair *repair)
{
    const struct replica *replica = &node->partitions[repair->partition].replica;
    uint64_t offset;

    return is_ours(replica) && repair_row_look(node->store, repair->partition, repair->key.bytes,
                                               repair->key.length, &offset) == REPAIR_ROW_BAD;
}

struct repair *repairs_next(struct repairs *repairs, struct node *node, uint64_t now_ms,
                            struct replica_member *from)
{
    struct repair *repair, *next;

    for (repair = TAILQ_FIRST(&repairs->list); repair != NULL; repair = next) {
        next = TAILQ_NEXT(repair, link);
        if (repair->calling || now_ms < repair->due_ms)
            continue;
        if (!is_wanted(node, repair)) {
            drop(repairs, repair);
        } else if (!choose(repair, &node->partitions[repair->partition].replica)) {
            if (!expires(repairs, node, repair))
                fail(repairs, repair, now_ms);
        } else {
            *from =
                node->partitions[repair->partition].replica.configuration.members[repair->member];
            repair->calling = true;
            return repair;
        }
    }
    return NULL;
}

static int put(struct node *node, const struct repair *repair, const fetch_result *result)
{
    const struct store_position *stored = store_checkpointed(node->store, repair->partition);
    const struct repair_value from = {
        .value = {.version = result->key_version,
                  .modified = result->modified,
                  .expires_ms = result->expires_ms,
                  .data = result->value.data,
                  .length = result->value.length},
        .checksum = result->checksum,
        .applied_index = result->applied_index,
    };

    if (!is_wanted(node, repair))
        return CAIRN_ENOTFOUND;
    if (!repair_value_fits(&from, stored, repair->key.bytes, repair->key.length))
        return CAIRN_EUNAVAILABLE;
    return repair_value_put(node->store, repair->partition, repair->key.bytes, repair->key.length,
                            &from);
}

static void take_value(struct repairs *repairs, struct node *node, struct repair *repair,
                       const fetch_result *result, uint64_t now_ms)
{
    char text[4 * TEXT_LIMIT + 4];
    int status = put(node, repair, result);

    if (status == CAIRN_OK) {
        repairs->repaired++;
        log_info("store", "repaired key=%s partition=%" PRIu32 " version=%" PRIu64,
                 key_text(&repair->key, text), repair->partition, (uint64_t)result->key_version);
        drop(repairs, repair);
    } else if (status == CAIRN_ENOTFOUND) {
        drop(repairs, repair);
    } else {
        repair->due_ms = now_ms + AGAIN_MS;
    }
}

void repairs_answered(struct repairs *repairs, struct node *node, struct repair *repair,
                      const fetch_result *result, uint64_t now_ms)
{
    bool answered = result != NULL && !result->stranger;

    CHECK(repair->calling);
    repair->calling = false;
    if (answered && result->outcome == FETCH_FOUND) {
        take_value(repairs, node, repair, result, now_ms);
        return;
    }
    /* Absence counts once this copy has applied as much. */
    if (answered && result->outcome == FETCH_ABSENT &&
        result->applied_index <= store_applied(node->store, repair->partition)->index) {
        if (repair->absent == 0 || result->applied_index < repair->absent_index)
            repair->absent_index = result->applied_index;
        repair->absent |= 1u << repair->member;
        repair->helpless |= 1u << repair->member;
        repair->due_ms = now_ms;
        return;
    }
    if (answered && result->outcome == FETCH_CORRUPT) {
        repair->helpless |= 1u << repair->member;
        repair->due_ms = now_ms; /* the next one at once */
        return;
    }
    repair->due_ms = now_ms + AGAIN_MS;
}
