/* The mean of the k largest values of each channel over all positions.
 *
 * (batch, height, width, channels) to (batch, channels); float32, int8 or uint8.
 * Between average pooling (k = all) and max pooling (k = 1). The k largest values are
 * added from the largest down, so the sum does not depend on where they lie; equal
 * values are equal summands. Channels are the inner loop, without branches, so that a
 * compiler turns them into SIMD.
 */
#include "edgedeploy_op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FAIL(state) ((state)->failure = __LINE__, LITERT_INVALID_ARGUMENT)

static int init(void *user, const void *data, size_t size) {
  EdgedeployState *state = user;
  EdgedeployOptions options;
  memset(&options, 0, sizeof options);
  if (data == NULL || size < offsetof(EdgedeployOptions, values) || size > sizeof options)
    return FAIL(state);
  memcpy(&options, data, size);
  if (options.version != 1 || options.count != 1 || options.values[0] < 1)
    return FAIL(state);
  /* All nodes of a model share one state in LiteRT, so they must agree. */
  if (state->initialised && memcmp(&state->options, &options, sizeof options) != 0)
    return FAIL(state);
  state->options = options;
  state->initialised = 1;
  return LITERT_OK;
}

static int get_output_layouts(void *user, size_t inputs, const LiteRtLayout *in,
                              size_t outputs, LiteRtLayout *out) {
  EdgedeployState *state = user;
  if (inputs != 1 || outputs != 1 || in->rank != 4) return FAIL(state);
  memset(out, 0, sizeof *out);
  out->rank = 2;
  out->dimensions[0] = in->dimensions[0];
  out->dimensions[1] = in->dimensions[3];
  return LITERT_OK;
}

/* Sorts one picture's values into the k best of each channel, best[rank][channel]. */
#define SELECT(NAME, TYPE, LOWEST)                                                  \
  static void NAME(const TYPE *restrict in, size_t positions, size_t channels,      \
                   size_t k, TYPE *restrict best, TYPE *restrict carried) {         \
    for (size_t i = 0; i < k * channels; i++) best[i] = LOWEST;                     \
    for (size_t p = 0; p < positions; p++) {                                        \
      memcpy(carried, in + p * channels, channels * sizeof(TYPE));                  \
      for (size_t rank = 0; rank < k; rank++) {                                     \
        TYPE *restrict row = best + rank * channels;                                \
        for (size_t c = 0; c < channels; c++) {                                     \
          const TYPE old = row[c], new = carried[c];                                \
          row[c] = new > old ? new : old;                                           \
          carried[c] = new > old ? old : new;                                       \
        }                                                                           \
      }                                                                             \
    }                                                                               \
  }

SELECT(select_float32, float, -INFINITY)
SELECT(select_int8, int8_t, INT8_MIN)
SELECT(select_uint8, uint8_t, 0)

static void average_float32(const float *best, size_t channels, size_t k, float *out) {
  for (size_t c = 0; c < channels; c++) {
    float sum = 0.0f;
    for (size_t rank = 0; rank < k; rank++) sum += best[rank * channels + c];
    out[c] = sum / (float)k;
  }
}

static int32_t requantise(const EdgedeployOptions *o, int64_t sum, size_t k,
                          int32_t lowest, int32_t highest) {
  const double real =
      (double)o->input_scale * (double)(sum - (int64_t)k * o->input_zero_point) / (double)k;
  const double steps = round(real / (double)o->output_scale) + o->output_zero_point;
  return steps < lowest ? lowest : steps > highest ? highest : (int32_t)steps;
}

#define AVERAGE(NAME, TYPE, LOWEST, HIGHEST)                                        \
  static void NAME(const EdgedeployOptions *o, const TYPE *best, size_t channels,   \
                   size_t k, TYPE *out) {                                           \
    for (size_t c = 0; c < channels; c++) {                                         \
      int64_t sum = 0;                                                              \
      for (size_t rank = 0; rank < k; rank++) sum += best[rank * channels + c];     \
      out[c] = (TYPE)requantise(o, sum, k, LOWEST, HIGHEST);                        \
    }                                                                               \
  }

