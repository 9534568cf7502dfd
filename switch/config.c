/* SPDX-License-Identifier: BSD-2-Clause */
/* config.h: words to struct config, and never a half-understood word. */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adaptive_poll.h"
#include "channel.h"
#include "control_protocol.h"
#include "port_layout.h"
#include "rate_limit.h"
#include "wire.h"

#define INI_SECTION       "multistackd"
#define PROTOCOLS_SECTION "protocols"
#define RATES_SECTION     "port-rates"

const struct config_option config_options[] = {
    {"nic", CONFIG_NIC, "SPEC",
     "serve this device: DEV or afxdp:DEV[,queues=N]\n"
     "[,mode=zerocopy|copy|auto][,xdp=native|generic|auto]\n"
     "[,share=yes|no][,large=yes|no]\n"
     "[,prefer-busy-poll=yes|no][,busy-poll-budget=N];\n"
     "or packet:DEV; or wire:PATH[,address=ADDR/LENGTH]\n"
     "[,rate=][,delay=][,loss=][,reorder=][,duplicate=]\n"
     "[,corrupt=][,seed=N][,tso=on|off][,tx=on|off]\n"
     "[,queues=N][,ring-size=BYTES][,mtu=N]; may be repeated"},
    {"workers", CONFIG_WORKERS, "N", "threads that move packets (1)"},
    {"cpus", CONFIG_CPUS, "LIST", "a processor for each worker, such as 0-2,5"},
    {"busy-poll", CONFIG_BUSY_POLL, "USEC|always",
     "where it pays, poll so long before sleeping (0)"},
    {"control", CONFIG_CONTROL, "PATH", "the control socket (" CONTROL_PATH_DEFAULT ")"},
    {"user", CONFIG_USER, "USER", "run the switch as this user (multistack, else nobody)"},
    {"group", CONFIG_GROUP, "GROUP", "who may open ports (multistack, if it exists)"},
    {"admin-group", CONFIG_ADMIN_GROUP, "GROUP",
     "who besides root may capture NICs and foreign ports,\n"
     "and set the guard's rules for all bindings"},
    {"ports-max", CONFIG_PORTS_MAX, "N", "ports open at a time (1024)"},
    {"ports-per-user", CONFIG_PORTS_PER_USER, "N", "ports of one user at a time (256)"},
    {"ring-size", CONFIG_RING_SIZE, "BYTES", "size of a ring where a port names none (524288)"},
    {"local", CONFIG_LOCAL, "yes|no", "serve programs of this host itself, by lo (yes)"},
    {"asked-cookies", CONFIG_ASKED_COOKIES, "yes|no",
     "answer SYNs at the NIC when a stack asks for it (yes)"},
    {"port-rate", CONFIG_PORT_RATE, "RATE",
     "what a port may send in a second:\n"
     "[packets=N][,bits=N], with k, M or G (none)"},
    {"rejected-max", CONFIG_REJECTED_MAX, "N",
     "packets that no stack may send, in a second,\n"
     "for which a port is cut off (10000); 0: never"},
    {"range-ports", CONFIG_RANGE_PORTS, "FIRST-LAST",
     "ports that stacks may bind ranges of (16384-28671);\n"
     "none: no ranges"},
    {"range-ports-per-user", CONFIG_RANGE_PORTS_PER_USER, "N",
     "ports in the ranges of one user (8192)"},
};
const size_t config_option_count = sizeof(config_options) / sizeof(config_options[0]);

__attribute__((__format__(__printf__, 2, 3))) static int fail(char error[CONFIG_ERROR_SIZE],
                                                              const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, CONFIG_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return -1;
}

/* A decimal number and nothing else. */
static int parse_number(const char *what, const char *text, uint64_t min, uint64_t max,
                        uint32_t *number, char error[CONFIG_ERROR_SIZE])
{
    unsigned long long value;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < min || value > max)
        return fail(error, "%s: '%s' is not a number from %llu to %llu", what, text,
                    (unsigned long long)min, (unsigned long long)max);
    *number = (uint32_t)value;
    return 0;
}

