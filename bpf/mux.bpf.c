/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mux: the XDP program that shares a NIC between the host stack and the switch.
 *
 * It decides one thing: is this frame for a 3-tuple <protocol, local address, local port> that a
 * stack has bound? Then it goes to the AF_XDP socket of its queue. Everything else passes to the
 * host stack, and so does everything that cannot be parsed whole, is not addressed to this host,
 * carries IPv4 options, or comes while no switch is there to take it. In doubt the kernel gets the
 * frame: it was there first and knows more. Groups pass too (the host stack delivers them, also to
 * the placeholders of stacks: groups.bpf.c).
 *
 *   frame → ether → ipv4/ipv6 → TCP, UDP, others with ports  destination 3-tuple ──────┐
 *                             → protocols without ports      <protocol, address>, port 0 ┤
 *                             → ICMP, ICMPv6 errors          quoted source 3-tuple ───────┤
 *                                                                                         ▼
 *                                claim: bound? → an address of this host? → switch alive? → guard → redirect
 *
 *   with extension headers or in fragments: the same, by way of a walk
 *
 * Parsing is a cursor with self-checking steps: at() gives a header only when it lies wholly in the
 * frame. On the usual way every offset is a constant. What moves them (IPv6 extension headers) takes
 * the slow way: a bounded walk, in functions of their own, which loads what it looks at.
 *
 * Fragments (RFC 791, RFC 8200 section 4.5). A first fragment that is claimed is remembered by
 * <source, destination, protocol, id> in mux_fragments, an LRU hash, for MUX_FRAGMENT_TIMEOUT_NS,
 * and what follows it is claimed as well. Later fragments that come before it, or after it was
 * forgotten, pass. The switch puts them together (switch/fragments.c) and judges overlaps.
 *
 * The program may be attached to a device with multi-buffer frames ("frags"): data..data_end is
 * then only the linear part, and at() copies what lies beyond it.
 *
 * Every verdict leaves through conclude(), which counts it. */
#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h> /* the compiler's own */

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mux_maps.h"
#include "reasons.h"

#define PACKET_CONTEXT struct xdp_md

static __always_inline __u64 packet_size(struct xdp_md *ctx)
{
    return bpf_xdp_get_buff_len(ctx);
}

static __always_inline long packet_load(struct xdp_md *ctx, __u32 offset, void *to, __u32 size)
{
    return bpf_xdp_load_bytes(ctx, offset, to, size);
}

static __always_inline bool packet_is_local(void)
{
    return false;
}

#include "classify.h"
#include "guard_cookie.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct mux_nic);
} mux_nic SEC(".maps");

static __always_inline enum mux_verdict
packet_answer(struct xdp_md *ctx, const struct guard_cookie *terms, __u32 family, __u64 now_ns)
{
    __u32 zero = 0;
    const struct mux_nic *nic = bpf_map_lookup_elem(&mux_nic, &zero);

    if (!nic || nic->way == MUX_WAY_NONE)
        return MUX_CLAIMED;
    switch (guard_answer(ctx, terms, family, nic->way == MUX_WAY_GENERIC ? GUARD_WAY_GENERIC : 0,
                         now_ns)) {
    case GUARD_ANSWER_SENT: return MUX_GUARD_COOKIE;
    case GUARD_ANSWER_DAMAGED: return MUX_GUARD_DAMAGED;
    default: return MUX_CLAIMED;
    }
}

static __always_inline long packet_load_at(struct xdp_md *ctx, __u32 offset, void *to, __u32 size)
{
    return guard_load(ctx, offset, to, size) ? 0 : packet_load(ctx, offset, to, size);
}

#include "guard_tables.h"

#include "guard.h"

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, MUX_QUEUES_MAX);
    __type(key, __u32);
    __type(value, __u32);
} mux_sockets SEC(".maps");

static __always_inline bool mac_is_ours(const __u8 *mac)
{
    __u32 zero = 0;
    const struct mux_nic *nic;

    if (mac[0] & 1) /* a group, broadcast too */
        return true;
    nic = bpf_map_lookup_elem(&mux_nic, &zero);
    return nic && mac[0] == nic->mac[0] && mac[1] == nic->mac[1] && mac[2] == nic->mac[2] &&
           mac[3] == nic->mac[3] && mac[4] == nic->mac[4] && mac[5] == nic->mac[5];
}

static __always_inline enum mux_verdict classify(const struct frame *frame,
                                                 struct transport *transport)
{
    struct ethhdr copy;
    const struct ethhdr *ether = at(frame, 0, sizeof(*ether), &copy);

    if (!ether)
        return MUX_PASS_UNPARSED;
    if (!mac_is_ours(ether->h_dest))
        return MUX_PASS_NOT_OURS;
    return classify_ip(frame, ether->h_proto, transport);
}

SEC("xdp.frags")
int multistack_mux(struct xdp_md *ctx)
{
    struct frame frame = {
        .ctx = ctx,
        .data = (const __u8 *)(long)ctx->data,
        .data_end = (const __u8 *)(long)ctx->data_end,
    };
    struct transport transport = {};
    enum mux_verdict verdict = classify(&frame, &transport);
    __u32 everywhere;
    int action;

    if (verdict != MUX_CLAIMED)
        return conclude(verdict, XDP_PASS);
    if (!switch_is_alive(&everywhere))
        return conclude(MUX_PASS_NO_SWITCH, XDP_PASS);
    if (transport.policy | everywhere) {
        verdict = guard_judge(ctx, &transport, everywhere);
        if (verdict != MUX_CLAIMED)
            return conclude(verdict, verdict == MUX_GUARD_COOKIE ? XDP_TX : XDP_DROP);
    }
    /* A queue without a socket (the switch is being started again) gives the fallback. */
    action = bpf_redirect_map(&mux_sockets, ctx->rx_queue_index, XDP_PASS);
    return conclude(action == XDP_REDIRECT ? MUX_CLAIMED : MUX_PASS_NO_SWITCH, action);
}

/* Only declares what the helpers above ask for: they are for GPL-compatible programs alone. */
char mux_license[] SEC("license") = "Dual BSD/GPL";
