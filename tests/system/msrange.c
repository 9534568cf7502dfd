/* SPDX-License-Identifier: BSD-2-Clause */
/* msrange tcp|udp ADDRESS FIRST COUNT [RANGES]: binds ranges of ports, says the first port of each, and
 * holds them until it is killed. Ends with status 1 and the error where one is refused. What comes is
 * counted: SIGUSR1 has it say how many packets there were. */
#include "multistack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 32

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    (void)number;
    asked = 1;
}

static int read_address(const char *text, uint16_t port, struct sockaddr_storage *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        return 0;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    return inet_pton(AF_INET6, text, &in6->sin6_addr) == 1 ? 0 : -1;
}

static int bind_range(struct ms_port *port, char **words)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    int binding;

    if (read_address(words[1], (uint16_t)strtoul(words[2], NULL, 10), &address))
        return -EINVAL;
    binding = ms_bind_range(port, words[0][0] == 't' ? IPPROTO_TCP : IPPROTO_UDP,
                            (struct sockaddr *)&address, length,
                            (unsigned)strtoul(words[3], NULL, 10), NULL);
    if (binding < 0)
        return binding;
    ms_binding_address(port, binding, (struct sockaddr *)&address, &length);
    printf("first %u\n", ntohs(((struct sockaddr_in *)&address)->sin_port));
    return 0;
}

int main(int argc, char **argv)
{
    struct ms_port *port;
    unsigned long packets = 0;
    int error;

    if (argc < 5)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGUSR1, on_signal);
    error = ms_port_open(&port, NULL);
    for (long i = argc > 5 ? strtol(argv[5], NULL, 10) : 1; !error && i > 0; i--)
        error = bind_range(port, argv + 1);
    if (error) {
        fprintf(stderr, "msrange: %s\n", strerror(-error));
        return 1;
    }
    puts("bound");
    for (;;) {
        struct ms_packet got[BATCH];

        ms_wait(port, 100);
        packets += ms_receive(port, 0, got, BATCH);
        ms_receive_done(port, 0);
        if (asked)
            printf("packets %lu\n", packets);
        asked = 0;
    }
}
