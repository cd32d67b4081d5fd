/* YCSB's core workload (github.com/brianfrankcooper/YCSB, Cooper and others, "Benchmarking cloud
 * serving systems with YCSB", SoCC 2010): what its properties mean for a run here.
 *
 * A record is one value of fieldcount * fieldlength bytes, read and written as a whole. Proportions
 * are parts of their sum. As in YCSB, inserts of a run go on from recordcount, `uniform` and
 * `sequential` choose among the records loaded, `zipfian` scatters a fixed popularity over those
 * loaded and those expected, `latest` follows the inserts. */
#ifndef CAIRN_BENCH_YCSB_H
#define CAIRN_BENCH_YCSB_H

#include "bench/properties.h"
#include "bench/runner.h"

enum ycsb_phase {
    YCSB_NONE,
    YCSB_LOAD, /* inserts the records */
    YCSB_RUN,  /* does the operations */
};

/* Of the plan sets the workload, the number of connections, the rate, and how long it goes on; but
 * no key space, which load and run need to be given: it begins at `ycsb_first_insert`. CAIRN_EINVAL
 * names the property that is wrong or unknown. */
int ycsb_plan(const struct properties *properties, enum ycsb_phase phase, struct run_plan *plan,
              struct error *error);
/* The number of the first record that the phase inserts; the properties are those of a plan. */
uint64_t ycsb_first_insert(const struct properties *properties, enum ycsb_phase phase);
/* Why a property of YCSB's has no effect here, or NULL if it has, or is none of YCSB's. */
const char *ycsb_ignored(const char *name);
/* "READ", "UPDATE", "SCAN", "DELETE", "INSERT", "READ-MODIFY-WRITE": as YCSB reports. */
const char *ycsb_operation_name(enum bench_operation operation);

#endif
