/* SPDX-License-Identifier: BSD-2-Clause */
/* pcapng.h. All numbers are in the order of this machine, which the section header tells. */
#include "pcapng.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SECTION    0x0a0d0d0a
#define BLOCK_INTERFACE  1
#define BLOCK_STATISTICS 5
#define BLOCK_PACKET     6
#define BYTE_ORDER_MAGIC 0x1a2b3c4d

#define OPTION_END             0
#define OPTION_USER_APP        4 /* shb_userappl */
#define OPTION_NAME            2 /* if_name */
#define OPTION_DESCRIPTION     3
#define OPTION_TIME_RESOLUTION 9
#define OPTION_FILTER          11
#define OPTION_FLAGS           2 /* epb_flags */
#define OPTION_START           2 /* isb_starttime */
#define OPTION_END_TIME        3
#define OPTION_RECEIVED        4
#define OPTION_DROPPED         5
#define OPTION_ACCEPTED        6
#define OPTION_DELIVERED       8

#define FILTER_IS_TEXT 0
#define NANOSECONDS    9 /* if_tsresol: 10^-9 s */

#define BLOCK_HEAD  8  /* type, length */
#define PACKET_HEAD 28 /* with those: where the packet's bytes begin */
#define PACKET_TAIL 16 /* epb_flags, end of options, length */
#define BLOCK_MAX   4096

static_assert(BLOCK_MAX >= 4 * (PCAPNG_OPTION_MAX + 8) + 64, "a block that is no packet");
static_assert(PCAPNG_BUFFER >= 2 * (PCAPNG_PACKET_MAX + PACKET_HEAD + PACKET_TAIL), "room");

/* ── blocks ── */