static int copy_text(const char *what, const char *text, char *to, size_t size,
                     char error[CONFIG_ERROR_SIZE])
{
    if (!*text)
        return fail(error, "%s: is empty", what);
    if (strlen(text) >= size)
        return fail(error, "%s: '%.40s…' is longer than %zu characters", what, text, size - 1);
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

/* Words and what they mean; the meaning is the position. */
static int parse_word(const char *what, const char *text, const char *const *words, size_t count,
                      char error[CONFIG_ERROR_SIZE])
{
    char known[128] = "";

    for (size_t i = 0; i < count; i++) {
        if (!strcmp(text, words[i]))
            return (int)i;
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
                 i == 0 ? "" : (i + 1 == count ? " or " : ", "), words[i]);
    }
    return fail(error, "%s: '%s' is not %s", what, text, known);
}

static int parse_device(const char *text, struct nic_spec *spec, char error[CONFIG_ERROR_SIZE])
{
    if (!*text)
        return fail(error, "no device is named; SPEC is DEV or afxdp:DEV[,option=value…]");
    if (strlen(text) >= sizeof(spec->device))
        return fail(error, "'%.40s' is longer than a device's name may be (%d characters)", text,
                    IFNAMSIZ - 1);
    if (strpbrk(text, "/: \t="))
        return fail(error, "'%s' is not the name of a device", text);
    memcpy(spec->device, text, strlen(text) + 1);
    return 0;
}

static int parse_nic_option(const char *name, const char *value, struct nic_spec *spec,
                            char error[CONFIG_ERROR_SIZE])
{
    static const char *const copies[] = {"auto", "zerocopy", "copy"};
    static const char *const xdps[] = {"auto", "native", "generic"};
    static const char *const answers[] = {"no", "yes"};
    int word;

    if (!strcmp(name, "queues"))
        return parse_number("queues", value, 1, 64, &spec->queues, error);
    if (!strcmp(name, "busy-poll-budget"))
        return parse_number(name, value, 1, CONFIG_BUSY_POLL_BUDGET_MAX, &spec->busy_poll_budget,
                            error);
    if (!strcmp(name, "mode")) {
        word = parse_word("mode", value, copies, 3, error);
        spec->copy = word < 0 ? COPY_AUTO : (enum copy_wish)word;
    } else if (!strcmp(name, "xdp")) {
        word = parse_word("xdp", value, xdps, 3, error);
        spec->xdp = word < 0 ? XDP_AUTO : (enum xdp_wish)word;
    } else if (!strcmp(name, "share")) {
        word = parse_word("share", value, answers, 2, error);
        spec->share = word == 1;
    } else if (!strcmp(name, "prefer-busy-poll")) {
        word = parse_word(name, value, answers, 2, error);
        if (word < 1)
            spec->busy_poll_budget = 0;
        else if (!spec->busy_poll_budget)
            spec->busy_poll_budget = CONFIG_BUSY_POLL_BUDGET;
    } else if (!strcmp(name, "large")) {
        word = parse_word("large", value, answers, 2, error);
        spec->large = word == 1;
    } else {
        return fail(error,
                    "no option '%s'; there are queues, mode, xdp, share, large, prefer-busy-poll "
                    "and busy-poll-budget",
                    name);
    }
    return word < 0 ? -1 : 0;
}

static int parse_wire(const char *text, struct nic_spec *spec, char error[CONFIG_ERROR_SIZE])
{
    const char *name;

    spec->driver = NIC_DRIVER_WIRE;
    if (wire_spec_parse(text, &spec->wire, error, CONFIG_ERROR_SIZE))
        return -1;
    name = strrchr(spec->wire.path, '/') + 1;
    return parse_device(name, spec, error);
}

