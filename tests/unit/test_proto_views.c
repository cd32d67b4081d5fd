/* Views: on the wire as RFC 4506 says, in place when decoded, never past the record or the limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/views.h"

static const struct field {
    const char *name;
    bool_t (*code)(XDR *, struct view *);
    uint32_t limit;
} fields[] = {
    {"key", xdr_cairn_key, CAIRN_KEY_LIMIT},
    {"value", xdr_cairn_value, CAIRN_VALUE_LIMIT},
    {"message", xdr_cairn_message, CAIRN_MESSAGE_LIMIT},
    {"address", xdr_cairn_address, CAIRN_ADDRESS_LIMIT},
    {"map", xdr_cairn_map, CAIRN_MAP_LIMIT},
    {"packed", xdr_cairn_packed, CAIRN_PACKED_LIMIT},
    {"records", xdr_cairn_records, CAIRN_RECORDS_LIMIT},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static uint8_t pattern(uint32_t i)
{
    return (uint8_t)(i * 31 + 1);
}

static uint32_t wire_size(uint32_t length)
{
    return 4 + (length + 3) / 4 * 4;
}

/* Encodes a view of `length` patterned bytes behind `shift` unused ones; the caller frees. */
static uint8_t *encoded(const struct field *field, uint32_t length, size_t shift)
{
    uint8_t *data = malloc(length + 1);
    uint8_t *wire = malloc(shift + wire_size(length));
    struct view view = {.data = data, .length = length};
    XDR xdrs;

    assert_non_null(data);
    assert_non_null(wire);
    memset(wire, 0xee, shift + wire_size(length));
    for (uint32_t i = 0; i < length; i++)
        data[i] = pattern(i);
    xdrmem_create(&xdrs, (char *)wire + shift, wire_size(length), XDR_ENCODE);
    assert_true(field->code(&xdrs, &view));
    assert_int_equal(XDR_GETPOS(&xdrs), wire_size(length));
    free(data);
    return wire;
}

static void encoding_is_that_of_opaque(void **state)
{
    (void)state;
    for (uint32_t length = 0; length < 20; length++) {
        uint8_t *wire = encoded(&fields[0], length, 0);
        char *copy = NULL;
        u_int copied = 0;
        XDR xdrs;

        assert_int_equal(wire[3], length);
        for (uint32_t i = 4 + length; i < wire_size(length); i++)
            assert_int_equal(wire[i], 0);
        xdrmem_create(&xdrs, (char *)wire, wire_size(length), XDR_DECODE);
        assert_true(xdr_bytes(&xdrs, &copy, &copied, 480));
        assert_int_equal(copied, length);
        for (uint32_t i = 0; i < length; i++)
            assert_int_equal((uint8_t)copy[i], pattern(i));
        free(copy);
        free(wire);
    }
}

/* Also where the record lies at no multiple of four, where XDR_INLINE declines. */
static void decoding_points_into_the_record(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        for (uint32_t length = 0; length < 70; length++) {
            uint8_t *wire = encoded(&fields[1], length, shift);
            struct view view = {.data = NULL, .length = 99};
            XDR xdrs;

            xdrmem_create(&xdrs, (char *)wire + shift, wire_size(length), XDR_DECODE);
            assert_true(xdr_cairn_value(&xdrs, &view));
            assert_int_equal(view.length, length);
            assert_non_null(view.data);
            if (length > 0)
                assert_ptr_equal(view.data, wire + shift + 4);
            assert_int_equal(XDR_GETPOS(&xdrs), wire_size(length));
            free(wire);
        }
    }
}

