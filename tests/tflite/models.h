#ifndef LITESMITH_TESTS_TFLITE_MODELS_H_
#define LITESMITH_TESTS_TFLITE_MODELS_H_

#include <string>
#include <vector>

namespace litesmith::testing {

// Every .tflite file of the shared folder's golden files and models that is not empty, sorted.
std::vector<std::string> AllModels();

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_TFLITE_MODELS_H_