int config_parse_nic(const char *text, struct nic_spec *spec, char error[CONFIG_ERROR_SIZE])
{
    char words[256], *rest = words, *word;

    *spec = (struct nic_spec){.large = true};
    if (!strncmp(text, "wire:", 5))
        return parse_wire(text + 5, spec, error);
    if (!strncmp(text, "packet:", 7)) {
        spec->driver = NIC_DRIVER_PACKET;
        if (strchr(text, ','))
            return fail(error, "packet:DEV takes no options");
        return parse_device(text + 7, spec, error);
    }
    spec->any_driver = strncmp(text, "afxdp:", 6) != 0 && !strchr(text, ',');
    if (!strncmp(text, "afxdp:", 6))
        text += 6;
    if (strlen(text) >= sizeof(words))
        return fail(error, "is longer than %zu characters", sizeof(words) - 1);
    memcpy(words, text, strlen(text) + 1);
    if (parse_device(strsep(&rest, ","), spec, error))
        return -1;
    while ((word = strsep(&rest, ","))) {
        char *value = strchr(word, '=');

        if (!value)
            return fail(error, "'%s' is not an option=value", word);
        *value++ = '\0';
        if (parse_nic_option(word, value, spec, error))
            return -1;
    }
    if (spec->copy == COPY_ZEROCOPY && spec->xdp == XDP_GENERIC)
        return fail(error, "mode=zerocopy needs native XDP, and xdp=generic excludes it");
    return 0;
}

int config_parse_cpus(const char *text, uint64_t *mask, size_t bits, char error[CONFIG_ERROR_SIZE])
{
    char words[256], *rest = words, *word;

    memset(mask, 0, bits / 8);
    if (strlen(text) >= sizeof(words))
        return fail(error, "cpus: the list is too long");
    memcpy(words, text, strlen(text) + 1);
    while ((word = strsep(&rest, ","))) {
        char *dash = strchr(word, '-');
        uint32_t first = 0, last = 0;

        if (dash)
            *dash++ = '\0';
        if (parse_number("cpus", word, 0, bits - 1, &first, error) ||
            parse_number("cpus", dash ? dash : word, 0, bits - 1, &last, error))
            return -1;
        if (first > last)
            return fail(error, "cpus: the range %u-%u runs backwards", first, last);
        for (uint32_t cpu = first; cpu <= last; cpu++)
            mask[cpu / 64] |= 1ULL << (cpu % 64);
    }
    return 0;
}

uint32_t config_list_cpus(const char *text, uint32_t *cpus, uint32_t room)
{
    char words[256], error[CONFIG_ERROR_SIZE], *rest = words, *word;
    uint32_t count = 0;
    uint64_t mask[16];

    snprintf(words, sizeof(words), "%s", text);
    while (*text && (word = strsep(&rest, ","))) {
        if (config_parse_cpus(word, mask, sizeof(mask) * 8, error))
            break;
        for (uint32_t cpu = 0; cpu < sizeof(mask) * 8 && count < room; cpu++) {
            if (mask[cpu / 64] >> (cpu % 64) & 1)
                cpus[count++] = cpu;
        }
    }
    return count;
}

static int add_nic(struct config *config, const char *value, char error[CONFIG_ERROR_SIZE])
{
    char why[CONFIG_ERROR_SIZE];
    struct nic_spec spec;

    if (config->nic_count == CONFIG_NICS_MAX)
        return fail(error, "nic: more than %d devices", CONFIG_NICS_MAX);
    if (config_parse_nic(value, &spec, why))
        return fail(error, "nic %.64s: %.400s", value, why);
    for (uint32_t i = 0; i < config->nic_count; i++) {
        if (!strcmp(config->nics[i].device, spec.device))
            return fail(error, "nic %s: is named twice", spec.device);
    }
    config->nics[config->nic_count++] = spec;
    return 0;
}

static int set_ring_size(struct config *config, const char *value, char error[CONFIG_ERROR_SIZE])
{
    uint32_t size;

    if (parse_number("ring-size", value, RING_SIZE_MIN, RING_SIZE_MAX, &size, error))
        return -1;
    if (size & (size - 1))
        return fail(error, "ring-size: %u is not a power of two", size);
    config->ring_size = size;
    return 0;
}

static int set_answer(const char *what, const char *value, bool *yes, char error[CONFIG_ERROR_SIZE])
{
    static const char *const answers[] = {"no", "yes"};
    int word = parse_word(what, value, answers, 2, error);

    *yes = word == 1;
    return word < 0 ? -1 : 0;
}

