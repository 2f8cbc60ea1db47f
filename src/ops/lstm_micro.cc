#include "ops/lstm_micro.h"

#include <cmath>
#include <memory>

#include "kernels/reference/lstm_micro.h"
#include "ops/matrix_support.h"

namespace litesmith {
namespace {

using reference::kInputGate;
using reference::kLstmGates;

template <typename Activation>
constexpr TensorType kActivation =
    std::is_same_v<Activation, int8_t> ? schema::TensorType_INT8 : schema::TensorType_INT16;
template <typename Activation>
constexpr TensorType kBias =
    std::is_same_v<Activation, int8_t> ? schema::TensorType_INT32 : schema::TensorType_INT64;

template <typename Activation>
class Preparer {
 public:
  struct Plan {
    LstmOperands at;
    LstmForm form;
    bool time_major = false;
    reference::MicroLstm<Activation> lstm;  // points into the constants
  };

  Preparer(const LstmOperands& at, const LstmSettings& settings, const LstmForm& form,
           const PrepareArgs& args)
      : at_(at), settings_(settings), form_(form), args_(args), plan_(std::make_shared<Plan>()) {}

  absl::StatusOr<Kernel> Prepare() {
    LS_RETURN_IF_ERROR(CheckTypes());
    plan_->at = at_;
    plan_->form = form_;
    plan_->time_major = settings_.time_major;
    const size_t rows = settings_.time_major ? form_.batches : 1;
    plan_->lstm.sizes = {rows, form_.sizes.inputs, form_.sizes.cells, form_.sizes.outputs};
    LS_RETURN_IF_ERROR(PrepareStates());
    auto& m = plan_->lstm;
    reference::MicroLstmGate<Activation>* gates[kLstmGates] = {&m.input, &m.forget, &m.cell,
                                                               &m.output};
    for (size_t g = 0; g < kLstmGates; ++g) LS_RETURN_IF_ERROR(PrepareGate(g, gates[g]));
    Kernel kernel;
    kernel.scratch_bytes = kLstmGates * rows * form_.sizes.cells * sizeof(int16_t);
    kernel.run = [plan = std::shared_ptr<const Plan>(plan_)](const RunArgs& run) {
      Run(*plan, run);
      return absl::OkStatus();
    };
    return kernel;
  }

 private:
  const TensorView& in(size_t i) const { return args_.in(i); }

  absl::Status CheckTypes() const {
    const auto all = [&](size_t first, size_t count, TensorType type) {
      for (size_t i = first; i < first + count; ++i) {
        if (in(i).type != type) return false;
      }
      return true;
    };
    const bool ok = all(at_.weights, 2 * kLstmGates, schema::TensorType_INT8) &&
                    all(at_.bias, kLstmGates, kBias<Activation>) &&
                    all(at_.output_state, 1, kActivation<Activation>) &&
                    all(at_.cell_state, 1, schema::TensorType_INT16) &&
                    args_.out(0).type == kActivation<Activation>;
    return ok ? absl::OkStatus() : NoKernel(args_);
  }

