/* See catch_up.h: which followers lack what, and sending them what was read. */
#include "server/catch_up.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/catch_up_internal.h"
#include "server/entry_peek.h"

enum {
    LENGTH_BYTES = 4,
    RECORDS_LIMIT = 1 << 30, /* a piece is far below it */
};

/* --- opening ------------------------------------------------------------------------------------
 */

/* The last entry that a pass may take: committed, so that it stays, and durable here, so that the
 * log on disk has it. */
static uint64_t settled_index(const struct replica *replica)
{
    return replica->commit_index < replica->synced_index ? replica->commit_index
                                                         : replica->synced_index;
}

/* The follower in this store that lacks entries which memory no longer has, or NULL. */
static const struct replica_follower *find_behind(const struct partition *partition,
                                                  const struct replica_member *copy)
{
    const struct replica *replica = &partition->replica;

    if (replica->barrier_index == 0)
        return NULL;
    for (uint32_t i = 0; i < replica->follower_count; i++) {
        const struct replica_follower *follower = &replica->followers[i];

        /* At or below the base only a snapshot helps (R8). */
        if (replica_same_copy(&follower->id, copy) && follower->mode == REPLICA_REPLICATE &&
            !partition_has_entry(partition, follower->next_index) &&
            follower->next_index > partition->base.index &&
            follower->next_index <= settled_index(replica))
            return follower;
    }
    return NULL;
}

static void add_lack(struct catch_up *pass, const struct partition *partition,
                     const struct replica_follower *follower)
{
    struct lack *lack = &pass->lacks[pass->count++];
    bool is_base = partition->base.index + 1 == follower->next_index;

    pass->open++;
    pass->of_partition[partition->replica.partition] = lack;
    lack->partition = partition->replica.partition;
    lack->history = partition->replica.configuration.history;
    lack->base_index = partition->base.index;
    lack->first_index = follower->next_index;
    lack->last_index = settled_index(&partition->replica);
    buffer_init(&lack->records, RECORDS_LIMIT);
    lack->previous_is_base = lack->previous_known = is_base;
    if (is_base)
        lack->previous = partition->base;
}

static uint32_t count_behind(const struct node *node, const struct replica_member *copy)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < node->partition_count; i++)
        count += find_behind(&node->partitions[i], copy) != NULL;
    return count;
}

static int find_lacks(struct catch_up *pass, const struct node *node, uint32_t count)
{
    pass->partition_count = node->partition_count;
    pass->lacks = calloc(count, sizeof *pass->lacks);
    pass->of_partition = calloc(node->partition_count, sizeof(struct lack *));
    if (pass->lacks == NULL || pass->of_partition == NULL)
        return CAIRN_ENOMEM;
    for (uint32_t i = 0; i < node->partition_count; i++) {
        const struct replica_follower *follower = find_behind(&node->partitions[i], &pass->copy);

        if (follower != NULL)
            add_lack(pass, &node->partitions[i], follower);
    }
    CHECK(pass->count == count);
    return CAIRN_OK;
}

static int open_cursors(struct catch_up *pass, struct wal *wal)
{
    int status = wal_cursor_open(wal, 0, &pass->scan);

    if (status == CAIRN_OK)
        status = wal_cursor_open(wal, 0, &pass->take);
    if (status != CAIRN_OK)
        return status;
    pass->limit_lsn = wal_durable_lsn(wal);
    if (wal_cursor_extend(wal, pass->scan) != pass->limit_lsn ||
        wal_cursor_extend(wal, pass->take) != pass->limit_lsn)
        return CAIRN_ENOMEM;
    return CAIRN_OK;
}

int catch_up_open(struct node *node, uint32_t server, struct catch_up **opened)
{
    struct replica_member copy = {.server = server,
                                  .store = exchange_sender(node, server).to_store};
    uint32_t count = count_behind(node, &copy);
    struct catch_up *pass;
    int status;

    *opened = NULL;
    if (count == 0)
        return CAIRN_ENOTFOUND;
    pass = calloc(1, sizeof *pass);
    if (pass == NULL)
        return CAIRN_ENOMEM;
    pass->copy = copy;
    STAILQ_INIT(&pass->filled);
    status = find_lacks(pass, node, count);
    if (status == CAIRN_OK)
        status = open_cursors(pass, node->journal.wal);
    if (status == CAIRN_OK)
        *opened = pass;
    else
        catch_up_close(node, pass);
    return status;
}

