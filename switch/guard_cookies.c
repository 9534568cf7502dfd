/* SPDX-License-Identifier: BSD-2-Clause */
/* guard_rules.h: when SYNs are answered in a stack's place, and by whose terms. */
#include <errno.h>
#include <string.h>

#include "core.h"
#include "guard_rules.h"

static_assert(GUARD_COOKIE_SCALE_MAX == CONTROL_COOKIE_SCALE_MAX &&
                  GUARD_COOKIE_TIMESTAMPS == CONTROL_COOKIE_TIMESTAMPS &&
                  GUARD_COOKIE_WINDOW_SCALE == CONTROL_COOKIE_WINDOW_SCALE &&
                  GUARD_COOKIE_SACK == CONTROL_COOKIE_SACK &&
                  GUARD_COOKIE_ECN == CONTROL_COOKIE_ECN,
              "they are passed on as they are");

bool guard__cookie_is_sane(const struct control_guard *wish)
{
    const struct control_cookie *cookie = &wish->cookie;

    return wish->rate <= 1 && wish->burst <= CONTROL_GUARD_RATE_MAX && !wish->duration_ns &&
           cookie->mss >= CONTROL_COOKIE_MSS_MIN &&
           cookie->window_scale <= GUARD_COOKIE_SCALE_MAX && cookie->hop_limit &&
           cookie->dscp < 64 && cookie->options <= 0xf && !cookie->zero &&
           cookie->behind_us <= CONTROL_COOKIE_BEHIND_MAX;
}

/* Only a program at the NIC can send something back. */
static bool any_nic_answers(const struct switch_core *core)
{
    for (uint32_t i = 0; i < core->nic_count; i++) {
        if (core->nics[i].answers)
            return true;
    }
    return false;
}

int guard__cookies_available(const struct switch_core *core, const struct control_guard *wish)
{
    if (wish->kind != CONTROL_GUARD_COOKIES && wish->kind != CONTROL_GUARD_COOKIES_ALWAYS)
        return 0;
    if (!any_nic_answers(core))
        return -EOPNOTSUPP;
    return wish->kind == CONTROL_GUARD_COOKIES && wish->rate && !core->guard.may_ask ? -EACCES : 0;
}

static uint32_t owners_of(const struct switch_core *core, const struct tuple *tuple)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < core->ports.bindings_made; i++) {
        const struct binding *binding = &core->ports.bindings[i];

        count += binding->port && tuple_equal(&binding->tuple, tuple);
    }
    return count;
}

bool guard__cookies_wanted(const struct switch_core *core, uint32_t slot,
                           struct guard_cookie *terms)
{
    const struct guard *guard = &core->guard;
    const struct control_cookie *cookie = NULL;
    bool wanted = false;
    uint32_t ready = 0, left = UINT32_MAX; /* SYNs a second; of several who ask the fewest */

    for (uint32_t index = guard->places[slot].first_rule; index != GUARD_NONE;
         index = guard->rules[index].next) {
        const struct guard_rule *rule = &guard->rules[index];

        if (rule->kind == CONTROL_GUARD_COOKIES_NEVER)
            return false;
        if (rule->kind == CONTROL_GUARD_COOKIES_ALWAYS) {
            wanted = true;
            left = 0;
        }
        if (rule->kind != CONTROL_GUARD_COOKIES)
            continue;
        if (cookie && memcmp(cookie, &rule->cookie, sizeof(*cookie)) != 0)
            return false; /* what one of them answers for the other would not take */
        cookie = &rule->cookie;
        wanted |= rule->rate;
        if (rule->rate && rule->burst < left)
            left = rule->burst;
        ready++;
    }
    if (!wanted || !ready || ready != owners_of(core, &guard->places[slot].tuple))
        return false;
    *terms = (struct guard_cookie){.behind_us = cookie->behind_us,
                                   .left_ns = left ? 1000000000 / left : 0,
                                   .mss = cookie->mss,
                                   .window = cookie->window,
                                   .window_scale = cookie->window_scale,
                                   .hop_limit = cookie->hop_limit,
                                   .dscp = cookie->dscp,
                                   .options = cookie->options};
    memcpy(terms->key, cookie->key, sizeof(terms->key));
    return true;
}
