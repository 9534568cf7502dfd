/* SPDX-License-Identifier: BSD-2-Clause */
/* The conversation with the switch: one state machine for the first connection and for all later
 * ones. It never blocks; it is driven by what the port's epoll says (control socket, timer, alarm).
 *
 *                                                                         all bindings
 *          connect             WELCOME             PORT_OPENED              answered
 *   AWAY ──────────► HELLO ──────────────► OPENING ────────────► BINDING ───────────────► READY
 *     ▲                │                      │                     │                       │
 *     └────────────────┴──────────────────────┴─────────────────────┴───────────────────────┘
 *       the connection closes, an answer is an error or nonsense, the switch detaches the port
 *
 * AWAY: rings give nothing and take nothing. The timer tries again after 10 ms, then after twice as
 *   long each time, up to 250 ms, so that the outage of a restart ends soon after the switch is
 *   back; after one second when the switch cut the port off for breaking a rule.
 * BINDING: bindings are presented with their placeholders, up to CONTROL_PIPELINE_MAX at a time.
 *   Packets do not flow yet: what is sent before the binding is back would be dropped.
 * READY: packets flow. Bindings that the switch refused are presented again after 250 ms, then after
 *   twice as long each time, up to 4 s: the reason may be gone soon (somebody's placeholder, an
 *   address), or never, and then asking should cost next to nothing. */
#include "port_internal.h"
#include "reasons.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RETRY_FIRST_MS    10
#define RETRY_MOST_MS     250
#define RETRY_DETACHED_MS 1000
#define REFUSED_FIRST_MS  250
#define REFUSED_MOST_MS   4000
#define STEADY_MS         1000 /* READY for so long: the next retry begins with RETRY_FIRST_MS */
#define MESSAGES_AT_ONCE  256

static void set_timer(struct ms_port *port, int after_ms)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = after_ms / 1000, .tv_nsec = (long)(after_ms % 1000) * 1000000}};

    timerfd_settime(port->timer_fd, 0, &when, NULL);
}

/* Only EPOLL_CTL_ADD can fail: it wants memory. */
static int watch_control(struct ms_port *port, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = SESSION_EVENT_CONTROL};

    return epoll_ctl(port->epoll_fd, operation, port->session.fd, &event) ? -errno : 0;
}

static void close_connection(struct ms_port *port)
{
    struct session *session = &port->session;

    if (session->fd >= 0) {
        watch_control(port, EPOLL_CTL_DEL, 0);
        close(session->fd);
    }
    session->fd = -1;
    session->on_the_way = 0;
    session->asked = 0;
    session->answer = -ENOTCONN;
    session->wants_write = false;
    session->refused_delay_ms = 0;
    session->refused_due = false;
    region__drop(session->region);
    session->region = NULL;
}

/* Into AWAY, from any state. `error`: why. */
static void lose(struct ms_port *port, int error)
{
    struct session *session = &port->session;
    int64_t now = control_client__now_ms();

    if (session->state == SESSION_READY && now - session->ready_since_ms >= STEADY_MS)
        session->retry_delay_ms = 0;
    session->retry_delay_ms *= 2;
    if (session->retry_delay_ms < RETRY_FIRST_MS)
        session->retry_delay_ms = RETRY_FIRST_MS;
    if (session->retry_delay_ms > RETRY_MOST_MS)
        session->retry_delay_ms = RETRY_MOST_MS;
    close_connection(port);
    if (port->region)
        ring__switch_over(port, NULL);
    binding__forget_claims(port);
    session->state = SESSION_AWAY;
    port->last_error = error;
    set_timer(port, session->retry_delay_ms);
}

static const char *detach_reason_name(uint32_t reason)
{
    static const char *const names[] = {
#define DETACH_REASON_NAME(symbol, name, text) [DETACH_##symbol] = name,
        DETACH_REASONS(DETACH_REASON_NAME)
#undef DETACH_REASON_NAME
    };

    static_assert(sizeof(names) / sizeof(names[0]) == DETACH_REASON_COUNT, "a name for each");
    return reason < DETACH_REASON_COUNT ? names[reason] : "unknown";
}

/* The switch cut us off: our process broke a rule, and would do so again at once. */
static void detached(struct ms_port *port, uint32_t reason)
{
    port->detached = detach_reason_name(reason);
    lose(port, -EPROTO);
    set_timer(port, RETRY_DETACHED_MS);
}

/* From BINDING to READY, when the last answer has come. */
static void settle(struct ms_port *port)
{
    struct session *session = &port->session;

    session__report_bindings(port);
    if (session->state != SESSION_BINDING)
        return;
    for (unsigned i = 0; i < port->binding_count; i++)
        if (port->bindings[i].state == BINDING_WAITING ||
            port->bindings[i].state == BINDING_CLAIMING)
            return;
    if (port->flows.pending || !guard__is_settled(port))
        return;
    session->state = SESSION_READY;
    session->ready_since_ms = control_client__now_ms();
    port->generation++;
    ring__switch_over(port, session->region);
    session->region = NULL;
}

