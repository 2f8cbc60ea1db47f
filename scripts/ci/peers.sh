#!/usr/bin/env bash
# Compares with the peers: runs every tests/peers/test_*.py. They need a Python with ai-edge-litert and numpy:
# $LITESMITH_PEERS_PYTHON, else one made outside the tree. Fails where a script finds a difference, makes no
# comparison at all, or is missing.
#
# Environment: LITESMITH_PROGRAM (default: build/litesmith), LITESMITH_SHARED (default: ../shared),
# LITESMITH_PEERS_COUNT (fewer than 16: a quick sample).
set -euo pipefail
cd "$(dirname "$0")/../.."

export LITESMITH_PROGRAM=${LITESMITH_PROGRAM:-$PWD/build/litesmith}
export LITESMITH_SHARED=${LITESMITH_SHARED:-$PWD/../shared}
[[ -x $LITESMITH_PROGRAM ]] || { echo "peers: no program at $LITESMITH_PROGRAM; build it, or set LITESMITH_PROGRAM" >&2; exit 1; }

python=${LITESMITH_PEERS_PYTHON:-}
if [[ -z $python ]]; then
  venv=${XDG_CACHE_HOME:-$HOME/.cache}/litesmith/peers
  python=$venv/bin/python
  if ! "$python" -c 'import ai_edge_litert, numpy, flatbuffers' 2>/dev/null; then
    echo "peers: making $venv"
    if ! { python3 -m venv "$venv" &&
      "$venv/bin/pip" install --quiet ai-edge-litert==2.3.0 numpy flatbuffers tflite-micro; }; then
      echo "peers: SKIPPED: ai-edge-litert cannot be installed here; nothing was compared with LiteRT"
      exit 0
    fi
  fi
fi

failed=()
total=0
scripts=0
for script in tests/peers/test_*.py; do
  start=$SECONDS
  echo "--- $script"
  log=$(mktemp)
  if ! "$python" "$script" 2>&1 | tee "$log"; then failed+=("$script"); fi
  # Every script says "NAME: N models compared, …".
  count=$(sed -n 's/^[^:]*: \([0-9][0-9]*\) [a-z ]*compared.*/\1/p' "$log" | head -1)
  rm -f "$log"
  [[ ${count:-0} -gt 0 ]] || { echo "peers: $script made no comparison" >&2; failed+=("$script"); }
  total=$((total + ${count:-0}))
  scripts=$((scripts + 1))
  echo "--- $script: ${count:-0} comparisons in $((SECONDS - start)) s"
done

echo "peers: $total comparisons in $scripts scripts"
if [[ $total -eq 0 || ${#failed[@]} -gt 0 ]]; then
  printf 'peers: FAILED %s\n' "${failed[@]:-(no comparison was made)}" >&2
  exit 1
fi
