// Small graphs put together here: idioms, products, branches, loops, open sizes.

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "import/saved_model/saved_model.h"
#include "saved_model.pb.h"
#include "tests/run_graph.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

namespace pb = saved_model::proto;
using ::testing::ElementsAre;

constexpr int kFloat = 1, kInt = 3, kBool = 10;

// A SavedModel whose main graph computes the output "y" from the input "x".
class ModelBuilder {
 public:
  explicit ModelBuilder(const Shape& shape, int dtype = kFloat) {
    graph_ = model_.add_meta_graphs();
    graph_->mutable_meta_info_def()->add_tags("serve");
    auto& input = (*Signature().mutable_inputs())["x"];
    input.set_name("x:0");
    input.set_dtype(dtype);
    for (int32_t size : shape) input.mutable_tensor_shape()->add_dim()->set_size(size);
    Add("x", "Placeholder", {});
  }

  pb::Node& Add(const std::string& name, const std::string& op,
                const std::vector<std::string>& inputs) {
    return AddTo(graph_->mutable_graph_def()->mutable_node(), name, op, inputs);
  }
  static pb::Node& AddTo(google::protobuf::RepeatedPtrField<pb::Node>* nodes,
                         const std::string& name, const std::string& op,
                         const std::vector<std::string>& inputs) {
    pb::Node& node = *nodes->Add();
    node.set_name(name);
    node.set_op(op);
    for (const std::string& input : inputs) node.add_input(input);
    return node;
  }
  static void SetInts(pb::Node* node, const Shape& shape, const std::vector<int32_t>& values) {
    auto* tensor = (*node->mutable_attr())["value"].mutable_tensor();
    tensor->set_dtype(kInt);
    for (int32_t size : shape) tensor->mutable_tensor_shape()->add_dim()->set_size(size);
    for (int32_t value : values) tensor->add_int_val(value);
  }
  void Ints(const std::string& name, const Shape& shape, const std::vector<int32_t>& values) {
    SetInts(&Add(name, "Const", {}), shape, values);
  }
  void Float(const std::string& name, float value) {
    auto* tensor = (*Add(name, "Const", {}).mutable_attr())["value"].mutable_tensor();
    tensor->set_dtype(kFloat);
    tensor->add_float_val(value);
  }
  pb::FunctionDef& Function(const std::string& name, const std::vector<std::string>& arguments,
                            const std::vector<std::string>& results) {
    auto& f = *graph_->mutable_graph_def()->mutable_library()->add_function();
    f.mutable_signature()->set_name(name);
    for (const auto& argument : arguments)
      f.mutable_signature()->add_input_arg()->set_name(argument);
    for (size_t i = 0; i < results.size(); ++i) {
      const std::string result = "r" + std::to_string(i);
      f.mutable_signature()->add_output_arg()->set_name(result);
      (*f.mutable_ret())[result] = results[i];
    }
    return f;
  }
  absl::StatusOr<Graph> Import(const std::string& output = "y:0") {
    (*Signature().mutable_outputs())["y"].set_name(output);
    const std::string bytes = model_.SerializeAsString();
    saved_model::Files files;
    files.model = std::as_bytes(std::span(bytes));
    Context context;
    context.memory_budget = uint64_t{64} << 20;  // ends endless loops soon
    return saved_model::ParseSavedModel(files, "", context);
  }

 private:
  pb::Signature& Signature() { return (*graph_->mutable_signature_def())["serving_default"]; }

  pb::SavedModel model_;
  pb::MetaGraph* graph_ = nullptr;
};

std::vector<std::string> Operators(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.main().nodes) names.push_back(OperatorName(node));
  return names;
}

Array Floats(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  Array array = Array::Zeros(ElementType::kFloat32, shape);
  std::copy(values.begin(), values.end(), array.mutable_data<float>().begin());
  return array;
}

void ExpectValues(const Graph& graph, const Array& x, const std::vector<float>& expected) {
  ASSERT_OK_AND_ASSIGN(const auto y, testing::RunGraph(graph, {x}));
  ASSERT_EQ(y.size(), 1u);
  const auto values = y[0].data<float>();
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-5f) << i;
}

