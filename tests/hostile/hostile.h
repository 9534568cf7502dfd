/* SPDX-License-Identifier: BSD-2-Clause */
/* What the modes of hostile_port share. Each file of modes ends with a table of them. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "raw_port.h"

struct mode {
    const char *name; /* NULL ends a table */
    struct raw_port (*begin)(void);
    struct raw_outcome (*run)(struct raw_port *port);
};

#define MODE(begin, name)                                                                          \
    {                                                                                              \
#name, begin, name                                                                         \
    }

extern const struct mode ring_modes[];
extern const struct mode packet_modes[];
extern const struct mode control_modes[];
extern const struct mode sharing_modes[];
extern const struct mode range_modes[];
extern const struct mode guard_modes[];

/* From the command line. */
extern const char *control;
extern uint64_t duration_ms, seed;
extern struct sockaddr_in address, peer;

/* What a mode adds to its line. */
extern char more[128];

/* How far a port has come when a mode begins. */
struct raw_port connected(void);
struct raw_port greeted(void);
struct raw_port opened(void);
struct raw_port bound(void); /* UDP, `address`, a port that the kernel chose */

/* The same numbers for the same seed. */
uint64_t random_next(void);
void random_fill(uint8_t *bytes, size_t size);

/* Until when a mode that goes on for a while goes on; control_client__now_ms(). */
int64_t end_of_duration(void);

#endif
