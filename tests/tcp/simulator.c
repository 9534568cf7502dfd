/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulator: simulator.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "consistency.h"
#include "simulator.h"
#include "wire.h"

#define PATTERN_SIZE 65536

struct packet {
    struct packet *next;
    uint64_t at; /* when it arrives */
    uint32_t length;
    unsigned flags;
    uint8_t data[];
};

struct side {
    struct sim *sim;
    struct utcp *stack;
    struct utcp_listener *listener;
    struct sim_link link;
    struct sim_app app;
    struct packet *flying; /* away from this side, by time of arrival */
    uint64_t busy_until;
    struct packet *reserved;
};

struct sim {
    struct sim_config config;
    uint64_t now, random;
    struct side side[2];
    uint8_t pattern[2 * PATTERN_SIZE];
};

static uint64_t next_random(struct sim *sim)
{
    uint64_t value = sim->random += 0x9e3779b97f4a7c15; /* splitmix64 */

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

static bool chance(struct sim *sim, unsigned of_1000)
{
    return of_1000 && next_random(sim) % 1000 < of_1000;
}

/* ── The wire ──────────────────────────────────────────────────────────────────────────────── */

static struct packet *packet_new(uint32_t length)
{
    struct packet *packet = calloc(1, sizeof(*packet) + length);

    packet->length = length;
    return packet;
}

static void fly(struct side *side, struct packet *packet, uint64_t at)
{
    struct packet **place = &side->flying;

    packet->at = at;
    while (*place && (*place)->at <= at)
        place = &(*place)->next;
    packet->next = *place;
    *place = packet;
}

static uint32_t ip_header_of(const uint8_t *data)
{
    return data[0] >> 4 == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
}

static void set_lengths(struct packet *packet)
{
    uint8_t *data = packet->data;

    if (data[0] >> 4 == 4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)data;

        ip->total_length = htons((uint16_t)packet->length);
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    } else {
        ((struct wire_ipv6 *)data)->payload_length =
            htons((uint16_t)(packet->length - IPV6_HEADER_SIZE));
    }
}

static void set_checksum(struct packet *packet)
{
    bool v4 = packet->data[0] >> 4 == 4;
    uint32_t start = ip_header_of(packet->data), size = v4 ? 4 : 16;
    struct wire_tcp *tcp = (struct wire_tcp *)(packet->data + start);
    const uint8_t *addresses = packet->data + start - 2 * size;
    uint64_t sum = checksum_pseudo_header(addresses, addresses + size, size, IP_PROTOCOL_TCP,
                                          packet->length - start);

    tcp->checksum = 0;
    tcp->checksum = checksum_finish(checksum_add(sum, tcp, packet->length - start));
}

/* A router whose next link is narrower. */
static void answer_too_big(struct side *side, const struct packet *big)
{
    bool v4 = big->data[0] >> 4 == 4;
    uint32_t header = ip_header_of(big->data), quoted = header + 8;
    struct packet *packet = packet_new(header + ICMP_HEADER_SIZE + quoted);
    struct wire_icmp *icmp = (struct wire_icmp *)(packet->data + header);

    memcpy(packet->data, big->data, header);
    memcpy(packet->data + header + ICMP_HEADER_SIZE, big->data, quoted);
    icmp->rest = htonl(side->link.mtu);
    if (v4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet->data;

        memcpy(ip->destination, ((const struct wire_ipv4 *)big->data)->source, 4);
        memcpy(ip->source, (uint8_t[]){192, 0, 2, 254}, 4);
        ip->protocol = IP_PROTOCOL_ICMP;
        icmp->type = ICMP_DESTINATION_UNREACHABLE;
        icmp->code = ICMP_FRAGMENTATION_NEEDED;
        icmp->checksum = checksum_finish(checksum_add(0, icmp, ICMP_HEADER_SIZE + quoted));
    } else {
        struct wire_ipv6 *ip = (struct wire_ipv6 *)packet->data;
        uint64_t sum;

        memcpy(ip->destination, ((const struct wire_ipv6 *)big->data)->source, 16);
        ip->source[15] ^= 0x77;
        ip->next_header = IP_PROTOCOL_ICMPV6;
        icmp->type = ICMPV6_PACKET_TOO_BIG;
        sum = checksum_pseudo_header(ip->source, ip->destination, 16, IP_PROTOCOL_ICMPV6,
                                     ICMP_HEADER_SIZE + quoted);
        icmp->checksum = checksum_finish(checksum_add(sum, icmp, ICMP_HEADER_SIZE + quoted));
    }
    set_lengths(packet);
    fly(&side->sim->side[side == &side->sim->side[0]], packet, side->sim->now + 10);
}

