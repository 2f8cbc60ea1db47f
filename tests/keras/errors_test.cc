// What is wrong with a Keras file is said in one line: the file, the fault, the next step.

#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "data/npy.h"
#include "import/keras/keras.h"
#include "passes/passes.h"
#include "tests/run_graph.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Golden(const std::string& name) {
  return testing::SharedDir() + "/golden/keras/" + name;
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string Write(const std::string& name, const std::string& content) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string Error(const std::string& path, const std::string& weights = "") {
  ImportOptions options;
  options.weights = weights;
  const auto graph = ImportModel(path, options, Context());
  if (graph.ok()) return "imported";
  const std::string message(Message(graph.status()));
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_TRUE(message.find(path) != std::string::npos ||
              (!weights.empty() && message.find(weights) != std::string::npos))
      << message;
  return message;
}

struct ZipEntry {
  std::string name, content;
  bool deflate = false;
  int64_t claimed = -1;  // a size other than the true one
};

// A zip archive as the format's specification (APPNOTE) has it.
std::string Zip(const std::vector<ZipEntry>& entries) {
  std::string out, directory;
  const auto u16 = [](std::string* s, uint64_t v) { s->append(reinterpret_cast<char*>(&v), 2); };
  const auto u32 = [](std::string* s, uint64_t v) { s->append(reinterpret_cast<char*>(&v), 4); };
  for (const ZipEntry& e : entries) {
    std::string packed = e.content;
    if (e.deflate) {
      z_stream z{};
      deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
      packed.resize(deflateBound(&z, e.content.size()));
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(e.content.data()));
      z.avail_in = static_cast<uInt>(e.content.size());
      z.next_out = reinterpret_cast<Bytef*>(packed.data());
      z.avail_out = static_cast<uInt>(packed.size());
      deflate(&z, Z_FINISH);
      packed.resize(z.total_out);
      deflateEnd(&z);
    }
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(e.content.data()),
                           static_cast<uInt>(e.content.size()));
    std::string fields;
    u16(&fields, 20);  // version needed
    u16(&fields, 0);
    u16(&fields, e.deflate ? 8 : 0);
    u32(&fields, 0x00210000);  // time, date
    u32(&fields, crc);
    u32(&fields, packed.size());
    u32(&fields, e.claimed >= 0 ? static_cast<uint64_t>(e.claimed) : e.content.size());
    u16(&fields, e.name.size());
    u16(&fields, 0);
    const size_t offset = out.size();
    out += "PK\x03\x04" + fields + e.name + packed;
    directory += "PK\x01\x02";
    u16(&directory, 20);
    directory += fields;
    directory.append(10, '\0');
    u32(&directory, offset);
    directory += e.name;
  }
  std::string end = "PK\x05\x06";
  u32(&end, 0);
  u16(&end, entries.size());
  u16(&end, entries.size());
  u32(&end, directory.size());
  u32(&end, out.size());
  u16(&end, 0);
  return out + directory + end;
}

TEST(KerasErrors, EveryUnsupportedLayerIsListed) {
  REQUIRE_SHARED();
  json model = json::parse(ReadText(Golden("residual/model.json")));
  json& layers = model["config"]["layers"];
  layers[2]["class_name"] = "Custom>Norm";
  layers[3]["class_name"] = "MyActivation";
  layers[4]["config"]["activation"] = "my_function";
  layers[6]["class_name"] = "AdaptiveAveragePooling2D";
  const std::string path = Write("model.json", model.dump());
  EXPECT_THAT(Error(path, Golden("residual/model.weights.h5")),
              AllOf(HasSubstr("4 layers cannot be imported"),
                    HasSubstr("'batch_normalization_6' (Custom>Norm)"),
                    HasSubstr("'re_lu_4' (MyActivation)"),
                    HasSubstr("'conv2d_8' (Conv2D with activation 'my_function')"),
                    HasSubstr("'global_average_pooling2d_1' (AdaptiveAveragePooling2D)")));
}

