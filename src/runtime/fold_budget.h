#ifndef LITESMITH_RUNTIME_FOLD_BUDGET_H_
#define LITESMITH_RUNTIME_FOLD_BUDGET_H_

#include <cstdint>
#include <span>

#include "ops/op.h"

namespace litesmith {

// About how many elementary steps a node takes: elements, or products for convolutions, matrix
// products, windows and what compares all with all. Never much less than the truth.
uint64_t WorkOf(const OpRecord& op, const Node& node, std::span<const TensorView> inputs,
                std::span<const TensorView> outputs);

// What may be computed ahead, while a model is prepared: a small file must not keep that busy for
// hours, or fill the memory, with constants alone. What is refused is computed when the model runs.
class FoldBudget {
 public:
  explicit FoldBudget(uint64_t memory) : bytes_(memory) {}

  // Whether there is room for a node's work and result, which are then taken.
  bool Take(uint64_t work, uint64_t bytes);

 private:
  uint64_t work_ = uint64_t{1} << 31;
  uint64_t bytes_;
};

}  // namespace litesmith

#endif  // LITESMITH_RUNTIME_FOLD_BUDGET_H_