// 0.5 * x * (1 + erf(x / sqrt 2)), and by erfc as TensorFlow 2.21 writes it.
TEST(SavedModelIdioms, Gelu) {
  ModelBuilder a({-1, 4});
  a.Float("half", 0.5f);
  a.Float("one", 1.0f);
  a.Float("root", std::sqrt(2.0f));
  a.Add("hx", "Mul", {"half", "x"});
  a.Add("u", "RealDiv", {"x", "root"});
  a.Add("e", "Erf", {"u"});
  a.Add("s", "AddV2", {"one", "e"});
  a.Add("y", "Mul", {"hx", "s"});
  ASSERT_OK_AND_ASSIGN(const Graph by_erf, a.Import());
  EXPECT_THAT(Operators(by_erf), ElementsAre("GELU"));
  ModelBuilder b({-1, 4});
  b.Float("half", 0.5f);
  b.Float("root", std::sqrt(0.5f));
  b.Add("hx", "Mul", {"half", "x"});
  b.Add("minus", "Neg", {"x"});
  b.Add("u", "Mul", {"minus", "root"});
  b.Add("e", "Erfc", {"u"});
  b.Add("y", "Mul", {"hx", "e"});
  ASSERT_OK_AND_ASSIGN(const Graph by_erfc, b.Import());
  EXPECT_THAT(Operators(by_erfc), ElementsAre("GELU"));
  // Another factor is no GELU.
  ModelBuilder c({-1, 4});
  c.Float("half", 0.7f);
  c.Add("hx", "Mul", {"half", "x"});
  c.Add("e", "Erfc", {"x"});
  c.Add("y", "Mul", {"hx", "e"});
  ASSERT_OK_AND_ASSIGN(const Graph other, c.Import());
  EXPECT_GT(other.main().nodes.size(), 4u);
  std::vector<float> expected;
  const std::vector<float> x = {-3.0f, -0.5f, 0.0f, 1.25f};
  for (float v : x) expected.push_back(0.7f * v * std::erfc(v));
  ExpectValues(other, Floats({1, 4}, x), expected);
}

TEST(SavedModelIdioms, HardSwishAndLeakyRelu) {
  ModelBuilder a({-1, 4});
  a.Float("three", 3.0f);
  a.Float("six", 6.0f);
  a.Add("s", "AddV2", {"x", "three"});
  a.Add("r", "Relu6", {"s"});
  a.Add("p", "Mul", {"x", "r"});
  a.Add("y", "RealDiv", {"p", "six"});
  ASSERT_OK_AND_ASSIGN(const Graph swish, a.Import());
  EXPECT_THAT(Operators(swish), ElementsAre("HARD_SWISH"));
  ModelBuilder b({-1, 4});
  b.Float("slope", 0.3f);
  b.Add("p", "Mul", {"slope", "x"});
  b.Add("y", "Maximum", {"x", "p"});
  ASSERT_OK_AND_ASSIGN(const Graph leaky, b.Import());
  EXPECT_THAT(Operators(leaky), ElementsAre("LEAKY_RELU"));
  ExpectValues(leaky, Floats({1, 4}, {-2, -1, 0, 3}), {-0.6f, -0.3f, 0, 3});
}

// A reshape by the batch's size is one RESHAPE; what stays open is computed while the model runs.
TEST(SavedModelShapes, OpenBatch) {
  ModelBuilder a({-1, 2, 3});
  a.Ints("zero", {1}, {0});
  a.Ints("one", {1}, {1});
  a.Ints("six", {}, {6});
  a.Add("shape", "Shape", {"x"});
  (*a.Add("batch", "StridedSlice", {"shape", "zero", "one", "one"})
        .mutable_attr())["shrink_axis_mask"]
      .set_i(1);
  a.Add("target", "Pack", {"batch", "six"});
  a.Add("y", "Reshape", {"x", "target"});
  ASSERT_OK_AND_ASSIGN(const Graph graph, a.Import());
  EXPECT_THAT(Operators(graph), ElementsAre("RESHAPE"));
  const Tensor& y = graph.main().tensors[static_cast<size_t>(graph.main().outputs[0])];
  EXPECT_EQ(y.shape_signature, (Shape{-1, 6}));
  ModelBuilder b({-1, 2});
  b.Float("two", 2.0f);
  b.Add("shape", "Shape", {"x"});
  b.Add("y", "Fill", {"shape", "two"});
  ASSERT_OK_AND_ASSIGN(const Graph fill, b.Import());
  EXPECT_THAT(Operators(fill), ElementsAre("SHAPE", "FILL"));
  ExpectValues(fill, Floats({3, 2}, {1, 2, 3, 4, 5, 6}), {2, 2, 2, 2, 2, 2});
}

