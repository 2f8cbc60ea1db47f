// Pages: what `inspect --html` writes, opened and driven in a headless Chromium where there is one.

#include "tests/cli/browser.h"
#include "tests/cli/process.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith::testing {
namespace {

constexpr char kEvilName[] =
    "</script><script>document.title='owned'</script><img src=x "
    "onerror=\"document.title='owned'\">";

// A chain of `nodes` operators with an ADD back to where it was every four.
std::string WriteChain(const std::string& path, int nodes) {
  GraphBuilder b;
  int32_t at = b.Input(kEvilName, {1, 32}), back = at;
  const int32_t weights = b.Ramp("weights", {1, 32}, -1.0f, 0.0625f);
  for (int n = 0; n < nodes; ++n) {
    const std::string name = "layer" + std::to_string(n);
    if (n % 4 == 3) {
      at = b.Op(schema::BuiltinOperator_ADD, name, {at, back}, {1, 32});
      back = at;
    } else {
      at = b.Op(schema::BuiltinOperator_MUL, name, {at, weights}, {1, 32});
    }
  }
  b.Output(at);
  EXPECT_OK(WriteTflite(path, b.graph()));
  return path;
}

// Uses the page as a person would and leaves what it saw in the document.
constexpr char kDriver[] = R"(
Object.assign(seen, {title: document.title, nodes: document.querySelectorAll('g.node').length,
                     edges: document.querySelectorAll('path.edge').length,
                     rated: document.querySelectorAll('g.node.rated').length});
const panel = document.getElementById('panel');
seen.overview = panel.textContent;
const key = (k, target) => (target || document.activeElement).dispatchEvent(
    new KeyboardEvent('keydown', {key: k, bubbles: true, cancelable: true}));
document.querySelectorAll('g.node')[1].dispatchEvent(new MouseEvent('click', {bubbles: true}));
seen.clicked = panel.textContent;
seen.histograms = panel.querySelectorAll('svg.histogram').length;
const search = document.getElementById('search');
search.value = 'layer3';
search.dispatchEvent(new Event('input', {bubbles: true}));
seen.count = document.getElementById('count').textContent;
key('Enter', search);
seen.found = panel.textContent;
key('Escape', document.body);
seen.escaped = panel.textContent;
document.querySelectorAll('g.node')[0].focus();
key('ArrowDown');
key('Enter');
seen.arrow = panel.textContent;
const before = document.getElementById('graph').getAttribute('viewBox');
key('+', document.body);
seen.zoomed = document.getElementById('graph').getAttribute('viewBox') !== before;
)";

TEST(ModelPage, IsOneFileAndNamesCannotEndTheData) {
  const std::string dir = TempDir();
  const RunResult result =
      RunProgram({"inspect", WriteChain(dir + "/m.tflite", 8), "--html", dir + "/page.html"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string page = ReadText(dir + "/page.html");
  EXPECT_EQ(page.find("owned'</script>"), std::string::npos);
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("}) {
    const size_t at = page.find(outside);
    // The namespace of SVG is a name, not an address that is fetched; the model's name is data.
    const bool namespace_only = at == std::string::npos ||
                                page.substr(at).starts_with("http://www.w3.org/2000/svg") ||
                                page.substr(at).starts_with("src=x");
    EXPECT_TRUE(namespace_only) << outside;
  }
}

TEST(ModelPage, WorksInABrowser) {
  REQUIRE_BROWSER();
  for (const int nodes : {5, 2000}) {
    const std::string dir = TempDir();
    WriteChain(dir + "/m.tflite", nodes);
    ASSERT_EQ(RunProgram({"inspect", dir + "/m.tflite", "--html", dir + "/page.html"}).exit_code,
              0);
    const nlohmann::json seen = Drive(dir + "/page.html", kDriver);
    ASSERT_FALSE(seen.is_null());
    EXPECT_EQ(seen["failures"].size(), 0u) << seen["failures"];
    const auto text = [&](const char* key) { return seen[key].get<std::string>(); };
    EXPECT_EQ(text("title"), "m.tflite") << "a name in the model ran as code";
    EXPECT_EQ(seen["nodes"], nodes + 2);
    EXPECT_GE(seen["edges"], nodes + 1);
    EXPECT_THAT(text("overview"), ::testing::HasSubstr("Where the bytes are"));
    EXPECT_THAT(text("clicked"), ::testing::HasSubstr("0 MUL"));
    EXPECT_THAT(text("clicked"), ::testing::HasSubstr(kEvilName)) << "names are shown as they are";
    EXPECT_EQ(seen["histograms"], 1);
    EXPECT_NE(text("count"), "0 found");
    EXPECT_THAT(text("found"), ::testing::HasSubstr("3 ADD"));
    EXPECT_EQ(text("escaped"), text("overview"));
    EXPECT_THAT(text("arrow"), ::testing::HasSubstr("0 MUL"));
    EXPECT_EQ(seen["zoomed"], true);
    const std::string name = "inspect-" + std::to_string(nodes);
    const double light = Photograph(dir + "/page.html", name, {});
    const double dark = Photograph(dir + "/page.html", name + "-dark", {.dark = true});
    EXPECT_GT(light, 0.7);
    EXPECT_LT(dark, 0.3);
  }
}

TEST(ComparePage, ColoursTheGraph) {
  REQUIRE_SHARED();
  REQUIRE_BROWSER();
  const std::string dir = TempDir(), mnist = SharedDir() + "/golden/mnist/mnist_model_";
  const RunResult result = RunProgram(
      {"compare", mnist + "float32.tflite", mnist + "quant_int8.tflite", "--data",
       SharedDir() + "/data/mnist", "--num-samples", "20", "--html", dir + "/page.html"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json seen = Drive(dir + "/page.html", kDriver);
  ASSERT_FALSE(seen.is_null());
  EXPECT_EQ(seen["failures"].size(), 0u) << seen["failures"];
  const auto text = [&](const char* key) { return seen[key].get<std::string>(); };
  EXPECT_GE(seen["rated"], 4);
  EXPECT_THAT(text("overview"), ::testing::HasSubstr("The worst tensors"));
  EXPECT_THAT(text("overview"), ::testing::HasSubstr("Confusions of the reference"));
  EXPECT_GT(Photograph(dir + "/page.html", "compare-mnist", {}), 0.6);
  EXPECT_LT(Photograph(dir + "/page.html", "compare-mnist-dark", {.dark = true}), 0.4);
}

}  // namespace
}  // namespace litesmith::testing
