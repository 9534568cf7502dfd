/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper's state, shared by keeper*.c. */
#ifndef MULTISTACK_KEEPER_INTERNAL_H
#define MULTISTACK_KEEPER_INTERNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"
#include "config.h"
#include "control_socket.h"
#include "device.h"
#include "host_settings.h"
#include "isolation.h"
#include "log.h"
#include "mux_load.h"
#include "netlink.h"
#include "range_load.h"
#include "tap_load.h"
#include "wire_meeting.h"

struct keeper_nic {
    struct nic_spec spec;
    struct device device; /* its link is kept up to date by netlink */
    struct mux_program mux;
    struct tap_program tap; /* of the packet driver, instead of the mux */
    uint32_t index;
    uint32_t queue_count;
    uint16_t bind_flags;   /* of AF_XDP, that worked; 0: not bound yet */
    uint32_t frame_chunks; /* of a frame to be sent, in the TX ring */
    bool zero_copy, multi_buffer, large, metadata;
    struct xsk *queues;          /* made for the switch that is about to start; NULL: it has them */
    bool seen;                   /* by the dump that is running */
    bool gone;                   /* the device went away */
    bool returned;               /* and there is one of its name again */
    bool dirty;                  /* the switch does not know the latest state of the link */
    bool displaced;              /* somebody took the mux off, and another program is there */
    bool spread_later;           /* workers share its frames only when it is up (packet) */
    uint64_t opened_at_ns;       /* when opening it was tried the last time, since it is gone */
    struct log_limit said;       /* links flap */
    bool busy_poll;              /* its sockets prefer it */
    struct host_settings vlan;   /* so that tags stay in its frames */
    struct host_settings napi;   /* which that takes */
    struct wire_meeting meeting; /* of a wire */
};

/* An address of this host on one of its devices. The same address may be on several. */
struct keeper_address {
    struct channel_ip ip;
    uint32_t ifindex;
    bool present;
    bool seen;  /* by the dump that is running */
    bool dirty; /* mux and switch do not know it yet */
};

#define KEEPER_ADDRESSES_MAX MUX_ADDRESSES_MAX

struct keeper_host {
    struct keeper_address addresses[KEEPER_ADDRESSES_MAX];
    uint32_t address_count;
    bool dirty;        /* some address or NIC is */
    bool routes_dirty; /* the switch has to forget what it resolved */
    struct log_limit full_limit;
};

/* The switch process, as long as there is one. */
struct keeper_switch {
    pid_t pid;     /* 0: none */
    int channel;   /* -1: none */
    bool ready;    /* it said CHANNEL_READY */
    bool replaced; /* its end is our will */
    uint64_t started_ns;
    uint64_t died_ns;     /* the last one */
    uint64_t start_at_ns; /* when to start the next; 0: not waiting */
    uint32_t restarts;
    /* How often it was started: within a window, and how long the wait has grown. */
    uint64_t window_ns;
    uint32_t window_starts;
    uint64_t wait_ns;
    bool muted;         /* requests wait until the bucket fills again */
    uint64_t tokens_ns; /* the bucket of requests, in the time that refills it */
    uint64_t refilled_ns;
};

/* What prefixes there are routes for (keeper_reach.c). */
struct keeper_reach {
    struct netlink_prefix *prefixes;
    uint32_t count;
    bool known;      /* prefixes are those of now */
    bool usable;     /* … and all of them, and no rule chooses between tables */
    uint64_t due_ns; /* not to be asked for again before */
};

#define KEEPER_RANGES_MAX  (RANGE_PROTOCOLS * RANGE_UNITS)
#define KEEPER_RANGE_QUEUE 256

/* A block of ports that a stack has. */
struct keeper_range {
    uint32_t uid;
    uint32_t first, port_count;
    bool is_udp;
    bool is_orphan; /* of a switch that died */
};

/* What is being tried for the head of the queue. */
struct keeper_trial {
    uint32_t offset;            /* of the first block, among those of this size */
    uint32_t tried;             /* blocks so far */
    uint32_t first, port_count; /* 0: none is being tried */
    uint32_t port;              /* next */
    bool is_udp;
};

struct keeper_ranges {
    struct range_programs programs;
    bool needs_programs;   /* there are NICs of the kernel's */
    uint64_t chosen[1024]; /* bits: ports that connect(2) may choose */
    uint32_t count;
    uint32_t head, queued;
    uint64_t orphans_until_ns; /* 0: there are none, or no switch that they could return to */
    struct keeper_trial trial;
    struct keeper_range list[KEEPER_RANGES_MAX];
    struct channel_range queue[KEEPER_RANGE_QUEUE];
};

