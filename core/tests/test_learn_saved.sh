#!/bin/sh
# test_learn_saved.sh LIBRARY PROGRAM CLOCK: what PROGRAM's call sites taught one run is known to the next,
# wherever the loader puts them; files of other versions, of the other algorithm, cut off or changed
# are named in one line on stderr, and change nothing else; so are values of HAKMEM_LEARN. All by the
# preloaded CLOCK: by a real one, a machine that becomes busy is a shift that is learned again.
library=$1
program=$2
clock=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

fail() {
    echo "FAILED: $1"
    failed=1
}

# run VARIABLE=VALUE...: the program under the library; its stderr in `err`.
run() {
    env LD_PRELOAD="$library:$clock" HAKBENCH_CLOCK=0 "$@" "$program" --kind mir --iters 3000 --warmup 0 \
        >out 2>err || fail "$* ended with $?"
}

# refused FILE: said in one line.
refused() {
    run HAKMEM_LEARN_LOAD="$1"
    if [ "$(grep -c '^hakmem: ' err)" -ne 1 ] || ! grep -qF "what was learned, ignored: $1: $2" err; then
        fail "$1 is not refused in one line"
        cat err
    fi
}

run HAKMEM_LEARN_SAVE=one
[ -s err ] && fail "a run that saves is not silent: $(cat err)"
head -1 one | grep -q '^hakmem-learn 1 ucb1 ' || fail "no head: $(head -1 one)"
[ "$(grep -c '^site ' one)" -ge 1 ] || fail "no site was saved"
grep -q '^site 2 ' one || fail "no strategy was frozen"
ls | grep -q draft && fail "a draft was left"

# Watching from the start: it never learns again, and the site keeps its name.
run HAKMEM_LEARN_LOAD=one HAKMEM_LEARN_SAVE=two
[ -s err ] && fail "a run that loads is not silent: $(cat err)"
names() { grep '^site ' "$1" | awk '{ print $(NF - 1), $NF }' | sort; }
[ "$(names one)" = "$(names two)" ] || fail "the sites have other names in the next run"
pulls() { grep '^site 2 ' "$1" | awk '{ print $4, $10, $11, $12, $13, $14, $NF }' | sort; }
[ "$(pulls one)" = "$(pulls two)" ] || fail "what was frozen was learned again"

sed '1s/hakmem-learn 1/hakmem-learn 2/' one >version
sed '1s/keep-4/keep-5/' one >strategies
head -c 150 one >short
sed 's/^site 2/site 1/' one >changed
: >empty
dd if=/dev/urandom of=noise bs=1000 count=1 2>/dev/null
refused version "of another version or algorithm"
refused strategies "of another version or algorithm"
refused short "cut off or changed"
refused changed "cut off or changed"
refused empty "of another version or algorithm"
refused noise "of another version or algorithm"
refused . "cannot be read"
refused absent "cannot be read"
run HAKMEM_LEARN=elo HAKMEM_LEARN_LOAD=one
grep -qF "of another version or algorithm" err || fail "ELO takes what UCB1 learned"

run HAKMEM_LEARN=elo HAKMEM_LEARN_SAVE=elo
head -1 elo | grep -q '^hakmem-learn 1 elo ' || fail "ELO does not save"
run HAKMEM_LEARN=off HAKMEM_LEARN_SAVE=off
[ -e off ] && fail "a run that learns nothing saves something"
run HAKMEM_LEARN_SAVE=/nonexistent/x
grep -qF "what was learned, not written: /nonexistent/x" err || fail "a failed save is silent"
run HAKMEM_LEARN=best
[ "$(cat err)" = "hakmem: bad value, ignored: HAKMEM_LEARN=best" ] || fail "HAKMEM_LEARN=best"
run HAKMEM_LEARN=elo HAKMEM_PRINT_CONFIG=1
grep -qx HAKMEM_LEARN=elo err || fail "the configuration does not tell who learns"
run HAKMEM_LEARNS=ucb1
[ "$(cat err)" = "hakmem: unknown variable, ignored: HAKMEM_LEARNS=ucb1" ] || fail "HAKMEM_LEARNS"
exit $failed
