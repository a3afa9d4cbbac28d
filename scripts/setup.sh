#!/bin/sh
# Set-up for a clone: system packages, npm packages, the BPF build; does only what is missing and is
# quick when nothing is. `setup.sh test` also wants what the tests need.
# As root it installs system packages; as anybody else it says in one line what is missing and which
# command installs it, and goes on: everything but the agent runs without. Exit 1 only when nothing
# could run. Plain sh, and only programs that every Linux has: the host's old Node is all that is sure.
set -eu
purpose=${1:-start}
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
mkdir -p .setup

say() { echo "setup: $*" >&2; }

# Two set-ups at once in one clone would delete each other's node_modules.
if command -v flock >/dev/null 2>&1; then
  exec 9>.setup/lock
  if ! flock -n 9; then
    say 'waiting for another set-up of this clone'
    flock 9
  fi
fi

# --- system packages -------------------------------------------------------------------------------
# Prints the names of what is missing. Found by the file that is used, not by asking the package
# manager: that takes a second, and people build their own.
missing_parts() {
  any_file /usr/lib/*/libbpf.so.1 /usr/lib64/libbpf.so.1 /usr/lib/libbpf.so.1 /lib/libbpf.so.1 /usr/local/lib*/libbpf.so.1 || echo libbpf
  command -v clang >/dev/null 2>&1 || echo clang
  any_file /usr/include/bpf/bpf_helpers.h /usr/local/include/bpf/bpf_helpers.h || echo libbpf-headers
  any_file /usr/include/linux/types.h || echo kernel-headers
  if [ "$purpose" = test ]; then
    command -v bpftool >/dev/null 2>&1 || [ -x /usr/sbin/bpftool ] || echo bpftool
    any_file /usr/include/stdio.h || echo libc-headers
    command -v python3 >/dev/null 2>&1 || echo python3
    # Debian splits what makes a virtual environment off python3.
    python3 -c 'import ensurepip' >/dev/null 2>&1 || echo python3-venv
  fi
}

any_file() {
  for file; do
    [ -e "$file" ] && return 0
  done
  return 1
}

# The package that holds a part, by package manager.
package_of() {
  case $1:$2 in
    apt:libbpf) echo libbpf1 ;;
    apt:libbpf-headers) echo libbpf-dev ;;
    apt:kernel-headers) echo linux-libc-dev ;;
    apt:libc-headers) echo libc6-dev ;;
    dnf:libbpf-headers) echo libbpf-devel ;;
    dnf:libc-headers) echo glibc-devel ;;
    apk:libbpf-headers) echo libbpf-dev ;;
    apk:kernel-headers) echo linux-headers ;;
    apk:libc-headers) echo musl-dev ;;
    pacman:libbpf-headers) echo libbpf ;;
    pacman:kernel-headers) echo linux-api-headers ;;
    pacman:libc-headers) echo glibc ;;
    pacman:bpftool) echo bpf ;;
    pacman:python3 | pacman:python3-venv) echo python ;;
    dnf:python3-venv | apk:python3-venv) echo python3 ;;
    *) echo "$2" ;;
  esac
}

install_command() {
  case $1 in
    apt) echo "apt-get install -y --no-install-recommends $2" ;;
    dnf) echo "dnf install -y $2" ;;
    apk) echo "apk add $2" ;;
    pacman) echo "pacman -S --needed --noconfirm $2" ;;
  esac
}

package_manager() {
  for name in apt-get dnf apk pacman; do
    if command -v "$name" >/dev/null 2>&1; then
      echo "${name%-get}"
      return 0
    fi
  done
}

# One word after another, each once.
words() { tr ' ' '\n' | awk 'NF && !seen[$0]++' | tr '\n' ' ' | sed 's/ $//'; }

system_packages() {
  parts=$(missing_parts | words)
  [ -n "$parts" ] || return 0
  manager=$(package_manager)
  if [ -z "$manager" ]; then
    say "missing: $parts; none of apt-get, dnf, apk, pacman is here: install them by hand (docs/hacking.md)"
    return 0
  fi
  packages=$(for part in $parts; do package_of "$manager" "$part"; done | words)
  command=$(install_command "$manager" "$packages")
  if [ "$(id -u)" != 0 ]; then
    say "missing: $parts; to install, run as root: $command"
    return 0
  fi
  say "installing $packages"
  if ! run_install "$command"; then
    # A fresh container has no package lists yet, an old one has stale ones.
    case $manager in
      apt) update='apt-get update' ;;
      apk) update='apk update' ;;
      pacman) update='pacman -Sy --noconfirm' ;;
      *) update=true ;;
    esac
    { run_install "$update" && run_install "$command"; } || true
  fi
  parts=$(missing_parts | words)
  [ -z "$parts" ] || say "missing: $parts; this failed (.setup/system.log): $command"
}

run_install() {
  echo "+ $1" >>.setup/system.log
  DEBIAN_FRONTEND=noninteractive sh -c "$1" >>.setup/system.log 2>&1 9>&- </dev/null
}

# --- npm packages ----------------------------------------------------------------------------------
# npm writes what it installed to node_modules/.package-lock.json; the stamp remembers a pair of lock
# files that was found to agree.
npm_packages() {
  installed=node_modules/.package-lock.json
  if [ -f "$installed" ] && [ "$(lock_sums)" = "$(cat .setup/npm.stamp 2>/dev/null)" ]; then
    return 0
  fi
  npm_exists || return 1
  if ! [ -f "$installed" ] || ! run_host_node scripts/npm-agrees.cjs; then
    say 'installing npm packages'
    # Scripts of packages are not run, here or at a user's: nothing we depend on needs one.
    if ! npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >.setup/npm.log 2>&1 9>&-; then
      say "npm ci failed: $(grep -v '^npm error A complete log' .setup/npm.log | tail -n 1) (.setup/npm.log)"
      return 1
    fi
  fi
  lock_sums >.setup/npm.stamp
}

lock_sums() { cksum package-lock.json node_modules/.package-lock.json; }

npm_exists() {
  command -v npm >/dev/null 2>&1 && return 0
  say 'missing: npm >= 9; install it with Node from your distribution (Debian, Ubuntu: apt-get install npm)'
  return 1
}

run_host_node() { "${npm_node_execpath:-node}" "$@"; }

# --- the BPF objects -------------------------------------------------------------------------------
bpf_objects() {
  [ -d bpf ] || return 0
  for source in bpf/*.bpf.c; do
    object=agent/bpf/$(basename "$source" .c).o
    if ! [ -e "$object" ] || [ -n "$(find bpf scripts/bpf-build.sh -newer "$object" \( -name '*.c' -o -name '*.h' -o -name '*.sh' \))" ]; then
      if ! command -v clang >/dev/null 2>&1; then
        [ -e "$object" ] && say "$object is older than its source and clang is missing: it is used as it is" || say "$object can't be built without clang: the agent will not run"
        return 0
      fi
      say 'building the BPF objects'
      sh scripts/bpf-build.sh >.setup/bpf.log 2>&1 9>&- || say "the BPF build failed, the agent will not run as it should: $(grep -m 1 -i error .setup/bpf.log || tail -n 1 .setup/bpf.log) (.setup/bpf.log)"
      return 0
    fi
  done
}

system_packages
npm_packages
bpf_objects
