/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes the trace of connections with one peer to a file (doc/tracing.md): a text sequence of JSON (RFC 7464),
 * in the manner of qlog. Only where the environment asks for it: the stack's loop writes to the file by
 * itself, which is good for looking at one connection and for nothing else. The file is private to the user,
 * is made anew, and ends at TRACE_MOST bytes. */
#include "runtime_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE_FILE   "MULTISTACK_TRACE"
#define VARIABLE_REMOTE "MULTISTACK_TRACE_REMOTE"
#define TRACE_MOST      (256L << 20) /* bytes */

struct trace {
    FILE *out;
    struct utcp_endpoint remote; /* port 0: any; family 0: any at all */
    bool full, dirty;
};

/* ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT. */
static bool parse_remote(const char *text, struct utcp_endpoint *remote)
{
    const char *colon = strrchr(text, ':'), *end = text + strlen(text);
    bool six = strchr(text, ':') != colon, bracket = *text == '[';
    char address[INET6_ADDRSTRLEN];
    unsigned long port = 0;
    size_t length;

    if (colon && (!six || (bracket && colon > text && colon[-1] == ']'))) {
        char *after;

        port = strtoul(colon + 1, &after, 10);
        if (colon[1] < '0' || colon[1] > '9' || *after || port > UINT16_MAX)
            return false;
        end = colon;
    }
    if (bracket && (end - text < 2 || end[-1] != ']'))
        return false;
    length = (size_t)(end - text) - 2 * bracket;
    if (length >= sizeof(address))
        return false;
    memcpy(address, text + bracket, length);
    address[length] = '\0';
    *remote = (struct utcp_endpoint){.family = six ? 6 : 4, .port = (uint16_t)port};
    return inet_pton(six ? AF_INET6 : AF_INET, address, remote->address) == 1;
}

static bool is_wanted(void *context, const struct utcp_endpoint *local,
                      const struct utcp_endpoint *remote)
{
    const struct utcp_endpoint *wanted = &((const struct trace *)context)->remote;

    (void)local;
    if (!wanted->family)
        return true;
    return wanted->family == remote->family && (!wanted->port || wanted->port == remote->port) &&
           memcmp(wanted->address, remote->address, sizeof(wanted->address)) == 0;
}

/* ── Records ─────────────────────────────────────────────────────────────────────────────────── */

static const char *address_text(const struct utcp_endpoint *endpoint, char *text)
{
    inet_ntop(endpoint->family == 6 ? AF_INET6 : AF_INET, endpoint->address, text,
              INET6_ADDRSTRLEN);
    return text;
}

static void write_segment(FILE *out, const struct utcp_trace_event *event)
{
    static const char *const names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};
    const char *separator = "";

    fprintf(out,
            "\"seq\": %" PRIu32 ", \"ack\": %" PRIu32 ", \"length\": %" PRIu32
            ", \"window\": %" PRIu32 ", \"flags\": [",
            event->seq, event->ack, event->length, event->window);
    for (unsigned i = 0; i < 8; i++) {
        if (!(event->flags >> i & 1))
            continue;
        fprintf(out, "%s\"%s\"", separator, names[i]);
        separator = ", ";
    }
    if (event->ae)
        fprintf(out, "%s\"ae\"", separator);
    fprintf(out, "], \"again\": %s", event->again ? "true" : "false");
}

static const char *name_of(enum utcp_trace_kind kind)
{
    static const char *const names[] = {
        [UTCP_TRACE_STATE] = "connectivity:connection_state_updated",
        [UTCP_TRACE_SENT] = "transport:packet_sent",
        [UTCP_TRACE_RECEIVED] = "transport:packet_received",
        [UTCP_TRACE_DROPPED] = "transport:packet_dropped",
        [UTCP_TRACE_REDUCED] = "recovery:window_reduced",
        [UTCP_TRACE_UNDONE] = "recovery:reduction_undone",
        [UTCP_TRACE_TIMEOUT] = "recovery:timeout",
        [UTCP_TRACE_TAIL_PROBE] = "recovery:tail_probe",
    };

    return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "generic:event";
}

