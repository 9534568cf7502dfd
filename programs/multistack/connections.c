/* SPDX-License-Identifier: BSD-2-Clause */
/* `multistack connections`: what `ss -ti` shows of the host's own connections. Printed as they come: there
 * may be a million. */
#include "cli.h"
#include "connection_list.h"
#include "json.h"
#include "multistack.h"
#include "utcp.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SSTHRESH_UNSET (UINT64_C(1) << 30) /* no loss yet */

struct silence {
    struct control_port_record port;
    const char *why;
};

struct listing {
    struct json json;
    uint64_t count;
    struct silence *silent; /* told at the end */
    size_t silent_count;
};

static const char *const number_names[] = {
#define X(name, field) #name,
    CONNECTION_NUMBERS(X)
#undef X
};

static const char *const flag_names[] = {
#define X(name, field) #name,
    CONNECTION_FLAGS(X)
#undef X
};

static const char *address_text(uint8_t family, const uint8_t *address, char *text)
{
    inet_ntop(family == 6 ? AF_INET6 : AF_INET, address, text, INET6_ADDRSTRLEN);
    return text;
}

static void keep_silent(void *context, const struct control_port_record *port, const char *why)
{
    struct listing *listing = context;
    struct silence *silent =
        reallocarray(listing->silent, listing->silent_count + 1, sizeof(*silent));

    if (!silent)
        return;
    silent[listing->silent_count++] = (struct silence){*port, why};
    listing->silent = silent;
}

/* ── JSON ── */

static bool is_known(const struct connection_record *record, unsigned number)
{
    uint64_t value = record->numbers[number];

    return value != UINT64_MAX && !(number == CONNECTION_ssthresh_bytes && value >= SSTHRESH_UNSET);
}

static void json_port(struct json *json, const struct control_port_record *port)
{
    json_number(json, "port", port->port);
    json_string(json, "name", port->name);
    json_number(json, "pid", port->pid);
}

static void json_connection(void *context, const struct control_port_record *port,
                            const struct connection_record *record)
{
    struct listing *listing = context;
    struct json *json = &listing->json;
    char text[INET6_ADDRSTRLEN];

    json_object(json, NULL);
    json_port(json, port);
    json_string(json, "local_address", address_text(record->family, record->local, text));
    json_number(json, "local_port", record->local_port);
    json_string(json, "remote_address", address_text(record->family, record->remote, text));
    json_number(json, "remote_port", record->remote_port);
    json_string(json, "state", utcp_state_name((enum utcp_state)record->state));
    json_string(json, "congestion", record->congestion);
    for (unsigned i = 0; i < CONNECTION_FLAG_COUNT; i++)
        json_bool(json, flag_names[i], record->flags >> i & 1);
    for (unsigned i = 0; i < CONNECTION_NUMBER_COUNT; i++) {
        if (is_known(record, i))
            json_number(json, number_names[i], record->numbers[i]);
        else
            json_null(json, number_names[i]);
    }
    json_end(json);
}

static int print_json(const struct request *request)
{
    struct listing listing = {.json = json_begin(stdout, true)};
    struct inspector inspector = {json_connection, keep_silent, &listing};
    bool answered;

    json_object(&listing.json, NULL);
    json_array(&listing.json, "connections");
    answered = inspect_all(request, &inspector);
    json_end(&listing.json);
    json_array(&listing.json, "unanswered");
    for (size_t i = 0; i < listing.silent_count; i++) {
        json_object(&listing.json, NULL);
        json_port(&listing.json, &listing.silent[i].port);
        json_string(&listing.json, "why", listing.silent[i].why);
        json_end(&listing.json);
    }
    json_end(&listing.json);
    json_end(&listing.json);
    free(listing.silent);
    return json_finish(&listing.json) && answered ? CLI_OK : CLI_FAILURE;
}

/* ── Text ── */

static uint64_t number_of(const struct connection_record *record, unsigned number)
{
    return is_known(record, number) ? record->numbers[number] : 0;
}

#define NUMBER(record, name) number_of(record, CONNECTION_##name)

