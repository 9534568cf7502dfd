/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard as the kernel runs it, behind the mux (BPF_PROG_TEST_RUN): rules are written into its maps
 * as the switch writes them; what comes out is the verdict that was counted. Rules of one binding are
 * tried on others' packets as well.
 *
 * Needs the privilege to load XDP programs; exits 77 where there is none. */
#include "checksum.h"
#include "guard_cookie_maps.h"
#include "guard_maps.h"
#include "mux_bench.h"

#include <arpa/inet.h>
#include <string.h>

#include "wire.h"

#define SECOND    1000000000ULL
#define OURS      (GUARD_POLICIES_MAX | 1) /* the id of the policy of TCP port 80, IPv4 and IPv6 */
#define TCP_FLAGS 13

/* ---- rules */

static void point_binding_at(uint8_t family, const uint8_t *address, uint8_t protocol,
                             uint16_t port, uint32_t policy)
{
    struct mux_key key = {.family = family, .protocol = protocol, .port = htons(port)};

    if (address)
        memcpy(key.address, address, family == 4 ? 4 : 16);
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.mux_bindings), &key, &policy, BPF_EXIST), 0);
}

static void write_policy(const struct guard_policy *policy)
{
    uint32_t slot = guard_slot(policy->id);
    struct guard_budget budget = {{0}};

    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.guard_policies), &slot, policy, BPF_ANY), 0);
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.guard_budgets), &slot, &budget, BPF_ANY), 0);
}

static void list(uint32_t policy, const char *text, uint32_t length, uint64_t allow_until_ns,
                 uint64_t block_until_ns)
{
    struct guard_prefix key = {.length = GUARD_PREFIX_HEAD + length, .policy = policy, .family = 4};
    struct guard_entry entry = {
        .allow_until_ns = allow_until_ns, .block_until_ns = block_until_ns, .length = length};

    if (strchr(text, ':')) {
        key.family = 6;
        assert_int_equal(inet_pton(AF_INET6, text, key.address), 1);
    } else {
        assert_int_equal(inet_pton(AF_INET, text, key.address), 1);
    }
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.guard_prefixes), &key, &entry, BPF_ANY), 0);
}

static void clear_lists(void)
{
    struct guard_prefix key;
    int fd = bpf_map__fd(mux->maps.guard_prefixes);

    while (!bpf_map_get_next_key(fd, NULL, &key))
        assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
}

static int set_up(void **state)
{
    (void)state;
    clear_lists();
    keep_switch_alive();
    point_binding_at(4, our_ip4, IP_PROTOCOL_TCP, 80, OURS);
    point_binding_at(6, our_ip6, IP_PROTOCOL_TCP, 80, OURS);
    write_policy(
        &(struct guard_policy){.id = OURS, .flags = GUARD_HAS_LIST_V4 | GUARD_HAS_LIST_V6});
    return 0;
}

static void rules_for_all(uint32_t flags)
{
    write_policy(&(struct guard_policy){.id = GUARD_EVERYWHERE, .flags = flags});
    set_guard(flags);
}

static int tear_down(void **state)
{
    (void)state;
    rules_for_all(0);
    return 0;
}

/* The verdict on a good frame of the peer. */
static enum mux_verdict run_good(void (*good)(struct frame *))
{
    struct frame frame;

    good(&frame);
    return run(frame.bytes, frame.size);
}

static enum mux_verdict run_flags(uint8_t flags)
{
    struct frame frame;

    tcp4(&frame);
    frame.bytes[L4 + TCP_FLAGS] = flags;
    return run(frame.bytes, frame.size);
}

static enum mux_verdict run_from(uint8_t last)
{
    struct frame frame;

    tcp4(&frame);
    frame.bytes[IP4 + 15] = last;
    return run(frame.bytes, frame.size);
}

static uint64_t counted(uint32_t policy, enum mux_verdict verdict)
{
    static struct guard_counts counts[1024];
    uint32_t slot = guard_slot(policy);
    uint64_t sum = 0;

    memset(counts, 0, sizeof(counts));
    assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(mux->maps.guard_counts), &slot, counts), 0);
    for (uint32_t cpu = 0; cpu < 1024; cpu++)
        sum += counts[cpu].count[verdict - MUX_GUARD_FIRST];
    return sum;
}

