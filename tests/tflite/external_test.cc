// Constants outside the flatbuffer: behind it in the same file, beyond 2 GB, or in other files.

#include "tflite/external.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "ir/diff.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"
#include "tflite/writer.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempDir;

// y = x w^T, w of 32 x 64.
Graph Network() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 64});
  const int32_t w = b.Ramp("w", {32, 64}, -1.0f, 1.0f / 1024);
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "y", {x, w, -1}, {1, 32}));
  b.graph().main().nodes[0].name.clear();  // files do not keep it
  return b.graph();
}

std::vector<float> Results(const Graph& graph) {
  auto executor = Executor::Create(std::make_shared<const Graph>(graph), ExecutorOptions{});
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  const std::span<std::byte> input = (*executor)->input(0);
  for (size_t i = 0; i < input.size() / sizeof(float); ++i) {
    const float value = static_cast<float>(i % 5) - 1.5f;
    std::memcpy(input.data() + i * sizeof(float), &value, sizeof(float));
  }
  EXPECT_OK((*executor)->Run());
  const std::span<const std::byte> output = (*executor)->output(0);
  std::vector<float> out(output.size() / sizeof(float));
  std::memcpy(out.data(), output.data(), output.size());
  return out;
}

std::string Error(const absl::Status& status) { return std::string(Message(status)); }

// ---- Behind the flatbuffer

struct Parts {
  std::vector<std::byte> bytes;  // of the whole file
  schema::Buffer* buffer = nullptr;

  explicit Parts(const Graph& graph) {
    const auto file = LayOutTflite(graph, /*max_constants_inside=*/0);
    EXPECT_OK(file);
    for (const auto& part : file->parts) bytes.insert(bytes.end(), part.begin(), part.end());
    for (const schema::Buffer* b : *schema::GetModel(bytes.data())->buffers()) {
      if (b->size() == 32 * 64 * sizeof(float)) buffer = const_cast<schema::Buffer*>(b);
    }
  }
  void Move(uint64_t offset, uint64_t size = 32 * 64 * sizeof(float)) {
    auto* table = reinterpret_cast<flatbuffers::Table*>(buffer);
    EXPECT_TRUE(table->SetField<uint64_t>(schema::Buffer::VT_OFFSET, offset, 0));
    EXPECT_TRUE(table->SetField<uint64_t>(schema::Buffer::VT_SIZE, size, 0));
  }
  std::string Error() const {
    return std::string(Message(ParseTflite(bytes, nullptr, Context()).status()));
  }
};

TEST(BehindTheFlatbuffer, OffsetsAreChecked) {
  Parts file(Network());
  ASSERT_NE(file.buffer, nullptr);
  ASSERT_OK(ParseTflite(file.bytes, nullptr, Context()));
  const uint64_t offset = file.buffer->offset();
  const uint64_t end = file.bytes.size();
  file.Move(offset, 32 * 64 * sizeof(float) + 4);
  EXPECT_THAT(file.Error(), HasSubstr("beyond the end of the file"));
  file.Move(end + 16);
  EXPECT_THAT(file.Error(), HasSubstr("beyond the end of the file"));
  file.Move(UINT64_MAX - 15);
  EXPECT_THAT(file.Error(), HasSubstr("beyond the end of the file"));
  file.Move(offset, UINT64_MAX);
  EXPECT_THAT(file.Error(), HasSubstr("beyond the end of the file"));
  file.Move(16, 64);
  EXPECT_THAT(file.Error(), HasSubstr("overlap the model itself"));
  file.Move(offset - 64);
  EXPECT_THAT(file.Error(), HasSubstr("overlap the model itself"));
  file.Move(offset, 64);
  EXPECT_THAT(file.Error(), HasSubstr("'w'"));
  file.Move(1);  // what writers put there before they know: no constant
  EXPECT_THAT(file.Error(), HasSubstr("has no value"));
}

TEST(BehindTheFlatbuffer, AnyOffsetWillDo) {
  const std::vector<float> expected = Results(Network());
  Parts file(Network());
  ASSERT_NE(file.buffer, nullptr);
  const uint64_t offset = file.buffer->offset();
  file.Move(offset + 3);
  const auto at = file.bytes.begin() + static_cast<std::ptrdiff_t>(offset);
  file.bytes.insert(at, 3, std::byte{9});
  ASSERT_OK_AND_ASSIGN(const Graph graph, ParseTflite(file.bytes, nullptr, Context()));
  EXPECT_EQ(Results(graph), expected);
}

