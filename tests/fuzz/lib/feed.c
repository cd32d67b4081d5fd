/* A target without a fuzzer: takes the files of a corpus, and says how many inputs there were.
 *
 *   feed-TARGET [FILE|DIRECTORY]...     the generated inputs, each of which must be accepted, then
 *                                       those files
 *   feed-TARGET --seeds DIRECTORY       writes the generated inputs as DIRECTORY/seed-NN */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "tests/fuzz/lib/fuzz.h"

enum { INPUT_LIMIT = 1 << 20 };

static unsigned long inputs;

static void feed(const struct buffer *input)
{
    uint8_t *copy = fuzz_copy(input->data, input->length);

    CHECK(LLVMFuzzerTestOneInput(copy, input->length) == 0);
    free(copy);
    inputs++;
}

static void feed_file(const char *path)
{
    struct buffer input;
    struct error error = {0};

    buffer_init(&input, INPUT_LIMIT);
    if (file_read(path, &input, &error) != 0) {
        fprintf(stderr, "ERROR: %s\n", error.message);
        exit(2);
    }
    /* Told before it is fed: whoever reads a crash wants to know by what. */
    fprintf(stderr, "%s\n", path);
    feed(&input);
    buffer_free(&input);
}

static int is_plain(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void feed_path(const char *path)
{
    struct stat status;
    struct dirent **entries;
    char name[PATH_MAX];
    int count;

    if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
        feed_file(path);
        return;
    }
    count = scandir(path, &entries, is_plain, alphasort);
    if (count < 0) {
        fprintf(stderr, "ERROR: %s: cannot be read\n", path);
        exit(2);
    }
    for (int i = 0; i < count; i++) {
        CHECK(snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name) < (int)sizeof name);
        feed_file(name);
        free(entries[i]);
    }
    free(entries);
}

static void write_seed(const char *directory, unsigned number, const struct buffer *seed)
{
    char path[PATH_MAX];
    FILE *file;

    CHECK(snprintf(path, sizeof path, "%s/seed-%02u", directory, number) < (int)sizeof path);
    file = fopen(path, "we");
    if (file == NULL || fwrite(seed->data, 1, seed->length, file) != seed->length ||
        fclose(file) != 0) {
        fprintf(stderr, "ERROR: %s: cannot be written\n", path);
        exit(2);
    }
}

/* `directory` NULL: feeds them. */
static unsigned take_seeds(const char *directory)
{
    struct buffer seed;
    unsigned number;

    buffer_init(&seed, INPUT_LIMIT);
    for (number = 0; fuzz_seed(number, &seed); number++) {
        const unsigned long before = fuzz_accepted;

        if (directory != NULL)
            write_seed(directory, number, &seed);
        fprintf(stderr, "seed %u\n", number);
        feed(&seed);
        CHECK(fuzz_accepted > before);
        buffer_clear(&seed);
    }
    buffer_free(&seed);
    CHECK(number > 0);
    return number;
}

int main(int argc, char **argv)
{
    const bool write = argc == 3 && strcmp(argv[1], "--seeds") == 0;
    const unsigned seeds = take_seeds(write ? argv[2] : NULL);

    for (int i = 1; i < argc && !write; i++)
        feed_path(argv[i]);
    printf("%lu inputs, %u of them generated\n", inputs, seeds);
    return 0;
}
