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

/* A packet socket on the device that gives the switch what is claimed, and nothing before it is
 * filtered; or -1 after it has logged why. */
int tap_open_socket(const struct tap_program *tap, const char *device, uint32_t ifindex);
/* The map of counted verdicts; the descriptor stays ours. */
int tap_verdicts_fd(const struct tap_program *tap);

#endif