static uint32_t padded(uint32_t length)
{
    return (length + 3) & ~(uint32_t)3;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *put_16(uint8_t *at, uint16_t value)
{
    return put(at, &value, sizeof(value));
}

static uint8_t *put_32(uint8_t *at, uint32_t value)
{
    return put(at, &value, sizeof(value));
}

static uint8_t *put_option(uint8_t *at, uint16_t code, const void *bytes, uint16_t size)
{
    static const uint8_t zeros[4];

    at = put_16(at, code);
    at = put_16(at, size);
    at = put(at, bytes, size);
    return put(at, zeros, padded(size) - size);
}

static uint8_t *put_text(uint8_t *at, uint16_t code, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    if (!length)
        return at;
    return put_option(at, code, text,
                      (uint16_t)(length < PCAPNG_OPTION_MAX ? length : PCAPNG_OPTION_MAX));
}

static uint8_t *put_count(uint8_t *at, uint16_t code, uint64_t count)
{
    return count == PCAPNG_COUNT_UNSET ? at : put_option(at, code, &count, sizeof(count));
}

/* A time in options and packets: the upper half first, whatever the byte order. */
static uint8_t *put_time(uint8_t *at, uint64_t time_ns)
{
    at = put_32(at, (uint32_t)(time_ns >> 32));
    return put_32(at, (uint32_t)time_ns);
}

static uint8_t *put_time_option(uint8_t *at, uint16_t code, uint64_t time_ns)
{
    uint8_t time[8];

    if (time_ns == PCAPNG_COUNT_UNSET)
        return at;
    put_time(time, time_ns);
    return put_option(at, code, time, sizeof(time));
}

/* The end of the options, and the block's length at both of its ends. */
static void finish_block(struct pcapng *file, uint8_t *block, uint8_t *at)
{
    uint32_t length;

    at = put_32(at, OPTION_END);
    length = (uint32_t)(at - block) + 4;
    put_32(at, length);
    put_32(block + 4, length);
    file->used += length;
}

/* Room for a block of at most `most` bytes. */
static int make_room(struct pcapng *file, size_t most)
{
    return file->used + most <= sizeof(file->buffer) ? 0 : pcapng_flush(file);
}

int pcapng_flush(struct pcapng *file)
{
    size_t done = 0;
    int error = 0;

    while (!error && done < file->used) {
        ssize_t wrote = write(file->fd, file->buffer + done, file->used - done);

        if (wrote > 0)
            done += (size_t)wrote;
        else if (!wrote || errno != EINTR)
            error = wrote ? -errno : -EIO;
        /* a signal ends a write in its middle, too, and then says nothing */
        if (!error && done < file->used && !file->regular && file->stop && *file->stop)
            error = -EINTR;
    }
    if (!error)
        file->whole += (int64_t)file->used;
    else if (file->regular && done && ftruncate(file->fd, file->whole))
        error = -errno;
    file->used = 0;
    return error;
}

/* ── what is written ── */

void pcapng_begin(struct pcapng *file, int fd, const char *program,
                  const volatile sig_atomic_t *stop)
{
    struct stat about;
    uint8_t *block = file->buffer, *at;
    const uint64_t unknown_length = UINT64_MAX;

    file->fd = fd;
    file->stop = stop;
    file->regular = !fstat(fd, &about) && S_ISREG(about.st_mode);
    file->whole = 0;
    if (file->regular) /* what stands there already is not ours to cut */
        file->whole = fcntl(fd, F_GETFL) & O_APPEND ? about.st_size : lseek(fd, 0, SEEK_CUR);
    file->used = 0;
    file->interfaces = 0;
    at = put_32(block, BLOCK_SECTION) + 4;
    at = put_32(at, BYTE_ORDER_MAGIC);
    at = put_16(at, 1); /* version 1.0 */
    at = put_16(at, 0);
    at = put(at, &unknown_length, sizeof(unknown_length));
    at = put_text(at, OPTION_USER_APP, program);
    finish_block(file, block, at);
}

int pcapng_interface(struct pcapng *file, const struct pcapng_interface *interface)
{
    const uint8_t resolution = NANOSECONDS;
    uint8_t filter[1 + PCAPNG_OPTION_MAX];
    uint8_t *block, *at;
    int error = make_room(file, BLOCK_MAX);

    if (error)
        return error;
    block = file->buffer + file->used;
    at = put_32(block, BLOCK_INTERFACE) + 4;
    at = put_16(at, interface->link_type);
    at = put_16(at, 0);
    at = put_32(at, interface->snap);
    at = put_text(at, OPTION_NAME, interface->name);
    at = put_text(at, OPTION_DESCRIPTION, interface->description);
    at = put_option(at, OPTION_TIME_RESOLUTION, &resolution, 1);
    if (interface->filter && *interface->filter) {
        size_t length = strnlen(interface->filter, PCAPNG_OPTION_MAX);

        filter[0] = FILTER_IS_TEXT;
        memcpy(filter + 1, interface->filter, length);
        at = put_option(at, OPTION_FILTER, filter, (uint16_t)(1 + length));
    }
    finish_block(file, block, at);
    file->interfaces++;
    return 0;
}

uint8_t *pcapng_reserve(struct pcapng *file, const struct pcapng_packet *packet, int *error)
{
    *error = -EMSGSIZE;
    if (packet->captured > PCAPNG_PACKET_MAX)
        return NULL;
    *error = make_room(file, PACKET_HEAD + padded(packet->captured) + PACKET_TAIL);
    return *error ? NULL : file->buffer + file->used + PACKET_HEAD;
}

void pcapng_commit(struct pcapng *file, const struct pcapng_packet *packet)
{
    uint8_t *block = file->buffer + file->used;
    uint8_t *at = put_32(block, BLOCK_PACKET) + 4;
    uint32_t padding = padded(packet->captured) - packet->captured;

    at = put_32(at, packet->interface);
    at = put_time(at, packet->time_ns);
    at = put_32(at, packet->captured);
    at = put_32(at, packet->length) + packet->captured;
    memset(at, 0, padding);
    at = put_option(at + padding, OPTION_FLAGS, &packet->flags, sizeof(packet->flags));
    finish_block(file, block, at);
}

int pcapng_statistics(struct pcapng *file, uint32_t interface,
                      const struct pcapng_statistics *statistics)
{
    uint8_t *block, *at;
    int error = make_room(file, BLOCK_MAX);

    if (error)
        return error;
    block = file->buffer + file->used;
    at = put_32(block, BLOCK_STATISTICS) + 4;
    at = put_32(at, interface);
    at = put_time(at, statistics->end_ns);
    at = put_time_option(at, OPTION_START, statistics->begin_ns);
    at = put_time_option(at, OPTION_END_TIME, statistics->end_ns);
    at = put_count(at, OPTION_RECEIVED, statistics->received);
    at = put_count(at, OPTION_DROPPED, statistics->dropped);
    at = put_count(at, OPTION_ACCEPTED, statistics->accepted);
    at = put_count(at, OPTION_DELIVERED, statistics->delivered);
    finish_block(file, block, at);
    return 0;
}
