// For up to 4,096 columns.
#include "norm.h"

HONE_NORM(4096_bf16, 8, 1, u16)
HONE_NORM(4096_fp32, 8, 1, float)
