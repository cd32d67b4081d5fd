/* Files of properties, as YCSB's workloads are: what is read is the same when it is written down
 * again, and a plan is made of it or refused with a message.
 *
 * The input: the file. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "bench/properties.h"
#include "bench/ycsb.h"
#include "tests/fuzz/lib/fuzz.h"

static int descriptor = -1;
static char path[64];

static int read_properties(const void *bytes, size_t length, struct properties *properties,
                           struct error *error)
{
    if (descriptor < 0) {
        descriptor = memfd_create("properties", MFD_CLOEXEC);
        CHECK(descriptor >= 0);
        CHECK(snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor) < (int)sizeof path);
    }
    CHECK(ftruncate(descriptor, 0) == 0);
    CHECK(length == 0 || pwrite(descriptor, bytes, length, 0) == (ssize_t)length);
    properties->count = 0;
    return properties_read(properties, path, error);
}

static void plan(const struct properties *properties, enum ycsb_phase phase)
{
    struct run_plan run = {0};
    struct error error = {0};
    uint64_t sum = 0;

    if (ycsb_plan(properties, phase, &run, &error) != 0) {
        CHECK(error.code == CAIRN_EINVAL && error.message[0] != '\0');
        return;
    }
    (void)ycsb_first_insert(properties, phase);
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        sum += run.workload.shares[i];
    CHECK(sum > 0);
}

static void require_trimmed(const char *text)
{
    const size_t length = strlen(text);

    CHECK(length == 0 ||
          (!isspace((unsigned char)text[0]) && !isspace((unsigned char)text[length - 1])));
}

static void round_trip(const struct properties *properties)
{
    static struct properties again;
    struct error error = {0};
    struct buffer text;

    buffer_init(&text, SIZE_MAX / 2);
    for (size_t i = 0; i < properties->count; i++) {
        seed_text(&text, properties->list[i].name);
        seed_text(&text, "=");
        seed_text(&text, properties->list[i].value);
        seed_text(&text, "\n");
    }
    CHECK(read_properties(text.data, text.length, &again, &error) == 0);
    CHECK(again.count == properties->count);
    for (size_t i = 0; i < again.count; i++) {
        CHECK(strcmp(again.list[i].name, properties->list[i].name) == 0);
        CHECK(strcmp(again.list[i].value, properties->list[i].value) == 0);
        require_trimmed(again.list[i].name);
        require_trimmed(again.list[i].value);
    }
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct properties properties;
    struct error error = {0};

    if (read_properties(data, size, &properties, &error) != 0) {
        CHECK(error.code == CAIRN_EINVAL && error.message[0] != '\0');
        return 0;
    }
    fuzz_accepted++;
    CHECK(properties.count <= PROPERTIES_MAX);
    round_trip(&properties);
    plan(&properties, YCSB_LOAD);
    plan(&properties, YCSB_RUN);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    static const char *const files[] = {
        "# a comment\nrecordcount=1000\noperationcount=1000\nreadproportion=0.5\n"
        "updateproportion=0.5\nrequestdistribution=zipfian\n",
        "recordcount : 10\ninsertproportion = 0.05\nreadproportion=0.95\n"
        "requestdistribution=latest\nfieldcount=10\nfieldlength=100\n",
        "recordcount=10\nscanproportion=0.95\ninsertproportion=0.05\nmaxscanlength=100\n"
        "scanlengthdistribution=uniform\n",
        "! nothing\n\n   \n",
        "insertstart=5\ninsertcount=7\nrecordcount=100\nmaxexecutiontime=3\nthreadcount=4\n"
        "target=100\nreadmodifywriteproportion=1\n",
    };

    if (number >= sizeof files / sizeof *files)
        return false;
    seed_text(out, files[number]);
    return true;
}
