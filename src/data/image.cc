#include "data/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/file.h"
#include "data/image_codec.h"
#include "data/limits.h"
#include "data/open.h"

namespace litesmith {
namespace {

bool IsJpeg(std::span<const std::byte> b) {
  return b.size() >= 3 && b[0] == std::byte{0xff} && b[1] == std::byte{0xd8} &&
         b[2] == std::byte{0xff};
}

bool IsPng(std::span<const std::byte> b) {
  constexpr std::string_view kMagic = "\x89PNG\r\n\x1a\n";
  return b.size() >= kMagic.size() && std::memcmp(b.data(), kMagic.data(), kMagic.size()) == 0;
}

// Where an output row or column looks: between `low` and `high`, `weight` of the way.
struct Tap {
  int64_t low, high;
  float weight;
};

std::vector<Tap> Taps(int64_t in, int64_t out) {
  std::vector<Tap> taps(static_cast<size_t>(out));
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  for (int64_t i = 0; i < out; ++i) {
    const float at = (static_cast<float>(i) + 0.5f) * scale - 0.5f;
    const float floor = std::floor(at);
    const auto low = static_cast<int64_t>(floor);
    taps[static_cast<size_t>(i)] = {std::clamp<int64_t>(low, 0, in - 1),
                                    std::clamp<int64_t>(low + 1, 0, in - 1), at - floor};
  }
  return taps;
}

float Mix(std::byte a, std::byte b, float weight) {
  const auto x = static_cast<float>(std::to_integer<int>(a));
  const auto y = static_cast<float>(std::to_integer<int>(b));
  return x + (y - x) * weight;
}

}  // namespace

bool LooksLikePicture(std::span<const std::byte> bytes) { return IsJpeg(bytes) || IsPng(bytes); }

absl::Status CheckPictureSize(uint64_t width, uint64_t height, uint64_t least_bytes,
                              uint64_t file_bytes) {
  if (width == 0 || height == 0) return Invalid("the picture has no pixels");
  if (width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
    return Invalid("the picture claims {} x {} pixels; at most {} a side and {} million are read",
                   width, height, kMaxSide, kMaxPixels / 1000000);
  }
  if (least_bytes > file_bytes) {
    return Invalid("the picture claims {} x {} pixels, more than its {} bytes can hold", width,
                   height, file_bytes);
  }
  return absl::OkStatus();
}

absl::Status DecodePicture(std::span<const std::byte> bytes, int channels, const Context& context,
                           Picture* picture) {
  if (channels != 0 && channels != 1 && channels != 3 && channels != 4) {
    return Internal("pictures of {} channels", channels);
  }
  if (IsJpeg(bytes)) return DecodeJpeg(bytes, channels, context, picture);
  if (IsPng(bytes)) return DecodePng(bytes, channels, context, picture);
  return Invalid("is neither a JPEG nor a PNG; convert the picture to one of them");
}

void ResizeBilinear(const Picture& in, int64_t out_height, int64_t out_width,
                    std::span<float> out) {
  const std::vector<Tap> rows = Taps(in.height, out_height), columns = Taps(in.width, out_width);
  const int64_t channels = in.channels, stride = in.width * channels;
  float* o = out.data();
  for (const Tap& y : rows) {
    const std::byte* top = in.pixels.data() + y.low * stride;
    const std::byte* bottom = in.pixels.data() + y.high * stride;
    for (const Tap& x : columns) {
      const int64_t left = x.low * channels, right = x.high * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const float above = Mix(top[left + c], top[right + c], x.weight);
        const float below = Mix(bottom[left + c], bottom[right + c], x.weight);
        *o++ = above + (below - above) * y.weight;
      }
    }
  }
}

absl::StatusOr<PictureReader> PictureReader::Make(const std::vector<int64_t>& shape,
                                                  const Preprocessing& preprocessing) {
  PictureReader reader;
  reader.shape_ = shape;
  const size_t rank = shape.size();
  // [1, height, width, channels]; [1, height, width] is told from [height, width, channels] by its
  // channels.
  const bool leading = rank == 4 || (rank == 3 && shape[0] == 1 && shape[2] > 4);
  reader.rows_axis_ = leading ? 1 : 0;
  const size_t axes = rank - reader.rows_axis_;
  const int64_t channels = axes == 3 ? shape.back() : 1;
  const bool good_channels = channels == -1 || channels == 1 || channels == 3 || channels == 4;
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  if (empty || rank < 2 || rank > 4 || (rank == 4 && shape[0] != 1 && shape[0] != -1) || axes < 2 ||
      axes > 3 || !good_channels) {
    return Invalid(
        "the model's input takes {}, which is no picture: [height, width, 1, 3 or 4] is needed",
        ShapeString(shape));
  }
  if (rank == 4) reader.shape_[0] = 1;
  // One mean and std a channel: as many as the pictures have, where the model does not say.
  const auto given =
      static_cast<int64_t>(std::max(preprocessing.mean.size(), preprocessing.std.size()));
  const bool free = channels == -1;
  if (free && given > 1) {
    if (given != 3 && given != 4) return Invalid("{} values of mean and std for a picture", given);
    reader.shape_.back() = given;
  }
  LS_ASSIGN_OR_RETURN(reader.normalizer_,
                      Normalizer::ForPixels(preprocessing, free ? given : channels));
  return reader;
}

absl::Status PictureReader::Read(std::span<const std::byte> bytes, const Context& context,
                                 Array* out) {
  const bool has_channels = shape_.size() - rows_axis_ == 3;
  const int64_t channels = has_channels ? shape_.back() : 1;
  LS_RETURN_IF_ERROR(
      DecodePicture(bytes, channels < 0 ? 0 : static_cast<int>(channels), context, &picture_));
  const auto size = [&](size_t axis, int64_t own) { return shape_[axis] < 0 ? own : shape_[axis]; };
  const int64_t height = size(rows_axis_, picture_.height);
  const int64_t width = size(rows_axis_ + 1, picture_.width);
  std::vector<int64_t> shape = shape_;
  shape[rows_axis_] = height;
  shape[rows_axis_ + 1] = width;
  if (has_channels) shape.back() = picture_.channels;
  LS_RETURN_IF_ERROR(CheckBudget(static_cast<uint64_t>(height) * static_cast<uint64_t>(width) *
                                     static_cast<uint64_t>(picture_.channels) * sizeof(float),
                                 "the picture", context));
  Reshape(ElementType::kFloat32, shape, out);
  const std::span<float> values = out->mutable_data<float>();
  if (height == picture_.height && width == picture_.width) {
    normalizer_.Apply(picture_.pixels, values);
  } else {
    ResizeBilinear(picture_, height, width, values);
    normalizer_.ApplyInPlace(values);
  }
  return absl::OkStatus();
}

absl::StatusOr<Array> DecodeImageFile(const std::string& path, const InputSpec& spec,
                                      const Preprocessing& preprocessing, const Context& context) {
  LS_ASSIGN_OR_RETURN_IN(const InputSpec* input, PictureInput({spec}), path);
  (void)input;
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  LS_ASSIGN_OR_RETURN_IN(PictureReader reader, PictureReader::Make(spec.shape, preprocessing),
                         path);
  Array out;
  LS_RETURN_IF_ERROR_IN(reader.Read(file->bytes(), context, &out), path);
  return out;
}

}  // namespace litesmith
