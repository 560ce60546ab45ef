/* SPDX-License-Identifier: Apache-2.0 */

/* What the engine does with a schema: a small one, in which every property of an entry occurs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/diag.h"
#include "config/emit.h"
#include "config/schema.h"

static bool decide_seven(struct strbuf *out) {
        strbuf_add_z(out, "7");
        return true;
}

static const struct schema host = {.name = "host", .type = SCHEMA_TEXT};
static const struct schema pets_ref = {.name = "pet", .type = SCHEMA_REF, .ref = "pets"};

static const struct schema food_keys[] = {
        {.name = "fish", .type = SCHEMA_TEXT, .flags = SCHEMA_ACTION},
        {.name = "meat", .type = SCHEMA_BOOL, .flags = SCHEMA_ACTION},
        {.name = "bones", .type = SCHEMA_INT, .with = "fish", .dflt = "3"},
        {.name = "every", .type = SCHEMA_DURATION, .dflt = "6h"},
        SCHEMA_END,
};

#define PET_KEYS                                                                                                                   \
        {.name = "food", .type = SCHEMA_MAP, .flags = SCHEMA_NONE | SCHEMA_ONE_OF, .keys = food_keys, .short_scalar = "fish", .dflt = "none"}, \
        {.name = "legs", .type = SCHEMA_INT, .flags = SCHEMA_AUTO, .dflt = "auto", .decide = decide_seven},                           \
        {.name = "wings", .type = SCHEMA_INT, .flags = SCHEMA_AUTO, .dflt = "auto"},                                                  \
        {.name = "sleep", .type = SCHEMA_DURATION, .flags = SCHEMA_NONE, .dflt = "none"}, SCHEMA_END

static const struct schema pet_keys[] = {
        {.name = "names", .type = SCHEMA_LIST, .flags = SCHEMA_REQUIRED, .item = &host}, PET_KEYS};
static const struct schema habit_keys[] = {PET_KEYS};
static const struct schema pet = {
        .name = "pet", .type = SCHEMA_MAP, .keys = pet_keys, .short_list = "names", .inherit = "habits"};

static const struct schema room_keys[] = {
        {.name = "pet",
         .type = SCHEMA_MAP,
         .flags = SCHEMA_ACTION,
         .keys = pet_keys,
         .scalar = &pets_ref,
         .inherit = "habits"},
        {.name = "empty", .type = SCHEMA_BOOL, .flags = SCHEMA_ACTION},
        SCHEMA_END,
};
static const struct schema room = {
        .name = "room", .type = SCHEMA_MAP, .flags = SCHEMA_ONE_OF, .keys = room_keys};

static const struct schema house_keys[] = {
        {.name = "rooms", .type = SCHEMA_DICT, .flags = SCHEMA_REQUIRED, .item = &room},
        {.name = "street", .type = SCHEMA_TEXT, .dflt_from = "street"},
        SCHEMA_END,
};
static const struct schema house = {
        .name = "house", .type = SCHEMA_MAP, .keys = house_keys, .lift = "rooms", .lift_to = "hall"};

static const struct schema part = {.name = "street", .type = SCHEMA_TEXT, .dflt = "Elm"};
static const struct schema accept = {.name = "warning", .type = SCHEMA_CHOICE, .choices = diag_warning_ids};

static const struct schema root_keys[] = {
        {.type = SCHEMA_PART, .part = &part},
        {.name = "accept", .type = SCHEMA_LIST, .item = &accept, .dflt = ""},
        {.name = "hosts", .type = SCHEMA_LIST, .item = &host, .dflt = "a b"},
        {.name = "habits", .type = SCHEMA_MAP, .flags = SCHEMA_PARTIAL, .keys = habit_keys},
        {.name = "pets", .type = SCHEMA_DICT, .item = &pet, .dflt = "{}"},
        {.name = "houses", .type = SCHEMA_DICT, .item = &house, .dflt = "{}"},
        SCHEMA_END,
};
static const struct schema root = {.name = "file", .type = SCHEMA_MAP, .keys = root_keys};

/* The effective form; or the ids of what is wrong. */
static void expect(const char *text, const char *path, const char *expected) {
        struct diag_list diags;
        struct config *c = NULL;
        struct strbuf out = STRBUF_INIT;

        diag_list_init(&diags);
        if (config_load(&c, "t.yaml", str_of(text), &root, &diags) == 0)
                conf_emit(conf_find(config_root(c), str_of(path)), EMIT_EFFECTIVE, &out);
        for (const struct diag *d = diags.first; d; d = d->next)
                strbuf_addf(&out, "%s:%u:%u ", diag_id_text(d->id), d->start.line, d->start.column);
        assert_string_equal(strbuf_z(&out), expected);
        strbuf_deinit(&out);
        config_free(c);
        diag_list_deinit(&diags);
}

static void test_defaults(void **state) {
        expect("hosts: [c]\n", "", "street: Elm\naccept: []\nhosts: [c]\npets: {}\nhouses: {}\n");
        expect("street: x\n", "hosts", "[a, b]\n");
        expect("pets: {cat: [Tom]}\n", "pets.cat",
               "names: [Tom]\nfood: none\nlegs: 7  # auto\nwings: auto\nsleep: none\n");
}

