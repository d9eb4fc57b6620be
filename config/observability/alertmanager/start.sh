#!/bin/sh
# Writes alertmanager.yml with the receivers that the environment names, then becomes Alertmanager.
#
#   ALERT_WEBHOOK_URL   where alerts are posted as JSON
#   ALERT_EMAIL_TO      who gets them by e-mail, from ALERT_EMAIL_FROM, through ALERT_SMTP_SMARTHOST
#                       (host:port, with STARTTLS), as ALERT_SMTP_USER with ALERT_SMTP_PASSWORD
#
# Each may be given as a file instead, its name with _FILE added. Both receivers may be set; with
# neither, alerts are shown at port 9093 and sent to nobody.
set -eu
umask 077

here=$(dirname "$0")
made=${ALERTMANAGER_CONFIG:-/tmp/alertmanager.yml}
program=${ALERTMANAGER_PROGRAM:-/bin/alertmanager}

value() {
    eval "file=\${$1_FILE:-} given=\${$1:-}"
    if [ -n "$file" ]; then cat "$file"; else printf '%s' "$given"; fi
}

# A YAML string in single quotes: a quote in it is doubled.
quoted() {
    printf "'%s'" "$(value "$1" | tr -d '\r\n' | sed "s/'/''/g")"
}

destinations() {
    if [ -n "$(value ALERT_WEBHOOK_URL)" ]; then
        printf '    webhook_configs:\n      - url: %s\n' "$(quoted ALERT_WEBHOOK_URL)"
        printf '        send_resolved: true\n'
    fi
    if [ -n "$(value ALERT_EMAIL_TO)" ]; then
        printf '    email_configs:\n      - to: %s\n' "$(quoted ALERT_EMAIL_TO)"
        printf '        from: %s\n' "$(quoted ALERT_EMAIL_FROM)"
        printf '        smarthost: %s\n' "$(quoted ALERT_SMTP_SMARTHOST)"
        if [ -n "$(value ALERT_SMTP_USER)" ]; then
            printf '        auth_username: %s\n' "$(quoted ALERT_SMTP_USER)"
            printf '        auth_password: %s\n' "$(quoted ALERT_SMTP_PASSWORD)"
        fi
        printf '        send_resolved: true\n'
    fi
}

while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in
        '  - name: '*) destinations ;;
    esac
done <"$here/alertmanager.yml" >"$made"

if [ -z "$(destinations)" ]; then
    echo "alertmanager: alerts go to nobody; set ALERT_WEBHOOK_URL or ALERT_EMAIL_TO" >&2
fi
exec "$program" --config.file="$made" "$@"
