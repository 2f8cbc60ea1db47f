#include "ops/op_support.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace litesmith {
namespace {

// The part of a convolution's options that its windows are made of.
struct Window {
  int32_t stride[2];  // height, width
  int32_t dilation[2];
};

template <typename T>
std::optional<Window> ValidWindow(const T& options) {
  if (options.padding != schema::Padding_VALID) return std::nullopt;
  return Window{{options.stride_h, options.stride_w},
                {options.dilation_h_factor, options.dilation_w_factor}};
}

std::optional<Window> ValidWindow(const Node& node) {
  if (node.op == schema::BuiltinOperator_CONV_2D) {
    return ValidWindow(node.GetOptions<schema::Conv2DOptionsT>());
  }
  if (node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D) {
    return ValidWindow(node.GetOptions<schema::DepthwiseConv2DOptionsT>());
  }
  return std::nullopt;
}

void SetSame(Node* node) {
  auto set = [&](auto table) {
    table.padding = schema::Padding_SAME;
    node->options = Options(std::move(table));
  };
  if (node->op == schema::BuiltinOperator_CONV_2D) {
    set(node->GetOptions<schema::Conv2DOptionsT>());
  } else {
    set(node->GetOptions<schema::DepthwiseConv2DOptionsT>());
  }
}

// PAD pads with zeros (PADV2: when its value is zero).
bool PadsWithZeros(const Rewriter& rewriter, const Node& pad, const Tensor* value) {
  if (pad.op == schema::BuiltinOperator_PAD) return pad.inputs.size() == 2;
  return pad.op == schema::BuiltinOperator_PADV2 && pad.inputs.size() == 3 &&
         rewriter.IsFloatConstant(pad.inputs[2]) && value->data.As<float>().size() == 1 &&
         value->data.As<float>()[0] == 0.0f;
}

void FuseOne(Rewriter& rewriter, int32_t n) {
  const Node& conv = rewriter.node(n);
  const std::optional<Window> window = ValidWindow(conv);
  if (!window || conv.inputs.size() < 2 || conv.input(1) < 0) return;
  const int32_t before = rewriter.PrivateProducer(conv.input(0));
  if (before < 0) return;
  const Node& pad = rewriter.node(before);
  const Tensor* value = pad.input(2) >= 0 ? &rewriter.tensor(pad.input(2)) : nullptr;
  if (!PadsWithZeros(rewriter, pad, value) || pad.input(0) < 0) return;
  const Tensor& input = rewriter.tensor(pad.input(0));
  const Tensor& filter = rewriter.tensor(conv.input(1));
  const auto pads = rewriter.IntConstant(pad.input(1));
  if (input.type != schema::TensorType_FLOAT32 || !pads || pads->size() != 8) return;
  const Shape& shape = KnownShape(input);
  if (!input.has_rank || shape.size() != 4 || filter.shape.size() != 4) return;
  if ((*pads)[0] != 0 || (*pads)[1] != 0 || (*pads)[6] != 0 || (*pads)[7] != 0) return;
  for (size_t d = 0; d < 2; ++d) {
    const auto same = ComputePadding(schema::Padding_SAME, shape[1 + d], filter.shape[1 + d],
                                     window->stride[d], window->dilation[d]);
    if (!same.ok() || (*pads)[2 + 2 * d] != same->before || (*pads)[3 + 2 * d] != same->after)
      return;
  }
  SetSame(&rewriter.node(n));
  const int32_t padded = conv.input(0);
  rewriter.SetInput(n, 0, pad.input(0));
  rewriter.KillUnread(padded);
}

}  // namespace

absl::StatusOr<bool> FusePadding(Graph* graph) { return RewriteNodes(graph, FuseOne); }

}  // namespace litesmith