// The number of rounds depends on a counter alone: three products.
TEST(SavedModelLoops, KnownRoundsAreUnrolled) {
  ModelBuilder a({-1, 2});
  auto& cond = a.Function("cond", {"i", "v"}, {"less:z:0"});
  ModelBuilder::SetInts(&ModelBuilder::AddTo(cond.mutable_node_def(), "n", "Const", {}), {}, {3});
  ModelBuilder::AddTo(cond.mutable_node_def(), "less", "Less", {"i", "n:output:0"});
  auto& body = a.Function("body", {"i", "v"}, {"next:z:0", "p:z:0"});
  ModelBuilder::SetInts(&ModelBuilder::AddTo(body.mutable_node_def(), "n", "Const", {}), {}, {1});
  ModelBuilder::AddTo(body.mutable_node_def(), "next", "AddV2", {"i", "n:output:0"});
  ModelBuilder::AddTo(body.mutable_node_def(), "p", "Mul", {"v", "v"});
  a.Ints("zero", {}, {0});
  auto& loop = a.Add("loop", "While", {"zero", "x"});
  (*loop.mutable_attr())["cond"].mutable_func()->set_name("cond");
  (*loop.mutable_attr())["body"].mutable_func()->set_name("body");
  ASSERT_OK_AND_ASSIGN(const Graph graph, a.Import("loop:1"));
  EXPECT_THAT(Operators(graph), ElementsAre("MUL", "MUL", "MUL"));
  ExpectValues(graph, Floats({1, 2}, {1.1f, -0.9f}), {std::pow(1.1f, 8.0f), std::pow(0.9f, 8.0f)});
}

TEST(SavedModelLoops, ConditionOnTheInputIsRefused) {
  ModelBuilder a({1}, kBool);
  a.Function("cond", {"v"}, {"v"});
  a.Function("body", {"v"}, {"v"});
  auto& loop = a.Add("y", "While", {"x"});
  (*loop.mutable_attr())["cond"].mutable_func()->set_name("cond");
  (*loop.mutable_attr())["body"].mutable_func()->set_name("body");
  const auto graph = a.Import();
  ASSERT_FALSE(graph.ok());
  EXPECT_THAT(std::string(Message(graph.status())),
              ::testing::AllOf(::testing::HasSubstr("While 'y'"),
                               ::testing::HasSubstr("number of its rounds")));
}

TEST(SavedModelLoops, EndlessLoopsAndCallsEnd) {
  ModelBuilder b({1});
  auto& f = b.Function("f", {"v"}, {"call:output:0"});
  (*ModelBuilder::AddTo(f.mutable_node_def(), "call", "PartitionedCall", {"v"}).mutable_attr())["f"]
      .mutable_func()
      ->set_name("f");
  (*b.Add("y", "PartitionedCall", {"x"}).mutable_attr())["f"].mutable_func()->set_name("f");
  EXPECT_THAT(std::string(Message(b.Import().status())), ::testing::HasSubstr("without end"));
  ModelBuilder c({1});
  auto& cond = c.Function("cond", {"v"}, {"t:output:0"});
  auto& t = ModelBuilder::AddTo(cond.mutable_node_def(), "t", "Const", {});
  auto* tensor = (*t.mutable_attr())["value"].mutable_tensor();
  tensor->set_dtype(kBool);
  tensor->add_bool_val(true);
  auto& body = c.Function("body", {"v"}, {"n:y:0"});
  ModelBuilder::AddTo(body.mutable_node_def(), "n", "Identity", {"v"});
  auto& loop = c.Add("y", "While", {"x"});
  (*loop.mutable_attr())["cond"].mutable_func()->set_name("cond");
  (*loop.mutable_attr())["body"].mutable_func()->set_name("body");
  EXPECT_THAT(std::string(Message(c.Import().status())), ::testing::HasSubstr("too large"));
}

