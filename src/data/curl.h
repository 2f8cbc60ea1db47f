#ifndef LITESMITH_DATA_CURL_H_
#define LITESMITH_DATA_CURL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "litesmith/context.h"

namespace litesmith {

// The few functions of libcurl that a download needs, found in libcurl.so.4 (Debian: libcurl4) at
// run time. The library stays loaded. Copyable.
class Curl {
 public:
  static absl::StatusOr<Curl> Load();

  // The content at an http or https address, at most `most` bytes; redirects are followed. Reports
  // progress as "downloading" with `note`, and stops on context. Errors say what went wrong,
  // without the address.
  absl::StatusOr<std::vector<std::byte>> Get(const std::string& url, uint64_t most,
                                             const std::string& note, const Context& context) const;

 private:
  using Init = void* (*)();
  using SetOption = int (*)(void*, int, ...);
  using Perform = int (*)(void*);
  using Cleanup = void (*)(void*);
  using ErrorText = const char* (*)(int);
  Init init_ = nullptr;
  SetOption set_option_ = nullptr;
  Perform perform_ = nullptr;
  Cleanup cleanup_ = nullptr;
  ErrorText error_text_ = nullptr;
};

}  // namespace litesmith

#endif  // LITESMITH_DATA_CURL_H_
