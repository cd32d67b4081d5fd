/* Picking out of the shared log what followers lack.
 *
 * The log may hold several records of one index: a copy that followed somebody else may have
 * dropped the end of its log, and a record at index i voids all earlier ones of the partition at or
 * above i, unless it is the very entry that is there, written again (W6). So that no follower is
 * ever sent a record that is void, a pass goes through the log twice: first it looks at all of it
 * for what voids what, then it takes the records that count, from the first wanted one on. What is
 * wanted was committed and durable here when the pass began: all that voids its forerunners lies in
 * the log that is looked at, and nothing will void it later.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "proto/durable.pb-c.h"
#include "server/catch_up_internal.h"
#include "server/entry_peek.h"

enum {
    SCAN_FACTOR = 16, /* nothing is kept of what is only looked at */
    LENGTH_BYTES = 4,
    VOIDS_INITIAL = 8,
    SPANS_INITIAL = 4,
};

void lack_end(struct catch_up *pass, struct lack *lack)
{
    if (!lack->over)
        pass->open--;
    lack->over = true;
}

void lack_drop_records(struct lack *lack)
{
    size_t limit = lack->records.limit;

    buffer_free(&lack->records);
    buffer_init(&lack->records, limit);
    lack->sent = 0;
}

/* The log does not hold what the partition's base says that it holds. */
static void say_missing(struct catch_up *pass, struct lack *lack, uint64_t index)
{
    log_error("server", "log: partition %" PRIu32 ": entry %" PRIu64 " is missing", lack->partition,
              index);
    lack_end(pass, lack);
}

/* What is wanted of the record's partition, or NULL. */
static int find_lack(const struct catch_up *pass, const struct wal_record *record,
                     struct entry_head *head, struct lack **lack, struct error *error)
{
    *lack = NULL;
    if (entry_peek(record->payload, record->length, head) != CAIRN_OK)
        return error_set(error, CAIRN_ECORRUPT, "log record %" PRIu64 ": not an entry",
                         record->lsn);
    if (head->partition < pass->partition_count)
        *lack = pass->of_partition[head->partition];
    if (*lack != NULL && (*lack)->over)
        *lack = NULL;
    return CAIRN_OK;
}

/* --- looking ------------------------------------------------------------------------------------
 */

/* A void point makes those before it at or above its index superfluous. */
static int add_void(struct lack *lack, uint64_t lsn, uint64_t index, struct error *error)
{
    while (lack->void_count > 0 && lack->voids[lack->void_count - 1].index >= index)
        lack->void_count--;
    if (lack->void_count == lack->void_capacity) {
        size_t capacity = lack->void_capacity == 0 ? VOIDS_INITIAL : lack->void_capacity * 2;
        struct void_point *voids = realloc(lack->voids, capacity * sizeof *voids);

        if (voids == NULL)
            return error_set(error, CAIRN_ENOMEM, "log: out of memory");
        lack->voids = voids;
        lack->void_capacity = capacity;
    }
    lack->voids[lack->void_count++] = (struct void_point){.lsn = lsn, .index = index};
    return CAIRN_OK;
}

/* Whether the log holds this very entry already: written again (node_carry.c), it voids nothing. So
 * recovery sees it, too (partition_recover_entry). */
static bool is_held(const struct lack *lack, const struct entry_head *head)
{
    size_t i = lack->span_count;

    if (head->index > lack->scanned_index)
        return false;
    while (i > 0 && lack->spans[i - 1].index > head->index)
        i--;
    return i > 0 && lack->spans[i - 1].epoch == head->epoch &&
           lack->spans[i - 1].history == head->history;
}

static int add_span(struct lack *lack, const struct entry_head *head, struct error *error)
{
    if (lack->span_count == lack->span_capacity) {
        size_t capacity = lack->span_capacity == 0 ? SPANS_INITIAL : lack->span_capacity * 2;
        struct epoch_span *spans = realloc(lack->spans, capacity * sizeof *spans);

        if (spans == NULL)
            return error_set(error, CAIRN_ENOMEM, "log: out of memory");
        lack->spans = spans;
        lack->span_capacity = capacity;
    }
    lack->spans[lack->span_count++] =
        (struct epoch_span){.index = head->index, .epoch = head->epoch, .history = head->history};
    return CAIRN_OK;
}

/* The log ends with this entry now. */
static int end_with(struct lack *lack, const struct entry_head *head, struct error *error)
{
    if (head->index > lack->scanned_index + 1)
        lack->span_count = 0; /* the first one, behind what was cut off */
    while (lack->span_count > 0 && lack->spans[lack->span_count - 1].index >= head->index)
        lack->span_count--;
    lack->scanned_index = head->index;
    if (lack->span_count > 0 && lack->spans[lack->span_count - 1].epoch == head->epoch &&
        lack->spans[lack->span_count - 1].history == head->history)
        return CAIRN_OK;
    return add_span(lack, head, error);
}

static int look_at_entry(struct catch_up *pass, const struct wal_record *record,
                         struct error *error)
{
    struct entry_head head;
    struct lack *lack;
    bool voids;
    int status = find_lack(pass, record, &head, &lack, error);

