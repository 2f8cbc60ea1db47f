#include "train/channels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "ir/verify.h"
#include "runtime/executor.h"
#include "tests/testing.h"
#include "tests/train/small_network.h"
#include "train/channel_groups.h"

namespace litesmith {
namespace {

using ::testing::HasSubstr;
using testing::NetworkBuilder;
using testing::SmallPictureNetwork;

const Tensor& Named(const Graph& graph, const std::string& name) {
  for (const Tensor& t : graph.main().tensors) {
    if (t.name == name) return t;
  }
  ADD_FAILURE() << "no tensor " << name;
  return graph.main().tensors[0];
}

std::vector<float> RunOnce(const Graph& graph, uint64_t seed) {
  auto executor = Executor::Create(std::make_shared<const Graph>(graph), {});
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  Random random(seed);
  const std::span<std::byte> input = (*executor)->input(0);
  for (size_t i = 0; i < input.size(); i += sizeof(float)) {
    const auto v = static_cast<float>(random.Normal());
    std::memcpy(input.data() + i, &v, sizeof(v));
  }
  EXPECT_OK((*executor)->Run());
  std::vector<float> out((*executor)->output(0).size() / sizeof(float));
  std::memcpy(out.data(), (*executor)->output(0).data(), out.size() * sizeof(float));
  return out;
}

// Half of the units of everything that hangs together (all that may go, where some may not), made
// zero wherever the graph has constants for them.
void ZeroHalf(Graph* graph) {
  const ChannelGroups groups(*graph);
  std::vector<int32_t> parent(groups.units());
  std::iota(parent.begin(), parent.end(), 0);
  const auto find = [&](int32_t u) {
    while (parent[static_cast<size_t>(u)] != u) u = parent[static_cast<size_t>(u)];
    return u;
  };
  for (const auto& layer : groups.layers()) {
    for (int32_t u : layer.units) {
      parent[static_cast<size_t>(find(groups.Root(u)))] = find(groups.Root(layer.units[0]));
    }
  }
  std::vector<int> count(groups.units(), 0);
  std::vector<bool> zero(groups.units(), false), mixed(groups.units(), false);
  for (size_t u = 0; u < zero.size(); ++u) {
    const auto unit = static_cast<int32_t>(u);
    if (groups.Root(unit) == unit && !groups.frozen(unit).empty()) {
      mixed[static_cast<size_t>(find(unit))] = true;
    }
  }
  for (size_t u = 0; u < zero.size(); ++u) {
    const auto unit = static_cast<int32_t>(u);
    if (groups.Root(unit) != unit || !groups.frozen(unit).empty()) continue;
    const auto set = static_cast<size_t>(find(unit));
    zero[u] = mixed[set] || count[set]++ % 2 == 0;
  }
  std::vector<bool> is_weights(graph->main().tensors.size(), false);
  for (const auto& layer : groups.layers()) is_weights[static_cast<size_t>(layer.weights)] = true;
  for (size_t t = 0; t < graph->main().tensors.size(); ++t) {
    Tensor& tensor = graph->main().tensors[t];
    if (!tensor.is_constant()) continue;
    const auto old = tensor.data.As<float>();
    std::vector<float> values(old.begin(), old.end());
    for (const auto& axis : groups.axes(static_cast<int32_t>(t))) {
      // The inputs of a layer's weights are multiplied by zeros anyhow.
      if (is_weights[t] && axis.dimension != 0) continue;
      size_t inner = 1;
      for (size_t d = static_cast<size_t>(axis.dimension) + 1; d < tensor.shape.size(); ++d) {
        inner *= static_cast<size_t>(tensor.shape[d]);
      }
      for (size_t i = 0; i < values.size(); ++i) {
        const int32_t unit = axis.units[i / inner % axis.units.size()];
        if (zero[static_cast<size_t>(groups.Root(unit))]) values[i] = 0.0f;
      }
    }
    if (!groups.axes(static_cast<int32_t>(t)).empty()) tensor.data = Blob::Of(values);
  }
}

size_t ConstantBytes(const Graph& graph) {
  size_t sum = 0;
  for (const Tensor& t : graph.main().tensors) sum += t.data.bytes.size();
  return sum;
}

void ExpectUnchangedByCutting(Graph graph, uint64_t seed) {
  ASSERT_OK(Verify(graph));
  ZeroHalf(&graph);
  Graph cut = graph;
  ASSERT_OK_AND_ASSIGN(const std::vector<ChannelCut> cuts, CutChannels(0.5, &cut));
  EXPECT_FALSE(cuts.empty());
  EXPECT_LT(ConstantBytes(cut), ConstantBytes(graph));
  const std::vector<float> before = RunOnce(graph, seed), after = RunOnce(cut, seed);
  ASSERT_EQ(before.size(), after.size());
  float largest = 1e-3f;
  for (float v : before) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < before.size(); ++i) {
    ASSERT_NEAR(before[i], after[i], 1e-5f * largest) << i;
  }
}

TEST(CutChannels, HalvesThePictureNetwork) {
  Graph graph = SmallPictureNetwork(3, 1);
  ASSERT_OK_AND_ASSIGN(const std::vector<ChannelCut> cuts, CutChannels(0.5, &graph));
  ASSERT_EQ(cuts.size(), 3u);
  EXPECT_EQ(cuts[0].after, 4);
  EXPECT_EQ(cuts[1].after, 6);
  EXPECT_EQ(cuts[2].after, 3);
  EXPECT_EQ(cuts[2].why, "they are the model's output");
  EXPECT_EQ(Named(graph, "conv/w").shape, Shape({4, 3, 3, 1}));
  EXPECT_EQ(Named(graph, "conv/b").shape, Shape({4}));
  EXPECT_EQ(Named(graph, "dense/w").shape, Shape({6, 144}));
  EXPECT_EQ(Named(graph, "logits/w").shape, Shape({3, 6}));
}

// A random network of what keeps channels apart.
class RandomNetwork {
 public:
  explicit RandomNetwork(uint64_t seed) : b_(seed) {}

