/* Before badm.h in a file that has a build of the library for itself, beside that of the test program it is linked with. */
#undef BADM_IMPLEMENTED
#undef BADM_STATIC
#define BADM_STATIC
#define BADM_IMPLEMENTATION
