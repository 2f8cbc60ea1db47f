// tar and tar.gz.
#include <span>

#include "data/tar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto stream = litesmith::LooksLikeGzip(bytes) ? litesmith::StreamOfGzip(bytes)
                                                      : litesmith::StreamOfMemory(bytes);
  litesmith::TarReader reader(stream.get());
  litesmith::TarEntry entry;
  for (;;) {
    const absl::StatusOr<bool> more = reader.Next(&entry);
    if (!more.ok() || !*more) return 0;
  }
}
