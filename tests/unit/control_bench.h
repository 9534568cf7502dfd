/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients of a switch without a NIC, for the tests of its control socket. Placeholders are real
 * sockets on 127.0.0.1. */
#ifndef CONTROL_BENCH_H
#define CONTROL_BENCH_H

#include "switch_bench.h"

#include <sys/types.h>

#define HEADER(kind, message)                                                                      \
    {                                                                                              \
        .type = (kind), .size = sizeof(message), .request = 7                                      \
    }

/* State: a struct bench whose only address is 127.0.0.1. */
int control_bench_set_up(void **state);
int control_bench_tear_down(void **state);
uint32_t open_descriptors(void);
int connect_client(struct bench *bench);
/* Lets the switch take what its clients have sent. */
void serve(struct bench *bench);
void send_with_fds(int client, const void *message, size_t size, const int *fds, uint32_t count);
/* One message; closes what came along. The size, or 0 at the end, or -1: nothing. */
ssize_t receive(int client, void *message, size_t size, uint32_t *fd_count);
bool is_closed(int client);
int greeted_client(struct bench *bench);
struct control_port_opened open_port(struct bench *bench, int client, uint32_t rings,
                                     uint32_t *fds);
int client_with_port(struct bench *bench);
/* A UDP socket on 127.0.0.1: whoever runs the tests may silence it. */
int placeholder(struct control_address *address);
struct control_bound bind_address(struct bench *bench, int client, int fd,
                                  const struct control_address *address);

#endif