/* A binding that another switch had says what it was there, so that this one waits for the others
 * (switch/sharing.h). Its placeholder lets others in only while that is wanted: the switch before
 * may have gone in the midst of a hand-over. */
static int send_bind(struct ms_port *port, struct binding *binding)
{
    struct control_bind bind = {
        .header = {.type = CONTROL_BIND,
                   .size = sizeof(bind),
                   .request = port->session.request + 1},
        .address = binding->address,
        .port_count = (uint16_t)binding->port_count,
        .members = binding->was_claimed ? binding->members : 0,
        .connected = binding->was_claimed ? binding->flow_count : 0,
    };

    if (binding->port_count > 1) /* has one owner, always */
        bind.members = 0;

    if (binding->shared)
        bind.flags |= CONTROL_BIND_SHARED;
    if (binding->has_ring) {
        bind.flags |= CONTROL_BIND_RING;
        bind.ring = (uint16_t)binding->ring;
    }
    if (binding->takeover)
        bind.flags |= CONTROL_BIND_TAKEOVER;
    else if (binding->draining)
        bind.flags |= CONTROL_BIND_DRAINING;
    if (binding->placeholder >= 0 && (binding->was_claimed || binding->takeover))
        placeholder__share(binding->placeholder, binding->shared || binding->takeover);
    return control_client__send(port->session.fd, &bind, binding->placeholder);
}

static int send_unbind(struct ms_port *port, struct binding *binding)
{
    struct control_unbind unbind = {
        .header = {.type = CONTROL_UNBIND,
                   .size = sizeof(unbind),
                   .request = port->session.request + 1},
        .binding = binding->number,
    };

    return control_client__send(port->session.fd, &unbind, -1);
}

/* Sends what is due for one binding. -EAGAIN: not now. */
static int present_binding(struct ms_port *port, unsigned index)
{
    struct binding *binding = &port->bindings[index];
    bool claim = binding->state == BINDING_WAITING;
    int error;

    if (binding->first_todo != FLOW_NONE && binding->state == BINDING_CLAIMED)
        return connected__present(port, index);
    if (!claim && binding->state != BINDING_LEAVING)
        return 0;
    error = claim ? send_bind(port, binding) : send_unbind(port, binding);
    if (error)
        return error;
    binding->request = ++port->session.request;
    binding->state = claim ? BINDING_CLAIMING : BINDING_UNBINDING;
    port->session.on_the_way++;
    return 0;
}

void session__present_bindings(struct ms_port *port)
{
    struct session *session = &port->session;
    bool full = false;

    if (session->state != SESSION_BINDING && session->state != SESSION_READY)
        return;
    for (unsigned i = 0; i < port->binding_count; i++) {
        int error;

        if (session->on_the_way >= CONTROL_PIPELINE_MAX)
            break; /* goes on with the next answer */
        error = present_binding(port, i);
        if (error == -EAGAIN || error == -ETOOMANYREFS) {
            full = true; /* goes on when the socket is writable */
            break;
        }
        if (error) {
            lose(port, error);
            return;
        }
    }
    if (!full) {
        int error = guard__present(port);

        full = error == -EAGAIN;
        if (error && !full) {
            lose(port, error);
            return;
        }
    }
    if (full != session->wants_write) {
        session->wants_write = full;
        watch_control(port, EPOLL_CTL_MOD, EPOLLIN | (full ? EPOLLOUT : 0U));
    }
}

static int welcome_handler(struct ms_port *port, const struct control_message *message)
{
    bool inspected =
        port->flags & MS_PORT_INSPECTED && message->welcome.features & CONTROL_FEATURE_INSPECT;
    struct control_port_open open = {
        .header = {.type = CONTROL_PORT_OPEN,
                   .size = sizeof(open),
                   .request = ++port->session.request},
        .ring_count = port->ring_count,
        .rx_size = port->rx_bytes,
        .tx_size = port->tx_bytes,
        .flags = (port->flags & MS_PORT_MERGED_RX ? CONTROL_PORT_MERGED_RX : 0U) |
                 (inspected ? CONTROL_PORT_INSPECTED : 0U),
    };
    int error = control_client__check_welcome(message);

    if (error)
        return error;
    port->session.features = message->welcome.features & CONTROL_FEATURES;
    memcpy(open.name, port->name, sizeof(open.name));
    port->session.state = SESSION_OPENING;
    return control_client__send(port->session.fd, &open, -1);
}