/* As a router that is short of room. */
static void mark(struct packet *packet)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet->data;

    if (packet->data[0] >> 4 != 4 || (ip->tos & 3) == IP_ECN_NOT)
        return;
    ip->tos |= IP_ECN_CE;
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
}

/* One packet onto the link, with what the link does to it. */
static void transmit(struct side *side, struct packet *packet)
{
    struct sim *sim = side->sim;
    struct sim_link *link = &side->link;
    uint64_t at;

    if (side->busy_until < sim->now)
        side->busy_until = sim->now;
    if (link->rate)
        side->busy_until += packet->length * 1000 / link->rate;
    at = side->busy_until + link->delay_us;
    if (link->lose_next || (link->hole && packet->length > link->hole) || chance(sim, link->loss)) {
        link->lose_next -= link->lose_next > 0;
        free(packet);
        return;
    }
    if (link->mtu && packet->length > link->mtu && !(packet->flags)) {
        answer_too_big(side, packet);
        free(packet);
        return;
    }
    if (link->verified)
        packet->flags = UTCP_INPUT_CHECKSUM_OK;
    if (link->mark && chance(sim, link->mark))
        mark(packet);
    if (chance(sim, link->duplicate)) {
        struct packet *copy = packet_new(packet->length);

        memcpy(copy->data, packet->data, packet->length);
        copy->flags = packet->flags;
        fly(side, copy, at + next_random(sim) % (link->delay_us + 1));
    }
    if (chance(sim, link->corrupt)) {
        packet->data[next_random(sim) % packet->length] ^= (uint8_t)(1 + next_random(sim) % 255);
        packet->flags = 0;
        if (link->verified) {
            free(packet);
            return;
        }
    }
    if (chance(sim, link->reorder))
        at += next_random(sim) % (2 * link->delay_us + 1);
    fly(side, packet, at);
}

/* What a NIC makes of a large segment. */
static void transmit_cut(struct side *side, struct packet *large, uint32_t segment_size)
{
    uint32_t ip = ip_header_of(large->data);
    const struct wire_tcp *tcp = (const struct wire_tcp *)(large->data + ip);
    uint32_t headers = ip + (uint32_t)(tcp->data_offset >> 4) * 4;

    for (uint32_t done = headers; done < large->length; done += segment_size) {
        uint32_t part = large->length - done < segment_size ? large->length - done : segment_size;
        struct packet *packet = packet_new(headers + part);
        struct wire_tcp *own = (struct wire_tcp *)(packet->data + ip);

        memcpy(packet->data, large->data, headers);
        memcpy(packet->data + headers, large->data + done, part);
        own->sequence = htonl(ntohl(own->sequence) + done - headers);
        if (done + part < large->length)
            own->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        if (done > headers)
            own->flags &= (uint8_t)~TCP_CWR;
        set_lengths(packet);
        set_checksum(packet);
        transmit(side, packet);
    }
    free(large);
}

static uint8_t *sink_reserve(void *context, uint32_t length)
{
    struct side *side = context;

    if (side->link.queue_us && side->busy_until > side->sim->now + side->link.queue_us)
        return NULL;
    free(side->reserved);
    side->reserved = packet_new(length);
    return side->reserved->data;
}

static void sink_commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct side *side = context;
    struct packet *packet = side->reserved;

    side->reserved = NULL;
    packet->length = length;
    if (offload->segment_size && side->link.cut) {
        transmit_cut(side, packet, offload->segment_size);
        return;
    }
    packet->flags = offload->checksum ? UTCP_INPUT_CHECKSUM_PARTIAL : 0;
    transmit(side, packet);
}

/* ── The applications ──────────────────────────────────────────────────────────────────────── */

static void released(void *owner)
{
    struct sim_app *app = owner;

    app->released++;
}

static void app_write(struct sim *sim, int which)
{
    struct sim_app *app = &sim->side[which].app;

    while (app->sent < app->to_send && !app->shut) {
        const uint8_t *data = sim->pattern + (app->sent + 7 * (uint64_t)which) % PATTERN_SIZE;
        uint64_t size = app->to_send - app->sent;
        ptrdiff_t done;

        if (size > PATTERN_SIZE)
            size = PATTERN_SIZE;
        if (app->write_size && size > app->write_size)
            size = app->write_size;
        if (app->by_reference && app->sent % 3 != 1) {
            done = utcp_write_ref(app->conn, sim->now, data, size, released, app);
            app->referred += done == 0;
            done = done == 0 ? (ptrdiff_t)size : done;
        } else if (app->by_record) {
            done = utcp_write_record(app->conn, sim->now, data, size);
        } else {
            done = utcp_write(app->conn, sim->now, data, size);
        }
        if (done == -EAGAIN)
            return;
        if (done < 0) {
            app->failed = true;
            app->error = (int)done;
            return;
        }
        app->sent += (uint64_t)done;
    }
}

