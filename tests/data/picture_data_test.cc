#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/dataset.h"
#include "data/picture_layout.h"
#include "data/tar.h"
#include "tests/data_files.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::litesmith::testing::BytesOf;
using ::litesmith::testing::FlatPng;
using ::litesmith::testing::Gzip;
using ::litesmith::testing::TarBytes;
using ::litesmith::testing::TarEntryBytes;
using ::litesmith::testing::TempDir;
using ::litesmith::testing::WriteFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Entries = std::vector<std::pair<std::string, std::vector<std::byte>>>;

const std::vector<InputSpec> kGrey4 = {{"x", "", {4, 4, 1}}};

// SPLIT/CLASS/picture for 2 splits and 3 classes; the test split lacks the class "b".
Entries Tree() {
  Entries out;
  uint8_t value = 0;
  for (const char* split : {"test", "train"}) {
    for (const char* name : {"a", "b", "c"}) {
      if (split[1] == 'e' && name[0] == 'b') continue;
      for (int i = 0; i < 3; ++i) {
        out.emplace_back(fmt::format("{}/{}/{}.png", split, name, i), FlatPng(4, 4, ++value));
      }
    }
  }
  return out;
}

std::string WriteTree(const Entries& entries) {
  const std::string root = TempDir();
  for (const auto& [name, bytes] : entries) {
    const std::string path = root + "/" + name;
    EXPECT_OK(MakeDirectories(std::filesystem::path(path).parent_path().string()));
    WriteFile(path, bytes);
  }
  return root;
}

std::vector<std::byte> Joined(const std::vector<std::vector<std::byte>>& parts,
                              size_t zeros = 1024) {
  std::vector<std::byte> out;
  for (const auto& p : parts) out.insert(out.end(), p.begin(), p.end());
  out.resize(out.size() + zeros);
  return out;
}

std::string WriteBytes(std::span<const std::byte> bytes) {
  const std::string path = TempDir() + "/archive";
  WriteFile(path, bytes);
  return path;
}

absl::StatusOr<std::unique_ptr<Dataset>> Open(const std::string& path, DatasetOptions options = {},
                                              std::vector<InputSpec> inputs = kGrey4,
                                              Context context = {}) {
  return OpenDataset(path, options, DataUse::kEvaluation, inputs, context);
}

std::string ErrorOf(const absl::StatusOr<std::unique_ptr<Dataset>>& d) {
  return d.ok() ? "OK" : std::string(Message(d.status()));
}