TEST(SavedModelEinsum, AgainstPlainLoops) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // [2, 2, 3]
  const auto at = [&](size_t b, size_t i, size_t j) { return x[6 * b + 3 * i + j]; };
  const auto run = [&](const std::string& equation, const std::vector<float>& expected) {
    ModelBuilder a({-1, 2, 3});
    (*a.Add("y", "Einsum", {"x", "x"}).mutable_attr())["equation"].set_s(equation);
    const auto graph = a.Import();
    ASSERT_TRUE(graph.ok()) << equation << ": " << graph.status();
    SCOPED_TRACE(equation);
    ExpectValues(*graph, Floats({2, 2, 3}, x), expected);
  };
  std::vector<float> products, sums, elements;
  for (size_t b = 0; b < 2; ++b) {
    for (size_t i = 0; i < 2; ++i) {
      float sum = 0;
      for (size_t j = 0; j < 3; ++j) {
        elements.push_back(at(b, i, j) * at(b, i, j));
        sum += at(b, i, j) * at(b, i, j);
      }
      sums.push_back(sum);
      for (size_t k = 0; k < 2; ++k) {
        float product = 0;
        for (size_t j = 0; j < 3; ++j) product += at(b, i, j) * at(b, k, j);
        products.push_back(product);
      }
    }
  }
  run("bij,bkj->bik", products);
  run("bij,bij->bi", sums);
  run("bij,bij->bij", elements);
  run("...ij,...kj->...ik", products);
}

// An output that is the input, another output or a constant.
// Each against values worked out by hand.
TEST(SavedModelMovement, RollBucketizeCumprodTan) {
  const Array x = Floats({1, 4}, {1, -2, 3, 0.5f});
  ModelBuilder roll({-1, 4});
  roll.Ints("shift", {1}, {-3});
  roll.Ints("axis", {1}, {-1});
  roll.Add("y", "Roll", {"x", "shift", "axis"});
  ASSERT_OK_AND_ASSIGN(const Graph rolled, roll.Import());
  ExpectValues(rolled, x, {0.5f, 1, -2, 3});

  ModelBuilder open({-1, 4});
  open.Ints("one", {1}, {1});
  open.Ints("axis", {1}, {0});
  open.Add("y", "Roll", {"x", "one", "axis"});
  EXPECT_THAT(std::string(Message(open.Import().status())), ::testing::HasSubstr("open dimension"));

  ModelBuilder bucket({-1, 4});
  auto& bounds =
      *(*bucket.Add("b", "Bucketize", {"x"}).mutable_attr())["boundaries"].mutable_list();
  for (const float bound : {-1.0f, 0.5f, 2.0f}) bounds.add_f(bound);
  (*bucket.Add("y", "Cast", {"b"}).mutable_attr())["DstT"].set_type(kFloat);
  ASSERT_OK_AND_ASSIGN(const Graph counted, bucket.Import());
  ExpectValues(counted, x, {2, 0, 3, 2});

  for (const bool exclusive : {false, true}) {
    for (const bool reverse : {false, true}) {
      ModelBuilder product({-1, 4});
      product.Ints("axis", {}, {1});
      auto& attributes = *product.Add("y", "Cumprod", {"x", "axis"}).mutable_attr();
      attributes["exclusive"].set_b(exclusive);
      attributes["reverse"].set_b(reverse);
      ASSERT_OK_AND_ASSIGN(const Graph graph, product.Import());
      std::vector<float> want = {1, -2, -6, -3};
      if (exclusive) want = {1, 1, -2, -6};
      if (reverse)
        want = exclusive ? std::vector<float>{-3, 1.5f, 0.5f, 1}
                         : std::vector<float>{-3, -3, 1.5f, 0.5f};
      ExpectValues(graph, x, want);
    }
  }

  ModelBuilder angles({-1, 4});
  angles.Add("t", "Tan", {"x"});
  angles.Add("s", "Sinh", {"x"});
  angles.Add("c", "Cosh", {"x"});
  angles.Add("ts", "AddV2", {"t", "s"});
  angles.Add("y", "AddV2", {"ts", "c"});
  ASSERT_OK_AND_ASSIGN(const Graph summed, angles.Import());
  std::vector<float> sums;
  for (const float v : x.data<float>()) sums.push_back(std::tan(v) + std::exp(v));
  ExpectValues(summed, x, sums);
}

