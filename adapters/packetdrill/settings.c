/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.h */
#include "settings.h"

#include <endian.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_LENGTH 128
#define DEVICE          "tun0" /* as scripts know it */
#define ECN_SETTING     "net.ipv4.tcp_ecn="
#define ACCURATE_FIRST  3 /* of its values the first that is about Accurate ECN */

/* Of tcp_ecn what a script has set and the kernel may not know, since Accurate ECN is younger than many; 0: the
 * kernel is asked. */
static unsigned long told_ecn;

/* One line of a file, or false. */
static bool read_setting(const char *name, char line[LINE_MAX_LENGTH])
{
    char path[LINE_MAX_LENGTH];
    FILE *file;
    bool read;

    snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
    file = fopen(path, "re");
    if (!file)
        return false;
    read = fgets(line, LINE_MAX_LENGTH, file) != NULL;
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return read;
}

/* The number at `place` of a line of several. */
static bool read_number(const char *name, int place, unsigned long *number)
{
    char line[LINE_MAX_LENGTH], *at = line;

    if (!read_setting(name, line))
        return false;
    for (int i = 0; i <= place; i++) {
        char *end;

        *number = strtoul(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    return true;
}

static void read_flag(struct utcp_config *config, const char *name, uint32_t flag)
{
    unsigned long number;

    if (!read_number(name, 0, &number))
        return;
    config->flags = number ? config->flags & ~flag : config->flags | flag;
}

static void read_flags(struct utcp_config *config)
{
    /* ip-sysctl: what is accepted, and what is asked for. */
    static const uint32_t ecn[] = {UTCP_NO_ECN,          UTCP_ASK_ECN | UTCP_NO_ACCURATE_ECN,
                                   UTCP_NO_ACCURATE_ECN, UTCP_ASK_ACCURATE_ECN,
                                   UTCP_ASK_ECN,         0};
    unsigned long number = told_ecn;

    read_flag(config, "tcp_timestamps", UTCP_NO_TIMESTAMPS);
    read_flag(config, "tcp_window_scaling", UTCP_NO_WINDOW_SCALE);
    read_flag(config, "tcp_sack", UTCP_NO_SACK);
    read_flag(config, "tcp_mtu_probing", UTCP_NO_MTU_PROBING);
    if ((number || read_number("tcp_ecn", 0, &number)) && number < sizeof(ecn) / sizeof(ecn[0])) {
        config->flags &=
            ~(uint32_t)(UTCP_NO_ECN | UTCP_ASK_ECN | UTCP_NO_ACCURATE_ECN | UTCP_ASK_ACCURATE_ECN);
        config->flags |= ecn[number];
    }
}

bool settings_take_command(const char *command)
{
    const char *at = command;
    bool found = false;

    while ((at = strstr(at, ECN_SETTING)) != NULL) {
        at += strlen(ECN_SETTING);
        told_ecn = strtoul(at, NULL, 10);
        if (told_ecn < ACCURATE_FIRST)
            told_ecn = 0;
        found = true;
    }
    return found || strstr(command, "net.ipv4.tcp_ecn_");
}

uint32_t settings_not_sent_low(void)
{
    unsigned long number;

    return read_number("tcp_notsent_lowat", 0, &number) && number < UINT32_MAX ? (uint32_t)number
                                                                               : 0;
}

void settings_tell_buffers(struct sockets *sockets)
{
    unsigned long receive, send;

    if (read_number("tcp_rmem", 1, &receive) && read_number("tcp_wmem", 1, &send) &&
        receive < UINT32_MAX && send < UINT32_MAX)
        sockets_set_buffers(sockets, (uint32_t)receive, (uint32_t)send);
}

/* Asks the kernel about the device; false: there is none. */
static bool ask_device(unsigned long what, struct ifreq *request)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool told;

    if (fd < 0)
        return false;
    memcpy(request->ifr_name, DEVICE, sizeof(DEVICE));
    told = ioctl(fd, what, request) == 0;
    close(fd);
    return told;
}

static void read_device(struct utcp_config *config)
{
    struct ethtool_value large = {.cmd = ETHTOOL_GTSO};
    struct ifreq request = {.ifr_data = (void *)&large};

    if (ask_device(SIOCETHTOOL, &request) && !large.data)
        config->offloads &= ~(uint32_t)UTCP_OFFLOAD_SEGMENT;
    if (ask_device(SIOCGIFMTU, &request) && request.ifr_mtu > 0)
        config->mtu = (uint32_t)request.ifr_mtu;
}

void settings_read(struct utcp_config *config)
{
    static char congestion[LINE_MAX_LENGTH];
    unsigned long number;

    read_flags(config);
    read_device(config);
    if (read_number("tcp_rmem", 2, &number) && number)
        config->receive_buffer_max = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
    if (read_number("tcp_wmem", 2, &number) && number)
        config->send_buffer_max = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
    if (read_setting("tcp_congestion_control", congestion))
        config->congestion = !strcmp(congestion, "reno") ? "newreno" : congestion;
}

/* Up to two keys of four words in hexadecimal, the first of which is in use: ip-sysctl. */
void settings_read_keys(struct utcp *stack)
{
    uint8_t key[2][UTCP_FAST_OPEN_KEY_SIZE];
    char line[LINE_MAX_LENGTH], *at = line;
    int count = 0;

    if (!read_setting("tcp_fastopen_key", line))
        return;
    while (count < 8) {
        char *end;
        uint32_t word = htole32((uint32_t)strtoul(at, &end, 16));

        if (end == at)
            break;
        memcpy(key[count / 4] + count % 4 * sizeof(word), &word, sizeof(word));
        count++;
        if (*end == '\0')
            break;
        at = end + 1; /* a dash, or a comma */
    }
    if (count >= 4)
        utcp_set_fast_open_keys(stack, key[0], count == 8 ? key[1] : NULL);
}

void settings_follow(struct utcp *stack, struct sockets *sockets, struct utcp_config *config)
{
    unsigned long number;

    if (read_number("tcp_fastopen", 0, &number))
        sockets_set_fast_open(sockets, (unsigned)number);
    read_flags(config);
    utcp_set_flags(stack, config->flags);
}
