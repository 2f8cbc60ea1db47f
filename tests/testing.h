#ifndef LITESMITH_TESTS_TESTING_H_
#define LITESMITH_TESTS_TESTING_H_

// What every test program shares.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace litesmith::testing {

// The folder with golden files, models and data: $LITESMITH_SHARED, else ../shared beside the
// source tree. Empty when there is none.
std::string SharedDir();

// $LITESMITH_PROGRAM: the command under test.
std::string Program();
std::string SourceDir();

// A fresh folder for the running test, removed when the test program ends.
std::string TempDir();

// The wanted numbers of threads; only 1 of them where $LITESMITH_TEST_THREADS is 1 (emulators that
// cannot start threads), said on standard error.
std::vector<int> ThreadCounts(std::vector<int> wanted);

inline const absl::Status& StatusOf(const absl::Status& s) { return s; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& s) {
  return s.status();
}

}  // namespace litesmith::testing

#define ASSERT_OK(expr)                                                                  \
  do {                                                                                   \
    const auto& ls_value_ = (expr);                                                      \
    ASSERT_TRUE(ls_value_.ok()) << ::litesmith::testing::StatusOf(ls_value_).ToString(); \
  } while (false)
#define EXPECT_OK(expr)                                                                  \
  do {                                                                                   \
    const auto& ls_value_ = (expr);                                                      \
    EXPECT_TRUE(ls_value_.ok()) << ::litesmith::testing::StatusOf(ls_value_).ToString(); \
  } while (false)

// lhs = value of a StatusOr, or the test ends.
#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  ASSERT_OK_AND_ASSIGN_(LS_TEST_CONCAT_(ls_or_, __LINE__), lhs, expr)
#define ASSERT_OK_AND_ASSIGN_(tmp, lhs, expr)       \
  auto tmp = (expr);                                \
  ASSERT_TRUE(tmp.ok()) << tmp.status().ToString(); \
  lhs = std::move(tmp).value()
#define LS_TEST_CONCAT_INNER_(a, b) a##b
#define LS_TEST_CONCAT_(a, b) LS_TEST_CONCAT_INNER_(a, b)

// Ends the test as skipped, visibly, where a clone has no shared folder.
#define REQUIRE_SHARED()                         \
  if (::litesmith::testing::SharedDir().empty()) \
  GTEST_SKIP()                                   \
      << "skipped: no shared folder (set LITESMITH_SHARED); its golden files were not compared"

#endif  // LITESMITH_TESTS_TESTING_H_