// Both ends of the window count, as in TensorFlow.
TEST(SavedModelElementwise, LocalResponseNormalization) {
  for (const float beta : {0.5f, 0.75f}) {
    ModelBuilder model({-1, 5});
    auto& attributes = *model.Add("y", "LRN", {"x"}).mutable_attr();
    attributes["depth_radius"].set_i(1);
    attributes["bias"].set_f(2);
    attributes["alpha"].set_f(0.5f);
    attributes["beta"].set_f(beta);
    ASSERT_OK_AND_ASSIGN(const Graph graph, model.Import());
    const std::vector<float> x = {1, -2, 3, 0.5f, 4};
    std::vector<float> want;
    for (size_t i = 0; i < x.size(); ++i) {
      float sum = x[i] * x[i];
      if (i > 0) sum += x[i - 1] * x[i - 1];
      if (i + 1 < x.size()) sum += x[i + 1] * x[i + 1];
      want.push_back(x[i] / std::pow(2 + 0.5f * sum, beta));
    }
    ExpectValues(graph, Floats({1, 5}, x), want);
  }
}

// A variable that is read and changed: the reason is given, and not what fails on the way.
TEST(SavedModelState, IsRefused) {
  ModelBuilder model({-1, 4});
  model.Add("v", "VarHandleOp", {});
  (*model.Add("y", "PartitionedCall", {"x", "v"}).mutable_attr())["f"].mutable_func()->set_name(
      "step");
  auto& f = model.Function("step", {"a", "handle"}, {"sum:z:0"});
  ModelBuilder::AddTo(f.mutable_node_def(), "change", "AssignAddVariableOp", {"handle", "a"});
  ModelBuilder::AddTo(f.mutable_node_def(), "read", "ReadVariableOp", {"handle", "^change"});
  ModelBuilder::AddTo(f.mutable_node_def(), "sum", "AddV2", {"a", "read:value:0"});
  EXPECT_THAT(std::string(Message(model.Import().status())),
              ::testing::AllOf(::testing::HasSubstr("keeps a state"),
                               ::testing::HasSubstr("stateful=False")));
}

TEST(SavedModelOutputs, CopiesOfTheInput) {
  ModelBuilder a({-1, 2});
  a.Add("y", "Identity", {"x"});
  ASSERT_OK_AND_ASSIGN(const Graph graph, a.Import());
  ExpectValues(graph, Floats({2, 2}, {1, 2, 3, 4}), {1, 2, 3, 4});
}

// ---- Channels first

void SetFloats(ModelBuilder* model, const std::string& name, const Shape& shape,
               const std::vector<float>& values) {
  auto* tensor = (*model->Add(name, "Const", {}).mutable_attr())["value"].mutable_tensor();
  tensor->set_dtype(kFloat);
  for (int32_t size : shape) tensor->mutable_tensor_shape()->add_dim()->set_size(size);
  for (float value : values) tensor->add_float_val(value);
}

void SetWindow(pb::Node* node, bool first, const char* padding) {
  auto& attr = *node->mutable_attr();
  attr["data_format"].set_s(first ? "NCHW" : "NHWC");
  attr["padding"].set_s(padding);
  const std::vector<int64_t> sizes =
      first ? std::vector<int64_t>{1, 1, 2, 1} : std::vector<int64_t>{1, 2, 1, 1};
  for (int64_t size : sizes) attr["strides"].mutable_list()->add_i(size);
  if (node->op() != "MaxPool") return;
  for (int64_t size : sizes) attr["ksize"].mutable_list()->add_i(size);
}

// A convolution, its bias, a normalisation and pooling over [N, 2, 5, 6] or [N, 5, 6, 2].
Graph Convolutional(bool first) {
  ModelBuilder a(first ? Shape{-1, 2, 5, 6} : Shape{-1, 5, 6, 2});
  std::vector<float> filter(3 * 2 * 2 * 3);
  for (size_t i = 0; i < filter.size(); ++i) filter[i] = std::sin(static_cast<float>(i));
  SetFloats(&a, "filter", {3, 2, 2, 3}, filter);
  SetFloats(&a, "bias", {3}, {0.5f, -0.25f, 1.0f});
  SetFloats(&a, "scale", {3}, {1.5f, 0.5f, 2.0f});
  SetFloats(&a, "mean", {3}, {0.1f, 0.2f, 0.3f});
  SetFloats(&a, "variance", {3}, {1.0f, 2.0f, 0.5f});
  SetWindow(&a.Add("conv", "Conv2D", {"x", "filter"}), first, "SAME");
  const char* const format = first ? "NCHW" : "NHWC";
  (*a.Add("sum", "BiasAdd", {"conv", "bias"}).mutable_attr())["data_format"].set_s(format);
  auto& norm = a.Add("norm", "FusedBatchNormV3", {"sum", "scale", "bias", "mean", "variance"});
  (*norm.mutable_attr())["data_format"].set_s(format);
  (*norm.mutable_attr())["is_training"].set_b(false);
  SetWindow(&a.Add("y", "MaxPool", {"norm"}), first, "VALID");
  auto graph = a.Import();
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : Graph();
}

