#include "runtime/fold_budget.h"

#include <algorithm>

namespace litesmith {
namespace {

// Products saturate; nothing here is negative.
uint64_t Times(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  return __builtin_mul_overflow(a, b, &out) ? UINT64_MAX : out;
}

uint64_t Elements(const TensorView& view) {
  return static_cast<uint64_t>(std::max<int64_t>(view.elements(), 0));
}

uint64_t Window(const Node& node) {
  const auto& options = node.GetOptions<schema::Pool2DOptionsT>();
  return Times(static_cast<uint64_t>(std::max(options.filter_height, 1)),
               static_cast<uint64_t>(std::max(options.filter_width, 1)));
}

}  // namespace

uint64_t WorkOf(const OpRecord& op, const Node& node, std::span<const TensorView> inputs,
                std::span<const TensorView> outputs) {
  uint64_t most = 0, weights = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].present) continue;
    most = std::max(most, Elements(inputs[i]));
    const bool product = op.quant.input(i).role == Role::kWeight ||
                         (node.op == schema::BuiltinOperator_BATCH_MATMUL && i == 1);
    if (product) weights = std::max(weights, Elements(inputs[i]));
  }
  for (const TensorView& output : outputs) most = std::max(most, Elements(output));
  switch (node.op) {
    case schema::BuiltinOperator_AVERAGE_POOL_2D:
    case schema::BuiltinOperator_MAX_POOL_2D:
      return Times(most, Window(node));
    case schema::BuiltinOperator_LOCAL_RESPONSE_NORMALIZATION:
    case schema::BuiltinOperator_NON_MAX_SUPPRESSION_V4:
    case schema::BuiltinOperator_NON_MAX_SUPPRESSION_V5:
    case schema::BuiltinOperator_TOPK_V2:
      return Times(most, most);
    default:
      break;
  }
  if (weights == 0 || outputs.empty() || outputs[0].shape.empty()) return most;
  // Each result, or each operand of a transposed convolution, meets the weights of one channel.
  int32_t channels = outputs[0].shape.back();
  if (node.op == schema::BuiltinOperator_TRANSPOSE_CONV && inputs.size() > 2 &&
      inputs[2].rank() > 0) {
    channels = std::min(channels, inputs[2].shape.back());
  }
  return Times(most, std::max<uint64_t>(weights / static_cast<uint64_t>(std::max(channels, 1)), 1));
}

bool FoldBudget::Take(uint64_t work, uint64_t bytes) {
  if (work > work_ || bytes > bytes_) return false;
  work_ -= work;
  bytes_ -= bytes;
  return true;
}

}  // namespace litesmith
