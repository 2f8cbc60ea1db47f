#ifndef LITESMITH_DATA_DOWNLOAD_H_
#define LITESMITH_DATA_DOWNLOAD_H_

// Data sets from the web, by libcurl, which is loaded when it is first needed (nothing is linked: a
// device that never downloads needs no libcurl).

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "litesmith/context.h"

namespace litesmith {

// A gzipped file, known by what it unpacks to (different servers pack the same content
// differently).
struct RemoteFile {
  std::string name;            // under the base URL and in the folder
  uint64_t unpacked_size = 0;  // bytes
  std::string sha256;          // of the unpacked content, lower-case hexadecimal
};

// Fetches each file from the first of `base_urls` (http or https, ending in '/') that gives it
// whole and right, and writes it to `folder` (made where missing). A file that is there already and
// right is kept. Size and checksum are checked before anything is written; each file is written
// atomically. Stops on context. Errors say, for each server tried, why it failed: offline, cut
// short, wrong content.
absl::Status DownloadFiles(const std::vector<RemoteFile>& files,
                           const std::vector<std::string>& base_urls, const std::string& folder,
                           const Context& context);

// MNIST's four files (11 MB). `base_urls` empty: its public mirrors.
absl::Status DownloadMnist(const std::string& folder, const std::vector<std::string>& base_urls,
                           const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_DOWNLOAD_H_
