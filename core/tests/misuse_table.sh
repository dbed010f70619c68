#!/bin/sh
# misuse_table.sh PROGRAM NAME=LIBRARY...: a table of what each misuse ends in: "abort", a signal, or
# nothing. An empty LIBRARY is glibc. The last line counts the aborts.
program=$1
shift
ulimit -c 0
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
printf '| misuse |'
for each; do printf ' %s |' "${each%%=*}"; done
printf '\n|---|'
for each; do printf -- '---|'; done
printf '\n'
for misuse in $("$program"); do
    name=${misuse#!}
    printf '| %s |' "$(echo "$name" | tr _ ' ')"
    for each; do
        LD_PRELOAD=${each#*=} "$program" "$name" >/dev/null 2>&1
        case $? in
        134) printf ' abort |' && echo "${each%%=*}" >>"$counts" ;;
        0) printf '  |' ;;
        *) printf ' crash |' ;;
        esac
    done
    printf '\n'
done
printf '| aborts |'
for each; do printf ' %s |' "$(grep -cx -- "${each%%=*}" "$counts")"; done
printf '\n'
