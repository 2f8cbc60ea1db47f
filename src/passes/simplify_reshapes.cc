#include <algorithm>
#include <optional>
#include <vector>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace litesmith {
namespace {

bool SameMeaning(const Tensor& a, const Tensor& b) {
  return a.type == b.type && a.quant.scale == b.quant.scale &&
         a.quant.zero_point == b.quant.zero_point && a.quant.axis == b.quant.axis &&
         TypeSize(a.type) != 0;
}

// One element of a computed shape.
struct Dimension {
  int64_t value = -1;     // -1: known at run time only
  bool constant = false;  // stands in the file
};

// The dimension that `t` holds: STRIDED_SLICE of one element of SHAPE(x) gives x's, when that is
// fixed.
Dimension SlicedDimension(Rewriter& rewriter, int32_t t) {
  const int32_t slice = rewriter.producer(t);
  if (slice < 0 || rewriter.node(slice).op != schema::BuiltinOperator_STRIDED_SLICE) return {};
  const auto& options = rewriter.node(slice).GetOptions<schema::StridedSliceOptionsT>();
  const int32_t shape_node = rewriter.producer(rewriter.Input(slice, 0));
  if (shape_node < 0 || rewriter.node(shape_node).op != schema::BuiltinOperator_SHAPE) return {};
  const int32_t x = rewriter.Input(shape_node, 0);
  const auto begin = rewriter.IntConstant(rewriter.Input(slice, 1));
  if (x < 0 || !begin || begin->size() != 1 || (options.begin_mask & 1) != 0 ||
      options.ellipsis_mask != 0 || options.new_axis_mask != 0) {
    return {};
  }
  const Shape& shape = KnownShape(rewriter.tensor(x));
  const int64_t rank = static_cast<int64_t>(shape.size());
  const int64_t axis = (*begin)[0] < 0 ? (*begin)[0] + rank : (*begin)[0];
  if (!rewriter.tensor(x).has_rank || axis < 0 || axis >= rank) return {};
  return {shape[static_cast<size_t>(axis)], false};
}

// The elements of the shape that PACK or CONCATENATION puts together.
std::optional<std::vector<Dimension>> ComputedShape(Rewriter& rewriter, int32_t t) {
  const int32_t n = rewriter.producer(t);
  if (n < 0 || rewriter.tensor(t).shape.size() != 1) return std::nullopt;
  const Node& node = rewriter.node(n);
  const bool pack = node.op == schema::BuiltinOperator_PACK;
  if (!pack && node.op != schema::BuiltinOperator_CONCATENATION) return std::nullopt;
  const int32_t axis = pack ? node.GetOptions<schema::PackOptionsT>().axis
                            : node.GetOptions<schema::ConcatenationOptionsT>().axis;
  if (axis != 0 && axis != -1) return std::nullopt;
  std::vector<Dimension> out;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const int32_t part = rewriter.Input(n, i);
    if (part < 0) return std::nullopt;
    if (const auto values = rewriter.IntConstant(part)) {
      for (int64_t v : *values) out.push_back({v, true});
      continue;
    }
    // One element: PACK's operands are scalars, CONCATENATION's have to say so.
    const Shape& shape = rewriter.tensor(part).shape;
    if (pack ? !shape.empty() : shape != Shape{1}) return std::nullopt;
    out.push_back(SlicedDimension(rewriter, part));
  }
  return out;
}

// A constant that RESHAPE takes to the same result: one -1 may stand for what is not known.
std::optional<std::vector<int32_t>> ConstantShape(const std::vector<Dimension>& dimensions) {
  // Sizes that are read from a tensor stay free as long as there is one of them only.
  const auto computed = std::count_if(dimensions.begin(), dimensions.end(),
                                      [](const Dimension& d) { return !d.constant; });
  std::vector<int32_t> out;
  int unknown = 0;
  for (const Dimension& d : dimensions) {
    const int64_t value = !d.constant && computed == 1 ? -1 : d.value;
    if (value == 0 || value < -1 || value > INT32_MAX) return std::nullopt;
    unknown += value == -1 ? 1 : 0;
    out.push_back(static_cast<int32_t>(value));
  }
  if (unknown > 1) return std::nullopt;
  return out;
}

bool IsReshape(const Node& node) {
  return node.op == schema::BuiltinOperator_RESHAPE && !node.inputs.empty() &&
         node.inputs[0] >= 0 && node.inputs.size() <= 2 && node.outputs.size() == 1 &&
         node.outputs[0] >= 0;
}

