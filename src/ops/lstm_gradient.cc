#include "ops/lstm_gradient.h"

#include <algorithm>
#include <cmath>

#include "ops/gradient.h"
#include "ops/recurrent_gradient.h"

namespace litesmith {
namespace {

using reference::kCellGate;
using reference::kForgetGate;
using reference::kInputGate;
using reference::kLstmGates;
using reference::kOutputGate;

// As in the kernel, which normalizes a gate's sums.
constexpr float kVarianceGuard = 1e-8f;

class Backward {
 public:
  Backward(const LstmOperands& at, const LstmSettings& settings, const LstmForm& form,
           reference::CellActivation activation, const LstmResultGradient& result,
           const GradArgs& args)
      : at_(at),
        settings_(settings),
        form_(form),
        activation_(activation),
        result_(result),
        args_(args),
        inputs_(form.sizes.inputs),
        aux_(form.sizes.aux_inputs),
        cells_(form.sizes.cells),
        outputs_(form.sizes.outputs) {}

  void Run() {
    CutMemory();
    for (size_t b = 0; b < form_.batches; ++b) {
      for (size_t t = 0; t < form_.steps; ++t) Step(b, t);
      std::fill_n(output_gradient_, outputs_, 0.0f);
      std::fill_n(cell_gradient_, cells_, 0.0f);
      for (size_t t = form_.steps; t-- > 0;) StepBack(b, t);
    }
  }

 private:
  // What is remembered of a step, as many values each as there are cells: the gates, their sums
  // after normalization, the cell, what is given out before the projection. Then the outputs and
  // the gates' 1 / deviation.
  enum Part : size_t { kGate, kNormal = kLstmGates, kCell = 2 * kLstmGates, kHidden, kParts };

  void CutMemory() {
    stride_ = kParts * cells_ + outputs_ + kLstmGates;
    const size_t passed = (3 + kLstmGates + 1) * cells_ + 3 * outputs_;
    auto* memory = reinterpret_cast<float*>(
        GradScratch(args_, (form_.steps * stride_ + passed) * sizeof(float)));
    const auto take = [&memory](size_t count) {
      float* out = memory;
      memory += count;
      return out;
    };
    remembered_ = take(form_.steps * stride_);
    sums_ = take(kLstmGates * cells_);
    cell_gradient_ = take(cells_);
    hidden_gradient_ = take(cells_);
    zeros_ = take(std::max(cells_, outputs_));
    std::fill_n(zeros_, std::max(cells_, outputs_), 0.0f);
    output_gradient_ = take(outputs_);
    next_gradient_ = take(outputs_);
  }

  size_t Row(size_t b, size_t t) const {
    const size_t step = settings_.backwards ? form_.steps - 1 - t : t;
    return settings_.time_major ? step * form_.batches + b : b * form_.steps + step;
  }
  float* At(size_t t, size_t part) { return remembered_ + t * stride_ + part * cells_; }
  float* Output(size_t t) { return At(t, kParts); }
  float* Inverse(size_t t) { return Output(t) + outputs_; }
  const float* CellBefore(size_t t) { return t == 0 ? zeros_ : At(t - 1, kCell); }
  const float* OutputBefore(size_t t) { return t == 0 ? zeros_ : Output(t - 1); }
  const float* In(size_t i) const { return args_.inputs[i].As<float>(); }
  float* Grad(size_t i) const { return args_.in_grads[i]; }
  bool HasGate(size_t g) const { return !(form_.cifg && g == kInputGate); }
  reference::CellActivation ActivationOf(size_t g) const {
    return g == kCellGate ? activation_ : reference::CellActivation::kSigmoid;
  }
  const float* Peephole(size_t g, size_t* at) const {
    const auto peephole = PeepholeOf(at_, g);
    if (!form_.peephole || !peephole.has_value()) return nullptr;
    *at = *peephole;
    return In(*peephole);
  }

  void RunGate(size_t b, size_t t, size_t g) {
    float* gate = At(t, kGate + g);
    if (form_.layer_norm) {
      std::fill_n(gate, cells_, 0.0f);
    } else {
      std::copy_n(In(at_.bias + g), cells_, gate);
    }
    AddProduct(In(at_.weights + g), In(at_.input) + Row(b, t) * inputs_, cells_, inputs_, gate);
    if (form_.aux) {
      AddProduct(In(*at_.aux_weights + g), In(*at_.aux) + Row(b, t) * aux_, cells_, aux_, gate);
    }
    if (form_.diagonal) {
      for (size_t i = 0; i < cells_; ++i) gate[i] += In(at_.recurrent + g)[i] * OutputBefore(t)[i];
    } else {
      AddProduct(In(at_.recurrent + g), OutputBefore(t), cells_, outputs_, gate);
    }
    size_t at = 0;
    if (const float* peephole = Peephole(g, &at); peephole != nullptr) {
      const float* cell = g == kOutputGate ? At(t, kCell) : CellBefore(t);
      for (size_t i = 0; i < cells_; ++i) gate[i] += peephole[i] * cell[i];
    }
    if (form_.layer_norm) Normalize(t, g);
    for (size_t i = 0; i < cells_; ++i) gate[i] = Activated(ActivationOf(g), gate[i]);
  }

