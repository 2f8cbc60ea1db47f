#!/usr/bin/env bash
# Cross-compiles for AArch64 and runs the arithmetic's tests under QEMU, so that the NEON code is tested on
# machines without it; for 32-bit ARM the kernels' tests alone. Needs scripts/setup.sh --ci.
set -euo pipefail
cd "$(dirname "$0")/../.."

as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo)
packages=(libabsl-dev libfmt-dev libhwy-dev zlib1g-dev libzip-dev libjpeg-dev libpng-dev libgtest-dev
          libgmock-dev libflatbuffers-dev libprotobuf-dev)
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package:arm64" 2>/dev/null || true)
  [[ "$status" == installed ]] || missing+=("$package:arm64")
done
install_packages() {
  if ! dpkg --print-foreign-architectures | grep -qx arm64; then
    "${as_root[@]}" dpkg --add-architecture arm64 || return 1
    "${as_root[@]}" apt-get update -q || true  # what is missing shows below
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}
if [[ ${#missing[@]} -gt 0 ]] && ! install_packages; then
  echo "cross: SKIPPED: the AArch64 libraries cannot be installed here; nothing was built for AArch64"
  exit 0
fi

# Debian's libpthreadpool-dev cannot be installed for two architectures at once: unpack it beside the build.
sysroot=$PWD/build-aarch64/sysroot
if [[ ! -e $sysroot/usr/include/pthreadpool.h ]]; then
  mkdir -p "$sysroot/packages"
  (cd "$sysroot/packages" && apt-get download -q libpthreadpool-dev:arm64 libpthreadpool0:arm64 libfxdiv-dev)
  for deb in "$sysroot"/packages/*.deb; do dpkg -x "$deb" "$sysroot"; done
fi
library=$(find "$sysroot" -name 'libpthreadpool.so' | head -n 1)

cmake -S . -B build-aarch64 -G Ninja -DCMAKE_BUILD_TYPE=Release -DLITESMITH_BUILD_TESTS=ON \
  -DLITESMITH_WERROR=ON -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake \
  -DPTHREADPOOL_LIBRARY="$library" -DCMAKE_EXE_LINKER_FLAGS="-Wl,-rpath,$(dirname "$library")"

# The rooms whose arithmetic depends on the processor; the others are plain C++ that the native stages test.
programs=()
for room in base kernels ops runtime; do
  [[ -d tests/$room ]] && programs+=("litesmith_test_$room")
done
cmake --build build-aarch64 --target "${programs[@]}"

# One thread: on some machines QEMU's user emulation cannot start a second. What threads change is tested natively.
export LITESMITH_TEST_THREADS=1
# A Raspberry Pi 4 has no dot products (nor AES, which QEMU's has); "max" has both.
for cpu in cortex-a72 max; do
  isa=neon
  [[ $cpu == max ]] && isa=neondot
  echo "cross: tests on $cpu, which must choose $isa"
  QEMU_CPU=$cpu LITESMITH_TEST_ISA=$isa taskset -c 0 ctest --test-dir build-aarch64 --output-on-failure \
    --timeout 600 -R "^($(IFS='|'; echo "${programs[*]#litesmith_test_}"))\$"
done
echo "cross: LITESMITH_ISA on max"
QEMU_CPU=max LITESMITH_ISA=neon LITESMITH_TEST_ISA=neon taskset -c 0 \
  qemu-aarch64 -L /usr/aarch64-linux-gnu build-aarch64/tests/litesmith_test_kernels --gtest_filter='Isa.*'

# 32-bit ARM. Nothing is installed: its libraries lie beside the build.
triple=arm-linux-gnueabihf
build=$PWD/build-armv7-kernels
sysroot=$build/sysroot
libraries=$sysroot/usr/lib/$triple
if ! command -v $triple-g++ qemu-arm >/dev/null; then
  echo "cross: SKIPPED for 32-bit ARM: g++-$triple and qemu-user are needed"
  exit 0
fi
source scripts/foreign-packages.sh
if [[ ! -e $build/unpacked ]]; then
  mkdir -p "$build"
  if ! { foreign_apt armhf "$build/packages" && foreign_unpack "$build/packages" "$sysroot" libabsl-dev \
         libabsl20220623 libfmt-dev libfmt9 libhwy-dev libhwy1 libpthreadpool-dev libpthreadpool0 libfxdiv-dev \
         libgtest-dev libgmock-dev; }; then
    echo "cross: SKIPPED for 32-bit ARM: its libraries cannot be fetched here"
    exit 0
  fi
  touch "$build/unpacked"
fi
cmake -S tests/kernels_alone -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLITESMITH_WERROR=ON \
  -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/armv7.cmake" -DCMAKE_FIND_ROOT_PATH="$sysroot" \
  -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
  -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY -DCMAKE_EXE_LINKER_FLAGS="-Wl,-rpath-link,$libraries"
cmake --build "$build"
echo "cross: the kernels' tests on cortex-a7, 32 bits"
LITESMITH_TEST_ISA=neon taskset -c 0 qemu-arm -cpu cortex-a7 -L /usr/$triple -E LD_LIBRARY_PATH="$libraries" \
  "$build/kernels_alone" --gtest_brief=1
