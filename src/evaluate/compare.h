#ifndef LITESMITH_EVALUATE_COMPARE_H_
#define LITESMITH_EVALUATE_COMPARE_H_

// Two models of the same network, tensor by tensor: where did the accuracy go?

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/context.h"
#include "litesmith/kernels.h"

namespace litesmith {

struct CompareOptions {
  int64_t num_samples = 100;  // as calibration draws them: the first of arrays, else balanced
  KernelMode kernels = KernelMode::kBest;
};

// One activation that both models have, by its source name.
struct TensorComparison {
  std::string name;         // the source's name, which both models have
  std::string tensor_name;  // the other model's own
  std::string op;           // what makes it in the other model
  std::string type;         // how the other model stores it
  int32_t tensor = -1;      // its index in the other model
  double sqnr_db = 0.0;     // 10 log10 of signal power / error power; infinite where all is equal
  double cosine = 1.0;      // between the two tensors, all samples in one row
  double max_error = 0.0;
  double saturation = 0.0;      // share of the reference's values beyond the other's grid
  double min = 0.0, max = 0.0;  // of the reference
  double scale = 0.0;           // one step of the other's grid; 0 where it is float
  // Values of the reference and of the other in kBins equal parts of [min, max] of the reference
  // (outliers counted at the ends).
  std::vector<int64_t> histogram, other_histogram;
};

struct Comparison {
  static constexpr int kBins = 40;

  std::vector<TensorComparison> tensors;  // in the other model's order of execution
  int64_t samples = 0;
  // For one output of several classes:
  int64_t agree = 0;  // samples in which both choose the same class
  int64_t classes = 0;
  bool labelled = false;
  int64_t correct = 0, other_correct = 0;
  // classes x classes counts, rows the label (or, without labels, the reference's choice).
  std::vector<int64_t> confusion, other_confusion;
};

// Runs the samples through both. Inputs and outputs are paired by their names where both models
// have the same ones, else by position. Errors: another number or shape of inputs or outputs, no
// common tensor. REQUIRES: `data` was opened for the reference's inputs.
absl::StatusOr<Comparison> Compare(std::shared_ptr<const Graph> reference,
                                   std::shared_ptr<const Graph> other, Dataset* data,
                                   const CompareOptions& options, const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_COMPARE_H_
