#ifndef LITESMITH_IR_PRINT_H_
#define LITESMITH_IR_PRINT_H_

#include <string>

#include "ir/graph.h"

namespace litesmith {

// A graph as text for people and tests: one line per tensor that nobody makes, one per node with
// what it makes.
//
//   graph main(%0 'x' FLOAT32 [1, 28, 28, 1]) -> (%9)
//     %1 'w' INT8 [8, 3, 3, 1] constant, 72 bytes, scale 0.0123..0.0345 (8 on dimension 0)
//     %5 'conv' INT8 [1, 26, 26, 8], scale 0.05, zero point -128
//        = CONV_2D v3 (%0, %1, %2) {padding: VALID, stride_w: 1, stride_h: 1} from 'conv2d'
//
// Stable for the same graph; not meant to be parsed. Untrusted names are made printable.
std::string Print(const Graph& graph);

// "%5 'conv' INT8 [1, 26, 26, 8], scale 0.05, zero point -128".
std::string PrintTensor(const Subgraph& subgraph, int32_t tensor);

// "scale 0.05, zero point -128", "scale 0.0123..0.0345 (8 on dimension 0)"; empty without
// parameters.
std::string PrintQuant(const QuantParams& quant);

// "CONV_2D v3 (%0, %1, -) {padding: VALID, stride_w: 1}".
std::string PrintNode(const Node& node);

// "padding: VALID, stride_w: 1": the fields of both option tables that differ from their defaults.
std::string PrintOptions(const Node& node);

}  // namespace litesmith

#endif  // LITESMITH_IR_PRINT_H_
