/* SPDX-License-Identifier: BSD-2-Clause */
/* wire_spec.h */
#include "wire_spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE     512
#define RATE_LEAST    1000.0 /* bits per second: below, a frame takes a minute */
#define RATE_MOST     1e12
#define DELAY_MOST_NS 60e9

/* Where a complaint goes. */
struct complaint {
    char *text;
    size_t size;
};

__attribute__((__format__(__printf__, 2, 3))) static int fail(const struct complaint *complaint,
                                                              const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(complaint->text, complaint->size, format, arguments);
    va_end(arguments);
    return -1;
}

static int parse_whole(const char *name, const char *value, uint64_t least, uint64_t most,
                       uint64_t *number, const struct complaint *complaint)
{
    char *end;

    errno = 0;
    *number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || *number < least || *number > most)
        return fail(complaint, "%s: '%.40s' is not a number from %llu to %llu", name, value,
                    (unsigned long long)least, (unsigned long long)most);
    return 0;
}

/* A decimal number, digits and a point alone; *unit is what stands behind it. */
static int parse_decimal(const char *value, double *number, const char **unit)
{
    size_t digits = strspn(value, "0123456789.");
    char text[32], *end;

    if (!digits || digits >= sizeof(text))
        return -1;
    memcpy(text, value, digits);
    text[digits] = '\0';
    *number = strtod(text, &end);
    *unit = value + digits;
    return *end ? -1 : 0;
}

static int parse_rate(const char *value, uint64_t *rate, const struct complaint *complaint)
{
    static const char units[] = "kMG";
    const char *unit, *found;
    double number;
    int bad = parse_decimal(value, &number, &unit);

    if (!bad && *unit) {
        found = unit[1] ? NULL : strchr(units, *unit);
        for (const char *at = units; found && at <= found; at++)
            number *= 1000;
        bad = !found;
    }
    if (bad || number < RATE_LEAST || number > RATE_MOST)
        return fail(complaint,
                    "rate: '%.40s' is not a rate; bits per second from 1k to 1000G, such as 10G",
                    value);
    *rate = (uint64_t)number;
    return 0;
}

static int parse_delay(const char *value, uint64_t *delay_ns, const struct complaint *complaint)
{
    const char *unit;
    double number, scale = 0;

    if (!parse_decimal(value, &number, &unit))
        scale = !strcmp(unit, "ns")   ? 1
                : !strcmp(unit, "us") ? 1e3
                : !strcmp(unit, "ms") ? 1e6
                : !strcmp(unit, "s")  ? 1e9
                                      : 0;
    if (scale == 0 || number * scale > DELAY_MOST_NS)
        return fail(complaint,
                    "delay: '%.40s' is not a time up to a minute; a number and ns, us, ms or s, "
                    "such as 10ms",
                    value);
    *delay_ns = (uint64_t)(number * scale);
    return 0;
}

/* Percent, with or without the sign, as tc-netem(8) takes them. */
static int parse_probability(const char *name, const char *value, uint32_t *probability,
                             const struct complaint *complaint)
{
    const char *unit;
    double percent;

    if (parse_decimal(value, &percent, &unit) || (strcmp(unit, "") && strcmp(unit, "%")) ||
        percent > 100)
        return fail(complaint, "%s: '%.40s' is not a percentage from 0 to 100, such as 0.5%%", name,
                    value);
    *probability = (uint32_t)(percent / 100 * IMPAIR_CERTAIN);
    return 0;
}

static int parse_address(const char *value, struct wire_spec *spec,
                         const struct complaint *complaint)
{
    struct wire_address *address = &spec->addresses[spec->address_count];
    const char *slash = strchr(value, '/');
    char host[INET6_ADDRSTRLEN] = "";
    uint64_t prefix = 0;

    if (spec->address_count == WIRE_ADDRESSES_MAX)
        return fail(complaint, "address: more than %d", WIRE_ADDRESSES_MAX);
    if (!slash || (size_t)(slash - value) >= sizeof(host))
        slash = value; /* no address is read then */
    memcpy(host, value, (size_t)(slash - value));
    *address = (struct wire_address){.ip = {.family = 4}};
    if (inet_pton(AF_INET, host, address->ip.bytes) != 1) {
        address->ip.family = 6;
        if (inet_pton(AF_INET6, host, address->ip.bytes) != 1)
            return fail(complaint,
                        "address: '%.60s' is not ADDR/LENGTH, such as 10.9.0.1/24 or fd00::1/64",
                        value);
    }
    if (parse_whole("address: length", slash + 1, 0, address->ip.family == 4 ? 32 : 128, &prefix,
                    complaint))
        return -1;
    address->prefix = (uint32_t)prefix;
    spec->address_count++;
    return 0;
}

