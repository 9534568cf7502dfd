#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Frames that no honest peer sends: nothing crashes, nobody is disturbed, each is counted under a
# reason (hostile input of the wire: headers, checksums, fragments, options, flags, sources, ICMP).
. "$(dirname "$0")/lab.sh"
"$LAB_PYTHON" -c 'import scapy.all' 2>/dev/null || skip 'needs scapy (python3-scapy)'
lab_begin

file big 60
start_switch
serve web 80 "$lab_dir/www"
start echo server "${AS_SERVICE[@]}" msecho --listen 0.0.0.0:7
mac=$(in_server cat /sys/class/net/nic0/address)
switch=$(status_field switch_pid)

# send KIND: and then look whether everybody is still there.
send() {
    check "$1: all of it is sent" in_client "$LAB_PYTHON" "$LAB_TESTS/garbage.py" "$1" "$mac"
    check "after $1: a page is served" listens 80
    check "after $1: the stacks live" eval 'running web && running echo'
    check_equal "after $1: the switch lives" "$(status_field switch_pid)" "$switch"
}

download during "http://$SERVER4/big" 4M
check_soon 'a download begins' 'has_got during 1000000'
for kind in cut header checksum option fragments tcp source icmp noise; do
    send $kind
done
check_download 'the download did not mind' during big

for reason in pass_unparsed pass_fragment pass_unclaimed pass_not_ours; do
    count=$(counter $reason)
    check "counted: $reason ($count)" test "${count:-0}" -gt 0
done
# What the switch rightly hands on, the stacks count: UTCP says so at its end.
stop web
for reason in checksum bad_address no_connection unacceptable; do
    check_match "counted by UTCP: $reason" "$(cat "$(log_of web)")" "utcp dropped:.* $reason=[1-9]"
done
note "$(in_server multistack stats -j | tr -d '\n ' | head -c 1500)"
