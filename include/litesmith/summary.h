#ifndef LITESMITH_SUMMARY_H_
#define LITESMITH_SUMMARY_H_

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

struct SummaryRequest {
  DataSource data;
  double lowest_accuracy = 0.97;  // each .tflite must be above it
  double lowest_ratio = 10.0;     // the Keras file's size over the int8 file's must be above it
};

struct Summary {
  Report report;
  bool passed = false;  // every check held
};

// A trained model and the two files made from it, side by side: sizes and ratios, accuracies, the
// quantization of the int8 file's inputs and outputs, and checks of them.
//
// report.data: {"model_sizes_kb": {"keras", "tflite_float32", "tflite_int8"}, "compression_ratio":
// {"float32", "int8", "float32_to_int8"}, "accuracy": {"tflite_float32", "tflite_int8"},
// "accuracy_drop", "quantization": {"input": {"name", "type", "shape", "scale", "zero_point"},
// "output"}, "tfl3_header": {"tflite_float32", "tflite_int8"}, "checks": [{"check", "value",
// "passed"}], "passed"}.
absl::StatusOr<Summary> Summarise(const Model& keras, const Model& float32, const Model& int8,
                                  const SummaryRequest& request, const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_SUMMARY_H_
