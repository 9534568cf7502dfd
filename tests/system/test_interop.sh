#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# UTCP and the kernel's TCP, in either role and either direction, by IPv4 and IPv6: with all they both
# have, and with each feature off on either side, over a good and a bad wire. Receivers compare byte for
# byte (mstcp.c). What was agreed on is checked as well.
#
#   INTEROP_SIZE   bytes of a large transfer, as in 1G; 4M
#   INTEROP_LOSS   losses in percent for these, as in "0 0.1 1 5"; 5
. "$(dirname "$0")/lab.sh"
lab_begin --wire

size=$(numfmt --from=iec "${INTEROP_SIZE:-4M}") || fail "INTEROP_SIZE: ${INTEROP_SIZE}"
read -ra losses <<<"${INTEROP_LOSS:-5}"
readonly BAD=(--loss 1 --duplicate 1 --reorder 2)
start_switch

# transfer ROLE DIRECTION FAMILY BYTES UTCP_ARGS…: UTCP is the client or the server (ROLE) and sends or
# receives (DIRECTION).
transfer() {
    local role=$1 direction=$2 bytes=$4 address of=receive status=0
    [ "$direction" = receive ] && of=send
    local utcp=("${AS_MEMBER[@]}" mstcp "$direction" --bytes "$bytes" "${@:5}")
    local kernel=(mstcp "$of" --stack kernel --bytes "$bytes")
    rm -f "$(log_of utcp)" "$(log_of kernel)"
    address=$([ "$role" = server ] && echo "$SERVER4" || echo $CLIENT4)
    [ "$3" = 4 ] || address=[$([ "$role" = server ] && echo "$SERVER6" || echo $CLIENT6)]
    if [ "$role" = server ]; then
        start utcp server "${utcp[@]}" --listen "$address:7000"
        wait_for 'grep -q listening "$(log_of utcp)"' 30 || return 1
        start kernel client "${kernel[@]}" --connect "$address:7000"
    else
        start kernel client "${kernel[@]}" --listen "$address:7000"
        wait_for 'grep -q listening "$(log_of kernel)"' 30 || return 1
        start utcp server "${utcp[@]}" --connect "$address:7000"
    fi
    wait_for '! running utcp && ! running kernel' 600
    stop utcp || status=1
    stop kernel || status=1
    [ $status = 0 ] || cat "$(log_of utcp)" "$(log_of kernel)"
    return $status
}

# agreed WHAT PATTERN…: UTCP says so, and the kernel, too.
agreed() {
    local what=$1 pattern
    shift
    for pattern; do
        [[ $report == *"$pattern"* ]] || not_ok "$what: UTCP says $report, not $pattern"
        [[ $peer == *"$pattern"* ]] || not_ok "$what: the kernel says $peer, not $pattern"
    done
}

# four WHAT BYTES UTCP_ARGS… -- PATTERN…: both roles, both directions. IPv4 and IPv6 take turns.
turn=0
four() {
    local what=$1 bytes=$2 role direction family patterns=() arguments=()
    shift 2
    while [ $# != 0 ] && [ "$1" != -- ]; do arguments+=("$1") && shift; done
    patterns=("${@:2}")
    for role in client server; do
        for direction in send receive; do
            family=$((turn % 2 ? 6 : 4)) turn=$((turn + 1))
            check "$what: UTCP is $role, ${direction}s, IPv$family" \
                transfer $role $direction $family "$bytes" "${arguments[@]}" || continue
            report=$(tail -n 1 "$(log_of utcp)") peer=$(tail -n 1 "$(log_of kernel)")
            agreed "$what" "${patterns[@]}"
            [ "$bytes" != "$size" ] || note "UTCP: $report; kernel: $peer"
        done
        turn=$((turn + 1))
    done
    turn=$((turn + 1))
}

# kernel_has NAME VALUE: of net.ipv4.tcp_*, for IPv6 as well.
kernel_has() {
    in_client sysctl -qw "net.ipv4.tcp_$1=$2"
}

# matrix WIRE BYTES PATTERN…: the patterns beside what is agreed on over any wire.
matrix() {
    local wire=$1 bytes=$2 all=(--ask-ecn) feature name
    local on=('"timestamps": true' '"window_scale": true' '"sack": true' "${@:3}")
    kernel_has ecn 1 # and ask for it
    four "$wire, everything" "$bytes" "${all[@]}" -- "${on[@]}"
    four "$wire, everything" "$bytes" "${all[@]}" -- "${on[@]}"
    for feature in timestamps window_scaling sack ecn; do
        name=${feature/scaling/scale}
        [ $feature != ecn ] || all=()
        four "$wire, UTCP without $feature" "$bytes" "${all[@]}" --without $feature -- \
            "\"$name\": false"
        kernel_has $feature 0
        all=(--ask-ecn)
        four "$wire, the kernel without $feature" "$bytes" "${all[@]}" -- "\"$name\": false"
        kernel_has $feature 1
    done
}

matrix 'good wire' 300000 '"ecn": true'
# Accurate ECN: tests/system/test_accecn.sh.
if in_client sysctl -qw net.ipv4.tcp_ecn=3 2>/dev/null; then
    four 'accurate ECN asked for' 300000 -- '"sack": true'
    kernel_has ecn 1
fi
lossy "${BAD[@]}"
# Who loses its SYN asks again without ECN (RFC 3168, section 6.1.1.1), so here it is not certain.
matrix 'bad wire' 1000000

for loss in "${losses[@]}"; do
    lossy --loss "$loss" --duplicate 1 --reorder 1
    four "$size bytes at $loss % loss" "$size" --ask-ecn
done
stop lossy
note "$(tail -n 1 "$(log_of lossy)")"
check_equal 'the switch was never restarted' "$(status_field restarts)" 0