// ---- In other files

struct Folder {
  std::string path = TempDir();
  Graph graph = Network();
  schema::ExternalBufferT buffer;

  Folder() {
    const std::span<const std::byte> w = graph.main().tensors[1].data.bytes;
    std::ofstream file(path + "/weights.bin", std::ios::binary);
    file << std::string(48, '#');
    file.write(reinterpret_cast<const char*>(w.data()), static_cast<std::streamsize>(w.size()));
    graph.main().tensors[1].data = {};
    graph.main().tensors[1].external_buffer = 7;
    graph.external_groups = {"weights.bin"};
    buffer.id = 7;
    buffer.offset = 48;
    buffer.length = w.size();
    buffer.packing = "unpacked";
  }
  absl::StatusOr<Graph> Read() {
    Graph written = graph;
    if (written.external_buffers.empty()) {
      written.external_buffers = {std::make_shared<const schema::ExternalBufferT>(buffer)};
    }
    EXPECT_OK(WriteTflite(path + "/m.tflite", written));
    return ReadTflite(path + "/m.tflite", Context());
  }
};

TEST(OtherFiles, TheirValuesBecomeTheGraphs) {
  Folder folder;
  ASSERT_OK_AND_ASSIGN(const Graph graph, folder.Read());
  EXPECT_THAT(Diff(graph, Network()), IsEmpty());
  EXPECT_EQ(Results(graph), Results(Network()));
  // At an address that is not aligned they are copied.
  std::filesystem::create_directory(folder.path + "/sub");
  std::ifstream in(folder.path + "/weights.bin", std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(in)), {});
  std::ofstream(folder.path + "/sub/w", std::ios::binary) << "#" << content;
  folder.graph.external_groups = {"sub/w"};
  folder.buffer.offset = 49;
  ASSERT_OK_AND_ASSIGN(const Graph copied, folder.Read());
  EXPECT_EQ(Results(copied), Results(Network()));
}

TEST(OtherFiles, ErrorsSayWhatIsWrong) {
  const std::string outside = TempDir() + "/outside.bin";
  std::ofstream(outside) << std::string(10000, 'x');
  const std::pair<std::function<void(Folder&)>, const char*> cases[] = {
      {[](Folder& f) { f.graph.external_groups = {"none.bin"}; }, "no such file"},
      {[](Folder& f) { f.graph.external_groups = {"../w.bin"}; }, "outside the model's folder"},
      {[&](Folder& f) { f.graph.external_groups = {outside}; }, "outside the model's folder"},
      {[&](Folder& f) {
         std::filesystem::create_symlink(outside, f.path + "/link.bin");
         f.graph.external_groups = {"link.bin"};
       },
       "outside the model's folder"},
      {[](Folder& f) { f.graph.external_groups = {"https://x/w"}; }, "no name of a file"},
      {[](Folder& f) { f.graph.external_groups = {""}; }, "no name of a file"},
      {[](Folder& f) { f.graph.external_groups = {"."}; }, "is a folder"},
      {[](Folder& f) { f.buffer.group = 3; }, "names only 1"},
      {[](Folder& f) { f.buffer.id = 8; }, "no external buffer 7"},
      {[](Folder& f) { f.buffer.offset = 49; }, "beyond the end of 'weights.bin'"},
      {[](Folder& f) { f.buffer.offset = UINT64_MAX; }, "beyond the end"},
      {[](Folder& f) { f.buffer.length -= 4; }, "which takes 8192"},
      {[](Folder& f) { f.buffer.packing = "zip"; }, "packing 'zip'"},
      {[](Folder& f) {
         f.graph.external_buffers.assign(2,
                                         std::make_shared<const schema::ExternalBufferT>(f.buffer));
       },
       "two external buffers 7"}};
  for (const auto& [change, part] : cases) {
    Folder folder;
    change(folder);
    const auto read = folder.Read();
    ASSERT_FALSE(read.ok()) << part;
    EXPECT_THAT(Error(read.status()), HasSubstr(part));
    EXPECT_THAT(Error(read.status()), HasSubstr("m.tflite"));
  }
}

