#include "import/keras/masks.h"

#include <algorithm>

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

MaskRef Make(Mask mask) { return std::make_shared<Mask>(std::move(mask)); }

absl::StatusOr<int32_t> NotZero(LayerContext& c, int32_t numbers) {
  if (c.graph().type(numbers) == schema::TensorType_FLOAT32) {
    return c.Binary(schema::BuiltinOperator_NOT_EQUAL, numbers, c.Scalar("zero", 0.0), "mask");
  }
  const int32_t x = c.CastTo(numbers, schema::TensorType_INT32);
  const int32_t zero = c.graph().Constant(c.Named("zero"), {}, std::vector<int32_t>{0});
  return c.Binary(schema::BuiltinOperator_NOT_EQUAL, x, zero, "mask");
}

absl::StatusOr<int32_t> NotAll(LayerContext& c, int32_t x, double value) {
  LS_ASSIGN_OR_RETURN(const int32_t differs, c.Binary(schema::BuiltinOperator_NOT_EQUAL, x,
                                                      c.Scalar("mask_value", value), "NotEqual"));
  Shape shape = c.shape(x);
  if (shape.size() < 2) return Invalid("its input has shape {}", ShapeString(shape));
  shape.pop_back();
  return c.Add(schema::BuiltinOperator_REDUCE_ANY, schema::ReducerOptionsT{},
               {differs, c.Indices("axis", {static_cast<int32_t>(shape.size())})}, "mask", shape,
               schema::TensorType_BOOL);
}

absl::StatusOr<int32_t> Joined(LayerContext& c, const std::vector<int32_t>& parts) {
  schema::ConcatenationOptionsT options;
  options.axis = 1;
  Shape shape = c.shape(parts[0]);
  int64_t steps = 0;
  for (int32_t part : parts) {
    if (c.shape(part).size() != 2 || c.shape(part)[1] < 0) {
      return Unsupported("masks of unknown length cannot be joined");
    }
    steps += c.shape(part)[1];
  }
  shape[1] = c.Size(steps);
  LS_RETURN_IF_ERROR(c.status());
  return c.Add(schema::BuiltinOperator_CONCATENATION, std::move(options), parts, "mask", shape,
               schema::TensorType_BOOL);
}

absl::StatusOr<int32_t> MakeTensor(LayerContext& c, const Mask& mask) {
  switch (mask.kind) {
    case Mask::Kind::kTensor:
      return c.CastTo(mask.tensor, schema::TensorType_BOOL);
    case Mask::Kind::kNotZero:
      return NotZero(c, mask.tensor);
    case Mask::Kind::kNotAll:
      return NotAll(c, mask.tensor, mask.value);
    case Mask::Kind::kImpossible:
      return Unsupported("{}", mask.why);
    default:
      break;
  }
  std::vector<int32_t> parts;
  for (const MaskRef& part : mask.parts) {
    LS_ASSIGN_OR_RETURN(parts.emplace_back(), MaskTensor(c, part));
  }
  if (mask.kind == Mask::Kind::kJoined) return Joined(c, parts);
  int32_t all = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    const auto op = mask.kind == Mask::Kind::kAnd ? schema::BuiltinOperator_LOGICAL_AND
                                                  : schema::BuiltinOperator_LOGICAL_OR;
    LS_ASSIGN_OR_RETURN(all, c.Binary(op, all, parts[i], "mask"));
  }
  return all;
}

// Of all inputs. Keras 2 takes the masks that are there, all must agree that a step counts; in
// Keras 3 one of them suffices, and an input without a mask says that all steps do.
MaskRef Merged(const std::vector<MaskRef>& masks, bool keras2) {
  std::vector<MaskRef> there;
  for (const MaskRef& mask : masks) {
    if (mask != nullptr && std::find(there.begin(), there.end(), mask) == there.end()) {
      there.push_back(mask);
    }
  }
  const bool complete = std::find(masks.begin(), masks.end(), nullptr) == masks.end();
  if (there.empty() || (!keras2 && !complete)) return nullptr;
  if (there.size() == 1) return there[0];
  Mask mask;
  mask.kind = keras2 ? Mask::Kind::kAnd : Mask::Kind::kOr;
  mask.parts = std::move(there);
  return Make(std::move(mask));
}

