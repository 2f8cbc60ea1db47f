#!/usr/bin/env bash
# Builds the fuzz targets with Clang in ./build-fuzz (ASan, UBSan) and runs each for RUNS inputs (the second argument,
# default 3000) but no longer than SECONDS (the first, default 30): a short look that starts from the same seeds and
# random numbers every time. A crash, a hang of 10 seconds or 1 GB of memory ends it, with the input in
# ./build-fuzz/findings.
#
# Vector kernels are compiled for the least instruction set only, which takes a fraction of the time; the others are what
# the tests go through under the same sanitizers.
#
# Seeds are fuzz/corpus/TARGET and small golden files of the formats below. For long runs, with RUNS -1:
#   LITESMITH_FUZZ_CORPUS=DIR  starts from DIR/TARGET too and keeps there what is new
#   LITESMITH_FUZZ_TARGETS="tflite recipe"  only these
#   LITESMITH_FUZZ_SEED=N  other random numbers
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-30}
runs=${2:-3000}

targets=${LITESMITH_FUZZ_TARGETS:-$(cd fuzz && ls fuzz_*.cc | sed 's/^fuzz_//; s/\.cc$//')}
# Endings of golden files, and the largest input.
declare -A endings=([hdf5]="h5" [keras]="keras h5 json" [npy]="npy npz" [tflite]="tflite")
declare -A longest=([idx]=4096 [recipe]=4096)

# A build type of its own: what Release means is set by cmake/settings.cmake.
cmake -S . -B build-fuzz -G Ninja -DCMAKE_BUILD_TYPE=Fuzz \
  -DCMAKE_CXX_FLAGS="-O1 -DNDEBUG -DHWY_COMPILE_ONLY_STATIC" -DCMAKE_CXX_COMPILER=clang++-14 \
  -DLITESMITH_BUILD_FUZZERS=ON -DLITESMITH_SANITIZE=address,undefined
# shellcheck disable=SC2086
cmake --build build-fuzz --target $(printf 'fuzz_%s ' $targets)

shared=${LITESMITH_SHARED:-../shared}
export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p build-fuzz/findings

# Copies every fourth small golden file with one of the endings to the folder $1.
golden_seeds() {
  local folder=$1 names=() ending
  shift
  for ending in "$@"; do names+=(-o -name "*.$ending"); done
  find "$shared/golden" -type f -size -24k -size +0 \( "${names[@]:1}" \) | sort | awk 'NR % 4 == 1' |
    while read -r seed; do
      cp "$seed" "$folder/$(echo "${seed#"$shared"/golden/}" | tr / _)"
    done
}

# Addresses that change from run to run would find their way into the inputs.
fixed=()
if setarch -R true 2>/dev/null; then fixed=(setarch -R); fi

summary=()
for target in $targets; do
  work=build-fuzz/corpus/$target
  rm -rf "$work"
  mkdir -p "$work/new" "$work/seeds"
  if [ -n "${endings[$target]:-}" ] && [ -d "$shared/golden" ]; then
    # shellcheck disable=SC2086
    golden_seeds "$work/seeds" ${endings[$target]}
  fi
  if [ -d "fuzz/corpus/$target" ]; then cp "fuzz/corpus/$target"/* "$work/seeds"; fi
  kept=$work/new
  if [ -n "${LITESMITH_FUZZ_CORPUS:-}" ]; then
    kept=$LITESMITH_FUZZ_CORPUS/$target
    mkdir -p "$kept"
  fi
  options=()
  if [ -f "fuzz/$target.dict" ]; then options+=(-dict="fuzz/$target.dict"); fi
  echo "== $target: at most $seconds s or $runs inputs, from $(find "$work/seeds" "$kept" -type f | wc -l) seeds"
  log=$work/log
  if ! "${fixed[@]}" "build-fuzz/fuzz/fuzz_$target" -max_total_time="$seconds" -runs="$runs" \
    -seed="${LITESMITH_FUZZ_SEED:-1}" -timeout=10 -rss_limit_mb=1024 -max_len="${longest[$target]:-32768}" \
    -print_final_stats=1 -verbosity=0 -close_fd_mask=1 "${options[@]}" \
    -artifact_prefix="build-fuzz/findings/$target-" "$kept" "$work/seeds" >"$log" 2>&1; then
    tail -n 80 "$log"
    echo "fuzz: $target FAILED; the input is in build-fuzz/findings" >&2
    exit 1
  fi
  summary+=("$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs")
done
printf 'fuzz: %s\n' "${summary[@]}"
