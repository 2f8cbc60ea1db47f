#include "tests/data_files.h"

#include <gtest/gtest.h>
#include <png.h>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
// jpeglib.h needs FILE before it.
#include <jpeglib.h>
#include <zip.h>
#include <zlib.h>

#include "base/file.h"
#include "data/npy.h"
#include "tests/testing.h"

namespace litesmith::testing {

std::vector<std::byte> BytesOf(std::string_view text) {
  const auto b = std::as_bytes(std::span(text.data(), text.size()));
  return {b.begin(), b.end()};
}

std::vector<std::byte> Gzip(std::span<const std::byte> bytes) {
  z_stream z = {};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<std::byte> out(deflateBound(&z, bytes.size()) + 32);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::vector<std::byte> IdxBytes(const std::vector<uint32_t>& shape,
                                std::span<const std::byte> data) {
  std::vector<std::byte> out = {std::byte{0}, std::byte{0}, std::byte{8},
                                static_cast<std::byte>(shape.size())};
  for (uint32_t d : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(d >> shift));
  }
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

void WriteFile(const std::string& path, std::span<const std::byte> bytes) {
  ASSERT_OK(WriteFileAtomically(path, bytes));
}

void WriteIdxFolder(const std::string& folder, const std::string& prefix, int count, int height,
                    int width, int classes, bool gzipped) {
  ASSERT_OK(MakeDirectories(folder));
  std::vector<std::byte> pixels, labels;
  for (int i = 0; i < count; ++i) {
    for (int k = 0; k < height * width; ++k) pixels.push_back(static_cast<std::byte>(i * 7 + k));
    labels.push_back(static_cast<std::byte>(i % classes));
  }
  const auto n = static_cast<uint32_t>(count);
  std::vector<std::byte> images =
      IdxBytes({n, static_cast<uint32_t>(height), static_cast<uint32_t>(width)}, pixels);
  std::vector<std::byte> classes_file = IdxBytes({n}, labels);
  const std::string suffix = gzipped ? ".gz" : "";
  if (gzipped) {
    images = Gzip(images);
    classes_file = Gzip(classes_file);
  }
  WriteFile(folder + "/" + prefix + "-images-idx3-ubyte" + suffix, images);
  WriteFile(folder + "/" + prefix + "-labels-idx1-ubyte" + suffix, classes_file);
}

void WriteZip(const std::string& path,
              const std::vector<std::pair<std::string, std::vector<std::byte>>>& entries) {
  int error = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  ASSERT_NE(zip, nullptr);
  for (const auto& [name, bytes] : entries) {
    zip_file_add(zip, name.c_str(), zip_source_buffer(zip, bytes.data(), bytes.size(), 0),
                 ZIP_FL_OVERWRITE);
  }
  ASSERT_EQ(zip_close(zip), 0);
}

void WriteNpz(const std::string& path, const std::vector<std::pair<std::string, Array>>& arrays) {
  std::vector<std::pair<std::string, std::vector<std::byte>>> entries;
  const std::string scratch = TempDir() + "/entry.npy";
  for (const auto& [name, array] : arrays) {
    ASSERT_OK(WriteNpy(scratch, array));
    ASSERT_OK_AND_ASSIGN(auto file, FileBytes::Open(scratch));
    entries.emplace_back(name + ".npy",
                         std::vector<std::byte>(file->bytes().begin(), file->bytes().end()));
  }
  WriteZip(path, entries);
}

std::vector<std::byte> PngBytes(int width, int height, int channels,
                                std::span<const std::byte> pixels) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  constexpr png_uint_32 kFormats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB,
                                      PNG_FORMAT_RGBA};
  image.format = kFormats[channels - 1];
  png_alloc_size_t size = 0;
  EXPECT_TRUE(png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr));
  std::vector<std::byte> out(size);
  EXPECT_TRUE(png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr));
  out.resize(size);
  return out;
}

std::vector<std::byte> JpegBytes(int width, int height, int channels,
                                 std::span<const std::byte> pixels, bool progressive) {
  jpeg_compress_struct info = {};
  jpeg_error_mgr error;
  info.err = jpeg_std_error(&error);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = channels;
  info.in_color_space = channels == 1 ? JCS_GRAYSCALE : (channels == 3 ? JCS_RGB : JCS_CMYK);
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  if (progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < height; ++y) {
    auto* row = reinterpret_cast<JSAMPROW>(
        const_cast<std::byte*>(pixels.data() + static_cast<ptrdiff_t>(y) * width * channels));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  const auto bytes = std::as_bytes(std::span(memory, size));
  std::vector<std::byte> out(bytes.begin(), bytes.end());
  jpeg_destroy_compress(&info);
  std::free(memory);
  return out;
}

std::vector<std::byte> FlatPng(int width, int height, uint8_t value) {
  return PngBytes(width, height, 1,
                  std::vector<std::byte>(static_cast<size_t>(width * height), std::byte{value}));
}

std::vector<std::byte> TarEntryBytes(const std::string& name, char type,
                                     std::span<const std::byte> content) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  header.replace(108, 7, "0000000");
  header.replace(116, 7, "0000000");
  header.replace(124, 11, fmt::format("{:011o}", content.size()));
  header.replace(136, 11, "00000000000");
  header[156] = type;
  header.replace(257, 8, std::string("ustar\00000", 8));
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (unsigned char c : header) sum += c;
  header.replace(148, 7, fmt::format("{:06o}", sum) + std::string(1, '\0'));
  std::vector<std::byte> out = BytesOf(header);
  out.insert(out.end(), content.begin(), content.end());
  out.resize((out.size() + 511) / 512 * 512);
  return out;
}

std::vector<std::byte> TarBytes(
    const std::vector<std::pair<std::string, std::vector<std::byte>>>& entries) {
  std::vector<std::byte> out;
  for (const auto& [name, content] : entries) {
    const std::vector<std::byte> entry = TarEntryBytes(name, '0', content);
    out.insert(out.end(), entry.begin(), entry.end());
  }
  out.resize(out.size() + 1024);
  return out;
}

}  // namespace litesmith::testing
