/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules of the guard (control_protocol.h), as the application wants them: kept here for as long as
 * their binding lives, and presented again to each switch that comes.
 *
 *            GUARD set sent            GUARDED
 *   WAITING ────────────────► ASKED ───────────► SET ──► LEAVING ──► REMOVING ──► FREE
 *      ▲          lost          │ refused                   ▲   GUARD remove sent
 *      └────────────────────────┴──► REFUSED: until the next switch │
 *                    not wanted any more while ASKED: ABANDONED ────┘
 *
 * A rule that ends by time is kept with the time of its end, and is presented with what is left. */
#include "port_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MS       1000000ULL
#define FOR_EVER INT64_MAX

static bool is_pending(enum guard_state state)
{
    return state == GUARD_WAITING || state == GUARD_ASKED || state == GUARD_LEAVING ||
           state == GUARD_REMOVING || state == GUARD_ABANDONED;
}

static void set_state(struct ms_port *port, struct guard_rule *rule, enum guard_state state)
{
    port->guard.pending -= is_pending(rule->state);
    port->guard.pending += is_pending(state);
    rule->state = state;
}

static void set_error(struct ms_port *port, int error)
{
    if (error && !port->guard.error)
        port->guard.error = error;
}

/* A rule that the application wants: of lists the prefix is part of what it is. */
static struct guard_rule *find(const struct ms_port *port, unsigned binding,
                               const struct control_guard *wish)
{
    for (unsigned i = 0; i < port->guard.count; i++) {
        struct guard_rule *rule = &port->guard.rules[i];

        if (rule->state != GUARD_FREE && rule->state != GUARD_LEAVING &&
            rule->state != GUARD_REMOVING && rule->binding == binding &&
            rule->wish.kind == wish->kind &&
            !memcmp(&rule->wish.prefix, &wish->prefix, sizeof(wish->prefix)))
            return rule;
    }
    return NULL;
}

static struct guard_rule *new_rule(struct ms_port *port)
{
    struct guard_rules *guard = &port->guard;
    int64_t now = control_client__now_ms();
    unsigned count = guard->count;
    struct guard_rule *larger;

    for (unsigned i = 0; i < count; i++)
        if (guard->rules[i].state == GUARD_FREE ||
            (guard->rules[i].state == GUARD_SET && guard->rules[i].until_ms <= now)) /* ended */
            return &guard->rules[i];
    if (count > INT32_MAX / 2)
        return NULL;
    larger = reallocarray(guard->rules, count ? 2 * (size_t)count : 8, sizeof(*larger));
    if (!larger)
        return NULL;
    guard->rules = larger;
    guard->count = count ? 2 * count : 8;
    memset(&larger[count], 0, (guard->count - count) * sizeof(*larger));
    return &larger[count];
}

/* 0, or what sending said. A rule that has ended meanwhile is not presented. */
static int present(struct ms_port *port, struct guard_rule *rule)
{
    bool leaving = rule->state == GUARD_LEAVING;
    int64_t now = control_client__now_ms();
    struct control_guard message = rule->wish;
    int error;

    if (!leaving && rule->until_ms <= now) {
        set_state(port, rule, GUARD_FREE);
        return 0;
    }
    message.header = (struct control_header){
        .type = CONTROL_GUARD, .size = sizeof(message), .request = port->session.request + 1};
    message.binding = port->bindings[rule->binding].number;
    message.action = leaving ? CONTROL_GUARD_REMOVE : CONTROL_GUARD_SET;
    if (leaving)
        message.rate = message.burst = 0, message.cookie = (struct control_cookie){.mss = 0};
    else if (rule->until_ms != FOR_EVER)
        message.duration_ns = (uint64_t)(rule->until_ms - now) * MS;
    error = control_client__send(port->session.fd, &message, -1);
    if (error)
        return error;
    rule->request = ++port->session.request;
    rule->again = false;
    set_state(port, rule, leaving ? GUARD_REMOVING : GUARD_ASKED);
    port->session.on_the_way++;
    return 0;
}

