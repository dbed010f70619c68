# Sourced by the other scripts: makes .venv hold an up-to-date hakprof, says what is missing.
# A start that finds nothing to do costs one `find`.
#
#   setup_hakprof            the command and its native parts
#   setup_hakprof test       also what the tests need
# shellcheck shell=sh
# shellcheck disable=SC2154 # the script that sources this sets $root

fail_setup() {
    printf 'hakprof: %s\n' "$1" >&2
    exit 69 # EX_UNAVAILABLE
}

find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

create_venv() {
    python=$(find_python) ||
        fail_setup "python3 3.11 or newer is missing; on Debian or Ubuntu: apt-get install python3 python3-venv"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail_setup "python3 has no venv module; on Debian or Ubuntu: apt-get install python3-venv"
    "$python" -m venv "$venv" >"$log" 2>&1 ||
        fail_setup "cannot create $venv ($(tail -n 1 "$log"))"
}

need_compiler() {
    if [ -n "${CC:-}" ]; then
        command -v "${CC%% *}" >/dev/null 2>&1 && return 0 # CC may hold options
        fail_setup "CC names no compiler that is there: $CC"
    fi
    for candidate in cc gcc clang; do
        if command -v "$candidate" >/dev/null 2>&1; then
            CC=$candidate
            export CC
            return 0
        fi
    done
    fail_setup "a C compiler is missing; on Debian or Ubuntu: apt-get install gcc libc6-dev"
}

run_pip() {
    # From $root, whose name may hold what pip takes for a requirement's punctuation.
    (cd "$root" && exec "$venv/bin/python" -m pip install --disable-pip-version-check --quiet "$@") \
        >"$log" 2>&1 && return 0
    tail -n 20 "$log" >&2
    fail_setup "setting up failed; the whole log is in $log"
}

build_requirements() {
    "$venv/bin/python" -c 'import sys, tomllib
print("\n".join(tomllib.load(open(sys.argv[1], "rb"))["build-system"]["requires"]))' "$root/pyproject.toml"
}

# shellcheck disable=SC2120 # the argument is optional
setup_hakprof() {
    extra=${1:-}
    venv=$root/.venv
    stamp=$venv/.up-to-date${extra:+-$extra}
    log=$root/build/setup.log
    if [ -e "$stamp" ] && [ -z "$(find "$root/pyproject.toml" "$root/CMakeLists.txt" "$root/core" \
        "$root/hakprof" "$root/counters" \( -name __pycache__ -prune \) -o -newer "$stamp" -type f -print -quit)" ]; then
        return 0
    fi
    case $root in
    *[:\;\"\\#*[]* | *']'*) # PATH, LD_PRELOAD and CMake's lists, strings, comments and patterns
        fail_setup "cannot be built in a folder with any of : ; \" \\ # * [ ] in its name: $root"
        ;;
    esac
    if ! mkdir -p "$root/build" 2>/dev/null || ! [ -w "$root/build" ] || ! [ -w "$root" ]; then
        fail_setup "cannot write to $root, where it is set up; clone it where you may write"
    fi
    need_compiler
    # Two starts at once must not install into the same place: the second waits for the first.
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$root/build/setup.lock"
        flock 9
    fi
    [ -x "$venv/bin/python" ] || create_venv
    [ -t 2 ] && printf 'hakprof: setting up %s (once per change of the source)\n' "$venv" >&2
    touch "$root/build/setup.started"
    if [ ! -e "$venv/.build-tools" ] || ! cmp -s "$root/pyproject.toml" "$venv/.build-tools"; then
        build_requirements >"$root/build/requirements.txt"
        run_pip -r "$root/build/requirements.txt"
        cp "$root/pyproject.toml" "$venv/.build-tools"
    fi
    PATH="$venv/bin:$PATH" run_pip --no-build-isolation ".${extra:+[$extra]}"
    touch -r "$root/build/setup.started" "$stamp" "$venv/.up-to-date"
    exec 9>&-
}