  void Normalize(size_t t, size_t g) {
    float *gate = At(t, kGate + g), *normal = At(t, kNormal + g);
    const auto count = static_cast<float>(cells_);
    float sum = 0.0f, squares = 0.0f;
    for (size_t i = 0; i < cells_; ++i) sum += gate[i];
    const float mean = sum / count;
    for (size_t i = 0; i < cells_; ++i) squares += (gate[i] - mean) * (gate[i] - mean);
    const float inverse = 1.0f / std::sqrt(squares / count + kVarianceGuard);
    Inverse(t)[g] = inverse;
    for (size_t i = 0; i < cells_; ++i) {
      normal[i] = (gate[i] - mean) * inverse;
      gate[i] = normal[i] * In(*at_.layer_norm + g)[i] + In(at_.bias + g)[i];
    }
  }

  float InputGate(size_t t, size_t i) {
    return form_.cifg ? 1.0f - At(t, kForgetGate)[i] : At(t, kInputGate)[i];
  }

  void Step(size_t b, size_t t) {
    for (size_t g : {kInputGate, kForgetGate, kCellGate}) {
      if (HasGate(g)) RunGate(b, t, g);
    }
    float *cell = At(t, kCell), *hidden = At(t, kHidden), *out = Output(t);
    for (size_t i = 0; i < cells_; ++i) {
      cell[i] = At(t, kForgetGate)[i] * CellBefore(t)[i] + InputGate(t, i) * At(t, kCellGate)[i];
    }
    reference::Clip(settings_.cell_clip, cells_, cell);
    RunGate(b, t, kOutputGate);
    for (size_t i = 0; i < cells_; ++i) {
      hidden[i] = At(t, kOutputGate)[i] * Activated(activation_, cell[i]);
    }
    if (!form_.projection) {
      std::copy_n(hidden, outputs_, out);
      return;
    }
    std::copy_n(form_.projection_bias ? In(at_.projection_bias) : zeros_, outputs_, out);
    AddProduct(In(at_.projection), hidden, outputs_, cells_, out);
    reference::Clip(settings_.projection_clip, outputs_, out);
  }

  // Where a value was clipped nothing goes through.
  static void Unclip(float limit, const float* values, size_t count, float* gradient) {
    if (!(limit > 0.0f)) return;
    for (size_t i = 0; i < count; ++i) {
      if (std::abs(values[i]) >= limit) gradient[i] = 0.0f;
    }
  }

  // output_gradient_ to hidden_gradient_.
  void ProjectBack(size_t t) {
    if (!form_.projection) {
      std::copy_n(output_gradient_, cells_, hidden_gradient_);
      return;
    }
    Unclip(settings_.projection_clip, Output(t), outputs_, output_gradient_);
    if (form_.projection_bias) AddTo(output_gradient_, outputs_, Grad(at_.projection_bias));
    if (float* dp = Grad(at_.projection); dp != nullptr) {
      AddOuter(output_gradient_, At(t, kHidden), outputs_, cells_, dp);
    }
    std::fill_n(hidden_gradient_, cells_, 0.0f);
    AddTransposedProduct(In(at_.projection), output_gradient_, outputs_, cells_, hidden_gradient_);
  }

  // The gradient of a gate becomes that of its sums, in sums_; its peephole is followed to
  // cell_gradient, the gradient of the cell it looked at.
  void GateBack(size_t t, size_t g, const float* cell, float* cell_gradient) {
    float* sum = sums_ + g * cells_;
    for (size_t i = 0; i < cells_; ++i) sum[i] *= Slope(ActivationOf(g), At(t, kGate + g)[i]);
    AddTo(sum, cells_, Grad(at_.bias + g));
    if (form_.layer_norm) NormalizeBack(t, g, sum);
    size_t at = 0;
    const float* peephole = Peephole(g, &at);
    if (peephole == nullptr) return;
    for (size_t i = 0; i < cells_; ++i) {
      if (Grad(at) != nullptr) Grad(at)[i] += sum[i] * cell[i];
      cell_gradient[i] += sum[i] * peephole[i];
    }
  }

