// BIDIRECTIONAL_SEQUENCE_LSTM.

#include <algorithm>
#include <limits>

#include "ops/elementwise.h"
#include "ops/lstm.h"
#include "ops/lstm_gradient.h"
#include "ops/recurrent_gradient.h"

namespace litesmith {
namespace {

using schema::BidirectionalSequenceLSTMOptionsT;

constexpr size_t kInputs = 48, kAux = 39;

struct Direction {
  LstmOperands at;
  LstmSettings settings;
  LstmForm form;
};

struct Both {
  Direction forward, backward;
  bool merge = false;
};

absl::StatusOr<Both> MakeBoth(const Node& node, std::span<const TensorView> inputs) {
  const auto& o = node.GetOptions<BidirectionalSequenceLSTMOptionsT>();
  Both both;
  both.merge = o.merge_outputs;
  Direction &f = both.forward, &b = both.backward;
  f.settings = {o.fused_activation_function,  o.cell_clip, o.proj_clip, o.time_major,
                o.asymmetric_quantize_inputs, false};
  b.settings = f.settings;
  b.settings.backwards = true;
  f.at.output_state = 35;
  f.at.cell_state = 36;
  f.at.aux = kAux;
  f.at.aux_weights = 40;
  b.at = f.at;
  b.at.weights = 18;
  b.at.recurrent = 22;
  b.at.peephole = 26;
  b.at.bias = 29;
  b.at.projection = 33;
  b.at.projection_bias = 34;
  b.at.output_state = 37;
  b.at.cell_state = 38;
  b.at.aux_weights = 44;
  LS_ASSIGN_OR_RETURN(f.form, LstmFormOf(f.at, f.settings, inputs));
  // An auxiliary input without weights of its own is the backward direction's input.
  if (!f.form.aux && inputs[kAux].present) {
    if (inputs[kAux].shape != inputs[0].shape) {
      return Invalid("input {} and auxiliary input {} do not fit", ShapeString(inputs[0].shape),
                     ShapeString(inputs[kAux].shape));
    }
    b.at.input = kAux;
  }
  LS_ASSIGN_OR_RETURN(b.form, LstmFormOf(b.at, b.settings, inputs));
  if (f.form.diagonal || b.form.diagonal) {
    return Unsupported("diagonal recurrent weights have no kernel");
  }
  if (f.form.aux != b.form.aux) {
    return Invalid("only one direction has auxiliary weights");
  }
  return both;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  const bool merge = args.node.GetOptions<BidirectionalSequenceLSTMOptionsT>().merge_outputs;
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, kInputs, merge ? 1 : 2));
  if (args.inputs.size() != kInputs) {
    return Invalid("it has {} inputs, {} are needed", args.inputs.size(), kInputs);
  }
  LS_ASSIGN_OR_RETURN(const Both both, MakeBoth(args.node, args.inputs));
  const auto forward = static_cast<int32_t>(both.forward.form.sizes.outputs),
             backward = static_cast<int32_t>(both.backward.form.sizes.outputs);
  const Shape& x = args.in(0).shape;
  if (merge) {
    const int64_t width = int64_t{forward} + backward;
    if (width > std::numeric_limits<int32_t>::max())
      return Invalid("{} outputs are too many", width);
    outputs->assign(1, {x[0], x[1], static_cast<int32_t>(width)});
  } else {
    *outputs = {{x[0], x[1], forward}, {x[0], x[1], backward}};
  }
  for (const Shape& out : *outputs) LS_RETURN_IF_ERROR(CheckShape(out));
  return absl::OkStatus();
}

absl::StatusOr<PreparedLstm> PrepareDirection(const Direction& d, const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckLstmShapes(d.at, d.form, args));
  return PrepareFloatLstm(d.at, d.settings, d.form, args);
}

absl::StatusOr<Kernel> PrepareBoth(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const Both both, MakeBoth(args.node, args.inputs));
  if (!(both.forward.settings.cell_clip >= 0.0f) ||
      !(both.forward.settings.projection_clip >= 0.0f)) {
    return Invalid("its clips must not be negative");
  }
  LS_ASSIGN_OR_RETURN(const PreparedLstm forward, PrepareDirection(both.forward, args));
  LS_ASSIGN_OR_RETURN(const PreparedLstm backward, PrepareDirection(both.backward, args));
  const size_t ahead = both.forward.form.sizes.outputs, back = both.backward.form.sizes.outputs;
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.scratch_bytes = std::max(forward.scratch_bytes, backward.scratch_bytes);
  kernel.run = [=, merge = both.merge](const RunArgs& run) {
    const size_t width = merge ? ahead + back : ahead;
    forward.run(LstmRun{&run, run.out<float>(0), width, run.scratch});
    float* second = merge ? run.out<float>(0) + ahead : run.out<float>(1);
    backward.run(LstmRun{&run, second, merge ? width : back, run.scratch});
    return absl::OkStatus();
  };
  return kernel;
}

absl::Status BothGradient(const GradArgs& args) {
  LS_ASSIGN_OR_RETURN(const Both both, MakeBoth(args.node, args.inputs));
  const Direction &f = both.forward, &b = both.backward;
  const size_t ahead = f.form.sizes.outputs, back = b.form.sizes.outputs;
  const size_t width = both.merge ? ahead + back : ahead;
  StartGradients(args);
  LS_RETURN_IF_ERROR(AddLstmGradient(f.at, f.settings, f.form, {args.out_grads[0], width}, args));
  const float* second = both.merge ? args.out_grads[0] + ahead : args.out_grads[1];
  return AddLstmGradient(b.at, b.settings, b.form, {second, both.merge ? width : back}, args);
}

int Version(const VersionArgs& args) {
  if (args.in(2) != schema::TensorType_INT8) return 1;
  return args.node.GetOptions<BidirectionalSequenceLSTMOptionsT>().asymmetric_quantize_inputs ? 3
                                                                                              : 2;
}

}  // namespace

const OpRecord& BidirectionalSequenceLstmOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_BIDIRECTIONAL_SEQUENCE_LSTM;
    r.names = {"Bidirectional", "", "LSTM"};
    r.infer_shapes = Infer;
    r.prepare = PrepareBoth;
    r.gradient = BothGradient;
    r.version = Version;
    r.stateful = true;
    r.quant.dynamic = true;
    r.quant.inputs = {{Role::kActivation, -1}};
    for (int direction = 0; direction < 2; ++direction) {
      for (int i = 1; i <= 11; ++i) r.quant.inputs.push_back({Role::kWeight, -1});
      for (int i = 12; i <= 15; ++i) r.quant.inputs.push_back({Role::kBias, -1});
      r.quant.inputs.push_back({Role::kWeight, -1});
      r.quant.inputs.push_back({Role::kBias, -1});
    }
    for (int i = 35; i <= 38; ++i) r.quant.inputs.push_back({Role::kIndex, -1});
    r.quant.inputs.push_back({Role::kActivation, -1});
    for (int i = 40; i <= 47; ++i) r.quant.inputs.push_back({Role::kWeight, -1});
    return r;
  }();
  return record;
}

}  // namespace litesmith
