#ifndef LITESMITH_RUNTIME_PROGRAM_H_
#define LITESMITH_RUNTIME_PROGRAM_H_

#include <memory>
#include <vector>

#include "runtime/executor.h"

namespace litesmith {

// The part of an executor that does not change after Create and that clones share: shapes, folded
// values, prepared kernels and the memory plan.

// What is known of a tensor before anything runs.
struct TensorState {
  Shape shape;
  bool shape_known = false;
  Blob value;  // constant or folded; has_value tells an empty constant from no value
  bool has_value = false;
};

struct Step {
  size_t node = 0;
  Kernel kernel;             // unset in the value-dependent tail
  bool by_executor = false;  // control flow or resources: there is no kernel
};

// Where a tensor lives during Run.
struct Placement {
  enum class Kind { kNone, kValue, kArena, kHeap };
  Kind kind = Kind::kNone;
  size_t offset = 0;  // kArena
  size_t bytes = 0;
};

struct Program {
  std::shared_ptr<const Graph> graph;
  size_t subgraph_index = 0;
  ExecutorOptions options;
  std::vector<TensorState> tensors;
  std::vector<Step> steps;   // nodes that really run
  size_t first_dynamic = 0;  // steps from here on are prepared at run time
  std::vector<Placement> placements;
  size_t arena_bytes = 0;
  size_t scratch_bytes = 0;  // at the arena's end

  const Subgraph& subgraph() const { return graph->subgraphs[subgraph_index]; }
};

// A view of tensor `index` (-1: absent) with the given shape and value.
TensorView MakeView(const Subgraph& subgraph, int32_t index, const Shape* shape, const void* data);

// Views of a node's tensors as far as `tensors` knows them.
std::vector<TensorView> InputViews(const Subgraph& subgraph, const Node& node,
                                   const std::vector<TensorState>& tensors);
std::vector<TensorView> OutputViews(const Subgraph& subgraph, const Node& node,
                                    const std::vector<TensorState>& tensors);
std::vector<TensorView> IntermediateViews(const Subgraph& subgraph, const Node& node);

// The record of a node, or an error that says litesmith cannot run it.
absl::StatusOr<const OpRecord*> RunnableOp(const Node& node);

// Shape inference with the checks that every caller wants: as many shapes as outputs, sizes that
// fit.
absl::Status InferNode(const OpRecord& op, const Node& node, std::span<const TensorView> inputs,
                       std::span<const TensorView> outputs, std::vector<Shape>* shapes);

// The node's kernel; where it has nothing to write, one that does nothing: shapes without elements
// can ask for any number of rounds.
absl::StatusOr<Kernel> PrepareKernel(const OpRecord& op, const PrepareArgs& args);

// Initial states: constants known (sparse ones expanded within the budget), inputs with the wanted
// shapes (which must fit what the file says of the main subgraph).
absl::StatusOr<std::vector<TensorState>> InitialStates(const Graph& graph,
                                                       const std::vector<Shape>& input_shapes,
                                                       uint64_t memory_budget, size_t subgraph = 0);

absl::StatusOr<std::shared_ptr<const Program>> BuildProgram(std::shared_ptr<const Graph> graph,
                                                            const ExecutorOptions& options,
                                                            size_t subgraph = 0);

}  // namespace litesmith

#endif  // LITESMITH_RUNTIME_PROGRAM_H_
