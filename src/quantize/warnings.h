#ifndef LITESMITH_QUANTIZE_WARNINGS_H_
#define LITESMITH_QUANTIZE_WARNINGS_H_

// What ruins an integer model although every step was done right. One line each, with the remedy.

#include <string>
#include <vector>

#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// Of a plan for integer activations: ranges that one scale cannot serve, samples that stand apart,
// tensors and channels without content. `plan` was made for this graph and these ranges.
std::vector<std::string> PlanWarnings(const Graph& graph, const Ranges& ranges, const Plan& plan);

// The same as far as a file alone shows it, float or quantized.
std::vector<std::string> FileWarnings(const Graph& graph);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_WARNINGS_H_
