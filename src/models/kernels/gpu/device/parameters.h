// What the host tells the kernels, in the words of both: included by either, so it includes
// nothing. Pointers are to memory of the device.
#ifndef HONE_MODELS_KERNELS_GPU_DEVICE_PARAMETERS_H_
#define HONE_MODELS_KERNELS_GPU_DEVICE_PARAMETERS_H_

namespace hone::kernels::gpu::device {

typedef unsigned short u16;  // of bf16: its bits
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

// Dropout's, of one place of the network (models/kernels/random.h says what they are).
struct Decisions {
  u64 seed;
  const u64* seed_at;  // where the seed stands instead; null: it is `seed`
  u32 site;
  u32 threshold;  // 0: nothing is dropped
  float scale;    // of what is kept
};

// ---- norm.cu ----

constexpr int kWarps = 8;  // of a block

struct NormRows {
  i64 rows;
  int columns;  // even
  float eps;
  int centred;  // LayerNorm; else RMSNorm
  Decisions dropout;
  const i64* keys;      // [rows]; null where nothing is dropped
  const float* weight;  // [columns]
  const float* bias;    // [columns], or null
  float* statistics;    // [rows, 2]: mean (0 of RMSNorm) and 1 / deviation; or null
  float* partial;       // backward: [blocks, 2, columns], gradients of weight and bias
};

// ---- activation.cu ----

struct ActivationRows {
  i64 rows;
  int columns;  // a multiple of 8
  int function;
  const float* bias;  // [columns], or null
  float* partial;     // backward: [blocks of rows, columns], or null where no bias is
};

// ---- embedding.cu ----

constexpr int kMostTables = 4;
constexpr int kRun = 32;  // sorted rows that a block adds up

struct Tables {
  int count;
  const float* values[kMostTables];  // [rows, width] each
  const i64* ids[kMostTables];       // [N], or null: row 0 for all
  i64 rows[kMostTables];
  float scale;  // of the first table's values
};

struct TableGradients {
  float* values[kMostTables];
  i64 first[kMostTables];  // key of a table's row 0; ascending from 0
  float scale;             // of the first table's
};

// ---- optimizer.cu ----

constexpr int kPieceValues = 4096;  // of a parameter that a block takes

struct MovedParameter {
  float* value;
  const float* gradient;
  float *exp_avg, *exp_avg_sq;
  u16* shadow;  // bf16, or null
  i64 count;
  float decay;         // 1 - rate * weight decay
  float step_size;     // rate / (1 - beta1^t); t: steps in which it had a gradient
  float inverse_root;  // 1 / sqrt(1 - beta2^t)
};

struct MovedPiece {
  int parameter;
  int begin;  // in kPieceValues
};

// What a step's passes and gradients came to.
struct StepNumbers {
  double loss;     // the sum over the step's targets
  double squares;  // of the gradients' norm
  float scale;     // what the gradients are multiplied by
  int is_failed;   // loss or norm was no number, in this step or an earlier one: nothing moves
};

struct AdamWNumbers {
  float beta1, beta2, one_minus_beta1, one_minus_beta2;
  float eps;
};

}  // namespace hone::kernels::gpu::device

#endif  // HONE_MODELS_KERNELS_GPU_DEVICE_PARAMETERS_H_
