/* SPDX-License-Identifier: BSD-2-Clause */
/* mspktgen.h: opening, and dealing out. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"
#include "mspktgen.h"

#define IDLE_RING_SIZE (8 * 1024)

static int fail_errno(const char *what, int error)
{
    cli_error("%s: %s", what, strerror(error));
    return CLI_FAILURE;
}

/* A port takes a handful of descriptors. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static uint32_t range_of(const struct endpoints *endpoints)
{
    return (uint32_t)endpoints->last - endpoints->first + 1;
}

static socklen_t fill_address(struct sockaddr_storage *address, const struct endpoints *endpoints,
                              uint16_t port)
{
    *address = (struct sockaddr_storage){0};
    if (endpoints->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)address;

        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, endpoints->bytes, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, endpoints->bytes, 16);
    return sizeof(*in6);
}

static int bind_one(struct ms_port *port, const struct endpoints *endpoints, uint16_t number)
{
    struct sockaddr_storage address;
    socklen_t length = fill_address(&address, endpoints, number);
    int binding = ms_bind(port, IPPROTO_TCP, (const struct sockaddr *)&address, length);
    char text[CLI_ENDPOINT_SIZE];

    if (binding >= 0)
        return CLI_OK;
    cli_error("%s: %s", cli_endpoint_text((const struct sockaddr *)&address, text),
              strerror(-binding));
    if (binding == -EADDRNOTAVAIL)
        cli_hint("it is neither an address of this host nor one of the switch's wires (address=)");
    else if (binding == -EADDRINUSE)
        cli_hint("another program has it: `ss -ltnp` and `multistack bindings` name it");
    else if (binding == -EACCES)
        cli_hint("ports below 1024 need root or the capability CAP_NET_BIND_SERVICE");
    return CLI_FAILURE;
}

static int open_port(struct setup *setup, bool idle)
{
    const struct options *options = setup->options;
    struct ms_port_options wanted = {
        .size = sizeof(wanted),
        .control_path = options->control,
        .name = options->name,
        .rings = idle ? 1 : (unsigned)options->rings,
        .rx_bytes = idle ? IDLE_RING_SIZE : (uint32_t)options->ring_size,
        .tx_bytes = idle ? IDLE_RING_SIZE : (uint32_t)options->ring_size,
    };
    int status = ms_port_open(&setup->ports[setup->port_count], &wanted);

    if (status) {
        cli_switch_error(options->control, status);
        return CLI_FAILURE;
    }
    setup->port_count++;
    return CLI_OK;
}

static int open_ports(struct setup *setup)
{
    const struct options *options = setup->options;
    const struct endpoints *own = options_ports_send(options) ? &options->from : &options->to;

    /* NOLINTNEXTLINE(bugprone-sizeof-expression): of a pointer, that is what it holds */
    setup->ports = calloc(options->ports + options->idle_ports, sizeof(*setup->ports));
    if (!setup->ports)
        return fail_errno("ports", ENOMEM);
    for (uint64_t i = 0; i < options->ports; i++) {
        if (open_port(setup, false))
            return CLI_FAILURE;
    }
    for (uint32_t i = 0, port = 0; i < range_of(own); i++, port++) {
        if (port == options->ports)
            port = 0;
        if (bind_one(setup->ports[port], own, (uint16_t)(own->first + i)))
            return CLI_FAILURE;
    }
    for (uint64_t i = 0; i < options->idle_ports; i++) {
        if (open_port(setup, true) || bind_one(setup->ports[setup->port_count - 1], own, 0))
            return CLI_FAILURE;
    }
    return CLI_OK;
}

int setup_open(struct setup *setup, const struct options *options)
{
    int status;

    *setup = (struct setup){.options = options};
    setup->meeting.epoll_fd = -1;
    raise_descriptors();
    if (options->wire) {
        status = wire_meeting_init(&setup->meeting, options->wire, (uint32_t)options->rings);
        if (status)
            return fail_errno(options->wire, -status);
    }
    if ((options_ports_send(options) || options_ports_receive(options)) && open_ports(setup))
        return CLI_FAILURE;
    return CLI_OK;
}

