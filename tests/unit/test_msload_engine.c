/* SPDX-License-Identifier: BSD-2-Clause */
/* msload's sessions, over a TCP that answers when it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine.h"

#include <errno.h>

#define REQUEST  "GET / HTTP/1.1\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CROWD    1000

/* One connection at a time, whose server answers each request by the next event. */
struct fake {
    struct client client;
    struct engine *engine;
    const char *response;
    struct client_conn *conn; /* NULL: none is open */
    unsigned connects, requests, releases;
    bool answered;         /* what it has to read is there */
    bool closes;           /* the server, behind each response */
    bool closes_later;     /* … or by an event of its own */
    bool ended;            /* … and it has */
    unsigned answers_most; /* then it is silent; 0: it never is */
    uint64_t opened_ago;   /* µs that its clock is behind at first */
    unsigned in_the_event; /* requests or connections that were begun before the handler returned */
};

static struct fake *fake_of(struct client *client)
{
    return (struct fake *)client;
}

static int fake_connect(struct client *client, struct client_conn *conn, const struct sockaddr *to,
                        socklen_t size)
{
    (void)to;
    (void)size;
    assert_null(fake_of(client)->conn);
    fake_of(client)->conn = conn;
    fake_of(client)->connects++;
    return 0;
}

static ptrdiff_t fake_send(struct client *client, struct client_conn *conn, const void *data,
                           size_t size)
{
    assert_ptr_equal(conn, fake_of(client)->conn);
    assert_memory_equal(data, REQUEST, size);
    fake_of(client)->requests++;
    return (ptrdiff_t)size;
}

static ptrdiff_t fake_read(struct client *client, struct client_conn *conn, void *to, size_t size)
{
    struct fake *fake = fake_of(client);

    assert_ptr_equal(conn, fake->conn);
    if (!fake->answered)
        return fake->ended ? 0 : -EAGAIN;
    assert_true(size >= strlen(fake->response));
    memcpy(to, fake->response, strlen(fake->response));
    fake->answered = false;
    fake->ended = fake->closes;
    return (ptrdiff_t)strlen(fake->response);
}

static void fake_release(struct client *client, struct client_conn *conn)
{
    assert_ptr_equal(conn, fake_of(client)->conn);
    fake_of(client)->conn = NULL;
    fake_of(client)->ended = false;
    fake_of(client)->releases++;
}

static int fake_step(struct client *client, uint64_t until)
{
    struct fake *fake = fake_of(client);
    struct client_event event = {.conn = fake->conn, .flags = CLIENT_CONNECTED};
    unsigned before = fake->requests + fake->connects;

    client->now += fake->opened_ago;
    client->now_ns += fake->opened_ago * 1000;
    fake->opened_ago = 0;
    if (until < client->now)
        until = client->now;
    engine_events(fake->engine, NULL, 0); /* as the kernel's does */
    if (!fake->conn || (fake->answers_most && fake->engine->completed >= fake->answers_most)) {
        client->now_ns += (until - client->now) * 1000;
        client->now = until;
        return 0;
    }
    client->now++;
    client->now_ns += 1000;
    if (fake->engine->started > fake->requests) {
        engine_events(fake->engine, &event, 1); /* it has connected */
        return 0;
    }
    if (fake->closes_later && fake->engine->completed == fake->requests) {
        fake->ended = true;
        event.flags = CLIENT_READABLE | CLIENT_FINISHED;
        engine_events(fake->engine, &event, 1);
        return 0;
    }
    fake->answered = true;
    event.flags = CLIENT_READABLE | (fake->closes ? CLIENT_FINISHED : 0U);
    engine_events(fake->engine, &event, 1);
    fake->in_the_event += fake->requests + fake->connects - before;
    return 0;
}

static const struct client_ops fake_ops = {.connect = fake_connect,
                                           .send = fake_send,
                                           .read = fake_read,
                                           .release = fake_release,
                                           .abort = fake_release,
                                           .step = fake_step};

static const struct target target = {.request = REQUEST, .request_size = sizeof(REQUEST) - 1};

static void run(struct fake *fake, bool keep_alive)
{
    const struct load load = {.targets = &target,
                              .target_count = 1,
                              .keep_alive = keep_alive,
                              .duration_us = UINT64_MAX,
                              .timeout_us = 1000000};
    const atomic_bool stop = false;
    struct engine *engine = calloc(1, sizeof(*engine));

    assert_non_null(engine);
    *fake = (struct fake){.client.ops = &fake_ops,
                          .engine = engine,
                          .response = fake->response ? fake->response : RESPONSE,
                          .closes = !keep_alive,
                          .closes_later = fake->response};
    engine->load = &load;
    engine->client = &fake->client;
    engine->stop = &stop;
    engine->requests = 10;
    engine->sessions_max = 1;
    assert_true(engine_init(engine));
    assert_int_equal(engine_run(engine), 0);
    assert_int_equal(engine->completed, 10);
    assert_int_equal(fake->requests, 10);
    engine_dispose(engine);
    free(engine);
}

/* So the acknowledgment of a response travels with the next request, and takes no packet of its own. */
static void the_next_request_is_written_while_the_response_is_handled(void **state)
{
    struct fake fake = {0};

    (void)state;
    run(&fake, true);
    assert_int_equal(fake.connects, 1);
    assert_int_equal(fake.in_the_event, 9);
}

static void and_so_is_the_next_connection_begun(void **state)
{
    struct fake fake = {0};

    (void)state;
    run(&fake, false);
    assert_int_equal(fake.connects, 10);
    assert_int_equal(fake.releases, 10);
    assert_int_equal(fake.in_the_event, 9);
}

