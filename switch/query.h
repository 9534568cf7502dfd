/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers to CONTROL_QUERY: what the switch is, has and counts, a page at a time. */
#ifndef MULTISTACK_SWITCH_QUERY_H
#define MULTISTACK_SWITCH_QUERY_H

#include <stdint.h>

#include "control_protocol.h"

struct switch_core;

/* Writes one whole CONTROL_RECORDS message to `page`, of CONTROL_MESSAGE_MAX bytes; an unknown
 * subject is answered with error EINVAL. A cursor that never came from here gives no records, or
 * others', but nothing worse. */
void query_answer(struct switch_core *core, const struct control_query *query, uint8_t *page);

#endif
