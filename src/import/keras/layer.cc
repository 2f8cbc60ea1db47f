#include "import/keras/layer.h"

#include <algorithm>

namespace litesmith::keras {
namespace {

template <typename T>
int32_t AddBinary(LayerContext& c, schema::BuiltinOperator op, int32_t a, int32_t b,
                  std::string_view what, Shape shape) {
  return c.Add(op, T{}, {a, b}, what, std::move(shape));
}

// Two values compared: a boolean of the shape that they are broadcast to.
template <typename OptionsT>
int32_t AddComparison(LayerContext& c, schema::BuiltinOperator op, int32_t a, int32_t b,
                      std::string_view what, Shape shape) {
  return c.Add(op, OptionsT{}, {a, b}, what, std::move(shape), schema::TensorType_BOOL);
}

}  // namespace

const Operand* LayerContext::Keyword(std::string_view name) const {
  for (const Operand& operand : operands_) {
    if (operand.name == name) return &operand;
  }
  return nullptr;
}

int32_t LayerContext::Size(int64_t size) {
  if (size > 0 && size <= INT32_MAX) return static_cast<int32_t>(size);
  if (size_status_.ok()) {
    size_status_ =
        Invalid("its output would have a dimension of {}: its input {} is too {}", size,
                inputs_.empty() ? "" : ShapeString(in_shape()), size > 0 ? "large" : "small");
  }
  return 1;
}

absl::Status LayerContext::CheckRank(size_t rank) const {
  if (in_shape().size() == rank) return absl::OkStatus();
  return Invalid("its input has shape {}, {} dimensions are wanted", ShapeString(in_shape()), rank);
}

absl::StatusOr<int32_t> LayerContext::KnownDim(size_t dim) const {
  if (dim < in_shape().size() && in_shape()[dim] > 0) return in_shape()[dim];
  return Invalid(
      "dimension {} of its input {} must be known; save the model with a fixed input shape", dim,
      ShapeString(in_shape()));
}

absl::StatusOr<std::vector<int32_t>> LayerContext::Constants(
    const std::string& part, const std::function<absl::StatusOr<std::vector<int32_t>>()>& load) {
  const auto key = std::make_pair(&config.json(), part);
  if (auto it = cache_->find(key); it != cache_->end()) return it->second;
  LS_ASSIGN_OR_RETURN(std::vector<int32_t> constants, load());
  return (*cache_)[key] = std::move(constants);
}

absl::StatusOr<int32_t> LayerContext::Reshape(int32_t x, const Shape& shape,
                                              std::string_view what) {
  if (std::count(shape.begin(), shape.end(), -1) > 1) {
    return Unsupported(
        "its output {} has more than one unknown size; "
        "save the model with a fixed input shape",
        ShapeString(shape));
  }
  schema::ReshapeOptionsT options;
  options.new_shape = shape;
  return Add(schema::BuiltinOperator_RESHAPE, std::move(options),
             {x, Indices(std::string(what) + "/shape", shape)}, what, shape, graph_->type(x));
}

int32_t LayerContext::Transpose(int32_t x, const std::vector<int32_t>& permutation,
                                std::string_view what) {
  const Shape& from = shape(x);
  Shape to;
  for (int32_t d : permutation) to.push_back(from[static_cast<size_t>(d)]);
  return Add(schema::BuiltinOperator_TRANSPOSE, schema::TransposeOptionsT{},
             {x, Indices(std::string(what) + "/perm", permutation)}, what, to, graph_->type(x));
}

absl::StatusOr<int32_t> LayerContext::Binary(schema::BuiltinOperator op, int32_t a, int32_t b,
                                             std::string_view what) {
  LS_ASSIGN_OR_RETURN(Shape shape, Broadcast(graph_->shape(a), graph_->shape(b)));
  switch (op) {
    case schema::BuiltinOperator_ADD:
      return AddBinary<schema::AddOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_SUB:
      return AddBinary<schema::SubOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_MUL:
      return AddBinary<schema::MulOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_DIV:
      return AddBinary<schema::DivOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_MAXIMUM:
    case schema::BuiltinOperator_MINIMUM:
      return AddBinary<schema::MaximumMinimumOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_SQUARED_DIFFERENCE:
      return AddBinary<schema::SquaredDifferenceOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_GREATER:
      return AddComparison<schema::GreaterOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_EQUAL:
      return AddComparison<schema::EqualOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_NOT_EQUAL:
      return AddComparison<schema::NotEqualOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_GREATER_EQUAL:
      return AddComparison<schema::GreaterEqualOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_LESS:
      return AddComparison<schema::LessOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_LESS_EQUAL:
      return AddComparison<schema::LessEqualOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_LOGICAL_AND:
      return AddComparison<schema::LogicalAndOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_LOGICAL_OR:
      return AddComparison<schema::LogicalOrOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_FLOOR_DIV:
      return AddBinary<schema::FloorDivOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_FLOOR_MOD:
      return AddBinary<schema::FloorModOptionsT>(*this, op, a, b, what, std::move(shape));
    case schema::BuiltinOperator_POW:
      return AddBinary<schema::PowOptionsT>(*this, op, a, b, what, std::move(shape));
    default:
      return Internal("no binary operator {}", static_cast<int>(op));
  }
}

int32_t LayerContext::Unary(schema::BuiltinOperator op, int32_t x, std::string_view what) {
  return Add(op, {x}, what, graph_->shape(x));
}

int32_t LayerContext::CastTo(int32_t x, TensorType type) {
  if (graph_->type(x) == type) return x;
  schema::CastOptionsT options;
  options.in_data_type = graph_->type(x);
  options.out_data_type = type;
  return Add(schema::BuiltinOperator_CAST, std::move(options), {x}, "Cast", graph_->shape(x), type);
}

absl::Status CheckWeight(const Weight& weight, const Shape& shape, std::string_view what) {
  bool fits = weight.shape.size() == shape.size();
  for (size_t d = 0; fits && d < shape.size(); ++d) {
    fits = shape[d] < 0 || weight.shape[d] == shape[d];
  }
  if (fits) return absl::OkStatus();
  return Invalid(
      "its weight '{}' has shape {} in the file, the architecture asks for {}; "
      "give the weights that were saved with this architecture",
      what, ShapeString(weight.shape), ShapeString(shape));
}

absl::StatusOr<Shape> Broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int32_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int32_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    int32_t& size = out[out.size() - 1 - i];
    if (x == y || y == 1) {
      size = x;
    } else if (x == 1) {
      size = y;
    } else if (x < 0 || y < 0) {
      size = std::max(x, y);  // the unknown one is either 1 or the same
    } else {
      return Invalid("its inputs have shapes {} and {}, which do not go together", ShapeString(a),
                     ShapeString(b));
    }
  }
  return out;
}

const LayerKind* FindLayer(std::string_view class_name) {
  static const auto* const kKinds = [] {
    auto* kinds = new std::map<std::string_view, LayerKind>;
    for (const auto& table :
         {ConvolutionLayers(), VolumeLayers(), PoolingLayers(), ShapeLayers(), MergeLayers(),
          ActivationLayers(), NormalizationLayers(), AttentionLayers(), RecurrentLayers(),
          WrapperLayers(), ConvLstmLayers(), EinsumLayers(), Operations(), ShapeOperations()}) {
      for (const LayerKind& kind : table) kinds->emplace(kind.class_name, kind);
    }
    return kinds;
  }();
  const auto it = kKinds->find(class_name);
  return it == kKinds->end() ? nullptr : &it->second;
}

}  // namespace litesmith::keras