struct keeper {
    const struct config *config;
    struct keeper_nic nics[CONFIG_NICS_MAX + 1]; /* and lo */
    uint32_t nic_count;
    struct mux_maps maps;
    struct netlink netlink;
    struct control_socket control;
    struct isolation isolation;
    struct keeper_host host;
    struct host_settings settings;
    struct keeper_reach reach[2]; /* IPv4, IPv6 */
    struct keeper_switch child;
    struct keeper_ranges ranges;
    int guard_store; /* where the switch keeps rules for the next one; -1: not made yet */
    sigset_t signals;
    int epoll_fd;
    int signal_fd;
    int mutes[2 * CONFIG_PROTOCOLS_MAX]; /* raw sockets that swallow: keeper_protocols.c */
    uint32_t mute_count;
    uint64_t known[4]; /* protocols of [protocols] that the kernel has sockets of: bits */
    uint64_t instance;
    uint64_t hash_key[4]; /* for every switch */
    uint8_t secret[16];   /* the same */
    uint64_t netns_cookie;
    uint64_t started_ns;
    uint64_t absent;      /* FEATURE_BIT()s of what the kernel lacks */
    uint64_t watchdog_ns; /* interval that systemd wants to hear from us in; 0: it does not */
    uint64_t watchdog_at_ns;
    uint64_t look_at_ns; /* when to look again at what nobody tells of the NICs */
    bool announced;      /* READY=1 was said */
    bool stopping;
    bool failed; /* cannot go on */
};

#define NS_PER_MS  1000000ULL
#define NS_PER_SEC 1000000000ULL

uint64_t keeper__now(void); /* CLOCK_MONOTONIC, ns */

/* keeper_nic.c: NICs. Each returns 0, or -1 after it has logged why. Opening one that is gone
 * serves the device that has its name now. */
int keeper__open_nic(struct keeper *keeper, struct keeper_nic *nic);
/* Puts the mux back where somebody else took it off, as soon as the device has no other program. */
void keeper__watch_mux(struct keeper *keeper, struct keeper_nic *nic);
/* Whether the device's queues are others than those that the switch has: it needs new sockets. */
bool keeper__queues_changed(struct keeper_nic *nic);
void keeper__close_nic(struct keeper_nic *nic);
/* Opens the AF_XDP sockets of `nic` for a switch that is then forked. */
int keeper__prepare_nic(struct keeper_nic *nic);
/* Hands them to it. Our own part in them is to be released afterwards in any case: they must end when
 * the switch does. */
int keeper__send_nic(struct keeper *keeper, struct keeper_nic *nic);
void keeper__release_queues(struct keeper_nic *nic);
/* Has the device leave VLAN tags in its frames, where XDP sees them; says so where they are not to be had. */
void keeper__keep_tags(struct keeper *keeper, struct keeper_nic *nic);
/* Says so of a device that has tags beside its frames, where AF_XDP serves it. */
void keeper__warn_of_hidden_tags(const struct device *device);
/* Whether frames to be sent are longer now than the switch has room for: it needs new sockets. */
bool keeper__outgrew_frames(const struct keeper_nic *nic);
/* Whether frames of the device's MTU fit into what its sockets were bound with. */
int keeper__check_mtu(const struct keeper_nic *nic);
int keeper__check_nic(const struct nic_spec *spec, const struct device *device);

/* keeper_protocols.c: protocols that have no placeholder. */
void keeper__open_protocols(struct keeper *keeper);
void keeper__close_protocols(struct keeper *keeper);
/* To a switch that is starting. 0 or a negative errno. */
int keeper__send_protocols(struct keeper *keeper);

/* keeper_ranges.c: ranges of ports. `needs_programs`: some NIC is the kernel's. */
void keeper__open_ranges(struct keeper *keeper, bool needs_programs);
void keeper__close_ranges(struct keeper *keeper);
/* What the switch says. */
void keeper__want_range(struct keeper *keeper, const struct channel_range *request);
void keeper__release_range(struct keeper *keeper, const struct channel_range_release *message);
/* The switch died; there is another. */
void keeper__orphan_ranges(struct keeper *keeper);
void keeper__await_ranges(struct keeper *keeper);
/* Goes on with what is wanted. Returns when to come again, ns. */
uint64_t keeper__serve_ranges(struct keeper *keeper, uint64_t now);

