/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper's hand on the ranges' programs (bpf/ranges.bpf.c): what refuses bind(2) and mutes the host
 * stack. Loaded while the keeper still may, attached as long as some unit of ports is taken. */
#ifndef MULTISTACK_RANGE_LOAD_H
#define MULTISTACK_RANGE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "range_maps.h"

struct bpf_link;
struct ranges_bpf;

/* All zero: not loaded. */
struct range_programs {
    struct ranges_bpf *skeleton;
    int cgroup_fd; /* of the hierarchy whose bind(2) is watched */
    int mutes[RANGE_MUTES];
    struct bpf_link *bind4, *bind6, *lookup;
};

/* 0, or -1 after it has logged why; then there are no ranges. */
int range_programs_load(struct range_programs *programs, uint64_t netns_cookie);
void range_programs_unload(struct range_programs *programs);
static inline bool range_programs_are_there(const struct range_programs *programs)
{
    return programs->skeleton;
}

/* Begins, or ends, to keep ports. 0 or a negative errno; then none is kept. */
int range_programs_attach(struct range_programs *programs);
void range_programs_detach(struct range_programs *programs);
/* Marks the ports from `first` on as taken or free. */
void range_programs_mark(const struct range_programs *programs, bool is_udp, uint32_t first,
                         uint32_t port_count, bool taken);

/* Whether nobody on this host has the port, of either version of IP, though it may be marked.
 * `programs` may be those that are not there. */
bool range_port_is_free(const struct range_programs *programs, bool is_udp, uint32_t port);

#endif
