#!/usr/bin/env bash
# The Express app behind the gateway, with curl as the sender: what is signed arrives, what is not does not.
#
#   examples/express/test.sh [HOOKGATE]     HOOKGATE is the binary; without it, cargo builds one
#
# Needs node, npm and curl. Events are signed with Node's own HMAC, so that two implementations have to agree.
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

# Waits until PATTERN stands in LOG, and prints what it is. PID is who writes the log.
await_line() {
  local pid=$1 log=$2 pattern=$3 end=$((SECONDS + 20))
  until grep -oE "$pattern" "$log" | head -n 1 | grep .; do
    kill -0 "$pid" 2>/dev/null || give_up "$log: its program has ended"
    [ "$SECONDS" -lt "$end" ] || give_up "$log: nothing like '$pattern' within 20 s"
    sleep 0.05
  done
}

# Waits until PORT takes connections.
await_port() {
  local pid=$1 port=$2 end=$((SECONDS + 20))
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || give_up "nothing is left to listen on port $port"
    [ "$SECONDS" -lt "$end" ] || give_up "port $port takes no connection within 20 s"
    sleep 0.05
  done
}

passed=0
failed=0
check() {
  local what=$1 got=$2 want=$3
  if [ "$got" = "$want" ]; then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n        got:  %s\n        want: %s\n' "$what" "$got" "$want"
  fi
}

# The tag of a body file under a secret, as Node makes it.
tag() {
  node -e '
    const { createHmac } = require("node:crypto");
    const body = require("node:fs").readFileSync(process.argv[2]);
    process.stdout.write(createHmac("sha256", process.argv[1]).update(body).digest("hex"));
  ' "$1" "$2"
}

# Sends a body file with further curl arguments; $status and $answer say what came back.
send() {
  local body=$1
  shift
  status=$(curl --silent --show-error --noproxy '*' --max-time 20 --output "$scratch/answer" --write-out '%{http_code}' \
    --header 'content-type: application/json' --data-binary "@$body" "$@" "$url/webhook/leases") || true
  answer=$(cat "$scratch/answer")
}

# How many requests the app has been sent, of any kind.
arrived() {
  grep -cE '^[A-Z]+ /' "$scratch/app.log" || true
}

hookgate=${1:-}
if [ -z "$hookgate" ]; then
  cargo build --quiet --manifest-path "$root/Cargo.toml"
  target=$(cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps |
    grep -o '"target_directory":"[^"]*"' | cut -d '"' -f 4)
  hookgate=$target/debug/hookgate
fi
npm ci --prefix "$here" --no-progress >"$scratch/npm.log" 2>&1 || give_up 'npm ci failed'

PROPIFY_WEBHOOK_SECRET=$(node -p 'require("node:crypto").randomBytes(32).toString("hex")')
export PROPIFY_WEBHOOK_SECRET

PORT=0 node "$here/app.js" >"$scratch/app.log" 2>&1 &
app=$!
app_port=$(await_line "$app" "$scratch/app.log" 'listening on http://127\.0\.0\.1:[0-9]+')
app_port=${app_port##*:}
await_port "$app" "$app_port"

# The example's own configuration, but for the ports.
sed -e 's/127\.0\.0\.1:8080/127.0.0.1:0/' -e "s/127\.0\.0\.1:3000/127.0.0.1:$app_port/" "$here/gateway.toml" \
  >"$scratch/gateway.toml"
"$hookgate" --config "$scratch/gateway.toml" run >"$scratch/gateway.log" 2>&1 &
gateway=$!
gateway_port=$(await_line "$gateway" "$scratch/gateway.log" 'listening.*127\.0\.0\.1:[0-9]+' | grep -oE '[0-9]+$')
await_port "$gateway" "$gateway_port"
url=http://127.0.0.1:$gateway_port

event=$scratch/event.json
printf '%s' '{"meta":{"object":"leases","integration_id":"cuid_1"},"record_id":"cuid_2",' \
  '"diff":{"previous":{"status":"pending"},"new":{"status":"approved"}}}' >"$event"
signature=$(tag "$PROPIFY_WEBHOOK_SECRET" "$event")

send "$event" --header "propify-signature: $signature"
check 'a signed event is answered by the app' "$status" 200
check 'the app says what changed' "$answer" \
  '{"ok":true,"news":"lease cuid_2: status \"pending\" -> \"approved\""}'
check 'the app got one request' "$(arrived)" 1

# The documentation's other kind of event; spaced as no JSON library would write it again.
printf '{ "data" : {"object":"leases",\r\n\t"event":"lease.created", "id":"cuid_3", "rent":1250.00} }\n' >"$scratch/data.json"
send "$scratch/data.json" --header "propify-signature: $(tag "$PROPIFY_WEBHOOK_SECRET" "$scratch/data.json")"
check 'an oddly spaced event verifies: its bytes are what was signed' "$status" 200
check 'the app reads it' "$answer" '{"ok":true,"news":"lease cuid_3: lease.created"}'
send "$scratch/data.json" --header "$("$hookgate" --config "$scratch/gateway.toml" sign "$scratch/data.json" 2>/dev/null)"
check 'hookgate sign makes the same signature as Node' "$status" 200
send "$event" --header "propify-signature: $signature" --header 'transfer-encoding: chunked'
check 'a chunked event verifies' "$status" 200
check 'the app got four requests' "$(arrived)" 4

reason() {
  node -e 'process.stdout.write(JSON.parse(process.argv[1]).reason ?? "none")' "$answer"
}

send "$event" --header "propify-signature: $(tag 'some other secret' "$event")"
check 'an event signed with another secret is refused' "$status $(reason)" '401 signature_mismatch'
send "$event"
check 'an unsigned event is refused' "$status $(reason)" '401 signature_missing'
send "$event" --header 'propify-signature: approved'
check 'a signature that is none is refused' "$status $(reason)" '401 signature_malformed'
send "$event" --header "propify-signature: $signature" --header "propify-signature: $signature"
check 'two signatures are refused' "$status $(reason)" '401 signature_duplicate'

{ cat "$event"; printf ' '; } >"$scratch/appended.json"
send "$scratch/appended.json" --header "propify-signature: $signature"
check 'a captured event with one byte appended is refused' "$status $(reason)" '401 signature_mismatch'
sed 's/approved/rejected/' "$event" >"$scratch/altered.json"
send "$scratch/altered.json" --header "propify-signature: $signature"
check 'a captured event with another status is refused' "$status $(reason)" '401 signature_mismatch'

printf '{"meta":{"object":"leads"},"record_id":"cuid_4","diff":{"previous":{},"new":{}}}' >"$scratch/leads.json"
send "$scratch/leads.json" --header "propify-signature: $(tag "$PROPIFY_WEBHOOK_SECRET" "$scratch/leads.json")"
check 'an authentic event about something else is refused' "$status $(reason)" '403 model_mismatch'
check 'the app saw none of what was refused' "$(arrived)" 4

code=0
kill -TERM "$gateway"
wait "$gateway" || code=$?
gateway=
check 'the gateway ends on SIGTERM with exit code 0' "$code" 0

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
