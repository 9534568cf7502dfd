/* SPDX-License-Identifier: BSD-2-Clause */
/* rtnetlink messages as the kernel sends them, to what the keeper makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink.h"

static _Alignas(struct nlmsghdr) char buffer[4096];

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t ip4[4] = {10, 0, 0, 1}, other4[4] = {10, 0, 0, 2};
static const uint8_t ip6[16] = {0xfd, [15] = 1};

static void *begin(uint16_t type, size_t header)
{
    struct nlmsghdr *message;

    memset(buffer, 0, sizeof(buffer));
    message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    return mnl_nlmsg_put_extra_header(message, header);
}

static struct nlmsghdr *message(void)
{
    return (struct nlmsghdr *)buffer;
}

static void put_link(void)
{
    struct ifinfomsg *info = begin(RTM_NEWLINK, sizeof(*info));
    struct nlattr *nest;

    info->ifi_index = 7;
    info->ifi_flags = IFF_UP | IFF_LOWER_UP;
    mnl_attr_put_strz(message(), IFLA_IFNAME, "eth1");
    mnl_attr_put_u32(message(), IFLA_MTU, 1500);
    mnl_attr_put_u32(message(), IFLA_NUM_RX_QUEUES, 4);
    mnl_attr_put(message(), IFLA_ADDRESS, 6, mac);
    nest = mnl_attr_nest_start(message(), IFLA_LINKINFO);
    mnl_attr_put_strz(message(), IFLA_INFO_KIND, "veth");
    mnl_attr_nest_end(message(), nest);
}

static void a_link_is_understood(void **state)
{
    struct netlink_link link;

    (void)state;
    put_link();
    assert_true(netlink__parse_link(message(), &link));
    assert_int_equal(link.ifindex, 7);
    assert_int_equal(link.mtu, 1500);
    assert_int_equal(link.rx_queues, 4);
    assert_true(link.up && link.has_mac);
    assert_string_equal(link.name, "eth1");
    assert_string_equal(link.kind, "veth");
    assert_memory_equal(link.mac, mac, 6);
}

static void a_link_without_carrier_is_down(void **state)
{
    struct netlink_link link;

    (void)state;
    put_link();
    ((struct ifinfomsg *)mnl_nlmsg_get_payload(message()))->ifi_flags = IFF_UP;
    assert_true(netlink__parse_link(message(), &link));
    assert_false(link.up);
}

static void a_bridge_port_is_not_a_link(void **state)
{
    struct netlink_link link;

    (void)state;
    put_link();
    ((struct ifinfomsg *)mnl_nlmsg_get_payload(message()))->ifi_family = AF_BRIDGE;
    assert_false(netlink__parse_link(message(), &link));
}

static void a_cut_message_is_not_understood(void **state)
{
    struct netlink_link link;
    struct netlink_address address;
    struct netlink_neighbor neighbor;
    struct netlink_route route;

    (void)state;
    for (uint32_t length = NLMSG_HDRLEN; length < NLMSG_HDRLEN + 8; length++) {
        put_link();
        message()->nlmsg_len = length;
        assert_false(netlink__parse_link(message(), &link));
        assert_false(netlink__parse_address(message(), &address));
        assert_false(netlink__parse_neighbor(message(), &neighbor));
        assert_false(netlink__parse_route(message(), &route));
    }
}

static void the_local_address_of_a_point_to_point_link_is_ours(void **state)
{
    struct ifaddrmsg *info = begin(RTM_NEWADDR, sizeof(*info));
    struct netlink_address address;

    (void)state;
    info->ifa_family = AF_INET;
    info->ifa_index = 3;
    mnl_attr_put(message(), IFA_ADDRESS, 4, other4);
    mnl_attr_put(message(), IFA_LOCAL, 4, ip4);
    assert_true(netlink__parse_address(message(), &address));
    assert_int_equal(address.ip.family, 4);
    assert_memory_equal(address.ip.bytes, ip4, 4);
    assert_int_equal(address.ifindex, 3);
    assert_true(address.usable);
}

static void a_tentative_address_is_not_usable(void **state)
{
    struct ifaddrmsg *info = begin(RTM_NEWADDR, sizeof(*info));
    struct netlink_address address;

    (void)state;
    info->ifa_family = AF_INET6;
    mnl_attr_put(message(), IFA_ADDRESS, 16, ip6);
    mnl_attr_put_u32(message(), IFA_FLAGS, IFA_F_TENTATIVE);
    assert_true(netlink__parse_address(message(), &address));
    assert_int_equal(address.ip.family, 6);
    assert_false(address.usable);
}

static void states_of_a_neighbor(void **state)
{
    static const struct {
        uint16_t state;
        bool valid, confirmed;
    } states[] = {
        {NUD_REACHABLE, true, true}, {NUD_PERMANENT, true, true},    {NUD_NOARP, true, true},
        {NUD_STALE, true, false},    {NUD_DELAY, true, false},       {NUD_PROBE, true, false},
        {NUD_FAILED, false, false},  {NUD_INCOMPLETE, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct ndmsg *info = begin(RTM_NEWNEIGH, sizeof(*info));
        struct netlink_neighbor neighbor;

        info->ndm_family = AF_INET;
        info->ndm_ifindex = 7;
        info->ndm_state = states[i].state;
        mnl_attr_put(message(), NDA_DST, 4, ip4);
        mnl_attr_put(message(), NDA_LLADDR, 6, mac);
        assert_true(netlink__parse_neighbor(message(), &neighbor));
        assert_int_equal(neighbor.valid, states[i].valid);
        assert_int_equal(neighbor.confirmed, states[i].confirmed);
    }
}

static void a_neighbor_without_a_mac_is_not_valid(void **state)
{
    struct ndmsg *info = begin(RTM_NEWNEIGH, sizeof(*info));
    struct netlink_neighbor neighbor;

    (void)state;
    info->ndm_family = AF_INET6;
    info->ndm_state = NUD_REACHABLE;
    mnl_attr_put(message(), NDA_DST, 16, ip6);
    assert_true(netlink__parse_neighbor(message(), &neighbor));
    assert_false(neighbor.valid);
}

static void a_route_has_gateway_and_mtu(void **state)
{
    struct rtmsg *info = begin(RTM_NEWROUTE, sizeof(*info));
    struct netlink_route route;
    struct nlattr *nest;

    (void)state;
    info->rtm_family = AF_INET;
    info->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(message(), RTA_OIF, 7);
    mnl_attr_put(message(), RTA_GATEWAY, 4, other4);
    nest = mnl_attr_nest_start(message(), RTA_METRICS);
    mnl_attr_put_u32(message(), RTAX_MTU, 1400);
    mnl_attr_nest_end(message(), nest);
    assert_true(netlink__parse_route(message(), &route));
    assert_int_equal(route.ifindex, 7);
    assert_int_equal(route.mtu, 1400);
    assert_int_equal(route.type, RTN_UNICAST);
    assert_true(route.has_gateway);
    assert_memory_equal(route.gateway.bytes, other4, 4);
}

static void a_gateway_may_be_of_the_other_family(void **state)
{
    struct rtmsg *info = begin(RTM_NEWROUTE, sizeof(*info));
    struct netlink_route route;
    uint8_t via[2 + 16] = {AF_INET6};

    (void)state;
    info->rtm_family = AF_INET;
    memcpy(via + 2, ip6, 16);
    mnl_attr_put(message(), RTA_VIA, sizeof(via), via);
    assert_true(netlink__parse_route(message(), &route));
    assert_true(route.has_gateway);
    assert_int_equal(route.gateway.family, 6);
    assert_memory_equal(route.gateway.bytes, ip6, 16);
}

static void a_route_without_gateway_is_on_the_link(void **state)
{
    struct rtmsg *info = begin(RTM_NEWROUTE, sizeof(*info));
    struct netlink_route route;

    (void)state;
    info->rtm_family = AF_INET6;
    mnl_attr_put_u32(message(), RTA_OIF, 7);
    assert_true(netlink__parse_route(message(), &route));
    assert_false(route.has_gateway);
    assert_int_equal(route.mtu, 0);
}

static void a_line_of_a_table_has_prefix_and_way(void **state)
{
    struct rtmsg *info = begin(RTM_NEWROUTE, sizeof(*info));
    struct netlink_prefix prefix;

    (void)state;
    info->rtm_family = AF_INET;
    assert_true(netlink__parse_prefix(message(), &prefix)); /* the default route has no RTA_DST */
    assert_int_equal(prefix.bits, 0);
    assert_int_equal(prefix.ip.family, 4);
    assert_false(prefix.several);
    info->rtm_dst_len = 24;
    mnl_attr_put(message(), RTA_DST, 4, ip4);
    mnl_attr_put(message(), RTA_GATEWAY, 4, other4);
    assert_true(netlink__parse_prefix(message(), &prefix));
    assert_int_equal(prefix.bits, 24);
    assert_memory_equal(prefix.ip.bytes, ip4, 4);
    assert_memory_equal(prefix.route.gateway.bytes, other4, 4);
    assert_false(prefix.several);
    info->rtm_src_len = 8; /* for some sources only */
    assert_true(netlink__parse_prefix(message(), &prefix));
    assert_true(prefix.several);
    info->rtm_src_len = 0;
    mnl_attr_put_u32(message(), RTA_NH_ID, 5);
    assert_true(netlink__parse_prefix(message(), &prefix));
    assert_true(prefix.several);
    info->rtm_dst_len = 33;
    assert_false(netlink__parse_prefix(message(), &prefix));
}