/* ---- lists */

static void a_blocked_source_reaches_no_binding_but_others(void **state)
{
    uint64_t before = counted(OURS, MUX_GUARD_BLOCKED);

    (void)state;
    list(OURS, "10.0.0.2", 32, 0, GUARD_FOR_EVER);
    list(OURS, "fd00::2", 128, 0, GUARD_FOR_EVER);
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
    assert_int_equal(run_good(tcp6), MUX_GUARD_BLOCKED);
    assert_int_equal(run_good(icmp4), MUX_GUARD_BLOCKED); /* about a segment of the same binding */
    assert_int_equal(run_good(udp4), MUX_CLAIMED);        /* another binding */
    assert_int_equal(run_good(udp6), MUX_CLAIMED);
    assert_int_equal(run_from(3), MUX_CLAIMED); /* another source */
    assert_int_equal(counted(OURS, MUX_GUARD_BLOCKED), before + 3);
}

/* The host's packets are not the guard's, whatever the rules for all say. */
static void what_is_not_claimed_passes_whatever_is_blocked(void **state)
{
    struct frame frame;

    (void)state;
    rules_for_all(GUARD_HAS_LIST_V4 | GUARD_HAS_STRICT);
    list(GUARD_EVERYWHERE, "0.0.0.0", 0, 0, GUARD_FOR_EVER);
    tcp4(&frame);
    frame.bytes[L4 + 3] = 22;
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_UNCLAIMED);
    put_ether(&frame, ETHER_TYPE_IPV4);
    put_ipv4(&frame, 47, 20);
    frame.size += 20;
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_OTHER);
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
    set_heartbeat(0); /* and nothing is dropped while no switch is there */
    assert_int_equal(run_good(tcp4), MUX_PASS_NO_SWITCH);
}

/* A range is one element of the mux's map, with the rules of all its ports. */
static void a_range_of_ports_has_rules_of_its_own(void **state)
{
    static const uint16_t ports[] = {16384, 16400, 16447};
    struct mux_key key = {.family = 4 | 6 << MUX_RANGE_SHIFT, .protocol = IP_PROTOCOL_TCP};
    uint32_t policy = 2 * GUARD_POLICIES_MAX | 5;
    struct frame frame;

    (void)state;
    bind_range(4, IP_PROTOCOL_TCP, NULL, 16384, 64);
    keep_switch_alive();
    write_policy(&(struct guard_policy){.id = policy, .flags = GUARD_HAS_LIST_V4});
    list(policy, "10.0.0.2", 32, 0, GUARD_FOR_EVER);
    tcp4(&frame);
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        memcpy(frame.bytes + L4 + 2, &(uint16_t){htons(ports[i])}, 2);
        key.port = htons(16384);
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(mux->maps.mux_bindings), &key,
                                             &(uint32_t){0}, BPF_EXIST),
                         0);
        assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
        assert_int_equal(
            bpf_map_update_elem(bpf_map__fd(mux->maps.mux_bindings), &key, &policy, BPF_EXIST), 0);
        assert_int_equal(run(frame.bytes, frame.size), MUX_GUARD_BLOCKED);
    }
    assert_int_equal(counted(policy, MUX_GUARD_BLOCKED), 3);
    assert_int_equal(run_good(tcp4), MUX_CLAIMED); /* port 80 has others */
}

static void rules_for_all_are_for_all_bindings(void **state)
{
    uint64_t before = counted(GUARD_EVERYWHERE, MUX_GUARD_BLOCKED);

    (void)state;
    rules_for_all(GUARD_HAS_LIST_V4);
    list(GUARD_EVERYWHERE, "10.0.0.0", 24, 0, GUARD_FOR_EVER);
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
    assert_int_equal(run_good(udp4), MUX_GUARD_BLOCKED);
    assert_int_equal(run_good(tcp6), MUX_CLAIMED);
    assert_int_equal(counted(GUARD_EVERYWHERE, MUX_GUARD_BLOCKED), before + 2);
}

