/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MS_RUNTIME_INTERNAL_H
#define MS_RUNTIME_INTERNAL_H

#include "adaptive_poll.h"
#include "local_ports.h"
#include "runtime.h"
#include "syn_pressure.h"

#define OUTGOING_BUCKETS 1024 /* a power of two */

/* A binding that exists for one outgoing connection. */
struct outgoing {
    struct outgoing *next; /* in its bucket, then on `gone` */
    int binding;
    struct utcp_endpoint local;
};

struct flow_list {
    struct ms_flow *flows;
    unsigned count, room;
};

/* protection.c */
struct protection {
    struct syn_pressure pressure;
    uint64_t look_at;    /* while it is asked for: when the switch is asked how many came */
    uint64_t terms_at;   /* when the terms are looked at */
    uint64_t not_before; /* after a refusal */
    struct utcp_cookie_terms terms; /* as the switch knows them */
    int error;                      /* the last refusal */
    uint32_t left; /* SYNs a second, as told, that the NIC is to leave to the stack */
    bool told, asked;
};

struct ms_runtime_listener {
    struct ms_runtime *runtime;
    struct ms_runtime_listener *next;
    struct utcp_listener *listener; /* NULL: stopped */
    int binding;
    struct utcp_endpoint local;
    bool shared;
    bool away; /* handed over */
    struct protection protection;
    struct flow_list connected; /* told to the switch, and not yet looked at again */
    struct flow_list gone;      /* to be given back */
};

/* What epoll tells of. */
enum source { SOURCE_PORT, SOURCE_RING, SOURCE_TIMER, SOURCE_WAKE, SOURCE_ASKER };

struct ms_runtime {
    struct utcp *stack;
    struct ms_port *port;
    uint64_t now;
    uint64_t dispatch_at; /* when the port's control socket is looked at next */
    uint64_t armed;       /* when the timer rings; UINT64_MAX: never */
    uint32_t no_room_for; /* bytes of the packet that the ring had no room for, or 0 */
    uint32_t waits_up_to; /* bytes of a packet that a ring has room for sooner or later */
    uint32_t mtu, offloads;
    bool switch_away;
    bool prepared; /* the descriptors were asked to tell, and have not been looked at */
    int epoll, timer, wake;
    struct adaptive_poll poll;
    uint64_t collect_at; /* µs: while it polls, when it looks at the descriptors next */
    void (*deliver)(void *context, const struct utcp_event *events, unsigned count);
    void *context;
    void (*handed_over)(void *context, struct ms_runtime_listener *listener, bool away);
    void (*suspended)(void *context, struct ms_runtime_listener *listener, int error);
    void (*guarded)(void *context, struct ms_runtime_listener *listener, int status);
    enum runtime_nic_cookies nic_cookies;
    uint64_t check_at; /* when pressure is looked for next */
    struct syn_price syn_price;
    uint64_t packets,
        busy_us;        /* taken, and what that and all that follows took, since check_at was set */
    uint64_t overflows; /* of all listeners, then */
    uint64_t time_wait_us; /* as asked for */
    unsigned away_count;   /* listeners handed over */
    struct ms_runtime_listener *listeners;
    struct outgoing *gone;         /* bindings to be given back */
    struct inspection *inspection; /* inspection.c; NULL: nobody has asked yet */
    unsigned asking;               /* who ask now */
    struct trace *trace;           /* trace.c; NULL: nobody asked for one */
    struct local_ports local_ports;
    struct source_cache {
        struct sockaddr_storage remote, local;
        socklen_t local_length;
        uint64_t until; /* 0: nothing is known */
    } source;
    unsigned outgoing_count;
    struct outgoing *outgoing[OUTGOING_BUCKETS]; /* by local port */
};

/* ── runtime.c ───────────────────────────────────────────────────────────────────────────────── */

/* Gives the stack what is in the ring. Returns how many packets. */
unsigned runtime__take_packets(struct ms_runtime *runtime);

/* ── handover.c ──────────────────────────────────────────────────────────────────────────────── */

/* What the switch said about bindings. */
void runtime__binding_events(struct ms_runtime *runtime);
/* The switch has gone. */
void runtime__switch_lost(struct ms_runtime *runtime);
/* The connection of a listener that is away has ended. */
void runtime__flow_gone(struct ms_runtime *runtime, const struct utcp_endpoint *local,
                        const struct utcp_endpoint *remote);
/* Tells the switch of those. */
void runtime__disconnect_gone(struct ms_runtime *runtime);
/* Before a listener goes. */
void runtime__forget_handover(struct ms_runtime_listener *listener);

/* ── protection.c ────────────────────────────────────────────────────────────────────────────── */

/* Has SYNs answered at the NIC for listeners that have too many, or no longer. */
void runtime__watch_pressure(struct ms_runtime *runtime);
/* When that is to be called at the latest; UINT64_MAX: not by itself. */
uint64_t runtime__pressure_deadline(const struct ms_runtime *runtime);
/* SYNs are another's from now on, or nobody's. */
void runtime__end_protection(struct ms_runtime_listener *listener);

/* ── inspection.c ────────────────────────────────────────────────────────────────────────────── */

/* Those that the port was asked by. */
void runtime__take_askers(struct ms_runtime *runtime);
/* Some of them may have read. */
void runtime__askers_ready(struct ms_runtime *runtime);
/* A page for each; true: there is more to tell at once. Only while runtime->asking. */
bool runtime__serve_askers(struct ms_runtime *runtime);
void runtime__forget_askers(struct ms_runtime *runtime);

/* ── trace.c ─────────────────────────────────────────────────────────────────────────────────── */

/* What the environment asks for. -EINVAL: the remote is no address; or why there is no file. */
int runtime__open_trace(struct ms_runtime *runtime);
/* Only where there is a trace. */
void runtime__flush_trace(struct ms_runtime *runtime);
void runtime__close_trace(struct ms_runtime *runtime);

/* ── endpoints.c ─────────────────────────────────────────────────────────────────────────────── */

/* utcp_config.gone */
void runtime__connection_gone(void *context, const struct utcp_endpoint *local,
                              const struct utcp_endpoint *remote);
/* Gives back the bindings of connections that are gone. */
void runtime__unbind_gone(struct ms_runtime *runtime);
/* Frees what is remembered of bindings, which go with the port. */
void runtime__free_endpoints(struct ms_runtime *runtime);

#endif
