#ifndef LITESMITH_DEPLOY_TFLM_ARENA_H_
#define LITESMITH_DEPLOY_TFLM_ARENA_H_

// How much memory tflite-micro's interpreter asks of its arena for a model, by its own rules.

#include <cstddef>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

struct TflmArena {
  size_t bytes_32 = 0;  // with pointers of 32 bits
  size_t bytes_64 = 0;  // and of 64 bits
};

// The arena for MicroInterpreter with its reference kernels and greedy planner, multiples of 16,
// for an arena aligned to 16. Tensors and scratch buffers are planned by lifetime; beside them lie
// what the interpreter and the kernels keep for good. An upper bound within a few percent: sizes
// are those of the larger build variants, on 64 bits those of the allocator that records. Kernels
// of vendors ask for more scratch. docs/deploy.md has the rules and where they come from.
//
// Errors: a tensor whose bytes tflite-micro cannot count, an offline memory plan.
// REQUIRES: Verify(graph) was OK, FindTflmKernel knows every node, all shapes are those at run
// time.
absl::StatusOr<TflmArena> PlanTflmArena(const Graph& graph);

// The variables that VAR_HANDLE nodes name; tflite-micro must be told how many there are.
size_t CountVariables(const Graph& graph);

}  // namespace litesmith

#endif  // LITESMITH_DEPLOY_TFLM_ARENA_H_
