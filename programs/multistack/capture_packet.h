/* SPDX-License-Identifier: BSD-2-Clause */
/* What `multistack capture` looks at in a packet: enough for a line of text, and for the checksum that
 * others were to fill in. Packets are anything at all, and cut anywhere. */
#ifndef MULTISTACK_CAPTURE_PACKET_H
#define MULTISTACK_CAPTURE_PACKET_H

#include "capture_format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture_view {
    uint8_t family; /* 4 or 6; 0: not IP, and nothing below is set */
    uint8_t protocol;
    bool has_ports;    /* TCP or UDP, their headers not cut */
    uint8_t tcp_flags; /* of TCP */
    uint16_t source_port, destination_port;
    uint32_t source, destination; /* where the addresses begin */
    uint32_t transport;           /* where its header begins; 0: not whole, or a later fragment */
    uint32_t end;                 /* of the IP packet, as it says */
};

/* `ethernet`: an Ethernet header comes first. */
void capture_parse(const uint8_t *packet, size_t size, bool ethernet, struct capture_view *view);

/* Fills in the checksum of TCP or UDP where `flags` (of the capture's head) say that others were to, and
 * all of the packet is there: so that the file has what goes on the wire. */
void capture_fill_checksum(uint8_t *packet, size_t size, const struct capture_view *view,
                           uint8_t flags);

#define CAPTURE_LINE_SIZE 256
/* "10.0.0.1:80 > 10.0.0.2:4711 TCP [S.]"; returns `line`. */
const char *capture_line(const uint8_t *packet, const struct capture_view *view,
                         char line[CAPTURE_LINE_SIZE]);
/* "S.", as tcpdump(1) writes them; returns `text`. */
#define CAPTURE_FLAGS_SIZE 9
const char *capture_flags(uint8_t tcp_flags, char text[CAPTURE_FLAGS_SIZE]);

#endif
