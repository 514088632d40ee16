#include "interface.h"
#define VECTOR_BYTES 16
#ifdef __aarch64__
#define WIDE
#endif
#include "kernels.h"

DSX_KERNELS(baseline)
