/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* tap: the socket filter of a packet socket that shares a device between the host stack and the
 * switch where XDP is not to be had, and on lo.
 *
 * It decides what the mux decides (classify.h), but can take nothing away: what is claimed goes to
 * the packet socket *as well*, and the host's copy is swallowed by the placeholder that has bound
 * the same 3-tuple. Whatever is not claimed ends here, before it is queued or copied; and what is claimed
 * but refused by the guard (guard.h) ends at that placeholder alone.
 *
 * On lo a frame is addressed to the host's own stack or to a stack of its own, and never to both: so
 * what the switch sends into lo (to tuples that no stack has bound) does not come back to it, and
 * what does come back, because a stack has bound the tuple meanwhile, is delivered once and not sent
 * again. There is no way round. */
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

#define PACKET_CONTEXT     struct __sk_buff
#define PACKET_TYPE_TO_ALL 2 /* PACKET_MULTICAST; broadcast is below it: both are groups */

const volatile __u32 tap_local = 0; /* set before it is loaded: on lo */

static __always_inline __u64 packet_size(struct __sk_buff *ctx)
{
    return ctx->len;
}

static __always_inline long packet_load(struct __sk_buff *ctx, __u32 offset, void *to, __u32 size)
{
    return bpf_skb_load_bytes(ctx, offset, to, size);
}

static __always_inline bool packet_is_local(void)
{
    return tap_local;
}

#include "classify.h"

struct guard_cookie;

/* A packet socket gets copies: nothing can be sent back from here. */
static __always_inline enum mux_verdict
packet_answer(struct __sk_buff *ctx, const struct guard_cookie *terms, __u32 family, __u64 now_ns)
{
    (void)ctx;
    (void)terms;
    (void)family;
    (void)now_ns;
    return MUX_CLAIMED;
}

#define packet_load_at packet_load

#include "guard_tables.h"

#include "guard.h"

/* What the kernel keeps of the frame: all of it, or nothing. */
#define KEEP 0xffffffff
#define SKIP 0

SEC("socket")
int multistack_tap(struct __sk_buff *ctx)
{
    struct frame frame = {.ctx = ctx}; /* without direct access: everything is loaded */
    struct transport transport = {};
    enum mux_verdict verdict;
    __u32 everywhere;

    if (ctx->pkt_type > PACKET_TYPE_TO_ALL)
        return conclude(MUX_PASS_NOT_OURS, SKIP);
    if (ctx->vlan_present) /* the kernel has taken the tag off by now, wherever it was */
        return conclude(MUX_PASS_VLAN, SKIP);
    verdict = classify_ip(&frame, (__be16)ctx->protocol, &transport);
    if (verdict != MUX_CLAIMED)
        return conclude(verdict, SKIP);
    if (!switch_is_alive(&everywhere))
        return conclude(MUX_PASS_NO_SWITCH, SKIP);
    if (transport.policy | everywhere) {
        verdict = guard_judge(ctx, &transport, everywhere);
        if (verdict != MUX_CLAIMED)
            return conclude(verdict, SKIP);
    }
    return conclude(MUX_CLAIMED, KEEP);
}

/* Only declares what the helpers above ask for: they are for GPL-compatible programs alone. */
char tap_license[] SEC("license") = "Dual BSD/GPL";
