// Shapes, and moving elements.

#include <algorithm>
#include <bit>

#include "import/saved_model/lower.h"
#include "import/saved_model/types.h"

namespace litesmith::saved_model {
namespace {

using schema::BuiltinOperator;

absl::StatusOr<Tensors> One(absl::StatusOr<int32_t> t) {
  if (!t.ok()) return t.status();
  return Tensors{*t};
}

absl::StatusOr<int32_t> EmitShape(NodeContext& c) {
  const int32_t given = c.Type("out_type");
  LS_ASSIGN_OR_RETURN(const TensorType type, DenseType(given == 0 ? 3 : given));
  return c.e().ShapeOf(c.in(), type);
}

absl::StatusOr<Tensors> ShapeOf(NodeContext& c) { return One(EmitShape(c)); }

absl::StatusOr<Tensors> ShapeN(NodeContext& c) {
  const int32_t given = c.Type("out_type");
  LS_ASSIGN_OR_RETURN(const TensorType type, DenseType(given == 0 ? 3 : given));
  Tensors out;
  for (int32_t t : c.inputs()) {
    LS_ASSIGN_OR_RETURN(const int32_t shape, c.e().ShapeOf(t, type));
    out.push_back(shape);
  }
  return out;
}

absl::StatusOr<Tensors> Size(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t shape, EmitShape(c));
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.e().Ints({0}));
  return One(c.e().Emit(schema::BuiltinOperator_REDUCE_PROD, Options(schema::ReducerOptionsT{}),
                        {shape, axis}));
}

absl::StatusOr<Tensors> Rank(NodeContext& c) {
  return One(c.e().Scalar(static_cast<int32_t>(c.e().rank(c.in()))));
}

absl::StatusOr<Tensors> Reshape(NodeContext& c) { return One(c.e().Reshape(c.in(0), c.in(1))); }

// All sizes of `t` but those left out, with ones put in.
absl::StatusOr<Tensors> ReshapeAxes(NodeContext& c, const std::vector<int32_t>& drop,
                                    int32_t insert_at) {
  const int32_t t = c.in();
  std::vector<Emitter::Size> sizes;
  const Shape shape = c.e().shape(t);
  for (size_t d = 0; d < shape.size(); ++d) {
    const auto axis = static_cast<int32_t>(d);
    if (std::find(drop.begin(), drop.end(), axis) != drop.end()) continue;
    if (shape[d] >= 0) {
      sizes.push_back({shape[d], {}});
    } else {
      sizes.push_back({1, {{t, axis}}});
    }
  }
  if (insert_at >= 0) sizes.insert(sizes.begin() + insert_at, Emitter::Size{});
  return One(c.e().Reshape(t, sizes));
}

absl::StatusOr<Tensors> ExpandDims(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t given, c.KnownScalar(1));
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.Axis(given, c.e().rank(c.in()) + 1));
  return ReshapeAxes(c, {}, axis);
}

absl::StatusOr<Tensors> Squeeze(NodeContext& c) {
  const Shape shape = c.e().shape(c.in());
  std::vector<int32_t> drop;
  for (int64_t given : c.List("squeeze_dims")) {
    LS_ASSIGN_OR_RETURN(const int32_t axis, c.Axis(given, shape.size()));
    if (shape[static_cast<size_t>(axis)] != 1) {
      return Unsupported("dimension {} is {}, not 1", axis, shape[static_cast<size_t>(axis)]);
    }
    drop.push_back(axis);
  }
  for (size_t d = 0; d < shape.size() && c.List("squeeze_dims").empty(); ++d) {
    if (shape[d] == 1) drop.push_back(static_cast<int32_t>(d));
  }
  return ReshapeAxes(c, drop, -1);
}

absl::StatusOr<Tensors> Transpose(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(1));
  if (axes.size() != c.e().rank(c.in())) return Invalid("its permutation has {} axes", axes.size());
  return One(c.e().Transpose(c.in(), axes));
}

