// CAST between all numeric types.

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/half.h"
#include "base/packed_int.h"
#include "ops/elementwise.h"

namespace litesmith {
namespace {

// Conversions go in blocks through the wide type of the input, int64 or double, which holds every
// value of every type exactly.
constexpr int64_t kBlock = 256;

union Block {
  int64_t integers[kBlock];
  double reals[kBlock];
};

using Load = void (*)(const void* in, int64_t begin, int64_t count, Block* block);
using Store = void (*)(const Block& block, int64_t count, int64_t begin, void* out);

template <typename T>
void LoadInteger(const void* in, int64_t begin, int64_t count, Block* block) {
  const T* data = static_cast<const T*>(in) + begin;
  for (int64_t i = 0; i < count; ++i) block->integers[i] = static_cast<int64_t>(data[i]);
}
void LoadBool(const void* in, int64_t begin, int64_t count, Block* block) {
  const uint8_t* data = static_cast<const uint8_t*>(in) + begin;
  for (int64_t i = 0; i < count; ++i) block->integers[i] = data[i] != 0 ? 1 : 0;
}
template <typename T>
void LoadReal(const void* in, int64_t begin, int64_t count, Block* block) {
  const T* data = static_cast<const T*>(in) + begin;
  for (int64_t i = 0; i < count; ++i) block->reals[i] = static_cast<double>(data[i]);
}
void LoadHalf(const void* in, int64_t begin, int64_t count, Block* block) {
  const uint16_t* data = static_cast<const uint16_t*>(in) + begin;
  for (int64_t i = 0; i < count; ++i) block->reals[i] = static_cast<double>(HalfToFloat(data[i]));
}
// REQUIRES: begin is a multiple of 4 (it is one of kBlock).
template <int bits>
void LoadPacked(const void* in, int64_t begin, int64_t count, Block* block) {
  int8_t values[kBlock];
  const uint8_t* data = static_cast<const uint8_t*>(in) + begin * bits / 8;
  if constexpr (bits == 4) UnpackInt4(data, static_cast<size_t>(count), values);
  if constexpr (bits == 2) UnpackInt2(data, static_cast<size_t>(count), values);
  for (int64_t i = 0; i < count; ++i) block->integers[i] = values[i];
}

// The wide value to T. Integers wrap; reals are cut towards zero and saturate, NaN becomes the
// highest value.
template <typename T, typename Wide>
T Convert(Wide value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value != Wide{0};
  } else if constexpr (std::is_integral_v<T> && std::is_same_v<Wide, double>) {
    if (!(value < 2.0 * static_cast<double>(std::numeric_limits<T>::max() / 2 + 1))) {
      return std::numeric_limits<T>::max();
    }
    if (value < static_cast<double>(std::numeric_limits<T>::min())) {
      return std::numeric_limits<T>::min();
    }
    return static_cast<T>(value);
  } else {
    return static_cast<T>(value);
  }
}

template <typename T, bool real>
void StoreAs(const Block& block, int64_t count, int64_t begin, void* out) {
  T* data = static_cast<T*>(out) + begin;
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (real) {
      data[i] = Convert<T>(block.reals[i]);
    } else {
      data[i] = Convert<T>(block.integers[i]);
    }
  }
}

template <bool real>
void StoreHalf(const Block& block, int64_t count, int64_t begin, void* out) {
  uint16_t* data = static_cast<uint16_t*>(out) + begin;
  for (int64_t i = 0; i < count; ++i) {
    const float value =
        real ? static_cast<float>(block.reals[i]) : static_cast<float>(block.integers[i]);
    data[i] = FloatToHalf(value);
  }
}

struct Source {
  Load load = nullptr;
  bool real = false;
};

Source FindSource(TensorType type) {
  switch (type) {
    case schema::TensorType_BOOL:
      return {LoadBool};
    case schema::TensorType_INT2:
      return {LoadPacked<2>};
    case schema::TensorType_INT4:
      return {LoadPacked<4>};
    case schema::TensorType_INT8:
      return {LoadInteger<int8_t>};
    case schema::TensorType_UINT8:
      return {LoadInteger<uint8_t>};
    case schema::TensorType_INT16:
      return {LoadInteger<int16_t>};
    case schema::TensorType_UINT16:
      return {LoadInteger<uint16_t>};
    case schema::TensorType_INT32:
      return {LoadInteger<int32_t>};
    case schema::TensorType_UINT32:
      return {LoadInteger<uint32_t>};
    case schema::TensorType_INT64:
      return {LoadInteger<int64_t>};
    case schema::TensorType_FLOAT16:
      return {LoadHalf, true};
    case schema::TensorType_FLOAT32:
      return {LoadReal<float>, true};
    case schema::TensorType_FLOAT64:
      return {LoadReal<double>, true};
    default:
      return {};
  }
}

template <bool real>
Store FindStore(TensorType type) {
  switch (type) {
    case schema::TensorType_BOOL:
      return StoreAs<bool, real>;
    case schema::TensorType_INT8:
      return StoreAs<int8_t, real>;
    case schema::TensorType_UINT8:
      return StoreAs<uint8_t, real>;
    case schema::TensorType_INT16:
      return StoreAs<int16_t, real>;
    case schema::TensorType_UINT16:
      return StoreAs<uint16_t, real>;
    case schema::TensorType_INT32:
      return StoreAs<int32_t, real>;
    case schema::TensorType_UINT32:
      return StoreAs<uint32_t, real>;
    case schema::TensorType_INT64:
      return StoreAs<int64_t, real>;
    case schema::TensorType_FLOAT16:
      return StoreHalf<real>;
    case schema::TensorType_FLOAT32:
      return StoreAs<float, real>;
    case schema::TensorType_FLOAT64:
      return StoreAs<double, real>;
    default:
      return nullptr;
  }
}

absl::StatusOr<Kernel> PrepareCast(const PrepareArgs& args) {
  const Source source = FindSource(args.in(0).type);
  const Store store =
      source.real ? FindStore<true>(args.out(0).type) : FindStore<false>(args.out(0).type);
  if (source.load == nullptr || store == nullptr) return NoKernel(args);
  Kernel kernel;
  kernel.name = KernelName(args);
  const int64_t elements = args.in(0).elements();
  kernel.run = [source, store, elements](const RunArgs& run) {
    Block block;
    for (int64_t begin = 0; begin < elements; begin += kBlock) {
      const int64_t count = std::min(kBlock, elements - begin);
      source.load(run.inputs[0], begin, count, &block);
      store(block, count, begin, run.outputs[0]);
    }
    return absl::OkStatus();
  };
  return kernel;
}

int CastVersion(const VersionArgs& args) {
  auto has = [&](TensorType type) { return args.in(0) == type || args.out(0) == type; };
  if (has(schema::TensorType_INT2) || has(schema::TensorType_UINT4)) return 8;
  if (has(schema::TensorType_BFLOAT16)) return 7;
  if (has(schema::TensorType_INT4)) return 6;
  if (has(schema::TensorType_FLOAT64) || has(schema::TensorType_FLOAT16)) return 5;
  if (has(schema::TensorType_UINT16)) return 4;
  if (has(schema::TensorType_INT8)) return 3;
  return has(schema::TensorType_UINT32) ? 2 : 1;
}

}  // namespace

const OpRecord& CastOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_CAST;
    r.names = {"", "Cast", "Cast"};
    r.infer_shapes = UnaryShape;
    r.prepare = PrepareCast;
    r.version = CastVersion;
    return r;
  }();
  return record;
}

}  // namespace litesmith
