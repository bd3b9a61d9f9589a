// For up to 512 columns.
#include "norm.h"

HONE_NORM(512_bf16, 1, 1, u16)
HONE_NORM(512_fp32, 1, 1, float)
