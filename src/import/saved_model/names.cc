#include "import/saved_model/names.h"

namespace litesmith::saved_model {
namespace {

// A number of at most six digits; anything else is no index of an output.
bool ParseIndex(std::string_view text, int* out) {
  if (text.empty() || text.size() > 6) return false;
  int value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = 10 * value + (c - '0');
  }
  *out = value;
  return true;
}

}  // namespace

InputName ParseInput(std::string_view text) {
  InputName out;
  if (!text.empty() && text.front() == '^') {
    out.control = true;
    text.remove_prefix(1);
  }
  const size_t first = text.find(':');
  out.node = text.substr(0, first);
  if (first == std::string_view::npos) return out;
  const std::string_view rest = text.substr(first + 1);
  const size_t second = rest.find(':');
  if (second == std::string_view::npos) {
    if (!ParseIndex(rest, &out.index)) out.output = rest;
    return out;
  }
  out.output = rest.substr(0, second);
  ParseIndex(rest.substr(second + 1), &out.index);
  return out;
}

}  // namespace litesmith::saved_model
