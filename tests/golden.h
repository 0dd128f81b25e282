/* Reference values in tests/golden/, each a C header that a Python script of the same folder wrote (make_<name>.py).
   Include after badm.h and test.h, then the file wanted: operations.h, optimisers.h.

   Inputs are made, not stored: golden_fill() is fill() of the scripts. Large tensors are stored in part (every
   stride-th entry, the stride being prime to all dimensions) with a weighted sum of all, so that an error anywhere is
   seen. */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

typedef enum {
    GOLDEN_REAL,            /* [-2,2) */
    GOLDEN_POSITIVE,        /* [0.5,2.5): for log, sqrt */
    GOLDEN_AWAY,            /* 0.5..1.5 with either sign: denominators, and arguments of functions with a kink at 0 */
    GOLDEN_UNIT             /* [0,1): probabilities */
} golden_kind;

/* How an input was made and its reference gradient; or an operation's reference output, and how the gradient fed to it
   was made. stored 0: no gradient. largest: the largest absolute entry. checksum: the sum of entry i times
   golden_number(GOLDEN_REAL, GOLDEN_CHECKSUM_SEED, i). */
#define GOLDEN_CHECKSUM_SEED 77
typedef struct {
    golden_kind kind;
    uint32_t seed;
    unsigned rank;
    badm_dim shape[BADM_MAX_RANK];
    uint32_t first, stored, stride;
    float largest, checksum;
} golden_tensor;

/* tensor[0..inputs-1] are the inputs, the next one is the output. */
typedef struct {
    const char *operation;
    uint32_t tensor, inputs;
    unsigned ints_rank;
    badm_dim ints_shape[2];
    uint32_t ints;
    int args[4];
    float factor;
} golden_case;

typedef struct { unsigned rank; badm_dim shape[BADM_MAX_RANK]; unsigned fan_in, fan_out; } golden_fan;
typedef struct { badm_nonlinearity of; float slope, gain; } golden_gain;

/* One run of an optimiser: settings, and the parameters after each step from golden_runs' `first` on. */
typedef struct {
    const char *method, *what;
    float lr, beta1, beta2, eps, momentum_decay, weight_decay, clip;
    uint32_t schedule_total;        /* 0: constant */
    float schedule_last;
    int groups;                     /* 1: the second layer's bias frozen, other decay and step for the first layer */
    uint32_t first;
} golden_run;

static float golden_number(golden_kind kind, uint32_t seed, uint32_t i)
{
    uint32_t h = i * 0x9E3779B9u + seed * 0x85EBCA6Bu + 1u;
    float u;
    h ^= h >> 16; h *= 0x7FEB352Du; h ^= h >> 15; h *= 0x846CA68Bu; h ^= h >> 16;
    u = (float)(h >> 8) / 16777216.0f;
    switch (kind) {
    case GOLDEN_REAL: return 4.0f * u - 2.0f;
    case GOLDEN_POSITIVE: return 0.5f + 2.0f * u;
    case GOLDEN_AWAY: return h & 1u ? -(0.5f + u) : 0.5f + u;
    default: return u;
    }
}

static void golden_fill(golden_kind kind, uint32_t seed, float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) x[i] = golden_number(kind, seed, (uint32_t)i);
}

/* The largest |got - reference| as a share of the largest |reference|; infinite when something is not a number. */
static double golden_difference(const float *got, const float *reference, size_t n, size_t stride, double largest)
{
    double worst = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double d = fabs((double)got[i * stride] - (double)reference[i]);
        if (!(d <= 1e30)) return HUGE_VAL;
        if (d > worst) worst = d;
    }
    return worst / (largest > 1e-30 ? largest : 1e-30);
}

#endif
