#!/bin/sh
# Makes .venv in this clone from requirements.lock; does nothing when it is up to date.
# PYTHON=/path/to/python chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# All that decides what .venv holds. It names the folder because a virtual environment cannot move.
wanted() {
    pwd -P
    "${PYTHON:-.venv/bin/python}" -V 2>/dev/null || true
    cksum requirements.lock scripts/setup.sh src/interview_agent/__init__.py
    awk '/^\[/ { keep = /^\[(build-system|project|tool\.hatch)/ } keep' pyproject.toml | cksum
}

up_to_date() { [ -x .venv/bin/python ] && [ "$(cat .venv/stamp 2>/dev/null)" = "$(wanted)" ]; }

# Shims of version managers exist without the version behind them, so each candidate is asked.
usable() {
    "$1" -c '
import ensurepip, sys, venv
sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14) and ensurepip.version()))
' >/dev/null 2>&1
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" && echo "$PYTHON" && return
        die "PYTHON=$PYTHON cannot be used: it must be Python 3.11, 3.12 or 3.13 with the modules" \
            "venv and ensurepip (on Debian and Ubuntu: apt install python3-venv)"
    fi
    for candidate in python3.13 python3.12 python3.11 python3; do
        usable "$candidate" && command -v "$candidate" && return
    done
    die "Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip is needed, and none was" \
        "found. On Debian and Ubuntu: apt install python3 python3-venv; on Fedora: dnf install" \
        "python3.13. For an interpreter elsewhere: make setup PYTHON=/path/to/python3"
}

install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
        --progress-bar off --no-deps "$@" >.venv/pip.log 2>&1 && return
    tail -n 15 .venv/pip.log >&2
    die "pip could not install the packages; its last words are above, all of them in .venv/pip.log." \
        "Without a connection to a package index nothing can be fetched; the lock holds packages" \
        "for Linux on x86-64 and arm64. Run the same command again when the cause is gone."
}

up_to_date && exit

# Another copy that is at work in this clone is waited for; the lock goes with this process.
python=$(choose_python)
exec 9<requirements.lock
"$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 9<&9
up_to_date && exit

# Without the stamp an earlier attempt was cut off, or what is wanted has changed.
if [ -e .venv ]; then
    say "removing .venv: it is incomplete or out of date"
    rm -rf .venv
fi
say "making .venv with $("$python" -V) ($python)"
"$python" -m venv .venv
say "installing the packages of requirements.lock (a minute, and about 300 MB the first time)"
install --require-hashes -r requirements.lock
say "installing interview-agent itself, in place"
install --no-index --no-build-isolation --editable .
wanted >.venv/stamp.new
mv .venv/stamp.new .venv/stamp
say "done"