int guard__present(struct ms_port *port)
{
    int error = 0;

    for (unsigned i = 0; port->guard.pending && !error && i < port->guard.count; i++) {
        struct guard_rule *rule = &port->guard.rules[i];

        if (port->session.on_the_way >= CONTROL_PIPELINE_MAX)
            break; /* goes on with the next answer */
        if ((rule->state != GUARD_WAITING && rule->state != GUARD_LEAVING) ||
            port->bindings[rule->binding].state != BINDING_CLAIMED)
            continue;
        if (port->session.features & CONTROL_FEATURE_GUARD) {
            error = present(port, rule);
        } else {
            set_error(port, -EOPNOTSUPP);
            rule->error = -EOPNOTSUPP;
            set_state(port, rule, rule->state == GUARD_WAITING ? GUARD_REFUSED : GUARD_FREE);
        }
    }
    return error;
}

bool guard__answered(struct ms_port *port, const struct control_guarded *answer)
{
    for (unsigned i = 0; i < port->guard.count; i++) {
        struct guard_rule *rule = &port->guard.rules[i];

        if ((rule->state != GUARD_ASKED && rule->state != GUARD_ABANDONED &&
             rule->state != GUARD_REMOVING) ||
            rule->request != answer->header.request)
            continue;
        if (rule->state == GUARD_REMOVING || (rule->state == GUARD_ABANDONED && rule->orphan)) {
            set_state(port, rule, GUARD_FREE);
        } else if (rule->state == GUARD_ABANDONED) {
            set_state(port, rule, answer->header.error ? GUARD_FREE : GUARD_LEAVING);
        } else if (rule->again) {
            set_state(port, rule, GUARD_WAITING);
        } else {
            set_error(port, -answer->header.error);
            rule->error = -answer->header.error;
            rule->answered = answer->answered;
            set_state(port, rule, answer->header.error ? GUARD_REFUSED : GUARD_SET);
        }
        return true;
    }
    return false;
}

bool guard__is_settled(const struct ms_port *port)
{
    for (unsigned i = 0; port->guard.pending && i < port->guard.count; i++) {
        const struct guard_rule *rule = &port->guard.rules[i];

        if (is_pending(rule->state) &&
            ((rule->state != GUARD_WAITING && rule->state != GUARD_LEAVING) ||
             port->bindings[rule->binding].state == BINDING_CLAIMED))
            return false;
    }
    return true;
}

int guard__first_error(const struct ms_port *port)
{
    for (unsigned i = 0; i < port->guard.count; i++)
        if (port->guard.rules[i].state == GUARD_REFUSED)
            return port->guard.rules[i].error;
    return 0;
}

void guard__forget_claims(struct ms_port *port)
{
    for (unsigned i = 0; i < port->guard.count; i++) {
        struct guard_rule *rule = &port->guard.rules[i];

        if (rule->state == GUARD_ASKED || rule->state == GUARD_SET || rule->state == GUARD_REFUSED)
            set_state(port, rule, GUARD_WAITING);
        else if (rule->state != GUARD_WAITING)
            set_state(port, rule, GUARD_FREE);
    }
}

void guard__drop(struct ms_port *port, unsigned index)
{
    for (unsigned i = 0; i < port->guard.count; i++) {
        struct guard_rule *rule = &port->guard.rules[i];

        if (rule->state == GUARD_FREE || rule->binding != index)
            continue;
        rule->orphan = true; /* what is on the way is awaited all the same */
        if (rule->state == GUARD_ASKED)
            set_state(port, rule, GUARD_ABANDONED);
        else if (rule->state != GUARD_ABANDONED && rule->state != GUARD_REMOVING)
            set_state(port, rule, GUARD_FREE);
    }
}

void guard__dispose(struct ms_port *port)
{
    free(port->guard.rules);
    port->guard = (struct guard_rules){.rules = NULL};
}

