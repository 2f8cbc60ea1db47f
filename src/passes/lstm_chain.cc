#include "passes/lstm_chain.h"

#include <algorithm>

namespace litesmith {

using schema::BuiltinOperator;

LstmFinder::LstmFinder(const Subgraph& subgraph, const Rewriter& rewriter)
    : subgraph_(subgraph), rewriter_(rewriter), readers_(subgraph.tensors.size()) {
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    for (int32_t t : subgraph.nodes[n].inputs) {
      if (t >= 0) readers_[Index(t)].push_back(static_cast<int32_t>(n));
    }
  }
}

std::vector<LstmChain> LstmFinder::Run() {
  std::vector<LstmStep> steps;
  for (const Node& node : subgraph_.nodes) {
    if (auto step = StepOf(node)) {
      steps_by_h_[step->h] = steps.size();
      steps.push_back(*std::move(step));
    }
  }
  std::map<int32_t, size_t> next;  // by the h that is read
  std::vector<size_t> first;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!TakeSums(&steps[i])) continue;
    if (steps[i].h_before >= 0) {
      next[steps[i].h_before] = i;
    } else if (steps[i].c_before < 0) {
      first.push_back(i);
    }
  }
  std::vector<LstmChain> chains;
  for (size_t at : first) {
    LstmChain chain;
    chain.steps.push_back(steps[at]);
    for (auto found = next.find(chain.steps.back().h);
         found != next.end() && steps[found->second].c_before == chain.steps.back().c;
         found = next.find(chain.steps.back().h)) {
      chain.steps.push_back(steps[found->second]);
    }
    if (IsLayer(&chain)) chains.push_back(std::move(chain));
  }
  return chains;
}

const Node* LstmFinder::Maker(int32_t t, BuiltinOperator op) const {
  const int32_t n = rewriter_.producer(t);
  if (n < 0 || node(n).op != op) return nullptr;
  if (FusedActivation(node(n)).value_or(schema::ActivationFunctionType_NONE) !=
      schema::ActivationFunctionType_NONE) {
    return nullptr;
  }
  return &node(n);
}

const Node* LstmFinder::Reader(int32_t t, BuiltinOperator op) const {
  if (t < 0 || rewriter_.is_fixed(t) || readers(t).size() != 1) return nullptr;
  const Node& reader = node(readers(t)[0]);
  return Maker(reader.output(0), op);
}

std::optional<LstmStep> LstmFinder::StepOf(const Node& split) const {
  if (split.op != schema::BuiltinOperator_SPLIT || split.outputs.size() != kLstmGates) {
    return std::nullopt;
  }
  LstmStep step;
  step.sums = split.input(1);
  const auto axis = rewriter_.IntConstant(split.input(0));
  if (!axis || axis->size() != 1 || ((*axis)[0] != 1 && (*axis)[0] != -1)) return std::nullopt;
  if (step.sums < 0 || tensor(step.sums).shape.size() != 2) return std::nullopt;
  if (tensor(step.sums).type != schema::TensorType_FLOAT32) return std::nullopt;
  std::array<int32_t, kLstmGates> gates;
  int32_t candidate = -1;
  for (size_t k = 0; k < kLstmGates; ++k) {
    gates[k] = -1;
    const int32_t part = split.outputs[k];
    if (const Node* gate = Reader(part, schema::BuiltinOperator_LOGISTIC)) {
      gates[k] = gate->output(0);
    } else if (const Node* cell = Reader(part, schema::BuiltinOperator_TANH)) {
      if (step.part[kCellGate] >= 0) return std::nullopt;
      step.part[kCellGate] = static_cast<int>(k);
      candidate = cell->output(0);
    } else if (rewriter_.is_fixed(part) || !readers(part).empty()) {
      return std::nullopt;
    }
  }
  if (candidate < 0 || !TakeCell(gates, candidate, &step)) return std::nullopt;
  return step;
}

