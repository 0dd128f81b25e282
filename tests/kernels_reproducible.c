/* The library with multiplications and additions kept apart, for test_kernels.c. */
#define BADM_STATIC
#ifndef BADM_REPRODUCIBLE
#define BADM_REPRODUCIBLE
#endif
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_reproducible)
