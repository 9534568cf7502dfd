/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack: its connections by their endpoints, its listeners, its events, and the segments that
 * no connection sends. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fastopen.h"
#include "steps.h"

#define TABLE_FIRST 64
#define TABLE_KEY   UINT64_C(0x656c626174) /* "table": nothing else is hashed so by the stack's key */

static bool endpoint_equal(const struct utcp_endpoint *a, const struct utcp_endpoint *b)
{
    uint64_t x[2], y[2];
    uint32_t head[2];

    memcpy(&head[0], a, sizeof(uint32_t));
    memcpy(&head[1], b, sizeof(uint32_t));
    memcpy(x, a->address, sizeof(x));
    memcpy(y, b->address, sizeof(y));
    return head[0] == head[1] && x[0] == y[0] && x[1] == y[1];
}

static_assert(offsetof(struct utcp_endpoint, address) == sizeof(uint32_t) &&
                  sizeof(struct utcp_endpoint) == sizeof(uint32_t) + 16,
              "what endpoint_equal() compares is all of it");

static inline uint32_t table_hash(const struct utcp *stack, const struct utcp_endpoint *local,
                                  const struct utcp_endpoint *remote)
{
    const struct hash_key *key = &stack->table_key;
    uint64_t ports = (uint64_t)local->port << 16 | remote->port;
    uint64_t here[2], there[2];

    if (local->family == 4) {
        memcpy(&here[0], local->address, 4);
        memcpy((uint8_t *)here + 4, remote->address, 4);
        return (uint32_t)hash_fold(
            hash_fold(here[0] ^ key->word[0], ports ^ key->word[1]) ^ key->word[2], key->word[3]);
    }
    memcpy(here, local->address, sizeof(here));
    memcpy(there, remote->address, sizeof(there));
    return (uint32_t)hash_words(key, there[0], there[1],
                                hash_fold(here[0] ^ key->word[2], here[1] ^ key->word[3]) ^ ports);
}

uint32_t utcp__table_hash(const struct utcp *stack, const struct utcp_endpoint *local,
                          const struct utcp_endpoint *remote)
{
    return table_hash(stack, local, remote);
}

static struct utcp_conn **bucket(const struct utcp *stack, uint32_t hash)
{
    return &stack->table[hash & (stack->table_size - 1)];
}

/* Doubles the table. When there is no memory for it the chains get longer, that is all. */
static void grow_table(struct utcp *stack)
{
    struct utcp_conn **table = calloc(2 * (size_t)stack->table_size, sizeof(struct utcp_conn *));
    struct utcp_conn **old = stack->table;
    uint32_t old_size = stack->table_size;

    if (table == NULL)
        return;
    stack->table = table;
    stack->table_size = 2 * old_size;
    for (uint32_t i = 0; i < old_size; i++) {
        while (old[i]) {
            struct utcp_conn *conn = old[i], **head;

            old[i] = conn->chain;
            head = bucket(stack, conn->hash);
            conn->chain = *head;
            *head = conn;
        }
    }
    free(old);
}

