#ifndef LITESMITH_EVALUATE_LITERT_LIBRARY_H_
#define LITESMITH_EVALUATE_LITERT_LIBRARY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/status.h"

namespace litesmith {

// The few functions of LiteRT's C interface that running a model takes. The wheel brings no
// headers: types and functions are declared here as LiteRT 2.3 has them (litert/c/*.h), under the
// names of the library without "LiteRt". Objects are opaque.
namespace litert {

using Status = int;  // 0: OK
using Index = size_t;

struct Environment;
struct Model;
struct Signature;
struct Tensor;
struct Options;
struct OpaqueOptions;
struct CompiledModel;
struct Buffer;

struct Any {
  int type;
  int64_t value;  // a union in LiteRT; the other members are not used
};
struct EnvironmentOption {
  int tag;
  Any value;
};

constexpr unsigned kMaxRank = 8;
struct Layout {
  unsigned rank : 7;
  unsigned has_strides : 1;
  int32_t dimensions[kMaxRank];
  uint32_t strides[kMaxRank];
};
struct TensorType {
  int element;  // TfLiteType
  Layout layout;
};
static_assert(sizeof(EnvironmentOption) == 24 && sizeof(Layout) == 68 && sizeof(TensorType) == 72);

// name, result, parameters
#define LITESMITH_LITERT_FUNCTIONS(F)                                                            \
  F(CreateEnvironment, Status, (int, const EnvironmentOption*, Environment**))                   \
  F(DestroyEnvironment, void, (Environment*))                                                    \
  F(CreateModelFromFile, Status, (Environment*, const char*, Model**))                           \
  F(DestroyModel, void, (Model*))                                                                \
  F(GetNumModelSignatures, Status, (Model*, Index*))                                             \
  F(GetModelSignature, Status, (Model*, Index, Signature**))                                     \
  F(GetNumSignatureInputs, Status, (Signature*, Index*))                                         \
  F(GetNumSignatureOutputs, Status, (Signature*, Index*))                                        \
  F(GetSignatureInputTensorByIndex, Status, (Signature*, Index, Tensor**))                       \
  F(GetSignatureOutputTensorByIndex, Status, (Signature*, Index, Tensor**))                      \
  F(GetTensorName, Status, (Tensor*, const char**))                                              \
  F(GetRankedTensorType, Status, (Tensor*, TensorType*))                                         \
  F(CreateOptions, Status, (Options**))                                                          \
  F(DestroyOptions, void, (Options*))                                                            \
  F(SetOptionsHardwareAccelerators, Status, (Options*, int))                                     \
  F(CreateOpaqueOptions, Status, (const char*, void*, void (*)(void*), OpaqueOptions**))         \
  F(DestroyOpaqueOptions, void, (OpaqueOptions*))                                                \
  F(AddOpaqueOptions, Status, (Options*, OpaqueOptions*))                                        \
  F(CreateCompiledModel, Status, (Environment*, Model*, Options*, CompiledModel**))              \
  F(DestroyCompiledModel, void, (CompiledModel*))                                                \
  F(CompiledModelResizeInputTensor, Status, (CompiledModel*, Index, Index, const int*, size_t))  \
  F(GetCompiledModelOutputTensorLayouts, Status, (CompiledModel*, Index, size_t, Layout*, bool)) \
  F(CreateManagedTensorBuffer, Status, (Environment*, int, const TensorType*, size_t, Buffer**)) \
  F(GetTensorBufferHostMemory, Status, (Buffer*, void**))                                        \
  F(DestroyTensorBuffer, void, (Buffer*))                                                        \
  F(RunCompiledModel, Status, (CompiledModel*, Index, size_t, Buffer**, size_t, Buffer**))

// libLiteRt.so. Immutable once loaded.
struct Library {
#define LITESMITH_LITERT_MEMBER(name, result, parameters) result(*name) parameters = nullptr;
  LITESMITH_LITERT_FUNCTIONS(LITESMITH_LITERT_MEMBER)
#undef LITESMITH_LITERT_MEMBER

  std::string path;
  std::string version;  // of the wheel around it, such as "2.3.0"; "": not known

  // The library at `path` ("": at $LITERT_LIBRARY), opened once per process and never closed. From
  // any thread. Errors: none is named, missing, not LiteRT, older than 2.3 (whose functions take
  // other parameters).
  static absl::StatusOr<const Library*> Load(const std::string& path);
};

// "status 501, an invalid model".
std::string StatusText(Status status);

}  // namespace litert
}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_LITERT_LIBRARY_H_
