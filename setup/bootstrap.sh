#!/bin/sh
# Makes .venv ready, from nothing: usage `sh setup/bootstrap.sh runtime|dev`.
# Knows how to find or install a Python of 3.11 or later with venv; the rest is setup/environment.py.
# Written in plain POSIX sh, because it must run where there is no Python yet.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
mkdir -p .aerie
log=$root/.aerie/setup.log

# Prints the first Python that is new enough and can make virtual environments.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" > /dev/null 2>&1 &&
            "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# Installs Debian packages, quietly; the log keeps what apt-get said.
install_packages() {
    echo "  Installing $* with apt-get (log: .aerie/setup.log) ..."
    {
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 --yes --no-install-recommends install "$@" ||
            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 --yes --no-install-recommends install "$@"; }
    } >> "$log" 2>&1 < /dev/null
}

if [ -x .venv/bin/python ] && .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then
    exec .venv/bin/python -m setup.environment "$@"
fi

if ! python=$(find_python); then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null 2>&1; then
        if ! install_packages python3 python3-venv; then
            tail -n 15 "$log" >&2
            echo "apt-get could not install python3 and python3-venv; its last words are above. Check the network and /etc/apt/sources.list, then try again." >&2
            exit 1
        fi
    fi
    if ! python=$(find_python); then
        found=$(python3 --version 2> /dev/null || echo "no python3")
        echo "Aerie needs Python 3.11 or later with its venv module, and found $found." >&2
        if command -v apt-get > /dev/null 2>&1; then
            echo "Install it (sudo apt-get install python3 python3-venv; an older Debian or Ubuntu needs python3.11 or later from elsewhere) and run this again." >&2
        elif [ "$(uname -s)" = Darwin ]; then
            echo "Install it (for example: brew install python@3.13) and run this again." >&2
        else
            echo "Install it with your system's package manager and run this again." >&2
        fi
        exit 1
    fi
fi
exec "$python" -m setup.environment "$@"
