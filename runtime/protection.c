/* SPDX-License-Identifier: BSD-2-Clause */
/* SYNs answered at the NIC, when they cost a stack more than it can spare.
 *
 * UTCP answers by cookies when a backlog is used up, but each SYN has come all the way to it by then. Where
 * that takes too much of a core (syn_pressure.h says when), the switch is asked to have SYNs answered where
 * they come in, by the same cookies: UTCP knows nothing of it but that it is done.
 *
 *            it rises                 it falls
 *   calm ───────────────► asked ─────────────► calm; if it rises again within seconds it is the same flood,
 *     ▲                     │                  and has to have been away for twice as long the next time
 *     └─────────────────────┴─ refused: asked again after REFUSED_FOR
 *
 * What is asked for is that the NIC answers what is more than the stack can spare the time for. How many it
 * answers the switch knows, and is asked every LOOK_EVERY: that tells whether the flood goes on. Where it is
 * away, nothing changes. It keeps what it was told until the listener goes: rules that are set by hand
 * (multistack-guard) can have SYNs answered at any time from the first asking on. */
#include "runtime_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define CHECK_EVERY 10000 /* us */
#define LOOK_EVERY  250000
#define TERMS_EVERY 100000
#define REFUSED_FOR 60000000
#define BEHIND      10000 /* cookies' clock: never before that of the batch at hand (PAWS) */

static_assert((int)MS_COOKIE_TIMESTAMPS == UTCP_COOKIE_TIMESTAMPS &&
                  (int)MS_COOKIE_WINDOW_SCALE == UTCP_COOKIE_WINDOW_SCALE &&
                  (int)MS_COOKIE_SACK == UTCP_COOKIE_SACK && (int)MS_COOKIE_ECN == UTCP_COOKIE_ECN,
              "they are passed on as they are");

static unsigned percent_of(const struct ms_runtime *runtime)
{
    return runtime->nic_cookies == RUNTIME_NIC_COOKIES_AUTO ? SYN_PRESSURE_SHARE_PERCENT : 0;
}

/* SYNs a second. */
static uint32_t left_of(const struct ms_runtime *runtime)
{
    return syn_pressure_left(&runtime->syn_price, percent_of(runtime));
}

/* 0, or why it cannot be. */
static int tell(struct ms_runtime_listener *listener, bool ask)
{
    struct protection *protection = &listener->protection;
    struct utcp_cookie_terms terms = {.size = sizeof(terms)};
    struct ms_guard_cookie cookie = {.behind_us = BEHIND};
    struct ms_guard_rule rule = {
        .size = sizeof(rule), .kind = MS_GUARD_COOKIES, .rate = ask, .cookie = &cookie};
    int error = utcp_listener_cookie_terms(listener->listener, &terms);

    if (error)
        return error;
    if (ask)
        rule.burst = protection->left = left_of(listener->runtime);
    memcpy(cookie.key, terms.key, sizeof(cookie.key));
    cookie.mss = terms.mss;
    cookie.window = terms.window;
    cookie.window_scale = terms.window_scale;
    cookie.hop_limit = terms.hop_limit;
    cookie.dscp = terms.dscp;
    cookie.options = terms.options;
    /* Before the first of them can come back. */
    utcp_listener_cookies_elsewhere(listener->listener, listener->runtime->now, true);
    error = ms_guard_set(listener->runtime->port, listener->binding, &rule);
    protection->terms = terms;
    protection->told = !error;
    if (error)
        utcp_listener_cookies_elsewhere(listener->listener, listener->runtime->now, false);
    return error;
}

static void report(struct ms_runtime_listener *listener, int status)
{
    struct ms_runtime *runtime = listener->runtime;

    if (runtime->guarded)
        runtime->guarded(runtime->context, listener, status);
}

static void refused(struct ms_runtime_listener *listener, int error)
{
    struct protection *protection = &listener->protection;

    protection->asked = false;
    protection->not_before = listener->runtime->now + REFUSED_FOR;
    if (error != protection->error)
        report(listener, error);
    protection->error = error;
}

static void begin(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    uint64_t now = listener->runtime->now, answered = 0;
    int error = tell(listener, true);

    if (error) {
        refused(listener, error);
        return;
    }
    protection->error = 0;
    protection->asked = true;
    protection->look_at = now + LOOK_EVERY;
    ms_guard_answered(listener->runtime->port, listener->binding, &answered);
    if (syn_pressure_begun(&protection->pressure, now, answered) &&
        listener->runtime->nic_cookies != RUNTIME_NIC_COOKIES_ALWAYS)
        report(listener, 1);
}

