#include "train/channel_groups.h"

#include <algorithm>
#include <numeric>

#include "base/status.h"

namespace litesmith {
namespace {

std::vector<int32_t> IntConstant(const Tensor& t) {
  if (!t.is_constant() || t.type != schema::TensorType_INT32) return {};
  const auto values = t.data.As<int32_t>();
  return {values.begin(), values.end()};
}

int64_t Product(const Shape& shape, size_t begin, size_t end) {
  int64_t out = 1;
  for (size_t d = begin; d < end; ++d) out *= std::max(shape[d], 1);
  return out;
}

// What an operator does to channels.
enum class Kind { kOther, kUnary, kPool, kBroadcast };

Kind KindOf(schema::BuiltinOperator op) {
  switch (op) {
    case schema::BuiltinOperator_RELU:
    case schema::BuiltinOperator_RELU6:
    case schema::BuiltinOperator_RELU_N1_TO_1:
    case schema::BuiltinOperator_RELU_0_TO_1:
    case schema::BuiltinOperator_LEAKY_RELU:
    case schema::BuiltinOperator_ELU:
    case schema::BuiltinOperator_GELU:
    case schema::BuiltinOperator_HARD_SWISH:
    case schema::BuiltinOperator_LOGISTIC:
    case schema::BuiltinOperator_TANH:
    case schema::BuiltinOperator_ABS:
    case schema::BuiltinOperator_NEG:
    case schema::BuiltinOperator_EXP:
    case schema::BuiltinOperator_LOG:
    case schema::BuiltinOperator_SQRT:
    case schema::BuiltinOperator_RSQRT:
    case schema::BuiltinOperator_SQUARE:
    case schema::BuiltinOperator_SIN:
    case schema::BuiltinOperator_COS:
    case schema::BuiltinOperator_FLOOR:
    case schema::BuiltinOperator_CEIL:
    case schema::BuiltinOperator_ROUND:
    case schema::BuiltinOperator_SIGN:
      return Kind::kUnary;
    case schema::BuiltinOperator_AVERAGE_POOL_2D:
    case schema::BuiltinOperator_MAX_POOL_2D:
    case schema::BuiltinOperator_L2_POOL_2D:
    case schema::BuiltinOperator_RESIZE_BILINEAR:
    case schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR:
      return Kind::kPool;
    case schema::BuiltinOperator_ADD:
    case schema::BuiltinOperator_SUB:
    case schema::BuiltinOperator_MUL:
    case schema::BuiltinOperator_DIV:
    case schema::BuiltinOperator_MAXIMUM:
    case schema::BuiltinOperator_MINIMUM:
    case schema::BuiltinOperator_SQUARED_DIFFERENCE:
    case schema::BuiltinOperator_POW:
    case schema::BuiltinOperator_PRELU:
      return Kind::kBroadcast;
    default:
      return Kind::kOther;
  }
}

}  // namespace

ChannelGroups::ChannelGroups(const Graph& graph)
    : subgraph_(graph.main()), axes_(subgraph_.tensors.size()) {
  for (int32_t t : subgraph_.inputs) {
    const Shape& shape = tensor(t).shape;
    if (shape.empty()) continue;
    SetChannels(
        t, static_cast<int>(shape.size()) - 1,
        Fresh(static_cast<size_t>(std::max(shape.back(), 0)), "they are the model's input"));
  }
  for (size_t n = 0; n < subgraph_.nodes.size(); ++n) Visit(static_cast<int32_t>(n));
  for (int32_t t : subgraph_.outputs) FreezeTensor(t, "they are the model's output");
  for (const Signature& signature : graph.signatures) {
    if (signature.subgraph != 0) continue;
    for (const SignatureEntry& e : signature.outputs) {
      FreezeTensor(e.tensor, "they are the model's output");
    }
  }
  // State keeps its shape.
  for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
    const Node& node = subgraph_.nodes[n];
    for (int32_t t : node.inputs) {
      if (t < 0 || !tensor(t).is_variable) continue;
      FreezeTensor(t, fmt::format("{} keeps them", NodeLabel(subgraph_, n)));
    }
  }
}

