/* SPDX-License-Identifier: BSD-2-Clause */
/* The capturing side of CONTROL_CAPTURE: a port of the switch's whose rings hold copies, one for each of
 * its workers. */
#ifndef MULTISTACK_CAPTURE_PORT_H
#define MULTISTACK_CAPTURE_PORT_H

#include "capture_format.h"
#include "control_client.h"
#include "multistack.h"
#include "ring.h"

#define CAPTURE_SOURCES 32 /* as many as the switch takes for one capture */

struct capture_source {
    char name[CONTROL_NAME_SIZE];
    uint32_t kind; /* CONTROL_CAPTURE_* */
    uint32_t id;
    uint64_t written; /* of its packets: those that the filter let through */
};

struct capture_ring {
    struct ring_consumer in;
    int fd;
    bool has_next;
    uint32_t before; /* where the next one begins */
    struct capture_head head;
    const uint8_t *packet; /* in the shared memory */
    uint32_t captured;
};

struct capture_port {
    int socket_fd; /* -1: the switch has closed it */
    int epoll_fd;
    uint32_t number;
    uint8_t *memory;
    uint64_t memory_size;
    uint32_t ring_count;
    struct capture_ring rings[PORT_RINGS_MAX];
    struct capture_source sources[CAPTURE_SOURCES];
    uint32_t source_count;
    uint32_t gone; /* of them */
};

struct capture_wish {
    const struct request *request;
    const char *interface; /* NULL: all NICs */
    uint32_t snap;
    uint32_t ring_size; /* bytes, of each ring; a power of two */
};

/* Opens the port and has it filled. False: it has said why; capture_port_close() in either case. */
bool capture_port_open(struct capture_port *port, const struct capture_wish *wish);
void capture_port_close(struct capture_port *port);

/* Looks how far the switch is. False: that is impossible. */
bool capture_port_look(struct capture_port *port);
/* The oldest packet of those that the last look has shown; NULL: none. Its memory is there until
 * capture_port_release(). */
struct capture_ring *capture_port_next(struct capture_port *port);
/* Gives back what capture_port_next() has given. */
void capture_port_release(struct capture_port *port);

/* Waits for packets, news of the switch, or `stop_fd`. `lately`: there were some, so it looks again after
 * a millisecond rather than have the switch wake it for each batch. */
void capture_port_wait(struct capture_port *port, bool lately);
/* Takes what the switch says. False: the capture is over: *error is 0 where the ports are gone that it
 * was of, else why. */
bool capture_port_hear(struct capture_port *port, int *error);

#endif
