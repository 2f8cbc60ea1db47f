#include "data/dataset.h"

#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/idx.h"
#include "data/npy.h"
#include "tests/data_files.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::litesmith::testing::ArrayOf;
using ::litesmith::testing::BytesOf;
using ::litesmith::testing::Gzip;
using ::litesmith::testing::IdxBytes;
using ::litesmith::testing::TempDir;
using ::litesmith::testing::WriteFile;
using ::litesmith::testing::WriteIdxFolder;
using ::litesmith::testing::WriteNpz;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

InputSpec Spec(std::vector<int64_t> shape, ElementType type = ElementType::kFloat32) {
  return {"x", "serving_default_x:0", std::move(shape), type};
}

absl::StatusOr<std::unique_ptr<Dataset>> Open(const std::string& path,
                                              std::vector<InputSpec> inputs,
                                              DatasetOptions options = {},
                                              DataUse use = DataUse::kEvaluation) {
  return OpenDataset(path, options, use, inputs, Context());
}

std::string ErrorOf(const absl::StatusOr<std::unique_ptr<Dataset>>& d) {
  return d.ok() ? "OK" : std::string(Message(d.status()));
}

TEST(IdxData, FolderGivesPixelsOver255) {
  for (bool gzipped : {false, true}) {
    const std::string dir = TempDir();
    WriteIdxFolder(dir, "train", 20, 4, 5, 3, gzipped);
    WriteIdxFolder(dir, "t10k", 10, 4, 5, 3, gzipped);
    ASSERT_OK_AND_ASSIGN(auto data, Open(dir, {Spec({4, 5, 1})}));
    EXPECT_EQ(data->size(), 10);
    EXPECT_TRUE(data->has_labels());
    EXPECT_FALSE(data->is_array());
    EXPECT_EQ(data->label(4), 1);
    Sample sample;
    ASSERT_OK(data->Read(3, &sample));
    EXPECT_THAT(sample.inputs[0].shape, ElementsAre(4, 5, 1));
    EXPECT_EQ(sample.label, 0);
    for (int k = 0; k < 20; ++k) {
      EXPECT_EQ(sample.inputs[0].data<float>()[k], static_cast<float>(21 + k) / 255.0f);
    }
    std::vector<float> direct(20);
    ASSERT_OK(data->ReadInto(3, 0, direct));
    EXPECT_EQ(direct[7], sample.inputs[0].data<float>()[7]);
    EXPECT_FALSE(data->ReadInto(3, 0, std::span(direct).first(3)).ok());
    EXPECT_FALSE(data->Read(10, &sample).ok());
    EXPECT_FALSE(data->Read(-1, &sample).ok());
    ASSERT_OK_AND_ASSIGN(auto train, Open(dir, {}, {}, DataUse::kTraining));
    EXPECT_EQ(train->size(), 20);
    EXPECT_THAT(train->sample_shape(0), ElementsAre(4, 5, 1));
  }
}

TEST(IdxData, SplitsAreChosenAndMissingOnesNamed) {
  const std::string dir = TempDir();
  WriteIdxFolder(dir, "train", 20, 4, 5, 3, true);
  // The only split serves every use.
  EXPECT_OK(Open(dir, {}));
  DatasetOptions validation;
  validation.split = "validation";
  EXPECT_THAT(ErrorOf(Open(dir, {}, validation)),
              HasSubstr("no split 'validation'; there is 'train'"));
  WriteIdxFolder(dir, "holdout", 20, 4, 5, 3, true);
  EXPECT_THAT(ErrorOf(Open(dir, {})), HasSubstr("no split 'test'; there is 'holdout', 'train'"));
}

