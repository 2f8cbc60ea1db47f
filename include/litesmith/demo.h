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

namespace litesmith {

struct TrainRequest {
  // IDX folder with a training split. Path empty: 60,000 digits drawn by a generator (seed 0).
  DataSource data;
  int epochs = 5;
  int batch_size = 64;
  uint64_t seed = 0;
};

// One pass over the training data.
struct EpochSummary {
  int epoch = 0;  // from 1
  double loss = 0.0;
  double accuracy = 0.0;  // over the training samples, as seen during the epoch
  double seconds = 0.0;
};

// Trains a small convolutional network for 28x28 digits (Conv2D 8, MaxPool, Dense 16, Dense 10)
// with Adam. Deterministic for a seed on one instruction set, whatever the number of threads.
absl::StatusOr<Model> TrainDigits(const TrainRequest& request, const Context& context = {},
                                  const std::function<void(const EpochSummary&)>& on_epoch = {});

struct DemoRequest {
  TrainRequest train;
  std::string output = ".";  // mnist_tflite_models/ is made in it
  std::vector<std::string> recipes = {"float16", "dynamic_wi8_afp32", "static_wi8_ai8",
                                      "static_wi8_ai16"};
};

// The whole way of a model: train, convert, quantize by each recipe, evaluate and time every file.
// Writes OUTPUT/mnist_tflite_models/mnist_model_*.tflite and benchmark_results.json beside them,
// and returns the report.
absl::StatusOr<Report> RunDemo(const DemoRequest& request, const Context& context = {},
                               const std::function<void(const EpochSummary&)>& on_epoch = {});

}  // namespace litesmith

#endif  // LITESMITH_DEMO_H_
