/* SPDX-License-Identifier: BSD-2-Clause */
/* The segments that open and close a server's connection, prediction_ends.c, changed in every way that a peer or a
 * stranger may change them: with header prediction and without, they leave the same state behind, and the same is
 * answered, the SYN-ACK included (output_syn_ack() in output.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checksum.h"
#include "options/options.h"
#include "snapshot.h"

#define PACKETS 16
#define SERVERS 2 /* one predicts, the other does not */
#define SEEDS   20000
#define HOLDS   11 /* of so many listeners one does not answer yet */
#define LATE    17 /* of so many SYN-ACKs one is not answered in time */

struct wire {
    uint8_t packet[PACKETS][2048];
    uint32_t length[PACKETS];
    unsigned head, tail;
};

struct world {
    struct utcp *client, *server[SERVERS];
    struct utcp_listener *listener[SERVERS];
    struct utcp_conn *conn;
    struct wire from_client, from_server[SERVERS];
    uint64_t now;
    uint32_t random;
    uint64_t short_ways; /* segments that were predicted */
};

static uint32_t random_below(struct world *world, uint32_t limit)
{
    world->random = world->random * 1664525 + 1013904223;
    return (world->random >> 8) % limit;
}

static uint8_t *reserve(void *context, uint32_t length)
{
    struct wire *wire = context;

    assert_in_range(length, 1, sizeof(wire->packet[0]));
    return wire->tail - wire->head == PACKETS ? NULL : wire->packet[wire->tail % PACKETS];
}

static void commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct wire *wire = context;

    (void)offload;
    wire->length[wire->tail++ % PACKETS] = length;
}

static void output(struct world *world, struct utcp *stack, struct wire *wire)
{
    const struct utcp_sink sink = {reserve, commit, wire};

    utcp_output(stack, world->now, &sink);
}

/* ── What may be changed ───────────────────────────────────────────────────────────────────── */

static uint32_t odd_number(struct world *world, uint32_t value)
{
    static const uint32_t steps[] = {1, 2, 100, 65535, 65536, 1 << 20, 1u << 31};
    uint32_t step = steps[random_below(world, sizeof(steps) / sizeof(steps[0]))];

    return random_below(world, 2) ? value + step : value - step;
}

static void change_word(struct world *world, uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    value = htonl(odd_number(world, ntohl(value)));
    memcpy(at, &value, sizeof(value));
}

static void change_byte(struct world *world, uint8_t *at)
{
    *at ^= (uint8_t)(1 << random_below(world, 8));
}

/* One field of the headers; the packet's checksums stand for what they were verified for. */
static void change(struct world *world, uint8_t *packet, uint32_t *length)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;
    struct wire_tcp *tcp = (struct wire_tcp *)(packet + IPV4_HEADER_MIN);
    uint8_t *options = (uint8_t *)(tcp + 1);
    uint32_t least = IPV4_HEADER_MIN + TCP_HEADER_MIN;

    switch (random_below(world, 12)) {
    case 0: change_word(world, (uint8_t *)&tcp->sequence); break;
    case 1: change_word(world, (uint8_t *)&tcp->acknowledgment); break;
    case 2: change_byte(world, &tcp->flags); break;
    case 3: tcp->flags = (uint8_t)random_below(world, 256); break;
    case 4: tcp->window = htons((uint16_t)random_below(world, 3)); break;
    case 5: change_word(world, options + 4); break; /* the timestamp, … */
    case 6: change_word(world, options + 8); break; /* … its echo */
    case 7: change_byte(world, options + random_below(world, UTCP_OPTIONS_USUAL)); break;
    case 8: ip->tos ^= (uint8_t)(1 + random_below(world, 3)); break;
    case 9: change_byte(world, &tcp->data_offset); break;
    case 10: *length = least + random_below(world, *length - least + 1); break;
    default: /* more text, or some where there was none */
        memset(packet + *length, 7, 600);
        *length += 1 + random_below(world, 600);
        break;
    }
    ip->total_length = htons((uint16_t)*length);
    ip->checksum = 0;
    ip->checksum = checksum_ipv4_make(ip);
}

/* ── Both servers ──────────────────────────────────────────────────────────────────────────── */

