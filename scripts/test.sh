#!/bin/sh
# `npm test`: set-up, then lint, types and tests; all of them run, also when one fails. The last line is
# `N passed, N failed, N skipped` (lint and types count as one each), the exit code 1 when any failed.
# Arguments go to vitest alone: `npm test -- lib/log` runs those files only.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
sh scripts/setup.sh test

. bin/find-node.sh
find_node "$root"
if [ -z "$node" ]; then
  echo "test: $node_trouble" >&2
  exit 1
fi
PATH=$(dirname "$node"):$root/node_modules/.bin:$PATH
export PATH

passed=0 failed=0
check() {
  name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    echo "test: $name failed" >&2
    failed=$((failed + 1))
  fi
}

if [ $# = 0 ]; then
  check lint biome check --error-on-warnings .
  check types tsc -p .
fi
report=.setup/test.json
rm -f "$report"
status=0
vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || status=$?
exec node scripts/test-summary.ts "$report" "$status" "$passed" "$failed"
