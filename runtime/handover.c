/* SPDX-License-Identifier: BSD-2-Clause */
/* Handing a listener over to a successor, so that no connection is lost and none is refused.
 *
 * The switch gives all packets of the 3-tuple to us until we drain, and then all that are not of a
 * connected binding to the successor. So:
 *
 *   1. Hold: a SYN that comes from now on makes a connection, but is not answered.
 *   2. Connect every connection there is: from now on its packets come to us in any case.
 *   3. Drain. When the switch has answered, all that came before lies in our ring.
 *   4. Take it from there. SYNs among it are held: nobody else has seen them.
 *   5. Connect those, too.
 *   6. Let them go (their SYN-ACKs are sent), and ignore SYNs from now on.
 *
 * That takes a few milliseconds for thousands of connections; a client that comes in that time waits
 * as long for its SYN-ACK. Nothing is dropped, nothing answered with RST.
 *
 * A connection in TIME-WAIT is not connected. Its peer may begin a new one from the same port at any
 * time, and the successor shall have it; and peers of a busy server are in that state by the
 * thousand. What comes late for the old one is answered with RST, which a peer that is through with
 * it does not mind. For the same reason connections that end later stay in TIME-WAIT for a second
 * only, and then their connected bindings are given back. */
#include "runtime_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIME_WAIT_AWAY 1000000 /* µs: a FIN comes again after 200 ms and after 600, if need be */
#define BATCHES_MOST   65536   /* of packets that the ring can hold, with room to spare */

static bool is_of(const struct ms_runtime_listener *listener, const struct utcp_endpoint *local)
{
    static const uint8_t any[16];

    return listener->local.family == local->family && listener->local.port == local->port &&
           (memcmp(listener->local.address, any, sizeof(any)) == 0 ||
            memcmp(listener->local.address, local->address, sizeof(any)) == 0);
}

/* Without memory for it the flow is not told of: there are worse things to come then. */
static void add_flow(struct flow_list *list, const struct utcp_endpoint *local,
                     const struct utcp_endpoint *remote)
{
    struct ms_flow *flow;

    if (list->count == list->room) {
        unsigned room = list->room ? 2 * list->room : 64;
        struct ms_flow *flows = reallocarray(list->flows, room, sizeof(*flows));

        if (!flows)
            return;
        list->flows = flows;
        list->room = room;
    }
    flow = &list->flows[list->count++];
    *flow = (struct ms_flow){.remote_port = htons(remote->port)};
    memcpy(flow->local, local->address, sizeof(flow->local));
    memcpy(flow->remote, remote->address, sizeof(flow->remote));
}

static void visit(void *context, const struct utcp_endpoint *local,
                  const struct utcp_endpoint *remote, enum utcp_state state)
{
    struct ms_runtime_listener *listener = context;

    if (state != UTCP_TIME_WAIT && is_of(listener, local))
        add_flow(&listener->connected, local, remote);
}

static bool is_alive(const struct ms_runtime_listener *listener, const struct ms_flow *flow)
{
    struct utcp_endpoint local = listener->local, remote = listener->local;
    enum utcp_state state;

    memcpy(local.address, flow->local, sizeof(local.address));
    memcpy(remote.address, flow->remote, sizeof(remote.address));
    remote.port = ntohs(flow->remote_port);
    state = utcp_state_between(listener->runtime->stack, &local, &remote);
    return state != UTCP_CLOSED && state != UTCP_TIME_WAIT;
}

static void disconnect_flows(struct ms_runtime_listener *listener)
{
    struct flow_list *gone = &listener->gone;

    if (gone->count)
        ms_unbind_connected(listener->runtime->port, listener->binding, gone->flows, gone->count);
    gone->count = 0;
}

/* What the switch does not take cannot be helped: such connections are lost. */
static void connect_flows(struct ms_runtime_listener *listener)
{
    struct flow_list *connected = &listener->connected;
    unsigned first = connected->count;

    utcp_for_each(listener->runtime->stack, visit, listener);
    if (connected->count > first)
        ms_bind_connected(listener->runtime->port, listener->binding, connected->flows + first,
                          connected->count - first);
}

/* Gives back what was connected and has ended since. Not while SYNs are answered: one that is just
 * being answered here would have its next packet go to another. */