int32_t ChannelGroups::Root(int32_t unit) const {
  while (parent_[static_cast<size_t>(unit)] != unit) unit = parent_[static_cast<size_t>(unit)];
  return unit;
}

bool ChannelGroups::IsFloatConstant(int32_t t) const {
  return t >= 0 && tensor(t).is_constant() && tensor(t).type == schema::TensorType_FLOAT32 &&
         tensor(t).sparsity == nullptr && !tensor(t).is_variable;
}

ChannelGroups::Units ChannelGroups::Fresh(size_t count, const std::string& frozen) {
  Units out(count);
  std::iota(out.begin(), out.end(), static_cast<int32_t>(parent_.size()));
  parent_.insert(parent_.end(), out.begin(), out.end());
  frozen_.insert(frozen_.end(), count, frozen);
  return out;
}

void ChannelGroups::Unite(int32_t a, int32_t b) {
  a = Root(a);
  b = Root(b);
  if (a == b) return;
  if (a > b) std::swap(a, b);
  parent_[static_cast<size_t>(b)] = a;
  std::string& why = frozen_[static_cast<size_t>(a)];
  if (why.empty()) why = frozen_[static_cast<size_t>(b)];
}

void ChannelGroups::Unite(const Units& a, const Units& b) {
  if (a.size() != b.size()) {
    Freeze(a, "they meet another number of channels");
    Freeze(b, "they meet another number of channels");
    return;
  }
  for (size_t i = 0; i < a.size(); ++i) Unite(a[i], b[i]);
}

void ChannelGroups::Freeze(const Units& units, const std::string& why) {
  for (int32_t unit : units) {
    std::string& reason = frozen_[static_cast<size_t>(Root(unit))];
    if (reason.empty()) reason = why;
  }
}

void ChannelGroups::FreezeTensor(int32_t t, const std::string& why) {
  if (t < 0) return;
  for (const Axis& axis : axes_[static_cast<size_t>(t)]) Freeze(axis.units, why);
}

const ChannelGroups::Axis* ChannelGroups::Channels(int32_t t) const {
  if (t < 0 || axes_[static_cast<size_t>(t)].empty()) return nullptr;
  return &axes_[static_cast<size_t>(t)].front();
}

void ChannelGroups::SetChannels(int32_t t, int dimension, Units units) {
  if (t < 0) return;
  const Shape& shape = tensor(t).shape;
  const auto d = static_cast<size_t>(dimension);
  if (d >= shape.size() || static_cast<size_t>(std::max(shape[d], 0)) != units.size()) {
    Freeze(units, fmt::format("the shape of '{}' is not known", Printable(tensor(t).label())));
    return;
  }
  axes_[static_cast<size_t>(t)] = {Axis{dimension, std::move(units)}};
}

void ChannelGroups::Bind(int32_t t, int dimension, const Units& units) {
  const Tensor& constant = tensor(t);
  const auto d = static_cast<size_t>(dimension);
  if (d >= constant.shape.size() || static_cast<size_t>(constant.shape[d]) != units.size() ||
      !constant.quant.empty()) {
    Freeze(units, fmt::format("'{}' does not fit them", Printable(constant.label())));
    return;
  }
  for (const Axis& axis : axes_[static_cast<size_t>(t)]) {
    if (axis.dimension == dimension) return Unite(axis.units, units);
  }
  axes_[static_cast<size_t>(t)].push_back({dimension, units});
}

