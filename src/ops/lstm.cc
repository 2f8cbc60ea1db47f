#include "ops/lstm.h"

#include <memory>

namespace litesmith {
namespace {

using reference::kCellGate;
using reference::kInputGate;
using reference::kLstmGates;
using reference::kOutputGate;

constexpr const char* kGateNames[kLstmGates] = {"input", "forget", "cell", "output"};

bool Has(std::span<const TensorView> inputs, size_t i) {
  return i < inputs.size() && inputs[i].present;
}

absl::Status CheckPresence(const PrepareArgs& args, size_t i, bool wanted,
                           const std::string& what) {
  if (args.has(i) == wanted) return absl::OkStatus();
  return Invalid("{} {}", what, wanted ? "is missing" : "is given without the others of its kind");
}

absl::Status CheckOperand(const PrepareArgs& args, size_t i, bool wanted, const std::string& what,
                          const Shape& shape) {
  LS_RETURN_IF_ERROR(CheckPresence(args, i, wanted, what));
  return wanted ? CheckDims(args.in(i), what.c_str(), shape) : absl::OkStatus();
}

// Its count of elements is what counts: files hold states of one or two dimensions.
absl::Status CheckLstmState(const TensorView& state, const char* what, int64_t elements) {
  if (!state.present) return Invalid("{} is missing", what);
  if (!state.is_variable) {
    return Invalid("{} '{}' is no variable tensor", what, Printable(state.name));
  }
  if (state.elements() == elements) return absl::OkStatus();
  return Invalid("{} '{}' has {} elements, {} are needed", what, Printable(state.name),
                 state.elements(), elements);
}

// What `Prepare` decides; the pointers come with each run.
template <typename W>
struct Plan {
  LstmOperands at;
  LstmForm form;
  bool time_major = false, backwards = false;
  reference::Lstm<W> lstm;  // without pointers
  float peephole_scale[kLstmGates] = {};
};

template <typename W>
reference::LstmScratch CutScratch(const Plan<W>& p, ScratchCutter* cut, float** peepholes) {
  const reference::LstmSizes& n = p.form.sizes;
  const size_t rows = p.time_major ? p.form.batches : 1;
  reference::LstmScratch s;
  for (float*& gate : s.gates) gate = cut->Take<float>(rows * n.cells);
  s.hidden = cut->Take<float>(rows * n.cells);
  if constexpr (std::is_same_v<W, int8_t>) {
    s.x = cut->TakeRows(rows, n.inputs);
    s.aux = cut->TakeRows(rows, n.aux_inputs);
    s.state = cut->TakeRows(rows, n.outputs);
    s.projected = cut->TakeRows(rows, n.cells);
    for (size_t g = 0; g < kLstmGates; ++g) peepholes[g] = cut->Take<float>(n.cells);
  }
  return s;
}

// The weights of this run.
template <typename W>
reference::Lstm<W> Bind(const Plan<W>& p, const RunArgs& args, float* const* peepholes) {
  reference::Lstm<W> m = p.lstm;
  const LstmOperands& at = p.at;
  for (size_t g = 0; g < kLstmGates; ++g) {
    if (p.form.cifg && g == kInputGate) continue;
    reference::LstmGate<W>& gate = m.gates[g];
    gate.input.values = args.in<W>(at.weights + g);
    if (p.form.aux) gate.aux.values = args.in<W>(*at.aux_weights + g);
    if (p.form.diagonal) {
      gate.diagonal = args.in<float>(at.recurrent + g);
    } else {
      gate.recurrent.values = args.in<W>(at.recurrent + g);
    }
    gate.finish.bias = args.in<float>(at.bias + g);
    if (p.form.layer_norm) gate.finish.layer_norm = args.in<float>(*at.layer_norm + g);
    const auto peephole = PeepholeOf(at, g);
    if (!p.form.peephole || !peephole.has_value()) continue;
    if constexpr (std::is_same_v<W, float>) {
      gate.peephole = args.in<float>(*peephole);
    } else {
      const W* values = args.in<W>(*peephole);
      for (size_t c = 0; c < p.form.sizes.cells; ++c) {
        peepholes[g][c] = static_cast<float>(values[c]) * p.peephole_scale[g];
      }
      gate.peephole = peepholes[g];
    }
  }
  if (p.form.projection) m.projection.values = args.in<W>(at.projection);
  if (p.form.projection_bias) m.projection_bias = args.in<float>(at.projection_bias);
  return m;
}

// The states to run on, and what is called after each step with the index of its first row.
struct LstmStates {
  float* output = nullptr;
  float* cell = nullptr;
};
template <typename W, typename AfterStep>
void RunSteps(const Plan<W>& p, const LstmRun& run, const LstmStates& states,
              const reference::LstmScratch& scratch, float* const* peepholes,
              const AfterStep& after) {
  const RunArgs& args = *run.args;
  reference::Lstm<W> lstm = Bind(p, args, peepholes);
  const reference::LstmSizes& n = p.form.sizes;
  const float* x = args.in<float>(p.at.input);
  const float* aux = p.form.aux ? args.in<float>(*p.at.aux) : nullptr;
  const bool cifg = p.form.cifg;
  // Where LiteRT keeps the gates: one after the other in this order, the input gate only where
  // there is one.
  const size_t slots[kLstmGates] = {0, cifg ? size_t{1} : 2, cifg ? size_t{0} : 1,
                                    cifg ? size_t{2} : 3};
  // With time first, all sequences advance at once.
  const size_t rows = p.time_major ? p.form.batches : 1;
  for (size_t b = 0; b < (p.time_major ? 1 : p.form.batches); ++b) {
    for (size_t g = 0; g < kLstmGates; ++g) {
      lstm.gates[g].finish.phase = (slots[g] * p.form.batches + b) * n.cells;
    }
    float *state = states.output + b * n.outputs, *cell = states.cell + b * n.cells;
    for (size_t i = 0; i < p.form.steps; ++i) {
      const size_t t = p.backwards ? p.form.steps - 1 - i : i;
      const size_t row = (b * p.form.steps + t) * rows;
      reference::StepLstm(lstm, scratch, rows, x + row * n.inputs,
                          aux == nullptr ? nullptr : aux + row * n.aux_inputs, state, cell,
                          run.out + row * run.out_width, run.out_width);
      after(rows, cell);
    }
  }
}

template <typename W>
void RunSequence(const Plan<W>& p, const LstmRun& run) {
  ScratchCutter cut(run.scratch);
  float* peepholes[kLstmGates] = {};
  const reference::LstmScratch scratch = CutScratch(p, &cut, peepholes);
  const LstmStates states{VariableOf<float>(*run.args, p.at.output_state),
                          VariableOf<float>(*run.args, p.at.cell_state)};
  RunSteps(p, run, states, scratch, peepholes, [](size_t, const float*) {});
}

// The scale of weights that are there, when they are int8.
template <typename W>
absl::Status TakeScale(const PrepareArgs& args, size_t i, float* scale) {
  if constexpr (std::is_same_v<W, int8_t>) {
    if (!args.has(i)) return absl::OkStatus();
    LS_RETURN_IF_ERROR(CheckOneScale(args.in(i), "the weights"));
    *scale = args.in(i).scale();
  }
  return absl::OkStatus();
}

template <typename W>
absl::Status TakeScales(const PrepareArgs& args, Plan<W>* p) {
  const LstmOperands& at = p->at;
  for (size_t g = 0; g < kLstmGates; ++g) {
    reference::LstmGate<W>& gate = p->lstm.gates[g];
    LS_RETURN_IF_ERROR(TakeScale<W>(args, at.weights + g, &gate.input.scale));
    if (p->form.aux) LS_RETURN_IF_ERROR(TakeScale<W>(args, *at.aux_weights + g, &gate.aux.scale));
    if (!p->form.diagonal) {
      LS_RETURN_IF_ERROR(TakeScale<W>(args, at.recurrent + g, &gate.recurrent.scale));
    }
    if (const auto peephole = PeepholeOf(at, g)) {
      LS_RETURN_IF_ERROR(TakeScale<W>(args, *peephole, &p->peephole_scale[g]));
    }
  }
  return TakeScale<W>(args, at.projection, &p->lstm.projection.scale);
}

template <typename W>
absl::StatusOr<std::shared_ptr<Plan<W>>> MakePlan(const LstmOperands& at,
                                                  const LstmSettings& settings,
                                                  const LstmForm& form) {
  auto plan = std::make_shared<Plan<W>>();
  plan->at = at;
  plan->form = form;
  plan->time_major = settings.time_major;
  plan->backwards = settings.backwards;
  plan->lstm.sizes = form.sizes;
  plan->lstm.has_input_gate = !form.cifg;
  plan->lstm.cell_clip = settings.cell_clip;
  plan->lstm.projection_clip = settings.projection_clip;
  plan->lstm.asymmetric = settings.asymmetric;
  LS_ASSIGN_OR_RETURN(plan->lstm.activation, CellActivationOf(settings.activation));
  plan->lstm.gates[kCellGate].finish.activation = plan->lstm.activation;
  return plan;
}

template <typename W>
absl::StatusOr<PreparedLstm> PrepareWith(const LstmOperands& at, const LstmSettings& settings,
                                         const LstmForm& form, const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(std::shared_ptr<Plan<W>> plan, MakePlan<W>(at, settings, form));
  LS_RETURN_IF_ERROR(TakeScales(args, plan.get()));
  ScratchCutter count(nullptr);
  float* peepholes[kLstmGates] = {};
  CutScratch(*plan, &count, peepholes);
  PreparedLstm out;
  out.scratch_bytes = count.bytes();
  out.run = [plan = std::shared_ptr<const Plan<W>>(plan)](const LstmRun& run) {
    RunSequence(*plan, run);
  };
  return out;
}

// Whether inputs [first, first + count) that are there have the type.
bool AllOf(const PrepareArgs& args, size_t first, size_t count, TensorType type) {
  for (size_t i = first; i < first + count; ++i) {
    if (args.has(i) && args.in(i).type != type) return false;
  }
  return true;
}

}  // namespace

std::optional<size_t> PeepholeOf(const LstmOperands& at, size_t gate) {
  if (gate == kCellGate) return std::nullopt;
  return at.peephole + (gate == kOutputGate ? 2 : gate);
}

absl::StatusOr<LstmForm> LstmFormOf(const LstmOperands& at, const LstmSettings& settings,
                                    std::span<const TensorView> inputs) {
  const size_t weights = at.weights + kOutputGate, recurrent = at.recurrent + kOutputGate;
  if (!Has(inputs, at.input) || !Has(inputs, weights) || !Has(inputs, recurrent)) {
    return Invalid("the input or the output gate's weights are missing");
  }
  const Shape &x = inputs[at.input].shape, &w = inputs[weights].shape, &r = inputs[recurrent].shape;
  if (x.size() != 3 || w.size() != 2 || x[2] != w[1] || r.empty() || r.size() > 2 || r[0] != w[0]) {
    return Invalid("input {}, weights {} and recurrent weights {} do not fit", ShapeString(x),
                   ShapeString(w), ShapeString(r));
  }
  LstmForm f;
  f.batches = static_cast<size_t>(x[settings.time_major ? 1 : 0]);
  f.steps = static_cast<size_t>(x[settings.time_major ? 0 : 1]);
  f.sizes.inputs = static_cast<size_t>(x[2]);
  f.sizes.cells = static_cast<size_t>(w[0]);
  f.sizes.outputs = static_cast<size_t>(r.back());
  f.diagonal = r.size() == 1;
  f.cifg = !Has(inputs, at.weights);
  f.peephole = Has(inputs, at.peephole + 2);
  f.projection = Has(inputs, at.projection);
  f.projection_bias = Has(inputs, at.projection_bias);
  f.layer_norm = at.layer_norm.has_value() && Has(inputs, *at.layer_norm + 1);
  f.aux = at.aux_weights.has_value() && Has(inputs, *at.aux_weights + 1);
  if (f.aux) {
    if (!Has(inputs, *at.aux)) return Invalid("the auxiliary input is missing");
    const Shape& aux = inputs[*at.aux].shape;
    if (aux.size() != 3 || aux[0] != x[0] || aux[1] != x[1]) {
      return Invalid("input {} and auxiliary input {} do not fit", ShapeString(x),
                     ShapeString(aux));
    }
    f.sizes.aux_inputs = static_cast<size_t>(aux[2]);
  }
  if (!f.projection && f.sizes.outputs != f.sizes.cells) {
    return Invalid("{} outputs of {} cells need a projection", f.sizes.outputs, f.sizes.cells);
  }
  return f;
}

absl::Status CheckLstmShapes(const LstmOperands& at, const LstmForm& form,
                             const PrepareArgs& args) {
  const auto inputs = static_cast<int32_t>(form.sizes.inputs),
             aux = static_cast<int32_t>(form.sizes.aux_inputs),
             cells = static_cast<int32_t>(form.sizes.cells),
             outputs = static_cast<int32_t>(form.sizes.outputs);
  for (size_t g = 0; g < kLstmGates; ++g) {
    const bool there = !(form.cifg && g == kInputGate);
    const auto what = [g](const char* kind) {
      return fmt::format("the {} gate's {}", kGateNames[g], kind);
    };
    LS_RETURN_IF_ERROR(CheckOperand(args, at.weights + g, there, what("weights"), {cells, inputs}));
    LS_RETURN_IF_ERROR(CheckOperand(args, at.recurrent + g, there, what("recurrent weights"),
                                    form.diagonal ? Shape{cells} : Shape{cells, outputs}));
    LS_RETURN_IF_ERROR(CheckOperand(args, at.bias + g, there, what("bias"), {cells}));
    if (const auto peephole = PeepholeOf(at, g)) {
      LS_RETURN_IF_ERROR(
          CheckOperand(args, *peephole, there && form.peephole, what("peephole weights"), {cells}));
    }
    if (at.layer_norm.has_value()) {
      LS_RETURN_IF_ERROR(CheckOperand(args, *at.layer_norm + g, there && form.layer_norm,
                                      what("layer normalization"), {cells}));
    }
    if (at.aux_weights.has_value()) {
      LS_RETURN_IF_ERROR(CheckOperand(args, *at.aux_weights + g, there && form.aux,
                                      what("auxiliary weights"), {cells, aux}));
    }
  }
  if (form.projection) {
    LS_RETURN_IF_ERROR(CheckDims(args.in(at.projection), "the projection", {outputs, cells}));
  }
  if (form.projection_bias) {
    if (!form.projection) return Invalid("there is a projection bias without a projection");
    LS_RETURN_IF_ERROR(CheckDims(args.in(at.projection_bias), "the projection bias", {outputs}));
  }
  const auto batches = static_cast<int64_t>(form.batches);
  const auto state = [&](size_t i) { return args.has(i) ? args.in(i) : TensorView(); };
  LS_RETURN_IF_ERROR(CheckLstmState(state(at.output_state), "the output state", batches * outputs));
  return CheckLstmState(state(at.cell_state), "the cell state", batches * cells);
}

absl::StatusOr<PreparedLstm> PrepareFloatLstm(const LstmOperands& at, const LstmSettings& settings,
                                              const LstmForm& form, const PrepareArgs& args) {
  constexpr TensorType kFloat = schema::TensorType_FLOAT32;
  const TensorType weights = args.in(at.weights + kOutputGate).type;
  bool ok = AllOf(args, at.input, 1, kFloat) && AllOf(args, at.bias, kLstmGates, kFloat) &&
            AllOf(args, at.projection_bias, 1, kFloat) && AllOf(args, at.output_state, 1, kFloat) &&
            AllOf(args, at.cell_state, 1, kFloat) && AllOf(args, at.weights, kLstmGates, weights) &&
            AllOf(args, at.recurrent, kLstmGates, form.diagonal ? kFloat : weights) &&
            AllOf(args, at.peephole, kLstmGates - 1, weights) &&
            AllOf(args, at.projection, 1, weights);
  if (form.layer_norm) ok = ok && AllOf(args, *at.layer_norm, kLstmGates, kFloat);
  if (form.aux) {
    ok = ok && AllOf(args, *at.aux, 1, kFloat) && AllOf(args, *at.aux_weights, kLstmGates, weights);
  }
  for (const TensorView& out : args.outputs) ok = ok && out.type == kFloat;
  if (!ok) return NoKernel(args);
  if (weights == kFloat) return PrepareWith<float>(at, settings, form, args);
  if (weights == schema::TensorType_INT8) return PrepareWith<int8_t>(at, settings, form, args);
  return NoKernel(args);
}

absl::Status ObserveLstm(const LstmOperands& at, const LstmSettings& settings,
                         std::span<const TensorView> inputs, const LstmObserver& observe,
                         LstmMemory* memory) {
  LS_ASSIGN_OR_RETURN(const LstmForm form, LstmFormOf(at, settings, inputs));
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<Plan<float>> plan, MakePlan<float>(at, settings, form));
  const reference::LstmSizes& n = form.sizes;
  const size_t rows = settings.time_major ? form.batches : 1;
  std::vector<std::vector<float>> buffers;
  const auto take = [&buffers](size_t count) { return buffers.emplace_back(count, 0.0f).data(); };
  reference::LstmScratch scratch;
  for (size_t g = 0; g < kLstmGates; ++g) {
    scratch.gates[g] = take(rows * n.cells);
    if (form.layer_norm) scratch.sums[g] = take(rows * n.cells);
  }
  scratch.hidden = take(rows * n.cells);
  memory->output.resize(form.batches * n.outputs);
  memory->cell.resize(form.batches * n.cells);
  const LstmStates states{memory->output.data(), memory->cell.data()};
  float* out = take(form.batches * form.steps * n.outputs);
  std::vector<const void*> pointers;
  for (const TensorView& v : inputs) pointers.push_back(v.present ? v.data : nullptr);
  RunArgs args;
  args.inputs = pointers;
  float* peepholes[kLstmGates] = {};
  RunSteps(*plan, LstmRun{&args, out, n.outputs, nullptr}, states, scratch, peepholes,
           [&](size_t, const float* cell) {
             for (size_t g = form.cifg ? 1 : 0; form.layer_norm && g < kLstmGates; ++g) {
               observe(static_cast<LstmValue>(g), {scratch.sums[g], rows * n.cells});
             }
             observe(LstmValue::kHidden, {scratch.hidden, rows * n.cells});
             observe(LstmValue::kCell, {cell, rows * n.cells});
           });
  return absl::OkStatus();
}

}  // namespace litesmith
