#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The lab itself, with the kernel's own stack at both ends: what the other tests stand on.
. "$(dirname "$0")/lab.sh"
lab_begin --wire --far

check 'the client reaches the server by IPv4' in_client ping -c 1 -W 2 $SERVER4
check 'the client reaches the server by IPv6' in_client ping -c 1 -W 2 $SERVER6
check 'the far client reaches the server through a router, IPv4' in_far ping -c 1 -W 2 $SERVER4
check 'the far client reaches the server through a router, IPv6' in_far ping -c 1 -W 2 $SERVER6

head -c 4000000 /dev/urandom >"$lab_dir/www/file"
start web server "$LAB_PYTHON" -m http.server --directory "$lab_dir/www" --bind $SERVER4 8000
check_soon 'a program started in the background answers' 'listens 8000'

lossy --loss 3 --duplicate 2 --reorder 3 --corrupt 1
in_client curl -s --max-time 60 -o "$lab_dir/got" http://$SERVER4:8000/file
check 'the kernel gets a file whole over a bad wire' cmp "$lab_dir/got" "$lab_dir/www/file"
stop lossy
faults=$(grep -E "client|server" "$(log_of lossy)" | tail -n 2)
for fault in lost duplicated reordered corrupted; do
    check_match "the wire has $fault packets" "$(tail -n 1 <<<"$faults")" "\"$fault\": [1-9]"
done
note "$(tail -n 1 <<<"$faults")"

check 'a program that runs can be told from one that has ended' running web
stop web
check_not 'a program that was stopped does not run' running web

# A checkout that strangers may not read: in /root, say.
mkdir -m 700 "$lab_dir/closed"
mkdir "$lab_dir/closed/tests" "$lab_dir/closed/build"
# shellcheck disable=SC2016 # expanded by the inner shell
check 'strangers run the programs of a checkout that is closed to them' unshare --mount bash -c '
    mount --bind "$1" "$3/tests" && mount --bind "$2" "$3/build" && umask 077 && export MS_BUILD="$3/build" &&
    . "$3/tests/lab.sh" && lab_begin && in_server "${AS_STRANGER[@]}" mshttpd --version &&
    in_server "${AS_STRANGER[@]}" cat "$LAB_TESTS/json_field"' \
    - "$LAB_TESTS" "$LAB_BUILD" "$lab_dir/closed"

# A lab whose owner was killed is swept away by the next one; the lab of a living owner stays.
orphan_dir=$(bash -c '. "$1"; lab_begin; start sleeper server sleep 1000
    echo "$lab_dir $(pid_of sleeper)"; kill -KILL $$' - "$LAB_TESTS/lab.sh" 2>/dev/null)
read -r orphan_dir sleeper <<<"$orphan_dir"
check_match 'a test is killed in its lab' "$orphan_dir" "^/tmp/$LAB_PREFIX-"
# Another test that begins at this moment may have swept it away, or be about to.
lab_sweep
check_soon 'the next test sweeps it away: files' '[ ! -e "$orphan_dir" ]'
check_soon 'the next test sweeps it away: namespaces' \
    '[ ! -e "/run/netns/$(basename "$orphan_dir")-server" ]'
check_soon 'the next test sweeps it away: processes' '[ ! -e /proc/$sleeper ]'
check 'the sweep leaves the labs of the living alone' test -e "$lab_dir/owner"
