// UNIDIRECTIONAL_SEQUENCE_RNN.

#include <memory>

#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/recurrent.h"
#include "ops/recurrent_gradient.h"

namespace litesmith {
namespace {

using schema::SequenceRNNOptionsT;

constexpr size_t kInput = 0, kWeights = 1, kRecurrent = 2, kBias = 3, kState = 4;

struct State {
  size_t batches = 0, steps = 0, inputs = 0, units = 0;
  bool time_major = false, asymmetric = false;
  reference::CellActivation activation = reference::CellActivation::kNone;
  float weight_scale = 1.0f, recurrent_scale = 1.0f;
};

absl::StatusOr<State> MakeState(const SequenceRNNOptionsT& options,
                                std::span<const TensorView> inputs) {
  const Shape &x = inputs[kInput].shape, &weights = inputs[kWeights].shape;
  if (x.size() != 3 || weights.size() != 2 || x[2] != weights[1]) {
    return Invalid("input {} and weights {} do not fit", ShapeString(x), ShapeString(weights));
  }
  State s;
  s.time_major = options.time_major;
  s.asymmetric = options.asymmetric_quantize_inputs;
  s.batches = static_cast<size_t>(x[s.time_major ? 1 : 0]);
  s.steps = static_cast<size_t>(x[s.time_major ? 0 : 1]);
  s.inputs = static_cast<size_t>(x[2]);
  s.units = static_cast<size_t>(weights[0]);
  LS_ASSIGN_OR_RETURN(s.activation, CellActivationOf(options.fused_activation_function));
  return s;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 5, 5, 1));
  LS_ASSIGN_OR_RETURN(const State s,
                      MakeState(args.node.GetOptions<SequenceRNNOptionsT>(), args.inputs));
  Shape out = args.in(kInput).shape;
  out[2] = static_cast<int32_t>(s.units);
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

// step(x, out, state, rows) for every step of every sequence; with time first, all sequences at
// once.
template <typename Step>
void ForSteps(const State& s, const RunArgs& args, const Step& step) {
  const float* x = args.in<float>(kInput);
  float *out = args.out<float>(0), *state = VariableOf<float>(args, kState);
  const size_t rows = s.time_major ? s.batches : 1;
  for (size_t b = 0; b < (s.time_major ? 1 : s.batches); ++b) {
    for (size_t t = 0; t < s.steps; ++t) {
      const size_t row = (b * s.steps + t) * rows;
      step(x + row * s.inputs, out + row * s.units, state + b * s.units, rows);
    }
  }
}

void StartWithBias(const State& s, const RunArgs& args, size_t rows, float* out) {
  for (size_t r = 0; r < rows; ++r) std::copy_n(args.in<float>(kBias), s.units, out + r * s.units);
}

Kernel FloatKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    ForSteps(*s, args, [&](const float* x, float* out, float* state, size_t rows) {
      StartWithBias(*s, args, rows, out);
      reference::MultiplyAccumulate(x, args.in<float>(kWeights), rows, s->inputs, s->units, out);
      reference::MultiplyAccumulate(state, args.in<float>(kRecurrent), rows, s->units, s->units,
                                    out);
      reference::FinishRnnStep(s->activation, rows * s->units, out, state);
    });
    return absl::OkStatus();
  };
  return kernel;
}

Kernel HybridKernel(std::shared_ptr<const State> s) {
  ScratchCutter count(nullptr);
  count.TakeRows(s->batches, s->inputs);
  count.TakeRows(s->batches, s->units);
  Kernel kernel;
  kernel.scratch_bytes = count.bytes();
  kernel.run = [s](const RunArgs& args) {
    ScratchCutter cut(args.scratch);
    const reference::QuantizedRows input = cut.TakeRows(s->batches, s->inputs);
    const reference::QuantizedRows hidden = cut.TakeRows(s->batches, s->units);
    ForSteps(*s, args, [&](const float* x, float* out, float* state, size_t rows) {
      StartWithBias(*s, args, rows, out);
      input.Quantize(x, rows, s->inputs, s->asymmetric);
      reference::MultiplyAccumulate(input, args.in<int8_t>(kWeights), s->weight_scale, rows,
                                    s->inputs, s->units, out);
      hidden.Quantize(state, rows, s->units, s->asymmetric);
      reference::MultiplyAccumulate(hidden, args.in<int8_t>(kRecurrent), s->recurrent_scale, rows,
                                    s->units, s->units, out);
      reference::FinishRnnStep(s->activation, rows * s->units, out, state);
    });
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, State s) {
  for (const TensorView* t : {&args.in(kInput), &args.in(kBias), &args.in(kState), &args.out(0)}) {
    if (t->type != schema::TensorType_FLOAT32) return NoKernel(args);
  }
  const TensorType weights = args.in(kWeights).type;
  if (args.in(kRecurrent).type != weights) return NoKernel(args);
  if (weights == schema::TensorType_FLOAT32) {
    return FloatKernel(std::make_shared<const State>(std::move(s)));
  }
  if (weights != schema::TensorType_INT8) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckOneScale(args.in(kWeights), "the weights"));
  LS_RETURN_IF_ERROR(CheckOneScale(args.in(kRecurrent), "the recurrent weights"));
  s.weight_scale = args.in(kWeights).scale();
  s.recurrent_scale = args.in(kRecurrent).scale();
  return HybridKernel(std::make_shared<const State>(std::move(s)));
}

