/* Which configuration may follow on which (ARCHITECTURE.md R3, R7, R8, R9, R10, L5). */
#include "base/random.h"
#include "tests/unit/configuration_compare.h"
#include "tests/unit/manager_fixture.h"

enum { MANY = 5 };

/* Partition 0 of five servers and three copies: who is in it, and who is not. */
struct scene {
    struct membership *membership;
    struct configuration *present; /* in force; changes with each accepted step */
    uint32_t primary, second, third, outsider, stranger;
};

static void open_scene(struct scene *scene)
{
    uint32_t outside[MANY], count = 0;

    scene->membership = placed_membership_of(MANY, 3);
    scene->present = &scene->membership->map.configurations[0];
    scene->primary = scene->present->members[0].server;
    scene->second = scene->present->members[1].server;
    scene->third = scene->present->members[2].server;
    for (uint32_t i = 0; i < MANY; i++)
        if (!configuration_has_member(scene->present, i, store_of(i)))
            outside[count++] = i;
    assert_int_equal(count, 2);
    scene->outsider = outside[0];
    scene->stranger = outside[1];
}

static void close_scene(struct scene *scene)
{
    membership_free(scene->membership);
}

static void drop_member(struct configuration *next, uint32_t server)
{
    for (uint32_t i = 0; i < next->member_count; i++)
        if (next->members[i].server == server) {
            next->members[i] = next->members[--next->member_count];
            return;
        }
    fail();
}

static void add_learner(const struct scene *scene, struct configuration *next, uint32_t server)
{
    next->learners[next->learner_count++] = copy_at(scene->membership, server);
}

static void add_member(const struct scene *scene, struct configuration *next, uint32_t server)
{
    next->members[next->member_count++] = copy_at(scene->membership, server);
}

static void expect(struct scene *scene, uint32_t proposer, const struct configuration *next,
                   enum manager_status status)
{
    const uint64_t epoch = scene->present->epoch;
    struct configuration before = *scene->present, after = *next;

    assert_int_equal(propose_next(scene->membership, proposer, next), status);
    after.epoch = epoch + 1;
    assert_same_configuration(scene->present, status == MANAGER_OK ? &after : &before);
}

/* What the accepted step was taken for, as the log tells it. */
static void assert_step(const struct scene *scene, enum configuration_step step, uint32_t removed)
{
    const struct membership *membership = scene->membership;
    const struct change *last = &membership->changes[membership->change_count - 1];

    assert_int_equal(last->kind, CHANGE_CONFIGURATION);
    assert_int_equal(last->step, step);
    assert_int_equal(last->removed_count, removed);
}

/* --- R7, R9: taking the lead --- */

static void a_member_takes_the_lead_and_drops_the_old_primary(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    next.primary = process_at(scene.membership, scene.second);
    drop_member(&next, scene.primary);
    expect(&scene, scene.second, &next, MANAGER_OK);
    assert_step(&scene, STEP_TAKEOVER, 1);
    /* R9: the removed one never leads again. */
    next.primary = process_at(scene.membership, scene.primary);
    add_member(&scene, &next, scene.primary);
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    close_scene(&scene);
}

static void a_new_primary_adds_nobody(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    add_learner(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_OK);
    next.primary = process_at(scene.membership, scene.third);
    add_learner(&scene, &next, scene.stranger);
    expect(&scene, scene.third, &next, MANAGER_INVALID);
    next.learner_count = 0;
    add_member(&scene, &next, scene.outsider);
    expect(&scene, scene.third, &next, MANAGER_INVALID);
    next.member_count--;
    next.switched = true;
    expect(&scene, scene.third, &next, MANAGER_INVALID);
    next.switched = false;
    add_learner(&scene, &next, scene.outsider); /* which is one already */
    expect(&scene, scene.third, &next, MANAGER_OK);
    close_scene(&scene);
}

static void a_learner_does_not_take_the_lead(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    add_learner(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_OK);
    next.learner_count = 0;
    add_member(&scene, &next, scene.outsider);
    next.primary = process_at(scene.membership, scene.outsider);
    expect(&scene, scene.outsider, &next, MANAGER_INVALID);
    close_scene(&scene);
}