/* The buffer is allocated to the byte, so that AddressSanitizer sees any read behind it. */
static void truncated_records_are_refused(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        for (uint32_t length = 0; length < 20; length++) {
            uint8_t *whole = encoded(&fields[0], length, 0);

            for (uint32_t size = 0; size < wire_size(length); size++) {
                uint8_t *wire = malloc(shift + size + 1);
                struct view view;
                XDR xdrs;

                assert_non_null(wire);
                memcpy(wire + shift, whole, size);
                xdrmem_create(&xdrs, (char *)wire + shift, size, XDR_DECODE);
                assert_false(xdr_cairn_key(&xdrs, &view));
                assert_int_equal(view.length, 0);
                free(wire);
            }
            free(whole);
        }
    }
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIELDS; i++) {
        for (size_t shift = 0; shift < 2; shift++) {
            uint8_t *wire = encoded(&fields[i], fields[i].limit, shift);
            struct view view;
            XDR xdrs;

            xdrmem_create(&xdrs, (char *)wire + shift, wire_size(fields[i].limit), XDR_DECODE);
            assert_true(fields[i].code(&xdrs, &view));
            assert_int_equal(view.length, fields[i].limit);
            assert_int_equal(view.data[fields[i].limit - 1], pattern(fields[i].limit - 1));
            free(wire);
        }
    }
}

static void longer_than_the_limit_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIELDS; i++) {
        const uint32_t length = fields[i].limit + 1;
        uint8_t *wire = calloc(1, wire_size(length));
        struct view view = {.data = wire, .length = length};
        XDR xdrs;

        assert_non_null(wire);
        xdrmem_create(&xdrs, (char *)wire, wire_size(length), XDR_ENCODE);
        assert_false(fields[i].code(&xdrs, &view));
        for (int byte = 0; byte < 4; byte++)
            wire[byte] = (uint8_t)(length >> (24 - 8 * byte));
        xdrmem_create(&xdrs, (char *)wire, wire_size(length), XDR_DECODE);
        assert_false(fields[i].code(&xdrs, &view));
        assert_int_equal(view.length, 0);
        free(wire);
    }
}

/* Lengths that would overflow when rounded up or added to a position. */
static void huge_lengths_are_refused(void **state)
{
    static const uint32_t lengths[] = {0x7fffffff, 0x80000000, 0xfffffffc,
                                       0xfffffffd, 0xfffffffe, 0xffffffff};

    (void)state;
    for (size_t i = 0; i < FIELDS; i++) {
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            uint8_t wire[8] = {(uint8_t)(lengths[j] >> 24), (uint8_t)(lengths[j] >> 16),
                               (uint8_t)(lengths[j] >> 8), (uint8_t)lengths[j]};
            struct view view;
            XDR xdrs;

            xdrmem_create(&xdrs, (char *)wire, sizeof wire, XDR_DECODE);
            assert_false(fields[i].code(&xdrs, &view));
        }
    }
}

static void encoding_needs_room(void **state)
{
    (void)state;
    for (uint32_t room = 0; room < wire_size(5); room++) {
        uint8_t *wire = malloc(room + 1);
        struct view view = view_of_text("12345");
        XDR xdrs;

        assert_non_null(wire);
        xdrmem_create(&xdrs, (char *)wire, room, XDR_ENCODE);
        assert_false(xdr_cairn_key(&xdrs, &view));
        free(wire);
    }
}

static void sizes_can_be_asked_for(void **state)
{
    struct view view = view_of_text("12345");

    (void)state;
    assert_int_equal(xdr_sizeof((xdrproc_t)xdr_cairn_key, &view), 12);
}

static void freeing_does_nothing(void **state)
{
    struct view view = view_of_text("text");

    (void)state;
    xdr_free((xdrproc_t)xdr_cairn_value, &view);
    assert_int_equal(view.length, 4);
    assert_memory_equal(view.data, "text", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_is_that_of_opaque),
        cmocka_unit_test(decoding_points_into_the_record),
        cmocka_unit_test(truncated_records_are_refused),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(longer_than_the_limit_is_refused),
        cmocka_unit_test(huge_lengths_are_refused),
        cmocka_unit_test(encoding_needs_room),
        cmocka_unit_test(sizes_can_be_asked_for),
        cmocka_unit_test(freeing_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
