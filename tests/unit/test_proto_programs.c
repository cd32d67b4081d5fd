/* The tables of programs match the .x files, and their routines survive whatever is decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "proto/cache_rpc.h"
#include "proto/manager_rpc.h"
#include "proto/programs.h"
#include "proto/replica_rpc.h"
#include "proto/server_rpc.h"

static const struct rpc_program *const programs[] = {&program_server, &program_manager,
                                                     &program_replica, &program_cache};

static void numbers_are_in_the_range_for_users(void **state)
{
    (void)state;
    assert_int_equal(program_manager.number, 0x2ca10001);
    assert_int_equal(program_server.number, 0x2ca10002);
    assert_int_equal(program_replica.number, 0x2ca10003);
    assert_int_equal(program_cache.number, 0x2ca10004);
    for (size_t i = 0; i < 4; i++) {
        /* RFC 5531, section 13: 0x20000000 to 0x3fffffff are defined by users. */
        assert_in_range(programs[i]->number, 0x20000000, 0x3fffffff);
        assert_int_equal(programs[i]->version, 1);
    }
}

static void tables_are_complete(void **state)
{
    (void)state;
    assert_int_equal(program_server.procedure_count, SERVER_SCRUB + 1);
    assert_int_equal(program_manager.procedure_count, MANAGER_ADMIN + 1);
    assert_int_equal(program_replica.procedure_count, REPLICA_DIFFERS + 1);
    assert_int_equal(program_cache.procedure_count, CACHE_CLOSE + 1);
    for (size_t i = 0; i < 4; i++) {
        for (uint32_t n = 0; n < programs[i]->procedure_count; n++) {
            const struct rpc_procedure *procedure = &programs[i]->procedures[n];

            assert_non_null(procedure->name);
            assert_true(procedure->xdr_args != NULL && procedure->xdr_result != NULL);
            assert_int_equal(procedure->args_size == 0, n == 0);
            assert_int_equal(procedure->result_size == 0, n == 0);
        }
    }
}

static void entries_stand_at_their_numbers(void **state)
{
    const struct rpc_procedure *put = &program_server.procedures[SERVER_PUT];
    const struct rpc_procedure *map = &program_manager.procedures[MANAGER_GET_MAP];
    const struct rpc_procedure *append = &program_replica.procedures[REPLICA_APPEND];

    (void)state;
    assert_string_equal(put->name, "SERVER_PUT");
    assert_int_equal(put->args_size, sizeof(put_args));
    assert_int_equal(put->result_size, sizeof(put_result));
    assert_true(put->xdr_args == (xdrproc_t)xdr_put_args);
    assert_true(put->xdr_result == (xdrproc_t)xdr_put_result);
    assert_string_equal(map->name, "MANAGER_GET_MAP");
    assert_true(map->xdr_args == (xdrproc_t)xdr_map_args);
    assert_string_equal(append->name, "REPLICA_APPEND");
    assert_true(append->xdr_args == (xdrproc_t)xdr_append_args);
    assert_string_equal(program_server.procedures[0].name, "NULL");
}

static void null_procedure_is_empty_on_the_wire(void **state)
{
    char wire[4];
    XDR xdrs;

    (void)state;
    xdrmem_create(&xdrs, wire, sizeof wire, XDR_ENCODE);
    assert_true(program_server.procedures[0].xdr_args(&xdrs, NULL));
    assert_true(program_server.procedures[0].xdr_result(&xdrs, NULL));
    assert_int_equal(XDR_GETPOS(&xdrs), 0);
}

static void put_comes_back_as_sent(void **state)
{
    const struct rpc_procedure *put = &program_server.procedures[SERVER_PUT];
    put_args sent = {.cluster = 1, .client = UINT64_MAX, .number = 3, .ttl_ms = 5};
    put_args got;
    char wire[200];
    XDR xdrs;
    u_int size;

    (void)state;
    sent.key = view_of_text("key");
    sent.value = view_of_text("a value");
    xdrmem_create(&xdrs, wire, sizeof wire, XDR_ENCODE);
    assert_true(put->xdr_args(&xdrs, &sent));
    size = XDR_GETPOS(&xdrs);
    assert_int_equal(size, 3 * 8 + 4 + 2 * 8 + (4 + 4) + (4 + 8));
    memset(&got, 0, sizeof got);
    xdrmem_create(&xdrs, wire, size, XDR_DECODE);
    assert_true(put->xdr_args(&xdrs, &got));
    assert_true(got.client == UINT64_MAX && got.number == 3 && got.ttl_ms == 5);
    assert_int_equal(got.key.length, 3);
    assert_memory_equal(got.value.data, "a value", 7);
    xdr_free(put->xdr_args, &got);
}

