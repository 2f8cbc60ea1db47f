#include "data/download.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "data/curl.h"
#include "tests/data_files.h"
#include "tests/http_server.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::litesmith::testing::BytesOf;
using ::litesmith::testing::Gzip;
using ::litesmith::testing::HttpServer;
using ::litesmith::testing::TempDir;
using ::testing::HasSubstr;

std::string Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Download : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Curl::Load().ok()) GTEST_SKIP() << "skipped: no libcurl here; downloading was not tested";
    ::setenv("no_proxy", "127.0.0.1", 1);
    std::string plain;
    for (int i = 0; i < 20000; ++i) plain += static_cast<char>(i * 31 / 7);
    const auto bytes = BytesOf(plain);
    packed_ = Text(Gzip(bytes));
    file_ = {"file.gz", bytes.size(), Sha256Hex(bytes)};
    folder_ = TempDir() + "/new/folder";
  }
  std::string Error(const Context& context = {}) {
    const bool is_new = !std::filesystem::exists(folder_);
    const absl::Status s = DownloadFiles({file_}, {server_.url()}, folder_, context);
    EXPECT_EQ(std::filesystem::exists(folder_ + "/file.gz"), s.ok());
    if (!s.ok() && is_new) {
      EXPECT_FALSE(std::filesystem::exists(folder_));
      return std::string(Message(s));
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      EXPECT_EQ(entry.path().filename(), "file.gz");  // no temporary files stay
    }
    return s.ok() ? "OK" : std::string(Message(s));
  }

  HttpServer server_;
  std::string packed_, folder_;
  RemoteFile file_;
};

TEST_F(Download, GoodFileIsWrittenAndKept) {
  server_.answers["file.gz"] = {packed_};
  server_.Start();
  int reports = 0;
  Context context;
  context.progress = [&](const Context::Progress& p) {
    ++reports;
    EXPECT_EQ(p.note, "file.gz");
  };
  EXPECT_EQ(Error(context), "OK");
  EXPECT_GT(reports, 0);
  ASSERT_OK_AND_ASSIGN(auto file, FileBytes::Open(folder_ + "/file.gz"));
  EXPECT_EQ(Text(file->bytes()), packed_);
  EXPECT_EQ(Error(), "OK");
  EXPECT_EQ(server_.requests, 1);  // the second time it was there
  // A damaged copy is fetched again.
  ASSERT_OK(WriteFileAtomically(folder_ + "/file.gz", std::string_view("rubbish")));
  EXPECT_EQ(Error(), "OK");
  EXPECT_EQ(server_.requests, 2);
}

TEST_F(Download, CutConnection) {
  server_.answers["file.gz"] = {packed_, packed_.size() / 2};
  server_.Start();
  EXPECT_THAT(Error(), HasSubstr("cut short"));
}

TEST_F(Download, CutConnectionOfUnknownLength) {
  server_.answers["file.gz"] = {packed_, packed_.size() / 2, false};
  server_.Start();
  EXPECT_THAT(Error(), HasSubstr("cut short"));
}

TEST_F(Download, WrongContent) {
  std::string other = Text(Gzip(std::vector<std::byte>(file_.unpacked_size)));
  server_.answers["file.gz"] = {other};
  server_.Start();
  EXPECT_THAT(Error(), HasSubstr("checksum is wrong"));
}

TEST_F(Download, WrongLengthAndPages) {
  server_.answers["file.gz"] = {Text(Gzip(BytesOf("short")))};
  server_.Start();
  EXPECT_THAT(Error(), HasSubstr("instead of 20000"));
  file_.name = "missing.gz";
  EXPECT_THAT(Error(), HasSubstr("404"));
}

TEST_F(Download, EndlessAnswerIsStopped) {
  server_.answers["file.gz"] = {std::string(1 << 20, 'x'), SIZE_MAX, false};
  server_.Start();
  EXPECT_THAT(Error(), HasSubstr("longer than"));
}

TEST_F(Download, GzipBombIsStopped) {
  server_.answers["file.gz"] = {Text(Gzip(std::vector<std::byte>(16 << 20)))};
  server_.Start();
  EXPECT_THAT(Error(), HasSubstr("unpacks to more"));
}

TEST_F(Download, SecondServerHelps) {
  HttpServer second;
  second.answers["file.gz"] = {packed_};
  second.Start();
  server_.answers["file.gz"] = {"", 0, true, "503 Service Unavailable"};
  server_.Start();
  EXPECT_OK(DownloadFiles({file_}, {server_.url(), second.url()}, folder_, Context()));
}

TEST_F(Download, RedirectsStayOnTheWeb) {
  server_.answers["file.gz"] = {"", SIZE_MAX, true, "302 Found", "Location: /moved.gz\r\n"};
  server_.answers["moved.gz"] = {packed_};
  server_.Start();
  EXPECT_EQ(Error(), "OK");
}

TEST_F(Download, RedirectToAFileIsRefused) {
  server_.answers["file.gz"] = {"", SIZE_MAX, true, "302 Found",
                                "Location: file:///etc/hostname\r\n"};
  server_.Start();
  EXPECT_THAT(Error(), HasSubstr("cannot download"));
}

TEST_F(Download, Offline) {
  std::string nobody;
  {
    HttpServer gone;
    nobody = gone.url();
  }
  const absl::Status s = DownloadFiles({file_}, {nobody}, folder_, Context());
  EXPECT_THAT(std::string(Message(s)), ::testing::AllOf(HasSubstr("file.gz"), HasSubstr(nobody),
                                                        HasSubstr("check the connection")));
}

TEST_F(Download, Cancelled) {
  server_.answers["file.gz"] = {packed_};
  server_.Start();
  std::atomic<bool> cancel = true;
  Context context;
  context.cancel = &cancel;
  EXPECT_EQ(DownloadFiles({file_}, {server_.url()}, folder_, context).code(),
            absl::StatusCode::kCancelled);
}

TEST_F(Download, OnlyWebAddresses) {
  for (const char* url : {"file:///tmp/", "ftp://host/", "http://host", ""}) {
    EXPECT_THAT(std::string(Message(DownloadFiles({file_}, {url}, folder_, Context()))),
                HasSubstr("no address"));
  }
}

TEST_F(Download, Mnist) {
  REQUIRE_SHARED();
  for (const char* name : {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                           "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}) {
    ASSERT_OK_AND_ASSIGN(auto file, FileBytes::Open(testing::SharedDir() + "/data/mnist/" + name));
    server_.answers[name] = {Text(file->bytes())};
  }
  server_.Start();
  ASSERT_OK(DownloadMnist(folder_, {server_.url()}, Context()));
  EXPECT_EQ(server_.requests, 4);
  ASSERT_OK(DownloadMnist(folder_, {server_.url()}, Context()));
  EXPECT_EQ(server_.requests, 4);
}

}  // namespace
}  // namespace litesmith
