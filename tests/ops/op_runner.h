#ifndef LITESMITH_TESTS_OPS_OP_RUNNER_H_
#define LITESMITH_TESTS_OPS_OP_RUNNER_H_

// Runs one operator record by hand: inference, preparation, kernel; without an executor.

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "ops/op.h"

namespace litesmith::testing {

class OpRunner {
 public:
  explicit OpRunner(schema::BuiltinOperator op, Options options = {}) {
    node_.op = op;
    node_.options = std::move(options);
  }

  // An input whose value shape inference sees (Known) or not (Fed).
  template <typename T>
  OpRunner& Known(TensorType type, Shape shape, const std::vector<T>& values,
                  QuantParams quant = {}) {
    Add(type, std::move(shape), std::as_bytes(std::span(values)), std::move(quant));
    inputs_.back().known = true;
    return *this;
  }
  template <typename T>
  OpRunner& Fed(TensorType type, Shape shape, const std::vector<T>& values,
                QuantParams quant = {}) {
    Add(type, std::move(shape), std::as_bytes(std::span(values)), std::move(quant));
    return *this;
  }
  // Values the test does not care about.
  OpRunner& Fed(TensorType type, Shape shape, QuantParams quant = {}) {
    const std::vector<std::byte> zeros(shape.size() > 8 ? 0
                                                        : static_cast<size_t>(NumElements(shape)) *
                                                              std::max<size_t>(1, TypeSize(type)));
    Add(type, std::move(shape), zeros, std::move(quant));
    return *this;
  }
  OpRunner& Absent() {
    inputs_.emplace_back();
    return *this;
  }
  OpRunner& Out(TensorType type, QuantParams quant = {}) {
    Slot slot;
    slot.type = type;
    slot.quant = std::move(quant);
    slot.present = true;
    outputs_.push_back(std::move(slot));
    return *this;
  }
  OpRunner& Version(int version) {
    node_.version = version;
    return *this;
  }

  absl::StatusOr<std::vector<Shape>> Infer() {
    const OpRecord* record = FindOp(node_);
    if (record == nullptr) return absl::NotFoundError("no record");
    const auto in = Views(inputs_, false), out = Views(outputs_, false);
    std::vector<Shape> shapes;
    LS_RETURN_IF_ERROR(record->infer_shapes({node_, in, out}, &shapes));
    return shapes;
  }

  // Everything; what depends on values is inferred again with all of them known, as an executor
  // does.
  absl::Status Run() {
    const OpRecord* record = FindOp(node_);
    if (record == nullptr) return absl::NotFoundError("no record");
    std::vector<Shape> shapes;
    auto in = Views(inputs_, false), out = Views(outputs_, false);
    absl::Status inferred = record->infer_shapes({node_, in, out}, &shapes);
    if (IsNeedsValue(inferred)) {
      in = Views(inputs_, true);
      inferred = record->infer_shapes({node_, in, out}, &shapes);
    }
    LS_RETURN_IF_ERROR(inferred);
    for (size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].shape = shapes[i];
      LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(outputs_[i].type, shapes[i]));
      outputs_[i].bytes.assign(bytes, std::byte{0xcd});
    }
    out = Views(outputs_, false);
    PrepareArgs args{node_, in, out, mode_, Arithmetic::kLitert, 1};
    LS_ASSIGN_OR_RETURN(const Kernel kernel, record->prepare(args));
    std::vector<const void*> from;
    std::vector<void*> to;
    for (Slot& slot : inputs_) from.push_back(slot.present ? slot.bytes.data() : nullptr);
    for (Slot& slot : outputs_) to.push_back(slot.bytes.data());
    std::vector<std::byte> scratch(kernel.scratch_bytes + 64);
    RunArgs run{from, to, nullptr, nullptr};
    run.scratch = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
    kernel_name_ = kernel.name;
    return kernel.run(run);
  }

  template <typename T>
  std::vector<T> Result(size_t i = 0) const {
    std::vector<T> values(outputs_[i].bytes.size() / sizeof(T));
    if (!values.empty())
      std::memcpy(values.data(), outputs_[i].bytes.data(), values.size() * sizeof(T));
    return values;
  }
  const Shape& ResultShape(size_t i = 0) const { return outputs_[i].shape; }
  const std::string& kernel_name() const { return kernel_name_; }

 private:
  struct Slot {
    TensorType type = schema::TensorType_FLOAT32;
    Shape shape;
    QuantParams quant;
    std::vector<std::byte> bytes;
    bool known = false;
    bool present = false;
  };

  void Add(TensorType type, Shape shape, std::span<const std::byte> bytes, QuantParams quant) {
    Slot slot;
    slot.type = type;
    slot.shape = std::move(shape);
    slot.quant = std::move(quant);
    slot.bytes.assign(bytes.begin(), bytes.end());
    slot.present = true;
    inputs_.push_back(std::move(slot));
  }

  static std::vector<TensorView> Views(const std::vector<Slot>& slots, bool all_known) {
    static const QuantParams kNone;
    static const std::byte kNoBytes[16] = {};
    std::vector<TensorView> views;
    for (const Slot& slot : slots) {
      TensorView view;
      view.quant = &kNone;
      if (slot.present) {
        view.type = slot.type;
        view.shape = slot.shape;
        view.quant = &slot.quant;
        if (slot.known || all_known) view.data = slot.bytes.empty() ? kNoBytes : slot.bytes.data();
        view.name = "t";
        view.present = true;
      }
      views.push_back(view);
    }
    return views;
  }

  Node node_;
  std::vector<Slot> inputs_, outputs_;
  KernelMode mode_ = KernelMode::kBest;
  std::string kernel_name_;
};

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_OPS_OP_RUNNER_H_