int LstmFinder::PartOf(const std::array<int32_t, kLstmGates>& gates, int32_t t) {
  if (t < 0) return -1;
  for (size_t k = 0; k < kLstmGates; ++k) {
    if (gates[k] == t) return static_cast<int>(k);
  }
  return -1;
}

bool LstmFinder::TakeCell(const std::array<int32_t, kLstmGates>& gates, int32_t candidate,
                          LstmStep* step) const {
  const Node* fresh = Reader(candidate, schema::BuiltinOperator_MUL);
  if (fresh == nullptr) return false;
  step->part[kInputGate] = PartOf(gates, Other(*fresh, candidate));
  step->c = fresh->output(0);
  if (const Node* sum = Reader(step->c, schema::BuiltinOperator_ADD)) {
    const Node* kept = Maker(Other(*sum, step->c), schema::BuiltinOperator_MUL);
    for (size_t i = 0; kept != nullptr && i < 2; ++i) {
      const int part = PartOf(gates, kept->input(i));
      if (part < 0 || part == step->part[kInputGate]) continue;
      step->part[kForgetGate] = part;
      step->c_before = kept->input(1 - i);
      step->c = sum->output(0);
    }
  }
  if (rewriter_.is_fixed(step->c)) return false;
  int32_t squashed = -1;
  for (int32_t n : readers(step->c)) {
    if (node(n).op != schema::BuiltinOperator_TANH) continue;
    if (squashed >= 0) return false;
    squashed = node(n).output(0);
  }
  const Node* out = Reader(squashed, schema::BuiltinOperator_MUL);
  if (out == nullptr) return false;
  step->part[kOutputGate] = PartOf(gates, Other(*out, squashed));
  step->h = out->output(0);
  step->maker = rewriter_.producer(step->h);
  return step->part[kInputGate] >= 0 && step->part[kOutputGate] >= 0;
}

bool LstmFinder::AddBias(int32_t t, LstmStep* step) const {
  const auto values = tensor(t).data.As<float>();
  const auto width = static_cast<size_t>(tensor(step->sums).shape[1]);
  if (values.size() != width) return false;
  step->bias.resize(width, 0.0f);
  for (size_t i = 0; i < width; ++i) step->bias[i] += values[i];
  return true;
}

bool LstmFinder::TakeSums(LstmStep* step) const {
  std::vector<int32_t> pending = {step->sums};
  while (!pending.empty()) {
    const int32_t t = pending.back();
    pending.pop_back();
    if (rewriter_.IsFloatConstant(t)) {
      if (!AddBias(t, step)) return false;
      continue;
    }
    if (rewriter_.is_fixed(t) || readers(t).size() != 1) return false;
    if (const Node* sum = Maker(t, schema::BuiltinOperator_ADD)) {
      pending.push_back(sum->input(0));
      pending.push_back(sum->input(1));
      continue;
    }
    if (!TakeProduct(t, step)) return false;
  }
  return step->x >= 0;
}

bool LstmFinder::TakeProduct(int32_t t, LstmStep* step) const {
  const Node* product = Maker(t, schema::BuiltinOperator_FULLY_CONNECTED);
  if (product == nullptr) {
    if (step->x >= 0) return false;
    step->x = t;
    return true;
  }
  const int32_t in = product->input(0), weights = product->input(1);
  if (!IsMatrix(weights, tensor(step->sums).shape[1])) return false;
  if (product->input(2) >= 0) {
    if (!rewriter_.IsFloatConstant(product->input(2))) return false;
    if (!AddBias(product->input(2), step)) return false;
  }
  const bool recurrent = steps_by_h_.contains(in);
  int32_t& side = recurrent ? step->h_before : step->x;
  if (side >= 0) return false;
  side = in;
  (recurrent ? step->recurrent : step->weights) = weights;
  return true;
}

bool LstmFinder::IsMatrix(int32_t t, int32_t rows) const {
  return rewriter_.IsFloatConstant(t) && tensor(t).shape.size() == 2 && tensor(t).shape[0] == rows;
}

