#include "report/page.h"

#include <cstddef>
#include <string_view>

namespace litesmith {

// report/assets/model.html, made by cmake/embed.cmake.
extern const char kModelPage[];
extern const std::size_t kModelPage_size;

namespace {

// JSON inside of a script element: no "</script>" and no "<!--" can be in it. Line breaks and the
// spaces after them are layout: in strings they are escaped.
std::string ForScript(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  bool start_of_line = true;
  for (char c : json) {
    start_of_line = c == '\n' || (start_of_line && c == ' ');
    if (start_of_line) continue;
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string ModelPage(const Value& data) {
  const std::string_view page(kModelPage, kModelPage_size);
  constexpr std::string_view kPlace = "@DATA@";
  const size_t place = page.find(kPlace);
  Report report;
  report.data = data;
  std::string out(page.substr(0, place));
  out += ForScript(ToJson(report));
  out += page.substr(place + kPlace.size());
  return out;
}

}  // namespace litesmith
