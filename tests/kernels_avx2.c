/* The library with AVX2 at most, for test_kernels.c. */
#define BADM_STATIC
#undef BADM_MAX_SIMD
#define BADM_MAX_SIMD 2
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_avx2)
