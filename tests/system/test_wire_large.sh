#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Large sends over a wire: what a stack hands over in one piece crosses in one piece, as over a virtual device, is
# given whole to who merges and cut for who does not; where an end does not want it, or faults are to hit
# single packets, the sender's switch cuts.
. "$(dirname "$0")/lab.sh"
lab_begin

. "$(dirname "$0")/wire_lab.sh"
readonly REQUESTS=20
head -c 32768 /dev/urandom >"$lab_dir/www/32k"
file two 2

workers=1

# sent CONTROL: packets that the NIC of the switch there has sent.
sent() {
    in_server multistack stats -j --control "$1" |
        "$LAB_PYTHON" -c 'import json, sys; print(sum(
            queue["tx_packets"] for nic in json.load(sys.stdin)["nics"] for queue in nic["queues"]))'
}

# carries CONTROL: the switch there knows that its link is up.
carries() {
    [ "$(in_server multistack status -j --control "$1" | "$LAB_PYTHON" "$LAB_TESTS/json_field" up)" = True ]
}

# wire_of LEFT_OPTIONS RIGHT_OPTIONS: two switches that have met, and a server at the left one.
wire_of() {
    wire_switch left server "$left_control" "wire:$wire,address=$LEFT/24$1" --workers "$workers"
    wire_switch right client "$right_control" "wire:$wire,address=$RIGHT/24$2" --workers "$workers"
    wait_for "carries '$left_control' && carries '$right_control'" 30 || fail 'two switches meet'
    start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen $LEFT:80 \
        --stack utcp --control "$left_control"
    wait_for "grep -q serving '$(log_of web)'" 30 || fail 'mshttpd serves'
}

apart() {
    stop web
    stop right
    stop left
    rm -f "$(log_of web)" "$(log_of left)" "$(log_of right)"
}

# wire_get FILE [PORT]: by UTCP over both switches.
wire_get() {
    rm -f "$lab_dir/got"
    in_client timeout 60 msget --control "$right_control" -o "$lab_dir/got" "http://$LEFT:${2:-80}/$1" &&
        cmp "$lab_dir/got" "$lab_dir/www/$1"
}

# responses WHAT: asks for 32 KB again and again by one connection; `packets` are those that the server's side
# sent meanwhile, `large` the large sends among them.
responses() {
    packets=$(sent "$left_control") large=$(wire_counter "$left_control" wire_tx_large)
    check "$1" in_client msload --control "$right_control" --keep-alive -c 1 -n $REQUESTS "http://$LEFT/32k"
    packets=$(($(sent "$left_control") - packets))
    large=$(($(wire_counter "$left_control" wire_tx_large) - large))
    note "$REQUESTS responses of 32 KB: $packets packets, $large of them large sends"
}

# ---------------------------------------------------------------- both ends take them

wire_of '' ''
for side in left right; do
    check_match "the $side end says that it takes large sends" "$(cat "$(log_of $side)")" \
        'link is up, large sends, checksum offload'
done
check '32 KB arrive byte for byte' wire_get 32k
check 'and 2 MB' wire_get two
responses 'many responses by one connection'
# The window opens in the first of them; connecting and acknowledging the requests takes packets of its own.
check 'are large sends, each' [ "$large" -ge "$REQUESTS" ]
check 'two at most' [ "$large" -le $((2 * REQUESTS + 8)) ]
check 'where single segments would be 23' [ "$packets" -le $((6 * REQUESTS)) ]
check_equal 'each arrives' "$(wire_counter "$right_control" wire_rx_large)" \
    "$(wire_counter "$left_control" wire_tx_large)"
check_equal 'and none is unusable' "$(wire_counter "$right_control" wire_rx_unusable)" 0

# from port 6001 to 6000, sequence number 1000, ACK; the checksum is for the switch to fill in
header=17711770000003e8000000015010ffff00000000
before=$(wire_counter "$right_control" wire_tx_large)
start single server "${AS_MEMBER[@]}" env MULTISTACK_CONTROL="$left_control" msraw 6 $LEFT 6000
wait_for "grep -q bound '$(log_of single)'" 30
start large client "${AS_MEMBER[@]}" env MULTISTACK_CONTROL="$right_control" msraw 6 $RIGHT 6001 \
    --large $RIGHT $LEFT $header
check_soon 'a port that does not merge gets a large send' "[ \"\$(grep -c '^[0-9]' '$(log_of single)')\" = 23 ]"
check_equal 'that left as one' "$(wire_counter "$right_control" wire_tx_large)" $((before + 1))
check_equal 'in packets of the MTU' "$(awk '/^[0-9]/ { print $1 }' "$(log_of single)" | sort -n | uniq -c |
    awk '{ printf "%s of %s, ", $1, $2 }')" '1 of 688, 22 of 1500, '
# the sequence number is 20 + 4 bytes into a packet, the first word of the data 20 + 20
check_equal 'with the bytes that belong to each' "$("$LAB_PYTHON" - "$(log_of single)" <<'PY'
import sys

packets = [bytes.fromhex(line.split()[1]) for line in open(sys.argv[1]) if line[0].isdigit()]
sequences = [int.from_bytes(packet[24:28], "big") for packet in packets]
words = [int.from_bytes(packet[40:44], "big") for packet in packets]
print(sequences == [1000 + 1460 * at for at in range(23)] and words == [1460 * at for at in range(23)])
PY
)" True
stop large
stop single
apart

# ---------------------------------------------------------------- an end does not want them, or packets are lost

wire_of '' ,tso=off
check_match 'tso=off at one end is for both' "$(cat "$(log_of left)")" 'link is up, checksum offload$'
responses 'the same by single segments'
check_equal 'not one large send' "$large" 0
check 'at least 23 for each response' [ "$packets" -ge $((23 * REQUESTS)) ]
check 'and 2 MB' wire_get two
apart

wire_of ,tx=off ''
check_match 'tx=off takes both' "$(cat "$(log_of right)")" 'link is up$'
check '2 MB with every checksum filled in' wire_get two
apart

wire_of ,loss=2%,seed=1 ''
check_match 'an end that loses packets takes large sends' "$(cat "$(log_of right)")" 'large sends'
check '2 MB get through' wire_get two
check_equal 'but sends none, so that single packets are lost' "$(wire_counter "$left_control" wire_tx_large)" 0
check 'some were' [ "$(wire_counter "$left_control" wire_lost)" -gt 0 ]
apart

# One of two workers has the wire's queue, and one of two ports is the other's.
workers=2
wire_of '' ''
start other server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen $LEFT:81 --stack utcp \
    --control "$left_control"
wait_for "grep -q serving '$(log_of other)'" 30 || fail 'another mshttpd serves'
check '2 MB from one worker' wire_get two
check '2 MB from the other' wire_get two 81
stop other
apart
workers=1

wire_of ,delay=1ms,rate=10G ,delay=1ms
responses 'a rate and a delay let large sends through'
check 'as they are' [ "$large" -ge "$REQUESTS" ]
check '2 MB arrive byte for byte' wire_get two
apart
