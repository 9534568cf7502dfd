#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `make install`: programs, libraries, headers, pkg-config files, manual pages and the unit are where
# a distribution expects them, and a stranger's program can be built against them, in C and in C++.
. "$(dirname "$0")/lab.sh"

lab_directory
tree=$lab_dir/tree
check 'meson install with DESTDIR' meson install -C "$LAB_BUILD" --no-rebuild --destdir "$tree"
prefix=$(find "$tree" -type d -name include | head -n 1)
prefix=${prefix%/include}

check_equal 'bin/ and lib/ of the build have no link that leads nowhere' \
    "$(find "$LAB_BUILD/bin" "$LAB_BUILD/lib" -xtype l)" ''

# has WHAT PATTERN: a file of the installed tree.
has() {
    check "$1: $2" eval "find '$prefix' -path '*/$2' | grep -q ."
}
has 'program' '*bin/multistackd'
for program in multistack mshttpd msget msload msecho; do has 'program' "bin/$program"; done
for library in multistack utcp; do
    has 'shared library' "lib/*lib$library.so"
    has 'static library' "lib/*lib$library.a"
    has 'pkg-config file' "pkgconfig/$library.pc"
    has 'header' "include/$library.h"
done
for page in man8/multistackd.8 man1/multistack.1 man1/mshttpd.1 man1/msget.1 man1/msload.1 man1/msecho.1 \
    man3/libmultistack.3 man3/libutcp.3; do
    has 'manual page' "man/$page"
done
has 'systemd unit' 'systemd/system/multistackd.service'
has 'sysusers snippet' 'sysusers.d/multistack.conf'
check_equal 'nothing else is installed: no test, no header of ours' \
    "$(find "$prefix" -name 'test_*' -o -name 'lossy*' -o -name 'utcp_internal.h' | wc -l)" 0

pc=$(dirname "$(find "$prefix" -name multistack.pc)")
cat >"$tree/stranger.c" <<'END'
#include <multistack.h>
#include <stdio.h>
#include <utcp.h>

int main(void)
{
    struct ms_port *port = NULL;
    struct ms_port_options options = {sizeof(options), "/nonexistent/control.sock", "stranger"};
    int error = ms_port_open(&port, &options);

    printf("%d\n", error);
    return error == -2 ? 0 : 1;
}
END
for language in c c++; do
    # shellcheck disable=SC2046 # words
    check "a stranger's program builds against it, in $language" env \
        "PKG_CONFIG_PATH=$pc" "PKG_CONFIG_SYSROOT_DIR=$tree" sh -c "
            gcc -x $language -Wall -o '$tree/stranger' '$tree/stranger.c' \
                \$(pkg-config --cflags --libs multistack utcp)"
    check 'and runs' env "LD_LIBRARY_PATH=$(dirname "$pc")" "$tree/stranger"
done
check 'the public symbols of libmultistack have its prefix' eval \
    "! nm -D --defined-only '$(dirname "$pc")/libmultistack.so' | awk '{ print \$3 }' | grep -v '^ms_\|^LIBMULTISTACK\|^MULTISTACK'"
check 'the public symbols of libutcp have its prefix' eval \
    "! nm -D --defined-only '$(dirname "$pc")/libutcp.so' | awk '{ print \$3 }' | grep -v '^utcp_\|^LIBUTCP\|^UTCP'"
# As `sudo make install` does it, into the prefix: programs start, for the linker's cache knows their libraries. In a
# mount namespace, in which what is written there goes into memory.
# shellcheck disable=SC2317 # called in another shell
over() {
    local folder
    mount -t tmpfs over "$tree" || return
    for folder in /usr/local /etc; do
        mkdir -p "$tree$folder/upper" "$tree$folder/work"
        mount -t overlay -o "lowerdir=$folder,upperdir=$tree$folder/upper,workdir=$tree$folder/work" over "$folder" || return
    done
}
# shellcheck disable=SC2317
starts() {
    local program
    over && meson install -C "$LAB_BUILD" --no-rebuild || return
    for program in /usr/local/sbin/multistackd /usr/local/bin/{multistack,mshttpd,msget,msload,msecho,mspktgen}; do
        $program --version || return
    done
}
export -f over starts
export tree LAB_BUILD
if [ "$(meson introspect --buildoptions "$LAB_BUILD" | "$LAB_PYTHON" -c \
    'import json, sys; print(*(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')" != /usr/local ]; then
    note 'the prefix of this build is not /usr/local'
elif ! unshare -m bash -c over 2>/dev/null; then
    note 'no mount namespace, or no overlay file system, here'
else
    check 'installed without DESTDIR, programs find their libraries' unshare -m bash -c starts
fi
