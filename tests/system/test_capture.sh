#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `multistack capture`: what it writes is what tcpdump and tshark understand; filters; and who may capture
# what.
. "$(dirname "$0")/lab.sh"
lab_begin

head -c 1000 /dev/urandom >"$lab_dir/www/1k"
# Its user is another one than AS_MEMBER's.
readonly OTHER=$((LAB_UID + 1))
AS_OTHER=(setpriv "--reuid=$OTHER" "--regid=$OTHER" "--groups=$LAB_GROUP" --no-new-privs)
AS_ADMIN=(setpriv "--reuid=$OTHER" "--regid=$OTHER" "--groups=$LAB_GROUP,man" --no-new-privs)
start_switch --admin-group man
serve web 80 "$lab_dir/www"
serve other 81 "$lab_dir/www"

# capture NAME [COMMAND… --] ARGS…: in the background, up to the moment it has begun.
capture() {
    local name=$1
    local -a before=()
    shift
    if [ "$1" = setpriv ]; then
        while [ "$1" != -- ]; do before+=("$1") && shift; done
        shift
    fi
    start "$name" server "${before[@]}" multistack capture "$@"
    wait_for "grep -q '^capturing' '$(log_of "$name")' || ! running $name" 30
    grep -q '^capturing' "$(log_of "$name")" || fail "a capture begins: $(cat "$(log_of "$name")")"
}

# fields FILE FIELD…: what tshark shows of each packet, into FILE.fields. Checksums are looked at.
fields() {
    local file=$1 field
    local -a wanted=()
    shift
    for field; do wanted+=(-e "$field"); done
    tshark -r "$file" -n -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE -T fields \
        "${wanted[@]}" 2>>"$lab_dir/logs/tshark" | sed 's/·//g' >"$file.fields"
}

# column FILE NUMBER [FILTER]
column() {
    awk -F '\t' "${3:-1} { print \$$2 }" "$1.fields"
}

closed() {
    ! in_client ss -Htn exclude time-wait exclude listening | grep -q :8
}

# ---- a page from handshake to end, as the NIC and as its port has it; another port's beside it
port_of() {
    in_server multistack ports -j | "$LAB_PYTHON" -c 'import json, sys
print([p["port"] for p in json.load(sys.stdin)["ports"] if p["pid"] == int(sys.argv[1])][0])' "$1"
}
port=$(port_of "$(pid_of other)")
page=$lab_dir/page.pcapng own=$lab_dir/own.pcapng some=$lab_dir/some.pcapng
capture page -i nic0 -w "$page"
capture own -i "$port" -w "$own"
capture some -i nic0 -c 2 -s 60 -w "$some" 'tcp[tcpflags] & tcp-syn != 0' and port 80
capture lines -c 3 port 80
capture json -j -c 1 port 80
capture mine "${AS_MEMBER[@]}" -- -i "$port" -c 1
capture admin "${AS_ADMIN[@]}" -- -i nic0 -c 1
check 'a page of one port' fetched 1k "http://$SERVER4:81/1k"
check 'and of another' fetched 1k "http://$SERVER4/1k"
check_soon 'the connections close' closed
stop page INT
check_equal 'SIGINT ends a capture in order' $? 0
check_match 'it says what it has' "$(cat "$(log_of page)")" \
    '[0-9]+ packets captured, 0 did not pass.* 0 dropped'
check_match 'tcpdump reads it' "$(tcpdump -n -r "$page" 2>&1)" "IP $CLIENT4.*> $SERVER4.80: Flags \[S\]"
fields "$page" tcp.port frame.packet_flags_direction ip.src tcp.flags.str tcp.checksum.status \
    ip.checksum.status frame.interface_name frame.encap_type frame.time_epoch http.request.uri
# 1 is inbound, 2 is outbound
check_equal 'the handshake stands in it, with its directions' \
    "$(awk -F '\t' '$1 ~ /(^|,)80(,|$)/ { print $2, $3, $4 }' "$page.fields" | head -n 3)" \
    "0x00000001 $CLIENT4 S
0x00000002 $SERVER4 AS
0x00000001 $CLIENT4 A"
check_equal 'the requests' "$(column "$page" 10 '$10 != ""' | sort | uniq -c | tr -s ' ')" ' 2 /1k'
check_equal 'every checksum is there and right' "$(column "$page" '5 $6' | sort -u)" 11
check_equal 'the interface has its name, and is an Ethernet' "$(column "$page" '7, $8' | sort -u)" 'nic0 1'
check_match 'times are to the nanosecond' "$(column "$page" 9 | head -n 1)" '\.[0-9]{9}$'
check_equal 'and now' "$(column "$page" 9 | head -n 1 | cut -c 1-7)" "${EPOCHSECONDS:0:7}"

stop own
check_equal 'SIGTERM ends it in order' $? 0
fields "$own" tcp.port frame.packet_flags_direction ip.src tcp.flags.str tcp.checksum.status frame.encap_type
check_equal 'a port has its own packets alone' "$(column "$own" 1 '$1 !~ /(^|,)81(,|$)/')" ''
check_equal 'IP packets, with their directions' \
    "$(awk -F '\t' '$4 ~ /S/ { print $2, $3, $6 }' "$own.fields")" \
    "0x00000001 $CLIENT4 7
0x00000002 $SERVER4 7"
check_equal 'their checksums right' "$(column "$own" 5 | sort -u)" 1

# ---- filter, count, length; lines
check_soon 'a capture ends after as many packets as it was to take' '! running some'
stop some
check_equal 'by itself' $? 0
fields "$some" tcp.flags.str frame.cap_len frame.len
check_equal 'they are those that the filter wants, cut' "$(cut -f 1,2 "$some.fields" | tr '\t\n' '  ')" 'S 60 AS 60 '
check_equal 'a filter that is none is wrong usage' \
    "$(in_server multistack capture -i nic0 'port banana' 2>/dev/null; echo $?)" 2
check_soon 'lines end, too' '! running lines && ! running json'
check_match 'without -w there are lines' "$(cat "$(log_of lines)")" \
    "nic0 in +$CLIENT4.[0-9]+ > $SERVER4.80 TCP \[S\]"
check_match 'with -j they are JSON' "$(cat "$(log_of json)")" '"interface": ?"nic0".*"tcp_flags": ?"S"'

# ---- who may
check_soon 'its owner has captured a port, and an administrator a NIC' '! running mine && ! running admin'
check_equal 'both have seen packets' "$(cat "$(log_of mine)" "$(log_of admin)" | grep -c '^1 packets')" 2
check_match 'a NIC is not everybody'\''s' \
    "$(in_server "${AS_MEMBER[@]}" multistack capture -i nic0 -w /dev/null 2>&1)" 'NIC nic0: Permission denied'
check_match 'nor is a foreign port' \
    "$(in_server "${AS_OTHER[@]}" multistack capture -i "$port" -w /dev/null 2>&1)" 'Permission denied'
check_not 'which is a failure' in_server "${AS_OTHER[@]}" multistack capture -i "$port" -w /dev/null
check_match 'there is nothing of that name' "$(in_server multistack capture -i eth7 2>&1)" \
    'eth7: no such NIC or port'
