/* The library with AVX2 at most, for test_kernels.c. */
#undef BADM_MAX_SIMD
#define BADM_MAX_SIMD 2
#include "other_build.h"
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_avx2)
