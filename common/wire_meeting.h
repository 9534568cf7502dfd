/* SPDX-License-Identifier: BSD-2-Clause */
/* How the two ends of a wire find each other, at a path that both were told (wire_link.h has what
 * they then share).
 *
 *   whoever comes first listens at the path, and is end 0; the other connects, and is end 1
 *
 *        end 0                               end 1
 *          │◄───────────── connect ────────────│
 *          │ OFFER + control, data 0 (to read), its wake-ups
 *          │──────────────────────────────────►│ checks them, says in `control` what it is able to
 *          │ ACCEPT + data 1 (to read), its wake-ups
 *          │◄──────────────────────────────────│ up
 *       up │                                   │
 *          ┆ frames, through the memory        ┆
 *          │ the connection ends: down         │
 *
 * The connection says nothing more; it lives as long as the link, because the kernel closes it
 * whatever ends a process. Then both begin again, with new memory: an end that comes back finds the
 * other listening, or listens itself. Two that come at the same time are kept apart by a lock on the
 * directory, held while one of them looks and binds.
 *
 *   state       left by
 *   AWAY        somebody listens: CONNECTED; nobody: LISTENING
 *   LISTENING   somebody connects: OFFERED
 *   OFFERED     ACCEPT: UP; anything else, or nothing in time: LISTENING
 *   CONNECTED   OFFER: UP; anything else, or nothing in time: AWAY, tried again soon
 *   UP          the connection ends: LISTENING or AWAY
 *
 * The socket has mode 0600, and who listens there must be root or the same user. Nothing here
 * blocks; wire_meeting_step() is to be called when `epoll_fd` is readable or `due_ns` is over. */
#ifndef MULTISTACK_WIRE_MEETING_H
#define MULTISTACK_WIRE_MEETING_H

#include <stdbool.h>
#include <stdint.h>

#include "wire_link.h"

#define WIRE_PATH_SIZE 108 /* sun_path of unix(7) */
#define WIRE_MAC_SIZE  6

enum wire_event { WIRE_NOTHING, WIRE_UP, WIRE_DOWN };
enum wire_state { WIRE_AWAY, WIRE_LISTENING, WIRE_OFFERED, WIRE_CONNECTED, WIRE_IS_UP };

/* A link that is up. Descriptors belong to the meeting. */
struct wire_link {
    struct wire_geometry geometry;
    int control;
    int tx_data;                    /* to write */
    int rx_data;                    /* to read */
    int own_wake[WIRE_QUEUES_MAX];  /* eventfds: the other end writes, we wait (edge-triggered) */
    int peer_wake[WIRE_QUEUES_MAX]; /* and the other way round; a write of 0 wakes */
    uint8_t mac[WIRE_MAC_SIZE], peer_mac[WIRE_MAC_SIZE];
};

struct wire_meeting {
    char path[WIRE_PATH_SIZE];
    uint32_t queues;    /* wanted; 0: as many as the other end has, or one */
    uint32_t ring_size; /* bytes, of a link that this end offers; 0: WIRE_RING_SIZE */
    uint32_t abilities; /* enum wire_ability: what may be left to this end; 0 unless it is set */
    enum wire_state state;
    int epoll_fd, listen_fd, peer_fd;
    uint64_t due_ns; /* when to call again at the latest */
    struct wire_link link;
    const char *problem; /* why it is not up: a sentence for the log; NULL: nobody is there */
};

/* Nothing is opened at the path yet. 0 or a negative errno (-ENAMETOOLONG, -EMFILE …). */
int wire_meeting_init(struct wire_meeting *meeting, const char *path, uint32_t queues);
enum wire_event wire_meeting_step(struct wire_meeting *meeting, uint64_t now_ns);
/* Ends the link, and leaves the path; the next step begins again. */
void wire_meeting_drop(struct wire_meeting *meeting);
void wire_meeting_dispose(struct wire_meeting *meeting);

/* One queue of a link that is up, mapped. */
struct wire_half {
    struct ring_producer tx;
    struct ring_consumer rx;
    void *control_map, *tx_map, *rx_map;
    uint64_t control_size, data_size;
};

/* Maps `queue`; descriptors may be closed afterwards. Checks sizes and seals, which the other end
 * made. 0 or a negative errno. */
int wire_half_map(struct wire_half *half, const struct wire_geometry *geometry, uint32_t queue,
                  int control, int tx_data, int rx_data);
void wire_half_unmap(struct wire_half *half);

#endif
