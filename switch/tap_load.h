/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper's hand on the tap (bpf/tap.bpf.c): the filter of a packet socket, which looks into the
 * same maps as the mux. It belongs to the socket, and ends with it. */
#ifndef MULTISTACK_TAP_LOAD_H
#define MULTISTACK_TAP_LOAD_H

#include "mux_load.h"

struct tap_bpf;

/* All zero: none. */
struct tap_program {
    struct tap_bpf *skeleton;
};

/* Loads it for a device; creates `maps` when nobody has yet. `local`: the device is lo. Returns 0, or
 * -1 after it has logged why. */
int tap_load(struct tap_program *tap, struct mux_maps *maps, const char *device, bool local);
void tap_unload(struct tap_program *tap);

/* Packet sockets on the device that give the switch what is claimed, and nothing before it is filtered,
 * for as many workers as want one: each frame comes to one of them, those of a flow to the same one
 * (PACKET_FANOUT). Opens up to `wanted`; returns how many there are, which is one where the kernel does not
 * spread, or 0 after it has logged why. `*later`: it would, were the device up (before Linux 6.13). */
uint32_t tap_open_sockets(const struct tap_program *tap, const struct mux_maps *maps,
                          const struct netlink_link *link, uint32_t wanted, int *fds, bool *later);
/* The map of counted verdicts; the descriptor stays ours. */
int tap_verdicts_fd(const struct tap_program *tap);

#endif