/* "100k" as a number; the unit is a power of 1,000. */
static int parse_amount(const char *what, const char *text, uint64_t min, uint64_t max,
                        uint64_t *amount, char error[CONFIG_ERROR_SIZE])
{
    static const char units[] = "kMG";
    unsigned long long value;
    uint64_t scale = 1;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*end && strchr(units, *end)) {
        for (const char *at = units; at <= strchr(units, *end); at++)
            scale *= 1000;
        end++;
    }
    if (*text < '0' || *text > '9' || *end || errno || value > max / scale || value * scale < min)
        return fail(error, "%s: '%.40s' is not a number from %llu to %llu, such as 500k or 2M",
                    what, text, (unsigned long long)min, (unsigned long long)max);
    *amount = value * scale;
    return 0;
}

static int parse_port_rate(const char *text, struct config_port_rate *rate,
                           char error[CONFIG_ERROR_SIZE])
{
    char words[128], *rest = words, *word;

    if (copy_text("port-rate", text, words, sizeof(words), error))
        return -1;
    if (!strcmp(words, "none"))
        return 0;
    while ((word = strsep(&rest, ","))) {
        char *value = strchr(word, '=');
        bool packets = value && !strncmp(word, "packets=", 8);

        if (!value || (!packets && strncmp(word, "bits=", 5) != 0))
            return fail(error, "port-rate: '%.40s' is not packets=N, bits=N or none", word);
        if (packets ? rate->packets_s : rate->bits_s)
            return fail(error, "port-rate: %s is there twice", packets ? "packets" : "bits");
        if (packets ? parse_amount("packets", value + 1, PORT_PACKETS_MIN, PORT_PACKETS_MAX,
                                   &rate->packets_s, error)
                    : parse_amount("bits", value + 1, PORT_BITS_MIN, PORT_BITS_MAX, &rate->bits_s,
                                   error))
            return -1;
    }
    return 0;
}

/* Each has one line; the command line's takes the place of the file's where `again`. */
static int enter_port_rate(struct config *config, const struct config_port_rate *rate, bool again,
                           char error[CONFIG_ERROR_SIZE])
{
    for (uint32_t i = 0; i < config->port_rate_count; i++) {
        struct config_port_rate *other = &config->port_rates[i];

        if (other->who != rate->who || other->id != rate->id)
            continue;
        if (!again)
            return fail(error, "user %u has a rate already", rate->id);
        *other = *rate;
        return 0;
    }
    if (config->port_rate_count == CHANNEL_PORT_RATES_MAX)
        return fail(error, "more than %d users with a rate", CHANNEL_PORT_RATES_MAX);
    config->port_rates[config->port_rate_count++] = *rate;
    return 0;
}

static int set_default_rate(struct config *config, const char *value, char error[CONFIG_ERROR_SIZE])
{
    struct config_port_rate rate = {.who = CHANNEL_WHO_ANYBODY};

    return parse_port_rate(value, &rate, error) ? -1 : enter_port_rate(config, &rate, true, error);
}

int config_set_port_rate(struct config *config, const char *name, const char *value,
                         char error[CONFIG_ERROR_SIZE])
{
    struct config_port_rate rate = {.who = CHANNEL_WHO_USER};
    const struct passwd *user = getpwnam(name);

    if (!user)
        return fail(error, "there is no user '%.40s'", name);
    rate.id = user->pw_uid;
    return parse_port_rate(value, &rate, error) ? -1 : enter_port_rate(config, &rate, false, error);
}

static int set_busy_poll(struct config *config, const char *value, char error[CONFIG_ERROR_SIZE])
{
    if (strcmp(value, "always") == 0) {
        config->busy_poll_us = ADAPTIVE_POLL_ALWAYS;
        return 0;
    }
    if (parse_number("busy-poll", value, 0, 1000000, &config->busy_poll_us, error))
        return fail(error, "busy-poll: '%.40s' is neither 'always' nor microseconds, 0 to 1000000",
                    value);
    return 0;
}

