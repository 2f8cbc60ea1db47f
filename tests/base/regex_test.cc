#include "base/regex.h"

#include <regex>

#include "base/random.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::HasSubstr;

bool Found(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::Compile(pattern);
  EXPECT_TRUE(regex.ok()) << pattern << ": " << regex.status();
  uint64_t steps = 1'000'000'000;
  return regex.ok() && regex->Search(text, &steps);
}

std::string Error(std::string_view pattern) {
  const auto regex = Regex::Compile(pattern);
  return regex.ok() ? "" : std::string(Message(regex.status()));
}

TEST(Regex, WhatModelsAreNamedBy) {
  EXPECT_TRUE(Found(".*", ""));
  EXPECT_TRUE(Found("", "x"));
  EXPECT_TRUE(Found("conv", "net/conv_1/Relu"));
  EXPECT_FALSE(Found("^conv", "net/conv_1/Relu"));
  EXPECT_TRUE(Found("^net/.*Relu$", "net/conv_1/Relu"));
  EXPECT_TRUE(Found(R"(block_1[0-3]_(expand|project)/)", "m/block_12_project/x;"));
  EXPECT_FALSE(Found(R"(block_1[0-3]_(?:expand|project)/)", "m/block_14_project/x;"));
  EXPECT_TRUE(Found(R"(\bdense\b)", "a/dense/b"));
  EXPECT_FALSE(Found(R"(\bdense\b)", "a/dense_1/b"));
  EXPECT_TRUE(Found(R"(layer\.\d{1,2}\.w)", "layer.10.w"));
  EXPECT_FALSE(Found(R"(layer\.\d{1,2}\.w$)", "layer.100.w"));
  EXPECT_TRUE(Found(R"([^\w/]x{2,}[\]\-a])", "=xxx-"));
  EXPECT_TRUE(Found("(?P<name>a|b){,2}?c", "c"));
  EXPECT_TRUE(Found("a{b", "a{b"));
  EXPECT_TRUE(Found(R"(\x41\n[\d-z])", "A\n-"));
}

TEST(Regex, ErrorsSayWhatIsWrong) {
  EXPECT_THAT(Error("("), HasSubstr("not closed"));
  EXPECT_THAT(Error("a)"), HasSubstr("closes nothing at character 2"));
  EXPECT_THAT(Error("[a"), HasSubstr("'[' is not closed"));
  EXPECT_THAT(Error("[z-a]"), HasSubstr("backwards"));
  EXPECT_THAT(Error("*a"), HasSubstr("repeats nothing"));
  EXPECT_THAT(Error("a**"), HasSubstr("repeated"));
  EXPECT_THAT(Error("^*"), HasSubstr("no characters"));
  EXPECT_THAT(Error("a{3,2}"), HasSubstr("no range"));
  EXPECT_THAT(Error("a{1001}"), HasSubstr("more than 1000"));
  EXPECT_THAT(Error("a\\"), HasSubstr("backslash"));
  EXPECT_THAT(Error(R"((a)\1)"), HasSubstr("references back"));
  EXPECT_THAT(Error("(?=a)"), HasSubstr("look-ahead"));
  EXPECT_THAT(Error("(?<!a)b"), HasSubstr("look-behind"));
  EXPECT_THAT(Error(R"(\q)"), HasSubstr("means nothing"));
  EXPECT_THAT(Error(std::string(200, '(')), HasSubstr("nested"));
  EXPECT_THAT(Error("((a{1000}){1000}){1000}"), HasSubstr("too large"));
}

// Expressions over which engines that backtrack take years, or all of the stack.
TEST(Regex, TimeIsBounded) {
  EXPECT_FALSE(Found("(x+x+)+y", std::string(2000, 'x')));
  EXPECT_FALSE(Found("((a*)*)*b", std::string(2000, 'a')));
  EXPECT_TRUE(Found("(a?){500}a{500}$", std::string(500, 'a')));
  EXPECT_TRUE(Found("(()*|(){1000})*a", "a"));
  EXPECT_FALSE(Found("(.*){60}z", std::string(100, '.')));
  const auto regex = Regex::Compile("(a|b|ab)*c");
  ASSERT_TRUE(regex.ok());
  uint64_t steps = 1000;
  EXPECT_FALSE(regex->Search(std::string(5000, 'a'), &steps));
  EXPECT_EQ(steps, 0u);
  uint64_t enough = 1'000'000;
  EXPECT_FALSE(regex->Search(std::string(5000, 'a'), &enough));
  EXPECT_GT(enough, 0u);
}

// Loops within loops would take std::regex minutes.
std::string Part(Random* random, int depth) {
  static constexpr const char* kAtoms[] = {"a",   "b", ".", "[ab]", "[^a]", "\\w",
                                           "\\b", "^", "$", "c",    "\\d",  "[b-c]"};
  static constexpr const char* kRepeats[] = {"", "", "", "*", "+", "?", "{2}", "{1,2}", "*?"};
  static constexpr const char* kOfGroups[] = {"", "", "?", "{1,2}"};
  std::string out;
  const int parts = 1 + static_cast<int>(random->Below(3));
  for (int i = 0; i < parts; ++i) {
    if (i > 0 && random->Below(4) == 0) out += "|";
    if (depth < 2 && random->Below(3) == 0) {
      out += "(" + Part(random, depth + 1) + ")" + kOfGroups[random->Below(std::size(kOfGroups))];
      continue;
    }
    const std::string atom = kAtoms[random->Below(std::size(kAtoms))];
    const bool place = atom == "^" || atom == "$" || atom == "\\b";
    out += atom + (place ? "" : kRepeats[random->Below(std::size(kRepeats))]);
  }
  return out;
}

// std::regex is right where it ends.
TEST(Regex, FindsWhatTheStandardLibraryFinds) {
  Random random(1);
  int found = 0, tried = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string pattern = Part(&random, 0);
    const std::regex theirs(pattern);
    for (int t = 0; t < 12; ++t) {
      std::string text(random.Below(7), ' ');
      for (char& c : text) c = "aabbc1 "[random.Below(7)];
      const bool expected = std::regex_search(text, theirs);
      EXPECT_EQ(Found(pattern, text), expected) << "'" << pattern << "' in '" << text << "'";
      found += expected;
      ++tried;
    }
  }
  EXPECT_GT(found, tried / 10);
  EXPECT_LT(found, tried);
}

}  // namespace
}  // namespace litesmith