/* Neither scope can allow what the other one blocks. */
static void who_is_allowed_here_may_be_blocked_there(void **state)
{
    (void)state;
    rules_for_all(GUARD_HAS_LIST_V4);
    list(GUARD_EVERYWHERE, "10.0.0.2", 32, 0, GUARD_FOR_EVER);
    list(OURS, "10.0.0.2", 32, GUARD_FOR_EVER, 0);
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
    list(GUARD_EVERYWHERE, "10.0.0.2", 32, GUARD_FOR_EVER, 0);
    assert_int_equal(run_good(tcp4), MUX_CLAIMED);
    list(OURS, "10.0.0.2", 32, 0, GUARD_FOR_EVER);
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
}

static void the_longest_prefix_decides_and_allow_beats_block(void **state)
{
    (void)state;
    list(OURS, "0.0.0.0", 0, 0, GUARD_FOR_EVER);
    list(OURS, "10.0.0.0", 24, GUARD_FOR_EVER, 0);
    list(OURS, "10.0.0.3", 32, 0, GUARD_FOR_EVER);
    list(OURS, "10.0.0.4", 32, GUARD_FOR_EVER, GUARD_FOR_EVER);
    assert_int_equal(run_from(2), MUX_CLAIMED);
    assert_int_equal(run_from(3), MUX_GUARD_BLOCKED);
    assert_int_equal(run_from(4), MUX_CLAIMED);
    assert_int_equal(run_good(tcp6), MUX_CLAIMED); /* 0.0.0.0/0 is IPv4 alone */
}

/* 10.0.0.0/8 and the IPv6 prefix of the same bits are two. */
static void families_do_not_mix(void **state)
{
    (void)state;
    list(OURS, "fd00::", 8, 0, GUARD_FOR_EVER);
    assert_int_equal(run_good(tcp4), MUX_CLAIMED);
    assert_int_equal(run_good(tcp6), MUX_GUARD_BLOCKED);
    list(OURS, "253.0.0.0", 8, GUARD_FOR_EVER, 0);
    assert_int_equal(run_good(tcp6), MUX_GUARD_BLOCKED);
}

static void what_has_expired_hides_nothing(void **state)
{
    (void)state;
    list(OURS, "10.0.0.2", 32, now_ns() - 1, now_ns() - 1);
    assert_int_equal(run_good(tcp4), MUX_CLAIMED);
    list(OURS, "10.0.0.0", 8, 0, now_ns() + 3600 * SECOND);
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
    list(OURS, "10.0.0.0", 16, 1, 1); /* more of them */
    list(OURS, "10.0.0.0", 24, 1, 1);
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
    list(OURS, "0.0.0.0", 0, 1, 1); /* the shortest one */
    list(OURS, "10.0.0.0", 8, 1, 1);
    assert_int_equal(run_good(tcp4), MUX_CLAIMED);
}

/* However many they are: of each length one. */
static void many_that_have_expired_hide_nothing(void **state)
{
    char text[INET6_ADDRSTRLEN];

    (void)state;
    list(OURS, "0.0.0.0", 0, 0, GUARD_FOR_EVER);
    list(OURS, "::", 0, 0, GUARD_FOR_EVER);
    for (uint32_t length = 1; length <= 128; length++) {
        if (length <= 32)
            list(OURS, inet_ntop(AF_INET, peer_ip4, text, sizeof(text)), length, 1, 1);
        list(OURS, inet_ntop(AF_INET6, peer_ip6, text, sizeof(text)), length, 1, 1);
    }
    assert_int_equal(run_good(tcp4), MUX_GUARD_BLOCKED);
    assert_int_equal(run_good(tcp6), MUX_GUARD_BLOCKED);
    list(OURS, "0.0.0.0", 0, 1, 1);
    list(OURS, "::", 0, 1, 1);
    assert_int_equal(run_good(tcp4), MUX_CLAIMED);
    assert_int_equal(run_good(tcp6), MUX_CLAIMED);
}

/* An id that a slot had before, and one that no slot has any more. */
static void rules_of_a_policy_that_has_gone_are_nobodys(void **state)
{
    (void)state;
    list(OURS, "10.0.0.2", 32, 0, GUARD_FOR_EVER);
    write_policy(&(struct guard_policy){.id = OURS + GUARD_POLICIES_MAX, .flags = ~0u});
    assert_int_equal(run_good(tcp4), MUX_CLAIMED);
    point_binding_at(4, our_ip4, IP_PROTOCOL_TCP, 80, OURS + GUARD_POLICIES_MAX);
    assert_int_equal(run_good(tcp4), MUX_CLAIMED);
}

