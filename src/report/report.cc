#include "litesmith/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace litesmith {
namespace {

nlohmann::ordered_json ToNlohmann(const Value& value) {
  using nlohmann::ordered_json;
  if (const auto* b = std::get_if<bool>(&value.data())) return *b;
  if (const auto* i = std::get_if<int64_t>(&value.data())) return *i;
  if (const auto* d = std::get_if<double>(&value.data())) {
    return std::isfinite(*d) ? ordered_json(*d) : ordered_json(nullptr);
  }
  if (const auto* s = std::get_if<std::string>(&value.data())) return *s;
  if (const auto* list = std::get_if<Value::List>(&value.data())) {
    ordered_json out = ordered_json::array();
    for (const Value& v : *list) out.push_back(ToNlohmann(v));
    return out;
  }
  if (const auto* object = std::get_if<Value::Object>(&value.data())) {
    ordered_json out = ordered_json::object();
    for (const auto& [key, v] : *object) out[key] = ToNlohmann(v);
    return out;
  }
  return nullptr;
}

// Columns that UTF-8 text takes on a terminal, one per code point.
size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void AppendCell(const std::string& text, size_t width, bool right, bool last, std::string* out) {
  const std::string space(width - std::min(width, Width(text)), ' ');
  if (right) *out += space;
  *out += text;
  if (!right && !last) *out += space;
}

}  // namespace

Value& Value::Set(std::string key, Value value) {
  if (!std::holds_alternative<Object>(data_)) data_ = Object{};
  auto& members = std::get<Object>(data_);
  const auto same = [&](const auto& member) { return member.first == key; };
  const auto it = std::find_if(members.begin(), members.end(), same);
  if (it != members.end()) {
    it->second = std::move(value);
  } else {
    members.emplace_back(std::move(key), std::move(value));
  }
  return *this;
}

Value& Value::Add(Value value) {
  if (!std::holds_alternative<List>(data_)) data_ = List{};
  std::get<List>(data_).push_back(std::move(value));
  return *this;
}

std::string ToText(const TableView& table) {
  std::vector<size_t> widths;
  for (const auto& column : table.columns) widths.push_back(Width(column.header));
  for (const auto& row : table.rows) {
    for (size_t c = 0; c < row.size() && c < widths.size(); ++c) {
      widths[c] = std::max(widths[c], Width(row[c]));
    }
  }
  std::string out;
  if (!table.title.empty()) out += table.title + "\n";
  const auto line = [&](const auto& cell_of) {
    for (size_t c = 0; c < widths.size(); ++c) {
      if (c > 0) out += "  ";
      AppendCell(cell_of(c), widths[c], table.columns[c].right, c + 1 == widths.size(), &out);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    out += "\n";
  };
  line([&](size_t c) { return table.columns[c].header; });
  line([&](size_t c) { return std::string(widths[c], '-'); });
  for (const auto& row : table.rows) {
    line([&](size_t c) { return c < row.size() ? row[c] : std::string(); });
  }
  return out;
}

std::string ToText(const Report& report) {
  std::string out;
  for (const TableView& table : report.tables) {
    if (!out.empty()) out += "\n";
    out += ToText(table);
  }
  if (!out.empty() && !report.notes.empty()) out += "\n";
  for (const std::string& note : report.notes) out += note + "\n";
  return out;
}

std::string ToMarkdown(const Report& report) {
  std::string out;
  const auto cell = [&](const std::string& text) {
    out += "| ";
    for (char c : text) {
      if (c == '|') out += '\\';
      out += c == '\n' ? ' ' : c;
    }
    out += text.empty() ? "" : " ";
  };
  for (const TableView& table : report.tables) {
    if (!out.empty()) out += "\n";
    if (!table.title.empty()) out += "## " + table.title + "\n\n";
    for (const auto& column : table.columns) cell(column.header);
    out += "|\n";
    for (const auto& column : table.columns) out += column.right ? "| --: " : "| --- ";
    out += "|\n";
    for (const auto& row : table.rows) {
      for (const std::string& text : row) cell(text);
      out += "|\n";
    }
  }
  for (const std::string& note : report.notes) out += "\n" + note + "\n";
  return out;
}

std::string ToJson(const Report& report) {
  return ToNlohmann(report.data)
             .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

}  // namespace litesmith
