#ifndef LITESMITH_DATA_IMAGE_H_
#define LITESMITH_DATA_IMAGE_H_

// Pictures: JPEG (libjpeg-turbo) and PNG (libpng) as 8-bit pixels, and as inputs of a model.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "data/preprocess.h"
#include "litesmith/array.h"
#include "litesmith/context.h"

namespace litesmith {

// Row-major pixels, channels last: 1 (grey), 3 (red, green, blue) or 4 (with alpha).
struct Picture {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<std::byte> pixels;
};

// True where the bytes begin as a JPEG or PNG.
bool LooksLikePicture(std::span<const std::byte> bytes);

// Decodes a JPEG or PNG, told apart by content, to `channels` 1, 3 or 4; 0: 1 for a grey picture,
// else 3. *picture's memory is reused where it fits.
//   Colour becomes grey by JPEG's own luma, in PNG by 0.299 R + 0.587 G + 0.114 B; grey repeats
//   into colour; transparency is dropped (not blended) unless 4 channels are asked for, and is
//   opaque where there is none. 16-bit PNGs are scaled to 8 bits, palettes and low bit depths
//   expanded. Interlaced and progressive files are read; CMYK JPEGs are refused. The orientation
//   that cameras note (EXIF) is not applied.
// Bounds: at most 65,535 pixels a side and 2^27 in all, within context.memory_budget, and no more
// than the file's bytes can hold (a header that claims more is a bomb): checked before the pixels'
// memory is taken. Damaged and cut files are errors, never half pictures.
absl::Status DecodePicture(std::span<const std::byte> bytes, int channels, const Context& context,
                           Picture* picture);

// Bilinear resize with half-pixel centres, clamped at the edges and without antialiasing, in
// float32: what tf.image.resize(method="bilinear") computes. `in` is height x width x channels;
// `out` has out_height x out_width x channels elements, all dimensions >= 1.
void ResizeBilinear(const Picture& in, int64_t out_height, int64_t out_width, std::span<float> out);

// Turns pictures into inputs of one model: decodes to its channels, resizes where the size differs,
// normalizes
// ((x - mean) / std, default 0 and 255). Not thread-safe (it keeps its scratch memory).
class PictureReader {
 public:
  // `shape` is the input's without the batch axis: [height, width, channels], [height, width]
  // (grey), or either after a leading 1; a -1 takes what the picture has. An error says why it is
  // no picture's shape.
  static absl::StatusOr<PictureReader> Make(const std::vector<int64_t>& shape,
                                            const Preprocessing& preprocessing);

  absl::Status Read(std::span<const std::byte> bytes, const Context& context, Array* out);

  const std::vector<int64_t>& shape() const { return shape_; }
  const Preprocessing& preprocessing() const { return normalizer_.used(); }

 private:
  std::vector<int64_t> shape_;
  size_t rows_axis_ = 0;  // of shape_; the columns' follows, then the channels'
  Normalizer normalizer_;
  Picture picture_;
};

// One picture file as the input `spec` of a model, as evaluating a data set of pictures would read
// it. Errors name the path.
absl::StatusOr<Array> DecodeImageFile(const std::string& path, const InputSpec& spec,
                                      const Preprocessing& preprocessing, const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_IMAGE_H_
