#include "data/image.h"

#include <png.h>
#include <zlib.h>

#include <array>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/tar.h"
#include "tests/data_files.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::litesmith::testing::BytesOf;
using ::litesmith::testing::FlatPng;
using ::litesmith::testing::JpegBytes;
using ::litesmith::testing::PngBytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::byte> Pixels(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (int v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

std::string ErrorOf(std::span<const std::byte> bytes, int channels = 0, Context context = {}) {
  Picture p;
  const absl::Status s = DecodePicture(bytes, channels, context, &p);
  return s.ok() ? "OK" : std::string(Message(s));
}

TEST(Image, PngChannelsBecomeTheModels) {
  const auto rgba = Pixels({255, 0, 0, 7, 0, 255, 0, 8, 0, 0, 255, 9, 10, 20, 30, 255});
  const auto file = PngBytes(2, 2, 4, rgba);
  Picture p;
  ASSERT_OK(DecodePicture(file, 4, Context(), &p));
  EXPECT_EQ(p.pixels, rgba);
  ASSERT_OK(DecodePicture(file, 3, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30}));
  ASSERT_OK(DecodePicture(file, 1, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({76, 150, 29, 18}));
  ASSERT_OK(DecodePicture(file, 0, Context(), &p));
  EXPECT_EQ(p.channels, 3);
  const auto grey = PngBytes(2, 1, 2, Pixels({5, 100, 6, 200}));
  ASSERT_OK(DecodePicture(grey, 0, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({5, 6}));
  ASSERT_OK(DecodePicture(grey, 3, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({5, 5, 5, 6, 6, 6}));
  ASSERT_OK(DecodePicture(grey, 4, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({5, 5, 5, 100, 6, 6, 6, 200}));
}

// A PNG of any colour type and depth, written row by row.
std::vector<std::byte> RawPng(int width, int height, int depth, int type, const std::string& rows,
                              int interlace = PNG_INTERLACE_NONE) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  std::vector<std::byte> out;
  png_set_write_fn(
      png, &out,
      [](png_structp w, png_bytep data, size_t n) {
        auto* o = static_cast<std::vector<std::byte>*>(png_get_io_ptr(w));
        const auto b = std::as_bytes(std::span(data, n));
        o->insert(o->end(), b.begin(), b.end());
      },
      nullptr);
  png_set_IHDR(png, info, width, height, depth, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (type == PNG_COLOR_TYPE_PALETTE) {
    const png_color palette[] = {{1, 2, 3}, {40, 50, 60}, {7, 8, 9}, {70, 80, 90}};
    const png_byte alpha[] = {11, 22};
    png_set_PLTE(png, info, palette, 4);
    png_set_tRNS(png, info, alpha, 2, nullptr);
  }
  png_write_info(png, info);
  const size_t stride = rows.size() / static_cast<size_t>(height);
  std::vector<png_bytep> pointers;
  for (int y = 0; y < height; ++y) {
    pointers.push_back(reinterpret_cast<png_bytep>(
        const_cast<char*>(rows.data() + static_cast<size_t>(y) * stride)));
  }
  png_write_image(png, pointers.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

TEST(Image, PngPaletteLowDepthsSixteenBitsAndInterlace) {
  Picture p;
  // Two pixels a row, 2 bits each: indices 1 and 0.
  const auto palette = RawPng(2, 1, 2, PNG_COLOR_TYPE_PALETTE, std::string("\x40"));
  ASSERT_OK(DecodePicture(palette, 0, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({40, 50, 60, 1, 2, 3}));
  ASSERT_OK(DecodePicture(palette, 4, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({40, 50, 60, 22, 1, 2, 3, 11}));
  const auto bits = RawPng(8, 1, 1, PNG_COLOR_TYPE_GRAY, std::string("\xa0"));
  ASSERT_OK(DecodePicture(bits, 0, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({255, 0, 255, 0, 0, 0, 0, 0}));
  const auto deep = RawPng(2, 1, 16, PNG_COLOR_TYPE_GRAY, std::string("\xff\xff\x80\x00", 4));
  ASSERT_OK(DecodePicture(deep, 0, Context(), &p));
  EXPECT_EQ(p.pixels, Pixels({255, 128}));
  std::string rows;
  for (int i = 0; i < 9 * 9; ++i) rows += static_cast<char>(i);
  const auto interlaced = RawPng(9, 9, 8, PNG_COLOR_TYPE_GRAY, rows, PNG_INTERLACE_ADAM7);
  ASSERT_OK(DecodePicture(interlaced, 0, Context(), &p));
  EXPECT_EQ(p.pixels, BytesOf(rows));
}

TEST(Image, JpegIsNearlyWhatWasWritten) {
  std::vector<std::byte> pixels;
  for (int y = 0; y < 24; ++y) {
    for (int x = 0; x < 16; ++x) {
      for (int c : {x * 10, y * 10, 128}) pixels.push_back(static_cast<std::byte>(c));
    }
  }
  for (bool progressive : {false, true}) {
    Picture p;
    ASSERT_OK(DecodePicture(JpegBytes(16, 24, 3, pixels, progressive), 0, Context(), &p));
    EXPECT_EQ(p.height, 24);
    EXPECT_EQ(p.width, 16);
    EXPECT_EQ(p.channels, 3);
    for (size_t i = 0; i < pixels.size(); ++i) {
      EXPECT_NEAR(std::to_integer<int>(p.pixels[i]), std::to_integer<int>(pixels[i]), 12);
    }
    ASSERT_OK(DecodePicture(JpegBytes(16, 24, 3, pixels, progressive), 4, Context(), &p));
    EXPECT_EQ(p.pixels[3], std::byte{255});
  }
  const std::vector<std::byte> cmyk(8 * 8 * 4);
  EXPECT_THAT(ErrorOf(JpegBytes(8, 8, 4, cmyk)), HasSubstr("CMYK"));
}

// CRC-32 of the pixels that tf.io.decode_jpeg(dct_method='INTEGER_ACCURATE') gives of CIFAR-10's
// first pictures.
TEST(Image, JpegPixelsAreTensorFlows) {
  REQUIRE_SHARED();
  ASSERT_OK_AND_ASSIGN(auto file,
                       FileBytes::Open(testing::SharedDir() + "/data/cifar10/test.tar.gz"));
  auto stream = StreamOfGzip(file->bytes());
  TarReader reader(stream.get());
  const std::array<std::pair<uint32_t, uint32_t>, 3> wanted = {
      {{4094213229u, 1610469605u}, {3942184861u, 228276540u}, {1967033430u, 1113820713u}}};
  std::vector<TarEntry> entries(3);
  for (TarEntry& e : entries) {
    do {
      ASSERT_TRUE(reader.Next(&e).value());
    } while (e.folder);
  }
  for (size_t i = 0; i < 3; ++i) {
    stream->Rewind();
    ASSERT_TRUE(stream->Skip(entries[i].offset).value());
    std::vector<std::byte> bytes(entries[i].size);
    ASSERT_EQ(stream->Read(bytes).value(), bytes.size());
    for (int channels : {3, 1}) {
      Picture p;
      ASSERT_OK(DecodePicture(bytes, channels, Context(), &p));
      const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(p.pixels.data()),
                               static_cast<uInt>(p.pixels.size()));
      EXPECT_EQ(crc, channels == 3 ? wanted[i].first : wanted[i].second) << entries[i].name;
    }
  }
}

// The numbers are tf.image.resize(..., method='bilinear')'s of TensorFlow 2.21.
TEST(Image, BilinearResizeIsTensorFlows) {
  Picture a{2, 3, 1, Pixels({10, 200, 30, 40, 90, 255})};
  std::vector<float> out(20);
  ResizeBilinear(a, 4, 5, out);
  const std::vector<float> larger = {10.0f, 86.0000076f, 200.0f, 97.9999771f, 30.0f,
                                     17.5f, 79.5000076f, 172.5f, 120.749992f, 86.25f,
                                     32.5f, 66.5f,       117.5f, 166.250015f, 198.75f,
                                     40.0f, 60.0f,       90.0f,  189.000031f, 255.0f};
  for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(out[i], larger[i], 1e-4) << i;
  Picture b{5, 4, 1, {}};
  for (int i = 0; i < 20; ++i) b.pixels.push_back(static_cast<std::byte>(i * 37 % 256));
  out.resize(6);
  ResizeBilinear(b, 3, 2, out);
  const std::vector<float> smaller = {67.8333282f, 99.1666641f, 58.5f,
                                      132.5f,      134.500015f, 123.166641f};
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(out[i], smaller[i], 1e-4) << i;
}

TEST(Image, FileBecomesTheModelsInput) {
  const std::string path = testing::TempDir() + "/a.png";
  testing::WriteFile(path, FlatPng(4, 4, 51));
  ASSERT_OK_AND_ASSIGN(Array same, DecodeImageFile(path, {"x", "", {4, 4, 1}}, {}, Context()));
  EXPECT_THAT(same.shape, ElementsAre(4, 4, 1));
  EXPECT_EQ(same.data<float>()[3], 51.0f / 255.0f);
  ASSERT_OK_AND_ASSIGN(Array resized,
                       DecodeImageFile(path, {"x", "", {2, 3, 3}}, {{51, 50, 49}, {1}}, Context()));
  EXPECT_THAT(resized.shape, ElementsAre(2, 3, 3));
  EXPECT_THAT(resized.data<float>().first(3), ElementsAre(0, 1, 2));
  ASSERT_OK_AND_ASSIGN(Array flat, DecodeImageFile(path, {"x", "", {1, 28, 28}}, {}, Context()));
  EXPECT_THAT(flat.shape, ElementsAre(1, 28, 28));
  ASSERT_OK_AND_ASSIGN(Array any, DecodeImageFile(path, {"x", "", {-1, -1, -1}}, {}, Context()));
  EXPECT_THAT(any.shape, ElementsAre(4, 4, 1));
  for (std::vector<int64_t> shape :
       {std::vector<int64_t>{10}, {28, 28, 2}, {2, 28, 28, 3}, {0, 4, 3}}) {
    const auto bad = DecodeImageFile(path, {"x", "", shape}, {}, Context());
    EXPECT_THAT(std::string(Message(bad.status())),
                ::testing::AllOf(HasSubstr(path), HasSubstr(ShapeString(shape))));
  }
  testing::WriteFile(path, BytesOf("rubbish"));
  EXPECT_THAT(
      std::string(Message(DecodeImageFile(path, {"x", "", {4, 4, 1}}, {}, Context()).status())),
      HasSubstr("neither a JPEG nor a PNG"));
}

TEST(Image, BombsAndDamage) {
  std::vector<std::byte> png = FlatPng(4, 4, 51);
  auto with_size = [&](uint32_t width, uint32_t height) {
    std::vector<std::byte> out = png;
    for (size_t i = 0; i < 4; ++i) {
      out[16 + i] = static_cast<std::byte>(width >> (24 - 8 * i));
      out[20 + i] = static_cast<std::byte>(height >> (24 - 8 * i));
    }
    const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(out.data() + 12), 17);
    for (size_t i = 0; i < 4; ++i) out[29 + i] = static_cast<std::byte>(crc >> (24 - 8 * i));
    return out;
  };
  EXPECT_EQ(ErrorOf(with_size(4, 4)), "OK");
  EXPECT_THAT(ErrorOf(with_size(10000, 10000)), HasSubstr("more than its"));
  EXPECT_THAT(ErrorOf(with_size(60000, 60000)), HasSubstr("at most"));
  EXPECT_THAT(ErrorOf(with_size(1000000, 4)), HasSubstr("PNG"));
  Context small;
  small.memory_budget = 100;
  EXPECT_THAT(ErrorOf(FlatPng(40, 40, 1), 0, small), HasSubstr("budget"));
  std::vector<std::byte> jpeg = JpegBytes(16, 16, 1, std::vector<std::byte>(256, std::byte{9}));
  EXPECT_THAT(ErrorOf(std::span(jpeg).first(jpeg.size() - 4)), HasSubstr("damaged or cut short"));
  EXPECT_THAT(ErrorOf(std::span(png).first(png.size() - 20)), HasSubstr("damaged or cut short"));
  for (size_t i = 0; i + 9 < jpeg.size(); ++i) {  // the frame header's height and width
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc0}) {
      jpeg[i + 5] = jpeg[i + 7] = std::byte{0x20};
    }
  }
  EXPECT_THAT(ErrorOf(jpeg), HasSubstr("more than its"));
}

}  // namespace
}  // namespace litesmith