TEST(KerasErrors, WeightsThatDoNotFit) {
  REQUIRE_SHARED();
  const std::string model = Golden("dense/model.json");
  EXPECT_THAT(Error(model), AllOf(HasSubstr("has no weights"), HasSubstr("--weights")));
  EXPECT_THAT(Error(model, Golden("dense_nobias/model.weights.h5")),
              AllOf(HasSubstr("layer 'dense_1' (Dense)"), HasSubstr("'kernel' has shape [7, 5]"),
                    HasSubstr("asks for [10, 6]")));
  EXPECT_THAT(Error(model, Golden("max_pool_same/model.weights.h5")),
              AllOf(HasSubstr("layer 'dense_1' (Dense)"), HasSubstr("'kernel' is not in")));
  EXPECT_THAT(Error(model, Golden("nothing.h5")), HasSubstr("nothing.h5"));
  EXPECT_THAT(Error(model, model), HasSubstr("HDF5"));
  EXPECT_THAT(Error(Golden("dense/model.weights.h5")),
              AllOf(HasSubstr("no architecture"), HasSubstr("--weights")));
  EXPECT_THAT(Error(Golden("dense/model.h5"), Golden("dense/model.weights.h5")),
              HasSubstr("--weights goes with an architecture JSON only"));
}

TEST(KerasErrors, OtherFormats) {
  REQUIRE_SHARED();
  EXPECT_THAT(Error(Write("model.xyz", "hello")), HasSubstr("no known format"));
  EXPECT_THAT(Error(Write("empty.keras", "")), HasSubstr("empty"));
  EXPECT_THAT(Error(testing::TempDir() + "/missing.keras"), HasSubstr("missing.keras"));
  EXPECT_THAT(Error(testing::TempDir()), HasSubstr("folder without a saved_model.pb"));
  EXPECT_THAT(Error(Write("a.json", "{\"class_name\": ")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Error(Write("b.json", "{\"a\": 1}"), Golden("dense/model.weights.h5")),
              HasSubstr("no Keras architecture"));
  EXPECT_THAT(Error(Write("c.json", "{\"a\": " + std::string(100000, '[')),
                    Golden("dense/model.weights.h5")),
              HasSubstr("nested too deeply"));
  EXPECT_THAT(Error(Write("d.json", R"({"class_name": "MyModel", "config": {"units": 3}})"),
                    Golden("dense/model.weights.h5")),
              AllOf(HasSubstr("class 'MyModel'"), HasSubstr("keras.Model(inputs, outputs)")));
}

TEST(KerasErrors, Archives) {
  REQUIRE_SHARED();
  const std::string config = ReadText(Golden("dense/model.json"));
  const std::string weights = ReadText(Golden("dense/model.weights.h5"));
  const ZipEntry good_config{"config.json", config, true};
  const ZipEntry good_weights{"model.weights.h5", weights, true};
  EXPECT_EQ(Error(Write("good.keras", Zip({good_config, good_weights}))), "imported")
      << "deflated entries are read too";
  EXPECT_THAT(Error(Write("a.keras", Zip({good_config}))), HasSubstr("no model.weights.h5"));
  EXPECT_THAT(Error(Write("b.keras", Zip({good_weights}))), HasSubstr("no config.json"));
  for (const char* name : {"../config.json", "/etc/passwd", "a/../../b", "..\\x", "C:\\x"}) {
    EXPECT_THAT(Error(Write("c.keras", Zip({good_config, good_weights, {name, "x"}}))),
                HasSubstr("outside the zip archive"))
        << name;
  }
  EXPECT_THAT(Error(Write("d.keras", Zip({good_config, good_config, good_weights}))),
              HasSubstr("already exists"));
  const ZipEntry bomb{"config.json", std::string(32 << 20, ' '), true};
  EXPECT_THAT(Error(Write("e.keras", Zip({bomb, good_weights}))), HasSubstr("zip bomb"));
  const ZipEntry liar{"config.json", config, true, 4000000000};
  EXPECT_THAT(Error(Write("f.keras", Zip({liar, good_weights}))), HasSubstr("zip"));
  std::string cut = Zip({good_config, good_weights});
  cut.resize(cut.size() / 2);
  EXPECT_THAT(Error(Write("g.keras", cut)), HasSubstr("cut off or damaged"));
}

TEST(KerasErrors, MemoryBudget) {
  REQUIRE_SHARED();
  Context context;
  context.memory_budget = 100 << 10;
  for (const char* form : {"mnist_cnn_model.keras", "mnist_cnn_model.h5"}) {
    const auto graph = ImportModel(testing::SharedDir() + "/golden/mnist/" + form, {}, context);
    ASSERT_FALSE(graph.ok()) << form;
    EXPECT_THAT(Message(graph.status()), HasSubstr("memory allowed")) << form;
  }
}

// Keras 2 (tf_keras 2.21): data/make_keras2.py.
TEST(Keras2, NestedModelCalledTwiceInAllForms) {
  const std::string dir = testing::SourceDir() + "/tests/keras/data/keras2_nested.";
  ASSERT_OK_AND_ASSIGN(const auto inputs, testing::ReadArrays(dir + "in"));
  ASSERT_OK_AND_ASSIGN(const auto expected, testing::ReadArrays(dir + "out"));
  ASSERT_EQ(inputs.size(), 1u);
  const std::pair<const char*, const char*> forms[] = {{"keras", ""},
                                                       {"h5", ""},
                                                       {"json", "weights.h5"},
                                                       {"json", "old_weights.h5"},
                                                       {"json", "h5"}};
  for (const auto& [file, weights] : forms) {
    ImportOptions options;
    if (*weights != '\0') options.weights = dir + weights;
    ASSERT_OK_AND_ASSIGN(const Graph graph, ImportModel(dir + file, options, Context()));
    ASSERT_OK_AND_ASSIGN(const auto outputs, testing::RunGraph(graph, inputs));
    ASSERT_OK_AND_ASSIGN(const double d, testing::Disagreement(outputs, expected, 1e-5, 1e-6));
    EXPECT_LE(d, 1.0) << file << " " << weights;
  }
}

// The outputs of tests/keras/data/NAME.FORM, one after another, beside those in NAME.outputs.npy.
void ExpectOutputs(const std::string& name, const std::string& form, size_t count) {
  const std::string dir = testing::SourceDir() + "/tests/keras/data/" + name + ".";
  ASSERT_OK_AND_ASSIGN(const auto inputs, testing::ReadArrays(dir + "in"));
  ASSERT_OK_AND_ASSIGN(const Array expected, ReadNpy(dir + "outputs.npy", Context()));
  ASSERT_OK_AND_ASSIGN(Graph graph, ImportModel(dir + form, {}, Context()));
  ASSERT_OK(Optimise(&graph, Context()));
  ASSERT_OK_AND_ASSIGN(const auto outputs, testing::RunGraph(graph, inputs));
  EXPECT_EQ(outputs.size(), count);
  std::vector<float> values;
  for (const Array& output : outputs) {
    const auto data = output.data<float>();
    values.insert(values.end(), data.begin(), data.end());
  }
  const auto want = expected.data<float>();
  ASSERT_EQ(values.size(), want.size());
  size_t wrong = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool near = std::abs(values[i] - want[i]) <= 1e-5f * std::abs(want[i]) + 2e-6f;
    if (!near && wrong++ < 5) ADD_FAILURE() << i << ": " << values[i] << " and " << want[i];
  }
  EXPECT_EQ(wrong, 0u);
}

// Nested models called several times, as outputs and not, and with a mask: data/make_nested.py.
TEST(Keras3, NestedModels) { ExpectOutputs("nested", "keras", 11); }

// data/make_attention.py.
TEST(Keras2, PartsNamedAfterPrivateAttributes) { ExpectOutputs("keras2_attention", "keras", 1); }

// Keras 3: data/make_settings.py, make_layers.py.
TEST(Keras3, LayersWithOtherSettings) { ExpectOutputs("settings", "keras", 46); }
TEST(Keras3, MoreLayersAndOperations) {
  ExpectOutputs("layers", "keras", 68);
  ExpectOutputs("layers", "h5", 68);
}

// data/make_masks.py: masks on their way through all kinds of layers.
TEST(Keras3, Masks) { ExpectOutputs("masks", "keras", 17); }
TEST(Keras2, Masks) { ExpectOutputs("keras2_masks", "h5", 18); }

}  // namespace
}  // namespace litesmith