TEST(IdxData, SingleFileFindsItsLabels) {
  const std::string dir = TempDir();
  WriteIdxFolder(dir, "t10k", 10, 4, 5, 3, true);
  ASSERT_OK_AND_ASSIGN(auto data, Open(dir + "/t10k-images-idx3-ubyte.gz", {}));
  EXPECT_TRUE(data->has_labels());
  EXPECT_THAT(ErrorOf(Open(dir + "/t10k-labels-idx1-ubyte.gz", {})),
              HasSubstr("give the file of the images"));
  WriteFile(dir + "/alone", IdxBytes({2, 1, 2}, BytesOf("abcd")));
  ASSERT_OK_AND_ASSIGN(auto alone, Open(dir + "/alone", {Spec({1, 2})}));
  EXPECT_FALSE(alone->has_labels());
}

TEST(IdxData, MeanAndStdPerChannelOrOne) {
  const std::string dir = TempDir();
  std::vector<std::byte> pixels(2 * 2 * 2 * 3, std::byte{100});
  WriteFile(dir + "/a", IdxBytes({2, 2, 2, 3}, pixels));
  DatasetOptions options;
  options.preprocessing.mean = {1, 2, 3};
  options.preprocessing.std = {2};
  ASSERT_OK_AND_ASSIGN(auto data, Open(dir + "/a", {Spec({2, 2, 3})}, options));
  Sample sample;
  ASSERT_OK(data->Read(0, &sample));
  EXPECT_EQ(sample.inputs[0].data<float>()[0], 49.5f);
  EXPECT_EQ(sample.inputs[0].data<float>()[2], 48.5f);
  EXPECT_THAT(data->preprocessing().mean, ElementsAre(1, 2, 3));
  options.preprocessing.mean = {1, 2};
  EXPECT_THAT(ErrorOf(Open(dir + "/a", {Spec({2, 2, 3})}, options)), HasSubstr("3 channels"));
  options.preprocessing = {{0}, {0}};
  EXPECT_THAT(ErrorOf(Open(dir + "/a", {Spec({2, 2, 3})}, options)),
              HasSubstr("std has the value 0"));
}

TEST(IdxData, RefusesBadFiles) {
  const std::string dir = TempDir();
  auto error = [&](std::span<const std::byte> bytes, std::vector<InputSpec> inputs = {}) {
    WriteFile(dir + "/a", bytes);
    const std::string e = ErrorOf(Open(dir + "/a", inputs));
    EXPECT_THAT(e, HasSubstr(dir + "/a"));
    EXPECT_EQ(e.find('\n'), std::string::npos);
    return e;
  };
  EXPECT_THAT(error(IdxBytes({2, 1, 2}, BytesOf("abc"))), HasSubstr("cut short"));
  EXPECT_THAT(error(IdxBytes({2, 1, 2}, BytesOf("abcde"))), HasSubstr("longer"));
  EXPECT_THAT(error(IdxBytes({0, 1, 2}, {})), HasSubstr("no samples"));
  EXPECT_THAT(error(Gzip(IdxBytes({2, 1, 2}, BytesOf("abc")))), HasSubstr("only 3 are there"));
  EXPECT_THAT(error(Gzip(IdxBytes({2, 1, 2}, BytesOf("abcde")))), HasSubstr("more than its shape"));
  EXPECT_THAT(error(IdxBytes({0xffffffff, 0xffffffff, 0xffffffff}, {})), HasSubstr("impossible"));
  EXPECT_THAT(error(Gzip(IdxBytes({1000, 1000, 1000}, {}))), HasSubstr("the gzip file has only"));
  std::vector<std::byte> floats = IdxBytes({1, 1, 1}, BytesOf("abcd"));
  floats[2] = std::byte{0x0d};
  EXPECT_THAT(error(floats), HasSubstr("only unsigned bytes"));
  std::vector<std::byte> packed = Gzip(IdxBytes({2, 1, 2}, BytesOf("abcd")));
  packed.resize(packed.size() - 4);
  EXPECT_THAT(error(packed), HasSubstr("cut short"));
  packed = Gzip(IdxBytes({2, 1, 2}, BytesOf("abcd")));
  packed[packed.size() - 6] ^= std::byte{1};
  EXPECT_THAT(error(packed), HasSubstr("damaged"));
  EXPECT_THAT(error(IdxBytes({2, 1, 2}, BytesOf("abcd")), {Spec({28, 28, 1})}),
              ::testing::AllOf(HasSubstr("[1, 2]"), HasSubstr("[28, 28, 1]")));
  EXPECT_THAT(error(IdxBytes({2, 1, 2}, BytesOf("abcd")), {Spec({1, 2}), Spec({1})}),
              HasSubstr("one input"));
  EXPECT_THAT(error(IdxBytes({2, 1, 2}, BytesOf("abcd")), {Spec({1, 2}, ElementType::kInt32)}),
              HasSubstr("INT32"));
  EXPECT_THAT(error(BytesOf("rubbish")), HasSubstr("not a data set"));
}

