// CONCATENATION and PACK: several inputs laid side by side along an axis.

#include <array>
#include <cmath>
#include <limits>
#include <memory>

#include "kernels/gradient/elementwise_f32.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace litesmith {
namespace {

constexpr size_t kMostInputs = 1 << 16;

absl::Status ConcatenationShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, kMostInputs, 1));
  const auto& options = args.node.GetOptions<schema::ConcatenationOptionsT>();
  if (options.fused_activation_function != schema::ActivationFunctionType_NONE) {
    return Unsupported("a fused activation has no kernel here");
  }
  Shape out = args.in(0).shape;
  if (out.empty()) {  // scalars become a vector
    if (options.axis != 0 && options.axis != -1) {
      return Invalid("axis {} is not one of a scalar's", options.axis);
    }
    out = {1};
  }
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(options.axis, static_cast<int>(out.size())));
  int64_t sum = 0;
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    if (!args.has(i)) return Invalid("input {} is missing", i);
    Shape shape = args.in(i).shape;
    if (args.in(0).rank() == 0 && shape.empty()) shape = {1};
    bool fits = shape.size() == out.size();
    for (int d = 0; fits && d < static_cast<int>(out.size()); ++d) {
      fits = d == axis || shape[d] == out[d];
    }
    if (!fits) {
      return Invalid("input {} of shape {} cannot be joined to {} along dimension {}", i,
                     ShapeString(shape), ShapeString(args.in(0).shape), axis);
    }
    sum += shape[axis];
  }
  LS_ASSIGN_OR_RETURN(out[axis], CheckedDimension(sum));
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::Status PackShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, kMostInputs, 1));
  const auto& options = args.node.GetOptions<schema::PackOptionsT>();
  if (options.values_count != static_cast<int64_t>(args.inputs.size())) {
    return Invalid("values_count is {}, there are {} inputs", options.values_count,
                   args.inputs.size());
  }
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(options.axis, args.in(0).rank() + 1));
  Shape out = args.in(0).shape;
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    if (!args.has(i)) return Invalid("input {} is missing", i);
    if (args.in(i).shape != out) {
      return Invalid("input {} has shape {}, input 0 has {}", i, ShapeString(args.in(i).shape),
                     ShapeString(out));
    }
  }
  out.insert(out.begin() + axis, static_cast<int32_t>(args.inputs.size()));
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

// What one input contributes: `block` bytes per row; a table where 8-bit values are rescaled.
struct Part {
  int64_t block = 0;
  bool rescale = false;
  std::array<uint8_t, 256> table;
};

struct Parts {
  int64_t rows = 1;
  std::vector<Part> parts;
};

void RunParts(const Parts& plan, const RunArgs& run) {
  auto* out = run.out<uint8_t>(0);
  for (int64_t row = 0; row < plan.rows; ++row) {
    for (size_t i = 0; i < plan.parts.size(); ++i) {
      const Part& part = plan.parts[i];
      if (part.block == 0) continue;
      const uint8_t* in = run.in<uint8_t>(i) + row * part.block;
      if (part.rescale) {
        for (int64_t k = 0; k < part.block; ++k) out[k] = part.table[in[k]];
      } else {
        std::memcpy(out, in, static_cast<size_t>(part.block));
      }
      out += part.block;
    }
  }
}

// The float arithmetic of TFLite's uint8 kernel, the only one that rescales.
void SetRescaling(const TensorView& in, const TensorView& out, Part* part) {
  if (in.scale() == out.scale() && in.zero_point() == out.zero_point()) return;
  part->rescale = true;
  const float scale = in.scale() * (1.0f / out.scale());
  const float bias = static_cast<float>(-in.zero_point()) * scale;
  for (int q = 0; q < 256; ++q) {
    const float real = std::round(static_cast<float>(q) * scale + bias);
    const float value = std::clamp(real, -1e9f, 1e9f);
    part->table[q] =
        static_cast<uint8_t>(std::clamp(static_cast<int32_t>(value) + out.zero_point(), 0, 255));
  }
}

