/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports that go on sending what no stack may send.
 *
 * Each such packet is dropped and counted, and costs its port a part of its turn; a stray one means
 * nothing. But who sends thousands of them a second, and more of them than of good ones, is broken or
 * tries what it can get through: it is detached, so that somebody looks at it (hostile.md, P9).
 *
 * Judged once in MISUSE_WINDOW_NS out of the counters, so it costs no packet anything. Packets of a
 * binding that is suspended, because its address has gone, are no misuse: their owner may not have
 * heard of it yet. */
#ifndef MULTISTACK_SWITCH_MISUSE_H
#define MULTISTACK_SWITCH_MISUSE_H

#include <stdint.h>

#define MISUSE_WINDOW_NS 1000000000ULL

struct switch_core;

/* What a port had sent when it was judged last. */
struct misuse {
    uint64_t rejected, not_bound, accepted;
};

/* Detaches the ports that deserve it. To be called by the first worker, from time to time. Connections
 * may be closed. */
void misuse_housekeep(struct switch_core *core, uint64_t now_ns);

#endif
