/* SPDX-License-Identifier: BSD-2-Clause */
/* nic/wire_impair.h */
#include "nic/wire_impair.h"
#include "stats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LINE_SIZE     (64u * 1024 * 1024) /* bytes of frames on the line; touched as they are used */
#define LINE_OVERHEAD 24u                 /* preamble, check sequence, gap: IEEE 802.3 */
#define BUFFER_LEAST  (64u * 1024)
#define HELD_MAX      16
#define HEADER_SKIP   14 /* bits of the Ethernet header stay: nobody would notice them */
#define NS_PER_SEC    1000000000ULL

struct on_line {
    uint64_t due_ns;
    uint32_t length; /* 0: go on at the beginning */
    uint16_t segment_size;
    uint16_t checksum_partial;
};
static_assert(sizeof(struct on_line) == 16, "frames behind it are aligned");

struct held {
    uint64_t since_ns;
    uint32_t passes; /* frames that still have to pass it */
    uint32_t copies;
    uint32_t length;
    uint8_t *frame;
};

struct impairer {
    struct impairment what;
    uint64_t stream;  /* of random numbers: seed and queue */
    uint64_t number;  /* of the next frame */
    uint64_t free_ns; /* the line has sent everything by then */
    uint64_t buffer_ns;
    struct impair_counters counters;
    uint8_t *line;
    uint64_t head, tail; /* bytes; the place is modulo LINE_SIZE */
    struct held held[HELD_MAX];
    uint32_t held_count;
    uint8_t *frames; /* one for each held, then staging */
    uint8_t *staging;
};

/* SplitMix64: one multiply-and-shift chain, and every bit of the input matters. */
static uint64_t mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

enum purpose { FOR_LOSS, FOR_CORRUPT, FOR_WHERE, FOR_REORDER, FOR_HOW_FAR, FOR_DUPLICATE };

static uint64_t draw(const struct impairer *impairer, enum purpose purpose)
{
    return mix(impairer->stream ^ mix(impairer->number * 8 + purpose));
}

static bool happens(const struct impairer *impairer, enum purpose purpose, uint32_t probability)
{
    return probability == IMPAIR_CERTAIN || (uint32_t)(draw(impairer, purpose) >> 32) < probability;
}

struct impairer *impair_create(const struct impairment *what, uint32_t queue)
{
    struct impairer *impairer = calloc(1, sizeof(*impairer));

    if (!impairer)
        return NULL;
    impairer->what = *what;
    impairer->stream = mix(what->seed) ^ mix(~(uint64_t)queue);
    impairer->buffer_ns = IMPAIR_BUFFER_NS;
    if (what->rate && BUFFER_LEAST * 8ULL * NS_PER_SEC / what->rate > IMPAIR_BUFFER_NS)
        impairer->buffer_ns = BUFFER_LEAST * 8ULL * NS_PER_SEC / what->rate;
    impairer->frames = malloc((size_t)HELD_MAX * IMPAIR_FRAME_MAX + WIRE_LARGE_FRAME_MAX);
    impairer->line = mmap(NULL, LINE_SIZE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!impairer->frames || impairer->line == MAP_FAILED) {
        if (impairer->line == MAP_FAILED)
            impairer->line = NULL;
        impair_destroy(impairer);
        return NULL;
    }
    for (uint32_t i = 0; i < HELD_MAX; i++)
        impairer->held[i].frame = impairer->frames + (size_t)i * IMPAIR_FRAME_MAX;
    impairer->staging = impairer->frames + (size_t)HELD_MAX * IMPAIR_FRAME_MAX;
    return impairer;
}

void impair_destroy(struct impairer *impairer)
{
    if (!impairer)
        return;
    if (impairer->line)
        munmap(impairer->line, LINE_SIZE);
    free(impairer->frames);
    free(impairer);
}

uint8_t *impair_reserve(struct impairer *impairer)
{
    return impairer->staging;
}

static uint32_t line_stride(uint32_t length)
{
    return (uint32_t)((sizeof(struct on_line) + length + 15) & ~(size_t)15);
}

static struct on_line *line_at(const struct impairer *impairer, uint64_t position)
{
    return (struct on_line *)(impairer->line + position % LINE_SIZE);
}

/* Bytes that pass the line: of a large send, what its segments would be, each with headers of its own. */
static uint64_t line_bytes(uint32_t length, const struct nic_offload *offload)
{
    uint64_t segments, payload;

    if (!offload || !offload->segment_size || length <= offload->header_length)
        return length + LINE_OVERHEAD;
    payload = length - offload->header_length;
    segments = (payload + offload->segment_size - 1) / offload->segment_size;
    return payload + segments * (offload->header_length + LINE_OVERHEAD);
}

/* Onto the line, if there is room. */
static void put(struct impairer *impairer, const uint8_t *frame, uint32_t length,
                const struct nic_offload *offload, uint64_t now_ns)
{
    uint64_t to_end = LINE_SIZE - impairer->tail % LINE_SIZE;
    uint64_t begins_ns = impairer->free_ns > now_ns ? impairer->free_ns : now_ns;
    uint32_t stride = line_stride(length);
    uint64_t needed = to_end < stride ? to_end + stride : stride;
    struct on_line *place;

    if (begins_ns - now_ns > impairer->buffer_ns ||
        impairer->tail + needed - impairer->head > LINE_SIZE) {
        stats_add(&impairer->counters.overflowed, 1);
        return;
    }
    if (to_end < stride) {
        line_at(impairer, impairer->tail)->length = 0;
        impairer->tail += to_end;
    }
    impairer->free_ns = begins_ns;
    if (impairer->what.rate)
        impairer->free_ns += line_bytes(length, offload) * 8 * NS_PER_SEC / impairer->what.rate;
    place = line_at(impairer, impairer->tail);
    *place = (struct on_line){
        .due_ns = impairer->free_ns + impairer->what.delay_ns,
        .length = length,
        .segment_size = offload ? offload->segment_size : 0,
        .checksum_partial = offload != NULL,
    };
    memcpy(place + 1, frame, length);
    impairer->tail += stride;
}