/* Ports below 1,024 are a privilege, and that is asked for by bind(2). */
static int set_range_ports(struct config *config, const char *value, char error[CONFIG_ERROR_SIZE])
{
    char words[32], *dash;
    uint32_t first = 0, last = 0;

    if (!strcmp(value, "none")) {
        config->range_first = config->range_last = 0;
        return 0;
    }
    if (copy_text("range-ports", value, words, sizeof(words), error))
        return -1;
    dash = strchr(words, '-');
    if (!dash)
        return fail(error, "range-ports: '%s' is not FIRST-LAST or none", words);
    *dash++ = '\0';
    if (parse_number("range-ports", words, 1024, 65535, &first, error) ||
        parse_number("range-ports", dash, 1024, 65535, &last, error))
        return -1;
    if (first > last)
        return fail(error, "range-ports: %u-%u runs backwards", first, last);
    config->range_first = first;
    config->range_last = last;
    return 0;
}

int config_set(struct config *config, enum config_option_id id, const char *value,
               char error[CONFIG_ERROR_SIZE])
{
    uint64_t cpus[16];

    switch (id) {
    case CONFIG_NIC: return add_nic(config, value, error);
    case CONFIG_WORKERS:
        return parse_number("workers", value, 1, CHANNEL_WORKERS_MAX, &config->workers, error);
    case CONFIG_CPUS:
        if (config_parse_cpus(value, cpus, sizeof(cpus) * 8, error))
            return -1;
        return copy_text("cpus", value, config->cpus, sizeof(config->cpus), error);
    case CONFIG_BUSY_POLL: return set_busy_poll(config, value, error);
    case CONFIG_CONTROL:
        return copy_text("control", value, config->control, sizeof(config->control), error);
    case CONFIG_USER: return copy_text("user", value, config->user, sizeof(config->user), error);
    case CONFIG_GROUP:
        return copy_text("group", value, config->group, sizeof(config->group), error);
    case CONFIG_ADMIN_GROUP:
        return copy_text("admin-group", value, config->admin_group, sizeof(config->admin_group),
                         error);
    case CONFIG_PORTS_MAX:
        return parse_number("ports-max", value, 1, 65536, &config->ports_max, error);
    case CONFIG_PORTS_PER_USER:
        return parse_number("ports-per-user", value, 1, 65536, &config->ports_per_user_max, error);
    case CONFIG_REJECTED_MAX:
        return parse_number("rejected-max", value, 0, UINT32_MAX, &config->rejected_max, error);
    case CONFIG_LOCAL: return set_answer("local", value, &config->local, error);
    case CONFIG_ASKED_COOKIES:
        return set_answer("asked-cookies", value, &config->asked_cookies, error);
    case CONFIG_RING_SIZE: return set_ring_size(config, value, error);
    case CONFIG_PORT_RATE: return set_default_rate(config, value, error);
    case CONFIG_RANGE_PORTS: return set_range_ports(config, value, error);
    case CONFIG_RANGE_PORTS_PER_USER:
        return parse_number("range-ports-per-user", value, 0, 131072, &config->range_ports_per_user,
                            error);
    }
    return fail(error, "no such option");
}

void config_init(struct config *config)
{
    const char *control = getenv(CONTROL_PATH_VARIABLE);

    *config = (struct config){
        .workers = 1,
        .ports_max = 1024,
        .ports_per_user_max = 256,
        .ring_size = RING_SIZE_DEFAULT,
        .rejected_max = REJECTED_MAX_DEFAULT,
        .range_first = 16384,
        .range_last = 28671,
        .range_ports_per_user = 8192,
        .asked_cookies = true,
        .local = true,
    };
    if (!control || !*control || strlen(control) >= sizeof(config->control))
        control = CONTROL_PATH_DEFAULT;
    memcpy(config->control, control, strlen(control) + 1);
}

/* The number of "sctp", "253" or "254/ports"; *ports where it says so. -1: `error` says why. */
static int parse_protocol(const char *name, bool *ports, char error[CONFIG_ERROR_SIZE])
{
    const char *slash = strchr(name, '/');
    char word[32] = "";
    uint32_t number = 0;

    *ports = slash != NULL;
    if ((slash && strcmp(slash, "/ports") != 0) ||
        (slash ? (size_t)(slash - name) : strlen(name)) >= sizeof(word))
        return fail(error, "'%.40s' is not a protocol: say sctp, dccp, NUMBER or NUMBER/ports",
                    name);
    snprintf(word, sizeof(word), "%.*s", (int)(slash ? slash - name : (long)strlen(name)), name);
    if (!strcmp(word, "sctp") || !strcmp(word, "dccp")) {
        *ports = true;
        return word[0] == 's' ? IP_PROTOCOL_SCTP : IP_PROTOCOL_DCCP;
    }
    if (parse_number("protocol", word, 1, 254, &number, error))
        return -1;
    if (number == IP_PROTOCOL_TCP || number == IP_PROTOCOL_UDP || number == IP_PROTOCOL_UDPLITE)
        return fail(error, "protocol %u: the kernel says who may bind it, no policy", number);
    return (int)number;
}

