#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Captures that end otherwise than on their own (hostile.md, H16): readers that stall or go, a disk that is
# full, a process that is stopped or killed, a port or a switch that is gone. Traffic goes on, what is lost
# is counted, and what was written can be read.
. "$(dirname "$0")/lab.sh"
lab_begin

head -c 1000 /dev/urandom >"$lab_dir/www/1k"
file big 10
start_switch
serve web 80 "$lab_dir/www"
serve other 81 "$lab_dir/www"

# began NAME: a capture that was started has begun.
began() {
    wait_for "grep -q '^capturing' '$(log_of "$1")'" 30 || fail "capture $1 begins: $(cat "$(log_of "$1")")"
}

# whole FILE: from the first block to the last.
whole() {
    capinfos "$lab_dir/$1"
}

# Those whose end comes later: of a port, one to be killed, one into a pipe.
port=$(in_server multistack ports -j | "$LAB_PYTHON" -c 'import json, sys
print([p["port"] for p in json.load(sys.stdin)["ports"] if p["pid"] == int(sys.argv[1])][0])' "$(pid_of other)")
start follows server multistack capture -i "$port" -w "$lab_dir/follows.pcapng"
start killed server multistack capture -i nic0 -w "$lab_dir/killed.pcapng"
start piped server bash -c \
    "multistack capture -i nic0 -w - port 80 | tshark -l -n -i - -c 3 -T fields -e tcp.flags.str; echo ended \${PIPESTATUS[0]}"
began follows
began killed
began piped
stop other
check_soon 'when the port is gone its capture ends' '! running follows'
stop follows
check_equal 'in order' $? 0
check 'with a whole file' whole follows.pcapng
captures() { in_server multistack ports -j | grep -c '"capture"'; }
check_equal 'a capture is a port of the switch' "$(captures)" 2
stop killed KILL
check_soon 'one that is killed leaves none behind' '[ "$(captures)" = 1 ]'
seen() { get "http://$SERVER4/1k" >/dev/null; ! running piped; }
check_soon 'a pipe shows packets as they come, and the capture ends when its reader does' seen
check_match 'with the handshake first' "$(tr -d '·\n' <"$(log_of piped)")" 'SASA'
check_match 'in order' "$(cat "$(log_of piped)")" 'ended 0'

# ---- a reader that does not read
mkfifo "$lab_dir/fifo"
exec 9<>"$lab_dir/fifo" # whom nobody reads
start stalled server bash -c "exec multistack capture -B 256 -i nic0 -w - >'$lab_dir/fifo'"
start slow server multistack capture -B 256 -i nic0 -w "$lab_dir/slow.pcapng"
began stalled
began slow
kill -STOP "$(pid_of slow)"
check 'a reader that stalls, a capture that is stopped: traffic goes on' fetched big "http://$SERVER4/big"
check 'a second time' fetched 1k "http://$SERVER4/1k"
check_match 'what they did not take is counted as lost' "$(counter rx_port_full)" '^[1-9]'
kill -INT "$(pid_of stalled)"
check_soon 'it ends although nobody reads' '! running stalled'
stop stalled
check_equal 'in order' $? 0
check_match 'and says how much was lost' "$(cat "$(log_of stalled)")" '[1-9][0-9]* dropped'
kill -CONT "$(pid_of slow)"
stop slow INT
check_equal 'so does the other' $? 0
# isb_ifdrop, in the statistics at the end
dropped=$("$LAB_PYTHON" - "$lab_dir/slow.pcapng" <<'END'
import struct, sys
data = open(sys.argv[1], 'rb').read()
at = 0
while at < len(data):
    kind, length = struct.unpack_from('=II', data, at)
    assert length % 4 == 0 and struct.unpack_from('=I', data, at + length - 4)[0] == length
    option = at + 20
    while kind == 5 and option < at + length - 4:
        code, size = struct.unpack_from('=HH', data, option)
        if code == 5:
            print(struct.unpack_from('=Q', data, option + 4)[0])
        option += 4 + (size + 3) // 4 * 4
    at += length
assert at == len(data)
END
)
check_match 'whose file is whole, and says what was dropped' "$dropped" '^[1-9][0-9]*$'

# ---- a full disk
mkdir "$lab_dir/small"
start full server unshare -m bash -c "mount -t tmpfs -o size=64k none '$lab_dir/small' &&
    multistack capture -i nic0 -w '$lab_dir/small/file'; echo ended \$?
    cp '$lab_dir/small/file' '$lab_dir/full.pcapng'"
began full
fills() { get "http://$SERVER4/big" >/dev/null; ! running full; }
check_soon 'a capture ends when the disk is full' fills
check_match 'with the reason, as a failure' "$(tr '\n' ' ' <"$(log_of full)")" \
    'file: No space left on device.*ended 1'
check 'and what is there can be read' whole full.pcapng

# ---- a switch that ends
start last server multistack capture -i nic0 -w "$lab_dir/last.pcapng"
began last
check 'a page' fetched 1k "http://$SERVER4/1k"
stop switch
check_equal 'the switch ends in order under a capture' $? 0
check_soon 'and with it the capture' '! running last'
stop last
check_equal 'as a failure' $? 1
check 'with a whole file' whole last.pcapng