absl::StatusOr<Tensors> Concat(NodeContext& c, Tensors parts, int32_t axis_input) {
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.KnownScalar(static_cast<size_t>(axis_input)));
  schema::ConcatenationOptionsT options;
  LS_ASSIGN_OR_RETURN(options.axis, c.Axis(axis, c.e().rank(parts.front())));
  if (parts.size() == 1) return parts;
  return One(c.e().Emit(schema::BuiltinOperator_CONCATENATION, Options(std::move(options)), parts));
}
absl::StatusOr<Tensors> ConcatV2(NodeContext& c) {
  return Concat(c, {c.inputs().begin(), c.inputs().end() - 1}, static_cast<int32_t>(c.count()) - 1);
}
absl::StatusOr<Tensors> ConcatV1(NodeContext& c) {
  return Concat(c, {c.inputs().begin() + 1, c.inputs().end()}, 0);
}

absl::StatusOr<Tensors> Pack(NodeContext& c) {
  schema::PackOptionsT options;
  options.values_count = static_cast<int32_t>(c.count());
  LS_ASSIGN_OR_RETURN(options.axis, c.Axis(c.Int("axis", 0), c.e().rank(c.in()) + 1));
  return One(c.e().Emit(schema::BuiltinOperator_PACK, Options(std::move(options)), c.inputs()));
}

absl::StatusOr<Tensors> Unpack(NodeContext& c) {
  schema::UnpackOptionsT options;
  LS_ASSIGN_OR_RETURN(options.axis, c.Axis(c.Int("axis", 0), c.e().rank(c.in())));
  const int32_t size = c.e().shape(c.in())[static_cast<size_t>(options.axis)];
  if (size < 0 || size > 1 << 14 || size != c.Int("num", size)) {
    return Unsupported("it makes {} tensors of a dimension of {}", c.Int("num", size), size);
  }
  options.num = size;
  return c.e().Emit(schema::BuiltinOperator_UNPACK, Options(std::move(options)), {c.in()},
                    std::vector<TensorType>(static_cast<size_t>(size), c.e().type(c.in())));
}

absl::StatusOr<Tensors> Split(NodeContext& c) {
  const int64_t count = c.Int("num_split", 0);
  if (count < 1 || count > 1 << 14) return Invalid("it splits in {} parts", count);
  if (count == 1) return Tensors{c.in(1)};
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(0, 1));
  if (axes.size() != 1) return Invalid("its axis must be one number");
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.e().Scalar(axes[0]));
  schema::SplitOptionsT options;
  options.num_splits = static_cast<int32_t>(count);
  return c.e().Emit(schema::BuiltinOperator_SPLIT, Options(std::move(options)), {axis, c.in(1)},
                    std::vector<TensorType>(static_cast<size_t>(count), c.e().type(c.in(1))));
}

absl::StatusOr<Tensors> SplitV(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto sizes, c.Known(1));
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(2, 0));
  if (axes.size() != 1 || sizes.empty() || sizes.size() > 1 << 14) {
    return Invalid("its sizes or its axis are wrong");
  }
  LS_ASSIGN_OR_RETURN(const int32_t parts, c.e().Ints(sizes));
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.e().Scalar(axes[0]));
  schema::SplitVOptionsT options;
  options.num_splits = static_cast<int32_t>(sizes.size());
  return c.e().Emit(schema::BuiltinOperator_SPLIT_V, Options(std::move(options)),
                    {c.in(), parts, axis},
                    std::vector<TensorType>(sizes.size(), c.e().type(c.in())));
}

absl::StatusOr<Tensors> Slice(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t begin, c.e().AsInt32(c.in(1)));
  LS_ASSIGN_OR_RETURN(const int32_t size, c.e().AsInt32(c.in(2)));
  return One(c.e().Emit(schema::BuiltinOperator_SLICE, {c.in(), begin, size}));
}

