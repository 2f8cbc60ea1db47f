#!/usr/bin/env bash
# int8: weights and activations, for CPUs, Edge TPUs, DSPs and microcontrollers. Needs samples (without labels) that
# tell the ranges of the activations. --dry-run shows first what would become of every tensor.
. "$(dirname "$0")/common.sh"

small=$output/model_int8.tflite
litesmith quantize "$float" --recipe int8 --calibration-data "$data" --input-type int8 --output-type int8 --dry-run
litesmith quantize "$float" -o "$small" --recipe int8 --calibration-data "$data" --num-calibration-samples 300 \
  --input-type int8 --output-type int8
litesmith evaluate "$float" "$small" --data "$data"
litesmith compare "$float" "$small" --data "$data"
litesmith benchmark "$float" "$small" --data "$data" --json "$output/results_int8.json"
