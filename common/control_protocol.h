/* SPDX-License-Identifier: BSD-2-Clause */
/* What applications and the operator's command say to the switch, and what it answers.
 *
 * A SOCK_SEQPACKET Unix socket: one struct is one message, in host order (both ends are one
 * machine), of exactly its size. File descriptors ride along by SCM_RIGHTS only where said.
 * Identity is what the kernel says (SO_PEERCRED), never what a message says. Whatever does not fit
 * (type, size, order, number of descriptors) closes the connection: a sequence of fixed structs
 * cannot be resynchronised and need not be.
 *
 *   client                 switch
 *   CONTROL_HELLO       →
 *                       ←  CONTROL_WELCOME        or an error, then the connection closes
 *   CONTROL_PORT_OPEN   →                         at most one port for each connection
 *                       ←  CONTROL_PORT_OPENED    + memfd, then for each ring: RX and TX eventfd
 *   CONTROL_BIND        →                         + placeholder socket; none for a range
 *                       ←  CONTROL_BOUND          of a successor: when the hand-over is done
 *   CONTROL_UNBIND      →
 *                       ←  CONTROL_UNBOUND
 *   CONTROL_SHARE       →                         may my placeholder stand beside the owner's?
 *                       ←  CONTROL_SHARED
 *   CONTROL_CONNECT     →                         connected bindings, many at once
 *                       ←  CONTROL_CONNECTED
 *   CONTROL_DRAIN       →                         the rest of the flows is for the others
 *                       ←  CONTROL_DRAINED
 *   CONTROL_GUARD       →                         a rule of the guard at the NIC
 *                       ←  CONTROL_GUARDED
 *   CONTROL_QUERY       →                         any client; a page at a time
 *                       ←  CONTROL_RECORDS
 *   CONTROL_INSPECT     →                         + a socket, which goes on to a port's process
 *                       ←  CONTROL_INSPECTED
 *   CONTROL_CAPTURE     →                         copies of a NIC's or port's packets, into my port
 *                       ←  CONTROL_CAPTURED
 *                       ←  CONTROL_EVENT          at any time after PORT_OPENED
 *
 * A client sends one request and waits for its answer before the next, but for BIND, UNBIND, SHARE,
 * CONNECT, DRAIN and GUARD, of which up to CONTROL_PIPELINE_MAX may be on the way. The connection is the
 * port: when it closes, for whatever reason, the port and all of its bindings are gone. */
#ifndef MULTISTACK_CONTROL_PROTOCOL_H
#define MULTISTACK_CONTROL_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#define CONTROL_MAGIC         0x4b54534d /* "MSTK" */
#define CONTROL_VERSION       1
#define CONTROL_PATH_DEFAULT  "/run/multistack/control.sock"
#define CONTROL_PATH_VARIABLE "MULTISTACK_CONTROL"

#define CONTROL_MESSAGE_MAX  8192 /* bytes; the largest is a page of records */
#define CONTROL_PIPELINE_MAX 64
#define CONTROL_FDS_MAX      33 /* memfd and two eventfds for each of 16 rings */
#define CONTROL_NAME_SIZE    32 /* bytes, NUL-terminated */

/* Feature bits of HELLO and WELCOME: the set in use is what both have. */
#define CONTROL_FEATURE_INSPECT 0x1ULL /* CONTROL_INSPECT, CONTROL_PORT_INSPECTED */
#define CONTROL_FEATURE_GUARD   0x2ULL /* CONTROL_GUARD, CONTROL_SUBJECT_GUARD */
#define CONTROL_FEATURES        (CONTROL_FEATURE_INSPECT | CONTROL_FEATURE_GUARD)

