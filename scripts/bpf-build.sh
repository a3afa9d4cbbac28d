#!/bin/sh
# Builds bpf/*.bpf.c into agent/bpf/*.bpf.o, where the agent looks for them (or into the folder given). One object serves every
# architecture and kernel: it reads kernel memory through CO-RE only. Needs clang and libbpf's headers.
set -eu
cd "$(dirname "$0")/.."

: "${CLANG:=clang}"
folder=${1:-agent/bpf}
if ! command -v "$CLANG" >/dev/null 2>&1; then
  echo "flamelake: clang is missing; install it (apt-get install clang libbpf-dev) to build the BPF programs" >&2
  exit 1
fi

# The architecture's own asm/ headers, which the bpf target does not look for by itself.
include=""
for dir in "/usr/include/$(uname -m)-linux-gnu"; do
  if [ -d "$dir/asm" ]; then include="-idirafter $dir"; fi
done

for source in bpf/*.bpf.c; do
  object="$folder/$(basename "$source" .c).o"
  mkdir -p "$folder"
  # shellcheck disable=SC2086
  "$CLANG" -g -O2 -mcpu=v3 -target bpf -Wall -Werror -Ibpf $include -c "$source" -o "$object.part"
  mv "$object.part" "$object"
done