void ChannelGroups::Visit(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  switch (node.op) {
    case schema::BuiltinOperator_CONV_2D:
    case schema::BuiltinOperator_FULLY_CONNECTED:
      return VisitLayer(n, 0, 1, 2);
    case schema::BuiltinOperator_TRANSPOSE_CONV:
      return VisitLayer(n, 2, 1, 3);
    case schema::BuiltinOperator_DEPTHWISE_CONV_2D:
      return VisitDepthwise(n);
    case schema::BuiltinOperator_PAD:
    case schema::BuiltinOperator_PADV2:
    case schema::BuiltinOperator_MIRROR_PAD:
      return VisitPad(n);
    case schema::BuiltinOperator_CONCATENATION:
      return VisitConcatenation(n);
    case schema::BuiltinOperator_RESHAPE:
    case schema::BuiltinOperator_SQUEEZE:
    case schema::BuiltinOperator_EXPAND_DIMS:
      return VisitReshape(n);
    case schema::BuiltinOperator_TRANSPOSE:
      return VisitTranspose(n);
    case schema::BuiltinOperator_MEAN:
    case schema::BuiltinOperator_SUM:
    case schema::BuiltinOperator_REDUCE_MAX:
    case schema::BuiltinOperator_REDUCE_MIN:
      return VisitReduce(n);
    case schema::BuiltinOperator_SOFTMAX:
    case schema::BuiltinOperator_LOG_SOFTMAX:
      return VisitSoftmax(n);
    case schema::BuiltinOperator_SPLIT:
      return VisitSplit(n);
    default:
      break;
  }
  switch (KindOf(node.op)) {
    case Kind::kUnary:
      return VisitUnary(n);
    case Kind::kPool:
      return VisitPool(n);
    case Kind::kBroadcast:
      return VisitBroadcast(n);
    case Kind::kOther:
      return VisitOther(n);
  }
}

// Nothing is known of what it does to channels.
void ChannelGroups::VisitOther(int32_t n) {
  const std::string why =
      fmt::format("{} does not keep them apart", NodeLabel(subgraph_, static_cast<size_t>(n)));
  for (int32_t t : subgraph_.nodes[static_cast<size_t>(n)].inputs) {
    FreezeTensor(t, why);
    // Later readers of the constant are frozen with it.
    if (t < 0 || !IsFloatConstant(t)) continue;
    for (size_t d = 0; d < tensor(t).shape.size(); ++d) {
      Bind(t, static_cast<int>(d), Fresh(static_cast<size_t>(tensor(t).shape[d]), why));
    }
  }
}

void ChannelGroups::VisitUnary(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  if (const Axis* in = Channels(node.input(0))) {
    SetChannels(node.output(0), in->dimension, in->units);
  }
}

void ChannelGroups::VisitPool(int32_t n) {
  const Axis* in = Channels(subgraph_.nodes[static_cast<size_t>(n)].input(0));
  if (in == nullptr || in->dimension != 3) return VisitOther(n);
  VisitUnary(n);
}

void ChannelGroups::VisitBroadcast(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const Shape& out = tensor(node.output(0)).shape;
  const std::string label = NodeLabel(subgraph_, static_cast<size_t>(n));
  int dimension = -1;
  Units units;
  const auto shift = [&](int32_t t) {
    return static_cast<int>(out.size()) - static_cast<int>(tensor(t).shape.size());
  };
  for (int32_t t : node.inputs) {
    const Axis* in = t >= 0 && !tensor(t).is_constant() ? Channels(t) : nullptr;
    if (in == nullptr) continue;
    const int at = in->dimension + shift(t);
    if (at < 0 || static_cast<size_t>(out[static_cast<size_t>(at)]) != in->units.size()) {
      Freeze(in->units, fmt::format("{} repeats them", label));
    } else if (dimension < 0) {
      dimension = at;
      units = in->units;
    } else if (dimension == at) {
      Unite(units, in->units);
    } else {
      Freeze(units, fmt::format("{} crosses them", label));
      Freeze(in->units, fmt::format("{} crosses them", label));
    }
  }
  if (dimension < 0) return VisitOther(n);
  for (int32_t t : node.inputs) {
    if (t < 0 || (!tensor(t).is_constant() && Channels(t) != nullptr)) continue;
    const int at = dimension - shift(t);
    if (at < 0 || tensor(t).shape[static_cast<size_t>(at)] == 1) continue;
    if (IsFloatConstant(t)) {
      Bind(t, at, units);
    } else {
      Freeze(units, fmt::format("{} adds something that cannot be cut", label));
    }
  }
  SetChannels(node.output(0), dimension, std::move(units));
}

