// JPEG and PNG.
#include <span>

#include "data/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  litesmith::Context context;
  context.memory_budget = 16 << 20;
  litesmith::Picture picture;
  const auto bytes = std::as_bytes(std::span(data, size));
  for (int channels : {0, 1, 4}) {
    (void)litesmith::DecodePicture(bytes, channels, context, &picture);
  }
  return 0;
}