bool LstmFinder::SameConstant(int32_t a, int32_t b) const {
  if (a == b) return true;
  if (a < 0 || b < 0 || tensor(a).shape != tensor(b).shape) return false;
  const auto &x = tensor(a).data.bytes, &y = tensor(b).data.bytes;
  return x.size() == y.size() &&
         (x.data() == y.data() || std::equal(x.begin(), x.end(), y.begin()));
}

bool LstmFinder::IsLayer(LstmChain* chain) const {
  const std::vector<LstmStep>& steps = chain->steps;
  if (steps.size() < 2) return false;
  const LstmStep& second = steps[1];
  chain->part = second.part;
  chain->weights = second.weights;
  chain->recurrent = second.recurrent;
  chain->bias = second.bias;
  for (int part : chain->part) {
    if (part < 0) return false;
  }
  const int32_t units = tensor(second.sums).shape[1] / static_cast<int32_t>(kLstmGates);
  if (chain->recurrent < 0 || tensor(chain->recurrent).shape[1] != units) return false;
  for (size_t i = 0; i < steps.size(); ++i) {
    const LstmStep& s = steps[i];
    for (int gate : {kInputGate, kCellGate, kOutputGate}) {
      if (s.part[static_cast<size_t>(gate)] != chain->part[static_cast<size_t>(gate)]) {
        return false;
      }
    }
    if (!SameConstant(s.weights, chain->weights) || s.bias != chain->bias) return false;
    if (i > 0 && (s.part != chain->part || !SameConstant(s.recurrent, chain->recurrent))) {
      return false;
    }
    const bool last = i + 1 == steps.size();
    // What nobody but the next step may read: the operator has no such output.
    if (readers(s.c).size() != (last ? 1u : 2u) || (!last && rewriter_.is_fixed(s.h))) {
      return false;
    }
  }
  return TakeSequence(chain);
}

bool LstmFinder::TakeSequence(LstmChain* chain) const {
  const size_t count = chain->steps.size();
  const int32_t n = rewriter_.producer(chain->steps[0].x);
  if (n < 0 || node(n).op != schema::BuiltinOperator_UNPACK) return false;
  const std::vector<int32_t>& parts = node(n).outputs;
  if (parts.size() != count) return false;
  chain->unpack = n;
  chain->backwards = parts[0] != chain->steps[0].x;
  for (size_t i = 0; i < count; ++i) {
    const int32_t part = parts[chain->backwards ? count - 1 - i : i];
    if (part != chain->steps[i].x || rewriter_.is_fixed(part) || readers(part).size() != 1) {
      return false;
    }
  }
  chain->source = node(n).input(0);
  if (tensor(chain->source).shape.size() != 3) return false;
  const int32_t axis = node(n).GetOptions<schema::UnpackOptionsT>().axis;
  chain->time_axis = static_cast<size_t>(axis < 0 ? axis + 3 : axis);
  if (chain->time_axis > 1) return false;
  if (chain->weights < 0 && !TakeProjection(chain)) return false;
  const Shape& shape = KnownShape(tensor(chain->source));
  return std::all_of(shape.begin(), shape.end(), [](int32_t d) { return d > 0; });
}

bool LstmFinder::TakeProjection(LstmChain* chain) const {
  const int32_t n = rewriter_.PrivateProducer(chain->source);
  if (n < 0 || Maker(chain->source, schema::BuiltinOperator_FULLY_CONNECTED) == nullptr) {
    return false;
  }
  const Node& product = node(n);
  LstmStep all;
  all.sums = chain->steps[0].sums;
  all.bias = chain->bias;
  if (!IsMatrix(product.input(1), tensor(all.sums).shape[1])) return false;
  if (product.input(2) >= 0 &&
      (!rewriter_.IsFloatConstant(product.input(2)) || !AddBias(product.input(2), &all))) {
    return false;
  }
  chain->bias = all.bias;
  chain->weights = product.input(1);
  chain->source = product.input(0);
  return chain->source >= 0 && tensor(chain->source).shape.size() == 3;
}

}  // namespace litesmith