void ChannelGroups::VisitPad(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const Axis* in = Channels(node.input(0));
  const std::vector<int32_t> pads =
      node.input(1) >= 0 ? IntConstant(tensor(node.input(1))) : std::vector<int32_t>();
  if (in == nullptr || pads.size() != 2 * tensor(node.input(0)).shape.size()) return VisitOther(n);
  const auto d = static_cast<size_t>(in->dimension);
  const int32_t before = pads[2 * d], after = pads[2 * d + 1];
  if (before == 0 && after == 0) return VisitUnary(n);
  if (node.op == schema::BuiltinOperator_MIRROR_PAD || before < 0 || after < 0) {
    return VisitOther(n);
  }
  const std::string why =
      fmt::format("{} adds channels", NodeLabel(subgraph_, static_cast<size_t>(n)));
  const int dimension = in->dimension;
  Units units = Fresh(static_cast<size_t>(before), why);
  const Units& own = Channels(node.input(0))->units;
  units.insert(units.end(), own.begin(), own.end());
  const Units rest = Fresh(static_cast<size_t>(after), why);
  units.insert(units.end(), rest.begin(), rest.end());
  SetChannels(node.output(0), dimension, std::move(units));
}

void ChannelGroups::VisitConcatenation(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const auto rank = static_cast<int>(tensor(node.output(0)).shape.size());
  int axis = node.GetOptions<schema::ConcatenationOptionsT>().axis;
  if (axis < 0) axis += rank;
  int dimension = -1;
  for (int32_t t : node.inputs) {
    const Axis* in = Channels(t);
    if (in == nullptr || tensor(t).is_constant()) continue;
    if (dimension >= 0 && dimension != in->dimension) return VisitOther(n);
    dimension = in->dimension;
  }
  if (dimension < 0) return VisitOther(n);
  const std::string why =
      fmt::format("{} joins them with others", NodeLabel(subgraph_, static_cast<size_t>(n)));
  Units units;
  for (int32_t t : node.inputs) {
    const Axis* in = t >= 0 && !tensor(t).is_constant() ? Channels(t) : nullptr;
    const auto size = static_cast<size_t>(tensor(t).shape[static_cast<size_t>(dimension)]);
    const Units own = in != nullptr ? in->units : Fresh(size, why);
    if (in == nullptr && IsFloatConstant(t)) Bind(t, dimension, own);
    if (dimension == axis) {
      units.insert(units.end(), own.begin(), own.end());
    } else if (units.empty()) {
      units = own;
    } else {
      Unite(units, own);
    }
  }
  SetChannels(node.output(0), dimension, std::move(units));
}

// Element f of the tensor lies at index (f / inner) % size of the channel dimension, before and
// after.
ChannelGroups::Axis ChannelGroups::Reshaped(int32_t t, const Shape& to) {
  const Axis& in = *Channels(t);
  const Shape& from = tensor(t).shape;
  const int64_t inner = Product(from, static_cast<size_t>(in.dimension) + 1, from.size());
  const auto size = static_cast<int64_t>(in.units.size());
  for (size_t d = to.size(); d-- > 0;) {
    const int64_t inner_to = Product(to, d + 1, to.size());
    if (to[d] <= 1 && size > 1) continue;
    if (inner % inner_to != 0 || to[d] % (inner / inner_to * size) != 0) continue;
    Axis out{static_cast<int>(d), Units(static_cast<size_t>(to[d]))};
    for (int64_t k = 0; k < to[d]; ++k) {
      out.units[static_cast<size_t>(k)] =
          in.units[static_cast<size_t>(k / (inner / inner_to) % size)];
    }
    return out;
  }
  // Rows of channels that become positions and channels: those of one channel go together.
  if (inner == 1 && !to.empty() && to.back() > 1 && size % to.back() == 0) {
    Axis out{static_cast<int>(to.size()) - 1, {}};
    out.units.assign(in.units.begin(), in.units.begin() + to.back());
    for (int64_t k = 0; k < size; ++k) {
      Unite(out.units[static_cast<size_t>(k % to.back())], in.units[static_cast<size_t>(k)]);
    }
    return out;
  }
  return Axis{-1, {}};
}

