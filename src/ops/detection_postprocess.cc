// The custom operator TFLite_Detection_PostProcess.

#include <limits>
#include <memory>

#include "kernels/reference/detection.h"
#include "ops/elementwise.h"
#include "ops/flex_map.h"
#include "ops/recurrent.h"

namespace litesmith {
namespace {

using reference::CenterSize;
using schema::TensorType_FLOAT32;
using schema::TensorType_UINT8;

constexpr size_t kBoxes = 0, kScores = 1, kAnchors = 2;
constexpr int kDefaultPerClass = 100;

struct Settings {
  reference::Detection detection;  // without `columns`
  bool regular = false;
};

absl::Status CheckPositive(const char* name, int64_t value) {
  if (value > 0 && value <= std::numeric_limits<int32_t>::max()) return absl::OkStatus();
  return Invalid("its option {} is {}", name, value);
}

absl::StatusOr<Settings> ReadSettings(const Node& node) {
  LS_ASSIGN_OR_RETURN_IN(const FlexMap map, FlexMap::Read(node.custom_options), "its options");
  const int64_t most = map.Integer("max_detections", 0);
  const int64_t classes = map.Integer("num_classes", 0);
  const int64_t per_detection = map.Integer("max_classes_per_detection", 0);
  const int64_t per_class = map.Integer("detections_per_class", kDefaultPerClass);
  LS_RETURN_IF_ERROR(CheckPositive("max_detections", most));
  LS_RETURN_IF_ERROR(CheckPositive("num_classes", classes));
  LS_RETURN_IF_ERROR(CheckPositive("max_classes_per_detection", per_detection));
  LS_RETURN_IF_ERROR(CheckPositive("detections_per_class", per_class));
  Settings s;
  s.regular = map.Integer("use_regular_nms", 0) != 0;
  reference::Detection& d = s.detection;
  d.classes = static_cast<size_t>(classes);
  d.most = static_cast<size_t>(most);
  d.classes_per_detection = static_cast<size_t>(per_detection);
  d.detections_per_class = static_cast<size_t>(per_class);
  d.score_threshold = static_cast<float>(map.Real("nms_score_threshold"));
  d.overlap_threshold = static_cast<float>(map.Real("nms_iou_threshold"));
  d.scale = {static_cast<float>(map.Real("y_scale")), static_cast<float>(map.Real("x_scale")),
             static_cast<float>(map.Real("h_scale")), static_cast<float>(map.Real("w_scale"))};
  if (!(d.overlap_threshold > 0.0f && d.overlap_threshold <= 1.0f)) {
    return Invalid("its option nms_iou_threshold is {}, not above 0 and at most 1",
                   d.overlap_threshold);
  }
  return s;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 4));
  LS_ASSIGN_OR_RETURN(const Settings s, ReadSettings(args.node));
  const Shape &boxes = args.in(kBoxes).shape, &scores = args.in(kScores).shape,
              &anchors = args.in(kAnchors).shape;
  const auto classes = static_cast<int64_t>(s.detection.classes);
  if (boxes.size() != 3 || boxes[0] != 1 || boxes[2] < 4 || scores.size() != 3 || scores[0] != 1 ||
      scores[1] != boxes[1] || scores[2] < classes || scores[2] > classes + 1 ||
      anchors != Shape{boxes[1], 4}) {
    return Invalid("boxes {}, scores {} of {} classes and anchors {} do not fit",
                   ShapeString(boxes), ShapeString(scores), classes, ShapeString(anchors));
  }
  if (int64_t{boxes[1]} * scores[2] > std::numeric_limits<int32_t>::max()) {
    return Invalid("scores {} are too many", ShapeString(scores));
  }
  const uint64_t count = uint64_t{s.detection.most} * s.detection.classes_per_detection;
  if (count > std::numeric_limits<int32_t>::max() / 4) {
    return Invalid("{} detections are too many", count);
  }
  const auto n = static_cast<int32_t>(count);
  *outputs = {{1, n, 4}, {1, n}, {1, n}, {1}};
  return absl::OkStatus();
}

struct Plan {
  Settings settings;
  size_t box_width = 4, outputs = 0;
  bool quantized_boxes = false, quantized_scores = false;
  float box_scale = 1.0f, anchor_scale = 1.0f, score_scale = 1.0f;
  float box_zero = 0.0f, anchor_zero = 0.0f, score_zero = 0.0f;
};

struct Scratch {
  reference::DetectionScratch detection;
  float* scores = nullptr;  // uint8 scores in float
};

Scratch Cut(const Plan& p, ScratchCutter* cut) {
  const reference::Detection& d = p.settings.detection;
  Scratch s;
  s.detection.corners = cut->Take<reference::Corners>(d.boxes);
  s.detection.column = cut->Take<float>(d.boxes);
  s.detection.kept = cut->Take<reference::Scored>(d.boxes);
  s.detection.active = cut->Take<uint8_t>(d.boxes);
  // No more boxes are ever selected than there are.
  s.detection.selected = cut->Take<int32_t>(d.boxes);
  if (p.settings.regular) {
    const size_t best = std::min(d.most, d.boxes * d.classes) + std::min(d.most, d.boxes);
    s.detection.best = cut->Take<reference::Scored>(best);
    s.detection.merged = cut->Take<reference::Scored>(best);
  } else {
    s.detection.order = cut->Take<int32_t>(d.boxes * d.classes);
  }
  if (p.quantized_scores) s.scores = cut->Take<float>(d.boxes * d.columns);
  return s;
}

