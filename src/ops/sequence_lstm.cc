// UNIDIRECTIONAL_SEQUENCE_LSTM.

#include <cmath>
#include <memory>
#include <vector>

#include "kernels/reference/lstm_int8.h"
#include "ops/elementwise.h"
#include "ops/lstm.h"
#include "ops/lstm_gradient.h"
#include "ops/lstm_micro.h"
#include "ops/matrix_support.h"
#include "ops/recurrent_gradient.h"

namespace litesmith {
namespace {

using reference::kCellGate;
using reference::kInputGate;
using reference::kLstmGates;
using schema::UnidirectionalSequenceLSTMOptionsT;

constexpr size_t kIntermediates = 5, kHidden = 4;

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 24, 1));
  if (args.inputs.size() != 20 && args.inputs.size() != 24) {
    return Invalid("it has {} inputs, 20 or 24 are needed", args.inputs.size());
  }
  LS_ASSIGN_OR_RETURN(
      const LstmForm form,
      LstmFormOf(SequenceLstmOperands(args.node), SequenceLstmSettings(args.node), args.inputs));
  Shape out = args.in(0).shape;
  out[2] = static_cast<int32_t>(form.sizes.outputs);
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

// ---- int8
// -----------------------------------------------------------------------------------------

struct IntegerPlan {
  LstmOperands at;
  LstmForm form;
  bool time_major = false;
  reference::LstmInt8 lstm;  // points into the constants and into `biases`
  std::vector<std::vector<int32_t>> biases;
};

absl::Status CheckIntegerTypes(const LstmForm& form, const LstmOperands& at,
                               const PrepareArgs& args) {
  const auto all = [&](size_t first, size_t count, TensorType type) {
    for (size_t i = first; i < first + count; ++i) {
      if (args.has(i) && args.in(i).type != type) return false;
    }
    return true;
  };
  const bool ok = all(at.weights, 2 * kLstmGates, schema::TensorType_INT8) &&
                  all(at.peephole, kLstmGates - 1, schema::TensorType_INT16) &&
                  all(at.bias, kLstmGates, schema::TensorType_INT32) &&
                  all(at.projection, 1, schema::TensorType_INT8) &&
                  all(at.projection_bias, 1, schema::TensorType_INT32) &&
                  all(at.output_state, 1, schema::TensorType_INT8) &&
                  all(at.cell_state, 1, schema::TensorType_INT16) &&
                  (!form.layer_norm || all(*at.layer_norm, kLstmGates, schema::TensorType_INT16)) &&
                  args.out(0).type == schema::TensorType_INT8;
  if (!ok) return NoKernel(args);
  if (form.diagonal) return Unsupported("diagonal recurrent weights have no int8 kernel");
  if (form.peephole && form.sizes.outputs > form.sizes.cells) {
    return Unsupported("a peephole with more outputs than cells has no int8 kernel");
  }
  return absl::OkStatus();
}

class IntegerPreparer {
 public:
  IntegerPreparer(const PrepareArgs& args, const LstmSettings& settings, IntegerPlan* plan)
      : args_(args), settings_(settings), plan_(*plan), at_(plan->at), form_(plan->form) {}

  absl::Status Prepare() {
    LS_RETURN_IF_ERROR(CheckQuant());
    LS_RETURN_IF_ERROR(PrepareCell());
    reference::LstmInt8Gate* gates[kLstmGates] = {&plan_.lstm.input, &plan_.lstm.forget,
                                                  &plan_.lstm.cell, &plan_.lstm.output};
    for (size_t g = 0; g < kLstmGates; ++g) {
      if (form_.cifg && g == kInputGate) continue;
      LS_RETURN_IF_ERROR(PrepareGate(g, gates[g]));
    }
    if (!form_.projection) return absl::OkStatus();
    return PrepareProjection();
  }

 private:
  const TensorView& in(size_t i) const { return args_.in(i); }