void ChannelGroups::VisitReshape(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  if (Channels(node.input(0)) == nullptr) return VisitOther(n);
  const Shape& to = tensor(node.output(0)).shape;
  const bool spelled = node.op == schema::BuiltinOperator_RESHAPE && node.input(1) >= 0;
  if (spelled && IntConstant(tensor(node.input(1))).size() != to.size()) return VisitOther(n);
  Axis out = Reshaped(node.input(0), to);
  if (out.dimension < 0) return VisitOther(n);
  if (spelled) shape_operands_.push_back({n, 1, out.dimension});
  SetChannels(node.output(0), out.dimension, std::move(out.units));
}

void ChannelGroups::VisitTranspose(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const Axis* in = Channels(node.input(0));
  const std::vector<int32_t> order =
      node.input(1) >= 0 ? IntConstant(tensor(node.input(1))) : std::vector<int32_t>();
  if (in == nullptr) return VisitOther(n);
  const auto rank = static_cast<int32_t>(order.size());
  for (int32_t d = 0; d < rank; ++d) {
    const int32_t from = order[static_cast<size_t>(d)];
    if ((from < 0 ? from + rank : from) == in->dimension) {
      return SetChannels(node.output(0), d, in->units);
    }
  }
  VisitOther(n);
}

void ChannelGroups::VisitReduce(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const Axis* in = Channels(node.input(0));
  std::vector<int32_t> axes =
      node.input(1) >= 0 ? IntConstant(tensor(node.input(1))) : std::vector<int32_t>();
  if (in == nullptr || axes.empty()) return VisitOther(n);
  const auto rank = static_cast<int32_t>(tensor(node.input(0)).shape.size());
  for (int32_t& a : axes) a = a < 0 ? a + rank : a;
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  if (std::find(axes.begin(), axes.end(), in->dimension) != axes.end()) {
    // A sum loses nothing with a channel of zeros; means and extremes do.
    if (node.op == schema::BuiltinOperator_SUM) return;
    return VisitOther(n);
  }
  int dimension = in->dimension;
  if (!node.GetOptions<schema::ReducerOptionsT>().keep_dims) {
    dimension -= static_cast<int>(
        std::count_if(axes.begin(), axes.end(), [&](int32_t a) { return a < in->dimension; }));
  }
  SetChannels(node.output(0), dimension, in->units);
}

void ChannelGroups::VisitSoftmax(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const Axis* in = Channels(node.input(0));
  if (in == nullptr) return;
  if (in->dimension + 1 == static_cast<int>(tensor(node.input(0)).shape.size())) {
    // The frozen units go on, so that a closing SOFTMAX is an output like any other.
    const auto is_output = [&](int32_t t) {
      return std::find(subgraph_.outputs.begin(), subgraph_.outputs.end(), t) !=
             subgraph_.outputs.end();
    };
    if (!is_output(node.output(0))) return VisitOther(n);
  }
  VisitUnary(n);
}

