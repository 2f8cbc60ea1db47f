#include "evaluate/litert_library.h"

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "litesmith/litert.h"

#ifndef LITESMITH_NO_DLOPEN
#include <dlfcn.h>
#endif

namespace litesmith {
namespace litert {
namespace {

[[maybe_unused]] constexpr char kNextStep[] =
    "install it with 'pip install ai-edge-litert==2.3.0' and give the path of "
    "ai_edge_litert/libLiteRt.so with --litert-library or in LITERT_LIBRARY";

// The wheel's version, from the folder that pip puts beside the package; the library itself does
// not tell.
[[maybe_unused]] std::string WheelVersion(const std::string& library) {
  const std::string prefix = "ai_edge_litert-", suffix = ".dist-info";
  std::error_code error;
  const auto packages =
      std::filesystem::absolute(library, error).lexically_normal().parent_path().parent_path();
  for (std::filesystem::directory_iterator it(packages, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.size() > prefix.size() + suffix.size() && name.starts_with(prefix) &&
        name.ends_with(suffix)) {
      return Printable(name.substr(prefix.size(), name.size() - prefix.size() - suffix.size()));
    }
  }
  return "";
}

#ifdef LITESMITH_NO_DLOPEN

absl::StatusOr<std::unique_ptr<const Library>> Open(const std::string&) {
  return absl::UnavailableError(
      "this program is static and cannot load LiteRT: use one that is built without "
      "LITESMITH_STATIC");
}

#else

template <typename F>
bool Find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(::dlsym(library, name));
  return *function != nullptr;
}

absl::StatusOr<std::unique_ptr<const Library>> Open(const std::string& path) {
  if (!std::filesystem::exists(path)) {
    return absl::NotFoundError(fmt::format("there is no such file; {}", kNextStep));
  }
  // A name without a slash would be looked for in the system's folders.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    return absl::UnavailableError(
        fmt::format("cannot be loaded ({}); {}", Printable(why != nullptr ? why : ""), kNextStep));
  }
  auto out = std::make_unique<Library>();
  out->path = path;
  if (::dlsym(handle, "LiteRtCreateCompiledModel") == nullptr) {
    ::dlclose(handle);
    return Unsupported("is not LiteRT's library; {}", kNextStep);
  }
  out->version = WheelVersion(path);
  // The first function that came with 2.3: older libraries take other parameters under equal names.
  bool complete = ::dlsym(handle, "LiteRtCompiledModelIsNonCpuFullyAccelerated") != nullptr;
#define LITESMITH_LITERT_FIND(name, result, parameters) \
  complete = Find(handle, "LiteRt" #name, &out->name) && complete;
  LITESMITH_LITERT_FUNCTIONS(LITESMITH_LITERT_FIND)
#undef LITESMITH_LITERT_FIND
  if (!complete) {
    return Unsupported("this LiteRT{} lacks functions that 2.3 has; {}",
                       out->version.empty() ? "" : " " + out->version, kNextStep);
  }
  return std::unique_ptr<const Library>(std::move(out));
}

#endif  // LITESMITH_NO_DLOPEN

}  // namespace

absl::StatusOr<const Library*> Library::Load(const std::string& given) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const Library>> loaded;
  std::string path = given;
  if (path.empty()) {
    const char* named = std::getenv("LITERT_LIBRARY");
    path = named != nullptr ? named : "";
  }
  if (path.empty()) {
    return absl::NotFoundError(fmt::format("LiteRT's library is not named: {}", kNextStep));
  }
  const std::lock_guard lock(mutex);
  const auto it = loaded.find(path);
  if (it != loaded.end()) return it->second.get();
  LS_ASSIGN_OR_RETURN_IN(auto library, Open(path), path);
  return loaded.emplace(path, std::move(library)).first->second.get();
}

std::string StatusText(Status status) {
  static const std::map<int, const char*> kMeanings = {
      {1, "an invalid argument"}, {2, "out of memory"},        {3, "a failure while running"},
      {5, "unsupported"},         {8, "a wrong version"},      {500, "the file cannot be read"},
      {501, "an invalid model"},  {504, "it does not compile"}};
  const auto it = kMeanings.find(status);
  return it == kMeanings.end() ? fmt::format("status {}", status)
                               : fmt::format("status {}, {}", status, it->second);
}

}  // namespace litert

absl::Status CheckLitert(const LitertOptions& options) {
  return litert::Library::Load(options.library).status();
}

}  // namespace litesmith
