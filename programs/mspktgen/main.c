/* SPDX-License-Identifier: BSD-2-Clause */
/* mspktgen: packet generator and counter (doc/man/mspktgen.1.scd).
 *
 * The main thread opens everything, starts the lanes, and then waits: for the next second, for a
 * signal, for the switch or the other end of the wire to go or to come. Lanes stop while the wire has
 * no other end. */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"
#include "json.h"
#include "latency.h"
#include "mspktgen.h"

#define TICK_MS     100
#define SECOND_NS   1000000000ULL
#define DISPATCH_NS (SECOND_NS / 2) /* a call for each port, away from the lanes */

static struct options options = {
    .rings = 1,
    .ports = 1,
    .burst = 1,
};

static const char *direction = "tx";

struct run {
    struct setup setup;
    pthread_t threads[THREADS_MAX];
    bool stop; /* for the lanes */
    bool running;
    int signal_fd;
    uint64_t began_ns, ended_ns, cpu_began_ns;
    struct lane_counters shown; /* at the last line */
    uint64_t shown_ns;
};

static uint64_t cpu_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ── what was done ── */

static struct lane_counters sum_up(const struct setup *setup)
{
    struct lane_counters sum = {0};

    for (uint32_t i = 0; i < setup->lane_count; i++) {
        const uint64_t *from = (const uint64_t *)&setup->lanes[i].counters;
        uint64_t *to = (uint64_t *)&sum;

        for (size_t at = 0; at < sizeof(sum) / sizeof(*to); at++)
            to[at] += __atomic_load_n(&from[at], __ATOMIC_RELAXED);
    }
    return sum;
}

static void print_rate(const char *what, uint64_t packets, uint64_t bytes, double seconds)
{
    printf(" %s %.3f Mpps, %.2f Gbit/s", what, (double)packets / seconds / 1e6,
           (double)bytes * 8 / seconds / 1e9);
}

/* A line for the second that is over. */
static void show_second(struct run *run, uint64_t now_ns)
{
    struct lane_counters now = sum_up(&run->setup);
    double seconds = (double)(now_ns - run->shown_ns) / (double)SECOND_NS;

    printf("mspktgen:");
    if (options.work != WORK_RX)
        print_rate("sent", now.sent - run->shown.sent, now.sent_bytes - run->shown.sent_bytes,
                   seconds);
    if (options.work == WORK_LOOP)
        putchar(',');
    if (options.work != WORK_TX)
        print_rate("received", now.received - run->shown.received,
                   now.received_bytes - run->shown.received_bytes, seconds);
    putchar('\n');
    fflush(stdout);
    run->shown = now;
    run->shown_ns = now_ns;
}

static double per_packet(uint64_t ns, uint64_t packets)
{
    return packets ? (double)ns / (double)packets : 0;
}

static double microseconds(double ns)
{
    return ns / 1e3;
}

static double percentile(const struct histogram *histogram, double percent)
{
    return microseconds((double)histogram_percentile(histogram, percent));
}

static void json_latency(struct json *json, const struct histogram *round_trips)
{
    json_string(json, "mode", options.poll ? "polling" : "sleeping");
    json_object(json, "latency_us");
    json_real(json, "p50_us", percentile(round_trips, 50));
    json_real(json, "p99_us", percentile(round_trips, 99));
    json_real(json, "p999_us", percentile(round_trips, 99.9));
    json_real(json, "max_us", percentile(round_trips, 100));
    json_real(json, "min_us", microseconds((double)round_trips->least));
    json_real(json, "mean_us", microseconds(histogram_mean(round_trips)));
    json_end(json);
}

