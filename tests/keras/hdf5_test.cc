// The HDF5 reader on files made by data/make_hdf5.py.

#include "import/keras/hdf5.h"

#include <cmath>
#include <numeric>

#include "base/file.h"
#include "import/keras/weights.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

constexpr uint64_t kBudget = uint64_t{1} << 24;

struct Opened {
  std::shared_ptr<const FileBytes> bytes;
  std::unique_ptr<Hdf5File> file;
  const Hdf5Object* root = nullptr;

  absl::StatusOr<std::vector<float>> Floats(const std::string& path) const {
    LS_ASSIGN_OR_RETURN(const Hdf5Object* object, file->Find(*root, path));
    if (object == nullptr) return Invalid("no {}", path);
    return file->ReadFloats(*object);
  }
};

absl::StatusOr<Opened> Open(const std::string& name) {
  Opened out;
  LS_ASSIGN_OR_RETURN(out.bytes,
                      FileBytes::Open(testing::SourceDir() + "/tests/keras/data/" + name));
  LS_ASSIGN_OR_RETURN(out.file, Hdf5File::Open(out.bytes->bytes(), kBudget));
  LS_ASSIGN_OR_RETURN(out.root, out.file->Root());
  return out;
}

std::vector<float> Ramp(float factor, float offset) {
  std::vector<float> ramp(60);
  for (size_t i = 0; i < 60; ++i) ramp[i] = static_cast<float>(i) * factor + offset;
  return ramp;
}

// Old-style (symbol tables) and new-style groups (links, dense links and attributes).
class Hdf5Styles : public ::testing::TestWithParam<const char*> {};

TEST_P(Hdf5Styles, EveryNumberType) {
  ASSERT_OK_AND_ASSIGN(const Opened f, Open(GetParam()));
  for (const char* type : {"f2", "f4", "f8"}) {
    ASSERT_OK_AND_ASSIGN(const auto values, f.Floats(std::string("kinds/") + type));
    EXPECT_EQ(values, Ramp(0.5f, -7.0f)) << type;
  }
  for (const char* type : {"i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"}) {
    ASSERT_OK_AND_ASSIGN(const auto values, f.Floats(std::string("kinds/") + type));
    EXPECT_EQ(values, Ramp(1.0f, 0.0f)) << type;
  }
  ASSERT_OK_AND_ASSIGN(const auto scalar, f.Floats("kinds/scalar"));
  EXPECT_EQ(scalar, std::vector<float>{2.5f});
  ASSERT_OK_AND_ASSIGN(const auto empty, f.Floats("kinds/empty"));
  EXPECT_TRUE(empty.empty());
  EXPECT_FALSE(f.Floats("kinds/big_endian").ok());
}

TEST_P(Hdf5Styles, Groups) {
  ASSERT_OK_AND_ASSIGN(const Opened f, Open(GetParam()));
  ASSERT_OK_AND_ASSIGN(const Hdf5Object* many, f.file->Find(*f.root, "many"));
  ASSERT_NE(many, nullptr);
  EXPECT_TRUE(many->is_group);
  EXPECT_EQ(many->links.size(), 12u);
  for (int i = 0; i < 12; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto value, f.Floats(fmt::format("many/layer_{}/vars/0", i)));
    EXPECT_EQ(value, std::vector<float>{static_cast<float>(i)});
  }
  ASSERT_OK_AND_ASSIGN(const Hdf5Object* none, f.file->Find(*f.root, "many/layer_99/vars"));
  EXPECT_EQ(none, nullptr);
}

TEST_P(Hdf5Styles, Text) {
  ASSERT_OK_AND_ASSIGN(const Opened f, Open(GetParam()));
  ASSERT_OK_AND_ASSIGN(const Hdf5Object* text, f.file->Find(*f.root, "text"));
  ASSERT_NE(text, nullptr);
  const auto read = [&](const char* name) -> std::vector<std::string> {
    const Hdf5Attribute* attribute = text->FindAttribute(name);
    if (attribute == nullptr) return {"missing"};
    auto strings = f.file->ReadStrings(*attribute);
    if (!strings.ok()) return {strings.status().ToString()};
    return *strings;
  };
  EXPECT_THAT(read("fixed"), ::testing::ElementsAre("abc"));
  EXPECT_THAT(read("variable"),
              ::testing::ElementsAre("a longer text of variable length \xc3\xa9"));
  EXPECT_THAT(read("names"), ::testing::ElementsAre("one", "three", "seventeen"));
  EXPECT_THAT(read("variable_names"), ::testing::ElementsAre("one", "three", "seventeen"));
  EXPECT_THAT(read("none"), ::testing::IsEmpty());
  EXPECT_THAT(read("long"), ::testing::ElementsAre(std::string(66000, 'x')));
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(read(fmt::format("extra{}", i).c_str()),
                ::testing::ElementsAre(fmt::format("value {}", i)));
  }
  const auto list = read("long_list");
  ASSERT_EQ(list.size(), 600u);
  EXPECT_EQ(list[599], "name_0599");
  EXPECT_FALSE(f.file->ReadStrings(*text->FindAttribute("number")).ok());
}

