/* Calls in flight by xid: a long call keeps its place while millions come and go, and an answer to
 * a call that has ended never finds another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rpc/client_internal.h"

enum { LIMIT = 1000 };

static void a_long_call_keeps_its_place(void **state)
{
    struct call_table table;
    struct client_call slow = {0};
    struct client_call quick = {0};
    (void)state;
    assert_int_equal(call_table_init(&table, LIMIT), 0);
    assert_int_equal(call_table_add(&table, &slow), 0);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(call_table_add(&table, &quick), 0);
        assert_ptr_equal(call_table_find(&table, (uint32_t)quick.id), &quick);
        assert_ptr_equal(call_table_find(&table, (uint32_t)slow.id), &slow);
        call_table_remove(&table, &quick);
    }
    call_table_remove(&table, &slow);
    assert_int_equal(table.count, 0);
    call_table_free(&table);
}

static void an_ended_call_is_not_found_although_its_place_is_taken(void **state)
{
    struct call_table table;
    struct client_call first = {0};
    struct client_call second = {0};
    (void)state;
    assert_int_equal(call_table_init(&table, LIMIT), 0);
    assert_int_equal(call_table_add(&table, &first), 0);
    call_table_remove(&table, &first);
    do { /* until one lies where the first did */
        second.id = 0;
        assert_int_equal(call_table_add(&table, &second), 0);
        assert_null(call_table_find(&table, (uint32_t)first.id));
        if (((uint32_t)second.id & table.mask) == ((uint32_t)first.id & table.mask)) {
            break;
        }
        call_table_remove(&table, &second);
    } while (1);
    assert_ptr_equal(call_table_find(&table, (uint32_t)second.id), &second);
    call_table_free(&table);
}

static void it_grows_to_its_limit_and_across_the_end_of_xids(void **state)
{
    static struct client_call calls[LIMIT + 1];
    struct call_table table;
    (void)state;
    assert_int_equal(call_table_init(&table, LIMIT), 0);
    table.next_id = UINT32_MAX - LIMIT / 2;
    for (int i = 0; i < LIMIT; i++) {
        assert_int_equal(call_table_add(&table, &calls[i]), 0);
    }
    assert_int_equal(call_table_add(&table, &calls[LIMIT]), CAIRN_EFULL);
    for (int i = 0; i < LIMIT; i++) {
        assert_ptr_equal(call_table_find(&table, (uint32_t)calls[i].id), &calls[i]);
        call_table_remove(&table, &calls[i]);
        assert_null(call_table_find(&table, (uint32_t)calls[i].id));
    }
    call_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_call_keeps_its_place),
        cmocka_unit_test(an_ended_call_is_not_found_although_its_place_is_taken),
        cmocka_unit_test(it_grows_to_its_limit_and_across_the_end_of_xids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
