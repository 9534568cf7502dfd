/* SPDX-License-Identifier: BSD-2-Clause */
/* Stores that go past this processor's cache, into lines that another one has read and will read.
 *
 * To write a line that another cache holds, it must first be taken from there, and asking in time
 * (ring_prefetch_write()) does not help where the machine does that one line after the other: 37 ns a line
 * on the one that these figures are from, a virtual one. What is written past the cache takes nothing from
 * anybody, 12 ns with the making of a packet; the reader gets it from memory, in order and so in time, 7 ns
 * instead of 4. It pays for whole lines, each written once, from front to back, all of it: a line of which
 * a part is missing is merged in memory. So nothing is ever patched, and what is behind the end is zero.
 *
 * How much it pays depends on where the lines are. A ring that is larger than its reader's second-level cache
 * (1 MiB there) has left it when it is written again: 64 KiB at a time, usual stores took 7 to 11 ns a
 * line in a region of 256 KiB and 2 to 3 in one of 4 MiB, these 2.5 to 4 in either. For packets of several lines
 * ring_near.h says which of both is the better one at the time.
 *
 * No release orders such stores: stream_fence() comes before the index that shows them. Processors other
 * than x86-64 store as usual. */
#ifndef MULTISTACK_STREAM_H
#define MULTISTACK_STREAM_H

#include <stdint.h>
#include <string.h>

#ifdef __x86_64__
#include <emmintrin.h>
#endif

#define STREAM_LINE 64

static inline void stream_word(void *to, uint64_t word)
{
#ifdef __x86_64__
    _mm_stream_si64((long long *)to, (long long)word);
#else
    memcpy(to, &word, sizeof(word));
#endif
}

static inline void stream_fence(void)
{
#ifdef __x86_64__
    _mm_sfence();
#endif
}

/* Fewer than eight bytes as a word, in registers: put together in memory it would be read back in another
 * width than it was written in, and wait for all stores before it. */
static inline uint64_t stream_tail(const uint8_t *from, uint32_t length)
{
    uint64_t word = 0;
    uint32_t shift = 0, four;
    uint16_t two;

    if (length & 4) {
        memcpy(&four, from, sizeof(four));
        word = four;
        shift = 32;
        from += 4;
    }
    if (length & 2) {
        memcpy(&two, from, sizeof(two));
        word |= (uint64_t)two << shift;
        shift += 16;
        from += 2;
    }
    if (length & 1)
        word |= (uint64_t)*from << shift;
    return word;
}

/* `length` bytes to `to`, which is a multiple of eight, and zeroes up to the end of the line. By words:
 * whoever has just written them by words would wait for a wider load. */
static inline void stream_to_end(uint8_t *to, const uint8_t *from, uint32_t length)
{
    uint64_t word;

    for (; length >= sizeof(word); length -= 8, to += sizeof(word), from += sizeof(word)) {
        memcpy(&word, from, sizeof(word));
        stream_word(to, word);
    }
    if (length) {
        stream_word(to, stream_tail(from, length));
        to += sizeof(word);
    }
    for (; (uintptr_t)to % STREAM_LINE; to += sizeof(word))
        stream_word(to, 0);
}

/* The same of what others have written, or long ago: by sixteen bytes, where `to` is a multiple of that. */
static inline void stream_settled_to_end(uint8_t *to, const uint8_t *from, uint32_t length)
{
#ifdef __x86_64__
    for (; length >= sizeof(__m128i);
         length -= (uint32_t)sizeof(__m128i), to += sizeof(__m128i), from += sizeof(__m128i))
        _mm_stream_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
#endif
    stream_to_end(to, from, length);
}

/* A line, to one. */
static inline void stream_line(uint8_t *to, const uint8_t *from)
{
#ifdef __x86_64__
    for (uint32_t at = 0; at < STREAM_LINE; at += sizeof(__m128i))
        _mm_stream_si128((__m128i *)(to + at), _mm_loadu_si128((const __m128i *)(from + at)));
#else
    memcpy(to, from, STREAM_LINE);
#endif
}

/* Pieces of any length, put together into whole lines. */
struct stream_lines {
    uint8_t *to;   /* the line that is being filled */
    uint32_t fill; /* bytes of it; less than a line */
    _Alignas(16) uint8_t line[STREAM_LINE];
};

/* Begins with two words, at `to`, where a line begins. */
static inline void stream_begin(struct stream_lines *lines, uint8_t *to, const uint64_t words[2])
{
    lines->to = to;
    lines->fill = 2 * sizeof(*words);
    memcpy(lines->line, words, 2 * sizeof(*words));
}

static inline void stream_add(struct stream_lines *lines, const uint8_t *from, uint32_t length)
{
    if (lines->fill) {
        uint32_t room = STREAM_LINE - lines->fill, part = length < room ? length : room;

        memcpy(lines->line + lines->fill, from, part);
        lines->fill += part;
        if (lines->fill < STREAM_LINE)
            return;
        stream_line(lines->to, lines->line);
        lines->to += STREAM_LINE;
        from += part;
        length -= part;
    }
    for (; length >= STREAM_LINE; length -= STREAM_LINE, from += STREAM_LINE) {
        stream_line(lines->to, from);
        lines->to += STREAM_LINE;
    }
    memcpy(lines->line, from, length);
    lines->fill = length;
}

/* The last line, with zeroes up to its end. */
static inline void stream_end(const struct stream_lines *lines)
{
    if (lines->fill)
        stream_to_end(lines->to, lines->line, lines->fill);
}

/* Many bytes, to anywhere: lines that are whole go past the cache, the ends of the run as usual. For the 512
 * lines of 32 KB usual stores took 20 to 40 us, and these 3. */
static inline void stream_copy(uint8_t *to, const uint8_t *from, uint32_t length)
{
#ifdef __x86_64__
    uint32_t skew = (uint32_t)(-(uintptr_t)to & (STREAM_LINE - 1));

    if (skew < length) {
        memcpy(to, from, skew);
        to += skew;
        from += skew;
        length -= skew;
    }
    for (; length >= STREAM_LINE; length -= STREAM_LINE, to += STREAM_LINE, from += STREAM_LINE)
        stream_line(to, from);
#endif
    memcpy(to, from, length);
}

#endif