  absl::Status CheckQuant() {
    LS_RETURN_IF_ERROR(CheckActivationQuant(in(at_.input), "the input"));
    LS_RETURN_IF_ERROR(CheckActivationQuant(in(at_.output_state), "the output state"));
    LS_RETURN_IF_ERROR(CheckActivationQuant(args_.out(0), "the output"));
    if (args_.intermediates.size() != kIntermediates) {
      return Invalid("it has {} intermediate tensors, {} are needed", args_.intermediates.size(),
                     kIntermediates);
    }
    for (size_t i = form_.layer_norm ? 0 : kHidden; i < kIntermediates; ++i) {
      if (!args_.intermediates[i].present || args_.intermediates[i].quant->scale.empty()) {
        return Invalid("its intermediate tensor {} has no scale", i);
      }
    }
    return absl::OkStatus();
  }

  // The scale of a gate's sums: with layer normalization the file's, else 2^-12.
  float GateScale(size_t gate) const {
    return form_.layer_norm ? args_.intermediates[gate].scale() : 0x1.0p-12f;
  }

  absl::Status PrepareCell() {
    const TensorView& cell = in(at_.cell_state);
    LS_ASSIGN_OR_RETURN(plan_.lstm.cell_exponent, CellExponent(cell));
    if (settings_.cell_clip > 0.0f) {
      plan_.lstm.cell_clip =
          static_cast<int32_t>(std::min(settings_.cell_clip / cell.scale(), 32767.0f));
    }
    if (settings_.projection_clip > 0.0f) {
      plan_.lstm.projection_clip =
          static_cast<int32_t>(std::min(settings_.projection_clip / args_.out(0).scale(), 127.0f));
    }
    const float hidden = args_.intermediates[kHidden].scale();
    plan_.lstm.hidden_scale =
        QuantizeMultiplier(static_cast<float>(0x1.0p-15 / hidden * 0x1.0p-15));
    plan_.lstm.hidden_zero = args_.intermediates[kHidden].zero_point();
    plan_.lstm.output_zero = in(at_.output_state).zero_point();
    return absl::OkStatus();
  }

  absl::StatusOr<const int8_t*> Weights(size_t i) {
    LS_RETURN_IF_ERROR(CheckOneScale(in(i), "the weights"));
    if (in(i).data == nullptr) return Unsupported("weights that are not constant have no kernel");
    return in(i).As<int8_t>();
  }

  // bias + zero * the sum of each row of weights, modulo 2^32. `bias` may be null.
  const int32_t* FoldBias(const int8_t* weights, size_t rows, size_t columns, const int32_t* bias,
                          int32_t zero) {
    std::vector<int32_t> folded(rows);
    for (size_t r = 0; r < rows; ++r) {
      auto sum = static_cast<uint32_t>(bias == nullptr ? 0 : bias[r]);
      for (size_t c = 0; c < columns; ++c) {
        sum += static_cast<uint32_t>(zero * weights[r * columns + c]);
      }
      folded[r] = static_cast<int32_t>(sum);
    }
    plan_.biases.push_back(std::move(folded));
    return plan_.biases.back().data();
  }

  absl::Status PrepareGate(size_t g, reference::LstmInt8Gate* gate) {
    const float sums = GateScale(g);
    const TensorView &input = in(at_.input), &state = in(at_.output_state),
                     &bias = in(at_.bias + g);
    if (bias.data == nullptr) return Unsupported("a bias that is not constant has no kernel");
    LS_ASSIGN_OR_RETURN(gate->input_weights, Weights(at_.weights + g));
    LS_ASSIGN_OR_RETURN(gate->recurrent_weights, Weights(at_.recurrent + g));
    // With layer normalization the bias comes after it.
    gate->input_bias =
        FoldBias(gate->input_weights, form_.sizes.cells, form_.sizes.inputs,
                 form_.layer_norm ? nullptr : bias.As<int32_t>(), -input.zero_point());
    gate->recurrent_bias = FoldBias(gate->recurrent_weights, form_.sizes.cells, form_.sizes.outputs,
                                    nullptr, -state.zero_point());
    gate->input_scale = QuantizeMultiplier(in(at_.weights + g).scale() * input.scale() / sums);
    gate->recurrent_scale =
        QuantizeMultiplier(in(at_.recurrent + g).scale() * state.scale() / sums);
    const auto peephole = PeepholeOf(at_, g);
    if (form_.peephole && peephole.has_value()) {
      const TensorView& p = in(*peephole);
      LS_RETURN_IF_ERROR(CheckConstant(p));
      gate->peephole = p.As<int16_t>();
      gate->peephole_scale = QuantizeMultiplier(
          static_cast<float>(std::ldexp(1.0, plan_.lstm.cell_exponent) * p.scale() / sums));
    }
    if (!form_.layer_norm) return absl::OkStatus();
    const TensorView& norm = in(*at_.layer_norm + g);
    LS_RETURN_IF_ERROR(CheckConstant(norm));
    gate->layer_norm = norm.As<int16_t>();
    gate->layer_norm_bias = bias.As<int32_t>();
    gate->layer_norm_scale = QuantizeMultiplier(norm.scale());
    gate->variance_guard = std::max(1, TruncateToInt32(10000.0f * norm.scale()));
    return absl::OkStatus();
  }