static void assert_same(struct world *world)
{
    struct snapshot a, b;

    take_snapshot(world->server[0], &a);
    take_snapshot(world->server[1], &b);
    for (size_t k = 0; k < sizeof(a.conn); k++)
        if (a.conn[k] != b.conn[k])
            fail_msg("struct utcp_conn differs at byte %zu", k);
    assert_int_equal(a.behind, b.behind);
    assert_int_equal(a.stack, b.stack);
}

static void give(struct world *world, const uint8_t *packet, uint32_t length)
{
    uint64_t before = world->server[0]->long_in;

    for (int i = 0; i < SERVERS; i++)
        utcp_input(world->server[i], world->now, packet, length, UTCP_INPUT_CHECKSUM_OK);
    world->short_ways += before == world->server[0]->long_in;
    assert_same(world);
}

/* All that the client has to say, the last of it changed first, or only so. */
static void hear(struct world *world)
{
    struct wire *wire = &world->from_client;
    uint8_t changed[2 * 2048];

    output(world, world->client, wire);
    while (wire->head != wire->tail) {
        const uint8_t *packet = wire->packet[wire->head % PACKETS];
        uint32_t length = wire->length[wire->head++ % PACKETS], other = length;

        for (uint32_t times = random_below(world, 3); times > 0; times--) {
            memcpy(changed, packet, length);
            other = length;
            for (uint32_t fields = 1 + random_below(world, 2); fields > 0; fields--)
                change(world, changed, &other);
            give(world, changed, other);
        }
        if (random_below(world, 20))
            give(world, packet, length);
    }
}

/* The client hears the first; the second says the same. */
static void answer(struct world *world)
{
    for (int i = 0; i < SERVERS; i++)
        output(world, world->server[i], &world->from_server[i]);
    assert_same(world);
    assert_int_equal(world->from_server[0].tail, world->from_server[1].tail);
    for (struct wire *wire = &world->from_server[0]; wire->head != wire->tail; wire->head++) {
        unsigned at = wire->head % PACKETS;

        assert_int_equal(wire->length[at], world->from_server[1].length[at]);
        assert_memory_equal(wire->packet[at], world->from_server[1].packet[at], wire->length[at]);
        utcp_input(world->client, world->now, wire->packet[at], wire->length[at],
                   UTCP_INPUT_CHECKSUM_OK);
    }
    world->from_server[1].head = world->from_server[1].tail;
}

static void begin(struct world *world, uint32_t seed)
{
    static const uint32_t ecn[] = {0, UTCP_ASK_ECN, UTCP_ASK_ACCURATE_ECN};
    struct utcp_config config = {.size = sizeof(config),
                                 .secret = "the same for all",
                                 .offloads = UTCP_OFFLOAD_CHECKSUM,
                                 .receive_buffer_max = seed % 5 ? 0 : 300};
    struct utcp_endpoint from = {.family = 4, .port = 1000, .address = {10, 0, 0, 1}};
    struct utcp_endpoint to = {.family = 4, .port = 80, .address = {10, 0, 0, 2}};

    world->random = seed;
    world->now = UTCP_SECOND;
    config.flags = (seed % 7 ? 0 : UTCP_NO_TIMESTAMPS) | ecn[(seed - 1) % 5 % 3];
    world->client = utcp_new(&config, world->now);
    config.flags = seed % 3 ? 0 : UTCP_ASK_ECN;
    for (int i = 0; i < SERVERS; i++) {
        world->server[i] = utcp_new(&config, world->now);
        assert_int_equal(utcp_listen(world->server[i], &to, 10, NULL, &world->listener[i]), 0);
        utcp_listener_set_mode(world->listener[i],
                               seed % HOLDS ? UTCP_LISTEN_ANSWER : UTCP_LISTEN_HOLD);
        if (seed % 13 == 0)
            utcp_listener_cookies_elsewhere(world->listener[i], world->now, true);
    }
    world->server[1]->predict = PREDICT_NOTHING;
    assert_int_equal(utcp_connect(world->client, world->now, &from, &to, NULL, &world->conn), 0);
}