AVERAGE(average_int8, int8_t, INT8_MIN, INT8_MAX)
AVERAGE(average_uint8, uint8_t, 0, UINT8_MAX)

static int pool(EdgedeployState *state, const LiteRtRankedTensorType *type,
                const void *from, void *to) {
  const int32_t *size = type->layout.dimensions;
  const size_t positions = (size_t)size[1] * (size_t)size[2];
  const size_t channels = (size_t)size[3];
  size_t k = (size_t)state->options.values[0];
  if (k > positions) k = positions;
  const size_t width = type->element_type == LITERT_FLOAT32 ? 4 : 1;
  void *best = malloc((k + 1) * channels * width);
  if (best == NULL) return state->failure = __LINE__, LITERT_OUT_OF_MEMORY;
  char *carried = (char *)best + k * channels * width;
  for (int32_t n = 0; n < size[0]; n++) {
    const char *in = (const char *)from + (size_t)n * positions * channels * width;
    char *out = (char *)to + (size_t)n * channels * width;
    if (type->element_type == LITERT_FLOAT32) {
      select_float32((const float *)in, positions, channels, k, best, (float *)carried);
      average_float32(best, channels, k, (float *)out);
    } else if (type->element_type == LITERT_INT8) {
      select_int8((const int8_t *)in, positions, channels, k, best, (int8_t *)carried);
      average_int8(&state->options, best, channels, k, (int8_t *)out);
    } else {
      select_uint8((const uint8_t *)in, positions, channels, k, best, (uint8_t *)carried);
      average_uint8(&state->options, best, channels, k, (uint8_t *)out);
    }
  }
  free(best);
  return LITERT_OK;
}

static int check(EdgedeployState *state, LiteRtTensorBuffer input,
                 LiteRtTensorBuffer output, LiteRtRankedTensorType *in) {
  LiteRtRankedTensorType out;
  if (LiteRtGetTensorBufferTensorType(input, in) ||
      LiteRtGetTensorBufferTensorType(output, &out))
    return FAIL(state);
  const int quantised =
      in->element_type == LITERT_INT8 || in->element_type == LITERT_UINT8;
  if (!state->initialised || in->layout.rank != 4 || out.layout.rank != 2 ||
      (in->element_type != LITERT_FLOAT32 && !quantised) ||
      in->element_type != out.element_type ||
      in->layout.dimensions[0] != out.layout.dimensions[0] ||
      in->layout.dimensions[3] != out.layout.dimensions[1])
    return FAIL(state);
  for (int axis = 0; axis < 4; axis++)
    if (in->layout.dimensions[axis] < 1) return FAIL(state);
  if (quantised && !(state->options.input_scale > 0 && state->options.output_scale > 0))
    return FAIL(state);
  return LITERT_OK;
}

static int run(void *user, size_t inputs, const LiteRtTensorBuffer *in, size_t outputs,
               LiteRtTensorBuffer *out) {
  EdgedeployState *state = user;
  LiteRtRankedTensorType type;
  void *from = NULL, *to = NULL;
  if (inputs != 1 || outputs != 1) return FAIL(state);
  int status = check(state, in[0], out[0], &type);
  if (status != LITERT_OK) return status;
  if (LiteRtLockTensorBuffer(in[0], &from, LITERT_LOCK_READ)) return FAIL(state);
  if (LiteRtLockTensorBuffer(out[0], &to, LITERT_LOCK_WRITE))
    status = FAIL(state);
  else {
    status = pool(state, &type, from, to);
    LiteRtUnlockTensorBuffer(out[0]);
  }
  LiteRtUnlockTensorBuffer(in[0]);
  return status;
}

static int destroy(void *user) {
  (void)user;
  return LITERT_OK;
}

EDGEDEPLOY_EXPORT const EdgedeployOp edgedeploy_op = {
    .name = "EdgedeployTopKPooling",
    .version = 1,
    .state_bytes = sizeof(EdgedeployState),
    .kernel = {init, get_output_layouts, run, destroy},
};
