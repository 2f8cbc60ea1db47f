// IDX, plain and gzipped.
#include <span>

#include "data/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  litesmith::Context context;
  context.memory_budget = 16 << 20;
  (void)litesmith::ParseIdx(std::as_bytes(std::span(data, size)), nullptr, context);
  return 0;
}
