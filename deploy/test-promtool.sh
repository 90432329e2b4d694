#!/usr/bin/env bash
# Checks with Prometheus's promtool: /metrics of a running gateway, the alert rules and their tests, and every query of the
# dashboard. Uses Debian's promtool and jq, and installs them, as root, if they are missing.
#
#   deploy/test-promtool.sh [path/to/hookgate]     default: builds it
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
scratch=$(mktemp -d)
gateway=

clean_up() {
  if [ -n "$gateway" ]; then
    kill "$gateway" 2>/dev/null || true
    wait "$gateway" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap clean_up EXIT

give_up() {
  printf '%s\n' "$1" >&2
  tail -n 20 "$scratch"/*.log >&2 2>/dev/null || true
  exit 1
}

install_tools() {
  if command -v promtool && command -v jq && command -v curl; then
    return
  fi
  export DEBIAN_FRONTEND=noninteractive
  # Only promtool is used: the service must not be started.
  apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends prometheus jq curl
} >"$scratch/install.log" 2>&1
install_tools || give_up 'promtool, jq and curl cannot be installed'

. "$here/package/checks.sh"

hookgate=${1:-}
if [ -z "$hookgate" ]; then
  cargo build --quiet --manifest-path "$root/Cargo.toml"
  target=$(cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps | jq -r .target_directory)
  hookgate=$target/debug/hookgate
fi

# A gateway that produces every metric: two signatures with a secret of the same name, and a route in observe mode. No app
# listens at the upstreams, so they fail too.
export KEY=0123456789abcdef0123456789abcdef OTHER=fedcba9876543210fedcba9876543210
cat >"$scratch/gateway.toml" <<'TOML'
[server]
listen = "127.0.0.1:0"
workers = 2
[admin]
listen = "127.0.0.1:0"
[log]
format = "json"
[signature]
scheme = "propify"
secrets = [{ name = "current", env = "KEY" }, { name = "previous", env = "OTHER" }]
[[routes]]
path = "/webhook/{model}"
upstream = "http://127.0.0.1:9"
[[routes]]
path = "/odd'path/{x}"
upstream = "http://127.0.0.1:9"
[[routes]]
path = "/github"
upstream = "http://127.0.0.1:9"
mode = "observe"
signature = { scheme = "github", secrets = [{ name = "current", env = "KEY" }] }
TOML
"$hookgate" --config "$scratch/gateway.toml" run >"$scratch/gateway.log" 2>&1 &
gateway=$!

# The address in the first log line with this message; waits for the line.
address() {
  local end=$((SECONDS + 20))
  until jq -r --arg message "$1" 'select(.message == $message) | .addresses' "$scratch/gateway.log" 2>/dev/null |
    grep .; do
    kill -0 "$gateway" 2>/dev/null || give_up 'hookgate has ended'
    [ "$SECONDS" -lt "$end" ] || give_up "hookgate does not say: $1"
    sleep 0.05
  done
}
gateway_url=http://$(address listening)
admin_url=http://$(address 'the admin listener answers')

send() {
  "$hookgate" --config "$scratch/gateway.toml" send --url "$gateway_url" "$@" >/dev/null 2>&1 || true
}
send /webhook/leases
send /webhook/leases --secret previous
for mode in missing malformed tampered wrong-secret duplicate; do
  send /webhook/leases --forge "$mode"
  send /github --forge "$mode"
done
send /github
curl --silent --noproxy '*' --output /dev/null "$gateway_url/nowhere"

scrape() {
  curl --fail --silent --show-error --noproxy '*' "$admin_url/metrics" >"$scratch/metrics"
}
check 'the gateway is scraped' scrape
check 'promtool finds nothing to say about /metrics' promtool check metrics <"$scratch/metrics"

for line in \
  'hookgate_verified_total{route="/webhook/{model}",secret="previous"} 1' \
  'hookgate_requests_total{route="/webhook/{model}",status="401",reason="signature_mismatch"} 2' \
  'hookgate_requests_total{route="/webhook/{model}",status="502",reason="upstream_unreachable"} 2' \
  'hookgate_would_refuse_total{route="/github",reason="signature_missing"} 1' \
  'hookgate_requests_total{route="",status="404",reason="no_route"} 1' \
  'hookgate_ready 1'; do
  check "/metrics has $line" grep -Fx "$line" "$scratch/metrics"
done

secrets() {
  "$hookgate" secrets --admin "$admin_url" --json | jq -e '[.secrets[].label] == ["current", "previous", "current@/github"]'
}
check 'hookgate secrets reads it' secrets

check 'the alert rules are sound' promtool check rules "$here/prometheus/alerts.yml"
check 'the alert rules do what their tests say' promtool test rules "$here/prometheus/alerts_test.yml"

# promtool reads no dashboards, so the queries are checked as rules.
dashboard=$here/grafana/hookgate.json
queries() {
  jq -e '{ groups: [{ name: "dashboard", rules: [
    .panels[].targets[]?.expr
    | gsub("\\$__rate_interval"; "5m") | gsub("\\$(job|instance|route)"; ".*")
    | { expr: . }] | to_entries | map({ record: "query:\(.key)", expr: .value.expr }) }] }' "$dashboard" >"$scratch/queries.yml"
  [ "$(jq '.groups[0].rules | length' "$scratch/queries.yml")" -gt 10 ]
  promtool check rules "$scratch/queries.yml"
}
check 'every query of the dashboard is sound' queries

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
