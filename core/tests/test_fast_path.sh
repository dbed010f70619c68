#!/bin/sh
# test_fast_path.sh LIBRARY FUNCTION=COUNT...: the hit path of each function, from its entry past the
# branches that are not taken to the first return, is exactly COUNT instructions in objdump's listing:
# no call, no locked instruction, nothing on the stack; and it starts a line of the instruction cache.
library=$1
shift
failed=0
for promise; do
    function=${promise%=*}
    path=$(objdump -d --no-show-raw-insn "$library" | awk -v start="<$function>:" '
        index($0, start) { inside = 1; next }
        inside { sub(/^[^\t]*\t/, ""); print }
        inside && /^ret/ { exit }')
    count=$(printf '%s\n' "$path" | grep -c .)
    if [ "$count" -ne "${promise#*=}" ] ||
        printf '%s\n' "$path" | grep -Eq '^(call|lock|push|pop|xchg)|\(%rsp|\(%rbp'; then
        printf '%s: %s instructions, promised %s:\n%s\n' "$function" "$count" "${promise#*=}" "$path"
        failed=1
    fi
    entry=$(objdump -d --no-show-raw-insn "$library" | sed -n "s/^\\([0-9a-f]*\\) <$function>:/\\1/p")
    if [ $((0x$entry % 64)) -ne 0 ]; then
        printf '%s is at 0x%s, which is no multiple of 64\n' "$function" "$entry"
        failed=1
    fi
done
exit $failed
