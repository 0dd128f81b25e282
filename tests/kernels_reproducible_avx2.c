/* The library with multiplications and additions kept apart, in AVX2 at most, for test_kernels.c. */
#ifndef BADM_REPRODUCIBLE
#define BADM_REPRODUCIBLE
#endif
#undef BADM_MAX_SIMD
#define BADM_MAX_SIMD 2
#include "other_build.h"
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_reproducible_avx2)
