/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening and connecting: a binding at the port, and its end in the stack.
 *
 * A listener's binding serves all connections that it accepted, a range of local ports all outgoing
 * ones that come from it (local_ports.h). Any other outgoing connection has a binding of its own, which
 * must outlive the application's handle: the stack says when the pair of endpoints is free
 * (utcp_config.gone), in the midst of its own work; so the binding is put aside there, and given back
 * at the end of the step. */
#include "runtime_internal.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_HOLDS 100000 /* µs that the kernel's answer is taken for granted */

bool runtime_endpoint(const struct sockaddr *address, struct utcp_endpoint *endpoint)
{
    memset(endpoint, 0, sizeof(*endpoint));
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        endpoint->family = 4;
        endpoint->port = ntohs(in->sin_port);
        memcpy(endpoint->address, &in->sin_addr, sizeof(in->sin_addr));
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

        endpoint->family = 6;
        endpoint->port = ntohs(in6->sin6_port);
        memcpy(endpoint->address, &in6->sin6_addr, sizeof(in6->sin6_addr));
        return true;
    }
    return false;
}

socklen_t runtime_sockaddr(const struct utcp_endpoint *endpoint, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof(*address));
    if (endpoint->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)address;

        in->sin_family = AF_INET;
        in->sin_port = htons(endpoint->port);
        memcpy(&in->sin_addr, endpoint->address, sizeof(in->sin_addr));
        return sizeof(*in);
    }

    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(endpoint->port);
    memcpy(&in6->sin6_addr, endpoint->address, sizeof(in6->sin6_addr));
    return sizeof(*in6);
}

/* Binds, and says what became of a port 0. Returns the binding's handle. */
static int bind_endpoint(struct ms_runtime *runtime, const struct sockaddr *address,
                         socklen_t length, unsigned flags, struct utcp_endpoint *endpoint)
{
    struct ms_bind_options options = {.size = sizeof(options), .flags = flags};
    struct sockaddr_storage bound;
    socklen_t bound_length = sizeof(bound);
    int binding = ms_bind_with(runtime->port, IPPROTO_TCP, address, length, &options), error;

    if (binding < 0)
        return binding;
    error = ms_binding_address(runtime->port, binding, (struct sockaddr *)&bound, &bound_length);
    if (!error && !runtime_endpoint((struct sockaddr *)&bound, endpoint))
        error = -EAFNOSUPPORT;
    if (error) {
        ms_unbind(runtime->port, binding);
        return error;
    }
    return binding;
}

/* ── Listeners ───────────────────────────────────────────────────────────────────────────────── */

int runtime_listen_with(struct ms_runtime *runtime, const struct sockaddr *address,
                        socklen_t length, unsigned backlog, void *user, unsigned flags,
                        struct ms_runtime_listener **listener)
{
    struct ms_runtime_listener *made = calloc(1, sizeof(*made));
    int error;

    if (!made)
        return -ENOMEM;
    made->runtime = runtime;
    made->shared = flags & MS_BIND_SHARED;
    made->binding = bind_endpoint(runtime, address, length, flags, &made->local);
    if (made->binding < 0) {
        error = made->binding;
        free(made);
        return error;
    }
    error = utcp_listen(runtime->stack, &made->local, backlog, user, &made->listener);
    if (error) {
        ms_unbind(runtime->port, made->binding);
        free(made);
        return error;
    }
    made->next = runtime->listeners;
    runtime->listeners = made;
    runtime->check_at = runtime->dispatch_at = 0;
    *listener = made;
    return 0;
}

int runtime_listen(struct ms_runtime *runtime, const struct sockaddr *address, socklen_t length,
                   unsigned backlog, void *user, struct ms_runtime_listener **listener)
{
    return runtime_listen_with(runtime, address, length, backlog, user, 0, listener);
}

struct utcp_listener *runtime_listener(struct ms_runtime_listener *listener)
{
    return listener->listener;
}

int runtime_listener_address(const struct ms_runtime_listener *listener, struct sockaddr *address,
                             socklen_t *length)
{
    return ms_binding_address(listener->runtime->port, listener->binding, address, length);
}

void runtime_listener_stop(struct ms_runtime_listener *listener)
{
    runtime__end_protection(listener);
    if (listener->listener)
        utcp_listener_close(listener->listener);
    listener->listener = NULL;
}

void runtime_listener_close(struct ms_runtime_listener *listener)
{
    struct ms_runtime_listener **at = &listener->runtime->listeners;

    runtime_listener_stop(listener);
    ms_unbind(listener->runtime->port, listener->binding);
    while (*at != listener)
        at = &(*at)->next;
    *at = listener->next;
    runtime__forget_handover(listener);
    free(listener);
}

