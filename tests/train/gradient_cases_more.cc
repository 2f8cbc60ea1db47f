// Unary functions, binary ones without a kernel of their own gradient, matrices, and what moves
// data.

#include <utility>

#include "ops/batch_normalize.h"
#include "tests/train/gradient_cases.h"

namespace litesmith::testing {
namespace {

using schema::ActivationFunctionType;
using schema::BuiltinOperator;
using Ints = std::vector<int32_t>;

GradientCase Unary(const std::string& name, BuiltinOperator op, Options options = {},
                   float low = -2.0f) {
  return {name,
          [=](GraphBuilder* b) {
            return b->Op(op, "y", {Spread(b, "x", {3, 17}, 10, low)}, {3, 17}, options);
          },
          1e-3};
}

void AddUnary(std::vector<GradientCase>* cases) {
  cases->push_back(Unary("LOG_SOFTMAX", schema::BuiltinOperator_LOG_SOFTMAX));
  cases->push_back(Unary("L2_NORMALIZATION", schema::BuiltinOperator_L2_NORMALIZATION));
  cases->push_back(Unary("ABS", schema::BuiltinOperator_ABS));
  cases->push_back(Unary("COS", schema::BuiltinOperator_COS));
  cases->push_back(Unary("ELU", schema::BuiltinOperator_ELU));
  cases->push_back(Unary("EXP", schema::BuiltinOperator_EXP));
  schema::GeluOptionsT gelu;
  cases->push_back(Unary("GELU exact", schema::BuiltinOperator_GELU, Options(gelu)));
  gelu.approximate = true;
  cases->push_back(Unary("GELU approximate", schema::BuiltinOperator_GELU, Options(gelu)));
  cases->push_back(Unary("HARD_SWISH low", schema::BuiltinOperator_HARD_SWISH, {}, -4.01f));
  cases->push_back(Unary("HARD_SWISH high", schema::BuiltinOperator_HARD_SWISH, {}, 0.49f));
  cases->push_back(Unary("LOG", schema::BuiltinOperator_LOG, {}, 0.3f));
  cases->push_back(Unary("NEG", schema::BuiltinOperator_NEG));
  cases->push_back(Unary("RSQRT", schema::BuiltinOperator_RSQRT, {}, 0.3f));
  cases->push_back(Unary("SIN", schema::BuiltinOperator_SIN));
  cases->push_back(Unary("SQRT", schema::BuiltinOperator_SQRT, {}, 0.3f));
  cases->push_back(Unary("SQUARE", schema::BuiltinOperator_SQUARE));
}

GradientCase Binary(const std::string& name, BuiltinOperator op, Shape a, Shape b_shape, Shape out,
                    Options options, float low) {
  return {name,
          [=](GraphBuilder* b) {
            const int32_t x = Spread(b, "a", a, 8, low),
                          y = Spread(b, "b", b_shape, 9, low + 0.48f);
            return b->Op(op, "y", {x, y}, out, options);
          },
          1e-3};
}

void AddBinary(std::vector<GradientCase>* cases) {
  const auto both = [&](const std::string& name, BuiltinOperator op, Options options, float low) {
    cases->push_back(Binary(name + " row", op, {3, 5}, {5}, {3, 5}, options, low));
    cases->push_back(Binary(name + " both", op, {2, 1, 3}, {4, 1}, {2, 4, 3}, options, low));
  };
  schema::DivOptionsT div;
  both("DIV", schema::BuiltinOperator_DIV, Options(div), 0.5f);
  div.fused_activation_function = schema::ActivationFunctionType_RELU6;
  both("DIV relu6", schema::BuiltinOperator_DIV, Options(div), 0.5f);
  both("MAXIMUM", schema::BuiltinOperator_MAXIMUM, {}, -2.0f);
  both("MINIMUM", schema::BuiltinOperator_MINIMUM, {}, -2.0f);
  both("POW", schema::BuiltinOperator_POW, {}, 0.2f);
  both("SQUARED_DIFFERENCE", schema::BuiltinOperator_SQUARED_DIFFERENCE, {}, -2.0f);
  cases->push_back({"PRELU", [](GraphBuilder* b) {
                      const int32_t x = Spread(b, "x", {2, 2, 2, 3}, 30);
                      return b->Op(schema::BuiltinOperator_PRELU, "y",
                                   {x, Small(b, "alpha", {1, 1, 3}, 31)}, {2, 2, 2, 3});
                    }});
}

GradientCase Select(const std::string& name, BuiltinOperator op, Shape condition,
                    std::vector<uint8_t> values, Shape x, Shape y, Shape out) {
  return {name, [=](GraphBuilder* b) {
            const int32_t c = b->Value("c", condition, schema::TensorType_BOOL);
            b->graph().main().tensors[static_cast<size_t>(c)].data = Blob::Of(values);
            return b->Op(op, "out", {c, Small(b, "x", x, 32), Small(b, "y", y, 33)}, out);
          }};
}

GradientCase BatchMatMul(Shape x, Shape y, Shape out, bool adj_x, bool adj_y) {
  return {std::string("BATCH_MATMUL") + (adj_x ? " adj_x" : "") + (adj_y ? " adj_y" : ""),
          [=](GraphBuilder* b) {
            schema::BatchMatMulOptionsT options;
            options.adj_x = adj_x;
            options.adj_y = adj_y;
            return b->Op(schema::BuiltinOperator_BATCH_MATMUL, "out",
                         {Small(b, "x", x, 34), Small(b, "y", y, 35)}, out, Options(options));
          }};
}

GradientCase TransposeConv(const std::string& name, bool same, int stride, bool bias,
                           ActivationFunctionType activation) {
  return {"TRANSPOSE_CONV " + name,
          [=](GraphBuilder* b) {
            const int out = same ? 3 * stride : 2 * stride + 3;
            schema::TransposeConvOptionsT options;
            options.padding = same ? schema::Padding_SAME : schema::Padding_VALID;
            options.stride_h = options.stride_w = stride;
            options.fused_activation_function = activation;
            Ints inputs = {b->Ints("shape", {4}, {2, out, out, 4}), Small(b, "w", {4, 3, 3, 2}, 36),
                           Small(b, "x", {2, 3, 3, 2}, 37)};
            if (bias) inputs.push_back(b->Ramp("b", {4}, -0.2f, 0.15f));
            return b->Op(schema::BuiltinOperator_TRANSPOSE_CONV, "y", inputs, {2, out, out, 4},
                         Options(options));
          },
          activation == schema::ActivationFunctionType_NONE ? 1e-2 : 1e-4};
}

void AddMatrices(std::vector<GradientCase>* cases) {
  cases->push_back(BatchMatMul({2, 3, 4}, {2, 4, 5}, {2, 3, 5}, false, false));
  cases->push_back(BatchMatMul({2, 4, 3}, {4, 5}, {2, 3, 5}, true, false));
  cases->push_back(BatchMatMul({3, 4}, {2, 1, 5, 4}, {2, 1, 3, 5}, false, true));
  cases->push_back(BatchMatMul({2, 1, 4, 3}, {1, 3, 5, 4}, {2, 3, 3, 5}, true, true));
  cases->push_back(TransposeConv("same", true, 2, true, schema::ActivationFunctionType_NONE));
  cases->push_back(TransposeConv("valid", false, 1, false, schema::ActivationFunctionType_NONE));
  cases->push_back(TransposeConv("relu", false, 2, true, schema::ActivationFunctionType_RELU));
}

// One node with integer operands behind its float input.
GradientCase Move(const std::string& name, BuiltinOperator op, Shape x,
                  std::vector<std::pair<Shape, Ints>> integers, Shape out, Options options = {}) {
  return {name, [=](GraphBuilder* b) {
            Ints inputs = {Small(b, "x", x, 40)};
            for (const auto& [shape, values] : integers) {
              inputs.push_back(b->Ints("i" + std::to_string(inputs.size()), shape, values));
            }
            return b->Op(op, "y", inputs, out, options);
          }};
}

// A 2x6 input cut along its last dimension; the gradient starts from the last part.
GradientCase Cut(const std::string& name, BuiltinOperator op, Ints sizes, Options options) {
  return {name, [=](GraphBuilder* b) {
            const int32_t x = Small(b, "x", {2, 6}, 41);
            Ints inputs = {x};
            if (op == schema::BuiltinOperator_SPLIT) inputs = {b->Ints("axis", {}, {1}), x};
            if (op == schema::BuiltinOperator_SPLIT_V) {
              inputs = {x, b->Ints("sizes", {static_cast<int32_t>(sizes.size())}, sizes),
                        b->Ints("axis", {}, {1})};
            }
            const bool unpack = op == schema::BuiltinOperator_UNPACK;
            b->Op(op, "y", inputs, unpack ? Shape{2} : Shape{2, sizes[0]}, options);
            Node& node = b->graph().main().nodes.back();
            for (size_t i = 1; i < sizes.size(); ++i) {
              node.outputs.push_back(
                  b->Value("y" + std::to_string(i), unpack ? Shape{2} : Shape{2, sizes[i]}));
            }
            return node.outputs.back();
          }};
}

void AddMoves(std::vector<GradientCase>* cases) {
  const auto add = [&](GradientCase c) { cases->push_back(std::move(c)); };
  add(Move("TRANSPOSE", schema::BuiltinOperator_TRANSPOSE, {2, 3, 4}, {{{3}, {2, 0, 1}}},
           {4, 2, 3}));
  add(Move("REVERSE_V2", schema::BuiltinOperator_REVERSE_V2, {2, 3}, {{{1}, {1}}}, {2, 3}));
  schema::MirrorPadOptionsT mirror;
  mirror.mode = schema::MirrorPadMode_REFLECT;
  add(Move("MIRROR_PAD", schema::BuiltinOperator_MIRROR_PAD, {3, 4}, {{{2, 2}, {1, 1, 2, 1}}},
           {5, 7}, Options(mirror)));
  schema::ReverseSequenceOptionsT reverse;
  reverse.seq_dim = 1;
  add(Move("REVERSE_SEQUENCE", schema::BuiltinOperator_REVERSE_SEQUENCE, {2, 4}, {{{2}, {3, 4}}},
           {2, 4}, Options(reverse)));
  add(Move("TILE", schema::BuiltinOperator_TILE, {2, 3}, {{{2}, {3, 2}}}, {6, 6}));
  add(Move("BROADCAST_TO", schema::BuiltinOperator_BROADCAST_TO, {2, 1}, {{{3}, {2, 2, 4}}},
           {2, 2, 4}));
  add(Move("SLICE", schema::BuiltinOperator_SLICE, {3, 4}, {{{2}, {1, 0}}, {{2}, {2, 3}}}, {2, 3}));
  add(Move("STRIDED_SLICE", schema::BuiltinOperator_STRIDED_SLICE, {5, 6},
           {{{2}, {4, 1}}, {{2}, {0, 6}}, {{2}, {-2, 2}}}, {2, 3},
           Options(schema::StridedSliceOptionsT{})));
  schema::SplitOptionsT split;
  split.num_splits = 3;
  add(Cut("SPLIT", schema::BuiltinOperator_SPLIT, {2, 2, 2}, Options(split)));
  schema::SplitVOptionsT split_v;
  split_v.num_splits = 3;
  add(Cut("SPLIT_V", schema::BuiltinOperator_SPLIT_V, {1, 3, 2}, Options(split_v)));
  schema::UnpackOptionsT unpack;
  unpack.num = 6;
  unpack.axis = 1;
  add(Cut("UNPACK", schema::BuiltinOperator_UNPACK, Ints(6, 1), Options(unpack)));
  schema::GatherOptionsT gather;
  gather.axis = 1;
  add(Move("GATHER", schema::BuiltinOperator_GATHER, {2, 4, 3}, {{{5}, {3, 0, 3, 1, 3}}}, {2, 5, 3},
           Options(gather)));
  add(Move("GATHER_ND", schema::BuiltinOperator_GATHER_ND, {3, 4}, {{{3, 1}, {2, 0, 2}}}, {3, 4}));
  schema::SpaceToDepthOptionsT to_depth;
  to_depth.block_size = 2;
  add(Move("SPACE_TO_DEPTH", schema::BuiltinOperator_SPACE_TO_DEPTH, {1, 4, 4, 2}, {}, {1, 2, 2, 8},
           Options(to_depth)));
  schema::DepthToSpaceOptionsT to_space;
  to_space.block_size = 2;
  add(Move("DEPTH_TO_SPACE", schema::BuiltinOperator_DEPTH_TO_SPACE, {1, 2, 2, 8}, {}, {1, 4, 4, 2},
           Options(to_space)));
  add(Move("SPACE_TO_BATCH_ND", schema::BuiltinOperator_SPACE_TO_BATCH_ND, {1, 3, 4, 2},
           {{{2}, {2, 2}}, {{2, 2}, {1, 0, 0, 0}}}, {4, 2, 2, 2}));
  add(Move("BATCH_TO_SPACE_ND", schema::BuiltinOperator_BATCH_TO_SPACE_ND, {4, 2, 2, 2},
           {{{2}, {2, 2}}, {{2, 2}, {1, 0, 0, 0}}}, {1, 3, 4, 2}));
  schema::ResizeBilinearOptionsT bilinear;
  bilinear.half_pixel_centers = true;
  add(Move("RESIZE_BILINEAR half", schema::BuiltinOperator_RESIZE_BILINEAR, {2, 3, 3, 2},
           {{{2}, {5, 7}}}, {2, 5, 7, 2}, Options(bilinear)));
  bilinear = {};
  bilinear.align_corners = true;
  add(Move("RESIZE_BILINEAR corners", schema::BuiltinOperator_RESIZE_BILINEAR, {1, 4, 4, 1},
           {{{2}, {2, 3}}}, {1, 2, 3, 1}, Options(bilinear)));
  add(Move("RESIZE_NEAREST_NEIGHBOR", schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, {1, 2, 3, 2},
           {{{2}, {5, 4}}}, {1, 5, 4, 2}));
  schema::CumsumOptionsT cumsum;
  cumsum.exclusive = true;
  add(Move("CUMSUM", schema::BuiltinOperator_CUMSUM, {2, 4, 3}, {{{}, {1}}}, {2, 4, 3},
           Options(cumsum)));
  add({"ADD_N", [](GraphBuilder* b) {
         return b->Op(
             schema::BuiltinOperator_ADD_N, "y",
             {Small(b, "x", {2, 3}, 42), Small(b, "y", {2, 3}, 43), Small(b, "z", {2, 3}, 44)},
             {2, 3});
       }});
}

// A node with outputs that have no gradient behind the one that has.
GradientCase Normalize(const std::string& name, Shape shape, ActivationFunctionType activation) {
  return {name,
          [=](GraphBuilder* b) {
            const int32_t channels = shape.back();
            const int32_t x = Spread(b, "x", shape, 50), gamma = Small(b, "gamma", {channels}, 51),
                          beta = Small(b, "beta", {channels}, 52);
            const int32_t settings = b->Ints("settings", {2}, {activation, 0});
            const int32_t y =
                b->Op(schema::BuiltinOperator_CUSTOM, "y", {x, gamma, beta, settings}, shape);
            Node& node = b->graph().main().nodes.back();
            node.custom_code = kBatchNormalizeCode;
            node.outputs.push_back(b->Value("mean", {channels}));
            node.outputs.push_back(b->Value("variance", {channels}));
            return y;
          },
          1e-3};
}

void AddTables(std::vector<GradientCase>* cases) {
  cases->push_back({"EMBEDDING_LOOKUP", [](GraphBuilder* b) {
                      const int32_t ids = b->Ints("ids", {4}, {2, 0, 2, 3});
                      return b->Op(schema::BuiltinOperator_EMBEDDING_LOOKUP, "y",
                                   {ids, Small(b, "table", {5, 3}, 53)}, {4, 3});
                    }});
  cases->push_back({"TOPK_V2", [](GraphBuilder* b) {
                      const int32_t x = Spread(b, "x", {3, 6}, 54);
                      const int32_t y = b->Op(schema::BuiltinOperator_TOPK_V2, "y",
                                              {x, b->Ints("k", {}, {2})}, {3, 2});
                      b->graph().main().nodes.back().outputs.push_back(
                          b->Value("places", {3, 2}, schema::TensorType_INT32));
                      return y;
                    }});
}

}  // namespace

void AddMoreGradientCases(std::vector<GradientCase>* cases) {
  AddUnary(cases);
  AddBinary(cases);
  AddMatrices(cases);
  AddMoves(cases);
  AddTables(cases);
  cases->push_back(Normalize("normalize", {2, 3, 2, 19}, schema::ActivationFunctionType_NONE));
  cases->push_back(Normalize("normalize relu", {5, 4}, schema::ActivationFunctionType_RELU6));
  cases->push_back(
      Select("SELECT", schema::BuiltinOperator_SELECT, {2}, {1, 0}, {2, 2}, {2, 2}, {2, 2}));
  cases->push_back(Select("SELECT_V2 broadcast", schema::BuiltinOperator_SELECT_V2, {3, 1},
                          {1, 0, 1}, {2, 1, 4}, {}, {2, 3, 4}));
}

}  // namespace litesmith::testing