static int parse_ability(const char *name, const char *value, uint32_t ability, uint32_t *abilities,
                         const struct complaint *complaint)
{
    if (strcmp(value, "on") && strcmp(value, "off"))
        return fail(complaint, "%s: '%.40s' is neither on nor off", name, value);
    *abilities = strcmp(value, "on") ? *abilities & ~ability : *abilities | ability;
    return 0;
}

static int parse_ring_size(const char *name, const char *value, uint32_t *size,
                           const struct complaint *complaint)
{
    uint64_t number;

    if (parse_whole(name, value, WIRE_RING_SIZE_MIN, WIRE_RING_SIZE_MAX, &number, complaint))
        return -1;
    if (number & (number - 1))
        return fail(complaint, "%s: %.40s is not a power of two", name, value);
    *size = (uint32_t)number;
    return 0;
}

static int parse_option(const char *name, const char *value, struct wire_spec *spec,
                        const struct complaint *complaint)
{
    struct impairment *impairment = &spec->impairment;
    uint64_t number;
    int status;

    if (!strcmp(name, "rate"))
        return parse_rate(value, &impairment->rate, complaint);
    if (!strcmp(name, "delay"))
        return parse_delay(value, &impairment->delay_ns, complaint);
    if (!strcmp(name, "loss"))
        return parse_probability(name, value, &impairment->loss, complaint);
    if (!strcmp(name, "reorder"))
        return parse_probability(name, value, &impairment->reorder, complaint);
    if (!strcmp(name, "duplicate"))
        return parse_probability(name, value, &impairment->duplicate, complaint);
    if (!strcmp(name, "corrupt"))
        return parse_probability(name, value, &impairment->corrupt, complaint);
    if (!strcmp(name, "seed"))
        return parse_whole(name, value, 0, UINT64_MAX, &impairment->seed, complaint);
    if (!strcmp(name, "address"))
        return parse_address(value, spec, complaint);
    if (!strcmp(name, "tx"))
        return parse_ability(name, value, WIRE_CAN_CHECKSUM, &spec->abilities, complaint);
    if (!strcmp(name, "tso"))
        return parse_ability(name, value, WIRE_CAN_SEGMENT, &spec->abilities, complaint);
    if (!strcmp(name, "queues")) {
        status = parse_whole(name, value, 1, WIRE_QUEUES_MAX, &number, complaint);
        spec->queues = status ? spec->queues : (uint32_t)number;
        return status;
    }
    if (!strcmp(name, "ring-size"))
        return parse_ring_size(name, value, &spec->ring_size, complaint);
    if (!strcmp(name, "mtu")) {
        status = parse_whole(name, value, WIRE_MTU_MIN, WIRE_MTU_MAX, &number, complaint);
        spec->mtu = status ? spec->mtu : (uint32_t)number;
        return status;
    }
    return fail(complaint,
                "no option '%.40s'; there are rate, delay, loss, reorder, duplicate, corrupt, "
                "seed, address, tso, tx, queues, ring-size and mtu",
                name);
}

int wire_spec_parse(const char *text, struct wire_spec *spec, char *error, size_t error_size)
{
    const struct complaint complaint = {error, error_size};
    char words[TEXT_SIZE], *rest = words, *word;

    *spec = (struct wire_spec){
        .queues = 1,
        .ring_size = WIRE_RING_SIZE,
        .mtu = WIRE_MTU_DEFAULT,
        .abilities = WIRE_CAN_CHECKSUM | WIRE_CAN_SEGMENT,
    };
    if (strlen(text) >= sizeof(words))
        return fail(&complaint, "is longer than %zu characters", sizeof(words) - 1);
    memcpy(words, text, strlen(text) + 1);
    word = strsep(&rest, ",");
    if (*word != '/')
        return fail(&complaint,
                    "'%.40s' is not an absolute path; SPEC is wire:/PATH[,option=value…]", word);
    if (strlen(word) >= sizeof(spec->path))
        return fail(&complaint, "'%.40s…' is longer than a socket's path may be (%d characters)",
                    word, WIRE_PATH_SIZE - 1);
    memcpy(spec->path, word, strlen(word) + 1);
    while ((word = strsep(&rest, ","))) {
        char *value = strchr(word, '=');

        if (!value)
            return fail(&complaint, "'%.40s' is not an option=value", word);
        *value++ = '\0';
        if (parse_option(word, value, spec, &complaint))
            return -1;
    }
    return 0;
}
