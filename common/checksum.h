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

/* Folds a sum to 16 bits without inverting it. Of a number and the same with its halves exchanged, the
 * upper half of the sum is that of both halves, with the carry that the lower half has given it. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    uint32_t half;

    sum += sum >> 32 | sum << 32;
    half = (uint32_t)(sum >> 32);
    half += half >> 16 | half << 16;
    return (uint16_t)(half >> 16);
}

/* The value for a header's checksum field (or 0 when the sum includes a correct field). */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

/* The sum of an IPv4 header without options: nearly every header, and quicker than by a loop. As 2^16,
 * 2^32 and 2^64 leave 1 when divided by 0xffff, words may be as wide as they like, and carries are added
 * at the low end. */
static inline uint64_t checksum__ipv4_sum(const void *header)
{
    uint64_t sum, second;
    uint32_t third;

    memcpy(&sum, header, sizeof(sum));
    memcpy(&second, (const uint8_t *)header + 8, sizeof(second));
    memcpy(&third, (const uint8_t *)header + 16, sizeof(third));
    sum += second;
    sum += sum < second;
    sum += third;
    sum += sum < third;
    return sum;
}

/* Its checksum (RFC 791); the field is 0. */
static inline uint16_t checksum_ipv4_make(const void *header)
{
    return checksum_finish(checksum__ipv4_sum(header));
}

/* Whether its checksum is right, of a header that is not all zero: the sum is a multiple of 0xffff. The
 * compiler makes a multiplication of a remainder's comparison with 0. */
static inline bool checksum_ipv4_good(const void *header)
{
    return checksum__ipv4_sum(header) % 0xffff == 0;
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