/* ── the wire ── */

static int map_wire(struct setup *setup)
{
    const struct wire_link *link = &setup->meeting.link;

    for (uint32_t i = 0; i < link->geometry.queues; i++) {
        int status = wire_half_map(&setup->halves[i], &link->geometry, i, link->control,
                                   link->tx_data, link->rx_data);

        if (status)
            return fail_errno(setup->options->wire, -status);
        setup->queue_count++;
    }
    return CLI_OK;
}

static struct end wire_end(struct setup *setup, uint32_t queue)
{
    return (struct end){
        .half = &setup->halves[queue],
        .own_wake = setup->meeting.link.own_wake[queue],
        .peer_wake = setup->meeting.link.peer_wake[queue],
        .fd = setup->meeting.link.own_wake[queue],
    };
}

static struct end port_end(struct setup *setup, uint32_t index)
{
    const struct options *options = setup->options;
    struct ms_port *port = setup->ports[index % options->ports];
    unsigned ring = (unsigned)(index / options->ports);

    return (struct end){.port = port, .ring = ring, .fd = ms_ring_fd(port, ring)};
}

/* ── dealing out ── */

/* Flow k goes from the k-th port number of --from to the k-th of --to, each counted round; outlet
 * k modulo their number has it. So packets come from and go to all of them evenly, and a flow whose
 * source is a port of the switch leaves by that port (options_complete() sees that this fits). */
static int deal_flows(struct setup *setup)
{
    const struct options *options = setup->options;
    uint32_t from = range_of(&options->from), to = range_of(&options->to);
    uint32_t flows = from > to ? from : to, outlets = setup->outlet_count;

    for (uint32_t i = 0; i < outlets; i++) {
        struct outlet *outlet = &setup->outlets[i];

        outlet->template = setup->template;
        outlet->burst = (uint32_t)options->burst;
        if (outlet->flows)
            continue; /* they go on */
        outlet->flows = calloc(flows / outlets + 1, sizeof(struct flow));
        if (!outlet->flows)
            return fail_errno("flows", ENOMEM);
        for (uint32_t k = i; k < flows; k += outlets)
            flow_init(&outlet->flows[outlet->flow_count++],
                      (uint16_t)(options->from.first + k % from),
                      (uint16_t)(options->to.first + k % to));
    }
    return CLI_OK;
}

static int make_ends(struct setup *setup)
{
    const struct options *options = setup->options;
    uint32_t rings = (uint32_t)(options->ports * options->rings);
    uint32_t outlets = options_ports_send(options) ? rings : setup->queue_count;
    uint32_t inlets = options_ports_receive(options) ? rings : setup->queue_count;

    if (options->work == WORK_RX)
        outlets = 0;
    if (options->work == WORK_TX)
        inlets = 0;
    setup->outlet_count = outlets;
    setup->inlet_count = inlets;
    if (!setup->outlets)
        setup->outlets = calloc(outlets + 1, sizeof(*setup->outlets));
    if (!setup->inlets)
        setup->inlets = calloc(inlets + 1, sizeof(*setup->inlets));
    if (!setup->outlets || !setup->inlets)
        return fail_errno("rings", ENOMEM);
    for (uint32_t i = 0; i < outlets; i++)
        setup->outlets[i].end =
            options_ports_send(options) ? port_end(setup, i) : wire_end(setup, i);
    for (uint32_t i = 0; i < inlets; i++)
        setup->inlets[i].end =
            options_ports_receive(options) ? port_end(setup, i) : wire_end(setup, i);
    return CLI_OK;
}

