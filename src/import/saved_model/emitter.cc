#include "import/saved_model/emitter.h"

#include <algorithm>
#include <cstring>

#include "runtime/program.h"

namespace litesmith::saved_model {
namespace {

using schema::BuiltinOperator;

// The two made-up sizes of an open dimension. Sizes of images are multiples of 32, so that networks
// that halve and double them hold together.
int32_t MadeUpSize(size_t dimension, size_t probe) {
  if (dimension == 0) return probe == 0 ? 2 : 3;
  return static_cast<int32_t>((probe == 0 ? 192 : 288) + 32 * dimension);
}

// A result that depends on open sizes is kept up to this size, a constant one is made where it is
// not larger than this or than what it is made of.
constexpr size_t kLargestOpenValue = size_t{64} << 10;
constexpr size_t kLargestExpansion = size_t{1} << 20;
constexpr size_t kAllOpenValues = size_t{64} << 20;

// Operators that only move elements: an element that comes out equal for both sizes is equal for
// all.
bool OnlyMoves(BuiltinOperator op) {
  switch (op) {
    case schema::BuiltinOperator_SHAPE:
    case schema::BuiltinOperator_RANK:
    case schema::BuiltinOperator_STRIDED_SLICE:
    case schema::BuiltinOperator_SLICE:
    case schema::BuiltinOperator_GATHER:
    case schema::BuiltinOperator_PACK:
    case schema::BuiltinOperator_UNPACK:
    case schema::BuiltinOperator_SPLIT:
    case schema::BuiltinOperator_SPLIT_V:
    case schema::BuiltinOperator_CONCATENATION:
    case schema::BuiltinOperator_RESHAPE:
    case schema::BuiltinOperator_SQUEEZE:
    case schema::BuiltinOperator_EXPAND_DIMS:
    case schema::BuiltinOperator_CAST:
    case schema::BuiltinOperator_REVERSE_V2:
      return true;
    default:
      return false;
  }
}

bool SameBytes(const Blob& a, const Blob& b) {
  return a.bytes.size() == b.bytes.size() &&
         (a.bytes.empty() || std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0);
}

Shape Merged(const Shape& a, const Shape& b) {
  Shape out = a;
  for (size_t i = 0; i < out.size(); ++i) {
    if (a[i] != b[i]) out[i] = -1;
  }
  return out;
}

absl::Status RunKernel(const OpRecord& op, const Node& node, std::span<const TensorView> inputs,
                       std::span<const TensorView> outputs, std::vector<Blob>* values) {
  LS_ASSIGN_OR_RETURN(const Kernel kernel,
                      op.prepare(PrepareArgs{node, inputs, outputs, KernelMode::kReference}));
  std::vector<const void*> in;
  for (const TensorView& view : inputs) in.push_back(view.data);
  std::vector<std::vector<std::byte>> memory;
  std::vector<void*> out;
  for (const TensorView& view : outputs) {
    LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(view.type, view.shape));
    memory.emplace_back(bytes + 1);  // never null
    out.push_back(memory.back().data());
  }
  constexpr size_t kAlignment = 64;
  std::vector<std::byte> scratch(kernel.scratch_bytes + kAlignment);
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  RunArgs args;
  args.inputs = in;
  args.outputs = out;
  args.scratch = scratch.data() + (kAlignment - address % kAlignment) % kAlignment;
  LS_RETURN_IF_ERROR(kernel.run(args));
  for (size_t i = 0; i < outputs.size(); ++i) {
    memory[i].pop_back();
    values->push_back(Blob::Own(std::move(memory[i])));
  }
  return absl::OkStatus();
}

template <typename T>
void Append(const Blob& blob, std::vector<int64_t>* out) {
  for (const T x : blob.As<T>()) out->push_back(static_cast<int64_t>(x));
}

bool ReadInts(TensorType type, const Blob& blob, std::vector<int64_t>* out) {
  if (type == schema::TensorType_INT32) {
    Append<int32_t>(blob, out);
  } else if (type == schema::TensorType_INT64) {
    Append<int64_t>(blob, out);
  } else if (type == schema::TensorType_BOOL) {
    Append<uint8_t>(blob, out);
  } else {
    return false;
  }
  return true;
}

}  // namespace

Emitter::Emitter(const Context& context) : context_(context), builder_(context.memory_budget) {}

void Emitter::SetSource(std::string_view name) {
  const size_t slash = name.rfind('/');
  layer_ = name.substr(0, slash);
  what_ = slash == std::string_view::npos ? name : name.substr(slash + 1);
}

void Emitter::Note(int32_t t, Info info) {
  infos_.resize(std::max(infos_.size(), static_cast<size_t>(t) + 1));
  infos_[static_cast<size_t>(t)] = std::move(info);
}