/* keeper_switch.c: the switch's life. */
/* Starts a switch. 0, or -1 after it has logged why: then none is running. */
int keeper__start_switch(struct keeper *keeper);
/* After its end: notes it, and starts another or plans to. */
void keeper__switch_died(struct keeper *keeper);
/* The channel is readable, or closed. */
void keeper__hear_switch(struct keeper *keeper);
/* Ends a switch that does not serve as it should; the end is then noticed as any other. */
void keeper__kill_switch(struct keeper *keeper, const char *why);
/* The same for one that did nothing wrong, but has to be given other things. */
void keeper__replace_switch(struct keeper *keeper, const char *why);
void keeper__stop_switch(struct keeper *keeper);
/* What is due by time: starting again, a switch that hangs. Returns when to come again, ns. */
uint64_t keeper__switch_timers(struct keeper *keeper, uint64_t now);
/* One message, of the size that its header says. 0, -EAGAIN where the switch has to read first, or
 * another negative errno when it is gone. */
int keeper__send(struct keeper *keeper, const void *message, const int *fds, uint32_t fd_count);
/* The same, but waits a while for a switch that is just starting. */
int keeper__send_patiently(struct keeper *keeper, const void *message, const int *fds,
                           uint32_t fd_count);

/* keeper_host.c: what netlink says of the host, to mux and switch. */
extern const struct netlink_events keeper__events;
void keeper__dump_host(struct keeper *keeper);
/* Tells mux and switch whatever they do not know yet. */
void keeper__sync(struct keeper *keeper);
/* Makes sync say everything again: to a new switch. */
void keeper__forget_sync(struct keeper *keeper);

/* keeper_wire.c: NICs that are wires (nic->spec.driver); the functions of keeper_nic.c call these. */
static inline bool keeper__is_wire(const struct keeper_nic *nic)
{
    return nic->spec.driver == NIC_DRIVER_WIRE;
}
int keeper__open_wire(struct keeper *keeper, struct keeper_nic *nic);
int keeper__check_wire(const struct nic_spec *spec);
int keeper__send_wire(struct keeper *keeper, struct keeper_nic *nic);
/* Looks after all wires: who came, who went. Returns when to come again, ns. */
uint64_t keeper__serve_wires(struct keeper *keeper, uint64_t now);
/* What the switch has seen of a NIC's frames: its device's settings follow. */
void keeper__napi_told(struct keeper *keeper, const struct channel_napi *message);
/* The switch has nothing to do with this link any more. */
void keeper__wire_broken(struct keeper *keeper, uint32_t index);
/* The heartbeat's page and the like, where no NIC brought the mux's. */
int keeper__do_without_mux(struct keeper *keeper);
/* Whether the address is one that this host has on a wire. */
bool keeper__wire_has(const struct keeper *keeper, const struct channel_ip *ip);
/* Answers where the destination is on a wire; false: it is not. */
bool keeper__resolve_on_wire(const struct keeper *keeper, const struct channel_resolve *request,
                             struct channel_next_hop *answer);

/* keeper_packet.c: NICs of the packet driver. */
static inline bool keeper__is_packet(const struct keeper_nic *nic)
{
    return nic->spec.driver == NIC_DRIVER_PACKET;
}
int keeper__open_packet(struct keeper *keeper, struct keeper_nic *nic);
int keeper__send_packet(struct keeper *keeper, struct keeper_nic *nic);
/* Whether the kernel refused to spread its frames over the workers only because it was down, and it is up. */
bool keeper__may_spread_now(const struct keeper_nic *nic);
/* Serves lo as well, where nobody has named it. Without it, after it has logged why, goes on. */
void keeper__add_local(struct keeper *keeper);
/* Makes the host's settings: lo's, where it is served, and those of NICs. */
void keeper__prepare_host(struct keeper *keeper);

/* keeper_resolve.c: the switch asks where a destination is. */
/* keeper_reach.c: how many leading bits of a destination with a gateway decide where it leads; 0: all of
 * them. `route` is what the kernel has said of it. */
uint8_t keeper__reach(struct keeper *keeper, const struct channel_ip *destination,
                      const struct netlink_route *route);
/* Routes may have changed. */
void keeper__forget_reach(struct keeper *keeper);
void keeper__free_reach(struct keeper *keeper);

void keeper__resolve(struct keeper *keeper, const struct channel_resolve *request,
                     struct channel_next_hop *answer);

#endif
