/* SPDX-License-Identifier: BSD-2-Clause */
/* libmultistack from the inside.
 *
 * Files: port.c opens, closes and waits. session.c is the conversation with the switch, a state
 * machine that never blocks. region.c is the shared memory of one conversation. ring.c moves
 * packets. placeholder.c makes the kernel sockets that reserve bindings, binding.c keeps them,
 * connected.c their connected bindings, guard.c the rules of the guard for them.
 *
 *            one thread                            the ring's thread
 *   ms_dispatch → session ──► region ◄─ adopt ──── ms_receive, ms_reserve …
 *
 * What the two sides share is small: `epoch`, which counts each coming and going of the switch, and
 * `region`, which is NULL while the switch is away. A ring compares the epoch on each call (one
 * load); when it differs, and the ring has handed out nothing that lies in the old region, the ring
 * takes the new region over under the lock. So memory that the application still reads stays mapped
 * for as long as it reads it, whatever became of the switch. The receiving and the sending half of
 * a ring do this separately: a forgotten reservation must not keep packets from coming in.
 *
 * A region is counted: one for the port, one for each half of a ring that uses it. Its last user
 * unmaps it and closes the eventfds. */
#ifndef MULTISTACK_PORT_INTERNAL_H
#define MULTISTACK_PORT_INTERNAL_H

#include "control_client.h"
#include "multistack.h"
#include "port_layout.h"
#include "ring.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

/* The shared memory and the eventfds of one conversation with the switch. */
struct region {
    atomic_uint users;
    uint8_t *memory;
    uint64_t size;
    uint32_t ring_count;
    uint32_t rx_size;
    uint32_t tx_size;
    struct {
        int rx_fd; /* the switch writes: packets, or room */
        int tx_fd; /* we write: packets, while the switch sleeps */
    } rings[PORT_RINGS_MAX];
};

/* Counters are written by the ring's thread and read by any. */
typedef _Atomic uint64_t counter;

