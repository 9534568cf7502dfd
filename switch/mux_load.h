/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper's hand on the mux (bpf/mux.bpf.c): its maps, and one program on each NIC.
 *
 * A program is held by a link whose only descriptor is the keeper's, never pinned: whatever ends
 * the keeper, SIGKILL too, takes the program off the NIC. A program that is already there is never
 * replaced. With `share=yes` libxdp's dispatcher holds it instead, beside others; the dispatcher
 * pins it, so an unclean end leaves it on the NIC, where the dead heartbeat makes it pass
 * everything until the next start takes it away. */
#ifndef MULTISTACK_MUX_LOAD_H
#define MULTISTACK_MUX_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "config.h"
#include "device.h"
#include "mux_maps.h"

#define MUX_PROGRAM_NAME "multistack_mux"

/* The guard's maps: those that the switch is given, in the channel's order, and one that is the
 * programs' alone. */
enum { MUX_GUARD_SOURCES = CHANNEL_GUARD_MAPS, MUX_GUARD_MAPS };

/* What all NICs share. */
struct mux_maps {
    int bindings, addresses, shared_fd; /* -1: not created yet */
    int silencer; /* a socket filter that drops everything, for placeholders; -1: not loaded yet */
    int groups_ring, groups_filter; /* copies of what groups get, and who makes them; -1: none */
    int guard[MUX_GUARD_MAPS];      /* those of guard_maps.h; -1: not created yet */
    struct mux_shared *shared;      /* the mapping of shared_fd */
};

#define MUX_MAPS_INIT                                                                              \
    {                                                                                              \
        .bindings = -1, .addresses = -1, .shared_fd = -1, .silencer = -1, .groups_ring = -1,       \
        .groups_filter = -1, .guard = {                                                            \
            -1,                                                                                    \
            -1,                                                                                    \
            -1,                                                                                    \
            -1,                                                                                    \
            -1,                                                                                    \
            -1                                                                                     \
        }                                                                                          \
    }

static_assert(MUX_GUARD_MAPS == 6, "MUX_MAPS_INIT has as many");

struct bpf_object;
struct mux_bpf;
struct xdp_program;

/* The program on one NIC. All zero: none. */
struct mux_program {
    struct mux_bpf *skeleton;
    struct xdp_program *shared; /* share=yes: what the dispatcher knows it by */
    int link_fd;                /* otherwise: what holds it */
    uint32_t ifindex;
    bool native;
    bool answers; /* frames may be sent back (XDP_TX) */
};

/* Keeps the last of libbpf's and libxdp's own words, for our messages. */
void mux_log_init(void);
const char *mux_library_reason(void);

/* Loads the program and attaches it to `device` as `spec` wishes; creates `maps` when it is the
 * first. Returns 0, or -1 after it has logged why. */
int mux_attach(struct mux_program *mux, struct mux_maps *maps, const struct device *device,
               const struct nic_spec *spec);
/* Loads it as for `device`, and attaches it to nothing: does the kernel take it? */
int mux_try(struct mux_maps *maps, const char *device);
/* As mux_attach() for a device that took the place of one that went away. Loads nothing anew, which takes
 * a capability that the keeper has given away by then. */
int mux_attach_again(struct mux_program *mux, struct mux_maps *maps, const struct device *device,
                     const struct nic_spec *spec);
void mux_detach(struct mux_program *mux);
/* False: somebody detached it under us. With share=yes nobody can tell, and it is true. */
bool mux_is_attached(const struct mux_program *mux);
/* The id of the XDP program on the device, whosever it is; 0: none. */
uint32_t mux_occupant(const struct device *device);

/* Each returns 0 or a negative errno. */
int mux_set_mac(struct mux_program *mux, const uint8_t mac[6]);
int mux_set_socket(struct mux_program *mux, uint32_t queue, int xsk_fd);
/* The map of counted verdicts; the descriptor stays ours. */
int mux_verdicts_fd(const struct mux_program *mux);
/* How many values one element of it has: one for each processor that there may be. */
uint32_t mux_verdict_cpus(void);
int mux_set_address(const struct mux_maps *maps, const struct channel_ip *ip, uint32_t ifindex,
                    bool present);
/* Forgets every binding, after the switch that made them is gone. */
void mux_clear_bindings(const struct mux_maps *maps);
/* The maps of the first program become everybody's. Returns 0, or -1 after it has logged why. */
int mux_adopt_maps(struct mux_maps *maps, const struct bpf_object *program);
/* Another program gets the same ones, before it is loaded. 0 or a negative errno. */
int mux_share_maps(const struct mux_maps *maps, struct bpf_object *program);
void mux_close_maps(struct mux_maps *maps);

#endif
