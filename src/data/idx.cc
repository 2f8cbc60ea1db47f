#include "data/idx.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "data/gzip.h"
#include "data/limits.h"

namespace litesmith {
namespace {

constexpr size_t kMaxRank = 8;
constexpr size_t kLongestHeader = 4 + 4 * kMaxRank;

struct IdxHeader {
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  uint64_t size = 0;
};

uint32_t LoadBigEndian(const std::byte* p) { return __builtin_bswap32(LoadLE<uint32_t>(p)); }

bool HasIdxMagic(std::span<const std::byte> b) {
  if (b.size() < 4 || b[0] != std::byte{0} || b[1] != std::byte{0}) return false;
  const int type = std::to_integer<int>(b[2]), rank = std::to_integer<int>(b[3]);
  return type >= 0x08 && type <= 0x0e && rank >= 1 && rank <= static_cast<int>(kMaxRank);
}

absl::StatusOr<IdxHeader> ParseHeader(std::span<const std::byte> start) {
  if (!HasIdxMagic(start))
    return Invalid("is not an IDX file (it does not begin with 00 00 08 rank)");
  if (start[2] != std::byte{8}) {
    return Unsupported("holds IDX elements of type {:#04x}; only unsigned bytes (0x08) are read",
                       std::to_integer<int>(start[2]));
  }
  const size_t rank = std::to_integer<size_t>(start[3]);
  IdxHeader header;
  header.offset = 4 + 4 * rank;
  if (start.size() < header.offset) return Invalid("the IDX header is cut short");
  header.size = 1;
  for (size_t i = 0; i < rank; ++i) {
    const uint32_t d = LoadBigEndian(start.data() + 4 + 4 * i);
    header.shape.push_back(d);
    if (!Multiply(header.size, std::max<uint32_t>(d, 1), &header.size) || header.size > INT64_MAX) {
      return Invalid("the IDX header states an impossible shape {}", ShapeString(header.shape));
    }
  }
  if (std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end()) header.size = 0;
  return header;
}

absl::StatusOr<IdxArray> Unpack(std::span<const std::byte> packed,
                                std::shared_ptr<const void> owner, const Context& context,
                                uint64_t unpack_most) {
  GzipStream stream(packed);
  std::vector<std::byte> start(kLongestHeader);
  LS_ASSIGN_OR_RETURN(const size_t got, stream.Read(std::span(start).first(4)));
  if (got < 4 || !HasIdxMagic(start)) return Invalid("is not a gzipped IDX file");
  const size_t dims = 4 * std::to_integer<size_t>(start[3]);
  LS_ASSIGN_OR_RETURN(const size_t more, stream.Read(std::span(start).subspan(4, dims)));
  LS_ASSIGN_OR_RETURN(IdxHeader header, ParseHeader(std::span(start).first(4 + more)));
  if (header.size / kMaxDeflateRatio > packed.size()) {
    return Invalid("the IDX header states {} bytes, but the gzip file has only {}", header.size,
                   packed.size());
  }
  if (header.size > unpack_most) {
    return IdxArray{std::move(header.shape), {}, std::move(owner), packed, header.offset};
  }
  auto elements = std::make_shared<std::vector<std::byte>>();
  LS_RETURN_IF_ERROR(ResizeWithin(elements.get(), header.size, "the unpacked IDX data", context));
  LS_ASSIGN_OR_RETURN(const size_t read, stream.Read(*elements));
  if (read < header.size) {
    return Invalid("shape {} needs {} bytes, but only {} are there; download the file again",
                   ShapeString(header.shape), header.size, read);
  }
  std::byte extra;
  LS_ASSIGN_OR_RETURN(const size_t left, stream.Read({&extra, 1}));
  if (left != 0)
    return Invalid("unpacks to more than its shape {} says", ShapeString(header.shape));
  return IdxArray{std::move(header.shape), *elements, elements};
}

// "train" of "train-images-idx3-ubyte.gz", "test" of "t10k-images.idx3-ubyte"; empty for other
// names.
std::string SplitOfName(const std::string& name, std::string_view kind) {
  const size_t at = name.find(fmt::format("-{}", kind));
  if (at == std::string::npos || at == 0 || name.find("idx", at) == std::string::npos) return "";
  std::string split = name.substr(0, at);
  if (const size_t dash = split.rfind('-'); dash != std::string::npos) split.erase(0, dash + 1);
  return split == "t10k" ? "test" : split;
}

}  // namespace

bool LooksLikeIdx(std::span<const std::byte> bytes) {
  if (!LooksLikeGzip(bytes)) return HasIdxMagic(bytes);
  std::array<std::byte, 4> start;
  GzipStream stream(bytes);
  const absl::StatusOr<size_t> got = stream.Read(start);
  return got.ok() && *got == 4 && HasIdxMagic(start);
}

absl::StatusOr<IdxArray> ParseIdx(std::span<const std::byte> bytes,
                                  std::shared_ptr<const void> owner, const Context& context,
                                  uint64_t unpack_most) {
  if (LooksLikeGzip(bytes)) return Unpack(bytes, std::move(owner), context, unpack_most);
  LS_ASSIGN_OR_RETURN(IdxHeader header, ParseHeader(bytes));
  const uint64_t stored = bytes.size() - header.offset;
  if (stored != header.size) {
    return Invalid("shape {} needs {} bytes, but {} follow the header: the file is {}",
                   ShapeString(header.shape), header.size, stored,
                   stored < header.size ? "cut short; download it again" : "longer than its data");
  }
  return IdxArray{std::move(header.shape), bytes.subspan(header.offset), std::move(owner)};
}

absl::StatusOr<IdxArray> ReadIdx(const std::string& path, const Context& context,
                                 uint64_t unpack_most) {
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  LS_ASSIGN_OR_RETURN_IN(IdxArray array, ParseIdx(file->bytes(), file, context, unpack_most), path);
  return array;
}

absl::Status WriteIdx(const std::string& path, const IdxArray& array) {
  std::vector<std::byte> header = {std::byte{0}, std::byte{0}, std::byte{8},
                                   static_cast<std::byte>(array.shape.size())};
  for (int64_t d : array.shape) {
    for (int shift = 24; shift >= 0; shift -= 8)
      header.push_back(static_cast<std::byte>(d >> shift));
  }
  const std::array<std::span<const std::byte>, 2> parts = {std::span<const std::byte>(header),
                                                           array.elements};
  return WriteFileAtomically(path, parts);
}

std::string LabelsBeside(const std::string& images_path) {
  const std::filesystem::path path(images_path);
  std::string name = path.filename().string();
  const size_t at = name.find("images");
  if (at == std::string::npos) return "";
  name.replace(at, 6, "labels");
  // idx3 or idx4 for the images, idx1 for the labels.
  if (const size_t idx = name.find("idx", at); idx != std::string::npos && idx + 3 < name.size()) {
    name[idx + 3] = '1';
  }
  const bool gzipped = name.ends_with(".gz");
  const std::string plain = gzipped ? name.substr(0, name.size() - 3) : name;
  for (const std::string& candidate : {name, plain, plain + ".gz"}) {
    const std::string beside = (path.parent_path() / candidate).string();
    if (FileExists(beside) && !IsDirectory(beside)) return beside;
  }
  return "";
}

absl::StatusOr<std::vector<IdxSplit>> FindIdxSplits(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.push_back(it->path().filename().string());
  }
  if (error) return IoError("{}: cannot list the folder: {}", folder, error.message());
  // Sorted, a plain file comes before its .gz and wins.
  std::sort(names.begin(), names.end());
  std::map<std::string, IdxSplit> splits;
  for (const std::string& name : names) {
    const std::string split = SplitOfName(name, "images");
    if (split.empty()) continue;
    const std::string path = (std::filesystem::path(folder) / name).string();
    auto [it, added] = splits.try_emplace(split, IdxSplit{split, path, LabelsBeside(path)});
    if (!added && path != it->second.images + ".gz") {
      return Invalid("{}: two sets of images for the split '{}': {} and {}; keep one in the folder",
                     folder, split, it->second.images, path);
    }
  }
  std::vector<IdxSplit> out;
  for (auto& [name, split] : splits) out.push_back(std::move(split));
  return out;
}

}  // namespace litesmith
