#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "data/image_codec.h"
#include "data/limits.h"

namespace litesmith {
namespace {

// libpng's errors jump back like libjpeg's; see image_jpeg.cc.
struct PngDecoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const png_byte* at = nullptr;
  size_t left = 0;
  char message[160] = "";

  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }

  static void Feed(png_structp png, png_bytep out, size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->left) png_error(png, "the file ends too early");
    std::memcpy(out, self->at, count);
    self->at += count;
    self->left -= count;
  }
  [[noreturn]] static void OnError(png_structp png, png_const_charp text) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::snprintf(self->message, sizeof(self->message), "%s", text);
    png_longjmp(png, 1);
  }

  bool ReadHeader() {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, OnError,
                                 [](png_structp, png_const_charp) {});
    if (png == nullptr) return false;
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    info = png_create_info_struct(png);
    if (info == nullptr) return false;
    png_set_read_fn(png, this, Feed);
    // Text, profiles and other extras are nothing to us: bounded or skipped.
    png_set_chunk_malloc_max(png, 1 << 20);
    png_set_chunk_cache_max(png, 16);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
    png_set_user_limits(png, kMaxSide, kMaxSide);
    png_read_info(png, info);
    return true;
  }
  // To 8 bits of grey, colour or either with alpha; the caller does the rest.
  bool Expand() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }
  bool ReadRows(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_read_image(png, rows);
    png_read_end(png, nullptr);
    return true;
  }
  absl::Status Damaged() const {
    return Invalid("the PNG is damaged or cut short: {}", Printable(message));
  }
};

// Pixels of `from` channels (1 grey, 2 grey and alpha, 3, 4) to `to` (1, 3, 4).
void ConvertPixels(const unsigned char* in, int from, unsigned char* out, int to, size_t count) {
  for (size_t i = 0; i < count; ++i, in += from, out += to) {
    const bool grey = from < 3;
    const unsigned r = in[0], g = grey ? r : in[1], b = grey ? r : in[2];
    const unsigned char alpha = from == 2 ? in[1] : (from == 4 ? in[3] : 255);
    if (to == 1) {
      // ITU-R BT.601's luma in 16-bit fixed point, rounded.
      out[0] =
          static_cast<unsigned char>(grey ? r : (19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
      continue;
    }
    out[0] = static_cast<unsigned char>(r);
    out[1] = static_cast<unsigned char>(g);
    out[2] = static_cast<unsigned char>(b);
    if (to == 4) out[3] = alpha;
  }
}

}  // namespace

absl::Status DecodePng(std::span<const std::byte> bytes, int channels, const Context& context,
                       Picture* picture) {
  PngDecoder decoder;
  decoder.at = reinterpret_cast<const png_byte*>(bytes.data());
  decoder.left = bytes.size();
  if (!decoder.ReadHeader()) return decoder.Damaged();
  const uint64_t width = png_get_image_width(decoder.png, decoder.info);
  const uint64_t height = png_get_image_height(decoder.png, decoder.info);
  const uint64_t packed = png_get_rowbytes(decoder.png, decoder.info);
  LS_RETURN_IF_ERROR(
      CheckPictureSize(width, height, (packed + 1) * height / kMaxDeflateRatio, bytes.size()));
  if (!decoder.Expand()) return decoder.Damaged();
  const int from = png_get_channels(decoder.png, decoder.info);
  if (png_get_bit_depth(decoder.png, decoder.info) != 8 || from < 1 || from > 4) {
    return Invalid("the PNG has a pixel format that is not known");
  }
  if (channels == 0) channels = from < 3 ? 1 : 3;
  picture->height = static_cast<int64_t>(height);
  picture->width = static_cast<int64_t>(width);
  picture->channels = channels;
  const uint64_t row = width * static_cast<uint64_t>(from);
  LS_RETURN_IF_ERROR(ResizeWithin(
      &picture->pixels, width * height * static_cast<uint64_t>(channels), "the picture", context));
  std::vector<std::byte> expanded;  // where the file has other channels
  if (from != channels)
    LS_RETURN_IF_ERROR(ResizeWithin(&expanded, row * height, "the picture", context));
  auto* decoded =
      reinterpret_cast<unsigned char*>(from == channels ? picture->pixels.data() : expanded.data());
  std::vector<png_bytep> rows(height);
  for (uint64_t y = 0; y < height; ++y) rows[y] = decoded + y * row;
  if (!decoder.ReadRows(rows.data())) return decoder.Damaged();
  if (from != channels) {
    ConvertPixels(decoded, from, reinterpret_cast<unsigned char*>(picture->pixels.data()), channels,
                  width * height);
  }
  return absl::OkStatus();
}

}  // namespace litesmith
