#include "data/npy.h"

#include <zip.h>

#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> Bytes(std::string_view text) {
  const auto b = std::as_bytes(std::span(text.data(), text.size()));
  return {b.begin(), b.end()};
}

// A file of the given header text and elements, in any of the three formats.
std::vector<std::byte> File(int major, std::string header, std::string_view elements) {
  std::string s = "\x93NUMPY";
  s += static_cast<char>(major);
  s += '\0';
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) {
    s += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  }
  s += header;
  s += elements;
  return Bytes(s);
}

std::string Dict(std::string_view descr, std::string_view order, std::string_view shape) {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}   \n", descr, order,
                     shape);
}

std::string ErrorOf(const std::vector<std::byte>& bytes) {
  absl::StatusOr<Array> a = ParseNpy(bytes, Context());
  return a.ok() ? "OK" : std::string(Message(a.status()));
}

TEST(Npy, AllTypesSurviveWritingAndReading) {
  for (ElementType type :
       {ElementType::kFloat16, ElementType::kFloat32, ElementType::kFloat64, ElementType::kInt8,
        ElementType::kInt16, ElementType::kInt32, ElementType::kInt64, ElementType::kUint8,
        ElementType::kUint16, ElementType::kUint32, ElementType::kUint64, ElementType::kBool}) {
    for (std::vector<int64_t> shape : {std::vector<int64_t>{}, {5}, {2, 3}, {0, 4}, {1, 2, 3, 4}}) {
      Array a = Array::Zeros(type, shape);
      for (size_t i = 0; i < a.bytes.size(); ++i) {
        a.bytes[i] = static_cast<std::byte>(type == ElementType::kBool ? i % 2 : i * 7);
      }
      const std::string path = testing::TempDir() + "/a.npy";
      ASSERT_OK(WriteNpy(path, a));
      ASSERT_OK_AND_ASSIGN(Array b, ReadNpy(path, Context()));
      EXPECT_EQ(a.type, b.type);
      EXPECT_EQ(a.shape, b.shape);
      EXPECT_EQ(a.bytes, b.bytes);
    }
  }
}

TEST(Npy, WrittenElementsAreAlignedTo64) {
  const std::string path = testing::TempDir() + "/a.npy";
  ASSERT_OK(WriteNpy(path, Array::Zeros(ElementType::kFloat32, {3, 5})));
  ASSERT_OK_AND_ASSIGN(auto file, FileBytes::Open(path));
  ASSERT_OK_AND_ASSIGN(NpyHeader header, ParseNpyHeader(file->bytes()));
  EXPECT_EQ(header.offset % 64, 0u);
  EXPECT_EQ(header.size, 60u);
}

TEST(Npy, ReadsAllThreeFormats) {
  for (int major : {1, 2, 3}) {
    ASSERT_OK_AND_ASSIGN(Array a,
                         ParseNpy(File(major, Dict("<u2", "False", "(2,)"), "abcd"), Context()));
    EXPECT_EQ(a.shape, std::vector<int64_t>{2});
    EXPECT_EQ(a.data<uint16_t>()[0], 'a' + 256 * 'b');
  }
  EXPECT_THAT(ErrorOf(File(4, Dict("<u2", "False", "(2,)"), "abcd")), HasSubstr("format 4.0"));
}

TEST(Npy, ReadsFilesWrittenByNumpy) {
  REQUIRE_SHARED();
  ASSERT_OK_AND_ASSIGN(
      Array a, ReadNpy(testing::SharedDir() + "/golden/mnist/calibration_u8.npy", Context()));
  EXPECT_EQ(a.type, ElementType::kUint8);
  ASSERT_FALSE(a.shape.empty());
  EXPECT_EQ(a.shape[0], 300);
}

TEST(Npy, RefusesWhatItDoesNotRead) {
  EXPECT_THAT(ErrorOf(File(1, Dict("<f4", "True", "(1, 2)"), "abcdabcd")),
              HasSubstr("Fortran order"));
  EXPECT_THAT(ErrorOf(File(1, Dict(">f4", "False", "(1,)"), "abcd")), HasSubstr("big-endian"));
  EXPECT_THAT(ErrorOf(File(1, Dict("|O", "False", "(1,)"), "abcdabcd")), HasSubstr("pickled"));
  EXPECT_THAT(ErrorOf(File(1, Dict("<U4", "False", "(1,)"), "abcd")), HasSubstr("not supported"));
  EXPECT_THAT(ErrorOf(File(1, Dict("<c8", "False", "(1,)"), "abcdabcd")),
              HasSubstr("not supported"));
  EXPECT_THAT(
      ErrorOf(File(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "abcd")),
      HasSubstr("structures"));
  EXPECT_THAT(ErrorOf(File(1, Dict("|b1", "False", "(1,)"), "\x07")), HasSubstr("boolean"));
  EXPECT_THAT(ErrorOf(Bytes("PK\x03\x04")), HasSubstr("not a .npy file"));
  EXPECT_THAT(ErrorOf({}), HasSubstr("not a .npy file"));
}