TEST(IdxData, LabelsMustBelongToTheImages) {
  const std::string dir = TempDir();
  WriteIdxFolder(dir, "t10k", 10, 4, 5, 3, false);
  WriteFile(dir + "/t10k-labels-idx1-ubyte", IdxBytes({3}, BytesOf("abc")));
  EXPECT_THAT(ErrorOf(Open(dir, {})), HasSubstr("10 images"));
}

TEST(IdxData, LabelsFileNamesTheClasses) {
  const std::string dir = TempDir();
  WriteIdxFolder(dir, "t10k", 10, 4, 5, 3, false);
  DatasetOptions options;
  options.labels_file = dir + "/labels.txt";
  WriteFile(options.labels_file, BytesOf("cat\r\ndog\nbird\n\n"));
  ASSERT_OK_AND_ASSIGN(auto data, Open(dir, {}, options));
  EXPECT_THAT(data->class_names(), ElementsAre("cat", "dog", "bird"));
  WriteFile(options.labels_file, BytesOf("cat\ndog"));
  EXPECT_THAT(ErrorOf(Open(dir, {}, options)), HasSubstr("has 2 names"));
  options.labels_file = dir + "/missing.txt";
  EXPECT_THAT(ErrorOf(Open(dir, {}, options)), HasSubstr("no such file"));
}

TEST(IdxData, LargePackedFilesAreStreamedForCalibration) {
  const std::string dir = TempDir();
  constexpr int kCount = 100, kSide = 500;  // 25 MB
  WriteIdxFolder(dir, "train", kCount, kSide, kSide, 10, true);
  ASSERT_OK_AND_ASSIGN(auto streamed, Open(dir, {}, {}, DataUse::kCalibration));
  ASSERT_OK_AND_ASSIGN(auto held, Open(dir, {}, {}, DataUse::kTraining));
  EXPECT_FALSE(streamed->reads_concurrently());
  EXPECT_TRUE(held->reads_concurrently());
  Sample a, b;
  for (int64_t i : {0, 1, 50, 99, 3, 3}) {
    ASSERT_OK(streamed->Read(i, &a));
    ASSERT_OK(held->Read(i, &b));
    EXPECT_EQ(a.inputs[0].bytes, b.inputs[0].bytes) << i;
    EXPECT_EQ(a.label, b.label);
  }
  // Cut and overlong files are found where they are read.
  const std::string path = dir + "/train-images-idx3-ubyte.gz";
  std::vector<std::byte> pixels(size_t{kCount} * kSide * kSide - 1);
  WriteFile(path, Gzip(IdxBytes({kCount, kSide, kSide}, pixels)));
  ASSERT_OK_AND_ASSIGN(auto cut, Open(dir, {}, {}, DataUse::kCalibration));
  EXPECT_OK(cut->Read(98, &a));
  EXPECT_THAT(std::string(Message(cut->Read(99, &a))), HasSubstr("ends before"));
  pixels.resize(pixels.size() + 2);
  WriteFile(path, Gzip(IdxBytes({kCount, kSide, kSide}, pixels)));
  ASSERT_OK_AND_ASSIGN(auto longer, Open(dir, {}, {}, DataUse::kCalibration));
  EXPECT_THAT(std::string(Message(longer->Read(99, &a))), HasSubstr("more than its shape"));
  EXPECT_FALSE(Open(dir, {}, {}, DataUse::kTraining).ok());
}

