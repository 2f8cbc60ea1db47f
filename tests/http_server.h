#ifndef LITESMITH_TESTS_HTTP_SERVER_H_
#define LITESMITH_TESTS_HTTP_SERVER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

namespace litesmith::testing {

// An HTTP server on the loopback interface: one response a connection, then it closes.
class HttpServer {
 public:
  struct Answer {
    std::string body;
    size_t sent = SIZE_MAX;  // bytes of the body that go out before the connection is cut
    bool says_length = true;
    std::string status = "200 OK";
    std::string header;  // more header lines
  };

  HttpServer();
  ~HttpServer();
  void Start();
  std::string url() const;

  std::map<std::string, Answer> answers;  // by name, without the leading '/'; set before Start
  std::atomic<int> requests = 0;

 private:
  void Serve(int client);

  int socket_ = -1;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_HTTP_SERVER_H_