/* R3: its old incarnation does not lead any more, and it may add nobody before it leads again. */
static void a_restarted_primary_leads_again(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    restart_server(scene.membership, scene.primary, 0, 5000);
    next = *scene.present;
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next.primary = process_at(scene.membership, scene.primary);
    add_learner(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next.learner_count = 0;
    expect(&scene, scene.primary, &next, MANAGER_OK);
    assert_step(&scene, STEP_RESTART, 0);
    assert_int_equal(scene.present->primary.incarnation, 2);
    close_scene(&scene);
}

static void nobody_is_made_primary_by_others(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    next.primary = process_at(scene.membership, scene.third);
    next.switched = true;
    expect(&scene, scene.second, &next, MANAGER_INVALID);
    /* Not even by the primary's server, once it is another process. */
    restart_server(scene.membership, scene.primary, 0, 5000);
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    close_scene(&scene);
}

/* --- R8: the primary changes the copies --- */

static void a_learner_becomes_a_member_and_a_member_goes(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    add_learner(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_OK);
    assert_step(&scene, STEP_COPIES, 0);
    next.learner_count = 0;
    add_member(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_OK);
    assert_int_equal(scene.present->member_count, 4);
    drop_member(&next, scene.second);
    drop_member(&next, scene.third);
    expect(&scene, scene.primary, &next, MANAGER_OK);
    assert_step(&scene, STEP_COPIES, 2);
    close_scene(&scene);
}

static void who_was_no_learner_becomes_no_member(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    add_learner(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_OK);
    add_member(&scene, &next, scene.stranger);
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next.switched = true;
    next.member_count--;
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    close_scene(&scene);
}

/* R10: copies go to the stores that are registered, not to those that were. */
static void stores_that_are_not_registered_are_refused(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    add_learner(&scene, &next, scene.outsider);
    next.learners[0].store++;
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next.learners[0] = (struct replica_id){.server = MANY, .store = 1};
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next.learners[0] = copy_at(scene.membership, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_OK);
    /* The learner's disk is replaced: what caught up is gone. */
    restart_server(scene.membership, scene.outsider, 0x777, 50000);
    next.members[next.member_count++] = next.learners[0];
    next.learner_count = 0;
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next.member_count--;
    expect(&scene, scene.primary, &next, MANAGER_OK);
    close_scene(&scene);
}

static void a_removed_server_gets_no_copy(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    scene.membership->map.servers[scene.outsider].removed = true;
    next = *scene.present;
    add_learner(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    close_scene(&scene);
}

/* --- L5: giving the lead away --- */

static void the_primary_gives_the_lead_to_a_member(void **state)
{
    struct scene scene;
    struct configuration next;

    (void)state;
    open_scene(&scene);
    next = *scene.present;
    next.primary = process_at(scene.membership, scene.third);
    next.switched = true;
    expect(&scene, scene.primary, &next, MANAGER_OK);
    assert_step(&scene, STEP_SWITCH, 0);
    assert_true(scene.present->switched);
    /* The next step of the new one is none. */
    next.switched = true;
    expect(&scene, scene.third, &next, MANAGER_INVALID);
    next.switched = false;
    expect(&scene, scene.third, &next, MANAGER_OK);
    close_scene(&scene);
}

static void a_switch_changes_nothing_else(void **state)
{
    struct scene scene;
    struct configuration next, good;

    (void)state;
    open_scene(&scene);
    good = *scene.present;
    good.primary = process_at(scene.membership, scene.second);
    good.switched = true;
    next = good;
    next.switched = false;
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next = good;
    drop_member(&next, scene.third);
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next = good;
    add_learner(&scene, &next, scene.outsider);
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    next = good;
    next.primary.incarnation++;
    expect(&scene, scene.primary, &next, MANAGER_INVALID);
    /* To a member whose store was replaced meanwhile. */
    restart_server(scene.membership, scene.second, 0x777, 50000);
    expect(&scene, scene.primary, &good, MANAGER_INVALID);
    close_scene(&scene);
}

/* Whatever is proposed: the members of the next configuration were members or learners before, the
 * lead goes to a member only, and the history stays. */
static void random_steps_keep_the_rules(void **state)
{
    struct scene scene;
    struct random random;
    uint32_t accepted = 0;

    (void)state;
    open_scene(&scene);
    random_seed(&random, 20261121);
    for (int round = 0; round < 20000; round++) {
        const struct configuration before = *scene.present;
        struct configuration next = before;
        const uint32_t proposer = (uint32_t)random_below(&random, MANY);

        next.primary = process_at(scene.membership, (uint32_t)random_below(&random, MANY));
        next.switched = random_below(&random, 2) == 0;
        next.member_count = next.learner_count = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            const uint64_t role = random_below(&random, 3);

            if (role == 0 || next.primary.server == i)
                add_member(&scene, &next, i);
            else if (role == 1)
                add_learner(&scene, &next, i);
        }
        if (propose_next(scene.membership, proposer, &next) != MANAGER_OK)
            continue;
        accepted++;
        assert_true(configuration_has_member(&before, proposer, store_of(proposer)));
        assert_true(configuration_has_member(&before, next.primary.server, next.primary.store));
        for (uint32_t i = 0; i < next.member_count; i++)
            assert_true(
                configuration_has_member(&before, next.members[i].server, next.members[i].store) ||
                (configuration_has_learner(&before, next.members[i].server,
                                           next.members[i].store) &&
                 before.primary.server == proposer));
        assert_int_equal(next.switched, next.primary.server != proposer);
    }
    assert_true(accepted > 100);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_takes_the_lead_and_drops_the_old_primary),
        cmocka_unit_test(a_new_primary_adds_nobody),
        cmocka_unit_test(a_learner_does_not_take_the_lead),
        cmocka_unit_test(a_restarted_primary_leads_again),
        cmocka_unit_test(nobody_is_made_primary_by_others),
        cmocka_unit_test(a_learner_becomes_a_member_and_a_member_goes),
        cmocka_unit_test(who_was_no_learner_becomes_no_member),
        cmocka_unit_test(stores_that_are_not_registered_are_refused),
        cmocka_unit_test(a_removed_server_gets_no_copy),
        cmocka_unit_test(the_primary_gives_the_lead_to_a_member),
        cmocka_unit_test(a_switch_changes_nothing_else),
        cmocka_unit_test(random_steps_keep_the_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
