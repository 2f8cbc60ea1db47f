// Calls of keras.ops functions that move, join and choose elements.

#include <algorithm>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

using namespace schema;  // NOLINT: the operators' names

int32_t Rank(LayerContext& c) { return static_cast<int32_t>(c.in_shape().size()); }

// The number `key` as an axis of the input (or of one with `more` dimensions), counted from 0.
absl::StatusOr<int32_t> AxisOf(LayerContext& c, std::string_view key, int32_t more = 0) {
  const int32_t rank = Rank(c) + more;
  const int32_t axis = c.config.Int(key, -rank, rank - 1);
  LS_RETURN_IF_ERROR(c.status());
  return axis < 0 ? axis + rank : axis;
}

absl::StatusOr<int32_t> Squeeze(LayerContext& c) {
  if (!c.config.Has("axis")) return Unsupported("its 'axis' is missing");
  const Json* value = c.config.Find("axis");
  std::vector<int32_t> axes =
      value->is_array() ? c.config.List("axis", -Rank(c), Rank(c) - 1)
                        : std::vector<int32_t>{c.config.Int("axis", -Rank(c), Rank(c) - 1)};
  LS_RETURN_IF_ERROR(c.status());
  for (int32_t& axis : axes) axis = axis < 0 ? axis + Rank(c) : axis;
  Shape shape;
  for (int32_t d = 0; d < Rank(c); ++d) {
    const int32_t size = c.in_shape()[static_cast<size_t>(d)];
    if (std::find(axes.begin(), axes.end(), d) == axes.end()) {
      shape.push_back(size);
    } else if (size != 1) {
      return Invalid("it drops a dimension of its input {} that is not 1",
                     ShapeString(c.in_shape()));
    }
  }
  return c.Reshape(c.input(), shape, "Squeeze");
}

absl::StatusOr<std::vector<int32_t>> Split(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t axis, AxisOf(c, "axis"));
  LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(static_cast<size_t>(axis)));
  const Json* where = c.config.Find("indices_or_sections");
  std::vector<int32_t> sizes;
  if (where != nullptr && where->is_array()) {
    int32_t from = 0;
    for (int32_t to : c.config.List("indices_or_sections", 0, size)) {
      sizes.push_back(to - from);
      from = to;
    }
    sizes.push_back(size - from);
  } else {
    const int32_t parts = c.config.Int("indices_or_sections", 1, size);
    LS_RETURN_IF_ERROR(c.status());
    if (size % parts != 0) return Invalid("its axis of {} has no {} equal parts", size, parts);
    sizes.assign(static_cast<size_t>(parts), size / parts);
  }
  LS_RETURN_IF_ERROR(c.status());
  if (std::any_of(sizes.begin(), sizes.end(), [](int32_t s) { return s < 1; })) {
    return Unsupported("one of its parts is empty");
  }
  std::vector<Shape> shapes;
  for (int32_t part : sizes) {
    shapes.push_back(c.in_shape());
    shapes.back()[static_cast<size_t>(axis)] = part;
  }
  SplitVOptionsT options;
  options.num_splits = static_cast<int32_t>(sizes.size());
  const int32_t at = c.graph().Constant(c.Named("axis"), {}, std::vector<int32_t>{axis});
  return c.AddMany(BuiltinOperator_SPLIT_V, std::move(options),
                   {c.input(), c.Indices("sizes", sizes), at}, "Split", shapes,
                   c.graph().type(c.input()));
}

absl::StatusOr<int32_t> Stack(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t axis, AxisOf(c, "axis", 1));
  Shape shape = c.in_shape();
  for (int32_t x : c.inputs()) {
    if (c.shape(x) != shape || c.graph().type(x) != c.graph().type(c.input())) {
      return Unsupported("its inputs differ in shape or type");
    }
  }
  shape.insert(shape.begin() + axis, static_cast<int32_t>(c.inputs().size()));
  PackOptionsT options;
  options.axis = axis;
  options.values_count = static_cast<int32_t>(c.inputs().size());
  return c.Add(BuiltinOperator_PACK, std::move(options), c.inputs(), "Stack", shape,
               c.graph().type(c.input()));
}

