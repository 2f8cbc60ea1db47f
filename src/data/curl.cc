#include "data/curl.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "data/limits.h"

namespace litesmith {
namespace {

// Numbers of libcurl's stable interface (curl/curl.h); its headers are not needed to build.
enum Option : int {
  kNoProgress = 43,
  kFailOnError = 45,
  kFollowLocation = 52,
  kMaxRedirects = 68,
  kConnectTimeout = 78,
  kNoSignal = 99,
  kProtocols = 181,
  kRedirectProtocols = 182,
  kLowSpeedLimit = 19,
  kLowSpeedTime = 20,
  kWriteData = 10001,
  kUrl = 10002,
  kErrorBuffer = 10010,
  kUserAgent = 10018,
  kProgressData = 10057,
  kWriteFunction = 20011,
  kProgressFunction = 20219,
};
constexpr long kHttpAndHttps = 1 | 2;
constexpr size_t kErrorSize = 256;
constexpr int kPartialFile = 18;

// What the callbacks of one transfer share.
struct Transfer {
  std::vector<std::byte> body;  // taken at the largest size allowed
  size_t used = 0;
  bool too_long = false;
  absl::Status stopped;
  int64_t reported = -1;  // percent
  const std::string* note = nullptr;
  const Context* context = nullptr;
};

size_t OnBytes(char* data, size_t size, size_t count, void* user) {
  auto* t = static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  if (bytes > t->body.size() - t->used) {
    t->too_long = true;
    return 0;
  }
  std::memcpy(t->body.data() + t->used, data, bytes);
  t->used += bytes;
  return bytes;
}

int OnProgress(void* user, int64_t total, int64_t done, int64_t, int64_t) {
  auto* t = static_cast<Transfer*>(user);
  t->stopped = t->context->Check();
  if (!t->stopped.ok()) return 1;
  const int64_t percent = total > 0 ? done * 100 / total : 0;
  if (percent != t->reported && done > 0) {
    t->reported = percent;
    t->context->Report("downloading", done, std::max<int64_t>(total, 0), *t->note);
  }
  return 0;
}

template <typename F>
[[maybe_unused]] bool Find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(::dlsym(library, name));
  return *function != nullptr;
}

}  // namespace

absl::StatusOr<Curl> Curl::Load() {
#ifdef LITESMITH_NO_DOWNLOAD
  return absl::UnavailableError(
      "this program was built without download support: copy the files by hand");
#else
  void* library = nullptr;
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"}) {
    if (library == nullptr) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    return absl::UnavailableError(
        "downloading needs libcurl, which is not installed: apt install libcurl4, or copy the "
        "files by hand");
  }
  Curl curl;
  if (!Find(library, "curl_easy_init", &curl.init_) ||
      !Find(library, "curl_easy_setopt", &curl.set_option_) ||
      !Find(library, "curl_easy_perform", &curl.perform_) ||
      !Find(library, "curl_easy_cleanup", &curl.cleanup_) ||
      !Find(library, "curl_easy_strerror", &curl.error_text_)) {
    return absl::UnavailableError("the installed libcurl lacks functions; reinstall libcurl4");
  }
  return curl;
#endif
}

absl::StatusOr<std::vector<std::byte>> Curl::Get(const std::string& url, uint64_t most,
                                                 const std::string& note,
                                                 const Context& context) const {
  LS_RETURN_IF_ERROR(context.Check());
  Transfer transfer;
  transfer.note = &note;
  transfer.context = &context;
  LS_RETURN_IF_ERROR(ResizeWithin(&transfer.body, most, "the download", context));
  const std::unique_ptr<void, Cleanup> handle(init_(), cleanup_);
  if (handle == nullptr) return absl::UnavailableError("libcurl does not start");
  char error[kErrorSize] = "";
  void* h = handle.get();
  set_option_(h, kUrl, url.c_str());
  set_option_(h, kErrorBuffer, error);
  set_option_(h, kUserAgent, "litesmith");
  set_option_(h, kProtocols, kHttpAndHttps);
  set_option_(h, kRedirectProtocols, kHttpAndHttps);
  set_option_(h, kFollowLocation, 1L);
  set_option_(h, kMaxRedirects, 5L);
  set_option_(h, kFailOnError, 1L);
  set_option_(h, kNoSignal, 1L);
  set_option_(h, kConnectTimeout, 20L);
  // A server that sends next to nothing for half a minute has stalled.
  set_option_(h, kLowSpeedLimit, 100L);
  set_option_(h, kLowSpeedTime, 30L);
  set_option_(h, kWriteFunction, OnBytes);
  set_option_(h, kWriteData, &transfer);
  set_option_(h, kProgressFunction, OnProgress);
  set_option_(h, kProgressData, &transfer);
  set_option_(h, kNoProgress, 0L);
  const int result = perform_(h);
  if (!transfer.stopped.ok()) return transfer.stopped;
  if (transfer.too_long) return Invalid("it is longer than the {} bytes it may have", most);
  if (result == kPartialFile)
    return IoError("the download was cut short after {} bytes", transfer.used);
  if (result != 0) return IoError("{}", Printable(error[0] != '\0' ? error : error_text_(result)));
  transfer.body.resize(transfer.used);
  return std::move(transfer.body);
}

}  // namespace litesmith
