#ifndef LITESMITH_EVALUATE_PROFILE_H_
#define LITESMITH_EVALUATE_PROFILE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "litesmith/benchmark.h"
#include "runtime/executor.h"

namespace litesmith {

// Multiply-adds of a node of the main subgraph with the executor's shapes; none for operators that
// are not sums of products.
std::optional<int64_t> MultiplyAdds(const Graph& graph, const Executor& executor, size_t node);

// Measures this core's peak and fills `nodes` and the peaks from seconds per node and inference.
void FillNodeProfiles(const Graph& graph, const Executor& executor,
                      const std::vector<double>& seconds, int threads, ModelProfile* profile);

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_PROFILE_H_
