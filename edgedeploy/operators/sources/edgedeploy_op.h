/* What an operator of one's own needs of LiteRT's C API, and what edgedeploy reads.
 *
 * The declarations follow LiteRT 2.3.0: litert/c/litert_custom_op_kernel.h,
 * litert_layout.h, litert_model_types.h and litert_tensor_buffer.h. The runtime brings
 * the functions; nothing is linked.
 */
#ifndef EDGEDEPLOY_OP_H_
#define EDGEDEPLOY_OP_H_

#include <stddef.h>
#include <stdint.h>

enum { LITERT_OK = 0, LITERT_INVALID_ARGUMENT = 1, LITERT_OUT_OF_MEMORY = 2 };
enum { LITERT_FLOAT32 = 1, LITERT_UINT8 = 3, LITERT_INT8 = 9 };
enum { LITERT_LOCK_READ = 0, LITERT_LOCK_WRITE = 1 };
enum { LITERT_MAX_RANK = 8 };

typedef struct {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  int32_t dimensions[LITERT_MAX_RANK];
  uint32_t strides[LITERT_MAX_RANK];
} LiteRtLayout;

typedef struct {
  int32_t element_type;
  LiteRtLayout layout;
} LiteRtRankedTensorType;

typedef struct LiteRtTensorBufferT *LiteRtTensorBuffer;

extern int LiteRtGetTensorBufferTensorType(LiteRtTensorBuffer,
                                           LiteRtRankedTensorType *);
extern int LiteRtGetTensorBufferPackedSize(LiteRtTensorBuffer, size_t *);
extern int LiteRtLockTensorBuffer(LiteRtTensorBuffer, void **, int mode);
extern int LiteRtUnlockTensorBuffer(LiteRtTensorBuffer);

typedef struct {
  int (*init)(void *state, const void *options, size_t size);
  int (*get_output_layouts)(void *state, size_t inputs, const LiteRtLayout *,
                            size_t outputs, LiteRtLayout *);
  int (*run)(void *state, size_t inputs, const LiteRtTensorBuffer *, size_t outputs,
             LiteRtTensorBuffer *);
  int (*destroy)(void *state);
} LiteRtCustomOpKernel;

/* What edgedeploy writes into the model for each node, little-endian. Scales are 0
 * for float tensors; real = scale * (value - zero_point). */
typedef struct {
  int32_t version; /* 1 */
  float input_scale;
  int32_t input_zero_point;
  float output_scale;
  int32_t output_zero_point;
  int32_t count;
  int32_t values[8]; /* the options of the model's TOML, `count` of them */
} EdgedeployOptions;

/* LiteRT passes the state to each function, but drops what they return; so a failure
 * is written here too, and the caller looks. The state begins zeroed. */
typedef struct {
  int32_t failure; /* 0, or a line of the source that says what went wrong */
  int32_t initialised;
  EdgedeployOptions options;
} EdgedeployState;

/* A library exports one of these as `edgedeploy_op`. */
typedef struct {
  const char *name;
  int32_t version;
  int32_t state_bytes; /* sizeof the state, which begins with an EdgedeployState */
  LiteRtCustomOpKernel kernel;
} EdgedeployOp;

#define EDGEDEPLOY_EXPORT __attribute__((visibility("default")))

#endif /* EDGEDEPLOY_OP_H_ */