// A slice whose entries are one per dimension: without ellipsis and new axes, which older versions
// of TFLite's operator lack.
struct PlainSlice {
  std::vector<int32_t> begin, end, strides;
  schema::StridedSliceOptionsT options;
  std::vector<size_t> new_axes;  // to be put into the result, ascending
};

PlainSlice Plain(const schema::StridedSliceOptionsT& given, const std::vector<int32_t>& begin,
                 const std::vector<int32_t>& end, const std::vector<int32_t>& strides,
                 size_t rank) {
  const auto bit = [](int32_t mask, size_t i) {
    return i < 31 && (static_cast<uint32_t>(mask) >> i & 1u) != 0;
  };
  size_t named = 0;
  for (size_t i = 0; i < begin.size(); ++i) {
    if (!bit(given.ellipsis_mask, i) && !bit(given.new_axis_mask, i)) ++named;
  }
  PlainSlice out;
  size_t axis = 0;  // of the result
  const auto add = [&](size_t i, bool whole) {
    const int32_t place = 1 << out.begin.size();
    const bool shrinks = !whole && bit(given.shrink_axis_mask, i);
    if (whole || bit(given.begin_mask, i)) out.options.begin_mask |= place;
    if (whole || bit(given.end_mask, i)) out.options.end_mask |= place;
    if (shrinks) out.options.shrink_axis_mask |= place;
    out.begin.push_back(whole ? 0 : begin[i]);
    out.end.push_back(whole ? 0 : end[i]);
    out.strides.push_back(whole ? 1 : strides[i]);
    if (!shrinks) ++axis;
  };
  for (size_t i = 0; i < begin.size(); ++i) {
    if (bit(given.ellipsis_mask, i)) {
      for (size_t k = named; k < rank; ++k) add(i, true);
    } else if (bit(given.new_axis_mask, i)) {
      out.new_axes.push_back(axis++);
    } else {
      add(i, false);
    }
  }
  return out;
}

absl::StatusOr<Tensors> PlainStridedSlice(NodeContext& c,
                                          const schema::StridedSliceOptionsT& options) {
  LS_ASSIGN_OR_RETURN(const auto begin, c.Known(1));
  LS_ASSIGN_OR_RETURN(const auto end, c.Known(2));
  LS_ASSIGN_OR_RETURN(const auto strides, c.Known(3));
  if (begin.size() != end.size() || begin.size() != strides.size() || begin.size() > 31) {
    return Invalid("begin, end and strides must be of one length");
  }
  if (std::popcount(static_cast<uint32_t>(options.ellipsis_mask)) > 1) {
    return Invalid("more than one ellipsis");
  }
  PlainSlice plain = Plain(options, begin, end, strides, c.e().rank(c.in()));
  if (plain.begin.size() > c.e().rank(c.in()))
    return Invalid("it has more entries than dimensions");
  int32_t t = c.in();
  if (!plain.begin.empty()) {
    LS_ASSIGN_OR_RETURN(const int32_t b, c.e().Ints(plain.begin));
    LS_ASSIGN_OR_RETURN(const int32_t e, c.e().Ints(plain.end));
    LS_ASSIGN_OR_RETURN(const int32_t s, c.e().Ints(plain.strides));
    LS_ASSIGN_OR_RETURN(t, c.e().Emit(schema::BuiltinOperator_STRIDED_SLICE,
                                      Options(std::move(plain.options)), {t, b, e, s}));
  }
  if (plain.new_axes.empty()) return Tensors{t};
  std::vector<Emitter::Size> sizes;
  const Shape shape = c.e().shape(t);
  for (size_t d = 0; d < shape.size(); ++d) {
    sizes.push_back(shape[d] >= 0 ? Emitter::Size{shape[d], {}}
                                  : Emitter::Size{1, {{t, static_cast<int>(d)}}});
  }
  for (size_t axis : plain.new_axes) {
    sizes.insert(sizes.begin() + static_cast<std::ptrdiff_t>(std::min(axis, sizes.size())),
                 Emitter::Size{});
  }
  return One(c.e().Reshape(t, sizes));
}