TEST(IdxData, RealMnist) {
  REQUIRE_SHARED();
  const std::string dir = testing::SharedDir() + "/data/mnist";
  ASSERT_OK_AND_ASSIGN(auto data, Open(dir, {Spec({28, 28, 1})}, {}, DataUse::kTraining));
  ASSERT_EQ(data->size(), 60000);
  EXPECT_EQ(data->label(0), 5);
  ASSERT_OK_AND_ASSIGN(auto test, Open(dir, {Spec({28, 28, 1})}));
  ASSERT_EQ(test->size(), 10000);
  EXPECT_EQ(test->label(0), 7);
  // All samples in a shuffled order, as an epoch of training reads them.
  std::vector<int64_t> order(60000);
  std::iota(order.begin(), order.end(), 0);
  std::vector<float> out(28 * 28);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i : order) ASSERT_OK(data->ReadInto((i * 7919) % 60000, 0, out));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  RecordProperty("milliseconds_per_epoch", static_cast<int>(seconds.count() * 1e3));
  std::printf("60,000 samples read in %.1f ms\n", seconds.count() * 1e3);
}

TEST(NpyData, FloatsAsTheyAreBytesOver255) {
  const std::string dir = TempDir();
  ASSERT_OK(
      WriteNpy(dir + "/f.npy", ArrayOf<float>(ElementType::kFloat32, {2, 1, 2}, {1, 2, 3, 4})));
  ASSERT_OK(
      WriteNpy(dir + "/u.npy", ArrayOf<uint8_t>(ElementType::kUint8, {2, 2}, {0, 51, 255, 102})));
  ASSERT_OK(WriteNpy(dir + "/d.npy", ArrayOf<double>(ElementType::kFloat64, {2, 2}, {1, 2, 3, 4})));
  ASSERT_OK(
      WriteNpy(dir + "/h.npy", ArrayOf<uint16_t>(ElementType::kFloat16, {1, 2}, {0x3c00, 0xc000})));
  Sample sample;
  // A leading 1 in the samples is dropped.
  ASSERT_OK_AND_ASSIGN(auto f, Open(dir + "/f.npy", {Spec({2})}));
  EXPECT_TRUE(f->is_array());
  EXPECT_FALSE(f->has_labels());
  ASSERT_OK(f->Read(1, &sample));
  EXPECT_THAT(sample.inputs[0].shape, ElementsAre(2));
  EXPECT_THAT(sample.inputs[0].data<float>(), ElementsAre(3, 4));
  EXPECT_FALSE(sample.label.has_value());
  EXPECT_TRUE(f->preprocessing().std.empty());
  ASSERT_OK_AND_ASSIGN(auto u, Open(dir + "/u.npy", {Spec({2})}));
  ASSERT_OK(u->Read(0, &sample));
  EXPECT_THAT(sample.inputs[0].data<float>(), ElementsAre(0.0f, 51.0f / 255.0f));
  EXPECT_THAT(u->preprocessing().std, ElementsAre(255));
  ASSERT_OK_AND_ASSIGN(auto d, Open(dir + "/d.npy", {Spec({1, 2})}));
  ASSERT_OK(d->Read(1, &sample));
  EXPECT_THAT(sample.inputs[0].shape, ElementsAre(1, 2));
  EXPECT_THAT(sample.inputs[0].data<float>(), ElementsAre(3, 4));
  DatasetOptions options;
  options.preprocessing = {{1}, {2}};
  ASSERT_OK_AND_ASSIGN(auto h, Open(dir + "/h.npy", {Spec({2})}, options));
  ASSERT_OK(h->Read(0, &sample));
  EXPECT_THAT(sample.inputs[0].data<float>(), ElementsAre(0.0f, -1.5f));
}

