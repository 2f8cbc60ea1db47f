#ifndef LITESMITH_IMPORT_SAVED_MODEL_LOWER_H_
#define LITESMITH_IMPORT_SAVED_MODEL_LOWER_H_

// TensorFlow operators as TFLite nodes: one function each, listed by name.

#include <string_view>
#include <vector>

#include "import/saved_model/emitter.h"
#include "saved_model.pb.h"

namespace litesmith::saved_model {

using Tensors = std::vector<int32_t>;

// One node at the moment of its lowering.
class NodeContext {
 public:
  NodeContext(const proto::Node& node, Tensors inputs, Emitter* emitter)
      : inputs_(std::move(inputs)), node_(node), emitter_(*emitter) {}

  Emitter& e() { return emitter_; }
  std::string_view op() const { return node_.op(); }
  size_t count() const { return inputs_.size(); }
  const Tensors& inputs() const { return inputs_; }
  // REQUIRES: i < count(); the table says how many inputs an operator has at least.
  int32_t in(size_t i = 0) const { return inputs_[i]; }

  // Attributes, or what they are by default.
  int64_t Int(const char* name, int64_t otherwise) const;
  float Float(const char* name, float otherwise) const;
  bool Bool(const char* name, bool otherwise) const;
  std::string String(const char* name, std::string_view otherwise) const;
  std::vector<int64_t> List(const char* name) const;
  std::vector<float> Floats(const char* name) const;
  // An element type; 0 where there is none.
  int32_t Type(const char* name) const;

  // The same node with the channels last: what its attributes say per dimension moves with them.
  // REQUIRES: its data format says channels first, and `inputs` are in the other order.
  NodeContext ChannelsLast(Tensors inputs) const {
    NodeContext out(node_, std::move(inputs), &emitter_);
    out.moved_ = true;
    return out;
  }

  // The value of an input that must be known: axes, sizes.
  absl::StatusOr<std::vector<int32_t>> Known(size_t input) const;
  absl::StatusOr<int32_t> KnownScalar(size_t input) const;
  // The same as axes of input `of`, each in [0, rank).
  absl::StatusOr<std::vector<int32_t>> Axes(size_t input, size_t of = 0) const;
  absl::StatusOr<int32_t> Axis(int64_t axis, size_t rank) const;

 private:
  const proto::Attribute* Find(const char* name) const;

  Tensors inputs_;
  const proto::Node& node_;
  Emitter& emitter_;
  bool moved_ = false;  // by ChannelsLast
};

using Lower = absl::StatusOr<Tensors> (*)(NodeContext&);

struct Lowering {
  std::string_view op;
  size_t inputs;  // at least
  Lower lower;
};

// Null when the operator cannot be imported.
const Lowering* FindLowering(std::string_view op);

// What a * b is, where it is the last step of an activation that TFLite has an
// operator for: GELU, HARD_SWISH (idioms.cc).
absl::StatusOr<std::optional<int32_t>> RecogniseActivation(Emitter& e, int32_t a, int32_t b);
// max(x, slope * x).
absl::StatusOr<std::optional<int32_t>> RecogniseLeakyRelu(Emitter& e, int32_t a, int32_t b);

// One table per file.
std::vector<Lowering> ElementwiseLowerings();
std::vector<Lowering> ConvolutionLowerings();
std::vector<Lowering> ShapeLowerings();
std::vector<Lowering> ReductionLowerings();
std::vector<Lowering> ProductLowerings();
std::vector<Lowering> VolumeLowerings();

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_LOWER_H_
