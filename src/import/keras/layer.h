#ifndef LITESMITH_IMPORT_KERAS_LAYER_H_
#define LITESMITH_IMPORT_KERAS_LAYER_H_

// What turns one layer into nodes, and the table of all layers that can be imported.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "import/keras/builder.h"
#include "import/keras/json.h"
#include "import/keras/masks.h"
#include "import/keras/weights.h"

namespace litesmith::keras {

// Constants of layers that are called more than once are made once.
using ConstantCache = std::map<std::pair<const Json*, std::string>, std::vector<int32_t>>;

// An argument of the call: a tensor of the graph, or a constant of the configuration.
struct Operand {
  std::string name;  // of a keyword argument, else empty
  const Json* constant = nullptr;
  int32_t tensor = -1;
  MaskRef mask = nullptr;  // of the tensor
};

// Converts layers that are part of another one (a wrapper's, a bidirectional layer's).
class InnerLayers {
 public:
  virtual ~InnerLayers() = default;
  // `layer` is {"class_name": …, "config": …}, a layer or a model; it must outlive the import (see
  // Keep). `mask`: that of input 0, or -1.
  virtual absl::StatusOr<std::vector<int32_t>> Convert(const Json& layer,
                                                       const WeightScope& weights,
                                                       const std::vector<int32_t>& inputs,
                                                       const std::string& name,
                                                       int32_t mask = -1) = 0;
  // Whether Keras 2 wrote the model; some layers of the two versions differ.
  virtual bool keras2() const = 0;
  // Keeps a changed configuration until the import is over.
  virtual const Json& Keep(Json json) = 0;
};

// One call of one layer. Converters read the configuration through `config`, check status() once,
// and add nodes.
class LayerContext {
 public:
  LayerContext(GraphBuilder* graph, const Json& layer_config, std::string name,
               std::string class_name, WeightScope scope, std::vector<Operand> operands,
               ConstantCache* cache, InnerLayers* inner)
      : config(layer_config),
        weights(std::move(scope)),
        graph_(graph),
        name_(std::move(name)),
        class_name_(std::move(class_name)),
        operands_(std::move(operands)),
        cache_(cache),
        inner_(inner) {
    for (const Operand& operand : operands_) {
      if (!operand.name.empty() || operand.constant != nullptr) continue;
      inputs_.push_back(operand.tensor);
      masks_.push_back(operand.mask);
    }
  }

  ConfigReader config;
  WeightScope weights;

  GraphBuilder& graph() { return *graph_; }
  InnerLayers& inner() { return *inner_; }
  const std::string& name() const { return name_; }
  const std::string& class_name() const { return class_name_; }

  // The positional tensors, in order.
  const std::vector<int32_t>& inputs() const { return inputs_; }
  const std::vector<Operand>& operands() const { return operands_; }
  int32_t input() const { return inputs_[0]; }
  // The mask that came with positional tensor `i`; null: none.
  MaskRef mask(size_t i) const { return i < masks_.size() ? masks_[i] : nullptr; }
  Shape shape(int32_t tensor) const { return graph_->shape(tensor); }
  Shape in_shape() const { return graph_->shape(inputs_[0]); }
  // The keyword argument, or null.
  const Operand* Keyword(std::string_view name) const;

  // A checked size: remembers an error when it does not fit or is not positive (then status()
  // fails).
  int32_t Size(int64_t size);
  // The first error of the configuration or of Size.
  absl::Status status() const { return size_status_.ok() ? config.status() : size_status_; }

  // Requires input 0 to have this rank.
  absl::Status CheckRank(size_t rank) const;
  // Requires a known dimension of input 0.
  absl::StatusOr<int32_t> KnownDim(size_t dim) const;

  // The layer's weights as constants: `load` makes them at the first call. `part` tells several
  // sets apart.
  absl::StatusOr<std::vector<int32_t>> Constants(
      const std::string& part, const std::function<absl::StatusOr<std::vector<int32_t>>()>& load);

  // "conv2d/kernel".
  std::string Named(std::string_view what) const { return name_ + "/" + std::string(what); }
  absl::StatusOr<int32_t> Constant(std::string_view what, Shape shape,
                                   const std::vector<float>& values) {
    return graph_->Constant(Named(what), std::move(shape), values);
  }
  int32_t Indices(std::string_view what, const std::vector<int32_t>& values) {
    return graph_->Constant(Named(what), {static_cast<int32_t>(values.size())}, values);
  }
  int32_t Scalar(std::string_view what, double value) {
    return graph_->Scalar(Named(what), static_cast<float>(value));
  }

