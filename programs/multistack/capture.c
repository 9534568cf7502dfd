/* SPDX-License-Identifier: BSD-2-Clause */
/* `multistack capture`: what tcpdump(1) is for the host's own packets, for those that the switch moves.
 * The switch copies (switch/capture.h); here they are filtered, by libpcap's classic BPF, and written. */
#include "capture_packet.h"
#include "capture_port.h"
#include "cli.h"
#include "json.h"
#include "multistack.h"
#include "pcapng.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SNAP_DEFAULT 262144
#define AT_ONCE      4096 /* packets before rings are given back */
#define BUFFER_LEAST 256  /* KiB: a packet of 64 KB fits */
#define FILTER_MAX   8192

static struct request request;
static const char *interface, *path;
static uint64_t wanted, snap = SNAP_DEFAULT, buffer_kib = 4096;

static const struct cli_option options[] = {
    {"interface", 'i', "NIC|PORT", "what to capture: a NIC, or a port by number or name (all NICs)",
     CLI_STRING, &interface},
    {"write", 'w', "FILE", "write pcapng to FILE; - is standard output", CLI_STRING, &path},
    {"count", 'c', "N", "end after N packets", CLI_NUMBER, &wanted, .least = 1},
    {"snapshot-length", 's', "BYTES", "keep so much of each packet (262144)", CLI_NUMBER, &snap,
     .least = 1, .most = SNAP_DEFAULT},
    {"buffer-size", 'B', "KIB", "room for packets not yet taken, of each worker (4096)", CLI_NUMBER,
     &buffer_kib, .least = BUFFER_LEAST, .most = RING_SIZE_MAX / 1024},
    {"json", 'j', NULL, "print JSON, a line for each packet", CLI_FLAG, &request.json},
    CLI_CONTROL_OPTION(&request.control),
    {0}};

static const struct cli_program program = {
    "multistack", "capture [OPTIONS] [FILTER]",
    "Shows or writes the packets of stacks, as the switch moves them.", options,
    "FILTER is as tcpdump(1) takes it (pcap-filter(7)). Ends on SIGINT and SIGTERM."};

/* ── what is going on ── */

struct capture {
    struct capture_port port;
    char filter_text[FILTER_MAX];
    struct bpf_program filters[2]; /* for frames of NICs, and for packets of ports */
    int out_fd;                    /* of the file; -1: lines of text */
    struct pcapng *file;           /* NULL: lines of text */
    uint64_t began_ns;
    uint64_t written, passed_over;
};

static volatile sig_atomic_t stopped;
static int stop_fd = -1;

static void on_signal(int number)
{
    const uint64_t one = 1;
    int before = errno;

    (void)number;
    stopped = 1;
    alarm(1); /* and again: a write that begins to wait after this is to end as well */
    if (write(stop_fd, &one, sizeof(one)) < 0) {
        /* it is readable already */
    }
    errno = before;
}

/* Not restarted: a write to a reader that does not read is to end. The second signal ends us as it
 * would have the first time. */
static void hear_signals(struct capture *capture)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct epoll_event event = {.events = EPOLLIN};

    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_flags = 0;
    sigaction(SIGALRM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (stop_fd >= 0)
        epoll_ctl(capture->port.epoll_fd, EPOLL_CTL_ADD, stop_fd, &event);
}

static uint64_t wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool is_nic(const struct capture_source *source)
{
    return source->kind == CONTROL_CAPTURE_NIC;
}

/* ── the filter ── */

static void join_filter(char **words, int count, char text[FILTER_MAX])
{
    size_t used = 0;

    for (int i = 0; i < count; i++) {
        int length = snprintf(text + used, FILTER_MAX - used, "%s%s", i ? " " : "", words[i]);

        used += (size_t)length;
        if (used >= FILTER_MAX)
            cli_wrong_usage("the filter is longer than %d bytes", FILTER_MAX - 1);
    }
}

