#ifndef LITESMITH_TESTS_TRAIN_GRADIENT_CASES_H_
#define LITESMITH_TESTS_TRAIN_GRADIENT_CASES_H_

#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/graph_builder.h"

namespace litesmith::testing {

// One node on constants: those of float that are not called "fixed..." are differentiated. Returns
// the tensor whose gradient is started from.
struct GradientCase {
  std::string name;
  std::function<int32_t(GraphBuilder*)> build;
  double step = 1e-2;  // of the finite difference
};

std::vector<GradientCase> GradientCases();

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_TRAIN_GRADIENT_CASES_H_
