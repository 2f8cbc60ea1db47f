#ifndef LITESMITH_BASE_STATUS_H_
#define LITESMITH_BASE_STATUS_H_

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace litesmith {

// Debian's Abseil has a string_view of its own that does not convert from or to std's; these two are the
// only place where one becomes the other.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view FromAbsl(absl::string_view s) { return {s.data(), s.size()}; }
inline std::string_view Message(const absl::Status& s) { return FromAbsl(s.message()); }

// Bad input of any kind. Messages are one line: what is wrong, then what to do; the caller that knows the
// file's name puts it in front with Annotate.
template <typename... Args>
absl::Status Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

// Something that litesmith cannot do, although the input is well formed.
template <typename... Args>
absl::Status Unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return absl::UnimplementedError(fmt::format(format, std::forward<Args>(args)...));
}

// A file, a directory or the system refused.
template <typename... Args>
absl::Status IoError(fmt::format_string<Args...> format, Args&&... args) {
  return absl::UnavailableError(fmt::format(format, std::forward<Args>(args)...));
}

// A defect of litesmith itself.
template <typename... Args>
absl::Status Internal(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InternalError(fmt::format(format, std::forward<Args>(args)...));
}

// The same error with "where: " in front; OK stays OK. Keeps the code.
absl::Status Annotate(const absl::Status& status, std::string_view where);

// Untrusted text (tensor names, file content) made fit for one line of a message: control characters
// escaped, at most 120 characters.
std::string Printable(std::string_view text);

}  // namespace litesmith

#define LS_CONCAT_INNER_(a, b) a##b
#define LS_CONCAT_(a, b) LS_CONCAT_INNER_(a, b)

// Returns the error of `expr` (an absl::Status) from the enclosing function.
#define LS_RETURN_IF_ERROR(expr)                                     \
  do {                                                               \
    if (absl::Status ls_status_ = (expr); !ls_status_.ok()) return ls_status_; \
  } while (false)

// The same with "where: " in front of the message.
#define LS_RETURN_IF_ERROR_IN(expr, where)                                             \
  do {                                                                                 \
    if (absl::Status ls_status_ = (expr); !ls_status_.ok())                            \
      return ::litesmith::Annotate(ls_status_, where);                                 \
  } while (false)

// lhs = value of `expr` (an absl::StatusOr), or returns its error.
#define LS_ASSIGN_OR_RETURN(lhs, expr) LS_ASSIGN_OR_RETURN_(LS_CONCAT_(ls_or_, __LINE__), lhs, expr)
#define LS_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                         \
  if (!tmp.ok()) return tmp.status();        \
  lhs = std::move(tmp).value()

// The same with "where: " in front of the error's message.
#define LS_ASSIGN_OR_RETURN_IN(lhs, expr, where) \
  LS_ASSIGN_OR_RETURN_IN_(LS_CONCAT_(ls_or_, __LINE__), lhs, expr, where)
#define LS_ASSIGN_OR_RETURN_IN_(tmp, lhs, expr, where)                   \
  auto tmp = (expr);                                                     \
  if (!tmp.ok()) return ::litesmith::Annotate(tmp.status(), where);      \
  lhs = std::move(tmp).value()

#endif  // LITESMITH_BASE_STATUS_H_