int32_t Emitter::Input(std::string_view name, TensorType type, const Shape& shape) {
  const int32_t t = builder_.Input(name, type, shape);
  Info info;
  for (size_t p = 0; p < 2; ++p) {
    info.probes[p].shape = shape;
    for (size_t d = 0; d < shape.size(); ++d) {
      if (shape[d] < 0) info.probes[p].shape[d] = MadeUpSize(d, p);
    }
  }
  Note(t, std::move(info));
  return t;
}

absl::StatusOr<int32_t> Emitter::Constant(TensorType type, Shape shape, Blob data,
                                          std::string_view name) {
  const Probe probe{shape, true, data};
  LS_ASSIGN_OR_RETURN(const int32_t t,
                      builder_.Constant(name.empty() ? layer_ + "/" + what_ : std::string(name),
                                        type, std::move(shape), std::move(data)));
  Note(t, Info{{probe, probe}});
  return t;
}

absl::StatusOr<int32_t> Emitter::Ints(const std::vector<int32_t>& values) {
  return Constant(schema::TensorType_INT32, {static_cast<int32_t>(values.size())},
                  Blob::Of(values));
}
absl::StatusOr<int32_t> Emitter::Scalar(int32_t value) {
  return Constant(schema::TensorType_INT32, {}, Blob::Of(std::vector<int32_t>{value}));
}
absl::StatusOr<int32_t> Emitter::Scalar(float value) {
  return Constant(schema::TensorType_FLOAT32, {}, Blob::Of(std::vector<float>{value}));
}

bool Emitter::IsConstant(int32_t t) const {
  const auto& p = Of(t).probes;
  return p[0].has_value && p[1].has_value && p[0].shape == p[1].shape &&
         SameBytes(p[0].value, p[1].value);
}

bool Emitter::IsZero(int32_t t) const {
  for (const Probe& p : Of(t).probes) {
    if (!p.has_value || p.value.empty()) return false;
    if (std::any_of(p.value.bytes.begin(), p.value.bytes.end(),
                    [](std::byte b) { return b != std::byte{0}; })) {
      return false;
    }
  }
  return true;
}

std::optional<std::vector<int64_t>> Emitter::KnownInts(int32_t t) const {
  const auto& p = Of(t).probes;
  if (!p[0].has_value || !p[1].has_value || p[0].shape != p[1].shape) return std::nullopt;
  std::vector<int64_t> out, other;
  if (!ReadInts(type(t), p[0].value, &out) || !ReadInts(type(t), p[1].value, &other)) {
    return std::nullopt;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] != other[i]) out[i] = kOpen;
  }
  return out;
}

const Node* Emitter::Producer(int32_t t) const {
  const auto found = producers_.find(t);
  return found == producers_.end() ? nullptr : &builder_.graph().main().nodes[found->second];
}

std::optional<float> Emitter::KnownFloat(int32_t t) const {
  const Probe& p = Of(t).probes[0];
  if (!IsConstant(t) || type(t) != schema::TensorType_FLOAT32 || NumElements(p.shape) != 1) {
    return std::nullopt;
  }
  return p.value.As<float>()[0];
}

absl::Status Emitter::Compute(const OpRecord& op, const Node& node,
                              const std::vector<TensorType>& types, size_t probe,
                              std::vector<Probe>* outputs) const {
  static const QuantParams kNoQuant;
  static const std::byte kNothing[16] = {};
  std::vector<TensorView> in, out;
  bool values = !op.stateful;
  size_t input_bytes = 0;
  for (int32_t t : node.inputs) {
    TensorView& view = in.emplace_back();
    view.quant = &kNoQuant;
    if (t < 0) continue;
    const Probe& p = Of(t).probes[probe];
    view.type = type(t);
    view.shape = p.shape;
    view.present = true;
    if (p.has_value) view.data = p.value.empty() ? kNothing : p.value.bytes.data();
    values = values && (p.has_value || op.shape_only);
    input_bytes += p.value.bytes.size();
  }
  for (TensorType type : types) {
    TensorView& view = out.emplace_back();
    view.quant = &kNoQuant;
    view.type = type;
    view.present = true;
  }
  std::vector<Shape> shapes;
  const absl::Status inferred = InferNode(op, node, in, out, &shapes);
  if (IsNeedsValue(inferred)) {
    return Unsupported("the shape of its result depends on the values of the model's inputs");
  }
  LS_RETURN_IF_ERROR(inferred);
  size_t bytes = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    out[i].shape = shapes[i];
    outputs->push_back(Probe{shapes[i], false, {}});
    LS_ASSIGN_OR_RETURN(const size_t size, TensorBytes(types[i], shapes[i]));
    bytes += std::min(size, SIZE_MAX / 64);
  }
  if (!values || bytes > std::max(2 * input_bytes, kLargestExpansion)) return absl::OkStatus();
  if (bytes > context_.memory_budget) return absl::OkStatus();
  std::vector<Blob> blobs;
  // Without a kernel for these types the node stays.
  if (!RunKernel(op, node, in, out, &blobs).ok()) return absl::OkStatus();
  for (size_t i = 0; i < blobs.size(); ++i) {
    (*outputs)[i].has_value = true;
    (*outputs)[i].value = std::move(blobs[i]);
  }
  return absl::OkStatus();
}

