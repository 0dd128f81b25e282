/* The library with plain C kernels whose terms are fused, by the C library where there is no instruction, for
   test_kernels.c. */
#ifndef BADM_NO_SIMD
#define BADM_NO_SIMD
#endif
#if defined(__GNUC__) && !defined(__TINYC__) && !defined(__FP_FAST_FMAF)
#define __FP_FAST_FMAF 1
#endif
#include "other_build.h"
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_fused)
