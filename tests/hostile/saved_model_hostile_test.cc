// Damaged SavedModels: the graph, the index of the variables, the variables.

#include <cstring>

#include "base/file.h"
#include "import/saved_model/saved_model.h"
#include "import/saved_model/table.h"
#include "ir/verify.h"
#include "saved_model.pb.h"
#include "tests/hostile/mutate.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::ForEachMutation;
using testing::ForEachTruncation;
using testing::IsClearError;

using Bytes = std::span<const std::byte>;
constexpr uint64_t kBudget = uint64_t{64} << 20;

struct Tally {
  size_t tried = 0, imported = 0;
};

std::vector<std::byte> Load(const std::string& path) {
  auto file = FileBytes::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  return {(*file)->bytes().begin(), (*file)->bytes().end()};
}

struct Model {
  std::vector<std::byte> model, index, data;

  static Model Golden(const std::string& name) {
    const std::string dir = testing::SharedDir() + "/golden/saved_model/" + name + "/saved_model/";
    return {Load(dir + "saved_model.pb"), Load(dir + "variables/variables.index"),
            Load(dir + "variables/variables.data-00000-of-00001")};
  }
};

void Use(Bytes model, Bytes index, Bytes data, const std::string& label, Tally* tally) {
  ++tally->tried;
  Context context;
  context.memory_budget = kBudget;
  saved_model::Files files;
  files.model = model;
  files.index = index;
  files.open_shard = [&](int32_t, int32_t) { return data; };
  const auto graph = saved_model::ParseSavedModel(files, "", context);
  if (!graph.ok()) {
    EXPECT_TRUE(IsClearError(graph.status())) << label << ": " << graph.status();
    return;
  }
  ++tally->imported;
  EXPECT_TRUE(Verify(*graph).ok()) << label;
}

TEST(HostileSavedModel, Truncations) {
  REQUIRE_SHARED();
  Tally tally;
  const Model m = Model::Golden("keras_conv_bn_folding");
  ForEachTruncation(m.model, [&](Bytes mutant, const std::string& label) {
    Use(mutant, m.index, m.data, "graph " + label, &tally);
  });
  const size_t of_graphs = tally.imported;
  ForEachTruncation(m.index, [&](Bytes mutant, const std::string& label) {
    Use(m.model, mutant, m.data, "index " + label, &tally);
  });
  ForEachTruncation(m.data, [&](Bytes mutant, const std::string& label) {
    Use(m.model, m.index, mutant, "variables " + label, &tally);
  });
  // A message cut between two of its fields is a message, but the graph comes before the functions
  // and both before the signatures.
  EXPECT_LE(of_graphs, 200u);
  std::printf("%zu truncated SavedModels, %zu imported\n", tally.tried, tally.imported);
}

TEST(HostileSavedModel, Mutations) {
  REQUIRE_SHARED();
  Tally tally;
  uint64_t seed = 1;
  for (const char* name : {"keras_conv_bn_folding", "keras_attention", "keras_lstm",
                           "keras_embedding", "module_two_signatures"}) {
    const Model m = Model::Golden(name);
    ForEachMutation(m.model, 300, seed++, [&](Bytes mutant, const std::string& label) {
      Use(mutant, m.index, m.data, std::string(name) + " graph " + label, &tally);
    });
    ForEachMutation(m.index, 200, seed++, [&](Bytes mutant, const std::string& label) {
      Use(m.model, mutant, m.data, std::string(name) + " index " + label, &tally);
    });
    ForEachMutation(m.data, 50, seed++, [&](Bytes mutant, const std::string& label) {
      Use(m.model, m.index, mutant, std::string(name) + " variables " + label, &tally);
    });
  }
  EXPECT_GE(tally.tried, 2500u);
  std::printf("%zu damaged SavedModels, %zu imported\n", tally.tried, tally.imported);
}

// The checksums of the blocks are made right again, so that the damage gets past them.
TEST(HostileSavedModel, IndexesWithGoodChecksums) {
  REQUIRE_SHARED();
  const Model m = Model::Golden("keras_conv_bn_folding");
  Tally tally;
  ForEachMutation(m.index, 1500, 7, [&](Bytes mutant, const std::string& label) {
    // The data block is the first thing in the file; its end is found by its checksum.
    std::vector<std::byte> index(mutant.begin(), mutant.end());
    const size_t good = m.index.size();
    for (size_t end = 1; end + 4 < std::min(index.size(), good); ++end) {
      const auto crc = saved_model::MaskCrc(saved_model::Crc32c(Bytes(m.index).first(end)));
      if (std::memcmp(&crc, m.index.data() + end, 4) != 0) continue;
      const auto fixed = saved_model::MaskCrc(saved_model::Crc32c(Bytes(index).first(end)));
      std::memcpy(index.data() + end, &fixed, 4);
      break;
    }
    Use(m.model, index, m.data, label, &tally);
  });
  std::printf("%zu indexes with good checksums, %zu imported\n", tally.tried, tally.imported);
}