absl::StatusOr<Tensors> StridedSlice(NodeContext& c) {
  schema::StridedSliceOptionsT options;
  auto mask = [&](const char* name) { return static_cast<int32_t>(c.Int(name, 0)); };
  options.begin_mask = mask("begin_mask");
  options.end_mask = mask("end_mask");
  options.ellipsis_mask = mask("ellipsis_mask");
  options.new_axis_mask = mask("new_axis_mask");
  options.shrink_axis_mask = mask("shrink_axis_mask");
  if (options.ellipsis_mask != 0 || options.new_axis_mask != 0) {
    return PlainStridedSlice(c, options);
  }
  Tensors inputs = {c.in()};
  for (size_t i = 1; i <= 3; ++i) {
    LS_ASSIGN_OR_RETURN(const int32_t t, c.e().AsInt32(c.in(i)));
    inputs.push_back(t);
  }
  return One(
      c.e().Emit(schema::BuiltinOperator_STRIDED_SLICE, Options(std::move(options)), inputs));
}

absl::StatusOr<Tensors> Pad(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t amounts, c.e().AsInt32(c.in(1)));
  if (c.count() < 3) return One(c.e().Emit(schema::BuiltinOperator_PAD, {c.in(), amounts}));
  if (c.e().IsZero(c.in(2))) return One(c.e().Emit(schema::BuiltinOperator_PAD, {c.in(), amounts}));
  return One(c.e().Emit(schema::BuiltinOperator_PADV2, {c.in(), amounts, c.in(2)}));
}

absl::StatusOr<Tensors> MirrorPad(NodeContext& c) {
  schema::MirrorPadOptionsT options;
  options.mode = c.String("mode", "REFLECT") == "SYMMETRIC" ? schema::MirrorPadMode_SYMMETRIC
                                                            : schema::MirrorPadMode_REFLECT;
  LS_ASSIGN_OR_RETURN(const int32_t amounts, c.e().AsInt32(c.in(1)));
  return One(c.e().Emit(schema::BuiltinOperator_MIRROR_PAD, Options(std::move(options)),
                        {c.in(), amounts}));
}

absl::StatusOr<Tensors> Gather(NodeContext& c) {
  schema::GatherOptionsT options;
  if (c.count() > 2) {
    LS_ASSIGN_OR_RETURN(const int32_t axis, c.KnownScalar(2));
    LS_ASSIGN_OR_RETURN(options.axis, c.Axis(axis, c.e().rank(c.in())));
  }
  const int64_t batch = c.Int("batch_dims", 0);
  if (batch < -8 || batch > 8) return Invalid("it has {} batch dimensions", batch);
  options.batch_dims = static_cast<int32_t>(batch < 0 ? batch + c.e().rank(c.in(1)) : batch);
  LS_ASSIGN_OR_RETURN(const int32_t indices, c.e().AsInt32(c.in(1)));
  return One(
      c.e().Emit(schema::BuiltinOperator_GATHER, Options(std::move(options)), {c.in(0), indices}));
}

absl::StatusOr<Tensors> GatherNd(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t indices, c.e().AsInt32(c.in(1)));
  return One(c.e().Emit(schema::BuiltinOperator_GATHER_ND, {c.in(0), indices}));
}

template <BuiltinOperator kOp>
absl::StatusOr<Tensors> WithSizes(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t sizes, c.e().AsInt32(c.in(1)));
  return One(c.e().Emit(kOp, {c.in(0), sizes}));
}

absl::StatusOr<Tensors> Fill(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t sizes, c.e().AsInt32(c.in(0)));
  return c.e().Emit(schema::BuiltinOperator_FILL, Options(), {sizes, c.in(1)},
                    {c.e().type(c.in(1))});
}

absl::StatusOr<Tensors> Range(NodeContext& c) {
  return One(c.e().Emit(schema::BuiltinOperator_RANGE, {c.in(0), c.in(1), c.in(2)}));
}

