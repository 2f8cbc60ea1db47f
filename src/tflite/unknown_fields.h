#ifndef LITESMITH_TFLITE_UNKNOWN_FIELDS_H_
#define LITESMITH_TFLITE_UNKNOWN_FIELDS_H_

#include <cstdint>

#include "base/status.h"
#include "ir/schema.h"

namespace litesmith {

// The generated object API drops what its schema does not have: fields added later, new union
// members; and keeps enum values without a name. This walk over every table of the file finds them
// and refuses the file, naming the place: "subgraphs[0].operators[3].builtin_options: field 7 of
// table Conv2DOptions …". Also bounds what unpacking will copy: FlatBuffers may share one vector
// among a million tables. Buffer contents are not counted, they are not copied. REQUIRES: the
// FlatBuffers verifier accepted the model. Returns the end of the flatbuffer: nothing that the
// model consists of lies there or behind.
absl::StatusOr<const uint8_t*> CheckNothingUnknown(const schema::Model* model,
                                                   uint64_t max_unpacked_bytes);

}  // namespace litesmith

#endif  // LITESMITH_TFLITE_UNKNOWN_FIELDS_H_
