#include "passes/fuse_dilation.h"

#include <optional>
#include <vector>

#include "passes/rewrite.h"

namespace litesmith {
namespace {

using Ints = std::vector<int64_t>;

template <typename T>
bool IsPlain(const T& options) {
  return options.padding == schema::Padding_VALID && options.stride_h == 1 &&
         options.stride_w == 1 && options.dilation_h_factor == 1 && options.dilation_w_factor == 1;
}

bool IsPlainConvolution(const Node& node) {
  if (node.op == schema::BuiltinOperator_CONV_2D) {
    return IsPlain(node.GetOptions<schema::Conv2DOptionsT>());
  }
  return node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D &&
         IsPlain(node.GetOptions<schema::DepthwiseConv2DOptionsT>());
}

void Dilate(Node* node, const Ints& dilation, schema::Padding padding) {
  auto set = [&](auto table) {
    table.padding = padding;
    table.dilation_h_factor = static_cast<int32_t>(dilation[0]);
    table.dilation_w_factor = static_cast<int32_t>(dilation[1]);
    node->options = Options(std::move(table));
  };
  if (node->op == schema::BuiltinOperator_CONV_2D) {
    set(node->GetOptions<schema::Conv2DOptionsT>());
  } else {
    set(node->GetOptions<schema::DepthwiseConv2DOptionsT>());
  }
}

// What the padding before and the cropping after amount to: VALID or SAME, or neither. With a
// stride of 1, SAME pads by a number that does not depend on the input's size.
std::optional<schema::Padding> PaddingOf(const Ints& pads, const Ints& crops, const Ints& dilation,
                                         const Shape& filter) {
  bool valid = true, same = true;
  for (size_t d = 0; d < 2; ++d) {
    const int64_t before = pads[2 * d] - crops[2 * d];
    const int64_t after = pads[2 * d + 1] - crops[2 * d + 1];
    const int64_t total = (int64_t{filter[1 + d]} - 1) * dilation[d];
    valid = valid && before == 0 && after == 0;
    same = same && before == total / 2 && after == total - total / 2;
  }
  if (valid) return schema::Padding_VALID;
  if (same) return schema::Padding_SAME;
  return std::nullopt;
}

void FuseOne(Rewriter& rewriter, int32_t n) {
  const Node& after = rewriter.node(n);
  if (rewriter.is_dead(n) || after.op != schema::BuiltinOperator_BATCH_TO_SPACE_ND) return;
  const int32_t c = rewriter.PrivateProducer(rewriter.Input(n, 0));
  if (c < 0 || !IsPlainConvolution(rewriter.node(c))) return;
  const int32_t b = rewriter.PrivateProducer(rewriter.Input(c, 0));
  if (b < 0 || rewriter.node(b).op != schema::BuiltinOperator_SPACE_TO_BATCH_ND) return;
  const auto block = rewriter.IntConstant(rewriter.Input(b, 1));
  const auto pads = rewriter.IntConstant(rewriter.Input(b, 2));
  const auto block_after = rewriter.IntConstant(rewriter.Input(n, 1));
  const auto crops = rewriter.IntConstant(rewriter.Input(n, 2));
  const int32_t filter = rewriter.Input(c, 1), x = rewriter.Input(b, 0);
  if (!block || !pads || !block_after || !crops || filter < 0 || x < 0) return;
  if (block->size() != 2 || *block != *block_after || pads->size() != 4 || crops->size() != 4) {
    return;
  }
  if (rewriter.tensor(x).type != schema::TensorType_FLOAT32) return;
  const Shape& shape = rewriter.tensor(filter).shape;
  if (shape.size() != 4 || (*block)[0] < 1 || (*block)[1] < 1) return;
  const auto padding = PaddingOf(*pads, *crops, *block, shape);
  if (!padding) return;
  Dilate(&rewriter.node(c), *block, *padding);
  const int32_t divided = rewriter.Input(c, 0), output = after.output(0);
  rewriter.SetInput(c, 0, x);
  rewriter.KillUnread(divided);
  rewriter.Kill(n);
  rewriter.SetOutput(c, output);
}

}  // namespace

absl::StatusOr<bool> FuseDilation(Graph* graph) { return RewriteNodes(graph, FuseOne); }

}  // namespace litesmith