/* Nothing in it needs to be escaped: all texts are ours. */
static void write_event(void *context, const struct utcp_trace_event *event)
{
    struct utcp_info info = {.size = sizeof(info)};
    char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];
    struct trace *trace = context;
    FILE *out = trace->out;

    if (trace->full)
        return;
    utcp_info(event->conn, &info);
    fprintf(out,
            "\x1e{\"time\": %" PRIu64 ".%03u, \"name\": \"%s\", \"group_id\": \"%s.%u-%s.%u\", "
            "\"data\": {",
            event->now / 1000, (unsigned)(event->now % 1000), name_of(event->kind),
            address_text(&info.local, local), info.local.port, address_text(&info.remote, remote),
            info.remote.port);
    if (event->kind == UTCP_TRACE_SENT || event->kind == UTCP_TRACE_RECEIVED)
        write_segment(out, event);
    else if (event->kind == UTCP_TRACE_STATE)
        fprintf(out, "\"old\": \"%s\", \"new\": \"%s\"", utcp_state_name(event->from),
                utcp_state_name(event->to));
    else
        fprintf(out, "\"trigger\": \"%s\"", event->reason ? event->reason : "");
    fprintf(out,
            ", \"congestion_window\": %" PRIu32 ", \"ssthresh\": %" PRIu32
            ", \"bytes_in_flight\": %" PRIu32 ", \"send_window\": %" PRIu32
            ", \"smoothed_rtt\": %.3f, \"rto\": %.3f}}\n",
            info.cwnd, info.ssthresh, info.in_flight, info.send_window, (double)info.srtt_us / 1000,
            (double)info.rto_us / 1000);
    trace->dirty = true;
    if (ftell(out) > TRACE_MOST) {
        fprintf(out,
                "\x1e{\"time\": %" PRIu64 ", \"name\": \"loglevel:warning\", "
                "\"data\": {\"message\": \"the file is full\"}}\n",
                event->now / 1000);
        trace->full = true;
    }
}

/* ── Opening and closing ─────────────────────────────────────────────────────────────────────── */

/* A file for each port: a process may have several. */
static FILE *create(const char *prefix, uint32_t port)
{
    char path[4096];
    int fd;
    FILE *out;

    if (snprintf(path, sizeof(path), "%s-%d-%u.sqlog", prefix, (int)getpid(), port) >=
        (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && !out)
        close(fd);
    return out;
}

int runtime__open_trace(struct ms_runtime *runtime)
{
    const char *prefix = secure_getenv(VARIABLE_FILE), *remote = secure_getenv(VARIABLE_REMOTE);
    struct ms_port_info info = {.size = sizeof(info)};
    struct utcp_tracer tracer = {is_wanted, write_event, NULL};
    struct trace *trace;

    if (!prefix || !*prefix)
        return 0;
    trace = calloc(1, sizeof(*trace));
    if (!trace)
        return -ENOMEM;
    runtime->trace = tracer.context = trace;
    if (remote && *remote && !parse_remote(remote, &trace->remote))
        return -EINVAL;
    ms_port_info(runtime->port, &info);
    trace->out = create(prefix, info.port);
    if (!trace->out)
        return -errno;
    fprintf(trace->out,
            "\x1e{\"qlog_version\": \"0.4\", \"qlog_format\": \"JSON-SEQ\", "
            "\"title\": \"UTCP\", \"trace\": {\"vantage_point\": {\"type\": \"unknown\"}, "
            "\"common_fields\": {\"protocol_type\": [\"TCP\"], \"time_format\": "
            "\"absolute\"}}}\n");
    utcp_set_tracer(runtime->stack, &tracer);
    return 0;
}

void runtime__flush_trace(struct ms_runtime *runtime)
{
    if (!runtime->trace->dirty)
        return;
    fflush(runtime->trace->out);
    runtime->trace->dirty = false;
}

void runtime__close_trace(struct ms_runtime *runtime)
{
    if (runtime->trace && runtime->trace->out)
        fclose(runtime->trace->out);
    free(runtime->trace);
}
