#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Programs of the host itself: the kernel's curl on the server reaches a stack on the server's own
# addresses, a stack reaches a kernel server there, and another stack. Nobody sets anything by hand,
# and what the switch sets it puts back, however it ends.
. "$(dirname "$0")/lab.sh"
lab_begin

echo 'front page' >"$lab_dir/www/index.html"
head -c 1024 /dev/urandom >"$lab_dir/www/1k"
file 100m 100
file 20m 20

lo_settings() {
    in_server sysctl -n net.ipv4.conf.lo.accept_local net.ipv4.conf.lo.route_localnet \
        net.ipv4.conf.lo.rp_filter | paste -sd ' '
}

# here FILE URL [CURL ARGS…]: the server's own curl gets FILE, whole and unchanged.
here() {
    local want=$lab_dir/www/$1
    shift
    [ "$(in_server curl -sS --max-time 30 "$@" | sha256sum)" = "$(sha256sum <"$want")" ]
}

# stack_gets FILE URL: a stack on the server gets it.
stack_gets() {
    [ "$(in_server "${AS_MEMBER[@]}" msget -o - "$2" 2>/dev/null | sha256sum)" = \
        "$(sha256sum <"$lab_dir/www/$1")" ]
}

in_server sysctl -qw net.ipv4.conf.all.rp_filter=1 # the strictest; Debian's own default is weaker
before=$(lo_settings)
start_switch
serve web 80 "$lab_dir/www"
start web6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen '[::]:80' --stack utcp
wait_for "listens 80 '[$SERVER6]'" 30 || fail 'mshttpd answers by IPv6'
legacy nginx 8080 "$lab_dir/www"
check_match 'status shows lo, of the packet driver' "$(in_server multistack status)" 'lo .*packet'

for address in $SERVER4 "[$SERVER6]" 127.0.0.1 '[::1]'; do
    check "curl on the server, $address: a page" here 1k "http://$address/1k"
    check "curl on the server, $address: 20 MB" here 20m "http://$address/20m"
    check_equal "curl on the server, $address: two requests on one connection" \
        "$(in_server curl -sS -o /dev/null -o /dev/null -w '%{num_connects} ' --max-time 10 \
            "http://$address/1k" "http://$address/index.html")" '1 0 '
done
for address in $SERVER4 "[$SERVER6]"; do
    check "curl on the server, $address: 100 MB" here 100m "http://$address/100m"
    check "a stack and nginx on the same host, $address: a page" stack_gets 1k \
        "http://$address:8080/1k"
    check "a stack and nginx on the same host, $address: 20 MB" stack_gets 20m \
        "http://$address:8080/20m"
    check "a stack and another stack on the same host, $address" stack_gets 20m \
        "http://$address/20m"
done
check 'and from elsewhere as ever' fetched 1k "http://$SERVER4/1k"
for address in $SERVER4 127.0.0.1 '[::1]'; do
    check "nginx on $address is undisturbed" here 20m "http://$address:8080/20m"
done

case ${MS_SWITCH_ARGS:-} in
*--workers*)
    # a flow comes by either worker's socket, and its port may be the other's
    check 'packets went from worker to worker' test "$(counter handed_over)" -gt 10
    check_equal 'none was lost on that way' "$(counter rx_handover_full)" 0
    ;;
esac

# Garbage on lo, to what is bound and not: whole frames, with headers in front that lie.
in_server "$LAB_PYTHON" - <<'END' || not_ok 'garbage can be sent into lo'
import os, random, socket, struct
random.seed(7)
lo = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
lo.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
lo.bind(("lo", 0))
for i in range(20000):
    size = random.choice((20, 40, 60, 200, 1500, 9000, 60000))
    ip = bytearray(random.randbytes(size))
    ip[0:4] = struct.pack("!BBH", 0x45, 0, random.choice((size, size, size - 1, 65535)))
    ip[6:12] = struct.pack("!HBBH", 0, 64, random.choice((6, 6, 17, 1, 132)), 0)
    ip[12:20] = bytes((10, 77, 0, random.randrange(4), 10, 77, 0, 1))
    ip[20:24] = struct.pack("!HH", random.randrange(65536), random.choice((80, 8080)))
    total = sum(struct.unpack("!10H", ip[:20]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    ip[10:12] = struct.pack("!H", total ^ 0xFFFF)
    header = struct.pack("=BBHHHH", random.choice((0, 0, 1)), random.choice((0, 0, 1, 4, 5)), 54,
                         random.choice((1, 48, 1448, 65535)), random.choice((34, 0, 9000)), 16)
    try:
        lo.send(header + bytes(12) + b"\x08\x00" + bytes(ip))
    except OSError:
        pass  # the kernel refuses some by itself
END
check 'garbage on lo: curl is served' here 20m "http://$SERVER4/20m"
check_equal 'garbage on lo: the switch is the same' "$(status_field restarts)" 0
start self server curl -sS --max-time 60 --limit-rate 20M -o "$lab_dir/self.part" "http://$SERVER4/20m"
wait_for 'has_got self 2000000' 30 || note 'the download does not move'
kill -KILL "$(status_field switch_pid)"
check_download 'the switch killed in mid-transfer: curl on the server gets all' self 20m
check_equal 'the settings of lo, while it runs' "$(lo_settings)" '1 1 2'
in_server sysctl -qw net.ipv4.conf.lo.route_localnet=0 # an administrator's will
stop switch TERM
check_equal 'after SIGTERM they are as before' "$(lo_settings)" "$before"
in_server sysctl -qw net.ipv4.conf.lo.accept_local=1
start_switch
stop switch
check_equal 'what was good before stays as it was' "$(lo_settings)" "1 0 0"
in_server sysctl -qw net.ipv4.conf.lo.accept_local=0
start_switch
stop switch KILL
check_soon 'after kill -9 they are as before' '[ "$(lo_settings)" = "$before" ]' 30
start_switch
guard=$(pgrep -P "$(pid_of switch)" -x multistack-lo)
kill -KILL "$guard"
stop switch KILL
check_equal 'after kill -9 of the guard too they stay' "$(lo_settings)" '1 1 2'
start_switch
stop switch
check_equal 'the next start knows what they were, and its end puts them back' "$(lo_settings)" "$before"
check_equal 'and no file is left' "$(find "$lab_dir/run" -name 'host-settings*')" ''

start_switch --local no
check_equal 'local = no: the settings stay' "$(lo_settings)" "$before"
check_not 'local = no: lo is not served' grep -q 'lo ' <<<"$(in_server multistack status)"
stop switch
