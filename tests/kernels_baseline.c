/* The library with the baseline's vectors at most (SSE2, NEON), for test_kernels.c. */
#undef BADM_MAX_SIMD
#define BADM_MAX_SIMD 1
#include "other_build.h"
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_baseline)