  Graph Make() {
    int32_t x = b_.Input("x", {-1, 8, 8, 3});
    x = b_.Conv(Name("conv"), x, Even());
    const auto steps = 4 + b_.random.Below(8);
    for (uint64_t i = 0; i < steps; ++i) x = Step(x);
    b_.Output(End(x));
    return b_.graph();
  }

 private:
  std::string Name(const char* base) { return fmt::format("{}{}", base, count_++); }
  int32_t Even() { return static_cast<int32_t>(4 + 2 * b_.random.Below(5)); }
  Shape Like(int32_t x) {
    Shape s = b_.shape(x);
    s[0] = -1;
    return s;
  }
  int32_t Same(schema::BuiltinOperator op, const char* name, std::vector<int32_t> in) {
    const Shape shape = Like(in[0]);
    return b_.Op(op, Name(name), std::move(in), shape);
  }

  int32_t Step(int32_t x) {
    const int32_t channels = b_.shape(x)[3];
    switch (b_.random.Below(11)) {
      case 0:
        return b_.Conv(Name("conv"), x, Even(), 1);
      case 1:
        return Depthwise(x, 1);
      case 2:
        return Depthwise(x, 2);
      case 3: {  // residual
        const int32_t y = b_.Conv(Name("conv"), x, Even());
        return Same(
            schema::BuiltinOperator_ADD, "add",
            {x, b_.Conv(Name("conv"), y, channels, 3, schema::ActivationFunctionType_NONE)});
      }
      case 4: {
        const int32_t y = b_.Conv(Name("conv"), x, Even());
        Shape shape = Like(x);
        shape[3] += b_.shape(y)[3];
        schema::ConcatenationOptionsT options;
        options.axis = b_.random.Below(2) == 0 ? 3 : -1;
        return b_.Op(schema::BuiltinOperator_CONCATENATION, Name("concat"), {y, x}, shape,
                     Options(options));
      }
      case 5:  // what batch normalisation leaves
        return Same(
            schema::BuiltinOperator_ADD, "shift",
            {Same(schema::BuiltinOperator_MUL, "scale", {x, b_.Random(Name("s"), {channels})}),
             b_.Random(Name("t"), {channels})});
      case 6:
        return Same(schema::BuiltinOperator_HARD_SWISH, "swish", {x});
      case 7: {
        if (b_.shape(x)[1] > 9) return x;
        Shape shape = Like(x);
        shape[1] += 1;
        shape[2] += 1;
        return b_.Op(schema::BuiltinOperator_PAD, Name("pad"),
                     {x, b_.Ints(Name("pads"), {4, 2}, {0, 0, 0, 1, 1, 0, 0, 0})}, shape);
      }
      case 8:
        return b_.shape(x)[1] >= 4 ? b_.MaxPool(Name("pool"), x) : x;
      case 9:
        return Excite(x);
      default:
        return Split(x);
    }
  }

