#ifndef LITESMITH_DATA_IMAGE_CODEC_H_
#define LITESMITH_DATA_IMAGE_CODEC_H_

// The two decoders behind DecodePicture.

#include <span>

#include "data/image.h"

namespace litesmith {

inline constexpr uint64_t kMaxPixels = uint64_t{1} << 27;
inline constexpr uint64_t kMaxSide = 65535;

absl::Status DecodeJpeg(std::span<const std::byte> bytes, int channels, const Context& context,
                        Picture* picture);
absl::Status DecodePng(std::span<const std::byte> bytes, int channels, const Context& context,
                       Picture* picture);

// The bounds on size that do not depend on the format; `least_bytes`: the fewest that a file of so
// many pixels can have.
absl::Status CheckPictureSize(uint64_t width, uint64_t height, uint64_t least_bytes,
                              uint64_t file_bytes);

}  // namespace litesmith

#endif  // LITESMITH_DATA_IMAGE_CODEC_H_
