/* SPDX-License-Identifier: BSD-2-Clause */
/* How far an answer about a next hop holds.
 *
 * The switch asks about each destination, and the kernel answers thousands of questions a second, no
 * more. A flood of SYNs from random addresses asks for more: honest answers would wait behind those to
 * nobody. But nearly all of them lead to the same gateway, and the kernel's tables say how far around a
 * destination that is so: up to the nearest prefix that another line of a table is about.
 *
 *   tables   0.0.0.0/0 via G, 10.77.0.0/24, 10.77.0.1/32 …
 *   asked    198.18.5.5: shares no bit with 10…, so 128.0.0.0/1 leads to G as well
 *            10.200.0.1: shares eight bits with 10.77…, so 10.128.0.0/9 does
 *
 * Only where that is certain: one gateway, the one that the table names (and no redirect or path MTU of
 * this destination alone), no rules besides the usual ones, no more than PREFIXES_MAX lines. Otherwise
 * each destination is asked for by itself, as before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keeper_internal.h"

#define PREFIXES_MAX 4096
#define AGAIN_NS     NS_PER_SEC /* routes that flap are not listed more often */

static bool add_prefix(void *context, const struct netlink_prefix *prefix)
{
    struct keeper_reach *reach = context;

    if (reach->count == PREFIXES_MAX)
        return false;
    reach->prefixes[reach->count++] = *prefix;
    return true;
}

static void list(struct keeper_reach *reach, uint8_t family)
{
    bool policy = true;
    int status;

    reach->known = true;
    reach->usable = false;
    reach->count = 0;
    if (!reach->prefixes)
        reach->prefixes = calloc(PREFIXES_MAX, sizeof(*reach->prefixes));
    if (!reach->prefixes)
        return;
    status = netlink_has_policy(family, &policy);
    if (!status && !policy)
        status = netlink_list_routes(family, add_prefix, reach);
    reach->usable = !status && !policy;
    if (status == -EINTR || status == -ETIMEDOUT)
        reach->known = false; /* once more, a second later */
    log_debug("IPv%u: %s", family,
              reach->usable ? "answers hold for prefixes" : "each destination is asked for");
}

/* How many of the first `most` bits two addresses share. */
static uint8_t shared_bits(const uint8_t *a, const uint8_t *b, uint8_t most)
{
    uint8_t bits = 0;

    while (bits < most && !((a[bits / 8] ^ b[bits / 8]) >> (7 - bits % 8) & 1))
        bits++;
    return bits;
}

static bool same_gateway(const struct netlink_route *a, const struct netlink_route *b)
{
    return a->has_gateway && b->has_gateway && a->ifindex == b->ifindex &&
           memcmp(&a->gateway, &b->gateway, sizeof(a->gateway)) == 0;
}

uint8_t keeper__reach(struct keeper *keeper, const struct channel_ip *destination,
                      const struct netlink_route *route)
{
    struct keeper_reach *reach = &keeper->reach[destination->family == 6];
    const uint8_t all = destination->family == 4 ? 32 : 128;
    const struct netlink_prefix *longest = NULL;
    uint8_t bits = 1; /* nothing less is ever claimed to be alike */
    bool certain = false;

    if (!route->has_gateway || route->mtu || keeper->host.routes_dirty)
        return 0;
    if (!reach->known && keeper__now() >= reach->due_ns) {
        reach->due_ns = keeper__now() + AGAIN_NS;
        list(reach, (uint8_t)destination->family);
    }
    if (!reach->known || !reach->usable)
        return 0;
    for (uint32_t i = 0; i < reach->count; i++) {
        const struct netlink_prefix *prefix = &reach->prefixes[i];
        uint8_t shared = shared_bits(destination->bytes, prefix->ip.bytes, prefix->bits);

        if (shared < prefix->bits) { /* it is about others: those that share one bit more */
            if (shared + 1 > bits)
                bits = shared + 1;
            continue;
        }
        if (prefix->bits > bits)
            bits = prefix->bits;
        if (!longest || prefix->bits > longest->bits) {
            longest = prefix;
            certain = true;
        }
        /* of several lines for the same prefix the one with the better metric counts */
        if (prefix->bits == longest->bits)
            certain &= !prefix->several && same_gateway(&prefix->route, route);
    }
    return certain && bits < all ? bits : 0;
}

void keeper__forget_reach(struct keeper *keeper)
{
    keeper->reach[0].known = keeper->reach[1].known = false;
}

void keeper__free_reach(struct keeper *keeper)
{
    for (int i = 0; i < 2; i++) {
        free(keeper->reach[i].prefixes);
        keeper->reach[i] = (struct keeper_reach){0};
    }
}