enum control_type {
    CONTROL_HELLO = 1,
    CONTROL_WELCOME,
    CONTROL_PORT_OPEN,
    CONTROL_PORT_OPENED,
    CONTROL_BIND,
    CONTROL_BOUND,
    CONTROL_UNBIND,
    CONTROL_UNBOUND,
    CONTROL_QUERY,
    CONTROL_RECORDS,
    CONTROL_EVENT,
    CONTROL_SHARE,
    CONTROL_SHARED,
    CONTROL_CONNECT,
    CONTROL_CONNECTED,
    CONTROL_DRAIN,
    CONTROL_DRAINED,
    CONTROL_INSPECT,
    CONTROL_INSPECTED,
    CONTROL_GUARD,
    CONTROL_GUARDED,
    CONTROL_CAPTURE,
    CONTROL_CAPTURED,
};

struct control_header {
    uint32_t type;    /* enum control_type */
    uint32_t size;    /* of the whole message, bytes */
    uint32_t request; /* chosen by the client, repeated in the answer; 0 in events */
    int32_t error;    /* answers: 0 or a positive errno; requests: 0 */
};

struct control_hello {
    struct control_header header;
    uint32_t magic;
    uint32_t version;
    uint64_t features;
};

struct control_welcome {
    struct control_header header;
    uint32_t magic;
    uint32_t
        version; /* the switch's; with error EPROTONOSUPPORT where it cannot speak the client's */
    uint64_t features;
    uint64_t instance;     /* random; another one means that the switch was restarted */
    uint64_t netns_cookie; /* of the NICs' network namespace: placeholders must live there */
};

struct control_port_open {
    struct control_header header;
    char name[CONTROL_NAME_SIZE]; /* for people; need not be unique */
    uint32_t ring_count;
    uint32_t rx_size; /* bytes per ring, a power of two; 0: the switch's default */
    uint32_t tx_size;
    uint32_t flags; /* CONTROL_PORT_* */
};

#define CONTROL_PORT_MERGED_RX 0x1 /* may receive records above the MTU, RECORD_SEGMENT */
#define CONTROL_PORT_INSPECTED 0x2 /* takes CONTROL_EVENT_INSPECT */

struct control_port_opened {
    struct control_header header;
    uint32_t port; /* number of the port, unique while the switch lives */
    uint32_t ring_count;
    uint32_t rx_size;
    uint32_t tx_size;
    uint64_t region_size;
    uint32_t mtu;      /* smallest of the NICs', bytes of IP packet */
    uint32_t offloads; /* CONTROL_OFFLOAD_* */
    uint8_t user_key
        [16]; /* the same for all ports of this user, until the keeper ends; known to no other */
};

#define CONTROL_OFFLOAD_CHECKSUM 0x1 /* RECORD_CHECKSUM_PARTIAL is taken on TX */
#define CONTROL_OFFLOAD_SEGMENT  0x2 /* RECORD_SEGMENT is taken on TX */

/* An address in the notation of the whole project: IPv4 in the first four bytes, the rest zero. */
struct control_address {
    uint8_t bytes[16];
    uint16_t port;  /* network order */
    uint8_t family; /* 4 or 6 */
    uint8_t protocol;
};
static_assert(sizeof(struct control_address) == 20, "no padding");

struct control_bind {
    struct control_header header;
    struct control_address address; /* must equal what getsockname() says of the placeholder */
    uint32_t flags;                 /* CONTROL_BIND_* */
    uint16_t port_count;            /* 1, or of a range (below) */
    uint16_t ring;                  /* with CONTROL_BIND_RING; otherwise 0 */
    /* For a binding that is presented again to a switch that was started anew; otherwise 0. */
    uint32_t members;   /* owners that the 3-tuple had, this one included: CONTROL_EVENT_MEMBERS */
    uint32_t connected; /* connected bindings that will be presented behind it */
};

/* A range of ports: `port_count` is a power of two within these limits, and the first port, which
 * `address` names, a multiple of it; or 0, for any block that is free. No descriptor comes along, and
 * no flag but CONTROL_BIND_RING. It is one binding, of one owner, of TCP or UDP. The answer says the
 * first port. Errors: -EINVAL (what was just said), -EACCES (ports below 1,024), -EADDRINUSE (a port of
 * it is somebody's, or no block is free), -EDQUOT (too many ports of this user), -EADDRNOTAVAIL,
 * -EPROTONOSUPPORT, -EOPNOTSUPP (there are no ranges here), -EBUSY (too many requests at once). */