/* Later fragments have no port: they are judged by the rules of their first one's binding. */
static void fragments_are_judged_as_their_first_one(void **state)
{
    struct frame frame;
    uint32_t others = OURS + 1;

    (void)state;
    point_binding_at(4, NULL, IP_PROTOCOL_UDP, 7, others);
    write_policy(&(struct guard_policy){.id = others, .flags = GUARD_HAS_LIST_V4});
    udp4(&frame);
    frame.size += 4;
    frame.bytes[IP4 + 3] = (uint8_t)(frame.size - IP4);
    frame.bytes[IP4 + 5] = 77; /* id */
    frame.bytes[IP4 + 6] = 0x20;
    frame.bytes[IP4 + 7] = 0;
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
    frame.bytes[IP4 + 6] = 0;
    frame.bytes[IP4 + 7] = 2;
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
    list(others, "10.0.0.2", 32, 0, GUARD_FOR_EVER);
    assert_int_equal(run(frame.bytes, frame.size), MUX_GUARD_BLOCKED);
    point_binding_at(4, NULL, IP_PROTOCOL_UDP, 7, 0);
}

/* ---- strict */

static void flags_that_no_tcp_sends_are_dropped_where_that_is_asked(void **state)
{
    static const struct {
        uint8_t flags;
        bool good;
    } segments[] = {
        {TCP_SYN, true},
        {TCP_SYN | TCP_ACK, true},
        {TCP_SYN | TCP_ECE | TCP_CWR, true},
        {TCP_ACK, true},
        {TCP_ACK | TCP_PSH, true},
        {TCP_ACK | TCP_FIN, true},
        {TCP_ACK | TCP_URG, true},
        {TCP_RST, true},
        {TCP_RST | TCP_ACK, true},
        {0, false},
        {TCP_FIN, false},
        {TCP_FIN | TCP_PSH | TCP_URG, false},
        {TCP_URG, false},
        {TCP_SYN | TCP_FIN, false},
        {TCP_SYN | TCP_FIN | TCP_ACK, false},
        {TCP_SYN | TCP_RST, false},
        {TCP_RST | TCP_FIN | TCP_ACK, false},
        {0xff, false},
    };
    struct guard_policy policy = {
        .id = OURS, .flags = GUARD_HAS_STRICT, .strict_until_ns = GUARD_FOR_EVER};
    struct frame frame;

    (void)state;
    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
        assert_int_equal(run_flags(segments[i].flags), MUX_CLAIMED);
    write_policy(&policy);
    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
        assert_int_equal(run_flags(segments[i].flags),
                         segments[i].good ? MUX_CLAIMED : MUX_GUARD_MALFORMED);
    tcp4(&frame);
    frame.bytes[L4] = frame.bytes[L4 + 1] = 0; /* from port 0 */
    assert_int_equal(run(frame.bytes, frame.size), MUX_GUARD_MALFORMED);
    assert_int_equal(run_good(icmp4), MUX_CLAIMED); /* has no flags */
    policy.strict_until_ns = now_ns() - SECOND;
    write_policy(&policy);
    assert_int_equal(run_flags(0), MUX_CLAIMED);
}

/* ---- limits */

static void limit(enum guard_limit_kind kind, uint64_t burst)
{
    struct guard_policy policy = {.id = OURS, .flags = GUARD_HAS_LIMITS};

    policy.limits[kind][0] = (struct guard_limit){.interval_ns = 3600 * SECOND,
                                                  .tolerance_ns = (burst - 1) * 3600 * SECOND,
                                                  .until_ns = GUARD_FOR_EVER};
    write_policy(&policy);
}

static void a_source_has_its_syns_and_no_more(void **state)
{
    struct frame frame;

    (void)state;
    limit(GUARD_LIMIT_SOURCE, 3);
    for (int i = 0; i < 5; i++)
        assert_int_equal(run_from(10), i < 3 ? MUX_CLAIMED : MUX_GUARD_SYN_SOURCE);
    assert_int_equal(run_from(11), MUX_CLAIMED); /* another source */
    for (int i = 0; i < 9; i++) {
        tcp4(&frame);
        frame.bytes[IP4 + 15] = 10;
        frame.bytes[L4 + TCP_FLAGS] = TCP_ACK; /* not an opening */
        assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
    }
}

