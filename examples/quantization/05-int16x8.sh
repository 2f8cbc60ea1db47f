#!/usr/bin/env bash
# 16x8: int8 weights, int16 activations. Needs samples as int8 does; nearly as accurate as float, for models whose
# activations int8 is too coarse for.
. "$(dirname "$0")/common.sh"

small=$output/model_int16x8.tflite
litesmith quantize "$float" -o "$small" --recipe int16x8 --calibration-data "$data"
litesmith evaluate "$float" "$small" --data "$data"
litesmith compare "$float" "$small" --data "$data"
litesmith benchmark "$float" "$small" --data "$data" --json "$output/results_int16x8.json"