#define CONTROL_RANGE_PORTS_MIN 64
#define CONTROL_RANGE_PORTS_MAX 16384

/* The placeholder has SO_REUSEPORT; others with the same flag may join, and share the flows. */
#define CONTROL_BIND_SHARED 0x1
/* To succeed the owners there are. Answered when they have drained, or had their time to. */
#define CONTROL_BIND_TAKEOVER 0x2
/* Presented again, after it had drained: it gets what is connected to it, and nothing else. */
#define CONTROL_BIND_DRAINING 0x4
/* Everything for the binding, and for its connected bindings, goes to `ring` of the port, which must
 * have it. Otherwise flows are spread over all rings. */
#define CONTROL_BIND_RING 0x8

struct control_bound {
    struct control_header header;
    struct control_address address;
    uint32_t binding; /* number of the binding, for UNBIND */
    uint32_t zero;
};

struct control_unbind {
    struct control_header header;
    uint32_t binding;
    uint32_t zero;
};

struct control_unbound {
    struct control_header header;
};

/* Asks the owners' placeholders to let another one of the same user stand beside them, for a while:
 * what a successor needs before it can make its own. Errors: -ENOENT (nobody has it), -EACCES (it is
 * another user's). */
struct control_share {
    struct control_header header;
    struct control_address address;
    uint32_t zero;
};

struct control_shared {
    struct control_header header;
};

/* One end of a connected binding and the other; protocol and local port are the binding's. Addresses
 * as in control_address. */
struct control_flow {
    uint8_t local[16];
    uint8_t remote[16];
    uint16_t remote_port; /* network order */
    uint16_t zero;
};
static_assert(sizeof(struct control_flow) == 36, "no padding");

struct control_connect {
    struct control_header header;
    uint32_t binding; /* of this port */
    uint32_t count;   /* of flows, 1 to CONTROL_FLOWS_MAX */
    uint32_t remove;  /* 1: these connected bindings end; 0: they begin */
    uint32_t zero;
    /* count struct control_flow follow */
};

#define CONTROL_FLOWS_MAX                                                                          \
    ((CONTROL_MESSAGE_MAX - sizeof(struct control_connect)) / sizeof(struct control_flow))

/* With an error the first `count` flows were taken. */
struct control_connected {
    struct control_header header;
    uint32_t count;
    uint32_t zero;
};

/* The binding gets what is connected to it from now on; everything else is for its successor or for
 * the others that share the 3-tuple. Errors: -ENOENT, -EBUSY (there is nobody else). When the answer
 * comes, all packets that came before are in the port's rings. */
struct control_drain {
    struct control_header header;
    uint32_t binding;
    uint32_t zero;
};

struct control_drained {
    struct control_header header;
};

/* Somebody asks a port's process what its stack is doing: one end of a socket pair rides along, which the
 * switch hands on as it is and keeps no copy of. The process answers there (connection_list.h), or does
 * not. For root and for the port's own user. Errors: -ENOENT (no such port), -EACCES, -EOPNOTSUPP (its
 * program does not tell), -EINVAL (no Unix socket), -EAGAIN (its program does not read, or was asked too
 * often lately). */
struct control_inspect {
    struct control_header header;
    uint32_t port;
    uint32_t zero;
};

struct control_inspected {
    struct control_header header;
};

