/* Arguments and results of an RPC program, as bytes and back. */
#ifndef CAIRN_TESTS_FUZZ_PROGRAM_H
#define CAIRN_TESTS_FUZZ_PROGRAM_H

#include "proto/programs.h"
#include "tests/fuzz/lib/fuzz.h"

/* The input: a byte that says the procedure, one whose bit 0 says result instead of arguments and
 * bit 1 that the bytes lie at no multiple of four, then the XDR. */
void program_input(const struct rpc_program *program, const uint8_t *data, size_t size);
bool program_seed(const struct rpc_program *program, unsigned number, struct buffer *out);

#endif
