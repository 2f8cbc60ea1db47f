#ifndef LITESMITH_DATA_TOOLS_H_
#define LITESMITH_DATA_TOOLS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "litesmith/context.h"

namespace litesmith {

// Draws digits (strokes, distortions, noise) and writes them as MNIST's four IDX files:
// `train_count` for training, `test_count` for testing. The same bytes for the same seed on every
// machine.
absl::Status WriteSyntheticDigits(const std::string& folder, int64_t train_count,
                                  int64_t test_count, uint64_t seed, const Context& context = {});

// Downloads MNIST's four files from `url` (empty: a public mirror) and keeps each only if its
// checksum is right. Files that are there and right are not fetched again. Needs libcurl on the
// machine.
absl::Status DownloadMnist(const std::string& folder, const std::string& url,
                           const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_DATA_TOOLS_H_
