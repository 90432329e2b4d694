# Shared by the tests of the packages. Source it; it needs $scratch.
# shellcheck shell=bash

passed=0
failed=0
check() {
  local what=$1
  shift
  if "$@" >"$scratch/check.log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$what"
    sed 's/^/        /' "$scratch/check.log"
  fi
}

# Fails if the command prints anything, and shows it.
silent() { [ -z "$("$@" 2>&1 | tee /dev/stderr)" ]; }
not() { ! "$@"; }
# is EXPECTED COMMAND...: the command prints exactly EXPECTED.
is() {
  local expected=$1 got
  shift
  got=$("$@" 2>&1) || true
  [ "$got" = "$expected" ] || {
    printf 'got:  %s\nwant: %s\n' "$got" "$expected"
    return 1
  }
}
# exits CODE COMMAND...: the command exits with CODE.
exits() {
  local expected=$1 code=0
  shift
  "$@" || code=$?
  [ "$code" = "$expected" ] || {
    echo "exit code $code"
    return 1
  }
}
until_true() {
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then return; fi
    read -r -t 0.1 <>"$scratch/never" || true
  done
  "$@"
}
mkfifo "$scratch/never"

# Ends the test and prints the result.
tell() {
  printf '%s passed, %s failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}