/* `round_trips`: NULL without --latency. */
static bool show_json(const struct lane_counters *sum, double seconds, uint64_t cpu_ns,
                      const struct histogram *round_trips)
{
    static const char *const works[] = {"tx", "rx", "loop"};
    struct json json = json_begin(stdout, true);
    bool sends = options.work != WORK_RX, receives = options.work != WORK_TX;
    uint64_t packets = receives ? sum->received : sum->sent;

    json_object(&json, NULL);
    json_string(&json, "work", works[options.work]);
    json_real(&json, "seconds", seconds);
    json_number(&json, "packets", packets);
    json_real(&json, "packets_per_second", (double)packets / seconds);
    json_real(&json, "bits_per_second",
              (double)(receives ? sum->received_bytes : sum->sent_bytes) * 8 / seconds);
    json_real(&json, "cpu_ns_per_packet", per_packet(cpu_ns, packets));
    if (sends) {
        json_number(&json, "sent", sum->sent);
        json_number(&json, "sent_bytes", sum->sent_bytes);
        if (!options.latency)
            json_real(&json, "send_ns_per_packet", per_packet(sum->send_ns, sum->sent));
    }
    if (receives) {
        json_number(&json, "received", sum->received);
        json_number(&json, "received_bytes", sum->received_bytes);
        if (!options.latency)
            json_real(&json, "receive_ns_per_packet", per_packet(sum->receive_ns, sum->received));
    }
    if (receives && (options.verify || options.latency)) {
        json_number(&json, "bad", sum->bad);
        json_number(&json, "lost", sum->lost);
        json_number(&json, "late", sum->late);
    }
    json_number(&json, "sleeps", sum->sleeps);
    if (round_trips)
        json_latency(&json, round_trips);
    json_end(&json);
    return json_finish(&json);
}

static void show_latency(const struct lane_counters *sum, double seconds,
                         const struct histogram *round_trips)
{
    printf("mspktgen: in %.2f s: %" PRIu64 " round trips, in µs: p50 %.2f, p99 %.2f, p99.9 %.2f, "
           "max %.2f, min %.2f; %" PRIu64 " bad, %" PRIu64 " lost, %" PRIu64 " late\n",
           seconds, round_trips->count, percentile(round_trips, 50), percentile(round_trips, 99),
           percentile(round_trips, 99.9), percentile(round_trips, 100),
           microseconds((double)round_trips->least), sum->bad, sum->lost, sum->late);
}

static int show_all(struct run *run)
{
    static const struct histogram none; /* the wire never had another end */
    const struct histogram *round_trips = NULL;
    struct lane_counters sum = sum_up(&run->setup);
    uint64_t cpu_ns = cpu_clock() - run->cpu_began_ns;
    double seconds = (double)(run->ended_ns - run->began_ns) / (double)SECOND_NS;

    if (seconds <= 0)
        seconds = 1e-9;
    if (options.latency)
        round_trips = run->setup.lanes ? run->setup.lanes[0].round_trips : &none;
    if (options.json)
        return show_json(&sum, seconds, cpu_ns, round_trips) ? CLI_OK : CLI_FAILURE;
    if (round_trips) {
        show_latency(&sum, seconds, round_trips);
        return ferror(stdout) ? CLI_FAILURE : CLI_OK;
    }
    printf("mspktgen: in %.2f s:", seconds);
    if (options.work != WORK_RX) {
        printf(" sent %" PRIu64 " packets,", sum.sent);
        print_rate("at", sum.sent, sum.sent_bytes, seconds);
    }
    if (options.work == WORK_LOOP)
        putchar(';');
    if (options.work != WORK_TX) {
        printf(" received %" PRIu64 " packets,", sum.received);
        print_rate("at", sum.received, sum.received_bytes, seconds);
    }
    if (options.work != WORK_TX && options.verify)
        printf("; %" PRIu64 " bad, %" PRIu64 " lost, %" PRIu64 " late", sum.bad, sum.lost,
               sum.late);
    putchar('\n');
    return ferror(stdout) ? CLI_FAILURE : CLI_OK;
}

/* ── running ── */

static int start_lanes(struct run *run)
{
    struct setup *setup = &run->setup;

    if (setup_deal(setup))
        return CLI_FAILURE;
    run->stop = false;
    if (!run->began_ns) {
        run->began_ns = run->shown_ns = lane_clock();
        run->cpu_began_ns = cpu_clock();
    }
    for (uint32_t i = 0; i < setup->lane_count; i++) {
        struct lane *lane = &setup->lanes[i];
        int status;

        lane->stop = &run->stop;
        status = -lane_init(lane);
        if (!status)
            status = pthread_create(&run->threads[i], NULL,
                                    options.latency ? latency_run : lane_run, lane);
        if (status) {
            cli_error("threads: %s", strerror(status));
            return CLI_FAILURE;
        }
    }
    run->running = true;
    return CLI_OK;
}

static void stop_lanes(struct run *run)
{
    if (!run->running)
        return;
    __atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < run->setup.lane_count; i++) {
        pthread_join(run->threads[i], NULL);
        close(run->setup.lanes[i].epoll_fd);
        run->setup.lanes[i].epoll_fd = -1;
    }
    run->running = false;
    run->ended_ns = lane_clock();
}