/* Of IPv6 whoever has one address has 2^64 of them. */
static void an_ipv6_source_is_its_64(void **state)
{
    struct frame frame;

    (void)state;
    limit(GUARD_LIMIT_SOURCE, 2);
    for (uint8_t i = 0; i < 4; i++) {
        tcp6(&frame);
        frame.bytes[IP6 + 8 + 3] = 1; /* fd00:1::… */
        frame.bytes[IP6 + 8 + 15] = i;
        assert_int_equal(run(frame.bytes, frame.size), i < 2 ? MUX_CLAIMED : MUX_GUARD_SYN_SOURCE);
    }
    frame.bytes[IP6 + 8 + 7] = 1; /* another /64 */
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
}

static void a_binding_has_its_syns_and_no_more(void **state)
{
    (void)state;
    limit(GUARD_LIMIT_SYN, 3);
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(run_from((uint8_t)(20 + i)), i < 3 ? MUX_CLAIMED : MUX_GUARD_SYN);
    assert_int_equal(run_good(udp4), MUX_CLAIMED);
}

static void new_connections_are_capped(void **state)
{
    (void)state;
    limit(GUARD_LIMIT_CONNECTIONS, 2);
    for (uint8_t i = 0; i < 4; i++)
        assert_int_equal(run_from((uint8_t)(30 + i)), i < 2 ? MUX_CLAIMED : MUX_GUARD_CONNECTIONS);
    assert_int_equal(run_flags(TCP_ACK), MUX_CLAIMED);
}

static void who_is_allowed_is_not_limited(void **state)
{
    struct guard_policy policy = {.id = OURS, .flags = GUARD_HAS_LIMITS | GUARD_HAS_LIST_V4};

    (void)state;
    list(OURS, "10.0.0.40", 32, GUARD_FOR_EVER, 0);
    policy.limits[GUARD_LIMIT_SYN][0] =
        (struct guard_limit){.interval_ns = 3600 * SECOND, .until_ns = GUARD_FOR_EVER};
    write_policy(&policy);
    assert_int_equal(run_from(41), MUX_CLAIMED);
    assert_int_equal(run_from(41), MUX_GUARD_SYN);
    assert_int_equal(run_from(40), MUX_CLAIMED);
    assert_int_equal(run_from(40), MUX_CLAIMED);
}

/* A bucket fills with time, and no further than to its burst. */
static void a_bucket_fills_again(void **state)
{
    struct guard_policy policy = {.id = OURS, .flags = GUARD_HAS_LIMITS};
    struct guard_budget budget = {{0}};
    uint32_t slot = guard_slot(OURS);

    (void)state;
    policy.limits[GUARD_LIMIT_SYN][0] = (struct guard_limit){
        .interval_ns = 1000 * SECOND, .tolerance_ns = 1000 * SECOND, .until_ns = GUARD_FOR_EVER};
    write_policy(&policy);
    budget.due_ns[GUARD_LIMIT_SYN] = now_ns() + 1500 * SECOND;
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.guard_budgets), &slot, &budget, BPF_ANY), 0);
    assert_int_equal(run_from(50), MUX_GUARD_SYN);
    budget.due_ns[GUARD_LIMIT_SYN] = now_ns() + 500 * SECOND; /* as 1,000 s later */
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.guard_budgets), &slot, &budget, BPF_ANY), 0);
    assert_int_equal(run_from(50), MUX_CLAIMED);
    assert_int_equal(run_from(50), MUX_GUARD_SYN);
    policy.limits[GUARD_LIMIT_SYN][0].until_ns = now_ns(); /* the rule has ended */
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.guard_policies), &slot, &policy, BPF_ANY), 0);
    assert_int_equal(run_from(50), MUX_CLAIMED);
}