  static absl::Status CheckConstant(const TensorView& coefficients) {
    if (coefficients.data == nullptr) {
      return Unsupported("coefficients that are not constant have no kernel");
    }
    return CheckOneScale(coefficients, "the coefficients");
  }

  absl::Status PrepareProjection() {
    LS_ASSIGN_OR_RETURN(plan_.lstm.projection, Weights(at_.projection));
    const int32_t* bias = nullptr;
    if (form_.projection_bias) {
      bias = in(at_.projection_bias).As<int32_t>();
      if (bias == nullptr) return Unsupported("a bias that is not constant has no kernel");
    }
    plan_.lstm.projection_bias = FoldBias(plan_.lstm.projection, form_.sizes.outputs,
                                          form_.sizes.cells, bias, plan_.lstm.hidden_zero);
    plan_.lstm.projection_scale =
        QuantizeMultiplier(in(at_.projection).scale() * args_.intermediates[kHidden].scale() /
                           in(at_.output_state).scale());
    return absl::OkStatus();
  }

  const PrepareArgs& args_;
  const LstmSettings& settings_;
  IntegerPlan& plan_;
  const LstmOperands& at_;
  const LstmForm& form_;
};

void RunInteger(const IntegerPlan& p, const RunArgs& args) {
  const reference::LstmSizes& n = p.form.sizes;
  const size_t rows = p.time_major ? p.form.batches : 1;
  ScratchCutter cut(args.scratch);
  auto* gates = cut.Take<int16_t>(kLstmGates * rows * n.cells);
  auto* hidden = cut.Take<int8_t>(rows * n.cells);
  const auto* x = args.in<int8_t>(p.at.input);
  auto* out = args.out<int8_t>(0);
  auto* state = VariableOf<int8_t>(args, p.at.output_state);
  auto* cell = VariableOf<int16_t>(args, p.at.cell_state);
  for (size_t b = 0; b < (p.time_major ? 1 : p.form.batches); ++b) {
    for (size_t t = 0; t < p.form.steps; ++t) {
      const size_t row = (b * p.form.steps + t) * rows;
      reference::StepLstmInt8(p.lstm, x + row * n.inputs, state + b * n.outputs, cell + b * n.cells,
                              out + row * n.outputs, gates, hidden);
    }
  }
}

absl::StatusOr<Kernel> PrepareInteger(const LstmOperands& at, const LstmSettings& settings,
                                      const LstmForm& form, const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckIntegerTypes(form, at, args));
  auto plan = std::make_shared<IntegerPlan>();
  plan->at = at;
  plan->form = form;
  plan->time_major = settings.time_major;
  const size_t rows = plan->time_major ? form.batches : 1;
  plan->lstm.sizes = {rows, form.sizes.inputs, form.sizes.cells, form.sizes.outputs};
  plan->biases.reserve(2 * kLstmGates + 1);
  LS_RETURN_IF_ERROR(IntegerPreparer(args, settings, plan.get()).Prepare());
  ScratchCutter count(nullptr);
  count.Take<int16_t>(kLstmGates * rows * form.sizes.cells);
  count.Take<int8_t>(rows * form.sizes.cells);
  Kernel kernel;
  kernel.scratch_bytes = count.bytes();
  kernel.run = [plan = std::shared_ptr<const IntegerPlan>(plan)](const RunArgs& run) {
    RunInteger(*plan, run);
    return absl::OkStatus();
  };
  return kernel;
}

// ---- The record
// -------------------------------------------------------------------------------------

