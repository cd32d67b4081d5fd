/* A buffer holds what was appended, never past its limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/error.h"

/* The sanitizers otherwise take an allocation that cannot succeed for a fault of the caller. */
#define SANITIZER_OPTIONS(name)                                                                    \
    const char *name(void) __attribute__((visibility("default")));                                 \
    const char *name(void)                                                                         \
    {                                                                                              \
        return "allocator_may_return_null=1";                                                      \
    }
SANITIZER_OPTIONS(__asan_default_options)
SANITIZER_OPTIONS(__tsan_default_options)

static void appended_bytes_come_back(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 100000);
    for (int i = 0; i < 10000; i++) {
        const uint8_t byte = (uint8_t)(i * 7);

        assert_int_equal(buffer_append(&buffer, &byte, 1), 0);
    }
    assert_int_equal(buffer.length, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buffer.data[i], (uint8_t)(i * 7));
    buffer_free(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_null(buffer.data);
}

static void limit_holds_to_the_byte(void **state)
{
    struct buffer buffer;
    const uint8_t data[301] = {1};

    (void)state;
    buffer_init(&buffer, 300);
    assert_int_equal(buffer_append(&buffer, data, 301), CAIRN_ETOOBIG);
    assert_int_equal(buffer.length, 0);
    assert_int_equal(buffer_append(&buffer, data, 299), 0);
    assert_int_equal(buffer_append(&buffer, data, 2), CAIRN_ETOOBIG);
    assert_int_equal(buffer_append(&buffer, data, 1), 0);
    assert_int_equal(buffer_append(&buffer, data, 1), CAIRN_ETOOBIG);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), CAIRN_ETOOBIG);
    assert_int_equal(buffer_append(&buffer, NULL, 0), 0);
    assert_int_equal(buffer.length, 300);
    assert_true(buffer.capacity <= 300);
    buffer_free(&buffer);
}

static void more_memory_than_there_is_is_an_error(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, SIZE_MAX);
    assert_int_equal(buffer_append(&buffer, "kept", 4), 0);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX / 4), CAIRN_ENOMEM);
    assert_int_equal(buffer.length, 4);
    assert_memory_equal(buffer.data, "kept", 4);
    buffer_free(&buffer);
}

static void reserve_changes_no_length(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 1000);
    assert_int_equal(buffer_reserve(&buffer, 1000), 0);
    assert_int_equal(buffer.length, 0);
    assert_true(buffer.capacity == 1000);
    memset(buffer.data, 0, 1000);
    buffer_free(&buffer);
}

static void consume_drops_from_the_front(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 100);
    buffer_consume(&buffer, 0);
    assert_int_equal(buffer_append(&buffer, "0123456789", 10), 0);
    buffer_consume(&buffer, 0);
    buffer_consume(&buffer, 3);
    assert_int_equal(buffer.length, 7);
    assert_memory_equal(buffer.data, "3456789", 7);
    buffer_consume(&buffer, 7);
    assert_int_equal(buffer.length, 0);
    assert_int_equal(buffer_append(&buffer, "ab", 2), 0);
    assert_memory_equal(buffer.data, "ab", 2);
    buffer_free(&buffer);
}

static void clear_keeps_the_memory(void **state)
{
    struct buffer buffer;
    const uint8_t *data;

    (void)state;
    buffer_init(&buffer, 100);
    assert_int_equal(buffer_append(&buffer, "abc", 3), 0);
    data = buffer.data;
    buffer_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_ptr_equal(buffer.data, data);
    buffer_free(&buffer);
    assert_int_equal(buffer_append(&buffer, "again", 5), 0);
    buffer_free(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_bytes_come_back),
        cmocka_unit_test(limit_holds_to_the_byte),
        cmocka_unit_test(more_memory_than_there_is_is_an_error),
        cmocka_unit_test(reserve_changes_no_length),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(clear_keeps_the_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