static void item(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void item(const char *format, ...)
{
    va_list arguments;

    putchar(' ');
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
}

/* Only what is there: zeros say nothing. */
static void item_unless_0(const char *name, uint64_t number)
{
    if (number)
        item("%s:%" PRIu64, name, number);
}

static void item_bytes(const char *name, uint64_t bytes, const char *unit)
{
    if (bytes) {
        char text[TEXT_SIZE];

        item("%s:%s%s", name, text_bytes(bytes, text), unit);
    }
}

static void item_ms(const char *name, uint64_t us)
{
    if (us)
        item("%s:%.3f ms", name, (double)us / 1000);
}

static void print_flags(const struct connection_record *record)
{
    for (unsigned i = 0; i < CONNECTION_FLAG_COUNT; i++)
        if (record->flags >> i & 1)
            item("%s", flag_names[i]);
}

static void print_sender(const struct connection_record *record)
{
    item_ms("rto", NUMBER(record, rto_us));
    if (NUMBER(record, srtt_us))
        item("rtt:%.3f/%.3f ms", (double)NUMBER(record, srtt_us) / 1000,
             (double)NUMBER(record, rttvar_us) / 1000);
    item_ms("min_rtt", NUMBER(record, min_rtt_us));
    item_unless_0("mss", NUMBER(record, mss_bytes));
    item_unless_0("cwnd", NUMBER(record, cwnd_bytes));
    item_unless_0("ssthresh", NUMBER(record, ssthresh_bytes));
    item_unless_0("in_flight", NUMBER(record, in_flight_bytes));
    item_unless_0("unsent", NUMBER(record, unsent_bytes));
    item_unless_0("sacked", NUMBER(record, sacked_bytes));
    item_unless_0("lost", NUMBER(record, lost_bytes));
    item_unless_0("backoff", NUMBER(record, backoff));
    item_unless_0("retransmitted", NUMBER(record, segments_retransmitted));
    item_unless_0("timeouts", NUMBER(record, timeouts));
    item_unless_0("tail_probes", NUMBER(record, tail_probes));
    item_unless_0("spurious", NUMBER(record, spurious_recoveries));
    item_unless_0("reordered", NUMBER(record, reordered));
    item_unless_0("snd_wnd", NUMBER(record, send_window_bytes));
    item_bytes("pacing", NUMBER(record, pacing_rate_bytes_per_second), "/s");
    item_bytes("delivery", NUMBER(record, delivery_rate_bytes_per_second), "/s");
    item_ms("busy", NUMBER(record, busy_us));
    item_ms("rwnd_limited", NUMBER(record, window_limited_us));
    item_ms("sndbuf_limited", NUMBER(record, buffer_limited_us));
}

static void print_connection(void *context, const struct control_port_record *port,
                             const struct connection_record *record)
{
    char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN], name[CONTROL_NAME_SIZE];
    struct listing *listing = context;
    bool six = record->family == 6;

    if (listing->count++ == 0)
        printf("%-12s %9s %9s  %s\n", "state", "received", "to send", "local, remote, process");
    printf("%-12s %9" PRIu64 " %9" PRIu64 "  %s%s%s:%u %s%s%s:%u %s (%u)\n   ",
           utcp_state_name((enum utcp_state)record->state), NUMBER(record, readable_bytes),
           NUMBER(record, outstanding_bytes) + NUMBER(record, unsent_bytes), six ? "[" : "",
           address_text(record->family, record->local, local), six ? "]" : "", record->local_port,
           six ? "[" : "", address_text(record->family, record->remote, remote), six ? "]" : "",
           record->remote_port, text_name(port->name, name), port->pid);
    item("%s", record->congestion);
    print_flags(record);
    print_sender(record);
    item_bytes("sent", NUMBER(record, bytes_sent), "");
    item_bytes("acked", NUMBER(record, bytes_acked), "");
    item_bytes("received", NUMBER(record, bytes_received), "");
    item_unless_0("rcv_wnd", NUMBER(record, receive_window_bytes));
    item_unless_0("out_of_order", NUMBER(record, segments_out_of_order_in));
    putchar('\n');
}

static int print_text(const struct request *request)
{
    struct listing listing = {0};
    struct inspector inspector = {print_connection, keep_silent, &listing};
    bool answered = inspect_all(request, &inspector);
    char name[CONTROL_NAME_SIZE];

    if (answered && listing.count == 0)
        puts("No connections.");
    for (size_t i = 0; i < listing.silent_count; i++)
        printf("port %u, %s (%u): %s\n", listing.silent[i].port.port,
               text_name(listing.silent[i].port.name, name), listing.silent[i].port.pid,
               listing.silent[i].why);
    free(listing.silent);
    return fflush(stdout) == 0 && answered ? CLI_OK : CLI_FAILURE;
}

int connections_command(const struct request *request)
{
    return request->json ? print_json(request) : print_text(request);
}
