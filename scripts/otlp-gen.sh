#!/bin/sh
# Makes schemas/otlp/gen from schemas/otlp/proto. Run it after a change of a .proto and commit both;
# schemas/otlp/gen.test.ts fails while they differ. Another output folder may be given as $1.
set -eu
cd "$(dirname "$0")/.."
out=${1:-schemas/otlp/gen}
exec node_modules/.bin/buf generate schemas/otlp/proto --template "
version: v2
clean: true
plugins:
  - local: node_modules/.bin/protoc-gen-es
    out: $out
    opt: [target=ts, import_extension=ts]
"
