#ifndef LITESMITH_DEMO_H_
#define LITESMITH_DEMO_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/model.h"
#include "litesmith/report.h"
#include "litesmith/train.h"

namespace litesmith {

struct DigitsRequest {
  // IDX folder with a training split. Path empty: 60,000 digits drawn by a generator (seed 0).
  DataSource data;
  int epochs = 5;
  int batch_size = 64;
  uint64_t seed = 0;
};

// Trains a small convolutional network for 28x28 digits (Conv2D 8, MaxPool, Dense 16, Dense 10)
// with Adam. Deterministic for a seed on one instruction set, whatever the number of threads.
absl::StatusOr<Model> TrainDigits(const DigitsRequest& request, const Context& context = {},
                                  const std::function<void(const EpochSummary&)>& on_epoch = {});

struct DemoRequest {
  DigitsRequest train;
  std::string output = ".";  // mnist_tflite_models/ is made in it
  // "qat": the int8 model once more, trained for it.
  std::vector<std::string> recipes = {"float16", "dynamic_wi8_afp32", "static_wi8_ai8",
                                      "static_wi8_ai16", "qat"};
  // Pruned and clustered models too: mnist_model_pruned (80 % zeros), _pruned_2x4, _channels (half
  // of them cut), _clustered (16 values) and _clustered_int8.
  bool all = false;
};

// The whole way of a model: train, convert, quantize by each recipe, evaluate and time every file.
// Writes OUTPUT/mnist_tflite_models/mnist_model_*.tflite, and benchmark_results.json and
// report.html (plots and a table for a browser) beside that folder, and returns the report.
absl::StatusOr<Report> RunDemo(const DemoRequest& request, const Context& context = {},
                               const std::function<void(const EpochSummary&)>& on_epoch = {});

}  // namespace litesmith

#endif  // LITESMITH_DEMO_H_
