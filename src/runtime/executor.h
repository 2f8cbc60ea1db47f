#ifndef LITESMITH_RUNTIME_EXECUTOR_H_
#define LITESMITH_RUNTIME_EXECUTOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"
#include "ops/op.h"

namespace litesmith {

struct ExecutorOptions {
  KernelMode kernels = KernelMode::kBest;
  Arithmetic arithmetic = Arithmetic::kLitert;
  int num_threads = 1;  // 0: one per core
  // Shapes of the inputs, in subgraph order; empty: what the file says, -1 as 1.
  std::vector<Shape> input_shapes;
  // Keep every tensor's value after Run (observers, comparison, training): no arena reuse, no in-place.
  bool keep_all = false;
  uint64_t memory_budget = uint64_t{8} << 30;
};

// Runs the main subgraph of a graph. Everything is prepared once in Create (shapes, packed weights, kernel
// choice, one arena planned by lifetime); Run allocates nothing, except for nodes whose output shape
// depends on values. One thread at a time per executor; Clone() gives another thread its own, with the
// packed weights shared. The graph is held, so it may be dropped by the caller.
class Executor {
 public:
  // REQUIRES: Verify(*graph) was OK. Errors name the node and the reason.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(std::shared_ptr<const Graph> graph,
                                                          const ExecutorOptions& options);
  virtual ~Executor() = default;

  virtual const Graph& graph() const = 0;
  virtual size_t num_inputs() const = 0;
  virtual size_t num_outputs() const = 0;

  // The memory of input i, to be filled before Run; null only for a tensor of zero bytes.
  virtual std::span<std::byte> input(size_t i) = 0;
  virtual const Shape& input_shape(size_t i) const = 0;
  // Results; valid until the next Run. Shapes of value-dependent outputs are known after Run only.
  virtual std::span<const std::byte> output(size_t i) const = 0;
  virtual const Shape& output_shape(size_t i) const = 0;

  // Runs all nodes. Checks `context` between nodes, and in loops, when given. Variable tensors and the variables
  // behind resources keep their value from Run to Run until ResetVariables, which also lets CALL_ONCE run again.
  virtual absl::Status Run(const Context* context = nullptr) = 0;
  virtual void ResetVariables() = 0;

  // Value of any tensor of the main subgraph after Run: with keep_all always, otherwise constants, inputs and
  // outputs. Empty span where it has none.
  virtual std::span<const std::byte> tensor(int32_t index) const = 0;
  virtual const Shape& tensor_shape(int32_t index) const = 0;

  // Called after each node of the main subgraph during Run, while its outputs are valid.
  using Observer = std::function<void(size_t node)>;
  virtual void SetObserver(Observer observer) = 0;

  // Kernel name of each node ("" where it was folded away), and the arena's bytes.
  virtual std::string kernel_name(size_t node) const = 0;
  virtual size_t arena_bytes() const = 0;

  // Seconds spent per node over all Runs since profiling was switched on.
  virtual void EnableProfile(bool on) = 0;
  virtual std::vector<double> profile_seconds() const = 0;

  virtual absl::StatusOr<std::unique_ptr<Executor>> Clone() const = 0;
};

// Shapes of every tensor of the main subgraph for the given input shapes (empty: the file's, -1 as 1), as far as
// they can be known without running; an empty optional entry is reported in `known`.
struct InferredShapes {
  std::vector<Shape> shapes;
  std::vector<bool> known;
};
absl::StatusOr<InferredShapes> InferAllShapes(const Graph& graph, const std::vector<Shape>& input_shapes);

// Runs one node on constant inputs and returns its outputs as tensors (for folding). Fails where an input is
// not constant or the operator has no kernel.
absl::StatusOr<std::vector<Tensor>> EvaluateConstantNode(const Graph& graph, const Node& node);

}  // namespace litesmith

#endif  // LITESMITH_RUNTIME_EXECUTOR_H_