static int parse_who(const char *word, struct config_protocol *line, char error[CONFIG_ERROR_SIZE])
{
    const struct passwd *user;
    const struct group *group;

    if (!strcmp(word, "*")) {
        line->who = CHANNEL_WHO_ANYBODY;
        return 0;
    }
    if (word[0] == '@') {
        group = getgrnam(word + 1);
        if (!group)
            return fail(error, "there is no group '%.40s'", word + 1);
        line->who = CHANNEL_WHO_GROUP;
        line->id = group->gr_gid;
        return 0;
    }
    user = getpwnam(word);
    if (!user)
        return fail(error, "there is no user '%.40s' (a group is @group, everybody is *)", word);
    line->who = CHANNEL_WHO_USER;
    line->id = user->pw_uid;
    return 0;
}

int config_set_protocol(struct config *config, const char *name, const char *value,
                        char error[CONFIG_ERROR_SIZE])
{
    char words[512], *rest = words, *word;
    bool ports = false, any = false;
    int protocol = parse_protocol(name, &ports, error);

    if (protocol < 0 || copy_text(name, *value ? value : " ", words, sizeof(words), error))
        return -1;
    while ((word = strsep(&rest, " \t,")) || !any) {
        struct config_protocol line = {.protocol = (uint8_t)protocol, .has_ports = ports};

        if (word && !*word)
            continue;
        if (word && parse_who(word, &line, error))
            return -1;
        if (config->protocol_count == CONFIG_PROTOCOLS_MAX)
            return fail(error, "more than %d users and groups", CONFIG_PROTOCOLS_MAX);
        config->protocols[config->protocol_count++] = line;
        any = true;
    }
    return 0;
}

struct reading {
    struct config *config;
    char why[CONFIG_ERROR_SIZE];
};

/* One `name = value` of the file. libinih reports the line of the first 0 that this returns. */
static int read_setting(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;

    if (reading->why[0]) /* libinih reads on behind an error */
        return 0;
    if (!strcmp(section, PROTOCOLS_SECTION))
        return !config_set_protocol(reading->config, name, value, reading->why);
    if (!strcmp(section, RATES_SECTION))
        return !config_set_port_rate(reading->config, name, value, reading->why);
    if (strcmp(section, INI_SECTION)) {
        fail(reading->why,
             "there is no section [%s], only [" INI_SECTION "], [" PROTOCOLS_SECTION
             "] and [" RATES_SECTION "]",
             section);
        return 0;
    }
    for (size_t i = 0; i < config_option_count; i++) {
        if (!strcmp(name, config_options[i].name))
            return !config_set(reading->config, config_options[i].id, value, reading->why);
    }
    fail(reading->why, "there is no setting '%s'", name);
    return 0;
}

int config_read_file(struct config *config, const char *path, char error[CONFIG_ERROR_SIZE])
{
    struct reading reading = {.config = config};
    int line = ini_parse(path, read_setting, &reading);

    if (line == -1)
        return fail(error, "%s: cannot be read: %s", path, strerror(errno));
    if (line < 0)
        return fail(error, "%s: cannot be read: out of memory", path);
    if (line > 0)
        return fail(error, "%s:%d: %.400s", path, line,
                    reading.why[0] ? reading.why : "is neither [section] nor name = value");
    return 0;
}

int config_check(const struct config *config, char error[CONFIG_ERROR_SIZE])
{
    if (!config->nic_count)
        return fail(error, "no NIC is named: say which device to serve, such as --nic eth1");
    if (config->ports_per_user_max > config->ports_max)
        return fail(error, "ports-per-user (%u) is more than ports-max (%u)",
                    config->ports_per_user_max, config->ports_max);
    return 0;
}