absl::StatusOr<Tensors> Reverse(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(1));
  LS_ASSIGN_OR_RETURN(const int32_t t, c.e().Ints(axes));
  return One(c.e().Emit(schema::BuiltinOperator_REVERSE_V2, {c.in(), t}));
}

absl::StatusOr<Tensors> OneHot(NodeContext& c) {
  schema::OneHotOptionsT options;
  options.axis = static_cast<int32_t>(std::clamp<int64_t>(c.Int("axis", -1), -1, 8));
  LS_ASSIGN_OR_RETURN(const int32_t depth, c.e().AsInt32(c.in(1)));
  return c.e().Emit(schema::BuiltinOperator_ONE_HOT, Options(std::move(options)),
                    {c.in(0), depth, c.in(2), c.in(3)}, {c.e().type(c.in(2))});
}

absl::StatusOr<Tensors> BroadcastArgs(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t a, c.e().AsInt32(c.in(0)));
  LS_ASSIGN_OR_RETURN(const int32_t b, c.e().AsInt32(c.in(1)));
  return One(c.e().Emit(schema::BuiltinOperator_BROADCAST_ARGS, {a, b}));
}

// 0, 1 … up to dimension `d` of x, as a row (1 x n) or a column (n x 1).
absl::StatusOr<int32_t> Numbers(NodeContext& c, int32_t x, int d, bool column) {
  LS_ASSIGN_OR_RETURN(const int32_t shape, c.e().ShapeTensor({{1, {{x, d}}}}));
  LS_ASSIGN_OR_RETURN(const int32_t none, c.e().Ints({}));
  LS_ASSIGN_OR_RETURN(const int32_t end, c.e().Reshape(shape, none));
  LS_ASSIGN_OR_RETURN(const int32_t zero, c.e().Scalar(0));
  LS_ASSIGN_OR_RETURN(const int32_t one, c.e().Scalar(1));
  LS_ASSIGN_OR_RETURN(const int32_t all,
                      c.e().Emit(schema::BuiltinOperator_RANGE, {zero, end, one}));
  LS_ASSIGN_OR_RETURN(const int32_t target, c.e().Ints(column ? Shape{-1, 1} : Shape{1, -1}));
  return c.e().Reshape(all, target);
}

// Where row - column <= lower and column - row <= upper; a negative limit is none.
absl::StatusOr<Tensors> BandPart(NodeContext& c) {
  const int32_t x = c.in();
  const auto rank = static_cast<int>(c.e().rank(x));
  if (rank < 2) return Invalid("its input is no matrix");
  LS_ASSIGN_OR_RETURN(const int32_t rows, Numbers(c, x, rank - 2, true));
  LS_ASSIGN_OR_RETURN(const int32_t columns, Numbers(c, x, rank - 1, false));
  int32_t y = x;
  for (size_t i = 1; i <= 2; ++i) {
    LS_ASSIGN_OR_RETURN(const int32_t limit, c.KnownScalar(i));
    if (limit < 0) continue;
    LS_ASSIGN_OR_RETURN(const int32_t distance,
                        c.e().Binary(schema::BuiltinOperator_SUB, i == 1 ? rows : columns,
                                     i == 1 ? columns : rows));
    LS_ASSIGN_OR_RETURN(const int32_t most, c.e().Scalar(limit));
    LS_ASSIGN_OR_RETURN(const auto inside, c.e().Emit(schema::BuiltinOperator_LESS_EQUAL, Options(),
                                                      {distance, most}, {schema::TensorType_BOOL}));
    if (c.e().type(x) == schema::TensorType_BOOL) {
      LS_ASSIGN_OR_RETURN(y, c.e().Binary(schema::BuiltinOperator_LOGICAL_AND, y, inside[0]));
    } else {
      LS_ASSIGN_OR_RETURN(const int32_t factor, c.e().CastTo(inside[0], c.e().type(x)));
      LS_ASSIGN_OR_RETURN(y, c.e().Binary(schema::BuiltinOperator_MUL, y, factor));
    }
  }
  return Tensors{y};
}

