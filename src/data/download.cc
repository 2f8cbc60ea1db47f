#include "data/download.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/file.h"
#include "base/hash.h"
#include "data/curl.h"
#include "data/gzip.h"

namespace litesmith {
namespace {

// OK when `packed` unpacks to exactly what the file must be.
absl::Status CheckContent(const RemoteFile& file, std::span<const std::byte> packed) {
  GzipStream stream(packed);
  Sha256 sha;
  std::vector<std::byte> piece(64 << 10);
  uint64_t size = 0;
  for (;;) {
    LS_ASSIGN_OR_RETURN(const size_t got, stream.Read(piece));
    if (got == 0) break;
    size += got;
    if (size > file.unpacked_size) {
      return Invalid("it unpacks to more than the {} bytes it should", file.unpacked_size);
    }
    sha.Update(std::span(piece).first(got));
  }
  if (size != file.unpacked_size) {
    return Invalid("it unpacks to {} bytes instead of {}", size, file.unpacked_size);
  }
  if (const std::string sum = sha.Finish(); sum != file.sha256) {
    return Invalid("its checksum is wrong (SHA-256 {} instead of {})", sum, file.sha256);
  }
  return absl::OkStatus();
}

bool IsThere(const RemoteFile& file, const std::string& path) {
  if (!FileExists(path) || IsDirectory(path)) return false;
  const absl::StatusOr<std::shared_ptr<const FileBytes>> present = FileBytes::Open(path);
  return present.ok() && CheckContent(file, (*present)->bytes()).ok();
}

bool IsStop(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsDeadlineExceeded(status);
}

absl::Status DownloadOne(const Curl& curl, const RemoteFile& file,
                         const std::vector<std::string>& base_urls, const std::string& path,
                         const Context& context) {
  // gzip adds at most a few bytes a block to what it cannot pack.
  const uint64_t most = file.unpacked_size + file.unpacked_size / 1000 + 4096;
  std::vector<std::string> reasons;
  for (const std::string& base : base_urls) {
    const std::string url = base + file.name;
    absl::StatusOr<std::vector<std::byte>> body = curl.Get(url, most, file.name, context);
    absl::Status status = body.status();
    if (IsStop(status)) return status;
    if (status.ok()) status = CheckContent(file, *body);
    if (status.ok()) return WriteFileAtomically(path, *body);
    reasons.push_back(fmt::format("{}: {}", Printable(url), Message(status)));
  }
  return IoError(
      "cannot download {}: {}; check the connection, or give the address of another server",
      file.name, fmt::join(reasons, "; "));
}

absl::Status DownloadMissing(const std::vector<RemoteFile>& files,
                             const std::vector<std::string>& base_urls, const std::string& folder,
                             const Context& context) {
  std::vector<const RemoteFile*> wanted;
  for (const RemoteFile& file : files) {
    LS_RETURN_IF_ERROR(context.Check());
    if (!IsThere(file, folder + "/" + file.name)) wanted.push_back(&file);
  }
  if (wanted.empty()) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(const Curl curl, Curl::Load());
  for (const RemoteFile* file : wanted) {
    LS_RETURN_IF_ERROR(DownloadOne(curl, *file, base_urls, folder + "/" + file->name, context));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DownloadFiles(const std::vector<RemoteFile>& files,
                           const std::vector<std::string>& base_urls, const std::string& folder,
                           const Context& context) {
  for (const std::string& base : base_urls) {
    if ((!base.starts_with("https://") && !base.starts_with("http://")) || !base.ends_with('/')) {
      return Invalid("'{}' is no address to download from; it must be http(s)://.../",
                     Printable(base));
    }
  }
  if (base_urls.empty()) return Invalid("no address to download from");
  const bool is_new = !FileExists(folder);
  LS_RETURN_IF_ERROR(MakeDirectories(folder));
  absl::Status status = DownloadMissing(files, base_urls, folder, context);
  // Leaves no empty folder behind; one with a file in it stays.
  std::error_code ignored;
  if (!status.ok() && is_new) std::filesystem::remove(folder, ignored);
  return status;
}

absl::Status DownloadMnist(const std::string& folder, const std::vector<std::string>& base_urls,
                           const Context& context) {
  static const std::vector<RemoteFile> files = {
      {"train-images-idx3-ubyte.gz", 47040016,
       "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
      {"train-labels-idx1-ubyte.gz", 60008,
       "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
      {"t10k-images-idx3-ubyte.gz", 7840016,
       "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
      {"t10k-labels-idx1-ubyte.gz", 10008,
       "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"},
  };
  static const std::vector<std::string> mirrors = {
      "https://ossci-datasets.s3.amazonaws.com/mnist/",
      "https://storage.googleapis.com/cvdf-datasets/mnist/",
  };
  return DownloadFiles(files, base_urls.empty() ? mirrors : base_urls, folder, context);
}

}  // namespace litesmith
