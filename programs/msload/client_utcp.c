/* SPDX-License-Identifier: BSD-2-Clause */
/* client.h on UTCP, by the runtime. */
#include "cli.h"
#include "client.h"
#include "runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_MAX 256

struct utcp_client {
    struct client base;
    struct client_options options;
    struct ms_runtime *runtime;
    bool more; /* the runtime has work to do: no time to sleep */
};

static struct utcp_client *client_of(struct client *client)
{
    return (struct utcp_client *)client;
}

static void read_clock(struct utcp_client *client)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    client->base.now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    client->base.now = runtime_now(client->runtime);
}

static void on_events(void *context, const struct utcp_event *events, unsigned count)
{
    struct utcp_client *client = context;
    struct client_event told[EVENTS_MAX];
    unsigned at = 0;

    read_clock(client);
    for (unsigned i = 0; i < count; i++) {
        struct client_event *event = &told[at++];

        *event = (struct client_event){.conn = events[i].user};
        if (events[i].events & UTCP_ERROR) {
            event->flags = CLIENT_ERROR;
            event->error = utcp_error(events[i].conn);
        }
        if (events[i].events & (UTCP_CONNECTED | UTCP_WRITABLE))
            event->flags |= CLIENT_CONNECTED;
        if (events[i].events & UTCP_READABLE)
            event->flags |= CLIENT_READABLE;
        if (events[i].events & UTCP_FINISHED)
            event->flags |= CLIENT_FINISHED;
        if (at == EVENTS_MAX || i + 1 == count) {
            client->options.events(client->options.context, told, at);
            at = 0;
        }
    }
}

static void utcp_client_close(struct client *base)
{
    runtime_close(client_of(base)->runtime);
    free(base);
}

static struct client *utcp_client_open(const struct client_options *options)
{
    struct utcp_client *client = calloc(1, sizeof(*client));
    struct ms_runtime_options runtime_options = {
        .control_path = options->control,
        .name = "msload",
        .congestion = options->congestion,
        /* those that are closing count as well */
        .connections_max = 2 * options->connections + 1024,
        .local_ports = options->local_ports,
        .events = on_events,
        .context = client,
    };
    int error;

    if (!client) {
        cli_error("%s", strerror(ENOMEM));
        return NULL;
    }
    client->base.ops = &client_utcp;
    client->options = *options;
    error = runtime_open(&client->runtime, &runtime_options);
    if (error == -ENOPROTOOPT)
        cli_no_such_congestion(options->congestion, utcp_congestion_name);
    else if (error)
        cli_switch_error(options->control, error);
    if (error) {
        free(client);
        return NULL;
    }
    read_clock(client);
    return &client->base;
}

static int utcp_client_connect(struct client *base, struct client_conn *conn,
                               const struct sockaddr *to, socklen_t size)
{
    struct utcp_client *client = client_of(base);
    int error = runtime_connect(client->runtime, to, size, conn, &conn->utcp);

    if (!error)
        utcp_set_option(conn->utcp, UTCP_OPTION_NODELAY, 1);
    client->more = true;
    return error;
}

static ptrdiff_t utcp_client_send(struct client *base, struct client_conn *conn, const void *data,
                                  size_t size)
{
    client_of(base)->more = true;
    return utcp_write(conn->utcp, base->now, data, size);
}

static ptrdiff_t utcp_client_read(struct client *base, struct client_conn *conn, void *to,
                                  size_t size)
{
    return utcp_read(conn->utcp, base->now, to, size);
}

static void utcp_client_release(struct client *base, struct client_conn *conn)
{
    client_of(base)->more = true;
    utcp_close(conn->utcp, base->now);
}

static void utcp_client_abort(struct client *base, struct client_conn *conn)
{
    client_of(base)->more = true;
    utcp_abort(conn->utcp, base->now);
}

static int utcp_client_step(struct client *base, uint64_t until)
{
    struct utcp_client *client = client_of(base);
    int error = 0;

    if (!client->more)
        error = runtime_wait(client->runtime, until);
    client->more = runtime_step(client->runtime);
    read_clock(client);
    return error;
}

static void utcp_client_wake(struct client *base)
{
    runtime_wake(client_of(base)->runtime);
}

const struct client_ops client_utcp = {
    .open = utcp_client_open,
    .close = utcp_client_close,
    .connect = utcp_client_connect,
    .send = utcp_client_send,
    .read = utcp_client_read,
    .release = utcp_client_release,
    .abort = utcp_client_abort,
    .step = utcp_client_step,
    .wake = utcp_client_wake,
};
