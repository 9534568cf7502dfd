/* SPDX-License-Identifier: BSD-2-Clause */
/* libmultistack: a port of the MultiStack switch.
 *
 * A port lets one process send and receive IP packets of the 3-tuples <protocol, local address,
 * local port> that it has bound, next to the host's own stack and to everybody else's. Packets are
 * whole IP packets, without a link-layer header; routes, neighbours and MAC addresses are the
 * kernel's business.
 *
 *   ms_port_open()                      a port with R rings
 *   ms_bind()                           a 3-tuple, reserved in the kernel as bind(2) would
 *   loop:
 *     ms_wait() or poll(ms_port_fd())   sleep until there is something to do
 *     ms_receive() … ms_receive_done()  a batch of packets, in place
 *     ms_reserve() ms_commit() …        packets, written in place; ms_send(): copied
 *     ms_flush()                        hand the batch to the switch
 *   ms_port_close()
 *
 * Threads. A ring belongs to one thread at a time; ms_receive(), ms_receive_done(), ms_reserve(),
 * ms_fill(), ms_commit(), ms_send(), ms_flush() and ms_ring_wait() of different rings may run side by side. All other
 * calls on a port, ms_dispatch() among them, belong to one thread, and that thread must be the
 * rings' own as long as the port has just one ring (unless ms_ring_fd() has been asked for).
 *
 * Processes. A port belongs to the process that opened it. Its descriptors are close-on-exec and
 * its memory is not inherited: a child of fork() must not touch the port, and should exec() or exit
 * soon, because the switch takes the port for alive as long as anybody has its control socket open.
 *
 * Restarts. When the switch goes away (upgrade, crash, kill -9), the port stays: ms_receive() gives
 * nothing, ms_reserve() gives NULL, and the library connects again and presents the bindings again
 * by itself, within the calls to ms_dispatch() and ms_wait(). The kernel goes on reserving the
 * bindings. To a transport protocol it looks like packet loss.
 *
 * Errors are negative errno values unless said otherwise. */
#ifndef MULTISTACK_H
#define MULTISTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MS_VERSION "0.1.0"

/* What the shared library exports. */
#define MS_API __attribute__((visibility("default")))

struct ms_port;

struct ms_port_options {
    size_t size;              /* sizeof(struct ms_port_options), so that the struct may grow */
    const char *control_path; /* NULL: $MULTISTACK_CONTROL, else /run/multistack/control.sock */
    const char *name;         /* for the operator, at most 31 bytes; NULL: the program's name */
    unsigned rings;           /* queue pairs; 0: one */
    /* Memory of each ring, rounded up to a power of two, 8 KiB at least; 0: default. A packet may be
     * half as long, less 16 bytes. */
    uint32_t rx_bytes;
    uint32_t tx_bytes;
    unsigned flags;      /* MS_PORT_* */
    int open_timeout_ms; /* how long ms_port_open() waits for the switch to answer; 0: 3000 */
};

/* May receive packets above the MTU, merged from several segments. */
#define MS_PORT_MERGED_RX 0x1
/* The program takes ms_next_inspection(). */
#define MS_PORT_INSPECTED 0x2

/* Opens a port. `options` may be NULL and is not kept. On success *port is the caller's until
 * ms_port_close(). Errors: -ENOENT or -ECONNREFUSED (no switch there), -EACCES (not allowed to open
 * ports), -EPROTONOSUPPORT (the switch speaks another version), -ENOSPC (the switch is full),
 * -EPROTO (what answers there is no switch), -EINVAL, -ENAMETOOLONG, -EMFILE, -ENOMEM,
 * -ETIMEDOUT. */
MS_API int ms_port_open(struct ms_port **port, const struct ms_port_options *options);

/* Closes the port and all of its bindings. What was sent is given to the switch before, as far as it
 * takes it within 50 ms; what was committed since the last ms_flush(), too. NULL is allowed. */
MS_API void ms_port_close(struct ms_port *port);

/* Facts about a port. They change when the switch restarts or the NIC's MTU changes: `generation`
 * is one more after each reconnection. */