static void serve(struct world *world, uint32_t seed)
{
    uint8_t data[2000] = {1};
    size_t response = random_below(world, 4) ? 1024 : 0;

    for (int i = 0; i < SERVERS; i++) {
        struct utcp_conn *conn = utcp_accept(world->listener[i], world->now);

        if (conn == NULL)
            continue;
        if (seed % 4)
            utcp_read(conn, world->now, data, sizeof(data));
        utcp_write(conn, world->now, data, response);
        utcp_close(conn, world->now);
    }
}

/* Of the SYN-ACK, whether it was sent or not, with so many bytes of text; made of the SYN. */
static void acknowledge_syn(struct world *world, uint8_t *packet, uint32_t text)
{
    static const uint8_t stamps[4] = {TCP_OPTION_NOP, TCP_OPTION_NOP, TCP_OPTION_TIMESTAMPS,
                                      TCP_OPTION_TIMESTAMPS_LENGTH};
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;
    struct wire_tcp *tcp = (struct wire_tcp *)(packet + IPV4_HEADER_MIN);
    uint32_t header = TCP_HEADER_MIN + UTCP_OPTIONS_USUAL, length = IPV4_HEADER_MIN + header + text;
    const struct utcp_conn *conn =
        list_member(world->server[0]->all.next, struct utcp_conn, all_link);

    tcp->sequence = htonl(conn->irs + 1);
    tcp->acknowledgment = htonl(conn->iss + 1);
    tcp->data_offset = (uint8_t)(header / 4 << 4);
    tcp->flags = TCP_ACK;
    memcpy(tcp + 1, stamps, sizeof(stamps));
    utcp__put_be32((uint8_t *)(tcp + 1) + 4, conn->ts_recent);
    ip->total_length = htons((uint16_t)length);
    ip->checksum = 0;
    ip->checksum = checksum_ipv4_make(ip);
    give(world, packet, length);
}

/* The SYN-ACK is due again when its answer comes, or what stands for it. */
static void answer_late(struct world *world)
{
    world->now += UTCP_RTO_INITIAL + UTCP_MS;
    for (int i = 0; i < SERVERS; i++)
        utcp_advance(world->server[i], world->now);
    assert_same(world);
    hear(world);
    answer(world);
}

static void one_connection(struct world *world, uint32_t seed)
{
    uint8_t data[2000] = {0};

    begin(world, seed);
    output(world, world->client, &world->from_client); /* the SYN is as it is */
    give(world, world->from_client.packet[0], world->from_client.length[0]);
    if (seed % HOLDS == 0)
        acknowledge_syn(world, world->from_client.packet[0], 0); /* which is held back */
    world->from_client.head++;
    world->now += 300;
    answer(world);
    utcp_write(world->conn, world->now, data, seed % 6 ? 100 : 0);
    world->now += seed % 2 ? 200 : 20000;
    if (seed % LATE == 0)
        answer_late(world);
    hear(world);
    serve(world, seed);
    world->now += 300;
    answer(world);
    while (utcp_read(world->conn, world->now, data, sizeof(data)) > 0)
        continue;
    utcp_close(world->conn, world->now);
    world->now += seed % 2 ? 200 : 20000;
    hear(world);
    answer(world);
    utcp_free(world->client);
    for (int i = 0; i < SERVERS; i++)
        utcp_free(world->server[i]);
}

static void changed_segments_make_no_difference(void **state)
{
    uint64_t short_ways = 0;

    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = calloc(1, sizeof(*world));

        assert_non_null(world);
        one_connection(world, seed);
        short_ways += world->short_ways;
        free(world);
    }
    /* Many went the short way, so that something was compared. */
    assert_in_range(short_ways, SEEDS / 2, 10 * (uint64_t)SEEDS);
}

static struct world *new_world(uint32_t seed)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    begin(world, seed);
    output(world, world->client, &world->from_client);
    world->from_client.head++;
    return world;
}

static void end(struct world *world)
{
    utcp_free(world->client);
    for (int i = 0; i < SERVERS; i++)
        utcp_free(world->server[i]);
    free(world);
}

