#ifndef LITESMITH_TRAIN_TAPE_H_
#define LITESMITH_TRAIN_TAPE_H_

// Forward and backward over the main subgraph of a Graph for a fixed batch: the forward kernels are
// inference's own, the gradients are the operator records'. A Tape is the immutable plan (shapes,
// kernels, memory layout), shared by threads; a TapeMemory is one thread's values and gradients and
// allocates nothing once it has run.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "ops/op.h"
#include "runtime/program.h"

namespace litesmith {

// A trained tensor and its place in the flat array of all of them.
struct Parameter {
  int32_t tensor = 0;  // of the main subgraph
  size_t offset = 0;   // in floats, a multiple of 16
  size_t count = 0;
};

struct Parameters {
  std::vector<Parameter> items;
  size_t floats = 0;
};

// The float constants of the main subgraph that some node's record calls weight or bias and that
// `keep` (when set) accepts. With `operands` also constants of several values that something
// trained is multiplied by or added to, PRELU's slopes, and tables that rows are gathered from.
Parameters FindParameters(const Graph& graph,
                          const std::function<bool(const Tensor&)>& keep = nullptr,
                          bool operands = false);

// Their values, in order, and back again into the graph.
std::vector<float> ReadParameters(const Graph& graph, const Parameters& parameters);
void WriteParameters(const Parameters& parameters, std::span<const float> values, Graph* graph);

class Tape {
 public:
  // Plans the way from the inputs, of these shapes, to tensor `target`, and the gradients of the
  // parameters on it. REQUIRES: Verify(graph) was OK. Errors name every node on the way that has no
  // gradient.
  static absl::StatusOr<std::shared_ptr<const Tape>> Create(const Graph& graph,
                                                            const Parameters& parameters,
                                                            int32_t target,
                                                            const std::vector<Shape>& input_shapes,
                                                            uint64_t memory_budget);

  const Shape& shape(int32_t tensor) const {
    return program_->tensors[static_cast<size_t>(tensor)].shape;
  }
  int32_t target() const { return target_; }
  size_t memory_bytes() const { return bytes_ + program_->scratch_bytes; }
  const Subgraph& subgraph() const { return program_->subgraph(); }

 private:
  friend class TapeMemory;
  friend class TapePlanner;

  struct BackwardStep {
    size_t node = 0;
    Gradient gradient = nullptr;
    std::vector<bool> wants;    // per input: a gradient is formed
    std::vector<char> first;    // per input: written, not added to
    std::vector<int32_t> zero;  // tensors whose gradient starts as zeros just before this step
  };

  std::shared_ptr<const Program> program_;
  Parameters parameters_;
  size_t model_inputs_ = 0;  // what follows them are the parameters
  int32_t target_ = -1;
  std::vector<size_t> forward_;  // indices of program_->steps
  std::vector<BackwardStep> backward_;
  std::vector<int32_t> variables_;     // zeros at the start of every Forward
  std::vector<int64_t> parameter_of_;  // per tensor: offset among the parameters, or -1
  std::vector<int64_t> value_at_;      // per tensor: byte offset, or -1
  std::vector<int64_t> gradient_at_;   // per tensor: byte offset, or -1
  size_t bytes_ = 0;                   // of all values and gradients
};

// Values that a forward pass takes from elsewhere instead of computing them: the results of the
// integer model that is trained for. One object serves one thread and one number of samples.
class GivenValues {
 public:
  virtual ~GivenValues() = default;
  virtual absl::StatusOr<std::unique_ptr<GivenValues>> Clone() const = 0;
  // Whether Give writes this tensor of the trained graph.
  virtual bool Has(int32_t tensor) const = 0;
  // Computes them all for these inputs of the model.
  virtual absl::Status Run(std::span<const std::span<const float>> inputs) = 0;
  // Writes the tensor's values, and (unless null) their scale. REQUIRES: Has(tensor).
  virtual void Give(int32_t tensor, std::span<float> values, float* scale) const = 0;
};

// Makes them from what the parameters are at the moment.
class ForwardModel {
 public:
  virtual ~ForwardModel() = default;
  // Takes the parameters' values over. What Open made before is void.
  virtual absl::Status Update(const Parameters& parameters, std::span<const float> values) = 0;
  // For passes over inputs of these shapes.
  virtual absl::StatusOr<std::unique_ptr<GivenValues>> Open(
      const std::vector<Shape>& input_shapes) const = 0;
};

// Lets the main subgraph run on inputs of these shapes: files made for one sample spell the batch
// out in reshapes, and states of recurrent operators have a row per sample.
void FreeBatch(const std::vector<Shape>& input_shapes, Graph* graph);

class TapeMemory {
 public:
  // `parameters` is the flat array, read at every Forward and Backward; it must outlive this
  // object.
  TapeMemory(std::shared_ptr<const Tape> tape, const float* parameters);
  ~TapeMemory();

  const Tape& tape() const { return *tape_; }
  std::span<float> input(size_t i);
  std::span<const float> target() const;
  // After Forward, of the target, an input of the model or a node's second or later result: other
  // values may have given their place to a gradient or to another value.
  std::span<const float> value(int32_t tensor) const;
  // To be filled between Forward and Backward.
  std::span<float> target_gradient();

  // `given` may be null: then all is computed. Unless `all`, only what the target needs: no
  // Backward may follow.
  absl::Status Forward(ThreadPool* threads, GivenValues* given = nullptr, bool all = true);
  // Writes the gradient of every parameter on the way to the target, each at its offset in
  // `gradients`.
  absl::Status Backward(float* gradients, ThreadPool* threads);

 private:
  struct Bound;
  void* Value(int32_t tensor) const;
  float* GradientOf(int32_t tensor, float* gradients) const;
  // Marks the steps from which the target comes, where these are given.
  void FindWanted(const GivenValues& given);
  // Whether the step's results were given.
  bool Take(const Step& step, const GivenValues& given);

  std::shared_ptr<const Tape> tape_;
  const float* parameters_;
  std::unique_ptr<Bound> bound_;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_TAPE_H_
