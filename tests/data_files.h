#ifndef LITESMITH_TESTS_DATA_FILES_H_
#define LITESMITH_TESTS_DATA_FILES_H_

// Small data files for tests to write.

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "litesmith/array.h"

namespace litesmith::testing {

std::vector<std::byte> BytesOf(std::string_view text);

// gzip of the bytes.
std::vector<std::byte> Gzip(std::span<const std::byte> bytes);

// An IDX file of unsigned bytes.
std::vector<std::byte> IdxBytes(const std::vector<uint32_t>& shape,
                                std::span<const std::byte> data);

// `count` pictures of height x width with pixel (i * 7 + position) % 256, and labels i % classes.
void WriteIdxFolder(const std::string& folder, const std::string& prefix, int count, int height,
                    int width, int classes, bool gzipped);

void WriteFile(const std::string& path, std::span<const std::byte> bytes);

// A zip file of the named entries.
void WriteZip(const std::string& path,
              const std::vector<std::pair<std::string, std::vector<std::byte>>>& entries);

// A .npz of the named arrays.
void WriteNpz(const std::string& path, const std::vector<std::pair<std::string, Array>>& arrays);

// A picture file of `pixels` (height x width x channels: 1, 2 with alpha (PNG), 3, 4 with alpha
// (PNG)).
std::vector<std::byte> PngBytes(int width, int height, int channels,
                                std::span<const std::byte> pixels);
std::vector<std::byte> JpegBytes(int width, int height, int channels,
                                 std::span<const std::byte> pixels, bool progressive = false);
// All pixels of one value.
std::vector<std::byte> FlatPng(int width, int height, uint8_t value);

// A ustar archive of regular files, with its end mark.
std::vector<std::byte> TarBytes(
    const std::vector<std::pair<std::string, std::vector<std::byte>>>& entries);
// One header of 512 bytes with the right checksum, and its content padded.
std::vector<std::byte> TarEntryBytes(const std::string& name, char type,
                                     std::span<const std::byte> content);

// An array of T with the given elements.
template <typename T>
Array ArrayOf(ElementType type, std::vector<int64_t> shape, const std::vector<T>& values) {
  Array a = Array::Zeros(type, std::move(shape));
  std::copy(values.begin(), values.end(), a.mutable_data<T>().begin());
  return a;
}

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_DATA_FILES_H_
