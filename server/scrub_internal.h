/* What the files of the scrub share. */
#ifndef CAIRN_SERVER_SCRUB_INTERNAL_H
#define CAIRN_SERVER_SCRUB_INTERNAL_H

#include "base/random.h"
#include "server/digest_task.h"
#include "server/scrub.h"
#include "server/scrub_store.h"

enum { COMPARES_LIMIT = 4, FETCHES_LIMIT = 8, DAMAGED_SHOWN = 32 };

/* Another copy, while it is compared. */
struct compared_copy {
    struct replica_member id;
    bool calling;
    bool answered;
    digest_state state; /* once it answered */
    uint64_t value, bad;
    uint32_t losses; /* calls without an answer, one after the other */
};

/* One partition's copies being compared. */
struct compare {
    struct scrub *scrub;
    bool used;
    uint32_t partition;
    uint64_t epoch;  /* of the configuration whose members they are */
    uint64_t number; /* of the attempt */
    uint64_t index;
    uint64_t margin;   /* how far ahead of the log's end the index is named */
    uint32_t attempts; /* that came to nothing */
    uint32_t rounds;   /* that found damage, and left it to be repaired value by value */
    uint64_t after_ms; /* the next attempt begins not before; 0: one is under way */
    uint64_t began_ms; /* the attempt */
    uint32_t count;    /* of the others */
    struct compared_copy others[REPLICA_MEMBERS_LIMIT];
    uint32_t calls; /* under way, of whatever attempt */
};

/* A call to another copy: which attempt it is about. */
struct compare_call {
    struct compare *compare;
    uint64_t number;
    uint32_t other;
};

struct scrub {
    uv_loop_t *loop;
    struct node *node;
    struct peers *peers; /* NULL: not started, or stopped */
    uint64_t rate_bytes;
    struct random random;
    struct repairs repairs;
    uint32_t fetches; /* calls under way */
    struct digest_tasks tasks;
    /* The one thing that a thread of the pool reads. */
    uv_work_t work;
    bool working;
    struct digest_task *task; /* NULL: `slice` */
    size_t limit_bytes;
    int status;
    bool counted;
    uint64_t hurry_until_ms; /* somebody waits for digests */
    bool may_count;          /* else one slice a tick */
    /* The pass over the values. */
    bool passing;
    struct scrub_pass pass;
    struct scrub_slice slice;
    uint64_t next_pass_ms;
    uint64_t budget_bytes, paced_ms; /* what the rate allows now */
    bool waiting;                    /* the pass is over, and what it found is being repaired */
    uint64_t waiting_until_ms;
    /* Comparing. */
    bool *todo; /* [partition_count] */
    uint32_t todo_count;
    bool repairs_copies; /* differences are not only told of */
    struct compare compares[COMPARES_LIMIT];
    uint32_t comparing;
    /* The run that was asked for. */
    uint64_t run;
    bool running;
    uint64_t run_bytes;
    uint32_t to_compare;
    compared_copies *results; /* [partition_count] */
    u_int *differing;         /* [partition_count][REPLICA_MEMBERS_LIMIT] */
    uint32_t result_count;
    damaged_value damaged[DAMAGED_SHOWN]; /* the keys are the repairs' */
    /* Since the start. */
    uint64_t passes, values, bytes, comparisons, differences, stepped_aside;
};

/* scrub.c: has the pool read what is to be read next, if it reads nothing. */
void scrub_work(struct scrub *scrub);
/* This copy differs from the others, or is not to be relied on: it steps aside (R13). */
void scrub_step_aside(struct scrub *scrub, struct partition *partition, uint64_t now_ms);
/* Files what a comparison came to. */
void scrub_compared(struct scrub *scrub, const compared_copies *result, const uint32_t *differing);

/* scrub_repair.c: asks others for what is bad here. */
void scrub_repair(struct scrub *scrub, uint64_t now_ms);

/* scrub_compare.c: goes on with what is compared, and begins more. */
void scrub_compare(struct scrub *scrub, uint64_t now_ms);
/* Gives all of it up. */
void scrub_compare_end(struct scrub *scrub);

#endif
