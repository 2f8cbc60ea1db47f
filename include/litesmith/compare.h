#ifndef LITESMITH_COMPARE_H_
#define LITESMITH_COMPARE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/kernels.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

struct CompareRequest {
  DataSource data;
  int64_t num_samples = 100;  // the first of arrays, else a draw balanced over the classes
  KernelMode kernels = KernelMode::kBest;
};

struct CompareResult {
  Report report;
  // The ratios (dB) alone, as JSON that Model Explorer loads as node data for the model.
  Report node_data;
};

// Runs the samples through a float model and one made from it, and compares every activation that
// both have, by name: signal-to-quantization-noise ratio (dB), cosine, largest error, saturation;
// the worst first. With one output of classes also how often both choose the same class, and with
// labels the accuracy and the confusions of both.
//
// report.data: {"reference", "model", "samples", "tensors": [{"name", "operator", "type",
// "sqnr_db", "cosine", "max_error", "saturation", "min", "max", "scale", "histogram",
// "reference_histogram"}], "agreement", "accuracy", "reference_accuracy", "confusion",
// "reference_confusion"}. A ratio of equal tensors (infinite) is null.
//
// Errors: models whose inputs or outputs are no pair, unreadable data.
absl::StatusOr<CompareResult> Compare(const Model& reference, const Model& model,
                                      const CompareRequest& request, const Context& context = {});

// The comparison as one self-contained HTML page: the model's graph (see InspectPage), coloured by
// the ratios, with the worst tensors, both distributions of each, and the confusions. `result` is
// Compare's for this model.
absl::StatusOr<std::string> ComparePage(const Model& model, const CompareResult& result,
                                        const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_COMPARE_H_
