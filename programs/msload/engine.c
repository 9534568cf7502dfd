/* SPDX-License-Identifier: BSD-2-Clause */
/* engine.h */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "response.h"

#define HEAD_MAX 65536
#define REST_US  10000 /* after a failure: whoever is refused would be so a million times a second */
/* Begun between two looks at what has come and at the clock: each may cost a port number that the
 * kernel looks for, milliseconds when few are left, and deadlines run meanwhile. */
#define BEGIN_MOST        256
#define UNANSWERED_GROUPS 10000

enum state { IDLE, CONNECTING, SENDING, HEAD, BODY, DRAIN };

struct session {
    struct client_conn conn; /* first: an event's `conn` is the session */
    TAILQ_ENTRY(session) link;
    const struct target *target;
    uint8_t state;
    bool connected;    /* `conn` is there */
    bool to_the_end;   /* the body has no length: it ends with the connection */
    uint64_t due_ns;   /* latency counts from here */
    uint64_t deadline; /* µs: of the request, or of the rest */
    size_t sent;       /* bytes of the request */
    uint64_t left;     /* of the body */
    uint64_t body;     /* bytes of it that have come */
    struct response_head head;
    struct dechunker dechunker;
    char *held; /* a head that has not come whole */
    size_t held_size;
};

const char *load_error_name(enum load_error error)
{
    static const char *const names[LOAD_ERRORS] = {
        [LOAD_REFUSED] = "refused",
        [LOAD_TIMED_OUT] = "timed_out",
        [LOAD_RESET] = "reset",
        [LOAD_UNREACHABLE] = "unreachable",
        [LOAD_NO_PORT] = "no_port",
        [LOAD_CLOSED] = "closed_early",
        [LOAD_BAD_RESPONSE] = "bad_response",
        [LOAD_STATUS] = "http_status",
        [LOAD_OTHER] = "other",
    };

    return names[error];
}

static enum load_error kind_of(int error)
{
    switch (-error) {
    case ECONNREFUSED: return LOAD_REFUSED;
    case ETIMEDOUT: return LOAD_TIMED_OUT;
    case EPIPE:
    case ECONNABORTED:
    case ECONNRESET: return LOAD_RESET;
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTUNREACH: return LOAD_UNREACHABLE;
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case ENOMEM:
    case ENOBUFS: return LOAD_NO_PORT;
    default: return LOAD_OTHER;
    }
}

/* ── Ends ─────────────────────────────────────────────────────────────────────────────────────── */

static void let_go(struct engine *engine, struct session *session, bool in_order)
{
    if (!session->connected)
        return;
    if (in_order)
        engine->client->ops->release(engine->client, &session->conn);
    else
        engine->client->ops->abort(engine->client, &session->conn);
    session->connected = false;
}

static void forget_head(struct session *session)
{
    free(session->held);
    session->held = NULL;
    session->held_size = 0;
}

/* Not active any more: free for the next request. */
static void become_idle(struct engine *engine, struct session *session)
{
    TAILQ_REMOVE(&engine->active, session, link);
    TAILQ_INSERT_TAIL(&engine->idle, session, link);
    session->state = IDLE;
}

static void fail(struct engine *engine, struct session *session, enum load_error error)
{
    bool counts = session->state != DRAIN; /* its response was there */

    let_go(engine, session, false);
    forget_head(session);
    if (counts) {
        engine->errors[error]++;
        engine->finished++;
    }
    session->state = IDLE;
    session->deadline = engine->client->now + REST_US;
    TAILQ_REMOVE(&engine->active, session, link);
    TAILQ_INSERT_TAIL(&engine->resting, session, link);
}

/* The response is there, whole. */
static void complete(struct engine *engine, struct session *session, bool ended)
{
    engine->finished++;
    engine->bytes += session->body;
    if (session->head.status >= 200 && session->head.status < 300) {
        engine->completed++;
        histogram_record(&engine->latency, engine->client->now_ns - session->due_ns);
    } else {
        engine->errors[LOAD_STATUS]++;
    }
    if (ended)
        let_go(engine, session, true);
    if (ended || (engine->load->keep_alive && !session->head.closes))
        become_idle(engine, session);
    else
        session->state = DRAIN;
}

