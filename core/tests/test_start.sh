#!/bin/sh
# test_start.sh PROGRAM LIBRARY: what starting with LIBRARY preloaded asks of the system. To load it: open,
# read, stat, three mappings, close; to allocate for the first time: the limit of address space, the
# class map, the SuperSlab, no huge pages for it, and a part of the map to write to.
program=$1
library=$2
calls=$(mktemp)
trap 'rm -f "$calls"' EXIT

count() { # count LD_PRELOAD ARGS...: system calls
    preload=$1
    shift
    strace -qq -e signal=none -o "$calls" -E LD_PRELOAD="$preload" "$program" "$@" || exit 77
    wc -l <"$calls"
}

expect() { # expect WHAT CALLS NUMBER
    if [ "$2" -ne "$3" ]; then
        echo "$1 takes $2 system calls, not $3:"
        cat "$calls"
        failed=1
    fi
}

failed=0
command -v strace >/dev/null 2>&1 || exit 77
strace -o "$calls" true 2>/dev/null || exit 77 # ptrace is forbidden
bare=$(count "") || exit 77
loaded=$(count "$library") || exit 77
expect loading $((loaded - bare)) 7
first=$(count "$library" once) || exit 77
expect "the first allocation" $((first - loaded)) 5
# All data but the arrays behind it is in the page that the loader writes to (hakmem.ld).
if command -v readelf >/dev/null 2>&1; then
    section() {
        readelf -SW "$library" | sed -n "s/.* \\$1 *[A-Z_]* *\([0-9a-f]*\) .*/\1/p"
    }
    first=$(section .init_array) behind=$(section .bss.sparse)
    if [ $((0x$first + 4096)) -ne $((0x$behind)) ]; then
        echo "the data from $first to $behind are not a page"
        failed=1
    fi
fi
ulimit -c 0
if (LD_PRELOAD="$library" exec "$program" foreign) 2>/dev/null; then
    echo "before the first allocation, free of an address on the stack is taken for a block's"
    failed=1
fi
exit $failed
