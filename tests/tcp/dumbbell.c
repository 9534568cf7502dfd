/* SPDX-License-Identifier: BSD-2-Clause */
/* The bottleneck: dumbbell.h. A packet's fate is known when it comes to the queue: how long it waits
 * follows from when the link will be free (busy_until). Times on the wire are in nanoseconds. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "checksum.h"
#include "dumbbell.h"
#include "wire.h"

#define PIECE (1 << 20) /* bytes of a write */
#define MTU   1500

struct packet {
    TAILQ_ENTRY(packet) link;
    uint64_t at; /* ns */
    uint32_t length;
    uint8_t data[];
};

TAILQ_HEAD(wire, packet);

struct flow {
    struct bottleneck *bottleneck;
    const struct dumbbell_flow *config;
    struct utcp *sender, *receiver;
    struct utcp_listener *listener;
    struct utcp_conn *out, *in;
    struct wire forward, back; /* by time of arrival */
    struct packet *reserved;
    uint64_t received, last_back;
    bool established;
};

struct bottleneck {
    const struct dumbbell *config;
    struct dumbbell_result *result;
    struct flow flow[DUMBBELL_FLOWS];
    uint64_t now, busy_until, random; /* ns */
    uint64_t waits, waited;
    unsigned turn; /* which flow is the first of those that have something to do */
};

static const uint8_t content[PIECE];

static uint64_t next_random(struct bottleneck *bottleneck)
{
    uint64_t value = bottleneck->random += 0x9e3779b97f4a7c15; /* splitmix64 */

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

static bool chance(struct bottleneck *bottleneck, unsigned of_10000)
{
    return of_10000 && next_random(bottleneck) % 10000 < of_10000;
}

static uint64_t us(const struct bottleneck *bottleneck)
{
    return bottleneck->now / 1000;
}

/* ── The wire ──────────────────────────────────────────────────────────────────────────────── */

static void fly(struct wire *wire, struct packet *packet, uint64_t at)
{
    struct packet *before = TAILQ_LAST(wire, wire);

    packet->at = at;
    while (before && before->at > at)
        before = TAILQ_PREV(before, wire, link);
    if (before)
        TAILQ_INSERT_AFTER(wire, before, packet, link);
    else
        TAILQ_INSERT_HEAD(wire, packet, link);
}

static bool mark(uint8_t *data)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)data;

    if ((ip->tos & 3) == IP_ECN_NOT)
        return false;
    ip->tos |= IP_ECN_CE;
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    return true;
}

/* To the receiver. */
static void send_forward(struct flow *flow, struct packet *packet)
{
    struct bottleneck *bottleneck = flow->bottleneck;
    const struct dumbbell *config = bottleneck->config;
    uint64_t queued, at, batch = config->batch_us * UINT64_C(1000);

    if (bottleneck->busy_until < bottleneck->now)
        bottleneck->busy_until = bottleneck->now;
    queued = (bottleneck->busy_until - bottleneck->now) * (config->rate / 8) / 1000000000;
    bottleneck->result->packets++;
    if (queued + packet->length > config->queue) {
        bottleneck->result->dropped++;
        free(packet);
        return;
    }
    if (config->mark && queued > config->mark)
        bottleneck->result->marked += mark(packet->data);
    if (us(bottleneck) >= config->measure_from_us) {
        bottleneck->waits++;
        bottleneck->waited += bottleneck->busy_until - bottleneck->now;
    }
    bottleneck->busy_until += packet->length * UINT64_C(8000000000) / config->rate;
    at = bottleneck->busy_until + flow->config->rtt_us * 500;
    if (chance(bottleneck, config->loss)) {
        free(packet);
        return;
    }
    if (chance(bottleneck, config->reorder))
        at += next_random(bottleneck) % (flow->config->rtt_us * 500 + 1);
    if (config->batch_us) /* as an interrupt that waits for more */
        at += batch - at % batch;
    fly(&flow->forward, packet, at);
}

/* To the sender. Without the jitter flows would fall into step with one another. */
static void send_back(struct flow *flow, struct packet *packet)
{
    struct bottleneck *bottleneck = flow->bottleneck;
    uint64_t at = bottleneck->now + flow->config->rtt_us * 500 +
                  next_random(bottleneck) % (flow->config->rtt_us * 20 + 1);

    if (chance(bottleneck, bottleneck->config->loss_back)) {
        free(packet);
        return;
    }
    flow->last_back = at > flow->last_back ? at : flow->last_back;
    fly(&flow->back, packet, flow->last_back);
}

