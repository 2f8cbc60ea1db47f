#ifndef LITESMITH_DATA_NPY_H_
#define LITESMITH_DATA_NPY_H_

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "litesmith/array.h"
#include "litesmith/context.h"

namespace litesmith {

// What the start of a .npy says of the whole.
struct NpyHeader {
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> shape;
  uint64_t offset = 0;  // of the first element
  uint64_t size = 0;    // bytes of all elements
};

// A header is never longer than this; ParseNpyHeader needs no more bytes than these.
inline constexpr size_t kNpyProbe = 16 << 10;

// NumPy's .npy (format 1.0 to 3.0) of plain numbers, little-endian, C order: float16/32/64,
// int8..64, uint8..64 and bool. Everything else (Fortran order, big-endian, pickled objects, text,
// complex numbers, structures) is refused with what to do about it. The format is NumPy's
// numpy/lib/format.py ("NEP 1"). `start` is the file's first bytes, at least kNpyProbe where it has
// as many. Errors do not name the file.
absl::StatusOr<NpyHeader> ParseNpyHeader(std::span<const std::byte> start);

// The header of a whole file in memory: cut and overlong files are errors, so are booleans other
// than 0, 1. Elements lie at bytes.subspan(offset, size), not aligned.
absl::StatusOr<NpyHeader> CheckNpy(std::span<const std::byte> bytes);

// OK when the elements are ones of their type (a boolean is 0 or 1).
absl::Status CheckNpyElements(ElementType type, std::span<const std::byte> elements);

// The array of a whole .npy, copied within context.memory_budget.
absl::StatusOr<Array> ParseNpy(std::span<const std::byte> bytes, const Context& context);

// Errors name the path.
absl::StatusOr<Array> ReadNpy(const std::string& path, const Context& context);

// Writes format 1.0, atomically. Types that NumPy has no word for (bfloat16, packed) are refused.
absl::Status WriteNpy(const std::string& path, const Array& array);

using NamedArrays = std::vector<std::pair<std::string, Array>>;

// All arrays of a .npz (a zip of .npy), in the order of the archive, named without ".npy". Their
// sum stays within context.memory_budget; an entry's own header must agree with the size the
// archive states before anything of that size is taken. Names that leave the archive ("../",
// absolute), repeated names and entries that are not .npy are refused.
absl::StatusOr<NamedArrays> ParseNpz(std::span<const std::byte> bytes, const Context& context);

// Errors name the path.
absl::StatusOr<NamedArrays> ReadNpz(const std::string& path, const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_NPY_H_
