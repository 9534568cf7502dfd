/* SPDX-License-Identifier: BSD-2-Clause */
/* SYNs answered at the NIC, when a listener has more than it can keep.
 *
 * UTCP answers by cookies when a backlog is used up, but each SYN has come all the way to it by then. So
 * while more SYNs than PRESSURE find the backlog used up within CHECK_EVERY, the switch is asked to have
 * them answered where they come in, by the same cookies: UTCP knows nothing of it but that it is done.
 *
 *            pressure              HOLD over
 *   calm ───────────────► asked ─────────────► calm, for a look: if the pressure is still there the next
 *     ▲                     │                  check finds it, and HOLD is twice as long
 *     └─────────────────────┴─ refused: asked again after REFUSED_FOR
 *
 * While it is asked for, no SYN comes that would tell whether the flood goes on; one look costs what comes
 * in CHECK_EVERY. The switch keeps what it was told until the listener goes: rules that are set by hand
 * (multistack-guard) can have SYNs answered at any time from the first asking on. */
#include "runtime_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define CHECK_EVERY 100000 /* us */
#define PRESSURE    32     /* SYNs within that */
#define HOLD_FIRST  2000000
#define HOLD_MOST   64000000
#define CALM_FOR    3000000 /* after which HOLD begins at its first value again */
#define REFUSED_FOR 60000000
#define BEHIND      10000 /* cookies' clock: never before that of the batch at hand (PAWS) */

static_assert((int)MS_COOKIE_TIMESTAMPS == UTCP_COOKIE_TIMESTAMPS &&
                  (int)MS_COOKIE_WINDOW_SCALE == UTCP_COOKIE_WINDOW_SCALE &&
                  (int)MS_COOKIE_SACK == UTCP_COOKIE_SACK && (int)MS_COOKIE_ECN == UTCP_COOKIE_ECN,
              "they are passed on as they are");

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

static void begin(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    uint64_t now = listener->runtime->now;
    int error = tell(listener, true);

    if (error) {
        protection->not_before = now + REFUSED_FOR;
        if (error != protection->error)
            report(listener, error);
        protection->error = error;
        return;
    }
    protection->error = 0;
    protection->hold = protection->hold && now - protection->ended_at < CALM_FOR
                           ? protection->hold * 2
                           : HOLD_FIRST;
    if (protection->hold > HOLD_MOST)
        protection->hold = HOLD_MOST;
    protection->asked = true;
    protection->ends_at = now + protection->hold;
    if (protection->hold == HOLD_FIRST &&
        listener->runtime->nic_cookies == RUNTIME_NIC_COOKIES_WHEN_FULL)
        report(listener, 1);
}

static void look(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    struct ms_runtime *runtime = listener->runtime;

    protection->asked = false;
    protection->ended_at = runtime->now;
    tell(listener, false);
}

/* The MTU has changed, or an option of the listener. */
static bool terms_changed(const struct ms_runtime_listener *listener)
{
    struct utcp_cookie_terms terms = {.size = sizeof(terms)};

    return utcp_listener_cookie_terms(listener->listener, &terms) == 0 &&
           memcmp(&terms, &listener->protection.terms, sizeof(terms)) != 0;
}

static void check(struct ms_runtime_listener *listener)
{
    struct protection *protection = &listener->protection;
    struct ms_runtime *runtime = listener->runtime;
    uint64_t overflows = utcp_listener_overflows(listener->listener);
    bool pressed = overflows - protection->overflows >= PRESSURE ||
                   runtime->nic_cookies == RUNTIME_NIC_COOKIES_ALWAYS;

    protection->overflows = overflows;
    if (protection->asked && runtime->nic_cookies == RUNTIME_NIC_COOKIES_WHEN_FULL &&
        runtime->now >= protection->ends_at)
        look(listener);
    else if (!protection->asked && pressed && runtime->now >= protection->not_before)
        begin(listener);
    else if (protection->told && terms_changed(listener))
        tell(listener, protection->asked);
    else if (!protection->asked && protection->hold &&
             runtime->now - protection->ended_at >= CALM_FOR) {
        protection->hold = 0;
        report(listener, 0);
    }
}

void runtime__watch_pressure(struct ms_runtime *runtime)
{
    if (runtime->nic_cookies == RUNTIME_NIC_COOKIES_NEVER || runtime->now < runtime->check_at)
        return;
    runtime->check_at = runtime->now + CHECK_EVERY;
    for (struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next) {
        if (listener->listener && !listener->away)
            check(listener);
    }
}

uint64_t runtime__pressure_deadline(const struct ms_runtime *runtime)
{
    uint64_t deadline = UINT64_MAX;

    if (runtime->nic_cookies != RUNTIME_NIC_COOKIES_WHEN_FULL)
        return deadline;
    for (const struct ms_runtime_listener *listener = runtime->listeners; listener;
         listener = listener->next) {
        const struct protection *protection = &listener->protection;
        uint64_t due = protection->asked  ? protection->ends_at
                       : protection->hold ? protection->ended_at + CALM_FOR
                                          : UINT64_MAX;

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
    *protection = (struct protection){.overflows = protection->overflows};
}
