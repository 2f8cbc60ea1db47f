#include "ops/half_kernel.h"

#include <array>
#include <utility>

#include "base/half.h"
#include "ops/elementwise.h"
#include "ops/recurrent.h"

namespace litesmith {
namespace {

constexpr size_t kMostOperands = 8;
constexpr TensorType kHalf = schema::TensorType_FLOAT16;

// One operand's place in the scratch memory; no elements: it is passed through.
using Counts = std::array<size_t, kMostOperands>;

struct Plan {
  Kernel inner;
  size_t inputs = 0, outputs = 0;
  Counts in{}, out{};
};

absl::Status Run(const Plan& p, const RunArgs& args) {
  ScratchCutter cut(args.scratch);
  std::array<const void*, kMostOperands> in{};
  std::array<void*, kMostOperands> out{};
  for (size_t i = 0; i < p.inputs; ++i) {
    in[i] = args.inputs[i];
    if (p.in[i] == 0) continue;
    auto* values = cut.Take<float>(p.in[i]);
    for (size_t k = 0; k < p.in[i]; ++k) values[k] = HalfToFloat(args.in<uint16_t>(i)[k]);
    in[i] = values;
  }
  for (size_t i = 0; i < p.outputs; ++i) {
    out[i] = p.out[i] == 0 ? args.outputs[i] : cut.Take<float>(p.out[i]);
  }
  RunArgs inner = args;
  inner.inputs = std::span(in).first(p.inputs);
  inner.outputs = std::span(out).first(p.outputs);
  inner.scratch = cut.Take<std::byte>(p.inner.scratch_bytes);
  LS_RETURN_IF_ERROR(p.inner.run(inner));
  for (size_t i = 0; i < p.outputs; ++i) {
    for (size_t k = 0; k < p.out[i]; ++k) {
      args.out<uint16_t>(i)[k] = FloatToHalf(static_cast<const float*>(out[i])[k]);
    }
  }
  return absl::OkStatus();
}

// The views in FLOAT32, and how many elements of each are to be converted.
std::vector<TensorView> InFloat(std::span<const TensorView> views, Counts* counts,
                                ScratchCutter* cut) {
  std::vector<TensorView> out(views.begin(), views.end());
  for (size_t i = 0; i < out.size(); ++i) {
    if (!out[i].present || out[i].type != kHalf) continue;
    out[i].type = schema::TensorType_FLOAT32;
    out[i].data = nullptr;
    (*counts)[i] = static_cast<size_t>(out[i].elements());
    cut->Take<float>((*counts)[i]);
  }
  return out;
}

}  // namespace

bool IsHalf(const PrepareArgs& args) { return args.in(0).type == kHalf; }

absl::StatusOr<Kernel> HalfKernel(const PrepareArgs& args, Prepare prepare) {
  for (std::span<const TensorView> views : {args.inputs, args.outputs}) {
    if (views.size() > kMostOperands) return NoKernel(args);
    for (const TensorView& v : views) {
      if (v.present && v.type == schema::TensorType_FLOAT32) return NoKernel(args);
    }
  }
  auto plan = std::make_shared<Plan>();
  plan->inputs = args.inputs.size();
  plan->outputs = args.outputs.size();
  ScratchCutter count(nullptr);
  const std::vector<TensorView> inputs = InFloat(args.inputs, &plan->in, &count);
  const std::vector<TensorView> outputs = InFloat(args.outputs, &plan->out, &count);
  PrepareArgs inner = args;
  inner.inputs = inputs;
  inner.outputs = outputs;
  LS_ASSIGN_OR_RETURN(plan->inner, prepare(inner));
  count.Take<std::byte>(plan->inner.scratch_bytes);
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.scratch_bytes = count.bytes();
  kernel.run = [plan = std::shared_ptr<const Plan>(std::move(plan))](const RunArgs& run) {
    return Run(*plan, run);
  };
  return kernel;
}

}  // namespace litesmith
