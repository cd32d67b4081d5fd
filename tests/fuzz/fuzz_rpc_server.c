/* Calls and replies of proto/server.x: what clients ask of servers. */
#include "tests/fuzz/lib/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    program_input(&program_server, data, size);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    return program_seed(&program_server, number, out);
}