static void app_read(struct sim *sim, int which)
{
    struct sim_app *app = &sim->side[which].app;
    uint8_t buffer[PATTERN_SIZE];

    if (app->read_pause_us) {
        if (sim->now < app->read_again_at)
            return;
        app->read_again_at = sim->now + app->read_pause_us;
    }
    for (;;) {
        size_t size = app->read_size ? app->read_size : sizeof(buffer);
        ptrdiff_t got = utcp_read(app->conn, sim->now, buffer, size);
        const uint8_t *expected =
            sim->pattern + (app->received + 7 * (uint64_t)!which) % PATTERN_SIZE;

        if (got == -EAGAIN)
            return;
        if (got == 0) {
            app->finished = true;
            return;
        }
        if (got < 0) {
            app->failed = true;
            app->error = (int)got;
            return;
        }
        if (memcmp(buffer, expected, (size_t)got) != 0) {
            app->failed = true;
            app->error = -EBADMSG;
            return;
        }
        app->received += (uint64_t)got;
        if (app->read_size)
            return;
    }
}

static void app_close(struct sim *sim, struct sim_app *app)
{
    bool written = app->sent == app->to_send, complete = app->received == app->to_receive;

    if (app->failed || (app->close == SIM_CLOSE && written && complete) ||
        (app->finished && app->shut)) {
        utcp_close(app->conn, sim->now);
        app->conn = NULL;
        app->closed = true;
        return;
    }
    if (written && !app->shut && (app->close != SIM_WAIT_FOR_PEER || app->finished)) {
        if (app->close == SIM_CLOSE)
            return;
        utcp_shutdown(app->conn, sim->now);
        app->shut = true;
        if (app->finished)
            app_close(sim, app);
    }
}

static void app_run(struct sim *sim, int which)
{
    struct sim_app *app = &sim->side[which].app;

    if (app->conn == NULL || !app->connected)
        return;
    app_read(sim, which);
    if (!app->failed)
        app_write(sim, which);
    app_close(sim, app);
}

static void app_events(struct sim *sim, int which)
{
    struct side *side = &sim->side[which];
    struct utcp_event events[8];
    unsigned count;

    while ((count = utcp_poll(side->stack, events, 8)) > 0) {
        for (unsigned i = 0; i < count; i++) {
            if (events[i].events & UTCP_ACCEPTABLE) {
                side->app.conn = utcp_accept(side->listener, sim->now);
                side->app.connected = side->app.conn != NULL;
            }
            if (events[i].events & UTCP_CONNECTED)
                side->app.connected = true;
            if (events[i].events & UTCP_ERROR) {
                side->app.failed = side->app.connected = true;
                side->app.error = utcp_error(events[i].conn);
                app_close(sim, &side->app);
            }
        }
    }
    app_run(sim, which);
}

/* ── Running ───────────────────────────────────────────────────────────────────────────────── */

