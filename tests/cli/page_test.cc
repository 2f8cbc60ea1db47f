// Pages: what `inspect --html` writes, opened and driven in a headless Chromium where there is one.

#include "report/page.h"

#include <fstream>

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

// The form of benchmark_results.json; sizes fall from model to model, the last but one has no
// accuracy.
Value ManyModels(int count) {
  Value models = Value::Object{};
  for (int i = 0; i < count; ++i) {
    Value latency;
    latency.Set("avg", 0.5 + 0.01 * i).Set("median", 0.4 + 0.01 * i);
    latency.Set("min", 0.3).Set("max", 2.0).Set("p95", 0.9);
    Value model;
    model.Set("accuracy", i == std::max(0, count - 2) ? Value() : Value(0.97 + 0.001 * i))
        .Set("size_kb", 1000.0 / (i + 1))
        .Set("latency_ms", std::move(latency))
        .Set("fps", 2000.0);
    models.Set(i == 0 ? std::string(kEvilName) : fmt::format("model_{:02}", i), std::move(model));
  }
  return Value()
      .Set("title", "digits <b>bold</b>")
      .Set("machine", "machine: </script> 2 cores")
      .Set("command", "litesmith demo --data 'it is'")
      .Set("timestamp", "2026-01-01 00:00:00")
      .Set("models", std::move(models));
}

// Sorts by size, marks a row as the keyboard does, and looks for texts that lie over each other.
constexpr char kReportDriver[] = R"(
const rows = () => [...document.querySelectorAll('tbody tr')];
Object.assign(seen, {title: document.title, plots: document.querySelectorAll('section.plot').length,
                     bars: document.querySelectorAll('.bar').length, rows: rows().length});
document.querySelectorAll('th button')[1].click();
seen.first = rows()[0].cells[0].textContent;
seen.sort = document.querySelectorAll('th')[1].getAttribute('aria-sort');
rows()[0].focus();
rows()[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}));
rows()[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowUp', bubbles: true}));
// A page that has no focus itself yet is told of its elements' focus later: the event is sent here.
rows()[rows().length - 1].dispatchEvent(new FocusEvent('focus'));
seen.marked = document.querySelectorAll('.chosen').length;
seen.overlaps = [];
for (const picture of document.querySelectorAll('.plot svg')) {
  const boxes = [...picture.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  for (let i = 0; i < boxes.length; i++) for (let k = 0; k < i; k++) {
    const [a, p] = boxes[i], [b, q] = boxes[k];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 4) seen.overlaps.push(a + ' | ' + b);
  }
}
)";

// No address is fetched, and no name ends the script element with the data.
void ExpectSelfContained(const std::string& page) {
  EXPECT_EQ(page.find("owned'</script>"), std::string::npos);
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("}) {
    const size_t at = page.find(outside);
    // The namespace of SVG is a name, not an address that is fetched; the model's name is data.
    const bool namespace_only = at == std::string::npos ||
                                page.substr(at).starts_with("http://www.w3.org/2000/svg") ||
                                page.substr(at).starts_with("src=x");
    EXPECT_TRUE(namespace_only) << outside;
  }
  for (const char* place : {"@STYLE@", "@SCRIPT@", "@DATA@"}) {
    EXPECT_EQ(page.find(place), std::string::npos);
  }
}

TEST(ModelPage, IsOneFileAndNamesCannotEndTheData) {
  const std::string dir = TempDir();
  const RunResult result =
      RunProgram({"inspect", WriteChain(dir + "/m.tflite", 8), "--html", dir + "/page.html"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ExpectSelfContained(ReadText(dir + "/page.html"));
}

TEST(BenchmarkPage, IsOneFileAndNamesCannotEndTheData) {
  ExpectSelfContained(BenchmarkPage(ManyModels(3)));
}

TEST(BenchmarkPage, WorksInABrowser) {
  REQUIRE_BROWSER();
  // The baseline alone, few, and as many as `demo --all` makes and more.
  for (const int count : {1, 6, 24}) {
    const std::string page = TempDir() + "/report.html";
    std::ofstream(page) << BenchmarkPage(ManyModels(count));
    const nlohmann::json seen = Drive(page, kReportDriver);
    ASSERT_FALSE(seen.is_null());
    EXPECT_EQ(seen["failures"].size(), 0u) << seen["failures"];
    EXPECT_EQ(seen["title"], "digits <b>bold</b>") << "a name in the data ran as code";
    EXPECT_EQ(seen["plots"], count == 1 ? 2 : 3) << "no plot where nothing is known";
    EXPECT_EQ(seen["rows"], count);
    EXPECT_EQ(seen["bars"], 3 * count - 1) << "one accuracy is not known";
    EXPECT_EQ(seen["marked"], count == 1 ? 3 : 4) << "the table's row, and its part of each plot";
    EXPECT_EQ(seen["first"], count == 1 ? kEvilName : fmt::format("model_{:02}", count - 1));
    EXPECT_EQ(seen["sort"], "ascending");
    EXPECT_EQ(seen["overlaps"].size(), 0u) << seen["overlaps"];
    if (count != 6) continue;
    EXPECT_GT(Photograph(page, "report", {}), 0.7);
    EXPECT_LT(Photograph(page, "report-dark", {.dark = true}), 0.3);
    Photograph(page, "report-narrow", {.width = 500, .height = 1400});
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

// Whether boxes lie over each other, or texts reach out of their boxes.
constexpr char kLayoutDriver[] = R"(
const frames = nodes.map(n => n.g.querySelector('rect').getBBox());
seen.overlaps = []; seen.cut = [];
nodes.forEach((n, i) => nodes.slice(0, i).forEach((m, k) => {
  if (Math.abs(n.x - m.x) < frames[i].width && Math.abs(n.y - m.y) < frames[i].height) seen.overlaps.push(n.op + ' | ' + m.op);
}));
nodes.forEach((n, i) => { for (const t of n.g.querySelectorAll('text')) if (t.getBBox().width > frames[i].width) seen.cut.push(t.textContent); });
seen.nodes = nodes.length;
)";

TEST(ModelPage, LaysOutTheBenchmarkNetworks) {
  REQUIRE_SHARED();
  REQUIRE_BROWSER();
  for (const char* name :
       {"mnist_int8", "ds_cnn_int8", "resnet8_int8", "vww_int8", "mobilenet_v2_int8"}) {
    const std::string page = TempDir() + "/page.html";
    const RunResult result =
        RunProgram({"inspect", SharedDir() + "/models/bench/" + name + ".tflite", "--html", page});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const nlohmann::json seen = Drive(page, kLayoutDriver);
    ASSERT_FALSE(seen.is_null());
    EXPECT_EQ(seen["failures"].size(), 0u) << seen["failures"];
    EXPECT_GT(seen["nodes"], 8);
    EXPECT_EQ(seen["overlaps"].size(), 0u) << seen["overlaps"];
    EXPECT_EQ(seen["cut"].size(), 0u) << seen["cut"];
    if (seen["nodes"] > 60) Photograph(page, std::string("inspect-") + name, {});
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
