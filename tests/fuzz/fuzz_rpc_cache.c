/* Calls and replies of proto/cache.x: what the cache agents of hosts ask. */
#include "tests/fuzz/lib/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    program_input(&program_cache, data, size);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    return program_seed(&program_cache, number, out);
}
