#!/usr/bin/env bash
# One static binary for a board, built on Debian 12 (x86-64):
#
#   scripts/build-cross.sh aarch64|armv7 [BUILD_FOLDER]
#
# aarch64 runs on every 64-bit ARM core (Raspberry Pi 3 and later with a 64-bit system), armv7 on cores with NEON and
# VFPv4 (Cortex-A7, Raspberry Pi 2 and later). NEON is compiled in, nothing beyond the oldest of these cores is used
# without a look at the processor. Download support is left out.
#
# Needs g++-aarch64-linux-gnu or g++-arm-linux-gnueabihf, cmake, ninja-build, flatbuffers-compiler, protobuf-compiler,
# pkg-config and dpkg-dev. The board's libraries are unpacked into BUILD_FOLDER/sysroot, nothing is installed; those
# that Debian has no static form of are compiled from Debian's sources. Where qemu-user is installed, the program is
# started once. CMAKE_BUILD_PARALLEL_LEVEL and CMAKE_CXX_COMPILER_LAUNCHER work as usual.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:-}
case "$target" in
  aarch64) debian=arm64 triple=aarch64-linux-gnu flags=() emulator=qemu-aarch64 cpu=cortex-a72 ;;
  armv7)
    debian=armhf triple=arm-linux-gnueabihf
    flags=(-D_FILE_OFFSET_BITS=64 -march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard -mfp16-format=ieee)
    emulator=qemu-arm cpu=cortex-a7
    ;;
  *) echo "usage: scripts/build-cross.sh aarch64|armv7 [BUILD_FOLDER]" >&2; exit 2 ;;
esac
build=$(realpath -m "${2:-build-$target-static}")
sysroot=$build/sysroot
packages=$build/packages
library=$sysroot/usr/lib/$triple
cxx=$triple-g++ cc=$triple-gcc ar=$triple-ar
command -v "$cxx" >/dev/null || {
  echo "$cxx is missing: apt install g++-$triple" >&2
  exit 1
}

source scripts/foreign-packages.sh
foreign_apt "$debian" "$packages"

unpack_packages() {
  foreign_unpack "$packages" "$sysroot" libabsl-dev libfmt-dev libhwy-dev zlib1g-dev libzip-dev libjpeg62-turbo-dev \
    libpng-dev libprotobuf-dev libflatbuffers-dev libpthreadpool-dev libfxdiv-dev nlohmann-json3-dev libcli11-dev
  # The compiler looks for the headers of its architecture in the machine's folders only.
  cp -rn "$sysroot/usr/include/$triple/." "$sysroot/usr/include/"
  # Debian's package files name the shared libraries.
  find "$sysroot" -name '*.so*' \( -type l -o -type f \) -delete
  rm -f "$library"/cmake/flatbuffers/FlatBuffersSharedTargets*.cmake
  sed -i -E 's/\.so(\.[0-9]+)*"/.a"/g' "$library"/cmake/absl/*.cmake "$library"/cmake/fmt/*.cmake
}

# The source of a Debian package, unpacked.
source_of() {
  local name=$1
  cd "$packages"
  if ! compgen -G "${name}_*.orig.tar.*" >/dev/null; then
    apt-get "${apt[@]}" source --download-only --tar-only "$name" || {
      echo "$mirror has no source of $name: set DEBIAN_MIRROR, or put its ${name}_*.orig.tar.* into $packages" >&2
      exit 1
    }
  fi
  rm -rf "source-$name"
  mkdir "source-$name"
  tar -xf "$(compgen -G "${name}_*.orig.tar.*" | head -n 1)" -C "source-$name" --strip-components=1
}

# archive NAME COMPILER SOURCE... : lib/NAME.a
archive() {
  local name=$1 compiler=$2 object
  shift 2
  local objects=()
  for source in "$@"; do
    object=$packages/$name-$(basename "$source").o
    "$compiler" "${flags[@]}" -O2 -DNDEBUG "${includes[@]}" -c "$source" -o "$object"
    objects+=("$object")
  done
  rm -f "$library/$name.a"
  "$ar" rcs "$library/$name.a" "${objects[@]}"
}

build_libraries() {
  local includes
  source_of highway
  includes=(-I "$packages/source-highway" -fPIC)
  archive libhwy "$cxx" "$packages/source-highway/hwy/targets.cc"

  source_of fmtlib
  includes=(-I "$packages/source-fmtlib/include")
  archive libfmt "$cxx" "$packages/source-fmtlib/src/format.cc"

  source_of pthreadpool
  includes=(-I "$packages/source-pthreadpool/include" -I "$packages/source-pthreadpool/src" -I "$sysroot/usr/include"
            -std=gnu11 -DPTHREADPOOL_USE_CPUINFO=0 -DPTHREADPOOL_USE_FUTEX=1 -DPTHREADPOOL_USE_GCD=0
            -DPTHREADPOOL_USE_EVENT=0 -DPTHREADPOOL_USE_CONDVAR=0)
  local src=$packages/source-pthreadpool/src
  archive libpthreadpool "$cc" "$src/pthreads.c" "$src/portable-api.c" "$src/memory.c"

  source_of libzip
  cmake -S "$packages/source-libzip" -B "$packages/build-libzip" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$target" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="${flags[*]}" -DBUILD_SHARED_LIBS=OFF -DBUILD_TOOLS=OFF -DBUILD_REGRESS=OFF -DBUILD_EXAMPLES=OFF \
    -DBUILD_DOC=OFF -DENABLE_BZIP2=OFF -DENABLE_LZMA=OFF -DENABLE_COMMONCRYPTO=OFF -DENABLE_GNUTLS=OFF \
    -DENABLE_MBEDTLS=OFF -DENABLE_OPENSSL=OFF -DZLIB_LIBRARY="$library/libz.a" \
    -DZLIB_INCLUDE_DIR="$sysroot/usr/include"
  cmake --build "$packages/build-libzip" --target zip
  cp "$packages/build-libzip/lib/libzip.a" "$library/"
}

if [[ ! -e $library/libzip.a ]]; then
  unpack_packages
  (build_libraries)
fi

export PKG_CONFIG_LIBDIR=$library/pkgconfig:$sysroot/usr/share/pkgconfig PKG_CONFIG_SYSROOT_DIR=$sysroot
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/$target.cmake" \
  -DLITESMITH_STATIC=ON -DCMAKE_FIND_ROOT_PATH="$sysroot" -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
  -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY \
  -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER
cmake --build "$build" --target litesmith_cli
program=$build/litesmith-$target
"$triple-strip" -o "$program" "$build/litesmith"
if "$triple-readelf" -l "$program" | grep -q INTERP; then
  echo "$program is not static" >&2
  exit 1
fi
for name in "$emulator-static" "$emulator"; do
  command -v "$name" >/dev/null || continue
  "$name" -cpu "$cpu" "$program" --version
  break
done
echo "$program ($(($(stat -c %s "$program") / 1024)) KB)"