void catch_up_close(struct node *node, struct catch_up *pass)
{
    if (pass == NULL)
        return;
    wal_cursor_close(node->journal.wal, pass->scan);
    wal_cursor_close(node->journal.wal, pass->take);
    for (uint32_t i = 0; i < pass->count; i++) {
        buffer_free(&pass->lacks[i].records);
        free(pass->lacks[i].voids);
        free(pass->lacks[i].spans);
    }
    free(pass->lacks);
    free(pass->of_partition);
    free(pass);
}

bool catch_up_done(const struct catch_up *pass)
{
    return pass->done;
}

/* --- sending ------------------------------------------------------------------------------------
 */

/* As many records as one Append should carry, at least one. */
struct chunk {
    const uint8_t *bytes;
    size_t length;
    uint32_t count;
    struct replica_position last;
};

static void cut_chunk(const struct lack *lack, struct chunk *chunk)
{
    const uint8_t *record = lack->records.data + lack->sent;
    const uint8_t *end = lack->records.data + lack->records.length;
    struct entry_head head = {0};

    *chunk = (struct chunk){.bytes = record};
    while (record < end) {
        uint32_t length = record[0] | (uint32_t)record[1] << 8 | (uint32_t)record[2] << 16 |
                          (uint32_t)record[3] << 24;

        if (chunk->count > 0 && chunk->length + LENGTH_BYTES + length > APPEND_BYTES_TARGET)
            break;
        CHECK(entry_peek(record + LENGTH_BYTES, length, &head) == CAIRN_OK);
        record += LENGTH_BYTES + length;
        chunk->length += LENGTH_BYTES + length;
        chunk->count++;
    }
    chunk->last = (struct replica_position){.epoch = head.epoch, .index = head.index};
}

/* The follower, if it wants exactly what comes next in the piece and may be sent it (R2). */
static struct replica_follower *find_waiting(const struct catch_up *pass, struct replica *replica,
                                             const struct lack *lack)
{
    struct replica_follower *follower = replica_find_follower(replica, &pass->copy);

    if (follower == NULL || follower->mode != REPLICA_REPLICATE ||
        follower->next_index != lack->run_previous.index + 1 || replica->barrier_index == 0 ||
        replica->configuration.history != lack->history || !replica_may_send(replica))
        return NULL;
    return follower;
}

enum step { STEP_SENT, STEP_FULL, STEP_DROP };

static enum step send_chunk(const struct catch_up *pass, struct lack *lack, struct replica *replica,
                            uint64_t now_ms, struct append_builder *builder)
{
    struct replica_follower *follower = find_waiting(pass, replica, lack);
    struct chunk chunk;

    if (follower == NULL)
        return STEP_DROP;
    cut_chunk(lack, &chunk);
    if (!append_builder_add(builder, replica, &lack->run_previous, chunk.count, chunk.bytes,
                            chunk.length))
        return builder->args.runs.runs_len > 0 ? STEP_FULL : STEP_DROP;
    replica_sent(replica, (uint32_t)(follower - replica->followers), chunk.last.index, now_ms);
    lack->run_previous = chunk.last;
    lack->sent += chunk.length;
    return STEP_SENT;
}

uint32_t catch_up_build(struct catch_up *pass, struct node *node, uint64_t now_ms,
                        struct append_builder *builder)
{
    struct lack *lack;

    append_builder_reset(builder, node, pass->copy.server);
    if (builder->args.from.to_store != pass->copy.store)
        return 0; /* the server has another store by now: what it holds is not known (R10) */
    while ((lack = STAILQ_FIRST(&pass->filled)) != NULL) {
        enum step step =
            send_chunk(pass, lack, &node->partitions[lack->partition].replica, now_ms, builder);

        if (step == STEP_DROP)
            lack_end(pass, lack);
        if (step == STEP_DROP || lack->sent == lack->records.length) {
            STAILQ_REMOVE_HEAD(&pass->filled, next_filled);
            lack_drop_records(lack);
        } else {
            break; /* the rest goes with the next Append, which has room */
        }
    }
    return builder->args.runs.runs_len;
}
