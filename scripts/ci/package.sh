#!/usr/bin/env bash
# Installs the release build of scripts/test.sh into a fresh folder, then builds and runs examples/embed against the
# installed package alone.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install build --prefix "$work/prefix"
cmake -S examples/embed -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix"
cmake --build "$work/build"
"$work/prefix/bin/litesmith" --version
"$work/build/embed"
shared=${LITESMITH_SHARED:-../shared}
model=$shared/golden/mnist/mnist_model_quant_int8.tflite
if [[ -f $model ]]; then
  "$work/build/embed" "$model"
else
  echo "package: no golden model at $model: running one is SKIPPED"
fi