static bool some_lane_is_broken(const struct run *run)
{
    for (uint32_t i = 0; i < run->setup.lane_count; i++) {
        if (__atomic_load_n(&run->setup.lanes[i].broken, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* The wire's other end comes and goes. 0, or CLI_FAILURE. */
static int serve_wire(struct run *run)
{
    struct wire_meeting *meeting = &run->setup.meeting;
    const char *problem = meeting->problem;
    enum wire_event event;

    if (run->running && some_lane_is_broken(run)) {
        cli_error("%s: the other end broke the rules of the ring", options.wire);
        wire_meeting_drop(meeting);
        event = WIRE_DOWN;
    } else {
        event = wire_meeting_step(meeting, lane_clock());
    }
    if (meeting->problem && meeting->problem != problem)
        cli_error("%s: %s", options.wire, meeting->problem);
    if (event == WIRE_UP) {
        if (!options.json)
            fprintf(stderr, "mspktgen: %s: link is up\n", options.wire);
        return start_lanes(run);
    }
    if (event == WIRE_DOWN) {
        fprintf(stderr, "mspktgen: %s: link is down: its other end is away\n", options.wire);
        stop_lanes(run);
        setup_take_back(&run->setup);
    }
    return CLI_OK;
}

static bool all_sent(const struct run *run)
{
    struct lane_counters sum;

    if (!options.count || (options.work != WORK_TX && !options.latency))
        return false;
    sum = sum_up(&run->setup);
    return sum.sent >= options.count &&
           (!options.latency || sum.received + sum.lost >= options.count);
}

/* Packets are sent when the switch has taken them: the port would take them along when it closes. */
static void drain(const struct run *run)
{
    uint64_t until_ns = lane_clock() + SECOND_NS;

    for (uint32_t i = 0; options_ports_send(&options) && i < run->setup.outlet_count; i++) {
        const struct end *end = &run->setup.outlets[i].end;
        struct ms_packet packets[64];

        /* room for a packet of half the ring, with as much to spare, is an empty ring */
        while (lane_clock() < until_ns) {
            while (ms_receive(end->port, end->ring, packets, 64))
                ms_receive_done(end->port, end->ring);
            if (!ms_ring_wait(end->port, end->ring, UINT32_MAX) &&
                !ms_receive(end->port, end->ring, packets, 1))
                break;
            ms_receive_done(end->port, end->ring);
            poll(&(struct pollfd){.fd = end->fd, .events = POLLIN}, 1, 10);
        }
    }
}

static int wait_and_serve(struct run *run)
{
    struct pollfd wanted[2] = {{.fd = run->signal_fd, .events = POLLIN},
                               {.fd = run->setup.meeting.epoll_fd, .events = POLLIN}};
    uint64_t end_ns = 0, dispatched_ns = 0;

    for (;;) {
        uint64_t now_ns = lane_clock();

        if (options.wire && serve_wire(run))
            return CLI_FAILURE;
        if (run->began_ns && options.duration_s)
            end_ns = run->began_ns + options.duration_s * SECOND_NS;
        if ((end_ns && now_ns >= end_ns) || all_sent(run))
            return CLI_OK;
        if (run->running && !options.json && now_ns >= run->shown_ns + SECOND_NS)
            show_second(run, now_ns);
        poll(wanted, options.wire ? 2 : 1, TICK_MS);
        if (wanted[0].revents & POLLIN)
            return CLI_OK;
        if (now_ns - dispatched_ns < DISPATCH_NS)
            continue;
        dispatched_ns = now_ns;
        for (uint32_t i = 0; i < run->setup.port_count; i++)
            ms_dispatch(run->setup.ports[i]);
    }
}

static int go(struct run *run)
{
    sigset_t signals;
    int status;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    run->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (run->signal_fd < 0) {
        cli_error("signals cannot be waited for");
        return CLI_FAILURE;
    }
    status = setup_open(&run->setup, &options);
    if (status)
        return status;
    if (!options.wire)
        status = start_lanes(run);
    else if (!options.json)
        fprintf(stderr, "mspktgen: %s: waits for the other end of the wire\n", options.wire);
    if (!status)
        status = wait_and_serve(run);
    if (run->running)
        run->ended_ns = lane_clock();
    stop_lanes(run);
    if (!status && options.work == WORK_TX)
        drain(run);
    if (!status)
        status = show_all(run);
    return status;
}

static const char *set_from(const char *text)
{
    return options_parse_endpoints(text, &options.from);
}

static const char *set_to(const char *text)
{
    return options_parse_endpoints(text, &options.to);
}

static const char *set_cpus(const char *text)
{
    return options_parse_cpus(text, options.cpus, &options.cpu_count);
}

static const char *const directions[] = {"tx", "rx", NULL};

static const struct cli_option table[] = {
    {"from", 'f', "ADDR:PORT[-PORT]", "where packets come from", CLI_CALL, .call = set_from},
    {"to", 't', "ADDR:PORT[-PORT]", "where packets go to; rx on ports: what is bound", CLI_CALL,
     .call = set_to},
    {"wire", 'w', "PATH", "be the far end of this wire, instead of ports", CLI_STRING,
     &options.wire},
    {"direction", 'd', "DIR", "loop: tx (ports send, the wire counts) or rx (tx)", CLI_CHOICE,
     &direction, .choices = directions},
    {"size", 's', "BYTES", "of the Ethernet frame with its check sequence (64)", CLI_NUMBER,
     &options.size, .least = FRAME_SIZE_MIN, .most = FRAME_SIZE_MAX},
    {"rate", 'r', "PPS", "packets per second (as many as it goes)", CLI_NUMBER, &options.rate,
     .least = 1},
    {"count", 'c', "N", "end after so many packets sent", CLI_NUMBER, &options.count, .least = 1},
    {"duration", 'D', "SECONDS", "end after so long", CLI_NUMBER, &options.duration_s, .least = 1,
     .most = 1000000},
    {"burst", 'b', "N", "packets to one port number before the next has its turn (1)", CLI_NUMBER,
     &options.burst, .least = 1, .most = 1000000},
    {"ports", 'p', "N", "ports of the switch, each with port numbers of its own (1)", CLI_NUMBER,
     &options.ports, .least = 1, .most = PORTS_MAX},
    {"idle-ports", 0, "N", "more ports, that do nothing (0)", CLI_NUMBER, &options.idle_ports,
     .most = PORTS_MAX},
    {"rings", 'R', "N", "rings of each port, or queues of the wire (1)", CLI_NUMBER, &options.rings,
     .least = 1, .most = WIRE_QUEUES_MAX},
    {"ring-size", 0, "BYTES", "of each ring of a port (as the switch is set)", CLI_NUMBER,
     &options.ring_size, .least = 8192, .most = 64 << 20},
    {"threads", 'T', "N", "threads, which share the rings (1)", CLI_NUMBER, &options.threads,
     .least = 1, .most = THREADS_MAX},
    {"cpus", 0, "LIST", "a processor for each thread, such as 0-2,5", CLI_CALL, .call = set_cpus},
    {"poll", 0, NULL, "never sleep", CLI_FLAG, &options.poll},
    {"latency", 0, NULL, "loop: send one packet at a time round and back, say how long it takes",
     CLI_FLAG, &options.latency},
    {"verify", 'v', NULL, "check each packet received: checksums, and what was lost or late",
     CLI_FLAG, &options.verify},
    {"port", 'P', "NAME", "the name of the ports, for the operator (mspktgen)", CLI_STRING,
     &options.name},
    {"json", 'j', NULL, "print JSON, at the end", CLI_FLAG, &options.json},
    CLI_CONTROL_OPTION(&options.control),
    {0}};

static const struct cli_program program = {
    "mspktgen", "tx|rx|loop [OPTIONS]",
    "Makes packets (tx), counts packets (rx), or does both in one process (loop), over ports\n"
    "of the MultiStack switch or on the far end of a wire.",
    table,
    "Packets are TCP data segments with right checksums, whose sequence numbers move. Ends on\n"
    "SIGINT and SIGTERM, and says what it has counted. See mspktgen(1)."};

int main(int argc, char **argv)
{
    static struct run run;
    int first = cli_parse(&program, argc, argv), status;
    const char *why;

    if (first >= argc)
        cli_wrong_usage("what is to be done? tx, rx or loop");
    if (first + 1 < argc)
        cli_wrong_usage("unexpected argument `%s`", argv[first + 1]);
    if (!strcmp(argv[first], "tx"))
        options.work = WORK_TX;
    else if (!strcmp(argv[first], "rx"))
        options.work = WORK_RX;
    else if (!strcmp(argv[first], "loop"))
        options.work = WORK_LOOP;
    else
        cli_wrong_usage("`%s`: neither tx, rx nor loop", argv[first]);
    options.loop_sends_by_ports = !strcmp(direction, "tx");
    why = options_complete(&options);
    if (why)
        cli_wrong_usage("%s", why);
    status = go(&run);
    setup_close(&run.setup);
    return status;
}