static void test_short_forms(void **state) {
        expect("hosts: c\n", "hosts", "[c]\n");
        expect("pets: {cat: {names: Tom, food: tuna}}\n", "pets.cat.food",
               "fish: tuna\nbones: 3\nevery: 6h\n");
        expect("houses: {a: {empty: true}}\n", "houses.a", "rooms:\n  hall:\n    empty: true\nstreet: Elm\n");
        expect("street: Oak\nhouses: {a: {rooms: {x: {empty: true}}, empty: false}}\n", "houses.a",
               "rooms:\n  x:\n    empty: true\n  hall:\n    empty: false\nstreet: Oak\n");
}

/* Key by key, also within maps; what excludes an own key is not taken, nor what belongs to it; "none" is an
 * own value. */
static void test_inheritance(void **state) {
        expect("habits: {legs: 4, food: {every: 1h}}\npets: {cat: {names: Tom, food: tuna}}\n", "pets.cat",
               "names: [Tom]\nfood:\n  fish: tuna\n  bones: 3\n  every: 1h\nlegs: 4\nwings: auto\nsleep: "
               "none\n");
        expect("habits: {food: {fish: cod, bones: 9}}\npets: {cat: {names: Tom, food: {meat: true}}}\n",
               "pets.cat.food", "meat: true\nevery: 6h\n");
        expect("habits: {food: cod}\npets: {cat: {names: Tom, food: {bones: 1}}}\n", "pets.cat.food",
               "fish: cod\nbones: 1\nevery: 6h\n");
        expect("habits: {food: cod}\npets: {cat: {names: Tom, food: none}}\n", "pets.cat.food", "none\n");
        expect("habits: {food: cod}\nhouses: {a: {pet: {names: Tom}}}\n", "houses.a.rooms.hall.pet.food",
               "fish: cod\nbones: 3\nevery: 6h\n");
        expect("habits: {food: {every: 1h}}\npets: {cat: [Tom]}\n", "pets.cat.food", "E109:1:10 ");
}

static void test_rules(void **state) {
        expect("pets: {cat: {}}\n", "", "E109:1:8 ");
        expect("pets: {cat: {names: Tom, food: {fish: a, meat: true}}}\n", "", "E110:1:42 ");
        expect("pets: {cat: {names: Tom, food: {meat: true, bones: 1}}}\n", "", "E110:1:45 ");
        expect("pets: {cat: {names: Tom, food: {every: 1h}}}\n", "", "E109:1:26 ");
        expect("houses: {a: {street: x}}\n", "", "E109:1:10 ");
        expect("houses: {a: {pet: tom}}\npets: {Tim: [a]}\n", "", "E201:1:19 ");
        expect("houses: {a: {pet: tom, rooms: {hall: {pet: tom}}}}\npets: {tom: [a]}\n", "", "E103:1:14 ");
        expect("pets: {a b: [x], \"\": [y]}\n", "", "E113:1:8 E113:1:18 ");
        expect("pets: {cat: {names: Tom, legs: none}}\n", "", "E106:1:32 ");
        expect("pets: {cat: {names: Tom, sleep: \"none\"}}\n", "", "E106:1:33 ");
}

/* One slip, one message: what depends on a refused value is not complained about. */
static void test_no_second_message(void **state) {
        expect("pets: {cat: {names: {}}}\n", "", "E105:1:21 ");
        expect("pets: {cat: {names: [[]]}}\nhouses: {a: {pet: cat}}\n", "", "E105:1:22 ");
        expect("pets: {cat: 5}\nhouses: {a: {pet: cat}}\n", "", "E105:1:13 ");
        expect("pets: {cat: {names: Tom, food: {fish: {}, bones: 1}}}\n", "", "E105:1:39 ");
        expect("pets: {cat: {nams: Tom}}\n", "", "E104:1:14 ");
}

static void test_notes(void **state) {
        expect("x-a: &a [Tom]\nx-b: {c: !d e}\npets: {cat: *a, x-dog: 5}\n", "pets", "E111:2:10 ");
        expect("x-a: &a [Tom]\npets: {cat: *a, x-dog: 5}\n", "pets.cat.names", "[Tom]\n");
        expect("pets: {cat: {names: [Tom], x-why: because}}\n", "pets.cat.names", "[Tom]\n");
}

/* The getters see a map that is "none" as absent, and auto as what it stands for. */
static void test_getters(void **state) {
        struct diag_list diags;
        struct config *c = NULL;
        const struct conf_node *cat;

        diag_list_init(&diags);
        assert_int_equal(config_load(&c, "t.yaml", STR("pets: {cat: [Tom]}\n"), &root, &diags), 0);
        cat = conf_get(config_root(c), "pets.cat");
        assert_null(conf_get(cat, "food"));
        assert_null(conf_get(cat, "food.fish"));
        assert_null(conf_get(NULL, "x"));
        assert_int_equal(conf_u64(cat, "legs"), 7);
        assert_true(conf_u64(cat, "wings") == UINT64_MAX);
        assert_true(conf_duration(cat, "sleep") == NSEC_INFINITY);
        assert_int_equal(conf_text(cat, "nothing").n, 0);
        assert_ptr_equal(conf_child(conf_get(config_root(c), "pets"), STR("cat")), cat);
        config_free(c);
        diag_list_deinit(&diags);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),          cmocka_unit_test(test_short_forms),
                cmocka_unit_test(test_inheritance),       cmocka_unit_test(test_rules),
                cmocka_unit_test(test_no_second_message), cmocka_unit_test(test_notes),
                cmocka_unit_test(test_getters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
