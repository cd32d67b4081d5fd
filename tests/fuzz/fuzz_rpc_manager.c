/* Calls and replies of proto/manager.x: what servers, clients and operators ask of the manager. */
#include "tests/fuzz/lib/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    program_input(&program_manager, data, size);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    return program_seed(&program_manager, number, out);
}