struct ms_port_info {
    size_t size;    /* in: sizeof(struct ms_port_info) */
    bool connected; /* false: the switch is away */
    uint32_t port;  /* the port's number at the switch */
    unsigned rings;
    uint32_t rx_bytes; /* per ring */
    uint32_t tx_bytes;
    uint32_t mtu;        /* bytes of IP packet, the smallest of the NICs' */
    uint32_t offloads;   /* MS_OFFLOAD_* that may be asked for on sending */
    unsigned generation; /* how often the port was set up: 1 at first */
    int last_error; /* why the port is not connected, a binding is not claimed, or a rule of the
                            guard is not set: negative errno, or 0 */
    unsigned bindings_waiting; /* bindings that are reserved in the kernel, but that the switch has
                                  not (or not again) accepted: tried again by itself */
    const char *detached;      /* why the switch cut the port off last (it broke a rule): a word of
                                  multistack(1), such as "ring_index"; NULL: it never did */
    /* Random, and the same for all ports of this user as long as multistackd runs: for what stacks that
     * follow one another, or share an address, have to agree on. TCP's clock of timestamps is such a
     * thing (RFC 6191), and so are SYN cookies. All zero before the port was connected once. */
    uint8_t user_key[16];
};

#define MS_OFFLOAD_CHECKSUM 0x1
#define MS_OFFLOAD_SEGMENT  0x2

MS_API void ms_port_info(const struct ms_port *port, struct ms_port_info *info);

/* Binds a 3-tuple: `address` is a sockaddr_in or sockaddr_in6, whose address may be the wildcard
 * and whose port may be 0 (the kernel chooses); `protocol` is IPPROTO_TCP, IPPROTO_UDP, or another IP
 * protocol (below). The binding is reserved in the kernel first, with the kernel's rules and the kernel's errors
 * (-EADDRINUSE, -EACCES, -EADDRNOTAVAIL …), then claimed at the switch. Waits for the switch's
 * answer; while the switch is away, or when it does not answer within the open timeout, the binding
 * is reserved at once and claimed when the switch is back. Returns a binding's handle (≥ 0). Errors
 * besides the kernel's: what the switch says, such as -EADDRINUSE or -EXDEV (this process is in
 * another network namespace than the NICs); -EINVAL, -EAFNOSUPPORT, -EPROTONOSUPPORT, -ENOMEM.
 *
 * Other protocols. Where the kernel has sockets of it (UDP-Lite; SCTP and DCCP on many kernels), all is
 * as above. Otherwise the switch and its administrator decide: root may, others whom [protocols] of
 * the switch's configuration names (-EACCES), and nobody may have what the host itself lives by
 * (-EPROTONOSUPPORT). A protocol with ports (SCTP, DCCP, and those that the configuration says so of)
 * needs a port here; one without is bound whole, with port 0 (-EINVAL otherwise). Such bindings are
 * reserved at the switch alone, so not while it is away.
 *
 * Groups. A multicast address may be bound for UDP and UDP-Lite: the kernel then joins the group for as
 * long as the binding lives, and this port gets a copy of what is sent to it, as does every other
 * socket and port that binds it. A binding of the wildcard address receives broadcasts, and groups as a
 * socket would: those that somebody on this host has joined; ms_join_group() joins more. Nothing can be
 * sent from a group's address; to a group, from any other binding. What a port sends to a group is not
 * looped back to this host. */
MS_API int ms_bind(struct ms_port *port, int protocol, const struct sockaddr *address,
                   socklen_t length);

/* The same, with more to say. `options` may be NULL and is not kept. */
struct ms_bind_options {
    size_t size;    /* sizeof(struct ms_bind_options), so that the struct may grow */
    unsigned flags; /* MS_BIND_* */
    unsigned ring;  /* with MS_BIND_RING */
};

/* Several ports have the 3-tuple, all of them with this flag, and all of one user (the placeholder has
 * SO_REUSEPORT: the kernel decides). Each new flow belongs to one of them, by a hash of its 5-tuple
 * that stays the same; when one of n comes or goes, one flow in n moves. */
#define MS_BIND_SHARED 0x1
/* To succeed whoever of this user has the 3-tuple now: each of them gets MS_EVENT_HANDOVER and, when
 * all have drained (or after two seconds), the binding is this port's alone. Until then ms_bind_with()
 * waits. Where nobody has it, it is a binding like any other. Errors besides those of ms_bind():
 * -EACCES (another user's), -EBUSY (another successor is waiting), -ENOTCONN (the switch is away, and does
 * not come back within the open timeout). */
#define MS_BIND_TAKEOVER 0x2
/* Everything for the binding, and for what is connected to it, comes to `ring`, so that a thread that
 * serves one ring can have bindings of its own; otherwise a port's flows are spread over all of its rings
 * by a hash. The 3-tuple belongs to the port as ever: it may be sent from by all rings. In a shared
 * binding each port says this for its own share. Errors besides those of ms_bind(): -EINVAL (the port
 * has no such ring). */