/* Rules of the guard, which judges at the NIC what was claimed for a stack (bpf/guard.h). */
enum control_guard_kind {
    CONTROL_GUARD_BLOCK = 1, /* `prefix`: sources whose packets are dropped … */
    CONTROL_GUARD_ALLOW,  /* … and those that are asked for nothing else; beats an equal block */
    CONTROL_GUARD_STRICT, /* TCP segments with flags that no TCP sends are dropped */
    CONTROL_GUARD_SYN_SOURCE,  /* `rate`, `burst`: SYNs of one source (IPv4 address, IPv6 /64) */
    CONTROL_GUARD_SYN,         /* the same of all sources */
    CONTROL_GUARD_CONNECTIONS, /* the same of what goes on to the stack as a new connection */
    /* SYNs are answered in the stack's place, by `cookie`; its port alone sets it. `rate`: 1 if the
     * stack asks for it now, 0 if it is only ready for it. `burst`: so many a second come to the stack all
     * the same, which answers them itself; of several who ask the fewest count. It is done while one of those who share the
     * 3-tuple asks, if the configuration lets stacks ask, or there is a rule …ALWAYS; and there is no
     * …NEVER, and all who share the 3-tuple are ready, with the same cookie. */
    CONTROL_GUARD_COOKIES,
    CONTROL_GUARD_COOKIES_ALWAYS,
    CONTROL_GUARD_COOKIES_NEVER,
    CONTROL_GUARD_KINDS
};

enum control_guard_action {
    CONTROL_GUARD_SET = 1,
    CONTROL_GUARD_REMOVE,
    CONTROL_GUARD_FLUSH, /* all of them; kind, prefix, rate and burst are 0 */
};

/* Addresses as in control_address; what is behind the prefix is zero. */
struct control_prefix {
    uint8_t bytes[16];
    uint8_t family; /* 4 or 6 */
    uint8_t length; /* bits */
    uint16_t zero;
};
static_assert(sizeof(struct control_prefix) == 20, "no padding");

#define CONTROL_COOKIE_TIMESTAMPS   0x1
#define CONTROL_COOKIE_WINDOW_SCALE 0x2
#define CONTROL_COOKIE_SACK         0x4
#define CONTROL_COOKIE_ECN          0x8
#define CONTROL_COOKIE_BEHIND_MAX   1000000 /* us */
#define CONTROL_COOKIE_MSS_MIN      88
#define CONTROL_COOKIE_SCALE_MAX    14 /* RFC 7323 section 2.3 */

/* What SYN-ACKs in a stack's place say: syncookie.h has the arithmetic. */
struct control_cookie {
    uint8_t key[16];
    uint32_t behind_us; /* what the clock of cookies is behind CLOCK_MONOTONIC */
    uint16_t mss;       /* to offer */
    uint16_t window;    /* as it stands in the header; host order, both */
    uint8_t window_scale;
    uint8_t hop_limit; /* not 0 */
    uint8_t dscp;
    uint8_t options; /* CONTROL_COOKIE_*: agreed on if the SYN asks for it */
    uint32_t zero;
};
static_assert(sizeof(struct control_cookie) == 32, "no padding");

#define CONTROL_GUARD_RATE_MAX     10000000u                     /* a second; and of `burst` */
#define CONTROL_GUARD_DURATION_MAX (366ULL * 86400 * 1000000000) /* ns */

/* A rule of a binding, for as long as that lives; setting it again changes it. Of a client that has a
 * port: one of its own bindings. Of one that has none: any binding of the same user, and any at all for
 * root; and binding 0, which is for administrators alone: rules for all bindings. These, and what a client
 * without a port has set, outlive the switch (guard_rules.h); a port presents its own again.
 * Errors: -EPERM, -ENOENT (no such binding, no such rule), -EINVAL, -EPROTOTYPE (a rule about TCP, a
 * binding of another protocol), -ENOSPC (too many: of this port, this user, or at all),
 * -EOPNOTSUPP (the binding is a group's; of cookies: no NIC can answer),
 * -EACCES (the configuration does not let stacks ask for cookies). */
struct control_guard {
    struct control_header header;
    uint32_t binding;             /* 0: all */
    uint32_t action;              /* enum control_guard_action */
    uint32_t kind;                /* enum control_guard_kind */
    uint32_t rate;                /* a second; of limits that are set */
    uint32_t burst;               /* how many at once; 0: as many as in a second */
    struct control_prefix prefix; /* of lists; otherwise zero */
    uint64_t duration_ns;         /* 0: until it is removed */
    uint32_t zero[2];
    struct control_cookie cookie; /* of CONTROL_GUARD_COOKIES that is set; otherwise zero */
};
static_assert(sizeof(struct control_guard) == 104, "no padding");