// The part of x along `axis` from `begin` on, `size` elements or (-1) the rest.
absl::StatusOr<int32_t> Part(NodeContext& c, int32_t x, size_t axis, int32_t begin, int32_t size) {
  std::vector<int32_t> begins(c.e().rank(x), 0), sizes(c.e().rank(x), -1);
  begins[axis] = begin;
  sizes[axis] = size;
  LS_ASSIGN_OR_RETURN(const int32_t from, c.e().Ints(begins));
  LS_ASSIGN_OR_RETURN(const int32_t count, c.e().Ints(sizes));
  return c.e().Emit(schema::BuiltinOperator_SLICE, {x, from, count});
}

// What leaves at the end comes in at the beginning.
absl::StatusOr<Tensors> Roll(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto shifts, c.Known(1));
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(2));
  if (shifts.size() != axes.size()) return Invalid("its shifts and axes differ in number");
  int32_t x = c.in();
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i]);
    const int32_t size = c.e().shape(x)[axis];
    if (size < 0) return Unsupported("it rolls over an open dimension");
    const int32_t first = size == 0 ? 0 : (size - (shifts[i] % size + size) % size) % size;
    if (first == 0) continue;
    LS_ASSIGN_OR_RETURN(const int32_t end, Part(c, x, axis, first, -1));
    LS_ASSIGN_OR_RETURN(const int32_t start, Part(c, x, axis, 0, first));
    schema::ConcatenationOptionsT options;
    options.axis = axes[i];
    LS_ASSIGN_OR_RETURN(x, c.e().Emit(schema::BuiltinOperator_CONCATENATION,
                                      Options(std::move(options)), {end, start}));
  }
  return Tensors{x};
}

// The inverse of a known permutation.
absl::StatusOr<Tensors> InvertPermutation(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto order, c.Known(0));
  std::vector<int32_t> out(order.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] < 0 || static_cast<size_t>(order[i]) >= order.size()) {
      return Invalid("its input is no permutation");
    }
    out[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  }
  return One(c.e().Ints(out));
}

}  // namespace

std::vector<Lowering> ShapeLowerings() {
  using namespace schema;  // NOLINT: the operators' names
  return {{"Shape", 1, ShapeOf},
          {"ShapeN", 1, ShapeN},
          {"Size", 1, Size},
          {"Rank", 1, Rank},
          {"Reshape", 2, Reshape},
          {"ExpandDims", 2, ExpandDims},
          {"Squeeze", 1, Squeeze},
          {"Transpose", 2, Transpose},
          {"ConcatV2", 2, ConcatV2},
          {"Concat", 2, ConcatV1},
          {"Pack", 1, Pack},
          {"Unpack", 1, Unpack},
          {"Split", 2, Split},
          {"SplitV", 3, SplitV},
          {"Slice", 3, Slice},
          {"StridedSlice", 4, StridedSlice},
          {"Pad", 2, Pad},
          {"PadV2", 3, Pad},
          {"MirrorPad", 2, MirrorPad},
          {"Gather", 2, Gather},
          {"GatherV2", 3, Gather},
          {"GatherNd", 2, GatherNd},
          {"Tile", 2, WithSizes<BuiltinOperator_TILE>},
          {"BroadcastTo", 2, WithSizes<BuiltinOperator_BROADCAST_TO>},
          {"BroadcastArgs", 2, BroadcastArgs},
          {"Fill", 2, Fill},
          {"Range", 3, Range},
          {"ReverseV2", 2, Reverse},
          {"OneHot", 4, OneHot},
          {"MatrixBandPart", 3, BandPart},
          {"Roll", 3, Roll},
          {"InvertPermutation", 1, InvertPermutation}};
}

}  // namespace litesmith::saved_model
