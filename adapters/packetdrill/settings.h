/* SPDX-License-Identifier: BSD-2-Clause */
/* The settings that a script makes with sysctl(8) before its first socket: what of them UTCP has. */
#ifndef MS_PACKETDRILL_SETTINGS_H
#define MS_PACKETDRILL_SETTINGS_H

#include "utcp.h"

/* Fills in what /proc/sys/net/ipv4/tcp_* of this network namespace say; what cannot be read stays as
 * it was. */
void settings_read(struct utcp_config *config);

#endif
