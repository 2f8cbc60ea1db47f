#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <span>

// jpeglib.h needs FILE and size_t before it.
#include <jerror.h>
#include <jpeglib.h>

#include "data/image_codec.h"
#include "data/limits.h"

namespace litesmith {
namespace {

// libjpeg reports errors by a function that must not return: it jumps back to the call that set
// `jump`. Between setjmp and longjmp only functions of C and of this file without destructors run.
struct JpegError {
  jpeg_error_mgr manager;  // first: libjpeg knows the struct by it
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void FailWith(j_common_ptr info) {
  auto* error = reinterpret_cast<JpegError*>(info->err);
  info->err->format_message(info, error->message);
  std::longjmp(error->jump, 1);
}

// Warnings mostly mean that pixels were made up.
void OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
      code == JWRN_MUST_RESYNC || code == JWRN_NOT_SEQUENTIAL || code == JWRN_BOGUS_PROGRESSION) {
    FailWith(info);
  }
}

// A progressive file may repeat scans without end; each costs time for the whole picture.
void OnProgress(j_common_ptr info) {
  constexpr int kMostScans = 200;
  auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number > kMostScans) {
    auto* error = reinterpret_cast<JpegError*>(info->err);
    std::snprintf(error->message, sizeof(error->message), "it has more than %d scans", kMostScans);
    std::longjmp(error->jump, 1);
  }
}

struct JpegDecoder {
  jpeg_decompress_struct info = {};
  JpegError error = {};
  jpeg_progress_mgr progress = {};

  JpegDecoder() {
    info.err = jpeg_std_error(&error.manager);
    error.manager.error_exit = FailWith;
    error.manager.emit_message = OnMessage;
    error.manager.output_message = [](j_common_ptr) {};
    progress.progress_monitor = OnProgress;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  bool ReadHeader(const unsigned char* bytes, size_t size) {
    if (setjmp(error.jump) != 0) return false;
    jpeg_create_decompress(&info);
    info.progress = &progress;
    jpeg_mem_src(&info, bytes, static_cast<unsigned long>(size));
    return jpeg_read_header(&info, TRUE) == JPEG_HEADER_OK;
  }
  bool Start(J_COLOR_SPACE space) {
    if (setjmp(error.jump) != 0) return false;
    info.out_color_space = space;
    info.dct_method = JDCT_ISLOW;
    return jpeg_start_decompress(&info) != 0;
  }
  bool ReadRows(unsigned char* out, size_t stride) {
    if (setjmp(error.jump) != 0) return false;
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = out + info.output_scanline * stride;
      if (jpeg_read_scanlines(&info, &row, 1) != 1) return false;
    }
    return jpeg_finish_decompress(&info) != 0;
  }
  absl::Status Damaged() const {
    return Invalid("the JPEG is damaged or cut short: {}", Printable(error.message));
  }
};

}  // namespace

absl::Status DecodeJpeg(std::span<const std::byte> bytes, int channels, const Context& context,
                        Picture* picture) {
  JpegDecoder decoder;
  if (!decoder.ReadHeader(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) {
    return decoder.Damaged();
  }
  const jpeg_decompress_struct& info = decoder.info;
  if (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK) {
    return Unsupported("the JPEG has CMYK colours; save it as RGB");
  }
  const uint64_t pixels = uint64_t{info.image_width} * info.image_height;
  // A block of 8 x 8 takes at least one bit of Huffman code; arithmetic coding (hardly ever seen)
  // may take less.
  LS_RETURN_IF_ERROR(CheckPictureSize(info.image_width, info.image_height,
                                      info.arith_code ? 0 : pixels / 512, bytes.size()));
  // Progressive files keep all coefficients, two bytes each.
  LS_RETURN_IF_ERROR(
      CheckBudget(pixels * 3 * (info.progressive_mode ? 3 : 1), "the picture", context));
  if (channels == 0) channels = info.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
  const J_COLOR_SPACE space =
      channels == 1 ? JCS_GRAYSCALE : (channels == 3 ? JCS_RGB : JCS_EXT_RGBA);
  picture->height = info.image_height;
  picture->width = info.image_width;
  picture->channels = channels;
  LS_RETURN_IF_ERROR(ResizeWithin(&picture->pixels, pixels * static_cast<uint64_t>(channels),
                                  "the picture", context));
  if (!decoder.Start(space)) return decoder.Damaged();
  if (info.output_width != info.image_width || info.output_height != info.image_height ||
      info.output_components != channels) {
    return Invalid("the JPEG decodes to another size than it states");
  }
  if (!decoder.ReadRows(reinterpret_cast<unsigned char*>(picture->pixels.data()),
                        static_cast<size_t>(picture->width * channels))) {
    return decoder.Damaged();
  }
  return absl::OkStatus();
}

}  // namespace litesmith