TEST(SavedModelLayout, ChannelsFirst) {
  const Graph first = Convolutional(true), last = Convolutional(false);
  // Only what comes in and goes out is transposed.
  EXPECT_THAT(Operators(first),
              ElementsAre("TRANSPOSE", "CONV_2D", "ADD", "MUL", "ADD", "MAX_POOL_2D", "TRANSPOSE"));
  Array x = Array::Zeros(ElementType::kFloat32, {2, 2, 5, 6});
  Array moved = Array::Zeros(ElementType::kFloat32, {2, 5, 6, 2});
  const auto from = x.mutable_data<float>();
  const auto to = moved.mutable_data<float>();
  for (size_t i = 0; i < from.size(); ++i) {
    from[i] = std::cos(static_cast<float>(i));
    to[i / 60 * 60 + i % 30 * 2 + i / 30 % 2] = from[i];
  }
  ASSERT_OK_AND_ASSIGN(const auto y, testing::RunGraph(first, {x}));
  ASSERT_OK_AND_ASSIGN(const auto z, testing::RunGraph(last, {moved}));
  ASSERT_EQ(y[0].shape, (std::vector<int64_t>{2, 3, 1, 6}));
  ASSERT_EQ(z[0].shape, (std::vector<int64_t>{2, 1, 6, 3}));
  for (size_t i = 0; i < y[0].data<float>().size(); ++i) {
    EXPECT_EQ(y[0].data<float>()[i], z[0].data<float>()[i / 18 * 18 + i % 6 * 3 + i / 6 % 3]) << i;
  }
}

TEST(SavedModelElementwise, NotNumbersAndInfinities) {
  const float inf = std::numeric_limits<float>::infinity();
  const Array x = Floats({1, 5}, {std::nanf(""), inf, -inf, 2.5f, -3.5f});
  for (const auto& [op, want] : std::map<std::string, std::vector<float>>{
           {"IsNan", {1, 0, 0, 0, 0}}, {"IsInf", {0, 1, 1, 0, 0}}, {"IsFinite", {0, 0, 0, 1, 1}}}) {
    ModelBuilder model({-1, 5});
    model.Add("is", op, {"x"});
    (*model.Add("y", "Cast", {"is"}).mutable_attr())["DstT"].set_type(kFloat);
    ASSERT_OK_AND_ASSIGN(const Graph graph, model.Import());
    ExpectValues(graph, x, want);
  }
  ModelBuilder rounded({-1, 3});
  rounded.Add("y", "Rint", {"x"});
  ASSERT_OK_AND_ASSIGN(const Graph graph, rounded.Import());
  ExpectValues(graph, Floats({1, 3}, {2.5f, -3.5f, 0.7f}), {2, -4, 1});
}