// One part of x[…] along dimension `d`.
struct Slice {
  std::vector<int32_t> begin, end, strides;
  StridedSliceOptionsT options;
  Shape shape;

  absl::Status Number(int64_t index, int32_t size) {
    const size_t d = begin.size();
    if (size >= 0 && (index < -size || index >= size)) return Invalid("it takes item {}", index);
    begin.push_back(static_cast<int32_t>(index));
    end.push_back(index == -1 ? 0 : static_cast<int32_t>(index) + 1);
    if (index == -1) options.end_mask |= 1 << d;
    strides.push_back(1);
    options.shrink_axis_mask |= 1 << d;
    return absl::OkStatus();
  }

  absl::Status Range(const Json& slice, int32_t size) {
    const size_t d = begin.size();
    const auto number = [&](const char* key, int64_t otherwise) -> absl::StatusOr<int64_t> {
      const Json* value = Member(slice, key);
      if (value == nullptr) return otherwise;
      if (!value->is_number_integer()) return Unsupported("its slices must be numbers");
      return std::clamp<int64_t>(value->get<int64_t>(), -(1 << 28), 1 << 28);
    };
    LS_ASSIGN_OR_RETURN(const int64_t step, number("step", 1));
    LS_ASSIGN_OR_RETURN(int64_t from, number("start", 0));
    LS_ASSIGN_OR_RETURN(int64_t to, number("stop", 0));
    if (step < 1) return Unsupported("its steps must be positive");
    begin.push_back(static_cast<int32_t>(from));
    end.push_back(static_cast<int32_t>(to));
    strides.push_back(static_cast<int32_t>(step));
    const bool open = Member(slice, "stop") == nullptr;
    if (open) options.end_mask |= 1 << d;
    if (Member(slice, "start") == nullptr) options.begin_mask |= 1 << d;
    if (size < 0) {
      if (from != 0 || !open || step != 1) return Unsupported("it cuts a dimension of open size");
      shape.push_back(-1);
      return absl::OkStatus();
    }
    from = std::clamp<int64_t>(from < 0 ? from + size : from, 0, size);
    to = open ? size : std::clamp<int64_t>(to < 0 ? to + size : to, 0, size);
    if (to <= from) return Unsupported("it takes nothing");
    shape.push_back(static_cast<int32_t>((to - from + step - 1) / step));
    return absl::OkStatus();
  }
};

absl::StatusOr<int32_t> GetItem(LayerContext& c) {
  if (c.operands().size() < 2 || c.inputs().size() != 1) {
    return Unsupported("only constant places can be taken");
  }
  Slice slice;
  for (size_t i = 1; i < c.operands().size(); ++i) {
    const Json* item = c.operands()[i].constant;
    const size_t d = slice.begin.size();
    if (item == nullptr || d >= c.in_shape().size()) return Unsupported("its places are unknown");
    const int32_t size = c.in_shape()[d];
    if (item->is_number_integer()) {
      LS_RETURN_IF_ERROR(slice.Number(item->get<int64_t>(), size));
    } else if (StringMember(*item, "class_name") == "__slice__" && item->contains("config")) {
      LS_RETURN_IF_ERROR(slice.Range((*item)["config"], size));
    } else {
      return Unsupported("only numbers and slices can be taken");
    }
  }
  while (slice.begin.size() < c.in_shape().size()) {
    LS_RETURN_IF_ERROR(slice.Range(Json::object(), c.in_shape()[slice.begin.size()]));
  }
  return c.Add(BuiltinOperator_STRIDED_SLICE, std::move(slice.options),
               {c.input(), c.Indices("begin", slice.begin), c.Indices("end", slice.end),
                c.Indices("strides", slice.strides)},
               "StridedSlice", slice.shape, c.graph().type(c.input()));
}