#define MS_BIND_RING 0x4

MS_API int ms_bind_with(struct ms_port *port, int protocol, const struct sockaddr *address,
                        socklen_t length, const struct ms_bind_options *options);

/* Binds a range of `port_count` ports, a power of two from 64 to 16,384, of TCP or UDP, at an address
 * (which may be the wildcard): one binding, for a stack that opens many connections and chooses their
 * local ports by itself. The port of `address` is the first one, a multiple of port_count, or 0 for any
 * block that is free; ms_binding_address() says which. Of `options` (may be NULL) MS_BIND_RING alone.
 *
 * No port of the range is anybody else's, at whatever address, nor will be as long as the binding lives:
 * bind(2) says EADDRINUSE, and the host's own choice of ports (net.ipv4.ip_local_port_range) lies elsewhere.
 * The switch's keeper holds them; the port's process has no descriptor for them. The binding survives
 * restarts of the switch as others do, but not multistackd's own end: it is then asked for anew, and
 * MS_EVENT_SUSPENDED tells when that fails. ms_bind_connected() and ms_drain() do not take it
 * (-EOPNOTSUPP).
 *
 * Returns a binding's handle (≥ 0). Errors: -EINVAL, -EACCES (ports below 1,024), -EADDRINUSE (a port of
 * it is in use, or outside of what the administrator gives; or no block is free), -EDQUOT (more ports
 * than a user may have), -EADDRNOTAVAIL, -EOPNOTSUPP (no ranges on this host), -ENOTCONN (the switch is
 * away), -EBUSY (too many asked at once), -ETIMEDOUT, -EPROTONOSUPPORT, -EAFNOSUPPORT, -ENOMEM. */
MS_API int ms_bind_range(struct ms_port *port, int protocol, const struct sockaddr *address,
                         socklen_t length, unsigned port_count,
                         const struct ms_bind_options *options);

/* A connected binding: a 5-tuple, whose protocol and local port are those of a binding. Packets of
 * that flow come to this port, whoever else has or shares the 3-tuple, for as long as this port has
 * the binding. IPv4 addresses are in the first four bytes, the rest is zero. */
struct ms_flow {
    uint8_t local[16];
    uint8_t remote[16];
    uint16_t remote_port; /* network order */
    uint16_t zero;
};

/* Makes (or ends) connected bindings, any number at once; what is there (or gone) already is no
 * error. ms_bind_connected() waits for the switch's answer as ms_bind() does; while the switch is
 * away they are remembered, as bindings are. Errors: -ENOENT (no such binding), -ENOMEM, and what the
 * switch says of those that it does not take, which are then forgotten: -ENOSPC (it has too many),
 * -EADDRINUSE (connected to another port), -EINVAL, -EADDRNOTAVAIL (not an address of the binding). */
MS_API int ms_bind_connected(struct ms_port *port, int binding, const struct ms_flow *flows,
                             unsigned count);
MS_API int ms_unbind_connected(struct ms_port *port, int binding, const struct ms_flow *flows,
                               unsigned count);

/* From now on the binding gets what is connected to it and nothing else: the rest is its
 * successor's, or that of those who share the 3-tuple. It may go on sending. Waits for the switch's
 * answer; then all that came before lies in the rings. Errors: -ENOENT, -EBUSY (there is nobody else
 * to have it). While the switch is away it counts when the switch is back. */
MS_API int ms_drain(struct ms_port *port, int binding);

/* Rules of the guard: they are judged in the kernel, at the NIC (or at the packet socket), before a
 * packet for the binding costs its stack anything. No rule touches what goes to the host or to another
 * binding. A packet is asked in this order: block and allow lists, MS_GUARD_STRICT, the limits.
 *
 * A prefix of sources is on a block list or an allow list, or on both, and then allow counts; the longest
 * prefix that a source is in decides. Who is allowed is asked for nothing else. "These and nobody else" is
 * a block of prefix 0 beside what is allowed. The limits count SYNs, and let `burst` through at once and
 * `rate` in a second; where several are set, each must agree. */
