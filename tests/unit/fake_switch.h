/* SPDX-License-Identifier: BSD-2-Clause */
/* A switch for the tests of libmultistack: a thread that speaks the control protocol on a socket of
 * its own, checks nothing, and moves packets as the test says.
 *
 * It can be killed and started again (the path stays the same), refuse things, and answer
 * rubbish. Every function may be called from the test's thread at any time. */
#ifndef FAKE_SWITCH_H
#define FAKE_SWITCH_H

#include "control_protocol.h"
#include "port_layout.h"
#include "ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#define FAKE_BINDINGS_MAX 1024
#define FAKE_RANGE_FIRST  16384       /* of any range */
#define FAKE_RING_SIZE    (64 * 1024) /* where none is asked for */

/* How the switch misbehaves. */
enum fake_manner {
    FAKE_HONEST,
    FAKE_SILENT,             /* never answers */
    FAKE_CLOSES_AFTER_HELLO, /* and again, and again */
    FAKE_SHORT_WELCOME,      /* a message shorter than a header */
    FAKE_LONG_WELCOME,       /* longer than the header says */
    FAKE_WRONG_MAGIC,
    FAKE_WRONG_REQUEST, /* answers what was not asked */
    FAKE_WRONG_ORDER,   /* PORT_OPENED instead of WELCOME */
    FAKE_UNKNOWN_TYPE,
    FAKE_NEGATIVE_ERROR,
    FAKE_WELCOME_WITH_FD,
    FAKE_NO_FDS, /* PORT_OPENED without descriptors */
    FAKE_TOO_MANY_FDS,
    FAKE_OTHER_RINGS,       /* another number of rings than was asked for */
    FAKE_SMALL_REGION,      /* the memory is smaller than said */
    FAKE_WRONG_REGION_SIZE, /* said and real sizes agree, but not with the layout */
    FAKE_UNSEALED_REGION,
    FAKE_NOT_A_MEMFD,
    FAKE_WRONG_REGION_HEADER,
    FAKE_ODD_RING_SIZE,
    FAKE_UNASKED_BOUND, /* right after PORT_OPENED */
    FAKE_UNASKED_RECORDS,
    FAKE_MANNERS
};

struct fake_binding {
    struct control_address address;
    uint32_t number;
    int placeholder;
    uint32_t flags, ring, members, connected, port_count; /* as BIND said */
};

#define FAKE_FLOWS_MAX 4096
#define FAKE_RULES_MAX 256

struct fake_switch {
    pthread_t thread;
    pthread_mutex_t lock;
    char directory[64];
    char path[96];
    int listener, connection, command; /* -1: none */
    bool ending;

    /* what the test wants; under the lock */
    enum fake_manner manner;
    uint32_t version; /* in WELCOME */
    int welcome_error, open_error;
    int bind_error; /* given for the next `bind_errors` BINDs */
    unsigned bind_errors;
    int share_error, drain_error;
    int connect_error; /* once there are connect_room flows */
    unsigned connect_room;

    /* what happened */
    unsigned hellos, opens, binds, unbinds;
    struct control_port_open open; /* the last one */
    struct fake_binding bindings[FAKE_BINDINGS_MAX];
    unsigned binding_count;
    uint32_t next_binding;
    unsigned shares, connects, drains;
    bool no_guard;   /* it is older than rules of the guard */
    int guard_error; /* of those that are set */
    struct control_guard
        rules[FAKE_RULES_MAX]; /* as they were asked for, in order; each start forgets */
    unsigned rule_count;
    uint64_t answered,
        answered_more; /* SYNs, as each answer about a rule says, the next so many more */
    struct control_flow flows[FAKE_FLOWS_MAX]; /* connected, of all bindings */
    unsigned flow_count;

    /* answers to queries */
    struct {
        const void *records;
        uint32_t size, count;
    } answers[CONTROL_SUBJECT_CAPTURES + 1];
    uint32_t page;        /* records in one message; 0: as many as there are */
    uint32_t later_bytes; /* that a later switch has put at the end of each record */
    unsigned queries;

    /* the port */
    uint8_t *memory;
    uint64_t size;
    unsigned ring_count;
    int rx_fds[PORT_RINGS_MAX], tx_fds[PORT_RINGS_MAX];
    struct ring_producer rx[PORT_RINGS_MAX];
    struct ring_consumer tx[PORT_RINGS_MAX];
    bool lost_packets; /* put found no room */
};

struct fake_switch *fake_switch_new(void);
void fake_switch_free(struct fake_switch *fake);

/* Dies: everything that it had open is closed, the socket's file stays. */
void fake_switch_kill(struct fake_switch *fake);
/* Listens again. */
void fake_switch_start(struct fake_switch *fake);

/* Sends an event to the port. */
void fake_switch_event(struct fake_switch *fake, uint32_t kind, uint32_t value);
/* Sends any bytes. */
void fake_switch_say(struct fake_switch *fake, const void *bytes, size_t size);

/* Puts a packet into the RX ring and publishes it; wakes as asked. False: no room, or no port. */
bool fake_switch_put(struct fake_switch *fake, unsigned ring, const void *packet, uint32_t length,
                     uint16_t flags);
/* Takes the next packet from the TX ring. Returns its length, 0: none, -1: broken. */
ssize_t fake_switch_take(struct fake_switch *fake, unsigned ring, void *packet, size_t room,
                         struct ring_record *record);
/* Says that the switch sleeps; false: there is something to do. */
bool fake_switch_sleep(struct fake_switch *fake, unsigned ring);
/* Whether the port has written the TX eventfd of a ring since it was asked last. */
bool fake_switch_woken(struct fake_switch *fake, unsigned ring);
/* All packets of all TX rings go into the RX ring of the same number. Returns how many. */
unsigned fake_switch_echo(struct fake_switch *fake);

/* A copy of a number above, taken under the lock. */
unsigned fake_switch_count(struct fake_switch *fake, const unsigned *number);

#endif
