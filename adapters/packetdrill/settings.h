/* SPDX-License-Identifier: BSD-2-Clause */
/* The settings that a script makes with sysctl(8) and ethtool(8) before its first socket: what of them UTCP has. */
#ifndef MS_PACKETDRILL_SETTINGS_H
#define MS_PACKETDRILL_SETTINGS_H

#include "sockets.h"
#include "utcp.h"

/* Fills in what /proc/sys/net/ipv4/tcp_* of this network namespace and its tun0 say (MTU, and whether
 * packets may be large); what cannot be read stays as it was. */
void settings_read(struct utcp_config *config);

/* A shell command that a script runs: what it sets of ECN holds though the kernel refuses it. True: it sets something
 * of that. */
bool settings_take_command(const char *command);

/* tcp_notsent_lowat in bytes; 0: no limit. */
uint32_t settings_not_sent_low(void);
/* What sockets tell of their buffers. */
void settings_tell_buffers(struct sockets *sockets);

/* tcp_fastopen_key, where it is set, for all listeners of the stack. */
void settings_read_keys(struct utcp *stack);

/* What scripts change on their way: tcp_fastopen, and what of `config` utcp_set_flags() sets. */
void settings_follow(struct utcp *stack, struct sockets *sockets, struct utcp_config *config);

#endif