static int port_opened_handler(struct ms_port *port, struct control_message *message)
{
    const struct control_port_opened *opened = &message->port_opened;
    int error;

    if (opened->header.error)
        return -opened->header.error;
    error = region__open(&port->session.region, message, port->ring_count);
    if (error)
        return error;
    port->number = opened->port;
    port->mtu = opened->mtu;
    port->offloads = opened->offloads;
    memcpy(port->user_key, opened->user_key, sizeof(port->user_key));
    port->rx_size = opened->rx_size;
    port->tx_size = opened->tx_size;
    port->session.state = SESSION_BINDING;
    session__present_bindings(port);
    settle(port);
    return 0;
}

static int answer_handler(struct ms_port *port, const struct control_message *message)
{
    struct session *session = &port->session;
    bool expected = false;

    switch (message->header.type) {
    case CONTROL_BOUND: expected = binding__bound(port, &message->bound); break;
    case CONTROL_UNBOUND: expected = binding__unbound(port, &message->unbound); break;
    case CONTROL_CONNECTED: expected = connected__answered(port, &message->connected); break;
    case CONTROL_GUARDED: expected = guard__answered(port, &message->guarded); break;
    default: /* SHARED, DRAINED */
        expected = session->asked && message->header.request == session->asked;
        session->asked = 0;
        session->answer = -message->header.error;
    }
    if (!expected)
        return -EPROTO;
    port->session.on_the_way--;
    session__present_bindings(port);
    settle(port);
    return 0;
}

/* The descriptor is the port's from now on. Who does not take them gets no more. */
static void inspection_event(struct ms_port *port, struct control_message *message)
{
    if (message->fd_count != 1 || !(port->flags & MS_PORT_INSPECTED) ||
        port->inspection_count == INSPECTIONS_MAX)
        return;
    port->inspections[port->inspection_count++] = message->fds[0];
    message->fd_count = 0;
}

/* Kinds that a later switch may add are not for us. */
static int event_handler(struct ms_port *port, struct control_message *message)
{
    const struct control_event *event = &message->event;

    if (event->kind == CONTROL_EVENT_MTU)
        port->mtu = event->value;
    else if (event->kind == CONTROL_EVENT_DETACHED)
        detached(port, event->value);
    else if (event->kind == CONTROL_EVENT_INSPECT)
        inspection_event(port, message);
    else
        handover__event(port, event);
    return 0;
}

/* The table of what may come when; anything else is -EPROTO. */
static int message_handler(struct ms_port *port, struct control_message *message)
{
    enum session_state state = port->session.state;
    bool bound = state == SESSION_BINDING || state == SESSION_READY;

    switch (message->header.type) {
    case CONTROL_WELCOME:
        if (state == SESSION_HELLO && message->header.request == port->session.request)
            return welcome_handler(port, message);
        break;
    case CONTROL_PORT_OPENED:
        if (state == SESSION_OPENING && message->header.request == port->session.request)
            return port_opened_handler(port, message);
        break;
    case CONTROL_BOUND:
    case CONTROL_UNBOUND:
    case CONTROL_CONNECTED:
    case CONTROL_SHARED:
    case CONTROL_DRAINED:
    case CONTROL_GUARDED:
        if (bound)
            return answer_handler(port, message);
        break;
    case CONTROL_EVENT:
        if (state != SESSION_HELLO)
            return event_handler(port, message);
        break;
    }
    return -EPROTO;
}

void session__connect(struct ms_port *port)
{
    struct session *session = &port->session;
    int error, fd = control_client__connect(port->control_path);

    if (fd < 0) {
        lose(port, fd);
        return;
    }
    session->fd = fd;
    session->state = SESSION_HELLO;
    error = watch_control(port, EPOLL_CTL_ADD, EPOLLIN);
    if (!error)
        error = control_client__hello(fd, ++session->request);
    if (error)
        lose(port, error);
}

void session__control_handler(struct ms_port *port)
{
    struct control_message message;

    session__present_bindings(port);
    for (int i = 0; i < MESSAGES_AT_ONCE && port->session.state != SESSION_AWAY; i++) {
        int error = control_client__receive(port->session.fd, &message);

        if (error == -EAGAIN)
            return;
        if (!error) {
            error = message_handler(port, &message);
            control_client__close_fds(&message); /* those that nobody took */
        }
        if (error)
            lose(port, error == -EAGAIN ? -ECONNRESET : error);
    }
}

void session__timer_handler(struct ms_port *port)
{
    uint64_t expirations;

    if (read(port->timer_fd, &expirations, sizeof(expirations)) != sizeof(expirations))
        return; /* was set anew meanwhile */
    if (port->session.state == SESSION_AWAY) {
        session__connect(port);
    } else {
        port->session.refused_due = false;
        binding__retry_refused(port);
        session__present_bindings(port);
    }
}

