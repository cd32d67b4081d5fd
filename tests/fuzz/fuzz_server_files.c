/* The text files HOSTS and DAMAGED beside the store: there is one way to write each, so whatever is
 * accepted is byte by byte what would be written.
 *
 * The input: a byte whose bit 0 says which file, and bit 1 to put a checksum behind; the text. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "server/damage.h"
#include "server/hosts_record.h"
#include "tests/fuzz/lib/fuzz.h"

enum { DAMAGED = 1, CHECKSUM = 2, PARTITIONS = 300, FILE_LIMIT = 1 << 20 };

/* Where the file is now what was written by the server, it is what it was. */
static void require_written(const char *name, const struct buffer *text)
{
    char path[PATH_MAX];
    struct buffer written;
    struct error error = {0};

    CHECK(snprintf(path, sizeof path, "%s/%s", fuzz_directory(), name) < (int)sizeof path);
    buffer_init(&written, FILE_LIMIT);
    CHECK(file_read(path, &written, &error) == 0);
    CHECK(written.length == text->length && memcmp(written.data, text->data, written.length) == 0);
    buffer_free(&written);
}

static void take_hosts(const struct buffer *text)
{
    struct hosts_record record, fresh = {.directory = fuzz_directory()};
    struct error error = {0};

    fuzz_file("HOSTS", text->data, text->length);
    if (hosts_record_open(&record, fuzz_directory(), &error) != 0) {
        CHECK(error.code == CAIRN_ECORRUPT || error.code == CAIRN_EVERSION);
        return;
    }
    fuzz_accepted++;
    CHECK(record.longest_ms > 0 && record.longest_ms <= HOSTS_RECORD_LONGEST_MS);
    fuzz_file("HOSTS", "", 0);
    CHECK(hosts_record_raise(&fresh, record.longest_ms, &error) == 0);
    require_written("HOSTS", text);
}

static void take_damaged(const struct buffer *text)
{
    struct damage damage;
    struct error error = {0};
    uint32_t marked = 0;

    fuzz_file("DAMAGED", text->data, text->length);
    if (damage_open(&damage, fuzz_directory(), PARTITIONS, &error) != 0) {
        CHECK(error.code == CAIRN_ECORRUPT || error.code == CAIRN_EVERSION);
        damage_close(&damage);
        return;
    }
    fuzz_accepted++;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        marked += damage_has(&damage, i);
    damage.unsaved = marked > 0;
    fuzz_file("DAMAGED", text->data, marked > 0 ? 0 : text->length);
    damage_retry(&damage);
    CHECK(!damage.unsaved);
    if (marked > 0)
        require_written("DAMAGED", text);
    damage_close(&damage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const unsigned flags = input_u8(&input);
    struct buffer text;
    char line[32];

    buffer_init(&text, FILE_LIMIT + sizeof line);
    seed_bytes(&text, input.data, input.left);
    if ((flags & CHECKSUM) != 0) {
        snprintf(line, sizeof line, "checksum %016" PRIx64 "\n",
                 hash_bytes(text.data, text.length));
        seed_text(&text, line);
    }
    if ((flags & DAMAGED) != 0)
        take_damaged(&text);
    else
        take_hosts(&text);
    buffer_free(&text);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    static const char *const texts[] = {"cairn-hosts 1\nlongest 980\n",
                                        "cairn-damaged 1\n0\n17\n299\n",
                                        "cairn-hosts 1\nlongest 3600000\n", "cairn-damaged 1\n3\n"};

    if (number >= sizeof texts / sizeof *texts)
        return false;
    seed_number(out, CHECKSUM | (number % 2 == 1 ? DAMAGED : 0), 1);
    seed_text(out, texts[number]);
    return true;
}