static_assert((int)MS_GUARD_BLOCK == CONTROL_GUARD_BLOCK &&
                  (int)MS_GUARD_ALLOW == CONTROL_GUARD_ALLOW &&
                  (int)MS_GUARD_STRICT == CONTROL_GUARD_STRICT &&
                  (int)MS_GUARD_SYN_SOURCE == CONTROL_GUARD_SYN_SOURCE &&
                  (int)MS_GUARD_SYN == CONTROL_GUARD_SYN &&
                  (int)MS_GUARD_CONNECTIONS == CONTROL_GUARD_CONNECTIONS &&
                  (int)MS_GUARD_COOKIES == CONTROL_GUARD_COOKIES &&
                  (int)MS_GUARD_COOKIES_ALWAYS == CONTROL_GUARD_COOKIES_ALWAYS &&
                  (int)MS_GUARD_COOKIES_NEVER == CONTROL_GUARD_COOKIES_NEVER &&
                  MS_COOKIE_TIMESTAMPS == CONTROL_COOKIE_TIMESTAMPS &&
                  MS_COOKIE_WINDOW_SCALE == CONTROL_COOKIE_WINDOW_SCALE &&
                  MS_COOKIE_SACK == CONTROL_COOKIE_SACK && MS_COOKIE_ECN == CONTROL_COOKIE_ECN,
              "one is told as the other");

