#ifndef LITESMITH_EVALUATE_H_
#define LITESMITH_EVALUATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/kernels.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

enum class Metric {
  kAccuracy,  // how often the highest output is the label
  kMse,       // mean squared error against the targets
  kMae,       // mean absolute error against the targets
};

struct EvaluateResult {
  double accuracy = 0.0;  // 0..1
  int64_t correct = 0;
  int64_t total = 0;   // samples
  double error = 0.0;  // for kMse, kMae
};

struct EvaluateRequest {
  DataSource data;
  Metric metric = Metric::kAccuracy;
  KernelMode kernels = KernelMode::kBest;
  Arithmetic arithmetic = Arithmetic::kLitert;
};

// Runs every sample of the data through the model. The result does not depend on the number of
// threads.
absl::StatusOr<EvaluateResult> Evaluate(const Model& model, const EvaluateRequest& request,
                                        const Context& context = {});

// The same for model files, as a report: {"models": [{"path", "accuracy", "correct", "total", …}]}.
absl::StatusOr<Report> EvaluateFiles(const std::vector<std::string>& models,
                                     const EvaluateRequest& request, const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_H_
