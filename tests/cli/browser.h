#ifndef LITESMITH_TESTS_CLI_BROWSER_H_
#define LITESMITH_TESTS_CLI_BROWSER_H_

// Opens pages in a headless Chromium and uses them as a person would.

#include <nlohmann/json.hpp>
#include <string>

#include "tests/testing.h"

namespace litesmith::testing {

// Whether there is a Chromium that opens a trivial page within 30 s (in a bare container it may
// not start at all). Tried once per program; where there is none, says so on standard error.
bool BrowserRuns();

// Opens the page, runs `script` at its end and gives what it left in its object `seen`, and under
// "failures" the errors that any script of the page threw; null where the browser failed. The
// changed page lies beside the page meanwhile.
nlohmann::json Drive(const std::string& page, const std::string& script);

struct View {
  int width = 1280, height = 900;
  bool dark = false;
};

// Takes a picture of the page and fails the test unless it has that size and shows more than 8
// colours; gives its mean brightness (0 black, 1 white). `name` is the picture's, which
// $LITESMITH_SCREENSHOTS, a folder, keeps where it is set.
double Photograph(const std::string& page, const std::string& name, const View& view);

}  // namespace litesmith::testing

// Ends the test as skipped, loudly, where no page can be opened.
#define REQUIRE_BROWSER()                   \
  if (!::litesmith::testing::BrowserRuns()) \
  GTEST_SKIP()                              \
      << "SKIPPED: no Chromium that opens a trivial page within 30 s; the page was not opened"

#endif  // LITESMITH_TESTS_CLI_BROWSER_H_
