/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch on a bench (control_bench.h) with the maps of the guard, and clients that ask for rules. */
#ifndef GUARD_BENCH_H
#define GUARD_BENCH_H

#include "control_bench.h"

#define SECOND 1000000000ULL

extern int guard_bench_maps[CHANNEL_GUARD_MAPS];  /* ours; the switch has copies */
extern int guard_bench_store;                     /* so that a second switch finds it */
extern struct control_guarded guard_bench_answer; /* to the last ask() */

int guard_bench_set_up(void **state);
int guard_bench_tear_down(void **state);
/* Hands the maps to the switch, as the keeper does. */
int guard_bench_open(struct bench *bench);
/* Whether the kernel let us make them. */
bool have_maps(void);

struct client {
    int fd;
    struct connection *connection; /* at the switch */
};

struct client come(struct bench *bench, bool with_port, uid_t uid);
void leave(struct bench *bench, const struct client *client);
/* Without a placeholder, which is not what is tried here. Returns the binding's number. */
uint32_t bind_port(struct bench *bench, const struct client *client, uint8_t protocol,
                   uint16_t port, bool shared);
/* CONTROL_GUARD, and its answer: 0 or a negative errno. */
int ask(struct bench *bench, const struct client *client, const struct control_guard *wish);

/* How many there are; and the slot of a binding's. */
uint32_t rules(const struct bench *bench);
uint32_t slot_of(const struct bench *bench, uint32_t binding);

#endif
