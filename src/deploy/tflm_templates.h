#ifndef LITESMITH_DEPLOY_TFLM_TEMPLATES_H_
#define LITESMITH_DEPLOY_TFLM_TEMPLATES_H_

// The project's files with @NAMES@ where a model's own facts go; tflm_project.cc fills them in.

namespace litesmith::tflm {

extern const char kValuesHeader[];
extern const char kValuesSource[];
extern const char kInferenceHeader[];
extern const char kInferenceSource[];
extern const char kHostExample[];
extern const char kCMake[];
extern const char kArduinoLibrary[];
extern const char kArduinoSketch[];
extern const char kIdfProject[];
extern const char kIdfComponent[];
extern const char kIdfDependencies[];
extern const char kIdfMain[];
extern const char kReadme[];

}  // namespace litesmith::tflm

#endif  // LITESMITH_DEPLOY_TFLM_TEMPLATES_H_
