// `litesmith data mnist` through the program, from a server on the loopback interface.

#include <filesystem>

#include "data/curl.h"
#include "tests/cli/process.h"
#include "tests/http_server.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

const char* const kFiles[] = {"t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
                              "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"};

class DataMnist : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    if (!Curl::Load().ok()) GTEST_SKIP() << "skipped: no libcurl here; downloading was not tested";
    folder_ = TempDir() + "/mnist";
    for (const char* name : kFiles) {
      server_.answers[name] = {ReadText(SharedDir() + "/data/mnist/" + name)};
    }
  }
  RunResult Run(const std::string& url) {
    RunOptions options;
    options.environment = {"no_proxy=127.0.0.1"};
    RunResult result = RunProgram({"data", "mnist", "--output", folder_, "--url", url}, options);
    // On a busy machine it takes long enough to report progress.
    while (result.err.starts_with("downloading: ")) result.err.erase(0, result.err.find('\n') + 1);
    return result;
  }

  HttpServer server_;
  std::string folder_;
};

TEST_F(DataMnist, IsWrittenAndThenKept) {
  server_.Start();
  const RunResult first = Run(server_.url());
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, ::testing::HasSubstr("written: MNIST in " + folder_));
  EXPECT_EQ(ListFolder(folder_), std::vector<std::string>(std::begin(kFiles), std::end(kFiles)));
  for (const char* name : kFiles) {
    EXPECT_EQ(ReadText(folder_ + "/" + name), server_.answers[name].body);
  }
  EXPECT_EQ(server_.requests, 4);
  // A URL without its last slash means the same; nothing is fetched again.
  std::string url = server_.url();
  url.pop_back();
  EXPECT_EQ(Run(url).exit_code, 0);
  EXPECT_EQ(server_.requests, 4);
}

TEST_F(DataMnist, CutDownload) {
  auto& answer = server_.answers["train-images-idx3-ubyte.gz"];
  answer.sent = answer.body.size() / 2;
  server_.Start();
  ExpectError(Run(server_.url()), 1, {"train-images-idx3-ubyte.gz", "cut short"});
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/train-images-idx3-ubyte.gz"));
}

TEST_F(DataMnist, WrongChecksum) {
  // The other split's labels: a sound gzip file of another content and length.
  server_.answers["t10k-labels-idx1-ubyte.gz"] = server_.answers["train-labels-idx1-ubyte.gz"];
  server_.Start();
  ExpectError(Run(server_.url()), 1, {"t10k-labels-idx1-ubyte.gz"});
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/t10k-labels-idx1-ubyte.gz"));
}

TEST_F(DataMnist, Offline) {
  std::string nobody;
  {
    HttpServer gone;
    nobody = gone.url();
  }
  ExpectError(Run(nobody), 1, {"cannot download", "check the connection"});
}

}  // namespace
}  // namespace litesmith::testing
