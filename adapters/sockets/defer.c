/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP_DEFER_ACCEPT: a connection is shown to who accepts when its first data are there, or when it has
 * waited for as long as the option says. tcp(7). The kernel leaves it half-open meanwhile, and needs
 * another ACK at the end; here its handshake is done, and it is shown by the time alone. */
#include <stdlib.h>

#include "internal.h"

#define WAIT_MAX    120 /* s, between two SYN-ACKs of the kernel's … */
#define RETRIES_MAX 255 /* … of which it counts so many */

/* One that is not shown yet. */
struct deferral {
    struct deferral *next;
    struct utcp_conn *conn;
    uint64_t until;
};

/* The kernel counts in SYN-ACKs, sent again after 1, 2, 4 … s, and tells the time that those take. */
int sockets__deferral_seconds(int seconds)
{
    int sum = 0, wait = 1;

    for (int count = 0; sum < seconds && count < RETRIES_MAX; count++) {
        sum += wait;
        wait = 2 * wait < WAIT_MAX ? 2 * wait : WAIT_MAX;
    }
    return sum;
}

/* There are data, or there will never be any. */
static bool has_something(const struct utcp_conn *conn)
{
    struct utcp_info info = {.size = sizeof(info)};

    if (utcp_readable(conn) > 0 || utcp_error(conn))
        return true;
    utcp_info(conn, &info);
    return info.state != UTCP_SYN_RECEIVED && info.state != UTCP_ESTABLISHED;
}

bool sockets__defer(const struct sockets *sockets, struct socket *socket, struct utcp_conn *conn)
{
    struct deferral **end = &socket->deferrals, *deferral;

    if (!socket->options.defer_accept || has_something(conn))
        return false;
    deferral = malloc(sizeof(*deferral));
    if (!deferral)
        return false;
    *deferral = (struct deferral){.conn = conn,
                                  .until = sockets__now(sockets) +
                                           (uint64_t)socket->options.defer_accept * 1000000};
    while (*end)
        end = &(*end)->next;
    *end = deferral;
    sockets__apply_quick_acks(sockets, socket, conn);
    utcp_set_user(conn, socket); /* what comes for it is news of the listener's */
    return true;
}

struct utcp_conn *sockets__deferral_over(const struct sockets *sockets, struct socket *socket)
{
    for (struct deferral **at = &socket->deferrals; *at; at = &(*at)->next) {
        struct deferral *deferral = *at;
        struct utcp_conn *conn = deferral->conn;

        if (deferral->until > sockets__now(sockets) && !has_something(conn))
            continue;
        *at = deferral->next;
        free(deferral);
        return conn;
    }
    return NULL;
}

uint64_t sockets__next_deferral(const struct sockets *sockets)
{
    uint64_t now = sockets__now(sockets), next = NEVER;

    for (uint32_t i = 0; i < sockets->size; i++) {
        const struct deferral *deferral = sockets->table[i] ? sockets->table[i]->deferrals : NULL;

        for (; deferral; deferral = deferral->next) {
            if (deferral->until > now && deferral->until < next)
                next = deferral->until;
        }
    }
    return next;
}

void sockets__dispose_deferrals(const struct sockets *sockets, struct socket *socket)
{
    while (socket->deferrals) {
        struct deferral *next = socket->deferrals->next;

        utcp_abort(socket->deferrals->conn, sockets__now(sockets));
        free(socket->deferrals);
        socket->deferrals = next;
    }
}
