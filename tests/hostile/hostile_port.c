/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_port MODE: an application that breaks one rule of the switch, and says what came of it in
 * one line, which tests read:
 *
 *   MODE outcome=alive|detached|closed|refused [reason=WORD] [errno=NAME] [COUNTER=N …] switch=alive|dead
 *
 *   outcome=alive      the connection still stands and the switch answers on it
 *   outcome=detached   the switch said that it cuts the port off, and why (DETACH_REASONS)
 *   outcome=closed     the connection was closed without a word
 *   outcome=refused    the request was answered with an error
 *   tx_packets=3 …     what the switch has counted about the port, drop reasons among it
 *   switch=alive       a new connection is welcomed and answered
 *
 * Exit status 0: the switch is alive. 1: it is not, or the mode could not be set up. */
#include "cli.h"
#include "hostile.h"
#include "reasons.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *control;
uint64_t duration_ms = 500, seed = 1;
struct sockaddr_in address, peer;
char more[128];

static const char *address_text = "127.0.0.1", *peer_text = "192.0.2.1";

uint64_t random_next(void)
{
    /* xorshift64*: the same bytes for the same seed */
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1dULL;
}

void random_fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(random_next() >> 32);
}

int64_t end_of_duration(void)
{
    return control_client__now_ms() + (int64_t)duration_ms;
}

struct raw_port connected(void)
{
    struct raw_port port;

    raw_connect(&port, control);
    return port;
}

struct raw_port greeted(void)
{
    struct raw_port port = connected();

    raw_hello(&port);
    return port;
}

struct raw_port opened(void)
{
    struct raw_port port = greeted();

    raw_open(&port);
    return port;
}

struct raw_port bound(void)
{
    struct raw_port port = opened();

    raw_bind(&port, IPPROTO_UDP, &address);
    return port;
}

static const char *reason_name(uint32_t reason)
{
    static const char *const names[] = {
#define NAME(symbol, name, text) name,
        DETACH_REASONS(NAME)
#undef NAME
    };

    return reason < DETACH_REASON_COUNT ? names[reason] : "unknown";
}

static int run(const struct mode *mode)
{
    static const char *const fates[] = {"alive", "detached", "closed", "refused"};
    struct raw_port port = mode->begin();
    struct raw_outcome outcome = mode->run(&port);
    char counters[512] = "";
    bool lives;

    if (port.memory && outcome.fate == RAW_ALIVE)
        raw_counters(&port, counters, sizeof(counters));
    raw_close(&port);
    lives = raw_switch_lives(control);
    printf("%s outcome=%s", mode->name, fates[outcome.fate]);
    if (outcome.fate == RAW_DETACHED)
        printf(" reason=%s", reason_name(outcome.reason));
    if (outcome.fate == RAW_REFUSED)
        printf(" errno=%s", strerrorname_np(outcome.error));
    printf("%s%s switch=%s\n", more, counters, lives ? "alive" : "dead");
    return lives ? CLI_OK : CLI_FAILURE;
}

static const struct cli_option options[] = {
    {"address", 'a', "ADDR", "IPv4 address of the host to bind (127.0.0.1)", CLI_STRING,
     &address_text},
    {"peer", 'p', "ADDR", "IPv4 address to send to (192.0.2.1)", CLI_STRING, &peer_text},
    {"duration", 'd', "MS", "of the modes that go on for a while (500)", CLI_NUMBER, &duration_ms,
     .least = 1, .most = 600000},
    {"seed", 's', "N", "of all that is random (1)", CLI_NUMBER, &seed, .least = 1},
    CLI_CONTROL_OPTION(&control),
    {0}};

static const struct cli_program program = {
    "hostile_port", "[OPTIONS] MODE | list",
    "Breaks one rule of the MultiStack switch and says what came of it. `list` lists the modes.",
    options, NULL};

static const struct mode *const tables[] = {ring_modes,  packet_modes, control_modes, sharing_modes,
                                            range_modes, guard_modes,  NULL};

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);

    if (argc - first != 1)
        cli_wrong_usage("one MODE is wanted; `list` lists them");
    address = (struct sockaddr_in){.sin_family = AF_INET};
    peer = (struct sockaddr_in){.sin_family = AF_INET};
    if (inet_pton(AF_INET, address_text, &address.sin_addr) != 1 ||
        inet_pton(AF_INET, peer_text, &peer.sin_addr) != 1)
        cli_wrong_usage("not an IPv4 address");
    if (strcmp(argv[first], "list") == 0) {
        for (size_t i = 0; tables[i]; i++)
            for (const struct mode *mode = tables[i]; mode->name; mode++)
                puts(mode->name);
        return CLI_OK;
    }
    for (size_t i = 0; tables[i]; i++)
        for (const struct mode *mode = tables[i]; mode->name; mode++)
            if (strcmp(mode->name, argv[first]) == 0)
                return run(mode);
    cli_wrong_usage("%s: no such mode", argv[first]);
}