/* Whether the flood goes on. */
static void look(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    struct ms_runtime *runtime = listener->runtime;
    uint64_t answered;
    int error = ms_guard_answered(runtime->port, listener->binding, &answered);

    protection->look_at = runtime->now + LOOK_EVERY;
    if (error && error != -ENOTCONN) {
        refused(listener, error);
    } else if (!error && syn_pressure_falls(&protection->pressure, runtime->now, answered,
                                            &runtime->syn_price, percent_of(runtime))) {
        protection->asked = false;
        syn_pressure_ended(&protection->pressure, runtime->now);
        tell(listener, false);
    }
}

/* The price is another, by more than it wavers. */
static bool left_has_changed(const struct ms_runtime_listener *listener)
{
    uint32_t before = listener->protection.left, now = left_of(listener->runtime);

    return listener->protection.asked && (now > before + before / 4 || now < before - before / 4);
}

/* Whether the MTU has changed, or an option of the listener, or how many SYNs it can take. */
static void keep_terms(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    struct utcp_cookie_terms terms = {.size = sizeof(terms)};

    protection->terms_at = listener->runtime->now + TERMS_EVERY;
    if (utcp_listener_cookie_terms(listener->listener, &terms) == 0 &&
        (memcmp(&terms, &protection->terms, sizeof(terms)) != 0 || left_has_changed(listener)))
        tell(listener, protection->asked);
}

static void check(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    struct ms_runtime *runtime = listener->runtime;
    bool always = runtime->nic_cookies == RUNTIME_NIC_COOKIES_ALWAYS;
    bool rises = syn_pressure_rises(&protection->pressure, runtime->now,
                                    utcp_listener_overflows(listener->listener),
                                    &runtime->syn_price, percent_of(runtime));

    if (protection->asked && !always && runtime->now >= protection->look_at)
        look(listener);
    else if (!protection->asked && (rises || always) && runtime->now >= protection->not_before)
        begin(listener);
    else if (protection->told && runtime->now >= protection->terms_at)
        keep_terms(listener);
    else if (!protection->asked && runtime->now >= syn_pressure_calm_at(&protection->pressure)) {
        protection->pressure.hold = 0;
        report(listener, 0);
    }
}

/* What SYNs cost, of all that was done since the last time. */
static void learn_price(struct ms_runtime *runtime)
{
    uint64_t overflows = 0;

    for (const struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next) {
        if (listener->listener)
            overflows += utcp_listener_overflows(listener->listener);
    }
    /* A listener that went took its count along. */
    if (overflows >= runtime->overflows)
        syn_price_learn(&runtime->syn_price, runtime->packets, overflows - runtime->overflows,
                        runtime->busy_us);
    runtime->overflows = overflows;
    runtime->packets = runtime->busy_us = 0;
}

void runtime__watch_pressure(struct ms_runtime *runtime)
{
    if (runtime->nic_cookies == RUNTIME_NIC_COOKIES_NEVER || runtime->now < runtime->check_at)
        return;
    runtime->check_at = runtime->now + CHECK_EVERY;
    learn_price(runtime);
    for (struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next) {
        if (listener->listener && !listener->away)
            check(listener);
    }
}

uint64_t runtime__pressure_deadline(const struct ms_runtime *runtime)
{
    uint64_t deadline = UINT64_MAX;

    if (runtime->nic_cookies == RUNTIME_NIC_COOKIES_NEVER ||
        runtime->nic_cookies == RUNTIME_NIC_COOKIES_ALWAYS)
        return deadline;
    for (const struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next) {
        const struct protection *protection = &listener->protection;
        uint64_t due =
            protection->asked ? protection->look_at : syn_pressure_calm_at(&protection->pressure);

        if (due < deadline)
            deadline = due;
    }
    return deadline;
}

void runtime__end_protection(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    struct ms_guard_cookie cookie = {0};
    struct ms_guard_rule rule = {.size = sizeof(rule), .kind = MS_GUARD_COOKIES, .cookie = &cookie};

    if (!protection->told)
        return;
    ms_guard_remove(listener->runtime->port, listener->binding, &rule);
    if (listener->listener)
        utcp_listener_cookies_elsewhere(listener->listener, listener->runtime->now, false);
    *protection = (struct protection){.pressure = {.syns = protection->pressure.syns}};
}
