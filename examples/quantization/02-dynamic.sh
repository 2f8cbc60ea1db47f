#!/usr/bin/env bash
# Dynamic range: int8 weights; activations are quantized while the model runs. No data needed, about a quarter of the
# size; inputs and outputs stay float32.
. "$(dirname "$0")/common.sh"

small=$output/model_dynamic.tflite
litesmith quantize "$float" -o "$small" --recipe dynamic
litesmith evaluate "$float" "$small" --data "$data"
litesmith benchmark "$float" "$small" --data "$data" --json "$output/results_dynamic.json"