TEST(NpyData, IntegersForIntegerInputs) {
  const std::string dir = TempDir();
  ASSERT_OK(WriteNpy(dir + "/i.npy",
                     ArrayOf<int64_t>(ElementType::kInt64, {2, 2}, {1, -2, 3, 1ll << 40})));
  ASSERT_OK_AND_ASSIGN(auto i, Open(dir + "/i.npy", {Spec({2}, ElementType::kInt32)}));
  Sample sample;
  ASSERT_OK(i->Read(0, &sample));
  EXPECT_THAT(sample.inputs[0].data<int32_t>(), ElementsAre(1, -2));
  EXPECT_THAT(std::string(Message(i->Read(1, &sample))), HasSubstr("does not fit"));
  ASSERT_OK(WriteNpy(dir + "/f.npy", ArrayOf<float>(ElementType::kFloat32, {2, 1}, {1, 2})));
  EXPECT_THAT(ErrorOf(Open(dir + "/f.npy", {Spec({1}, ElementType::kInt32)})),
              HasSubstr("give integers"));
}

TEST(NpyData, RefusesWrongShapes) {
  const std::string dir = TempDir();
  ASSERT_OK(WriteNpy(dir + "/s.npy", Array::Zeros(ElementType::kFloat32, {})));
  EXPECT_THAT(ErrorOf(Open(dir + "/s.npy", {Spec({2})})), HasSubstr("axis 0"));
  ASSERT_OK(WriteNpy(dir + "/e.npy", Array::Zeros(ElementType::kFloat32, {0, 2})));
  EXPECT_THAT(ErrorOf(Open(dir + "/e.npy", {Spec({2})})), HasSubstr("no samples"));
  ASSERT_OK(WriteNpy(dir + "/w.npy", Array::Zeros(ElementType::kFloat32, {5, 3})));
  EXPECT_THAT(ErrorOf(Open(dir + "/w.npy", {Spec({2})})),
              ::testing::AllOf(HasSubstr("[3]"), HasSubstr("[2]"), HasSubstr("[5, 3]")));
  EXPECT_THAT(ErrorOf(Open(dir + "/w.npy", {Spec({3}), Spec({3})})), HasSubstr(".npz"));
  EXPECT_OK(Open(dir + "/w.npy", {Spec({-1})}));
}

TEST(NpzData, KeysBySignatureThenTensorThenPosition) {
  const std::string path = TempDir() + "/a.npz";
  const Array one = ArrayOf<float>(ElementType::kFloat32, {2, 1}, {1, 2});
  const Array two = ArrayOf<float>(ElementType::kFloat32, {2, 1}, {3, 4});
  const std::vector<InputSpec> inputs = {{"a", "ta", {1}}, {"b", "tb", {1}}};
  for (auto [first, second] : {std::pair{"b", "a"}, {"tb", "ta"}, {"in1", "in0"}}) {
    WriteNpz(path, {{first, two}, {second, one}});
    ASSERT_OK_AND_ASSIGN(auto data, Open(path, inputs));
    Sample sample;
    ASSERT_OK(data->Read(0, &sample));
    EXPECT_EQ(sample.inputs[0].data<float>()[0], 1);
    EXPECT_EQ(sample.inputs[1].data<float>()[0], 3);
  }
  WriteNpz(path, {{"a", one}, {"tb", two}});
  EXPECT_THAT(ErrorOf(Open(path, inputs)), HasSubstr("'a', 'tb'"));
}

