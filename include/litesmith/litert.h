#ifndef LITESMITH_LITERT_H_
#define LITESMITH_LITERT_H_

#include <string>

#include "absl/status/status.h"

namespace litesmith {

// Which of LiteRT's kernels compute.
enum class LitertKernels {
  kDelegate,   // XNNPACK where it can, as applications have it
  kBuiltin,    // LiteRT's optimised kernels
  kReference,  // its plain loops; the wheel of 2.3.0 takes kBuiltin's all the same
};

// Google's LiteRT in this process, side by side with litesmith: an aid for measuring and checking.
// Nothing else needs it. The library is loaded when it is first asked for, and stays.
struct LitertOptions {
  std::string library;  // libLiteRt.so of the ai-edge-litert wheel; "": what LITERT_LIBRARY names
  LitertKernels kernels = LitertKernels::kDelegate;
};

// OK when the library is there and can be used. Errors say what is wrong with it and what to do.
absl::Status CheckLitert(const LitertOptions& options);

}  // namespace litesmith

#endif  // LITESMITH_LITERT_H_
