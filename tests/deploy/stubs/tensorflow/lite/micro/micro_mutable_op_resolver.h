#ifndef LITESMITH_STUB_MICRO_MUTABLE_OP_RESOLVER_H_
#define LITESMITH_STUB_MICRO_MUTABLE_OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_interpreter.h"

namespace tflite {

// Counts; one more than there is room for is an error, as it is in tflite-micro.
template <unsigned int kRoom>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
#define LITESMITH_STUB(Method) \
  TfLiteStatus Method() { return Add(); }
  LITESMITH_STUB(AddAbs)
  LITESMITH_STUB(AddAdd)
  LITESMITH_STUB(AddAddN)
  LITESMITH_STUB(AddArgMax)
  LITESMITH_STUB(AddArgMin)
  LITESMITH_STUB(AddAssignVariable)
  LITESMITH_STUB(AddAveragePool2D)
  LITESMITH_STUB(AddBatchMatMul)
  LITESMITH_STUB(AddBatchToSpaceNd)
  LITESMITH_STUB(AddBroadcastArgs)
  LITESMITH_STUB(AddBroadcastTo)
  LITESMITH_STUB(AddCallOnce)
  LITESMITH_STUB(AddCast)
  LITESMITH_STUB(AddCeil)
  LITESMITH_STUB(AddConcatenation)
  LITESMITH_STUB(AddConv2D)
  LITESMITH_STUB(AddCos)
  LITESMITH_STUB(AddCumSum)
  LITESMITH_STUB(AddDepthToSpace)
  LITESMITH_STUB(AddDepthwiseConv2D)
  LITESMITH_STUB(AddDequantize)
  LITESMITH_STUB(AddDetectionPostprocess)
  LITESMITH_STUB(AddDiv)
  LITESMITH_STUB(AddDynamicUpdateSlice)
  LITESMITH_STUB(AddElu)
  LITESMITH_STUB(AddEmbeddingLookup)
  LITESMITH_STUB(AddEqual)
  LITESMITH_STUB(AddExp)
  LITESMITH_STUB(AddExpandDims)
  LITESMITH_STUB(AddFill)
  LITESMITH_STUB(AddFloor)
  LITESMITH_STUB(AddFloorDiv)
  LITESMITH_STUB(AddFloorMod)
  LITESMITH_STUB(AddFullyConnected)
  LITESMITH_STUB(AddGather)
  LITESMITH_STUB(AddGatherNd)
  LITESMITH_STUB(AddGreater)
  LITESMITH_STUB(AddGreaterEqual)
  LITESMITH_STUB(AddHardSwish)
  LITESMITH_STUB(AddIf)
  LITESMITH_STUB(AddL2Normalization)
  LITESMITH_STUB(AddL2Pool2D)
  LITESMITH_STUB(AddLeakyRelu)
  LITESMITH_STUB(AddLess)
  LITESMITH_STUB(AddLessEqual)
  LITESMITH_STUB(AddLog)
  LITESMITH_STUB(AddLogSoftmax)
  LITESMITH_STUB(AddLogicalAnd)
  LITESMITH_STUB(AddLogicalNot)
  LITESMITH_STUB(AddLogicalOr)
  LITESMITH_STUB(AddLogistic)
  LITESMITH_STUB(AddMaxPool2D)
  LITESMITH_STUB(AddMaximum)
  LITESMITH_STUB(AddMean)
  LITESMITH_STUB(AddMinimum)
  LITESMITH_STUB(AddMirrorPad)
  LITESMITH_STUB(AddMul)
  LITESMITH_STUB(AddNeg)
  LITESMITH_STUB(AddNotEqual)
  LITESMITH_STUB(AddPack)
  LITESMITH_STUB(AddPad)
  LITESMITH_STUB(AddPadV2)
  LITESMITH_STUB(AddPrelu)
  LITESMITH_STUB(AddQuantize)
  LITESMITH_STUB(AddReadVariable)
  LITESMITH_STUB(AddReduceAll)
  LITESMITH_STUB(AddReduceMax)
  LITESMITH_STUB(AddReduceMin)
  LITESMITH_STUB(AddRelu)
  LITESMITH_STUB(AddRelu6)
  LITESMITH_STUB(AddReshape)
  LITESMITH_STUB(AddResizeBilinear)
  LITESMITH_STUB(AddResizeNearestNeighbor)
  LITESMITH_STUB(AddReverseV2)
  LITESMITH_STUB(AddRound)
  LITESMITH_STUB(AddRsqrt)
  LITESMITH_STUB(AddSelectV2)
  LITESMITH_STUB(AddShape)
  LITESMITH_STUB(AddSin)
  LITESMITH_STUB(AddSlice)
  LITESMITH_STUB(AddSoftmax)
  LITESMITH_STUB(AddSpaceToBatchNd)
  LITESMITH_STUB(AddSpaceToDepth)
  LITESMITH_STUB(AddSplit)
  LITESMITH_STUB(AddSplitV)
  LITESMITH_STUB(AddSqrt)
  LITESMITH_STUB(AddSquare)
  LITESMITH_STUB(AddSquaredDifference)
  LITESMITH_STUB(AddSqueeze)
  LITESMITH_STUB(AddStridedSlice)
  LITESMITH_STUB(AddSub)
  LITESMITH_STUB(AddSum)
  LITESMITH_STUB(AddSvdf)
  LITESMITH_STUB(AddTanh)
  LITESMITH_STUB(AddTranspose)
  LITESMITH_STUB(AddTransposeConv)
  LITESMITH_STUB(AddUnidirectionalSequenceLSTM)
  LITESMITH_STUB(AddUnpack)
  LITESMITH_STUB(AddVarHandle)
  LITESMITH_STUB(AddWhile)
  LITESMITH_STUB(AddZerosLike)
#undef LITESMITH_STUB

 private:
  TfLiteStatus Add() {
    if (count_ >= kRoom || tflite_stub::state.fail_register) return kTfLiteError;
    tflite_stub::state.registered = ++count_;
    tflite_stub::state.room = kRoom;
    return kTfLiteOk;
  }
  unsigned int count_ = 0;
};

}  // namespace tflite

#endif  // LITESMITH_STUB_MICRO_MUTABLE_OP_RESOLVER_H_
