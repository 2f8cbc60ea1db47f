#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>

namespace litesmith {
namespace {

std::string Reason(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Close() {
    const int result = fd_ >= 0 ? ::close(fd_) : 0;
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return IoError("cannot write: {}", Reason(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// Renaming over a device or a pipe would replace it by a file.
absl::Status CheckReplaceable(const std::string& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0 || S_ISREG(st.st_mode)) return absl::OkStatus();
  return Invalid("{}: is a {}; give the name of a file to write", path,
                 S_ISDIR(st.st_mode) ? "folder" : "device or pipe, not a file");
}

// mkstemp gives 0600; a file that replaces another keeps its mode, a new one gets what umask
// leaves.
mode_t WantedMode(const std::string& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) == 0) return st.st_mode & 07777;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

// The temporary files that exist now; whoever leaves by std::quick_exit in the middle removes them.
class TemporaryFiles {
 public:
  static TemporaryFiles& Get() {
    static auto* files = new TemporaryFiles;  // never destroyed: used while the program ends
    return *files;
  }
  void Add(const std::string& path) {
    const std::lock_guard lock(mutex_);
    paths_.insert(path);
  }
  void Remove(const std::string& path) {
    const std::lock_guard lock(mutex_);
    paths_.erase(path);
  }

 private:
  TemporaryFiles() {
    std::at_quick_exit([] {
      TemporaryFiles& files = Get();
      const std::lock_guard lock(files.mutex_);
      for (const std::string& path : files.paths_) ::unlink(path.c_str());
    });
  }
  std::mutex mutex_;
  std::set<std::string> paths_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const FileBytes>> FileBytes::Open(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) {
      return absl::NotFoundError(fmt::format("{}: no such file; check the path", path));
    }
    return IoError("{}: cannot open: {}", path, Reason(errno));
  }
  struct stat st;
  if (::fstat(file.get(), &st) != 0) return IoError("{}: {}", path, Reason(errno));
  if (S_ISDIR(st.st_mode)) return Invalid("{}: is a folder, a file is needed", path);
  if (!S_ISREG(st.st_mode)) return Invalid("{}: is not a regular file", path);
  if (st.st_size == 0)
    return Invalid("{}: the file is empty; was its download or copy cut short?", path);
  if (static_cast<uint64_t>(st.st_size) > PTRDIFF_MAX) {
    return Invalid("{}: {} MB are more than a 32-bit program can open", path, st.st_size >> 20);
  }
  const auto size = static_cast<size_t>(st.st_size);
  void* p = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (p == MAP_FAILED) return IoError("{}: cannot read: {}", path, Reason(errno));
  std::shared_ptr<FileBytes> out(new FileBytes);
  out->bytes_ = {static_cast<const std::byte*>(p), size};
  return std::shared_ptr<const FileBytes>(std::move(out));
}

FileBytes::~FileBytes() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

absl::Status WriteFileAtomically(const std::string& path,
                                 std::span<const std::span<const std::byte>> content) {
  LS_RETURN_IF_ERROR(CheckReplaceable(path));
  std::string temporary = path + ".tmp.XXXXXX";
  const mode_t mode = WantedMode(path);
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) {
    return IoError("{}: cannot create a file there: {}; choose another output", path,
                   Reason(errno));
  }
  TemporaryFiles::Get().Add(temporary);
  absl::Status status;
  for (std::span<const std::byte> part : content) {
    status = WriteAll(file.get(), part);
    if (!status.ok()) break;
  }
  if (status.ok() && ::fchmod(file.get(), mode) != 0) status = IoError("{}", Reason(errno));
  if (status.ok() && ::fsync(file.get()) != 0 && errno != EINVAL) {
    status = IoError("cannot write: {}", Reason(errno));
  }
  if (file.Close() != 0 && status.ok()) status = IoError("cannot write: {}", Reason(errno));
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = IoError("cannot write: {}", Reason(errno));
  }
  if (!status.ok()) ::unlink(temporary.c_str());
  TemporaryFiles::Get().Remove(temporary);
  return Annotate(status, path);
}

absl::Status WriteFileAtomically(const std::string& path, std::span<const std::byte> content) {
  return WriteFileAtomically(path, std::span<const std::span<const std::byte>>(&content, 1));
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content) {
  return WriteFileAtomically(path, std::as_bytes(std::span(content.data(), content.size())));
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return IoError("{}: cannot create the folder: {}", path, error.message());
  if (!IsDirectory(path)) return Invalid("{}: exists and is not a folder", path);
  return absl::OkStatus();
}

bool IsDirectory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

bool FileExists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

bool SameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

}  // namespace litesmith