/* A scale that lets 16 bits tell of a window of `bytes`: RFC 7323 section 2.3. */
static uint8_t scale_for(uint32_t bytes)
{
    uint8_t shift = 0;

    while (shift < 14 && bytes >> shift > UINT16_MAX)
        shift++;
    return shift;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

/* Headers fit, IPv6 works, and lengths fit 16 bits. */
static uint32_t mtu_clamped(uint32_t mtu)
{
    mtu = or_default(mtu, UTCP_MTU_DEFAULT);
    return mtu < UTCP_MTU_MIN_IPV4 ? UTCP_MTU_MIN_IPV4 : min_u32(mtu, IP_PACKET_MAX);
}

static bool is_between(const struct utcp_conn *conn, const struct utcp_endpoint *local,
                       const struct utcp_endpoint *remote)
{
    return endpoint_equal(&conn->remote, remote) && endpoint_equal(&conn->local, local);
}

static struct utcp_conn *look_up_at(const struct utcp *stack, uint32_t hash,
                                    const struct utcp_endpoint *local,
                                    const struct utcp_endpoint *remote)
{
    struct utcp_conn *conn = *bucket(stack, hash);

    while (conn && !is_between(conn, local, remote))
        conn = conn->chain;
    return conn;
}

struct utcp_conn *utcp__look_up(const struct utcp *stack, const struct utcp_endpoint *local,
                                const struct utcp_endpoint *remote)
{
    return look_up_at(stack, utcp__table_hash(stack, local, remote), local, remote);
}

struct utcp_conn *utcp__find(struct utcp *stack, const struct utcp_endpoint *local,
                             const struct utcp_endpoint *remote)
{
    struct utcp_conn *conn = stack->recent;

    if (is_between(conn, local, remote))
        return conn;
    conn = utcp__look_up(stack, local, remote);
    if (conn)
        stack->recent = conn;
    return conn;
}

struct utcp_conn *utcp__find_for(struct utcp *stack, struct utcp_segment *segment)
{
    struct utcp_conn *conn = stack->recent;

    if (is_between(conn, &segment->local, &segment->remote)) {
        segment->hash = conn->hash;
        return conn;
    }
    segment->hash = table_hash(stack, &segment->local, &segment->remote);
    conn = look_up_at(stack, segment->hash, &segment->local, &segment->remote);
    if (conn)
        stack->recent = conn;
    return conn;
}

struct utcp_time_wait *utcp__find_waiting(const struct utcp *stack,
                                          const struct utcp_endpoint *local,
                                          const struct utcp_endpoint *remote)
{
    if (stack->waits.count == 0)
        return NULL;
    return utcp__waits_find(&stack->waits, local, remote, utcp__table_hash(stack, local, remote));
}

void utcp__table_add(struct utcp_conn *conn, uint32_t hash)
{
    struct utcp *stack = conn->stack;
    struct utcp_conn **head;

    if (stack->connections - stack->waits.count >= stack->table_size)
        grow_table(stack);
    conn->hash = hash;
    head = bucket(stack, hash);
    conn->chain = *head;
    *head = conn;
    conn->in_table = true;
    stack->recent = conn; /* what comes next is an answer, or that of the peer */
    stack->connections++;
}

void utcp__table_leave(struct utcp_conn *conn)
{
    struct utcp_conn **at = bucket(conn->stack, conn->hash);

    if (conn->stack->recent == conn)
        conn->stack->recent = &conn->stack->nobody;
    while (*at != conn)
        at = &(*at)->chain;
    *at = conn->chain;
    conn->in_table = false;
}

void utcp__table_remove(struct utcp_conn *conn)
{
    if (!conn->in_table)
        return;
    utcp__table_leave(conn);
    conn->stack->connections--;
    if (conn->stack->gone)
        conn->stack->gone(conn->stack->gone_context, &conn->local, &conn->remote);
}

/* The listener on the exact address before that on any address. */
struct utcp_listener *utcp__find_listener(const struct utcp *stack,
                                          const struct utcp_endpoint *local)
{
    struct utcp_listener *found = NULL;

    list_for_each_safe (link, after, &stack->listeners) {
        struct utcp_listener *listener = list_member(link, struct utcp_listener, link);

        if (endpoint_equal(&listener->local, local))
            return listener;
        if (listener->any_address && listener->local.port == local->port &&
            listener->local.family == local->family)
            found = listener;
    }
    return found;
}

uint64_t utcp__endpoints_hash(const struct utcp *stack, const struct utcp_endpoint *local,
                              const struct utcp_endpoint *remote, uint8_t purpose)
{
    size_t size = local->family == 4 ? 4 : 16;
    uint8_t input[1 + 2 * (16 + 2)], *at = input;

    *at++ = purpose;
    memcpy(at, local->address, size);
    memcpy(at + size, remote->address, size);
    at += 2 * size;
    memcpy(at, &local->port, 2);
    memcpy(at + 2, &remote->port, 2);
    at += 4;
    return siphash(stack->key, input, (size_t)(at - input));
}

void utcp__want_output(struct utcp_conn *conn)
{
    utcp__queue_output(conn);
}

void utcp__event(struct utcp_conn *conn, uint32_t events)
{
    utcp__queue_event(conn, events);
}

void utcp__listener_event(struct utcp_listener *listener, uint32_t events)
{
    listener->events |= events;
    if (list_empty(&listener->event_link))
        list_append(&listener->stack->listener_events, &listener->event_link);
}

struct utcp *utcp_new(const struct utcp_config *given, uint64_t now)
{
    struct utcp_config config = {0};
    struct utcp *stack = calloc(1, sizeof(*stack));

    if (stack == NULL)
        return NULL;
    memcpy(&config, given, given->size < sizeof(config) ? given->size : sizeof(config));
    stack->congestion_module = config.congestion_module;
    stack->congestion = config.congestion || config.congestion_module == NULL
                            ? utcp__control_find(stack, config.congestion)
                            : config.congestion_module;
    stack->table_size = TABLE_FIRST;
    stack->table = calloc(stack->table_size, sizeof(struct utcp_conn *));
    if (stack->congestion == NULL || stack->table == NULL) {
        free(stack->table);
        free(stack);
        return NULL;
    }
    utcp__set_now(stack, now ? now : 1); /* 0 is no time */
    stack->key = siphash_key(config.secret);
    for (uint64_t i = 0; i < 4; i++)
        stack->table_key.word[i] = siphash_words(stack->key, (const uint64_t[]){TABLE_KEY, i}, 2);
    utcp__cookie_init(stack);
    utcp__fast_open_init(stack);
    stack->predict = UTCP_INPUT_CHECKSUM_OK;
    stack->recent = &stack->nobody;
    stack->nobody.unusual = UINT16_MAX;
    stack->mtu = mtu_clamped(config.mtu);
    stack->offloads = config.offloads;
    stack->flags = config.flags;
    stack->connections_max = or_default(config.connections_max, 65536);
    stack->receive_max = min_u32(or_default(config.receive_buffer_max, 32 << 20), 1 << 29);
    stack->send_max = min_u32(or_default(config.send_buffer_max, 32 << 20), 1 << 29);
    stack->gone = config.gone;
    stack->gone_context = config.gone_context;
    stack->time_wait_us = config.time_wait_us ? config.time_wait_us : UTCP_TIME_WAIT_DEFAULT;
    stack->stall_max_us = config.stall_max_us;
    stack->stall_spared_us = config.stall_spared_us ? config.stall_spared_us : UTCP_STALL_SPARED;
    stack->receive_scale = scale_for(stack->receive_max);
    stack->challenges_max = min_u32(config.challenge_acks_max, 1 << 30);
    list_init(&stack->all);
    list_init(&stack->output);
    list_init(&stack->events);
    list_init(&stack->listener_events);
    list_init(&stack->listeners);
    list_init(&stack->time_wait);
    list_init(&stack->dead);
    utcp__waits_init(&stack->waits);
    list_init(&stack->scattered);
    utcp__wheel_init(&stack->wheel, now);
    utcp__pool_init(&stack->pool, config.memory_max ? config.memory_max : UINT64_C(1) << 30);
    utcp__conn_prepare(stack);
    return stack;
}

void utcp_free(struct utcp *stack)
{
    if (stack == NULL)
        return;
    stack->gone = NULL;
    list_for_each_safe (link, after, &stack->all)
        utcp__conn_free(list_member(link, struct utcp_conn, all_link));
    list_for_each_safe (listener_link, after_it, &stack->listeners) {
        struct utcp_listener *listener = list_member(listener_link, struct utcp_listener, link);

        utcp__fast_open_close(listener);
        free(listener);
    }
    utcp__waits_dispose(&stack->waits);
    utcp__fast_cache_free(stack);
    utcp__paths_free(stack);
    utcp__pool_dispose(&stack->pool);
    utcp__spares_free(stack);
    free(stack->table);
    free(stack);
}

void utcp_set_mtu(struct utcp *stack, uint32_t mtu)
{
    stack->mtu = mtu_clamped(mtu);
    utcp__conn_prepare(stack);
    list_for_each_safe (link, after, &stack->all) {
        struct utcp_conn *conn = list_member(link, struct utcp_conn, all_link);

        if (conn->path_mtu <= stack->mtu || !conn->in_table)
            continue;
        conn->path_mtu = (uint16_t)stack->mtu;
        utcp__conn_update_mss(conn);
    }
}

void utcp_set_offloads(struct utcp *stack, uint32_t offloads)
{
    stack->offloads = offloads;
}

void utcp_set_flags(struct utcp *stack, uint32_t flags)
{
    stack->flags = flags;
    utcp__conn_prepare(stack);
}

int utcp_listen(struct utcp *stack, const struct utcp_endpoint *local, unsigned backlog, void *user,
                struct utcp_listener **listener)
{
    static const uint8_t any[16];
    struct utcp_listener *new;

    if ((local->family != 4 && local->family != 6) || local->port == 0 || local->zero)
        return -EINVAL;
    list_for_each_safe (link, after, &stack->listeners)
        if (endpoint_equal(&list_member(link, struct utcp_listener, link)->local, local))
            return -EADDRINUSE;
    new = calloc(1, sizeof(*new));
    if (new == NULL)
        return -ENOMEM;
    new->stack = stack;
    new->local = *local;
    new->any_address = memcmp(local->address, any, sizeof(any)) == 0;
    new->backlog = backlog ? backlog : 1;
    new->user = user;
    list_init(&new->event_link);
    list_init(&new->half_open);
    list_init(&new->ready);
    list_append(&stack->listeners, &new->link);
    *listener = new;
    return 0;
}

void utcp_set_time_wait(struct utcp *stack, uint64_t time_wait_us)
{
    stack->time_wait_us = time_wait_us ? time_wait_us : UTCP_TIME_WAIT_DEFAULT;
}

enum utcp_state utcp_state_between(const struct utcp *stack, const struct utcp_endpoint *local,
                                   const struct utcp_endpoint *remote)
{
    const struct utcp_conn *conn = utcp__look_up(stack, local, remote);

    if (conn)
        return (enum utcp_state)conn->state;
    return utcp__find_waiting(stack, local, remote) ? UTCP_TIME_WAIT : UTCP_CLOSED;
}

/* utcp_for_each()'s visitor, for utcp__waits_visit(). */
struct visitor {
    void (*visit)(void *context, const struct utcp_endpoint *local,
                  const struct utcp_endpoint *remote, enum utcp_state state);
    void *context;
};

static void visit_waiting(void *context, const struct utcp_time_wait *wait)
{
    const struct visitor *visitor = context;

    visitor->visit(visitor->context, &wait->local, &wait->remote, UTCP_TIME_WAIT);
}

void utcp_for_each(const struct utcp *stack,
                   void (*visit)(void *context, const struct utcp_endpoint *local,
                                 const struct utcp_endpoint *remote, enum utcp_state state),
                   void *context)
{
    struct visitor visitor = {visit, context};

    for (uint32_t i = 0; i < stack->table_size; i++) {
        for (const struct utcp_conn *conn = stack->table[i]; conn; conn = conn->chain)
            visit(context, &conn->local, &conn->remote, (enum utcp_state)conn->state);
    }
    for (uint32_t i = 0; i < stack->waits.index_size; i++)
        utcp__waits_visit(&stack->waits, i, visit_waiting, &visitor);
}

void utcp_listener_set_mode(struct utcp_listener *listener, enum utcp_listen_mode mode)
{
    listener->mode = (uint8_t)mode;
    if (mode == UTCP_LISTEN_HOLD)
        return;
    list_for_each_safe (link, after, &listener->half_open) {
        struct utcp_conn *conn = list_member(link, struct utcp_conn, link);

        if (!conn->held)
            continue;
        conn->held = false;
        conn->syn_due = true;
        utcp__want_output(conn);
    }
}

static void reset_all(struct list *connections)
{
    while (!list_empty(connections)) {
        struct utcp_conn *conn = list_member(connections->next, struct utcp_conn, link);

        if (conn->state == UTCP_CLOSED)
            utcp__conn_free(conn); /* it ended before it was accepted */
        else
            utcp__conn_reset(conn, 0);
    }
}

void utcp_listener_close(struct utcp_listener *listener)
{
    if (listener == NULL)
        return;
    reset_all(&listener->half_open);
    reset_all(&listener->ready);
    list_remove(&listener->link);
    list_remove(&listener->event_link);
    utcp__fast_open_close(listener);
    listener->stack->cookies_elsewhere -= listener->elsewhere;
    utcp__reap(listener->stack);
    free(listener);
}

static bool anything_to_tell(const struct utcp *stack)
{
    return !list_empty(&stack->events) || !list_empty(&stack->listener_events);
}

bool utcp_poll_wanted(const struct utcp *stack)
{
    return anything_to_tell(stack);
}

unsigned utcp_poll(struct utcp *stack, struct utcp_event *events, unsigned max)
{
    unsigned count = 0;

    if (!anything_to_tell(stack))
        return 0; /* as mostly, for whoever asks after each turn */
    while (count < max && !list_empty(&stack->listener_events)) {
        struct utcp_listener *listener =
            list_member(stack->listener_events.next, struct utcp_listener, event_link);

        list_remove(&listener->event_link);
        events[count++] = (struct utcp_event){
            .listener = listener, .user = listener->user, .events = listener->events};
        listener->events = 0;
    }
    while (count < max && !list_empty(&stack->events)) {
        struct utcp_conn *conn = list_member(stack->events.next, struct utcp_conn, link);

        list_remove(&conn->link);
        events[count++] =
            (struct utcp_event){.conn = conn, .user = conn->user, .events = conn->events};
        conn->events = 0;
    }
    return count;
}