enum ms_guard_kind {
    MS_GUARD_BLOCK = 1, /* source, prefix: dropped */
    MS_GUARD_ALLOW,     /* source, prefix */
    MS_GUARD_STRICT, /* TCP: segments with flags that no TCP sends (SYN and FIN, none at all …), or
                           * from port 0, are dropped */
    MS_GUARD_SYN_SOURCE,  /* TCP: rate, burst, for each IPv4 address or IPv6 /64 */
    MS_GUARD_SYN,         /* TCP: rate, burst, of all sources */
    MS_GUARD_CONNECTIONS, /* TCP: rate, burst, of what reaches the stack as a new connection */
    /* TCP: SYNs are answered in the stack's place by SYN cookies, which `cookie` tells how to make. rate
     * 1: from now on, 0: not, but the stack is ready for it: see the next two. burst: so many a second, up
     * to 10,000,000, come to the stack all the same, which answers them itself. Nothing is answered while
     * others that share the 3-tuple have not told the same. */
    MS_GUARD_COOKIES,
    MS_GUARD_COOKIES_ALWAYS, /* TCP: … whether the stack asks or not */
    MS_GUARD_COOKIES_NEVER,  /* TCP: … nor if it asks */
};

#define MS_COOKIE_TIMESTAMPS   0x1
#define MS_COOKIE_WINDOW_SCALE 0x2
#define MS_COOKIE_SACK         0x4
#define MS_COOKIE_ECN          0x8

/* What a SYN-ACK says that is sent in the stack's place; common/syncookie.h has the arithmetic of its
 * sequence number and timestamp. */
struct ms_guard_cookie {
    uint8_t key[16];
    uint32_t behind_us; /* what the cookies' clock is behind CLOCK_MONOTONIC; up to a second */
    uint16_t mss;       /* to offer; 88 at least */
    uint16_t window;    /* as it stands in the header, in host order */
    uint8_t window_scale;
    uint8_t hop_limit; /* not 0 */
    uint8_t dscp;
    uint8_t options; /* MS_COOKIE_*: agreed on if the SYN asks for it */
};

#define MS_GUARD_SECONDS_MAX (366u * 86400)

struct ms_guard_rule {
    size_t size;                   /* sizeof(struct ms_guard_rule) */
    int kind;                      /* enum ms_guard_kind */
    const struct sockaddr *source; /* lists: any address of the prefix; its port is ignored */
    socklen_t source_length;
    unsigned prefix;  /* lists: bits, up to 32 or 128 */
    unsigned rate;    /* limits: in a second, up to 10,000,000 */
    unsigned burst;   /* limits: at once, up to 10,000,000; 0: as many as in a second */
    unsigned seconds; /* until it ends by itself, up to MS_GUARD_SECONDS_MAX; 0: with the binding */
    const struct ms_guard_cookie *cookie; /* of MS_GUARD_COOKIES; otherwise ignored */
};

/* Sets a rule; one of the same kind (of lists: and prefix) that the binding has is changed. Rules end with
 * their binding. Several bindings of one 3-tuple have theirs together: a prefix that one of them blocks
 * is blocked, and the lowest rate counts. Waits for the switch's answer; while the switch is away rules are
 * kept and presented when it is back, as bindings are, with the time that they still have. Errors:
 * -ENOENT (no such binding), -EINVAL, -EAFNOSUPPORT, -ENOMEM, -EPROTOTYPE (a rule about TCP, a binding of
 * another protocol), -ENOSPC (too many: of this port, this user, or at all), -EOPNOTSUPP (no NIC of this
 * switch can, or the binding is a group's), -EACCES (the switch's administrator does not let stacks ask for
 * cookies). */
MS_API int ms_guard_set(struct ms_port *port, int binding, const struct ms_guard_rule *rule);
/* How many SYNs to the binding's 3-tuple have been answered in its stacks' place so far, whoever wanted it.
 * The count begins anew with each switch. Waits for the switch's answer. Errors: -ENOENT (no such binding,
 * or it has no MS_GUARD_COOKIES), -ENOTCONN (the switch is away), those of ms_guard_set(). */
MS_API int ms_guard_answered(struct ms_port *port, int binding, uint64_t *answered);
/* Takes one back; its rate, burst and seconds are ignored. -ENOENT: there is none. */
MS_API int ms_guard_remove(struct ms_port *port, int binding, const struct ms_guard_rule *rule);
/* Takes all back that were set by this port. */
MS_API int ms_guard_flush(struct ms_port *port, int binding);

enum ms_event_kind {
    /* A successor is waiting: connect the flows that are to stay (ms_bind_connected()), then
     * ms_drain(). Who does not within two seconds has drained with what is connected by then. */
    MS_EVENT_HANDOVER = 1,
    MS_EVENT_DRAINED, /* the two seconds were over */
    MS_EVENT_RESUME,  /* the successor is gone before its time: the binding gets everything again */
    /* Nothing comes for the binding and nothing may be sent from it, because of `error`:
     * -EADDRNOTAVAIL, its address is not this host's any more; others, what the switch said when the
     * binding was presented to it again, which goes on by itself. The binding stays reserved. */
    MS_EVENT_SUSPENDED,
    MS_EVENT_RESTORED, /* that is over */
};