static bool rule_is_plain(uint32_t priority, uint8_t table, uint8_t source_bits, uint8_t action)
{
    struct fib_rule_hdr *info = begin(RTM_NEWRULE, sizeof(*info));

    info->family = AF_INET;
    info->table = table;
    info->src_len = source_bits;
    info->action = action;
    if (priority)
        mnl_attr_put_u32(message(), FRA_PRIORITY, priority);
    return netlink__is_plain_rule(message());
}

static void the_rules_of_every_host_are_plain_and_no_others(void **state)
{
    (void)state;
    assert_true(rule_is_plain(0, RT_TABLE_LOCAL, 0, FR_ACT_TO_TBL));
    assert_true(rule_is_plain(32766, RT_TABLE_MAIN, 0, FR_ACT_TO_TBL));
    assert_true(rule_is_plain(32767, RT_TABLE_DEFAULT, 0, FR_ACT_TO_TBL));
    assert_false(rule_is_plain(100, RT_TABLE_MAIN, 0, FR_ACT_TO_TBL));
    assert_false(rule_is_plain(32766, 42, 0, FR_ACT_TO_TBL));
    assert_false(rule_is_plain(32766, RT_TABLE_MAIN, 24, FR_ACT_TO_TBL));
    assert_false(rule_is_plain(32766, RT_TABLE_MAIN, 0, FR_ACT_BLACKHOLE));
}