INSTANTIATE_TEST_SUITE_P(All, Hdf5Styles, ::testing::Values("earliest.h5", "v108.h5"),
                         [](const auto& p) {
                           return std::string(p.param).substr(0, std::string(p.param).find('.'));
                         });

TEST(Hdf5, ChunksAndFilters) {
  ASSERT_OK_AND_ASSIGN(const Opened f, Open("chunked.h5"));
  for (const char* name : {"plain", "gzip", "all", "row"}) {
    ASSERT_OK_AND_ASSIGN(const auto values, f.Floats(name));
    EXPECT_EQ(values, Ramp(0.5f, -7.0f)) << name;
  }
  const auto lzf = f.Floats("lzf");
  ASSERT_FALSE(lzf.ok());
  EXPECT_THAT(Message(lzf.status()), ::testing::HasSubstr("filter 32000 is not supported"));
}

TEST(Hdf5, MemoryBudgetHolds) {
  ASSERT_OK_AND_ASSIGN(Opened f, Open("chunked.h5"));
  ASSERT_OK_AND_ASSIGN(const auto zeros, f.Floats("zeros"));  // 1 MiB, twice while it is unpacked
  EXPECT_EQ(zeros.size(), 512u * 512u);
  ASSERT_OK_AND_ASSIGN(f.file, Hdf5File::Open(f.bytes->bytes(), 1 << 20));
  ASSERT_OK_AND_ASSIGN(f.root, f.file->Root());
  EXPECT_EQ(f.Floats("zeros").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Hdf5, UserBlock) {
  ASSERT_OK_AND_ASSIGN(const Opened f, Open("user_block.h5"));
  ASSERT_OK_AND_ASSIGN(const auto x, f.Floats("x"));
  EXPECT_EQ(x, std::vector<float>{3.0f});
}

TEST(Hdf5, CutFilesSaySo) {
  ASSERT_OK_AND_ASSIGN(const Opened f, Open("chunked.h5"));
  const auto bytes = f.bytes->bytes();
  const auto cut = Hdf5File::Open(bytes.subspan(0, bytes.size() - 1), kBudget);
  ASSERT_FALSE(cut.ok());
  EXPECT_THAT(Message(cut.status()), ::testing::HasSubstr("ends too early"));
}

TEST(SnakeCase, AsKerasNamesFolders) {
  using keras::SnakeCase;
  EXPECT_EQ(SnakeCase("Conv2D"), "conv2d");
  EXPECT_EQ(SnakeCase("Conv2DTranspose"), "conv2d_transpose");
  EXPECT_EQ(SnakeCase("SeparableConv2D"), "separable_conv2d");
  EXPECT_EQ(SnakeCase("DepthwiseConv2D"), "depthwise_conv2d");
  EXPECT_EQ(SnakeCase("BatchNormalization"), "batch_normalization");
  EXPECT_EQ(SnakeCase("ReLU"), "re_lu");
  EXPECT_EQ(SnakeCase("PReLU"), "p_re_lu");
  EXPECT_EQ(SnakeCase("LSTM"), "lstm");
  EXPECT_EQ(SnakeCase("SimpleRNN"), "simple_rnn");
  EXPECT_EQ(SnakeCase("GlobalAveragePooling2D"), "global_average_pooling2d");
  EXPECT_EQ(SnakeCase("ZeroPadding2D"), "zero_padding2d");
  EXPECT_EQ(SnakeCase("MultiHeadAttention"), "multi_head_attention");
  EXPECT_EQ(SnakeCase("UpSampling2D"), "up_sampling2d");
}

}  // namespace
}  // namespace litesmith