namespace pb = saved_model::proto;

pb::Attribute Odd(Random* random) {
  pb::Attribute a;
  switch (random->Below(8)) {
    case 0:
      a.set_i(static_cast<int64_t>(random->Below(2)) * INT64_MAX - 1);
      break;
    case 1:
      a.set_s("EXPLICIT");
      break;
    case 2:
      a.set_b(random->Below(2) == 1);
      break;
    case 3:
      a.mutable_list()->add_i(-1);
      break;
    case 4:
      a.set_type(static_cast<int32_t>(random->Below(25)));
      break;
    case 5: {
      auto* tensor = a.mutable_tensor();
      tensor->set_dtype(3);
      const auto rank = random->Below(3);
      for (uint64_t d = 0; d < rank; ++d) {
        const int64_t kSizes[] = {0, 1, 4, -1, 1 << 20, INT32_MAX, INT64_MAX};
        tensor->mutable_tensor_shape()->add_dim()->set_size(kSizes[random->Below(7)]);
      }
      const int32_t kValues[] = {0, -1, 2, INT32_MAX, INT32_MIN};
      tensor->add_int_val(kValues[random->Below(5)]);
      break;
    }
    case 6:
      a.mutable_func()->set_name("__nothing");
      break;
    default:
      break;
  }
  return a;
}

// A well-formed graph with one to four wrong things in it: attributes, operators, inputs.
void Confuse(pb::MetaGraph* graph, Random* random) {
  static const char* const kOps[] = {"While",
                                     "Reshape",
                                     "StridedSlice",
                                     "Einsum",
                                     "Fill",
                                     "Range",
                                     "Tile",
                                     "Conv2D",
                                     "GatherV2",
                                     "Pack",
                                     "Unpack",
                                     "Split",
                                     "TensorListReserve",
                                     "If",
                                     "OneHot",
                                     "Squeeze",
                                     "MatMul",
                                     "Transpose",
                                     "Mean",
                                     "BroadcastTo"};
  auto* functions = graph->mutable_graph_def()->mutable_library()->mutable_function();
  const auto faults = 1 + random->Below(4);
  for (uint64_t i = 0; i < faults; ++i) {
    auto* nodes = graph->mutable_graph_def()->mutable_node();
    if (!functions->empty() && random->Below(8) != 0) {
      nodes = functions->Mutable(static_cast<int>(random->Below(functions->size())))
                  ->mutable_node_def();
    }
    if (nodes->empty()) continue;
    pb::Node* node = nodes->Mutable(static_cast<int>(random->Below(nodes->size())));
    const pb::Node& other = nodes->Get(static_cast<int>(random->Below(nodes->size())));
    switch (random->Below(5)) {
      case 0:
        node->set_op(kOps[random->Below(std::size(kOps))]);
        break;
      case 1:
        if (node->input_size() > 0) {
          node->set_input(static_cast<int>(random->Below(node->input_size())), other.name());
        }
        break;
      case 2:
        node->mutable_input()->Clear();
        break;
      case 3:
        node->add_input(other.name());
        break;
      default: {
        // In no particular order, but the same in every run: the smallest name that is not less.
        const std::string from(1, static_cast<char>('A' + random->Below(58)));
        std::string chosen = "value";
        for (const auto& [key, value] : node->attr()) {
          if (key >= from && (chosen < from || key < chosen)) chosen = key;
        }
        (*node->mutable_attr())[chosen] = Odd(random);
      }
    }
  }
}

TEST(HostileSavedModel, WrongGraphs) {
  REQUIRE_SHARED();
  Tally tally;
  Random random(11);
  for (const char* name :
       {"keras_attention", "keras_lstm", "keras_embedding", "keras_conv2d_dilated", "keras_conv1d",
        "keras_conv2d_transpose", "module_two_signatures", "module_einsum_two_inputs"}) {
    const Model m = Model::Golden(name);
    pb::SavedModel good;
    ASSERT_TRUE(good.ParseFromArray(m.model.data(), static_cast<int>(m.model.size())));
    for (int i = 0; i < 150; ++i) {
      pb::SavedModel model = good;
      Confuse(model.mutable_meta_graphs(0), &random);
      const std::string bytes = model.SerializeAsString();
      Use(std::as_bytes(std::span(bytes)), m.index, m.data, fmt::format("{} #{}", name, i), &tally);
    }
  }
  EXPECT_EQ(tally.tried, 1200u);
  std::printf("%zu wrong graphs, %zu imported\n", tally.tried, tally.imported);
}

}  // namespace
}  // namespace litesmith
