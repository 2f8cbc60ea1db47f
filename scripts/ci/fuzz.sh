#!/usr/bin/env bash
# Builds the fuzz targets with Clang in ./build-fuzz and runs each for SECONDS (default 30; the first argument) or RUNS
# inputs (the second; default: no limit), from small golden files where there are some and always from the same random
# numbers. A crash, a hang of 10 seconds or 1 GB of memory ends it with the input in ./build-fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-30}
runs=${2:--1}

cmake -S . -B build-fuzz -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O1" \
  -DCMAKE_CXX_COMPILER=clang++-14 -DLITESMITH_BUILD_FUZZERS=ON \
  -DLITESMITH_SANITIZE=address,undefined
targets=()
for source in fuzz/fuzz_*.cc; do
  targets+=("$(basename "$source" .cc)")
done
cmake --build build-fuzz --target "${targets[@]}"

shared=${LITESMITH_SHARED:-../shared}
export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p build-fuzz/findings
for target in "${targets[@]}"; do
  # fuzz_npy -> *.npy: seeds are small golden files with the target's name as their ending.
  ending=${target#fuzz_}
  corpus=build-fuzz/corpus/$ending
  mkdir -p "$corpus"
  if [ -d "$shared/golden" ] && [ -z "$(ls -A "$corpus")" ]; then
    find "$shared/golden" -type f -name "*.$ending" -size -24k -size +0 | sort | awk 'NR % 4 == 1' |
      while read -r seed; do
        cp "$seed" "$corpus/$(echo "${seed#"$shared"/golden/}" | tr / _)"
      done
  fi
  echo "== $target: $seconds s from $(ls "$corpus" | wc -l) seeds"
  "build-fuzz/fuzz/$target" -max_total_time="$seconds" -runs="$runs" -seed=1 -timeout=10 -rss_limit_mb=1024 \
    -max_len=32768 -print_final_stats=1 -verbosity=0 -close_fd_mask=1 \
    -artifact_prefix="build-fuzz/findings/$target-" "$corpus"
done