static void deliver(struct sim *sim, int from)
{
    struct side *side = &sim->side[from];

    while (side->flying && side->flying->at <= sim->now) {
        struct packet *packet = side->flying;

        side->flying = packet->next;
        utcp_input(sim->side[!from].stack, sim->now, packet->data, packet->length, packet->flags);
        free(packet);
        if (sim->config.watch)
            sim->config.watch(sim->config.watch_context, sim->side[!from].stack);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When something happens next. */
static uint64_t next_event(struct sim *sim, const bool sink_full[2])
{
    uint64_t next = UINT64_MAX;

    for (int i = 0; i < 2; i++) {
        struct side *side = &sim->side[i];

        if (side->flying)
            next = earlier(next, side->flying->at);
        next = earlier(next, utcp_deadline(side->stack));
        if (utcp_poll_wanted(side->stack)) /* output has made room for a writer */
            next = sim->now;
        if (sink_full[i])
            next = earlier(next, side->busy_until - side->link.queue_us);
        if (side->app.conn && side->app.read_pause_us && utcp_readable(side->app.conn))
            next = earlier(next, side->app.read_again_at);
    }
    return next > sim->now ? next : sim->now + 1;
}

static struct utcp_endpoint endpoint_of(uint8_t family, int which)
{
    struct utcp_endpoint end = {.family = family, .port = (uint16_t)(which ? 80 : 4000)};

    if (family == 4)
        memcpy(end.address, (uint8_t[]){192, 0, 2, (uint8_t)(1 + which)}, 4);
    else
        memcpy(end.address, (uint8_t[]){0x20, 1, 0xd, 0xb8, [15] = (uint8_t)(1 + which)}, 16);
    return end;
}

bool sim_run(struct sim *sim, uint64_t limit_us)
{
    uint64_t limit = sim->now + limit_us;

    while (sim->now < limit) {
        bool sink_full[2];

        for (int i = 0; i < 2; i++) {
            utcp_advance(sim->side[i].stack, sim->now);
            deliver(sim, !i);
            app_events(sim, i);
        }
        for (int i = 0; i < 2; i++) {
            struct utcp_sink sink = {sink_reserve, sink_commit, &sim->side[i]};

            sink_full[i] = !utcp_output(sim->side[i].stack, sim->now, &sink);
            assert_consistent(sim->side[i].stack);
        }
        if (sim->side[0].app.closed && sim->side[1].app.closed && !sim->side[0].flying &&
            !sim->side[1].flying && utcp_deadline(sim->side[0].stack) == UINT64_MAX &&
            utcp_deadline(sim->side[1].stack) == UINT64_MAX)
            break;
        sim->now = next_event(sim, sink_full);
    }
    return sim->side[0].app.closed && sim->side[1].app.closed;
}

struct sim *sim_new(const struct sim_config *config)
{
    struct sim *sim = calloc(1, sizeof(*sim));

    sim->config = *config;
    sim->random = config->seed;
    sim->now = config->start;
    for (size_t i = 0; i < PATTERN_SIZE; i++)
        sim->pattern[i] = sim->pattern[i + PATTERN_SIZE] = (uint8_t)next_random(sim);
    for (int i = 0; i < 2; i++) {
        struct utcp_config stack = config->stack[i];

        stack.size = sizeof(stack);
        stack.secret[0] = (uint8_t)i;
        sim->side[i].sim = sim;
        sim->side[i].link = config->link[i];
        sim->side[i].app = config->app[i];
        sim->side[i].stack = utcp_new(&stack, sim->now);
    }
    for (int i = 0; i < 2; i++) {
        struct utcp_endpoint local = endpoint_of(config->family, i);
        struct utcp_endpoint remote = endpoint_of(config->family, !i);

        if (i == 0 || config->both_connect) {
            utcp_connect(sim->side[i].stack, sim->now, &local, &remote, NULL,
                         &sim->side[i].app.conn);
            if (config->fast_open) {
                utcp_set_option(sim->side[i].app.conn, UTCP_OPTION_FAST_OPEN_NO_COOKIE, 1);
                app_write(sim, i);
            }
        } else {
            utcp_listen(sim->side[i].stack, &local, 8, NULL, &sim->side[i].listener);
            if (config->fast_open) {
                utcp_listener_set_option(sim->side[i].listener, UTCP_OPTION_FAST_OPEN, 1);
                utcp_listener_set_option(sim->side[i].listener, UTCP_OPTION_FAST_OPEN_NO_COOKIE, 1);
            }
        }
    }
    return sim;
}

void sim_free(struct sim *sim)
{
    for (int i = 0; i < 2; i++) {
        utcp_free(sim->side[i].stack);
        free(sim->side[i].reserved);
        while (sim->side[i].flying) {
            struct packet *packet = sim->side[i].flying;

            sim->side[i].flying = packet->next;
            free(packet);
        }
    }
    free(sim);
}

uint64_t sim_now(const struct sim *sim)
{
    return sim->now;
}

struct sim_app *sim_app(struct sim *sim, int side)
{
    return &sim->side[side].app;
}

struct utcp *sim_stack(struct sim *sim, int side)
{
    return sim->side[side].stack;
}

struct sim_link *sim_link(struct sim *sim, int side)
{
    return &sim->side[side].link;
}

/* The number's clock ticks every 4 µs (RFC 6528), so the start follows from one look at it. */
uint64_t sim_start_for_iss(const struct sim_config *config, uint32_t iss)
{
    struct sim_config probe = *config;
    struct sim *sim;
    struct side *side;
    struct utcp_sink sink;
    uint32_t seen;

    probe.start = 0;
    probe.link[0] = (struct sim_link){0};
    sim = sim_new(&probe);
    side = &sim->side[0];
    sink = (struct utcp_sink){sink_reserve, sink_commit, side};
    utcp_output(side->stack, 0, &sink);
    seen = ntohl(((const struct wire_tcp *)(side->flying->data + ip_header_of(side->flying->data)))
                     ->sequence);
    sim_free(sim);
    return (uint64_t)(uint32_t)(iss - seen) * 4;
}
