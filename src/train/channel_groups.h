#ifndef LITESMITH_TRAIN_CHANNEL_GROUPS_H_
#define LITESMITH_TRAIN_CHANNEL_GROUPS_H_

// Which channels of a network can only be cut together: through depthwise convolutions, residual
// additions, concatenations, flattening and so on.

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace litesmith {

// Every channel that a layer makes is a unit; units that meet in an addition are one. A dimension
// of a tensor that carries channels lists the unit of each of its indices.
class ChannelGroups {
 public:
  struct Axis {
    int dimension = 0;
    std::vector<int32_t> units;  // one per index, perhaps repeated
  };
  // A node that makes channels from constant weights.
  struct Layer {
    int32_t node = 0;
    int32_t weights = 0;  // tensor
    int dimension = 0;    // of the weights
    std::vector<int32_t> units;
  };
  // An operand that spells out a shape: element `entry` is the size of that dimension of output 0.
  struct ShapeOperand {
    int32_t node = 0;
    size_t operand = 0;
    int entry = 0;
  };

  // REQUIRES: Verify(graph) was OK, and the shapes are those of the model (but for the batch).
  explicit ChannelGroups(const Graph& graph);

  // The unit that stands for all it is one with.
  int32_t Root(int32_t unit) const;
  // Why the unit must stay; "" where it may be cut.
  const std::string& frozen(int32_t unit) const { return frozen_[static_cast<size_t>(Root(unit))]; }
  size_t units() const { return parent_.size(); }
  const std::vector<Layer>& layers() const { return layers_; }
  const std::vector<Axis>& axes(int32_t tensor) const { return axes_[static_cast<size_t>(tensor)]; }
  const std::vector<ShapeOperand>& shape_operands() const { return shape_operands_; }

 private:
  using Units = std::vector<int32_t>;

  const Tensor& tensor(int32_t t) const { return subgraph_.tensors[static_cast<size_t>(t)]; }
  bool IsFloatConstant(int32_t t) const;
  Units Fresh(size_t count, const std::string& frozen = "");
  void Unite(int32_t a, int32_t b);
  void Unite(const Units& a, const Units& b);
  void Freeze(const Units& units, const std::string& why);
  void FreezeTensor(int32_t t, const std::string& why);
  // The one channel dimension of an activation; null where it has none.
  const Axis* Channels(int32_t t) const;
  void SetChannels(int32_t t, int dimension, Units units);
  // A constant's dimension carries these channels (as well).
  void Bind(int32_t t, int dimension, const Units& units);

  void Visit(int32_t n);
  void VisitOther(int32_t n);
  void VisitUnary(int32_t n);
  void VisitPool(int32_t n);
  void VisitBroadcast(int32_t n);
  void VisitPad(int32_t n);
  void VisitConcatenation(int32_t n);
  void VisitReshape(int32_t n);
  void VisitTranspose(int32_t n);
  void VisitReduce(int32_t n);
  void VisitSoftmax(int32_t n);
  void VisitSplit(int32_t n);
  void VisitDepthwise(int32_t n);
  // CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV.
  void VisitLayer(int32_t n, size_t data, size_t weights, size_t bias);
  // The units of a tensor seen as another shape: of the dimension that carries them there, which
  // is -1 where they do not stay apart.
  Axis Reshaped(int32_t t, const Shape& to);

  const Subgraph& subgraph_;
  std::vector<int32_t> parent_;
  std::vector<std::string> frozen_;
  std::vector<std::vector<Axis>> axes_;
  std::vector<Layer> layers_;
  std::vector<ShapeOperand> shape_operands_;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_CHANNEL_GROUPS_H_