absl::StatusOr<Kernel> PrepareLstm(const PrepareArgs& args) {
  const LstmOperands at = SequenceLstmOperands(args.node);
  const LstmSettings settings = SequenceLstmSettings(args.node);
  LS_ASSIGN_OR_RETURN(const LstmForm form, LstmFormOf(at, settings, args.inputs));
  LS_RETURN_IF_ERROR(CheckLstmShapes(at, form, args));
  if (!(settings.cell_clip >= 0.0f) || !(settings.projection_clip >= 0.0f)) {
    return Invalid("its clips {} and {} must not be negative", settings.cell_clip,
                   settings.projection_clip);
  }
  Kernel kernel;
  const TensorType type = args.in(0).type;
  // LiteRT has none on int16; forms that tflite-micro has not are computed as LiteRT does.
  const bool micro = type == schema::TensorType_INT16 ||
                     (type == schema::TensorType_INT8 && args.arithmetic == Arithmetic::kTflm &&
                      *MicroLstmObstacle(form, settings) == '\0');
  if (micro) {
    LS_ASSIGN_OR_RETURN(kernel, PrepareMicroLstm(at, settings, form, args));
  } else if (type == schema::TensorType_INT8) {
    LS_ASSIGN_OR_RETURN(kernel, PrepareInteger(at, settings, form, args));
  } else {
    LS_ASSIGN_OR_RETURN(const PreparedLstm lstm, PrepareFloatLstm(at, settings, form, args));
    kernel.scratch_bytes = lstm.scratch_bytes;
    kernel.run = [run = lstm.run, width = form.sizes.outputs](const RunArgs& a) {
      run(LstmRun{&a, a.out<float>(0), width, a.scratch});
      return absl::OkStatus();
    };
  }
  kernel.name = KernelName(args);
  return kernel;
}

absl::Status SequenceGradient(const GradArgs& args) {
  const LstmOperands at = SequenceLstmOperands(args.node);
  const LstmSettings settings = SequenceLstmSettings(args.node);
  LS_ASSIGN_OR_RETURN(const LstmForm form, LstmFormOf(at, settings, args.inputs));
  StartGradients(args);
  return AddLstmGradient(at, settings, form, {args.out_grads[0], form.sizes.outputs}, args);
}

int Version(const VersionArgs& args) {
  const auto& o = args.node.GetOptions<UnidirectionalSequenceLSTMOptionsT>();
  const bool weights8 = args.in(2) == schema::TensorType_INT8;
  if (weights8 && args.in(0) == schema::TensorType_INT16) return 5;
  if (o.diagonal_recurrent_tensors) return 4;
  if (weights8 && args.in(0) == schema::TensorType_FLOAT32) {
    return o.asymmetric_quantize_inputs ? 3 : 2;
  }
  return 1;
}

}  // namespace

LstmOperands SequenceLstmOperands(const Node& node) {
  LstmOperands at;
  if (node.inputs.size() == 24) at.layer_norm = 20;
  return at;
}

LstmSettings SequenceLstmSettings(const Node& node) {
  const auto& o = node.GetOptions<UnidirectionalSequenceLSTMOptionsT>();
  return {o.fused_activation_function,  o.cell_clip, o.proj_clip, o.time_major,
          o.asymmetric_quantize_inputs, false};
}

const OpRecord& UnidirectionalSequenceLstmOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM;
    r.names = {"LSTM", "", "LSTM"};
    r.infer_shapes = Infer;
    r.prepare = PrepareLstm;
    r.gradient = SequenceGradient;
    r.version = Version;
    r.stateful = true;
    r.quant.dynamic = true;
    r.quant.int8 = r.quant.int16x8 = true;  // by quantize/lstm_plan.cc, beyond what the rule says
    r.quant.inputs = {{Role::kActivation, -1}};
    // Input and recurrent weights, peephole (all int8 in the hybrid form), biases, projection.
    for (int i = 1; i <= 11; ++i) r.quant.inputs.push_back({Role::kWeight, -1});
    for (int i = 12; i <= 15; ++i) r.quant.inputs.push_back({Role::kBias, -1});
    r.quant.inputs.push_back({Role::kWeight, -1});
    r.quant.inputs.push_back({Role::kBias, -1});
    r.quant.inputs.push_back({Role::kIndex, -1});
    return r;
  }();
  return record;
}

}  // namespace litesmith
