// For up to 8,192 columns.
#include "norm.h"

HONE_NORM(8192_bf16, 8, 2, u16)
HONE_NORM(8192_fp32, 8, 2, float)