// x + 0 and 0 * x, as a recurrent layer's first step has them: its zeros have an open batch, so
// they are no constants.
std::optional<int32_t> Emitter::WithoutZeros(BuiltinOperator op, const Node& node) const {
  const bool sum = op == schema::BuiltinOperator_ADD, product = op == schema::BuiltinOperator_MUL;
  if ((!sum && !product) || node.inputs.size() != 2) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const int32_t zero = node.inputs[i], other = node.inputs[1 - i];
    if (IsConstant(zero) || !IsZero(zero)) continue;
    bool same = true;
    for (size_t p = 0; p < 2; ++p) {
      same = same && Of(zero).probes[p].shape == Of(other).probes[p].shape;
    }
    if (same && type(zero) == type(other)) return sum ? other : zero;
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<int32_t>> Emitter::Emit(BuiltinOperator op, Options options,
                                                   const std::vector<int32_t>& inputs,
                                                   const std::vector<TensorType>& types) {
  Node node;
  node.op = op;
  node.options = std::move(options);
  node.inputs = inputs;
  if (const auto same = WithoutZeros(op, node)) return std::vector<int32_t>{*same};
  LS_ASSIGN_OR_RETURN(const OpRecord* record, RunnableOp(node));
  if (record->infer_shapes == nullptr || record->prepare == nullptr) {
    return Unsupported("{} cannot be imported", OperatorName(node));
  }
  std::array<std::vector<Probe>, 2> results;
  LS_RETURN_IF_ERROR(Compute(*record, node, types, 0, &results[0]));
  const bool closed = std::all_of(inputs.begin(), inputs.end(), [&](int32_t t) {
    if (t < 0) return true;
    const auto& p = Of(t).probes;
    return p[0].shape == p[1].shape && p[0].has_value == p[1].has_value &&
           (!p[0].has_value || IsConstant(t));
  });
  if (closed) {
    results[1] = results[0];
  } else {
    LS_RETURN_IF_ERROR(Compute(*record, node, types, 1, &results[1]));
  }
  bool constant = true;
  for (size_t i = 0; i < types.size(); ++i) {
    Probe &a = results[0][i], &b = results[1][i];
    if (a.shape.size() != b.shape.size()) {
      return Unsupported("its result's rank depends on an open dimension");
    }
    const bool equal =
        a.has_value && b.has_value && a.shape == b.shape && SameBytes(a.value, b.value);
    const bool chance = equal && !closed && !OnlyMoves(op);
    const size_t open = equal ? 0 : std::max(a.value.bytes.size(), b.value.bytes.size());
    const bool large = open > kLargestOpenValue || open_bytes_ + open > kAllOpenValues;
    if (chance || large) a = Probe{a.shape, false, {}}, b = Probe{b.shape, false, {}};
    if (!large) open_bytes_ += open;
    constant = constant && equal && !chance;
  }
  std::vector<int32_t> outputs;
  if (constant) {
    for (size_t i = 0; i < types.size(); ++i) {
      LS_ASSIGN_OR_RETURN(const int32_t t,
                          Constant(types[i], results[0][i].shape, results[0][i].value));
      outputs.push_back(t);
    }
    return outputs;
  }
  for (size_t i = 0; i < types.size(); ++i) {
    Shape shape = Merged(results[0][i].shape, results[1][i].shape);
    outputs.push_back(i == 0 ? builder_.AddNode(op, node.options, inputs, layer_, what_,
                                                std::move(shape), types[i])
                             : builder_.Intermediate(layer_, what_, std::move(shape), types[i]));
    Note(outputs.back(), Info{{std::move(results[0][i]), std::move(results[1][i])}});
  }
  builder_.subgraph().nodes.back().outputs = outputs;
  for (int32_t t : outputs) producers_[t] = builder_.subgraph().nodes.size() - 1;
  return outputs;
}

absl::StatusOr<int32_t> Emitter::Emit(BuiltinOperator op, Options options,
                                      const std::vector<int32_t>& inputs) {
  LS_ASSIGN_OR_RETURN(const auto outputs,
                      Emit(op, std::move(options), inputs, {type(inputs.front())}));
  return outputs[0];
}

absl::StatusOr<int32_t> Emitter::Binary(BuiltinOperator op, int32_t a, int32_t b) {
  return Emit(op, {a, b});
}

absl::StatusOr<int32_t> Emitter::CastTo(int32_t t, TensorType to) {
  if (type(t) == to) return t;
  schema::CastOptionsT options;
  options.in_data_type = type(t);
  options.out_data_type = to;
  LS_ASSIGN_OR_RETURN(const auto out,
                      Emit(schema::BuiltinOperator_CAST, Options(std::move(options)), {t}, {to}));
  return out[0];
}

absl::StatusOr<int32_t> Emitter::AsInt32(int32_t t) { return CastTo(t, schema::TensorType_INT32); }

absl::StatusOr<int32_t> Emitter::Transpose(int32_t t, const std::vector<int32_t>& permutation) {
  if (std::is_sorted(permutation.begin(), permutation.end())) return t;
  // Two in a row are one.
  const Node* before = Producer(t);
  if (before != nullptr && before->op == schema::BuiltinOperator_TRANSPOSE) {
    const auto first = KnownInts(before->input(1));
    std::vector<int32_t> both;
    for (int32_t d : permutation) {
      if (first) both.push_back(static_cast<int32_t>(first->at(static_cast<size_t>(d))));
    }
    if (first && IsConstant(before->input(1))) return Transpose(before->input(0), both);
  }
  LS_ASSIGN_OR_RETURN(const int32_t order, Ints(permutation));
  return Emit(schema::BuiltinOperator_TRANSPOSE, Options(schema::TransposeOptionsT{}), {t, order});
}

absl::StatusOr<int32_t> Emitter::Reshape(int32_t t, int32_t shape) {
  schema::ReshapeOptionsT options;
  if (const auto known = KnownInts(shape)) {
    int open = 0;
    std::vector<int32_t> sizes;
    for (int64_t size : *known) {
      if (size < INT32_MIN || size > INT32_MAX) size = size == kOpen ? -1 : -2;
      if (size == -1) ++open;
      sizes.push_back(static_cast<int32_t>(size));
    }
    if (open <= 1) {
      if (sizes == this->shape(t) && open == 0) return t;
      LS_ASSIGN_OR_RETURN(shape, Ints(sizes));
      options.new_shape = sizes;
    }
  }
  LS_ASSIGN_OR_RETURN(shape, AsInt32(shape));
  return Emit(schema::BuiltinOperator_RESHAPE, Options(std::move(options)), {t, shape});
}

absl::StatusOr<int32_t> Emitter::ShapeOf(int32_t t, TensorType to) {
  schema::ShapeOptionsT options;
  options.out_type = to;
  LS_ASSIGN_OR_RETURN(const auto shape,
                      Emit(schema::BuiltinOperator_SHAPE, Options(std::move(options)), {t}, {to}));
  return shape[0];
}

absl::StatusOr<int32_t> Emitter::ShapeTensor(const std::vector<Size>& sizes) {
  std::vector<int32_t> parts;
  for (const Size& size : sizes) {
    LS_ASSIGN_OR_RETURN(int32_t product, Scalar(size.known));
    for (const auto& [tensor, dimension] : size.dims) {
      LS_ASSIGN_OR_RETURN(const int32_t all, ShapeOf(tensor, schema::TensorType_INT32));
      LS_ASSIGN_OR_RETURN(const int32_t begin, Ints({dimension}));
      LS_ASSIGN_OR_RETURN(const int32_t end, Ints({dimension + 1}));
      LS_ASSIGN_OR_RETURN(const int32_t step, Ints({1}));
      schema::StridedSliceOptionsT options;
      options.shrink_axis_mask = 1;
      LS_ASSIGN_OR_RETURN(const int32_t one, Emit(schema::BuiltinOperator_STRIDED_SLICE,
                                                  Options(options), {all, begin, end, step}));
      LS_ASSIGN_OR_RETURN(product, Binary(schema::BuiltinOperator_MUL, product, one));
    }
    parts.push_back(product);
  }
  if (parts.empty()) return Ints({});
  schema::PackOptionsT options;
  options.values_count = static_cast<int32_t>(parts.size());
  return Emit(schema::BuiltinOperator_PACK, Options(std::move(options)), parts);
}

absl::StatusOr<int32_t> Emitter::Reshape(int32_t t, const std::vector<Size>& sizes) {
  LS_ASSIGN_OR_RETURN(const int32_t shape, ShapeTensor(sizes));
  return Reshape(t, shape);
}

}  // namespace litesmith::saved_model
