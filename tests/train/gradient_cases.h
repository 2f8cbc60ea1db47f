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

// Those of them in gradient_cases_more.cc, and in gradient_cases_recurrent.cc.
void AddMoreGradientCases(std::vector<GradientCase>* cases);
void AddRecurrentGradientCases(std::vector<GradientCase>* cases);

// A constant of values that lie at least 0.05 apart, from `low` upwards in random order; for the
// default they are 0.025 away from 0, +-1 and 6: no finite difference of 0.01 meets a kink or
// changes an order.
int32_t Spread(GraphBuilder* b, const std::string& name, Shape shape, uint64_t seed,
               float low = -2.0f);

// A constant of small random values.
int32_t Small(GraphBuilder* b, const std::string& name, Shape shape, uint64_t seed);

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_TRAIN_GRADIENT_CASES_H_