static void attributes_of_a_wrong_size_are_not_read(void **state)
{
    struct netlink_link link;
    struct netlink_address address;
    struct ifaddrmsg *info;

    (void)state;
    put_link();
    mnl_attr_put(message(), IFLA_MTU, 2, mac);
    mnl_attr_put(message(), IFLA_ADDRESS, 4, mac);
    assert_true(netlink__parse_link(message(), &link));
    assert_int_equal(link.mtu, 0);
    assert_false(link.has_mac);
    info = begin(RTM_NEWADDR, sizeof(*info));
    info->ifa_family = AF_INET;
    mnl_attr_put(message(), IFA_LOCAL, 5, ip6);
    assert_false(netlink__parse_address(message(), &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_is_understood),
        cmocka_unit_test(a_link_without_carrier_is_down),
        cmocka_unit_test(a_bridge_port_is_not_a_link),
        cmocka_unit_test(a_cut_message_is_not_understood),
        cmocka_unit_test(the_local_address_of_a_point_to_point_link_is_ours),
        cmocka_unit_test(a_tentative_address_is_not_usable),
        cmocka_unit_test(states_of_a_neighbor),
        cmocka_unit_test(a_neighbor_without_a_mac_is_not_valid),
        cmocka_unit_test(a_route_has_gateway_and_mtu),
        cmocka_unit_test(a_gateway_may_be_of_the_other_family),
        cmocka_unit_test(a_route_without_gateway_is_on_the_link),
        cmocka_unit_test(a_line_of_a_table_has_prefix_and_way),
        cmocka_unit_test(the_rules_of_every_host_are_plain_and_no_others),
        cmocka_unit_test(attributes_of_a_wrong_size_are_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
