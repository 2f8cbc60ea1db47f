// LSTM layers of Keras files and SavedModels as one operator each.

#include <algorithm>

#include "import/import.h"
#include "passes/passes.h"
#include "tests/run_graph.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

int64_t Count(const Graph& graph, const std::string& op) {
  const auto& nodes = graph.main().nodes;
  return std::count_if(nodes.begin(), nodes.end(),
                       [&](const Node& node) { return OperatorName(node) == op; });
}

struct Case {
  const char* model;  // under the shared golden/
  const char* arrays;
  int64_t layers;
};
constexpr Case kCases[] = {
    {"keras/lstm/model.keras", "keras/lstm/", 1},
    {"keras/lstm_seq/model.keras", "keras/lstm_seq/", 1},
    {"keras/lstm_unrolled/model.keras", "keras/lstm_unrolled/", 1},
    {"keras/bidirectional_lstm/model.keras", "keras/bidirectional_lstm/", 2},
    {"saved_model/keras_lstm/saved_model", "saved_model/keras_lstm/", 1},
};

// The golden cases take a batch of two.
TEST(FuseLstm, GoldenCases) {
  REQUIRE_SHARED();
  const std::string golden = testing::SharedDir() + "/golden/";
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.model);
    ASSERT_OK_AND_ASSIGN(Graph graph, ImportModel(golden + c.model, {}, Context()));
    Graph open = graph;
    ASSERT_OK_AND_ASSIGN(const bool open_fused, FuseLstm(&open));
    EXPECT_FALSE(open_fused) << "the states need a known batch";
    ASSERT_OK(FixBatchSize(&graph, 2));
    ASSERT_OK_AND_ASSIGN(const bool fused, FuseLstm(&graph));
    EXPECT_TRUE(fused);
    EXPECT_EQ(Count(graph, "UNIDIRECTIONAL_SEQUENCE_LSTM"), c.layers);
    EXPECT_EQ(Count(graph, "SPLIT"), 0);
    ASSERT_OK_AND_ASSIGN(const auto inputs, testing::ReadArrays(golden + c.arrays + "in"));
    ASSERT_OK_AND_ASSIGN(const auto expected, testing::ReadArrays(golden + c.arrays + "out"));
    for (const bool optimised : {false, true}) {
      if (optimised) ASSERT_OK(Optimise(&graph, Context()));
      ASSERT_OK_AND_ASSIGN(const auto outputs, testing::RunGraph(graph, inputs));
      ASSERT_OK_AND_ASSIGN(const double d, testing::Disagreement(outputs, expected, 1e-5, 1e-6));
      EXPECT_LE(d, 1.0);
    }
    EXPECT_EQ(Count(graph, "LOGISTIC") + Count(graph, "UNPACK"), 0);
  }
}

// States that others read or give, other activations, other layers.
TEST(FuseLstm, WhatTheOperatorCannotSayStays) {
  REQUIRE_SHARED();
  const std::string golden = testing::SharedDir() + "/golden/";
  for (const char* model : {"keras/gru/model.keras", "keras/simple_rnn/model.keras",
                            "saved_model/keras_gru/saved_model"}) {
    ASSERT_OK_AND_ASSIGN(Graph graph, ImportModel(golden + model, {}, Context()));
    ASSERT_OK(FixBatchSize(&graph, 1));
    ASSERT_OK_AND_ASSIGN(const bool fused, FuseLstm(&graph));
    EXPECT_FALSE(fused) << model;
  }
}

// An encoder whose states start a decoder (data/make_settings.py): neither can be fused, the
// bidirectional layers that return their cells' states cannot be either.
TEST(FuseLstm, LayersThatShareTheirStatesStay) {
  const std::string model = testing::SourceDir() + "/tests/keras/data/settings.";
  ASSERT_OK_AND_ASSIGN(Graph graph, ImportModel(model + "keras", {}, Context()));
  ASSERT_OK(FixBatchSize(&graph, 2));
  const size_t nodes = graph.main().nodes.size();
  ASSERT_OK(FuseLstm(&graph).status());
  EXPECT_EQ(graph.main().nodes.size(), nodes);
}

}  // namespace
}  // namespace litesmith
