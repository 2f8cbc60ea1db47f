#include "tests/data/data_files.h"

#include <gtest/gtest.h>
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

}  // namespace litesmith::testing