static void compile_filter(const char *text, int link_type, struct bpf_program *filter)
{
    pcap_t *handle = pcap_open_dead(link_type, SNAP_DEFAULT);

    if (!handle) {
        cli_error("filter: no memory");
        exit(CLI_FAILURE);
    }
    if (pcap_compile(handle, filter, text, 1, PCAP_NETMASK_UNKNOWN))
        cli_wrong_usage("filter `%s`: %s", text, pcap_geterr(handle));
    pcap_close(handle);
}

static bool filter_passes(const struct capture *capture, const struct capture_source *source,
                          const struct capture_ring *taken)
{
    const struct pcap_pkthdr header = {.caplen = taken->captured, .len = taken->head.length};

    return !*capture->filter_text ||
           pcap_offline_filter(&capture->filters[!is_nic(source)], &header, taken->packet);
}

/* ── what is written ── */

static int write_packet(struct capture *capture, const struct capture_ring *taken)
{
    const struct capture_source *source = &capture->port.sources[taken->head.source];
    const struct pcapng_packet packet = {
        .interface = taken->head.source,
        .flags = taken->head.flags & CAPTURE_OUTBOUND ? PCAPNG_OUTBOUND : PCAPNG_INBOUND,
        .time_ns = taken->head.time_ns,
        .captured = taken->captured,
        .length = taken->head.length,
    };
    struct capture_view view;
    int error;
    uint8_t *bytes = pcapng_reserve(capture->file, &packet, &error);

    if (!bytes)
        return error;
    memcpy(bytes, taken->packet, packet.captured);
    capture_parse(bytes, packet.captured, is_nic(source), &view);
    capture_fill_checksum(bytes, packet.captured, &view, taken->head.flags);
    pcapng_commit(capture->file, &packet);
    return 0;
}

static void print_json(const struct capture_source *source, const struct capture_ring *taken,
                       const struct capture_view *view)
{
    struct json json = json_begin(stdout, false);
    int family = view->family == 4 ? AF_INET : AF_INET6;
    char text[CAPTURE_LINE_SIZE];

    json_object(&json, NULL);
    json_number(&json, "time_ns", taken->head.time_ns);
    json_string(&json, "interface", source->name);
    json_string(&json, "direction", taken->head.flags & CAPTURE_OUTBOUND ? "out" : "in");
    json_number(&json, "length_bytes", taken->head.length);
    if (view->family) {
        json_string(&json, "source_address",
                    inet_ntop(family, taken->packet + view->source, text, sizeof(text)));
        json_string(&json, "destination_address",
                    inet_ntop(family, taken->packet + view->destination, text, sizeof(text)));
        json_number(&json, "protocol", view->protocol);
    }
    if (view->has_ports) {
        json_number(&json, "source_port", view->source_port);
        json_number(&json, "destination_port", view->destination_port);
    }
    if (view->has_ports && view->protocol == IPPROTO_TCP)
        json_string(&json, "tcp_flags", capture_flags(view->tcp_flags, text));
    json_end(&json);
    putchar('\n');
}

static void print_text(const struct capture_source *source, const struct capture_ring *taken,
                       const struct capture_view *view)
{
    time_t seconds = (time_t)(taken->head.time_ns / 1000000000);
    char clock[16], line[CAPTURE_LINE_SIZE], name[CONTROL_NAME_SIZE];
    struct tm local;

    localtime_r(&seconds, &local);
    strftime(clock, sizeof(clock), "%H:%M:%S", &local);
    printf("%s.%09" PRIu64 " %s %-3s %s, %" PRIu32 " bytes\n", clock,
           taken->head.time_ns % 1000000000, text_name(source->name, name),
           taken->head.flags & CAPTURE_OUTBOUND ? "out" : "in",
           capture_line(taken->packet, view, line), taken->head.length);
}

static int show_packet(const struct capture *capture, const struct capture_ring *taken)
{
    const struct capture_source *source = &capture->port.sources[taken->head.source];
    struct capture_view view;

    capture_parse(taken->packet, taken->captured, is_nic(source), &view);
    if (request.json)
        print_json(source, taken, &view);
    else
        print_text(source, taken, &view);
    return ferror(stdout) ? -errno : 0;
}

static int flush(struct capture *capture)
{
    if (capture->file)
        return pcapng_flush(capture->file);
    return fflush(stdout) ? -errno : 0;
}

