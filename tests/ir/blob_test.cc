#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace litesmith {
namespace {

// malloc of 32-bit systems gives multiples of 8.
TEST(Blob, StartsAtAMultipleOf16) {
  std::vector<Blob> kept;  // so that addresses differ
  for (size_t size = 1; size <= 200; ++size) {
    std::vector<std::byte> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i);
    const std::vector<std::byte> expected = bytes;
    for (const Blob& blob : {Blob::Copy(bytes), Blob::Own(std::move(bytes))}) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(blob.bytes.data()) % 16, 0u) << size;
      EXPECT_EQ(std::vector<std::byte>(blob.bytes.begin(), blob.bytes.end()), expected);
      kept.push_back(blob);
    }
  }
}

}  // namespace
}  // namespace litesmith
