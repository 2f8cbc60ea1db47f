#!/usr/bin/env bash
# From nothing to a tested build: installs the build dependencies, builds release with warnings as errors and
# runs every test. Golden files are taken from $LITESMITH_SHARED, or ../shared beside the clone.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh -DLITESMITH_BUILD_TESTS=ON -DLITESMITH_BUILD_BENCH=ON -DLITESMITH_WERROR=ON
shared=${LITESMITH_SHARED:-../shared}
[[ -d "$shared/golden" ]] || echo "test: no golden files at $shared: the tests that need them are SKIPPED"
ctest --test-dir build --output-on-failure -j "$(nproc)"