absl::StatusOr<int32_t> Pad(LayerContext& c) {
  const Json* width = c.config.Find("pad_width");
  const auto rank = c.in_shape().size();
  if (c.config.String("mode", "constant") != "constant" || width == nullptr || !width->is_array() ||
      width->size() != rank || c.Keyword("constant_values") != nullptr) {
    return Unsupported("only padding every dimension with zeros is supported");
  }
  std::vector<int32_t> paddings;
  Shape shape = c.in_shape();
  for (size_t d = 0; d < rank; ++d) {
    const Json pair = {{"sides", (*width)[d]}};
    ConfigReader reader(pair);
    const std::vector<int32_t> sides = reader.Ints("sides", 2, 0, kMaxWindow);
    LS_RETURN_IF_ERROR(reader.status());
    paddings.insert(paddings.end(), sides.begin(), sides.end());
    if (shape[d] >= 0) shape[d] = c.Size(int64_t{shape[d]} + sides[0] + sides[1]);
  }
  LS_RETURN_IF_ERROR(c.status());
  const int32_t constant =
      c.graph().Constant(c.Named("paddings"), {static_cast<int32_t>(rank), 2}, paddings);
  return c.Add(BuiltinOperator_PAD, PadOptionsT{}, {c.input(), constant}, "Pad", shape);
}

absl::StatusOr<int32_t> Tile(LayerContext& c) {
  const std::vector<int32_t> repeats = c.config.List("repeats", 1, kMaxWindow);
  LS_RETURN_IF_ERROR(c.status());
  if (repeats.size() != c.in_shape().size()) return Unsupported("it adds dimensions");
  Shape shape = c.in_shape();
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] >= 0) shape[d] = c.Size(int64_t{shape[d]} * repeats[d]);
  }
  LS_RETURN_IF_ERROR(c.status());
  return c.Add(BuiltinOperator_TILE, {c.input(), c.Indices("multiples", repeats)}, "Tile", shape,
               c.graph().type(c.input()));
}

absl::StatusOr<int32_t> Flip(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t axis, AxisOf(c, "axis"));
  return c.Add(BuiltinOperator_REVERSE_V2, ReverseV2OptionsT{},
               {c.input(), c.Indices("axis", {axis})}, "Flip", c.in_shape(),
               c.graph().type(c.input()));
}

absl::StatusOr<int32_t> Cumsum(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t axis, AxisOf(c, "axis"));
  const int32_t at = c.graph().Constant(c.Named("axis"), {}, std::vector<int32_t>{axis});
  return c.Add(BuiltinOperator_CUMSUM, CumsumOptionsT{}, {c.input(), at}, "Cumsum", c.in_shape());
}

absl::StatusOr<int32_t> Where(LayerContext& c) {
  std::vector<int32_t> operands;
  for (const Operand& operand : c.operands()) {
    if (operand.constant == nullptr) {
      operands.push_back(operand.tensor);
    } else if (operand.constant->is_number()) {
      operands.push_back(c.Scalar("constant", operand.constant->get<double>()));
    }
  }
  if (operands.size() != 3) return Unsupported("it should have a condition and two values");
  if (c.graph().type(operands[0]) != TensorType_BOOL)
    return Unsupported("its condition is no bool");
  for (size_t i = 1; i < 3; ++i) operands[i] = c.CastTo(operands[i], TensorType_FLOAT32);
  LS_ASSIGN_OR_RETURN(const Shape values, Broadcast(c.shape(operands[1]), c.shape(operands[2])));
  LS_ASSIGN_OR_RETURN(const Shape shape, Broadcast(c.shape(operands[0]), values));
  return c.Add(BuiltinOperator_SELECT_V2, SelectV2OptionsT{}, operands, "Select", shape);
}

absl::StatusOr<int32_t> Argmax(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t axis, AxisOf(c, "axis"));
  Shape shape = c.in_shape();
  shape.erase(shape.begin() + axis);
  ArgMaxOptionsT options;
  options.output_type = TensorType_INT32;
  const int32_t at = c.graph().Constant(c.Named("axis"), {}, std::vector<int32_t>{axis});
  const int32_t y = c.Add(BuiltinOperator_ARG_MAX, std::move(options), {c.input(), at}, "ArgMax",
                          shape, TensorType_INT32);
  if (!c.config.Bool("keepdims", false)) return y;
  shape.insert(shape.begin() + axis, 1);
  return c.Reshape(y, shape, "keepdims");
}