void ExpectTestSplit(Dataset* data) {
  ASSERT_EQ(data->size(), 6);
  EXPECT_THAT(data->class_names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(data->label(5), 2);
  Sample sample;
  // Also backwards.
  for (int64_t i : {0, 1, 2, 3, 4, 5, 2, 0}) {
    ASSERT_OK(data->Read(i, &sample));
    EXPECT_EQ(sample.inputs[0].data<float>()[0], static_cast<float>(i + 1) / 255.0f);
    EXPECT_EQ(sample.label, i / 3 * 2);
  }
}

TEST(PictureData, FolderTarAndTarGzAreTheSame) {
  const Entries tree = Tree();
  ASSERT_OK_AND_ASSIGN(auto folder, Open(WriteTree(tree)));
  ExpectTestSplit(folder.get());
  ASSERT_OK_AND_ASSIGN(auto tar, Open(WriteBytes(TarBytes(tree))));
  ExpectTestSplit(tar.get());
  const std::string packed = WriteBytes(Gzip(TarBytes(tree)));
  ASSERT_OK_AND_ASSIGN(auto gz, Open(packed));
  ExpectTestSplit(gz.get());
  gz->ForgetUnpacked();
  ExpectTestSplit(gz.get());
  tar->ForgetUnpacked();
  ExpectTestSplit(tar.get());
  // Too little memory to hold the archive unpacked: it is read as a stream.
  Context small;
  small.memory_budget = 16000;
  ASSERT_OK_AND_ASSIGN(auto streamed, Open(packed, {}, kGrey4, small));
  ExpectTestSplit(streamed.get());
}

TEST(PictureData, LayoutsWithoutSplitsOrClasses) {
  ASSERT_OK_AND_ASSIGN(
      auto classes,
      Open(WriteTree({{"a/1.png", FlatPng(4, 4, 1)}, {"b/1.PNG", FlatPng(4, 4, 1)}})));
  EXPECT_EQ(classes->size(), 2);
  EXPECT_EQ(classes->label(1), 1);
  ASSERT_OK_AND_ASSIGN(auto wrapped,
                       Open(WriteBytes(TarBytes({{"./data/a/1.png", FlatPng(4, 4, 1)},
                                                 {"./data/b/1.png", FlatPng(4, 4, 1)}}))));
  EXPECT_THAT(wrapped->class_names(), ElementsAre("a", "b"));
  ASSERT_OK_AND_ASSIGN(auto flat,
                       Open(WriteTree({{"1.png", FlatPng(4, 4, 1)}, {"2.jpg", FlatPng(4, 4, 1)}})));
  EXPECT_FALSE(flat->has_labels());
  EXPECT_EQ(flat->size(), 2);
  ASSERT_OK_AND_ASSIGN(
      auto splits,
      Open(WriteTree({{"train/1.png", FlatPng(4, 4, 1)}, {"test/1.png", FlatPng(4, 4, 1)}})));
  EXPECT_EQ(splits->size(), 1);
  EXPECT_FALSE(splits->has_labels());
  EXPECT_THAT(
      ErrorOf(Open(WriteTree({{"a/1.png", FlatPng(4, 4, 1)}, {"1.png", FlatPng(4, 4, 1)}}))),
      HasSubstr("different depths"));
  EXPECT_THAT(ErrorOf(Open(TempDir())), HasSubstr("holds no data"));
}

// Else the classes behind it would take other numbers.
TEST(PictureData, AnEmptyClassFolderIsAClass) {
  const Entries tree = {{"set/train/a/1.png", FlatPng(4, 4, 1)},
                        {"set/train/c/1.png", FlatPng(4, 4, 1)},
                        {"set/test/a/1.png", FlatPng(4, 4, 1)}};
  const std::string folder = WriteTree(tree);
  for (const char* empty : {"set/train/b", "set/train/.d", "set/train/a/e", "other/train/f"}) {
    std::filesystem::create_directories(folder + "/" + empty);
  }
  // Not empty, and without pictures: none.
  std::filesystem::create_directories(folder + "/set/train/boxes");
  WriteFile(folder + "/set/train/boxes/1.txt", BytesOf("0 0 1 1"));
  const auto archive =
      Joined({TarEntryBytes("set/train/b/", '5', {}), TarEntryBytes("set/train/.d/", '5', {}),
              TarEntryBytes("set/extra/g/", '5', {}), TarEntryBytes("set/train/boxes/", '5', {}),
              TarEntryBytes("set/train/boxes/1.txt", '0', BytesOf("0 0 1 1")),
              TarEntryBytes(tree[0].first, '0', tree[0].second),
              TarEntryBytes(tree[1].first, '0', tree[1].second),
              TarEntryBytes(tree[2].first, '0', tree[2].second)});
  DatasetOptions train;
  train.split = "train";
  for (const std::string& path : {folder, WriteBytes(archive)}) {
    ASSERT_OK_AND_ASSIGN(auto data, Open(path, train));
    EXPECT_THAT(data->class_names(), ElementsAre("a", "b", "c"));
    EXPECT_EQ(data->label(1), 2);
  }
  // Pictures without classes in splits: a folder beside them is none either.
  const std::string splits =
      WriteTree({{"train/1.png", FlatPng(4, 4, 1)}, {"test/1.png", FlatPng(4, 4, 1)}});
  std::filesystem::create_directories(splits + "/notes");
  ASSERT_OK_AND_ASSIGN(auto data, Open(splits, train));
  EXPECT_FALSE(data->has_labels());
}

TEST(PictureData, HiddenAndOtherFilesAreIgnored) {
  for (const char* name :
       {".hidden.png", "__MACOSX/a/1.png", "a/._1.png", ".git/a/1.png", "a/readme.txt"}) {
    EXPECT_FALSE(IsPictureName(name)) << name;
  }
  for (const char* name : {"1.png", "a/b.JPEG", "a/b.c/d.Jpg"})
    EXPECT_TRUE(IsPictureName(name)) << name;
}

TEST(PictureData, MissingSplitListsThosePresent) {
  DatasetOptions options;
  options.split = "validation";
  EXPECT_THAT(ErrorOf(Open(WriteTree(Tree()), options)),
              HasSubstr("no split 'validation'; there is 'test', 'train'"));
}

TEST(PictureData, LabelsFileSetsTheOrder) {
  const std::string root = WriteTree(Tree());
  DatasetOptions options;
  options.labels_file = TempDir() + "/labels.txt";
  WriteFile(options.labels_file, BytesOf("c\nx\nb\na\n"));
  ASSERT_OK_AND_ASSIGN(auto data, Open(root, options));
  EXPECT_EQ(data->label(0), 3);
  EXPECT_EQ(data->label(5), 0);
  EXPECT_EQ(data->class_names().size(), 4u);
  WriteFile(options.labels_file, BytesOf("cat\ndog\nbird\n"));
  ASSERT_OK_AND_ASSIGN(auto renamed, Open(root, options));
  EXPECT_EQ(renamed->label(5), 2);
  EXPECT_EQ(renamed->class_names()[2], "bird");
  WriteFile(options.labels_file, BytesOf("a\nb\n"));
  EXPECT_THAT(ErrorOf(Open(root, options)), HasSubstr("'c'"));
}

TEST(PictureData, PicturesOfOtherSizesAreResizedAndBadOnesNamed) {
  const std::string root =
      WriteTree({{"a/1.png", FlatPng(9, 7, 51)}, {"a/2.png", BytesOf("rubbish")}});
  ASSERT_OK_AND_ASSIGN(auto data, Open(root));
  Sample sample;
  ASSERT_OK(data->Read(0, &sample));
  EXPECT_THAT(sample.inputs[0].shape, ElementsAre(4, 4, 1));
  EXPECT_NEAR(sample.inputs[0].data<float>()[5], 0.2f, 1e-6);
  EXPECT_THAT(std::string(Message(data->Read(1, &sample))),
              ::testing::AllOf(HasSubstr(root), HasSubstr("a/2.png"), HasSubstr("neither")));
  ASSERT_OK_AND_ASSIGN(auto alone, Open(root, {}, {}));
  EXPECT_THAT(alone->sample_shape(0), ElementsAre(7, 9, 1));
  EXPECT_THAT(ErrorOf(Open(root, {}, {{"x", "", {10}}})), HasSubstr("[10]"));
}

TEST(Tar, LongNamesOfGnuAndPax) {
  const std::string longer = std::string(70, 'd') + "/" + std::string(80, 'e') + "/1.png";
  const auto picture = FlatPng(4, 4, 1);
  const std::string record = fmt::format("{} path={}\n", longer.size() + 10, longer);
  for (const auto& archive : {Joined({TarEntryBytes("././@LongLink", 'L', BytesOf(longer + '\0')),
                                      TarEntryBytes("cut", '0', picture)}),
                              Joined({TarEntryBytes("PaxHeaders/x", 'x', BytesOf(record)),
                                      TarEntryBytes("cut", '0', picture)})}) {
    auto stream = StreamOfMemory(archive);
    TarReader reader(stream.get());
    TarEntry entry;
    ASSERT_OK_AND_ASSIGN(bool more, reader.Next(&entry));
    ASSERT_TRUE(more);
    EXPECT_EQ(entry.name, longer);
    EXPECT_EQ(entry.size, picture.size());
    ASSERT_OK_AND_ASSIGN(more, reader.Next(&entry));
    EXPECT_FALSE(more);
  }
}

TEST(Tar, FoldersAndLinksArePassedOver) {
  const auto archive = Joined({TarEntryBytes("a/", '5', {}), TarEntryBytes("a/l.png", '2', {}),
                               TarEntryBytes("g", 'g', BytesOf("12 comment=\n")),
                               TarEntryBytes("a/1.png", '0', FlatPng(4, 4, 1))});
  ASSERT_OK_AND_ASSIGN(auto data, Open(WriteBytes(archive)));
  EXPECT_EQ(data->size(), 1);
}

TEST(Tar, RefusesBadArchives) {
  const auto picture = FlatPng(4, 4, 1);
  const auto error = [](std::span<const std::byte> bytes) {
    const std::string path = WriteBytes(bytes);
    const std::string e = ErrorOf(Open(path));
    EXPECT_THAT(e, HasSubstr(path));
    return e;
  };
  EXPECT_THAT(error(TarBytes({{"../a/1.png", picture}})), HasSubstr("../"));
  EXPECT_THAT(error(TarBytes({{"a/../../1.png", picture}})), HasSubstr("../"));
  EXPECT_THAT(error(TarBytes({{"/a/1.png", picture}})), HasSubstr("outside itself"));
  EXPECT_THAT(error(Joined({TarEntryBytes("a/1.png", '0', picture)}, 0)),
              HasSubstr("without its end mark"));
  EXPECT_THAT(error(Joined({TarEntryBytes("a/1.png", 'S', picture)})), HasSubstr("sparse"));
  auto damaged = TarBytes({{"a/1.png", picture}, {"a/2.png", picture}});
  const size_t second = (512 + picture.size() + 511) / 512 * 512;
  damaged[second] ^= std::byte{1};
  EXPECT_THAT(error(damaged), HasSubstr("checksum"));
  EXPECT_THAT(error(TarBytes({{"a/1.txt", picture}})), HasSubstr("holds no data"));
  auto packed = Gzip(TarBytes(Tree()));
  packed.resize(packed.size() - 9);
  EXPECT_THAT(error(packed), HasSubstr("cut short"));
  packed = Gzip(TarBytes(Tree()));
  packed[packed.size() - 5] ^= std::byte{1};
  EXPECT_THAT(error(packed), HasSubstr("damaged"));
}

TEST(Tar, GzipBombsAreRefused) {
  std::vector<std::byte> bytes = TarEntryBytes("a/1.txt", '0', std::vector<std::byte>(100 << 20));
  bytes.resize(bytes.size() + 1024);
  EXPECT_THAT(ErrorOf(Open(WriteBytes(Gzip(bytes)))), HasSubstr("more than 200 times"));
}

TEST(PictureData, CifarInSeconds) {
  REQUIRE_SHARED();
  const auto start = std::chrono::steady_clock::now();
  ASSERT_OK_AND_ASSIGN(auto data, Open(testing::SharedDir() + "/data/cifar10/test.tar.gz", {},
                                       {{"x", "", {32, 32, 3}}}));
  ASSERT_EQ(data->size(), 10000);
  EXPECT_EQ(data->class_names().size(), 10u);
  Sample sample;
  for (int64_t i = 0; i < data->size(); ++i) ASSERT_OK(data->Read(i, &sample));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("10,000 pictures of CIFAR-10 read in %.2f s\n", seconds.count());
}

}  // namespace
}  // namespace litesmith