absl::Status CheckSameQuant(const PrepareArgs& args) {
  for (const TensorView& in : args.inputs) {
    if (in.scale() != args.out(0).scale() || in.zero_point() != args.out(0).zero_point()) {
      return Invalid(
          "'{}' and the output have different scales or zero points, which {} does not allow",
          Printable(in.name), OperatorName(args.node));
    }
  }
  return absl::OkStatus();
}

// `axis` counts the output's dimensions.
absl::StatusOr<Kernel> JoinKernel(const PrepareArgs& args, int axis) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  auto plan = std::make_shared<Parts>();
  plan->rows = Elements(args.out(0).shape, 0, axis);
  for (const TensorView& in : args.inputs) {
    Part part;
    part.block = plan->rows == 0 ? 0 : in.elements() / plan->rows * static_cast<int64_t>(bytes);
    if (in.type == schema::TensorType_UINT8 && IsQuantized(in) && IsQuantized(args.out(0))) {
      LS_RETURN_IF_ERROR(CheckActivationQuant(in, "input"));
      LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "output"));
      SetRescaling(in, args.out(0), &part);
    }
    plan->parts.push_back(part);
  }
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [plan](const RunArgs& run) {
    RunParts(*plan, run);
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareConcatenation(const PrepareArgs& args) {
  // Int16 values of another scale are moved as they are, as TFLite does.
  if (args.out(0).type == schema::TensorType_INT8) LS_RETURN_IF_ERROR(CheckSameQuant(args));
  const auto& options = args.node.GetOptions<schema::ConcatenationOptionsT>();
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(options.axis, args.out(0).rank()));
  return JoinKernel(args, axis);
}

absl::StatusOr<Kernel> PreparePack(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckSameQuant(args));
  const auto& options = args.node.GetOptions<schema::PackOptionsT>();
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(options.axis, args.out(0).rank()));
  return JoinKernel(args, axis);
}

// Every input takes its blocks of the output's gradient back.
absl::Status JoinGradient(const GradArgs& args, int64_t axis_option) {
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(axis_option, args.outputs[0].rank()));
  const int64_t rows = Elements(args.outputs[0].shape, 0, axis);
  if (rows == 0) return absl::OkStatus();
  const int64_t out_block = args.outputs[0].elements() / rows;
  int64_t at = 0;
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    const int64_t block = args.inputs[i].elements() / rows;
    for (int64_t row = 0; args.in_grads[i] != nullptr && row < rows; ++row) {
      gradient::AddOrCopy(args.out_grads[0] + row * out_block + at, static_cast<size_t>(block),
                          !args.first[i], args.in_grads[i] + row * block);
    }
    at += block;
  }
  return absl::OkStatus();
}

absl::Status ConcatenationGradient(const GradArgs& args) {
  return JoinGradient(args, args.node.GetOptions<schema::ConcatenationOptionsT>().axis);
}
absl::Status PackGradient(const GradArgs& args) {
  return JoinGradient(args, args.node.GetOptions<schema::PackOptionsT>().axis);
}

int ConcatenationVersion(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_INT4) return 5;
  if (args.in(0) == schema::TensorType_UINT32) return 4;
  return VersionTwoWhenQuantized(args);
}

int PackVersion(const VersionArgs& args) {
  return args.in(0) == schema::TensorType_UINT32 ? 4 : VersionTwoWhenQuantized(args);
}

OpRecord JoinRecord(schema::BuiltinOperator op, ForeignNames names, InferShapes infer_shapes,
                    Prepare prepare, VersionRule version, Gradient gradient) {
  OpRecord record =
      MovementRecord(op, names, infer_shapes, prepare, version, {{Role::kActivation}});
  record.quant.output = OutputRule::kRange;
  record.quant.inputs_like_output = true;
  record.gradient = gradient;
  return record;
}

}  // namespace

const OpRecord& ConcatenationOp() {
  static const OpRecord record = JoinRecord(
      schema::BuiltinOperator_CONCATENATION, {"Concatenate", "ConcatV2", "Concat"},
      ConcatenationShape, PrepareConcatenation, ConcatenationVersion, ConcatenationGradient);
  return record;
}

const OpRecord& PackOp() {
  static const OpRecord record = JoinRecord(schema::BuiltinOperator_PACK, {"", "Pack", ""},
                                            PackShape, PreparePack, PackVersion, PackGradient);
  return record;
}

}  // namespace litesmith