// Rows that constants name.
absl::StatusOr<int32_t> Take(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t axis, AxisOf(c, "axis"));
  LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(static_cast<size_t>(axis)));
  std::vector<int32_t> indices;
  for (const Operand& operand : c.operands()) {
    if (operand.constant == nullptr) continue;
    const Json wrapped = {{"indices", *operand.constant}};
    ConfigReader reader(wrapped);
    indices = reader.List("indices", -size, size - 1);
    LS_RETURN_IF_ERROR(reader.status());
  }
  if (indices.empty() || c.inputs().size() != 1) {
    return Unsupported("only a list of constant places is supported");
  }
  for (int32_t& index : indices) index = index < 0 ? index + size : index;
  Shape shape = c.in_shape();
  shape[static_cast<size_t>(axis)] = static_cast<int32_t>(indices.size());
  GatherOptionsT options;
  options.axis = axis;
  return c.Add(BuiltinOperator_GATHER, std::move(options),
               {c.input(), c.Indices("indices", indices)}, "Gather", shape,
               c.graph().type(c.input()));
}

absl::StatusOr<int32_t> Cast(LayerContext& c) {
  const std::string to = c.config.String("dtype", "");
  LS_RETURN_IF_ERROR(c.status());
  if (to == "float32") return c.CastTo(c.input(), TensorType_FLOAT32);
  if (to == "int32") return c.CastTo(c.input(), TensorType_INT32);
  if (to == "bool") return c.CastTo(c.input(), TensorType_BOOL);
  return Unsupported("a cast to '{}' is not supported", Printable(to));
}

absl::StatusOr<int32_t> ConvertToTensor(LayerContext& c) {
  if (c.config.Find("dtype") == nullptr) return c.input();
  return Cast(c);
}

absl::StatusOr<int32_t> SwapAxes(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t a, AxisOf(c, "axis1"));
  LS_ASSIGN_OR_RETURN(const int32_t b, AxisOf(c, "axis2"));
  std::vector<int32_t> order;
  for (int32_t d = 0; d < Rank(c); ++d) order.push_back(d == a ? b : d == b ? a : d);
  return c.Transpose(c.input(), order);
}

absl::StatusOr<int32_t> MoveAxis(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t from, AxisOf(c, "source"));
  LS_ASSIGN_OR_RETURN(const int32_t to, AxisOf(c, "destination"));
  std::vector<int32_t> order;
  for (int32_t d = 0; d < Rank(c); ++d) {
    if (d != from) order.push_back(d);
  }
  order.insert(order.begin() + to, from);
  return c.Transpose(c.input(), order);
}

}  // namespace

std::vector<LayerKind> ShapeOperations() {
  return {{.class_name = "Squeeze", .convert = Squeeze, .takes_integers = true},
          {.class_name = "Split", .convert_many = Split, .takes_integers = true},
          {.class_name = "Stack", .convert = Stack, .takes_integers = true},
          {.class_name = "GetItem", .convert = GetItem, .takes_integers = true},
          {.class_name = "Pad", .convert = Pad},
          {.class_name = "Tile", .convert = Tile, .takes_integers = true},
          {.class_name = "Flip", .convert = Flip, .takes_integers = true},
          {.class_name = "Cumsum", .convert = Cumsum},
          {.class_name = "Where", .convert = Where, .takes_integers = true},
          {.class_name = "Argmax", .convert = Argmax},
          {.class_name = "Take", .convert = Take, .takes_integers = true},
          {.class_name = "Cast", .convert = Cast, .takes_integers = true},
          {.class_name = "ConvertToTensor", .convert = ConvertToTensor, .takes_integers = true},
          {.class_name = "Swapaxes", .convert = SwapAxes, .takes_integers = true},
          {.class_name = "Moveaxis", .convert = MoveAxis, .takes_integers = true}};
}

}  // namespace litesmith::keras
