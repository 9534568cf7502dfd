/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of connections in TIME-WAIT against a naive one: an array that is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "timewait_table.h"

#define ENTRIES 600

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % limit;
}

static struct utcp_endpoint endpoint(uint32_t number)
{
    struct utcp_endpoint end = {.family = 4, .port = (uint16_t)number};

    end.address[0] = (uint8_t)(number >> 16);
    return end;
}

/* The naive one: by number, the entry and when it ends. */
struct naive {
    struct utcp_time_wait *entry;
    uint64_t expires;
};

/* Few different ones, so that searches go on beyond what has the same. */
static uint32_t hash_of(uint32_t number, uint32_t hashes)
{
    return number % hashes * 2654435761u;
}

static void count_visit(void *context, const struct utcp_time_wait *wait)
{
    (void)wait;
    ++*(uint32_t *)context;
}

static void check(const struct utcp_time_waits *waits, const struct naive *naive, uint32_t hashes)
{
    uint64_t first = UINT64_MAX;
    uint32_t count = 0, visited = 0;

    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct utcp_endpoint local = endpoint(80), remote = endpoint(i);
        struct utcp_time_wait *found = utcp__waits_find(waits, &local, &remote, hash_of(i, hashes));

        assert_ptr_equal(found, naive[i].entry);
        if (found == NULL)
            continue;
        assert_ptr_equal(utcp__waits_at(waits, found->number), found);
        assert_int_equal(found->expires, naive[i].expires);
        first = found->expires < first ? found->expires : first;
        count++;
    }
    for (uint32_t place = 0; place < waits->index_size; place++)
        utcp__waits_visit(waits, place, count_visit, &visited);
    assert_int_equal(waits->count, count);
    assert_int_equal(visited, count);
    assert_true(waits->due == first);
    if (count)
        assert_true(utcp__waits_first(waits)->expires == first);
}

static void add(struct utcp_time_waits *waits, struct naive *naive, uint32_t number,
                uint32_t hashes, uint64_t expires)
{
    struct utcp_endpoint local = endpoint(80), remote = endpoint(number);

    naive->entry = utcp__waits_add(waits, &local, &remote, hash_of(number, hashes), expires);
    naive->expires = expires;
    if (naive->entry == NULL)
        return; /* it ends before the last of each queue */
    assert_int_equal(naive->entry->remote.port, remote.port);
    memset(&naive->entry->snd_nxt, 0xff, 4); /* as its user would */
}

static void run_against_naive(uint64_t seed, uint32_t hashes, uint32_t most)
{
    static struct utcp_time_waits waits;
    static struct naive naive[ENTRIES];
    uint64_t now = 0;

    random_state = seed;
    memset(naive, 0, sizeof(naive));
    utcp__waits_init(&waits);
    for (int step = 0; step < 3000; step++) {
        uint32_t number = random_below(most);
        uint64_t expires = now + 1000 + random_below(4) * (random_below(50) == 0) * 300;

        now += random_below(4);
        while (waits.due <= now) {
            struct utcp_time_wait *first = utcp__waits_first(&waits);

            naive[first->remote.port].entry = NULL;
            utcp__waits_remove(&waits, first);
        }
        if (naive[number].entry == NULL) {
            add(&waits, &naive[number], number, hashes, expires);
        } else if (random_below(2)) {
            utcp__waits_put_off(&waits, naive[number].entry, expires);
            assert_true(naive[number].entry->expires >= expires);
            naive[number].expires = naive[number].entry->expires;
        } else {
            utcp__waits_remove(&waits, naive[number].entry);
            naive[number].entry = NULL;
        }
        if (step % 16 == 0)
            check(&waits, naive, hashes);
    }
    utcp__waits_dispose(&waits);
    assert_int_equal(utcp__waits_memory(&waits), 0);
}

static void it_does_what_a_naive_one_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_against_naive(seed, ENTRIES, ENTRIES);
        run_against_naive(seed, 7, 80); /* nearly all have the same hash */
        run_against_naive(seed, 40, ENTRIES);
    }
}

/* The last places of the index, and the first ones behind them. */
static void what_runs_over_the_end_of_the_index_is_found(void **state)
{
    struct utcp_time_waits waits;
    struct utcp_time_wait *entries[12];
    struct utcp_endpoint local = endpoint(80), remote;

    (void)state;
    utcp__waits_init(&waits);
    for (uint32_t i = 0; i < 12; i++) {
        remote = endpoint(i);
        entries[i] = utcp__waits_add(&waits, &local, &remote, 60 + i % 6, i);
        assert_non_null(entries[i]);
    }
    for (uint32_t gone = 0; gone < 12; gone++) {
        utcp__waits_remove(&waits, entries[gone]);
        for (uint32_t i = 0; i < 12; i++) {
            remote = endpoint(i);
            assert_ptr_equal(utcp__waits_find(&waits, &local, &remote, 60 + i % 6),
                             i > gone ? entries[i] : NULL);
        }
    }
    utcp__waits_dispose(&waits);
}

static void memory_is_given_back(void **state)
{
    struct utcp_time_waits waits;
    struct utcp_endpoint local = endpoint(80);
    size_t most;

    (void)state;
    utcp__waits_init(&waits);
    for (uint32_t i = 0; i < 100000; i++) {
        struct utcp_endpoint remote = endpoint(i);

        assert_non_null(utcp__waits_add(&waits, &local, &remote, i * 2654435761u, i));
    }
    most = utcp__waits_memory(&waits);
    assert_true(most < 100000 * (128 + 24));
    for (uint32_t i = 0; i < 90000; i++)
        utcp__waits_remove(&waits, utcp__waits_first(&waits));
    assert_true(utcp__waits_memory(&waits) < most / 4);
    for (uint32_t i = 0; i < 5000; i++) { /* comes and goes without a new slab each time */
        struct utcp_endpoint remote = endpoint(i);

        utcp__waits_add(&waits, &local, &remote, i * 2654435761u, 100000 + i);
        utcp__waits_remove(&waits, utcp__waits_first(&waits));
    }
    assert_true(utcp__waits_memory(&waits) < most / 4);
    while (waits.count)
        utcp__waits_remove(&waits, utcp__waits_first(&waits));
    assert_true(utcp__waits_memory(&waits) < 100000);
    utcp__waits_dispose(&waits);
}

static void places_that_are_free_are_nobody_s(void **state)
{
    struct utcp_time_waits waits;
    struct utcp_endpoint local = endpoint(80), remote = endpoint(1);
    struct utcp_time_wait *entry;
    uint32_t number;

    (void)state;
    utcp__waits_init(&waits);
    assert_null(utcp__waits_at(&waits, 0));
    assert_null(utcp__waits_first(&waits));
    assert_null(utcp__waits_find(&waits, &local, &remote, 5));
    entry = utcp__waits_add(&waits, &local, &remote, 5, 1);
    number = entry->number;
    assert_ptr_equal(utcp__waits_at(&waits, number), entry);
    assert_null(utcp__waits_at(&waits, number + 1));
    assert_null(utcp__waits_at(&waits, TIME_WAIT_NONE));
    utcp__waits_remove(&waits, entry);
    assert_null(utcp__waits_at(&waits, number));
    utcp__waits_dispose(&waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_does_what_a_naive_one_does),
        cmocka_unit_test(what_runs_over_the_end_of_the_index_is_found),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(places_that_are_free_are_nobody_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
