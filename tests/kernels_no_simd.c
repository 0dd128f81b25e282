/* The library with plain C kernels only, for test_kernels.c. */
#ifndef BADM_NO_SIMD
#define BADM_NO_SIMD
#endif
#include "other_build.h"
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_no_simd)
