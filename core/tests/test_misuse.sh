#!/bin/sh
# test_misuse.sh PROGRAM: every misuse ends in SIGABRT and "hakmem: ... ADDRESS" on stderr.
program=$1
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
failed=0
tried=0
for misuse in $("$program"); do
    tried=$((tried + 1))
    address=$("$program" "$misuse" 2>"$messages")
    status=$?
    if [ $status -ne 134 ] || ! grep -q "^hakmem: .* $address\$" "$messages"; then
        echo "$misuse: status $status, address $address, message: $(cat "$messages")"
        failed=1
    fi
done
echo "$tried misuses tried"
[ $tried -gt 0 ] && exit $failed
