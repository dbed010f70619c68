#!/bin/sh
# real_programs.sh LIBRARY: real programs do real work under LIBRARY and give the result they give
# without it. What a machine lacks is named and left out.
library=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

# same NAME COMMAND: the command's output is the same with and without the library.
same() {
    name=$1
    command=$2
    program=${3:-$name}
    if ! command -v "$program" >/dev/null 2>&1; then
        echo "left out: $name ($program is not installed)"
        return
    fi
    sh -c "$command" >expected 2>expected.err
    status=$?
    LD_PRELOAD=$library sh -c "$command" >got 2>got.err
    if [ $? -eq $status ] && cmp -s expected got && ! grep -q hakmem: got.err; then
        echo "works: $name"
    else
        echo "DIFFERS: $name"
        head -5 got.err
        failed=1
    fi
}

cat >work.c <<'C'
#include <stdio.h>
#define X(n) static int f##n(int a) { int s = n; for (int i = 0; i < a; i++) s += i * n ^ s >> 3; return s; }
#define T(n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9)
int main(void) { printf("%d\n", f10(100) + f57(42) + f99(7)); }
C
cat >work.py <<'PY'
import collections, concurrent.futures, decimal, json, re, sqlite3, zlib
data = [{"id": i, "name": "n" * (i % 50), "values": list(range(i % 40))} for i in range(20000)]
text = json.dumps(data)
words = collections.Counter(re.findall(r"\d+", text))
packed = zlib.compress(text.encode(), 6)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    sums = list(pool.map(lambda n: sum(json.loads(text[:0] or "[%d]" % n)), range(2000)))
db = sqlite3.connect(":memory:")
db.execute("create table t (a integer, b text)")
db.executemany("insert into t values (?, ?)", ((i, "x" * (i % 300)) for i in range(20000)))
print(len(packed), words.most_common(3), sum(sums), decimal.Decimal(2).sqrt())
print(db.execute("select sum(a), sum(length(b)) from t where a % 7 = 3").fetchone())
PY

same python3 "PYTHONMALLOC=malloc python3 work.py"
same gcc "gcc -O2 work.c -o work && ./work"
same clang "clang -O2 work.c -o work && ./work"
same g++ "printf '#include <regex>\n#include <iostream>\nint main(){std::cout << std::regex_match(\"abc\", std::regex(\"[a-c]+\"));}' >w.cpp && g++ -O1 w.cpp -o w && ./w"
same sqlite3 "sqlite3 :memory: 'create table t as with recursive c(x) as (values(1) union all select x+1 from c where x<200000) select x, hex(x*x) h from c; create index i on t(h); select count(*), max(h) from t where h > \"5\";'"
same perl "perl -e 'my %h; \$h{\$_ % 5003} .= \$_ for 1..300000; my \$n = 0; \$n += length for values %h; print scalar(keys %h), \" \$n\\n\"'"
same git "rm -rf r && git init -q r && cd r && for i in 1 2 3; do seq 1 20000 >f\$i; git add . && git -c user.name=n -c user.email=e commit -qm \$i; done && git log --format=%s && git gc -q && git fsck --full"
same node "node -e 'const m = new Map(); for (let i = 0; i < 2e5; i++) m.set(\"k\" + i, Buffer.alloc(i % 300)); let n = 0; for (const b of m.values()) n += b.length; console.log(m.size, n)'"
same sort "seq 1 300000 | sort -R --random-source=/dev/zero | sort -n | cksum"

if command -v redis-server >/dev/null 2>&1 && command -v redis-benchmark >/dev/null 2>&1; then
    LD_PRELOAD=$library redis-server --port 0 --unixsocket s --save '' >redis.log 2>&1 &
    server=$!
    answer() { redis-cli -s s "$@" 2>/dev/null; }
    until [ "$(answer ping)" = PONG ] || ! kill -0 $server; do
        sleep 0.1
    done
    if redis-benchmark -s s -q -n 20000 -r 10000 -P 16 -t set,get,lpush,lpop,hset >/dev/null &&
        [ "$(answer save)" = OK ] && [ "$(answer flushall)" = OK ] &&
        [ "$(answer ping)" = PONG ]; then
        echo "works: redis"
    else
        echo "DIFFERS: redis"
        tail -5 redis.log
        failed=1
    fi
    kill $server
    wait $server
else
    echo "left out: redis (redis-server or redis-benchmark is not installed)"
fi
exit $failed
