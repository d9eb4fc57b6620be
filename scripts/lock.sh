#!/bin/sh
# Writes requirements.lock from pyproject.toml: every extra, every platform, with hashes, without an index address.
set -eu
cd "$(dirname "$0")/.."
exec uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
    --all-extras --no-emit-index-url --no-emit-find-links \
    --custom-compile-command 'scripts/lock.sh' --quiet --output-file requirements.lock
