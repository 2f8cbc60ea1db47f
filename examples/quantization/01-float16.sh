#!/usr/bin/env bash
# float16: weights in half precision. No data needed, about half the size, next to no loss; the choice for GPUs.
. "$(dirname "$0")/common.sh"

small=$output/model_float16.tflite
litesmith quantize "$float" -o "$small" --recipe float16
litesmith evaluate "$float" "$small" --data "$data"
litesmith benchmark "$float" "$small" --data "$data" --json "$output/results_float16.json"
