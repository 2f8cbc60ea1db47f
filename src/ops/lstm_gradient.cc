#include "ops/lstm_gradient.h"

#include <algorithm>
#include <cmath>

#include "ops/gradient.h"

namespace litesmith {
namespace {

using reference::kCellGate;
using reference::kForgetGate;
using reference::kInputGate;
using reference::kLstmGates;
using reference::kOutputGate;

// y[r] += sum over c of matrix[r][c] * x[c].
void AddProduct(const float* matrix, const float* x, size_t rows, size_t columns, float* y) {
  for (size_t r = 0; r < rows; ++r) {
    float sum = 0.0f;
    for (size_t c = 0; c < columns; ++c) sum += matrix[r * columns + c] * x[c];
    y[r] += sum;
  }
}

// y[c] += sum over r of matrix[r][c] * x[r].
void AddTransposedProduct(const float* matrix, const float* x, size_t rows, size_t columns,
                          float* y) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) y[c] += matrix[r * columns + c] * x[r];
  }
}

// matrix[r][c] += a[r] * b[c].
void AddOuter(const float* a, const float* b, size_t rows, size_t columns, float* matrix) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) matrix[r * columns + c] += a[r] * b[c];
  }
}

float Logistic(float x) { return 1.0f / (1.0f + std::exp(-x)); }

class Backward {
 public:
  Backward(const LstmOperands& at, const LstmSettings& settings, const LstmForm& form,
           const GradArgs& args)
      : at_(at),
        args_(args),
        inputs_(form.sizes.inputs),
        cells_(form.sizes.cells),
        steps_(form.steps),
        batches_(form.batches),
        time_major_(settings.time_major),
        backwards_(settings.backwards) {}

  void Run() {
    for (size_t i = 0; i < args_.inputs.size(); ++i) {
      if (args_.in_grads[i] == nullptr || !args_.first[i]) continue;
      std::fill_n(args_.in_grads[i], args_.inputs[i].elements(), 0.0f);
    }
    // Gates, cells and outputs of every step, then what is passed from step to step.
    auto* memory = reinterpret_cast<float*>(
        GradScratch(args_, (steps_ * kRemembered + 4 + kLstmGates) * cells_ * sizeof(float)));
    remembered_ = memory;
    hidden_gradient_ = memory + steps_ * kRemembered * cells_;
    cell_gradient_ = hidden_gradient_ + cells_;
    zeros_ = cell_gradient_ + cells_;
    sums_ = zeros_ + cells_;
    std::fill_n(zeros_, cells_, 0.0f);
    for (size_t b = 0; b < batches_; ++b) {
      for (size_t t = 0; t < steps_; ++t) Step(b, t);
      std::fill_n(hidden_gradient_, cells_, 0.0f);
      std::fill_n(cell_gradient_, cells_, 0.0f);
      for (size_t t = steps_; t-- > 0;) StepBack(b, t);
    }
  }

 private:
  // The four gates, the cell and the output of a step.
  static constexpr size_t kCell = kLstmGates, kOutput = kLstmGates + 1,
                          kRemembered = kLstmGates + 2;

  size_t Row(size_t b, size_t t) const {
    const size_t step = backwards_ ? steps_ - 1 - t : t;
    return time_major_ ? step * batches_ + b : b * steps_ + step;
  }
  float* At(size_t t, size_t what) { return remembered_ + (t * kRemembered + what) * cells_; }
  const float* Before(size_t t, size_t what) { return t == 0 ? zeros_ : At(t - 1, what); }
  const float* In(size_t i) const { return args_.inputs[i].As<float>(); }

  void Step(size_t b, size_t t) {
    const float* x = In(at_.input) + Row(b, t) * inputs_;
    for (size_t g = 0; g < kLstmGates; ++g) {
      float* gate = At(t, g);
      std::copy_n(In(at_.bias + g), cells_, gate);
      AddProduct(In(at_.weights + g), x, cells_, inputs_, gate);
      AddProduct(In(at_.recurrent + g), Before(t, kOutput), cells_, cells_, gate);
      for (size_t i = 0; i < cells_; ++i) {
        gate[i] = g == kCellGate ? std::tanh(gate[i]) : Logistic(gate[i]);
      }
    }
    for (size_t i = 0; i < cells_; ++i) {
      At(t, kCell)[i] =
          At(t, kForgetGate)[i] * Before(t, kCell)[i] + At(t, kInputGate)[i] * At(t, kCellGate)[i];
      At(t, kOutput)[i] = At(t, kOutputGate)[i] * std::tanh(At(t, kCell)[i]);
    }
  }

  void StepBack(size_t b, size_t t) {
    const float* dy = args_.out_grads[0] + Row(b, t) * cells_;
    for (size_t i = 0; i < cells_; ++i) {
      const float in = At(t, kInputGate)[i], forget = At(t, kForgetGate)[i];
      const float cell = At(t, kCellGate)[i], out = At(t, kOutputGate)[i];
      const float bent = std::tanh(At(t, kCell)[i]);
      const float dh = hidden_gradient_[i] + dy[i];
      const float dc = cell_gradient_[i] + dh * out * (1.0f - bent * bent);
      sums_[kInputGate * cells_ + i] = dc * cell * in * (1.0f - in);
      sums_[kForgetGate * cells_ + i] = dc * Before(t, kCell)[i] * forget * (1.0f - forget);
      sums_[kCellGate * cells_ + i] = dc * in * (1.0f - cell * cell);
      sums_[kOutputGate * cells_ + i] = dh * bent * out * (1.0f - out);
      cell_gradient_[i] = dc * forget;
    }
    std::fill_n(hidden_gradient_, cells_, 0.0f);
    const float* x = In(at_.input) + Row(b, t) * inputs_;
    for (size_t g = 0; g < kLstmGates; ++g) {
      const float* sum = sums_ + g * cells_;
      AddTransposedProduct(In(at_.recurrent + g), sum, cells_, cells_, hidden_gradient_);
      if (float* dx = args_.in_grads[at_.input]; dx != nullptr) {
        AddTransposedProduct(In(at_.weights + g), sum, cells_, inputs_, dx + Row(b, t) * inputs_);
      }
      if (float* dw = args_.in_grads[at_.weights + g]; dw != nullptr) {
        AddOuter(sum, x, cells_, inputs_, dw);
      }
      if (float* dr = args_.in_grads[at_.recurrent + g]; dr != nullptr) {
        AddOuter(sum, Before(t, kOutput), cells_, cells_, dr);
      }
      if (float* db = args_.in_grads[at_.bias + g]; db != nullptr) {
        for (size_t i = 0; i < cells_; ++i) db[i] += sum[i];
      }
    }
  }

  const LstmOperands& at_;
  const GradArgs& args_;
  size_t inputs_, cells_, steps_, batches_;
  bool time_major_, backwards_;
  float *remembered_ = nullptr, *hidden_gradient_ = nullptr, *cell_gradient_ = nullptr;
  float *zeros_ = nullptr, *sums_ = nullptr;
};

}  // namespace

absl::Status LstmGradient(const LstmOperands& at, const LstmSettings& settings,
                          const LstmForm& form, const GradArgs& args) {
  if (form.cifg || form.peephole || form.projection || form.layer_norm || form.diagonal ||
      form.aux || settings.cell_clip > 0.0f ||
      settings.activation != schema::ActivationFunctionType_TANH) {
    return Unsupported(
        "only a plain LSTM with tanh has a gradient: no coupled gates, peephole, projection, "
        "layer normalization or clipping");
  }
  Backward(at, settings, form, args).Run();
  return absl::OkStatus();
}

}  // namespace litesmith
