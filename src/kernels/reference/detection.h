#ifndef LITESMITH_KERNELS_REFERENCE_DETECTION_H_
#define LITESMITH_KERNELS_REFERENCE_DETECTION_H_

// The custom operator TFLite_Detection_PostProcess of SSD models (Liu et al. 2016,
// arXiv:1512.02325): boxes are decoded from offsets against anchors, and non-maximum suppression
// leaves the best. Freestanding; all memory is the caller's.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace litesmith::reference {

// As encoded: centre and size.
struct CenterSize {
  float y = 0, x = 0, h = 0, w = 0;
};
// As decoded.
struct Corners {
  float ymin = 0, xmin = 0, ymax = 0, xmax = 0;
};

struct Detection {
  size_t boxes = 0;
  size_t classes = 0, columns = 0;  // scores have a column of background before the classes, or not
  size_t most = 0;                  // detections
  size_t classes_per_detection = 0, detections_per_class = 0;
  float score_threshold = 0.0f, overlap_threshold = 0.0f;
  CenterSize scale;

  size_t label_offset() const { return columns - classes; }
};

// In double, then rounded, as LiteRT has it.
inline Corners DecodeBox(const CenterSize& box, const CenterSize& anchor, const CenterSize& scale) {
  const auto center = [](float offset, float by, float size, float at) {
    return static_cast<float>(static_cast<double>(offset) / static_cast<double>(by) *
                                  static_cast<double>(size) +
                              static_cast<double>(at));
  };
  const auto half = [](float offset, float by, float size) {
    return static_cast<float>(0.5 *
                              std::exp(static_cast<double>(offset) / static_cast<double>(by)) *
                              static_cast<double>(size));
  };
  const float y = center(box.y, scale.y, anchor.h, anchor.y);
  const float x = center(box.x, scale.x, anchor.w, anchor.x);
  const float h = half(box.h, scale.h, anchor.h), w = half(box.w, scale.w, anchor.w);
  return {y - h, x - w, y + h, x + w};
}

inline float OverlapOf(const Corners& a, const Corners& b) {
  const float area_a = (a.ymax - a.ymin) * (a.xmax - a.xmin);
  const float area_b = (b.ymax - b.ymin) * (b.xmax - b.xmin);
  if (area_a <= 0.0f || area_b <= 0.0f) return 0.0f;
  const float height = std::max<float>(std::min(a.ymax, b.ymax) - std::max(a.ymin, b.ymin), 0.0f);
  const float width = std::max<float>(std::min(a.xmax, b.xmax) - std::max(a.xmin, b.xmin), 0.0f);
  const float common = height * width;
  return common / (area_a + area_b - common);
}

struct Scored {
  int32_t index = 0;
  float score = 0.0f;
};

struct DetectionScratch {
  Corners* corners = nullptr;   // boxes, decoded
  float* column = nullptr;      // boxes: the scores of one class
  Scored* kept = nullptr;       // boxes
  uint8_t* active = nullptr;    // boxes
  int32_t* selected = nullptr;  // max(most, detections_per_class)
  int32_t* order = nullptr;     // fast: boxes * classes
  Scored* best = nullptr;       // regular: most + detections_per_class
  Scored* merged = nullptr;     // regular: as many
};

struct DetectionOutput {
  float *boxes = nullptr, *classes = nullptr, *scores = nullptr, *count = nullptr;
};

// The indices of at most `most` boxes, by falling score, none of which overlaps a better one too
// much.
inline size_t SelectBoxes(const Detection& d, const DetectionScratch& s, const float* scores,
                          size_t most) {
  size_t kept = 0;
  for (size_t i = 0; i < d.boxes; ++i) {
    if (scores[i] >= d.score_threshold) s.kept[kept++] = {static_cast<int32_t>(i), scores[i]};
  }
  std::sort(s.kept, s.kept + kept, [](const Scored& a, const Scored& b) {
    return a.score > b.score || (a.score == b.score && a.index < b.index);
  });
  std::fill_n(s.active, kept, uint8_t{1});
  size_t count = 0;
  for (size_t i = 0; i < kept && count < most; ++i) {
    if (s.active[i] == 0) continue;
    s.selected[count++] = s.kept[i].index;
    for (size_t j = i + 1; j < kept; ++j) {
      if (s.active[j] != 0 &&
          OverlapOf(s.corners[s.kept[i].index], s.corners[s.kept[j].index]) > d.overlap_threshold) {
        s.active[j] = 0;
      }
    }
  }
  return count;
}

inline void PutBox(const Corners& box, float* to) {
  to[0] = box.ymin;
  to[1] = box.xmin;
  to[2] = box.ymax;
  to[3] = box.xmax;
}

// One suppression over the boxes' best scores; each box comes with its best classes.
inline void DetectFast(const Detection& d, const DetectionScratch& s, const float* scores,
                       const DetectionOutput& out) {
  const size_t per_box = std::min(d.classes_per_detection, d.classes);
  for (size_t b = 0; b < d.boxes; ++b) {
    const float* row = scores + b * d.columns + d.label_offset();
    int32_t* order = s.order + b * d.classes;
    std::iota(order, order + d.classes, 0);
    const auto better = [row](int32_t i, int32_t j) { return row[i] > row[j]; };
    if (per_box == 1) {
      order[0] = static_cast<int32_t>(std::max_element(row, row + d.classes) - row);
    } else {
      std::partial_sort(order, order + per_box, order + d.classes, better);
    }
    s.column[b] = row[order[0]];
  }
  const size_t count = SelectBoxes(d, s, s.column, d.most);
  for (size_t i = 0; i < count; ++i) {
    const auto box = static_cast<size_t>(s.selected[i]);
    for (size_t c = 0; c < per_box; ++c) {
      const size_t at = d.classes_per_detection * i + c;
      const int32_t which = s.order[box * d.classes + c];
      PutBox(s.corners[box], out.boxes + 4 * at);
      out.classes[at] = static_cast<float>(which);
      out.scores[at] = scores[box * d.columns + d.label_offset() + static_cast<size_t>(which)];
    }
  }
  *out.count = static_cast<float>(count);
}

// A suppression for every class, and the best of all that is left.
inline void DetectRegular(const Detection& d, const DetectionScratch& s, const float* scores,
                          const DetectionOutput& out) {
  const size_t per_class = std::min(d.detections_per_class, d.most);
  const auto better = [](const Scored& a, const Scored& b) { return a.score > b.score; };
  size_t count = 0;
  for (size_t c = 0; c < d.classes; ++c) {
    const size_t column = c + d.label_offset();
    for (size_t b = 0; b < d.boxes; ++b) s.column[b] = scores[b * d.columns + column];
    const size_t found = SelectBoxes(d, s, s.column, per_class);
    for (size_t i = 0; i < found; ++i) {
      const auto box = static_cast<size_t>(s.selected[i]);
      s.best[count + i] = {static_cast<int32_t>(box * d.columns + column), s.column[box]};
    }
    std::merge(s.best, s.best + count, s.best + count, s.best + count + found, s.merged, better);
    count = std::min(count + found, d.most);
    std::copy_n(s.merged, count, s.best);
  }
  for (size_t i = 0; i < count; ++i) {
    const auto index = static_cast<size_t>(s.best[i].index);
    PutBox(s.corners[index / d.columns], out.boxes + 4 * i);
    out.classes[i] = static_cast<float>(index % d.columns - d.label_offset());
    out.scores[i] = s.best[i].score;
  }
  *out.count = static_cast<float>(count);
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_DETECTION_H_