  void NormalizeBack(size_t t, size_t g, float* sum) {
    const float *normal = At(t, kNormal + g), *factor = In(*at_.layer_norm + g);
    float* df = Grad(*at_.layer_norm + g);
    float mean = 0.0f, along = 0.0f;
    for (size_t i = 0; i < cells_; ++i) {
      if (df != nullptr) df[i] += sum[i] * normal[i];
      sum[i] *= factor[i];
      mean += sum[i];
      along += sum[i] * normal[i];
    }
    mean /= static_cast<float>(cells_);
    along /= static_cast<float>(cells_);
    for (size_t i = 0; i < cells_; ++i) {
      sum[i] = (sum[i] - mean - normal[i] * along) * Inverse(t)[g];
    }
  }

  void StepBack(size_t b, size_t t) {
    const float* dy = result_.first + Row(b, t) * result_.width;
    for (size_t i = 0; i < outputs_; ++i) output_gradient_[i] += dy[i];
    ProjectBack(t);
    const float *cell = At(t, kCell), *before = CellBefore(t);
    for (size_t i = 0; i < cells_; ++i) {
      const float bent = Activated(activation_, cell[i]);
      sums_[kOutputGate * cells_ + i] = hidden_gradient_[i] * bent;
      cell_gradient_[i] += hidden_gradient_[i] * At(t, kOutputGate)[i] * Slope(activation_, bent);
    }
    GateBack(t, kOutputGate, cell, cell_gradient_);
    Unclip(settings_.cell_clip, cell, cells_, cell_gradient_);
    for (size_t i = 0; i < cells_; ++i) {
      const float dc = cell_gradient_[i], candidate = At(t, kCellGate)[i];
      sums_[kInputGate * cells_ + i] = dc * candidate;
      sums_[kForgetGate * cells_ + i] = dc * (before[i] - (form_.cifg ? candidate : 0.0f));
      sums_[kCellGate * cells_ + i] = dc * InputGate(t, i);
      cell_gradient_[i] = dc * At(t, kForgetGate)[i];
    }
    for (size_t g : {kInputGate, kForgetGate, kCellGate}) {
      if (HasGate(g)) GateBack(t, g, before, cell_gradient_);
    }
    std::fill_n(next_gradient_, outputs_, 0.0f);
    for (size_t g = 0; g < kLstmGates; ++g) {
      if (HasGate(g)) OperandsBack(b, t, g);
    }
    std::swap(output_gradient_, next_gradient_);
  }

  void ProductBack(const float* sum, size_t matrix, size_t x, size_t row, size_t columns) {
    if (float* dx = Grad(x); dx != nullptr) {
      AddTransposedProduct(In(matrix), sum, cells_, columns, dx + row * columns);
    }
    if (float* dw = Grad(matrix); dw != nullptr) {
      AddOuter(sum, In(x) + row * columns, cells_, columns, dw);
    }
  }

  void OperandsBack(size_t b, size_t t, size_t g) {
    const float* sum = sums_ + g * cells_;
    ProductBack(sum, at_.weights + g, at_.input, Row(b, t), inputs_);
    if (form_.aux) ProductBack(sum, *at_.aux_weights + g, *at_.aux, Row(b, t), aux_);
    const size_t recurrent = at_.recurrent + g;
    if (form_.diagonal) {
      for (size_t i = 0; i < cells_; ++i) {
        next_gradient_[i] += sum[i] * In(recurrent)[i];
        if (Grad(recurrent) != nullptr) Grad(recurrent)[i] += sum[i] * OutputBefore(t)[i];
      }
      return;
    }
    AddTransposedProduct(In(recurrent), sum, cells_, outputs_, next_gradient_);
    if (float* dr = Grad(recurrent); dr != nullptr) {
      AddOuter(sum, OutputBefore(t), cells_, outputs_, dr);
    }
  }

  const LstmOperands& at_;
  const LstmSettings& settings_;
  const LstmForm& form_;
  reference::CellActivation activation_;
  LstmResultGradient result_;
  const GradArgs& args_;
  size_t inputs_, aux_, cells_, outputs_, stride_ = 0;
  float *remembered_ = nullptr, *sums_ = nullptr, *zeros_ = nullptr;
  float *cell_gradient_ = nullptr, *hidden_gradient_ = nullptr;
  float *output_gradient_ = nullptr, *next_gradient_ = nullptr;
};

}  // namespace

absl::Status AddLstmGradient(const LstmOperands& at, const LstmSettings& settings,
                             const LstmForm& form, const LstmResultGradient& result,
                             const GradArgs& args) {
  LS_ASSIGN_OR_RETURN(const reference::CellActivation activation,
                      CellActivationOf(settings.activation));
  Backward(at, settings, form, activation, result, args).Run();
  return absl::OkStatus();
}

}  // namespace litesmith
