#include "base/status.h"

namespace litesmith {

absl::Status Annotate(const absl::Status& status, std::string_view where) {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("{}: {}", where, Message(status)));
}

std::string Printable(std::string_view text) {
  constexpr size_t kLongest = 120;
  std::string out;
  for (unsigned char c : text.substr(0, kLongest)) {
    if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  if (text.size() > kLongest) out += "...";
  return out;
}

}  // namespace litesmith
