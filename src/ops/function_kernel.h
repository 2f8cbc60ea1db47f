#ifndef LITESMITH_OPS_FUNCTION_KERNEL_H_
#define LITESMITH_OPS_FUNCTION_KERNEL_H_

#include <functional>

#include "kernels/activation_f32.h"
#include "ops/elementwise.h"

namespace litesmith {

// A float function of each element that has vector code.
inline Kernel FunctionKernel(const PrepareArgs& args, RowFunction function) {
  Kernel kernel;
  const auto count = static_cast<size_t>(args.out(0).elements());
  kernel.name = KernelName(args);
  kernel.in_place_input = 0;
  kernel.run = [function, count](const RunArgs& run) {
    const auto body = [&](size_t begin, size_t end) {
      FunctionRow(function, run.in<float>(0) + begin, end - begin, run.out<float>(0) + begin);
    };
    ParallelFor(count < 2 * kElementGrain ? nullptr : run.threads, count, kElementGrain,
                std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
}

}  // namespace litesmith

#endif  // LITESMITH_OPS_FUNCTION_KERNEL_H_