/* ── Responses ────────────────────────────────────────────────────────────────────────────────── */

/* Bytes of a body. False: the session has failed, or is through with it. */
static bool take_body(struct engine *engine, struct session *session, uint8_t *data, size_t size)
{
    bool done = false;
    ptrdiff_t body = (ptrdiff_t)size;

    if (session->head.chunked) {
        body = dechunk(&session->dechunker, (char *)data, size, &done);
    } else if (!session->to_the_end) {
        if (size > session->left)
            body = -1;
        session->left -= size;
        done = session->left == 0;
    }
    if (body < 0) {
        fail(engine, session, LOAD_BAD_RESPONSE);
        return false;
    }
    session->body += (uint64_t)body;
    if (done)
        complete(engine, session, false);
    return !done;
}

/* The head is known: how its body is framed (RFC 9112 section 6.3). */
static bool begin_body(struct engine *engine, struct session *session, uint8_t *rest, size_t size)
{
    const struct response_head *head = &session->head;

    session->state = BODY;
    session->body = 0;
    session->dechunker = (struct dechunker){0};
    session->left = head->length;
    session->to_the_end = !head->chunked && !head->has_length;
    if (head->status == 204 || head->status == 304) {
        session->left = 0;
        session->to_the_end = session->head.chunked = false;
    }
    if (!session->head.chunked && !session->to_the_end && session->left == 0) {
        if (size)
            fail(engine, session, LOAD_BAD_RESPONSE);
        else
            complete(engine, session, false);
        return false;
    }
    return size == 0 || take_body(engine, session, rest, size);
}

/* Keeps what has come of a head. False: the session has failed. */
static bool hold_head(struct engine *engine, struct session *session, const uint8_t *data,
                      size_t size)
{
    char *more;

    if (session->held_size + size > HEAD_MAX) {
        fail(engine, session, LOAD_BAD_RESPONSE);
        return false;
    }
    more = realloc(session->held, session->held_size + size);
    if (!more) {
        fail(engine, session, LOAD_NO_PORT);
        return false;
    }
    session->held = more;
    memcpy(session->held + session->held_size, data, size);
    session->held_size += size;
    return true;
}

/* False: the session has failed, or is through with this request. */
static bool take_head(struct engine *engine, struct session *session, uint8_t *data, size_t size)
{
    while (size) {
        size_t before = session->held_size, used;
        uint8_t *head = data, *end;
        size_t head_size = size;

        if (before) {
            if (!hold_head(engine, session, data, size))
                return false;
            head = (uint8_t *)session->held;
            head_size = session->held_size;
        }
        end = memmem(head, head_size, "\r\n\r\n", 4);
        if (!end)
            return before || hold_head(engine, session, data, size);
        head_size = (size_t)(end + 4 - head);
        used = head_size - before;
        if (!response_head_parse((const char *)head, head_size, &session->head)) {
            fail(engine, session, LOAD_BAD_RESPONSE);
            return false;
        }
        forget_head(session);
        data += used;
        size -= used;
        if (session->head.status >= 200) /* what is below is followed by another head */
            return begin_body(engine, session, data, size);
    }
    return true;
}

static void take_end(struct engine *engine, struct session *session)
{
    switch ((enum state)session->state) {
    case BODY:
        if (session->to_the_end) {
            complete(engine, session, true);
            return;
        }
        break;
    case DRAIN:
        let_go(engine, session, true);
        become_idle(engine, session);
        return;
    case IDLE: let_go(engine, session, true); return;
    case CONNECTING:
    case SENDING:
    case HEAD: break;
    }
    fail(engine, session, LOAD_CLOSED);
}

/* Reads all there is. */
static void pull(struct engine *engine, struct session *session)
{
    const struct client_ops *ops = engine->client->ops;

    while (session->connected) {
        ptrdiff_t got =
            ops->read(engine->client, &session->conn, engine->buffer, sizeof(engine->buffer));

        if (got == -EAGAIN)
            return;
        if (got == 0) {
            take_end(engine, session);
            return;
        }
        if (got < 0 && session->state == IDLE) {
            let_go(engine, session, false);
        } else if (got < 0) {
            fail(engine, session, kind_of((int)got));
        } else if (session->state == HEAD) {
            take_head(engine, session, engine->buffer, (size_t)got);
        } else if (session->state == BODY) {
            take_body(engine, session, engine->buffer, (size_t)got);
        } else if (session->state == IDLE) {
            let_go(engine, session, false); /* it says something that nobody asked */
        } else {
            fail(engine, session, LOAD_BAD_RESPONSE);
        }
    }
}

