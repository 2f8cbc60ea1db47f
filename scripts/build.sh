#!/usr/bin/env bash
# Builds litesmith in ./build (release). Further arguments go to CMake's configuration.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release "$@"
cmake --build build