/* The example of FORMATS.md, byte by byte: a change of it breaks every client there is. */
static void put_is_on_the_wire_as_documented(void **state)
{
    static const uint8_t wanted_args[] = {
        0,    0,    0,    0,    0,    0,    0,    0,    /* cluster */
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, /* client */
        0,    0,    0,    0,    0,    0,    0,    1,    /* number */
        0,    0,    0,    0,                            /* conditional */
        0,    0,    0,    0,    0,    0,    0,    0,    /* if_version */
        0,    0,    0,    0,    0,    0,    0,    0,    /* ttl_ms */
        0,    0,    0,    4,    'c',  'i',  't',  'y',  /* key */
        0,    0,    0,    5,    'B',  'e',  'r',  'n',  /* value */
        '!',  0,    0,    0,
    };
    static const uint8_t wanted_result[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const struct rpc_procedure *put = &program_server.procedures[2];
    put_args args = {.client = UINT64_C(0x1122334455667788), .number = 1};
    put_result result = {.status = SERVER_OK};
    char wire[200];
    XDR xdrs;

    (void)state;
    args.key = view_of_text("city");
    args.value = view_of_text("Bern!");
    result.put_result_u.done.key_version = 1;
    memset(wire, 0x55, sizeof wire);
    xdrmem_create(&xdrs, wire, sizeof wire, XDR_ENCODE);
    assert_true(put->xdr_args(&xdrs, &args));
    assert_int_equal(XDR_GETPOS(&xdrs), sizeof wanted_args);
    assert_memory_equal(wire, wanted_args, sizeof wanted_args);
    xdrmem_create(&xdrs, wire, sizeof wire, XDR_ENCODE);
    assert_true(put->xdr_result(&xdrs, &result));
    assert_int_equal(XDR_GETPOS(&xdrs), sizeof wanted_result);
    assert_memory_equal(wire, wanted_result, sizeof wanted_result);
}

static void try_decoding(xdrproc_t code, size_t size, uint8_t *wire, u_int length)
{
    void *message = calloc(1, size + 1);
    XDR xdrs;

    assert_non_null(message);
    xdrmem_create(&xdrs, (char *)wire, length, XDR_DECODE);
    if (code(&xdrs, message))
        assert_true(XDR_GETPOS(&xdrs) <= length);
    xdr_free(code, message);
    free(message);
}

/* Random bytes, mostly small numbers so that unions and arrays are entered, at all alignments. */
static void garbage_is_decoded_or_refused(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 4);
    for (int round = 0; round < 3000; round++) {
        const struct rpc_program *program = programs[random_below(&random, 3)];
        const struct rpc_procedure *procedure =
            &program->procedures[random_below(&random, program->procedure_count)];
        const size_t length = random_below(&random, 300), shift = random_below(&random, 4);
        uint8_t *wire = malloc(shift + length + 1);

        assert_non_null(wire);
        for (size_t i = 0; i < shift + length; i++)
            wire[i] = random_below(&random, 3) == 0 ? (uint8_t)random_below(&random, 4) : 0;
        if (length > 0 && random_below(&random, 4) == 0)
            wire[shift + random_below(&random, length)] = (uint8_t)random_next(&random);
        try_decoding(procedure->xdr_args, procedure->args_size, wire + shift, (u_int)length);
        try_decoding(procedure->xdr_result, procedure->result_size, wire + shift, (u_int)length);
        free(wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_in_the_range_for_users),
        cmocka_unit_test(tables_are_complete),
        cmocka_unit_test(entries_stand_at_their_numbers),
        cmocka_unit_test(null_procedure_is_empty_on_the_wire),
        cmocka_unit_test(put_comes_back_as_sent),
        cmocka_unit_test(put_is_on_the_wire_as_documented),
        cmocka_unit_test(garbage_is_decoded_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
