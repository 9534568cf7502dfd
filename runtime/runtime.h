/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack at work: one UTCP (utcp.h) on one ring of a port (multistack.h), in an event loop.
 *
 * This is the joint where the pure state machine meets memory rings, the clock and sleep. It adds
 * nothing to either: the application goes on using utcp_read(), utcp_write() and the rest on the
 * connections that it gets here.
 *
 *   runtime_open()
 *   runtime_listen(), runtime_connect()
 *   loop:
 *     runtime_step()      packets in → timers → events to the application → packets out
 *     runtime_wait()      sleep until there is more
 *   runtime_close()
 *
 *                       ┌────────────────────── runtime_step() ──────────────────────┐
 *   ms_receive() ─► utcp_input() … ─► utcp_advance() ─► utcp_poll() ─► events() ─► utcp_output()
 *                       └──────────── again, while there are packets ────────┘        │
 *                                                        ms_flush() ◄─ ms_commit() ◄──┘
 *
 * Batches all the way: the clock is read once for each batch of packets, the application hears of a
 * batch at once, and what it answers leaves together with the acknowledgments. As long as there is
 * work no system call is made, but a look at the control socket every few milliseconds.
 *
 * With busy_poll_us the runtime is told how long it may go on looking before it sleeps. Within that it
 * looks only if arrivals come so close that it pays, and not at all for a while once somebody else has
 * wanted the core: a switch and its applications may share one (common/adaptive_poll.h tells how). The
 * switch need not wake a runtime that looks.
 *
 * A listener can be handed over to another process, such as the next version of the program, without
 * a connection refused or lost (handover.c).
 *
 * When the switch restarts nothing happens here: packets neither come nor go for a while, and TCP
 * does what it does about loss. MTU and offloads are taken over when they are others afterwards.
 *
 * All of it belongs to one thread, but for runtime_wake(). Times are µs of CLOCK_MONOTONIC, ports
 * in struct sockaddr as usual, errors negative errno values. */
#ifndef MS_RUNTIME_H
#define MS_RUNTIME_H

#include "multistack.h"
#include "utcp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MS_RUNTIME_POLL_ALWAYS UINT32_MAX

struct ms_runtime;
struct ms_runtime_listener;

/* Whether SYNs are answered at the NIC, by SYN cookies, where the switch can and may do that. */
enum runtime_nic_cookies {
    RUNTIME_NIC_COOKIES_AUTO,      /* while a flood of them costs too much of a core */
    RUNTIME_NIC_COOKIES_WHEN_FULL, /* while a flood of them uses up the backlog, whatever it costs */
    RUNTIME_NIC_COOKIES_ALWAYS,
    RUNTIME_NIC_COOKIES_NEVER,
};

struct ms_runtime_options {
    /* The port, see struct ms_port_options; 0 or NULL: its defaults. */
    const char *control_path;
    const char *name;
    uint32_t rx_bytes; /* 0: 2 MiB */
    uint32_t tx_bytes;
    /* The stack, see struct utcp_config; 0 or NULL: its defaults, but for receive_buffer_max: half
     * of the port's receive ring. */
    const char *congestion;
    uint32_t connections_max;
    uint32_t receive_buffer_max;
    uint32_t send_buffer_max;
    uint64_t memory_max;
    uint64_t time_wait_us;
    uint64_t stall_max_us, stall_spared_us;
    uint32_t challenge_acks_max;
    uint32_t stack_flags; /* UTCP_NO_* */
    /* For who opens many connections: their local ports come out of ranges of so many, a power of two
     * from 64 to 16,384, one for each family, which are bound with the first connection. Where the switch
     * gives none, and for connections that find none free, and with 0: a binding for each connection. */
    uint32_t local_ports;
    /* At most so long, in µs, runtime_wait() and runtime_prepare() keep the caller going round when there
     * is nothing to do, where that pays. 0: not at all. MS_RUNTIME_POLL_ALWAYS: they never let it sleep. */
    uint32_t busy_poll_us;
    /* While it sleeps: woken after so many packets or so many µs, as ms_ring_moderate() says, which may
     * change it at any time on runtime_port(), ring 0. 0: at once. */
    uint32_t wake_packets, wake_delay_us;
    /* Called within runtime_step() with what utcp_poll() gave: at most one event for each
     * connection or listener. It may do whatever it likes with connections. */
    void (*events)(void *context, const struct utcp_event *events, unsigned count);
    void *context;
    /* Called within runtime_step(), when not NULL: a listener was handed over to another process
     * (`away`: it accepts no more than what is on the way already; connections go on), or has come
     * back, because that process is gone. The runtime does by itself what must be done. */
    void (*handed_over)(void *context, struct ms_runtime_listener *listener, bool away);
    /* Called within runtime_step(), when not NULL: nothing comes to a listener for now, because of
     * `error`, as MS_EVENT_SUSPENDED says; or (0) that is over. There is nothing to be done: TCP takes
     * it for loss. */
    void (*suspended)(void *context, struct ms_runtime_listener *listener, int error);
    enum runtime_nic_cookies nic_cookies;
    /* Called within runtime_step(), when not NULL: SYNs to the listener are answered at the NIC, now and
     * then, because of a flood (status 1); the flood is over (0); there is one, but this cannot be done (a
     * negative errno: -EOPNOTSUPP, no NIC that could; -EACCES, the switch's configuration). */
    void (*guarded)(void *context, struct ms_runtime_listener *listener, int status);
};