/* What is sent on such a connection meets its end, and would be counted as an error. */
static void no_request_follows_on_a_connection_that_the_server_will_close(void **state)
{
    static const char *const responses[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: x ,\tclose\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(responses) / sizeof(*responses); i++) {
        struct fake fake = {.response = responses[i]};

        run(&fake, true);
        assert_int_equal(fake.connects, 10);
    }
}

static void and_one_that_stays_is_kept(void **state)
{
    struct fake fake = {.response = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
                                    "Content-Length: 2\r\n\r\nok"};

    (void)state;
    run(&fake, true);
    assert_int_equal(fake.connects, 1);
}

/* The server answers a hundred requests in a tenth of a second, and is silent for the rest of it. */
static void run_silent(struct engine *engine, double rate)
{
    static const struct load load = {.targets = &target,
                                     .target_count = 1,
                                     .keep_alive = true,
                                     .duration_us = 1000000,
                                     .timeout_us = 5000000};
    static const atomic_bool stop = false;
    static struct fake fake;

    fake = (struct fake){.client.ops = &fake_ops,
                         .engine = engine,
                         .response = RESPONSE,
                         .answers_most = 100,
                         .opened_ago = 3000000};
    engine->load = &load;
    engine->client = &fake.client;
    engine->stop = &stop;
    engine->requests = UINT64_MAX;
    engine->rate = rate;
    engine->sessions_max = 1;
    assert_true(engine_init(engine));
    assert_int_equal(engine_run(engine), 0);
    assert_int_equal(engine->completed, 100);
    engine_dispose(engine);
}

/* Else a server that stops in the midst of a run would look as quick as before. */
static void what_was_due_and_not_answered_is_in_the_latencies_of_an_open_loop(void **state)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    uint64_t half;

    (void)state;
    assert_non_null(engine);
    run_silent(engine, 1000);
    assert_in_range(engine->unanswered, 900, 901);
    assert_int_equal(engine->latency.count, 100 + engine->unanswered);
    assert_in_range(engine->longest_wait_ns, 890000000, 910000000);
    assert_true(engine->latency.most == engine->longest_wait_ns);
    half = histogram_percentile(&engine->latency, 50);
    assert_in_range(half, 390000000, 410000000);
    free(engine);
}

/* A billion each second: they are counted in groups. */
static void however_many_they_are(void **state)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    (void)state;
    assert_non_null(engine);
    run_silent(engine, 1e9);
    assert_in_range(engine->unanswered, 999900000, 1000000000);
    assert_int_equal(engine->latency.count, 100 + engine->unanswered);
    free(engine);
}

static void in_a_closed_loop_it_is_only_counted(void **state)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    (void)state;
    assert_non_null(engine);
    run_silent(engine, 0);
    assert_int_equal(engine->unanswered, 1);
    assert_int_equal(engine->latency.count, 100);
    assert_true(engine->longest_wait_ns > engine->latency.most);
    free(engine);
}

/* ── Many at once ────────────────────────────────────────────────────────────────────────────── */

struct crowd {
    struct client client;
    unsigned connects, most; /* since the last look at what has come */
};

static int crowd_connect(struct client *client, struct client_conn *conn, const struct sockaddr *to,
                         socklen_t size)
{
    struct crowd *crowd = (struct crowd *)client;

    (void)conn;
    (void)to;
    (void)size;
    if (++crowd->connects > crowd->most)
        crowd->most = crowd->connects;
    return 0;
}

static int crowd_step(struct client *client, uint64_t until)
{
    struct crowd *crowd = (struct crowd *)client;

    if (!crowd->connects) /* nothing was begun, so there is nothing left to begin */
        client->now = until;
    else if (until == client->now) /* more is to be begun: no waiting */
        client->now++;
    crowd->connects = 0;
    return 0;
}

static void crowd_abort(struct client *client, struct client_conn *conn)
{
    (void)client;
    (void)conn;
}

/* Who is begun first would else be out of time before anybody looks whether he has connected. */
static void between_many_connections_it_is_looked_what_has_come(void **state)
{
    static const struct client_ops ops = {
        .connect = crowd_connect, .step = crowd_step, .abort = crowd_abort};
    const struct load load = {
        .targets = &target, .target_count = 1, .duration_us = 1000000, .timeout_us = 5000000};
    struct crowd crowd = {.client.ops = &ops};
    struct engine *engine = calloc(1, sizeof(*engine));
    const atomic_bool stop = false;

    (void)state;
    assert_non_null(engine);
    engine->load = &load;
    engine->client = &crowd.client;
    engine->stop = &stop;
    engine->requests = UINT64_MAX;
    engine->sessions_max = CROWD;
    assert_true(engine_init(engine));
    assert_int_equal(engine_run(engine), 0);
    assert_int_equal(engine->connections, CROWD);
    assert_in_range(crowd.most, 1, CROWD / 2);
    engine_dispose(engine);
    free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_request_is_written_while_the_response_is_handled),
        cmocka_unit_test(and_so_is_the_next_connection_begun),
        cmocka_unit_test(no_request_follows_on_a_connection_that_the_server_will_close),
        cmocka_unit_test(and_one_that_stays_is_kept),
        cmocka_unit_test(what_was_due_and_not_answered_is_in_the_latencies_of_an_open_loop),
        cmocka_unit_test(however_many_they_are),
        cmocka_unit_test(in_a_closed_loop_it_is_only_counted),
        cmocka_unit_test(between_many_connections_it_is_looked_what_has_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