static uint8_t *reserve(void *context, uint32_t length)
{
    struct flow *flow = context;

    free(flow->reserved);
    flow->reserved = malloc(sizeof(*flow->reserved) + length);
    return flow->reserved->data;
}

static struct packet *reserved(struct flow *flow, uint32_t length)
{
    struct packet *packet = flow->reserved;

    flow->reserved = NULL;
    packet->length = length;
    return packet;
}

static void commit_forward(void *context, uint32_t length, const struct utcp_offload *offload)
{
    (void)offload;
    send_forward(context, reserved(context, length));
}

static void commit_back(void *context, uint32_t length, const struct utcp_offload *offload)
{
    (void)offload;
    send_back(context, reserved(context, length));
}

/* ── The ends ──────────────────────────────────────────────────────────────────────────────── */

static bool pauses(const struct flow *flow)
{
    uint64_t now = us(flow->bottleneck);

    return now >= flow->config->pause_from_us && now < flow->config->pause_until_us;
}

static void run_sender(struct flow *flow)
{
    struct utcp_sink sink = {reserve, commit_forward, flow};
    struct utcp_event events[4];

    while (utcp_poll(flow->sender, events, 4) > 0)
        continue;
    while (flow->out && !pauses(flow) &&
           utcp_write_ref(flow->out, us(flow->bottleneck), content, PIECE, NULL, NULL) == 0)
        continue;
    utcp_output(flow->sender, us(flow->bottleneck), &sink);
}

static void run_receiver(struct flow *flow)
{
    struct utcp_sink sink = {reserve, commit_back, flow};
    struct utcp_event events[4];
    const uint8_t *data;
    ptrdiff_t got;

    while (utcp_poll(flow->receiver, events, 4) > 0)
        continue;
    if (flow->in == NULL)
        flow->in = utcp_accept(flow->listener, us(flow->bottleneck));
    while (flow->in && (got = utcp_peek(flow->in, &data)) > 0) {
        utcp_consume(flow->in, us(flow->bottleneck), (size_t)got);
        flow->received += (uint64_t)got;
    }
    utcp_output(flow->receiver, us(flow->bottleneck), &sink);
}

static struct utcp_endpoint endpoint(unsigned index, uint8_t which)
{
    return (struct utcp_endpoint){
        .family = 4, .port = (uint16_t)(1000 + index), .address = {192, 0, 2, which}};
}

static struct utcp *stack_new(const struct dumbbell *config, const struct dumbbell_flow *flow,
                              unsigned index, uint8_t which)
{
    struct utcp_config stack = {
        .size = sizeof(stack),
        .secret = {(uint8_t)config->seed, (uint8_t)index, which},
        .congestion = flow->congestion,
        .congestion_module = config->module,
        .receive_buffer_max = config->default_buffers ? 0 : 1 << 26,
        .send_buffer_max = config->default_buffers ? 0 : 1 << 26,
        .flags = config->stack_flags,
        .mtu = MTU,
    };
    struct utcp *new = utcp_new(&stack, 0);

    assert(new);
    return new;
}

static void flow_open(struct bottleneck *bottleneck, unsigned index)
{
    struct flow *flow = &bottleneck->flow[index];
    struct utcp_endpoint local = endpoint(index, 2);
    int error;

    *flow = (struct flow){.bottleneck = bottleneck, .config = &bottleneck->config->flow[index]};
    TAILQ_INIT(&flow->forward);
    TAILQ_INIT(&flow->back);
    flow->sender = stack_new(bottleneck->config, flow->config, index, 1);
    flow->receiver = stack_new(bottleneck->config, flow->config, index, 2);
    utcp_set_tracer(flow->sender, bottleneck->config->tracer);
    error = utcp_listen(flow->receiver, &local, 1, NULL, &flow->listener);
    assert(error == 0);
}

static void flow_connect(struct flow *flow, unsigned index)
{
    struct utcp_endpoint local = endpoint(index, 1), remote = endpoint(index, 2);
    int error = utcp_connect(flow->sender, us(flow->bottleneck), &local, &remote, NULL, &flow->out);

    assert(error == 0);
    utcp_set_option(flow->out, UTCP_OPTION_PACING, flow->config->pacing);
    run_sender(flow);
}

static void flow_close(struct flow *flow)
{
    struct wire *wires[] = {&flow->forward, &flow->back};

    utcp_free(flow->sender);
    utcp_free(flow->receiver);
    free(flow->reserved);
    for (int i = 0; i < 2; i++) {
        struct packet *packet;

        while ((packet = TAILQ_FIRST(wires[i]))) {
            TAILQ_REMOVE(wires[i], packet, link);
            free(packet);
        }
    }
}

