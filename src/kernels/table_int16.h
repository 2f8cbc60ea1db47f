#ifndef LITESMITH_KERNELS_TABLE_INT16_H_
#define LITESMITH_KERNELS_TABLE_INT16_H_

// Functions of int16 by interpolated tables, in vectors, with the bits of
// kernels/reference/lookup.h and kernels/reference/sigmoid_int16.h.

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/reference/lookup.h"
#include "kernels/reference/sigmoid_int16.h"

namespace litesmith {

// An entry more than the reference's: vectors load an entry and the next one at once.
using Table16 = std::array<int16_t, reference::kTable16Size + 1>;

// out[i] = reference::Lookup16(in[i], table). `out` may be `in`.
void LookupRow16(const int16_t* in, size_t count, const Table16& table, int16_t* out);

// reference::TanhInt16, or LogisticInt16.
void SigmoidRow16(bool tanh, const int16_t* in, size_t count, reference::SigmoidScale scale,
                  int16_t* out);

int64_t TableInt16Targets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_TABLE_INT16_H_
