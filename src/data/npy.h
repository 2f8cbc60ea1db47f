#ifndef LITESMITH_DATA_NPY_H_
#define LITESMITH_DATA_NPY_H_

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "litesmith/array.h"
#include "litesmith/context.h"

namespace litesmith {

// NumPy's .npy (format 1.0 to 3.0) of plain numbers, little-endian, C order. Everything else (Fortran order,
// big-endian, pickled objects, structures) is refused with what to do about it. Errors do not name the file.
absl::StatusOr<Array> ParseNpy(std::span<const std::byte> bytes, const Context& context);

// Errors name the path.
absl::StatusOr<Array> ReadNpy(const std::string& path, const Context& context);
absl::Status WriteNpy(const std::string& path, const Array& array);

// All arrays of a .npz (a zip of .npy), in the order of the archive.
absl::StatusOr<std::vector<std::pair<std::string, Array>>> ReadNpz(const std::string& path,
                                                                   const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_NPY_H_
