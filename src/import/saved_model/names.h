#ifndef LITESMITH_IMPORT_SAVED_MODEL_NAMES_H_
#define LITESMITH_IMPORT_SAVED_MODEL_NAMES_H_

#include <string_view>

namespace litesmith::saved_model {

// A reference to a node's output: "node", "node:2" (in a graph), "node:output:2" (in a function,
// where `output` names one of the operator's outputs), "^node" (an order, no value). Points into
// the text that it was read from.
struct InputName {
  std::string_view node;
  std::string_view output;
  int index = 0;
  bool control = false;
};
InputName ParseInput(std::string_view text);

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_NAMES_H_