/* Of limits of one kind the first that has not ended holds (guard_maps.h). */
static void a_limit_that_has_ended_hides_none(void **state)
{
    const struct guard_limit ended = {.interval_ns = 3600 * SECOND, .until_ns = 1};
    const struct guard_limit holds = {.interval_ns = 1800 * SECOND, .until_ns = GUARD_FOR_EVER};
    static const enum mux_verdict refused[] = {MUX_GUARD_SYN_SOURCE, MUX_GUARD_SYN,
                                               MUX_GUARD_CONNECTIONS};

    (void)state;
    for (uint32_t kind = 0; kind < GUARD_LIMIT_COUNT; kind++) {
        for (uint32_t before = 0; before < GUARD_LIMIT_STEPS; before++) {
            struct guard_policy policy = {.id = OURS, .flags = GUARD_HAS_LIMITS};
            uint8_t source = (uint8_t)(60 + before);

            for (uint32_t i = 0; i < before; i++)
                policy.limits[kind][i] = ended;
            policy.limits[kind][before] = holds;
            write_policy(&policy);
            assert_int_equal(run_from(source), MUX_CLAIMED);
            assert_int_equal(run_from(source), refused[kind]);
            policy.limits[kind][before] = ended;
            write_policy(&policy);
            assert_int_equal(run_from(source), MUX_CLAIMED);
            assert_int_equal(run_from(source), MUX_CLAIMED);
        }
    }
}

/* Made-up addresses: the table of sources stays as large as it is, and everybody is judged. */
static void a_flood_of_sources_fills_no_more_than_the_table(void **state)
{
    struct guard_source key = {0}, *last = NULL;
    struct frame frame;
    uint32_t held = 0;
    int fd = bpf_map__fd(mux->maps.guard_sources);

    (void)state;
    limit(GUARD_LIMIT_SOURCE, 1);
    tcp4(&frame);
    for (uint32_t i = 0; i < 2 * GUARD_SOURCES_MAX; i++) {
        const uint32_t source = htonl(0x0b000000 + i);
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_size_in = frame.size,
                    .repeat = 1);

        memcpy(frame.bytes + IP4 + 12, &source, 4);
        assert_int_equal(
            bpf_prog_test_run_opts(bpf_program__fd(mux->progs.multistack_mux), &options), 0);
        assert_int_equal(options.retval, XDP_REDIRECT);
    }
    for (; !bpf_map_get_next_key(fd, last, &key); last = &key)
        held++;
    assert_in_range(held, 1, GUARD_SOURCES_MAX);
}

/* ---- SYNs answered by cookies; what the answer is: test_guard_cookie.c */

static void put_cookies_but(uint64_t left_ns, uint8_t hop_limit)
{
    const struct guard_cookie cookie = {
        .key = {1, 2}, .left_ns = left_ns, .mss = 1460, .window = 65535, .hop_limit = hop_limit};
    uint32_t slot = guard_slot(OURS);

    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.guard_cookies), &slot, &cookie, BPF_ANY), 0);
}

static void put_cookies(uint8_t hop_limit)
{
    put_cookies_but(0, hop_limit);
}

static enum mux_verdict run_syn(bool good)
{
    struct frame frame;
    struct wire_ipv4 *ip;
    struct wire_tcp *tcp;
    uint64_t sum;

    tcp4(&frame);
    ip = (struct wire_ipv4 *)(frame.bytes + IP4);
    tcp = (struct wire_tcp *)(frame.bytes + L4);
    ip->checksum = checksum_ipv4_make(ip);
    sum = checksum_pseudo_header(ip->source, ip->destination, 4, IP_PROTOCOL_TCP, sizeof(*tcp));
    tcp->checksum = checksum_finish(checksum_add(sum, tcp, sizeof(*tcp)));
    tcp->checksum ^= good ? 0 : 1;
    return run(frame.bytes, frame.size);
}

static void a_syn_is_answered_where_the_policy_says_so(void **state)
{
    struct guard_policy policy = {.id = OURS, .flags = GUARD_HAS_COOKIES};

    (void)state;
    put_cookies(64);
    assert_int_equal(run_syn(true), MUX_CLAIMED);
    write_policy(&policy);
    assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
    assert_int_equal(run_syn(false), MUX_GUARD_DAMAGED);
    assert_int_equal(run_flags(TCP_ACK), MUX_CLAIMED);
    assert_int_equal(run_flags(TCP_SYN | TCP_ACK), MUX_CLAIMED);
    assert_int_equal(run_good(udp4), MUX_CLAIMED);
    put_cookies(0); /* without terms */
    assert_int_equal(run_syn(true), MUX_CLAIMED);
}