  int32_t Depthwise(int32_t x, int32_t multiplier) {
    schema::DepthwiseConv2DOptionsT options;
    options.padding = schema::Padding_SAME;
    options.stride_h = options.stride_w = 1;
    options.depth_multiplier = multiplier;
    Shape shape = Like(x);
    shape[3] *= multiplier;
    const std::string name = Name("depthwise");
    return b_.Op(
        schema::BuiltinOperator_DEPTHWISE_CONV_2D, name,
        {x, b_.Random(name + "/w", {1, 3, 3, shape[3]}), b_.Random(name + "/b", {shape[3]})}, shape,
        Options(options));
  }

  // Mean over the picture, two layers, and back as a factor per channel.
  int32_t Excite(int32_t x) {
    schema::ReducerOptionsT keep;
    keep.keep_dims = true;
    const int32_t channels = b_.shape(x)[3];
    int32_t y = b_.Op(schema::BuiltinOperator_MEAN, Name("mean"),
                      {x, b_.Ints(Name("axes"), {2}, {1, 2})}, {-1, 1, 1, channels}, Options(keep));
    y = b_.Conv(Name("squeeze"), y, Even(), 1);
    y = b_.Conv(Name("excite"), y, channels, 1, schema::ActivationFunctionType_NONE);
    return Same(schema::BuiltinOperator_MUL, "mul", {x, y});
  }

  int32_t Split(int32_t x) {
    const int32_t channels = b_.shape(x)[3];
    if (channels % 2 != 0) return x;
    Shape half = Like(x);
    half[3] = channels / 2;
    schema::SplitOptionsT options;
    options.num_splits = 2;
    const int32_t axis = b_.Ints(Name("axis"), {}, {3});
    const int32_t first =
        b_.Op(schema::BuiltinOperator_SPLIT, Name("split"), {axis, x}, half, Options(options));
    const int32_t second = b_.Value(Name("second"), half);
    b_.graph().main().nodes.back().outputs = {first, second};
    return Same(schema::BuiltinOperator_MAXIMUM, "max", {first, second});
  }

  int32_t End(int32_t x) {
    const Shape s = b_.shape(x);
    switch (b_.random.Below(3)) {
      case 0:
        x = b_.Flatten(Name("flat"), x);
        break;
      case 1:
        x = b_.Op(schema::BuiltinOperator_MEAN, Name("mean"),
                  {x, b_.Ints(Name("axes"), {2}, {1, 2})}, {-1, s[3]},
                  Options(schema::ReducerOptionsT{}));
        break;
      default: {  // channels first, then flat
        const int32_t order = b_.Ints(Name("order"), {4}, {0, 3, 1, 2});
        x = b_.Op(schema::BuiltinOperator_TRANSPOSE, Name("nchw"), {x, order},
                  {-1, s[3], s[1], s[2]});
        x = b_.Flatten(Name("flat"), x);
        break;
      }
    }
    x = b_.Dense(Name("dense"), x, Even());
    if (b_.random.Below(2) == 0) {  // a decoder
      x = b_.Dense(Name("dense"), x, 3 * 3 * 4);
      x = b_.Op(schema::BuiltinOperator_RESHAPE, Name("picture"),
                {x, b_.Ints(Name("shape"), {4}, {-1, 3, 3, 4})}, {-1, 3, 3, 4});
      return b_.Conv(Name("last"), x, 3);
    }
    return b_.Softmax(Name("softmax"), b_.Dense(Name("logits"), x, 5, false));
  }

