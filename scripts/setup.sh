#!/usr/bin/env bash
# Installs what Litesmith is built with, on Debian 12 or Raspberry Pi OS bookworm. Does nothing where all of it
# is there. With --ci also what the longer checks need (Clang, QEMU, the AArch64 compiler).
set -euo pipefail

packages=(
  ca-certificates cmake ninja-build g++ pkg-config git python3
  flatbuffers-compiler libflatbuffers-dev libabsl-dev libfmt-dev libhwy-dev libpthreadpool-dev
  libprotobuf-dev protobuf-compiler zlib1g-dev libzip-dev libjpeg-dev libpng-dev nlohmann-json3-dev libcli11-dev libcurl4
  libgtest-dev libgmock-dev libbenchmark-dev
)
optional=()
if [[ "${1:-}" == --ci ]]; then
  packages+=(clang-14 libclang-rt-14-dev clang-format-14 qemu-user g++-aarch64-linux-gnu g++-arm-linux-gnueabihf python3-venv)
  # Tests compile for a microcontroller where this can be installed, and say so where not.
  optional=(gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib)
elif [[ $# -gt 0 ]]; then
  echo "usage: scripts/setup.sh [--ci]" >&2
  exit 2
fi

# Those of its arguments that are not installed, a line each.
not_installed() {
  local package status
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ "$status" == installed* ]] || echo "$package"
  done
}
mapfile -t missing < <(not_installed "${packages[@]}")
mapfile -t wanted < <(not_installed "${optional[@]}")
if [[ ${#missing[@]} -eq 0 && ${#wanted[@]} -eq 0 ]]; then
  echo "setup: all packages are installed"
  exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || { echo "setup: run as root, or install sudo" >&2; exit 1; }
  as_root=(sudo)
fi
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}
echo "setup: installing ${missing[*]} ${wanted[*]}"
"${as_root[@]}" apt-get update -q || echo "setup: not every package list could be fetched; going on with those there are" >&2
if [[ ${#missing[@]} -gt 0 ]]; then install "${missing[@]}"; fi
if [[ ${#wanted[@]} -gt 0 ]]; then
  install "${wanted[@]}" || echo "setup: ${wanted[*]} cannot be installed; the tests that need them are skipped" >&2
fi
