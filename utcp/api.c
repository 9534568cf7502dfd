/* SPDX-License-Identifier: BSD-2-Clause */
/* What the application does with a connection: RFC 9293 section 3.10.1 to 3.10.6. */
#include <errno.h>
#include <string.h>

#include "options/options.h"
#include "utcp_internal.h"

static bool ended(const struct utcp_conn *conn)
{
    return conn->state == UTCP_CLOSED;
}

static size_t readable(const struct utcp_conn *conn)
{
    return conn->receive.next - conn->receive.read;
}

/* What a read says when there is nothing to read. */
static ptrdiff_t nothing_to_read(const struct utcp_conn *conn)
{
    if (conn->error)
        return conn->error;
    return conn->peer_fin_taken || ended(conn) ? 0 : -EAGAIN;
}

/* `size` bytes were taken. */
static void consumed(struct utcp_conn *conn, size_t size)
{
    utcp__memory_taken(conn, (uint32_t)size);
    if (readable(conn) == 0)
        utcp__memory_all_read(conn);
    if (conn->arrivals)
        utcp__arrivals_read(conn);
    if (conn->urgent_in)
        utcp__urgent_read(conn);
    if (utcp__window_to_update(conn))
        utcp__want_output(conn);
}

static int may_write(const struct utcp_conn *conn)
{
    if (conn->error)
        return conn->error;
    if (conn->fin_queued)
        return -EPIPE;
    return ended(conn) ? -ENOTCONN : 0;
}

/* The application lets go. */
static void disown(struct utcp_conn *conn)
{
    conn->owned = false;
    conn->events = 0;
    list_remove(&conn->link);
}

static bool valid_pair(const struct utcp_endpoint *local, const struct utcp_endpoint *remote)
{
    return (local->family == 4 || local->family == 6) && local->family == remote->family &&
           !local->zero && !remote->zero && local->port && remote->port &&
           utcp__address_is_unicast(local) && utcp__address_is_unicast(remote) &&
           utcp__address_is_loopback(local) == utcp__address_is_loopback(remote) &&
           memcmp(local, remote, sizeof(*local)) != 0;
}

/* A buffer that lets a window's worth be in flight and as much again be ready. */
uint32_t utcp__send_limit(const struct utcp_conn *conn)
{
    bool pressed = utcp__pool_pressed(&conn->stack->pool);
    uint32_t wanted = max_u32(pressed ? UTCP_SEND_PRESSED : UTCP_SEND_INITIAL,
                              2 * min_u32(conn->cc.cwnd, UINT32_C(1) << 29));

    if (conn->send_max)
        wanted = conn->send_max;
    return min_u32(wanted, conn->stack->send_max);
}

struct utcp_conn *utcp_accept(struct utcp_listener *listener, uint64_t now)
{
    struct utcp_conn *conn;

    utcp__set_now(listener->stack, now);
    if (list_empty(&listener->ready))
        return NULL;
    conn = list_member(listener->ready.next, struct utcp_conn, link);
    list_remove(&conn->link);
    utcp__listener_lost(conn);
    conn->owned = true;
    if (conn->events)
        utcp__event(conn, 0); /* what happened before it had an owner */
    return conn;
}

int utcp_connect(struct utcp *stack, uint64_t now, const struct utcp_endpoint *local,
                 const struct utcp_endpoint *remote, void *user, struct utcp_conn **result)
{
    struct utcp_conn *conn;

    utcp__set_now(stack, now);
    if (!valid_pair(local, remote))
        return -EINVAL;
    if (utcp__find(stack, local, remote) || utcp__find_waiting(stack, local, remote))
        return -EADDRINUSE;
    conn = utcp__conn_new(stack, local, remote, utcp__table_hash(stack, local, remote));
    utcp__reap(stack);
    if (conn == NULL)
        return stack->connections >= stack->connections_max || utcp__pool_full(&stack->pool)
                   ? -ENOBUFS
                   : -ENOMEM;
    conn->owned = true;
    conn->user = user;
    utcp__conn_choose_iss(conn, 0);
    utcp__conn_set_state(conn, UTCP_SYN_SENT);
    conn->syn_due = true;
    utcp__wait_for_peer(conn);
    utcp__want_output(conn);
    *result = conn;
    return 0;
}

