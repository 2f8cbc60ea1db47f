#!/usr/bin/env bash
# Quantization-aware training: the float model is trained on with the rounding of int8 in it. Needs labelled training
# data; keeps the most accuracy of the int8 models. Beside it the same model quantized without training.
. "$(dirname "$0")/common.sh"

plain=$output/model_int8.tflite
small=$output/model_qat.tflite
litesmith quantize "$float" -o "$plain" --recipe int8 --calibration-data "$data" --input-type int8 --output-type int8
litesmith train "$float" -o "$small" --data "$data" --epochs 2 --qat int8 --input-type int8 --output-type int8
litesmith evaluate "$float" "$plain" "$small" --data "$data"
litesmith benchmark "$float" "$plain" "$small" --data "$data" --json "$output/results_qat.json"
