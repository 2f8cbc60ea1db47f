#ifndef LITESMITH_DATA_LIMITS_H_
#define LITESMITH_DATA_LIMITS_H_

// Bounds that every reader of this room applies before it believes a size in a file.

#include <cstdint>
#include <vector>

#include "base/deflate.h"
#include "base/status.h"
#include "litesmith/context.h"

namespace litesmith {

// OK when `bytes` for `what` fit the memory budget.
inline absl::Status CheckBudget(uint64_t bytes, const char* what, const Context& context) {
  if (bytes <= context.memory_budget) return absl::OkStatus();
  return absl::ResourceExhaustedError(fmt::format(
      "{} would take {} MB, more than the memory budget of {} MB; allow more with --max-memory",
      what, bytes >> 20, context.memory_budget >> 20));
}

// Resizes within the budget; an error instead of an exception where the memory is not there.
template <typename T>
absl::Status ResizeWithin(std::vector<T>* out, uint64_t count, const char* what,
                          const Context& context) {
  if (count > UINT64_MAX / sizeof(T)) return Invalid("{} has an impossible size", what);
  LS_RETURN_IF_ERROR(CheckBudget(count * sizeof(T), what, context));
  try {
    out->resize(static_cast<size_t>(count));
  } catch (const std::exception&) {
    return absl::ResourceExhaustedError(
        fmt::format("no memory for the {} MB of {}", (count * sizeof(T)) >> 20, what));
  }
  return absl::OkStatus();
}

}  // namespace litesmith

#endif  // LITESMITH_DATA_LIMITS_H_
