#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Servers that share one address: each gets its share of the connections, one leaves and another comes
# under load without an error, and a switch that is killed finds them again as they were.
. "$(dirname "$0")/lab.sh"
lab_begin

head -c 1000 /dev/urandom >"$lab_dir/www/1k"
file big 30
start_switch

# sharer NAME: one more server on port 80.
sharer() {
    start "$1" server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 \
        --shared --access-log "$lab_dir/run/$1"
    wait_for "grep -q serving '$(log_of "$1")' || ! running $1" 30 && running "$1" ||
        fail "server $1 shares the address: $(tail -n 3 "$(log_of "$1")")"
}
install -d -m 777 "$lab_dir/run"
served() {
    wc -l <"$lab_dir/run/$1"
}

sharer one
sharer two
check_equal 'both are told as shared' "$(in_server multistack bindings -j | "$LAB_PYTHON" -c '
import json, sys
print([b["shared"] for b in json.load(sys.stdin)["bindings"]])')" '[True, True]'
for _ in {1..60}; do get -o /dev/null "http://$SERVER4/1k" || not_ok 'a request'; done
both_served() { [ "$(served one)" -ge 10 ] && [ "$(served two)" -ge 10 ]; }
check_soon 'each serves its share of 60 connections' both_served 30
note "one served $(served one), two $(served two)"

start resets client tcpdump -lnni eth0 -Q in 'src port 80 and tcp[tcpflags] & tcp-rst != 0'
wait_for "grep -q listening '$(log_of resets)'" 30 || fail 'tcpdump listens'
start load client wrk -t 1 -c 16 -d 4 --timeout 20s -H 'Connection: close' "http://$SERVER4/1k"
for name in a b c d e f; do download $name "http://$SERVER4/big" 15M; done
for name in a b c d e f; do
    wait_for "has_got $name 100000" 20 || not_ok "download $name begins"
done

old=$(status_field switch_pid)
kill -KILL "$old"
new_switch() { [ "$(status_field switch_pid 2>/dev/null || echo "$old")" != "$old" ]; }
wait_for new_switch 15 || not_ok 'the switch comes back'
for name in a b c d e f; do
    check_download "download $name lives through kill -9 of the switch" $name big
done
wait_for '! running load' 30
check_not "wrk saw no error: $(grep errors "$(log_of load)")" grep -q 'Socket errors' "$(log_of load)"
check_equal 'nobody was sent a RST' "$(grep -c 'Flags \[R' "$(log_of resets)")" 0

# The keeper as well: the next one shares out by another key, and what there was stays where it was.
for name in g h i j; do download $name "http://$SERVER4/big" 20M; done
for name in g h i j; do
    wait_for "has_got $name 100000" 20 || not_ok "download $name begins"
done
stop switch KILL
start_switch
for name in g h i j; do
    check_download "download $name lives through kill -9 of keeper and switch" $name big
done
check_equal 'and nobody was sent a RST' "$(grep -c 'Flags \[R' "$(log_of resets)")" 0

# One leaves in order, under load; its share goes to the other.
start load client wrk -t 1 -c 16 -d 2 --timeout 20s -H 'Connection: close' "http://$SERVER4/1k"
before=$(served two)
more_served() { [ "$(served two)" -gt $((before + 100)) ]; }
wait_for more_served 10
stop one
check_equal 'a server that leaves ends in order' $? 0
wait_for '! running load' 30
check_not "and no request fails: $(grep errors "$(log_of load)")" \
    grep -q 'Socket errors' "$(log_of load)"
check_equal 'nor is one answered with RST' "$(grep -c 'Flags \[R' "$(log_of resets)")" 0
check 'the other one serves' listens 80
check_not 'one that does not share is refused' in_server "${AS_SERVICE[@]}" \
    mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80
check_match 'another user may not join' "$(in_server mshttpd --root "$lab_dir/www" \
    --listen 0.0.0.0:80 --shared 2>&1)" 'Address already in use'

# The kernel's stack shares as kernels do.
for name in k1 k2; do
    start $name server "${AS_SERVICE[@]}" mshttpd --stack kernel --root "$lab_dir/www" \
        --listen 0.0.0.0:81 --shared
    check_soon "$name listens" "grep -q serving '$(log_of $name)'" 30
done
check 'and it answers' listens 81
