/* SPDX-License-Identifier: BSD-2-Clause */
/* `multistack ports` and `multistack bindings`: who has what. */
#include "cli.h"
#include "json.h"
#include "multistack.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* Owners' names come from the applications: they end where we say. */
static void end_names(const struct records *ports)
{
    struct control_port_record *port = ports->data;

    for (size_t i = 0; i < ports->count; i++)
        port[i].name[sizeof(port[i].name) - 1] = '\0';
}

/* ── ports ── */

static int ports_json(const struct records *ports)
{
    const struct control_port_record *port = ports->data;
    struct json json = json_begin(stdout, true);

    json_object(&json, NULL);
    json_array(&json, "ports");
    for (size_t i = 0; i < ports->count; i++) {
        json_object(&json, NULL);
        json_number(&json, "port", port[i].port);
        json_string(&json, "name", port[i].name);
        json_number(&json, "pid", port[i].pid);
        json_number(&json, "uid", port[i].uid);
        json_number(&json, "rings", port[i].ring_count);
        json_number(&json, "rx_ring_bytes", port[i].rx_size);
        json_number(&json, "tx_ring_bytes", port[i].tx_size);
        json_number(&json, "bindings", port[i].bindings);
        json_real(&json, "age_s", (double)port[i].age_ns / 1e9);
        json_number(&json, "huge_page_bytes", port[i].huge_bytes);
        json_end(&json);
    }
    json_end(&json);
    json_end(&json);
    return json_finish(&json) ? CLI_OK : CLI_FAILURE;
}

static int ports_text(const struct records *ports)
{
    static const char *const heads[] = {">port",     "name",       ">process",   "user",
                                        ">rings",    ">RX memory", ">TX memory", ">huge pages",
                                        ">bindings", ">open for",  NULL};
    const struct control_port_record *port = ports->data;
    struct table table;

    if (ports->count == 0) {
        puts("No ports are open. Start a stack, for example: mshttpd --root DIR --listen "
             "0.0.0.0:8080");
        return CLI_OK;
    }
    table_begin(&table, heads);
    for (size_t i = 0; i < ports->count; i++) {
        const struct passwd *user = getpwuid(port[i].uid);
        char text[TEXT_SIZE], name[CONTROL_NAME_SIZE];

        table_cell(&table, "%u", port[i].port);
        table_cell(&table, "%s", text_name(port[i].name, name));
        table_cell(&table, "%u", port[i].pid);
        if (user)
            table_cell(&table, "%s", user->pw_name);
        else
            table_cell(&table, "%u", port[i].uid);
        table_cell(&table, "%u", port[i].ring_count);
        table_cell(&table, "%u KiB", port[i].rx_size / 1024);
        table_cell(&table, "%u KiB", port[i].tx_size / 1024);
        table_cell(&table, "%" PRIu64 " MiB", port[i].huge_bytes >> 20);
        table_cell(&table, "%u", port[i].bindings);
        table_cell(&table, "%s", text_duration(port[i].age_ns, text));
    }
    table_end(&table);
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE;
}

int ports_command(const struct request *request)
{
    struct records ports;
    int result;

    if (!query_once(request, CONTROL_SUBJECT_PORTS, sizeof(struct control_port_record), &ports))
        return CLI_FAILURE;
    end_names(&ports);
    result = request->json ? ports_json(&ports) : ports_text(&ports);
    free(ports.data);
    return result;
}

/* ── bindings ── */

static const char *address_text(const struct control_address *address, char text[INET6_ADDRSTRLEN])
{
    inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->bytes, text, INET6_ADDRSTRLEN);
    return text;
}

static const struct control_port_record *find_port(const struct records *ports, uint32_t number)
{
    const struct control_port_record *port = ports->data;

    for (size_t i = 0; i < ports->count; i++)
        if (port[i].port == number)
            return &port[i];
    return NULL; /* it has gone between the two questions */
}

static const char *state_text(const struct control_binding_record *binding)
{
    switch (binding->state) {
    case CONTROL_BINDING_ACTIVE: return "active";
    case CONTROL_BINDING_WAITING: return "waiting";
    case CONTROL_BINDING_DRAINING: return "draining";
    case CONTROL_BINDING_SUSPENDED: return "suspended";
    default: return "unknown"; /* of a newer switch */
    }
}