/* One in 1,000 s, and nothing at once but that: the bucket is empty until then. */
static void of_the_syns_as_many_as_it_can_take_are_left_to_the_stack(void **state)
{
    struct guard_policy policy = {.id = OURS, .flags = GUARD_HAS_COOKIES};
    struct guard_budget budget = {.left_due_ns = 0};
    uint32_t slot = guard_slot(OURS);
    int fd = bpf_map__fd(mux->maps.guard_budgets);

    (void)state;
    put_cookies_but(1000 * SECOND, 64);
    write_policy(&policy);
    assert_int_equal(run_syn(true), MUX_CLAIMED);
    assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
    assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
    assert_int_equal(run_flags(TCP_ACK), MUX_CLAIMED);
    budget.left_due_ns = now_ns() + 500 * SECOND; /* half of that later */
    assert_int_equal(bpf_map_update_elem(fd, &slot, &budget, BPF_ANY), 0);
    assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
    budget.left_due_ns = now_ns(); /* and all of it */
    assert_int_equal(bpf_map_update_elem(fd, &slot, &budget, BPF_ANY), 0);
    assert_int_equal(run_syn(true), MUX_CLAIMED);
    assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
}

static void who_is_allowed_talks_to_the_stack_itself(void **state)
{
    (void)state;
    put_cookies(64);
    write_policy(
        &(struct guard_policy){.id = OURS, .flags = GUARD_HAS_COOKIES | GUARD_HAS_LIST_V4});
    assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
    list(OURS, "10.0.0.0", 24, GUARD_FOR_EVER, 0);
    assert_int_equal(run_syn(true), MUX_CLAIMED);
}

static void what_is_answered_is_no_connection_yet(void **state)
{
    struct guard_policy policy = {.id = OURS, .flags = GUARD_HAS_COOKIES | GUARD_HAS_LIMITS};
    const struct guard_limit one = {.interval_ns = SECOND * 100, .until_ns = GUARD_FOR_EVER};

    (void)state;
    put_cookies(64);
    policy.limits[GUARD_LIMIT_CONNECTIONS][0] = one;
    write_policy(&policy);
    for (int i = 0; i < 5; i++)
        assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
    put_cookies(0);
    assert_int_equal(run_syn(true), MUX_CLAIMED);
    assert_int_equal(run_syn(true), MUX_GUARD_CONNECTIONS);
    /* but it is a SYN */
    put_cookies(64);
    policy.limits[GUARD_LIMIT_SYN][0] = one;
    write_policy(&policy);
    assert_int_equal(run_syn(true), MUX_GUARD_COOKIE);
    assert_int_equal(run_syn(true), MUX_GUARD_SYN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_blocked_source_reaches_no_binding_but_others),
        TEST(what_is_not_claimed_passes_whatever_is_blocked),
        TEST(a_range_of_ports_has_rules_of_its_own),
        TEST(rules_for_all_are_for_all_bindings),
        TEST(who_is_allowed_here_may_be_blocked_there),
        TEST(the_longest_prefix_decides_and_allow_beats_block),
        TEST(families_do_not_mix),
        TEST(what_has_expired_hides_nothing),
        TEST(many_that_have_expired_hide_nothing),
        TEST(rules_of_a_policy_that_has_gone_are_nobodys),
        TEST(fragments_are_judged_as_their_first_one),
        TEST(flags_that_no_tcp_sends_are_dropped_where_that_is_asked),
        TEST(a_source_has_its_syns_and_no_more),
        TEST(an_ipv6_source_is_its_64),
        TEST(a_binding_has_its_syns_and_no_more),
        TEST(new_connections_are_capped),
        TEST(who_is_allowed_is_not_limited),
        TEST(a_bucket_fills_again),
        TEST(a_limit_that_has_ended_hides_none),
        TEST(a_flood_of_sources_fills_no_more_than_the_table),
        TEST(a_syn_is_answered_where_the_policy_says_so),
        TEST(of_the_syns_as_many_as_it_can_take_are_left_to_the_stack),
        TEST(who_is_allowed_talks_to_the_stack_itself),
        TEST(what_is_answered_is_no_connection_yet),
    };

    return mux_bench_run("mux_guard", tests, sizeof(tests) / sizeof(tests[0]));
}
