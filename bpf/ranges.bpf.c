/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ranges: what keeps ranges of ports for stacks, without a socket for each port.
 *
 * A single binding is reserved by a kernel socket that is bound to it. A range has thousands of
 * ports; as many sockets would take megabytes of the kernel's memory and more descriptors than a
 * process may have. Two programs do for a range what a placeholder does for a port:
 *
 *   bind(2) ──► multistack_range_bind    refuses ports of a range (EADDRINUSE), as if each of them
 *                                        had its placeholder
 *   packet ──► host stack ──► multistack_range_lookup
 *                                        no connection: to a mute socket, one for all ranges, whose
 *                                        filter drops everything; so the host stack does not answer
 *                                        RST or "port unreachable" for ports that it knows nothing of
 *
 * The keeper holds both by links, which end with its descriptors: nothing is left behind however it
 * ends. They are attached as long as there is a range. What bind(2) does not see are the ports that
 * connect(2) and sendto(2) choose; ranges therefore lie outside net.ipv4.ip_local_port_range.
 *
 * bind(2) is watched for all programs under the control group that the keeper attached to, and what
 * is asked is whether the socket is of the NICs' network namespace. The keeper itself, when it tries
 * whether a port is free, names its socket in range_trial. */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <stdbool.h> /* the compiler's own */

#include <bpf/bpf_helpers.h>

#include "range_maps.h"

#define FAMILY_INET6 10 /* AF_INET6; <sys/socket.h> is not for this target */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, RANGE_PROTOCOLS *RANGE_UNITS);
    __type(key, __u32);
    __type(value, __u8);
} range_units SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, RANGE_MUTES);
    __type(key, __u32);
    __type(value, __u64);
} range_mutes SEC(".maps");

const volatile __u64 range_netns = 0; /* cookie */
__u64 range_trial = 0;                /* cookie of the keeper's own socket */

static __always_inline bool is_taken(__u32 protocol, __u32 port)
{
    __u32 unit = range_unit(protocol == IPPROTO_UDP, port);
    const __u8 *taken;

    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
        return false;
    taken = bpf_map_lookup_elem(&range_units, &unit);
    return taken && *taken;
}

static __always_inline int refuse_taken(struct bpf_sock *sk)
{
    if (!is_taken(sk->protocol, sk->src_port) || bpf_get_netns_cookie(sk) != range_netns ||
        bpf_get_socket_cookie(sk) == *(volatile __u64 *)&range_trial)
        return 1;
    bpf_set_retval(-EADDRINUSE);
    return 0;
}

SEC("cgroup/post_bind4")
int multistack_range_bind4(struct bpf_sock *sk)
{
    return refuse_taken(sk);
}

SEC("cgroup/post_bind6")
int multistack_range_bind6(struct bpf_sock *sk)
{
    return refuse_taken(sk);
}

SEC("sk_lookup")
int multistack_range_lookup(struct bpf_sk_lookup *ctx)
{
    __u32 mute = range_mute(ctx->protocol == IPPROTO_UDP, ctx->family == FAMILY_INET6);
    struct bpf_sock *sk;

    if (!is_taken(ctx->protocol, ctx->local_port))
        return SK_PASS;
    sk = bpf_map_lookup_elem(&range_mutes, &mute);
    if (!sk)
        return SK_PASS;
    bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_REPLACE);
    bpf_sk_release(sk);
    return SK_PASS;
}

/* Only declares what the helpers above ask for. */
char ranges_license[] SEC("license") = "Dual BSD/GPL";