static const char *port_range_text(const struct control_binding_record *binding,
                                   char text[TEXT_SIZE])
{
    unsigned first = ntohs(binding->address.port);

    if (binding->port_count > 1)
        snprintf(text, TEXT_SIZE, "%u-%u", first, first + binding->port_count - 1);
    else
        snprintf(text, TEXT_SIZE, "%u", first);
    return text;
}

static int bindings_json(const struct records *bindings, const struct records *ports)
{
    const struct control_binding_record *binding = bindings->data;
    struct json json = json_begin(stdout, true);

    json_object(&json, NULL);
    json_array(&json, "bindings");
    for (size_t i = 0; i < bindings->count; i++) {
        const struct control_port_record *port = find_port(ports, binding[i].port);
        char protocol[TEXT_SIZE], address[INET6_ADDRSTRLEN];

        json_object(&json, NULL);
        json_string(&json, "protocol", text_protocol(binding[i].address.protocol, protocol));
        json_string(&json, "local_address", address_text(&binding[i].address, address));
        json_number(&json, "local_port", ntohs(binding[i].address.port));
        json_number(&json, "port_count", binding[i].port_count ? binding[i].port_count : 1);
        json_number(&json, "binding", binding[i].binding);
        json_number(&json, "port", binding[i].port);
        if (port) {
            json_string(&json, "name", port->name);
            json_number(&json, "pid", port->pid);
        }
        json_string(&json, "state", state_text(&binding[i]));
        json_bool(&json, "shared", binding[i].flags & CONTROL_BIND_SHARED);
        json_number(&json, "connected", binding[i].connected);
        if (binding[i].flags & CONTROL_BIND_RING)
            json_number(&json, "ring", binding[i].ring);
        json_end(&json);
    }
    json_end(&json);
    json_end(&json);
    return json_finish(&json) ? CLI_OK : CLI_FAILURE;
}

static int bindings_text(const struct records *bindings, const struct records *ports)
{
    static const char *const heads[] = {"protocol",   "local address", ">port",
                                        "owner",      ">process",      "state",
                                        ">connected", ">binding",      NULL};
    const struct control_binding_record *binding = bindings->data;
    struct table table;

    if (bindings->count == 0) {
        puts("Nothing is bound: all traffic goes to the host's own stack.");
        return CLI_OK;
    }
    table_begin(&table, heads);
    for (size_t i = 0; i < bindings->count; i++) {
        const struct control_port_record *port = find_port(ports, binding[i].port);
        char text[TEXT_SIZE], address[INET6_ADDRSTRLEN], name[CONTROL_NAME_SIZE];
        char ring[TEXT_SIZE] = "";

        table_cell(&table, "%s", text_protocol(binding[i].address.protocol, text));
        table_cell(&table, "%s", address_text(&binding[i].address, address));
        table_cell(&table, "%s", port_range_text(&binding[i], text));
        table_cell(&table, "%s", port ? text_name(port->name, name) : "-");
        if (port)
            table_cell(&table, "%u", port->pid);
        else
            table_cell(&table, "-");
        if (binding[i].flags & CONTROL_BIND_RING)
            snprintf(ring, sizeof(ring), ", ring %u", binding[i].ring);
        table_cell(&table, "%s%s%s", state_text(&binding[i]),
                   binding[i].flags & CONTROL_BIND_SHARED ? ", shared" : "", ring);
        table_cell(&table, "%u", binding[i].connected);
        table_cell(&table, "%u", binding[i].binding);
    }
    table_end(&table);
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE;
}

int bindings_command(const struct request *request)
{
    struct records bindings = {0}, ports = {0};
    int fd = query_open(request), result = CLI_FAILURE;

    if (fd < 0)
        return CLI_FAILURE;
    if (query(request, fd, CONTROL_SUBJECT_BINDINGS, sizeof(struct control_binding_record),
              &bindings) &&
        query(request, fd, CONTROL_SUBJECT_PORTS, sizeof(struct control_port_record), &ports)) {
        end_names(&ports);
        result =
            request->json ? bindings_json(&bindings, &ports) : bindings_text(&bindings, &ports);
    }
    free(bindings.data);
    free(ports.data);
    close(fd);
    return result;
}
