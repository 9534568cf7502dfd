/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum, RFC 1071: sums of 16-bit words in one's complement.
 *
 * A sum is carried in 64 bits and folded once at the end. Sums are taken over memory as it lies (no
 * byte swapping): RFC 1071 section 2(B) shows that the result, stored as it lies, is right on
 * either endianness. */
#ifndef MULTISTACK_CHECKSUM_H
#define MULTISTACK_CHECKSUM_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds `size` bytes at `data` to `sum`. Every piece but the last must have an even length. */
static inline uint64_t checksum_add(uint64_t sum, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t low = 0, high = 0;

    /* 32-bit words into 64-bit accumulators cannot overflow below 16 GiB. Two of them let the
     * processor (and the vectoriser) run the chains side by side. */
    while (size >= 16) {
        uint32_t word[4];

        memcpy(word, at, sizeof(word));
        low += (uint64_t)word[0] + word[1];
        high += (uint64_t)word[2] + word[3];
        at += 16;
        size -= 16;
    }
    sum += (low & 0xffffffff) + (low >> 32) + (high & 0xffffffff) + (high >> 32);
    while (size >= 2) {
        uint16_t word;

        memcpy(&word, at, sizeof(word));
        sum += word;
        at += 2;
        size -= 2;
    }
    if (size) {
        uint16_t word = 0;

        memcpy(&word, at, 1); /* the odd byte is padded with a zero behind it */
        sum += word;
    }
    return sum;
}

/* Folds a sum to 16 bits without inverting it. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The value for a header's checksum field (or 0 when the sum includes a correct field). */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

/* The sum of an IPv4 header without options: nearly every header, and quicker than by a loop. */
static inline uint64_t checksum__ipv4_sum(const void *header)
{
    uint32_t word[5];

    memcpy(word, header, sizeof(word));
    return (uint64_t)word[0] + word[1] + word[2] + word[3] + word[4];
}

/* Its checksum (RFC 791); the field is 0. */
static inline uint16_t checksum_ipv4_make(const void *header)
{
    return checksum_finish(checksum__ipv4_sum(header));
}

/* Whether its checksum is right: the sum is a multiple of 0xffff, and not 0. Two foldings, which leave
 * that as it is, bring five words below 2^17, where there are two such numbers. */
static inline bool checksum_ipv4_good(const void *header)
{
    uint64_t sum = checksum__ipv4_sum(header);

    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff || sum == 0x1fffe;
}

/* The sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1). `address_size` is 4 or
 * 16; `length` is that of the transport header and payload in bytes, host order. */
static inline uint64_t checksum_pseudo_header(const void *source, const void *destination,
                                              size_t address_size, uint8_t protocol,
                                              uint32_t length)
{
    uint64_t sum = checksum_add(0, source, address_size);

    sum = checksum_add(sum, destination, address_size);
    sum += htons(protocol);
    sum += (uint64_t)htons((uint16_t)length) + htons((uint16_t)(length >> 16));
    return sum;
}

#endif
