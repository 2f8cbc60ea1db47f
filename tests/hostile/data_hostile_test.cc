// Damaged data files: every parser of the data room returns a value or one clear line.

#include <fstream>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "data/idx.h"
#include "data/image.h"
#include "data/npy.h"
#include "data/tar.h"
#include "tests/data_files.h"
#include "tests/hostile/mutate.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::ForEachMutation;
using testing::ForEachTruncation;
using testing::IsClearError;

// Small enough that a parser that believes a size is caught, large enough for every good file.
Context SmallContext() {
  Context context;
  context.memory_budget = 4 << 20;
  return context;
}

std::vector<std::byte> Noise(size_t count) {
  std::vector<std::byte> out(count);
  Random random(11);
  for (std::byte& b : out) b = static_cast<std::byte>(random.Next());
  return out;
}

// A picture with smooth parts and edges.
std::vector<std::byte> Drawing(int width, int height, int channels) {
  std::vector<std::byte> out;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c)
        out.push_back(static_cast<std::byte>(x * (c + 3) + (y > x ? 90 : y)));
    }
  }
  return out;
}

std::vector<std::byte> FileContent(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  return testing::BytesOf(text);
}

template <typename Parse>
void Attack(const std::string& what, const std::vector<std::byte>& good, size_t mutations,
            Parse parse) {
  ASSERT_OK(parse(good));
  size_t refused = 0, tried = 0;
  const auto attempt = [&](std::span<const std::byte> mutant, const std::string& label) {
    const absl::Status status = parse(mutant);
    ++tried;
    refused += !status.ok();
    EXPECT_TRUE(status.ok() || IsClearError(status)) << what << ", " << label << ": " << status;
  };
  ForEachTruncation(good, attempt);
  ForEachMutation(good, mutations, 17, attempt);
  EXPECT_GT(refused, tried / 4) << what;
  std::printf("%s: %zu damaged copies, %zu refused\n", what.c_str(), tried, refused);
}

TEST(HostileData, Npy) {
  const std::string path = testing::TempDir() + "/a.npy";
  ASSERT_OK(
      WriteNpy(path, testing::ArrayOf<float>(ElementType::kFloat32, {2, 3}, {1, 2, 3, 4, 5, 6})));
  const auto parse = [](std::span<const std::byte> b) {
    return ParseNpy(b, SmallContext()).status();
  };
  Attack(".npy", FileContent(path), 2000, parse);
}

TEST(HostileData, Npz) {
  const std::string path = testing::TempDir() + "/a.npz";
  testing::WriteNpz(path,
                    {{"in0", testing::ArrayOf<float>(ElementType::kFloat32, {2, 2}, {1, 2, 3, 4})},
                     {"labels", testing::ArrayOf<uint8_t>(ElementType::kUint8, {2}, {0, 1})}});
  const auto parse = [](std::span<const std::byte> b) {
    return ParseNpz(b, SmallContext()).status();
  };
  Attack(".npz", FileContent(path), 2000, parse);
}

TEST(HostileData, Idx) {
  const auto good = testing::IdxBytes({3, 4, 5}, Noise(60));
  const auto parse = [](std::span<const std::byte> b) {
    return ParseIdx(b, nullptr, SmallContext()).status();
  };
  Attack("IDX", good, 1000, parse);
  Attack("IDX.gz", testing::Gzip(good), 1500, parse);
}

absl::Status Decode(std::span<const std::byte> bytes) {
  absl::Status worst;
  for (int channels : {0, 1, 4}) {
    Picture picture;
    const absl::Status status = DecodePicture(bytes, channels, SmallContext(), &picture);
    if (!status.ok()) worst = status;
    if (status.ok()) {
      EXPECT_EQ(picture.pixels.size(),
                static_cast<size_t>(picture.height * picture.width * picture.channels));
    }
  }
  return worst;
}

TEST(HostileData, Pictures) {
  Attack("PNG, grey", testing::PngBytes(13, 9, 1, Drawing(13, 9, 1)), 700, Decode);
  Attack("PNG, colour and alpha", testing::PngBytes(13, 9, 4, Drawing(13, 9, 4)), 700, Decode);
  Attack("JPEG, colour", testing::JpegBytes(17, 11, 3, Drawing(17, 11, 3)), 1000, Decode);
  Attack("JPEG, grey", testing::JpegBytes(17, 11, 1, Drawing(17, 11, 1)), 500, Decode);
  Attack("JPEG, progressive", testing::JpegBytes(17, 11, 3, Drawing(17, 11, 3), true), 1000,
         Decode);
}

