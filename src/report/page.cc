#include "report/page.h"

#include <cstddef>
#include <string_view>
#include <utility>

namespace litesmith {

// report/assets, made by cmake/embed.cmake.
extern const char kBaseStyle[], kPageScript[], kModelPage[], kReportPage[];
extern const std::size_t kBaseStyle_size, kPageScript_size, kModelPage_size, kReportPage_size;

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

// The page with what its places stand for; data is not looked into for places.
std::string Fill(std::string_view page, const Value& data) {
  Report report;
  report.data = data;
  const std::string json = ForScript(ToJson(report));
  const std::pair<std::string_view, std::string_view> places[] = {
      {"@STYLE@", {kBaseStyle, kBaseStyle_size}},
      {"@DATA@", json},
      {"@SCRIPT@", {kPageScript, kPageScript_size}}};
  std::string out;
  for (const auto& [place, content] : places) {
    const size_t at = page.find(place);
    out += page.substr(0, at);
    out += content;
    page.remove_prefix(at + place.size());
  }
  out += page;
  return out;
}

}  // namespace

std::string ModelPage(const Value& data) { return Fill({kModelPage, kModelPage_size}, data); }

std::string BenchmarkPage(const Value& data) { return Fill({kReportPage, kReportPage_size}, data); }

}  // namespace litesmith
