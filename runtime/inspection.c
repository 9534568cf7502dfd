/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells what the stack is doing to who may ask (multistack.h, ms_next_inspection()): its connections, as
 * connection_list.h says.
 *
 * It must not be felt by those connections. So one step of the loop gives an asker one page at most (some
 * twenty connections, or 256 places of a table that is nearly empty); a socket that takes no more is asked
 * again when epoll says so; who has not read for five seconds is left when the loop next runs. A few can ask
 * at a time. */
#include "connection_list.h"
#include "runtime_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASKERS_MAX  4
#define PLACES_MOST 256     /* of the table, for a page */
#define PATIENCE_US 5000000 /* with one who does not read */
#define RECORDS_MOST                                                                               \
    ((CONNECTION_PAGE_MAX - sizeof(struct connection_page)) / sizeof(struct connection_record))
/* A place has one connection on average; where many lie there, the page waits for the next step. */
#define RECORDS_FULL (RECORDS_MOST / 2)

struct asker {
    int fd;     /* -1: none */
    bool waits; /* the socket was full: epoll tells */
    bool whole; /* the page in hand is the last */
    uint64_t cursor;
    uint64_t heard_at;
    uint32_t size; /* of the page in hand; 0: none */
    _Alignas(8) uint8_t page[CONNECTION_PAGE_MAX];
};

struct inspection {
    struct asker askers[ASKERS_MAX];
};

static void end(struct ms_runtime *runtime, struct asker *asker)
{
    close(asker->fd); /* and with it what epoll knew of it */
    asker->fd = -1;
    runtime->asking--;
}

/* ── Pages ───────────────────────────────────────────────────────────────────────────────────── */

static void fill(struct connection_record *record, const struct utcp_info *info)
{
    *record = (struct connection_record){
        .local_port = info->local.port,
        .remote_port = info->remote.port,
        .family = info->local.family,
        .state = (uint8_t)info->state,
    };
    memcpy(record->local, info->local.address, sizeof(record->local));
    memcpy(record->remote, info->remote.address, sizeof(record->remote));
    strncpy(record->congestion, info->congestion, sizeof(record->congestion) - 1);
#define X(name, field) record->numbers[CONNECTION_##name] = info->field;
    CONNECTION_NUMBERS(X)
#undef X
#define X(name, field) record->flags |= (uint16_t)((unsigned)info->field << CONNECTION_FLAG_##name);
    CONNECTION_FLAGS(X)
#undef X
}

/* What does not fit is left out: as many at one place of the table do not happen but by an attack that
 * knows the stack's key. */
static void add(void *context, const struct utcp_conn *conn)
{
    struct connection_page *page = context;
    struct utcp_info info = {.size = sizeof(info)};

    if (page->count == RECORDS_MOST)
        return;
    utcp_info(conn, &info);
    fill((struct connection_record *)(page + 1) + page->count++, &info);
}

static void make_page(struct ms_runtime *runtime, struct asker *asker)
{
    struct connection_page *page = (struct connection_page *)asker->page;

    *page = (struct connection_page){.magic = CONNECTION_LIST_MAGIC,
                                     .record_size = sizeof(struct connection_record)};
    for (unsigned i = 0; i < PLACES_MOST && page->count < RECORDS_FULL; i++) {
        asker->cursor = utcp_scan(runtime->stack, asker->cursor, add, page);
        if (!asker->cursor) {
            asker->whole = true;
            break;
        }
    }
    page->last = asker->whole;
    page->size = (uint32_t)(sizeof(*page) + (size_t)page->count * sizeof(struct connection_record));
    /* A page of nothing, from an empty stretch of the table, is not worth a message. */
    asker->size = page->count || page->last ? page->size : 0;
}

/* ── Askers ──────────────────────────────────────────────────────────────────────────────────── */

/* True: there is more to do at once. */
static bool serve(struct ms_runtime *runtime, struct asker *asker)
{
    if (asker->waits)
        return false;
    if (!asker->size)
        make_page(runtime, asker);
    if (!asker->size)
        return true;
    if (send(asker->fd, asker->page, asker->size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        asker->heard_at = runtime->now;
        asker->size = 0;
        if (asker->whole)
            end(runtime, asker);
        return !asker->whole;
    }
    if (errno != EAGAIN || runtime->now - asker->heard_at > PATIENCE_US) {
        end(runtime, asker);
        return false;
    }
    asker->waits = true;
    return false;
}

static void begin(struct ms_runtime *runtime, int fd)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u64 = SOURCE_ASKER};
    struct asker *asker = NULL;

    if (!runtime->inspection) {
        runtime->inspection = malloc(sizeof(*runtime->inspection));
        for (int i = 0; runtime->inspection && i < ASKERS_MAX; i++)
            runtime->inspection->askers[i].fd = -1;
    }
    for (int i = 0; runtime->inspection && i < ASKERS_MAX && !asker; i++)
        if (runtime->inspection->askers[i].fd < 0)
            asker = &runtime->inspection->askers[i];
    if (!asker || epoll_ctl(runtime->epoll, EPOLL_CTL_ADD, fd, &event)) {
        close(fd);
        return;
    }
    asker->fd = fd;
    asker->waits = asker->whole = false;
    asker->cursor = 0;
    asker->size = 0;
    asker->heard_at = runtime->now;
    runtime->asking++;
}

void runtime__take_askers(struct ms_runtime *runtime)
{
    for (int fd; (fd = ms_next_inspection(runtime->port)) >= 0;)
        begin(runtime, fd);
    runtime__askers_ready(runtime); /* a loop that does not sleep hears of nothing by epoll */
}

void runtime__askers_ready(struct ms_runtime *runtime)
{
    for (int i = 0; runtime->inspection && i < ASKERS_MAX; i++)
        runtime->inspection->askers[i].waits = false;
}

bool runtime__serve_askers(struct ms_runtime *runtime)
{
    bool more = false;

    for (int i = 0; i < ASKERS_MAX; i++)
        if (runtime->inspection->askers[i].fd >= 0)
            more |= serve(runtime, &runtime->inspection->askers[i]);
    return more;
}

void runtime__forget_askers(struct ms_runtime *runtime)
{
    for (int i = 0; runtime->inspection && i < ASKERS_MAX; i++)
        if (runtime->inspection->askers[i].fd >= 0)
            end(runtime, &runtime->inspection->askers[i]);
    free(runtime->inspection);
}