TEST(Npy, ChecksSizes) {
  EXPECT_THAT(ErrorOf(File(1, Dict("<f4", "False", "(2,)"), "abcd")), HasSubstr("cut short"));
  EXPECT_THAT(ErrorOf(File(1, Dict("<f4", "False", "(1,)"), "abcde")), HasSubstr("longer than"));
  EXPECT_THAT(ErrorOf(File(1, Dict("<f4", "False", "(4611686018427387904, 4)"), "")),
              HasSubstr("too large"));
  EXPECT_THAT(ErrorOf(File(1, Dict("<f4", "False", "(0, 4611686018427387904, 4)"), "")),
              HasSubstr("too large"));
  EXPECT_THAT(ErrorOf(File(1, Dict("<f4", "False", "(99999999999999999999,)"), "")),
              HasSubstr("too large"));
  Context small;
  small.memory_budget = 10;
  EXPECT_EQ(ParseNpy(File(1, Dict("|u1", "False", "(12,)"), "abcdabcdabcd"), small).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Npy, RefusesMalformedHeaders) {
  for (std::string header :
       {"", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"}) {
    EXPECT_THAT(ErrorOf(File(1, header, "abcd")), HasSubstr("header")) << header;
  }
}

TEST(Npy, ErrorsNameThePath) {
  const std::string path = testing::TempDir() + "/bad.npy";
  ASSERT_OK(WriteFileAtomically(path, std::string_view("rubbish")));
  EXPECT_THAT(std::string(Message(ReadNpy(path, Context()).status())), HasSubstr(path));
  EXPECT_THAT(std::string(Message(ReadNpy(path + "x", Context()).status())),
              HasSubstr("no such file"));
}

// Writes a zip of named entries.
std::string Zip(const std::vector<std::pair<std::string, std::vector<std::byte>>>& entries) {
  const std::string path = testing::TempDir() + "/a.npz";
  int error = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  for (const auto& [name, bytes] : entries) {
    zip_file_add(zip, name.c_str(), zip_source_buffer(zip, bytes.data(), bytes.size(), 0),
                 ZIP_FL_OVERWRITE);
  }
  EXPECT_EQ(zip_close(zip), 0);
  return path;
}

TEST(Npz, ReadsAllArraysInOrder) {
  const std::string path = Zip({{"in0.npy", File(1, Dict("<u2", "False", "(2,)"), "abcd")},
                                {"labels.npy", File(1, Dict("|u1", "False", "(2,)"), "\x01\x02")}});
  ASSERT_OK_AND_ASSIGN(NamedArrays arrays, ReadNpz(path, Context()));
  ASSERT_EQ(arrays.size(), 2u);
  EXPECT_EQ(arrays[0].first, "in0");
  EXPECT_EQ(arrays[1].first, "labels");
  EXPECT_EQ(arrays[1].second.data<uint8_t>()[1], 2);
}

TEST(Npz, RefusesOtherEntries) {
  const auto array = File(1, Dict("|u1", "False", "(2,)"), "ab");
  auto error = [&](const std::string& name, const std::vector<std::byte>& bytes) {
    const absl::StatusOr<NamedArrays> a = ReadNpz(Zip({{name, bytes}}), Context());
    return a.ok() ? "OK" : std::string(Message(a.status()));
  };
  EXPECT_THAT(error("../x.npy", array), HasSubstr("outside the zip archive"));
  EXPECT_THAT(error("/x.npy", array), HasSubstr("outside the zip archive"));
  EXPECT_THAT(error("a/../../x.npy", array), HasSubstr("outside the zip archive"));
  EXPECT_THAT(error("config.json", Bytes("{}")), HasSubstr("not a .npy"));
  EXPECT_THAT(error("x.npy", Bytes("abc")), HasSubstr("entry 'x.npy'"));
  EXPECT_THAT(error("x.npy", File(1, Dict("|u1", "False", "(3,)"), "ab")),
              HasSubstr("needs 3 bytes"));
}

TEST(Npz, RefusesBombs) {
  // 64 MB of zeros that are no array cost nothing but their header.
  std::vector<std::byte> zeros(64 << 20);
  const std::string path = Zip({{"x.npy", zeros}});
  EXPECT_THAT(std::string(Message(ReadNpz(path, Context()).status())), HasSubstr("not a .npy"));
  // A true array of zeros is held against the budget before it is unpacked.
  std::string dict = Dict("|u1", "False", "(67108864,)");
  const std::string valid = Zip({{"x.npy", File(1, dict, std::string(64 << 20, '\0'))}});
  Context small;
  small.memory_budget = 1 << 20;
  EXPECT_EQ(ReadNpz(valid, small).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_OK(ReadNpz(valid, Context()));
}

}  // namespace
}  // namespace litesmith