struct control_guarded {
    struct control_header header;
    /* To CONTROL_GUARD_COOKIES that is set: SYNs to the 3-tuple that have been answered in the place of its
     * stacks so far. Begins anew with each switch, and where there were no rules for a while. */
    uint64_t answered;
};

#define CONTROL_CAPTURE_NIC  1
#define CONTROL_CAPTURE_PORT 2

/* From now on the port of this connection, which has bound nothing and has as many rings as the switch
 * has workers, receives copies of what passes a NIC (as the switch sees it: Ethernet frames) or stands
 * in the rings of another port (IP packets), both ways; each behind a struct capture_head
 * (capture_format.h). It cannot bind any more. A capture may have several sources, of as many requests.
 * What its rings have no room for is lost and counted (CONTROL_SUBJECT_CAPTURES), and costs nobody else
 * anything.
 * A NIC and a port of another user: for root and members of the administrators' group. Errors: -ENOENT
 * (no such NIC or port), -EACCES, -EINVAL (the port or what it asks for is not of that kind), -ENOSPC
 * (too many sources). */
struct control_capture {
    struct control_header header;
    uint32_t kind; /* CONTROL_CAPTURE_* */
    uint32_t id;   /* index of the NIC, or number of the port */
    uint32_t snap; /* the most bytes to be copied of a packet; at least 1 */
    uint32_t zero;
};

struct control_captured {
    struct control_header header;
    uint32_t source; /* as in struct capture_head: they count up from 0 */
    uint32_t zero;
};

enum control_event_kind {
    CONTROL_EVENT_DETACHED = 1, /* value: enum detach_reason; the connection closes behind it */
    CONTROL_EVENT_MTU,          /* value: the new smallest MTU */
    /* value: number of the binding */
    CONTROL_EVENT_HANDOVER, /* a successor is there: connect what lives, then drain */
    CONTROL_EVENT_DRAINED,  /* that took too long: the binding has drained without its word */
    CONTROL_EVENT_RESUME,   /* the successor is gone: the binding is active again */
    CONTROL_EVENT_MEMBERS,  /* detail: owners of the 3-tuple, this one included */
    /* the address of the binding, and with it of all that the port has bound there */
    CONTROL_EVENT_SUSPENDED, /* is not this host's any more: nothing comes, nothing may be sent */
    CONTROL_EVENT_RESTORED,  /* is this host's again */
    /* + a socket: CONTROL_INSPECT; only to ports that said CONTROL_PORT_INSPECTED */
    CONTROL_EVENT_INSPECT,
    CONTROL_EVENT_CAPTURE_GONE, /* value: the source, a port that is gone */
};

struct control_event {
    struct control_header header;
    uint32_t kind;
    uint32_t value;
    uint32_t detail;
    uint32_t zero;
};

/* Queries are paged: the answer to one request is one message, so that a client that does not read
 * costs the switch nothing. Ask again with `cursor` as it came back, until it is 0. */
enum control_subject {
    CONTROL_SUBJECT_STATUS = 1,
    CONTROL_SUBJECT_NICS,
    CONTROL_SUBJECT_PORTS,
    CONTROL_SUBJECT_BINDINGS,
    CONTROL_SUBJECT_COUNTERS,
    CONTROL_SUBJECT_GUARD,
    CONTROL_SUBJECT_CAPTURES,
};

struct control_query {
    struct control_header header;
    uint32_t subject;
    uint32_t zero;
    uint64_t cursor; /* 0: from the start */
};

struct control_records {
    struct control_header header;
    uint32_t subject;
    uint32_t record_size; /* bytes; a reader takes what it knows and skips the rest of each */
    uint32_t count;
    uint32_t zero;
    uint64_t cursor; /* 0: that was all */
    /* count records of record_size bytes follow */
};