/* The usual SYN's options are read by the word, others one by one: what they say is the same. */
static void the_usual_options_mean_the_same_in_another_order(void **state)
{
    static const uint16_t sizes[] = {0, 1, UTCP_MSS_MIN - 1, UTCP_MSS_MIN, 536, 1460, UINT16_MAX};
    static const uint8_t scales[] = {0, 7, 14, 15, UINT8_MAX};
    static const uint32_t flags[] = {0, UTCP_NO_SACK, UTCP_NO_TIMESTAMPS, UTCP_NO_WINDOW_SCALE};

    (void)state;
    for (uint32_t i = 0; i < 7 * 5 * 4; i++) {
        struct world *world = new_world(1);
        uint8_t *packet = world->from_client.packet[0];
        uint32_t length = world->from_client.length[0];
        uint8_t *options = packet + IPV4_HEADER_MIN + TCP_HEADER_MIN;
        uint16_t mss = htons(sizes[i % 7]);
        uint8_t usual[20];

        memcpy(usual, options, sizeof(usual));
        memcpy(usual + 2, &mss, sizeof(mss));
        usual[19] = scales[i / 7 % 5];
        for (int k = 0; k < SERVERS; k++) {
            utcp_set_flags(world->server[k], flags[i / 35]);
            /* first as it is, then window scale and its NOP before what they follow */
            memcpy(options, usual + 16 * k, (size_t)(20 - 16 * k));
            memcpy(options + 20 - 16 * k, usual, (size_t)(16 * k));
            utcp_input(world->server[k], world->now, packet, length, UTCP_INPUT_CHECKSUM_OK);
        }
        assert_same(world);
        answer(world);
        end(world);
    }
}

/* Both servers have sent SYNs of their own when the client's comes: no listener has these connections. What
 * their owners have written, or that they have gone, makes a difference when the handshake is done. */
static void crossing_syns_make_no_difference(void **state)
{
    struct utcp_endpoint from = {.family = 4, .port = 80, .address = {10, 0, 0, 2}};
    struct utcp_endpoint to = {.family = 4, .port = 1000, .address = {10, 0, 0, 1}};

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct world *world = new_world(1);
        uint8_t *packet = world->from_client.packet[0], text[100] = {1};
        struct utcp_conn *conns[SERVERS];

        for (int k = 0; k < SERVERS; k++) {
            assert_int_equal(
                utcp_connect(world->server[k], world->now, &from, &to, NULL, &conns[k]), 0);
            output(world, world->server[k], &world->from_server[k]);
            world->from_server[k].head = world->from_server[k].tail;
        }
        give(world, packet, world->from_client.length[0]);
        for (int k = 0; k < SERVERS; k++) {
            if (i & 1)
                utcp_write(conns[k], world->now, text, sizeof(text));
            if (i & 2)
                utcp_close(conns[k], world->now);
        }
        answer(world);
        acknowledge_syn(world, packet, sizeof(text));
        answer(world);
        end(world);
    }
}

/* More than a block of the receive buffer, as whoever merges segments brings it. */
static void a_long_first_text_makes_no_difference(void **state)
{
    static uint8_t packet[65536];

    (void)state;
    for (uint32_t text = POOL_BLOCK_SIZE - 1; text <= 60000; text += text < 5000 ? 1000 : 5000) {
        struct world *world = new_world(1);

        memcpy(packet, world->from_client.packet[0], world->from_client.length[0]);
        give(world, packet, world->from_client.length[0]);
        answer(world);
        acknowledge_syn(world, packet, text);
        answer(world);
        for (int k = 0; k < SERVERS; k++)
            assert_int_equal(utcp_readable(utcp_accept(world->listener[k], world->now)), text);
        assert_same(world);
        end(world);
    }
}

/* With Accurate ECN, where a path zeroes its bits: RFC 9768 section 3.2.2.1. */
static void an_ack_of_the_syn_ack_without_its_count_makes_no_difference(void **state)
{
    (void)state;
    for (uint32_t text = 0; text <= 100; text += 100) {
        struct world *world = new_world(3);
        uint8_t *packet = world->from_client.packet[0];

        give(world, packet, world->from_client.length[0]);
        answer(world);
        assert_true(list_member(world->server[0]->all.next, struct utcp_conn, all_link)->accurate);
        acknowledge_syn(world, packet, text);
        answer(world);
        end(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_segments_make_no_difference),
        cmocka_unit_test(the_usual_options_mean_the_same_in_another_order),
        cmocka_unit_test(crossing_syns_make_no_difference),
        cmocka_unit_test(a_long_first_text_makes_no_difference),
        cmocka_unit_test(an_ack_of_the_syn_ack_without_its_count_makes_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
