#include "import/saved_model/table.h"

#include "base/file.h"
#include "import/saved_model/bundle.h"
#include "import/saved_model/names.h"
#include "tests/testing.h"

namespace litesmith::saved_model {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// RFC 3720, B.4.
TEST(Crc32c, KnownValues) {
  EXPECT_EQ(Crc32c(Bytes(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(Crc32c(Bytes(std::string(32, '\xff'))), 0x62a8ab43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending += c;
  EXPECT_EQ(Crc32c(Bytes(ascending)), 0x46dd794eu);
  EXPECT_EQ(Crc32c(Bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(Crc32c(Bytes("6789"), Crc32c(Bytes("12345"))), 0xe3069283u);
}

TEST(Table, ReadsKeysWithCommonPrefixes) {
  REQUIRE_SHARED();
  const std::string path = testing::SharedDir() +
                           "/golden/saved_model/keras_conv_bn_folding/saved_model/variables/"
                           "variables.index";
  ASSERT_OK_AND_ASSIGN(const auto file, FileBytes::Open(path));
  ASSERT_OK_AND_ASSIGN(const auto entries, ReadTable(file->bytes(), 1 << 20));
  EXPECT_EQ(entries.size(), 12u);  // a header, ten variables, the object graph
  EXPECT_TRUE(entries.contains(""));
  EXPECT_TRUE(entries.contains("_CHECKPOINTABLE_OBJECT_GRAPH"));
  EXPECT_TRUE(entries.contains("variables/3/.ATTRIBUTES/VARIABLE_VALUE"));
  EXPECT_EQ(ReadTable(file->bytes(), 256).status().code(), absl::StatusCode::kResourceExhausted);
  std::vector<std::byte> damaged(file->bytes().begin(), file->bytes().end());
  damaged[40] ^= std::byte{1};
  EXPECT_THAT(Message(ReadTable(damaged, 1 << 20).status()), HasSubstr("damaged"));
}

TEST(Bundle, ChecksTheValues) {
  REQUIRE_SHARED();
  const std::string prefix = testing::SharedDir() +
                             "/golden/saved_model/keras_conv_bn_folding/saved_model/variables/"
                             "variables.";
  ASSERT_OK_AND_ASSIGN(const auto index, FileBytes::Open(prefix + "index"));
  ASSERT_OK_AND_ASSIGN(const auto shard, FileBytes::Open(prefix + "data-00000-of-00001"));
  std::vector<std::byte> data(shard->bytes().begin(), shard->bytes().end());
  const auto open = [&](int32_t number,
                        int32_t count) -> absl::StatusOr<std::span<const std::byte>> {
    EXPECT_EQ(number, 0);
    EXPECT_EQ(count, 1);
    return std::span<const std::byte>(data);
  };
  const char* const key = "variables/0/.ATTRIBUTES/VARIABLE_VALUE";
  ASSERT_OK_AND_ASSIGN(Bundle good, Bundle::Open(index->bytes(), open, 1 << 20));
  ASSERT_OK_AND_ASSIGN(const StoredTensor stored, good.Read(key));
  EXPECT_EQ(stored.type, schema::TensorType_FLOAT32);
  EXPECT_EQ(stored.data.bytes.size(), static_cast<size_t>(4 * NumElements(stored.shape)));
  EXPECT_THAT(Message(good.Read("nothing").status()), HasSubstr("has no 'nothing'"));
  EXPECT_EQ(Bundle::Open(index->bytes(), open, 1 << 20)->Objects()->nodes_size() > 0, true);
  for (std::byte& b : data) b ^= std::byte{1};
  ASSERT_OK_AND_ASSIGN(Bundle damaged, Bundle::Open(index->bytes(), open, 1 << 20));
  EXPECT_THAT(Message(damaged.Read(key).status()), HasSubstr("checksum"));
  data.resize(3);
  ASSERT_OK_AND_ASSIGN(Bundle cut, Bundle::Open(index->bytes(), open, 1 << 20));
  EXPECT_THAT(Message(cut.Read(key).status()), HasSubstr("beyond the end"));
}

TEST(InputNames, AllForms) {
  EXPECT_EQ(ParseInput("a/b").node, "a/b");
  EXPECT_EQ(ParseInput("a/b").index, 0);
  EXPECT_EQ(ParseInput("a:3").index, 3);
  EXPECT_EQ(ParseInput("a:out:2").output, "out");
  EXPECT_EQ(ParseInput("a:out:2").index, 2);
  EXPECT_EQ(ParseInput("a:out").output, "out");
  EXPECT_TRUE(ParseInput("^a").control);
  EXPECT_EQ(ParseInput("^a").node, "a");
  EXPECT_EQ(ParseInput("a:99999999999").index, 0);
  EXPECT_EQ(ParseInput("").node, "");
}

}  // namespace
}  // namespace litesmith::saved_model
