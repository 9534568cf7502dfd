/* SPDX-License-Identifier: BSD-2-Clause */
/* What multistackd was told: by its command line and its configuration file, which know the same
 * words (doc/man/multistackd.8.scd). One table of options serves both. */
#ifndef MULTISTACK_CONFIG_H
#define MULTISTACK_CONFIG_H

#include <linux/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"

#include "wire_spec.h"

#define CONFIG_NICS_MAX      16
#define CONFIG_PROTOCOLS_MAX CHANNEL_PROTOCOLS_MAX
#define CONFIG_ERROR_SIZE    512
#define CONFIG_PATH_SIZE     108 /* sun_path of unix(7) */
#define CONFIG_NAME_SIZE     33  /* of a user or group: 32 characters, as useradd(8) */

/* Packets of one preferred busy poll, as the kernel's own default is. What is too much it says itself. */
#define CONFIG_BUSY_POLL_BUDGET     64
#define CONFIG_BUSY_POLL_BUDGET_MAX 1000000

enum copy_wish { COPY_AUTO, COPY_ZEROCOPY, COPY_COPY };
enum xdp_wish { XDP_AUTO, XDP_NATIVE, XDP_GENERIC };

enum nic_driver { NIC_DRIVER_AFXDP, NIC_DRIVER_WIRE, NIC_DRIVER_PACKET };

/* One `--nic SPEC`: what is wanted of a device. What became of it is in struct keeper_nic. */
struct nic_spec {
    enum nic_driver driver;
    char device[IFNAMSIZ]; /* of a wire: the last part of its path, which is its name */
    uint32_t queues;       /* 0: as many as the device receives with */
    enum copy_wish copy;
    enum xdp_wish xdp;
    bool share;                /* attach through libxdp's dispatcher, beside other programs */
    uint32_t busy_poll_budget; /* packets of one preferred busy poll; 0: none of it */
    bool large;                /* a packet socket for large sends beside each AF_XDP socket */
    bool any_driver; /* just a device: AF_XDP, unless another driver suits its kind better */
    struct wire_spec wire;
};

/* One of those whom a line of [protocols] names: who besides root may bind the protocol without a
 * kernel socket (protocols.h). */
struct config_protocol {
    uint8_t protocol;
    bool has_ports;
    uint8_t who; /* enum channel_who */
    uint32_t id;
};

#define REJECTED_MAX_DEFAULT 10000

/* How much each port of a user may send, or of everybody else. */
struct config_port_rate {
    uint64_t packets_s, bits_s; /* 0: no limit */
    uint8_t who;                /* CHANNEL_WHO_USER or CHANNEL_WHO_ANYBODY */
    uint32_t id;
};

struct config {
    struct nic_spec nics[CONFIG_NICS_MAX];
    uint32_t nic_count;
    uint32_t workers;
    char cpus[256]; /* as taskset(1) takes it; "": anywhere */
    uint32_t busy_poll_us;
    char control[CONFIG_PATH_SIZE];
    char user[CONFIG_NAME_SIZE];        /* "": multistack, or nobody where it does not exist */
    char group[CONFIG_NAME_SIZE];       /* "": multistack, if it exists */
    char admin_group[CONFIG_NAME_SIZE]; /* "": root alone administers */
    uint32_t ports_max;
    uint32_t ports_per_user_max;
    uint32_t ring_size;               /* bytes; default of a port's rings */
    uint32_t rejected_max;            /* packets a second that no stack may send; 0: any number */
    uint32_t range_first, range_last; /* ports that ranges may be of; last 0: there are no ranges */
    uint32_t range_ports_per_user;
    bool asked_cookies; /* stacks may have SYNs answered at the NIC */
    bool local;         /* serve lo as well: programs of this host reach stacks, and these them */
    struct config_protocol protocols[CONFIG_PROTOCOLS_MAX];
    uint32_t protocol_count;
    struct config_port_rate port_rates[CHANNEL_PORT_RATES_MAX];
    uint32_t port_rate_count;
    bool verbose;
};

enum config_option_id {
    CONFIG_NIC = 256, /* above every character, as getopt_long(3) wants it */
    CONFIG_WORKERS,
    CONFIG_CPUS,
    CONFIG_BUSY_POLL,
    CONFIG_CONTROL,
    CONFIG_USER,
    CONFIG_GROUP,
    CONFIG_ADMIN_GROUP,
    CONFIG_PORTS_MAX,
    CONFIG_PORTS_PER_USER,
    CONFIG_RING_SIZE,
    CONFIG_LOCAL,
    CONFIG_REJECTED_MAX,
    CONFIG_PORT_RATE,
    CONFIG_RANGE_PORTS,
    CONFIG_RANGE_PORTS_PER_USER,
    CONFIG_ASKED_COOKIES,
};

struct config_option {
    const char *name;
    enum config_option_id id;
    const char *argument;
    const char *help;
};

extern const struct config_option config_options[];
extern const size_t config_option_count;

/* The defaults; the control socket's path as the environment has it. */
void config_init(struct config *config);

/* Each of these returns 0, or -1 with one line of why in `error` (what was wrong and what would be
 * right). */
int config_set(struct config *config, enum config_option_id id, const char *value,
               char error[CONFIG_ERROR_SIZE]);
int config_parse_nic(const char *text, struct nic_spec *spec, char error[CONFIG_ERROR_SIZE]);
int config_read_file(struct config *config, const char *path, char error[CONFIG_ERROR_SIZE]);
/* One line of [protocols]: "sctp", "dccp" or a number, with "/ports" where it has ports and is not
 * one of those two; then users, @groups or * for everybody, between blanks. Nobody: root alone. */
int config_set_protocol(struct config *config, const char *name, const char *value,
                        char error[CONFIG_ERROR_SIZE]);
/* One line of [port-rates]: a user, and "packets=N", "bits=N", both with a comma between, or "none". */
int config_set_port_rate(struct config *config, const char *name, const char *value,
                         char error[CONFIG_ERROR_SIZE]);
/* Whatever can only be said of the whole. */
int config_check(const struct config *config, char error[CONFIG_ERROR_SIZE]);

/* The first `room` processors of such a list, in its order; returns how many. The text was checked. */
uint32_t config_list_cpus(const char *text, uint32_t *cpus, uint32_t room);
/* A list of processors such as "0-2,5" as bits; at least one, each below `bits`. */
int config_parse_cpus(const char *text, uint64_t *mask, size_t bits, char error[CONFIG_ERROR_SIZE]);

#endif
