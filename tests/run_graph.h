#ifndef LITESMITH_TESTS_RUN_GRAPH_H_
#define LITESMITH_TESTS_RUN_GRAPH_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "import/import.h"
#include "ir/graph.h"
#include "litesmith/array.h"
#include "runtime/executor.h"

namespace litesmith::testing {

// The outputs of the main subgraph for these inputs (batch as the inputs have it).
absl::StatusOr<std::vector<Array>> RunGraph(const Graph& graph, const std::vector<Array>& inputs,
                                            KernelMode mode = KernelMode::kReference);

// PREFIX0.npy, PREFIX1.npy … as many as there are.
absl::StatusOr<std::vector<Array>> ReadArrays(const std::string& prefix);

// The largest |a - b| / (absolute + relative * |b|) over all outputs: up to 1 is agreement. An
// error where types or shapes differ or a value is no number.
absl::StatusOr<double> Disagreement(const std::vector<Array>& a, const std::vector<Array>& b,
                                    double relative, double absolute);

// float32 in [-1, 1), or integers in [0, 4).
Array RandomArray(TensorType type, const Shape& shape, uint64_t seed);

// A graph with these constants and nodes run on `count` random inputs gives what `other` gives.
absl::StatusOr<double> DisagreementOnNoise(const Graph& graph, const Graph& other, int count,
                                           double relative, double absolute);

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_RUN_GRAPH_H_
