#!/bin/sh
# `npm start`: set-up, then `flamelake up` in this very process, so that signals need no forwarding.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
sh "$root/scripts/setup.sh" start
exec "$root/bin/flamelake" up "$@"
