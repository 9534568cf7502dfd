/* SPDX-License-Identifier: BSD-2-Clause */
/* The load: sessions that ask for a URL each, again and again, on one thread.
 *
 *   closed loop   each session has its next request as soon as it is through with the last
 *   open loop     requests are due at a steady rate, whatever becomes of those before; each waits for a
 *                 session that is free, and its latency counts from when it was due. Otherwise a server
 *                 that stops for a second would be blamed for one slow request for each session, and not
 *                 for all that users would have made meanwhile ("co-ordinated omission").
 *
 * A session's life:
 *
 *   IDLE ─► CONNECTING ─► SENDING ─► HEAD ─► BODY ─► IDLE           (keep-alive: with its connection)
 *                                                └─► DRAIN ─► IDLE   (until the server has closed, so
 *                                                                    that TIME-WAIT is the server's)
 *   any of them ─► failed: counted by kind, its connection ended; a rest, then IDLE
 *
 * Latency is from the moment when a request was due (open loop) or begun, connecting included, until all
 * of its response is there. When time is over some were due, or begun, and have no answer yet: they are
 * counted, and in an open loop each is in the latencies with how long it has waited, or a server that
 * stands still at the end would be praised for what it did before. */
#ifndef ENGINE_H
#define ENGINE_H

#include "client.h"
#include "histogram.h"

#include <stdatomic.h>
#include <sys/queue.h>

enum load_error {
    LOAD_REFUSED,
    LOAD_TIMED_OUT,
    LOAD_RESET,
    LOAD_UNREACHABLE,
    LOAD_NO_PORT, /* no local port, or no memory for a connection */
    LOAD_CLOSED,  /* by the server, before its response was complete */
    LOAD_BAD_RESPONSE,
    LOAD_STATUS, /* a response, but not of the 200s */
    LOAD_OTHER,
    LOAD_ERRORS,
};

const char *load_error_name(enum load_error error); /* as in JSON */

/* What is asked for, and where. */
struct target {
    struct sockaddr_storage address;
    socklen_t address_size;
    const char *request; /* its bytes */
    size_t request_size;
};

/* What all threads are to do. */
struct load {
    const struct target *targets; /* sessions are dealt out to them in turns */
    unsigned target_count;
    bool keep_alive;
    uint64_t warm_up_us, duration_us; /* UINT64_MAX: until `stop` */
    uint64_t timeout_us;              /* of one request */
};

/* One thread's. Filled in by the caller, up to `sessions_max`. */
struct engine {
    const struct load *load;
    struct client *client;
    const atomic_bool *stop;
    uint64_t requests; /* to be made in all; UINT64_MAX: no limit */
    double rate;       /* requests/s; 0: closed loop */
    unsigned sessions_max;
    unsigned first_target; /* of its first session */

    struct session *sessions;
    TAILQ_HEAD(session_list, session) idle, active, resting; /* the latter two by their deadlines */
    uint64_t began_ns, measured_ns; /* the first request; end of the warm-up */
    uint64_t ended_ns;
    uint64_t started; /* requests, those of the warm-up included */
    uint64_t finished;
    /* since the warm-up */
    uint64_t completed, bytes, errors[LOAD_ERRORS];
    uint64_t connections;
    uint64_t unanswered;      /* at the end */
    uint64_t longest_wait_ns; /* of these */
    struct histogram latency; /* ns, of completed ones; open loop: of unanswered ones as well */
    uint8_t buffer[65536];
};

/* False: no memory. */
bool engine_init(struct engine *engine);
void engine_dispose(struct engine *engine);

/* The handler for client_options.events; `context` is the engine. */
void engine_events(void *context, const struct client_event *events, unsigned count);

/* Until it is over. 0, or a negative errno that ended it. */
int engine_run(struct engine *engine);

#endif
