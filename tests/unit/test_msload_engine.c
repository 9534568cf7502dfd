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

/* One connection at a time, whose server answers each request by the next event. */
struct fake {
    struct client client;
    struct engine *engine;
    struct client_conn *conn; /* NULL: none is open */
    unsigned connects, requests, releases;
    bool answered;         /* what it has to read is there */
    bool closes;           /* the server, behind each response */
    bool ended;            /* … and it has */
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
    assert_true(size >= strlen(RESPONSE));
    memcpy(to, RESPONSE, strlen(RESPONSE));
    fake->answered = false;
    fake->ended = fake->closes;
    return (ptrdiff_t)strlen(RESPONSE);
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

    (void)until;
    client->now++;
    client->now_ns += 1000;
    if (fake->engine->started > fake->requests) {
        engine_events(fake->engine, &event, 1); /* it has connected */
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

static void run(struct fake *fake, bool keep_alive)
{
    static const struct target target = {.request = REQUEST, .request_size = sizeof(REQUEST) - 1};
    const struct load load = {.targets = &target,
                              .target_count = 1,
                              .keep_alive = keep_alive,
                              .duration_us = UINT64_MAX,
                              .timeout_us = 1000000};
    const atomic_bool stop = false;
    struct engine *engine = calloc(1, sizeof(*engine));

    assert_non_null(engine);
    *fake = (struct fake){.client.ops = &fake_ops, .engine = engine, .closes = !keep_alive};
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
    struct fake fake;

    (void)state;
    run(&fake, true);
    assert_int_equal(fake.connects, 1);
    assert_int_equal(fake.in_the_event, 9);
}

static void and_so_is_the_next_connection_begun(void **state)
{
    struct fake fake;

    (void)state;
    run(&fake, false);
    assert_int_equal(fake.connects, 10);
    assert_int_equal(fake.releases, 10);
    assert_int_equal(fake.in_the_event, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_request_is_written_while_the_response_is_handled),
        cmocka_unit_test(and_so_is_the_next_connection_begun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
