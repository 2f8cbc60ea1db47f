#ifndef LITESMITH_BASE_DEFLATE_H_
#define LITESMITH_BASE_DEFLATE_H_

#include <cstdint>

namespace litesmith {

// Deflate cannot expand more than this (zlib's technical notes: 1032:1): a stream that claims more
// is a lie.
inline constexpr uint64_t kMaxDeflateRatio = 1032;

}  // namespace litesmith

#endif  // LITESMITH_BASE_DEFLATE_H_
