/* The library with multiplications and additions kept apart, in AVX2 at most, for test_kernels.c. */
#define BADM_STATIC
#ifndef BADM_REPRODUCIBLE
#define BADM_REPRODUCIBLE
#endif
#undef BADM_MAX_SIMD
#define BADM_MAX_SIMD 2
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_reproducible_avx2)
