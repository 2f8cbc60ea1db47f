#ifndef LITESMITH_KERNELS_REFERENCE_SUPPRESSION_H_
#define LITESMITH_KERNELS_REFERENCE_SUPPRESSION_H_

// Non-maximum suppression, hard and soft (Bodla et al. 2017, arXiv:1704.04503, with Gaussian
// weights). Freestanding.

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace litesmith::reference {

// A box is y1, x1, y2, x2; either corner may come first.
inline float IntersectionOverUnion(const float* a, const float* b) {
  const float a_top = std::min(a[0], a[2]), a_bottom = std::max(a[0], a[2]);
  const float a_left = std::min(a[1], a[3]), a_right = std::max(a[1], a[3]);
  const float b_top = std::min(b[0], b[2]), b_bottom = std::max(b[0], b[2]);
  const float b_left = std::min(b[1], b[3]), b_right = std::max(b[1], b[3]);
  const float a_area = (a_bottom - a_top) * (a_right - a_left);
  const float b_area = (b_bottom - b_top) * (b_right - b_left);
  if (a_area <= 0.0f || b_area <= 0.0f) return 0.0f;
  const float height = std::max(std::min(a_bottom, b_bottom) - std::max(a_top, b_top), 0.0f);
  const float width = std::max(std::min(a_right, b_right) - std::max(a_left, b_left), 0.0f);
  const float common = height * width;
  return common / (a_area + b_area - common);
}

struct Suppression {
  int32_t boxes = 0;
  int32_t most = 0;  // selected at most
  float overlap = 0.0f;
  float score = 0.0f;  // boxes must be above
  float sigma = 0.0f;  // 0: hard
};

struct SuppressionCandidate {
  int32_t index = 0;
  float score = 0.0f;
  int32_t compared = 0;  // with how many of the selected boxes
};

// Writes at most `most` indices (and scores, unless null); returns how many. `heap` has room for
// all boxes. Equal scores come in the order of the standard library's heap, as in TFLite.
inline int32_t Suppress(const Suppression& params, const float* boxes, const float* scores,
                        SuppressionCandidate* heap, int32_t* selected, float* selected_scores) {
  auto below = [](const SuppressionCandidate& a, const SuppressionCandidate& b) {
    return a.score < b.score;
  };
  int32_t size = 0;
  auto push = [&](const SuppressionCandidate& candidate) {
    heap[size++] = candidate;
    std::push_heap(heap, heap + size, below);
  };
  for (int32_t i = 0; i < params.boxes; ++i) {
    if (scores[i] > params.score) push({i, scores[i], 0});
  }
  const int32_t most = std::min(size, params.most);
  const float weight =
      params.sigma > 0.0f ? static_cast<float>(-0.5 / static_cast<double>(params.sigma)) : 0.0f;
  int32_t count = 0;
  while (count < most && size > 0) {
    std::pop_heap(heap, heap + size, below);
    SuppressionCandidate next = heap[--size];
    const float original = next.score;
    bool dropped = false;
    for (int32_t j = count - 1; j >= next.compared; --j) {
      const float overlap = IntersectionOverUnion(boxes + 4 * next.index, boxes + 4 * selected[j]);
      if (overlap >= params.overlap) {
        dropped = true;
        break;
      }
      if (params.sigma > 0.0f) next.score *= std::exp(weight * overlap * overlap);
      if (next.score <= params.score) break;
    }
    next.compared = count;
    if (dropped) continue;
    if (next.score == original) {
      selected[count] = next.index;
      if (selected_scores != nullptr) selected_scores[count] = next.score;
      ++count;
    }
    // A selected box stands for election again and meets itself; TFLite does so, and equal results
    // need it.
    if (next.score > params.score) push(next);
  }
  return count;
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_SUPPRESSION_H_
