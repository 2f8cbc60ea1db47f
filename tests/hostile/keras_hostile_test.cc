// Damaged Keras files: .keras, .h5, architecture JSON, weights.

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "import/keras/keras.h"
#include "ir/verify.h"
#include "tests/hostile/mutate.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using nlohmann::json;
using testing::ForEachMutation;
using testing::ForEachTruncation;
using testing::IsClearError;

constexpr uint64_t kBudget = uint64_t{64} << 20;

struct Tally {
  size_t tried = 0, imported = 0;
};

using Bytes = std::span<const std::byte>;

void Use(Bytes model, std::optional<Bytes> weights, const std::string& label, Tally* tally) {
  ++tally->tried;
  Context context;
  context.memory_budget = kBudget;
  const auto graph = keras::ParseKeras(model, weights, context);
  if (!graph.ok()) {
    EXPECT_TRUE(IsClearError(graph.status())) << label << ": " << graph.status();
    return;
  }
  ++tally->imported;
  EXPECT_TRUE(Verify(*graph).ok()) << label;
}

std::vector<std::byte> Load(const std::string& path) {
  auto file = FileBytes::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  return {(*file)->bytes().begin(), (*file)->bytes().end()};
}

std::string Golden(const std::string& name) {
  return testing::SharedDir() + "/golden/keras/" + name;
}
std::string Data(const std::string& name) {
  return testing::SourceDir() + "/tests/keras/data/" + name;
}

const char* const kCases[] = {"separable_bn_relu6", "residual", "nested", "shared_layer"};

TEST(HostileKeras, Truncations) {
  REQUIRE_SHARED();
  Tally tally;
  for (const std::string& path :
       {Golden("dense/model.keras"), Golden("dense/model.h5"), Data("keras2_nested.h5")}) {
    ForEachTruncation(Load(path), [&](Bytes mutant, const std::string& label) {
      Use(mutant, std::nullopt, path + " " + label, &tally);
    });
  }
  EXPECT_EQ(tally.imported, 0u);
  const auto weights = Load(Golden("dense/model.weights.h5"));
  const auto model = Load(Golden("dense/model.json"));
  ForEachTruncation(model, [&](Bytes mutant, const std::string& label) {
    Use(mutant, weights, "json " + label, &tally);
  });
  ForEachTruncation(weights, [&](Bytes mutant, const std::string& label) {
    Use(model, mutant, "weights " + label, &tally);
  });
  EXPECT_GE(tally.tried, 8000u);
  std::printf("%zu truncated Keras files\n", tally.tried);
}

TEST(HostileKeras, Mutations) {
  REQUIRE_SHARED();
  Tally tally;
  uint64_t seed = 1;
  for (const char* name : kCases) {
    const std::string dir = Golden(name);
    for (const char* form : {"/model.keras", "/model.h5"}) {
      ForEachMutation(Load(dir + form), 500, seed++, [&](Bytes mutant, const std::string& label) {
        Use(mutant, std::nullopt, std::string(name) + form + " " + label, &tally);
      });
    }
    const auto model = Load(dir + "/model.json");
    const auto weights = Load(dir + "/model.weights.h5");
    ForEachMutation(weights, 1000, seed++, [&](Bytes mutant, const std::string& label) {
      Use(model, mutant, std::string(name) + " weights " + label, &tally);
    });
    ForEachMutation(model, 300, seed++, [&](Bytes mutant, const std::string& label) {
      Use(mutant, weights, std::string(name) + " json " + label, &tally);
    });
  }
  for (const char* name : {"keras2_nested.h5", "keras2_nested.keras"}) {
    ForEachMutation(Load(Data(name)), 500, seed++, [&](Bytes mutant, const std::string& label) {
      Use(mutant, std::nullopt, std::string(name) + " " + label, &tally);
    });
  }
  EXPECT_GE(tally.tried, 10000u);
  std::printf("%zu damaged Keras files, %zu imported\n", tally.tried, tally.imported);
}

// Well-formed JSON with wrong values: one to three members or elements replaced.
json Replaced(const json& value, Random* random, double chance) {
  if (random->Uniform() < chance) {
    static const json kOdd[] = {nullptr,
                                true,
                                -1,
                                0,
                                1,
                                2147483647,
                                -2147483648LL,
                                1e300,
                                0.5,
                                "",
                                "same",
                                "relu",
                                json::array(),
                                json::object(),
                                {1, 2},
                                {{"a", 1}},
                                4294967296LL,
                                "\x01\xc3\xa9",
                                {nullptr, 3},
                                {"input_layer", 0, 0},
                                1000000000000000000LL,
                                "Dense",
                                "Sequential"};
    return kOdd[random->Below(std::size(kOdd))];
  }
  if (value.is_array()) {
    json out = json::array();
    for (const json& item : value) {
      out.push_back(Replaced(item, random, chance));
      if (random->Uniform() < chance) out.push_back(item);
    }
    return out;
  }
  if (value.is_object()) {
    json out = json::object();
    for (const auto& [key, item] : value.items()) {
      if (random->Uniform() >= chance) out[key] = Replaced(item, random, chance);
    }
    return out;
  }
  return value;
}

TEST(HostileKeras, WrongConfigurations) {
  REQUIRE_SHARED();
  Tally tally;
  Random random(7);
  std::vector<std::string> cases(std::begin(kCases), std::end(kCases));
  for (const char* more :
       {"attention", "lstm_seq", "bidirectional_lstm", "zeropad_crop_upsample", "time_distributed",
        "ops_functional", "conv1d_causal", "conv2d_transpose", "rescaling_normalization",
        "softmax_axis", "multi_output"}) {
    cases.push_back(more);
  }
  for (const std::string& name : cases) {
    const auto text = Load(Golden(name) + "/model.json");
    const auto weights = Load(Golden(name) + "/model.weights.h5");
    const json model = json::parse(text.begin(), text.end(), nullptr, false);
    // Some 200 values each: on average one to three are replaced.
    for (int i = 0; i < 300; ++i) {
      const std::string mutant = Replaced(model, &random, random.Uniform(0.002, 0.02))
                                     .dump(-1, ' ', false, json::error_handler_t::replace);
      Use(std::as_bytes(std::span(mutant)), weights, fmt::format("{} #{}: {}", name, i, mutant),
          &tally);
    }
  }
  std::printf("%zu wrong configurations, %zu imported\n", tally.tried, tally.imported);
}

}  // namespace
}  // namespace litesmith