/* Opens a port and puts a stack on it. Errors: those of ms_port_open(); -ENOPROTOOPT: there is no
 * such congestion control; -EINVAL: wake_delay_us is above 100,000. `options` is not kept. Where the environment has MULTISTACK_TRACE, connections
 * are traced into a file (doc/tracing.md): -EINVAL, or why it cannot be made. */
int runtime_open(struct ms_runtime **runtime, const struct ms_runtime_options *options);

/* Ends it all at once: connections are forgotten, bindings given back. NULL is allowed. */
void runtime_close(struct ms_runtime *runtime);

/* The time that belongs to the batch at hand: what the calls of UTCP want as `now`. */
uint64_t runtime_now(const struct ms_runtime *runtime);
struct utcp *runtime_stack(struct ms_runtime *runtime);
struct ms_port *runtime_port(struct ms_runtime *runtime);

/* Binds `address` (its port may be 0, its address the wildcard) and listens there. `user` comes
 * with UTCP_ACCEPTABLE events. Errors: those of ms_bind() and utcp_listen(). */
int runtime_listen(struct ms_runtime *runtime, const struct sockaddr *address, socklen_t length,
                   unsigned backlog, void *user, struct ms_runtime_listener **listener);
/* The same, with MS_BIND_* in `flags`: to share the address with others, or to succeed them. */
int runtime_listen_with(struct ms_runtime *runtime, const struct sockaddr *address,
                        socklen_t length, unsigned backlog, void *user, unsigned flags,
                        struct ms_runtime_listener **listener);
struct utcp_listener *runtime_listener(struct ms_runtime_listener *listener);
/* Where it listens, with the port that the kernel chose. As getsockname(2) in its arguments. */
int runtime_listener_address(const struct ms_runtime_listener *listener, struct sockaddr *address,
                             socklen_t *length);
/* Leaves new connections to the others that share the address: handed_over() is called before it
 * returns. -EBUSY: there are no others, and nothing has changed. */
int runtime_listener_drain(struct ms_runtime_listener *listener);
/* Accepts no more; connections that were accepted go on, for the binding stays. */
void runtime_listener_stop(struct ms_runtime_listener *listener);
/* Gives the binding back, too: connections that were accepted hear no more. */
void runtime_listener_close(struct ms_runtime_listener *listener);

/* Begins to connect, from the address that the kernel's routes lead over and a port that the kernel
 * chooses. The connection is the caller's; its port is reserved until nothing is left of it,
 * TIME-WAIT included. Errors: those of ms_source_address(), ms_bind() and utcp_connect(). */
int runtime_connect(struct ms_runtime *runtime, const struct sockaddr *remote, socklen_t length,
                    void *user, struct utcp_conn **conn);

/* Does what there is to do, within a budget. True: there is more, come again without sleeping. */
bool runtime_step(struct ms_runtime *runtime);

/* Sleeps until there is something to do, `until` has come (UINT64_MAX: no limit), a signal arrives
 * or runtime_wake() was called; returns at once while polling pays (busy_poll_us). 0, or an error that
 * will not go away. */
int runtime_wait(struct ms_runtime *runtime, uint64_t until);

/* For other event loops: when runtime_prepare() says true it is time to sleep, and runtime_fd()
 * becomes readable when runtime_step() should be called; false: call it now, and look at what else the
 * loop waits for without sleeping. */
int runtime_fd(const struct ms_runtime *runtime);
bool runtime_prepare(struct ms_runtime *runtime, uint64_t until);

/* Ends runtime_wait(), this or the next. For signal handlers and other threads. */
void runtime_wake(struct ms_runtime *runtime);

/* struct sockaddr_in and sockaddr_in6 to and fro. False: another family. */
bool runtime_endpoint(const struct sockaddr *address, struct utcp_endpoint *endpoint);
socklen_t runtime_sockaddr(const struct utcp_endpoint *endpoint, struct sockaddr_storage *address);

#ifdef __cplusplus
}
#endif

#endif
