#ifndef LITESMITH_LITESMITH_H_
#define LITESMITH_LITESMITH_H_

// Everything.

#include "litesmith/advise.h"
#include "litesmith/array.h"
#include "litesmith/benchmark.h"
#include "litesmith/board.h"
#include "litesmith/compare.h"
#include "litesmith/context.h"
#include "litesmith/data_tools.h"
#include "litesmith/dataset.h"
#include "litesmith/demo.h"
#include "litesmith/deploy.h"
#include "litesmith/evaluate.h"
#include "litesmith/files.h"
#include "litesmith/inspect.h"
#include "litesmith/kernels.h"
#include "litesmith/litert.h"
#include "litesmith/model.h"
#include "litesmith/operators.h"
#include "litesmith/quantize.h"
#include "litesmith/report.h"
#include "litesmith/run.h"
#include "litesmith/summary.h"
#include "litesmith/train.h"
#include "litesmith/version.h"

#endif  // LITESMITH_LITESMITH_H_
