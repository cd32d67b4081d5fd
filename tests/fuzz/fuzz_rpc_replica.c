/* Calls and replies of proto/replica.x: what servers tell each other. */
#include "tests/fuzz/lib/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    program_input(&program_replica, data, size);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    return program_seed(&program_replica, number, out);
}
