#include "litesmith/report.h"

#include <cmath>

#include "tests/testing.h"

namespace litesmith {
namespace {

TEST(Table, ColumnsLineUp) {
  TableView table{"Title", {{"name"}, {"KB", true}, {"note"}}, {}};
  table.rows = {{"a", "1.5", "x"}, {"longer", "100.25", ""}, {"ümläut", "2", "y"}};
  EXPECT_EQ(ToText(table),
            "Title\n"
            "name        KB  note\n"
            "------  ------  ----\n"
            "a          1.5  x\n"
            "longer  100.25\n"
            "ümläut       2  y\n");
}

TEST(Json, OrderNullsAndEscapes) {
  Report report;
  report.data.Set("z", 1).Set("a", Value::List{Value(true), Value(), Value("q\"\n")});
  report.data.Set("nan", std::nan("")).Set("none", std::optional<double>());
  report.data.Set("z", int64_t{1} << 40);
  EXPECT_EQ(ToJson(report),
            "{\n  \"z\": 1099511627776,\n  \"a\": [\n    true,\n    null,\n    \"q\\\"\\n\"\n  ],\n"
            "  \"nan\": null,\n  \"none\": null\n}\n");
}

TEST(Json, BrokenUtf8IsRepaired) {
  Report report;
  report.data.Set("x", std::string("a\xff"));
  EXPECT_EQ(ToJson(report), "{\n  \"x\": \"a\xef\xbf\xbd\"\n}\n");
}

}  // namespace
}  // namespace litesmith
