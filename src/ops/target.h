#ifndef LITESMITH_OPS_TARGET_H_
#define LITESMITH_OPS_TARGET_H_

// What the programs that files are written for can run: a table of operator, types and version.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

enum class Target {
  kLitert,     // ai-edge-litert 2.3, CPU kernels
  kTflm,       // tflite-micro
  kLitesmith,  // this program
};

// "litert", "tflm", "litesmith".
absl::StatusOr<Target> FindTarget(std::string_view name);

// Why the target cannot run a node as it is, versions included; empty: it can. Custom operators are
// the user's to register, so they are never an obstacle.
std::string TargetObstacle(const Subgraph& subgraph, const Node& node, Target target);

// An operator in tflite-micro: the method of MicroMutableOpResolver that registers it, and the
// bytes that its interpreter keeps for each node, with pointers of 32 and of 64 bits. The larger of
// its build variants (enums of four bytes, compressed tensors supported).
struct TflmKernel {
  const char* add = "";              // "AddConv2D"
  int params_32 = 0, params_64 = 0;  // the parsed options
  int data_32 = 0, data_64 = 0;      // the kernel's user data
};
// Null where tflite-micro has no such operator. Types and versions: TargetObstacle.
const TflmKernel* FindTflmKernel(const Node& node);

// In which of "float32", "int8", "int16x8" (activations) and "int4" (weights, beside int8
// activations) a target runs an operator, in this order; empty: in none. Types beyond these are not
// listed.
std::vector<std::string> TargetModes(schema::BuiltinOperator op, Target target);

// An error that lists the nodes of all subgraphs that the target cannot run.
absl::Status CheckTarget(const Graph& graph, Target target);

}  // namespace litesmith

#endif  // LITESMITH_OPS_TARGET_H_
