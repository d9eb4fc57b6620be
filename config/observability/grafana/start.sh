#!/bin/sh
# Becomes Grafana, but not without a password: it would begin with one that everybody knows.
set -eu
if [ -z "${GF_SECURITY_ADMIN_PASSWORD:-}" ]; then
    echo "grafana: set GRAFANA_ADMIN_PASSWORD in .env" >&2
    exit 1
fi
exec "${GRAFANA_PROGRAM:-/run.sh}" "$@"
