/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes pcapng (draft-ietf-opsawg-pcapng): one section, its interfaces, their packets, and at the end
 * their statistics. Blocks are collected and written whole, so that what is in a file can be read however
 * the writer ends, also when the disk is full. */
#ifndef MULTISTACK_PCAPNG_H
#define MULTISTACK_PCAPNG_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCAPNG_BUFFER      (1 << 20)
#define PCAPNG_PACKET_MAX  (128 * 1024)
#define PCAPNG_OPTION_MAX  512 /* bytes of a text; more is cut */
#define PCAPNG_ETHERNET    1   /* LINKTYPE_ETHERNET */
#define PCAPNG_RAW         101 /* LINKTYPE_RAW: IPv4 or IPv6 */
#define PCAPNG_INBOUND     1   /* epb_flags, bits 0 and 1 */
#define PCAPNG_OUTBOUND    2
#define PCAPNG_COUNT_UNSET UINT64_MAX

struct pcapng {
    int fd;
    bool regular;  /* a file, which can be cut at the end of its last whole block */
    int64_t whole; /* bytes of it that are there and whole */
    const volatile sig_atomic_t *stop; /* set: a reader that does not read is waited for no more */
    size_t used;
    uint32_t interfaces;
    uint8_t buffer[PCAPNG_BUFFER];
};

struct pcapng_interface {
    uint16_t link_type; /* PCAPNG_ETHERNET, PCAPNG_RAW */
    uint32_t snap;
    const char *name, *description, *filter; /* NULL: none */
};

struct pcapng_packet {
    uint32_t interface; /* they count up from 0 */
    uint32_t flags;     /* PCAPNG_INBOUND, PCAPNG_OUTBOUND */
    uint64_t time_ns;   /* since the epoch */
    uint32_t captured, length;
};

/* Any of them PCAPNG_COUNT_UNSET: not known. */
struct pcapng_statistics {
    uint64_t begin_ns, end_ns;
    uint64_t received, dropped, accepted, delivered;
};

/* `fd` is the caller's. Begins the section; `program` is told. `stop` may be NULL; a signal handler sets
 * it, and interrupts a write that waits. */
void pcapng_begin(struct pcapng *file, int fd, const char *program,
                  const volatile sig_atomic_t *stop);
/* All of these return 0, or a negative errno of writing. -EINTR: it was to stop; the rest is lost. */
int pcapng_interface(struct pcapng *file, const struct pcapng_interface *interface);
/* Room for the packet's `captured` bytes (at most PCAPNG_PACKET_MAX), to be filled before
 * pcapng_commit(); NULL: *error says why not. Nothing is written without pcapng_commit(). */
uint8_t *pcapng_reserve(struct pcapng *file, const struct pcapng_packet *packet, int *error);
void pcapng_commit(struct pcapng *file, const struct pcapng_packet *packet);
int pcapng_statistics(struct pcapng *file, uint32_t interface,
                      const struct pcapng_statistics *statistics);
/* Writes what was collected. After a failure a regular file ends behind its last whole write. */
int pcapng_flush(struct pcapng *file);

#endif