struct control_status_record {
    char version[CONTROL_NAME_SIZE];
    uint64_t instance;
    uint64_t uptime_ns;
    uint32_t switch_pid;
    uint32_t keeper_pid;
    uint32_t restarts; /* of the switch by its keeper */
    uint32_t nics;
    uint32_t ports;
    uint32_t bindings;
    uint32_t workers;
    uint32_t zero;
    uint64_t absent; /* FEATURE_BIT()s (kernel_features.h) of what the kernel lacks */
};

struct control_nic_record {
    char name[CONTROL_NAME_SIZE];
    char driver[16];    /* "afxdp", "packet", "wire" */
    char xdp_mode[16];  /* "native", "generic", "" */
    char copy_mode[16]; /* "zero-copy", "copy", "" */
    uint32_t index;     /* of the NIC in the switch */
    uint32_t ifindex;
    uint32_t queues;
    uint32_t mtu;
    uint32_t up; /* 1: carrier and administratively up */
    uint32_t zero;
    uint8_t mac[6];
    uint8_t pad[2];
};

struct control_port_record {
    char name[CONTROL_NAME_SIZE];
    uint32_t port;
    uint32_t pid;
    uint32_t uid;
    uint32_t ring_count;
    uint32_t rx_size;
    uint32_t tx_size;
    uint32_t bindings;
    uint32_t zero;
    uint64_t age_ns;
    uint64_t huge_bytes; /* of its memory, in huge pages as far as the kernel tells */
};

struct control_binding_record {
    struct control_address address;
    uint32_t binding;
    uint32_t port;
    uint32_t flags;      /* CONTROL_BIND_SHARED, CONTROL_BIND_RING */
    uint32_t state;      /* enum control_binding_state */
    uint32_t connected;  /* connected bindings that it has */
    uint32_t ring;       /* with CONTROL_BIND_RING */
    uint32_t port_count; /* 1, or of a range */
    uint32_t zero;
};

enum control_binding_state {
    CONTROL_BINDING_ACTIVE,
    CONTROL_BINDING_WAITING, /* for a hand-over, or for others after a restart */
    CONTROL_BINDING_DRAINING,
    CONTROL_BINDING_SUSPENDED, /* active, but its address is not this host's for now */
};

/* One rule of the guard. */
struct control_guard_record {
    struct control_address address; /* of the binding; family 0: for all */
    struct control_prefix prefix;
    uint32_t binding; /* 0: for all */
    uint32_t port;
    uint32_t kind; /* enum control_guard_kind */
    uint32_t rate;
    uint32_t burst;
    uint32_t port_count; /* 1, or of a range; 0: for all */
    uint64_t left_ns;    /* until it ends by itself; 0: it does not */
};

/* A source of a capture. */
struct control_capture_record {
    char name[CONTROL_NAME_SIZE]; /* of the NIC or port */
    uint32_t port;                /* the capture's */
    uint32_t source;
    uint32_t kind; /* CONTROL_CAPTURE_* */
    uint32_t id;
    uint64_t captured; /* packets that were copied */
    uint64_t dropped;  /* for which the capture's ring had no room */
};

/* One counter. `name` is "rx_packets", "tx_bytes", … or a drop reason. */
enum control_scope {
    CONTROL_SCOPE_NIC = 1, /* id: NIC index; ring: queue */
    CONTROL_SCOPE_PORT,    /* id: port number; ring: ring */
    CONTROL_SCOPE_SWITCH,  /* id, ring: 0 */
    CONTROL_SCOPE_WORKER,  /* id: worker; ring: 0 */
    CONTROL_SCOPE_BINDING, /* id: number of a binding with rules of the guard; ring: 0 */
};

struct control_counter_record {
    char name[CONTROL_NAME_SIZE];
    uint32_t scope;
    uint32_t id;
    uint32_t ring;
    uint32_t zero;
    uint64_t value;
};

#endif
