// IF, WHILE, CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE. The executor runs them itself
// (runtime/control_flow.cc); their records say that they exist and are never folded or dropped.

#include "ops/op.h"

namespace litesmith {
namespace {

OpRecord RunByExecutor(schema::BuiltinOperator op, const char* tf, const char* onnx) {
  OpRecord r;
  r.op = op;
  r.names = {"", tf, onnx};
  r.stateful = true;
  r.run_by_executor = true;
  return r;
}

}  // namespace

const OpRecord& AssignVariableOp() {
  static const OpRecord record =
      RunByExecutor(schema::BuiltinOperator_ASSIGN_VARIABLE, "AssignVariableOp", "");
  return record;
}

const OpRecord& CallOnceOp() {
  static const OpRecord record = RunByExecutor(schema::BuiltinOperator_CALL_ONCE, "", "");
  return record;
}

const OpRecord& IfOp() {
  static const OpRecord record = RunByExecutor(schema::BuiltinOperator_IF, "If", "If");
  return record;
}

const OpRecord& ReadVariableOp() {
  static const OpRecord record =
      RunByExecutor(schema::BuiltinOperator_READ_VARIABLE, "ReadVariableOp", "");
  return record;
}

const OpRecord& VarHandleOp() {
  static const OpRecord record =
      RunByExecutor(schema::BuiltinOperator_VAR_HANDLE, "VarHandleOp", "");
  return record;
}

const OpRecord& WhileOp() {
  static const OpRecord record = RunByExecutor(schema::BuiltinOperator_WHILE, "While", "Loop");
  return record;
}

}  // namespace litesmith
