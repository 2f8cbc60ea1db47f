#ifndef LITESMITH_STUB_SCHEMA_GENERATED_H_
#define LITESMITH_STUB_SCHEMA_GENERATED_H_

#include <cstdint>

#define TFLITE_SCHEMA_VERSION 3

namespace tflite_stub {
inline uint32_t schema_version = TFLITE_SCHEMA_VERSION;
}

namespace tflite {

class Model {
 public:
  uint32_t version() const { return tflite_stub::schema_version; }
};

inline const Model* GetModel(const void*) {
  static const Model model;
  return &model;
}

}  // namespace tflite

#endif  // LITESMITH_STUB_SCHEMA_GENERATED_H_