    /* The log may have lost some of what is at or below the base, so that nothing tells an entry
     * that was written again from another one. Whatever voided more has a successor above. */
    if (status != CAIRN_OK || lack == NULL || head.index <= lack->base_index ||
        is_held(lack, &head))
        return status;
    voids = head.index <= lack->scanned_index;
    status = end_with(lack, &head, error);
    if (status != CAIRN_OK)
        return status;
    if (head.index + 1 == lack->first_index && !lack->previous_is_base) {
        lack->previous = (struct replica_position){.epoch = head.epoch, .index = head.index};
        lack->previous_known = true;
    }
    if (head.index <= lack->first_index)
        lack->first_lsn = head.index == lack->first_index ? record->lsn : 0;
    return voids && head.index <= lack->last_index ? add_void(lack, record->lsn, head.index, error)
                                                   : CAIRN_OK;
}

/* W6: an install began. */
static int look_at_reset(struct catch_up *pass, const struct wal_record *record,
                         struct error *error)
{
    Cairn__Reset *reset = cairn__reset__unpack(NULL, record->length, record->payload);
    struct lack *lack;

    if (reset == NULL)
        return error_set(error, CAIRN_ECORRUPT, "log record %" PRIu64 ": not a reset", record->lsn);
    lack = reset->partition < pass->partition_count ? pass->of_partition[reset->partition] : NULL;
    cairn__reset__free_unpacked(reset, NULL);
    if (lack == NULL)
        return CAIRN_OK;
    lack->scanned_index = 0;
    lack->span_count = 0;
    lack->first_lsn = 0;
    lack->previous_known = lack->previous_is_base;
    return add_void(lack, record->lsn, 0, error);
}

static int look(void *context, const struct wal_record *record, struct error *error)
{
    if (record->kind == LOG_KIND_ENTRY)
        return look_at_entry(context, record, error);
    return record->kind == LOG_KIND_RESET ? look_at_reset(context, record, error) : CAIRN_OK;
}

static void begin_taking(struct catch_up *pass)
{
    uint64_t start = pass->limit_lsn + 1;

    for (uint32_t i = 0; i < pass->count; i++) {
        struct lack *lack = &pass->lacks[i];

        if (!lack->previous_known) {
            say_missing(pass, lack, lack->first_index - 1);
        } else if (lack->first_lsn == 0) {
            say_missing(pass, lack, lack->first_index);
        } else {
            lack->taken = lack->previous;
            if (lack->first_lsn < start)
                start = lack->first_lsn;
        }
    }
    wal_cursor_skip(pass->take, start);
    pass->scanned = true;
}

/* --- taking -------------------------------------------------------------------------------------
 */

static bool is_void(struct lack *lack, uint64_t lsn, uint64_t index)
{
    while (lack->void_next < lack->void_count && lack->voids[lack->void_next].lsn <= lsn)
        lack->void_next++;
    return lack->void_next < lack->void_count && lack->voids[lack->void_next].index <= index;
}

/* In the form of replica.x. */
static int append_record(struct catch_up *pass, struct lack *lack, const struct wal_record *record)
{
    const uint8_t length[LENGTH_BYTES] = {(uint8_t)record->length, (uint8_t)(record->length >> 8),
                                          (uint8_t)(record->length >> 16),
                                          (uint8_t)(record->length >> 24)};

    if (buffer_reserve(&lack->records, sizeof length + record->length) != CAIRN_OK)
        return CAIRN_ENOMEM;
    if (lack->records.length == 0) {
        lack->run_previous = lack->taken;
        STAILQ_INSERT_TAIL(&pass->filled, lack, next_filled);
    }
    (void)buffer_append(&lack->records, length, sizeof length);
    (void)buffer_append(&lack->records, record->payload, record->length);
    return CAIRN_OK;
}

static int take(void *context, const struct wal_record *record, struct error *error)
{
    struct catch_up *pass = context;
    struct entry_head head;
    struct lack *lack;
    int status;

    if (record->kind != LOG_KIND_ENTRY)
        return CAIRN_OK;
    status = find_lack(pass, record, &head, &lack, error);
    if (status != CAIRN_OK || lack == NULL || head.index <= lack->taken.index ||
        head.index > lack->last_index || is_void(lack, record->lsn, head.index))
        return status;
    if (head.index != lack->taken.index + 1) {
        say_missing(pass, lack, lack->taken.index + 1);
        return CAIRN_OK;
    }
    if (append_record(pass, lack, record) != CAIRN_OK)
        return error_set(error, CAIRN_ENOMEM, "log: out of memory");
    lack->taken = (struct replica_position){.epoch = head.epoch, .index = head.index};
    if (head.index == lack->last_index)
        lack_end(pass, lack);
    return CAIRN_OK;
}

/* What the last piece had and was not sent: its follower goes on with another pass. */
static void drop_unsent(struct catch_up *pass)
{
    struct lack *lack;

    while ((lack = STAILQ_FIRST(&pass->filled)) != NULL) {
        STAILQ_REMOVE_HEAD(&pass->filled, next_filled);
        lack_drop_records(lack);
        lack_end(pass, lack);
    }
}

int catch_up_read(struct catch_up *pass, uint64_t limit_bytes, struct error *error)
{
    int status;

    drop_unsent(pass);
    if (!pass->scanned) {
        status = wal_cursor_read(pass->scan, limit_bytes * SCAN_FACTOR, look, pass, error);
        if (status == CAIRN_OK && wal_cursor_next_lsn(pass->scan) > pass->limit_lsn)
            begin_taking(pass);
    } else {
        status = wal_cursor_read(pass->take, limit_bytes, take, pass, error);
    }
    pass->done =
        pass->open == 0 || (pass->scanned && wal_cursor_next_lsn(pass->take) > pass->limit_lsn);
    return status;
}
