#include "deploy/c_array.h"

#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::HasSubstr;

TEST(Symbol, Identifiers) {
  for (const char* good : {"g_model", "a", "_a", "model2", "Model_", "x_0"}) {
    EXPECT_TRUE(CheckSymbol(good).ok()) << good;
  }
  for (const char* bad : {"", "2model", "a-b", "a b", "a.b", "int", "class", "main", "restrict",
                          "_Model", "a__b", "\xc3\xa4", "x;", "x\n"}) {
    EXPECT_FALSE(CheckSymbol(bad).ok()) << bad;
  }
}

TEST(CArray, Text) {
  const std::byte bytes[] = {std::byte{0}, std::byte{0x1f}, std::byte{0xff}};
  const CArray array = MakeCArray(bytes, "g_digits", "model.h", "a*/b\\\n.tflite");
  EXPECT_THAT(array.source, HasSubstr("alignas(16) const unsigned char g_digits[] = {\n"
                                      "    0x00, 0x1f, 0xff,\n};"));
  EXPECT_THAT(array.source, HasSubstr("const unsigned int g_digits_len = 3;"));
  EXPECT_THAT(array.header, HasSubstr("#ifndef LITESMITH_G_DIGITS_H_"));
  // The name of the file cannot end the comment.
  EXPECT_EQ(array.header.find("*/"), array.header.find(" */\n") + 1);
}

}  // namespace
}  // namespace litesmith