static inline void counter_add(counter *count, uint64_t amount)
{
    /* one writer: no need for an atomic addition */
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

struct receiver {
    unsigned epoch; /* of the port, when `region` was taken over */
    struct region *region;
    struct ring_consumer ring;
    bool lent;                            /* packets are handed out: they lie in `region` */
    bool asleep;                          /* the ring's consumer_sleeps may be up */
    uint32_t wake_packets, wake_delay_us; /* ms_ring_moderate() */
    uint32_t cpu;                         /* as the switch was told */
    counter packets, bytes;
};

struct sender {
    unsigned epoch;
    struct region *region;
    struct ring_producer ring;
    uint32_t reserved; /* bytes handed out by ms_reserve() and not committed, or 0 */
    uint32_t cpu;      /* of the switch, as it said lately, counted from 1; 0: not known */
    bool streamed;     /* something went past the cache that was not flushed yet */
    counter packets, bytes, full, wakeups;
};

/* Nothing in it is touched by two threads but what the lock guards. */
struct ring {
    struct receiver rx;
    struct sender tx;
    atomic_int own_fd; /* ms_ring_fd(): an epoll of its own, or -1; set under the port's lock */
    int set_fd; /* ms_ring_watch(): the application's, or -1; under the port's lock, as `set_data` */
    uint64_t set_data;
} __attribute__((aligned(128)));

enum binding_state {
    BINDING_FREE = 0,
    BINDING_WAITING,   /* reserved in the kernel, to be claimed */
    BINDING_CLAIMING,  /* BIND is on the way */
    BINDING_CLAIMED,   /* the switch has it */
    BINDING_REFUSED,   /* the switch refused it; to be tried again later */
    BINDING_LEAVING,   /* given back by the application, to be told to the switch */
    BINDING_UNCLAIMED, /* given back while BIND was on the way */
    BINDING_UNBINDING, /* UNBIND is on the way */
};

struct binding {
    enum binding_state state;
    int placeholder;                /* -1 when given back */
    struct control_address address; /* as getsockname() of the placeholder says */
    unsigned port_count;            /* more than 1: a range, from the address's port on */
    uint32_t request;               /* of the BIND or UNBIND on the way */
    uint32_t number;                /* the switch's */
    int error;                      /* REFUSED: why, negative */
    /* with others that have the same 3-tuple */
    bool shared;
    bool has_ring; /* everything for it comes to `ring` */
    unsigned ring;
    bool takeover;                  /* a successor that has not succeeded yet */
    bool draining;                  /* or will be, when the switch is back */
    bool was_claimed;               /* by this switch or one before it */
    int suspended;                  /* 0, or why nothing flows: a negative errno */
    bool suspended_told;            /* what ms_next_event() said of that last */
    uint8_t events;                 /* bits 1 << enum ms_event_kind, for ms_next_event() */
    uint32_t members;               /* that the 3-tuple had at the switch, this one included */
    unsigned flow_count;            /* connected bindings that it has or wants */
    uint32_t first_todo, last_todo; /* queue of flows for the switch */
};

#define FLOW_NONE UINT32_MAX

/* A connected binding (connected.c). */
enum flow_state {
    FLOW_FREE = 0,
    FLOW_WAITING,   /* to be told to the switch */
    FLOW_ASKED,     /* on the way */
    FLOW_CLAIMED,   /* the switch has it */
    FLOW_LEAVING,   /* given back, to be told to the switch */
    FLOW_ABANDONED, /* given back while it was on the way */
    FLOW_REMOVING,  /* its end is on the way */
    FLOW_RETURNING, /* wanted again while its end was on the way */
};

struct flow {
    struct control_flow ends;
    unsigned binding;   /* index */
    uint32_t chain;     /* next with the same hash, or next free one */
    uint32_t todo_next; /* in its binding's queue, or in its batch */
    enum flow_state state;
};

struct flow_table {
    struct flow *flows;
    uint32_t *heads; /* of the chains */
    uint32_t capacity, made, free;
    uint64_t key[2];
    unsigned pending; /* WAITING or ASKED */
    int error;        /* the first of a ms_bind_connected() */
    struct flow_batch {
        uint32_t request; /* 0: free */
        uint32_t first;
        bool remove;
    } batches[CONTROL_PIPELINE_MAX];
};

/* A rule of the guard (guard.c). */
enum guard_state {
    GUARD_FREE = 0,
    GUARD_WAITING,   /* to be told to the switch */
    GUARD_ASKED,     /* on the way */
    GUARD_SET,       /* the switch has it */
    GUARD_REFUSED,   /* this switch refused it; to be presented to the next one */
    GUARD_LEAVING,   /* given back by the application, to be told to the switch */
    GUARD_ABANDONED, /* given back while it was on the way */
    GUARD_REMOVING,  /* its end is on the way */
};

struct guard_rule {
    struct control_guard wish; /* its kind, prefix, rate and burst */
    int64_t until_ms;
    unsigned binding; /* index */
    enum guard_state state;
    uint32_t request;
    int error;         /* REFUSED: why, negative */
    uint64_t answered; /* as the switch said last */
    bool again;        /* was changed while it was on the way */
    bool orphan;       /* the binding has gone */
};

struct guard_rules {
    struct guard_rule *rules;
    unsigned count, pending; /* neither FREE, SET nor REFUSED */
    int error;               /* the first, of a call that waits */
};

enum session_state {
    SESSION_AWAY,    /* no connection; the timer says when to try again */
    SESSION_HELLO,   /* connected, HELLO sent */
    SESSION_OPENING, /* PORT_OPEN sent */
    SESSION_BINDING, /* the region is there, bindings are being presented again */
    SESSION_READY,
};

struct session {
    enum session_state state;
    int fd;
    uint32_t request;    /* number of the request sent last */
    unsigned on_the_way; /* BIND, UNBIND, CONNECT, SHARE, DRAIN and GUARD */
    uint64_t features;   /* CONTROL_FEATURE_*, of this switch and ours */
    uint32_t asked;      /* SHARE or DRAIN that somebody waits for; 0: none */
    int answer;          /* to it: 0 or a negative errno */
    bool wants_write;
    int retry_delay_ms;
    int refused_delay_ms; /* until refused bindings are presented again; 0: none were yet */
    bool refused_due;     /* the timer runs for that */
    int64_t ready_since_ms;
    struct region *region; /* OPENING is over, not yet READY */
};

#define INSPECTIONS_MAX 4

struct ms_port {
    /* options */
    char *control_path;
    char name[CONTROL_NAME_SIZE];
    unsigned ring_count;
    uint32_t rx_bytes;
    uint32_t tx_bytes;
    unsigned flags;
    int timeout_ms;

    int epoll_fd;
    int timer_fd;
    int alarm_fd; /* a ring found its memory broken: tells the session's thread */
    int news_fd;  /* the switch went or came: wakes threads that wait in ms_ring_fd() */

    struct session session;
    uint32_t number; /* of the port at the switch */
    uint32_t mtu;
    uint32_t offloads;
    uint8_t user_key[16];
    uint32_t rx_size;
    uint32_t tx_size;
    unsigned generation;
    int last_error;
    const char *detached;

    struct binding *bindings;
    unsigned binding_count;
    unsigned events; /* bindings' events and changes of `suspended` that nobody has taken */
    struct flow_table flows;
    struct guard_rules guard;

    int inspections[INSPECTIONS_MAX]; /* sockets for ms_next_inspection() */
    unsigned inspection_count;

    pthread_mutex_t lock;  /* of `region` and each ring's `own_fd` */
    struct region *region; /* NULL: away */
    atomic_uint epoch;
    atomic_bool broken;
    struct ring *rings;
};

/* ── region.c ── */

/* Checks what PORT_OPENED says and brought, and maps it. On success the descriptors in `message`
 * are the region's. Errors: -EPROTO, -ENOMEM. */
int region__open(struct region **region, struct control_message *message, unsigned ring_count);
struct region *region__use(struct region *region);
void region__drop(struct region *region); /* NULL is allowed */

struct ring_control *region__rx_control(const struct region *region, unsigned ring);
struct ring_control *region__tx_control(const struct region *region, unsigned ring);
uint8_t *region__rx_data(const struct region *region, unsigned ring);
uint8_t *region__tx_data(const struct region *region, unsigned ring);

/* ── ring.c ── */

int ring__init(struct ms_port *port);
void ring__dispose(struct ms_port *port);
/* Waits, not for long, until the switch has taken what was sent. */
void ring__drain(struct ms_port *port);
/* Makes `region` (counted already) the one that rings take over next; NULL: the switch is away. */
void ring__switch_over(struct ms_port *port, struct region *region);

/* ── placeholder.c ── */

/* A kernel socket that reserves `address`: bound, deaf, and for TCP listening. Returns the
 * descriptor and what the kernel bound, or the kernel's error. */
/* PLACEHOLDER_NONE: the kernel has no sockets of this protocol. */
#define PLACEHOLDER_NONE INT32_MIN
int placeholder__open(int protocol, const struct sockaddr *address, socklen_t length, bool shared,
                      struct control_address *bound);
/* What placeholder__open() would bind, but for a port of 0. -EINVAL, -EAFNOSUPPORT. */
int placeholder__address(int protocol, const struct sockaddr *address, socklen_t length,
                         struct control_address *wanted);
/* Lets the kernel give the same 3-tuple to other sockets of this user that ask for it, or not. */
void placeholder__share(int fd, bool shared);
/* Into a multicast group, or out of it. interface 0: the kernel's routing chooses. */
int placeholder__join(int fd, const struct sockaddr *group, socklen_t length, unsigned interface,
                      bool join);

/* ── connected.c ── */

/* Sends what is to be told of a binding's flows. 0, or what sending said; -EAGAIN: not all of it. */
int connected__present(struct ms_port *port, unsigned index);
/* The answer to a CONNECT has come. False: there was no such request. */
bool connected__answered(struct ms_port *port, const struct control_connected *answer);
/* The switch is gone: all must be presented again. */
void connected__forget_claims(struct ms_port *port);
/* A binding is gone, and its flows with it. */
void connected__drop(struct ms_port *port, unsigned index);
void connected__dispose(struct ms_port *port);

/* ── guard.c ── */

/* Sends what is to be told of rules whose binding the switch has. 0, or what sending said. */
int guard__present(struct ms_port *port);
/* The answer to a GUARD has come. False: there was no such request. */
bool guard__answered(struct ms_port *port, const struct control_guarded *answer);
/* Whether the switch owes no word on any of them. */
bool guard__is_settled(const struct ms_port *port);
int guard__first_error(const struct ms_port *port);
/* The switch is gone: all must be presented again. */
void guard__forget_claims(struct ms_port *port);
/* A binding is gone, and its rules with it. */
void guard__drop(struct ms_port *port, unsigned index);
void guard__dispose(struct ms_port *port);

/* ── handover.c ── */

/* An event about a binding. */
void handover__event(struct ms_port *port, const struct control_event *event);
/* Nothing flows for a binding because of `error`, or (0) all does: an event where that is new. */
void handover__suspend(struct ms_port *port, struct binding *binding, int error);
/* A binding is gone: nobody will take its events. */
void handover__forget_events(struct ms_port *port, struct binding *binding);
/* SHARE: asks that a placeholder may stand beside that of the owner. */
int handover__let_in(struct ms_port *port, const struct control_address *address);

/* ── binding.c ── */

/* What `options` (which may be NULL) say of a binding to be, which is empty but for that. 0, -EINVAL. */
int binding__options(const struct ms_port *port, const struct ms_bind_options *options,
                     struct binding *wish);
/* Takes a binding over, with its placeholder, to be told to the switch: its handle, or -ENOMEM. */
int binding__enter(struct ms_port *port, struct binding *wish);
/* NULL: no such handle. */
struct binding *binding__find(const struct ms_port *port, int handle);

/* The answer to a BIND or UNBIND has come. False: there was no such request. */
bool binding__bound(struct ms_port *port, const struct control_bound *bound);
bool binding__unbound(struct ms_port *port, const struct control_unbound *unbound);
/* The switch is gone: whatever it had must be presented again. */
void binding__forget_claims(struct ms_port *port);
/* Those that were refused are to be tried again. */
void binding__retry_refused(struct ms_port *port);
unsigned binding__count_waiting(const struct ms_port *port);
bool binding__any_refused(const struct ms_port *port);
int binding__first_error(const struct ms_port *port);
void binding__dispose(struct ms_port *port);

/* ── session.c ── */

enum { /* what an event of the port's epoll is about */
       SESSION_EVENT_CONTROL,
       SESSION_EVENT_TIMER,
       SESSION_EVENT_ALARM,
       SESSION_EVENT_RING,
};

/* Connects and says HELLO. What fails is in last_error, and tried again by the timer. */
void session__connect(struct ms_port *port);
/* The control socket is readable or writable, the timer is due, a ring is broken. */
void session__control_handler(struct ms_port *port);
void session__timer_handler(struct ms_port *port);
void session__alarm_handler(struct ms_port *port);
/* Sends BIND and UNBIND requests, as many as may be on the way. */
void session__present_bindings(struct ms_port *port);
/* Waits for the switch's word on a binding that is on the way, unless the connection is lost or the
 * port's timeout is over before. */
void session__await_binding(struct ms_port *port, unsigned index);
/* Sends a request and waits for its answer. `message` gets its number. 0 or the answer's error;
 * -ENOTCONN: there is no switch, or not any more; -ETIMEDOUT. */
int session__ask(struct ms_port *port, struct control_header *message);
/* The same for all flows that are on the way. */
void session__await_flows(struct ms_port *port);
/* The same for rules of the guard. 0, or the first error that the switch answered; while it is away, 0:
 * they will be presented. */
int session__await_guard(struct ms_port *port);
/* Hears what the switch has to say for so long, and connects again where it is due. */
void session__linger(struct ms_port *port, int for_ms);
/* Says in last_error what is wrong with the bindings, if anything. */
void session__report_bindings(struct ms_port *port);
void session__end(struct ms_port *port);

#endif
