#!/bin/sh
# Writes both locks from pyproject.toml: every platform, with hashes, without an index address.
# requirements.lock holds every extra; requirements-prod.lock, for images, what the service needs.
set -eu
cd "$(dirname "$0")/.."
command -v uv >/dev/null || {
    echo "lock: uv is needed, see https://docs.astral.sh/uv/" >&2
    exit 1
}

compile() {
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'scripts/lock.sh' --quiet "$@"
}

compile --all-extras --output-file requirements.lock
compile --extra model --extra tracing --constraint requirements.lock --output-file requirements-prod.lock