  template <typename T>
  int32_t Add(schema::BuiltinOperator op, T options, std::vector<int32_t> inputs,
              std::string_view what, Shape shape, TensorType type = schema::TensorType_FLOAT32) {
    return graph_->Add(op, std::move(options), std::move(inputs), name_, what, std::move(shape),
                       type);
  }
  int32_t Add(schema::BuiltinOperator op, std::vector<int32_t> inputs, std::string_view what,
              Shape shape, TensorType type = schema::TensorType_FLOAT32) {
    return graph_->Add(op, std::move(inputs), name_, what, std::move(shape), type);
  }

  // A node with several outputs, called "layer/what", "layer/what_1" …
  template <typename T>
  std::vector<int32_t> AddMany(schema::BuiltinOperator op, T options, std::vector<int32_t> inputs,
                               std::string_view what, const std::vector<Shape>& shapes,
                               TensorType type = schema::TensorType_FLOAT32) {
    const int32_t first = Add(op, std::move(options), std::move(inputs), what, shapes[0], type);
    std::vector<int32_t> outputs = {first};
    for (size_t i = 1; i < shapes.size(); ++i) {
      outputs.push_back(graph_->Intermediate(name_, what, shapes[i], graph_->type(first)));
    }
    graph_->subgraph().nodes.back().outputs = outputs;
    return outputs;
  }

  // x as `shape`, at most one size of which is not known.
  absl::StatusOr<int32_t> Reshape(int32_t x, const Shape& shape, std::string_view what = "Reshape");
  int32_t Transpose(int32_t x, const std::vector<int32_t>& permutation,
                    std::string_view what = "Transpose");
  // Element by element with broadcasting, by ADD, MUL, SUB, MAXIMUM …
  absl::StatusOr<int32_t> Binary(schema::BuiltinOperator op, int32_t a, int32_t b,
                                 std::string_view what);
  int32_t Unary(schema::BuiltinOperator op, int32_t x, std::string_view what);
  int32_t CastTo(int32_t x, TensorType type);

 private:
  GraphBuilder* graph_;
  std::string name_, class_name_;
  std::vector<Operand> operands_;
  std::vector<int32_t> inputs_;
  std::vector<MaskRef> masks_;  // of the inputs
  ConstantCache* cache_;
  InnerLayers* inner_;
  absl::Status size_status_;
};

// x / |x| over the axes (layers_normalization.cc).
absl::StatusOr<int32_t> UnitLength(LayerContext& c, int32_t x, const std::vector<int32_t>& axes);

// Checks a weight against the shape that the configuration asks for (-1: any).
absl::Status CheckWeight(const Weight& weight, const Shape& shape, std::string_view what);

// NumPy's broadcasting with -1 for unknown sizes; an error where sizes differ.
absl::StatusOr<Shape> Broadcast(const Shape& a, const Shape& b);

// ---- Activations (activations.cc)
// --------------------------------------------------------------------------

bool IsActivation(std::string_view name);
// Adds the activation to x. REQUIRES: IsActivation(name).
absl::StatusOr<int32_t> Activate(LayerContext& c, std::string_view name, int32_t x);
// The layer's 'activation'.
absl::StatusOr<int32_t> ActivateByConfig(LayerContext& c, int32_t x);
absl::StatusOr<int32_t> Softmax(LayerContext& c, int32_t x, int axis);
absl::StatusOr<int32_t> LeakyRelu(LayerContext& c, int32_t x, double slope);

// ---- The table of layers
// -----------------------------------------------------------------------------------

using Convert = absl::StatusOr<int32_t> (*)(LayerContext&);
using ConvertMany = absl::StatusOr<std::vector<int32_t>> (*)(LayerContext&);

struct LayerKind {
  std::string_view class_name;
  Convert convert = nullptr;
  ConvertMany convert_many = nullptr;  // for layers with several outputs
  bool takes_mask = false;             // looks at masks, or need not
  bool takes_integers = false;         // otherwise integer inputs are cast to float first
  // Layers of pictures: Keras 3 notes training=True in their calls, which says nothing: its models
  // replace it by their own.
  bool same_in_training = false;
  MaskRule masks = MaskRule::kDrop;
};

// Null when the class cannot be imported.
const LayerKind* FindLayer(std::string_view class_name);

// One table per file of layers.
std::vector<LayerKind> ConvolutionLayers();
std::vector<LayerKind> VolumeLayers();
std::vector<LayerKind> PoolingLayers();
std::vector<LayerKind> ShapeLayers();
std::vector<LayerKind> MergeLayers();
std::vector<LayerKind> ActivationLayers();
std::vector<LayerKind> NormalizationLayers();
std::vector<LayerKind> AttentionLayers();
std::vector<LayerKind> RecurrentLayers();
std::vector<LayerKind> WrapperLayers();
std::vector<LayerKind> ConvLstmLayers();
std::vector<LayerKind> EinsumLayers();
std::vector<LayerKind> Operations();
std::vector<LayerKind> ShapeOperations();

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_LAYER_H_
