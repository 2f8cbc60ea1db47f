#include "ops/elementwise.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace litesmith {

absl::Status UnaryShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 1));
  *outputs = {args.in(0).shape};
  return absl::OkStatus();
}

absl::Status BinaryShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(Shape shape, BroadcastShapes(args.in(0).shape, args.in(1).shape));
  *outputs = {std::move(shape)};
  return absl::OkStatus();
}

int VersionTwoWhenQuantized(const VersionArgs& args) {
  const TensorType type = args.in(0);
  return type == schema::TensorType_INT8 || type == schema::TensorType_INT16 ? 2 : 1;
}

std::string KernelName(const PrepareArgs& args) {
  std::string op = OperatorName(args.node);
  for (char& c : op) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const char* in = args.inputs.empty() ? "x" : TypeTag(args.in(0));
  const char* out = args.outputs.empty() ? "x" : TypeTag(args.out(0));
  return fmt::format("{}-{}-{}", in, out, op);
}

IntRange IntegerRange(TensorType type) {
  switch (type) {
    case schema::TensorType_INT8:
      return {-128, 127};
    case schema::TensorType_UINT8:
      return {0, 255};
    case schema::TensorType_INT16:
      return {-32768, 32767};
    case schema::TensorType_INT4:
      return {-8, 7};
    case schema::TensorType_UINT4:
      return {0, 15};
    default:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  }
}

int32_t QuantizedBound(float real, const TensorView& tensor) {
  const double q = static_cast<double>(std::round(real / tensor.scale())) +
                   static_cast<double>(tensor.zero_point());
  return static_cast<int32_t>(std::clamp(q, -2147483648.0, 2147483647.0));
}

absl::StatusOr<reference::LoopNest<2>> BinaryNest(const PrepareArgs& args) {
  const Shape& a = args.in(0).shape;
  const Shape& b = args.in(1).shape;
  const Shape& out = args.out(0).shape;
  const int32_t* const shapes[2] = {a.data(), b.data()};
  const int ranks[2] = {args.in(0).rank(), args.in(1).rank()};
  reference::LoopNest<2> nest;
  if (!reference::MakeLoopNest<2>(out.data(), args.out(0).rank(), shapes, ranks, &nest)) {
    return Unsupported("broadcasting {} and {} needs more than {} nested loops", ShapeString(a),
                       ShapeString(b), reference::kMaxLoops);
  }
  return nest;
}

}  // namespace litesmith
