#!/bin/sh
# dist/: what the npm package runs. Compiled JavaScript in the same folders, and beside it what the code
# opens relative to itself: BPF objects and the page. Called by `npm pack` (prepack), set-up done before.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
sh scripts/setup.sh start
. bin/find-node.sh
find_node "$root"
PATH=$(dirname "$node"):$root/node_modules/.bin:$PATH
export PATH

rm -rf dist
tsc -p tsconfig.build.json
for file in $(git ls-files --cached --others --exclude-standard -- agent query | grep -v '\.ts$') agent/bpf/*.bpf.o; do
  case $file in
    *.md | *.d.mts | */tsconfig.json | */testdata/*) continue ;;
  esac
  mkdir -p "dist/$(dirname "$file")"
  cp "$file" "dist/$file"
done
