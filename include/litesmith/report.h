#ifndef LITESMITH_REPORT_H_
#define LITESMITH_REPORT_H_

// What a command found out, once as data and once as tables for people. Value types.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace litesmith {

// JSON's data model, objects in the order of insertion. Numbers that are not finite are written as
// null.
class Value {
 public:
  using List = std::vector<Value>;
  using Object = std::vector<std::pair<std::string, Value>>;

  Value() = default;  // null
  Value(bool b) : data_(b) {}
  Value(int i) : data_(int64_t{i}) {}
  Value(int64_t i) : data_(i) {}
  Value(double d) : data_(d) {}
  Value(const char* s) : data_(std::string(s)) {}
  Value(std::string s) : data_(std::move(s)) {}
  Value(List list) : data_(std::move(list)) {}
  Value(Object object) : data_(std::move(object)) {}
  template <typename T>
  Value(const std::optional<T>& value) {
    if (value) *this = Value(*value);
  }

  // Appends a member to an object (null becomes an object), an element to a list (null becomes a
  // list).
  Value& Set(std::string key, Value value);
  Value& Add(Value value);

  const std::variant<std::monostate, bool, int64_t, double, std::string, List, Object>& data()
      const {
    return data_;
  }

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, List, Object> data_;
};

// Rows and columns of text; numbers are aligned to the right.
struct TableView {
  struct Column {
    std::string header;
    bool right = false;
  };
  std::string title;  // may be empty
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

struct Report {
  Value data;
  std::vector<TableView> tables;
  std::vector<std::string> notes;  // sentences below the tables
};

// Tables with columns that line up, then the notes; ends with a newline.
std::string ToText(const Report& report);
std::string ToText(const TableView& table);

// The same as Markdown: pipe tables, their titles as headings.
std::string ToMarkdown(const Report& report);

// The data as indented JSON with a newline at the end. Strings that are not UTF-8 are repaired.
std::string ToJson(const Report& report);

}  // namespace litesmith

#endif  // LITESMITH_REPORT_H_