TEST(OtherFiles, WithoutAFolderTheyAreRefused) {
  Folder folder;
  folder.graph.external_buffers = {std::make_shared<const schema::ExternalBufferT>(folder.buffer)};
  ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(folder.graph));
  ASSERT_OK_AND_ASSIGN(const Graph graph, ParseTflite(bytes, nullptr, Context()));
  const auto executor = Executor::Create(std::make_shared<const Graph>(graph), {});
  ASSERT_FALSE(executor.ok());
  EXPECT_THAT(Error(executor.status()), HasSubstr("open the model by its path"));
  QuantizeOptions options;
  options.recipe = FindRecipe("dynamic").value();
  const auto quantized = Quantize(graph, nullptr, options, Context());
  ASSERT_FALSE(quantized.ok());
  EXPECT_THAT(Error(quantized.status()), HasSubstr("open the model by its path"));
}

// ---- Beyond 2 GB, with holes in the file where it is empty

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Bytes that take neither memory nor disk as long as nobody writes to them.
class Nothing {
 public:
  explicit Nothing(size_t size) : size_(size) {
    void* p = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) bytes_ = {static_cast<const std::byte*>(p), size};
  }
  ~Nothing() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), size_);
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  size_t size_;
  std::span<const std::byte> bytes_;
};

// Writes the parts, leaving out `hole`.
void WriteSparse(const std::string& path, const TfliteFile& file, const std::byte* hole) {
  const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  ASSERT_GE(fd, 0);
  off_t at = 0;
  for (const auto& part : file.parts) {
    if (part.data() != hole) {
      ASSERT_EQ(::pwrite(fd, part.data(), part.size(), at), static_cast<ssize_t>(part.size()));
    }
    at += static_cast<off_t>(part.size());
  }
  ASSERT_EQ(::ftruncate(fd, at), 0);
  ::close(fd);
}

TEST(Beyond2GB, WrittenReadAndRun) {
  if (kSanitized) GTEST_SKIP() << "SKIPPED: a sanitizer would shadow the file";
  constexpr int32_t kRows = 1100, kColumns = 2'000'000;
  const Nothing hole(size_t{kRows} * kColumns);
  struct statvfs disk = {};
  const std::string path = TempDir() + "/large.tflite";
  ASSERT_EQ(::statvfs(TempDir().c_str(), &disk), 0);
  if (hole.bytes().empty() || disk.f_bavail * disk.f_frsize < (uint64_t{64} << 20)) {
    GTEST_SKIP() << "SKIPPED: too little memory or disk for files over 2 GB";
  }
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 64});
  const int32_t rows = b.Input("rows", {1}, schema::TensorType_INT32);
  const int32_t table = b.Value("table", {kRows, kColumns}, schema::TensorType_INT8);
  b.graph().main().tensors[static_cast<size_t>(table)].data = {nullptr, hole.bytes()};
  const int32_t w = b.Ramp("w", {32, 64}, -1.0f, 1.0f / 1024);
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "y", {x, w, -1}, {1, 32}));
  b.Output(b.Op(schema::BuiltinOperator_GATHER, "row", {table, rows}, {1, kColumns}, {},
                schema::TensorType_INT8));
  ASSERT_OK_AND_ASSIGN(const TfliteFile file, LayOutTflite(b.graph()));
  EXPECT_LT(file.flatbuffer.size(), 4096u);
  EXPECT_GT(file.size, uint64_t{1} << 31);
  WriteSparse(path, file, hole.bytes().data());
  struct stat written = {};
  ASSERT_EQ(::stat(path.c_str(), &written), 0);
  EXPECT_LT(written.st_blocks * 512, 1 << 20) << "the file has no holes";

  ASSERT_OK_AND_ASSIGN(const Graph graph, ReadTflite(path, Context()));
  EXPECT_EQ(graph.main().tensors[static_cast<size_t>(table)].data.bytes.size(),
            hole.bytes().size());
  EXPECT_EQ(Results(graph), Results(Network()));
  ASSERT_EQ(::truncate(path.c_str(), written.st_size - 1), 0);
  EXPECT_THAT(Error(ReadTflite(path, Context()).status()), HasSubstr("beyond the end of the file"));
}

}  // namespace
}  // namespace litesmith