static void let_go(struct impairer *impairer, uint32_t index, uint64_t now_ns)
{
    struct held held = impairer->held[index];

    impairer->held_count--;
    memmove(&impairer->held[index], &impairer->held[index + 1],
            (impairer->held_count - index) * sizeof(held));
    impairer->held[impairer->held_count] = held; /* its memory */
    for (uint32_t copy = 0; copy < held.copies; copy++)
        put(impairer, held.frame, held.length, NULL, now_ns);
}

/* A frame went past those that are held. */
static void pass(struct impairer *impairer, uint64_t now_ns)
{
    uint32_t index = 0;

    while (index < impairer->held_count) {
        if (--impairer->held[index].passes == 0)
            let_go(impairer, index, now_ns);
        else
            index++;
    }
}

/* Those that have waited long enough, as if they had gone when their time was over. */
static void expire(struct impairer *impairer, uint64_t now_ns)
{
    while (impairer->held_count && now_ns - impairer->held[0].since_ns >= IMPAIR_HOLD_NS)
        let_go(impairer, 0, impairer->held[0].since_ns + IMPAIR_HOLD_NS);
}

static void hold(struct impairer *impairer, const uint8_t *frame, uint32_t length, uint32_t copies,
                 uint64_t now_ns)
{
    struct held *held = &impairer->held[impairer->held_count++];

    held->since_ns = now_ns;
    held->passes = 1 + (uint32_t)(draw(impairer, FOR_HOW_FAR) % IMPAIR_REORDER_MOST);
    held->copies = copies;
    held->length = length;
    memcpy(held->frame, frame, length);
    stats_add(&impairer->counters.reordered, 1);
}

static void corrupt(struct impairer *impairer, uint8_t *frame, uint32_t length)
{
    uint64_t bit;

    if (length <= HEADER_SKIP)
        return;
    bit = draw(impairer, FOR_WHERE) % ((length - HEADER_SKIP) * 8ULL);
    frame[HEADER_SKIP + bit / 8] ^= (uint8_t)(1u << bit % 8);
    stats_add(&impairer->counters.corrupted, 1);
}

void impair_commit(struct impairer *impairer, uint32_t length, const struct nic_offload *offload,
                   uint64_t now_ns)
{
    const struct impairment *what = &impairer->what;
    uint8_t *frame = impairer->staging;
    uint32_t copies = 1;

    expire(impairer, now_ns);
    if (happens(impairer, FOR_LOSS, what->loss)) {
        stats_add(&impairer->counters.lost, 1);
        impairer->number++;
        return;
    }
    if (happens(impairer, FOR_CORRUPT, what->corrupt))
        corrupt(impairer, frame, length);
    if (happens(impairer, FOR_DUPLICATE, what->duplicate)) {
        stats_add(&impairer->counters.duplicated, 1);
        copies = 2;
    }
    if (happens(impairer, FOR_REORDER, what->reorder) && impairer->held_count < HELD_MAX) {
        hold(impairer, frame, length, copies, now_ns);
    } else {
        while (copies--)
            put(impairer, frame, length, offload, now_ns);
        pass(impairer, now_ns);
    }
    impairer->number++;
}

bool impair_next(struct impairer *impairer, uint64_t now_ns, struct impair_frame *frame)
{
    const struct on_line *next;

    expire(impairer, now_ns);
    if (impairer->head == impairer->tail)
        return false;
    if (!line_at(impairer, impairer->head)->length)
        impairer->head += LINE_SIZE - impairer->head % LINE_SIZE;
    next = line_at(impairer, impairer->head);
    if (next->due_ns > now_ns)
        return false;
    *frame = (struct impair_frame){
        .bytes = (const uint8_t *)(next + 1),
        .length = next->length,
        .segment_size = next->segment_size,
        .checksum_partial = next->checksum_partial,
    };
    return true;
}

void impair_pop(struct impairer *impairer)
{
    impairer->head += line_stride(line_at(impairer, impairer->head)->length);
}

void impair_cut_line(struct impairer *impairer)
{
    impairer->head = impairer->tail;
    impairer->held_count = 0;
}

uint64_t impair_due_ns(const struct impairer *impairer)
{
    uint64_t due_ns = IMPAIR_NEVER, head = impairer->head;

    if (impairer->held_count)
        due_ns = impairer->held[0].since_ns + IMPAIR_HOLD_NS;
    if (head != impairer->tail) {
        if (!line_at(impairer, head)->length)
            head += LINE_SIZE - head % LINE_SIZE;
        if (line_at(impairer, head)->due_ns < due_ns)
            due_ns = line_at(impairer, head)->due_ns;
    }
    return due_ns;
}

const struct impair_counters *impair_counters(const struct impairer *impairer)
{
    return &impairer->counters;
}
