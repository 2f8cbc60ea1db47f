#ifndef LITESMITH_DATA_IDX_H_
#define LITESMITH_DATA_IDX_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "litesmith/context.h"

namespace litesmith {

// One IDX file of unsigned bytes (the format of MNIST: 00 00 08 rank, big-endian sizes, elements).
// `elements` belong to `owner`: a mapped file, or memory where the file was gzipped. A large
// gzipped file may be left packed: then `elements` is empty and `packed`, the file, unpacks to
// `offset` bytes of header and the elements.
struct IdxArray {
  std::vector<int64_t> shape;
  std::span<const std::byte> elements;
  std::shared_ptr<const void> owner;
  std::span<const std::byte> packed = {};
  uint64_t offset = 0;
};

// More than a gzipped file ever unpacks to.
inline constexpr uint64_t kUnpackAll = UINT64_MAX;

// True where the bytes, unpacked if they are gzip, begin as IDX.
bool LooksLikeIdx(std::span<const std::byte> bytes);

// Parses a whole file, gzipped or not. The elements must be as many as the header says: gzip that
// unpacks to more or less is refused before more than the header's size, within
// context.memory_budget, is taken. Gzip that states more than `unpack_most` bytes stays packed;
// whoever unpacks it finds its faults. `owner` keeps `bytes` alive. Errors do not name the file.
absl::StatusOr<IdxArray> ParseIdx(std::span<const std::byte> bytes,
                                  std::shared_ptr<const void> owner, const Context& context,
                                  uint64_t unpack_most = kUnpackAll);
// Errors name the path.
absl::StatusOr<IdxArray> ReadIdx(const std::string& path, const Context& context,
                                 uint64_t unpack_most = kUnpackAll);

// Writes an IDX file, atomically. REQUIRES: every dimension below 2^32.
absl::Status WriteIdx(const std::string& path, const IdxArray& array);

// The IDX files of a folder by split ("train", "test"; t10k reads as test), as MNIST names them:
// train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz], or with a dot before idx.
struct IdxSplit {
  std::string name;
  std::string images;  // paths
  std::string labels;  // empty: none
};
absl::StatusOr<std::vector<IdxSplit>> FindIdxSplits(const std::string& folder);

// The labels file that belongs to an images file of that path; empty where there is none beside it.
std::string LabelsBeside(const std::string& images_path);

// A data set of `images` ([samples, ...]) and, where not null, `labels` ([samples]). Pixels are
// converted by table: reading a sample neither allocates nor computes, in any order, from any
// thread. Of packed images one sample is held at a time: increasing order is efficient, going back
// starts again, and the end is checked with the last sample. `what` is for Describe and errors.
absl::StatusOr<std::unique_ptr<Dataset>> MakeIdxDataset(IdxArray images, const IdxArray* labels,
                                                        const std::string& what,
                                                        const DatasetOptions& options,
                                                        const std::vector<InputSpec>& inputs,
                                                        const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_IDX_H_