/* ── Requests ─────────────────────────────────────────────────────────────────────────────────── */

static void push(struct engine *engine, struct session *session)
{
    const struct target *target = session->target;
    ptrdiff_t taken =
        engine->client->ops->send(engine->client, &session->conn, target->request + session->sent,
                                  target->request_size - session->sent);

    session->state = SENDING;
    if (taken == -EAGAIN)
        return;
    if (taken < 0) {
        fail(engine, session, kind_of((int)taken));
        return;
    }
    session->sent += (size_t)taken;
    if (session->sent == target->request_size)
        session->state = HEAD;
}

static void begin(struct engine *engine, struct session *session, uint64_t due_ns)
{
    struct client *client = engine->client;
    int error;

    TAILQ_REMOVE(&engine->idle, session, link);
    TAILQ_INSERT_TAIL(&engine->active, session, link);
    session->due_ns = due_ns;
    session->deadline = client->now + engine->load->timeout_us;
    session->sent = 0;
    engine->started++;
    if (session->connected) {
        push(engine, session);
        return;
    }
    session->state = CONNECTING;
    error = client->ops->connect(client, &session->conn,
                                 (const struct sockaddr *)&session->target->address,
                                 session->target->address_size);
    if (error) {
        fail(engine, session, kind_of(error));
        return;
    }
    session->connected = true;
    engine->connections++;
}

/* How many requests should have been begun by now. */
static uint64_t due(const struct engine *engine)
{
    double many;

    if (engine->rate <= 0)
        return engine->requests;
    many = (double)(engine->client->now_ns - engine->began_ns) * 1e-9 * engine->rate + 1;
    return many < (double)engine->requests ? (uint64_t)many : engine->requests;
}

static uint64_t due_at(const struct engine *engine, uint64_t request)
{
    if (engine->rate <= 0)
        return engine->client->now_ns;
    return engine->began_ns + (uint64_t)((double)request * 1e9 / engine->rate);
}

/* True: there are more, which are to be begun before anything is waited for. */
static bool begin_due(struct engine *engine)
{
    uint64_t limit = due(engine);

    for (unsigned i = 0; engine->started < limit && !TAILQ_EMPTY(&engine->idle); i++) {
        if (i == BEGIN_MOST)
            return true;
        begin(engine, TAILQ_FIRST(&engine->idle), due_at(engine, engine->started));
    }
    return false;
}

/* ── Time ─────────────────────────────────────────────────────────────────────────────────────── */