void utcp_set_user(struct utcp_conn *conn, void *user)
{
    conn->user = user;
}

void *utcp_user(const struct utcp_conn *conn)
{
    return conn->user;
}

ptrdiff_t utcp_read(struct utcp_conn *conn, uint64_t now, void *buffer, size_t size)
{
    uint8_t *to = buffer;
    size_t done = 0;

    utcp__set_now(conn->stack, now);
    if (readable(conn) == 0)
        return nothing_to_read(conn);
    while (done < size) {
        const uint8_t *data;
        size_t part = utcp__recvbuf_peek(&conn->receive, &data);

        if (part == 0)
            break;
        if (part > size - done)
            part = size - done;
        memcpy(to + done, data, part);
        utcp__recvbuf_consume(&conn->receive, &conn->stack->pool, part);
        done += part;
    }
    consumed(conn, done);
    return (ptrdiff_t)done;
}

ptrdiff_t utcp_peek(struct utcp_conn *conn, const uint8_t **data)
{
    if (readable(conn) == 0)
        return nothing_to_read(conn);
    return (ptrdiff_t)utcp__recvbuf_peek(&conn->receive, data);
}

size_t utcp_peek_at(const struct utcp_conn *conn, size_t offset, const uint8_t **data)
{
    return offset < readable(conn) ? utcp__recvbuf_peek_at(&conn->receive, offset, data) : 0;
}

void utcp_consume(struct utcp_conn *conn, uint64_t now, size_t size)
{
    utcp__set_now(conn->stack, now);
    if (size > readable(conn))
        size = readable(conn);
    utcp__recvbuf_consume(&conn->receive, &conn->stack->pool, size);
    consumed(conn, size);
}

size_t utcp_readable(const struct utcp_conn *conn)
{
    return readable(conn);
}

/* Whether the application has said how much may be written. */
static bool chose_limit(const struct utcp_conn *conn)
{
    return conn->send_max || (conn->more && conn->more->not_sent_low);
}

/* Bytes of which no more may wait to be sent for the first time; 0: no limit but the buffer's. Where nobody has
 * chosen, a copy is worth the less the longer it waits: what was written megabytes ago has left the cache by the
 * time it is sent. As the stack works in its application's thread, whoever can send can also ask for more.
 * References wait at no cost. */
static uint32_t not_sent_low(const struct utcp_conn *conn)
{
    if (chose_limit(conn))
        return conn->more ? conn->more->not_sent_low : 0;
    return conn->send.references ? 0 : UTCP_NOT_SENT_LOW;
}

/* Written, and not sent yet or to be sent again. */
static uint64_t not_sent(const struct utcp_conn *conn)
{
    uint64_t buffered = conn->send.end - conn->send.una;

    return buffered > utcp__in_flight(conn) ? buffered - utcp__in_flight(conn) : 0;
}

void utcp__send_room_event(struct utcp_conn *conn)
{
    uint32_t limit = utcp__send_limit(conn), low = not_sent_low(conn);

    if (conn->send.copied > limit / 3 * 2 || conn->send.references >= UTCP_REFERENCES_MAX ||
        (low && not_sent(conn) >= low / 2) || utcp__records_full(conn))
        return;
    conn->write_blocked = false;
    utcp__event(conn, UTCP_WRITABLE);
}

/* How much of `size` may be written. Where that is not all, it is judged for each packet that there will be: one
 * that was begun below the limit is filled, beyond the buffer only where the application has chosen the limit. */
static size_t send_room(const struct utcp_conn *conn, size_t size)
{
    uint32_t limit = utcp__send_limit(conn), low, packet;
    uint64_t left = conn->send.copied < limit ? limit - conn->send.copied : 0, below = left;
    uint64_t waiting, room;

    /* as it is with most */
    if (size <= left && conn->send.end - conn->send.una + size <= UTCP_NOT_SENT_LOW &&
        !chose_limit(conn))
        return size;
    low = not_sent_low(conn);
    waiting = not_sent(conn);
    if (size <= left && (!low || waiting + size <= low))
        return size;
    if (!conn->send_max && !low)
        return left;
    packet = min_u32(UTCP_SEGMENT_LARGE_MAX, conn->snd_wnd_max / 2) / conn->mss * conn->mss;
    packet = max_u32(packet, conn->mss);
    room = waiting % packet ? packet - waiting % packet : 0;
    if (low && waiting + left > low)
        below = waiting < low ? low - waiting : 0;
    if (below > room)
        room += (below - room + packet - 1) / packet * packet;
    if (room > left && !chose_limit(conn))
        room = left;
    return size < room ? size : room;
}

