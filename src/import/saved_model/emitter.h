#ifndef LITESMITH_IMPORT_SAVED_MODEL_EMITTER_H_
#define LITESMITH_IMPORT_SAVED_MODEL_EMITTER_H_

// Adds TFLite nodes to a graph, knowing the shape of every tensor and the value of those that
// depend on constants and shapes alone.
//
// Sizes that are open (a batch of -1) are handled by computing everything twice, once for each of
// two made-up sizes: what comes out equal does not depend on the open size and is a constant, what
// differs does. So shape arithmetic needs no rules of its own: the operators' records infer, and
// their reference kernels compute.

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "import/keras/builder.h"
#include "ir/graph.h"
#include "litesmith/context.h"
#include "ops/op.h"

namespace litesmith::saved_model {

// In a list of known integers: this one depends on an open size.
inline constexpr int64_t kOpen = INT64_MIN;

class Emitter {
 public:
  explicit Emitter(const Context& context);

  // Names what follows after a node of the source model: "dense/MatMul" gives nodes of the layer
  // "dense".
  void SetSource(std::string_view name);

  int32_t Input(std::string_view name, TensorType type, const Shape& shape);
  absl::StatusOr<int32_t> Constant(TensorType type, Shape shape, Blob data,
                                   std::string_view name = "");
  absl::StatusOr<int32_t> Ints(const std::vector<int32_t>& values);
  absl::StatusOr<int32_t> Scalar(int32_t value);
  absl::StatusOr<int32_t> Scalar(float value);

  // A node of `op`, or, where its value does not depend on the inputs, constants instead. One
  // output per type. Trivial sums and products with zeros give an operand.
  absl::StatusOr<std::vector<int32_t>> Emit(schema::BuiltinOperator op, Options options,
                                            const std::vector<int32_t>& inputs,
                                            const std::vector<TensorType>& types);
  // With one output, of the type of input 0.
  absl::StatusOr<int32_t> Emit(schema::BuiltinOperator op, Options options,
                               const std::vector<int32_t>& inputs);
  absl::StatusOr<int32_t> Emit(schema::BuiltinOperator op, const std::vector<int32_t>& inputs) {
    return Emit(op, Options(), inputs);
  }

  TensorType type(int32_t t) const { return builder_.type(t); }
  // -1: open.
  Shape shape(int32_t t) const { return builder_.shape(t); }
  size_t rank(int32_t t) const { return Of(t).probes[0].shape.size(); }
  bool IsConstant(int32_t t) const;
  // True for a tensor of zeros, also where its shape is open.
  bool IsZero(int32_t t) const;
  // The elements of an integer tensor (or kOpen each) as far as they are known; nothing where the
  // value depends on the model's inputs.
  std::optional<std::vector<int64_t>> KnownInts(int32_t t) const;
  // The value of a constant scalar of floats.
  std::optional<float> KnownFloat(int32_t t) const;

  // The node that makes `t`; null for inputs and constants.
  const Node* Producer(int32_t t) const;

  // Functions that TFLite has no operator for are noted, so that idioms with them are recognised.
  struct Erf {
    int32_t x = -1;
    bool complement = false;  // 1 - erf(x)
  };
  void NoteErf(int32_t t, Erf erf) { erfs_[t] = erf; }
  const Erf* FindErf(int32_t t) const {
    const auto found = erfs_.find(t);
    return found == erfs_.end() ? nullptr : &found->second;
  }

  // ---- What many operators need

  absl::StatusOr<int32_t> Binary(schema::BuiltinOperator op, int32_t a, int32_t b);
  // As int32, which is what TFLite's shapes and indices are.
  absl::StatusOr<int32_t> AsInt32(int32_t t);
  absl::StatusOr<int32_t> CastTo(int32_t t, TensorType type);
  absl::StatusOr<int32_t> Transpose(int32_t t, const std::vector<int32_t>& permutation);
  // To the shape in `shape` (int32 or int64), constant as far as it can be.
  absl::StatusOr<int32_t> Reshape(int32_t t, int32_t shape);
  // Each size is a number, or a product of dimensions of tensors.
  struct Size {
    int32_t known = 1;
    std::vector<std::pair<int32_t, int>> dims;  // tensor, dimension
  };
  absl::StatusOr<int32_t> Reshape(int32_t t, const std::vector<Size>& sizes);
  // SHAPE: INT32 or INT64.
  absl::StatusOr<int32_t> ShapeOf(int32_t t, TensorType to);
  // The shape as a tensor.
  absl::StatusOr<int32_t> ShapeTensor(const std::vector<Size>& sizes);

  keras::GraphBuilder& builder() { return builder_; }
  const Context& context() const { return context_; }

 private:
  // What a tensor is for one of the made-up sizes.
  struct Probe {
    Shape shape;
    bool has_value = false;
    Blob value;
  };
  struct Info {
    std::array<Probe, 2> probes;
  };

  const Info& Of(int32_t t) const { return infos_[static_cast<size_t>(t)]; }
  void Note(int32_t t, Info info);
  // All outputs for one made-up size.
  absl::Status Compute(const OpRecord& op, const Node& node, const std::vector<TensorType>& types,
                       size_t probe, std::vector<Probe>* outputs) const;
  std::optional<int32_t> WithoutZeros(schema::BuiltinOperator op, const Node& node) const;

  const Context& context_;
  keras::GraphBuilder builder_;
  std::vector<Info> infos_;  // by tensor
  std::map<int32_t, size_t> producers_;
  std::map<int32_t, Erf> erfs_;
  size_t open_bytes_ = 0;  // of values that depend on open sizes
  std::string layer_, what_;
};

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_EMITTER_H_
