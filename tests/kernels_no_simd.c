/* The library with plain C kernels only, for test_kernels.c. */
#define BADM_STATIC
#ifndef BADM_NO_SIMD
#define BADM_NO_SIMD
#endif
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_no_simd)