/* ── Outgoing connections ────────────────────────────────────────────────────────────────────── */

static struct outgoing **bucket_of(struct ms_runtime *runtime, const struct utcp_endpoint *local)
{
    return &runtime->outgoing[local->port % OUTGOING_BUCKETS];
}

/* The kernel's routing is asked for each new peer, and every now and then: it takes four system calls. */
static int find_source(struct ms_runtime *runtime, const struct sockaddr *remote, socklen_t length)
{
    struct source_cache *cache = &runtime->source;
    int error;

    if (length > sizeof(cache->remote))
        return -EINVAL;
    if (runtime->now < cache->until && memcmp(&cache->remote, remote, length) == 0)
        return 0;
    cache->until = 0;
    error = ms_source_address(remote, length, &cache->local, &cache->local_length);
    if (error)
        return error;
    memset(&cache->remote, 0, sizeof(cache->remote));
    memcpy(&cache->remote, remote, length);
    cache->until = runtime->now + SOURCE_HOLDS;
    return 0;
}

/* Errors as runtime_connect(); -EADDRINUSE: no local port is to be had from a range. */
static int connect_from_range(struct ms_runtime *runtime, const struct utcp_endpoint *peer,
                              void *user, struct utcp_conn **conn)
{
    struct utcp_endpoint local;

    if (!local_ports_ready(&runtime->local_ports, runtime->port, peer->family, runtime->now) ||
        !runtime_endpoint((const struct sockaddr *)&runtime->source.local, &local))
        return -EADDRINUSE;
    return local_ports_connect(&runtime->local_ports, runtime->stack, runtime->now, &local, peer,
                               user, conn);
}

int runtime_connect(struct ms_runtime *runtime, const struct sockaddr *remote, socklen_t length,
                    void *user, struct utcp_conn **conn)
{
    const struct sockaddr *source = (const struct sockaddr *)&runtime->source.local;
    struct utcp_endpoint peer;
    struct outgoing *outgoing, **bucket;
    int error;

    if (!runtime_endpoint(remote, &peer))
        return -EAFNOSUPPORT;
    error = find_source(runtime, remote, length);
    if (error)
        return error;
    error = connect_from_range(runtime, &peer, user, conn);
    if (error != -EADDRINUSE)
        return error;
    outgoing = calloc(1, sizeof(*outgoing));
    if (!outgoing)
        return -ENOMEM;
    outgoing->binding =
        bind_endpoint(runtime, source, runtime->source.local_length, 0, &outgoing->local);
    if (outgoing->binding < 0) {
        error = outgoing->binding;
        free(outgoing);
        return error;
    }
    error = utcp_connect(runtime->stack, runtime->now, &outgoing->local, &peer, user, conn);
    if (error) {
        ms_unbind(runtime->port, outgoing->binding);
        free(outgoing);
        return error;
    }
    bucket = bucket_of(runtime, &outgoing->local);
    outgoing->next = *bucket;
    *bucket = outgoing;
    runtime->outgoing_count++;
    return 0;
}

void runtime__connection_gone(void *context, const struct utcp_endpoint *local,
                              const struct utcp_endpoint *remote)
{
    struct ms_runtime *runtime = context;
    struct outgoing **at, *outgoing;

    if (runtime->away_count)
        runtime__flow_gone(runtime, local, remote);
    if (!runtime->outgoing_count)
        return;
    at = bucket_of(runtime, local);
    while (*at && memcmp(&(*at)->local, local, sizeof(*local)) != 0)
        at = &(*at)->next;
    outgoing = *at;
    if (!outgoing) /* one that was accepted: the binding is its listener's */
        return;
    *at = outgoing->next;
    runtime->outgoing_count--;
    outgoing->next = runtime->gone;
    runtime->gone = outgoing;
}

void runtime__unbind_gone(struct ms_runtime *runtime)
{
    struct outgoing *outgoing;

    while ((outgoing = runtime->gone)) {
        runtime->gone = outgoing->next;
        ms_unbind(runtime->port, outgoing->binding);
        free(outgoing);
    }
}

static void free_outgoing(struct outgoing *outgoing)
{
    while (outgoing) {
        struct outgoing *next = outgoing->next;

        free(outgoing);
        outgoing = next;
    }
}

void runtime__free_endpoints(struct ms_runtime *runtime)
{
    struct ms_runtime_listener *listener;

    while ((listener = runtime->listeners)) {
        runtime->listeners = listener->next;
        runtime__forget_handover(listener);
        free(listener);
    }
    free_outgoing(runtime->gone);
    for (unsigned i = 0; i < OUTGOING_BUCKETS; i++)
        free_outgoing(runtime->outgoing[i]);
}