ptrdiff_t utcp_write(struct utcp_conn *conn, uint64_t now, const void *data, size_t size)
{
    int error = may_write(conn);
    size_t done;

    utcp__set_now(conn->stack, now);
    if (error)
        return error;
    if (size == 0)
        return 0;
    done = utcp__sendbuf_copy(&conn->send, &conn->stack->pool, data, send_room(conn, size));
    if (done < size) {
        if (conn->send.una == conn->send.end)
            return -ENOMEM; /* not even the first block: nothing would wake the writer */
        conn->write_blocked = true;
    }
    if (done == 0) {
        utcp__busy_update(conn);
        return -EAGAIN;
    }
    utcp__wait_for_peer(conn);
    utcp__want_output(conn);
    return (ptrdiff_t)done;
}

ptrdiff_t utcp_write_record(struct utcp_conn *conn, uint64_t now, const void *data, size_t size)
{
    int error = may_write(conn);
    ptrdiff_t done;

    if (!error && size)
        error = utcp__records_make_room(conn);
    if (error == -EAGAIN)
        conn->write_blocked = true;
    if (error)
        return error;
    done = utcp_write(conn, now, data, size);
    if (done > 0 && (size_t)done == size)
        utcp__record_end(conn);
    return done;
}

int utcp_write_ref(struct utcp_conn *conn, uint64_t now, const void *data, size_t size,
                   void (*release)(void *owner), void *owner)
{
    int error = may_write(conn);

    utcp__set_now(conn->stack, now);
    if (error)
        return error;
    if (size == 0) {
        if (release)
            release(owner);
        return 0;
    }
    if (conn->send.references >= UTCP_REFERENCES_MAX) {
        conn->write_blocked = true;
        return -EAGAIN;
    }
    if (!utcp__sendbuf_refer(&conn->send, data, size, release, owner))
        return -ENOMEM;
    utcp__wait_for_peer(conn);
    utcp__want_output(conn);
    return 0;
}

size_t utcp_unacknowledged(const struct utcp_conn *conn)
{
    return conn->send.end - conn->send.una;
}

void utcp_shutdown(struct utcp_conn *conn, uint64_t now)
{
    utcp__set_now(conn->stack, now);
    if (!ended(conn) && !conn->fin_queued)
        utcp__conn_finish(conn);
}

/* Whether the peer is still to be told that its data were not read. */
static bool unread_matters(const struct utcp_conn *conn)
{
    return readable(conn) > 0 &&
           (conn->state == UTCP_ESTABLISHED || conn->state == UTCP_FIN_WAIT_1 ||
            conn->state == UTCP_FIN_WAIT_2 || conn->state == UTCP_CLOSE_WAIT || conn->fast_queue);
}

void utcp_close(struct utcp_conn *conn, uint64_t now)
{
    struct utcp *stack = conn->stack;

    utcp__set_now(stack, now);
    disown(conn);
    if (ended(conn)) {
        utcp__conn_free(conn);
        return;
    }
    if (conn->state == UTCP_SYN_SENT) {
        utcp__conn_end(conn, 0);
    } else if (unread_matters(conn)) {
        utcp__conn_reset(conn, 0);
    } else {
        if (!conn->fin_queued)
            utcp__conn_finish(conn);
        utcp__recvbuf_dispose(&conn->receive, &stack->pool);
        if (conn->state != UTCP_TIME_WAIT)
            utcp__timer_life(conn); /* FIN-WAIT-2 does not last for an orphan */
        else if (!list_empty(&conn->output_link) || !utcp__time_wait_take(conn))
            list_append(&stack->time_wait, &conn->link);
    }
    utcp__reap(stack);
}

void utcp_abort(struct utcp_conn *conn, uint64_t now)
{
    struct utcp *stack = conn->stack;

    utcp__set_now(stack, now);
    disown(conn);
    if (ended(conn)) {
        utcp__conn_free(conn);
        return;
    }
    utcp__conn_reset(conn, 0);
    utcp__reap(stack);
}

int utcp_error(const struct utcp_conn *conn)
{
    return conn->error;
}