struct ms_event {
    size_t size; /* in: sizeof(struct ms_event) */
    int kind;    /* enum ms_event_kind; skip those that you do not know */
    int binding;
    int error; /* MS_EVENT_SUSPENDED: why, a negative errno; otherwise 0 */
};

/* What ms_dispatch() heard about bindings; false: that was all. */
MS_API bool ms_next_event(struct ms_port *port, struct ms_event *event);

/* For ports with MS_PORT_INSPECTED: somebody who may (root, or this user) asks what the stack is doing, as
 * `multistack connections` does, and ms_dispatch() heard of it. Gives a connected Unix socket, which is
 * the caller's to answer on and to close; -EAGAIN: nobody asks. A few wait, others are turned away. */
MS_API int ms_next_inspection(struct ms_port *port);

/* Joins a multicast group, or leaves it, for a binding of UDP or UDP-Lite at the wildcard address, as
 * MCAST_JOIN_GROUP of ip(7) does for a socket. `interface`: index of the device, or 0 for what the
 * kernel's routing says (IPv6: for sin6_scope_id). Errors: -ENOENT, -EOPNOTSUPP (the binding has no
 * socket in the kernel), the kernel's (-ENODEV, -EADDRINUSE …). */
MS_API int ms_join_group(struct ms_port *port, int binding, const struct sockaddr *group,
                         socklen_t length, unsigned interface);
MS_API int ms_leave_group(struct ms_port *port, int binding, const struct sockaddr *group,
                          socklen_t length, unsigned interface);

/* Gives a binding back, and waits for the switch to do so, so that it may be bound again at once.
 * Errors: -ENOENT. */
MS_API int ms_unbind(struct ms_port *port, int binding);

/* The address of a binding, with the port that the kernel chose. As getsockname(2) in its
 * arguments. Errors: -ENOENT. */
MS_API int ms_binding_address(const struct ms_port *port, int binding, struct sockaddr *address,
                              socklen_t *length);

/* The local address that the kernel's routing would use towards `remote`, and a port of 0. For
 * stacks that open connections. Errors: what connect(2) on a UDP socket gives (-ENETUNREACH …). */
MS_API int ms_source_address(const struct sockaddr *remote, socklen_t remote_length,
                             struct sockaddr_storage *local, socklen_t *local_length);

/* A received packet. */
struct ms_packet {
    const uint8_t *data; /* starts with the IP header; in the ring, valid until ms_receive_done() */
    uint32_t length;     /* bytes */
    uint16_t flags;      /* MS_RX_* */
    uint16_t segment_size;
};

#define MS_RX_CHECKSUM_PARTIAL                                                                     \
    0x2                  /* the transport checksum may hold just the sum of the pseudo-header */
#define MS_RX_MERGED 0x4 /* merged from segments of at most segment_size bytes of payload */

/* Gives up to `max` received packets without copying. 0: none are there. They stay valid until
 * ms_receive_done(), which gives all of them back at once; a second ms_receive() before it goes on
 * behind them. */
MS_API unsigned ms_receive(struct ms_port *port, unsigned ring, struct ms_packet *packets,
                           unsigned max);
MS_API void ms_receive_done(struct ms_port *port, unsigned ring);

/* Room for a packet of `length` bytes (1 to 65,535), to be written in place. NULL: the ring is full
 * or the switch is away. What was reserved is sent by ms_commit(), or forgotten by the next
 * ms_reserve(). */
MS_API uint8_t *ms_reserve(struct ms_port *port, unsigned ring, uint32_t length);

/* Copies `length` bytes `from` memory of one's own into the packet reserved last, where `to` lies, as memcpy()
 * does. A kilobyte and more goes past the processor's cache where the switch ran on another processor
 * lately: there its lines are, and taking them back one by one takes longer than the copy. It is complete
 * at ms_flush(). */
MS_API void ms_fill(struct ms_port *port, unsigned ring, uint8_t *to, const void *from,
                    uint32_t length);

/* What is asked of the switch for a packet; all zero for a packet that is complete. */
struct ms_offload {
    uint16_t flags; /* MS_TX_* */
    uint16_t segment_size;
    uint16_t checksum_start;
    uint16_t checksum_offset;
};

