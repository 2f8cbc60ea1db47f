#!/usr/bin/env bash
# Opens the pages that the release build of scripts/test.sh writes in a headless Chromium and uses them. Without a
# browser that starts, the tests say that they are skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v chromium >/dev/null; then
  as_root=()
  [[ $(id -u) -eq 0 ]] || as_root=(sudo)
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium >/dev/null ||
    echo "pages: SKIPPED: Chromium cannot be installed here; no page was opened"
fi
LITESMITH_PROGRAM=$PWD/build/litesmith LITESMITH_SOURCE=$PWD \
  build/tests/litesmith_test_cli --gtest_filter='*Page*'