absl::StatusOr<Kernel> PrepareRnn(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(State s, MakeState(args.node.GetOptions<SequenceRNNOptionsT>(), args.inputs));
  const auto units = static_cast<int32_t>(s.units), batches = static_cast<int32_t>(s.batches);
  LS_RETURN_IF_ERROR(CheckDims(args.in(kRecurrent), "the recurrent weights", {units, units}));
  LS_RETURN_IF_ERROR(CheckDims(args.in(kBias), "the bias", {units}));
  LS_RETURN_IF_ERROR(CheckState(args.in(kState), "the state", {batches, units}));
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, std::move(s)));
  kernel.name = KernelName(args);
  return kernel;
}

// Back through time; the results are the states.
absl::Status RnnGradient(const GradArgs& args) {
  LS_ASSIGN_OR_RETURN(const State s,
                      MakeState(args.node.GetOptions<SequenceRNNOptionsT>(), args.inputs));
  StartGradients(args);
  const auto *x = args.inputs[kInput].As<float>(), *y = args.outputs[0].As<float>();
  const auto *weights = args.inputs[kWeights].As<float>(),
             *recurrent = args.inputs[kRecurrent].As<float>();
  float *dx = args.in_grads[kInput], *dw = args.in_grads[kWeights];
  auto* state = reinterpret_cast<float*>(GradScratch(args, 2 * s.units * sizeof(float)));
  float* sum = state + s.units;
  for (size_t b = 0; b < s.batches; ++b) {
    const auto row = [&](size_t t) { return s.time_major ? t * s.batches + b : b * s.steps + t; };
    std::fill_n(state, s.units, 0.0f);
    for (size_t t = s.steps; t-- > 0;) {
      const size_t r = row(t);
      for (size_t i = 0; i < s.units; ++i) {
        sum[i] = (state[i] + args.out_grads[0][r * s.units + i]) *
                 Slope(s.activation, y[r * s.units + i]);
      }
      AddTo(sum, s.units, args.in_grads[kBias]);
      if (dx != nullptr) {
        AddTransposedProduct(weights, sum, s.units, s.inputs, dx + r * s.inputs);
      }
      if (dw != nullptr) AddOuter(sum, x + r * s.inputs, s.units, s.inputs, dw);
      std::fill_n(state, s.units, 0.0f);
      if (t == 0) continue;
      AddTransposedProduct(recurrent, sum, s.units, s.units, state);
      if (float* dr = args.in_grads[kRecurrent]; dr != nullptr) {
        AddOuter(sum, y + row(t - 1) * s.units, s.units, s.units, dr);
      }
    }
  }
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  if (args.in(kWeights) != schema::TensorType_INT8) return 1;
  return args.node.GetOptions<SequenceRNNOptionsT>().asymmetric_quantize_inputs ? 3 : 2;
}

}  // namespace

const OpRecord& UnidirectionalSequenceRnnOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_RNN;
    r.names = {"SimpleRNN", "", "RNN"};
    r.infer_shapes = Infer;
    r.prepare = PrepareRnn;
    r.gradient = RnnGradient;
    r.version = Version;
    r.stateful = true;
    r.quant.dynamic = true;
    r.quant.inputs = {{Role::kActivation, -1},
                      {Role::kWeight, -1},
                      {Role::kWeight, -1},
                      {Role::kBias, -1},
                      {Role::kIndex, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
