/* SPDX-License-Identifier: BSD-2-Clause */
/* What was found out of the MTU of paths, for the connections to come and those that are: path.c. A part
 * of utcp_internal.h, included by told.h. Sizes are bytes of IP packet. */
#ifndef UTCP_PATH_H
#define UTCP_PATH_H

struct utcp_paths;

/* A connection begins; while stack->paths. */
void utcp__path_begin(struct utcp_conn *conn);

/* ICMP says that the connection's path passes `mtu` at most, which is less than its path_mtu. What it is
 * to use: that, or less if more is known. */
uint32_t utcp__path_refused(struct utcp_conn *conn, uint32_t mtu);
/* A search has found that this much passes, and little more. */
void utcp__path_searched(struct utcp_conn *conn, uint32_t mtu);
/* Full segments vanish, and so many bytes may pass; it may be an outage as well. */
void utcp__path_suspected(struct utcp_conn *conn, uint32_t mtu);
/* A probe has passed: of a path that is thought to pass less, more is known now. */
void utcp__path_passed(struct utcp_conn *conn, uint32_t mtu);

/* While stack->paths: goes on telling other connections; when that is to be called next, UINT64_MAX:
 * all were told. */
void utcp__paths_advance(struct utcp *stack);
uint64_t utcp__paths_deadline(const struct utcp *stack);
void utcp__paths_free(struct utcp *stack);

#endif