  NetworkBuilder b_;
  int count_ = 0;
};

TEST(CutChannels, ChannelsOfZerosChangeNothing) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    ExpectUnchangedByCutting(RandomNetwork(seed).Make(), seed);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST(CutChannels, TransposedConvolution) {
  NetworkBuilder b(1);
  int32_t x = b.Conv("conv", b.Input("x", {-1, 4, 4, 2}), 6);
  schema::TransposeConvOptionsT options;
  options.padding = schema::Padding_SAME;
  options.stride_h = options.stride_w = 2;
  x = b.Op(schema::BuiltinOperator_TRANSPOSE_CONV, "up",
           {b.Ints("shape", {4}, {1, 8, 8, 4}), b.Random("up/w", {4, 3, 3, 6}), x}, {1, 8, 8, 4},
           Options(options));
  b.Output(b.Conv("last", x, 3));
  Graph graph = b.graph();
  ExpectUnchangedByCutting(graph, 1);
  ASSERT_OK(CutChannels(0.5, &graph));
  EXPECT_EQ(Named(graph, "up/w").shape, Shape({2, 3, 3, 3}));
}

TEST(CutChannels, ResidualLayersLoseTheSameChannels) {
  NetworkBuilder b(2);
  const int32_t x = b.Conv("a", b.Input("x", {-1, 4, 4, 2}), 8);
  const int32_t y = b.Conv("b", x, 8, 3, schema::ActivationFunctionType_NONE);
  b.Output(b.Conv("c", b.Op(schema::BuiltinOperator_ADD, "add", {x, y}, {-1, 4, 4, 8}), 5));
  Graph graph = b.graph();
  ASSERT_OK(CutChannels(0.25, &graph));
  EXPECT_EQ(Named(graph, "a/w").shape, Shape({6, 3, 3, 2}));
  EXPECT_EQ(Named(graph, "b/w").shape, Shape({6, 3, 3, 6}));
  EXPECT_EQ(Named(graph, "c/w").shape, Shape({5, 3, 3, 6}));
}

TEST(CutChannels, RefusesNamingLayerAndReason) {
  NetworkBuilder b(3);
  int32_t x = b.Conv("stem", b.Input("x", {-1, 4, 4, 2}), 8);
  x = b.Op(schema::BuiltinOperator_DEPTH_TO_SPACE, "shuffle", {x}, {-1, 8, 8, 2}, [] {
    schema::DepthToSpaceOptionsT options;
    options.block_size = 2;
    return Options(options);
  }());
  b.Output(x);
  Graph graph = b.graph();
  const absl::Status status = CutChannels(0.5, &graph).status();
  EXPECT_THAT(std::string(Message(status)), HasSubstr("layer 'stem'"));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("DEPTH_TO_SPACE 'shuffle' (node 1)"));
  EXPECT_EQ(Named(graph, "stem/w").shape[0], 8);

  NetworkBuilder lone(4);
  lone.Output(lone.Dense("head", lone.Input("x", {-1, 6}), 4, false));
  Graph head = lone.graph();
  EXPECT_THAT(std::string(Message(CutChannels(0.5, &head).status())),
              HasSubstr("'head' must stay: they are the model's output"));
}

TEST(CutChannels, GroupedConvolutionsStayWhole) {
  NetworkBuilder b(5);
  const int32_t x = b.Conv("a", b.Input("x", {-1, 4, 4, 2}), 8);
  schema::Conv2DOptionsT options;
  options.padding = schema::Padding_SAME;
  options.stride_h = options.stride_w = 1;
  const int32_t y = b.Op(schema::BuiltinOperator_CONV_2D, "grouped",
                         {x, b.Random("g/w", {4, 3, 3, 4}), b.Random("g/b", {4})}, {-1, 4, 4, 4},
                         Options(options));
  b.Output(b.Conv("c", b.Conv("b", y, 6), 3));
  Graph graph = b.graph();
  ASSERT_OK_AND_ASSIGN(const std::vector<ChannelCut> cuts, CutChannels(0.5, &graph));
  EXPECT_EQ(cuts[0].after, 8);
  EXPECT_THAT(cuts[0].why, HasSubstr("grouped"));
  EXPECT_EQ(cuts[1].after, 4);
  EXPECT_EQ(cuts[2].after, 3);
}

}  // namespace
}  // namespace litesmith
