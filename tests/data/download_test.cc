#include "data/download.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::litesmith::testing::BytesOf;
using ::litesmith::testing::Gzip;
using ::litesmith::testing::TempDir;
using ::testing::HasSubstr;

// An HTTP server on the loopback interface: one response a connection, then it closes.
class Server {
 public:
  struct Answer {
    std::string body;
    size_t sent = SIZE_MAX;  // bytes of the body that go out before the connection is cut
    bool says_length = true;
    std::string status = "200 OK";
    std::string header;  // more header lines
  };

  Server() {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Server() {
    ::shutdown(socket_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(socket_);
  }
  void Start() {
    thread_ = std::thread([this] {
      for (int client; (client = ::accept(socket_, nullptr, nullptr)) >= 0;) {
        Serve(client);
        ::close(client);
      }
    });
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}/", port_); }

  std::map<std::string, Answer> answers;  // set before Start
  std::atomic<int> requests = 0;

 private:
  void Serve(int client) {
    std::string request;
    char piece[1024];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(client, piece, sizeof(piece), 0);
      if (n <= 0) return;
      request.append(piece, static_cast<size_t>(n));
    }
    ++requests;
    const size_t start = request.find('/') + 1;
    const std::string name = request.substr(start, request.find(' ', start) - start);
    const auto it = answers.find(name);
    const Answer answer =
        it != answers.end() ? it->second : Answer{"", SIZE_MAX, true, "404 Not Found", ""};
    std::string out =
        fmt::format("HTTP/1.1 {}\r\nConnection: close\r\n{}", answer.status, answer.header);
    if (answer.says_length) out += fmt::format("Content-Length: {}\r\n", answer.body.size());
    out += "\r\n";
    out += answer.body.substr(0, answer.sent);
    for (size_t at = 0; at < out.size();) {
      const ssize_t n = ::send(client, out.data() + at, out.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<size_t>(n);
    }
  }

  int socket_ = -1;
  int port_ = 0;
  std::thread thread_;
};

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
    const absl::Status s = DownloadFiles({file_}, {server_.url()}, folder_, context);
    EXPECT_EQ(std::filesystem::exists(folder_ + "/file.gz"), s.ok());
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      EXPECT_EQ(entry.path().filename(), "file.gz");  // no temporary files stay
    }
    return s.ok() ? "OK" : std::string(Message(s));
  }

  Server server_;
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
  Server second;
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
    Server gone;
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
