#!/usr/bin/env bash
# The example, as its README has it: an event is kept while the app is down, delivered when it is up, and handled once though it is
# delivered twice.
#
#   examples/idempotent/test.sh [HOOKGATE]     HOOKGATE is the binary; without it, cargo builds one
#
# Needs python3 and curl.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
app=
gateway=

clean_up() {
  for pid in $gateway $app; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

give_up() {
  printf '%s\n' "$1" >&2
  tail -n 20 "$scratch"/*.log >&2 || true
  exit 1
}

# Repeats a command until its output contains TEXT.
await() {
  local text=$1 end=$((SECONDS + 30))
  shift
  until "$@" 2>/dev/null | grep -q -- "$text"; do
    [ "$SECONDS" -lt "$end" ] || give_up "no '$text' within 30 s of: $*"
    sleep 0.1
  done
}

check() {
  if [ "$2" = "$3" ]; then
    printf 'ok      %s\n' "$1"
  else
    give_up "$(printf 'FAILED  %s\n        got:  %s\n        want: %s' "$1" "$2" "$3")"
  fi
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

hookgate=${1:-}
if [ -z "$hookgate" ]; then
  cargo build --quiet --manifest-path "$root/Cargo.toml"
  target=$(cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps |
    grep -o '"target_directory":"[^"]*"' | cut -d '"' -f 4)
  hookgate=$target/debug/hookgate
fi
hookgate=$(realpath "$hookgate")

PROPIFY_WEBHOOK_SECRET=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export PROPIFY_WEBHOOK_SECRET
gateway_port=$(free_port) admin_port=$(free_port) app_port=$(free_port)

# The example's own configuration, but for the ports and the waits.
sed -e "s/127\.0\.0\.1:8080/127.0.0.1:$gateway_port/" -e "s/127\.0\.0\.1:9901/127.0.0.1:$admin_port/" \
  -e "s/127\.0\.0\.1:3000/127.0.0.1:$app_port/" "$here/gateway.toml" >"$scratch/gateway.toml"
printf '\n[retry]\nschedule = ["200ms"]\n' >>"$scratch/gateway.toml"
cd "$scratch"
"$hookgate" run >"$scratch/gateway.log" 2>&1 &
gateway=$!
await alive curl --silent --noproxy '*' "http://127.0.0.1:$admin_port/healthz"

event='{"meta":{"object":"leases"},"record_id":"cuid_2","diff":{"previous":{},"new":{"status":"approved"}}}'
printf '%s' "$event" >event.json
signature=$("$hookgate" sign event.json 2>/dev/null)
answer=$(curl --silent --show-error --noproxy '*' --max-time 20 --write-out '\n%{http_code}' --header "$signature" \
  --data-binary @event.json "http://127.0.0.1:$gateway_port/webhook/leases")
check 'an event is acknowledged though the app is down' "$(tail -n 1 <<<"$answer")" 202
id=$(grep -oE '[0-9a-f]{8}-[0-9a-f-]{27}' <<<"$answer")
await "$id" "$hookgate" events list --state queued
printf 'ok      it waits, by the id that the sender got\n'

PORT=$app_port DATABASE=$scratch/app.db python3 "$here/app.py" >"$scratch/app.log" 2>&1 &
app=$!
await "$id" "$hookgate" events list --state delivered
printf 'ok      it is delivered when the app is up\n'

changes() {
  python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("select changes from lease").fetchone()[0])' \
    "$scratch/app.db"
}
check 'the app has handled it' "$(changes)" 1
"$hookgate" events replay --yes "$id" >/dev/null
await '"new": false' "$hookgate" events show "$id"
check 'delivered again, it is not handled again' "$(changes)" 1

code=0
kill -TERM "$gateway"
wait "$gateway" || code=$?
gateway=
check 'the gateway ends on SIGTERM with exit code 0' "$code" 0
