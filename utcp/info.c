/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stack and a connection tell about themselves. */
#include "utcp.h"

const char *utcp_state_name(enum utcp_state state)
{
    static const char *const names[] = {
        [UTCP_CLOSED] = "CLOSED",           [UTCP_LISTEN] = "LISTEN",
        [UTCP_SYN_SENT] = "SYN-SENT",       [UTCP_SYN_RECEIVED] = "SYN-RECEIVED",
        [UTCP_ESTABLISHED] = "ESTABLISHED", [UTCP_FIN_WAIT_1] = "FIN-WAIT-1",
        [UTCP_FIN_WAIT_2] = "FIN-WAIT-2",   [UTCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [UTCP_CLOSING] = "CLOSING",         [UTCP_LAST_ACK] = "LAST-ACK",
        [UTCP_TIME_WAIT] = "TIME-WAIT",
    };

    if ((unsigned)state >= sizeof(names) / sizeof(names[0]))
        return "?";
    return names[state];
}
