#include "tests/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace litesmith::testing {

HttpServer::HttpServer() {
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

HttpServer::~HttpServer() {
  ::shutdown(socket_, SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
  ::close(socket_);
}

void HttpServer::Start() {
  thread_ = std::thread([this] {
    for (int client; (client = ::accept(socket_, nullptr, nullptr)) >= 0;) {
      Serve(client);
      ::close(client);
    }
  });
}

std::string HttpServer::url() const { return fmt::format("http://127.0.0.1:{}/", port_); }

void HttpServer::Serve(int client) {
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

}  // namespace litesmith::testing
