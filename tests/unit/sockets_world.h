/* SPDX-License-Identifier: BSD-2-Clause */
/* Two programs with sockets on one UTCP stack, which hears its own packets, in virtual time. */
#ifndef SOCKETS_WORLD_H
#define SOCKETS_WORLD_H

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sockets.h"

#define PORT        8080
#define PACKETS_MAX 512
#define PATIENCE    (UINT64_C(3600) * 1000000)

struct packet {
    uint32_t length;
    uint8_t bytes[1600];
};

struct world {
    uint64_t now;
    struct utcp *stack;
    struct sockets *sockets;
    struct packet packets[PACKETS_MAX]; /* on their way */
    unsigned head, tail;
    int next_fd;
    uint16_t next_port;
    bool cut; /* nothing arrives */
};

struct pair {
    int listener, client, server;
};

bool wait_within(void *context, uint64_t until);
int set_up(void **state);
int tear_down(void **state);
struct sockaddr_in server_address(uint16_t port);
int listener(struct world *world);
int connect_to(struct world *world, int fd, uint16_t port);
struct pair connected(struct world *world);
ssize_t send_text(struct world *world, int fd, const char *text, int flags);
ssize_t receive(struct world *world, int fd, char *buffer, size_t size, int flags);
int set_int(struct world *world, int fd, int level, int name, int value);
int get_int(struct world *world, int fd, int level, int name);
short poll_one(struct world *world, int fd, short events);

#endif
