#ifndef LITESMITH_OPS_INT_PRODUCT_H_
#define LITESMITH_OPS_INT_PRODUCT_H_

// The fast integer kernels (KernelMode::kBest) of CONV_2D and FULLY_CONNECTED: which
// kernels/int_stage.h does what the reference stages do, and its arrays. They need constant weights
// and bias.

#include <optional>
#include <vector>

#include "base/fixed_point.h"
#include "kernels/conv_int.h"
#include "kernels/gemm_int.h"
#include "kernels/reference/stage.h"
#include "ops/op.h"

namespace litesmith {

// Weights, packed, and what goes with every column.
struct IntProduct {
  IntConv conv;  // one group for FULLY_CONNECTED
  std::vector<int32_t> init, multiplier, left_shift, right_shift;
  FixedLines lines;
  std::vector<double> factor;
  std::vector<int64_t> wide_bias;
  std::vector<float> column_scale, bias;
  bool wide_sums = false;
  IntStage stage;  // without the pointers

  const IntWeights& weights() const { return conv.groups[0]; }
  // The stage with its arrays, writing to `out`, which has `columns` columns.
  IntStage StageTo(void* out, size_t columns) const;
};

// What decides about the arithmetic.
struct IntProductArgs {
  TensorType input = schema::TensorType_INT8;
  int32_t input_zero = 0;
  int32_t output_zero = 0, low = 0, high = 0;
  const std::vector<Multiplier>* multipliers = nullptr;  // fixed point: one, or one per column
  const std::vector<double>* factors = nullptr;          // else: one, or one per column
  bool narrow = false;                                   // int16 with 32-bit sums
  size_t bias = 2;                                       // the operand
};

// Whether the packed weights should be 8-bit numbers: for activations of one byte and weights
// without offset where the CPU has the instructions.
bool UseBytes(TensorType input, TensorType weights, int32_t weight_offset);

// Fills in everything but `conv`, which is there. False where a bias is not constant or an operand
// has no fast kernel; the node then runs in the reference loops.
bool FinishInteger(const PrepareArgs& args, const IntProductArgs& what, size_t columns,
                   IntProduct* product);
bool FinishHybrid(const PrepareArgs& args, const std::vector<float>& column_scales,
                  bool columns_first, float low, float high, size_t columns, IntProduct* product);

// A product of rows x depth; `scratch` has ProductScratchBytes, aligned to 64. `input` has numbers
// of type In; it is copied where the kernel wants wider ones or whole groups of 4 bytes.
size_t ProductScratchBytes(const IntWeights& w, size_t rows, size_t element);
template <typename In>
void RunProduct(const IntProduct& p, size_t rows, const In* input, const IntStage& stage,
                std::byte* scratch, ThreadPool* threads);

}  // namespace litesmith

#endif  // LITESMITH_OPS_INT_PRODUCT_H_
