/* SPDX-License-Identifier: BSD-2-Clause */
/* parking.h. The list is short, so it is an array that closes up. */
#include "parking.h"

#include <errno.h>
#include <stdlib.h>

#include "next_hop.h"

int parking_init(struct parking *parking)
{
    *parking = (struct parking){.count = 0};
    parking->buffers = calloc(PARKING_MAX, PARKING_PACKET_MAX);
    if (!parking->buffers)
        return -ENOMEM;
    for (uint32_t i = 0; i < PARKING_MAX; i++)
        parking->free_buffers[i] = (uint16_t)i;
    return 0;
}

void parking_dispose(struct parking *parking)
{
    free(parking->buffers);
    *parking = (struct parking){.count = 0};
}

bool parking_add(struct parking *parking, struct next_hop *hop, struct port_ring *ring,
                 const uint8_t *packet, const struct packet_view *view, uint64_t now_ns)
{
    struct parked_packet *parked;

    if (parking->count == PARKING_MAX || hop->parked == PARKING_PER_HOP ||
        view->length > PARKING_PACKET_MAX)
        return false;
    parked = &parking->packets[parking->count];
    *parked = (struct parked_packet){
        .hop = hop,
        .ring = ring,
        .since_ns = now_ns,
        .view = *view,
        .buffer = parking->free_buffers[PARKING_MAX - 1 - parking->count],
    };
    memcpy(parking->buffers[parked->buffer], packet, view->length);
    parking->count++;
    hop->parked++;
    return true;
}

void parking_take(struct parking *parking, uint32_t index, struct parked_packet *packet)
{
    *packet = parking->packets[index];
    parking->count--;
    memmove(&parking->packets[index], &parking->packets[index + 1],
            (parking->count - index) * sizeof(parking->packets[0]));
    parking->free_buffers[PARKING_MAX - 1 - parking->count] = (uint16_t)packet->buffer;
    packet->hop->parked--;
}
