// Pages that are generated say what the program says.

#include <filesystem>

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

TEST(Docs, OperatorsAreCurrent) {
  const std::string page = ReadText(SourceDir() + "/docs/operators.md");
  const RunResult result = RunProgram({"operators", "--markdown"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(page.ends_with(result.out))
      << "docs/operators.md is out of date: run scripts/update-docs.sh";
}

TEST(Docs, OperatorsAsJson) {
  const RunResult result = RunProgram({"operators", "--json", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = ParseJson(result.out);
  ASSERT_TRUE(json.contains("operators"));
  bool found = false;
  for (const auto& row : json["operators"]) {
    if (row["operator"] != "CONV_2D") continue;
    found = true;
    for (const char* key : {"runs", "float16", "dynamic", "int8", "int16x8", "int4", "gradient"}) {
      EXPECT_EQ(row[key], true) << key;
    }
    for (const char* target : {"litert", "tflm"}) {
      EXPECT_EQ(row[target].dump(), R"(["float32","int8","int16x8","int4"])") << target;
    }
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace litesmith::testing
