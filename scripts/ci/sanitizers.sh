#!/usr/bin/env bash
# Builds everything with AddressSanitizer and UndefinedBehaviorSanitizer in ./build-asan and runs every test.
# Leaks count. The first finding ends the test program it is in.
set -euo pipefail
cd "$(dirname "$0")/../.."

# -O1 keeps the build and the 10,000-image tests within CI's time; reports still name lines.
cmake -S . -B build-asan -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O1" \
  -DLITESMITH_BUILD_TESTS=ON -DLITESMITH_WERROR=ON -DLITESMITH_SANITIZE=address,undefined
cmake --build build-asan
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
export LITESMITH_SANITIZED=1
ctest --test-dir build-asan --output-on-failure -j "$(nproc)" "$@"