// Row `i` of `width` numbers, in float.
CenterSize LoadBox(const void* data, size_t i, size_t width, bool quantized, float scale,
                   float zero) {
  float v[4];
  for (size_t k = 0; k < 4; ++k) {
    v[k] =
        quantized
            ? (static_cast<float>(static_cast<const uint8_t*>(data)[i * width + k]) - zero) * scale
            : static_cast<const float*>(data)[i * width + k];
  }
  return {v[0], v[1], v[2], v[3]};
}

absl::Status DecodeAll(const Plan& p, const RunArgs& run, reference::Corners* corners) {
  const reference::Detection& d = p.settings.detection;
  for (size_t i = 0; i < d.boxes; ++i) {
    const CenterSize box =
        LoadBox(run.inputs[kBoxes], i, p.box_width, p.quantized_boxes, p.box_scale, p.box_zero);
    const CenterSize anchor =
        LoadBox(run.inputs[kAnchors], i, 4, p.quantized_boxes, p.anchor_scale, p.anchor_zero);
    const reference::Corners& c = corners[i] = reference::DecodeBox(box, anchor, d.scale);
    if (c.ymin > c.ymax || c.xmin > c.xmax) {
      return Invalid("box {} ends before it begins: its anchor has a negative size", i);
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const Plan& p, const RunArgs& run) {
  const reference::Detection& d = p.settings.detection;
  ScratchCutter cut(run.scratch);
  const Scratch s = Cut(p, &cut);
  LS_RETURN_IF_ERROR(DecodeAll(p, run, s.detection.corners));
  const float* scores = run.in<float>(kScores);
  if (p.quantized_scores) {
    const auto* raw = run.in<uint8_t>(kScores);
    for (size_t i = 0; i < d.boxes * d.columns; ++i) {
      s.scores[i] = p.score_scale * (static_cast<float>(raw[i]) - p.score_zero);
    }
    scores = s.scores;
  }
  const reference::DetectionOutput out{run.out<float>(0), run.out<float>(1), run.out<float>(2),
                                       run.out<float>(3)};
  std::fill_n(out.boxes, 4 * p.outputs, 0.0f);
  std::fill_n(out.classes, p.outputs, 0.0f);
  std::fill_n(out.scores, p.outputs, 0.0f);
  if (p.settings.regular) {
    reference::DetectRegular(d, s.detection, scores, out);
  } else {
    reference::DetectFast(d, s.detection, scores, out);
  }
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PreparePostprocess(const PrepareArgs& args) {
  auto plan = std::make_shared<Plan>();
  LS_ASSIGN_OR_RETURN(plan->settings, ReadSettings(args.node));
  const TensorView &boxes = args.in(kBoxes), &scores = args.in(kScores),
                   &anchors = args.in(kAnchors);
  plan->quantized_boxes = boxes.type == TensorType_UINT8;
  plan->quantized_scores = scores.type == TensorType_UINT8;
  if ((boxes.type != TensorType_FLOAT32 && !plan->quantized_boxes) || anchors.type != boxes.type ||
      (scores.type != TensorType_FLOAT32 && !plan->quantized_scores)) {
    return NoKernel(args);
  }
  for (const TensorView& out : args.outputs) {
    if (out.type != TensorType_FLOAT32) return NoKernel(args);
  }
  plan->settings.detection.boxes = static_cast<size_t>(boxes.shape[1]);
  plan->settings.detection.columns = static_cast<size_t>(scores.shape[2]);
  plan->box_width = static_cast<size_t>(boxes.shape[2]);
  plan->outputs = static_cast<size_t>(args.out(1).elements());
  plan->box_scale = boxes.scale();
  plan->box_zero = static_cast<float>(boxes.zero_point());
  plan->anchor_scale = anchors.scale();
  plan->anchor_zero = static_cast<float>(anchors.zero_point());
  plan->score_scale = scores.scale();
  plan->score_zero = static_cast<float>(scores.zero_point());
  ScratchCutter count(nullptr);
  Cut(*plan, &count);
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.scratch_bytes = count.bytes();
  kernel.run = [plan = std::shared_ptr<const Plan>(plan)](const RunArgs& run) {
    return Run(*plan, run);
  };
  return kernel;
}

}  // namespace

const OpRecord& DetectionPostprocessOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_CUSTOM;
    r.custom_code = "TFLite_Detection_PostProcess";
    r.infer_shapes = Infer;
    r.prepare = PreparePostprocess;
    return r;
  }();
  return record;
}

}  // namespace litesmith