static void run_timers(struct engine *engine)
{
    uint64_t now = engine->client->now;
    struct session *session;

    while ((session = TAILQ_FIRST(&engine->active)) && session->deadline <= now)
        fail(engine, session, LOAD_TIMED_OUT);
    while ((session = TAILQ_FIRST(&engine->resting)) && session->deadline <= now) {
        TAILQ_REMOVE(&engine->resting, session, link);
        TAILQ_INSERT_TAIL(&engine->idle, session, link);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_deadline(const struct engine *engine, uint64_t end)
{
    const struct session *active = TAILQ_FIRST(&engine->active);
    const struct session *resting = TAILQ_FIRST(&engine->resting);

    if (active)
        end = earlier(end, active->deadline);
    if (resting)
        end = earlier(end, resting->deadline);
    if (engine->rate > 0 && engine->started < engine->requests && !TAILQ_EMPTY(&engine->idle))
        end = earlier(end, due_at(engine, engine->started) / 1000 + 1);
    return end;
}

/* The warm-up is over: what is counted begins. */
static void begin_measuring(struct engine *engine)
{
    engine->measured_ns = engine->client->now_ns;
    engine->completed = engine->bytes = engine->connections = 0;
    memset(engine->errors, 0, sizeof(engine->errors));
    memset(&engine->latency, 0, sizeof(engine->latency));
}

/* `times` requests that were due at `due_ns`, or a little later, have had no answer. */
static void leave_unanswered(struct engine *engine, uint64_t due_ns, uint64_t times)
{
    uint64_t waited = engine->ended_ns > due_ns ? engine->ended_ns - due_ns : 0;

    engine->unanswered += times;
    if (waited > engine->longest_wait_ns)
        engine->longest_wait_ns = waited;
    if (engine->rate > 0)
        histogram_record_times(&engine->latency, waited, times);
}

/* Time is over: those under way, and in an open loop those that were due and found no session. There
 * may be billions of the latter; they are taken in groups. */
static void count_unanswered(struct engine *engine)
{
    const struct session *session;
    uint64_t limit = due(engine), each;

    /* not TAILQ_FOREACH: cppcheck does not know it, and takes `session` for uninitialized */
    for (session = TAILQ_FIRST(&engine->active); session; session = TAILQ_NEXT(session, link)) {
        if (session->state != DRAIN)
            leave_unanswered(engine, session->due_ns, 1);
    }
    if (engine->rate <= 0 || limit <= engine->started)
        return;
    each = (limit - engine->started) / UNANSWERED_GROUPS + 1;
    for (uint64_t at = engine->started; at < limit; at += each)
        leave_unanswered(engine, due_at(engine, at), each < limit - at ? each : limit - at);
}

/* ── Entry points ─────────────────────────────────────────────────────────────────────────────── */

bool engine_init(struct engine *engine)
{
    TAILQ_INIT(&engine->idle);
    TAILQ_INIT(&engine->active);
    TAILQ_INIT(&engine->resting);
    engine->sessions = calloc(engine->sessions_max, sizeof(*engine->sessions));
    if (!engine->sessions)
        return false;
    for (unsigned i = 0; i < engine->sessions_max; i++) {
        unsigned target = (engine->first_target + i) % engine->load->target_count;

        engine->sessions[i].target = &engine->load->targets[target];
        TAILQ_INSERT_TAIL(&engine->idle, &engine->sessions[i], link);
    }
    return true;
}

void engine_dispose(struct engine *engine)
{
    for (unsigned i = 0; engine->sessions && i < engine->sessions_max; i++) {
        let_go(engine, &engine->sessions[i], false);
        forget_head(&engine->sessions[i]);
    }
    free(engine->sessions);
    engine->sessions = NULL;
}

void engine_events(void *context, const struct client_event *events, unsigned count)
{
    struct engine *engine = context;

    for (unsigned i = 0; i < count; i++) {
        struct session *session = (struct session *)events[i].conn;
        unsigned flags = events[i].flags;

        if (!session->connected)
            continue;
        if (flags & CLIENT_ERROR) {
            if (session->state == IDLE)
                let_go(engine, session, false);
            else
                fail(engine, session, kind_of(events[i].error));
            continue;
        }
        if (flags & CLIENT_CONNECTED && (session->state == CONNECTING || session->state == SENDING))
            push(engine, session);
        if (flags & (CLIENT_READABLE | CLIENT_FINISHED))
            pull(engine, session);
    }
    /* Now, so that a request leaves with the acknowledgment of the response before it, not behind it. No
     * session has more than one event here, so none is left for the connection that one has just let go.
     * Without events nothing has been freed, or the run has not begun. */
    if (count)
        begin_due(engine);
}

int engine_run(struct engine *engine)
{
    const struct load *load = engine->load;
    uint64_t measured, end, until;
    /* The clock has stood since the client was opened, and others may have been opened since. */
    int error = engine->client->ops->step(engine->client, engine->client->now);

    measured = engine->client->now + load->warm_up_us;
    end = load->duration_us > UINT64_MAX - measured ? UINT64_MAX : measured + load->duration_us;
    engine->began_ns = engine->measured_ns = engine->client->now_ns;
    while (!error && !*engine->stop && engine->client->now < end &&
           engine->finished < engine->requests) {
        if (measured != UINT64_MAX && engine->client->now >= measured) {
            begin_measuring(engine);
            measured = UINT64_MAX;
        }
        run_timers(engine);
        until =
            begin_due(engine) ? engine->client->now : next_deadline(engine, earlier(end, measured));
        error = engine->client->ops->step(engine->client, until);
    }
    engine->ended_ns = engine->client->now_ns;
    count_unanswered(engine);
    return error;
}