absl::Status ReadTar(std::span<const std::byte> bytes) {
  const auto stream = LooksLikeGzip(bytes) ? StreamOfGzip(bytes) : StreamOfMemory(bytes);
  TarReader reader(stream.get());
  TarEntry entry;
  for (;;) {
    LS_ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
    if (!more) return absl::OkStatus();
    EXPECT_NE(entry.name[0], '/');
    EXPECT_EQ(entry.name.find("../"), std::string::npos);
  }
}

TEST(HostileData, Tar) {
  const std::string longer = std::string(120, 'd') + "/1.png";
  const std::string record = fmt::format("{} path={}\n", longer.size() + 10, longer);
  std::vector<std::byte> good;
  for (const auto& part :
       {testing::TarEntryBytes("a/", '5', {}), testing::TarEntryBytes("a/1.png", '0', Noise(100)),
        testing::TarEntryBytes("x", 'x', testing::BytesOf(record)),
        testing::TarEntryBytes("cut", '0', Noise(10)),
        testing::TarEntryBytes("l", 'L', testing::BytesOf(longer + '\0')),
        testing::TarEntryBytes("cut", '0', Noise(10))}) {
    good.insert(good.end(), part.begin(), part.end());
  }
  good.resize(good.size() + 1024);
  // Half of all faults meet the checksums; the others, in names and contents, do not.
  const auto lenient = [](std::span<const std::byte> b) { return ReadTar(b); };
  Attack("tar", good, 1500, lenient);
  Attack("tar.gz", testing::Gzip(good), 700, lenient);
}

// The same through OpenDataset and every sample, as commands use it.
void AttackDataset(const std::string& what, const std::vector<std::byte>& good, size_t mutations,
                   const std::vector<InputSpec>& inputs) {
  const std::string path = testing::TempDir() + "/data";
  size_t tried = 0;
  const auto attempt = [&](std::span<const std::byte> mutant, const std::string& label) {
    {
      std::ofstream out(path, std::ios::binary | std::ios::trunc);
      out.write(reinterpret_cast<const char*>(mutant.data()),
                static_cast<std::streamsize>(mutant.size()));
    }
    ++tried;
    const auto data = OpenDataset(path, {}, DataUse::kCalibration, inputs, SmallContext());
    if (!data.ok()) {
      EXPECT_TRUE(IsClearError(data.status())) << what << ", " << label << ": " << data.status();
      EXPECT_NE(Message(data.status()).find(path), std::string_view::npos) << data.status();
      return;
    }
    Sample sample;
    for (int64_t i : CalibrationIndices(**data, 100, 0, SmallContext())) {
      const absl::Status status = (*data)->Read(i, &sample);
      EXPECT_TRUE(status.ok() || IsClearError(status)) << what << ", " << label << ": " << status;
    }
  };
  attempt(good, "undamaged");
  ForEachMutation(good, mutations, 23, attempt);
  std::printf("%s as a data set: %zu copies\n", what.c_str(), tried);
}

TEST(HostileData, DataSets) {
  const std::vector<InputSpec> picture = {{"x", "", {6, 6, 3}}};
  std::vector<std::pair<std::string, std::vector<std::byte>>> tree;
  for (const char* name : {"train/a/1.png", "train/b/1.png", "test/a/1.png"}) {
    tree.emplace_back(name, testing::PngBytes(7, 6, 3, Drawing(7, 6, 3)));
  }
  tree.emplace_back("train/a/2.jpg", testing::JpegBytes(7, 6, 3, Drawing(7, 6, 3)));
  AttackDataset("tar", testing::TarBytes(tree), 400, picture);
  AttackDataset("tar.gz", testing::Gzip(testing::TarBytes(tree)), 200, picture);
  AttackDataset("IDX", testing::IdxBytes({5, 6, 6}, Noise(180)), 300, {{"x", "", {6, 6, 1}}});
  AttackDataset("IDX.gz", testing::Gzip(testing::IdxBytes({5, 6, 6}, Noise(180))), 200,
                {{"x", "", {6, 6, 1}}});
  const std::string dir = testing::TempDir();
  ASSERT_OK(WriteNpy(dir + "/a.npy", Array::Zeros(ElementType::kUint8, {4, 6, 6, 1})));
  AttackDataset(".npy", FileContent(dir + "/a.npy"), 400, {{"x", "", {6, 6, 1}}});
  testing::WriteNpz(dir + "/a.npz", {{"in0", Array::Zeros(ElementType::kInt16, {4, 2})},
                                     {"labels", Array::Zeros(ElementType::kUint8, {4})}});
  AttackDataset(".npz", FileContent(dir + "/a.npz"), 400, {{"x", "", {2}}});
}

}  // namespace
}  // namespace litesmith