#define MS_TX_CHECKSUM 0x2 /* fill in the checksum at checksum_start + checksum_offset */
#define MS_TX_SEGMENT  0x4 /* cut into segments of segment_size bytes of payload */

/* Commits the packet reserved last; `length` may be less than was reserved. `offload` may be NULL.
 */
MS_API void ms_commit(struct ms_port *port, unsigned ring, uint32_t length,
                      const struct ms_offload *offload);

/* The same with a packet of `length` bytes that lies in memory of one's own, in one step: copied, and
 * committed. False: the ring is full, or the switch is away, or there is no such ring. The copy goes past
 * the processor's cache, which is much faster where the switch has a core of its own, and hardly slower
 * where it has not. */
MS_API bool ms_send(struct ms_port *port, unsigned ring, const void *packet, uint32_t length,
                    const struct ms_offload *offload);

/* Hands all committed packets to the switch, and wakes it if it sleeps. */
MS_API void ms_flush(struct ms_port *port, unsigned ring);

/* To wait in an event loop: ms_port_fd() becomes readable when a ring has packets, when there is
 * room again in a ring that was full, when the switch has something to say, or when it is time to
 * try to reconnect. Before sleeping, call ms_ring_wait() for each ring: it asks for the wake-up,
 * and says false when there is something to do already. After waking, call ms_dispatch(), which
 * also takes the readiness back; it never blocks and returns 0 (what became of the connection is
 * told by ms_port_info()). `for_room`: bytes that did not fit, or 0. The descriptor stays the same
 * for the life of the port; it is the port's to close. */
MS_API int ms_port_fd(const struct ms_port *port);
MS_API bool ms_ring_wait(struct ms_port *port, unsigned ring, uint32_t for_room);
MS_API int ms_dispatch(struct ms_port *port);

/* As ms_port_fd(), but of a single ring, for a thread that serves just that one: readable when the
 * ring has packets or room, and when the switch went away or came back. From the first call on the
 * ring no longer makes ms_port_fd() readable. ms_ring_wait() takes the readiness back;
 * ms_dispatch() is not for this thread. The same for the life of the port. A negative errno when it
 * cannot be made, -EINVAL for a ring that does not exist. */
MS_API int ms_ring_fd(const struct ms_port *port, unsigned ring);

/* For a thread that serves the port and its rings from an epoll set of its own: the ring's packets and room are
 * told to that set straight, as EPOLLIN with `data`, where ms_port_fd() in it would be a set within a set, and each
 * wake-up would be told twice and call for ms_dispatch(). Edges: nothing needs to be taken back. From then on the
 * ring no longer makes ms_port_fd() readable, which still tells of everything else, the switch's going and coming
 * among it. The set stays the caller's; it must not be closed before the port. -EBUSY: the ring has
 * ms_ring_fd() or a set already (then that has -EBUSY, too); -EINVAL: no such ring; or what epoll_ctl() says. */
MS_API int ms_ring_watch(struct ms_port *port, unsigned ring, int epoll_fd, uint64_t data);

/* Moderates the wake-ups of one ring: while it sleeps, it is woken when `packets` packets have come for it
 * (0: however many), or when `delay_us` microseconds have passed since the first of them, whichever is
 * earlier; also when half of the ring is full. A packet that comes alone is never held back for longer.
 * delay_us 0, as it is at first: woken at once. It may be called at any time by the thread that serves the
 * ring, and holds for the next switch as well. -EINVAL: there is no such ring, or the delay is above 100,000. */
MS_API int ms_ring_moderate(struct ms_port *port, unsigned ring, unsigned packets,
                            unsigned delay_us);

/* Sleeps until ring 0 has packets or `timeout_ms` is over (-1: no limit), and dispatches. Returns 1
 * when there are packets, 0 when not, or a negative errno. -EINTR: a signal was handled, or the process was
 * stopped and continued (signal(7)); call it again. */
MS_API int ms_wait(struct ms_port *port, int timeout_ms);

/* Counts kept by the library. */
struct ms_ring_stats {
    size_t size; /* in: sizeof(struct ms_ring_stats) */
    uint64_t rx_packets, rx_bytes;
    uint64_t tx_packets, tx_bytes;
    uint64_t tx_full;      /* ms_reserve() found no room */
    uint64_t wakeups_sent; /* the switch slept and was woken */
};

MS_API int ms_ring_stats(const struct ms_port *port, unsigned ring, struct ms_ring_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
