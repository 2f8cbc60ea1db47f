#ifndef LITESMITH_INSPECT_H_
#define LITESMITH_INSPECT_H_

#include <string>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

// What is in a model: header, operators, tensors and their quantization, bytes by part, signatures,
// metadata. Changes nothing and runs nothing.
absl::StatusOr<Report> Inspect(const Model& model, const Context& context = {});

// The same, and kernels, multiply-adds and histograms of the weights, as one self-contained HTML page
// (no network): the graph of the main subgraph to look at, search and walk through.
absl::StatusOr<std::string> InspectPage(const Model& model, const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_INSPECT_H_