// With the statistics of the input itself, as in Keras 2's LayerNormalization.
TEST(SavedModelLayout, NormalizationInTrainingMode) {
  const std::vector<float> x = {1, 2, 4, -3, 0.5f, 6, 7, -2, 3, 1, 0, 5};
  for (const bool first : {false, true}) {
    for (const bool plain : {false, true}) {
      ModelBuilder model(first ? Shape{2, 2, 3, 1} : Shape{2, 3, 1, 2});
      const std::vector<float> scale = plain ? std::vector<float>{1, 1} : std::vector<float>{2, -3};
      const std::vector<float> offset = plain ? std::vector<float>(2) : std::vector<float>{0.5f, 1};
      if (plain) {
        model.Ints("count", {1}, {2});
        model.Float("one", 1.0f);
        model.Add("scale", "Fill", {"count", "one"});
      } else {
        SetFloats(&model, "scale", {2}, scale);
      }
      SetFloats(&model, "offset", {2}, offset);
      SetFloats(&model, "none", {0}, {});
      auto& attr = *model.Add("y", "FusedBatchNormV3", {"x", "scale", "offset", "none", "none"})
                        .mutable_attr();
      attr["data_format"].set_s(first ? "NCHW" : "NHWC");
      attr["is_training"].set_b(true);
      attr["epsilon"].set_f(0.01f);
      ASSERT_OK_AND_ASSIGN(const Graph graph, model.Import());
      const auto channel = [&](size_t i) { return first ? i / 3 % 2 : i % 2; };
      double sum[2] = {}, square[2] = {};
      for (size_t i = 0; i < x.size(); ++i) sum[channel(i)] += x[i] / 6;
      for (size_t i = 0; i < x.size(); ++i) {
        square[channel(i)] += std::pow(x[i] - sum[channel(i)], 2) / 6;
      }
      std::vector<float> want;
      for (size_t i = 0; i < x.size(); ++i) {
        const size_t k = channel(i);
        want.push_back(static_cast<float>((x[i] - sum[k]) / std::sqrt(square[k] + 0.01) * scale[k] +
                                          offset[k]));
      }
      const std::vector<int64_t> shape =
          first ? std::vector<int64_t>{2, 2, 3, 1} : std::vector<int64_t>{2, 3, 1, 2};
      ExpectValues(graph, Floats(shape, x), want);
    }
  }
}

// The gradient of a convolution of volumes by its input, from the definition.
struct Volume {
  int64_t in, kernel, stride, out;
  bool same;
};
std::vector<float> TransposedVolume(const Volume& v, int64_t channels, int64_t filters,
                                    const std::vector<float>& x, const std::vector<float>& w) {
  std::vector<float> y(v.out * v.out * v.out * filters);
  const int64_t total = std::max<int64_t>((v.in - 1) * v.stride + v.kernel - v.out, 0);
  const int64_t before = v.same ? total / 2 : 0;
  const auto split = [](int64_t i, int64_t n) { return std::array{i / n / n, i / n % n, i % n}; };
  for (int64_t i = 0; i < v.in * v.in * v.in; ++i) {
    for (int64_t k = 0; k < v.kernel * v.kernel * v.kernel; ++k) {
      const auto from = split(i, v.in), place = split(k, v.kernel);
      int64_t to = 0;
      bool inside = true;
      for (size_t d = 0; d < 3; ++d) {
        const int64_t at = from[d] * v.stride + place[d] - before;
        inside = inside && at >= 0 && at < v.out;
        to = to * v.out + at;
      }
      for (int64_t f = 0; inside && f < filters; ++f) {
        for (int64_t c = 0; c < channels; ++c) {
          y[to * filters + f] += x[i * channels + c] * w[(k * filters + f) * channels + c];
        }
      }
    }
  }
  return y;
}

std::vector<float> Waves(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i * i));
  return values;
}

TEST(SavedModelVolumes, TransposedConvolution) {
  constexpr int64_t kChannels = 2, kFilters = 3;
  for (const Volume& v :
       {Volume{3, 3, 2, 6, true}, Volume{3, 3, 2, 7, false}, Volume{2, 1, 3, 6, false},
        Volume{3, 2, 1, 3, true}, Volume{2, 3, 2, 3, true}, Volume{2, 2, 3, 5, false}}) {
    const auto size = static_cast<int32_t>(v.in), kernel = static_cast<int32_t>(v.kernel);
    const auto out = static_cast<int32_t>(v.out);
    ModelBuilder model({1, size, size, size, kChannels});
    const auto w = Waves(kernel * kernel * kernel * kFilters * kChannels);
    SetFloats(&model, "w", {kernel, kernel, kernel, kFilters, kChannels}, w);
    model.Ints("sizes", {5}, {1, out, out, out, kFilters});
    auto& attr = *model.Add("y", "Conv3DBackpropInputV2", {"sizes", "w", "x"}).mutable_attr();
    attr["padding"].set_s(v.same ? "SAME" : "VALID");
    for (const int64_t stride : {int64_t{1}, v.stride, v.stride, v.stride, int64_t{1}}) {
      attr["strides"].mutable_list()->add_i(stride);
    }
    ASSERT_OK_AND_ASSIGN(const Graph graph, model.Import());
    const auto x = Waves(size * size * size * kChannels);
    ExpectValues(graph, Floats({1, size, size, size, kChannels}, x),
                 TransposedVolume(v, kChannels, kFilters, x, w));
  }
}

}  // namespace
}  // namespace litesmith