/* ── the loop ── */

/* Takes up to `most` of what is there. The number, or a negative errno of writing. */
static int take(struct capture *capture, int most)
{
    struct capture_port *port = &capture->port;
    struct capture_ring *taken;
    int count = 0, error = 0;

    if (!capture_port_look(port))
        return -EPROTO;
    while (!error && count < most && !(wanted && capture->written >= wanted) &&
           (taken = capture_port_next(port))) {
        struct capture_source *source = &port->sources[taken->head.source];

        count++;
        if (!filter_passes(capture, source, taken)) {
            capture->passed_over++;
            continue;
        }
        error = capture->file ? write_packet(capture, taken) : show_packet(capture, taken);
        source->written += !error;
        capture->written += !error;
    }
    capture_port_release(port);
    return error ? error : count;
}

/* Until it is to end. 0, or a negative errno of writing; *over: why the switch ended it. */
static int run(struct capture *capture, int *over)
{
    int count = 0;
    bool open = true;

    while (open && !stopped && !(wanted && capture->written >= wanted)) {
        if (count < AT_ONCE)
            capture_port_wait(&capture->port, count > 0);
        open = capture_port_hear(&capture->port, over);
        count = take(capture, AT_ONCE);
        if (!count)
            count = flush(capture);
        if (count < 0)
            return count;
    }
    /* what was there by then */
    count = take(capture, INT32_MAX);
    return count < 0 ? count : 0;
}

/* ── the end ── */

/* What the switch counted for our sources; data NULL: it is gone. */
static void ask_counts(const struct capture *capture, struct records *counts)
{
    if (capture->port.socket_fd >= 0)
        query_once(&request, CONTROL_SUBJECT_CAPTURES, sizeof(struct control_capture_record),
                   counts);
}

static const struct control_capture_record *count_of(const struct capture *capture,
                                                     const struct records *counts, uint32_t source)
{
    const struct control_capture_record *record = counts->data;

    for (size_t i = 0; i < counts->count; i++) {
        if (record[i].port == capture->port.number && record[i].source == source)
            return &record[i];
    }
    return NULL;
}

static int write_statistics(struct capture *capture, const struct records *counts)
{
    int error = 0;

    for (uint32_t i = 0; !error && i < capture->port.source_count; i++) {
        const struct control_capture_record *count = count_of(capture, counts, i);
        const struct capture_source *source = &capture->port.sources[i];
        const struct pcapng_statistics statistics = {
            .begin_ns = capture->began_ns,
            .end_ns = wall_clock(),
            .received = count ? count->captured + count->dropped : PCAPNG_COUNT_UNSET,
            .dropped = count ? count->dropped : PCAPNG_COUNT_UNSET,
            .accepted = source->written,
            .delivered = source->written,
        };

        error = pcapng_statistics(capture->file, i, &statistics);
    }
    return error;
}

static void say_counts(const struct capture *capture, const struct records *counts)
{
    uint64_t dropped = 0;
    bool known = false;

    for (uint32_t i = 0; i < capture->port.source_count; i++) {
        const struct control_capture_record *count = count_of(capture, counts, i);

        dropped += count ? count->dropped : 0;
        known |= count != NULL;
    }
    fprintf(stderr, "%" PRIu64 " packets captured, %" PRIu64 " did not pass the filter",
            capture->written, capture->passed_over);
    if (known)
        fprintf(stderr, ", %" PRIu64 " dropped for want of room", dropped);
    fputc('\n', stderr);
}

/* A reader that has gone, or one that was given up, is an end like any other. */
static int finish(struct capture *capture, int error, int over)
{
    struct records counts = {0};

    ask_counts(capture, &counts);
    if (!error && capture->file)
        error = write_statistics(capture, &counts);
    if (!error)
        error = flush(capture);
    say_counts(capture, &counts);
    free(counts.data);
    if (error && error != -EPIPE && !(error == -EINTR && stopped)) {
        cli_error("%s: %s", capture->file ? path : "standard output", strerror(-error));
        if (error == -ENOSPC || error == -EFBIG)
            cli_hint("what was written before can be read");
        return CLI_FAILURE;
    }
    if (over) {
        cli_error("the switch has ended the capture: %s", strerror(-over));
        return CLI_FAILURE;
    }
    return CLI_OK;
}

