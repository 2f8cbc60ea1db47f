#ifndef LITESMITH_KERNELS_REFERENCE_BROADCAST_H_
#define LITESMITH_KERNELS_REFERENCE_BROADCAST_H_

// The one loop nest of all elementwise operators: N inputs broadcast to one dense output (NumPy's
// rule). Freestanding: no heap, no exceptions.

#include <cstdint>

namespace litesmith::reference {

// Loops left after fusing; shapes of TFLite have at most 8 dimensions.
inline constexpr int kMaxLoops = 8;

// Loop 0 is the innermost. Strides are in elements; 0 where the operand is broadcast.
template <int N>
struct LoopNest {
  int loops = 0;
  int64_t size[kMaxLoops] = {};
  int64_t stride[N][kMaxLoops] = {};
  int64_t elements = 1;

  // Work that can be cut at will: elements of a single loop, else rows of the innermost loop.
  int64_t units() const {
    if (elements == 0) return 0;
    return loops <= 1 ? elements : elements / size[0];
  }
};

// Fuses neighbouring dimensions that all operands walk in step. False where more than kMaxLoops
// remain. REQUIRES: every shape broadcasts to `output`.
template <int N>
bool MakeLoopNest(const int32_t* output, int rank, const int32_t* const (&shapes)[N],
                  const int (&ranks)[N], LoopNest<N>* nest) {
  *nest = {};
  int64_t dense[N];
  for (int i = 0; i < N; ++i) dense[i] = 1;
  for (int d = 0; d < rank; ++d) {  // d counts from the innermost dimension
    const int64_t size = output[rank - 1 - d];
    nest->elements *= size;
    if (size == 1) continue;
    int64_t stride[N];
    for (int i = 0; i < N; ++i) {
      const int64_t own = d < ranks[i] ? shapes[i][ranks[i] - 1 - d] : 1;
      stride[i] = own == 1 ? 0 : dense[i];
      dense[i] *= own;
    }
    const int last = nest->loops - 1;
    bool fuse = last >= 0;
    for (int i = 0; fuse && i < N; ++i) {
      fuse = stride[i] == nest->stride[i][last] * nest->size[last];
    }
    if (fuse) {
      nest->size[last] *= size;
      continue;
    }
    if (nest->loops == kMaxLoops) return false;
    for (int i = 0; i < N; ++i) nest->stride[i][nest->loops] = stride[i];
    nest->size[nest->loops++] = size;
  }
  if (nest->loops == 0) {  // one element
    nest->loops = 1;
    nest->size[0] = nest->elements;
  }
  return true;
}

// Calls row(offsets, output offset, count) for each row of units [begin, end): `offsets` are the
// operands' starts. In a single loop the row is the range itself.
template <int N, typename Row>
void ForEachRow(const LoopNest<N>& nest, int64_t begin, int64_t end, const Row& row) {
  if (begin >= end) return;  // also where a dimension is 0
  int64_t offset[N] = {};
  if (nest.loops <= 1) {
    for (int i = 0; i < N; ++i) offset[i] = begin * nest.stride[i][0];
    row(offset, begin, end - begin);
    return;
  }
  int64_t index[kMaxLoops] = {};
  int64_t rest = begin;
  for (int d = 1; d < nest.loops; ++d) {
    index[d] = rest % nest.size[d];
    rest /= nest.size[d];
    for (int i = 0; i < N; ++i) offset[i] += index[d] * nest.stride[i][d];
  }
  for (int64_t unit = begin; unit < end; ++unit) {
    row(offset, unit * nest.size[0], nest.size[0]);
    for (int d = 1; d < nest.loops; ++d) {
      for (int i = 0; i < N; ++i) offset[i] += nest.stride[i][d];
      if (++index[d] < nest.size[d]) break;
      for (int i = 0; i < N; ++i) offset[i] -= nest.stride[i][d] * nest.size[d];
      index[d] = 0;
    }
  }
}

// out = f(a, b) over units [begin, end).
template <typename A, typename B, typename Out, typename F>
void BroadcastBinary(const LoopNest<2>& nest, int64_t begin, int64_t end, const A* a, const B* b,
                     Out* out, const F& f) {
  const int64_t a_step = nest.stride[0][0];
  const int64_t b_step = nest.stride[1][0];
  ForEachRow<2>(nest, begin, end, [&](const int64_t(&at)[2], int64_t to, int64_t count) {
    const A* x = a + at[0];
    const B* y = b + at[1];
    Out* z = out + to;
    if (a_step == 0) {
      const A fixed = *x;
      if (b_step == 0) {
        for (int64_t i = 0; i < count; ++i) z[i] = f(fixed, *y);
      } else {
        for (int64_t i = 0; i < count; ++i) z[i] = f(fixed, y[i]);
      }
    } else if (b_step == 0) {
      const B fixed = *y;
      for (int64_t i = 0; i < count; ++i) z[i] = f(x[i], fixed);
    } else {
      for (int64_t i = 0; i < count; ++i) z[i] = f(x[i], y[i]);
    }
  });
}

// out = f(a, b, c) over units [begin, end).
template <typename A, typename B, typename C, typename Out, typename F>
void BroadcastTernary(const LoopNest<3>& nest, int64_t begin, int64_t end, const A* a, const B* b,
                      const C* c, Out* out, const F& f) {
  const int64_t a_step = nest.stride[0][0];
  const int64_t b_step = nest.stride[1][0];
  const int64_t c_step = nest.stride[2][0];
  ForEachRow<3>(nest, begin, end, [&](const int64_t(&at)[3], int64_t to, int64_t count) {
    const A* x = a + at[0];
    const B* y = b + at[1];
    const C* w = c + at[2];
    Out* z = out + to;
    for (int64_t i = 0; i < count; ++i) z[i] = f(x[i * a_step], y[i * b_step], w[i * c_step]);
  });
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_BROADCAST_H_
