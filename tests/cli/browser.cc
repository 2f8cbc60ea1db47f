#include "tests/cli/browser.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/file.h"
#include "data/image.h"
#include "tests/cli/process.h"

namespace litesmith::testing {
namespace {

// As root in a container: no sandbox, no GPU, no large /dev/shm, and no talk with anybody.
constexpr char kFlags[] =
    " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --disable-extensions --disable-default-apps --hide-scrollbars";

std::string Shell(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) out.append(buffer, n);
  ::pclose(pipe);
  return out;
}

std::string Chromium() {
  std::string path =
      Shell("command -v chromium || command -v chromium-browser || command -v google-chrome");
  while (!path.empty() && path.back() == '\n') path.pop_back();
  return path;
}

// Standard output of one browser with a profile of its own, which ends after `seconds`.
std::string Browse(const std::string& arguments, const std::string& page, int seconds) {
  return Shell(fmt::format("timeout -k 5 {} '{}'{} --user-data-dir='{}' {} 'file://{}' 2>/dev/null",
                           seconds, Chromium(), kFlags, TempDir(), arguments, page));
}

std::string Document(const std::string& page, int seconds) {
  return Browse("--dump-dom", page, seconds);
}

bool Try() {
  const std::string page = TempDir() + "/trivial.html";
  std::ofstream(page) << "<p>trivial</p>";
  if (!Chromium().empty() && Document(page, 30).find("<p>trivial</p>") != std::string::npos) {
    return true;
  }
  std::fprintf(stderr,
               "SKIPPED: no Chromium that opens a trivial page within 30 s; no page is opened\n");
  return false;
}

void Replace(std::string* text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text->find(from, at)) != std::string::npos; at += to.size()) {
    text->replace(at, from.size(), to);
  }
}

void Insert(std::string* text, size_t at, const std::string& what) {
  ASSERT_NE(at, std::string::npos);
  text->insert(at, what);
}

}  // namespace

bool BrowserRuns() {
  static const bool runs = Try();
  return runs;
}

nlohmann::json Drive(const std::string& page, const std::string& script) {
  std::string text = ReadText(page);
  Insert(&text, text.find("<head>"),
         "<script>window.failures = [];\n"
         "window.addEventListener('error', e => failures.push(e.message));</script>");
  Insert(&text, text.rfind("</body>"),
         "<script>const seen = {};</script><script>" + script +
             "</script><script>{\n"
             "const out = document.createElement('pre');\n"
             "out.id = 'seen';\n"
             "seen.failures = window.failures;\n"
             "out.textContent = JSON.stringify(seen);\n"
             "document.body.append(out); }</script>");
  const std::string driven = page + ".driven.html";
  std::ofstream(driven) << text;
  const std::string dom = Document(driven, 60);
  const std::string open = "<pre id=\"seen\">";
  const size_t from = dom.find(open);
  if (from == std::string::npos) return nullptr;
  std::string seen = dom.substr(from + open.size(), dom.find("</pre>", from) - from - open.size());
  for (const auto& [code, character] : {std::pair("&lt;", "<"),
                                        {"&gt;", ">"},
                                        {"&quot;", "\""},
                                        {"&nbsp;", "\u00a0"},
                                        {"&amp;", "&"}}) {
    Replace(&seen, code, character);
  }
  return ParseJson(seen);
}

double Photograph(const std::string& page, const std::string& name, const View& view) {
  const char* keep = std::getenv("LITESMITH_SCREENSHOTS");
  const std::string folder = keep != nullptr ? keep : TempDir();
  std::filesystem::create_directories(folder);
  const std::string png = std::filesystem::absolute(folder) / (name + ".png");
  Browse(fmt::format("--window-size={},{} --blink-settings=preferredColorScheme={} "
                     "--screenshot='{}'",
                     view.width, view.height, view.dark ? 0 : 1, png),
         page, 60);
  const auto file = FileBytes::Open(png);
  EXPECT_OK(file);
  if (!file.ok()) return -1.0;
  Picture picture;
  EXPECT_OK(DecodePicture((*file)->bytes(), 3, Context{}, &picture));
  EXPECT_EQ(picture.width, view.width);
  EXPECT_EQ(picture.height, view.height);
  std::set<uint32_t> colours;
  double sum = 0.0;
  for (size_t i = 0; i + 2 < picture.pixels.size(); i += 3) {
    uint32_t colour = 0;
    for (size_t c = 0; c < 3; ++c) {
      const auto value = std::to_integer<uint32_t>(picture.pixels[i + c]);
      colour = colour << 8 | value;
      sum += value;
    }
    colours.insert(colour);
  }
  EXPECT_GT(colours.size(), 8u) << "nothing is to be seen on " << page;
  return sum / 255.0 / static_cast<double>(std::max<size_t>(picture.pixels.size(), 1));
}

}  // namespace litesmith::testing
