/* SPDX-License-Identifier: BSD-2-Clause */
/* Modes that ask the guard for what is not theirs to ask: rules for another's binding, for all, without
 * sense, without number. */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BINDINGS_TRIED 256

static struct control_guard block(uint32_t binding)
{
    return (struct control_guard){
        .binding = binding,
        .action = CONTROL_GUARD_SET,
        .kind = CONTROL_GUARD_BLOCK,
        .prefix = {.family = 4, .length = 32, .bytes = {10}},
    };
}

static struct raw_outcome ask(struct raw_port *port, struct control_guard wish)
{
    wish.header = (struct control_header){CONTROL_GUARD, sizeof(wish), ++port->request, 0};
    raw_send(port, &wish, sizeof(wish), NULL, 0);
    return raw_outcome(port);
}

/* Whatever the number of another's binding is: numbers begin at 65,536. Everybody would be blocked. */
static struct raw_outcome guard_foreign_binding(struct raw_port *port)
{
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    for (uint32_t i = 0; i < BINDINGS_TRIED; i++) {
        struct control_guard wish = block(65536 + i);

        if (wish.binding == port->binding)
            continue;
        wish.prefix = (struct control_prefix){.family = 4};
        outcome = ask(port, wish);
        if (outcome.fate != RAW_REFUSED || outcome.error == EPERM)
            break;
    }
    return outcome;
}

static struct raw_outcome guard_for_all(struct raw_port *port)
{
    struct control_guard wish = block(0);

    wish.prefix = (struct control_prefix){.family = 4};
    return ask(port, wish);
}

/* Each must be refused for the same reason; the first that is not is the outcome. */
static struct raw_outcome guard_absurd_rules(struct raw_port *port)
{
    struct control_guard wishes[10];
    struct raw_outcome outcome = {.fate = RAW_ALIVE};
    size_t count = sizeof(wishes) / sizeof(wishes[0]);

    for (size_t i = 0; i < count; i++)
        wishes[i] = block(port->binding);
    wishes[0].prefix.length = 33;
    wishes[1].prefix.length = 0; /* with bits behind it */
    wishes[2].prefix.family = 17;
    wishes[3].prefix = (struct control_prefix){.family = 6, .length = 255};
    wishes[4].duration_ns = UINT64_MAX;
    wishes[5].kind = UINT32_MAX;
    wishes[6].action = UINT32_MAX;
    wishes[7].kind = CONTROL_GUARD_SYN; /* with a prefix, and no rate */
    wishes[8].rate = UINT32_MAX;
    memset(&wishes[9].action, 0xff, sizeof(wishes[9]) - offsetof(struct control_guard, action));
    for (size_t i = 0; i < count; i++) {
        outcome = ask(port, wishes[i]);
        if (outcome.fate != RAW_REFUSED || outcome.error != EINVAL)
            break;
    }
    return outcome;
}

static struct raw_outcome guard_flood(struct raw_port *port)
{
    struct raw_outcome outcome = {.fate = RAW_ALIVE};
    uint32_t sent = 0;

    for (; outcome.fate == RAW_ALIVE && sent < 100000; sent++) {
        struct control_guard wish = block(port->binding);
        uint32_t source = htonl(0x0b000000 + sent);

        memcpy(wish.prefix.bytes, &source, sizeof(source));
        outcome = ask(port, wish);
    }
    snprintf(more, sizeof(more), " rules=%u", sent);
    return outcome;
}

const struct mode guard_modes[] = {
    MODE(bound, guard_foreign_binding),
    MODE(bound, guard_for_all),
    MODE(bound, guard_absurd_rules),
    MODE(bound, guard_flood),
    {0},
};
