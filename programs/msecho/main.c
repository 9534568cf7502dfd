/* SPDX-License-Identifier: BSD-2-Clause */
/* msecho: a UDP echo service (RFC 862), and the smallest complete example of a stack on
 * libmultistack: it has no TCP and no sockets, just packets.
 *
 *   ms_port_open, ms_bind
 *   serve_port:  ms_receive ─► parse ─► ms_reserve, write the answer, ms_commit ─► ms_flush
 *                   poll(ms_port_fd), ms_dispatch when there is nothing to do
 *   ms_port_close
 *
 * parse() trusts nothing: a packet comes from the wire. What it accepts is described in a struct
 * datagram, and answer() sees only that. With --stack kernel the same service runs on a socket. */
#include "checksum.h"
#include "cli.h"
#include "multistack.h"
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BATCH      64
#define LISTEN_MAX 16
#define ANSWER_TTL 64 /* RFC 1700, "current recommended default time to live" */

/* ── what is counted ── */

#define VERDICTS(X)                                                                                \
    X(ANSWERED, "answered")                                                                        \
    X(NOT_UDP, "not UDP (an ICMP error, most likely)")                                             \
    X(BAD_LENGTH, "with a wrong length")                                                           \
    X(BAD_CHECKSUM, "with a wrong checksum")                                                       \
    X(UNANSWERABLE, "from or to an address or port that cannot be answered")                       \
    X(NO_ROOM, "for want of room in the transmit ring")

enum verdict {
#define VERDICT_ENUM(symbol, text) symbol,
    VERDICTS(VERDICT_ENUM)
#undef VERDICT_ENUM
        VERDICT_COUNT
};

static uint64_t datagrams[VERDICT_COUNT];
static uint64_t answered_bytes;

static void print_counts(void)
{
    static const char *const texts[] = {
#define VERDICT_TEXT(symbol, text) text,
        VERDICTS(VERDICT_TEXT)
#undef VERDICT_TEXT
    };

    printf("msecho: answered %" PRIu64 " datagrams, %" PRIu64 " bytes\n", datagrams[ANSWERED],
           answered_bytes);
    for (int i = ANSWERED + 1; i < VERDICT_COUNT; i++)
        if (datagrams[i])
            printf("msecho: dropped %" PRIu64 " %s\n", datagrams[i], texts[i]);
}

/* ── a packet, in ── */

/* A checked UDP datagram. The pointers go into the received packet. */
struct datagram {
    bool ipv6;
    const uint8_t *source, *destination; /* 4 or 16 bytes */
    const struct wire_udp *udp;
    const uint8_t *payload;
    uint32_t payload_length;
};

static size_t address_size(const struct datagram *datagram)
{
    return datagram->ipv6 ? 16 : 4;
}

