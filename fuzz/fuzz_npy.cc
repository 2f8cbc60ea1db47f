// .npy and, where the bytes are a zip, .npz.
#include <span>

#include "data/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  litesmith::Context context;
  context.memory_budget = 16 << 20;
  const auto bytes = std::as_bytes(std::span(data, size));
  (void)litesmith::ParseNpy(bytes, context);
  if (size > 2 && data[0] == 'P' && data[1] == 'K') (void)litesmith::ParseNpz(bytes, context);
  return 0;
}
