/* SPDX-License-Identifier: BSD-2-Clause */
/* A port without the manners of libmultistack: what hostile_port needs to break each rule by
 * itself. Whatever fails in setting things up ends the process with a line that says so. */
#ifndef RAW_PORT_H
#define RAW_PORT_H

#include "control_client.h"
#include "port_layout.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct raw_port {
    int fd;           /* control socket */
    uint32_t request; /* number of the request sent last */
    uint32_t number;  /* of the port at the switch */
    uint8_t *memory;
    uint64_t size;
    uint32_t rx_size, tx_size;
    struct ring_control *rx, *tx;
    uint8_t *tx_data;
    int rx_fd, tx_fd;
    uint32_t tail; /* of TX, as an honest port would have it */
    int placeholder;
    struct sockaddr_in bound;
    uint32_t binding; /* its number at the switch */
};

/* How it ended, as far as the port can see. */
enum raw_fate {
    RAW_ALIVE,    /* still connected */
    RAW_DETACHED, /* was told so */
    RAW_CLOSED,   /* the connection was closed without a word */
    RAW_REFUSED,  /* the last request was answered with an error */
};

struct raw_outcome {
    enum raw_fate fate;
    uint32_t reason; /* DETACHED: enum detach_reason */
    int error;       /* REFUSED: errno */
};

#define RAW_PATIENCE_MS 5000

/* One more step each: a connection, a welcome, a port with one ring, a bound placeholder. */
void raw_connect(struct raw_port *port, const char *control);
void raw_hello(struct raw_port *port);
void raw_open(struct raw_port *port);
/* A socket as libmultistack makes it. `address` gets the port that the kernel chose. */
int raw_placeholder(int protocol, struct sockaddr_in *address);
/* Sends BIND for an address, with `fd_count` descriptors. */
void raw_send_bind(struct raw_port *port, int protocol, const struct sockaddr_in *address,
                   const int *fds, unsigned fd_count);
void raw_bind(struct raw_port *port, int protocol, const struct sockaddr_in *address);
void raw_close(struct raw_port *port);

/* Sends bytes as they are, with descriptors. Returns 0 or a negative errno. */
int raw_send(struct raw_port *port, const void *bytes, size_t size, const int *fds,
             unsigned fd_count);

/* Waits for an answer, an event or the end, at most RAW_PATIENCE_MS; ALIVE when none came. An
 * answer without an error is ALIVE too. */
struct raw_outcome raw_outcome(struct raw_port *port);
/* Asks the switch something and waits for the answer; what it says about us before is the outcome.
 */
struct raw_outcome raw_ask(struct raw_port *port);

/* What the switch counts about the port that is not zero, as "name=value name=value"; empty when it
 * has none or does not answer. */
void raw_counters(struct raw_port *port, char *text, size_t size);

/* Puts a record with any header and packet at the honest tail, and moves that by `advance` bytes
 * (0: by what the record takes). */
void raw_record(struct raw_port *port, const struct ring_record *record, const void *packet,
                size_t length, uint32_t advance);
/* Makes `tail` visible and wakes the switch. */
void raw_publish(struct raw_port *port, uint32_t tail);
/* Waits until the switch has consumed everything or has closed. */
void raw_await_consumed(struct raw_port *port);

/* Whether the switch at `control` still says hello and answers a question. */
bool raw_switch_lives(const char *control);

_Noreturn void raw_fail(const char *what, int error);

#endif
