/* The library with plain C kernels only, for test_kernels.c. */
#define BADM_STATIC
#ifndef BADM_NO_SIMD
#define BADM_NO_SIMD
#endif
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "kernels.h"

int kernels_no_simd(const kernel_job *job, kernel_result *out) { return kernels_run(job, out); }