/* ── Running ───────────────────────────────────────────────────────────────────────────────── */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t deadline_of(const struct utcp *stack)
{
    uint64_t deadline = utcp_deadline(stack);

    return deadline < UINT64_MAX / 1000 ? deadline * 1000 : UINT64_MAX;
}

static uint64_t next_event(const struct flow *flow)
{
    const struct packet *forward = TAILQ_FIRST(&flow->forward), *back = TAILQ_FIRST(&flow->back);
    uint64_t next = earlier(deadline_of(flow->sender), deadline_of(flow->receiver));

    if (forward)
        next = earlier(next, forward->at);
    if (back)
        next = earlier(next, back->at);
    if (flow->out == NULL)
        next = earlier(next, flow->config->start_us * 1000);
    if (pauses(flow))
        next = earlier(next, flow->config->pause_until_us * 1000);
    return next;
}

static bool take(struct wire *wire, uint64_t now, struct utcp *stack)
{
    struct packet *packet = TAILQ_FIRST(wire);

    if (packet == NULL || packet->at > now)
        return false;
    TAILQ_REMOVE(wire, packet, link);
    assert(TAILQ_FIRST(wire) != packet); /* the checker does not see that by itself */
    utcp_input(stack, now / 1000, packet->data, packet->length, UTCP_INPUT_CHECKSUM_OK);
    free(packet);
    return true;
}

static void step(struct flow *flow, unsigned index)
{
    uint64_t now = flow->bottleneck->now;

    if (flow->out == NULL && now >= flow->config->start_us * 1000)
        flow_connect(flow, index);
    if (deadline_of(flow->receiver) <= now)
        utcp_advance(flow->receiver, now / 1000);
    while (take(&flow->forward, now, flow->receiver))
        if (!flow->bottleneck->config->batch_us)
            run_receiver(flow);
    run_receiver(flow);
    if (deadline_of(flow->sender) <= now)
        utcp_advance(flow->sender, now / 1000);
    while (take(&flow->back, now, flow->sender))
        continue;
    run_sender(flow);
}

static void run_until(struct bottleneck *bottleneck, uint64_t end)
{
    for (;;) {
        uint64_t next[DUMBBELL_FLOWS], first = UINT64_MAX;
        unsigned flows = bottleneck->config->flows;

        for (unsigned i = 0; i < flows; i++) {
            next[i] = next_event(&bottleneck->flow[i]);
            first = earlier(first, next[i]);
        }
        if (first >= end)
            break;
        if (first > bottleneck->now)
            bottleneck->now = first;
        /* Timers tick together, so flows come to the queue at the same time: each is the first of them
         * in its turn, or one would always find more room than the others. */
        bottleneck->turn++;
        for (unsigned i = 0; i < flows; i++) {
            unsigned index = (bottleneck->turn + i) % flows;

            if (next[index] <= bottleneck->now)
                step(&bottleneck->flow[index], index);
        }
    }
    bottleneck->now = end;
}

void dumbbell_run(const struct dumbbell *config, struct dumbbell_result *result)
{
    struct bottleneck *bottleneck = calloc(1, sizeof(*bottleneck));

    *result = (struct dumbbell_result){0};
    bottleneck->config = config;
    bottleneck->result = result;
    bottleneck->random = config->seed;
    for (unsigned i = 0; i < config->flows; i++)
        flow_open(bottleneck, i);
    run_until(bottleneck, config->measure_from_us * 1000);
    for (unsigned i = 0; i < config->flows; i++)
        result->bytes[i] = bottleneck->flow[i].received;
    run_until(bottleneck, config->end_us * 1000);
    for (unsigned i = 0; i < config->flows; i++) {
        struct flow *flow = &bottleneck->flow[i];

        result->bytes[i] = flow->received - result->bytes[i];
        result->info[i].size = sizeof(result->info[i]);
        if (flow->out)
            utcp_info(flow->out, &result->info[i]);
        flow_close(flow);
    }
    result->queue_us = bottleneck->waits ? bottleneck->waited / bottleneck->waits / 1000 : 0;
    free(bottleneck);
}

uint64_t dumbbell_capacity(const struct dumbbell *config)
{
    /* 20 bytes of IP, 20 of TCP, 12 of timestamps */
    return (config->end_us - config->measure_from_us) * (config->rate / 8) / 1000000 * (MTU - 52) /
           MTU;
}
