#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The switch on the host, applications in containers: what mount, user, PID and network namespaces change.
# The control socket is all that a container needs; what it may bind follows from the placeholder, which
# must live in the NICs' network namespace.
. "$(dirname "$0")/lab.sh"
lab_begin --far

head -c 1000 /dev/urandom >"$lab_dir/www/1k"
start_switch
unshare --user --map-root-user true 2>/dev/null || skip 'no user namespaces here'
mkdir "$lab_dir/inside"

# A container with the host's network, as `docker run --network=host -v …/control.sock:…`: a mount, PID and
# IPC namespace of its own, in which the socket has another path.
contained() {
    local name=$1
    shift
    start "$name" server unshare --mount --pid --fork --kill-child --ipc --uts bash -c '
        mount --bind "$0/run" "$0/inside" && mount -t tmpfs none "$0/run" && shift 0 &&
        export MULTISTACK_CONTROL=$0/inside/control.sock && exec "$@"' "$lab_dir" "$@"
}

contained box "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
check_soon 'a container with a bind-mounted control socket has a stack' 'listens 80'
check 'and serves' fetched 1k "http://$SERVER4/1k"
# owner FIELD: of the ports there are.
owner() {
    in_server multistack ports -j | "$LAB_PYTHON" -c 'import json, sys
print(*[p[sys.argv[1]] for p in json.load(sys.stdin)["ports"]])' "$1"
}
check_match 'the switch knows its process by the pid that the host knows' \
    "$(tr '\0' ' ' <"/proc/$(owner pid)/cmdline")" '^mshttpd'
kill -KILL "$(owner pid)"
check_soon 'it is killed: its port is gone' '[ -z "$(owner pid)" ]'
stop box

# A rootless container: root in its user namespace, nobody special outside. The kernel says what it may bind.
rootless() {
    in_server "${AS_MEMBER[@]}" unshare --user --map-root-user --mount --pid --fork --kill-child "$@" 2>&1
}
start rootless server "${AS_MEMBER[@]}" unshare --user --map-root-user --mount --pid --fork \
    --kill-child mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8080 --stack utcp
check_soon 'a rootless container has one, above port 1024' 'listens 8080'
check 'which serves' fetched 1k "http://$SERVER4:8080/1k"
check_equal 'to the switch it is the user that it is outside' "$(owner uid)" "$LAB_UID"
check_match 'its root may not bind a port below' \
    "$(rootless timeout 30 mshttpd --root "$lab_dir/www" --listen 0.0.0.0:81 --stack utcp)" 'Permission denied'
check_match 'nor capture a NIC' "$(rootless timeout 30 multistack capture -i nic0 -c 1)" 'Permission denied'

# A container with a network of its own: its sockets reserve nothing here.
other=$(in_server unshare --net bash -c "ip link set lo up; timeout 30 mshttpd --root '$lab_dir/www' \
    --listen 0.0.0.0:8090 --stack utcp" 2>&1)
check_match 'one in another network namespace is refused' "$other" '[Nn]amespace'
check_not 'and has nothing' listens 8090
check 'it may ask the switch all the same' in_server unshare --net multistack status
check 'others go on' fetched 1k "http://$SERVER4:8080/1k"

# What serves such a container is a switch of its own, in its network.
start inner far multistackd --nic far0 --control "$lab_dir/run/inner.sock" --group "$LAB_GROUP"
wait_for "in_far multistack --control '$lab_dir/run/inner.sock' status" 30 ||
    fail "a second switch starts: $(tail -n 3 "$(log_of inner)")"
start inside far "${AS_SERVICE[@]}" mshttpd --control "$lab_dir/run/inner.sock" --root "$lab_dir/www" \
    --listen 0.0.0.0:80 --stack utcp
check_soon 'a switch of its own, in its own network, serves it' "listens 80 $FAR4"
check 'with pages' fetched 1k "http://$FAR4/1k"
check 'and the host'\''s switch its own' fetched 1k "http://$SERVER4:8080/1k"
stop inside
stop inner
check_equal 'it ends in order' $? 0
check 'the other one goes on' fetched 1k "http://$SERVER4:8080/1k"