void ChannelGroups::VisitSplit(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const Axis* in = Channels(node.input(1));
  const std::vector<int32_t> axis =
      node.input(0) >= 0 ? IntConstant(tensor(node.input(0))) : std::vector<int32_t>();
  if (in == nullptr || axis.size() != 1) return VisitOther(n);
  const auto rank = static_cast<int32_t>(tensor(node.input(1)).shape.size());
  const int dimension = in->dimension;
  const Units units = in->units;
  if ((axis[0] < 0 ? axis[0] + rank : axis[0]) != dimension) {
    for (int32_t t : node.outputs) SetChannels(t, dimension, units);
    return;
  }
  if (units.size() % node.outputs.size() != 0) return VisitOther(n);
  // The parts stay equal.
  const size_t part = units.size() / node.outputs.size();
  for (size_t i = part; i < units.size(); ++i) Unite(units[i % part], units[i]);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const auto begin = units.begin() + static_cast<ptrdiff_t>(i * part);
    SetChannels(node.outputs[i], dimension, Units(begin, begin + static_cast<ptrdiff_t>(part)));
  }
}

void ChannelGroups::VisitDepthwise(int32_t n) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const Axis* in = Channels(node.input(0));
  const int32_t weights = node.input(1), bias = node.input(2);
  if (in == nullptr || !IsFloatConstant(weights) || (bias >= 0 && !IsFloatConstant(bias)) ||
      in->units.empty() || in->dimension != 3 || tensor(weights).shape.size() != 4) {
    return VisitOther(n);
  }
  const auto channels = static_cast<size_t>(tensor(weights).shape[3]);
  if (channels % in->units.size() != 0) return VisitOther(n);
  const size_t multiplier = channels / in->units.size();
  Units units;
  for (size_t i = 0; i < channels; ++i) units.push_back(in->units[i / multiplier]);
  Bind(weights, 3, units);
  if (bias >= 0) Bind(bias, 0, units);
  SetChannels(node.output(0), 3, std::move(units));
}

void ChannelGroups::VisitLayer(int32_t n, size_t data, size_t weights, size_t bias) {
  const Node& node = subgraph_.nodes[static_cast<size_t>(n)];
  const int32_t w = node.input(weights), b = node.input(bias);
  if (!IsFloatConstant(w) || (b >= 0 && !IsFloatConstant(b)) || tensor(w).shape.size() < 2) {
    return VisitOther(n);
  }
  const std::string label = NodeLabel(subgraph_, static_cast<size_t>(n));
  const Shape& shape = tensor(w).shape;
  const auto last = static_cast<int>(shape.size()) - 1;
  const bool transposed = node.op == schema::BuiltinOperator_TRANSPOSE_CONV;
  const std::vector<int32_t> spelled = transposed && node.input(0) >= 0
                                           ? IntConstant(tensor(node.input(0)))
                                           : std::vector<int32_t>();
  std::string frozen;
  if (transposed && spelled.size() != 4) frozen = fmt::format("{} computes its shape", label);
  if (const Axis* in = Channels(node.input(data))) {
    Axis seen = *in;
    if (node.op == schema::BuiltinOperator_FULLY_CONNECTED) {
      seen = Reshaped(node.input(data), {-1, shape.back()});
      if (seen.dimension != 1) {
        Freeze(in->units, fmt::format("{} does not keep them apart", label));
        seen.units.clear();
      }
    } else if (seen.units.size() != static_cast<size_t>(shape.back())) {
      frozen = fmt::format("{} is a grouped convolution", label);
      Freeze(seen.units, frozen);
      seen.units.clear();
    }
    if (!seen.units.empty()) Bind(w, last, seen.units);
  }
  Bind(w, 0, Fresh(static_cast<size_t>(shape[0]), frozen));
  // Weights that two nodes share have one set of units.
  Units units;
  for (const Axis& axis : axes_[static_cast<size_t>(w)]) {
    if (axis.dimension == 0) units = axis.units;
  }
  if (units.empty()) return;
  layers_.push_back({n, w, 0, units});
  if (b >= 0) Bind(b, 0, units);
  if (transposed && frozen.empty()) shape_operands_.push_back({n, 0, 3});
  const auto rank = static_cast<int>(tensor(node.output(0)).shape.size());
  SetChannels(node.output(0), rank - 1, std::move(units));
}

}  // namespace litesmith
