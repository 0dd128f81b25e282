/* The implementation as a file of its own, for build systems that want one. */
#ifdef ARDUINO                      /* as a library of its IDE: boards have neither files nor POSIX threads */
#define BADM_NO_STDIO
#define BADM_NO_THREADS
#endif
#define BADM_IMPLEMENTATION
#include "badm.h"