int utcp_trouble(const struct utcp_conn *conn)
{
    if (conn->soft_error)
        return conn->soft_error;
    return conn->retries >= UTCP_RETRIES_R1 ? -ETIMEDOUT : 0;
}

static int set_receive_buffer(struct utcp_conn *conn, uint64_t bytes)
{
    uint32_t most = conn->stack->receive_max;

    conn->receive_max = bytes && bytes < most ? (uint32_t)bytes : most;
    if (bytes && conn->receive_max > conn->receive_limit)
        conn->receive_limit = conn->receive_max;
    conn->receive_limit = min_u32(conn->receive_limit, conn->receive_max);
    return 0;
}

/* Rounded up; beyond 49 days it makes no difference. */
static uint32_t ms_of(uint64_t us)
{
    uint64_t ms = us / UTCP_MS + (us % UTCP_MS != 0);

    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static int set_not_sent_low(struct utcp_conn *conn, uint64_t bytes)
{
    if (bytes == 0 && conn->more == NULL)
        return 0;
    if (utcp__more(conn) == NULL)
        return -ENOMEM;
    conn->more->not_sent_low = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    if (conn->write_blocked)
        utcp__send_room_event(conn);
    return 0;
}

static bool valid_max_segment(uint64_t bytes)
{
    return bytes <= UINT16_MAX && (!bytes || bytes >= UTCP_MSS_MIN);
}

static int set_max_segment(struct utcp_conn *conn, uint64_t bytes)
{
    if (!valid_max_segment(bytes))
        return -EINVAL;
    conn->mss_max = (uint16_t)bytes;
    if (bytes)
        conn->receive_mss = (uint16_t)min_u32(conn->receive_mss, (uint32_t)bytes);
    utcp__conn_update_mss(conn);
    return 0;
}

static int set_hop_limit(uint8_t *limit, uint64_t value)
{
    if (value > UINT8_MAX)
        return -EINVAL;
    *limit = value ? (uint8_t)value : UTCP_HOP_LIMIT;
    return 0;
}

static int tell_timeout(struct utcp_conn *conn, uint64_t us)
{
    uint64_t seconds = us / UTCP_SECOND + (us % UTCP_SECOND != 0);

    if (seconds > INT16_MAX * UINT64_C(60))
        return -EINVAL;
    conn->timeout_told = utcp__timeout_encode(seconds);
    conn->timeout_due = seconds != 0;
    conn->options_due |= conn->timeout_due;
    return 0;
}

static int set_pacing_most(struct utcp_conn *conn, uint64_t rate)
{
    if (!rate && !conn->more)
        return 0;
    if (!utcp__more(conn))
        return -ENOMEM;
    conn->more->pacing_most = rate;
    conn->pacing = conn->pacing || rate;
    return 0;
}

static int set_fin_wait(struct utcp_conn *conn, uint64_t us)
{
    if (us == 0 && conn->more == NULL)
        return 0;
    if (utcp__more(conn) == NULL)
        return -ENOMEM;
    conn->more->fin_wait_ms = ms_of(us);
    return 0;
}

static int set_dscp(uint8_t *dscp, uint64_t value)
{
    if (value > UTCP_DSCP_MAX)
        return -EINVAL;
    *dscp = (uint8_t)value;
    return 0;
}

/* Those that are numbers of bytes, or about keep-alive, or for the IP header. */
static int set_number(struct utcp_conn *conn, enum utcp_option option, uint64_t value)
{
    switch (option) {
    case UTCP_OPTION_KEEPALIVE_INTERVAL_US:
        if (value > UINT64_MAX / 2)
            return -EINVAL;
        conn->keepalive_interval_ms = ms_of(value ? value : UTCP_KEEPALIVE_INTERVAL);
        return 0;
    case UTCP_OPTION_KEEPALIVE_PROBES:
        if (value > UINT8_MAX)
            return -EINVAL;
        conn->probes_max = value ? (uint8_t)value : UTCP_KEEPALIVE_PROBES;
        return 0;
    case UTCP_OPTION_SEND_BUFFER:
        conn->send_max = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
        return 0;
    case UTCP_OPTION_QUICK_ACKS:
        conn->quick_acks = value < UINT8_MAX ? (uint8_t)value : UINT8_MAX;
        conn->ack_now = conn->ack_now || (value && utcp__timer_runs(conn, TIMER_ACK));
        return 0;
    case UTCP_OPTION_FAST_OPEN:
        if (value)
            return utcp__fast_open_ask(conn, false);
        utcp__fast_open_forgo(conn);
        return 0;
    case UTCP_OPTION_FAST_OPEN_NO_COOKIE: return utcp__fast_open_ask(conn, value != 0);
    case UTCP_OPTION_SYN_RETRIES:
        if (value > UINT8_MAX)
            return -EINVAL;
        conn->syn_retries = (uint8_t)value;
        return 0;
    case UTCP_OPTION_NOT_SENT_LOW: return set_not_sent_low(conn, value);
    case UTCP_OPTION_ARRIVAL_TIMES: return utcp__arrivals_watch(conn, value != 0);
    case UTCP_OPTION_RECEIVE_BUFFER: return set_receive_buffer(conn, value);
    case UTCP_OPTION_MAX_SEGMENT: return set_max_segment(conn, value);
    case UTCP_OPTION_HOP_LIMIT: return set_hop_limit(&conn->hop_limit, value);
    case UTCP_OPTION_DSCP: return set_dscp(&conn->dscp, value);
    case UTCP_OPTION_TELL_TIMEOUT_US: return tell_timeout(conn, value);
    case UTCP_OPTION_FIN_WAIT_US: return set_fin_wait(conn, value);
    case UTCP_OPTION_PACING_MOST: return set_pacing_most(conn, value);
    default: return -EINVAL;
    }
}

void utcp__set_user_timeout(struct utcp_conn *conn, uint32_t ms)
{
    conn->user_timeout_ms = ms;
    utcp__conn_compare(conn);
    if (ms && conn->waiting_since && !ended(conn))
        utcp__timer_set(conn, TIMER_USER, conn->waiting_since + ms * UTCP_MS);
    else
        utcp__timer_stop(conn, TIMER_USER);
}

int utcp_set_option(struct utcp_conn *conn, enum utcp_option option, uint64_t value)
{
    int status;

    switch (option) {
    case UTCP_OPTION_NODELAY: conn->nodelay = value != 0; break;
    case UTCP_OPTION_CORK: conn->cork = value != 0; break;
    case UTCP_OPTION_KEEPALIVE_US:
        if (value > UINT64_MAX / 2)
            return -EINVAL;
        conn->keepalive_ms = ms_of(value);
        conn->probes = 0;
        if (!ended(conn))
            utcp__timer_life(conn);
        break;
    case UTCP_OPTION_USER_TIMEOUT_US:
        if (value > UINT64_MAX / 2)
            return -EINVAL;
        utcp__set_user_timeout(conn, ms_of(value));
        conn->timeout_adopted = false;
        break;
    case UTCP_OPTION_PACING: conn->pacing = value != 0; break;
    case UTCP_OPTION_REPORTS: conn->reports = value != 0; break;
    default:
        status = set_number(conn, option, value);
        if (status)
            return status;
        break;
    }
    utcp__want_output(conn);
    return 0;
}

int utcp_listener_set_option(struct utcp_listener *listener, enum utcp_option option,
                             uint64_t value)
{
    switch (option) {
    case UTCP_OPTION_MAX_SEGMENT:
        if (!valid_max_segment(value))
            return -EINVAL;
        listener->max_segment = value;
        return 0;
    case UTCP_OPTION_RECEIVE_BUFFER: listener->receive_buffer = value; return 0;
    case UTCP_OPTION_HOP_LIMIT: return set_hop_limit(&listener->hop_limit, value);
    case UTCP_OPTION_DSCP: return set_dscp(&listener->dscp, value);
    case UTCP_OPTION_QUICK_ACKS:
        listener->quick_acks = value < UINT8_MAX ? (uint8_t)value : UINT8_MAX;
        return 0;
    case UTCP_OPTION_FAST_OPEN:
    case UTCP_OPTION_FAST_OPEN_NO_COOKIE:
        return utcp__fast_open_set_listener(listener, option, value);
    case UTCP_OPTION_SYN_COOKIES:
        if (value > UTCP_SYN_COOKIES_NEVER)
            return -EINVAL;
        listener->cookies = (uint8_t)value;
        return 0;
    default: return -EINVAL;
    }
}
