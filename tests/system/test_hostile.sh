#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# An application breaks every rule of a port and of the control socket (tests/hostile), without
# privileges, while another stack serves a download: each break has the consequence that it should
# have, and neither the switch nor the other stack notices (hostile.md, P1 to P13, C1 to C6).
. "$(dirname "$0")/lab.sh"
lab_begin
readonly HOSTILE=$LAB_BUILD/tests/hostile_port
[ -x "$HOSTILE" ] || fail "there is no $HOSTILE: run make"

file big 100
start_switch
serve web 80 "$lab_dir/www"
# Slow enough to last through all of it.
start download client curl -sS --limit-rate 8M -o "$lab_dir/got" "http://$SERVER4/big"

# rule MODE EXPECTED: what one mode says, without its name. The download goes on meanwhile.
rule() {
    local mode=$1 expected=$2 said
    shift 2
    said=$(in_server "${@:-${AS_MEMBER[@]}}" timeout 20 "$HOSTILE" --address $SERVER4 --peer $CLIENT4 \
        "$mode" 2>&1 | tail -n 1)
    check_match "$mode" "$said" "^$mode $expected.* switch=alive\$"
}

note 'indices and records'
for mode in bad_tail tail_unaligned tail_backwards; do
    rule $mode 'outcome=detached reason=ring_index'
done
for mode in long_record wrapping_record pad_midway scribble_records; do
    rule $mode 'outcome=detached reason=ring_record'
done
rule scribble_everything 'outcome=detached reason=ring_(index|record)'
for mode in bad_rx_head change_after_check eventfd_storm flag_storm unread_rx vanish honest; do
    rule $mode outcome=alive
done

note 'packets that no port may send'
while read -r mode reason; do
    rule "$mode" "outcome=alive.* $reason=[1-9]"
done <<'MODES'
zero_length tx_bad_length
short_packet tx_bad_length
long_total_length tx_bad_length
bad_version tx_bad_version
spoof_source tx_not_bound
spoof_port tx_not_bound
other_protocol tx_not_bound
fragment tx_fragment
ip_options tx_options
bad_checksum tx_bad_header_checksum
ttl_zero tx_bad_header
bad_offload tx_bad_offload
MODES

# on a fast machine that is as many as a spoofer's
rule random_headers 'outcome=(alive.* tx_not_bound=[1-9]|detached reason=rejected)'
rule spoof_flood 'outcome=detached reason=rejected'

note 'the control socket'
for mode in control_garbage control_truncated control_empty control_huge control_many_fds \
    control_unexpected_fd control_wrong_order control_bind_first control_two_ports control_unread \
    half_hello; do
    rule $mode outcome=closed
done
rule control_absurd_port 'outcome=refused errno=EINVAL'
rule control_absurd_query 'outcome=refused errno=EINVAL'
rule wrong_version 'outcome=refused errno=EPROTONOSUPPORT'
rule connections_flood outcome=alive

note 'placeholders'
for mode in claim_unbound_socket claim_connected_socket claim_other_address claim_other_protocol; do
    rule $mode 'outcome=refused errno=EINVAL'
done
# The kernel knows UDP: no policy may stand for its socket.
rule claim_without_socket 'outcome=refused errno=EPROTONOSUPPORT'
rule claim_not_a_socket 'outcome=refused errno=ENOTSOCK'
rule claim_shared_socket 'outcome=refused errno=EADDRINUSE'
# The switch makes it listen, once it is silent.
rule claim_not_listening outcome=alive
rule claim_foreign_socket 'outcome=refused errno=EXDEV' env # root: it makes a namespace
for mode in release_placeholder connect_placeholder; do
    rule $mode 'outcome=detached reason=placeholder'
done
rule shutdown_placeholder 'outcome=detached reason=placeholder' env

note 'what is shared and handed over'
for mode in connect_foreign_binding drain_foreign_binding; do
    rule $mode 'outcome=refused errno=ENOENT'
done
for mode in connect_foreign_address takeover_without_placeholder drained_without_placeholder \
    bind_absent_ring bind_absurd_ring bind_ring_unannounced; do
    rule $mode 'outcome=refused errno=EINVAL'
done
rule connect_absurd_count outcome=closed
rule connect_flood 'outcome=refused errno=ENOSPC'
rule drain_to_nobody 'outcome=refused errno=EBUSY'
rule share_foreign_binding 'outcome=refused errno=EACCES' env # root: another user than the server
rule handover_unanswered 'outcome=alive seconds=[12]'

note 'ranges of ports'
for mode in range_of_nothing range_odd_count range_absurd_count range_unaligned range_past_the_end \
    range_shared range_with_socket; do
    rule $mode 'outcome=refused errno=EINVAL'
done
rule range_privileged 'outcome=refused errno=EACCES'
rule range_of_the_hosts 'outcome=refused errno=EADDRINUSE'
rule range_flood 'outcome=refused errno=EDQUOT'
rule range_storm 'outcome=refused errno=(EDQUOT|EADDRINUSE)'

note 'rules of the guard'
rule guard_foreign_binding 'outcome=refused errno=EPERM'
rule guard_for_all 'outcome=refused errno=EPERM'
rule guard_absurd_rules 'outcome=refused errno=EINVAL'
rule guard_flood 'outcome=refused errno=ENOSPC'

note 'and the others'
check_soon 'the download ends' '! running download' 30
check 'whole' cmp "$lab_dir/got" "$lab_dir/www/big"
check_equal 'one switch served all of it' "$(status_field restarts)" 0
check 'the other stack answers' listens 80
check_soon 'nothing is left of the hostile ports' '[ "$(status_field ports)" = 1 ]' 30
stop switch
