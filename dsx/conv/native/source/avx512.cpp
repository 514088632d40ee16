#include "interface.h"
#define VECTOR_BYTES 64
#define WIDE
#include "kernels.h"

DSX_KERNELS(avx512)
