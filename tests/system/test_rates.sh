#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What a port may send in a second, and who loses what when one receiver is slow: on a wire, where
# each packet is counted.
. "$(dirname "$0")/lab.sh"
lab_begin

readonly LEFT=10.9.0.1 RIGHT=10.9.0.2
wire=$lab_dir/run/wire
export MULTISTACK_CONTROL=$lab_dir/run/wire.sock

# wire_switch OPTION…: up to the moment when it answers.
wire_switch() {
    start switch server multistackd --nic "wire:$wire,address=$LEFT/24" --group "$LAB_GROUP" "$@"
    wait_for 'in_server multistack status || ! running switch' 30 && running switch ||
        fail "multistackd serves a wire: $(tail -n 3 "$(log_of switch)")"
}
# field NAME MEMBER: a number of the JSON that mspktgen printed.
field() {
    "$LAB_PYTHON" "$LAB_TESTS/json_field" "$2" <"$(log_of "$1")"
}
# port_counter PORT_NAME COUNTER: of that port, all rings, drops included.
port_counter() {
    in_server multistack stats -j | "$LAB_PYTHON" -c 'import json, sys
print(sum({**ring, **ring["drops"]}[sys.argv[2]] for port in json.load(sys.stdin)["ports"]
          if port["name"] == sys.argv[1] for ring in port["rings"]))' "$1" "$2"
}
# slept: how often the switch has given the processor away so far.
slept() {
    awk '/^voluntary/ { print $2 }' "/proc/$(status_field switch_pid)/status"
}

# ---------------------------------------------------------------- rates

for wrong in packets=1 bits=1.5M speed=9 none,bits=1M; do
    check_match "--port-rate $wrong is refused" "$(in_server multistackd --nic "wire:$wire" \
        --port-rate "$wrong" --check-config 2>&1)" "multistackd: .*'(1|1.5M|speed=9|none)'"
done
cat >"$lab_dir/rates.conf" <<'END'
[multistackd]
port-rate = packets=1M
[port-rates]
root = packets=1000
END
wire_switch --config "$lab_dir/rates.conf"
start counter server mspktgen rx --wire "$wire" --verify -j
check_soon 'the link is up' 'grep -q "link is up" "$(log_of switch)"'
before=$(slept) began=$(now_ms)
start limited server mspktgen tx --from $LEFT:1000 --to $RIGHT:80 --port limited
check_soon 'a port sends 2,000 packets' '[ "$(port_counter limited tx_packets)" -ge 2000 ]' 30
took=$(($(now_ms) - began)) times=$(($(slept) - before))
check "which takes at least 1.9 s at 1,000 a second ($took ms)" test "$took" -ge 1900
check 'its ring waited' test "$(port_counter limited tx_limited)" -gt 100
check "and the switch slept meanwhile ($times times)" test "$times" -gt 100
check 'a user whom no line names may send 1,000,000' in_server "${AS_MEMBER[@]}" \
    mspktgen tx --from $LEFT:2000 --to $RIGHT:80 --count 50000 --port other
stop limited INT
check_soon 'its port closes' '[ "$(status_field ports)" = 0 ]'
check_equal 'nothing was dropped' "$(counter tx_unresolved)$(counter tx_nic_full)" 00
# both ports are closed: what is counted is the NIC's
sent=$(counter tx_packets)
stop counter INT
check_equal 'what was sent arrived, whole' "$(field counter received) $(field counter bad)" "$sent 0"
stop switch

# ---------------------------------------------------------------- rings of two workers share a rate

wire_switch --workers 2 --config "$lab_dir/rates.conf"
start counter server mspktgen rx --wire "$wire" --verify -j
check_soon 'the link is up again' '[ "$(grep -c "link is up" "$(log_of switch)")" = 2 ]'
began=$(now_ms)
start limited server mspktgen tx --from $LEFT:1000-1001 --to $RIGHT:80 --rings 2 --port limited
check_soon 'two rings send 1,000 packets' '[ "$(port_counter limited tx_packets)" -ge 1000 ]' 30
took=$(($(now_ms) - began))
check "which takes at least 0.9 s at 1,000 a second for both ($took ms)" test "$took" -ge 900
check_equal 'each of them sends, and waits' "$(in_server multistack stats -j | "$LAB_PYTHON" -c '
import json, sys
rings = json.load(sys.stdin)["ports"][0]["rings"]
print(len(rings), all(ring["tx_packets"] > 300 and ring["tx_limited"] for ring in rings))')" '2 True'
stop limited INT
stop counter INT
stop switch

# ---------------------------------------------------------------- a slow receiver

wire_switch
start slow server mspktgen rx --to $LEFT:2000 --port slow --ring-size 65536 -j
start fast server mspktgen rx --to $LEFT:2001 --port fast --ring-size 1048576 --verify -j
check_soon 'two ports receive' '[ "$(status_field bindings)" = 2 ]'
kill -STOP "$(pid_of slow)"
count=5000
check 'one of them stands still, and both are sent packets' in_server mspktgen tx --wire "$wire" \
    --from $RIGHT:1000 --to $LEFT:2000-2001 --count $((2 * count))
all_came() {
    local came
    came=$(port_counter slow rx_packets)
    [ $((came + $(port_counter slow rx_port_full))) = $count ] &&
        [ "$(port_counter fast rx_packets)" = $count ]
}
check_soon 'the other gets all of its packets, and of the first one'"'"'s each is counted' all_came
lost=$(port_counter slow rx_port_full)
check "the first one loses what does not fit into its ring ($lost)" test "$lost" -gt 3000
check_equal 'the other loses none' "$(port_counter fast rx_port_full)" 0
check_equal 'and under that reason alone' "$(counter rx_port_full)" "$lost"
kill -CONT "$(pid_of slow)"
stop slow INT
stop fast INT
check_equal 'what was counted as delivered is what it finds' "$(field slow received)" \
    "$((count - lost))"
check_equal 'the other found everything, in order' \
    "$(field fast received) $(field fast bad) $(field fast lost) $(field fast late)" "$count 0 0 0"