/* Finds addresses and the UDP header; *rest is what the IP header says lies behind itself. */
static enum verdict parse_ip(const struct ms_packet *packet, struct datagram *datagram,
                             uint32_t *rest)
{
    const struct wire_ipv4 *ipv4 = (const struct wire_ipv4 *)packet->data;
    const struct wire_ipv6 *ipv6 = (const struct wire_ipv6 *)packet->data;
    uint32_t header, total;
    uint8_t protocol;

    if (packet->length < IPV4_HEADER_MIN)
        return BAD_LENGTH;
    datagram->ipv6 = packet->data[0] >> 4 == 6;
    if (datagram->ipv6) {
        if (packet->length < IPV6_HEADER_SIZE)
            return BAD_LENGTH;
        header = IPV6_HEADER_SIZE;
        total = header + ntohs(ipv6->payload_length);
        protocol = ipv6->next_header;
        datagram->source = ipv6->source;
        datagram->destination = ipv6->destination;
    } else {
        header = 4U * (ipv4->version_ihl & 0xf);
        total = ntohs(ipv4->total_length);
        protocol = ipv4->protocol;
        datagram->source = ipv4->source;
        datagram->destination = ipv4->destination;
        if (ntohs(ipv4->fragment) & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
            return BAD_LENGTH;
    }
    if (total > packet->length || header < IPV4_HEADER_MIN || header > total)
        return BAD_LENGTH;
    if (protocol != IP_PROTOCOL_UDP)
        return NOT_UDP;
    datagram->udp = (const struct wire_udp *)(packet->data + header);
    *rest = total - header;
    return *rest < UDP_HEADER_SIZE ? BAD_LENGTH : ANSWERED;
}

/* RFC 768; RFC 8200 section 8.1 for IPv6, which does not allow "no checksum". */
static bool checksum_fits(const struct datagram *datagram, uint16_t flags)
{
    uint16_t length = ntohs(datagram->udp->length);
    uint64_t sum = checksum_pseudo_header(datagram->source, datagram->destination,
                                          address_size(datagram), IP_PROTOCOL_UDP, length);

    if (datagram->udp->checksum == 0)
        return !datagram->ipv6;
    /* A sender on this machine leaves the rest of the sum to hardware that is not there. */
    if ((flags & MS_RX_CHECKSUM_PARTIAL) && datagram->udp->checksum == checksum_fold(sum))
        return true;
    return checksum_finish(checksum_add(sum, datagram->udp, length)) == 0;
}

/* Whether an answer makes sense. Nobody may be answered at a group, at no address or at port 0, nor
 * can we speak as a group. And two echo services must not be made to answer each other for ever by
 * one forged datagram: hence no answer to our own port number. */
static bool is_answerable(const struct datagram *datagram)
{
    static const uint8_t unspecified[16] = {0};

    if (datagram->udp->source_port == 0 ||
        datagram->udp->source_port == datagram->udp->destination_port ||
        memcmp(datagram->source, unspecified, address_size(datagram)) == 0)
        return false;
    if (datagram->ipv6)
        return datagram->source[0] != 0xff && datagram->destination[0] != 0xff;
    return datagram->source[0] < 224 && datagram->destination[0] < 224;
}

static enum verdict parse(const struct ms_packet *packet, struct datagram *datagram)
{
    uint32_t rest, length;
    enum verdict verdict = parse_ip(packet, datagram, &rest);

    if (verdict != ANSWERED)
        return verdict;
    length = ntohs(datagram->udp->length);
    if (length < UDP_HEADER_SIZE || length > rest)
        return BAD_LENGTH;
    if (!checksum_fits(datagram, packet->flags))
        return BAD_CHECKSUM;
    if (!is_answerable(datagram))
        return UNANSWERABLE;
    datagram->payload = (const uint8_t *)datagram->udp + UDP_HEADER_SIZE;
    datagram->payload_length = length - UDP_HEADER_SIZE;
    return ANSWERED;
}

/* ── a packet, out ── */

static void write_ipv4(uint8_t *packet, const struct datagram *datagram, uint16_t udp_length)
{
    /* An id of 0 and "don't fragment": an atomic datagram, RFC 6864 section 4.1. */
    struct wire_ipv4 ip = {
        .version_ihl = 0x45,
        .total_length = htons((uint16_t)(IPV4_HEADER_MIN + udp_length)),
        .fragment = htons(IPV4_DONT_FRAGMENT),
        .ttl = ANSWER_TTL,
        .protocol = IP_PROTOCOL_UDP,
    };

    memcpy(ip.source, datagram->destination, sizeof(ip.source));
    memcpy(ip.destination, datagram->source, sizeof(ip.destination));
    ip.checksum = checksum_finish(checksum_add(0, &ip, sizeof(ip)));
    memcpy(packet, &ip, sizeof(ip));
}

static void write_ipv6(uint8_t *packet, const struct datagram *datagram, uint16_t udp_length)
{
    struct wire_ipv6 ip = {
        .version_class_flow = htonl(6U << 28),
        .payload_length = htons(udp_length),
        .next_header = IP_PROTOCOL_UDP,
        .hop_limit = ANSWER_TTL,
    };

    memcpy(ip.source, datagram->destination, sizeof(ip.source));
    memcpy(ip.destination, datagram->source, sizeof(ip.destination));
    memcpy(packet, &ip, sizeof(ip));
}

static enum verdict answer(struct ms_port *port, const struct datagram *datagram)
{
    uint16_t udp_length = (uint16_t)(UDP_HEADER_SIZE + datagram->payload_length);
    uint32_t header = datagram->ipv6 ? IPV6_HEADER_SIZE : IPV4_HEADER_MIN;
    struct wire_udp udp = {
        .source_port = datagram->udp->destination_port,
        .destination_port = datagram->udp->source_port,
        .length = htons(udp_length),
    };
    uint8_t *packet = ms_reserve(port, 0, header + udp_length);
    uint64_t sum;

    if (!packet)
        return NO_ROOM;
    if (datagram->ipv6)
        write_ipv6(packet, datagram, udp_length);
    else
        write_ipv4(packet, datagram, udp_length);
    memcpy(packet + header, &udp, sizeof(udp));
    memcpy(packet + header + sizeof(udp), datagram->payload, datagram->payload_length);
    sum = checksum_pseudo_header(datagram->destination, datagram->source, address_size(datagram),
                                 IP_PROTOCOL_UDP, udp_length);
    udp.checksum = checksum_finish(checksum_add(sum, packet + header, udp_length));
    if (udp.checksum == 0) /* 0 means "no checksum": RFC 768 sends all ones instead */
        udp.checksum = 0xffff;
    memcpy(packet + header, &udp, sizeof(udp));
    ms_commit(port, 0, header + udp_length, NULL);
    answered_bytes += datagram->payload_length;
    return ANSWERED;
}

static void serve_batch(struct ms_port *port)
{
    struct ms_packet packets[BATCH];
    unsigned count = ms_receive(port, 0, packets, BATCH);

    for (unsigned i = 0; i < count; i++) {
        struct datagram datagram;
        enum verdict verdict = parse(&packets[i], &datagram);

        if (verdict == ANSWERED)
            verdict = answer(port, &datagram);
        datagrams[verdict]++;
    }
    ms_flush(port, 0);
    ms_receive_done(port, 0); /* the datagrams pointed into the packets up to here */
}

static void say_events(struct ms_port *port)
{
    struct ms_event event = {.size = sizeof(event)};
    struct sockaddr_storage address;

    while (ms_next_event(port, &event)) {
        socklen_t length = sizeof(address);

        if ((event.kind == MS_EVENT_SUSPENDED || event.kind == MS_EVENT_RESTORED) &&
            ms_binding_address(port, event.binding, (struct sockaddr *)&address, &length) == 0)
            cli_say_suspended((const struct sockaddr *)&address, event.error);
    }
}

/* Serves until a signal comes. */
static void serve_port(struct ms_port *port, int signal_fd)
{
    struct pollfd wanted[] = {{.fd = ms_port_fd(port), .events = POLLIN},
                              {.fd = signal_fd, .events = POLLIN}};

    while (!(wanted[1].revents & POLLIN)) {
        serve_batch(port);
        if (poll(wanted, 2, ms_ring_wait(port, 0, 0) ? -1 : 0) > 0 && wanted[0].revents) {
            ms_dispatch(port);
            say_events(port);
        }
    }
}

/* ── starting and stopping ── */

struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

static struct endpoint endpoints[LISTEN_MAX];
static unsigned endpoint_count;
static const char *control, *stack = "multistack";

static const char *add_endpoint(const char *argument)
{
    struct endpoint *endpoint = &endpoints[endpoint_count];

    if (endpoint_count == LISTEN_MAX)
        return "too many";
    endpoint_count++;
    return cli_endpoint(argument, &endpoint->address, &endpoint->length);
}

static void say_listening(const struct sockaddr *address)
{
    char text[CLI_ENDPOINT_SIZE];

    printf("msecho: answering on udp %s (stack: %s)\n", cli_endpoint_text(address, text), stack);
    fflush(stdout);
}

static int cannot_listen(const struct endpoint *endpoint, int error)
{
    char text[CLI_ENDPOINT_SIZE];

    cli_error("%s: %s", cli_endpoint_text((const struct sockaddr *)&endpoint->address, text),
              strerror(error));
    if (error == EADDRINUSE)
        cli_hint("another program has it: `ss -lunp` and `multistack bindings` name it");
    else if (error == EACCES)
        cli_hint("ports below 1024 need root or the capability CAP_NET_BIND_SERVICE");
    return CLI_FAILURE;
}

static int run_on_port(int signal_fd)
{
    struct ms_port_options options = {.size = sizeof(options), .control_path = control};
    struct ms_port *port;
    int result = CLI_OK, error = ms_port_open(&port, &options);

    if (error) {
        cli_switch_error(control, error);
        return CLI_FAILURE;
    }
    for (unsigned i = 0; i < endpoint_count && result == CLI_OK; i++) {
        struct sockaddr_storage bound;
        socklen_t length = sizeof(bound);
        int binding = ms_bind(port, IPPROTO_UDP, (const struct sockaddr *)&endpoints[i].address,
                              endpoints[i].length);

        if (binding < 0)
            result = cannot_listen(&endpoints[i], -binding);
        else if (ms_binding_address(port, binding, (struct sockaddr *)&bound, &length) == 0)
            say_listening((const struct sockaddr *)&bound);
    }
    if (result == CLI_OK)
        serve_port(port, signal_fd);
    ms_port_close(port);
    return result;
}

/* The same service on the kernel's stack, to compare. */
static int run_on_sockets(int signal_fd)
{
    static uint8_t payload[IP_PACKET_MAX];
    struct pollfd wanted[LISTEN_MAX + 1] = {{.fd = signal_fd, .events = POLLIN}};

    for (unsigned i = 0; i < endpoint_count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&endpoints[i].address;
        int yes = 1, fd = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd >= 0 && address->sa_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
        if (fd < 0 || bind(fd, address, endpoints[i].length) < 0)
            return cannot_listen(&endpoints[i], errno);
        wanted[1 + i] = (struct pollfd){.fd = fd, .events = POLLIN};
        say_listening(address);
    }
    while (poll(wanted, 1 + endpoint_count, -1) >= 0 && !wanted[0].revents) {
        for (unsigned i = 1; i <= endpoint_count; i++) {
            struct sockaddr_storage peer;
            socklen_t length = sizeof(peer);
            ssize_t size = recvfrom(wanted[i].fd, payload, sizeof(payload), 0,
                                    (struct sockaddr *)&peer, &length);

            if (size < 0)
                continue;
            if (sendto(wanted[i].fd, payload, (size_t)size, 0, (const struct sockaddr *)&peer,
                       length) < 0) {
                datagrams[NO_ROOM]++;
                continue;
            }
            datagrams[ANSWERED]++;
            answered_bytes += (uint64_t)size;
        }
    }
    return CLI_OK;
}

static const char *const stacks[] = {"multistack", "kernel", NULL};

static const struct cli_option options[] = {
    {"listen", 'l', "ADDR:PORT", "where to answer; may be given several times", CLI_CALL,
     .call = add_endpoint},
    {"stack", 's', "NAME", "multistack (the default) or kernel", CLI_CHOICE, &stack,
     .choices = stacks},
    CLI_CONTROL_OPTION(&control),
    {0}};

static const struct cli_program program = {
    "msecho", "--listen ADDR:PORT [OPTIONS]",
    "UDP echo service (RFC 862) on a port of the MultiStack switch.", options,
    "Ends on SIGINT and SIGTERM, and says what it has counted."};

int main(int argc, char **argv)
{
    int result, signal_fd, first = cli_parse(&program, argc, argv);
    sigset_t signals;

    if (first < argc)
        cli_wrong_usage("unexpected argument `%s`", argv[first]);
    if (endpoint_count == 0)
        cli_wrong_usage("--listen is missing");
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0) {
        cli_error("signalfd: %s", strerror(errno));
        return CLI_FAILURE;
    }
    result = strcmp(stack, "kernel") == 0 ? run_on_sockets(signal_fd) : run_on_port(signal_fd);
    if (result == CLI_OK)
        print_counts();
    return result;
}