TEST(NpzData, LabelsAndTargets) {
  const std::string path = TempDir() + "/a.npz";
  const Array x = ArrayOf<float>(ElementType::kFloat32, {3, 1}, {1, 2, 3});
  WriteNpz(path, {{"x", x}, {"labels", ArrayOf<int32_t>(ElementType::kInt32, {3}, {0, 5, 2})}});
  ASSERT_OK_AND_ASSIGN(auto labelled, Open(path, {Spec({1})}));
  EXPECT_TRUE(labelled->has_labels());
  EXPECT_EQ(labelled->label(1), 5);
  WriteNpz(path, {{"x", x}, {"targets", ArrayOf<uint8_t>(ElementType::kUint8, {3, 1}, {0, 5, 2})}});
  ASSERT_OK_AND_ASSIGN(auto targets, Open(path, {Spec({1})}));
  EXPECT_TRUE(targets->has_targets());
  Sample sample;
  ASSERT_OK(targets->Read(1, &sample));
  EXPECT_EQ(sample.targets[0].data<float>()[0], 5.0f);  // answers are no pixels
  WriteNpz(path, {{"x", x}, {"target0", x}, {"target1", x}});
  ASSERT_OK_AND_ASSIGN(auto two, Open(path, {Spec({1})}));
  ASSERT_OK(two->Read(2, &sample));
  EXPECT_EQ(sample.targets.size(), 2u);
  WriteNpz(path, {{"x", x}, {"labels", ArrayOf<int32_t>(ElementType::kInt32, {2}, {0, 5})}});
  EXPECT_THAT(ErrorOf(Open(path, {Spec({1})})), HasSubstr("3 samples"));
  WriteNpz(path, {{"x", x}, {"labels", x}});
  EXPECT_THAT(ErrorOf(Open(path, {Spec({1})})), HasSubstr("integers are needed"));
  WriteNpz(path, {{"x", x}, {"labels", ArrayOf<int32_t>(ElementType::kInt32, {3}, {0, -5, 2})}});
  EXPECT_THAT(ErrorOf(Open(path, {Spec({1})})), HasSubstr("-5"));
  WriteNpz(path, {{"in0", x}, {"in1", ArrayOf<int32_t>(ElementType::kInt32, {2}, {0, 5})}});
  EXPECT_THAT(ErrorOf(Open(path, {Spec({1}), Spec({})})), HasSubstr("'in1' has 2 samples"));
}

TEST(NpzData, GoldenCalibrationFilesFit) {
  REQUIRE_SHARED();
  ASSERT_OK_AND_ASSIGN(auto data, Open(testing::SharedDir() + "/golden/mnist/calibration_u8.npy",
                                       {Spec({28, 28, 1})}));
  EXPECT_EQ(data->size(), 300);
}

TEST(Calibration, ArraysGiveTheirFirstOthersABalancedDraw) {
  const std::string dir = TempDir();
  WriteIdxFolder(dir, "train", 100, 2, 2, 7, false);
  ASSERT_OK_AND_ASSIGN(auto data, Open(dir, {}, {}, DataUse::kCalibration));
  const std::vector<int64_t> drawn = CalibrationIndices(*data, 30, 1, Context());
  ASSERT_EQ(drawn.size(), 30u);
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
  EXPECT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(), 30u);
  std::map<int64_t, int> counts;
  for (int64_t i : drawn) ++counts[data->label(i)];
  for (const auto& [label, n] : counts) EXPECT_TRUE(n == 4 || n == 5) << label << ": " << n;
  EXPECT_EQ(counts.size(), 7u);
  EXPECT_EQ(drawn, CalibrationIndices(*data, 30, 1, Context()));
  EXPECT_NE(drawn, CalibrationIndices(*data, 30, 2, Context()));
  std::string warning;
  Context context;
  context.warn = [&](const std::string& s) { warning = s; };
  EXPECT_EQ(CalibrationIndices(*data, 300, 1, context).size(), 100u);
  EXPECT_THAT(warning, HasSubstr("only 100 calibration samples instead of 300"));
  ASSERT_OK(WriteNpy(dir + "/f.npy", Array::Zeros(ElementType::kFloat32, {50, 2})));
  ASSERT_OK_AND_ASSIGN(auto array, Open(dir + "/f.npy", {}));
  EXPECT_THAT(CalibrationIndices(*array, 3, 1, Context()), ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace litesmith