MaskRef Concatenated(LayerContext& c, const std::vector<MaskRef>& masks, bool keras2) {
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  const int32_t axis = c.config.Int("axis", -rank, rank - 1, -1);
  const bool steps = axis == 1 || axis == 1 - rank;
  if (!steps || rank < 3) return Merged(masks, keras2);
  if (std::all_of(masks.begin(), masks.end(), [](const MaskRef& m) { return m == nullptr; })) {
    return nullptr;
  }
  Mask mask;
  mask.kind = Mask::Kind::kJoined;
  mask.parts = masks;
  if (std::find(masks.begin(), masks.end(), nullptr) != masks.end()) {
    mask.kind = Mask::Kind::kImpossible;
    mask.why = fmt::format("'{}' joins steps with a mask and steps without one", c.name());
  }
  return Make(std::move(mask));
}

}  // namespace

absl::StatusOr<int32_t> MaskTensor(LayerContext& c, const MaskRef& mask) {
  if (mask->made < 0) {
    LS_ASSIGN_OR_RETURN(mask->made, MakeTensor(c, *mask));
  }
  return mask->made;
}

absl::StatusOr<int32_t> StepMask(LayerContext& c, bool several) {
  if (const Operand* given = c.Keyword("mask")) {
    if (given->constant != nullptr) return Unsupported("its mask is no tensor");
    return c.CastTo(given->tensor, schema::TensorType_BOOL);
  }
  // Keras 3 hands no mask on where a layer is called with several tensors.
  const MaskRef mask = c.mask(0);
  if (mask == nullptr || (several && !c.inner().keras2())) return -1;
  return MaskTensor(c, mask);
}

std::vector<MaskRef> OutputMasks(const LayerKind& kind, LayerContext& c,
                                 const std::vector<int32_t>& outputs, bool keras2) {
  std::vector<MaskRef> out(outputs.size());
  // Calls of keras.ops, some of which are called as layers are, know no masks.
  if (outputs.empty() || !c.config.Has("trainable")) return out;
  std::vector<MaskRef> in;
  for (size_t i = 0; i < c.inputs().size(); ++i) in.push_back(c.mask(i));
  const Operand* given = c.Keyword("mask");
  if (given != nullptr && given->constant == nullptr) {
    in[0] = Make({.kind = Mask::Kind::kTensor, .tensor = given->tensor});
  }
  switch (kind.masks) {
    case MaskRule::kDrop:
      break;
    case MaskRule::kPass:
      out[0] = in[0];
      break;
    case MaskRule::kEmbedding:
      if (c.config.Bool("mask_zero", false)) {
        out[0] = Make({.kind = Mask::Kind::kNotZero, .tensor = c.input()});
      }
      break;
    case MaskRule::kMasking:
      out[0] = Make({.kind = Mask::Kind::kNotAll,
                     .tensor = c.input(),
                     .value = c.config.Number("mask_value", 0.0)});
      break;
    case MaskRule::kMerge:
      out[0] = Merged(in, keras2);
      break;
    case MaskRule::kConcatenate:
      out[0] = Concatenated(c, in, keras2);
      break;
    case MaskRule::kSequence:
      // Both directions' sequences, where a bidirectional layer does not merge them.
      for (size_t i = 0; i < std::min<size_t>(outputs.size(), 2); ++i) {
        const bool first = i == 0 || c.class_name() == "Bidirectional";
        if (first && c.shape(outputs[i]).size() >= 3) out[i] = in[0];
      }
      break;
  }
  return out;
}

}  // namespace litesmith::keras
