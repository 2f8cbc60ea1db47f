# What the five examples share: flags, data, and a trained float model. Sourced, not run.
set -euo pipefail

usage() {
  cat <<TEXT
Usage: $(basename "$0") [--data DIR] [--model FLOAT.tflite] [--output DIR] [--epochs N] [--count N]

  --data DIR     MNIST as IDX files (default: digits that litesmith draws)
  --model FILE   a float model of your own instead of a network trained here; then --data is needed
  --output DIR   where the files go (default: quantization_example)
  --epochs N     passes over the data (default 5)
  --count N      digits to draw (default 60000)

litesmith is \$LITESMITH, else build/litesmith of this repository, else the one in the PATH.
TEXT
}

data="" model="" output=quantization_example epochs=5 count=60000
while [ $# -gt 0 ]; do
  case $1 in
    --data | --model | --output | --epochs | --count)
      [ $# -gt 1 ] || { usage >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
if [ -n "$model" ] && [ -z "$data" ]; then
  echo "$(basename "$0"): --model needs the --data that it is evaluated on" >&2
  exit 2
fi

built="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/litesmith"
program=${LITESMITH:-$([ -x "$built" ] && echo "$built" || echo litesmith)}

# Shows a command and runs it.
litesmith() {
  echo "\$ litesmith $*"
  "$program" "$@"
  echo
}

mkdir -p "$output"
if [ -z "$data" ]; then
  data=$output/digits
  [ -d "$data" ] || litesmith data synthetic --output "$data" --count "$count"
fi
float=$model
if [ -z "$float" ]; then
  float=$output/mnist_tflite_models/mnist_model_float32.tflite
  [ -f "$float" ] || litesmith demo --data "$data" --output "$output" --epochs "$epochs" --recipes float16
fi