void FixShape(Rewriter& rewriter, int32_t n) {
  const int32_t old = rewriter.Input(n, 1);
  if (old < 0 || rewriter.producer(old) < 0) return;
  const auto dimensions = ComputedShape(rewriter, old);
  if (!dimensions) return;
  const auto shape = ConstantShape(*dimensions);
  if (!shape) return;
  Tensor constant;
  constant.name = rewriter.tensor(old).name;
  constant.source = rewriter.tensor(old).source;
  constant.type = schema::TensorType_INT32;
  constant.shape = {static_cast<int32_t>(shape->size())};
  constant.data = Blob::Of(*shape);
  rewriter.SetInput(n, 1, rewriter.Add(std::move(constant)));
  schema::ReshapeOptionsT options;
  options.new_shape = *shape;
  rewriter.node(n).options = Options(std::move(options));
  rewriter.KillUnread(old);
}

// The shape the file asks for, when it is constant.
std::optional<std::vector<int64_t>> WantedShape(Rewriter& rewriter, int32_t n) {
  if (rewriter.node(n).inputs.size() == 2) return rewriter.IntConstant(rewriter.Input(n, 1));
  const auto& shape = rewriter.node(n).GetOptions<schema::ReshapeOptionsT>().new_shape;
  return std::vector<int64_t>(shape.begin(), shape.end());
}

// RESHAPE, SQUEEZE and EXPAND_DIMS before a reshape of constant shape change nothing.
void SkipReshapesBefore(Rewriter& rewriter, int32_t n) {
  if (!WantedShape(rewriter, n)) return;
  while (true) {
    const int32_t input = rewriter.Input(n, 0);
    const int32_t before = rewriter.producer(input);
    if (before < 0) return;
    const Node& node = rewriter.node(before);
    const bool moves_nothing = node.op == schema::BuiltinOperator_RESHAPE ||
                               node.op == schema::BuiltinOperator_SQUEEZE ||
                               node.op == schema::BuiltinOperator_EXPAND_DIMS;
    const int32_t source = rewriter.Input(before, 0);
    if (!moves_nothing || node.outputs.size() != 1 || source < 0) return;
    if (!SameMeaning(rewriter.tensor(source), rewriter.tensor(input))) return;
    rewriter.SetInput(n, 0, source);
    rewriter.KillUnread(input);
  }
}

void DropIdentity(Rewriter& rewriter, int32_t n) {
  const int32_t input = rewriter.Input(n, 0);
  const int32_t output = rewriter.node(n).outputs[0];
  const Tensor& from = rewriter.tensor(input);
  const Tensor& to = rewriter.tensor(output);
  const auto wanted = WantedShape(rewriter, n);
  const Shape& shape = KnownShape(from);
  if (!wanted || !from.has_rank || wanted->size() != shape.size() || shape.empty()) return;
  if (KnownShape(to) != shape || from.shape != to.shape || !SameMeaning(from, to)) return;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return;
  // At most one size is free on either side, and at the same place: then it is the same size.
  int free = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool open = (*wanted)[d] == -1;
    if (!open && (*wanted)[d] != shape[d]) return;
    free += open || shape[d] == -1 ? 1 : 0;
  }
  if (free > 1) return;
  if (!rewriter.is_fixed(output)) {
    rewriter.Kill(n);
    rewriter.Redirect(output, input);
    return;
  }
  // A graph output stays: the node before makes it.
  const int32_t before = rewriter.PrivateProducer(input);
  if (before < 0 || rewriter.node(before).outputs.size() != 1) return;
  rewriter.Kill(n);
  rewriter.SetOutput(before, output);
}

}  // namespace

absl::StatusOr<bool> SimplifyReshapes(Graph* graph) {
  if (!MayRewrite(*graph)) return false;
  bool changed = false;
  for (size_t s = 0; s < graph->subgraphs.size(); ++s) {
    Rewriter rewriter(graph, s);
    const auto nodes = static_cast<int32_t>(rewriter.subgraph().nodes.size());
    for (int32_t n = 0; n < nodes; ++n) {
      if (rewriter.is_dead(n) || !IsReshape(rewriter.node(n))) continue;
      FixShape(rewriter, n);
      SkipReshapesBefore(rewriter, n);
      DropIdentity(rewriter, n);
    }
    changed = rewriter.Finish() || changed;
  }
  return changed;
}

}  // namespace litesmith
