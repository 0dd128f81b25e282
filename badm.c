#define BADM_IMPLEMENTATION
#include "badm.h"