  absl::Status PrepareStates() {
    LS_RETURN_IF_ERROR(CheckActivationQuant(in(at_.input), "the input"));
    LS_RETURN_IF_ERROR(CheckActivationQuant(in(at_.output_state), "the output state"));
    const TensorView& cell = in(at_.cell_state);
    LS_ASSIGN_OR_RETURN(const int exponent, CellExponent(cell));
    auto& m = plan_->lstm;
    m.input_zero = in(at_.input).zero_point();
    m.output_zero = in(at_.output_state).zero_point();
    const double scale = cell.scale();
    m.keep_scale = QuantizeMultiplier(0x1.0p-15 * scale / scale);
    m.add_scale = QuantizeMultiplier(0x1.0p-30 / scale);
    m.hidden_scale = QuantizeMultiplier(0x1.0p-30 / double{in(at_.output_state).scale()});
    // From the state's units to 2^-12, thirds of which the table counts in.
    const int left = 12 + exponent;
    m.cell_tanh =
        left >= 0 ? reference::SigmoidScale{3 << left, 0} : reference::SigmoidScale{3, -left};
    if (settings_.cell_clip > 0.0f) {
      m.cell_clip = static_cast<int32_t>(std::min(settings_.cell_clip / scale, 32767.0));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<const int8_t*> Weights(size_t i) const {
    LS_RETURN_IF_ERROR(CheckOneScale(in(i), "the weights"));
    if (in(i).data == nullptr) return Unsupported("weights that are not constant have no kernel");
    return in(i).template As<int8_t>();
  }

  absl::Status PrepareGate(size_t g, reference::MicroLstmGate<Activation>* gate) const {
    const size_t weights = at_.weights + g, recurrent = at_.recurrent + g;
    LS_ASSIGN_OR_RETURN(gate->input_weights, Weights(weights));
    LS_ASSIGN_OR_RETURN(gate->recurrent_weights, Weights(recurrent));
    gate->bias = in(at_.bias + g).template As<reference::MicroBias<Activation>>();
    if (gate->bias == nullptr) return Unsupported("a bias that is not constant has no kernel");
    // The scales are multiplied as floats.
    const auto scale = [&](size_t x, size_t w) {
      const float product = in(x).scale() * in(w).scale();
      return QuantizeMultiplier(double{product} / 0x1.0p-12);
    };
    gate->input_scale = scale(at_.input, weights);
    gate->recurrent_scale = scale(at_.output_state, recurrent);
    return absl::OkStatus();
  }

  static void Run(const Plan& p, const RunArgs& args) {
    const reference::LstmSizes& n = p.form.sizes;
    const size_t rows = p.time_major ? p.form.batches : 1;
    auto* gates = reinterpret_cast<int16_t*>(args.scratch);
    const auto* x = args.in<Activation>(p.at.input);
    auto* out = args.out<Activation>(0);
    auto* state = VariableOf<Activation>(args, p.at.output_state);
    auto* cell = VariableOf<int16_t>(args, p.at.cell_state);
    for (size_t b = 0; b < (p.time_major ? 1 : p.form.batches); ++b) {
      for (size_t t = 0; t < p.form.steps; ++t) {
        const size_t row = (b * p.form.steps + t) * rows;
        reference::StepMicroLstm(p.lstm, x + row * n.inputs, state + b * n.outputs,
                                 cell + b * n.cells, out + row * n.outputs, gates);
      }
    }
  }

  const LstmOperands& at_;
  const LstmSettings& settings_;
  const LstmForm& form_;
  const PrepareArgs& args_;
  std::shared_ptr<Plan> plan_;
};

}  // namespace

const char* MicroLstmObstacle(const LstmForm& form, const LstmSettings& settings) {
  if (form.cifg) return "tflite-micro's LSTM needs an input gate";
  if (form.peephole) return "tflite-micro's LSTM has no peephole";
  if (form.projection || form.sizes.outputs != form.sizes.cells) {
    return "tflite-micro's LSTM has no projection";
  }
  if (form.layer_norm) return "tflite-micro's LSTM has no layer normalization";
  if (form.diagonal) return "tflite-micro's LSTM has no diagonal recurrent weights";
  if (settings.activation != schema::ActivationFunctionType_TANH) {
    return "tflite-micro's integer LSTM has the activation TANH only";
  }
  return "";
}

absl::StatusOr<int> CellExponent(const TensorView& cell) {
  LS_RETURN_IF_ERROR(CheckOneScale(cell, "the cell state"));
  const double exponent = std::log2(static_cast<double>(cell.scale()));
  const double rounded = std::round(exponent);
  // Written so that a scale that is no number is refused.
  if (!(std::abs(exponent - rounded) < 1e-3 && rounded >= -15 && rounded <= -9)) {
    return Unsupported(
        "a cell state of scale {} has no kernel: it must be a power of two, 2^-15 to 2^-9",
        cell.scale());
  }
  return static_cast<int>(rounded);
}

absl::StatusOr<Kernel> PrepareMicroLstm(const LstmOperands& at, const LstmSettings& settings,
                                        const LstmForm& form, const PrepareArgs& args) {
  if (const char* obstacle = MicroLstmObstacle(form, settings); *obstacle != '\0') {
    return Unsupported("{}", obstacle);
  }
  if (args.in(at.input).type == schema::TensorType_INT8) {
    return Preparer<int8_t>(at, settings, form, args).Prepare();
  }
  return Preparer<int16_t>(at, settings, form, args).Prepare();
}

}  // namespace litesmith