static int take_prefix(const struct ms_guard_rule *rule, struct control_prefix *prefix)
{
    const struct sockaddr *source = rule->source;
    size_t size;

    if (!source || rule->source_length < sizeof(source->sa_family))
        return -EINVAL;
    prefix->family = source->sa_family == AF_INET ? 4 : 6;
    size = prefix->family == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (source->sa_family != AF_INET && source->sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    if (rule->source_length < size || rule->prefix > (prefix->family == 4 ? 32 : 128))
        return -EINVAL;
    if (prefix->family == 4)
        memcpy(prefix->bytes, &((const struct sockaddr_in *)source)->sin_addr, 4);
    else
        memcpy(prefix->bytes, &((const struct sockaddr_in6 *)source)->sin6_addr, 16);
    prefix->length = (uint8_t)rule->prefix;
    for (unsigned bit = rule->prefix; bit < 128; bit++)
        prefix->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    return 0;
}

static struct control_cookie cookie_of(const struct ms_guard_cookie *cookie)
{
    struct control_cookie told = {.behind_us = cookie->behind_us,
                                  .mss = cookie->mss,
                                  .window = cookie->window,
                                  .window_scale = cookie->window_scale,
                                  .hop_limit = cookie->hop_limit,
                                  .dscp = cookie->dscp,
                                  .options = cookie->options};

    memcpy(told.key, cookie->key, sizeof(told.key));
    return told;
}

/* What the switch would refuse is refused here as well: it may be away. */
static int take_rule(const struct ms_guard_rule *rule, struct control_guard *wish)
{
    *wish = (struct control_guard){.kind = (uint32_t)rule->kind};
    if (rule->size < sizeof(*rule) || rule->kind < MS_GUARD_BLOCK ||
        rule->kind > MS_GUARD_COOKIES_NEVER || rule->seconds > MS_GUARD_SECONDS_MAX ||
        (rule->kind == MS_GUARD_COOKIES && (!rule->cookie || rule->seconds)))
        return -EINVAL;
    if (rule->kind == MS_GUARD_COOKIES)
        wish->cookie = cookie_of(rule->cookie);
    if (rule->kind == MS_GUARD_BLOCK || rule->kind == MS_GUARD_ALLOW)
        return take_prefix(rule, &wish->prefix);
    wish->rate = rule->rate;
    wish->burst = rule->burst;
    return 0;
}

static bool cookie_is_sane(const struct control_cookie *cookie)
{
    return cookie->mss >= CONTROL_COOKIE_MSS_MIN && cookie->hop_limit && cookie->dscp < 64 &&
           cookie->window_scale <= CONTROL_COOKIE_SCALE_MAX && cookie->options <= 0xf &&
           cookie->behind_us <= CONTROL_COOKIE_BEHIND_MAX;
}

static bool limit_is_sane(const struct control_guard *wish)
{
    bool limit = wish->kind >= CONTROL_GUARD_SYN_SOURCE && wish->kind <= CONTROL_GUARD_CONNECTIONS;

    if (wish->kind == CONTROL_GUARD_COOKIES)
        return cookie_is_sane(&wish->cookie) && wish->rate <= 1 &&
               wish->burst <= CONTROL_GUARD_RATE_MAX;

    return limit ? wish->rate && wish->rate <= CONTROL_GUARD_RATE_MAX &&
                       wish->burst <= CONTROL_GUARD_RATE_MAX
                 : !wish->rate && !wish->burst;
}

int ms_guard_set(struct ms_port *port, int handle, const struct ms_guard_rule *rule)
{
    struct guard_rule *known;
    struct control_guard wish;
    int error = take_rule(rule, &wish);

    if (!binding__find(port, handle))
        return -ENOENT;
    if (error || !limit_is_sane(&wish))
        return error ? error : -EINVAL;
    known = find(port, (unsigned)handle, &wish);
    if (!known) {
        known = new_rule(port);
        if (!known)
            return -ENOMEM;
        *known = (struct guard_rule){.binding = (unsigned)handle};
    }
    known->wish = wish;
    known->until_ms =
        rule->seconds ? control_client__now_ms() + (int64_t)rule->seconds * 1000 : FOR_EVER;
    if (known->state == GUARD_ASKED || known->state == GUARD_ABANDONED) {
        known->again = true;
        set_state(port, known, GUARD_ASKED);
    } else {
        set_state(port, known, GUARD_WAITING);
    }
    error = session__await_guard(port);
    known = find(port, (unsigned)handle, &wish);
    if (known && known->state == GUARD_REFUSED) { /* it is the caller's to try again */
        set_state(port, known, GUARD_FREE);
        session__report_bindings(port);
    }
    return error;
}

/* The rule is presented once more, as it is: the switch's answer tells. */
int ms_guard_answered(struct ms_port *port, int handle, uint64_t *answered)
{
    const struct control_guard wish = {.kind = CONTROL_GUARD_COOKIES};
    struct guard_rule *known;
    int error;

    if (!binding__find(port, handle))
        return -ENOENT;
    known = find(port, (unsigned)handle, &wish);
    if (!known)
        return -ENOENT;
    if (known->state == GUARD_SET)
        set_state(port, known, GUARD_WAITING);
    error = session__await_guard(port);
    known = find(port, (unsigned)handle, &wish);
    if (known && known->state == GUARD_REFUSED) {
        set_state(port, known, GUARD_FREE);
        session__report_bindings(port);
    }
    if (error)
        return error;
    if (!known || known->state != GUARD_SET)
        return -ENOTCONN;
    *answered = known->answered;
    return 0;
}

int ms_guard_remove(struct ms_port *port, int handle, const struct ms_guard_rule *rule)
{
    struct guard_rule *known;
    struct control_guard wish;
    int error = take_rule(rule, &wish);

    if (!binding__find(port, handle))
        return -ENOENT;
    if (error)
        return error;
    known = find(port, (unsigned)handle, &wish);
    if (!known || known->state == GUARD_ABANDONED)
        return -ENOENT;
    if (known->state == GUARD_ASKED)
        set_state(port, known, GUARD_ABANDONED);
    else
        set_state(port, known, known->state == GUARD_SET ? GUARD_LEAVING : GUARD_FREE);
    return session__await_guard(port);
}

int ms_guard_flush(struct ms_port *port, int handle)
{
    if (!binding__find(port, handle))
        return -ENOENT;
    for (unsigned i = 0; i < port->guard.count; i++) {
        struct guard_rule *rule = &port->guard.rules[i];

        if (rule->binding != (unsigned)handle)
            continue;
        if (rule->state == GUARD_ASKED)
            set_state(port, rule, GUARD_ABANDONED);
        else if (rule->state == GUARD_SET)
            set_state(port, rule, GUARD_LEAVING);
        else if (rule->state == GUARD_WAITING || rule->state == GUARD_REFUSED)
            set_state(port, rule, GUARD_FREE);
    }
    return session__await_guard(port);
}
