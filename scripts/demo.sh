#!/usr/bin/env bash
# From nothing to the main job: installs the build dependencies, builds litesmith and runs its demo. Arguments
# go to `litesmith demo` (for example --data FOLDER_WITH_MNIST).
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
root=$PWD
scripts/build.sh
cd "$here"
exec "$root/build/litesmith" demo "$@"