void session__alarm_handler(struct ms_port *port)
{
    /* A ring that has moved on to a new region since then has taken the alarm back. */
    if (atomic_load_explicit(&port->broken, memory_order_relaxed) &&
        port->session.state == SESSION_READY)
        lose(port, -EPROTO);
}

void session__report_bindings(struct ms_port *port)
{
    struct session *session = &port->session;

    if (session->state != SESSION_BINDING && session->state != SESSION_READY)
        return;
    port->last_error = binding__first_error(port);
    if (!port->last_error) {
        port->last_error = guard__first_error(port);
        session->refused_delay_ms = 0;
    }
    if (!binding__any_refused(port) || session->refused_due)
        return;
    session->refused_delay_ms =
        session->refused_delay_ms ? 2 * session->refused_delay_ms : REFUSED_FIRST_MS;
    if (session->refused_delay_ms > REFUSED_MOST_MS)
        session->refused_delay_ms = REFUSED_MOST_MS;
    session->refused_due = true;
    set_timer(port, session->refused_delay_ms);
}

/* Whether the switch still owes a word on the binding. */
static bool on_the_way(const struct ms_port *port, unsigned index)
{
    switch (port->bindings[index].state) {
    case BINDING_FREE:
    case BINDING_CLAIMED:
    case BINDING_REFUSED: return false;
    default: return port->session.state == SESSION_READY;
    }
}

void session__await_binding(struct ms_port *port, unsigned index)
{
    int64_t deadline = control_client__now_ms() + port->timeout_ms;

    session__present_bindings(port);
    while (on_the_way(port, index)) {
        short events = port->session.wants_write ? POLLIN | POLLOUT : POLLIN;

        if (control_client__wait(port->session.fd, events, deadline))
            break;
        session__control_handler(port);
    }
}

/* Hears the switch until `done`, it is lost, or `deadline_ms` is over: then false. */
static bool hear_until(struct ms_port *port, bool (*done)(const struct ms_port *port),
                       int64_t deadline_ms)
{
    while (!done(port)) {
        short events = port->session.wants_write ? POLLIN | POLLOUT : POLLIN;

        if (control_client__wait(port->session.fd, events, deadline_ms))
            return false;
        session__control_handler(port);
    }
    return true;
}

static bool flows_are_settled(const struct ms_port *port)
{
    return !port->flows.pending || port->session.state != SESSION_READY;
}

static bool is_answered(const struct ms_port *port)
{
    return !port->session.asked;
}

void session__await_flows(struct ms_port *port)
{
    session__present_bindings(port);
    hear_until(port, flows_are_settled, control_client__now_ms() + port->timeout_ms);
}

static bool guard_is_settled(const struct ms_port *port)
{
    return guard__is_settled(port) || port->session.state != SESSION_READY;
}

int session__await_guard(struct ms_port *port)
{
    port->guard.error = 0;
    session__present_bindings(port);
    if (port->session.state == SESSION_READY &&
        !hear_until(port, guard_is_settled, control_client__now_ms() + port->timeout_ms))
        lose(port, -ETIMEDOUT); /* begin anew: it is presented then */
    return port->session.state == SESSION_READY ? port->guard.error : 0;
}

int session__ask(struct ms_port *port, struct control_header *message)
{
    struct session *session = &port->session;
    int64_t deadline = control_client__now_ms() + port->timeout_ms;
    int error;

    if (session->state != SESSION_READY)
        return -ENOTCONN;
    message->request = ++session->request;
    while ((error = control_client__send(session->fd, message, -1)) == -EAGAIN) {
        if (control_client__wait(session->fd, POLLOUT, deadline))
            return -ETIMEDOUT;
    }
    if (error) {
        lose(port, error);
        return -ENOTCONN;
    }
    session->on_the_way++;
    session->asked = message->request;
    if (hear_until(port, is_answered, deadline))
        return session->answer;
    /* An answer that comes later would be taken for nonsense: begin anew. */
    lose(port, -ETIMEDOUT);
    return -ETIMEDOUT;
}

void session__linger(struct ms_port *port, int for_ms)
{
    struct session *session = &port->session;
    int64_t deadline = control_client__now_ms() + for_ms, left = for_ms;

    for (; left > 0; left = deadline - control_client__now_ms()) {
        struct pollfd wanted[] = {
            {.fd = session->fd, .events = session->wants_write ? POLLIN | POLLOUT : POLLIN},
            {.fd = port->timer_fd, .events = POLLIN},
        };

        if (poll(wanted, 2, (int)left) < 0)
            continue;
        if (wanted[0].revents)
            session__control_handler(port);
        else if (wanted[1].revents)
            session__timer_handler(port);
    }
}

void session__end(struct ms_port *port)
{
    close_connection(port);
    if (port->region)
        ring__switch_over(port, NULL);
}
