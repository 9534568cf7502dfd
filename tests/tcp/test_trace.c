/* SPDX-License-Identifier: BSD-2-Clause */
/* Traces of single connections (utcp.h): what happened, in order; and who is not traced says nothing. */
#include "tcp_test.h"

#define MSS   1460
#define AT(n) (1 + MSS * (uint32_t)(n))

struct trace {
    struct utcp_trace_event events[64];
    unsigned count, next;
    uint16_t port; /* of whom is wanted; 0: nobody */
};

static bool is_wanted(void *context, const struct utcp_endpoint *local,
                      const struct utcp_endpoint *remote)
{
    (void)local;
    return remote->port == ((struct trace *)context)->port;
}

static void take(void *context, const struct utcp_trace_event *event)
{
    struct trace *trace = context;
    struct utcp_info info = {.size = sizeof(info)};

    utcp_info(event->conn, &info); /* which is allowed */
    assert_true(trace->count < 64);
    trace->events[trace->count++] = *event;
}

static const struct utcp_trace_event *next(struct trace *trace, enum utcp_trace_kind kind)
{
    assert_true(trace->next < trace->count);
    assert_int_equal(trace->events[trace->next].kind, kind);
    return &trace->events[trace->next++];
}

static void next_state(struct trace *trace, enum utcp_state from, enum utcp_state to)
{
    const struct utcp_trace_event *event = next(trace, UTCP_TRACE_STATE);

    assert_int_equal(event->from, from);
    assert_int_equal(event->to, to);
}

static void next_segment(struct trace *trace, enum utcp_trace_kind kind, struct seg segment)
{
    const struct utcp_trace_event *event = next(trace, kind);

    assert_int_equal(event->flags & ~PSH, segment.flags);
    assert_int_equal(event->seq, segment.seq);
    assert_int_equal(event->ack, segment.ack);
    assert_int_equal(event->length, segment.length);
}

#define SENT(trace, ...)     next_segment(trace, UTCP_TRACE_SENT, (struct seg){__VA_ARGS__})
#define RECEIVED(trace, ...) next_segment(trace, UTCP_TRACE_RECEIVED, (struct seg){__VA_ARGS__})

static struct tcp_test *traced(struct trace *trace)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_tracer tracer = {is_wanted, take, trace};

    t->peer_sack = true;
    trace->port = t->them.port;
    utcp_set_tracer(t->stack, &tracer);
    tcp_listen(t, 8);
    peer(t, .flags = SYN, .mss = MSS);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    return t;
}

TCP_TEST(a_connection_is_told_from_its_first_segment_on)
{
    struct trace trace = {0};
    struct tcp_test *t = traced(&trace);

    RECEIVED(&trace, .flags = SYN);
    next_state(&trace, UTCP_CLOSED, UTCP_SYN_RECEIVED);
    SENT(&trace, .flags = SYN | ACK, .ack = 1);
    RECEIVED(&trace, .flags = ACK, .seq = 1, .ack = 1);
    next_state(&trace, UTCP_SYN_RECEIVED, UTCP_ESTABLISHED);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    RECEIVED(&trace, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    tcp_write(t, 0, 200);
    expect(t, .flags = ACK, .seq = 1, .ack = 101, .length = 200);
    SENT(&trace, .flags = ACK, .seq = 1, .ack = 101, .length = 200);
    peer(t, .flags = RST, .seq = 101);
    RECEIVED(&trace, .flags = RST, .seq = 101);
    next_state(&trace, UTCP_ESTABLISHED, UTCP_CLOSED);
    assert_int_equal(trace.next, trace.count);
    tcp_free(t);
}

TCP_TEST(losses_probes_and_drops_are_told)
{
    struct trace trace = {0};
    struct tcp_test *t = traced(&trace);

    tcp_write(t, 0, 5 * MSS);
    pass(t, 100 * MS);
    trace.next = trace.count;
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{AT(1), AT(4)}});
    pass(t, 0);
    (void)next(&trace, UTCP_TRACE_RECEIVED);
    assert_string_equal(next(&trace, UTCP_TRACE_REDUCED)->reason, "loss");
    assert_true(next(&trace, UTCP_TRACE_SENT)->again);
    t->out_first = t->out_count = 0;
    trace.next = trace.count;
    peer(t, .flags = ACK, .seq = 1, .ack = AT(50)); /* of what was never sent */
    (void)next(&trace, UTCP_TRACE_RECEIVED);
    assert_string_equal(next(&trace, UTCP_TRACE_DROPPED)->reason, "dropped_unacceptable");
    pass(t, 10 * SECOND);
    t->out_first = t->out_count = 0;
    while (trace.events[trace.next].kind != UTCP_TRACE_TIMEOUT)
        assert_true(++trace.next < trace.count);
    tcp_free(t);
}

TCP_TEST(who_is_not_chosen_is_not_told_of_until_it_is)
{
    struct trace trace = {0};
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_tracer tracer = {is_wanted, take, &trace};

    utcp_set_tracer(t->stack, &tracer);
    tcp_listen(t, 8);
    tcp_handshake(t, (struct seg){.mss = MSS});
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(trace.count, 0);
    utcp_trace(t->conn, true);
    peer(t, .flags = ACK, .seq = 101, .ack = 1, .length = 100);
    assert_true(trace.count > 0);
    utcp_set_tracer(t->stack, NULL);
    trace.count = 0;
    peer(t, .flags = ACK, .seq = 201, .ack = 1, .length = 100);
    utcp_trace(t->conn, true); /* nobody would hear of it */
    pass(t, SECOND);
    t->out_first = t->out_count = 0;
    assert_int_equal(trace.count, 0);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_told_from_its_first_segment_on),
        cmocka_unit_test(losses_probes_and_drops_are_told),
        cmocka_unit_test(who_is_not_chosen_is_not_told_of_until_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
