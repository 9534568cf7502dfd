/* SPDX-License-Identifier: BSD-2-Clause */
/* segment.h */
#include "segment.h"

#include "checksum.h"

static void write_ip_header(uint8_t *out, const struct packet_view *view, uint32_t length,
                            uint32_t index)
{
    if (view->family == 4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)out;

        ip->total_length = htons((uint16_t)length);
        ip->id = htons((uint16_t)(ntohs(ip->id) + index));
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, out, IPV4_HEADER_MIN));
    } else {
        ((struct wire_ipv6 *)out)->payload_length = htons((uint16_t)(length - IPV6_HEADER_SIZE));
    }
}

void segment_write(struct segment_cursor *cursor, uint8_t *out, bool partial)
{
    struct packet_view view = *cursor->view;
    uint32_t length = segment_next_length(cursor);
    uint32_t payload = length - view.headers;
    struct wire_tcp *tcp = (struct wire_tcp *)(out + view.transport);
    bool last;

    memcpy(out, cursor->whole, view.headers);
    memcpy(out + view.headers, cursor->whole + view.headers + cursor->offset, payload);
    write_ip_header(out, &view, length, cursor->index);
    last = cursor->offset + payload == view.length - view.headers;
    tcp->sequence = htonl(ntohl(tcp->sequence) + cursor->offset);
    if (!last)
        tcp->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (cursor->index)
        tcp->flags &= (uint8_t)~TCP_CWR;
    view.length = length;
    if (partial)
        tcp->checksum = checksum_fold(packet_pseudo_header(out, &view, length - view.transport));
    else
        packet_fill_checksum(out, &view);
    cursor->offset += payload;
    cursor->index++;
}