/* ── the beginning ── */

static bool open_file(struct capture *capture)
{
    if (!path)
        return true;
    capture->out_fd = strcmp(path, "-") == 0
                          ? STDOUT_FILENO
                          : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (capture->out_fd == STDOUT_FILENO && isatty(STDOUT_FILENO)) {
        cli_error("standard output is a terminal: pcapng is not for people");
        cli_hint("`-w - | tshark -r -`, or a file, or no -w");
        return false;
    }
    if (capture->out_fd < 0) {
        cli_error("%s: %s", path, strerror(errno));
        return false;
    }
    capture->file = malloc(sizeof(*capture->file));
    if (!capture->file) {
        cli_error("no memory for the file's buffer");
        return false;
    }
    pcapng_begin(capture->file, capture->out_fd, "multistack " MULTISTACK_VERSION, &stopped);
    return true;
}

static int write_interfaces(struct capture *capture)
{
    int error = 0;

    for (uint32_t i = 0; !error && i < capture->port.source_count; i++) {
        const struct capture_source *source = &capture->port.sources[i];
        char name[CONTROL_NAME_SIZE];
        const struct pcapng_interface about = {
            .link_type = is_nic(source) ? PCAPNG_ETHERNET : PCAPNG_RAW,
            .snap = (uint32_t)snap,
            .name = text_name(source->name, name),
            .description =
                is_nic(source) ? "NIC of a MultiStack switch" : "port of a MultiStack switch",
            .filter = capture->filter_text,
        };

        error = pcapng_interface(capture->file, &about);
    }
    return error;
}

static void say_sources(const struct capture_port *port)
{
    char name[CONTROL_NAME_SIZE];

    fputs("capturing", stderr);
    for (uint32_t i = 0; i < port->source_count; i++)
        fprintf(stderr, "%s %s %s", i ? "," : "", is_nic(&port->sources[i]) ? "NIC" : "port",
                text_name(port->sources[i].name, name));
    fputc('\n', stderr);
}

static uint32_t ring_size(void)
{
    uint32_t size = BUFFER_LEAST * 1024;

    while (size < buffer_kib * 1024)
        size *= 2;
    return size;
}

static int capture(struct capture *capture)
{
    const struct capture_wish wish = {.request = &request,
                                      .interface = interface,
                                      .snap = (uint32_t)snap,
                                      .ring_size = ring_size()};
    int error = 0, over = 0;

    if (!capture_port_open(&capture->port, &wish) || !open_file(capture))
        return CLI_FAILURE;
    hear_signals(capture);
    capture->began_ns = wall_clock();
    say_sources(&capture->port);
    if (capture->file)
        error = write_interfaces(capture);
    if (!error) /* a reader sees that it has begun */
        error = flush(capture);
    if (!error)
        error = run(capture, &over);
    return finish(capture, error, over);
}

int capture_command(int argc, char **argv, int at)
{
    static struct capture whole = {.out_fd = -1};
    int first, status;

    /* the subcommand is none of its own operands; argv ends with NULL */
    memmove(argv + at, argv + at + 1, (size_t)(argc - at) * sizeof(*argv));
    argc--;
    first = cli_parse(&program, argc, argv);
    join_filter(argv + first, argc - first, whole.filter_text);
    compile_filter(whole.filter_text, DLT_EN10MB, &whole.filters[0]);
    compile_filter(whole.filter_text, DLT_RAW, &whole.filters[1]);
    status = capture(&whole);
    capture_port_close(&whole.port);
    if (whole.out_fd > STDERR_FILENO && close(whole.out_fd) && status == CLI_OK) {
        cli_error("%s: %s", path, strerror(errno));
        status = CLI_FAILURE;
    }
    free(whole.file);
    pcap_freecode(&whole.filters[0]);
    pcap_freecode(&whole.filters[1]);
    return status;
}
