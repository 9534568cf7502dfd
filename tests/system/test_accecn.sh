#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Accurate ECN (RFC 9768) through switches and a wire that marks what is capable: what one end counts the other is
# told. Between two UTCPs, each behind a switch of its own; with the kernel in both roles, where it has
# it (net.ipv4.tcp_ecn=3; 6.18 does not take that yet); and with a kernel that knows no more than RFC 3168.
# UTCP's part in all detail is in tests/tcp/test_accecn.c, ECN by RFC 3168 in test_ecn.sh.
. "$(dirname "$0")/lab.sh"
lab_begin --wire

readonly BYTES=20000000
far_control=$lab_dir/run/far.sock
lossy --mark 2
start_switch
start far client multistackd --nic eth0 --control "$far_control" --group "$LAB_GROUP"
wait_for 'in_client multistack --control "$far_control" status' 30 || fail 'the client has a switch as well'

# said FIELD LOG: of what mstcp reported.
said() {
    grep -o "\"$1\": *[a-z0-9]*" "$(log_of "$2")" | tail -n 1 | sed 's/.*: *//'
}

kernel() {
    in_client nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

# transfer PEER WHO-SENDS WHO-CONNECTS ADDRESS: PEER, utcp or kernel, is the client's TCP; server and client have one
# of each role. Who connects asks for it, if it is UTCP.
transfer() {
    local peer=$1 sends=$2 connects=$3 address=$4 at=$CLIENT4 status=0
    local ours=receive theirs=send listens=mine asks=theirs
    local -a mine theirs_are
    [ "$sends" = client ] || ours=send theirs=receive
    [ "$address" = "$SERVER4" ] || at="[$CLIENT6]"
    mine=("${AS_MEMBER[@]}" mstcp "$ours" --bytes "$BYTES" --seed 5)
    theirs_are=("${AS_MEMBER[@]}" mstcp "$theirs" --bytes "$BYTES" --seed 5)
    [ "$peer" = utcp ] && theirs_are+=(--control "$far_control") || theirs_are+=(--stack kernel)
    if [ "$connects" = client ]; then
        mine+=(--listen "$address:7001") theirs_are+=(--connect "$address:7001")
        [ "$peer" = kernel ] || theirs_are+=(--ask-accurate-ecn)
    else
        listens=theirs asks=mine
        mine+=(--connect "$at:7002" --ask-accurate-ecn) theirs_are+=(--listen "$at:7002")
    fi
    : >"$(log_of mine)"
    : >"$(log_of theirs)"
    for end in $listens $asks; do
        if [ "$end" = mine ]; then start mine server "${mine[@]}"; else start theirs client "${theirs_are[@]}"; fi
        [ "$end" = $asks ] || wait_for "grep -q listening '$(log_of "$end")'" 30 || return 1
    done
    wait_for '! running mine && ! running theirs' 120 || status=1
    stop theirs || status=1
    stop mine || status=1
    return $status
}

# about COUNT COUNT SEGMENT: the last of it may be told by nobody, with the connection's last ACK.
about() {
    [ "$1" -gt 0 ] && [ "$1" -le $(($2 + 4 * $3)) ] && [ "$2" -le $(($1 + 4 * $3)) ]
}

for address in "$SERVER4" "[$SERVER6]"; do
    for connects in client server; do
        what="$address, two UTCPs, the $connects connects"
        check "$what, the server sends" transfer utcp server $connects "$address"
        check_equal "$what: by Accurate ECN" "$(said ecn_accurate mine)$(said ecn_accurate theirs)" truetrue
        check "$what: of $(said marked_in theirs) marks the sender was told $(said marked_told mine)" \
            about "$(said marked_in theirs)" "$(said marked_told mine)" 1
        check "$what: and of $(said ce_in theirs) bytes $(said ce_told mine)" \
            about "$(said ce_in theirs)" "$(said ce_told mine)" 1460
    done
done

if in_client sysctl -qw net.ipv4.tcp_ecn=3 2>"$lab_dir/refused"; then
    for address in "$SERVER4" "[$SERVER6]"; do
        ip=$([ "$address" = "$SERVER4" ] && echo IpExt || echo Ip6)
        for connects in client server; do
            what="$address, with the kernel, the $connects connects"
            marked=$(kernel "${ip}InCEPkts")
            check "$what, UTCP sends" transfer kernel server $connects "$address"
            check_equal "$what: by Accurate ECN" "$(said ecn_accurate mine)" true
            marked=$(($(kernel "${ip}InCEPkts") - marked))
            check "$what: of $marked marks UTCP was told $(said marked_told mine)" about "$marked" "$(said marked_told mine)" 1
            told=$(kernel TcpExtTCPDeliveredCE)
            check "$what, the kernel sends" transfer kernel client $connects "$address"
            check_equal "$what: by Accurate ECN, too" "$(said ecn_accurate mine)" true
            told=$(($(kernel TcpExtTCPDeliveredCE) - told))
            check "$what: of $(said marked_in mine) marks the kernel was told $told" about "$(said marked_in mine)" "$told" 1
        done
    done
else
    note "no Accurate ECN with the kernel: $(cat "$lab_dir/refused")"
fi

in_client sysctl -qw net.ipv4.tcp_ecn=1
for sends in server client; do
    check "a kernel that knows RFC 3168 alone is asked for Accurate ECN, the $sends sends" transfer kernel $sends server "$SERVER4"
    check_equal 'and gets what it knows' "$(said ecn_accurate mine)$(said ecn mine)" falsetrue
done
in_client sysctl -qw net.ipv4.tcp_ecn=0
check 'one without ECN' transfer kernel server server "$SERVER4"
check_equal 'has none' "$(said ecn_accurate mine)$(said ecn mine)" falsefalse

check_equal 'the switch was never restarted' "$(status_field restarts)" 0
