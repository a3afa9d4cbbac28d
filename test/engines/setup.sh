#!/bin/sh
# Makes the Python that the tests use as a foreign engine (.setup/venv, versions from
# requirements.txt) and prints its path on standard output. FLAMELAKE_PYTHON names another Python that
# has the packages already. Quick when all is there. Exit 1 with one line that says what is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=$(cd "$here/../.." && pwd)/.setup/venv
requirements=$here/requirements.txt

if [ -n "${FLAMELAKE_PYTHON:-}" ]; then
  if ! "$FLAMELAKE_PYTHON" -c 'import pyarrow, duckdb, opentelemetry.proto' 2>/dev/null; then
    echo "FLAMELAKE_PYTHON=$FLAMELAKE_PYTHON lacks pyarrow, duckdb or opentelemetry-proto; $requirements has the versions" >&2
    exit 1
  fi
  echo "$FLAMELAKE_PYTHON"
  exit 0
fi

if ! command -v python3 >/dev/null 2>&1; then
  echo 'python3 is not installed; on Debian and Ubuntu: apt-get install python3-venv' >&2
  exit 1
fi

stamp=$venv/stamp
wanted="$(python3 --version) $(cksum <"$requirements")"
if [ -x "$venv/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  echo "$venv/bin/python"
  exit 0
fi

mkdir -p "$(dirname "$venv")"
# Test files run side by side; whoever comes second waits for the first (and never for ever: mkdir of a
# dead one is taken over after five minutes).
lock=$venv.lock
waited=0
until mkdir "$lock" 2>/dev/null; do
  if [ ! -w "$(dirname "$venv")" ]; then
    echo "$(dirname "$venv") may not be written by this user; set FLAMELAKE_PYTHON to a Python that has what $requirements names" >&2
    exit 1
  fi
  waited=$((waited + 1))
  if [ "$waited" -gt 300 ]; then
    rmdir "$lock" 2>/dev/null || true
    waited=0
  fi
  sleep 1
done
trap 'rmdir "$lock"' EXIT
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  echo "$venv/bin/python"
  exit 0
fi

rm -rf "$venv"
if ! python3 -m venv "$venv" >"$lock.log" 2>&1; then
  echo "python3 cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv ($(tail -n 1 "$lock.log"))" >&2
  exit 1
fi
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --requirement "$requirements" >"$lock.log" 2>&1; then
  echo "pip could not install $requirements: $(tail -n 1 "$lock.log")" >&2
  exit 1
fi
echo "$wanted" >"$stamp"
echo "$venv/bin/python"
