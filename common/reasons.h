/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a packet was dropped: the same words in the code, in the JSON and in the manual.
 *
 * One list; from it come the enumeration, the names and the explanations. A reason is never
 * renamed (contract.md): scripts read them. Order is not part of the interface. */
#ifndef MULTISTACK_REASONS_H
#define MULTISTACK_REASONS_H

/* Packets that a stack sent and that the switch did not pass on. */
#define TX_DROP_REASONS(X)                                                                         \
    X(TX_BAD_LENGTH, "tx_bad_length",                                                              \
      "record length of zero, or shorter or longer than its headers say")                          \
    X(TX_BAD_VERSION, "tx_bad_version", "neither IPv4 nor IPv6")                                   \
    X(TX_BAD_HEADER, "tx_bad_header", "IP header length, total length or TTL out of range")        \
    X(TX_BAD_HEADER_CHECKSUM, "tx_bad_header_checksum", "IPv4 header checksum is wrong")           \
    X(TX_OPTIONS, "tx_options",                                                                    \
      "IPv4 options or IPv6 extension headers, which stacks may not send")                         \
    X(TX_FRAGMENT, "tx_fragment", "a fragment, which stacks may not send")                         \
    X(TX_NOT_BOUND, "tx_not_bound",                                                                \
      "protocol, source address and port are not bound by this port")                              \
    X(TX_BAD_OFFLOAD, "tx_bad_offload", "offload fields of the record do not fit the packet")      \
    X(TX_TOO_BIG, "tx_too_big", "larger than the MTU of the route; the stack was told by ICMP")    \
    X(TX_NO_ROUTE, "tx_no_route", "the kernel has no route to the destination")                    \
    X(TX_UNRESOLVED, "tx_unresolved",                                                              \
      "the next hop did not answer ARP or ND, or too much waited for it")                          \
    X(TX_LOCAL, "tx_local", "addressed to this host, where no stack has bound the destination")    \
    X(TX_NIC_DOWN, "tx_nic_down", "the NIC is down or away")                                       \
    X(TX_NIC_FULL, "tx_nic_full", "the NIC's transmit ring was full")

/* Packets from a NIC (or from another stack) that no stack received. */
#define RX_DROP_REASONS(X)                                                                         \
    X(RX_UNPARSED, "rx_unparsed", "headers are cut, inconsistent or not understood")               \
    X(RX_BAD_HEADER_CHECKSUM, "rx_bad_header_checksum", "IPv4 header checksum is wrong")           \
    X(RX_NOT_BOUND, "rx_not_bound", "no port binds the destination (any more)")                    \
    X(RX_PORT_FULL, "rx_port_full", "the receive ring of the port was full")                       \
    X(RX_TOO_BIG, "rx_too_big", "longer than the port or the NIC driver can take")                 \
    X(RX_GROUP_LOST, "rx_group_lost",                                                              \
      "multicast or broadcast that found no room on its way from the host stack")                  \
    X(RX_FRAGMENT_BAD, "rx_fragment_bad",                                                          \
      "fragments that overlap, contradict each other, or are cut")                                 \
    X(RX_FRAGMENT_LOST, "rx_fragment_lost",                                                        \
      "fragments whose datagram did not become whole in time, or had to make room")                \
    X(RX_HANDOVER_FULL, "rx_handover_full",                                                        \
      "the worker that serves the ring did not keep up with what others handed it")

enum drop_reason {
#define DROP_REASON_ENUM(symbol, name, text) DROP_##symbol,
    TX_DROP_REASONS(DROP_REASON_ENUM) RX_DROP_REASONS(DROP_REASON_ENUM)
#undef DROP_REASON_ENUM
        DROP_REASON_COUNT
};

/* Why the switch cut a port off. The port's process gets it in MS_MSG_DETACHED. */
#define DETACH_REASONS(X)                                                                          \
    X(NONE, "none", "not detached")                                                                \
    X(CLOSED, "closed", "the application closed the port or ended")                                \
    X(RING_INDEX, "ring_index", "a ring index moved backwards or by more than the ring holds")     \
    X(RING_RECORD, "ring_record", "a record reaches beyond what was published")                    \
    X(PLACEHOLDER, "placeholder", "a placeholder socket no longer reserves its binding")           \
    X(PROTOCOL, "protocol", "a message on the control socket broke the protocol")                  \
    X(UNREAD, "unread", "the application does not read its control socket")                        \
    X(REJECTED, "rejected", "it went on sending packets that no stack may send")

enum detach_reason {
#define DETACH_REASON_ENUM(symbol, name, text) DETACH_##symbol,
    DETACH_REASONS(DETACH_REASON_ENUM)
#undef DETACH_REASON_ENUM
        DETACH_REASON_COUNT
};

/* What the mux decided about a frame, in the kernel. */
#define MUX_VERDICTS(X)                                                                            \
    X(CLAIMED, "claimed", "redirected to the switch")                                              \
    X(PASS_OTHER, "pass_other", "not IP, or an IP protocol that no stack has bound")               \
    X(PASS_UNPARSED, "pass_unparsed",                                                              \
      "headers cut, options, too many extension headers, or inconsistent")                         \
    X(PASS_FRAGMENT, "pass_fragment", "a fragment, and none before it was claimed")                \
    X(PASS_UNCLAIMED, "pass_unclaimed", "nobody has bound the destination")                        \
    X(PASS_NOT_OURS, "pass_not_ours", "not addressed to this host's MAC or IP address")            \
    X(PASS_NO_SWITCH, "pass_no_switch", "claimed, but the switch is away or hangs")                \
    X(PASS_VLAN, "pass_vlan", "with a VLAN tag, which makes it the host's")                        \
    GUARD_VERDICTS(X)

/* What the guard decided about a frame that was claimed (bpf/guard.h). */
#define GUARD_VERDICTS(X)                                                                          \
    X(GUARD_BLOCKED, "guard_blocked", "dropped: its source is on a block list")                    \
    X(GUARD_MALFORMED, "guard_malformed", "dropped: TCP flags or ports that no TCP sends")         \
    X(GUARD_SYN_SOURCE, "guard_syn_source", "SYN dropped: its source opens too much")              \
    X(GUARD_SYN, "guard_syn", "SYN dropped: too many for the binding")                             \
    X(GUARD_CONNECTIONS, "guard_connections", "opening dropped: too many new connections")         \
    X(GUARD_DAMAGED, "guard_damaged", "SYN that was to be answered dropped: a checksum is wrong")  \
    X(GUARD_COOKIE, "guard_cookie", "SYN answered in the stack's place, by a cookie")

#define MUX_GUARD_FIRST MUX_GUARD_BLOCKED

enum mux_verdict {
#define MUX_VERDICT_ENUM(symbol, name, text) MUX_##symbol,
    MUX_VERDICTS(MUX_VERDICT_ENUM)
#undef MUX_VERDICT_ENUM
        MUX_VERDICT_COUNT
};

#endif
