#ifndef LITESMITH_EVALUATE_LINUX_FILES_H_
#define LITESMITH_EVALUATE_LINUX_FILES_H_

// The small text files of /proc and /sys.

#include <optional>
#include <string>

namespace litesmith {

// Without newlines and zero bytes at its end (device tree strings have one); nothing where it is
// empty or cannot be read.
std::optional<std::string> ReadLinuxText(const std::string& path);

std::optional<double> ToNumber(const std::optional<std::string>& text, int base = 10);

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_LINUX_FILES_H_