static int make_template(struct setup *setup)
{
    const struct options *options = setup->options;
    struct __attribute__((packed)) {
        uint32_t header;
        struct wire_ether ether;
    } ahead = {
        .header = (uint32_t)options->size - FRAME_CHECK_SIZE,
        .ether.type = htons(options->from.family == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6),
    };

    if (options->work == WORK_RX)
        return CLI_OK;
    if (!setup->template)
        setup->template = aligned_alloc(64, (sizeof(*setup->template) + 63) & ~(size_t)63);
    if (!setup->template)
        return fail_errno("packet", ENOMEM);
    static_assert(sizeof(ahead) == PACKET_AHEAD, "a wire's record up to the packet");
    memcpy(ahead.ether.destination, setup->meeting.link.peer_mac, WIRE_MAC_SIZE);
    memcpy(ahead.ether.source, setup->meeting.link.mac, WIRE_MAC_SIZE);
    packet_template_init(setup->template, &options->from, &options->to, (uint32_t)options->size,
                         options_wire_sends(options) ? &ahead : NULL);
    return CLI_OK;
}

/* Outlets and inlets to the lanes, in equal parts that lie side by side. */
static void make_lanes(struct setup *setup)
{
    const struct options *options = setup->options;
    uint32_t lanes = setup->lane_count;

    for (uint32_t i = 0; i < lanes; i++) {
        struct lane *lane = &setup->lanes[i];
        uint32_t out = setup->outlet_count * i / lanes, in = setup->inlet_count * i / lanes;

        lane->outlets = setup->outlets + out;
        lane->inlets = setup->inlets + in;
        lane->outlet_count = setup->outlet_count * (i + 1) / lanes - out;
        lane->inlet_count = setup->inlet_count * (i + 1) / lanes - in;
        lane->rate = options->rate ? (options->rate + i) / lanes : 0;
        lane->count = options->count ? (options->count + i) / lanes : 0;
        lane->poll_ns = options->poll ? UINT64_MAX : 0;
        lane->cpu = options->cpu_count ? options->cpus[i] : -1;
        lane->verify = options->verify;
    }
}

int setup_deal(struct setup *setup)
{
    const struct options *options = setup->options;

    if (options->wire && map_wire(setup))
        return CLI_FAILURE;
    if (make_ends(setup) || make_template(setup))
        return CLI_FAILURE;
    if (setup->outlet_count && deal_flows(setup))
        return CLI_FAILURE;
    if (!setup->lanes) {
        setup->lane_count = (uint32_t)options->threads;
        setup->lanes =
            aligned_alloc(_Alignof(struct lane), setup->lane_count * sizeof(struct lane));
        if (!setup->lanes)
            return fail_errno("threads", ENOMEM);
        memset(setup->lanes, 0, setup->lane_count * sizeof(struct lane));
        for (uint32_t i = 0; i < setup->lane_count; i++)
            setup->lanes[i].epoll_fd = -1;
    }
    if (options->latency && !setup->lanes[0].round_trips) {
        setup->lanes[0].round_trips = calloc(1, sizeof(struct histogram));
        if (!setup->lanes[0].round_trips)
            return fail_errno("latencies", ENOMEM);
    }
    make_lanes(setup);
    return CLI_OK;
}

void setup_take_back(struct setup *setup)
{
    while (setup->queue_count)
        wire_half_unmap(&setup->halves[--setup->queue_count]);
}

void setup_close(struct setup *setup)
{
    setup_take_back(setup);
    if (setup->meeting.epoll_fd >= 0)
        wire_meeting_dispose(&setup->meeting);
    for (uint32_t i = 0; i < setup->port_count; i++)
        ms_port_close(setup->ports[i]);
    for (uint32_t i = 0; i < setup->outlet_count && setup->outlets; i++)
        free(setup->outlets[i].flows);
    for (uint32_t i = 0; i < setup->lane_count; i++)
        lane_dispose(&setup->lanes[i]);
    free(setup->ports);
    free(setup->outlets);
    free(setup->inlets);
    free(setup->template);
    free(setup->lanes);
}