static void sort_out(struct ms_runtime_listener *listener)
{
    struct flow_list *connected = &listener->connected;
    unsigned ended = 0;

    for (unsigned i = 0; i < connected->count; i++) {
        if (!is_alive(listener, &connected->flows[i]))
            connected->flows[ended++] = connected->flows[i];
    }
    if (ended)
        ms_unbind_connected(listener->runtime->port, listener->binding, connected->flows, ended);
    connected->count = 0;
}

static void set_away(struct ms_runtime_listener *listener, bool away)
{
    struct ms_runtime *runtime = listener->runtime;

    if (listener->away == away)
        return;
    listener->away = away;
    if (away)
        runtime->away_count++;
    else
        runtime->away_count--;
    utcp_set_time_wait(runtime->stack,
                       runtime->away_count ? TIME_WAIT_AWAY : runtime->time_wait_us);
    if (runtime->handed_over)
        runtime->handed_over(runtime->context, listener, away);
}

static void set_mode(struct ms_runtime_listener *listener, enum utcp_listen_mode mode)
{
    if (listener->listener)
        utcp_listener_set_mode(listener->listener, mode);
}

static void go_away(struct ms_runtime_listener *listener)
{
    runtime__end_protection(listener);
    connect_flows(listener);
    set_mode(listener, UTCP_LISTEN_IGNORE);
    set_away(listener, true);
    sort_out(listener);
}

int runtime_listener_drain(struct ms_runtime_listener *listener)
{
    struct ms_runtime *runtime = listener->runtime;
    int error;

    runtime__end_protection(listener); /* the successor has cookies of its own */
    set_mode(listener, UTCP_LISTEN_HOLD);
    connect_flows(listener);
    error = ms_drain(runtime->port, listener->binding);
    if (error) { /* the successor has gone meanwhile, or there never was one */
        set_mode(listener, UTCP_LISTEN_ANSWER);
        return error;
    }
    for (unsigned i = 0; i < BATCHES_MOST && runtime__take_packets(runtime); i++)
        ;
    go_away(listener);
    return 0;
}

static struct ms_runtime_listener *listener_of(struct ms_runtime *runtime, int binding)
{
    struct ms_runtime_listener *listener = runtime->listeners;

    while (listener && listener->binding != binding)
        listener = listener->next;
    return listener;
}

void runtime__binding_events(struct ms_runtime *runtime)
{
    struct ms_event event = {.size = sizeof(event)};

    while (ms_next_event(runtime->port, &event)) {
        struct ms_runtime_listener *listener = listener_of(runtime, event.binding);

        if (!listener && local_ports_event(&runtime->local_ports, &event))
            continue;
        if (!listener)
            continue;
        switch ((enum ms_event_kind)event.kind) {
        case MS_EVENT_HANDOVER: runtime_listener_drain(listener); break;
        case MS_EVENT_DRAINED: go_away(listener); break; /* too late for some of them */
        case MS_EVENT_RESUME:
            disconnect_flows(listener);
            utcp_for_each(runtime->stack, visit, listener); /* they are connected still */
            set_mode(listener, UTCP_LISTEN_ANSWER);
            set_away(listener, false);
            break;
        case MS_EVENT_SUSPENDED:
        case MS_EVENT_RESTORED:
            if (runtime->suspended)
                runtime->suspended(runtime->context, listener, event.error);
            break;
        }
    }
}

/* The next switch may share flows out by another key (when the keeper was restarted, too): those that
 * we have are to stay ours. It is told of them before anything is shared out. */
void runtime__switch_lost(struct ms_runtime *runtime)
{
    for (struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next) {
        if (!listener->shared || listener->away)
            continue;
        sort_out(listener);
        connect_flows(listener);
    }
}

void runtime__flow_gone(struct ms_runtime *runtime, const struct utcp_endpoint *local,
                        const struct utcp_endpoint *remote)
{
    for (struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next) {
        if (listener->away && is_of(listener, local)) {
            add_flow(&listener->gone, local, remote);
            return;
        }
    }
}

void runtime__disconnect_gone(struct ms_runtime *runtime)
{
    for (struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next)
        disconnect_flows(listener);
}

void runtime__forget_handover(struct ms_runtime_listener *listener)
{
    if (listener->away)
        listener->runtime->away_count--;
    free(listener->connected.flows);
    free(listener->gone.flows);
}
