// For up to 1,024 columns.
#include "norm.h"

HONE_NORM(1024_bf16, 1, 2, u16)
HONE_NORM(1024_fp32, 1, 2, float)
