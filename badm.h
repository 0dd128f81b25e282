/* badm.h - v0.2.0 - neural networks that train themselves inside your C or C++ program - one file, no dependency
   SPDX-License-Identifier: MIT OR Unlicense                                          (the texts are at the end)

   Tensors, reverse-mode autodiff, sub-batch workers on threads, and the BADM optimiser: Batch ADMM for deep learning
   (Wang, Zhou, Li; arXiv 2407.01640). ADMM is the alternating direction method of multipliers; it is *not* Adam, though
   Adam is here too, with SGD, momentum, Nesterov, RMSProp, Adagrad, AdamW, NAdam, NAdamW and Muon to compare with.

   DO THIS once, in *one* C or C++ file, to create the implementation:

       #define BADM_IMPLEMENTATION
       #include "badm.h"

   and include it plainly everywhere else (or compile badm.c beside it). Then:  cc -O2 app.c -lpthread

   QUICK START: a complete program (cc -O2 xor.c -lpthread && ./a.out)

       #define BADM_IMPLEMENTATION
       #include "badm.h"
       #include <stdio.h>

       typedef struct { badm_linear hidden, output; } net;
       static const float inputs[4][2] = { {0,0}, {0,1}, {1,0}, {1,1} }, targets[4] = { 0, 1, 1, 0 };

       static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
       {
           const net *n = (const net *)user;
           badm_tensor *x = badm_rows(t, &inputs[0][0], 2, b), *y = badm_rows(t, targets, 1, b);
           badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->hidden, x));
           return badm_bce_with_logits(t, badm_linear_forward(t, n->output, h), y);
       }

       int main(void)
       {
           badm_model *m = badm_model_new(1);
           net n = { badm_linear_new(m, "hidden", 2, 8), badm_linear_new(m, "output", 8, 1) };
           badm_trainer_desc d; badm_trainer *tr; badm_report r;
           int i;
           badm_trainer_defaults(&d);
           d.model = m; d.loss = loss; d.user = &n; d.max_batch = 4; d.sub_batches = 1; d.sigma = 0.5f; d.rho = 4.5f;
           if (badm_trainer_new(&tr, &d) != BADM_OK) { puts(badm_model_error(m)); return 1; }
           for (i = 0; i < 500; i++) badm_step(tr, NULL, 4, &r);
           printf("loss %f\n", (double)r.loss);
           badm_trainer_free(tr); badm_model_free(m);
           return 0;
       }

   THE METHOD, as a specification (Boyd's letters; the paper's equations in this order)

     A batch of n samples is split into S sub-batches ("slots") of n_s samples; alpha_s = n_s/n; F_s is the mean loss over
     sub-batch s; pi_s is its multiplier (the dual variable); sigma weighs the consensus w_s = w, rho the proximal term.

         w_s   = w - Q^-1 (grad F_s(w) + pi_s)/(rho + sigma)       primal, inexact: one linearised proximal step   (parallel in s)
         pi_s += sigma Q (w_s - w)                                 dual ascent                                     (parallel in s)
         w     = sum_s alpha_s (w_s + Q^-1 pi_s/sigma)             aggregate            start: w_s = w_0, pi_s = 0

     State is carried across batches and epochs. Q = I is the paper (BADM_PLAIN). BADM_DIAGONAL: Q = diag(sqrt(v^)+eps), v the
     bias-corrected average of the squared mean gradient. BADM_ORTHOGONAL, for 2-D weights: Q^-1 u = orthogonalise(u) times
     max(1, rows/cols)^0.5.

     With constant alpha the slots enter only through the mean gradient G. With m = -sum alpha_s pi_s, beta = rho/(rho+sigma):

         m' = beta m + (1-beta) G,        w' = w - Q^-1 (2m' - m)/sigma

     for any sigma, rho and Q per step. That is the default form (BADM_COLLAPSED): two vectors, whatever S. It is momentum with a
     look-ahead, a near relative of Nesterov's: 1/sigma is the long-run step size, beta the momentum. On a quadratic of
     curvature h it is stable exactly for h < (4 rho + 2 sigma)/3; rho ~ L, sigma ~ 2 sqrt(mu rho) is the near-optimal choice.
     A trainer with BADM_ORTHOGONAL (and Muon) treats vectors, convolutions and embedding tables as diagonal (Muon: AdamW), with a
     twentieth of the step, as their entries would otherwise move much further than a matrix's: so one sigma suits all tensors.
     badm_set_metric() for a tensor overrules that, and gives it the whole step.
     BADM_PER_SLOT keeps every pi_s, as the paper writes it, and is what local steps and SISA need.

     With ridge lambda (Q = I), the problem gains lambda/2 |w|^2:  w = sigma/(sigma+lambda) sum_s alpha_s (w_s + pi_s/sigma).
     SISA (arXiv 2502.10784; BADM_SISA, per slot): the proximal term alone gets the slot's second moment v_s of grad F_s + pi_s:
         w_s = w - (grad F_s + pi_s)/(sigma + rho (sqrt(v_s^)+eps)).
     Local steps K > 1: a step consumes K batches, slot s owns its n_s samples of each, s_ = sigma/K:
         w_s := w;   K times: w_s -= [Q^-1(grad F_{s,k}(w_s) + pi_s) + s_ (w_s - w)]/(rho + s_);   then once
         pi_s += s_ Q (w_s - w);   w := sum_s alpha_s (w_s + Q^-1 pi_s/s_).     Q is refreshed once, by the gradients of k = 1.

   CONTENTS (search for the tag in the implementation)

     compile-time options, memory, threads, errors, bits, "it does not learn"     below
     API                                                                          after the include guard
     >>platform   compilers, threads, allocation, floating-point state
     >>random     counter-based numbers, shuffling
     >>math       exp, log, tanh, erf, cos, sqrt with their own fixed bits
     >>errors     records and sentences
     >>kernels    sums in a fixed order, matrix products
     >>model      parameters in one slab, initialisers, groups
     >>tape       arena, tensors, recording
     >>autodiff   operations: shape rule, forward, backward
     >>convolution convolutions, pooling, upsampling
     >>normalisation  layer, RMS, group and batch norm
     >>attention  attention and positions
     >>sparse     compressed rows, graphs
     >>recurrent  GRU cell
     >>diversity  gradients of single samples
     >>layers     linear, embedding, convolution, norms, attention, GRU
     >>data       rows, labels, tokens of a batch
     >>workers    a trainer's memory, the pool, a slot's gradient
     >>methods    BADM and the baselines
     >>monitors   residuals, balancing, diagnosis
     >>trainer    plan, step, epoch, evaluation, early stopping
     >>growth     batches that grow
     >>pdadmm     layers side by side, without backpropagation
     >>sparse_sgd linear models on compressed rows
     >>checks     gradient check, self test
     >>files      safetensors, npy, IDX, CSV, LIBSVM, C arrays

   COMPILE-TIME OPTIONS       none changes a public struct or signature
     everywhere:
       BADM_STATIC            all functions static: several files may each carry a private copy
       BADM_API               the storage class and attributes of public functions (default: extern)
     implementation only (where BADM_IMPLEMENTATION is defined):
       BADM_NO_STDIO          no <stdio.h>: file names are refused, readers and writers through callbacks remain
       BADM_NO_THREADS        no threads: `workers` is accepted, everything runs on the caller's thread, with the same bits
       BADM_PTHREADS          POSIX threads also on Windows, where they are an addition, and on systems the library does not know
       BADM_NO_STDLIB         no <stdlib.h>: no default allocator; memory comes from a badm_memory
       BADM_NO_TEXT           error sentences, names of operations and diagnoses are left out; codes remain
       BADM_MALLOC(n), BADM_FREE(p)     the default allocator, both or neither
       BADM_ASSERT(x)         for misuse of the API alone (a null handle); default assert(), nothing with BADM_NO_STDLIB or NDEBUG
       BADM_NO_SIMD           plain C kernels only
       BADM_MAX_SIMD          the widest instructions the program may choose: 0 as BADM_NO_SIMD, 1 the baseline (SSE2, NEON, WebAssembly
                              SIMD), 2 AVX2 with FMA, 3 AVX-512 (default)
       BADM_REPRODUCIBLE      multiply, then add, everywhere: the bits of machines without fused multiply-add, on all machines
       BADM_USE_CBLAS         large matrix products by cblas_sgemm of the BLAS you link (-lopenblas, say): see THREADS and BITS
       BADM_CBLAS_HEADER      its header: default <cblas.h>; -DBADM_CBLAS_HEADER='"openblas/cblas.h"' or '<Accelerate/Accelerate.h>'
       BADM_CBLAS_LEAST       the multiplications from which a product counts as large: default 8192
       BADM_NO_PDADMM, BADM_NO_SPARSE_SGD, BADM_NO_GROWTH     everywhere: leave out these methods
       BADM_SMALL             a third of the code and half of the memory, for microcontrollers: BADM in the collapsed form with the plain metric,
                              and the other methods; models and trainers in blocks; without threads, schedules (`rates` remains), clipping, ridge,
                              monitors (the report has loss and accuracy; a checkpoint loses what diagnosis remembers), layers with
                              buffers, tables by presence, normal initial values. Asked for, they are refused with BADM_ERR_BUILD.
                              The same bits. Best with BADM_NO_TEXT: errors are then their codes inside, too
       BADM_SELF_TEST         compiles badm_self_test()

   MEMORY
     A model owns its parameters (one slab of float), a trainer owns everything else. Both take memory from a badm_memory:
     callbacks, or one block of the caller's (badm_memory_block); NULL means BADM_MALLOC. badm_trainer_bytes() says what a trainer
     will take, found by one dry run of the loss callback: shapes only, badm_data() is NULL, badm_is_dry() is true. After
     badm_trainer_new() nothing is allocated. Only a callback whose graph grows with its values can need more: with an allocator
     the tape is then enlarged between two attempts of the step and the step repeated (report.tape_growths counts it); in a block
     the step is refused with the figure, nothing changed.

   THREADS
     A trainer has its own pool. The loss callback runs on the workers, several at once: `user` is shared and must only be read.
     All else runs on the thread that calls. Two trainers may be used from two threads. There is no global state. Between the parts of
     a step workers look out for some tens of microseconds before they sleep, where there are as many processors as workers.
     A step of one sub-batch runs on the thread that calls; large products, sparse ones and dropout are then spread over the workers.
     With BADM_USE_CBLAS workers call BLAS side by side, so a trainer with more than one worker sets OpenBLAS to one thread, for the
     whole program. With one worker it is left alone, and other libraries always are: their own settings say one thread.

   ERRORS
     Functions return a badm_result; nothing aborts, exits or prints. The sentence is in badm_model_error(), badm_trainer_error() or
     badm_error_text(). After an error a tape's operations return an empty tensor, never NULL, and the first error is kept.
     A step whose loss or gradient is not finite is refused (BADM_ERR_NONFINITE); parameters and state are as before it.

   BITS
     Same build, seed, sub_batches and micro_batch: the same bits for any number of workers, and without threads. Sums have an
     order that depends on shapes alone. Matrix products use one fused multiply-add per term where the machine has it (AVX2,
     AVX-512, NEON agree), else multiply and add; BADM_REPRODUCIBLE forces the latter. exp, log, tanh, erf, cos, sqrt and the random
     numbers are the library's own. Workers run in the default floating-point state whatever the host program has set.
     BADM_USE_CBLAS: sums in BLAS's own order, which its version, processor and number of threads may change, so nothing is promised
     between machines; and a sample's prediction may depend on how many are computed with it. What stays, where BLAS has one thread
     and computes alike whichever thread calls it (so do OpenBLAS and the reference BLAS): the same bits for any number of workers.
     With one worker or BADM_NO_THREADS, one thread is for you to set (OPENBLAS_NUM_THREADS=1).

   "IT DOES NOT LEARN"
     1. Scale the inputs to about -1..1 (badm_rows_u8 takes a scale and an offset). 2. Watch report.loss in the first 20 steps:
     rising or jumping means sigma and rho are too small (double both); falling by less than 1 % means they are too large.
     3. badm_diagnose() says in words what the trainer has seen. 4. A new operation of yours: badm_check_gradients().
     5. Classification ends in logits: cross_entropy applies the softmax itself. Regression ends in a plain linear layer.
*/
#ifndef BADM_H
#define BADM_H

#include <stddef.h>
#include <stdint.h>

#define BADM_VERSION_MAJOR 0
#define BADM_VERSION_MINOR 2
#define BADM_VERSION_PATCH 0
#define BADM_VERSION (BADM_VERSION_MAJOR * 1000000L + BADM_VERSION_MINOR * 1000L + BADM_VERSION_PATCH)
#define BADM_VERSION_STRING "0.2.0"

#ifndef BADM_API
#ifdef BADM_STATIC
#if defined(__GNUC__) || defined(__clang__)
#define BADM_API static __attribute__((unused))
#else
#define BADM_API static
#endif
#else
#define BADM_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version the implementation was compiled as. */
#ifdef BADM_STATIC
BADM_API long badm_version(void);
#else
/* Linking fails where the implementation and a file that asks for it come from different versions. */
#define badm_version badm_version_0_2_0
BADM_API long badm_version(void);
#endif

/* ---------------------------------------------------------------------------------------------------------------------
   Errors
   --------------------------------------------------------------------------------------------------------------------- */

/* Every result there is: name, value, meaning. */
#define BADM_RESULTS(X) \
    X(BADM_OK,             0, "ok") \
    X(BADM_ERR_ARGUMENT,  -1, "bad argument") \
    X(BADM_ERR_SHAPE,     -2, "shapes do not fit") \
    X(BADM_ERR_LABEL,     -3, "label or index out of range") \
    X(BADM_ERR_MEMORY,    -4, "not enough memory") \
    X(BADM_ERR_NONFINITE, -5, "a value is infinite or not a number") \
    X(BADM_ERR_FILE,      -6, "file cannot be opened, read or written") \
    X(BADM_ERR_FORMAT,    -7, "file is damaged or of another kind") \
    X(BADM_ERR_MODEL,     -8, "file is of another model") \
    X(BADM_ERR_STATE,     -9, "not possible in this state") \
    X(BADM_ERR_CANCELLED, -10, "cancelled") \
    X(BADM_ERR_THREAD,    -11, "thread cannot be started") \
    X(BADM_ERR_EXCHANGE,  -12, "allreduce failed") \
    X(BADM_ERR_BUILD,     -13, "left out of this build")

#define BADM_X(name, value, text) name = value,
typedef enum badm_result { BADM_RESULTS(BADM_X) BADM_RESULT_MAX_ = 0x7fff } badm_result;
#undef BADM_X

/* The number type of one dimension: 16 bits where pointers are, to keep tensors small. */
#if UINTPTR_MAX <= 0xFFFFu
typedef uint16_t badm_dim;
#else
typedef uint32_t badm_dim;
#endif

#define BADM_MAX_RANK 4      /* dimensions of a tensor */
#define BADM_MAX_INPUTS 8    /* inputs of an operation */

/* A shape as plain values: dim[0..rank-1]. rank 0 is a scalar. */
typedef struct badm_shape { badm_dim dim[BADM_MAX_RANK]; uint8_t rank; } badm_shape;

#if UINTPTR_MAX <= 0xFFFFu
#define BADM_ERROR_NAME 12
#else
#define BADM_ERROR_NAME 64
#endif

/* What went wrong, kept small; badm_error_text() writes the sentence. Read `code`; the rest is the library's. */
typedef struct badm_error {
    badm_result code;
    const char *operation;          /* "matmul" */
    const char *message;            /* with %a %b (shapes), %n (name), %0 %1 (numbers) */
    badm_shape a, b;
    unsigned long number[2];
    char name[BADM_ERROR_NAME];
} badm_error;

/* Writes "operation: what was given: what was expected" into buf[n], cut to fit, and returns its full length (without the 0).
   An error whose code is BADM_OK gives "". */
BADM_API size_t badm_error_text(const badm_error *e, char *buf, size_t n);

/* "not enough memory" and the like; "" with BADM_NO_TEXT. */
BADM_API const char *badm_result_text(badm_result r);

/* ---------------------------------------------------------------------------------------------------------------------
   Memory, readers and writers
   --------------------------------------------------------------------------------------------------------------------- */

/* Where memory comes from. Fill alloc, free and user (alloc returns NULL when there is none; any alignment will do), or let
   badm_memory_block() fill it for one block of yours. Must outlive what was made with it. A NULL badm_memory * stands for
   BADM_MALLOC. */
typedef struct badm_memory {
    void *(*alloc)(size_t bytes, void *user);
    void (*free)(void *p, void *user);
    void *user;
    unsigned char *block;           /* badm_memory_block's: a model's slab grows from below, all else from above */
    size_t block_bytes, low, high;
} badm_memory;

/* One block for everything: a model and its trainer, say. What is freed out of order comes back only when all is. */
BADM_API void badm_memory_block(badm_memory *mem, void *block, size_t bytes);

/* Bytes of a block not in use. 0 for callbacks. */
BADM_API size_t badm_memory_left(const badm_memory *mem);

/* Callbacks return how many bytes they moved; fewer than asked means the end (reading) or failure (writing). */
typedef struct badm_reader { size_t (*read)(void *buf, size_t bytes, void *user); void *user; } badm_reader;
typedef struct badm_writer { size_t (*write)(const void *buf, size_t bytes, void *user); void *user; } badm_writer;

/* ---------------------------------------------------------------------------------------------------------------------
   Random numbers and mathematics with the same bits everywhere
   --------------------------------------------------------------------------------------------------------------------- */

/* Counter-based (Philox 4x32-10, Salmon et al. 2011): number i of stream s of a seed does not depend on what was drawn before. */
typedef struct badm_rng { uint64_t seed, stream; uint32_t counter, block[4]; uint8_t left; } badm_rng;

BADM_API void badm_rng_init(badm_rng *r, uint64_t seed, uint64_t stream);
BADM_API uint32_t badm_rng_u32(badm_rng *r);
BADM_API uint32_t badm_rng_below(badm_rng *r, uint32_t n);      /* uniform in 0..n-1, unbiased; 0 for n = 0 */
BADM_API float badm_rng_uniform(badm_rng *r);                   /* [0,1), multiples of 2^-24 */
BADM_API float badm_rng_normal(badm_rng *r);                    /* mean 0, variance 1 (Box-Muller) */

/* Where sample i of n stands in the order of this epoch: a permutation of 0..n-1 without an array (a Feistel network, walked
   until the result is below n). */
BADM_API uint32_t badm_shuffle(uint64_t seed, uint32_t epoch, uint32_t n, uint32_t i);

/* For your own operations: never differ between compilers, libraries or machines. sqrt is IEEE's; the others are within 2 units in
   the last place (tanh and erf 4) of the true value. Not a number in, not a number out. */
BADM_API float badm_expf(float x);
BADM_API float badm_logf(float x);
BADM_API float badm_log1pf(float x);
BADM_API float badm_tanhf(float x);
BADM_API float badm_erff(float x);
BADM_API float badm_cosf(float x);
BADM_API float badm_sqrtf(float x);
BADM_API float badm_sigmoidf(float x);

/* ---------------------------------------------------------------------------------------------------------------------
   Model: named parameters in one slab
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct badm_model badm_model;
typedef struct badm_tape badm_tape;
typedef struct badm_trainer badm_trainer;

/* A parameter is a place, not a pointer: inside a loss its numbers are reached by badm_param_use(). */
typedef struct badm_param { badm_model *model; badm_dim index; } badm_param;

/* NULL only when there is no memory for the model itself: layers put up with that. Later errors stick in the model. Trainers refuse
   both. The seed makes the initial values. */
BADM_API badm_model *badm_model_new(uint64_t seed);
BADM_API badm_model *badm_model_new_in(badm_memory *mem, uint64_t seed);
BADM_API void badm_model_free(badm_model *m);

/* The first error that stuck, or the last one of a function that was given the model (loading, trainer_new), as a sentence; "" if
   none. Valid until the next call with this model. */
BADM_API const char *badm_model_error(badm_model *m);
BADM_API badm_result badm_model_result(const badm_model *m);

/* From here on new parameters take their values, in order, from this array (as badm_save_c writes it), are read in place and
   are frozen: the array may be in flash. Call before the layers are made. Unfreezing one copies it to memory.
   Taking more than n values is BADM_ERR_MODEL in the model. */
BADM_API void badm_model_map(badm_model *m, const float *values, size_t n);

/* How new values are drawn. fan_in and fan_out, and every bound, as in torch.nn.init. */
typedef enum badm_init_kind {
    BADM_CONSTANT, BADM_UNIFORM, BADM_NORMAL,
    BADM_KAIMING_UNIFORM, BADM_KAIMING_NORMAL,      /* gain a; std = gain/sqrt(fan) */
    BADM_XAVIER_UNIFORM, BADM_XAVIER_NORMAL         /* gain a; std = gain*sqrt(2/(fan_in+fan_out)) */
} badm_init_kind;
typedef struct badm_init { badm_init_kind kind; float a, b; uint8_t fan_out; } badm_init;

BADM_API badm_init badm_init_constant(float value);
BADM_API badm_init badm_init_uniform(float low, float high);
BADM_API badm_init badm_init_normal(float mean, float std);
BADM_API badm_init badm_init_kaiming_uniform(float gain);       /* fan_in; set .fan_out = 1 for fan_out */
BADM_API badm_init badm_init_kaiming_normal(float gain);
BADM_API badm_init badm_init_xavier_uniform(float gain);
BADM_API badm_init badm_init_xavier_normal(float gain);

/* torch.nn.init.calculate_gain: linear, conv, sigmoid 1; tanh 5/3; relu sqrt 2; leaky_relu sqrt(2/(1+slope^2)); selu 3/4. */
typedef enum badm_nonlinearity {
    BADM_GAIN_LINEAR, BADM_GAIN_SIGMOID, BADM_GAIN_TANH, BADM_GAIN_RELU, BADM_GAIN_LEAKY_RELU, BADM_GAIN_SELU
} badm_nonlinearity;
BADM_API float badm_gain(badm_nonlinearity of, float slope);

/* Adds a parameter, or a buffer (saved with the model, never trained). Errors stick in the model: a name that is empty, longer
   than 200 bytes, used already, or begins with "badm."; rank over 4 or a zero dimension (BADM_ERR_ARGUMENT); a size that
   overflows, no memory (BADM_ERR_MEMORY). */
BADM_API badm_param badm_param_new(badm_model *m, const char *name, unsigned rank, const badm_dim *shape, badm_init init);
BADM_API badm_param badm_buffer_new(badm_model *m, const char *name, unsigned rank, const badm_dim *shape, float value);

BADM_API size_t badm_param_count(const badm_model *m);
BADM_API badm_param badm_param_at(badm_model *m, size_t index);         /* .model NULL when out of range */
BADM_API badm_param badm_param_find(badm_model *m, const char *name);   /* .model NULL when there is none */
BADM_API const char *badm_param_name(badm_param p);
BADM_API badm_shape badm_param_shape(badm_param p);
BADM_API size_t badm_param_size(badm_param p);
BADM_API const float *badm_param_values(badm_param p);
BADM_API float *badm_param_data(badm_param p);      /* to write; NULL when mapped. Moves when a parameter is added */
BADM_API int badm_param_is_buffer(badm_param p);
BADM_API int badm_param_is_frozen(badm_param p);

/* Parameter groups: all parameters whose name begins with `prefix` ("" is all). Each returns how many matched; none is an error
   that sticks. Freezing changes the layout of a trainer: one that exists refuses to step afterwards. */
typedef enum badm_metric { BADM_PLAIN, BADM_DIAGONAL, BADM_ORTHOGONAL, BADM_SISA, BADM_METRIC_OF_TRAINER } badm_metric;
BADM_API size_t badm_set_frozen(badm_model *m, const char *prefix, int frozen);
BADM_API size_t badm_set_weight_decay(badm_model *m, const char *prefix, float factor);     /* times the trainer's; 1 at first */
BADM_API size_t badm_set_step_scale(badm_model *m, const char *prefix, float factor);       /* times the step, > 0; 1 at first */
BADM_API size_t badm_set_metric(badm_model *m, const char *prefix, badm_metric metric);     /* instead of the trainer's */
/* Of matrices used as tables (badm_embedding, badm_gather_rows): a row's gradient is its mean over the samples of the batch that look
   it up, not over all of them, so that rare rows learn as fast with large batches (Defossez and Bach, arXiv 1711.01761). What is
   looked up for one sample lies together; two look-ups in one operation count once. A table that something else uses too is
   BADM_ERR_STATE. Not with allreduce, local steps, BADM_PER_SLOT, second moments of slots or balance (residuals are of plain means). */
BADM_API size_t badm_set_by_presence(badm_model *m, const char *prefix, int by_presence);

BADM_API size_t badm_model_size(const badm_model *m);           /* numbers in all parameters and buffers */
/* floats in a gradient vector: parameters not frozen, with padding */
BADM_API size_t badm_trainable_size(const badm_model *m);
/* of names, shapes and the bits of all values; the same on every machine */
BADM_API uint64_t badm_model_hash(const badm_model *m);
/* values, by name and shape: BADM_ERR_MODEL, nothing copied */
BADM_API badm_result badm_model_copy(badm_model *to, const badm_model *from);

/* A table of names, shapes, sizes and groups; returns its length like badm_error_text. */
BADM_API size_t badm_summary(const badm_model *m, char *buf, size_t n);

/* ---------------------------------------------------------------------------------------------------------------------
   Tensors and the tape
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct badm_op badm_op;

/* float32, row-major, up to 4 dimensions. Lives in its tape's arena until the tape is reset. For writers of operations: in[], args
   and the shape may be read; numbers are reached through badm_data() and badm_grad() alone. */
typedef struct badm_tensor badm_tensor;
struct badm_tensor {
    const badm_op *op;              /* NULL: a leaf */
    badm_tensor **in;
    void *args;                     /* the operation's own copy of its arguments */
    badm_tensor *previous;          /* recorded before this one */
    float *data, *grad;
    size_t size;                    /* elements */
    badm_dim shape[BADM_MAX_RANK];
    uint8_t rank, inputs, wants_grad;
};

/* Integers: labels [n], tokens [n,length]. */
typedef struct badm_ints { const int32_t *data; badm_dim shape[2]; uint8_t rank; } badm_ints;

/* An operation is one static record. forward fills badm_data(t, y); backward adds to badm_grad(t, y->in[i]) from badm_grad(t, y),
   and is called only when some input wants a gradient. */
struct badm_op {
    const char *name;
    void (*forward)(badm_tape *t, badm_tensor *y);
    void (*backward)(badm_tape *t, badm_tensor *y);
};

/* Which samples a slot looks at: index[0..count-1] into your data. In a dry run index is NULL. */
typedef struct badm_batch {
    const uint32_t *index;
    uint32_t count;
    uint32_t slot;                  /* 0..S-1 */
    uint32_t local_step;            /* 0..K-1 */
    uint64_t step;
} badm_batch;

/* Builds the loss of the samples of b: a scalar, the mean over them. Runs on the workers. */
typedef badm_tensor *(*badm_loss_fn)(badm_tape *t, const badm_batch *b, void *user);

BADM_API float *badm_data(badm_tape *t, const badm_tensor *x);      /* NULL in a dry run. A parameter's must not be written */
BADM_API float *badm_grad(badm_tape *t, badm_tensor *x);            /* NULL where none is wanted. Zero at first use */
BADM_API size_t badm_size(const badm_tensor *x);
BADM_API int badm_is_dry(const badm_tape *t);
BADM_API int badm_training(const badm_tape *t);                     /* 0 while evaluating and predicting */
BADM_API void badm_count(badm_tape *t, uint32_t n);                 /* the loss is a mean over n terms, not over b->count */
BADM_API void badm_hits(badm_tape *t, uint32_t correct, uint32_t of);   /* for report.accuracy; cross_entropy calls it */

/* A tape of your own, for predicting or for a loop of your own: bytes of arena, from mem. BADM_ERR_MEMORY. Without gradients at
   first. */
BADM_API badm_result badm_tape_new(badm_tape **out, badm_memory *mem, size_t bytes);
BADM_API void badm_tape_free(badm_tape *t);
BADM_API void badm_tape_reset(badm_tape *t);                        /* forgets tensors and error; keeps the arena */
BADM_API void badm_tape_mode(badm_tape *t, int training, uint64_t seed);    /* dropout on or off, and its seed */
BADM_API size_t badm_tape_used(const badm_tape *t);                 /* bytes since the last reset */

/* Gradients of the parameters of m are added to grads[badm_trainable_size(m)] by badm_backward (NULL: none are recorded). */
BADM_API void badm_tape_watch(badm_tape *t, badm_model *m, float *grads);
/* A parameter's place in that vector; NULL grads or a frozen parameter: NULL. */
BADM_API float *badm_param_grad(badm_tape *t, badm_param p);

/* d loss/d everything, loss being a scalar of this tape. BADM_ERR_SHAPE if it is not. */
BADM_API badm_result badm_backward(badm_tape *t, badm_tensor *loss);

/* The first error since the reset; .code is BADM_OK if none. */
BADM_API const badm_error *badm_tape_error(const badm_tape *t);

/* A line per tensor in the arena: operation, shape, bytes. A trainer keeps the tensors of parameters elsewhere. Returns its length
   like badm_error_text. */
BADM_API size_t badm_tape_dump(const badm_tape *t, char *buf, size_t n);

/* For writers of operations. badm_record makes y of the given shape, copies args, notes the inputs and runs forward (not in a dry
   run). badm_fail keeps the first error and returns the empty tensor: message may contain %a %b (shapes of a and b) and %0 %1
   (numbers). badm_scratch gives memory until forward or backward returns; what it will ask for must have been announced by
   badm_scratch_reserve before badm_record. */
BADM_API badm_tensor *badm_record(badm_tape *t, const badm_op *op, unsigned rank, const badm_dim *shape,
                                  unsigned inputs, badm_tensor *const *in, const void *args, size_t args_bytes);
BADM_API badm_tensor *badm_fail(badm_tape *t, badm_result code, const char *operation, const char *message,
                                const badm_tensor *a, const badm_tensor *b, unsigned long n0, unsigned long n1);
BADM_API void badm_scratch_reserve(badm_tape *t, size_t bytes);
BADM_API void *badm_scratch(badm_tape *t, size_t bytes);

/* ---------------------------------------------------------------------------------------------------------------------
   Leaves: where numbers enter
   --------------------------------------------------------------------------------------------------------------------- */

/* copied; NULL: zeros */
BADM_API badm_tensor *badm_input(badm_tape *t, unsigned rank, const badm_dim *shape, const float *values);
/* copied; wants a gradient on a watching tape */
BADM_API badm_tensor *badm_variable(badm_tape *t, unsigned rank, const badm_dim *shape, const float *values);
BADM_API badm_tensor *badm_param_use(badm_tape *t, badm_param p);
BADM_API badm_tensor *badm_detach(badm_tape *t, badm_tensor *x);    /* the same numbers, no gradient through it */

/* Rows b->index[i] of a table with `width` numbers a row: [count,width]. u8 and i16: value*scale + offset.
   fill is called once a sample, on the worker, to write row[width]. */
BADM_API badm_tensor *badm_rows(badm_tape *t, const float *table, badm_dim width, const badm_batch *b);
BADM_API badm_tensor *badm_rows_u8(badm_tape *t, const uint8_t *table, badm_dim width, float scale, float offset,
                                   const badm_batch *b);
BADM_API badm_tensor *badm_rows_i16(badm_tape *t, const int16_t *table, badm_dim width, float scale, float offset,
                                    const badm_batch *b);
typedef void (*badm_fill_fn)(float *row, badm_dim width, uint32_t index, void *user);
BADM_API badm_tensor *badm_rows_fill(badm_tape *t, badm_fill_fn fill, void *user, badm_dim width, const badm_batch *b);

/* Labels of the samples: [count]. Tokens: rows of `width`: [count,width]. */
BADM_API const badm_ints *badm_labels(badm_tape *t, const int32_t *labels, const badm_batch *b);
BADM_API const badm_ints *badm_labels_u8(badm_tape *t, const uint8_t *labels, const badm_batch *b);
BADM_API const badm_ints *badm_tokens(badm_tape *t, const int32_t *table, badm_dim width, const badm_batch *b);
BADM_API const badm_ints *badm_ints_input(badm_tape *t, unsigned rank, const badm_dim *shape, const int32_t *values);  /* copied */

/* ---------------------------------------------------------------------------------------------------------------------
   Operations. Shapes in brackets; BADM_ERR_SHAPE names both shapes that do not fit; an index outside its range is BADM_ERR_LABEL
   --------------------------------------------------------------------------------------------------------------------- */

/* Elementwise with NumPy's broadcasting: shapes are aligned at the right, and a dimension of 1 or absent is repeated. */
BADM_API badm_tensor *badm_add(badm_tape *t, badm_tensor *a, badm_tensor *b);
BADM_API badm_tensor *badm_sub(badm_tape *t, badm_tensor *a, badm_tensor *b);
BADM_API badm_tensor *badm_mul(badm_tape *t, badm_tensor *a, badm_tensor *b);
BADM_API badm_tensor *badm_div(badm_tape *t, badm_tensor *a, badm_tensor *b);
BADM_API badm_tensor *badm_scale(badm_tape *t, badm_tensor *x, float factor);                  /* factor*x */
BADM_API badm_tensor *badm_shift(badm_tape *t, badm_tensor *x, float offset);                  /* x + offset */

/* Matrix products: a[...,m,k] b[...,k,n] -> [...,m,n]; leading dimensions equal, or b a matrix shared by all.
   nt: b is [...,n,k], its transpose is used. tn: a is [...,k,m]. */
BADM_API badm_tensor *badm_matmul(badm_tape *t, badm_tensor *a, badm_tensor *b);
BADM_API badm_tensor *badm_matmul_nt(badm_tape *t, badm_tensor *a, badm_tensor *b);
BADM_API badm_tensor *badm_matmul_tn(badm_tape *t, badm_tensor *a, badm_tensor *b);
/* x[...,in] weight[out,in]^T + bias[out] -> [...,out]; bias may be NULL. As torch.nn.functional.linear. */
BADM_API badm_tensor *badm_affine(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias);

/* Elementwise, as torch.nn.functional's. */
BADM_API badm_tensor *badm_relu(badm_tape *t, badm_tensor *x);
BADM_API badm_tensor *badm_leaky_relu(badm_tape *t, badm_tensor *x, float slope);
BADM_API badm_tensor *badm_tanh(badm_tape *t, badm_tensor *x);
BADM_API badm_tensor *badm_sigmoid(badm_tape *t, badm_tensor *x);
BADM_API badm_tensor *badm_gelu(badm_tape *t, badm_tensor *x);          /* x Phi(x), by erf */
BADM_API badm_tensor *badm_gelu_tanh(badm_tape *t, badm_tensor *x);     /* its tanh approximation */
BADM_API badm_tensor *badm_silu(badm_tape *t, badm_tensor *x);          /* x sigmoid(x) */
BADM_API badm_tensor *badm_exp(badm_tape *t, badm_tensor *x);
BADM_API badm_tensor *badm_log(badm_tape *t, badm_tensor *x);
BADM_API badm_tensor *badm_sqrt(badm_tape *t, badm_tensor *x);

/* Over the last dimension. */
BADM_API badm_tensor *badm_softmax(badm_tape *t, badm_tensor *x);
BADM_API badm_tensor *badm_log_softmax(badm_tape *t, badm_tensor *x);

/* Softmax cross entropy of the rows of logits [...,classes] (n rows) with labels (n of them), mean over the rows that count.
   A label equal to `ignore` is skipped and badm_count() says how many counted (none: the loss is 0). Returns a scalar.
   Backward: (softmax - onehot)/counted. As torch.nn.functional.cross_entropy. */
#define BADM_IGNORE (-100)
BADM_API badm_tensor *badm_cross_entropy(badm_tape *t, badm_tensor *logits, const badm_ints *labels);
BADM_API badm_tensor *badm_cross_entropy_ignore(badm_tape *t, badm_tensor *logits, const badm_ints *labels, int32_t ignore);

/* Means over all elements; equal shapes. bce: max(x,0) - x y + log(1+e^-|x|), targets y in 0..1. No gradient to the targets of
   bce. */
BADM_API badm_tensor *badm_mse(badm_tape *t, badm_tensor *x, badm_tensor *target);
BADM_API badm_tensor *badm_bce_with_logits(badm_tape *t, badm_tensor *logits, badm_tensor *target);

BADM_API badm_tensor *badm_sum(badm_tape *t, badm_tensor *x);           /* of all elements: a scalar */
BADM_API badm_tensor *badm_mean(badm_tape *t, badm_tensor *x);
BADM_API badm_tensor *badm_sum_axis(badm_tape *t, badm_tensor *x, unsigned axis);      /* the dimension disappears */
BADM_API badm_tensor *badm_mean_axis(badm_tape *t, badm_tensor *x, unsigned axis);

/* the same number of elements */
BADM_API badm_tensor *badm_reshape(badm_tape *t, badm_tensor *x, unsigned rank, const badm_dim *shape);
/* y's dimension i is x's axes[i] */
BADM_API badm_tensor *badm_permute(badm_tape *t, badm_tensor *x, const unsigned *axes);
/* n <= BADM_MAX_INPUTS */
BADM_API badm_tensor *badm_concat(badm_tape *t, unsigned n, badm_tensor *const *x, unsigned axis);
BADM_API badm_tensor *badm_slice(badm_tape *t, badm_tensor *x, unsigned axis, badm_dim from, badm_dim to); /* from..to-1 */

/* Rows of table [rows,width] by integers of shape [n] or [n,l]: [n,width] or [n,l,width]. Embeddings and data rows alike. */
BADM_API badm_tensor *badm_gather_rows(badm_tape *t, badm_tensor *table, const badm_ints *index);

/* While training, zero with probability p and divide the rest by 1-p; else x itself. 0 <= p < 1. What is dropped is a function of
   (seed, step, slot, place in the tape), never of the worker. */
BADM_API badm_tensor *badm_dropout(badm_tape *t, badm_tensor *x, float p);

/* ---------------------------------------------------------------------------------------------------------------------
   Convolution and pooling. Images are [n,channels,height,width], signals [n,channels,length]
   --------------------------------------------------------------------------------------------------------------------- */

/* Of each dimension (height, width; conv1d reads [0] alone). As torch.nn.Conv2d's arguments; output_padding is read by
   conv_transpose2d alone, `bias` by the layer's constructor. 0 means 0: begin with badm_conv_defaults(): stride 1, no padding,
   dilation 1, one group, a bias. */
typedef struct badm_conv { badm_dim stride[2], padding[2], dilation[2], output_padding[2], groups; uint8_t bias; } badm_conv;
BADM_API badm_conv badm_conv_defaults(void);
BADM_API badm_conv badm_conv_of(badm_dim stride, badm_dim padding);    /* the defaults with these in both dimensions */

/* x [n,in,h,w], weight [out,in/groups,kh,kw], bias [out] or NULL -> [n,out,h',w'], h' = (h + 2 padding - dilation(kh-1) -
   1)/stride + 1. BADM_ERR_ARGUMENT: stride, dilation or groups 0. BADM_ERR_SHAPE: channels that groups do not divide, an empty
   result. As torch.nn.functional.conv2d, conv1d (x [n,in,l], weight [out,in/groups,k]) and conv_transpose2d (weight
   [in,out/groups,kh,kw], h' = (h-1) stride - 2 padding + dilation(kh-1) + output_padding + 1). */
BADM_API badm_tensor *badm_conv2d(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_conv c);
BADM_API badm_tensor *badm_conv1d(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_conv c);
BADM_API badm_tensor *badm_conv_transpose2d(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_conv c);

/* Over windows of kernel x kernel: [n,c,h,w] -> [n,c,h',w'], h' = (h + 2 padding - kernel)/stride + 1. padding <= kernel/2.
   Padding never wins a maximum; the gradient goes to the first of equal maxima. avg divides by kernel*kernel, padding counted. As
   torch.nn.functional's. */
BADM_API badm_tensor *badm_max_pool2d(badm_tape *t, badm_tensor *x, badm_dim kernel, badm_dim stride, badm_dim padding);
BADM_API badm_tensor *badm_avg_pool2d(badm_tape *t, badm_tensor *x, badm_dim kernel, badm_dim stride, badm_dim padding);
BADM_API badm_tensor *badm_global_avg_pool2d(badm_tape *t, badm_tensor *x);            /* [n,c,h,w] -> [n,c] */
/* height and width times `factor`: nearest repeats; bilinear as torch.nn.functional.interpolate(mode="bilinear",
   align_corners=False). */
BADM_API badm_tensor *badm_upsample_nearest2d(badm_tape *t, badm_tensor *x, badm_dim factor);
BADM_API badm_tensor *badm_upsample_bilinear2d(badm_tape *t, badm_tensor *x, badm_dim factor);

/* ---------------------------------------------------------------------------------------------------------------------
   Normalisation. weight and bias may be NULL
   --------------------------------------------------------------------------------------------------------------------- */

/* Over the trailing dimensions that weight has (without one: the last), (x - mean)/sqrt(var + eps) weight + bias. */
BADM_API badm_tensor *badm_layer_norm(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, float eps);
/* Over the last dimension: x/sqrt(mean of x^2 + eps) weight (arXiv 1910.07467). */
BADM_API badm_tensor *badm_rms_norm(badm_tape *t, badm_tensor *x, badm_tensor *weight, float eps);
/* x [n,c,...] in `groups` groups of channels, each with its own mean and variance; weight and bias [c] (arXiv 1803.08494). */
BADM_API badm_tensor *badm_group_norm(badm_tape *t, badm_tensor *x, badm_dim groups, badm_tensor *weight, badm_tensor *bias,
                                      float eps);
/* x [n,c,...] by the mean and variance of each channel over all else (arXiv 1502.03167). While training they are the sub-batch's,
   and running_mean and running_var (buffers [c]) move by `momentum` (PyTorch's: 0.1) towards them; else these are used.
   Statistics are of each sub-batch (micro-batch), as of each machine in data parallel training. running_mean.model and
   running_var.model NULL: no averages, always the sub-batch's own. BADM_ERR_SHAPE: one value a channel while training. */
BADM_API badm_tensor *badm_batch_norm(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_param running_mean,
                                      badm_param running_var, float momentum, float eps);

/* For layers with state of their own: where the layer writes what this sub-batch makes of a buffer, holding its present values
   (asked again: what was written); NULL where nothing is to be kept (evaluating, a dry run, local steps after the first, a model
   other than the trained one, a mapped buffer). Once a trainer's step is accepted the buffer becomes the mean over the sub-batches
   (micro-batches, machines) that asked, weighted by their samples, summed in their order; a step that is refused changes none.
   A tape of your own: badm_buffers_commit. BADM_ERR_ARGUMENT: no buffer. */
BADM_API float *badm_buffer_next(badm_tape *t, badm_param buffer);
/* Writes what has been asked for since the last reset into the model. BADM_ERR_STATE after an error of the tape, and on a
   trainer's tape. */
BADM_API badm_result badm_buffers_commit(badm_tape *t);

/* ---------------------------------------------------------------------------------------------------------------------
   Attention and positions
   --------------------------------------------------------------------------------------------------------------------- */

/* softmax(q k^T/sqrt(d)) v of each head: q [...,l,d], k [...,m,d], v [...,m,e] -> [...,l,e]; leading dimensions equal. causal:
   row i sees columns 0..i + m - l alone (m >= l). As torch.nn.functional.scaled_dot_product_attention. */
BADM_API badm_tensor *badm_attention(badm_tape *t, badm_tensor *q, badm_tensor *k, badm_tensor *v, int causal);
/* The same from one projection x [n,l,3*heads*d], each row q, k and v of all heads one after another: [n,l,heads*d]. No copies. */
BADM_API badm_tensor *badm_self_attention(badm_tape *t, badm_tensor *x, badm_dim heads, int causal);
/* [length,width]: sin and cos of position/10000^(2i/width) in turn (arXiv 1706.03762, 3.5). A leaf without gradient. */
BADM_API badm_tensor *badm_sinusoidal(badm_tape *t, badm_dim length, badm_dim width);
/* Rotary positions (arXiv 2104.09864) of x [...,l,d], d even: pairs (x[i], x[i+d/2]) turned by position/base^(2i/d); first:
   position of row 0. */
BADM_API badm_tensor *badm_rotary(badm_tape *t, badm_tensor *x, float base, badm_dim first);

/* ---------------------------------------------------------------------------------------------------------------------
   Sparse matrices
   --------------------------------------------------------------------------------------------------------------------- */

/* Compressed rows: row i has entries start[i]..start[i+1]-1, of columns column[] (ascending) with value[] (NULL: all 1). Only
   read by operations, so workers may share it. `turned` is its transpose, for gradients. Arrays may be the caller's own; those
   that a function below made are freed by badm_csr_free. */
typedef struct badm_csr badm_csr;
struct badm_csr {
    uint32_t rows, cols;
    const uint32_t *start, *column;
    const float *value;
    const badm_csr *turned;         /* of a symmetric matrix it may be the matrix itself; NULL: no gradient goes through */
    const uint32_t *origin;         /* of a transpose: the place of each entry in the original; else NULL */
    badm_memory *memory;
};
/* From n entries in any order (value NULL: 1 each); equal places are added up. With its transpose, in one piece of memory.
   BADM_ERR_LABEL: an index outside; BADM_ERR_NONFINITE; BADM_ERR_MEMORY. err may be NULL. */
BADM_API badm_result badm_csr_new(badm_csr **out, badm_memory *mem, uint32_t rows, uint32_t cols, size_t n, const uint32_t *row,
                                  const uint32_t *column, const float *value, badm_error *err);
/* A graph for graph convolution (arXiv 1609.02907, eq. 2): D^-1/2 (A + I) D^-1/2 of the undirected graph of these edges (each
   counts once, in both directions; loops given are ignored). */
BADM_API badm_result badm_csr_graph(badm_csr **out, badm_memory *mem, uint32_t nodes, size_t edges, const uint32_t *from,
                                    const uint32_t *to,
                                    badm_error *err);
BADM_API void badm_csr_free(badm_csr *a);
/* a [rows,cols] times x [cols,n] -> [rows,n]; gradient a^T dy to x, none to a. Rows are spread over workers that have no
   sub-batch. */
BADM_API badm_tensor *badm_sparse_matmul(badm_tape *t, const badm_csr *a, badm_tensor *x);
/* While training a copy on the tape whose entries are 0 with probability p and the rest divided by 1-p, as badm_dropout; else a
   itself. */
BADM_API const badm_csr *badm_csr_dropout(badm_tape *t, const badm_csr *a, float p);

/* ---------------------------------------------------------------------------------------------------------------------
   Recurrent cells, and random inputs
   --------------------------------------------------------------------------------------------------------------------- */

/* From input and hidden projections of one time step, each [n,3*hidden] in the order reset, update, new, and the state
   [n,hidden]: the next state. As torch.nn.GRUCell (arXiv 1406.1078). */
BADM_API badm_tensor *badm_gru_gates(badm_tape *t, badm_tensor *from_input, badm_tensor *from_hidden, badm_tensor *hidden);
/* Standard normal numbers, a function of (seed, step, slot, place in the tape) like dropout's. A leaf without gradient. Zeros
   unless training. */
BADM_API badm_tensor *badm_randn(badm_tape *t, unsigned rank, const badm_dim *shape);

/* ---------------------------------------------------------------------------------------------------------------------
   Layers: handles by value over named parameters, PyTorch's names, layouts and initial distributions
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct badm_linear { badm_param weight, bias; } badm_linear;           /* name.weight [out,in], name.bias [out] */
BADM_API badm_linear badm_linear_new(badm_model *m, const char *name, badm_dim in, badm_dim out);
BADM_API badm_linear badm_linear_new_without_bias(badm_model *m, const char *name, badm_dim in, badm_dim out);
BADM_API badm_tensor *badm_linear_forward(badm_tape *t, badm_linear layer, badm_tensor *x);

typedef struct badm_embedding { badm_param weight; } badm_embedding;           /* name.weight [n,dim], N(0,1) */
BADM_API badm_embedding badm_embedding_new(badm_model *m, const char *name, badm_dim n, badm_dim dim);
BADM_API badm_tensor *badm_embedding_forward(badm_tape *t, badm_embedding layer, const badm_ints *index);

typedef struct badm_conv_layer { badm_param weight, bias; badm_conv conv; } badm_conv_layer;       /* name.weight, name.bias */
/* torch.nn.Conv2d and its kin: square kernels; channels that conv.groups does not divide stick as an error in the model. */
BADM_API badm_conv_layer badm_conv2d_new(badm_model *m, const char *name, badm_dim in, badm_dim out, badm_dim kernel,
                                         badm_conv conv);
BADM_API badm_conv_layer badm_conv1d_new(badm_model *m, const char *name, badm_dim in, badm_dim out, badm_dim kernel,
                                         badm_conv conv);
BADM_API badm_conv_layer badm_conv_transpose2d_new(badm_model *m, const char *name, badm_dim in, badm_dim out, badm_dim kernel,
                                                   badm_conv conv);
BADM_API badm_tensor *badm_conv2d_forward(badm_tape *t, badm_conv_layer layer, badm_tensor *x);
BADM_API badm_tensor *badm_conv1d_forward(badm_tape *t, badm_conv_layer layer, badm_tensor *x);
BADM_API badm_tensor *badm_conv_transpose2d_forward(badm_tape *t, badm_conv_layer layer, badm_tensor *x);

typedef struct badm_norm {
    badm_param weight, bias, running_mean, running_var, batches;
    badm_dim groups;
    float eps, momentum;
} badm_norm;
BADM_API badm_norm badm_layer_norm_new(badm_model *m, const char *name, badm_dim width);           /* weight 1, bias 0, eps 1e-5 */
BADM_API badm_norm badm_rms_norm_new(badm_model *m, const char *name, badm_dim width);             /* weight; eps 1e-5 */
BADM_API badm_norm badm_group_norm_new(badm_model *m, const char *name, badm_dim groups, badm_dim channels);
/* and the buffers running_mean, running_var, num_batches_tracked; momentum 0.1. torch.nn.BatchNorm1d, 2d */
BADM_API badm_norm badm_batch_norm_new(badm_model *m, const char *name, badm_dim channels);
BADM_API badm_tensor *badm_layer_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x);
BADM_API badm_tensor *badm_rms_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x);
BADM_API badm_tensor *badm_group_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x);
BADM_API badm_tensor *badm_batch_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x);

/* torch.nn.MultiheadAttention over one sequence: in_proj_weight [3*width,width], in_proj_bias, out_proj.weight, out_proj.bias. x
   [n,l,width]. */
typedef struct badm_multihead { badm_param in_weight, in_bias; badm_linear out; badm_dim heads; } badm_multihead;
BADM_API badm_multihead badm_multihead_new(badm_model *m, const char *name, badm_dim width, badm_dim heads);
BADM_API badm_tensor *badm_multihead_forward(badm_tape *t, badm_multihead layer, badm_tensor *x, int causal);

/* torch.nn.GRUCell: weight_ih [3*hidden,in], weight_hh [3*hidden,hidden], bias_ih, bias_hh. forward: x [n,in], h [n,hidden] ->
   the next h. */
typedef struct badm_gru { badm_param weight_ih, weight_hh, bias_ih, bias_hh; } badm_gru;
BADM_API badm_gru badm_gru_new(badm_model *m, const char *name, badm_dim in, badm_dim hidden);
BADM_API badm_tensor *badm_gru_forward(badm_tape *t, badm_gru layer, badm_tensor *x, badm_tensor *hidden);

/* ---------------------------------------------------------------------------------------------------------------------
   Trainer
   --------------------------------------------------------------------------------------------------------------------- */

typedef enum badm_form { BADM_COLLAPSED, BADM_PER_SLOT } badm_form;

/* A step size's course: the base value times badm_schedule_factor(). For BADM the factor divides sigma and rho together, so that
   beta stays. */
typedef enum badm_schedule_kind { BADM_CONSTANT_RATE, BADM_LINEAR_DECAY, BADM_COSINE_DECAY, BADM_STEP_DECAY } badm_schedule_kind;
typedef struct badm_schedule {
    badm_schedule_kind kind;
    uint32_t warmup;                /* steps of linear growth from 1/warmup to 1, before the decay; 0: none */
    uint32_t total;                 /* steps from the first to the end of the decay (linear, cosine) */
    float last;                     /* the factor reached at the end (linear, cosine); at least 1e-6 is used */
    uint32_t every;                 /* step decay: times `gamma` every so many steps */
    float gamma;
} badm_schedule;
BADM_API float badm_schedule_factor(const badm_schedule *s, uint64_t step);

/* What one step uses, after the schedule; the `rates` callback may change it. BADM reads sigma and rho, the others lr. */
typedef struct badm_rates { float lr, sigma, rho, weight_decay; } badm_rates;

/* A method is a record; what is not named is not linked. NULL in the desc is BADM. Definitions as PyTorch's optimisers of these
   names (torch.optim; weight_decay is L2 in the gradient for sgd..nadam, decoupled for adamw, nadamw and muon); Nesterov is SGD
   with nesterov=True. Muon (Jordan et al. 2024): orthogonalised Nesterov momentum for matrices, AdamW for all else. */
typedef struct badm_method badm_method;
BADM_API const badm_method *badm_method_sgd(void);
BADM_API const badm_method *badm_method_momentum(void);
BADM_API const badm_method *badm_method_nesterov(void);
BADM_API const badm_method *badm_method_rmsprop(void);
BADM_API const badm_method *badm_method_adagrad(void);
BADM_API const badm_method *badm_method_adam(void);
BADM_API const badm_method *badm_method_adamw(void);
BADM_API const badm_method *badm_method_nadam(void);
BADM_API const badm_method *badm_method_nadamw(void);
BADM_API const badm_method *badm_method_muon(void);

/* Gradient diversity (Yin et al. 2018; DiveBatch, arXiv 2509.16173): sum |g_i|^2 / |sum g_i|^2 over samples.
   exact: |g_i|^2 of every sample, from what backward has at hand where an operation allows it, else by a tape for each sample (where
   dropout draws other masks); one more vector of parameters, one a worker as well. Operations that use parameters must have the
   samples in their first dimension, what belongs to one together. BADM_ERR_STATE for batch norm: a sample has no gradient of its own.
   slots: an estimate from the sub-batches' gradients, for S >= 2, which costs two passes over a gradient; one more vector. */
typedef enum badm_diversity { BADM_DIVERSITY_OFF, BADM_DIVERSITY_EXACT, BADM_DIVERSITY_OF_SLOTS } badm_diversity;

typedef enum badm_newton_schulz { BADM_NS_GRAM3, BADM_NS_FIVE } badm_newton_schulz;

/* Everything a trainer needs to know. Call badm_trainer_defaults first, then set what you want: 0 means 0. */
typedef struct badm_trainer_desc {
    uint32_t filled;                /* badm_trainer_defaults' mark */
    badm_model *model;              /* trained; must outlive the trainer */
    badm_loss_fn loss;
    void *user;                     /* given to loss; shared by all workers, only read */
    badm_memory *memory;            /* NULL: BADM_MALLOC */
    size_t tape_bytes;              /* 0: found by a dry run. Set it when the graph depends on values */
    uint64_t seed;                  /* shuffling and dropout */

    uint32_t max_batch;             /* samples in the largest batch */
    uint32_t sub_batches;           /* S; default 4. Part of the result: another S, other bits */
    uint32_t workers;               /* W threads, the caller's included; default: the machine's cores. Not part of the result */
    uint32_t micro_batch;           /* a sub-batch runs in pieces of this many samples; 0: whole. Part of the result */

    const badm_method *method;      /* NULL: BADM */
    badm_schedule schedule;
    void (*rates)(badm_rates *r, uint64_t step, void *rates_user);     /* any schedule of your own; NULL: none */
    void *rates_user;
    float weight_decay;             /* BADM: decoupled, w *= 1 - weight_decay/sigma before the aggregate */
    float clip;                     /* largest norm of the mean gradient; 0: no clipping */

    float sigma, rho;               /* BADM. > 0, >= 0. Defaults 1 and 9: step 1, momentum 0.9 */
    badm_form form;
    badm_metric metric;
    uint32_t local_steps;           /* K; > 1 needs BADM_PER_SLOT */
    float ridge;                    /* lambda; plain metric and SISA */
    float beta2, eps;               /* second moments (diagonal, SISA, Adam family, RMSProp's alpha); defaults 0.999, 1e-8 */
    int second_moment_of_slots;     /* diagonal: average of the mean of g_s^2 instead of the square of the mean */
    /* residual balancing: rho moves within rho/10..10rho to keep sigma*primal/dual in 1/balance..balance; 0: off */
    float balance;
    badm_newton_schulz newton_schulz;      /* orthogonal metric and Muon: three steps on the Gram matrix, or five full ones */

    float lr, beta1;                /* baselines; beta1 is also the momentum of SGD and Muon. Defaults 1e-3, 0.9 */
    float momentum_decay;           /* nadam; default 4e-3 */

    badm_diversity diversity;       /* how badm_growth_epoch measures the diversity of gradients; default: not at all */
    int monitors;                   /* gradient norm and residuals in the report, and diagnosis; default 1 */
    const volatile int *cancel;     /* not 0: the step ends with BADM_ERR_CANCELLED, nothing changed */
    /* on the worker, after each; not 0 cancels. A place for a watchdog */
    int (*on_sub_batch)(uint32_t slot, uint32_t of, void *user);
    void *on_sub_batch_user;
    /* buf := sum of buf over all machines (gradients, losses, buffers of layers); not 0: BADM_ERR_EXCHANGE. NULL: one machine */
    int (*allreduce)(float *buf, size_t n, void *user);
    void *allreduce_user;
    void (*log)(badm_result r, const char *text, void *user);       /* errors and enlarged tapes, as they happen; NULL: silent */
    void *log_user;
} badm_trainer_desc;

BADM_API void badm_trainer_defaults(badm_trainer_desc *d);

/* Bytes badm_trainer_new will take from d->memory for this desc, alignment included (a block also needs them in one piece). Errors
   as badm_trainer_new. */
BADM_API badm_result badm_trainer_bytes(const badm_trainer_desc *d, size_t *bytes);

/* BADM_ERR_ARGUMENT (an unfilled desc, a bad value), BADM_ERR_STATE (the model has an error, nothing to train), BADM_ERR_MEMORY
   (with what is needed),
   BADM_ERR_THREAD, or the error of the dry run. *out is NULL then, and badm_model_error(d->model) has the sentence (but for an
   unfilled desc, whose model may be any address). */
BADM_API badm_result badm_trainer_new(badm_trainer **out, const badm_trainer_desc *d);
BADM_API void badm_trainer_free(badm_trainer *tr);
BADM_API const char *badm_trainer_error(badm_trainer *tr);             /* the last call's error as a sentence; "" if none */

typedef struct badm_report {
    uint64_t step;                  /* steps taken before this one */
    uint32_t epoch;
    uint32_t samples;               /* in this step */
    float loss;                     /* mean over the step's (first) batch, before the update */
    float accuracy;                 /* share of hits cross_entropy saw; -1 if none */
    float grad_norm;                /* of the mean gradient, before clipping; without monitors 0, unless clipping needs it; of this
                                       machine's where allreduce need not carry it (per slot, no diagonal tensor, no clipping) */
    float clip_factor;              /* 1: not clipped */
    float primal_residual;          /* sqrt(sum alpha_s |w_s - w|_Q^2) (BADM; orthogonal tensors count with Q = I) */
    float dual_residual;            /* sigma |w' - w|_Q */
    float step_norm;                /* |w' - w| */
    badm_rates rates;               /* as used */
    uint32_t tape_growths;          /* times a tape was enlarged, ever */
} badm_report;

/* One iteration on one batch: index[K*count], K = local_steps batches after one another (NULL: 0..K*count-1). report may be NULL.
   Any error leaves parameters and state as they were. BADM_ERR_ARGUMENT: count 0, over max_batch, or fewer samples than slots. */
BADM_API badm_result badm_step(badm_trainer *tr, const uint32_t *index, uint32_t count, badm_report *report);

/* One epoch over samples 0..n-1, shuffled, in batches; the last batch may be shorter and then uses min(S, its size) slots.
   Goes on where a loaded checkpoint stands, also mid-epoch. progress (may be NULL) is called after every step; a value other than
   0 ends the epoch there with BADM_ERR_CANCELLED, and the next call goes on. */
typedef struct badm_progress {
    uint32_t epoch, sample, samples;
    badm_report last;
    float loss, accuracy;           /* means of this call so far */
} badm_progress;
typedef int (*badm_progress_fn)(const badm_progress *p, void *user);
BADM_API badm_result badm_epoch(badm_trainer *tr, uint32_t n, uint32_t batch, badm_progress_fn progress, void *user);

/* Without training: mean loss and accuracy of samples 0..n-1 by loss (NULL: the trainer's) over user's data (NULL: the trainer's),
   on the workers. BADM_ERR_ARGUMENT: n = 0. */
typedef struct badm_score { float loss, accuracy; uint32_t samples; } badm_score;
BADM_API badm_result badm_evaluate(badm_trainer *tr, badm_loss_fn loss, void *user, uint32_t n, badm_score *out);

/* Outputs of samples 0..n-1: graph returns [count,width] (or [count] for width 1), copied to out[n*width] in order. */
BADM_API badm_result badm_predict(badm_trainer *tr, badm_loss_fn graph, void *user, uint32_t n, badm_dim width, float *out);

BADM_API badm_model *badm_trainer_model(badm_trainer *tr);
BADM_API uint64_t badm_trainer_step(const badm_trainer *tr);
BADM_API uint32_t badm_trainer_epoch(const badm_trainer *tr);
BADM_API size_t badm_trainer_memory(const badm_trainer *tr);           /* bytes it holds now */
BADM_API uint32_t badm_cpu_count(void);                                /* 1 where it cannot be known */

/* What the trainer has seen, in words, one line each; returns the set. buf may be NULL. Needs d->monitors. */
enum {
    BADM_SEES_OSCILLATION = 1,      /* BADM: successive gradients point against each other: the step is too long */
    BADM_SEES_CRAWL = 2,            /* parameters hardly move: the step is too short */
    BADM_SEES_MEMORY = 4,           /* a step was refused for memory: what it needs and has */
    BADM_SEES_IDLE_WORKERS = 8,     /* S limits you to k of W workers */
    BADM_SEES_UNSCALED_INPUT = 16,
    BADM_SEES_CONSTANT_LOSS = 32,
    BADM_SEES_ZERO_GRADIENT = 64
};
BADM_API unsigned badm_diagnose(badm_trainer *tr, char *buf, size_t n);

/* Batches that grow during training. Set the fields after badm_growth_defaults; give d.rates = badm_growth_rates and d.rates_user =
   the badm_growth to the trainer, whose max_batch is max_batch here (micro_batch keeps its tape small), and call
   badm_growth_epoch in place of badm_epoch. Plain data: save it beside a checkpoint.
     BADM_GROWTH_PERIODIC   AdaBatch of Devarakonda, Naumov, Garland (arXiv 1712.02029): every `every` epochs batch *= factor, and the
                            step *= decay: step/batch goes as with decay/factor at a fixed batch. Where the batch cannot grow by
                            the factor, the step makes up for it.
     BADM_GROWTH_DIVERSE    DiveBatch (arXiv 2509.16173): the last of `every` epochs is measured (d.diversity); then
                            batch = min(max(delta * diversity * n, batch), max_batch); scale_step: the step grows with it.
   "step" is lr, 1/sigma for BADM (rho stays). Not compiled with BADM_NO_GROWTH. */
#ifndef BADM_NO_GROWTH
typedef enum badm_growth_kind { BADM_GROWTH_NONE, BADM_GROWTH_PERIODIC, BADM_GROWTH_DIVERSE } badm_growth_kind;
typedef struct badm_growth {
    badm_growth_kind kind;
    uint32_t batch, max_batch;      /* batch: of the epoch to come */
    uint32_t every;                 /* epochs; default 20 */
    float factor, decay;            /* periodic; defaults 2, 0.75 */
    float delta;                    /* diverse; default 0.1 */
    int scale_step;                 /* diverse; default 0 */
    uint32_t warmup, baseline;      /* epochs in which the step grows evenly from baseline/batch of itself, for large first batches */
    /* what it finds out */
    uint32_t epoch;
    float step;                     /* factor of the step now, without warm-up */
    float diversity;                /* as measured last; 0: not yet */
} badm_growth;
BADM_API void badm_growth_defaults(badm_growth *g, badm_growth_kind kind, uint32_t batch, uint32_t max_batch);
BADM_API void badm_growth_rates(badm_rates *r, uint64_t step, void *growth);
/* One epoch over samples 0..n-1 at the present batch, then growth. An epoch that was interrupted is gone on with, but not measured.
   Errors of badm_epoch, after which g is as before, unless the epoch was over.
   BADM_ERR_ARGUMENT: batch 0 or above max_batch, that above the trainer's; every 0, a factor or decay out of range; nothing to measure
   diversity with. */
BADM_API badm_result badm_growth_epoch(badm_growth *g, badm_trainer *tr, uint32_t n, badm_progress_fn fn, void *user);
#endif

/* Early stopping: keeps a copy of the best parameters. update: 1 better (copied), 0 not better, -1 not better `patience` times
   running (0: never). Smaller is better. restore puts the best back. */
typedef struct badm_best badm_best;
BADM_API badm_result badm_best_new(badm_best **out, badm_model *m, uint32_t patience);
BADM_API int badm_best_update(badm_best *b, float value);
BADM_API float badm_best_value(const badm_best *b);
BADM_API badm_result badm_best_restore(badm_best *b);
BADM_API void badm_best_free(badm_best *b);

/* ---------------------------------------------------------------------------------------------------------------------
   pdADMM (Wang, Chai, Cheng, Zhao 2020, arXiv 2009.02868): trains a stack of linear layers with relu between them without
   backpropagation, all layers side by side. Not compiled with BADM_NO_PDADMM.

       min  sum_n CE(z_L, y) + nu/2 sum_l |z_l - W_l p_l - b_l|^2 + nu/2 sum_{l<L} |q_l - relu(z_l)|^2
       subject to  p_{l+1} = q_l,   p_1 = x

   Its augmented Lagrangian has <u_l, p_{l+1} - q_l> + rho/2 |p_{l+1} - q_l|^2 besides. An iteration moves all p, W, b, z, q and u
   in turn, over all samples at once. Layers exchange p, q and u with their neighbours only, so each is a job of its own: the
   same bits for any number of workers. What is learned is the network of the model's W and b alone.
   --------------------------------------------------------------------------------------------------------------------- */

#ifndef BADM_NO_PDADMM
typedef struct badm_pdadmm badm_pdadmm;
typedef struct badm_pdadmm_desc {
    uint32_t filled;                /* badm_pdadmm_defaults' mark */
    badm_model *model;              /* its weights are where W and b begin, and get every iteration's; must outlive the solver */
    const badm_linear *layer;       /* from the inputs to the logits, each with a bias; copied */
    uint32_t layers;                /* L, at least 2 */
    const float *x;                 /* [samples,in]; must outlive the solver */
    const int32_t *label;           /* [samples], 0..classes-1; must outlive the solver */
    uint32_t samples;
    float nu, rho;                  /* weights of the fits and of the constraints; > 0. Defaults 1e-4 and 4e-4: rho >= 4 nu keeps the
                                       Lagrangian from growing */
    float tau, theta;               /* where the backtracking of p and of W begins; defaults rho and nu (0) */
    uint32_t doublings;             /* of tau and theta at most; a variable that wants more stays as it is. Default 40 */
    uint32_t fista;                 /* iterations for z_L at most, until it moves by no more than `tolerance`; 500, 1e-4 */
    float tolerance;
    uint32_t workers;               /* threads, the caller's included; default: the machine's cores. Not part of the result */
    badm_memory *memory;            /* NULL: BADM_MALLOC */
    const volatile int *cancel;     /* looked at before an iteration: BADM_ERR_CANCELLED */
    double (*clock)(void);          /* seconds, for badm_pdadmm_seconds; called by the workers. NULL: none */
} badm_pdadmm_desc;
BADM_API void badm_pdadmm_defaults(badm_pdadmm_desc *d);

typedef struct badm_pdadmm_report {
    uint64_t iteration;             /* done before this one */
    float lagrangian;               /* after it; so is the rest */
    float loss;                     /* mean cross entropy of z_L: of the splitting, not of the network */
    float primal;                   /* sqrt(sum_l |p_{l+1} - q_l|^2) */
    float change;                   /* |what it moved|: all of p, W, b, z, q, u as one vector */
} badm_pdadmm_report;

/* Begins with p, z, q as the network computes them, u = 0. BADM_ERR_ARGUMENT (an unfilled desc, a bad value, layers that do not fit
   one another), BADM_ERR_LABEL, BADM_ERR_NONFINITE (in x), BADM_ERR_MEMORY, BADM_ERR_THREAD; err may be NULL. Takes about
   4 samples widths + 3 samples (largest width) workers floats, a width being that of every layer. */
BADM_API badm_result badm_pdadmm_new(badm_pdadmm **out, const badm_pdadmm_desc *d, badm_error *err);
BADM_API void badm_pdadmm_free(badm_pdadmm *p);

/* One iteration; then the model has its W and b. BADM_ERR_NONFINITE: the Lagrangian is not finite (rho or nu too large, or tau);
   the model keeps what the iteration before left, and the solver can only be freed. report may be NULL. */
BADM_API badm_result badm_pdadmm_step(badm_pdadmm *p, badm_pdadmm_report *report);

/* Grows in depth: `added` layers [width,width] of the same model, width being that of the last hidden layer, become identities
   (W = I, b = 0) before the last layer. That leaves the network's function as it is; their p, z and q are q of the layer before,
   u = 0. BADM_ERR_ARGUMENT, BADM_ERR_MEMORY: nothing has changed. */
BADM_API badm_result badm_pdadmm_grow(badm_pdadmm *p, const badm_linear *added, uint32_t count);

/* A variable of layer l (from 0): 'p' [samples,in] (of layer 0: x), 'z' [samples,out], 'q', 'u' [samples,out] (not of the last
   layer). NULL: there is none. */
BADM_API const float *badm_pdadmm_variable(const badm_pdadmm *p, char which, uint32_t layer);
/* What layer l's two jobs of the last iteration took by the desc's clock: p, W, b and z; then q and u. 0 where there is none. */
BADM_API void badm_pdadmm_seconds(const badm_pdadmm *p, uint32_t layer, double *fit, double *link);
BADM_API size_t badm_pdadmm_memory(const badm_pdadmm *p);              /* bytes it holds */
BADM_API const char *badm_pdadmm_error(badm_pdadmm *p);                /* the last call's error as a sentence; "" if none */
#endif

/* ---------------------------------------------------------------------------------------------------------------------
   Linear models on sparse data, by SGD with the aggregation of Defossez and Bach (AdaBatch, arXiv 1711.01761), and by SVRG with the
   same rule. (Another paper calls batches that grow AdaBatch, arXiv 1712.02029: BADM_GROWTH_PERIODIC of badm_growth.) Not compiled with
   BADM_NO_SPARSE_SGD.

       F(w) = 1/n sum_i loss(y_i, <x_i,w> + b) + l2/2 |w|^2

   A batch's gradient is the mean of its samples', or in each coordinate k, with c_k samples of the batch that have feature k and
   p_k the share of all samples that have it,
       BADM_BY_PRESENCE   sum_i g_i^(k) / c_k:  the mean over those samples alone (the paper's rule)
       BADM_BY_FREQUENCY  D_k/B sum_i g_i^(k),  D_k = (1 - (1-p_k)^B)/p_k: what that is in expectation
   so a rare coordinate moves as in B steps of single samples, one that is always there as by the mean. B = 1 is SGD for all three.
   --------------------------------------------------------------------------------------------------------------------- */

#ifndef BADM_NO_SPARSE_SGD
typedef enum badm_aggregation { BADM_BY_MEAN, BADM_BY_PRESENCE, BADM_BY_FREQUENCY } badm_aggregation;
typedef enum badm_sparse_loss { BADM_LOGISTIC, BADM_SQUARED } badm_sparse_loss;
typedef struct badm_sparse_sgd badm_sparse_sgd;

typedef struct badm_sparse_desc {
    uint32_t filled;                /* badm_sparse_defaults' mark */
    const badm_csr *x;              /* [samples,features]; a stored entry is a feature the sample has, were it 0. Must outlive it */
    const float *y;                 /* [samples]; must outlive it. Logistic: > 0 is one class, all else the other */
    badm_sparse_loss loss;          /* log(1 + exp(-y m)), y = +-1; 1/2 (m - y)^2 */
    badm_aggregation aggregation;
    uint32_t batch;                 /* B; default 1. Part of the result */
    float lr, l2;                   /* step size; weight of |w|^2/2 (the intercept has none). >= 0; defaults 0.1, 0 */
    int intercept;                  /* b as well; its gradient is the batch's mean. Default 1 */
    int svrg;                       /* every epoch begins with the gradient of all samples; steps are by the difference to it */
    uint64_t seed;                  /* order of the samples */
    uint32_t workers;               /* threads, the caller's included; default 1. Not part of the result */
    badm_memory *memory;            /* NULL: BADM_MALLOC */
    const volatile int *cancel;     /* looked at before every batch: BADM_ERR_CANCELLED, w as it is then */
} badm_sparse_desc;
BADM_API void badm_sparse_defaults(badm_sparse_desc *d);

/* Begins at w = 0. BADM_ERR_ARGUMENT, BADM_ERR_NONFINITE (a label), BADM_ERR_MEMORY, BADM_ERR_THREAD; err may be NULL. */
BADM_API badm_result badm_sparse_new(badm_sparse_sgd **out, const badm_sparse_desc *d, badm_error *err);
BADM_API void badm_sparse_free(badm_sparse_sgd *s);

/* All samples once, in an order of this epoch's own, in batches of B; the last one may be shorter. l2 and SVRG's mean gradient
   reach a coordinate when it is next seen, for all steps since, and all of them at the end: w *= exp(-lr l2 D_k) a step.
   BADM_ERR_NONFINITE: lr is too large; w is as it was before the epoch. */
BADM_API badm_result badm_sparse_epoch(badm_sparse_sgd *s);

/* F(w), with the l2 term, and |gradient of F|; either may be NULL. */
BADM_API void badm_sparse_objective(badm_sparse_sgd *s, double *value, double *gradient_norm);
/* Margins <x_i,w> + b of the rows of another matrix. BADM_ERR_SHAPE: it has more columns than there are weights. BADM_ERR_ARGUMENT:
   it has no values. */
BADM_API badm_result badm_sparse_margins(badm_sparse_sgd *s, const badm_csr *x, float *margin);

BADM_API float *badm_sparse_weights(badm_sparse_sgd *s);               /* [features], then b; may be set between epochs */
BADM_API void badm_sparse_set_lr(badm_sparse_sgd *s, float lr);         /* between epochs */
BADM_API const char *badm_sparse_error(badm_sparse_sgd *s);             /* the last call's error as a sentence; "" if none */
#endif

/* ---------------------------------------------------------------------------------------------------------------------
   Checks for your own code
   --------------------------------------------------------------------------------------------------------------------- */

/* Compares backward with central differences of the loss on samples 0..count-1, at up to `per_tensor` entries of every trainable
   parameter (0: all), step eps*max(1,|w|) (0: 1e-2). The parameters are as before afterwards. `worst` is the largest
   |difference|/max(|a|,|b|,floor), where the floor is 1e-2 times the largest gradient of that parameter. Uses the default
   allocator or the model's memory. */
typedef struct badm_gradient_check { float worst, analytic, numeric; badm_param param; size_t entry; } badm_gradient_check;
BADM_API badm_result badm_check_gradients(badm_model *m, badm_loss_fn loss, void *user, uint32_t count, size_t per_tensor,
                                          float eps, badm_gradient_check *out);

/* Compiled with BADM_SELF_TEST: trains a little, checks gradients, bits and mathematics on this target; needs 48 KB from mem.
   Returns 0 or the number of the check that failed; without that macro BADM_ERR_BUILD. */
BADM_API int badm_self_test(badm_memory *mem);

/* ---------------------------------------------------------------------------------------------------------------------
   Files. A path is written under a temporary name, synced and renamed: the old file stays whole until the new one is. What is read
   is checked first; the model or trainer is changed only after the last byte has been accepted
   --------------------------------------------------------------------------------------------------------------------- */

/* safetensors with PyTorch's names: loads in Python, and a PyTorch state_dict loads here (its num_batches_tracked are int64; they
   are exact up to 2^24). Loading ignores tensors named "badm." (a checkpoint's state). BADM_ERR_FILE,
   BADM_ERR_FORMAT (damaged),
   BADM_ERR_MODEL (a tensor missing, unknown or of another shape or type), BADM_ERR_NONFINITE (a weight is not a number or
   infinite; saving too),
   BADM_ERR_STATE (a mapped parameter cannot be loaded; the model has an error), BADM_ERR_MEMORY. The sentence is in
   badm_model_error. */
BADM_API badm_result badm_save(badm_model *m, const char *path);
BADM_API badm_result badm_load(badm_model *m, const char *path);
BADM_API badm_result badm_save_to(badm_model *m, badm_writer *w);
BADM_API badm_result badm_load_from(badm_model *m, badm_reader *r);

/* The whole training state with the model: going on from it gives the bits of never having stopped. Loading needs a trainer of the
   same model, method, form, metrics, S, K and seed (BADM_ERR_MODEL names what differs); any number of workers. The sentence is in
   badm_trainer_error. */
BADM_API badm_result badm_checkpoint_save(badm_trainer *tr, const char *path);
BADM_API badm_result badm_checkpoint_load(badm_trainer *tr, const char *path);
BADM_API badm_result badm_checkpoint_save_to(badm_trainer *tr, badm_writer *w);
BADM_API badm_result badm_checkpoint_load_from(badm_trainer *tr, badm_reader *r);

/* Writes `static const float <name>_weights[<n>]` and its count as C source, for badm_model_map. name: a C identifier. */
BADM_API badm_result badm_save_c(badm_model *m, const char *name, const char *path);
BADM_API badm_result badm_save_c_to(badm_model *m, const char *name, badm_writer *w);

/* An array from a file: owned by the caller, freed with badm_array_free. shape[0] is 1 for a scalar. */
typedef enum badm_type { BADM_F32, BADM_U8, BADM_I8, BADM_I16, BADM_I32 } badm_type;
typedef struct badm_array {
    void *data;
    badm_type type;
    uint32_t shape[BADM_MAX_RANK];
    uint8_t rank;
    badm_memory *memory;
} badm_array;
BADM_API void badm_array_free(badm_array *a);

/* .npy versions 1 to 3: f4 f8 (read as f4) u1 i1 i2 i4 i8 (read as i4, must fit), either byte order, C order. err may be NULL. */
BADM_API badm_result badm_npy_load(badm_array *out, const char *path, badm_memory *mem, badm_error *err);
BADM_API badm_result badm_npy_load_from(badm_array *out, badm_reader *r, badm_memory *mem, badm_error *err);
BADM_API badm_result badm_npy_save(const float *data, unsigned rank, const badm_dim *shape, const char *path, badm_error *err);
BADM_API badm_result badm_npy_save_to(const float *data, unsigned rank, const badm_dim *shape, badm_writer *w, badm_error *err);

/* IDX (MNIST's format): types 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64 (read as f32). A gzipped file is named as such. */
BADM_API badm_result badm_idx_load(badm_array *out, const char *path, badm_memory *mem, badm_error *err);
BADM_API badm_result badm_idx_load_from(badm_array *out, badm_reader *r, badm_memory *mem, badm_error *err);

/* Numbers separated by commas, semicolons, tabs or blanks, one row a line, all rows equally long; a first line that is no number
   is a heading and skipped. [rows,cols] f32. */
BADM_API badm_result badm_csv_load(badm_array *out, const char *path, badm_memory *mem, badm_error *err);
BADM_API badm_result badm_csv_load_from(badm_array *out, badm_reader *r, badm_memory *mem, badm_error *err);

/* LIBSVM text "label index:value ..." into dense rows x [rows,features] and labels y [rows], both f32. Indices 1..features;
   features 0: the largest seen. A later value of the same index replaces the earlier. */
BADM_API badm_result badm_libsvm_load(badm_array *x, badm_array *y, uint32_t features, const char *path, badm_memory *mem,
                                      badm_error *err);
BADM_API badm_result badm_libsvm_load_from(badm_array *x, badm_array *y, uint32_t features, badm_reader *r, badm_memory *mem,
                                           badm_error *err);
/* The same into compressed rows, to be freed with badm_csr_free: what the file names is stored, in ascending order, zeros too; a
   row may be empty. */
BADM_API badm_result badm_libsvm_load_csr(badm_csr **x, badm_array *y, uint32_t features, const char *path, badm_memory *mem,
                                          badm_error *err);
BADM_API badm_result badm_libsvm_load_csr_from(badm_csr **x, badm_array *y, uint32_t features, badm_reader *r, badm_memory *mem,
                                               badm_error *err);

#ifdef __cplusplus
}
#endif
#endif /* BADM_H */

/* =====================================================================================================================
   Stop here if you only want to use the library. Below is the implementation.
   ===================================================================================================================== */

#if defined(__INTELLISENSE__) || defined(__JETBRAINS_IDE__) || defined(Q_CREATOR_RUN) || defined(__CDT_PARSER__)
#define BADM_IMPLEMENTATION     /* editors should see it */
#endif
#if defined(BADM_IMPLEMENTATION) && !defined(BADM_IMPLEMENTED)
#define BADM_IMPLEMENTED

/* =====================================================================================================================
   >>platform   The only section that knows compilers, operating systems and processors.

   What the sections below may rely on: products and sums are never fused behind our back; badm_i_alloc() is aligned and may
   fail; badm_i_parallel() (>>workers) runs jobs on threads where there are any; the floating-point state is the default one.
   ===================================================================================================================== */

#if !defined(__STDC_HOSTED__) || __STDC_HOSTED__
#include <string.h>
#else
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
#ifdef __cplusplus
}
#endif
#endif

#if !defined(BADM_MALLOC) != !defined(BADM_FREE)
#error "badm.h: define both BADM_MALLOC and BADM_FREE, or neither"
#endif
#ifndef BADM_NO_STDLIB
#include <stdlib.h>
#endif
#ifndef BADM_NO_STDIO
#include <stdio.h>
#endif
#if !defined(BADM_MALLOC) && !defined(BADM_NO_STDLIB)
#define BADM_I_MALLOC(n) malloc(n)
#define BADM_I_FREE(p) free(p)
#elif defined(BADM_MALLOC)
#define BADM_I_MALLOC(n) BADM_MALLOC(n)
#define BADM_I_FREE(p) BADM_FREE(p)
#endif

#if defined(BADM_ASSERT)
#define BADM_I_ASSERT(x) BADM_ASSERT(x)
#elif defined(BADM_NO_STDLIB) || defined(NDEBUG)
#define BADM_I_ASSERT(x) ((void)0)
#else
#include <assert.h>
#define BADM_I_ASSERT(x) assert(x)
#endif

/* Where it is 0, compilers leave out all that a condition makes depend on it. What only such code sets are members of `full`:
   elsewhere they are 0, and with BADM_SMALL share the same place, which stays 0. */
#ifdef BADM_SMALL
#define BADM_I_FULL 0
#define BADM_I_MEMBERS union
#else
#define BADM_I_FULL 1
#define BADM_I_MEMBERS struct
#endif

#if defined(_WIN32) && !defined(BADM_PTHREADS)
#define BADM_I_WINDOWS_THREADS
#endif
#if defined(BADM_NO_THREADS) || defined(BADM_SMALL) || defined(__AVR__) || defined(__wasi__) || (defined(__STDC_HOSTED__) && !__STDC_HOSTED__)
#define BADM_I_SERIAL
#elif defined(BADM_I_WINDOWS_THREADS)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#define BADM_I_UNDEF_LEAN
#endif
#include <windows.h>
#ifdef BADM_I_UNDEF_LEAN
#undef WIN32_LEAN_AND_MEAN
#undef BADM_I_UNDEF_LEAN
#endif
#elif defined(__unix__) || defined(__APPLE__) || defined(BADM_PTHREADS)
#include <pthread.h>
#include <unistd.h>
#else
#define BADM_I_SERIAL
#endif

#ifndef BADM_NO_STDIO
#include <stdio.h>
#include <errno.h>
#if defined(__unix__) || (defined(__APPLE__) && defined(__MACH__))
#define BADM_I_POSIX_FILES
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#elif defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#include <io.h>
#endif
#endif

#if defined(__GNUC__) && defined(__x86_64__)
#define BADM_I_X86
#include <cpuid.h>
#endif

#ifdef BADM_USE_CBLAS
#ifdef BADM_REPRODUCIBLE
#error "badm.h: BADM_USE_CBLAS gives up what BADM_REPRODUCIBLE asks for: define one of the two"
#endif
#ifndef BADM_CBLAS_HEADER
#define BADM_CBLAS_HEADER <cblas.h>
#endif
#include BADM_CBLAS_HEADER
#endif

/* The method in which float is computed: 0 as float; 1 and 2 in more digits (the x87, s390x as gcc has it in standard C). */
#include <float.h>
#if defined(BADM_REPRODUCIBLE) && ((defined(FLT_EVAL_METHOD) && (FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2 || FLT_EVAL_METHOD < 0)) \
    || (defined(__TINYC__) && defined(__i386__)))
#error "badm.h: BADM_REPRODUCIBLE: float is computed with more digits here. gcc, 32-bit x86: -msse2 -mfpmath=sse; s390x: -fexcess-precision=fast"
#endif

#ifdef __FAST_MATH__
#if defined(__GNUC__)
#pragma message("badm.h: -ffast-math gives up the bit contract and the detection of infinities")
#endif
#endif

/* Fusing a*b+c changes bits, and compilers do it unasked. gcc honours its own pragma, clang the standard one unless
   -ffp-contract=fast; there the instruction itself is taken away. Kernels ask for fused operations by name. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#if defined(BADM_I_X86) && defined(__FMA__)
#pragma clang attribute push(__attribute__((target("no-fma,no-avx512f"))), apply_to = function)
#define BADM_I_CLANG_ATTRIBUTE
#endif
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifdef BADM_NO_TEXT
#define BADM_I_TEXT(s) ""
#else
#define BADM_I_TEXT(s) s
#endif

#if UINTPTR_MAX > 0xFFFFFFFFu
#define BADM_I_ALIGN 64u        /* a cache line, and the widest vector */
#elif UINTPTR_MAX > 0xFFFFu
#define BADM_I_ALIGN 8u
#else
#define BADM_I_ALIGN 1u         /* 8-bit machines align nothing */
#endif
#if UINTPTR_MAX > 0xFFFFu
#define BADM_I_PLACE 8u         /* of a tensor and of an operation's arguments */
#else
#define BADM_I_PLACE 1u
#endif
#define BADM_I_PAD ((BADM_I_ALIGN + 3u) / 4u)   /* floats a parameter's place is a multiple of */
#define BADM_I_NONE ((size_t)-1)

BADM_API long badm_version(void) { return BADM_VERSION; }

/* Sections that run once or seldom are compiled for less compile time where the user asks for speed. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#define BADM_I_SELDOM _Pragma("GCC push_options") _Pragma("GCC optimize(\"O1\", \"fp-contract=off\")")
#define BADM_I_OFTEN _Pragma("GCC pop_options")
#else
#define BADM_I_SELDOM
#define BADM_I_OFTEN
#endif

/* What seldom happens stands apart: the usual way stays short, and is what branches expect. */
#ifdef __GNUC__
#define BADM_I_ASIDE __attribute__((noinline, cold))
#define BADM_I_APART __attribute__((noinline))          /* not so seldom */
#else
#define BADM_I_ASIDE
#define BADM_I_APART
#endif

/* ---- instruction sets ----

   A loop is written once, in plain C, as an inline function NAME_body. BADM_I_LOOP compiles it with vectors whatever the user's
   flags are: on x86-64 for AVX2, beside the same loop without for the few processors that lack it. Neither fuses multiplications
   with additions, so both have the same bits.

   Every loop costs compile time, most of it for long formulas and for the elements left over at its end. So exp and its like are
   compiled once (BADM_I_MAP in >>math), for BADM_I_SOME elements at a time; an operation puts them together with short loops over
   runs of BADM_I_RUN elements on the stack, and functions that several operations share take loops as arguments. */

#ifndef BADM_MAX_SIMD
#define BADM_MAX_SIMD 3
#endif
#if defined(__GNUC__) && !defined(BADM_NO_SIMD) && !defined(BADM_SMALL) && BADM_MAX_SIMD > 0 \
    && (defined(BADM_I_X86) || defined(__aarch64__) || defined(__wasm_simd128__))
#define BADM_I_VECTORS
#endif

#ifdef BADM_I_VECTORS
#define BADM_I_INLINE static inline __attribute__((always_inline))
#define BADM_I_SOME 8u
#define BADM_I_MOST 16u
#ifdef __clang__
#define BADM_I_BASE
#define BADM_I_FAST
#define BADM_I_O3
#define BADM_I_SIMPLE
#define BADM_I_AVX2 __attribute__((target("avx2,no-fma,no-avx512f")))
#else
#define BADM_I_BASE __attribute__((optimize("O1", "fp-contract=off")))
#define BADM_I_FAST __attribute__((optimize("O2", "tree-loop-vectorize", "tree-slp-vectorize", "fp-contract=off", "no-trapping-math", \
                                            "no-tree-loop-distribute-patterns")))
#define BADM_I_SIMPLE __attribute__((optimize("O2", "fp-contract=fast", "no-tree-vectorize", "no-tree-loop-distribute-patterns")))
#define BADM_I_O3 __attribute__((optimize("O3", "fp-contract=fast", "no-tree-loop-distribute-patterns")))
#define BADM_I_AVX2 __attribute__((target("avx2")))
#endif
/* for (i = 0; i < n; i++), where no element depends on another one: arrays are the same or apart. */
#ifdef __clang__
#define BADM_I_EACH(i, n) for (i = 0; i < (n); i++)
#define BADM_I_LANE(i, n) _Pragma("clang loop unroll(disable)") for (i = 0; i < (n); i++)   /* a vector, rather than n times */
#else
#define BADM_I_EACH(i, n) _Pragma("GCC ivdep") for (i = 0; i < (n); i++)
#define BADM_I_LANE BADM_I_EACH
#endif
/* x, which has just been read and whose place is then overwritten: clang 14 -O3 for WebAssembly would read a vector's first lane again. */
#if defined(__clang__) && defined(__wasm__)
#define BADM_I_ONCE(x) __asm__("" : "+r"(x))
#else
#define BADM_I_ONCE(x) ((void)0)
#endif
/* Inlined into loops, which cannot be vectorised over a branch: nothing is cut short. */
#define BADM_I_SHORTCUT(condition, value) ((void)0)
#else
#if defined(BADM_SMALL) && defined(__GNUC__)
#define BADM_I_INLINE static __attribute__((unused))    /* where it is used twice, a call is shorter */
#else
#define BADM_I_INLINE static inline
#endif
#define BADM_I_SOME 1u
#define BADM_I_MOST 1u
#define BADM_I_FAST
#define BADM_I_EACH(i, n) for (i = 0; i < (n); i++)
#define BADM_I_LANE BADM_I_EACH
#define BADM_I_ONCE(x) ((void)0)
#define BADM_I_SHORTCUT(condition, value) do { if (condition) return (value); } while (0)
#endif

#if defined(BADM_I_VECTORS) && defined(BADM_I_X86)
#define BADM_I_LOOP(NAME, ARGUMENTS, ...)                                                       \
    BADM_I_BASE static void NAME##_base(__VA_ARGS__) { NAME##_body ARGUMENTS; }                 \
    BADM_I_AVX2 BADM_I_FAST static void NAME##_avx2(__VA_ARGS__) { NAME##_body ARGUMENTS; }     \
    static void NAME(int level, __VA_ARGS__) { if (level) NAME##_avx2 ARGUMENTS; else NAME##_base ARGUMENTS; }
#else
#define BADM_I_LOOP(NAME, ARGUMENTS, ...)                                                       \
    BADM_I_FAST static void NAME(int level, __VA_ARGS__) { (void)level; NAME##_body ARGUMENTS; }
#endif

/* The same with a version for AVX-512, of NAME_wide, for few and long loops. (clang could not leave its products unfused.) */
#if defined(BADM_I_VECTORS) && defined(BADM_I_X86) && !defined(__clang__)
#define BADM_I_LONG_LOOP(NAME, ARGUMENTS, ...)                                                  \
    BADM_I_BASE static void NAME##_base(__VA_ARGS__) { NAME##_body ARGUMENTS; }                 \
    BADM_I_AVX2 BADM_I_FAST static void NAME##_avx2(__VA_ARGS__) { NAME##_body ARGUMENTS; }     \
    __attribute__((target("avx512f,prefer-vector-width=512"))) BADM_I_FAST                      \
    static void NAME##_avx512(__VA_ARGS__) { NAME##_wide ARGUMENTS; }                           \
    static void NAME(int level, __VA_ARGS__)                                                    \
    {                                                                                           \
        if (level == 2) NAME##_avx512 ARGUMENTS;                                                \
        else if (level) NAME##_avx2 ARGUMENTS;                                                  \
        else NAME##_base ARGUMENTS;                                                             \
    }
#else
#define BADM_I_LONG_LOOP BADM_I_LOOP
#endif

/* 0 the baseline, 1 AVX2 with FMA, 2 AVX-512F too; both the processor and the operating system must agree. */
static int badm_i_simd_level(void)
{
    int level = 0;
#if defined(BADM_I_VECTORS) && defined(BADM_I_X86)
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 12)) || !(c & (1u << 27)) || !(c & (1u << 28))) return 0;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6u) != 6u || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 5))) return 0;
    level = (b & (1u << 16)) && (low & 0xE0u) == 0xE0u ? 2 : 1;
#endif
    return level < BADM_MAX_SIMD - 1 ? level : BADM_MAX_SIMD - 1;
}

/* ---- sizes that cannot overflow unseen: BADM_I_NONE stands for "too large" and survives further arithmetic ---- */

BADM_I_ASIDE static size_t badm_i_times_slowly(size_t a, size_t b)
{
    if (a == 0 || b == 0) return 0;
    return a == BADM_I_NONE || b == BADM_I_NONE || a > (BADM_I_NONE - 1) / b ? BADM_I_NONE : a * b;
}

BADM_I_INLINE size_t badm_i_times(size_t a, size_t b)
{
    if (((a | b) >> (sizeof(size_t) * 4)) == 0) return a * b;           /* both below the square root: no division */
    return badm_i_times_slowly(a, b);
}

/* Whether n is more than 32 bits hold; on most small machines it never is. */
static int badm_i_over_32_bits(size_t n) { return (n >> 15 >> 15 >> 2) != 0; }

static size_t badm_i_plus(size_t a, size_t b)
{
    return a == BADM_I_NONE || b == BADM_I_NONE || a >= BADM_I_NONE - b ? BADM_I_NONE : a + b;
}

/* to: a power of two. */
static size_t badm_i_round_up(size_t a, size_t to)
{
    a = badm_i_plus(a, to - 1);
    return a == BADM_I_NONE ? a : a & ~(to - 1);
}

/* ---- memory: every piece is aligned and remembers where it came from in the words before it ---- */

typedef struct badm_i_piece { unsigned char *raw; size_t freed; } badm_i_piece;       /* block: raw is where `high` was */

#define BADM_I_HEAD ((sizeof(badm_i_piece) + BADM_I_ALIGN - 1) / BADM_I_ALIGN * BADM_I_ALIGN)

static badm_i_piece *badm_i_piece_of(void *p) { return (badm_i_piece *)(void *)((unsigned char *)p - BADM_I_HEAD); }

static void *badm_i_block_alloc(badm_memory *mem, size_t bytes)
{
    uintptr_t base = (uintptr_t)mem->block, place;
    badm_i_piece *piece;
    if (bytes > mem->high - mem->low || mem->high - mem->low - bytes < BADM_I_HEAD) return NULL;
    place = (base + mem->high - bytes) / BADM_I_ALIGN * BADM_I_ALIGN;
    if (place < base + mem->low + BADM_I_HEAD) return NULL;
    piece = badm_i_piece_of(mem->block + (place - base));
    piece->raw = mem->block + mem->high;
    piece->freed = 0;
    mem->high = (size_t)(place - base) - BADM_I_HEAD;
    return mem->block + (place - base);
}

static void badm_i_block_free(badm_memory *mem, void *p)
{
    badm_i_piece_of(p)->freed = 1;
    while (mem->high < mem->block_bytes) {                  /* the youngest piece begins at `high` */
        badm_i_piece *youngest = (badm_i_piece *)(void *)(mem->block + mem->high);
        if (!youngest->freed) break;
        mem->high = (size_t)(youngest->raw - mem->block);
    }
}

/* BADM_SMALL gives out memory of blocks alone. */
static int badm_i_in_block(const badm_memory *mem) { return !BADM_I_FULL || (mem && mem->block); }

/* NULL when there is no memory. Not cleared. mem NULL: BADM_MALLOC. */
static void *badm_i_alloc(badm_memory *mem, size_t bytes)
{
    unsigned char *raw, *p;
    size_t whole = badm_i_plus(bytes, BADM_I_HEAD + BADM_I_ALIGN);
    if (whole == BADM_I_NONE || (!BADM_I_FULL && !(mem && mem->block))) return NULL;
    if (badm_i_in_block(mem)) return badm_i_block_alloc(mem, bytes);
    if (mem) raw = mem->alloc ? (unsigned char *)mem->alloc(whole, mem->user) : NULL;      /* NULL: a block that is none */
    else {
#ifdef BADM_I_MALLOC
        raw = (unsigned char *)BADM_I_MALLOC(whole);
#else
        raw = NULL;
#endif
    }
    if (!raw) return NULL;
    p = raw + BADM_I_HEAD;
    p += (BADM_I_ALIGN - (uintptr_t)p % BADM_I_ALIGN) % BADM_I_ALIGN;
    badm_i_piece_of(p)->raw = raw;
    return p;
}

static void badm_i_free(badm_memory *mem, void *p)
{
    if (!p) return;
    if (badm_i_in_block(mem)) badm_i_block_free(mem, p);
    else if (mem) mem->free(badm_i_piece_of(p)->raw, mem->user);
    else {
#ifdef BADM_I_FREE
        BADM_I_FREE(badm_i_piece_of(p)->raw);
#endif
    }
}

/* Gives out pieces of a block; with base NULL only counts. */
typedef struct badm_i_carver { unsigned char *base; size_t used; } badm_i_carver;

static void *badm_i_carve(badm_i_carver *c, size_t count, size_t each)
{
    size_t from = badm_i_round_up(c->used, BADM_I_ALIGN);
    c->used = badm_i_plus(from, badm_i_times(count, each));
    return c->base ? c->base + from : NULL;
}

/* What badm_i_alloc takes for `bytes`, at most. */
static size_t badm_i_alloc_cost(size_t bytes) { return badm_i_plus(bytes, BADM_I_HEAD + BADM_I_ALIGN); }

BADM_API void badm_memory_block(badm_memory *mem, void *block, size_t bytes)
{
    size_t skip = (BADM_I_ALIGN - (uintptr_t)block % BADM_I_ALIGN) % BADM_I_ALIGN;
    memset(mem, 0, sizeof *mem);
    if (!block || bytes < skip) skip = bytes = 0;
    mem->block = (unsigned char *)block + skip;
    mem->block_bytes = mem->high = (bytes - skip) / BADM_I_ALIGN * BADM_I_ALIGN;
}

BADM_API size_t badm_memory_left(const badm_memory *mem) { return mem->block ? mem->high - mem->low : 0; }

/* ---- the floating-point state: a host may have set flush-to-zero or another rounding; workers compute in the default ---- */

#if defined(__GNUC__) && (defined(__x86_64__) || (defined(__i386__) && defined(__SSE__)))
typedef uint32_t badm_i_fpu;
static badm_i_fpu badm_i_fpu_get(void) { uint32_t s; __asm__ __volatile__("stmxcsr %0" : "=m"(s)); return s; }
static void badm_i_fpu_set(badm_i_fpu s) { __asm__ __volatile__("ldmxcsr %0" : : "m"(s)); }
#define BADM_I_FPU_DEFAULT 0x1F80u
#elif defined(__GNUC__) && defined(__aarch64__)
typedef uint64_t badm_i_fpu;
static badm_i_fpu badm_i_fpu_get(void) { uint64_t s; __asm__ __volatile__("mrs %0, fpcr" : "=r"(s)); return s; }
static void badm_i_fpu_set(badm_i_fpu s) { __asm__ __volatile__("msr fpcr, %0" : : "r"(s)); }
#define BADM_I_FPU_DEFAULT 0u
#else
typedef uint32_t badm_i_fpu;
static badm_i_fpu badm_i_fpu_get(void) { return 0; }
static void badm_i_fpu_set(badm_i_fpu s) { (void)s; }
#define BADM_I_FPU_DEFAULT 0u
#endif

/* Returns the state to give to badm_i_fpu_set at the end. */
static badm_i_fpu badm_i_fpu_enter(void)
{
    badm_i_fpu before = badm_i_fpu_get();
    badm_i_fpu_set(BADM_I_FPU_DEFAULT);
    return before;
}

/* ---- threads: the least that a pool needs ---- */

#ifndef BADM_I_SERIAL
#ifdef BADM_I_WINDOWS_THREADS
typedef SRWLOCK badm_i_mutex;
typedef CONDITION_VARIABLE badm_i_condition;
typedef HANDLE badm_i_thread;
static int badm_i_mutex_init(badm_i_mutex *m) { InitializeSRWLock(m); return 0; }
static void badm_i_mutex_destroy(badm_i_mutex *m) { (void)m; }
static int badm_i_try_lock(badm_i_mutex *m) { return TryAcquireSRWLockExclusive(m) != 0; }
static void badm_i_lock_asleep(badm_i_mutex *m) { AcquireSRWLockExclusive(m); }
static void badm_i_unlock(badm_i_mutex *m) { ReleaseSRWLockExclusive(m); }
static int badm_i_condition_init(badm_i_condition *c) { InitializeConditionVariable(c); return 0; }
static void badm_i_condition_destroy(badm_i_condition *c) { (void)c; }
static void badm_i_wait(badm_i_condition *c, badm_i_mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static void badm_i_wake_all(badm_i_condition *c) { WakeAllConditionVariable(c); }
typedef DWORD badm_i_thread_result;
#define BADM_I_THREAD_CALL WINAPI
static int badm_i_thread_start(badm_i_thread *t, badm_i_thread_result (WINAPI *run)(void *), void *arg)
{
    *t = CreateThread(NULL, 0, run, arg, 0, NULL);
    return *t == NULL;
}
static void badm_i_thread_join(badm_i_thread t) { WaitForSingleObject(t, INFINITE); CloseHandle(t); }
#else
typedef pthread_mutex_t badm_i_mutex;
typedef pthread_cond_t badm_i_condition;
typedef pthread_t badm_i_thread;
static int badm_i_mutex_init(badm_i_mutex *m) { return pthread_mutex_init(m, NULL); }
static void badm_i_mutex_destroy(badm_i_mutex *m) { pthread_mutex_destroy(m); }
static int badm_i_try_lock(badm_i_mutex *m) { return pthread_mutex_trylock(m) == 0; }
static void badm_i_lock_asleep(badm_i_mutex *m) { pthread_mutex_lock(m); }
static void badm_i_unlock(badm_i_mutex *m) { pthread_mutex_unlock(m); }
static int badm_i_condition_init(badm_i_condition *c) { return pthread_cond_init(c, NULL); }
static void badm_i_condition_destroy(badm_i_condition *c) { pthread_cond_destroy(c); }
static void badm_i_wait(badm_i_condition *c, badm_i_mutex *m) { pthread_cond_wait(c, m); }
static void badm_i_wake_all(badm_i_condition *c) { pthread_cond_broadcast(c); }
typedef void *badm_i_thread_result;
#define BADM_I_THREAD_CALL
static int badm_i_thread_start(badm_i_thread *t, badm_i_thread_result (*run)(void *), void *arg)
{
    return pthread_create(t, NULL, run, arg);
}
static void badm_i_thread_join(badm_i_thread t) { pthread_join(t, NULL); }
#endif

/* What another thread writes, read without the lock: only to know whether looking again under the lock is worth while. */
#if defined(__GNUC__)
#define BADM_I_GLANCE(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define BADM_I_SET(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELEASE)
#define BADM_I_SPINS 2000           /* some tens of microseconds: what waking a sleeping thread costs */
#else
#define BADM_I_GLANCE(x) (x)
#define BADM_I_SET(x, value) ((x) = (value))
#define BADM_I_SPINS 0
#endif

static void badm_i_pause(void)
{
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    __asm__ __volatile__("pause");
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__ __volatile__("isb");
#endif
}

/* What the lock protects takes nanoseconds: a thread that finds it taken need not sleep at once. */
static void badm_i_lock(badm_i_mutex *m)
{
    int i;
    for (i = 0; i < 50; i++) {
        if (badm_i_try_lock(m)) return;
        badm_i_pause();
    }
    badm_i_lock_asleep(m);
}

/* Workers call BLAS side by side; threads of OpenBLAS's own would stand in their way. Other libraries lack the function. */
#if defined(BADM_USE_CBLAS) && defined(__GNUC__) && defined(__ELF__)
void openblas_set_num_threads(int threads) __attribute__((weak));
#endif
static void badm_i_blas_on_one_thread(void)
{
#if defined(BADM_USE_CBLAS) && defined(__GNUC__) && defined(__ELF__)
    if (openblas_set_num_threads) openblas_set_num_threads(1);
#elif defined(BADM_USE_CBLAS) && defined(OPENBLAS_VERSION)
    openblas_set_num_threads(1);
#endif
}
#endif

BADM_API uint32_t badm_cpu_count(void)
{
#if defined(BADM_I_SERIAL)
    return 1;
#elif defined(BADM_I_WINDOWS_THREADS)
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwNumberOfProcessors > 0 ? (uint32_t)info.dwNumberOfProcessors : 1;
#elif defined(_SC_NPROCESSORS_ONLN)
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
#else
    return 1;
#endif
}

/* =====================================================================================================================
   >>random     Counter-based: a number is a function of (seed, stream, counter), so nothing depends on the order of drawing.
   ===================================================================================================================== */

static void badm_i_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xD2511F53u * c0, q = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(q >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)q;
        c3 = (uint32_t)p;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0; out[1] = c1; out[2] = c2; out[3] = c3;
}

BADM_API void badm_rng_init(badm_rng *r, uint64_t seed, uint64_t stream)
{
    memset(r, 0, sizeof *r);
    r->seed = seed;
    r->stream = stream;
}

BADM_API uint32_t badm_rng_u32(badm_rng *r)
{
    if (r->left == 0) {
        uint32_t counter[4], key[2];
        counter[0] = r->counter++;
        counter[1] = 0;
        counter[2] = (uint32_t)r->stream;
        counter[3] = (uint32_t)(r->stream >> 32);
        key[0] = (uint32_t)r->seed;
        key[1] = (uint32_t)(r->seed >> 32);
        badm_i_philox(counter, key, r->block);
        r->left = 4;
    }
    return r->block[--r->left];
}

BADM_API uint32_t badm_rng_below(badm_rng *r, uint32_t n)
{
    uint32_t x, unfair;
    if (n == 0) return 0;
    unfair = (0u - n) % n;                      /* 2^32 mod n numbers would be drawn once too often */
    do x = badm_rng_u32(r); while (x < unfair);
    return x % n;
}

BADM_API float badm_rng_uniform(badm_rng *r) { return (float)(badm_rng_u32(r) >> 8) * (1.0f / 16777216.0f); }

BADM_API float badm_rng_normal(badm_rng *r)
{
    float u = (float)((badm_rng_u32(r) >> 8) + 1u) * (1.0f / 16777216.0f), angle = 6.28318531f * badm_rng_uniform(r);
    return badm_sqrtf(-2.0f * badm_logf(u)) * badm_cosf(angle);
}

static uint32_t badm_i_mix(uint32_t x)
{
    x ^= x >> 16; x *= 0x7FEB352Du;
    x ^= x >> 15; x *= 0x846CA68Bu;
    return x ^ (x >> 16);
}

BADM_API uint32_t badm_shuffle(uint64_t seed, uint32_t epoch, uint32_t n, uint32_t i)
{
    uint32_t half = 1, mask, key[4], counter[4], k[2], round;
    if (n < 2 || i >= n) return 0;
    while (half < 16 && ((uint64_t)1 << (2 * half)) < n) half++;        /* two halves of `half` bits cover n */
    mask = ((uint32_t)1 << half) - 1;
    counter[0] = epoch; counter[1] = n; counter[2] = 0x73687566u; counter[3] = 0;
    k[0] = (uint32_t)seed; k[1] = (uint32_t)(seed >> 32);
    badm_i_philox(counter, k, key);
    do {
        uint32_t left = i >> half, right = i & mask;
        for (round = 0; round < 8; round++) {
            uint32_t next = left ^ (badm_i_mix(right + key[round & 3] + round * 0x9E3779B9u) & mask);
            left = right;
            right = next;
        }
        i = (left << half) | right;
    } while (i >= n);
    return i;
}

/* =====================================================================================================================
   >>math       Polynomials over reduced arguments, in plain multiplications and additions: no library, the same bits anywhere.
   ===================================================================================================================== */

BADM_I_INLINE uint32_t badm_i_bits(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
BADM_I_INLINE float badm_i_float(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
BADM_I_INLINE float badm_i_abs(float x) { return badm_i_float(badm_i_bits(x) & 0x7FFFFFFFu); }
BADM_I_INLINE int badm_i_is_finite(float x) { return (badm_i_bits(x) & 0x7F800000u) != 0x7F800000u; }
static int badm_i_is_nan(float x) { return (badm_i_bits(x) & 0x7FFFFFFFu) > 0x7F800000u; }
#define BADM_I_INFINITY badm_i_float(0x7F800000u)
#define BADM_I_NAN badm_i_float(0x7FC00000u)

/* condition ? a : b without a branch. */
BADM_I_INLINE float badm_i_choose(int condition, float a, float b)
{
#ifdef BADM_I_VECTORS
    uint32_t mask = 0u - (uint32_t)condition;
    return badm_i_float((badm_i_bits(a) & mask) | (badm_i_bits(b) & ~mask));
#else
    return condition ? a : b;
#endif
}

/* x, or 0 for what is not begun yet and may be anything: one loop for both. */
#define BADM_I_KEPT 0xFFFFFFFFu
BADM_I_INLINE float badm_i_masked(float x, uint32_t mask) { return badm_i_float(badm_i_bits(x) & mask); }

BADM_I_INLINE float badm_i_with_sign_of(float magnitude, float sign)
{
    return badm_i_float((badm_i_bits(magnitude) & 0x7FFFFFFFu) | (badm_i_bits(sign) & 0x80000000u));
}

BADM_I_INLINE float badm_i_exp(float x)
{
    float z, n, r, y;
    int32_t i, half;
    BADM_I_SHORTCUT(x != x, x);
    z = badm_i_choose(x > 88.7228394f, 88.7228394f, x);
    z = badm_i_choose(z > -103.972084f, z, -103.972084f);
    n = z * 1.44269504f;
    i = (int32_t)(n + badm_i_with_sign_of(0.5f, n));
    n = (float)i;
    r = z - n * 0.693359375f;                   /* exact: 9 bits times at most 8 */
    r = r - n * -2.12194440e-4f;
    y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    half = i / 2;                               /* 2^i in two factors: i reaches 128 and -150 */
    y = y * badm_i_float((uint32_t)(half + 127) << 23) * badm_i_float((uint32_t)(i - half + 127) << 23);
    y = badm_i_choose(x > 88.7228394f, BADM_I_INFINITY, y);
    y = badm_i_choose(x < -103.972084f, 0.0f, y);
    return badm_i_choose(x != x, x, y);
}

BADM_API float badm_expf(float x) { return badm_i_exp(x); }

BADM_I_INLINE float badm_i_log(float x)
{
    uint32_t u = badm_i_bits(x), subnormal = u < 0x00800000u;
    float e, f, z, y;
    u = badm_i_bits(badm_i_choose((int)subnormal, x * 8388608.0f, x));
    e = badm_i_choose((int)subnormal, -23.0f, 0.0f);
    e += (float)((int32_t)(u >> 23) - 126);
    f = badm_i_float((u & 0x007FFFFFu) | 0x3F000000u);                          /* 0.5..1 */
    e = badm_i_choose(f < 0.707106781f, e - 1.0f, e);
    f = badm_i_choose(f < 0.707106781f, f + f - 1.0f, f - 1.0f);
    z = f * f;
    y = 7.0376836292e-2f;
    y = y * f - 1.1514610310e-1f;
    y = y * f + 1.1676998740e-1f;
    y = y * f - 1.2420140846e-1f;
    y = y * f + 1.4249322787e-1f;
    y = y * f - 1.6668057665e-1f;
    y = y * f + 2.0000714765e-1f;
    y = y * f - 2.4999993993e-1f;
    y = y * f + 3.3333331174e-1f;
    y = y * f * z;
    y = y + e * -2.12194440e-4f;
    y = y - 0.5f * z;
    y = f + y + e * 0.693359375f;
    y = badm_i_choose(x < 0, BADM_I_NAN, y);
    y = badm_i_choose(x == 0, -BADM_I_INFINITY, y);
    return badm_i_choose((x != x) | (badm_i_bits(x) == 0x7F800000u), x, y);
}

BADM_API float badm_logf(float x) { return badm_i_log(x); }

/* log(1 + x), where u = 1 + x and y = log(u). */
BADM_I_INLINE float badm_i_log1p_of(float x, float u, float y)
{
    y = badm_i_choose((u > 0.0f) & badm_i_is_finite(x), y + (x - (u - 1.0f)) / u, y);      /* what rounding 1+x lost, to first order */
    return badm_i_choose(u == 1.0f, x, y);
}

BADM_API float badm_log1pf(float x) { float u = 1.0f + x; return badm_i_log1p_of(x, u, badm_i_log(u)); }

BADM_I_INLINE float badm_i_tanh(float x)
{
    float a = badm_i_abs(x), z = x * x, low, high;
    BADM_I_SHORTCUT(x != x || a < 2e-4f, x);
    low = -5.70498872745e-3f;
    low = low * z + 2.06390887954e-2f;
    low = low * z - 5.37397155531e-2f;
    low = low * z + 1.33314422036e-1f;
    low = low * z - 3.33332819422e-1f;
    low = low * z * x + x;
    BADM_I_SHORTCUT(a < 0.625f, low);
    high = 1.0f - 2.0f / (badm_i_exp(2.0f * a) + 1.0f);
    high = badm_i_with_sign_of(badm_i_choose(a > 10.0f, 1.0f, high), x);
    high = badm_i_choose(a < 0.625f, low, high);
    return badm_i_choose((x != x) | (a < 2e-4f), x, high);  /* x^3/3 is below half a unit in the last place */
}

BADM_API float badm_tanhf(float x) { return badm_i_tanh(x); }

/* sigmoid(x), e being exp(-|x|). */
BADM_I_INLINE float badm_i_sigmoid_of(float x, float e)
{
    float share = e / (1.0f + e);
    float low = badm_i_choose(e < 0.5f, e - e * share, share);          /* the former rounds less where e is small */
    return badm_i_choose(x >= 0, 1.0f / (1.0f + e), low);
}

BADM_I_INLINE float badm_i_sigmoid(float x) { return badm_i_sigmoid_of(x, badm_i_exp(-badm_i_abs(x))); }

BADM_API float badm_sigmoidf(float x) { return badm_i_sigmoid(x); }

BADM_I_INLINE float badm_i_erf(float x)
{
    float a = badm_i_abs(x), s = x * x, low, high;
    low = 8.53883915e-05f;
    low = low * s - 0.000818192745f;
    low = low * s + 0.00520443606f;
    low = low * s - 0.0268607528f;
    low = low * s + 0.112837197f;
    low = low * s - 0.376126353f;
    low = low * s + 0.128379167f;
    low = low * x + x;
    BADM_I_SHORTCUT(a < 0.9f, low);
    high = -1.24442699e-06f;
    high = high * a + 3.93659726e-05f;
    high = high * a - 0.000548352313f;
    high = high * a + 0.00456495084f;
    high = high * a - 0.0259466242f;
    high = high * a + 0.109361021f;
    high = high * a + 0.632487902f;
    high = high * a + 1.12989485f;
    high = high * a - 0.000246359068f;
    high = 1.0f - badm_i_exp(-high);
    high = badm_i_with_sign_of(badm_i_choose(a > 4.0f, 1.0f, high), x);
    high = badm_i_choose(a < 0.9f, low, high);
    return badm_i_choose(x != x, x, high);
}

BADM_API float badm_erff(float x) { return badm_i_erf(x); }

/* x/(pi/2) for a finite x >= 1/2 with the bits u: the nearest whole number modulo 4, and what is left of x. Of 2/pi only 96 bits
   matter: those before them add whole turns, those behind vanish (Payne and Hanek 1983). */
static float badm_i_quarter_turns(uint32_t u, uint32_t *quadrant)
{
    static const uint32_t two_over_pi[8] = {
        0, 0xA2F9836Eu, 0x4E441529u, 0xFC2757D1u, 0xF534DDC0u, 0xDB629599u, 0x3C439041u, 0xFE5163ABu };
    uint32_t m = (u & 0x007FFFFFu) | 0x00800000u, first = (u >> 23) - 120u, shift = first & 31u, part[3], negative, i, zeros = 0;
    uint64_t turn;                              /* x/(2 pi) modulo 1, times 2^64 */
    float r;
    for (i = 0; i < 3; i++) {
        const uint32_t *w = two_over_pi + (first >> 5) + i;
        part[i] = shift ? w[0] << shift | w[1] >> (32u - shift) : w[0];
    }
    turn = ((uint64_t)(m * part[0]) << 32) + (uint64_t)m * part[1] + ((uint64_t)m * part[2] >> 32);
    *quadrant = (uint32_t)((turn + ((uint64_t)1 << 61)) >> 62);
    turn -= (uint64_t)*quadrant << 62;
    negative = (uint32_t)(turn >> 63);
    if (negative) turn = 0u - turn;
    if (turn == 0) return 0.0f;
    while (!(turn >> 63)) { turn <<= 1; zeros++; }
    r = (float)((turn >> 32) * 0xC90FDAA2u);    /* times pi 2^30 */
    r *= badm_i_float((127u - 61u - zeros) << 23);
    return negative ? -r : r;
}

/* cos(x - quarters*pi/2): the sine for 1. */
static float badm_i_cos_less(float x, uint32_t quarters)
{
    float r = badm_i_abs(x), z;
    uint32_t q = 0;
    if (!badm_i_is_finite(x)) return BADM_I_NAN;
    if (r > 0.785398163f) r = badm_i_quarter_turns(badm_i_bits(r), &q);
    if (badm_i_bits(x) >> 31) { r = -r; q = 0u - q; }
    q -= quarters;
    z = r * r;
    if (q & 1) {
        r = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
        return (q & 2) ? r : -r;
    }
    r = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
    return (q & 2) ? -r : r;
}

BADM_API float badm_cosf(float x) { return badm_i_cos_less(x, 0); }

#if defined(BADM_I_X86)
BADM_API float badm_sqrtf(float x) { float y; __asm__("sqrtss %1, %0" : "=x"(y) : "x"(x)); return y; }
#elif defined(__GNUC__) && defined(__aarch64__)
BADM_API float badm_sqrtf(float x) { float y; __asm__("fsqrt %s0, %s1" : "=w"(y) : "w"(x)); return y; }
#elif defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP) && (__ARM_FP & 4) && defined(__VFP_FP__) && !defined(__SOFTFP__)
BADM_API float badm_sqrtf(float x) { float y; __asm__("vsqrt.f32 %0, %1" : "=t"(y) : "t"(x)); return y; }
#elif defined(__wasm__)
BADM_API float badm_sqrtf(float x) { return __builtin_sqrtf(x); }           /* one instruction, never a call */
#elif defined(__GNUC__) && defined(__riscv_flen)
BADM_API float badm_sqrtf(float x) { float y; __asm__("fsqrt.s %0, %1" : "=f"(y) : "f"(x)); return y; }
#else
/* Digit by digit on the significand: 24 result bits and one for rounding; the remainder breaks ties. */
BADM_API float badm_sqrtf(float x)
{
    uint32_t u = badm_i_bits(x), root = 0, bit;
    int32_t e;
    uint64_t m, r = 0;
    int i;
    if (badm_i_is_nan(x) || (u & 0x7FFFFFFFu) == 0 || u == 0x7F800000u) return x;
    if (u >> 31) return BADM_I_NAN;
    e = (int32_t)(u >> 23);
    m = u & 0x007FFFFFu;
    if (e == 0) { e = 1; while (!(m & 0x00800000u)) { m <<= 1; e--; } }
    else m |= 0x00800000u;
    e -= 127;
    if (e & 1) { m <<= 1; e--; }
    m <<= 25;                                   /* 2^48 <= m < 2^50: the root has 25 bits */
    for (i = 24; i >= 0; i--) {
        uint64_t next;
        bit = (uint32_t)1 << i;
        next = r + (((uint64_t)root << 1) + bit) * bit;
        if (next <= m) { r = next; root += bit; }
    }
    root = (root >> 1) + ((root & 1u) && (r != m || (root & 2u)) ? 1u : 0u);
    return badm_i_float((uint32_t)((e / 2 + 127) << 23) + (root - 0x00800000u));
}
#endif

BADM_I_INLINE void badm_i_sqrt_each_body(size_t n, const float *x, float *y)
{
    size_t i = 0;
#if defined(BADM_I_VECTORS) && !defined(__wasm__)
    typedef float four __attribute__((vector_size(16)));
    typedef float loose __attribute__((vector_size(16), aligned(4), may_alias));
    for (; i + 4 <= n; i += 4) {
        four v = *(const loose *)(x + i);
#ifdef BADM_I_X86
        __asm__("sqrtps %0, %0" : "+x"(v));
#else
        __asm__("fsqrt %0.4s, %0.4s" : "+w"(v));
#endif
        *(loose *)(y + i) = v;
    }
#endif
    for (; i < n; i++) y[i] = badm_sqrtf(x[i]);
}
BADM_I_LOOP(badm_i_sqrt_each, (n, x, y), size_t n, const float *x, float *y)

/* ---- these functions of arrays: y[i] = f(x[i]), y may be x ----

   The formulas are long. Each is compiled here once, for the lanes of a vector, filled in part where fewer elements are left;
   operations are put together from these loops and short ones. */

BADM_I_INLINE void badm_i_take(uint32_t lanes, uint32_t part, const float *x, float *lane)
{
    uint32_t i;
    if (part == lanes) BADM_I_LANE(i, lanes) lane[i] = x[i];
    else BADM_I_LANE(i, lanes) lane[i] = i < part ? x[i] : 0.0f;
}

BADM_I_INLINE void badm_i_give(uint32_t lanes, uint32_t part, const float *lane, float *y)
{
    uint32_t i;
    if (part == lanes) BADM_I_LANE(i, lanes) y[i] = lane[i];
    else BADM_I_LANE(i, lanes) if (i < part) y[i] = lane[i];
}

#define BADM_I_MAP(NAME)                                                                        \
    BADM_I_INLINE void badm_i_##NAME##_lanes(uint32_t lanes, size_t n, const float *x, float *y) \
    {                                                                                           \
        float lane[BADM_I_MOST];                                                                \
        uint32_t i, part = lanes;                                                               \
        for (; n > 0; n -= part, x += part, y += part) {                                        \
            if (n < lanes) part = (uint32_t)n;                                                  \
            badm_i_take(lanes, part, x, lane);                                                  \
            BADM_I_LANE(i, lanes) lane[i] = badm_i_##NAME(lane[i]);                             \
            badm_i_give(lanes, part, lane, y);                                                  \
        }                                                                                       \
    }                                                                                           \
    BADM_I_INLINE void badm_i_##NAME##_values_body(size_t n, const float *x, float *y)          \
    {                                                                                           \
        badm_i_##NAME##_lanes(BADM_I_SOME, n, x, y);                                            \
    }                                                                                           \
    BADM_I_INLINE void badm_i_##NAME##_values_wide(size_t n, const float *x, float *y) { badm_i_##NAME##_lanes(16, n, x, y); } \
    BADM_I_LONG_LOOP(badm_i_##NAME##_values, (n, x, y), size_t n, const float *x, float *y)

BADM_I_MAP(exp)
BADM_I_MAP(log)
BADM_I_MAP(tanh)
BADM_I_MAP(sigmoid)
BADM_I_MAP(erf)

/* b^n by squaring. */
static float badm_i_power(float b, uint64_t n)
{
    float y = 1.0f;
    for (; n; n >>= 1) { if (n & 1u) y *= b; b *= b; }
    return y;
}

/* 1 - b^n by 1 - xy = (1 - x) + x (1 - y): for b near 1 the difference itself would have lost its digits. */
static float badm_i_one_less_power(float b, uint64_t n)
{
    float y = 1.0f, less = 0.0f, rest = 1.0f - b;
    for (; n; n >>= 1) {
        if (n & 1u) { less += y * rest; y *= b; }
        rest += b * rest;
        b *= b;
    }
    return less;
}

/* =====================================================================================================================
   >>errors     An error is a small record; its sentence is written when somebody asks.
   ===================================================================================================================== */

BADM_I_SELDOM

/* Where text goes: buf[n], always closed by 0 when n > 0; `length` counts on past the end. */
typedef struct badm_i_text { char *buf; size_t n, length; } badm_i_text;

static badm_i_text badm_i_text_into(char *buf, size_t n)
{
    badm_i_text o;
    o.buf = buf;
    o.n = buf ? n : 0;
    o.length = 0;
    if (o.n) buf[0] = 0;
    return o;
}

static void badm_i_put_char(badm_i_text *o, char c)
{
    if (o->length + 1 < o->n) { o->buf[o->length] = c; o->buf[o->length + 1] = 0; }
    o->length++;
}

static void badm_i_put(badm_i_text *o, const char *s) { while (*s) badm_i_put_char(o, *s++); }

static void badm_i_put_number(badm_i_text *o, uint64_t v)
{
    char digits[20];
    int n = 0;
    do { digits[n++] = (char)('0' + (int)(v % 10u)); v /= 10u; } while (v);
    while (n) badm_i_put_char(o, digits[--n]);
}

static void badm_i_put_padded(badm_i_text *o, const char *s, size_t width)
{
    size_t n = 0;
    for (; s[n]; n++) badm_i_put_char(o, s[n]);
    for (; n < width; n++) badm_i_put_char(o, ' ');
}

static void badm_i_put_shape(badm_i_text *o, const badm_shape *s)
{
    unsigned i;
    badm_i_put_char(o, '[');
    for (i = 0; i < s->rank; i++) { if (i) badm_i_put_char(o, ','); badm_i_put_number(o, s->dim[i]); }
    badm_i_put_char(o, ']');
}

BADM_API const char *badm_result_text(badm_result r)
{
#ifdef BADM_NO_TEXT
    (void)r;
    return "";
#else
#define BADM_X(name, value, text) if (r == name) return text;
    BADM_RESULTS(BADM_X)
#undef BADM_X
    return "unknown result";
#endif
}

BADM_API size_t badm_error_text(const badm_error *e, char *buf, size_t n)
{
    badm_i_text o = badm_i_text_into(buf, n);
    const char *m;
    if (!e || e->code == BADM_OK) return 0;
    badm_i_put(&o, e->operation && *e->operation ? e->operation : badm_result_text(e->code));
    if (e->message && *e->message) {
        badm_i_put(&o, ": ");
        for (m = e->message; *m; m++) {
            if (*m != '%' || !m[1]) badm_i_put_char(&o, *m);
            else switch (*++m) {
                case 'a': badm_i_put_shape(&o, &e->a); break;
                case 'b': badm_i_put_shape(&o, &e->b); break;
                case 'n': badm_i_put(&o, e->name); break;
                case '0': badm_i_put_number(&o, e->number[0]); break;
                case '1': badm_i_put_number(&o, e->number[1]); break;
                default: badm_i_put_char(&o, *m);
            }
        }
    }
    return o.length;
}

#ifdef BADM_NO_TEXT
#define BADM_I_SENTENCE 1
#elif UINTPTR_MAX <= 0xFFFFu
#define BADM_I_SENTENCE 48
#else
#define BADM_I_SENTENCE 320
#endif

/* An error inside the library: without texts its code alone. badm_error is what users get of it.
   badm_i_error fills *e and returns code. */
#ifdef BADM_NO_TEXT
typedef struct badm_i_fault { badm_result code; } badm_i_fault;

BADM_I_INLINE badm_result badm_i_error(badm_i_fault *e, badm_result code, const char *operation, const char *message, const char *name,
                                       unsigned long n0, unsigned long n1)
{
    (void)operation; (void)message; (void)name; (void)n0; (void)n1;
    return e->code = code;
}
#else
typedef badm_error badm_i_fault;

BADM_I_ASIDE static badm_result badm_i_error(badm_i_fault *e, badm_result code, const char *operation, const char *message,
                                             const char *name, unsigned long n0, unsigned long n1)
{
    size_t i = 0;
    memset(e, 0, sizeof *e);
    e->code = code;
    e->operation = operation;
    e->message = message;
    e->number[0] = n0;
    e->number[1] = n1;
    if (name) for (; name[i] && i + 1 < BADM_ERROR_NAME; i++) e->name[i] = name[i];
    e->name[i] = 0;
    return code;
}
#endif

/* The shapes that the sentence calls %a and %b; NULL: none. */
static void badm_i_error_shapes(badm_i_fault *e, const badm_shape *a, const badm_shape *b)
{
#ifdef BADM_NO_TEXT
    (void)e; (void)a; (void)b;
#else
    if (a) e->a = *a;
    if (b) e->b = *b;
#endif
}

/* What a handle's error function returns; "" if there is none. */
static const char *badm_i_sentence(const badm_i_fault *e, char out[BADM_I_SENTENCE])
{
    out[0] = 0;
#ifdef BADM_NO_TEXT
    (void)e;
#else
    badm_error_text(e, out, BADM_I_SENTENCE);
#endif
    return out;
}

/* The last thing a public function does that has an error to give. out: may be NULL. */
static badm_result badm_i_error_out(const badm_i_fault *e, badm_error *out)
{
    if (!out) return e->code;
#ifdef BADM_NO_TEXT
    memset(out, 0, sizeof *out);
    out->code = e->code;
    out->operation = out->message = "";
#else
    *out = *e;
#endif
    return e->code;
}

BADM_I_OFTEN

/* =====================================================================================================================
   >>kernels    Sums in an order that depends on shapes alone, and matrix products.

   A product's element c[i][j] is one chain: it begins with zero, a bias or what c holds, and takes the terms a[i][p]*b[p][j] in the
   order of p, each by one fused multiply-add where the machine has it, else by a multiplication and an addition. Blocking, packing
   and vector width change which elements are computed together, never the chain; so all paths agree, tails included.
   ===================================================================================================================== */

/* Sixteen lanes within a block, lanes added as a tree, blocks added with their rounding errors carried along: accurate, and
   vectorisable. */
#define BADM_I_LANES 16
#define BADM_I_BLOCK 4096
/* Elements that pass through an array on the stack at a time: a multiple or a divisor of the lanes. */
#ifdef BADM_SMALL
#define BADM_I_RUN 4
#elif UINTPTR_MAX > 0xFFFFFFFFu
#define BADM_I_RUN 256
#else
#define BADM_I_RUN 32
#endif

typedef struct badm_i_sum { float value, lost; } badm_i_sum;

static void badm_i_sum_add(badm_i_sum *s, float x)
{
    float t = s->value + x;
    if (badm_i_abs(s->value) >= badm_i_abs(x)) s->lost += (s->value - t) + x;
    else s->lost += (x - t) + s->value;
    s->value = t;
}

static float badm_i_sum_value(const badm_i_sum *s)
{
    float v = s->value + s->lost;
    return badm_i_is_finite(s->value) ? v : s->value;
}

BADM_I_INLINE float badm_i_fold_lanes(float *lane)
{
    int i;
    for (i = 0; i < 8; i++) lane[i] += lane[i + 8];
    for (i = 0; i < 4; i++) lane[i] += lane[i + 4];
    for (i = 0; i < 2; i++) lane[i] += lane[i + 2];
    return lane[0] + lane[1];
}

/* lane[i % 16] += x[i]*y[i]: sums over several arrays, each beginning at lane 0 again. */
BADM_I_INLINE void badm_i_add_to_lanes_body(size_t n, const float *x, const float *y, float *lane)
{
    float sum[BADM_I_LANES];
    size_t i, j;
    for (j = 0; j < BADM_I_LANES; j++) sum[j] = lane[j];
    for (i = 0; i + BADM_I_LANES <= n; i += BADM_I_LANES)
        for (j = 0; j < BADM_I_LANES; j++) sum[j] += x[i + j] * y[i + j];
    for (j = 0; j < BADM_I_LANES; j++) lane[j] = sum[j];
    for (j = 0; i < n; i++, j++) lane[j] += x[i] * y[i];
}
BADM_I_LOOP(badm_i_add_to_lanes, (n, x, y, lane), size_t n, const float *x, const float *y, float *lane)

BADM_I_INLINE void badm_i_sum_to_lanes_body(size_t n, const float *x, float *lane)
{
    float sum[BADM_I_LANES];
    size_t i = 0, j;
    if (n >= BADM_I_LANES) {
        for (j = 0; j < BADM_I_LANES; j++) sum[j] = lane[j];
        for (; i + BADM_I_LANES <= n; i += BADM_I_LANES)
            for (j = 0; j < BADM_I_LANES; j++) sum[j] += x[i + j];
        for (j = 0; j < BADM_I_LANES; j++) lane[j] = sum[j];
    }
    for (j = 0; i < n; i++, j++) lane[j] += x[i];
}
BADM_I_LOOP(badm_i_sum_to_lanes, (n, x, lane), size_t n, const float *x, float *lane)

/* sum of x[i]*y[i], added to *s; y NULL: sum of x[i]. */
static void badm_i_sum_dot(int level, badm_i_sum *s, const float *x, const float *y, size_t n)
{
    while (n > 0) {
        size_t block = n < BADM_I_BLOCK ? n : BADM_I_BLOCK;
        float lane[BADM_I_LANES] = { 0 };
        if (y) { badm_i_add_to_lanes(level, block, x, y, lane); y += block; }
        else badm_i_sum_to_lanes(level, block, x, lane);
        badm_i_sum_add(s, badm_i_fold_lanes(lane));
        x += block;
        n -= block;
    }
}

static float badm_i_dot(int level, const float *x, const float *y, size_t n)
{
    badm_i_sum s = { 0, 0 };
    badm_i_sum_dot(level, &s, x, y, n);
    return badm_i_sum_value(&s);
}

BADM_I_INLINE void badm_i_find_nonfinite_body(size_t n, const float *x, uint32_t *found)
{
    uint32_t bad = 0;
    size_t i;
    BADM_I_EACH(i, n) bad |= ((badm_i_bits(x[i]) & 0x7F800000u) + 0x00800000u) & 0x80000000u;   /* an exponent all ones */
    *found = bad;
}
BADM_I_LOOP(badm_i_find_nonfinite, (n, x, found), size_t n, const float *x, uint32_t *found)

static int badm_i_all_finite(int level, const float *x, size_t n)
{
    uint32_t found;
    badm_i_find_nonfinite(level, n, x, &found);
    return found == 0;
}

/* ---- small loops that several sections need ---- */

BADM_I_INLINE void badm_i_add_scaled_body(size_t n, float a, const float *x, float *y)
{
    size_t i;
    BADM_I_EACH(i, n) y[i] += a * x[i];
}
BADM_I_LOOP(badm_i_add_scaled, (n, a, x, y), size_t n, float a, const float *x, float *y)

BADM_I_INLINE void badm_i_set_scaled_body(size_t n, float a, const float *x, float *y)
{
    size_t i;
    BADM_I_EACH(i, n) y[i] = a * x[i];
}
BADM_I_LOOP(badm_i_set_scaled, (n, a, x, y), size_t n, float a, const float *x, float *y)

/* x = a x + b y */
BADM_I_INLINE void badm_i_join_scaled_body(size_t n, float a, float *x, float b, const float *y)
{
    size_t i;
    BADM_I_EACH(i, n) x[i] = a * x[i] + b * y[i];
}
BADM_I_LOOP(badm_i_join_scaled, (n, a, x, b, y), size_t n, float a, float *x, float b, const float *y)

BADM_I_INLINE void badm_i_add_body(size_t n, const float *x, float *y)
{
    size_t i;
    BADM_I_EACH(i, n) y[i] += x[i];
}
BADM_I_LOOP(badm_i_add, (n, x, y), size_t n, const float *x, float *y)

/* sum := the sum of `rows` rows. */
BADM_I_INLINE void badm_i_sum_rows_body(size_t rows, size_t n, const float *x, int fresh, float *sum)
{
    size_t i, r;
    if (!BADM_I_FULL || n < 8) {        /* a sum stays in a register */
        for (i = 0; i < n; i++) {
            float s = fresh ? 0.0f : sum[i];
            for (r = 0; r < rows; r++) s += x[r * n + i];
            sum[i] = s;
        }
        return;
    }
    if (fresh) BADM_I_EACH(i, n) sum[i] = 0;
    for (; rows > 0; rows--, x += n) BADM_I_EACH(i, n) sum[i] += x[i];
}
BADM_I_LOOP(badm_i_sum_rows, (rows, n, x, fresh, sum), size_t rows, size_t n, const float *x, int fresh, float *sum)

BADM_I_INLINE void badm_i_largest_body(size_t n, const float *x, float *out)
{
    float lane[BADM_I_LANES], most = x[0];
    size_t i = 0, j;
    if (n >= 2 * BADM_I_LANES) {
        for (j = 0; j < BADM_I_LANES; j++) lane[j] = x[j];
        for (i = BADM_I_LANES; i + BADM_I_LANES <= n; i += BADM_I_LANES)
            for (j = 0; j < BADM_I_LANES; j++) lane[j] = badm_i_choose(x[i + j] > lane[j], x[i + j], lane[j]);
        for (j = 0; j < BADM_I_LANES; j++) if (lane[j] > most) most = lane[j];
    }
    for (; i < n; i++) if (x[i] > most) most = x[i];
    *out = most;
}
BADM_I_LOOP(badm_i_largest, (n, x, out), size_t n, const float *x, float *out)

/* ---- matrix products ---- */

/* c[rows x lanes] = what stands at `from` + a b over k terms; a by row and term strides, b by term stride, columns adjacent.
   from: c itself, or a row for all (row stride 0). */
typedef void (*badm_i_micro)(size_t k, const float *a, size_t a_row, size_t a_term, const float *b, size_t b_term,
                             const float *from, size_t from_row, float *c, size_t c_row);

/* Micro-kernels for panels of `lanes` columns, the tallest first, a height of 1 last. */
#define BADM_I_HEIGHTS 4
typedef struct badm_i_tile { unsigned lanes, height[BADM_I_HEIGHTS]; badm_i_micro run[BADM_I_HEIGHTS]; } badm_i_tile;

/* An instruction set's tiles, the widest first. */
typedef struct badm_i_kernels { unsigned tiles; badm_i_tile tile[3]; } badm_i_kernels;

#ifdef BADM_I_VECTORS

/* Multiply-add of a scalar and a vector. clang keeps __builtin_fmaf on each lane a vector operation; gcc spills that for AVX2, and
   fuses the plain expression in functions that ask for it. The barrier keeps the unfused form unfused under any flags. */
#if defined(__clang__)
#define BADM_I_FUSED(acc, x, y, lanes) for (l = 0; l < lanes; l++) acc[l] = __builtin_fmaf(x, y[l], acc[l])
#else
#define BADM_I_FUSED(acc, x, y, lanes) acc += y * x
#endif
#if defined(BADM_I_X86)
#define BADM_I_UNFUSED(acc, x, y, lanes) { product = y * x; __asm__("" : "+x"(product)); acc += product; }
#elif defined(__aarch64__)
#define BADM_I_UNFUSED(acc, x, y, lanes) { product = y * x; __asm__("" : "+w"(product)); acc += product; }
#else
#define BADM_I_UNFUSED(acc, x, y, lanes) { product = y * x; acc += product; }           /* nothing there fuses */
#endif

/* Rows by name: gcc would keep an array of them in memory as well. Each third row of a has its pointer: that leaves registers. */
#define BADM_I_ROWS_1(DO, how) DO(0, a, 0, how)
#define BADM_I_ROWS_2(DO, how) BADM_I_ROWS_1(DO, how) DO(1, a, 1, how)
#define BADM_I_ROWS_3(DO, how) BADM_I_ROWS_2(DO, how) DO(2, a, 2, how)
#define BADM_I_ROWS_4(DO, how) BADM_I_ROWS_3(DO, how) DO(3, a3, 0, how)
#define BADM_I_ROWS_6(DO, how) BADM_I_ROWS_4(DO, how) DO(4, a3, 1, how) DO(5, a3, 2, how)
#define BADM_I_ROWS_8(DO, how) BADM_I_ROWS_6(DO, how) DO(6, a6, 0, how) DO(7, a6, 1, how)
#define BADM_I_ROWS_12(DO, how) BADM_I_ROWS_8(DO, how) DO(8, a6, 2, how) DO(9, a9, 0, how) DO(10, a9, 1, how) DO(11, a9, 2, how)
#define BADM_I_BEGIN(i, near, row, how)                                                                                  \
    vector acc##i = *(const loose *)(from + i * from_row), next##i = acc##i;                                             \
    if (vectors > 1) next##i = *(const loose *)(from + i * from_row + lanes);
#define BADM_I_TERM(i, near, row, MULTIPLY_ADD) {                                                                        \
        float x = near[row * a_row];                                                                                     \
        MULTIPLY_ADD(acc##i, x, y, lanes);                                                                               \
        if (vectors > 1) MULTIPLY_ADD(next##i, x, z, lanes);                                                             \
    }
#define BADM_I_END(i, near, row, how)                                                                                    \
    *(loose *)(c + i * c_row) = acc##i;                                                                                  \
    if (vectors > 1) *(loose *)(c + i * c_row + lanes) = next##i;

#define BADM_I_MICRO(NAME, TARGET, LANES, VECTORS, ROWS, MULTIPLY_ADD)                                                   \
    TARGET BADM_I_O3 static void NAME##_##ROWS(size_t k, const float *a, size_t a_row, size_t a_term, const float *b,    \
                                               size_t b_term, const float *from, size_t from_row, float *c, size_t c_row)\
    {                                                                                                                    \
        typedef float vector __attribute__((vector_size(LANES * 4)));                                                    \
        typedef float loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));                              \
        enum { lanes = LANES, vectors = VECTORS };                                                                       \
        const float *a3 = ROWS > 3 ? a + 3 * a_row : a, *a6 = ROWS > 6 ? a + 6 * a_row : a, *a9 = ROWS > 9 ? a + 9 * a_row : a;\
        vector y, z, product;                                                                                            \
        int l = 0;                                                                                                       \
        (void)product; (void)z; (void)l;                                                                                 \
        BADM_I_ROWS_##ROWS(BADM_I_BEGIN, )                                                                               \
        for (; k > 0; k--, a += a_term, a3 += a_term, a6 += a_term, a9 += a_term, b += b_term) {                         \
            y = *(const loose *)b;                                                                                       \
            if (vectors > 1) z = *(const loose *)(b + lanes);                                                            \
            BADM_I_ROWS_##ROWS(BADM_I_TERM, MULTIPLY_ADD)                                                                \
        }                                                                                                                \
        BADM_I_ROWS_##ROWS(BADM_I_END, )                                                                                 \
    }

/* The four heights of one tile. */
#define BADM_I_TILE(NAME, TARGET, LANES, VECTORS, R0, R1, R2, R3, MULTIPLY_ADD)                                     \
    BADM_I_MICRO(NAME, TARGET, LANES, VECTORS, R0, MULTIPLY_ADD)                                                         \
    BADM_I_MICRO(NAME, TARGET, LANES, VECTORS, R1, MULTIPLY_ADD)                                                         \
    BADM_I_MICRO(NAME, TARGET, LANES, VECTORS, R2, MULTIPLY_ADD)                                                         \
    BADM_I_MICRO(NAME, TARGET, LANES, VECTORS, R3, MULTIPLY_ADD)
#define BADM_I_TILE_RECORD(NAME, COLUMNS, R0, R1, R2, R3)                                                            \
    { COLUMNS, { R0, R1, R2, R3 }, { NAME##_##R0, NAME##_##R1, NAME##_##R2, NAME##_##R3 } }

#ifdef __clang__
#define BADM_I_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define BADM_I_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#else
#define BADM_I_LOW(a, b) __builtin_shuffle(a, b, order_low)
#define BADM_I_HIGH(a, b) __builtin_shuffle(a, b, order_high)
#endif

#if defined(BADM_I_CLANG_ATTRIBUTE)
#pragma clang attribute pop
#endif
#ifdef BADM_REPRODUCIBLE
#define BADM_I_MULTIPLY_ADD BADM_I_UNFUSED
#else
#define BADM_I_MULTIPLY_ADD BADM_I_FUSED
#endif
#if defined(BADM_I_X86)
#define BADM_I_AVX2_FMA __attribute__((target("avx2,fma")))
#define BADM_I_AVX512 __attribute__((target("avx512f,avx2,fma")))
BADM_I_TILE(badm_i_sse2_8, , 4, 2, 4, 3, 2, 1, BADM_I_UNFUSED)
BADM_I_TILE(badm_i_sse2_4, , 4, 1, 8, 4, 2, 1, BADM_I_UNFUSED)
BADM_I_TILE(badm_i_avx2_16, BADM_I_AVX2_FMA, 8, 2, 6, 4, 2, 1, BADM_I_MULTIPLY_ADD)
BADM_I_TILE(badm_i_avx2_8, BADM_I_AVX2_FMA, 8, 1, 12, 4, 2, 1, BADM_I_MULTIPLY_ADD)
BADM_I_TILE(badm_i_avx512_32, BADM_I_AVX512, 16, 2, 12, 8, 4, 1, BADM_I_MULTIPLY_ADD)
BADM_I_TILE(badm_i_avx512_16, BADM_I_AVX512, 16, 1, 12, 8, 4, 1, BADM_I_MULTIPLY_ADD)
#elif defined(__aarch64__)
BADM_I_TILE(badm_i_neon_8, , 4, 2, 8, 4, 2, 1, BADM_I_MULTIPLY_ADD)
BADM_I_TILE(badm_i_neon_4, , 4, 1, 8, 4, 2, 1, BADM_I_MULTIPLY_ADD)
#else
BADM_I_TILE(badm_i_wasm_8, , 4, 2, 4, 3, 2, 1, BADM_I_UNFUSED)
BADM_I_TILE(badm_i_wasm_4, , 4, 1, 8, 4, 2, 1, BADM_I_UNFUSED)
#endif
#if defined(BADM_I_CLANG_ATTRIBUTE)
#pragma clang attribute push(__attribute__((target("no-fma,no-avx512f"))), apply_to = function)
#endif

static const badm_i_kernels *badm_i_kernels_of(int level)
{
#if defined(BADM_I_X86)
    static const badm_i_kernels avx512 = { 3, {
        BADM_I_TILE_RECORD(badm_i_avx512_32, 32, 12, 8, 4, 1), BADM_I_TILE_RECORD(badm_i_avx512_16, 16, 12, 8, 4, 1),
        BADM_I_TILE_RECORD(badm_i_avx2_8, 8, 12, 4, 2, 1) } };
    static const badm_i_kernels avx2 = { 2, {
        BADM_I_TILE_RECORD(badm_i_avx2_16, 16, 6, 4, 2, 1), BADM_I_TILE_RECORD(badm_i_avx2_8, 8, 12, 4, 2, 1) } };
    static const badm_i_kernels sse2 = { 2, {
        BADM_I_TILE_RECORD(badm_i_sse2_8, 8, 4, 3, 2, 1), BADM_I_TILE_RECORD(badm_i_sse2_4, 4, 8, 4, 2, 1) } };
    return level == 2 ? &avx512 : level == 1 ? &avx2 : &sse2;
#else
#ifdef __aarch64__
    static const badm_i_kernels set = { 2, {
        BADM_I_TILE_RECORD(badm_i_neon_8, 8, 8, 4, 2, 1), BADM_I_TILE_RECORD(badm_i_neon_4, 4, 8, 4, 2, 1) } };
#else
    static const badm_i_kernels set = { 2, {
        BADM_I_TILE_RECORD(badm_i_wasm_8, 8, 4, 3, 2, 1), BADM_I_TILE_RECORD(badm_i_wasm_4, 4, 8, 4, 2, 1) } };
#endif
    (void)level;
    return &set;
#endif
}

#else
static const badm_i_kernels *badm_i_kernels_of(int level) { (void)level; return NULL; }
#endif /* BADM_I_VECTORS */

/* One term in plain C, for builds without vectors: fused where the compiler says that the machine does it (clang 14 does not know
   the first name). */
#if !defined(BADM_REPRODUCIBLE) && defined(__GNUC__) \
    && (defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA))
#define BADM_I_PLAIN_FUSED
#define BADM_I_PLAIN_MULTIPLY_ADD(x, y, acc) __builtin_fmaf(x, y, acc)
#else
#define BADM_I_PLAIN_MULTIPLY_ADD(x, y, acc) ((acc) + (x) * (y))
#endif

#if defined(BADM_I_CLANG_ATTRIBUTE) && defined(BADM_I_PLAIN_FUSED)
#pragma clang attribute pop
#endif
static void badm_i_gemm_plain(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_term,
                              const float *b, size_t b_term, size_t b_col, const float *from, size_t from_row, float *c, size_t c_row)
{
    size_t i, j, p;
    for (i = 0; i < m; i++, a += a_row, c += c_row) {
        for (j = 0; j < n; j++) c[j] = from ? from[i * from_row + j] : 0.0f;
        for (p = 0; p < k; p++) {
            const float *row = b + p * b_term;
            float x = a[p * a_term];
            if (BADM_I_FULL && b_col == 1) for (j = 0; j < n; j++) c[j] = BADM_I_PLAIN_MULTIPLY_ADD(x, row[j], c[j]);
            else for (j = 0; j < n; j++) c[j] = BADM_I_PLAIN_MULTIPLY_ADD(x, row[j * b_col], c[j]);
        }
    }
}
#if defined(BADM_I_CLANG_ATTRIBUTE) && defined(BADM_I_PLAIN_FUSED)
#pragma clang attribute push(__attribute__((target("no-fma,no-avx512f"))), apply_to = function)
#endif

/* Up to 8 columns of few terms: the same chains, with b gathered on the stack, for products where the general way would cost more
   than the arithmetic. */
#define BADM_I_NARROW 8
#define BADM_I_NARROW_TERMS 32

#if defined(BADM_I_VECTORS) && defined(BADM_I_X86)
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define BADM_I_MSAN             /* it does not know that a masked load leaves the rest alone */
#endif
#endif
#ifdef BADM_I_MSAN
#define BADM_I_NARROW_MOST 0
#else
#define BADM_I_NARROW_MOST 64
#endif

static int badm_i_is_narrow(int level, size_t m, size_t n, size_t k)
{
    return level && n <= BADM_I_NARROW && k <= BADM_I_NARROW_TERMS && m <= BADM_I_NARROW_MOST;
}

#if defined(BADM_I_CLANG_ATTRIBUTE)
#pragma clang attribute pop
#endif
BADM_I_AVX2_FMA BADM_I_SIMPLE static void badm_i_gemm_narrow(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_term,
                                                             const float *b, size_t b_term, size_t b_col, const float *from,
                                                             size_t from_row, float *c, size_t c_row)
{
    typedef float vector __attribute__((vector_size(32)));
    typedef int choice __attribute__((vector_size(32)));
    typedef int loose_choice __attribute__((vector_size(32), aligned(4), may_alias));
    static const int masks[16] = { -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0 };
    choice mask = *(const loose_choice *)(masks + 8 - n);               /* the first n of 8 */
    vector panel[BADM_I_NARROW_TERMS], begin = { 0 }, acc, product;
    const float *x;
    size_t j, p;
    int l = 0;
    (void)product; (void)l;
    for (p = 0; p < k; p++, b += b_term) {
        if (b_col == 1) panel[p] = __builtin_ia32_maskloadps256((const vector *)(const void *)b, mask);
        else {
            panel[p] = begin;
            for (j = 0; j < n; j++) panel[p][j] = b[j * b_col];
        }
    }
    if (!from) from_row = 0;
    else begin = __builtin_ia32_maskloadps256((const vector *)(const void *)from, mask);
    for (; m >= 4; m -= 4, a += 4 * a_row, c += 4 * c_row) {           /* four chains at a time hide each other's latency */
        vector acc0 = begin, acc1 = begin, acc2 = begin, acc3 = begin;
        if (from_row) {
            acc1 = __builtin_ia32_maskloadps256((const vector *)(const void *)(from + from_row), mask);
            acc2 = __builtin_ia32_maskloadps256((const vector *)(const void *)(from + 2 * from_row), mask);
            acc3 = __builtin_ia32_maskloadps256((const vector *)(const void *)(from + 3 * from_row), mask);
            from += 4 * from_row;
            if (m > 4) begin = __builtin_ia32_maskloadps256((const vector *)(const void *)from, mask);
        }
        for (p = 0, x = a; p < k; p++, x += a_term) {
            vector y = panel[p];
            BADM_I_MULTIPLY_ADD(acc0, x[0], y, 8);
            BADM_I_MULTIPLY_ADD(acc1, x[a_row], y, 8);
            BADM_I_MULTIPLY_ADD(acc2, x[2 * a_row], y, 8);
            BADM_I_MULTIPLY_ADD(acc3, x[3 * a_row], y, 8);
        }
        __builtin_ia32_maskstoreps256((vector *)(void *)c, mask, acc0);
        __builtin_ia32_maskstoreps256((vector *)(void *)(c + c_row), mask, acc1);
        __builtin_ia32_maskstoreps256((vector *)(void *)(c + 2 * c_row), mask, acc2);
        __builtin_ia32_maskstoreps256((vector *)(void *)(c + 3 * c_row), mask, acc3);
    }
    for (; m > 0; m--, a += a_row, c += c_row) {
        acc = begin;
        for (p = 0, x = a; p < k; p++, x += a_term) BADM_I_MULTIPLY_ADD(acc, *x, panel[p], 8);
        __builtin_ia32_maskstoreps256((vector *)(void *)c, mask, acc);
        if (!from_row || m == 1) continue;
        from += from_row;
        begin = __builtin_ia32_maskloadps256((const vector *)(const void *)from, mask);
    }
}
#if defined(BADM_I_CLANG_ATTRIBUTE)
#pragma clang attribute push(__attribute__((target("no-fma,no-avx512f"))), apply_to = function)
#endif
#endif

/* Terms packed at a time, at most: a panel of so many terms and 32 columns stays in the first-level cache. */
#define BADM_I_PACK_TERMS 256
#define BADM_I_WIDEST 32            /* columns of the widest tile of any set */
#define BADM_I_TALLEST 12

/* Columns of b packed at a time where rows of a are packed as well: the second-level cache holds them. */
#define BADM_I_PACK_COLUMNS 512

/* Rows of a are packed, strip by strip, where a strip runs over so many columns that it pays. */
static int badm_i_packs_rows(size_t m, size_t n) { return m >= 48 && n >= 320; }

/* Columns of such a block: all blocks about alike. */
static size_t badm_i_pack_columns(size_t n)
{
    size_t blocks = (n + BADM_I_PACK_COLUMNS - 1) / BADM_I_PACK_COLUMNS + (n == 0);
    return badm_i_round_up((n + blocks - 1) / blocks, BADM_I_WIDEST);
}

/* Where a has few rows and b's terms are adjacent, to turn a and the result costs less than to turn b. */
#define BADM_I_TURNED 16384
static int badm_i_turns_result(size_t m, size_t n, size_t k, size_t a_term, size_t b_col)
{
    return b_col != 1 && a_term == 1 && m >= 8 && n >= 2 * m && k >= 64 && n <= BADM_I_TURNED / m;
}

/* Scratch bytes badm_i_gemm wants for a product of k terms, m rows and n columns: an edge tile, a row to begin from, a panel, if rows
   are packed a strip of them and more panels, the result if it is turned. */
static size_t badm_i_gemm_scratch(const badm_i_kernels *set, size_t m, size_t n, size_t k, int packs_rows, int turns_result)
{
    size_t terms = k < BADM_I_PACK_TERMS ? k : BADM_I_PACK_TERMS, floats = (terms + BADM_I_TALLEST + 1u) * BADM_I_WIDEST;
    if (packs_rows) floats += terms * (BADM_I_TALLEST + badm_i_pack_columns(n));
    if (turns_result) floats += badm_i_round_up(m * n, 16);
    return set ? floats * sizeof(float) : 0;
}

/* `width` columns of b, `terms` of them deep, into a panel of `lanes` adjacent columns; missing columns are zero. */
BADM_I_INLINE void badm_i_pack_rows_body(const float *b, size_t b_term, size_t terms, size_t width, size_t lanes, float *out)
{
    size_t p, j;
    for (p = 0; p < terms; p++, b += b_term, out += lanes) {
        if (width == 32) memcpy(out, b, 32 * sizeof(float));
        else if (width == 16) memcpy(out, b, 16 * sizeof(float));
        else if (width == 8) memcpy(out, b, 8 * sizeof(float));
        else if (width == 12 && lanes == 12) memcpy(out, b, 12 * sizeof(float));
        else {
            for (j = 0; j < width; j++) out[j] = b[j];
            for (; j < lanes; j++) out[j] = 0;
        }
    }
}
BADM_I_LOOP(badm_i_pack_rows, (b, b_term, terms, width, lanes, out), const float *b, size_t b_term, size_t terms, size_t width,
            size_t lanes, float *out)

/* The same of columns whose terms are adjacent, four by four through registers. */
BADM_I_INLINE void badm_i_pack_turned_body(const float *b, size_t b_col, size_t terms, size_t width, size_t lanes, float *out)
{
    size_t p = 0, j, done = 0;
#ifdef BADM_I_VECTORS
    typedef float four __attribute__((vector_size(16)));
    typedef float loose __attribute__((vector_size(16), aligned(4), may_alias));
#ifndef __clang__
    typedef int order __attribute__((vector_size(16)));
    const order order_low = { 0, 4, 1, 5 }, order_high = { 2, 6, 3, 7 };
#endif
    for (; p < terms; p += 16) {                            /* a cache line of each column */
        size_t q, end = terms - p < 16 ? terms : p + 16;
        for (done = 0; done + 4 <= width; done += 4) {
            for (q = p; q + 4 <= end; q += 4) {
                const float *from = b + q + done * b_col;
                float *to = out + q * lanes + done;
                four r0 = *(const loose *)from, r1 = *(const loose *)(from + b_col), r2 = *(const loose *)(from + 2 * b_col);
                four r3 = *(const loose *)(from + 3 * b_col);
                four a = BADM_I_LOW(r0, r2), c = BADM_I_HIGH(r0, r2), d = BADM_I_LOW(r1, r3), e = BADM_I_HIGH(r1, r3);
                *(loose *)to = BADM_I_LOW(a, d);
                *(loose *)(to + lanes) = BADM_I_HIGH(a, d);
                *(loose *)(to + 2 * lanes) = BADM_I_LOW(c, e);
                *(loose *)(to + 3 * lanes) = BADM_I_HIGH(c, e);
            }
            for (; q < end; q++) for (j = done; j < done + 4; j++) out[q * lanes + j] = b[q + j * b_col];
        }
    }
#endif
    for (p = 0; p < terms; p++) {
        for (j = done; j < width; j++) out[p * lanes + j] = b[p + j * b_col];
        for (; j < lanes; j++) out[p * lanes + j] = 0;
    }
}
BADM_I_LOOP(badm_i_pack_turned, (b, b_col, terms, width, lanes, out), const float *b, size_t b_col, size_t terms, size_t width,
            size_t lanes, float *out)

/* What comes next is fetched while this is computed: to be read, or to be written. */
#if defined(BADM_I_VECTORS)
#define BADM_I_FETCH(place) __builtin_prefetch(place)
#else
#define BADM_I_FETCH(place) ((void)(place))
#endif
#if defined(BADM_I_VECTORS) && defined(BADM_I_X86)
#define BADM_I_CLAIM(place) __asm__ __volatile__("prefetchw %0" : : "m"(*(place)))        /* compilers ask for a flag */
#elif defined(BADM_I_VECTORS)
#define BADM_I_CLAIM(place) __builtin_prefetch(place, 1)
#else
#define BADM_I_CLAIM(place) ((void)(place))
#endif

/* Rows of b that will be packed next, fetched little by little. */
typedef struct badm_i_ahead { const float *b; size_t term, terms; } badm_i_ahead;

/* One panel of `width` <= lanes columns: all rows of c, the tallest kernels first. */
static void badm_i_panel(const badm_i_tile *tile, size_t m, size_t terms, const float *a, size_t a_row, size_t a_term,
                         const float *panel, size_t panel_term, const float *from, size_t from_row, float *c, size_t c_row,
                         size_t width, float *edge, badm_i_ahead *ahead)
{
    size_t i, h, r, lanes = tile->lanes, each = ahead->terms * tile->height[0] / m + 1;
    unsigned which = 0;
    if (width < lanes) memset(edge, 0, tile->height[0] * lanes * sizeof(float));
    for (i = 0; i < m; i += h, a += h * a_row) {
        while (tile->height[which] > m - i) which++;
        h = tile->height[which];
        for (r = 0; r < each && ahead->terms > 0; r++, ahead->terms--, ahead->b += ahead->term) {
            BADM_I_FETCH(ahead->b);
            BADM_I_FETCH(ahead->b + lanes - 1);
        }
        if (i + 2 * h <= m) for (r = 0; r < h; r++) {
            BADM_I_CLAIM(c + (i + h + r) * c_row);
            BADM_I_CLAIM(c + (i + h + r) * c_row + lanes - 1);
        }
        if (width == lanes)
            tile->run[which](terms, a, a_row, a_term, panel, panel_term, from + i * from_row, from_row, c + i * c_row, c_row);
        else {
            const float *begin = from;
            if (from_row) {
                for (r = 0; r < h; r++) memcpy(edge + r * lanes, from + (i + r) * from_row, width * sizeof(float));
                begin = edge;
            }
            tile->run[which](terms, a, a_row, a_term, panel, panel_term, begin, from_row ? lanes : 0, edge, lanes);
            for (r = 0; r < h; r++) memcpy(c + (i + r) * c_row, edge + r * lanes, width * sizeof(float));
        }
    }
}

/* `width` columns of b, or rows of a, as the two above take them. */
static void badm_i_pack_panel(int level, const float *b, size_t b_term, size_t b_col, size_t terms, size_t width, size_t lanes,
                              float *out)
{
    if (b_col == 1) badm_i_pack_rows(level, b, b_term, terms, width, lanes, out);
    else badm_i_pack_turned(level, b, b_col, terms, width, lanes, out);
}

/* c's columns that fill whole panels, by blocks: the block's panels are packed, then strip after strip of rows, each running over all
   of them, so that c is walked along its rows. Begins as badm_i_gemm_part says. Returns how many columns are done. */
static size_t badm_i_blocks(const badm_i_tile *tile, int level, float *packed, size_t m, size_t n, size_t terms,
                            const float *a, size_t a_row, size_t a_term, const float *b, size_t b_term, size_t b_col,
                            const float *from, size_t from_row, float *c, size_t c_row)
{
    static const float zero[BADM_I_WIDEST] = { 0 };
    size_t lanes = tile->lanes, columns = badm_i_pack_columns(n), i, j, h, start, count;
    float *strip = packed + columns * terms;
    n -= n % lanes;
    for (start = 0; start < n; start += columns) {
        unsigned which = 0;
        count = n - start < columns ? n - start : columns;
        for (j = 0; j < count; j += lanes)
            badm_i_pack_panel(level, b + (start + j) * b_col, b_term, b_col, terms, lanes, lanes, packed + j * terms);
        for (i = 0; i < m; i += h) {
            while (tile->height[which] > m - i) which++;
            h = tile->height[which];
            badm_i_pack_panel(level, a + i * a_row, a_term, a_row, terms, h, h, strip);
            for (j = 0; j < count; j += lanes)
                tile->run[which](terms, strip, 1, h, packed + j * terms, lanes, from ? from + i * from_row + start + j : zero,
                                 from ? from_row : 0, c + i * c_row + start + j, c_row);
        }
    }
    return n;
}

/* c[m,n] = what stands at `from` + a[m,k] b[k,n]; a and b by strides, so either may be transposed; c row-major. from: c, to add to it;
   a row for all (from_row 0), as a bias; NULL: zero. scratch: badm_i_gemm_scratch bytes. packs: rows of a too. upper: what lies below
   the diagonal need not be right, and most of it is left out (not with packs). */
static void badm_i_gemm_part(const badm_i_kernels *set, int level, float *scratch, size_t m, size_t n, size_t k,
                             const float *a, size_t a_row, size_t a_term, const float *b, size_t b_term, size_t b_col,
                             const float *from, size_t from_row, float *c, size_t c_row, int packs, int upper)
{
    static const float zero[BADM_I_WIDEST] = { 0 };
    float *edge = scratch, *row = edge + BADM_I_TALLEST * BADM_I_WIDEST, *packed = row + BADM_I_WIDEST;
    size_t blocks, terms, j, lanes, start;
    if (!set) { badm_i_gemm_plain(m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row); return; }
    blocks = (k + BADM_I_PACK_TERMS - 1) / BADM_I_PACK_TERMS;           /* of about equal length */
    terms = blocks > 1 ? badm_i_round_up((k + blocks - 1) / blocks, 8) : k;
    for (start = 0; start < k; start += terms, a += terms * a_term, b += terms * b_term) {
        if (terms > k - start) terms = k - start;
        if (start > 0) { from = c; from_row = c_row; }
        j = 0;
        if (packs)
            j = badm_i_blocks(set->tile, level, packed, m, n, terms, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row);
        for (; j < n; j += lanes) {
            const badm_i_tile *tile = set->tile;
            const float *b_part = b + j * b_col, *panel = packed, *begin = zero;
            size_t width, panel_term, begin_row = 0, count = m;
            badm_i_ahead ahead;
            while (tile + 1 < set->tile + set->tiles && n - j <= tile[1].lanes) tile++;
            lanes = tile->lanes;
            width = n - j < lanes ? n - j : lanes;
            if (upper && j + width < m) count = j + width;              /* the rest is below the diagonal */
            if (from && (from_row || width == lanes)) { begin = from + j; begin_row = from_row; }
            else if (from) {
                memcpy(row, from + j, width * sizeof(float));
                memset(row + width, 0, (lanes - width) * sizeof(float));
                begin = row;
            }
            if (b_col == 1 && width == lanes && m <= 2u * tile->height[0]) { panel = b_part; panel_term = b_term; }
            else {
                badm_i_pack_panel(level, b_part, b_term, b_col, terms, width, lanes, packed);
                panel_term = lanes;
            }
            ahead.b = b_part + lanes;
            ahead.term = b_term;
            ahead.terms = b_col == 1 && panel == packed && n - j >= 2 * lanes && m >= 96 ? terms : 0;
            badm_i_panel(tile, count, terms, a, a_row, a_term, panel, panel_term, begin, begin_row, c + j, c_row, width, edge, &ahead);
        }
    }
}

#ifdef BADM_USE_CBLAS
#ifndef BADM_CBLAS_LEAST
#define BADM_CBLAS_LEAST 8192           /* below, the call costs about as much as it saves */
#endif
#define BADM_I_BLAS_INT 0x7FFFFFFFu

/* The leading dimension by which BLAS finds a matrix [rows,cols] of these strides, turned or not; 0 if there is none. */
static int badm_i_blas_leading(size_t rows, size_t cols, size_t row, size_t col, int *turned)
{
    size_t lines = rows, width = cols, step = row;
    *turned = col != 1;
    if (*turned) {
        if (row != 1) return 0;
        lines = cols;
        width = rows;
        step = col;
    }
    if (step < width) {
        if (lines > 1) return 0;        /* lines that overlap */
        step = width;                   /* there is no next line, but BLAS looks at the number */
    }
    return step <= BADM_I_BLAS_INT ? (int)step : 0;
}

/* badm_i_gemm by BLAS; 0, and nothing done, where the product is small or not of a kind that BLAS knows. */
static int badm_i_gemm_blas(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_term,
                            const float *b, size_t b_term, size_t b_col, const float *from, size_t from_row, float *c,
                            size_t c_row)
{
    int a_turned, b_turned, a_leading, b_leading;
    size_t i;
    if (k == 0 || m * n < (size_t)BADM_CBLAS_LEAST / k) return 0;
    if (m > BADM_I_BLAS_INT || n > BADM_I_BLAS_INT || k > BADM_I_BLAS_INT || c_row < n || c_row > BADM_I_BLAS_INT) return 0;
    a_leading = badm_i_blas_leading(m, k, a_row, a_term, &a_turned);
    b_leading = badm_i_blas_leading(k, n, b_term, b_col, &b_turned);
    if (!a_leading || !b_leading) return 0;
    if (from && (from != c || from_row != c_row))
        for (i = 0; i < m; i++) memcpy(c + i * c_row, from + i * from_row, n * sizeof(float));
    cblas_sgemm(CblasRowMajor, a_turned ? CblasTrans : CblasNoTrans, b_turned ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
                1.0f, a, a_leading, b, b_leading, from ? 1.0f : 0.0f, c, (int)c_row);
    return 1;
}
#endif

/* scratch_bytes: where there is less than packing and turning want, they are left out; the bits are the same. */
static void badm_i_gemm(const badm_i_kernels *set, int level, float *scratch, size_t scratch_bytes, size_t m, size_t n, size_t k,
                        const float *a, size_t a_row, size_t a_term, const float *b, size_t b_term, size_t b_col,
                        const float *from, size_t from_row, float *c, size_t c_row)
{
    if (!BADM_I_FULL) { badm_i_gemm_plain(m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row); return; }
#ifdef BADM_USE_CBLAS
    if (badm_i_gemm_blas(m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row)) return;
#endif
#if defined(BADM_I_VECTORS) && defined(BADM_I_X86)
    if (badm_i_is_narrow(level, m, n, k)) {
        badm_i_gemm_narrow(m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row);
        return;
    }
#endif
    if (set && c_row == n && badm_i_turns_result(m, n, k, a_term, b_col) && scratch_bytes >= badm_i_gemm_scratch(set, m, n, k, 0, 1)) {
        float *turned = scratch;
        size_t i, j;
        for (j = 0; j < n; j++) for (i = 0; i < m; i++) turned[j * m + i] = from ? from[i * from_row + j] : 0.0f;
        badm_i_gemm_part(set, level, scratch + badm_i_round_up(m * n, 16), n, m, k, b, b_col, b_term, a, a_term, a_row, turned, m,
                         turned, m, 0, 0);
        badm_i_pack_turned(level, turned, m, m, n, n, c);
        return;
    }
    badm_i_gemm_part(set, level, scratch, m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row,
                     badm_i_packs_rows(m, n) && scratch_bytes >= badm_i_gemm_scratch(set, m, n, k, 1, 0), 0);
}

/* c[n,n] = a[n,k] b[k,n], known to be symmetric: half the work. */
static void badm_i_gemm_symmetric(const badm_i_kernels *set, int level, float *scratch, size_t n, size_t k, const float *a,
                                  size_t a_row, size_t a_term, const float *b, size_t b_term, size_t b_col, float *c)
{
    size_t i, j;
#ifdef BADM_USE_CBLAS
    if (set || !badm_i_gemm_blas(n, n, k, a, a_row, a_term, b, b_term, b_col, NULL, 0, c, n))      /* half is less work */
#endif
    badm_i_gemm_part(set, level, scratch, n, n, k, a, a_row, a_term, b, b_term, b_col, NULL, 0, c, n, 0, 1);
    for (i = 1; i < n; i++) for (j = 0; j < i; j++) c[i * n + j] = c[j * n + i];
}

/* =====================================================================================================================
   >>model      Named parameters in one slab. A record says where a parameter lives and which group settings it has.

   Records are in chunks that never move, the slab may move when a parameter is added. `layout` counts every change of what is
   trained and where: whoever has planned memory by it compares before using the plan.
   ===================================================================================================================== */

BADM_I_SELDOM

#if UINTPTR_MAX <= 0xFFFFu || defined(BADM_SMALL)
#define BADM_I_RECORDS 4
#else
#define BADM_I_RECORDS 16
#endif
#define BADM_I_NAME_LIMIT 200

typedef struct badm_i_record {
    char *name;
    size_t offset;                  /* in the slab, in floats */
    size_t gradient;                /* in a gradient vector; BADM_I_NONE: not trained */
    const float *mapped;            /* not NULL: read in place, not in the slab */
    badm_shape shape;
    size_t place;                   /* of a buffer: in a vector of all buffers, each with a number in front; of a table by
                                       presence: in the vector of their rows' counts */
    float decay, scale;
    uint8_t buffer, frozen, metric, table, by_presence;         /* buffer: 2 where it counts, and is a 64-bit integer in files */
} badm_i_record;

typedef struct badm_i_chunk { struct badm_i_chunk *next; badm_i_record record[BADM_I_RECORDS]; } badm_i_chunk;

struct badm_model {
    badm_memory *memory;
    uint64_t seed;
    badm_i_chunk *first;
    size_t count;
    float *slab;
    size_t used, capacity;          /* floats */
    size_t trainable, buffers;      /* floats of a gradient vector, of one of all buffers */
    size_t present;                 /* rows of trained tables whose gradient goes by presence */
    uint32_t layout, settings;      /* settings: counts changes of the groups' factors */
    const float *map;
    size_t map_values, map_used;
    badm_i_fault error, last;        /* the one that sticks; the one of the last call */
    char sentence[BADM_I_SENTENCE];
};

static size_t badm_i_shape_size(const badm_shape *s)
{
    size_t n = 1;
    unsigned i;
    for (i = 0; i < s->rank; i++) n = badm_i_times(n, s->dim[i]);
    return n;
}

static int badm_i_same_shape(unsigned a_rank, const badm_dim *a, unsigned b_rank, const badm_dim *b)
{
    unsigned i;
    for (i = 0; i < a_rank && i < b_rank; i++) if (a[i] != b[i]) return 0;
    return a_rank == b_rank;
}

BADM_I_INLINE badm_i_record *badm_i_record_at(const badm_model *m, size_t index)
{
    badm_i_chunk *c;
    if (!m || index >= m->count) return NULL;
    for (c = m->first; index >= BADM_I_RECORDS; index -= BADM_I_RECORDS) c = c->next;
    return &c->record[index];
}

BADM_I_INLINE badm_i_record *badm_i_record_of(badm_param p) { return badm_i_record_at(p.model, p.index); }

BADM_I_ASIDE static void badm_i_model_fail(badm_model *m, badm_result code, const char *operation, const char *message,
                              const char *name, unsigned long n0, unsigned long n1)
{
    if (m && m->error.code == BADM_OK) badm_i_error(&m->error, code, operation, message, name, n0, n1);
}

static badm_result badm_i_model_report(badm_model *m, const badm_i_fault *e)
{
    m->last = *e;
    return e->code;
}

BADM_API badm_model *badm_model_new_in(badm_memory *mem, uint64_t seed)
{
    badm_model *m = (badm_model *)badm_i_alloc(mem, sizeof *m);
    if (!m) return NULL;
    memset(m, 0, sizeof *m);
    m->memory = mem;
    m->seed = seed;
    return m;
}

BADM_API badm_model *badm_model_new(uint64_t seed) { return badm_model_new_in(NULL, seed); }

/* The slab of a model in a block stands at the block's low end and grows in place. */
static int badm_i_slab_is_last(const badm_model *m)
{
    return m->slab && (unsigned char *)(m->slab + m->capacity) == m->memory->block + m->memory->low;
}

static void badm_i_slab_free(badm_model *m)
{
    if (!badm_i_in_block(m->memory)) badm_i_free(m->memory, m->slab);
    else if (badm_i_slab_is_last(m)) m->memory->low -= m->capacity * sizeof(float);
}

/* Room for `floats` more at the end of the slab, cleared. 0: no memory, nothing changed. */
static int badm_i_slab_grow(badm_model *m, size_t floats)
{
    size_t want = badm_i_plus(m->used, floats), bytes = badm_i_times(want, sizeof(float));
    float *slab;
    if (bytes == BADM_I_NONE) return 0;
    if (want > m->capacity) {
        if (badm_i_in_block(m->memory)) {
            badm_memory *mem = m->memory;
            if (badm_i_slab_is_last(m)) {
                size_t more = bytes - m->capacity * sizeof(float);
                if (more > mem->high - mem->low) return 0;
                mem->low += more;
                slab = m->slab;
            } else {
                if (bytes > mem->high - mem->low) return 0;
                slab = (float *)(void *)(mem->block + mem->low);
                mem->low += bytes;
                if (m->used) memcpy(slab, m->slab, m->used * sizeof(float));
            }
        } else {
            slab = (float *)badm_i_alloc(m->memory, bytes);
            if (!slab) return 0;
            if (m->used) memcpy(slab, m->slab, m->used * sizeof(float));
            badm_i_free(m->memory, m->slab);
        }
        m->slab = slab;
        m->capacity = want;
    }
    memset(m->slab + m->used, 0, floats * sizeof(float));
    m->used = want;
    return 1;
}

BADM_API void badm_model_free(badm_model *m)
{
    badm_i_chunk *c, *next;
    size_t i;
    if (!m) return;
    for (i = 0; i < m->count; i++) badm_i_free(m->memory, badm_i_record_at(m, i)->name);
    badm_i_slab_free(m);
    for (c = m->first; c; c = next) { next = c->next; badm_i_free(m->memory, c); }
    badm_i_free(m->memory, m);
}

BADM_API const char *badm_model_error(badm_model *m)
{
    if (!m) return badm_result_text(BADM_ERR_MEMORY);
    return badm_i_sentence(m->error.code ? &m->error : &m->last, m->sentence);
}

BADM_API badm_result badm_model_result(const badm_model *m) { return m ? m->error.code : BADM_ERR_MEMORY; }

BADM_API void badm_model_map(badm_model *m, const float *values, size_t n)
{
    m->map = values;
    m->map_values = n;
    m->map_used = 0;
}

/* ---- initial values ---- */

static badm_init badm_i_init(badm_init_kind kind, float a, float b)
{
    badm_init i;
    i.kind = kind;
    i.a = a;
    i.b = b;
    i.fan_out = 0;
    return i;
}

BADM_API badm_init badm_init_constant(float value) { return badm_i_init(BADM_CONSTANT, value, 0); }
BADM_API badm_init badm_init_uniform(float low, float high) { return badm_i_init(BADM_UNIFORM, low, high); }
BADM_API badm_init badm_init_normal(float mean, float std) { return badm_i_init(BADM_NORMAL, mean, std); }
BADM_API badm_init badm_init_kaiming_uniform(float gain) { return badm_i_init(BADM_KAIMING_UNIFORM, gain, 0); }
BADM_API badm_init badm_init_kaiming_normal(float gain) { return badm_i_init(BADM_KAIMING_NORMAL, gain, 0); }
BADM_API badm_init badm_init_xavier_uniform(float gain) { return badm_i_init(BADM_XAVIER_UNIFORM, gain, 0); }
BADM_API badm_init badm_init_xavier_normal(float gain) { return badm_i_init(BADM_XAVIER_NORMAL, gain, 0); }

BADM_API float badm_gain(badm_nonlinearity of, float slope)
{
    switch (of) {
        case BADM_GAIN_TANH: return 5.0f / 3.0f;
        case BADM_GAIN_RELU: return 1.41421356f;
        case BADM_GAIN_LEAKY_RELU: return badm_sqrtf(2.0f / (1.0f + slope * slope));
        case BADM_GAIN_SELU: return 0.75f;
        case BADM_GAIN_LINEAR: case BADM_GAIN_SIGMOID: default: return 1.0f;
    }
}

static void badm_i_fill(float *w, size_t n, const badm_shape *s, const badm_init *init, uint64_t seed, uint64_t stream)
{
    float fan_in, fan_out, field = 1, std = 0, low = init->a, high = init->b;
    int uniform = init->kind == BADM_UNIFORM || !BADM_I_FULL;           /* badm_i_param_add refuses normal ones then */
    badm_rng r;
    size_t i;
    for (i = 2; i < s->rank; i++) field *= (float)s->dim[i];
    fan_out = s->rank ? (float)s->dim[0] * field : 1.0f;
    fan_in = s->rank > 1 ? (float)s->dim[1] * field : fan_out;
    if (init->kind == BADM_KAIMING_UNIFORM || init->kind == BADM_KAIMING_NORMAL)
        std = init->a / badm_sqrtf(init->fan_out ? fan_out : fan_in);
    if (init->kind == BADM_XAVIER_UNIFORM || init->kind == BADM_XAVIER_NORMAL)
        std = init->a * badm_sqrtf(2.0f / (fan_in + fan_out));
    if (init->kind == BADM_KAIMING_UNIFORM || init->kind == BADM_XAVIER_UNIFORM) {
        uniform = 1;
        high = 1.73205081f * std;
        low = -high;
    }
    badm_rng_init(&r, seed, stream);
    for (i = 0; i < n; i++) {
        if (init->kind == BADM_CONSTANT) w[i] = init->a;
        else if (uniform) w[i] = low + (high - low) * badm_rng_uniform(&r);
        else if (init->kind == BADM_NORMAL) w[i] = init->a + init->b * badm_rng_normal(&r);
        else w[i] = std * badm_rng_normal(&r);
    }
}

/* ---- adding parameters ---- */

/* (Compilers make a call of strlen of the plain loop, which may not be there.) */
static size_t badm_i_length(const char *s) { size_t n = 0; while (n < BADM_I_NONE && s[n]) n++; return n; }

static int badm_i_equal(const char *a, const char *b)
{
    while (*a && *a == *b) { a++; b++; }
    return *a == *b;
}

static int badm_i_begins(const char *s, const char *prefix)
{
    while (*prefix) if (*s++ != *prefix++) return 0;
    return 1;
}

static void badm_i_layout(badm_model *m)
{
    size_t i;
    m->trainable = m->buffers = m->present = 0;
    m->layout++;
    for (i = 0; i < m->count; i++) {
        badm_i_record *r = badm_i_record_at(m, i);
        r->gradient = BADM_I_NONE;
        r->place = m->buffers;
        if (r->buffer) m->buffers += badm_i_shape_size(&r->shape) + 1;
        if (r->buffer || r->frozen) continue;
        if (r->by_presence) {
            r->place = m->present;
            m->present += r->shape.dim[0];
        }
        r->gradient = m->trainable;
        m->trainable += badm_i_round_up(badm_i_shape_size(&r->shape), BADM_I_PAD);
    }
}

/* `part` is joined to the name ("fc1" + ".weight"). */
static badm_param badm_i_param_add(badm_model *m, const char *name, const char *part, unsigned rank, const badm_dim *shape,
                                   const badm_init *init, int buffer)
{
    const char *who = BADM_I_TEXT("badm_param_new");
    size_t length = badm_i_length(name), whole = length + badm_i_length(part), n, i;
    badm_param p;
    badm_shape s;
    badm_i_record *r;
    char *own;
    p.model = m;
    p.index = (badm_dim)-1;
    memset(&s, 0, sizeof s);
    if (!m || m->error.code) return p;          /* a model that could not be had: the trainer refuses it */
    if (length == 0 || whole > BADM_I_NAME_LIMIT || badm_i_begins(name, "badm.")) {
        badm_i_model_fail(m, BADM_ERR_ARGUMENT, who,
            BADM_I_TEXT("name \"%n\": 1 to 200 bytes that do not begin with \"badm.\" are expected"), name, 0, 0);
        return p;
    }
    if (!BADM_I_FULL && (init->kind == BADM_NORMAL || init->kind == BADM_KAIMING_NORMAL || init->kind == BADM_XAVIER_NORMAL)) {
        badm_i_model_fail(m, BADM_ERR_BUILD, who, BADM_I_TEXT("\"%n\": BADM_SMALL leaves out normal initial values"), name, 0, 0);
        return p;
    }
    if (rank > BADM_MAX_RANK) {
        badm_i_model_fail(m, BADM_ERR_ARGUMENT, who, BADM_I_TEXT("\"%n\": rank %0, at most 4 expected"), name, rank, 0);
        return p;
    }
    s.rank = (uint8_t)rank;
    for (i = 0; i < rank; i++) {
        s.dim[i] = shape[i];
        if (shape[i] == 0) {
            badm_i_model_fail(m, BADM_ERR_ARGUMENT, who, BADM_I_TEXT("\"%n\": dimension %0 of %a is zero"), name, (unsigned long)i,
                              0);
            s.rank = (uint8_t)(i + 1);
            badm_i_error_shapes(&m->error, &s, NULL);
            return p;
        }
    }
    n = badm_i_shape_size(&s);
    if (badm_i_times(n, sizeof(float)) == BADM_I_NONE || m->count >= (size_t)(badm_dim)-1 - 1) {
        badm_i_model_fail(m, BADM_ERR_MEMORY, who, BADM_I_TEXT("\"%n\": %a is more than this machine can address"), name, 0, 0);
        badm_i_error_shapes(&m->error, &s, NULL);
        return p;
    }
    own = (char *)badm_i_alloc(m->memory, whole + 1);
    if (own) {
        memcpy(own, name, length);
        memcpy(own + length, part, whole - length + 1);
        if (badm_param_find(m, own).model) {
            badm_i_model_fail(m, BADM_ERR_ARGUMENT, who, BADM_I_TEXT("\"%n\": there is a parameter of this name already"), own, 0,
                              0);
            badm_i_free(m->memory, own);
            return p;
        }
    }
    if (own && m->count % BADM_I_RECORDS == 0) {
        badm_i_chunk *fresh = (badm_i_chunk *)badm_i_alloc(m->memory, sizeof *fresh), **end = &m->first;
        if (fresh) {
            memset(fresh, 0, sizeof *fresh);
            while (*end) end = &(*end)->next;
            *end = fresh;
        } else {
            badm_i_free(m->memory, own);
            own = NULL;
        }
    }
    if (!own || (!m->map && !badm_i_slab_grow(m, badm_i_round_up(n, BADM_I_PAD)))) {
        badm_i_model_fail(m, BADM_ERR_MEMORY, who, BADM_I_TEXT("\"%n\": no memory for %0 numbers"), own ? own : name,
                          (unsigned long)n, 0);
        badm_i_free(m->memory, own);
        return p;
    }
    if (m->map && n > m->map_values - m->map_used) {
        badm_i_model_fail(m, BADM_ERR_MODEL, BADM_I_TEXT("badm_model_map"),
            BADM_I_TEXT("the array of %0 values ends before \"%n\", which wants %1 more"), own,
            (unsigned long)m->map_values, (unsigned long)n);
        badm_i_free(m->memory, own);
        return p;
    }
    p.index = (badm_dim)m->count++;
    r = badm_i_record_of(p);
    if (!r) return p;
    memset(r, 0, sizeof *r);
    r->name = own;
    r->shape = s;
    r->decay = r->scale = 1.0f;
    r->buffer = (uint8_t)buffer;
    r->metric = BADM_METRIC_OF_TRAINER;
    if (m->map) {
        r->mapped = m->map + m->map_used;
        r->frozen = 1;
        m->map_used += n;
    } else {
        badm_i_fpu before = badm_i_fpu_enter();
        r->offset = m->used - badm_i_round_up(n, BADM_I_PAD);
        badm_i_fill(m->slab + r->offset, n, &s, init, m->seed, p.index);
        memset(m->slab + r->offset + n, 0, (m->used - r->offset - n) * sizeof(float));
        badm_i_fpu_set(before);
    }
    badm_i_layout(m);
    return p;
}

BADM_API badm_param badm_param_new(badm_model *m, const char *name, unsigned rank, const badm_dim *shape, badm_init init)
{
    return badm_i_param_add(m, name, "", rank, shape, &init, 0);
}

BADM_API badm_param badm_buffer_new(badm_model *m, const char *name, unsigned rank, const badm_dim *shape, float value)
{
    badm_init init = badm_init_constant(value);
    return badm_i_param_add(m, name, "", rank, shape, &init, 1);
}

/* ---- looking at parameters ---- */

BADM_API size_t badm_param_count(const badm_model *m) { return m->count; }

BADM_API badm_param badm_param_at(badm_model *m, size_t index)
{
    badm_param p;
    p.model = index < m->count ? m : NULL;
    p.index = (badm_dim)index;
    return p;
}

BADM_API badm_param badm_param_find(badm_model *m, const char *name)
{
    size_t i;
    for (i = 0; i < m->count; i++) if (badm_i_equal(badm_i_record_at(m, i)->name, name)) break;
    return badm_param_at(m, i);
}

BADM_API const char *badm_param_name(badm_param p) { badm_i_record *r = badm_i_record_of(p); return r ? r->name : ""; }

BADM_API badm_shape badm_param_shape(badm_param p)
{
    badm_i_record *r = badm_i_record_of(p);
    badm_shape none;
    memset(&none, 0, sizeof none);
    return r ? r->shape : none;
}

BADM_API size_t badm_param_size(badm_param p)
{
    badm_i_record *r = badm_i_record_of(p);
    return r ? badm_i_shape_size(&r->shape) : 0;
}

BADM_API float *badm_param_data(badm_param p)
{
    badm_i_record *r = badm_i_record_of(p);
    return r && !r->mapped ? p.model->slab + r->offset : NULL;
}

BADM_API const float *badm_param_values(badm_param p)
{
    badm_i_record *r = badm_i_record_of(p);
    return r && r->mapped ? r->mapped : badm_param_data(p);
}

BADM_API int badm_param_is_buffer(badm_param p) { badm_i_record *r = badm_i_record_of(p); return r && r->buffer; }
BADM_API int badm_param_is_frozen(badm_param p) { badm_i_record *r = badm_i_record_of(p); return r && r->frozen; }

static size_t badm_i_param_offset(badm_param p) { badm_i_record *r = badm_i_record_of(p); return r ? r->gradient : BADM_I_NONE; }

/* ---- groups ---- */

enum { BADM_I_SET_FROZEN, BADM_I_SET_DECAY, BADM_I_SET_SCALE, BADM_I_SET_METRIC, BADM_I_SET_PRESENCE };

/* A mapped parameter that is to be trained moves into the slab. */
static int badm_i_unmap(badm_model *m, badm_i_record *r)
{
    size_t n = badm_i_shape_size(&r->shape), room = badm_i_round_up(n, BADM_I_PAD);
    if (!badm_i_slab_grow(m, room)) {
        badm_i_model_fail(m, BADM_ERR_MEMORY, BADM_I_TEXT("badm_set_frozen"), BADM_I_TEXT("\"%n\": no memory for %0 numbers"),
                          r->name, (unsigned long)n, 0);
        return 0;
    }
    r->offset = m->used - room;
    memcpy(m->slab + r->offset, r->mapped, n * sizeof(float));
    memset(m->slab + r->offset + n, 0, (room - n) * sizeof(float));
    r->mapped = NULL;
    return 1;
}

static size_t badm_i_set(badm_model *m, const char *prefix, int what, float value, const char *operation)
{
    size_t i, matched = 0;
    for (i = 0; i < m->count; i++) {
        badm_i_record *r = badm_i_record_at(m, i);
        if (!badm_i_begins(r->name, prefix) || r->buffer) continue;
        matched++;
        switch (what) {
            case BADM_I_SET_FROZEN:
                if (value == 0 && r->mapped && !badm_i_unmap(m, r)) return 0;
                r->frozen = value != 0;
                break;
            case BADM_I_SET_DECAY: r->decay = value; break;
            case BADM_I_SET_SCALE: r->scale = value; break;
            case BADM_I_SET_PRESENCE: r->by_presence = value != 0 && r->shape.rank == 2; break;
            default: r->metric = (uint8_t)value;
        }
    }
    if (!matched) badm_i_model_fail(m, BADM_ERR_ARGUMENT, operation, BADM_I_TEXT("no parameter's name begins with \"%n\""), prefix,
                                    0, 0);
    if (matched && what != BADM_I_SET_DECAY && what != BADM_I_SET_SCALE) badm_i_layout(m);
    if (matched) m->settings++;
    return matched;
}

BADM_API size_t badm_set_frozen(badm_model *m, const char *prefix, int frozen)
{
    return badm_i_set(m, prefix, BADM_I_SET_FROZEN, frozen ? 1.0f : 0.0f, BADM_I_TEXT("badm_set_frozen"));
}

BADM_API size_t badm_set_weight_decay(badm_model *m, const char *prefix, float factor)
{
    if (!(factor >= 0) || !badm_i_is_finite(factor))
        badm_i_model_fail(m, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_set_weight_decay"),
                          BADM_I_TEXT("\"%n\": a factor >= 0 is expected"), prefix, 0, 0);
    return badm_i_set(m, prefix, BADM_I_SET_DECAY, factor, BADM_I_TEXT("badm_set_weight_decay"));
}

BADM_API size_t badm_set_step_scale(badm_model *m, const char *prefix, float factor)
{
    if (!(factor > 0) || !badm_i_is_finite(factor))
        badm_i_model_fail(m, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_set_step_scale"),
                          BADM_I_TEXT("\"%n\": a factor > 0 is expected"), prefix, 0, 0);
    return badm_i_set(m, prefix, BADM_I_SET_SCALE, factor, BADM_I_TEXT("badm_set_step_scale"));
}

BADM_API size_t badm_set_metric(badm_model *m, const char *prefix, badm_metric metric)
{
    if (metric > BADM_METRIC_OF_TRAINER || metric == BADM_SISA)
        badm_i_model_fail(m, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_set_metric"),
            BADM_I_TEXT("\"%n\": plain, diagonal, orthogonal or the trainer's is expected (SISA is for a whole trainer)"), prefix, 0, 0);
    if (!BADM_I_FULL && metric != BADM_PLAIN && metric != BADM_METRIC_OF_TRAINER)
        badm_i_model_fail(m, BADM_ERR_BUILD, BADM_I_TEXT("badm_set_metric"), BADM_I_TEXT("\"%n\": BADM_SMALL has the plain metric alone"), prefix,
                          0, 0);
    return badm_i_set(m, prefix, BADM_I_SET_METRIC, (float)metric, BADM_I_TEXT("badm_set_metric"));
}

BADM_API size_t badm_set_by_presence(badm_model *m, const char *prefix, int by_presence)
{
    return badm_i_set(m, prefix, BADM_I_SET_PRESENCE, by_presence ? 1.0f : 0.0f, BADM_I_TEXT("badm_set_by_presence"));
}

/* ---- the model as a whole ---- */

BADM_API size_t badm_model_size(const badm_model *m)
{
    size_t i, n = 0;
    for (i = 0; i < m->count; i++) n += badm_i_shape_size(&badm_i_record_at(m, i)->shape);
    return n;
}

BADM_API size_t badm_trainable_size(const badm_model *m) { return m->trainable; }

BADM_I_INLINE const float *badm_i_record_values(const badm_model *m, const badm_i_record *r)
{
    return r->mapped ? r->mapped : m->slab + r->offset;
}

BADM_API uint64_t badm_model_hash(const badm_model *m)
{
    uint64_t h = 0xCBF29CE484222325u;           /* FNV-1a */
    size_t i, j;
    int byte;
#define BADM_I_HASH(b) (h = (h ^ (uint64_t)((b) & 0xFFu)) * 0x100000001B3u)
    for (i = 0; i < m->count; i++) {
        const badm_i_record *r = badm_i_record_at(m, i);
        const float *w = badm_i_record_values(m, r);
        size_t n = badm_i_shape_size(&r->shape);
        for (j = 0; r->name[j]; j++) BADM_I_HASH((unsigned char)r->name[j]);
        for (j = 0; j < r->shape.rank; j++)
            for (byte = 0; byte < 4; byte++) BADM_I_HASH((uint32_t)r->shape.dim[j] >> (8 * byte));
        for (j = 0; j < n; j++) {
            uint32_t u = badm_i_bits(w[j]);
            for (byte = 0; byte < 4; byte++) BADM_I_HASH(u >> (8 * byte));
        }
    }
#undef BADM_I_HASH
    return h;
}

BADM_API badm_result badm_model_copy(badm_model *to, const badm_model *from)
{
    badm_i_fault e;
    size_t i;
    badm_i_error(&e, BADM_OK, "", "", NULL, 0, 0);
    for (i = 0; i < to->count || i < from->count; i++) {
        const badm_i_record *a = badm_i_record_at(to, i), *b = badm_i_record_at(from, i);
        const badm_i_record *r = a ? a : b;
        if (a && b && !a->mapped && badm_i_equal(a->name, b->name) && badm_i_same_shape(a->shape.rank, a->shape.dim, b->shape.rank, b->shape.dim)) continue;
        badm_i_error(&e, BADM_ERR_MODEL, BADM_I_TEXT("badm_model_copy"), a && a->mapped
            ? BADM_I_TEXT("\"%n\" is mapped from an array that cannot be written")
            : BADM_I_TEXT("\"%n\" has no counterpart of the same name and shape"), r->name, 0, 0);
        return badm_i_model_report(to, &e);
    }
    for (i = 0; i < to->count; i++) {
        const badm_i_record *a = badm_i_record_at(to, i);
        memcpy(to->slab + a->offset, badm_i_record_values(from, badm_i_record_at(from, i)),
               badm_i_shape_size(&a->shape) * sizeof(float));
    }
    return BADM_OK;
}

BADM_API size_t badm_summary(const badm_model *m, char *buf, size_t n)
{
    badm_i_text o = badm_i_text_into(buf, n);
    size_t i, trained = 0;
    for (i = 0; i < m->count; i++) {
        const badm_i_record *r = badm_i_record_at(m, i);
        char cell[64];
        badm_i_text c = badm_i_text_into(cell, sizeof cell);
        if (r->gradient != BADM_I_NONE) trained += badm_i_shape_size(&r->shape);
        badm_i_put_padded(&o, r->name, 24);
        badm_i_put_char(&o, ' ');
        badm_i_put_shape(&c, &r->shape);
        badm_i_put_padded(&o, cell, 20);
        badm_i_put_char(&o, ' ');
        badm_i_put_number(&o, badm_i_shape_size(&r->shape));
        if (r->buffer) badm_i_put(&o, BADM_I_TEXT("  buffer"));
        if (r->frozen) badm_i_put(&o, r->mapped ? BADM_I_TEXT("  frozen, mapped") : BADM_I_TEXT("  frozen"));
        if (r->metric == BADM_PLAIN) badm_i_put(&o, BADM_I_TEXT("  plain"));
        if (r->metric == BADM_DIAGONAL) badm_i_put(&o, BADM_I_TEXT("  diagonal"));
        if (r->metric == BADM_ORTHOGONAL) badm_i_put(&o, BADM_I_TEXT("  orthogonal"));
        if (r->by_presence) badm_i_put(&o, BADM_I_TEXT("  by presence"));
        badm_i_put_char(&o, '\n');
    }
    badm_i_put_number(&o, m->count);
    badm_i_put(&o, BADM_I_TEXT(" tensors, "));
    badm_i_put_number(&o, badm_model_size(m));
    badm_i_put(&o, BADM_I_TEXT(" numbers, "));
    badm_i_put_number(&o, trained);
    badm_i_put(&o, BADM_I_TEXT(" trained, "));
    badm_i_put_number(&o, m->used * sizeof(float));
    badm_i_put(&o, BADM_I_TEXT(" bytes\n"));
    return o.length;
}

BADM_I_OFTEN

/* =====================================================================================================================
   >>tape       One arena, filled from below by tensors and their numbers in the order of recording; from above, for the length of
   one forward or backward function, by scratch. Reset is a few assignments.

   A dry run records tensors but has no numbers: `used` counts what is really taken, `planned` what a real run will take, and
   forward functions are not called. Gradients are taken when backward first asks for them.
   ===================================================================================================================== */

typedef struct badm_i_next badm_i_next;
enum { BADM_I_BUFFERS_NONE, BADM_I_BUFFERS_ALL, BADM_I_BUFFERS_TRAINED };

/* A part of an operation's loop: reads the tape, writes only what no other part reads or writes, so that neither the number of parts
   nor who runs them shows. */
typedef void (*badm_i_part)(const badm_tape *t, void *arg, uint32_t part);
typedef struct badm_i_pool badm_i_pool;         /* threads (>>workers) */

/* sum |g_i|^2 of the samples of a piece, as far as backward can tell. */
typedef struct badm_i_norms {
    void (*of)(badm_tape *t, badm_tensor *y);   /* adds what y's parameters get, before its backward */
    uint32_t samples;
    badm_i_sum sum;
    uint8_t *seen;                  /* of each parameter: used already */
    float *space;                   /* a gradient vector of its own */
    int missing;                    /* an operation, or a second use, that it knows no way for */
} badm_i_norms;

/* Gradients that have been used up, for later ones of the same size: what is written next then stands in a near cache. */
#ifdef BADM_SMALL
#define BADM_I_SPARES 1
#else
#define BADM_I_SPARES 8
#endif
#define BADM_I_SPARE_LEAST 1024     /* elements; less is not worth looking for */
typedef struct badm_i_spare { float *at; size_t size; } badm_i_spare;

struct badm_tape {
    unsigned char *arena;
    size_t capacity, used, planned, gradient_bytes, scratch_used, scratch_needed, wanted;
    badm_tensor *last;
    badm_i_next *next;              /* buffers that layers change (>>normalisation) */
    badm_memory *memory;
    badm_model *model;              /* whose parameters get gradients */
    float *grads;
    uint8_t *written;               /* of each parameter: whether its gradient has been begun; NULL: all are zero to begin with */
    uint64_t seed, step;
    uint32_t slot, piece, operations;
    uint32_t count, hits, hits_of;
    badm_i_fault error;
    uint8_t dry, training, recording, counted, buffers;     /* buffers: whose may be changed */
    uint8_t level;                  /* of the loops */
    BADM_I_MEMBERS {
        const float *local;         /* its trainable parameters as this slot sees them; NULL: as in the model */
        badm_tensor *kept;          /* the model's parameters as tensors that outlive a reset; NULL: each use makes one */
        const badm_i_kernels *kernels;
        uint64_t work;              /* multiply-adds of the recorded forward functions, roughly */
        uint32_t begun;             /* how many of `written` are set */
        float input_max;
        uint32_t team;              /* workers that may share an operation's loop; 0 or 1: nobody helps */
        void (*spread)(badm_tape *t, uint32_t parts, badm_i_part run, void *arg);   /* hands parts to the team */
        badm_i_pool *pool;          /* the team's */
        badm_i_spare spare[BADM_I_SPARES];
        uint32_t spares;
        badm_i_norms *norms;        /* of single samples' gradients; NULL: not wanted (>>diversity) */
    } full;
};

static void badm_i_count_work(badm_tape *t, uint64_t work) { if (BADM_I_FULL) t->full.work += work; }

/* Into how many parts a loop is worth splitting: each `worth` a worker's while. */
static uint32_t badm_i_parts(const badm_tape *t, uint64_t work, uint64_t worth)
{
    uint64_t parts = t->full.team < 2 ? 1 : work / worth;
    return parts < 2 ? 1 : parts < t->full.team ? (uint32_t)parts : t->full.team;
}

/* Runs parts 0..parts-1 of an operation's loop, by workers that have no sub-batch where there are any. Returns when all are done. */
static void badm_i_spread(badm_tape *t, uint32_t parts, badm_i_part run, void *arg)
{
    uint32_t part;
    if (parts > 1 && t->full.spread) t->full.spread(t, parts, run, arg);
    else for (part = 0; part < parts; part++) run(t, arg, part);
}

static badm_tensor *badm_i_empty(void)
{
    static const badm_tensor empty = { NULL, NULL, NULL, NULL, NULL, NULL, 0, { 0, 0, 0, 0 }, 1, 0, 0 };
    return (badm_tensor *)(uintptr_t)&empty;            /* never written: its size is 0 */
}

static badm_shape badm_i_shape_of(const badm_tensor *x)
{
    badm_shape s;
    memcpy(s.dim, x->shape, sizeof s.dim);
    s.rank = x->rank;
    return s;
}

static void badm_i_error_tensors(badm_i_fault *e, const badm_tensor *a, const badm_tensor *b)
{
    badm_shape s;
    if (a) { s = badm_i_shape_of(a); badm_i_error_shapes(e, &s, NULL); }
    if (b) { s = badm_i_shape_of(b); badm_i_error_shapes(e, NULL, &s); }
}

BADM_API badm_tensor *badm_fail(badm_tape *t, badm_result code, const char *operation, const char *message,
                                const badm_tensor *a, const badm_tensor *b, unsigned long n0, unsigned long n1)
{
    if (t->error.code == BADM_OK) {
        badm_i_error(&t->error, code, operation, message, NULL, n0, n1);
        badm_i_error_tensors(&t->error, a, b);
    }
    return badm_i_empty();
}

/* The whole of badm_i_arena, for when it is not simple. */
BADM_I_ASIDE static void *badm_i_arena_slowly(badm_tape *t, size_t bytes, size_t align, int numbers)
{
    size_t from = badm_i_round_up(t->used, align), to = badm_i_plus(from, bytes);
    if (t->dry) t->planned = badm_i_plus(badm_i_round_up(t->planned, align), bytes);
    if (t->dry && numbers) {
        if (t->planned == BADM_I_NONE) badm_fail(t, BADM_ERR_MEMORY, BADM_I_TEXT("tape"),
                                                 BADM_I_TEXT("a tensor is more than this machine can address"), NULL, NULL, 0, 0);
        return NULL;
    }
    if (to == BADM_I_NONE || to > t->capacity - t->scratch_used) {
        size_t wanted = badm_i_plus(to, t->scratch_used);
        if (wanted > t->wanted) t->wanted = wanted;
        badm_fail(t, BADM_ERR_MEMORY, BADM_I_TEXT("tape"), BADM_I_TEXT("the arena of %0 bytes is full: at least %1 are needed"),
                  NULL, NULL,
                  (unsigned long)t->capacity, (unsigned long)wanted);
        return NULL;
    }
    t->used = to;
    return t->arena + from;
}

/* `numbers`: counted but not taken in a dry run (NULL then too). NULL after an error; check t->error. */
BADM_I_INLINE void *badm_i_arena(badm_tape *t, size_t bytes, size_t align, int numbers)
{
    size_t from = (t->used + align - 1) & ~(align - 1), room = t->capacity - t->scratch_used;
    if (!BADM_I_FULL || t->dry || from > room || bytes > room - from) return badm_i_arena_slowly(t, bytes, align, numbers);
    t->used = from + bytes;
    return t->arena + from;
}

#define BADM_I_NUMBERS(t, n) ((float *)badm_i_arena(t, badm_i_times(n, sizeof(float)), BADM_I_ALIGN, 1))

BADM_API void badm_scratch_reserve(badm_tape *t, size_t bytes)
{
    bytes = badm_i_round_up(bytes, BADM_I_ALIGN);
    if (bytes > t->scratch_needed) t->scratch_needed = bytes;
}

BADM_API void *badm_scratch(badm_tape *t, size_t bytes)
{
    bytes = badm_i_round_up(bytes, BADM_I_ALIGN);
    if (bytes == BADM_I_NONE || bytes > t->capacity - t->used - t->scratch_used) {
        size_t wanted = badm_i_plus(t->used + t->scratch_used, bytes);
        if (wanted > t->wanted) t->wanted = wanted;
        badm_fail(t, BADM_ERR_MEMORY, BADM_I_TEXT("tape"), BADM_I_TEXT("the arena of %0 bytes is full: at least %1 are needed"),
                  NULL, NULL,
                  (unsigned long)t->capacity, (unsigned long)wanted);
        return NULL;
    }
    t->scratch_used += bytes;
    return t->arena + t->capacity - t->scratch_used;
}

BADM_API void badm_tape_reset(badm_tape *t)
{
    t->used = t->planned = t->gradient_bytes = t->scratch_used = 0;
    t->last = NULL;
    t->next = NULL;
    t->operations = t->count = t->hits = t->hits_of = 0;
    t->counted = 0;
    if (BADM_I_FULL) t->full.work = 0;
    t->error.code = BADM_OK;
}

static void badm_i_tape_init(badm_tape *t, void *arena, size_t capacity)
{
    memset(t, 0, sizeof *t);
    t->arena = (unsigned char *)arena;
    t->capacity = capacity / BADM_I_ALIGN * BADM_I_ALIGN;
    t->level = (uint8_t)badm_i_simd_level();
    if (BADM_I_FULL) t->full.kernels = badm_i_kernels_of(t->level);
}

BADM_API badm_result badm_tape_new(badm_tape **out, badm_memory *mem, size_t bytes)
{
    size_t head = badm_i_round_up(sizeof(badm_tape), BADM_I_ALIGN), whole = badm_i_plus(head, bytes);
    unsigned char *p = whole == BADM_I_NONE ? NULL : (unsigned char *)badm_i_alloc(mem, whole);
    *out = NULL;
    if (!p) return BADM_ERR_MEMORY;
    *out = (badm_tape *)(void *)p;
    badm_i_tape_init(*out, p + head, bytes);
    (*out)->memory = mem;
    (*out)->buffers = BADM_I_BUFFERS_ALL;
    return BADM_OK;
}

BADM_API void badm_tape_free(badm_tape *t) { if (t) badm_i_free(t->memory, t); }

BADM_API void badm_tape_mode(badm_tape *t, int training, uint64_t seed)
{
    t->training = training != 0;
    t->seed = seed;
}

BADM_API void badm_tape_watch(badm_tape *t, badm_model *m, float *grads)
{
    t->model = m;
    t->grads = grads;
    t->written = NULL;
    if (BADM_I_FULL) t->full.kept = NULL;
    t->recording = grads != NULL;
}

BADM_API size_t badm_tape_used(const badm_tape *t) { return t->used; }

BADM_API const badm_error *badm_tape_error(const badm_tape *t)
{
#ifdef BADM_NO_TEXT
#define BADM_X(name, value, text) { name, "", "", { { 0, 0, 0, 0 }, 0 }, { { 0, 0, 0, 0 }, 0 }, { 0, 0 }, { 0 } },
    static const badm_error error[] = { BADM_RESULTS(BADM_X) };
#undef BADM_X
    size_t i = 0;
    while (error[i].code != t->error.code && i + 1 < sizeof error / sizeof *error) i++;
    return &error[i];
#else
    return &t->error;
#endif
}

BADM_API float *badm_data(badm_tape *t, const badm_tensor *x) { (void)t; return x->data; }
BADM_API int badm_is_dry(const badm_tape *t) { return t->dry; }
BADM_API int badm_training(const badm_tape *t) { return t->training; }
BADM_API void badm_count(badm_tape *t, uint32_t n) { t->count = n; t->counted = 1; }
BADM_API void badm_hits(badm_tape *t, uint32_t correct, uint32_t of) { t->hits += correct; t->hits_of += of; }

BADM_API size_t badm_size(const badm_tensor *x) { return x->size; }

/* Numbers for a gradient: a spare one's, the last first, or new ones. */
static float *badm_i_grad_numbers(badm_tape *t, size_t size)
{
    uint32_t i;
    for (i = t->full.spares; i > 0; i--)
        if (t->full.spare[i - 1].size == size) {
            float *at = t->full.spare[i - 1].at;
            t->full.spare[i - 1] = t->full.spare[--t->full.spares];
            return at;
        }
    return BADM_I_NUMBERS(t, size);
}

/* Where x's gradient goes, for backward functions; fresh: nothing stands there yet, and the caller writes all of it instead of
   adding. */
BADM_I_INLINE float *badm_i_grad_start(badm_tape *t, badm_tensor *x, int *fresh)
{
    *fresh = 0;
    if (!x->wants_grad) return NULL;
    if (!x->grad) {
        x->grad = BADM_I_FULL && t->full.spares ? badm_i_grad_numbers(t, x->size) : BADM_I_NUMBERS(t, x->size);
        *fresh = 1;
    } else if (!x->op && x->args && !*(uint8_t *)x->args) {         /* a parameter's first use */
        *fresh = *(uint8_t *)x->args = 1;
        if (BADM_I_FULL) t->full.begun++;
    }
    return x->grad;
}

BADM_API float *badm_grad(badm_tape *t, badm_tensor *x)
{
    int fresh = 0;
    float *g = t->dry ? NULL : badm_i_grad_start(t, x, &fresh);
    if (g && fresh) memset(g, 0, badm_size(x) * sizeof(float));
    return g;
}

/* Bytes of a tensor with its inputs: its arguments follow. */
BADM_I_INLINE size_t badm_i_tensor_bytes(unsigned inputs)
{
    return (sizeof(badm_tensor) + inputs * sizeof(badm_tensor *) + BADM_I_PLACE - 1u) & ~(size_t)(BADM_I_PLACE - 1u);
}

/* Fills all of y but shape and size. */
BADM_I_INLINE void badm_i_tensor_begin(badm_tape *t, badm_tensor *y, const badm_op *op, unsigned rank, unsigned inputs)
{
    y->op = op;
    y->in = inputs ? (badm_tensor **)(void *)(y + 1) : NULL;
    y->args = NULL;
    y->previous = t->last;
    y->data = y->grad = NULL;
    y->rank = (uint8_t)rank;
    y->inputs = (uint8_t)inputs;
    y->wants_grad = 0;
}

BADM_I_INLINE void badm_i_tensor_shape(badm_tensor *y, unsigned rank, const badm_dim *shape)
{
    size_t size = 1;
    unsigned i;
    memset(y->shape, 0, sizeof y->shape);
    for (i = 0; i < rank; i++) {
        y->shape[i] = shape[i];
        size = badm_i_times(size, shape[i]);
    }
    y->size = size;
}

/* The whole of badm_i_tensor, for when it is not simple. */
BADM_I_ASIDE static badm_tensor *badm_i_tensor_slowly(badm_tape *t, const badm_op *op, unsigned rank, const badm_dim *shape,
                                                      unsigned inputs, size_t args_bytes, int numbers)
{
    const char *name = op ? op->name : BADM_I_TEXT("input");
    badm_tensor *y;
    if (t->error.code) return NULL;
    y = (badm_tensor *)badm_i_arena_slowly(t, badm_i_plus(badm_i_tensor_bytes(inputs), args_bytes), BADM_I_PLACE, 0);
    if (!y) return NULL;
    badm_i_tensor_begin(t, y, op, rank, inputs);
    badm_i_tensor_shape(y, rank, shape);
    if (y->size == 0) {
        badm_fail(t, BADM_ERR_SHAPE, name, BADM_I_TEXT("%a has no elements"), y, NULL, 0, 0);
        return NULL;
    }
    t->last = y;
    if (!numbers) return y;
    if (badm_i_times(y->size, sizeof(float)) == BADM_I_NONE) {
        badm_fail(t, BADM_ERR_MEMORY, name, BADM_I_TEXT("%a is more than this machine can address"), y, NULL, 0, 0);
        return NULL;
    }
    y->data = (float *)badm_i_arena_slowly(t, y->size * sizeof(float), BADM_I_ALIGN, 1);
    return t->error.code ? NULL : y;
}

/* A tensor, with room for its inputs and arguments behind it and, where `numbers` are wanted, for those. NULL after an error. */
BADM_I_INLINE badm_tensor *badm_i_tensor(badm_tape *t, const badm_op *op, unsigned rank, const badm_dim *shape, unsigned inputs,
                                         size_t args_bytes, int numbers)
{
    size_t from = (t->used + BADM_I_PLACE - 1u) & ~(size_t)(BADM_I_PLACE - 1u), room = t->capacity - t->scratch_used;
    size_t head = badm_i_tensor_bytes(inputs) + args_bytes;
    badm_tensor *y;
    if (!BADM_I_FULL || t->error.code || t->dry || from > room || args_bytes > room || head > room - from)
        return badm_i_tensor_slowly(t, op, rank, shape, inputs, args_bytes, numbers);
    y = (badm_tensor *)(void *)(t->arena + from);
    badm_i_tensor_begin(t, y, op, rank, inputs);
    badm_i_tensor_shape(y, rank, shape);
    from += head;
    if (numbers) from = (from + BADM_I_ALIGN - 1) & ~(size_t)(BADM_I_ALIGN - 1);       /* the arena ends at such a multiple */
    if (y->size - 1 >= (numbers ? (room - from) / sizeof(float) : BADM_I_NONE))        /* a size of 0 is refused there too */
        return badm_i_tensor_slowly(t, op, rank, shape, inputs, args_bytes, numbers);
    if (numbers) {
        y->data = (float *)(void *)(t->arena + from);
        from += y->size * sizeof(float);
    }
    t->used = from;
    t->last = y;
    return y;
}

static void badm_i_wants(badm_tape *t, badm_tensor *y)
{
    y->wants_grad = 1;
    if (t->dry) t->gradient_bytes = badm_i_plus(t->gradient_bytes, badm_i_round_up(badm_i_times(badm_size(y), sizeof(float)), BADM_I_ALIGN));
}

/* badm_record, and for views: y shares the numbers of in[0]. */
BADM_I_INLINE badm_tensor *badm_i_record_op(badm_tape *t, const badm_op *op, unsigned rank, const badm_dim *shape, unsigned inputs,
                                            badm_tensor *const *in, const void *args, size_t args_bytes, int view)
{
    badm_tensor *y;
    unsigned i, wants = 0;
    BADM_I_ASSERT(rank <= BADM_MAX_RANK && inputs <= BADM_MAX_INPUTS);
    y = badm_i_tensor(t, op, rank, shape, inputs, args_bytes, !view);
    if (!y) return badm_i_empty();
    for (i = 0; i < inputs; i++) {
        y->in[i] = in[i];
        wants |= in[i]->wants_grad;
    }
    if (wants && t->recording) badm_i_wants(t, y);
    if (args_bytes) {
        y->args = (unsigned char *)y + badm_i_tensor_bytes(inputs);
        memcpy(y->args, args, args_bytes);
    }
    if (view) y->data = in[0]->data;
    t->operations++;
    if (t->dry) badm_i_count_work(t, badm_size(y));
    else if (op->forward) {
        op->forward(t, y);
        t->scratch_used = 0;
    }
    return t->error.code ? badm_i_empty() : y;
}

BADM_API badm_tensor *badm_record(badm_tape *t, const badm_op *op, unsigned rank, const badm_dim *shape,
                                  unsigned inputs, badm_tensor *const *in, const void *args, size_t args_bytes)
{
    return badm_i_record_op(t, op, rank, shape, inputs, in, args, args_bytes, 0);
}

/* d loss/d y for every y that led to the loss, times `seed`. */
static badm_result badm_i_backward(badm_tape *t, badm_tensor *loss, float seed)
{
    badm_tensor *y;
    if (t->error.code) return t->error.code;
    if (badm_size(loss) != 1) {
        badm_fail(t, BADM_ERR_SHAPE, BADM_I_TEXT("backward"), BADM_I_TEXT("the loss is %a, a scalar is expected"), loss, NULL, 0,
                  0);
        return t->error.code;
    }
    if (!loss->wants_grad || t->dry) return BADM_OK;
    if (!badm_grad(t, loss)) return t->error.code;
    loss->grad[0] = seed;
    for (y = loss; y && !t->error.code; y = y->previous) {
        if (!y->op || !y->grad || !y->op->backward) continue;
        if (BADM_I_FULL && t->full.norms) t->full.norms->of(t, y);
        t->scratch_used = 0;
        y->op->backward(t, y);
        t->scratch_used = 0;
        if (BADM_I_FULL && t->written && y->grad && y->size >= BADM_I_SPARE_LEAST) {       /* a trainer's: nobody will look at it */
            if (t->full.spares == BADM_I_SPARES) memmove(t->full.spare, t->full.spare + 1, --t->full.spares * sizeof t->full.spare[0]);
            t->full.spare[t->full.spares].at = y->grad;
            t->full.spare[t->full.spares++].size = y->size;
            y->grad = NULL;
        }
    }
    if (BADM_I_FULL) t->full.spares = 0;
    return t->error.code;
}

BADM_API badm_result badm_backward(badm_tape *t, badm_tensor *loss) { return badm_i_backward(t, loss, 1.0f); }

BADM_API size_t badm_tape_dump(const badm_tape *t, char *buf, size_t n)
{
    badm_i_text o = badm_i_text_into(buf, n);
    const badm_tensor *y;
    size_t count = 0, i, j, total = 0;
    for (y = t->last; y; y = y->previous) count++;
    for (i = 0; i < count; i++) {
        char cell[64];
        badm_i_text c = badm_i_text_into(cell, sizeof cell);
        badm_shape s;
        size_t bytes;
        for (y = t->last, j = count - 1; j > i; j--) y = y->previous;
        s = badm_i_shape_of(y);
        bytes = badm_i_shape_size(&s) * sizeof(float);
        total += bytes;
        badm_i_put_padded(&o, y->op ? y->op->name : BADM_I_TEXT("leaf"), 20);
        badm_i_put_char(&o, ' ');
        badm_i_put_shape(&c, &s);
        badm_i_put_padded(&o, cell, 20);
        badm_i_put_char(&o, ' ');
        badm_i_put_number(&o, bytes);
        badm_i_put(&o, y->wants_grad ? BADM_I_TEXT(" bytes, gradient\n") : BADM_I_TEXT(" bytes\n"));
    }
    badm_i_put_number(&o, count);
    badm_i_put(&o, BADM_I_TEXT(" tensors, "));
    badm_i_put_number(&o, total);
    badm_i_put(&o, BADM_I_TEXT(" bytes of numbers, arena "));
    badm_i_put_number(&o, t->used);
    badm_i_put(&o, BADM_I_TEXT(" of "));
    badm_i_put_number(&o, t->capacity);
    badm_i_put_char(&o, '\n');
    return o.length;
}

/* ---- leaves ---- */

static badm_tensor *badm_i_leaf(badm_tape *t, unsigned rank, const badm_dim *shape, const float *values, int wants)
{
    badm_tensor *y;
    if (rank > BADM_MAX_RANK)
        return badm_fail(t, BADM_ERR_SHAPE, BADM_I_TEXT("input"), BADM_I_TEXT("rank %0, at most 4 expected"), NULL, NULL, rank, 0);
    y = badm_i_tensor(t, NULL, rank, shape, 0, 0, 1);
    if (!y) return badm_i_empty();
    if (y->data && values) memcpy(y->data, values, badm_size(y) * sizeof(float));
    else if (y->data) memset(y->data, 0, badm_size(y) * sizeof(float));
    if (wants && t->recording) badm_i_wants(t, y);
    return y;
}

BADM_API badm_tensor *badm_input(badm_tape *t, unsigned rank, const badm_dim *shape, const float *values)
{
    return badm_i_leaf(t, rank, shape, values, 0);
}
BADM_API badm_tensor *badm_variable(badm_tape *t, unsigned rank, const badm_dim *shape, const float *values)
{
    return badm_i_leaf(t, rank, shape, values, 1);
}

BADM_I_INLINE uint8_t badm_i_is_trained(const badm_tape *t, badm_param p, const badm_i_record *r)
{
    return p.model == t->model && r->gradient != BADM_I_NONE;
}

BADM_API float *badm_param_grad(badm_tape *t, badm_param p)
{
    badm_i_record *r = badm_i_record_of(p);
    float *g = r && t->grads && badm_i_is_trained(t, p, r) ? t->grads + r->gradient : NULL;
    if (g && t->written && !t->written[p.index]) {
        t->written[p.index] = 1;
        if (BADM_I_FULL) t->full.begun++;
        memset(g, 0, badm_i_shape_size(&r->shape) * sizeof(float));
    }
    return g;
}

/* Where a parameter's numbers and gradient are. */
static void badm_i_param_place(const badm_tape *t, badm_tensor *y, badm_param p, const badm_i_record *r)
{
    int trained = badm_i_is_trained(t, p, r);
    y->data = (float *)(uintptr_t)(BADM_I_FULL && t->full.local && trained ? t->full.local + r->gradient : badm_i_record_values(p.model, r));
    y->grad = t->grads && trained ? t->grads + r->gradient : NULL;
    y->args = y->grad && t->written ? t->written + p.index : NULL;
    y->wants_grad = t->recording && trained;
}

/* A trained parameter on a trainer's tape: its args are its place in t->written. */
static int badm_i_is_trainers(const badm_tensor *x) { return !x->op && x->args && x->wants_grad; }

/* From here on parameters of t's model are used as these tensors: until t watches again, which it must when numbers or gradients
   are elsewhere. */
static void badm_i_param_keep(badm_tape *t, badm_tensor *kept)
{
    badm_param p;
    size_t i;
    p.model = t->model;
    for (i = 0; i < t->model->count; i++) {
        const badm_i_record *r = badm_i_record_at(t->model, i);
        p.index = (badm_dim)i;
        badm_i_tensor_begin(t, &kept[i], NULL, r->shape.rank, 0);
        badm_i_tensor_shape(&kept[i], r->shape.rank, r->shape.dim);
        badm_i_param_place(t, &kept[i], p, r);
    }
}

BADM_I_APART static badm_tensor *badm_i_param_once(badm_tape *t, badm_param p)
{
    const badm_i_record *r = badm_i_record_of(p);
    badm_tensor *y;
    if (!r)
        return badm_fail(t, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_param_use"), BADM_I_TEXT("there is no such parameter"), NULL,
                         NULL, 0, 0);
    y = badm_i_tensor(t, NULL, r->shape.rank, r->shape.dim, 0, 0, 0);
    if (!y) return badm_i_empty();
    if (t->dry) y->wants_grad = t->recording && badm_i_is_trained(t, p, r);
    else badm_i_param_place(t, y, p, r);
    return y;
}

BADM_API badm_tensor *badm_param_use(badm_tape *t, badm_param p)
{
    if (BADM_I_FULL && t->full.kept && p.model == t->model && p.index < p.model->count && !t->error.code) return &t->full.kept[p.index];
    return badm_i_param_once(t, p);
}

BADM_API badm_tensor *badm_detach(badm_tape *t, badm_tensor *x)
{
    badm_tensor *y = badm_i_tensor(t, NULL, x->rank, x->shape, 0, 0, 0);
    if (!y) return badm_i_empty();
    y->data = x->data;
    return y;
}

/* =====================================================================================================================
   >>autodiff   Operations. Each is one static record with its shape rule, forward and backward side by side; nothing else knows its
   name, so what a program does not call is not linked.

   Data flows x -> forward -> y and dL/dy -> backward -> dL/dx. Gradients accumulate (+=), because a tensor may feed several
   operations. Backward is called only when an input wants a gradient; with several inputs each is asked for on its own.
   ===================================================================================================================== */

/* The names of shapes in errors are %a (first input) and %b (second). */
static badm_tensor *badm_i_shape_error(badm_tape *t, const char *operation, const char *message, const badm_tensor *a,
                                       const badm_tensor *b)
{
    return badm_fail(t, BADM_ERR_SHAPE, operation, message, a, b, 0, 0);
}

static badm_tensor *badm_i_unary(badm_tape *t, const badm_op *op, badm_tensor *x, const void *args, size_t args_bytes)
{
    return badm_record(t, op, x->rank, x->shape, 1, &x, args, args_bytes);
}

/* ---- elementwise functions of one tensor ---- */

typedef void (*badm_i_values)(int level, size_t n, const float *in, float *to);
typedef void (*badm_i_slopes)(int level, size_t n, const float *in, const float *out, const float *dy, uint32_t kept, float *dx);

/* dx += dy DX, where DX is in terms of x and y. */
#define BADM_I_SLOPES(NAME, DX)                                                                 \
    BADM_I_INLINE void badm_i_##NAME##_slopes_body(size_t n, const float *in, const float *out, const float *dy, uint32_t kept, float *dx) \
    {                                                                                           \
        size_t i;                                                                               \
        (void)in; (void)out;                                                                    \
        BADM_I_EACH(i, n) { float x = in[i], y = out[i]; (void)x; (void)y; dx[i] = badm_i_masked(dx[i], kept) + dy[i] * (DX); } \
    }                                                                                           \
    BADM_I_LOOP(badm_i_##NAME##_slopes, (n, in, out, dy, kept, dx), size_t n, const float *in, const float *out, const float *dy, \
                uint32_t kept, float *dx)

/* On a trainer's tape y's gradient, which is used up here, becomes that of x in place, if that has none yet. Of equal sizes. */
BADM_I_INLINE int badm_i_grad_hand_on(badm_tape *t, badm_tensor *y, badm_tensor *x)
{
    if (!t->written || !x->op || !x->wants_grad || x->grad) return 0;
    x->grad = y->grad;
    y->grad = NULL;
    return 1;
}

static void badm_i_elementwise_backward(badm_tape *t, badm_tensor *y, badm_i_slopes slopes)
{
    int fresh;
    badm_tensor *in = y->in[0];
    float *dx;
    if (badm_i_grad_hand_on(t, y, in)) {
        slopes(t->level, badm_size(y), in->data, y->data, in->grad, 0, in->grad);
        return;
    }
    dx = badm_i_grad_start(t, in, &fresh);
    if (dx) slopes(t->level, badm_size(y), y->in[0]->data, y->data, y->grad, fresh ? 0 : BADM_I_KEPT, dx);
}

/* An operation of a function of arrays, badm_i_NAME_values, and its slope. */
#define BADM_I_ELEMENTWISE(NAME, DX)                                                            \
    BADM_I_SLOPES(NAME, DX)                                                                     \
    static void badm_i_##NAME##_forward(badm_tape *t, badm_tensor *y)                           \
    {                                                                                           \
        badm_i_##NAME##_values(t->level, badm_size(y), y->in[0]->data, y->data);                \
    }                                                                                           \
    static void badm_i_##NAME##_backward(badm_tape *t, badm_tensor *y) { badm_i_elementwise_backward(t, y, badm_i_##NAME##_slopes); } \
    BADM_API badm_tensor *badm_##NAME(badm_tape *t, badm_tensor *x)                             \
    {                                                                                           \
        static const badm_op op = { BADM_I_TEXT(#NAME), badm_i_##NAME##_forward, badm_i_##NAME##_backward }; \
        return badm_i_unary(t, &op, x, NULL, 0);                                                \
    }

BADM_I_INLINE void badm_i_relu_values_body(size_t n, const float *in, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) { float x = in[i]; to[i] = x < 0 ? 0.0f : x; }
}
BADM_I_LOOP(badm_i_relu_values, (n, in, to), size_t n, const float *in, float *to)
static void badm_i_sqrt_values(int level, size_t n, const float *in, float *to) { badm_i_sqrt_each(level, n, in, to); }

BADM_I_ELEMENTWISE(relu, badm_i_choose(x > 0, 1.0f, 0.0f))
BADM_I_ELEMENTWISE(tanh, 1.0f - y * y)
BADM_I_ELEMENTWISE(sigmoid, y * (1.0f - y))
BADM_I_ELEMENTWISE(exp, y)
BADM_I_ELEMENTWISE(log, 1.0f / x)
BADM_I_ELEMENTWISE(sqrt, 0.5f / y)

/* ---- gates: y = x g(x). Backward works g out again: that costs less than to keep it ---- */

/* x*phi(x) and the like at infinity are 0, not infinity times 0. */
BADM_I_INLINE float badm_i_times_or_zero(float x, float vanishing) { return badm_i_choose(vanishing == 0.0f, 0.0f, x * vanishing); }

typedef void (*badm_i_gate)(int level, size_t n, const float *in, const float *g, float *to);

static void badm_i_gate_forward(badm_tape *t, badm_tensor *y, badm_i_values inner, badm_i_gate gate)
{
    const float *x = y->in[0]->data;
    size_t n = badm_size(y), i, part;
    float g[BADM_I_RUN];
    for (i = 0; i < n; i += part) {
        part = n - i < BADM_I_RUN ? n - i : BADM_I_RUN;
        inner(t->level, part, x + i, g);
        gate(t->level, part, x + i, g, y->data + i);
    }
}

static void badm_i_gate_backward(badm_tape *t, badm_tensor *y, badm_i_values inner, badm_i_slopes slopes)
{
    const float *x = y->in[0]->data;
    size_t n = badm_size(y), i, part;
    float g[BADM_I_RUN];
    int fresh;
    float *dx = badm_i_grad_start(t, y->in[0], &fresh);
    for (i = 0; dx && i < n; i += part) {
        part = n - i < BADM_I_RUN ? n - i : BADM_I_RUN;
        inner(t->level, part, x + i, g);
        slopes(t->level, part, x + i, g, y->grad + i, fresh ? 0 : BADM_I_KEPT, dx + i);
    }
}

#define BADM_I_GATED(NAME, INNER, GATE)                                                         \
    static void badm_i_##NAME##_forward(badm_tape *t, badm_tensor *y) { badm_i_gate_forward(t, y, INNER, GATE); } \
    static void badm_i_##NAME##_backward(badm_tape *t, badm_tensor *y) { badm_i_gate_backward(t, y, INNER, badm_i_##NAME##_slopes); } \
    BADM_API badm_tensor *badm_##NAME(badm_tape *t, badm_tensor *x)                             \
    {                                                                                           \
        static const badm_op op = { BADM_I_TEXT(#NAME), badm_i_##NAME##_forward, badm_i_##NAME##_backward }; \
        return badm_i_unary(t, &op, x, NULL, 0);                                                \
    }

BADM_I_INLINE void badm_i_gate_by_body(size_t n, const float *in, const float *g, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = badm_i_times_or_zero(in[i], g[i]);
}
BADM_I_LOOP(badm_i_gate_by, (n, in, g, to), size_t n, const float *in, const float *g, float *to)

/* gate by (1+g)/2 */
BADM_I_INLINE void badm_i_gate_by_half_body(size_t n, const float *in, const float *g, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = badm_i_times_or_zero(in[i], 0.5f * (1.0f + g[i]));
}
BADM_I_LOOP(badm_i_gate_by_half, (n, in, g, to), size_t n, const float *in, const float *g, float *to)

BADM_I_SLOPES(silu, y + badm_i_times_or_zero(x, y * (1.0f - y)))
BADM_I_GATED(silu, badm_i_sigmoid_values, badm_i_gate_by)

/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
BADM_I_INLINE void badm_i_cubic_body(size_t n, const float *in, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) { float x = in[i]; to[i] = 0.797884561f * (x + 0.044715f * x * x * x); }
}
BADM_I_LOOP(badm_i_cubic, (n, in, to), size_t n, const float *in, float *to)

static void badm_i_gelu_tanh_inner(int level, size_t n, const float *in, float *to)
{
    badm_i_cubic(level, n, in, to);
    badm_i_tanh_values(level, n, to, to);
}

BADM_I_SLOPES(gelu_tanh, 0.5f * (1.0f + y)
                         + badm_i_times_or_zero(0.5f * x * 0.797884561f * (1.0f + 0.134145f * x * x), 1.0f - y * y))
BADM_I_GATED(gelu_tanh, badm_i_gelu_tanh_inner, badm_i_gate_by_half)

/* x times the normal distribution, (1 + erf(x/sqrt(2)))/2. */
static void badm_i_gelu_inner(int level, size_t n, const float *in, float *to)
{
    badm_i_set_scaled(level, n, 0.707106781f, in, to);
    badm_i_erf_values(level, n, to, to);
}

BADM_I_INLINE void badm_i_minus_half_square_body(size_t n, const float *in, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) { float x = in[i]; to[i] = -0.5f * x * x; }
}
BADM_I_LOOP(badm_i_minus_half_square, (n, in, to), size_t n, const float *in, float *to)

/* x's slope is what the distribution is, plus x times the density: g = erf(x/sqrt(2)), e = e^(-x^2/2). */
BADM_I_INLINE void badm_i_normal_slopes_body(size_t n, const float *in, const float *g, const float *e, const float *dy, uint32_t kept,
                                             float *dx)
{
    size_t i;
    BADM_I_EACH(i, n) dx[i] = badm_i_masked(dx[i], kept)
                              + dy[i] * (0.5f * (1.0f + g[i]) + badm_i_times_or_zero(in[i], 0.398942280f * e[i]));
}
BADM_I_LOOP(badm_i_normal_slopes, (n, in, g, e, dy, kept, dx), size_t n, const float *in, const float *g, const float *e, const float *dy,
            uint32_t kept, float *dx)

static void badm_i_gelu_slopes(int level, size_t n, const float *in, const float *g, const float *dy, uint32_t kept, float *dx)
{
    float e[BADM_I_RUN];
    e[0] = 0;                                   /* compilers cannot see that n > 0 */
    badm_i_minus_half_square(level, n, in, e);
    badm_i_exp_values(level, n, e, e);
    badm_i_normal_slopes(level, n, in, g, e, dy, kept, dx);
}
BADM_I_GATED(gelu, badm_i_gelu_inner, badm_i_gate_by_half)

/* ---- elementwise with one number: leaky_relu, scale, shift ---- */

#define BADM_I_ELEMENTWISE_WITH(NAME, Y, DX)                                                    \
    BADM_I_INLINE void badm_i_##NAME##_values_body(size_t n, float c, const float *in, float *to) \
    {                                                                                           \
        size_t i;                                                                               \
        BADM_I_EACH(i, n) { float x = in[i]; to[i] = (Y); }                               \
    }                                                                                           \
    BADM_I_LOOP(badm_i_##NAME##_values, (n, c, in, to), size_t n, float c, const float *in, float *to) \
    BADM_I_INLINE void badm_i_##NAME##_slopes_body(size_t n, float c, const float *in, const float *dy, float *dx) \
    {                                                                                           \
        size_t i;                                                                               \
        (void)in; (void)c;                                                                      \
        BADM_I_EACH(i, n) { float x = in[i]; (void)x; dx[i] += dy[i] * (DX); }            \
    }                                                                                           \
    BADM_I_LOOP(badm_i_##NAME##_slopes, (n, c, in, dy, dx), size_t n, float c, const float *in, const float *dy, float *dx) \
    static void badm_i_##NAME##_forward(badm_tape *t, badm_tensor *y)                           \
    {                                                                                           \
        badm_i_##NAME##_values(t->level, badm_size(y), *(const float *)y->args, y->in[0]->data, y->data); \
    }                                                                                           \
    static void badm_i_##NAME##_backward(badm_tape *t, badm_tensor *y)                          \
    {                                                                                           \
        float *dx = badm_grad(t, y->in[0]);                                                     \
        if (dx) badm_i_##NAME##_slopes(t->level, badm_size(y), *(const float *)y->args, y->in[0]->data, y->grad, dx); \
    }                                                                                           \
    BADM_API badm_tensor *badm_##NAME(badm_tape *t, badm_tensor *x, float c)                    \
    {                                                                                           \
        static const badm_op op = { BADM_I_TEXT(#NAME), badm_i_##NAME##_forward, badm_i_##NAME##_backward }; \
        return badm_i_unary(t, &op, x, &c, sizeof c);                                           \
    }

BADM_I_ELEMENTWISE_WITH(leaky_relu, badm_i_choose(x < 0, c * x, x), badm_i_choose(x > 0, 1.0f, c))
BADM_I_ELEMENTWISE_WITH(scale, c * x, c)
BADM_I_ELEMENTWISE_WITH(shift, x + c, 1.0f)

/* ---- elementwise on two tensors, with broadcasting ---- */

/* Output extents and the strides of both inputs over them, right-aligned to four dimensions; a repeated dimension has stride 0.
   Equal shapes become one long row. */
typedef struct badm_i_nest { size_t extent[4], a[4], b[4]; } badm_i_nest;

static void badm_i_strides(const badm_tensor *y, const badm_tensor *x, size_t stride[4])
{
    size_t step = 1;
    int i, shift = y->rank - x->rank;
    for (i = 0; i < 4; i++) stride[i] = 0;
    for (i = y->rank - 1; i >= shift; i--) {
        size_t d = x->shape[i - shift];
        stride[4 - y->rank + i] = d == 1 ? 0 : step;
        step *= d;
    }
}

static badm_i_nest badm_i_nest_of(const badm_tensor *y)
{
    badm_i_nest n;
    int i;
    size_t size = badm_size(y);
    for (i = 0; i < 4; i++) n.extent[i] = i < 4 - y->rank ? 1 : y->shape[i - (4 - y->rank)];
    if (badm_size(y->in[0]) == size && badm_size(y->in[1]) == size) {
        for (i = 0; i < 4; i++) n.extent[i] = n.a[i] = n.b[i] = i == 3 ? 1 : 0;
        for (i = 0; i < 3; i++) n.extent[i] = 1;
        n.extent[3] = size;
        return n;
    }
    badm_i_strides(y, y->in[0], n.a);
    badm_i_strides(y, y->in[1], n.b);
    return n;
}

static badm_tensor *badm_i_binary(badm_tape *t, const badm_op *op, badm_tensor *a, badm_tensor *b)
{
    badm_dim shape[BADM_MAX_RANK];
    badm_tensor *in[2];
    unsigned rank = a->rank > b->rank ? a->rank : b->rank, i;
    for (i = 0; i < rank; i++) {        /* from the last dimension on */
        badm_dim da = i < a->rank ? a->shape[a->rank - 1 - i] : 1, db = i < b->rank ? b->shape[b->rank - 1 - i] : 1;
        if (da != db && da != 1 && db != 1)
            return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a and %b: dimensions from the right must be equal or 1"), a, b);
        shape[rank - 1 - i] = da == 1 ? db : da;
    }
    in[0] = a;
    in[1] = b;
    return badm_record(t, op, rank, shape, 2, in, NULL, 0);
}

typedef void (*badm_i_pairs)(int level, size_t n, const float *a, const float *b, float *to);
typedef void (*badm_i_pairs_back)(int level, size_t n, const float *a, const float *b, const float *dy, float *to);

BADM_I_INLINE void badm_i_repeat_body(size_t n, float c, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = c;
}
BADM_I_LOOP(badm_i_repeat, (n, c, to), size_t n, float c, float *to)

/* x, or a repeated number as an array. */
static const float *badm_i_repeated(int level, size_t n, const float *x, size_t stride, float *space)
{
    if (stride) return x;
    badm_i_repeat(level, n < BADM_I_RUN ? n : BADM_I_RUN, *x, space);
    return space;
}

/* A row of the last dimension, whose strides are 1 or 0: all at once, or in runs where an operand is repeated. */
static void badm_i_row(int level, badm_i_pairs loop, size_t n, const float *a, size_t as, const float *b, size_t bs, float *to)
{
    float space_a[BADM_I_RUN], space_b[BADM_I_RUN];
    size_t i, part = BADM_I_RUN;
    if ((as && bs) || n == 1) { loop(level, n, a, b, to); return; }
    a = badm_i_repeated(level, n, a, as, space_a);
    b = badm_i_repeated(level, n, b, bs, space_b);
    for (i = 0; i < n; i += part) {
        if (part > n - i) part = n - i;
        loop(level, part, a + i * as, b + i * bs, to + i);
    }
}

/* What a repeated operand gets is added to it one after the other. */
static void badm_i_row_back(int level, badm_i_pairs_back loop, size_t n, const float *a, size_t as, const float *b, size_t bs,
                            const float *dy, float *to, size_t to_stride)
{
    float space_a[BADM_I_RUN], space_b[BADM_I_RUN], each[BADM_I_RUN];
    size_t i, j, part = BADM_I_RUN;
    if ((as && bs) || n == 1) { loop(level, n, a, b, dy, to); return; }
    a = badm_i_repeated(level, n, a, as, space_a);
    b = badm_i_repeated(level, n, b, bs, space_b);
    for (i = 0; i < n; i += part) {
        if (part > n - i) part = n - i;
        if (to_stride) loop(level, part, a + i * as, b + i * bs, dy + i, to + i);
        else {
            float sum = *to;
            badm_i_repeat(level, part, -0.0f, each);              /* what adding changes nothing */
            loop(level, part, a + i * as, b + i * bs, dy + i, each);
            for (j = 0; j < part; j++) sum += each[j];
            *to = sum;
        }
    }
}

static void badm_i_binary_forward(badm_tape *t, badm_tensor *out, badm_i_pairs loop)
{
    const float *a = out->in[0]->data, *b = out->in[1]->data;
    float *to = out->data;
    badm_i_nest n = badm_i_nest_of(out);
    size_t i, j, k;
    for (i = 0; i < n.extent[0]; i++)
        for (j = 0; j < n.extent[1]; j++)
            for (k = 0; k < n.extent[2]; k++, to += n.extent[3])
                badm_i_row(t->level, loop, n.extent[3], a + i * n.a[0] + j * n.a[1] + k * n.a[2], n.a[3],
                           b + i * n.b[0] + j * n.b[1] + k * n.b[2], n.b[3], to);
}

static void badm_i_binary_backward(badm_tape *t, badm_tensor *out, badm_i_pairs_back loop_a, badm_i_pairs_back loop_b)
{
    const float *a = out->in[0]->data, *b = out->in[1]->data, *dy = out->grad;
    float *da = badm_grad(t, out->in[0]), *db = badm_grad(t, out->in[1]);
    badm_i_nest n = badm_i_nest_of(out);
    size_t i, j, k;
    for (i = 0; i < n.extent[0]; i++)
        for (j = 0; j < n.extent[1]; j++)
            for (k = 0; k < n.extent[2]; k++, dy += n.extent[3]) {
                size_t p = i * n.a[0] + j * n.a[1] + k * n.a[2], q = i * n.b[0] + j * n.b[1] + k * n.b[2];
                if (da) badm_i_row_back(t->level, loop_a, n.extent[3], a + p, n.a[3], b + q, n.b[3], dy, da + p, n.a[3]);
                if (db) badm_i_row_back(t->level, loop_b, n.extent[3], a + p, n.a[3], b + q, n.b[3], dy, db + q, n.b[3]);
            }
}

/* Y in terms of x (of a) and z (of b); D, what is added to a gradient, also in terms of dy. */
#define BADM_I_PAIRS(NAME, Y)                                                                   \
    BADM_I_INLINE void badm_i_##NAME##_pairs_body(size_t n, const float *a, const float *b, float *to) \
    {                                                                                           \
        size_t i;                                                                               \
        BADM_I_EACH(i, n) { float x = a[i], z = b[i]; to[i] = (Y); }                            \
    }                                                                                           \
    BADM_I_LOOP(badm_i_##NAME##_pairs, (n, a, b, to), size_t n, const float *a, const float *b, float *to)
#define BADM_I_PAIRS_BACK(NAME, D)                                                              \
    BADM_I_INLINE void badm_i_##NAME##_body(size_t n, const float *a, const float *b, const float *from, float *to) \
    {                                                                                           \
        size_t i;                                                                               \
        (void)a; (void)b;                                                                       \
        BADM_I_EACH(i, n) { float x = a[i], z = b[i], dy = from[i]; (void)x; (void)z; to[i] += (D); } \
    }                                                                                           \
    BADM_I_LOOP(badm_i_##NAME, (n, a, b, from, to), size_t n, const float *a, const float *b, const float *from, float *to)

#define BADM_I_BINARY(NAME, Y, DA, DB)                                                          \
    BADM_I_PAIRS(NAME, Y)                                                                       \
    BADM_I_PAIRS_BACK(NAME##_da, DA)                                                            \
    BADM_I_PAIRS_BACK(NAME##_db, DB)                                                            \
    static void badm_i_##NAME##_forward(badm_tape *t, badm_tensor *out) { badm_i_binary_forward(t, out, badm_i_##NAME##_pairs); } \
    static void badm_i_##NAME##_backward(badm_tape *t, badm_tensor *out)                        \
    {                                                                                           \
        badm_i_binary_backward(t, out, badm_i_##NAME##_da, badm_i_##NAME##_db);                 \
    }                                                                                           \
    BADM_API badm_tensor *badm_##NAME(badm_tape *t, badm_tensor *a, badm_tensor *b)             \
    {                                                                                           \
        static const badm_op op = { BADM_I_TEXT(#NAME), badm_i_##NAME##_forward, badm_i_##NAME##_backward }; \
        return badm_i_binary(t, &op, a, b);                                                     \
    }

BADM_I_BINARY(add, x + z, dy, dy)
BADM_I_BINARY(sub, x - z, dy, -dy)
BADM_I_BINARY(mul, x * z, dy * z, dy * x)
BADM_I_BINARY(div, x / z, dy / z, -(dy * (x / z)) / z)

/* ---- matrix products ---- */

/* Products of `batch` pairs: y[m,n] = a[m,k] b[k,n], each possibly stored transposed; b_step 0: one b for all. */
typedef struct badm_i_product { size_t batch, m, n, k, b_step; uint8_t a_turned, b_turned; } badm_i_product;

/* A product split by columns or, where there are few, rows. */
typedef struct badm_i_split_product {
    size_t m, n, k, a_row, a_term, b_term, b_col, from_row, c_row, each, scratch_bytes;
    const float *a, *b, *from;
    float *c, *scratch;
    int by_columns;
} badm_i_split_product;

static void badm_i_multiply_part(const badm_tape *t, void *arg, uint32_t part)
{
    const badm_i_split_product *p = (const badm_i_split_product *)arg;
    size_t first = p->each * part, left = (p->by_columns ? p->n : p->m) - first, count = left < p->each ? left : p->each;
    size_t i = p->by_columns ? 0 : first, j = p->by_columns ? first : 0;
    badm_i_gemm(t->full.kernels, t->level, p->scratch + part * (p->scratch_bytes / sizeof(float)), p->scratch_bytes,
                p->by_columns ? p->m : count, p->by_columns ? count : p->n, p->k, p->a + i * p->a_row, p->a_row, p->a_term,
                p->b + j * p->b_col, p->b_term, p->b_col, p->from ? p->from + i * p->from_row + j : NULL, p->from_row,
                p->c + i * p->c_row + j, p->c_row);
}

/* Multiply-adds that are worth a worker's while: some tens of microseconds. */
#define BADM_I_WORTH_PRODUCT 1000000u

/* How many workers share a product, and its rows or columns `each` takes: 1 where BLAS computes, whose bits depend on the size. */
static uint32_t badm_i_split(const badm_tape *t, size_t m, size_t n, size_t k, int *by_columns, size_t *each)
{
#ifdef BADM_USE_CBLAS
    (void)t; (void)m; (void)k;
    *by_columns = 1;
    *each = n;
    return 1;
#else
    uint32_t parts = badm_i_parts(t, (uint64_t)m * n * k, BADM_I_WORTH_PRODUCT);
    size_t size = n, unit = BADM_I_WIDEST;
    if (parts < 2) return 1;
    *by_columns = n >= m || n >= (size_t)parts * 4 * BADM_I_WIDEST;
    if (!*by_columns) { size = m; unit = 2 * BADM_I_TALLEST; }
    *each = ((size + parts - 1) / parts + unit - 1) / unit * unit;
    return (uint32_t)((size + *each - 1) / *each);
#endif
}

/* `bytes` of scratch for each of a product's parts. */
static void badm_i_reserve_split(badm_tape *t, size_t m, size_t n, size_t k, size_t bytes)
{
    size_t each;
    int by_columns;
    badm_scratch_reserve(t, badm_i_split(t, m, n, k, &by_columns, &each) * badm_i_round_up(bytes, BADM_I_ALIGN));
}

/* c[m,n] = what stands at `from` + op(a) op(b) (see badm_i_gemm), scratch taken for the length of the call. */
static void badm_i_multiply_large(badm_tape *t, size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_term,
                                  const float *b, size_t b_term, size_t b_col, const float *from, size_t from_row, float *c,
                                  size_t c_row)
{
    size_t bytes, before = t->scratch_used;
    float *scratch;
    int packs = badm_i_packs_rows(m, n), turns = badm_i_turns_result(m, n, k, a_term, b_col);
    bytes = badm_i_gemm_scratch(t->full.kernels, m, n, k, packs, turns);
    if (t->full.team > 1) {
        badm_i_split_product p;
        uint32_t parts = badm_i_split(t, m, n, k, &p.by_columns, &p.each);
        p.scratch_bytes = badm_i_round_up(bytes, BADM_I_ALIGN);
        if (parts > 1 && p.scratch_bytes * parts <= t->capacity - t->used - before) {
            p.scratch = bytes ? (float *)badm_scratch(t, p.scratch_bytes * parts) : NULL;
            p.m = m; p.n = n; p.k = k;
            p.a = a; p.a_row = a_row; p.a_term = a_term;
            p.b = b; p.b_term = b_term; p.b_col = b_col;
            p.from = from; p.from_row = from_row; p.c = c; p.c_row = c_row;
            badm_i_spread(t, parts, badm_i_multiply_part, &p);
            t->scratch_used = before;
            return;
        }
    }
    /* a smaller batch may want what the largest, for which the tape was measured, did not */
    if (bytes > t->capacity - t->used - before) bytes = badm_i_gemm_scratch(t->full.kernels, m, n, k, 0, 0);
    scratch = bytes ? (float *)badm_scratch(t, bytes) : NULL;
    if (!bytes || scratch)
        badm_i_gemm(t->full.kernels, t->level, scratch, bytes, m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row);
    t->scratch_used = before;
}

/* The same; narrow products need none, and are so short that passing the arguments on once more would show. */
BADM_I_INLINE void badm_i_multiply(badm_tape *t, size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_term,
                                   const float *b, size_t b_term, size_t b_col, const float *from, size_t from_row, float *c,
                                   size_t c_row)
{
#if defined(BADM_I_VECTORS) && defined(BADM_I_X86)
    if (badm_i_is_narrow(t->level, m, n, k)) {
        badm_i_gemm_narrow(m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row);
        return;
    }
#endif
    if (BADM_I_FULL) badm_i_multiply_large(t, m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row);
    else badm_i_gemm_plain(m, n, k, a, a_row, a_term, b, b_term, b_col, from, from_row, c, c_row);
}

/* Scratch for a product and those of its backward pass, which have the same three sizes in other places. */
static void badm_i_multiply_reserve(badm_tape *t, size_t m, size_t n, size_t k)
{
    static const uint8_t order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    size_t size[3];
    int i;
    if (!t->dry || !BADM_I_FULL) return;
    badm_i_count_work(t, (uint64_t)m * n * k);
    size[0] = m;
    size[1] = n;
    size[2] = k;
    for (i = 0; i < 6; i++) {
        m = size[order[i][0]];
        n = size[order[i][1]];
        k = size[order[i][2]];
        badm_i_reserve_split(t, m, n, k, badm_i_gemm_scratch(t->full.kernels, m, n, k,
                                                    badm_i_packs_rows(m, n),
                                                    badm_i_turns_result(m, n, k, 1, 0)));
    }
}

static void badm_i_matmul_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_product *p = (const badm_i_product *)y->args;
    const float *a = y->in[0]->data, *b = y->in[1]->data;
    float *c = y->data;
    size_t i;
    for (i = 0; i < p->batch; i++)
        badm_i_multiply(t, p->m, p->n, p->k, a + i * p->m * p->k, p->a_turned ? 1 : p->k, p->a_turned ? p->m : 1,
                        b + i * p->b_step, p->b_turned ? 1 : p->n, p->b_turned ? p->k : 1, NULL, 0, c + i * p->m * p->n, p->n);
}

static void badm_i_matmul_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_product *p = (const badm_i_product *)y->args;
    const float *a = y->in[0]->data, *b = y->in[1]->data, *dy = y->grad;
    int da_fresh, db_fresh;
    float *da = badm_i_grad_start(t, y->in[0], &da_fresh), *db = badm_i_grad_start(t, y->in[1], &db_fresh);
    size_t i, m = p->m, n = p->n, k = p->k, b_term = p->b_turned ? 1 : n, b_col = p->b_turned ? k : 1;
    for (i = 0; i < p->batch; i++, a += m * k, b += p->b_step, dy += m * n) {
        float *da_i = da ? da + i * m * k : NULL, *db_i = db ? db + i * p->b_step : NULL;
        const float *da_from = da_fresh ? NULL : da_i, *db_from = db_fresh && (i == 0 || p->b_step) ? NULL : db_i;
        if (da && !p->a_turned) badm_i_multiply(t, m, k, n, dy, n, 1, b, b_col, b_term, da_from, k, da_i, k);     /* dA = dY B^T */
        /* (dA)^T = B dY^T */
        if (da && p->a_turned) badm_i_multiply(t, k, m, n, b, b_term, b_col, dy, 1, n, da_from, m, da_i, m);
        if (db && !p->b_turned)                                                                                 /* dB = A^T dY */
            badm_i_multiply(t, k, n, m, a, p->a_turned ? m : 1, p->a_turned ? 1 : k, dy, n, 1, db_from, n, db_i, n);
        if (db && p->b_turned)                                                                                  /* (dB)^T = dY^T A */
            badm_i_multiply(t, n, k, m, dy, 1, n, a, p->a_turned ? 1 : k, p->a_turned ? m : 1, db_from, k, db_i, k);
    }
}

static badm_tensor *badm_i_matmul(badm_tape *t, const badm_op *op, badm_tensor *a, badm_tensor *b, int a_turned, int b_turned)
{
    badm_i_product p;
    badm_tensor *in[2];
    badm_dim shape[BADM_MAX_RANK];
    unsigned i, ra = a->rank, rb = b->rank;
    memset(&p, 0, sizeof p);
    if (ra < 2 || rb < 2 || (rb != ra && rb != 2))
        return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a x %b: two matrices, or stacks of equally many, are expected"), a, b);
    p.a_turned = (uint8_t)a_turned;
    p.b_turned = (uint8_t)b_turned;
    p.m = a->shape[ra - 2 + (unsigned)a_turned];
    p.k = a->shape[ra - 1 - (unsigned)a_turned];
    p.n = b->shape[rb - 1 - (unsigned)b_turned];
    if (b->shape[rb - 2 + (unsigned)b_turned] != p.k)
        return badm_fail(t, BADM_ERR_SHAPE, op->name, BADM_I_TEXT("%a x %b: inner dimensions differ (%0, %1)"), a, b,
                         (unsigned long)p.k, (unsigned long)b->shape[rb - 2 + (unsigned)b_turned]);
    p.batch = 1;
    for (i = 0; i + 2 < ra; i++) {
        if (rb > 2 && a->shape[i] != b->shape[i])
            return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a x %b: leading dimensions differ"), a, b);
        shape[i] = a->shape[i];
        p.batch *= a->shape[i];
    }
    shape[ra - 2] = (badm_dim)p.m;
    shape[ra - 1] = (badm_dim)p.n;
    p.b_step = rb > 2 ? p.k * p.n : 0;
    if (rb == 2 && !a_turned) { p.m *= p.batch; p.batch = 1; }          /* one tall product */
    in[0] = a;
    in[1] = b;
    badm_i_multiply_reserve(t, p.m, p.n, p.k);
    if (t->dry) badm_i_count_work(t, (uint64_t)(p.batch - 1) * p.m * p.n * p.k);
    return badm_record(t, op, ra, shape, 2, in, &p, sizeof p);
}

BADM_API badm_tensor *badm_matmul(badm_tape *t, badm_tensor *a, badm_tensor *b)
{
    static const badm_op op = { BADM_I_TEXT("matmul"), badm_i_matmul_forward, badm_i_matmul_backward };
    return badm_i_matmul(t, &op, a, b, 0, 0);
}

BADM_API badm_tensor *badm_matmul_nt(badm_tape *t, badm_tensor *a, badm_tensor *b)
{
    static const badm_op op = { BADM_I_TEXT("matmul_nt"), badm_i_matmul_forward, badm_i_matmul_backward };
    return badm_i_matmul(t, &op, a, b, 0, 1);
}

BADM_API badm_tensor *badm_matmul_tn(badm_tape *t, badm_tensor *a, badm_tensor *b)
{
    static const badm_op op = { BADM_I_TEXT("matmul_tn"), badm_i_matmul_forward, badm_i_matmul_backward };
    return badm_i_matmul(t, &op, a, b, 1, 0);
}

/* ---- affine: y = x W^T + b; dx = dy W, dW = dy^T x, db = column sums of dy ---- */

static void badm_i_affine_forward(badm_tape *t, badm_tensor *y)
{
    const float *x = y->in[0]->data, *w = y->in[1]->data, *b = y->inputs > 2 ? y->in[2]->data : NULL;
    size_t out = y->in[1]->shape[0], in = y->in[1]->shape[1], rows = badm_size(y) / out;
    badm_i_multiply(t, rows, out, in, x, in, 1, w, 1, in, b, 0, y->data, out);
}

static void badm_i_affine_backward(badm_tape *t, badm_tensor *y)
{
    const float *x = y->in[0]->data, *w = y->in[1]->data, *dy = y->grad;
    int dx_fresh, dw_fresh, db_fresh = 0;
    float *dx = badm_i_grad_start(t, y->in[0], &dx_fresh), *dw = badm_i_grad_start(t, y->in[1], &dw_fresh);
    float *db = y->inputs > 2 ? badm_i_grad_start(t, y->in[2], &db_fresh) : NULL;
    size_t out = y->in[1]->shape[0], in = y->in[1]->shape[1], rows = badm_size(y) / out;
    if (dx) badm_i_multiply(t, rows, in, out, dy, out, 1, w, in, 1, dx_fresh ? NULL : dx, in, dx, in);          /* first: w may be x */
    if (dw) badm_i_multiply(t, out, in, rows, dy, 1, out, x, in, 1, dw_fresh ? NULL : dw, in, dw, in);
    if (db) badm_i_sum_rows(t->level, rows, out, dy, db_fresh, db);
}

BADM_API badm_tensor *badm_affine(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias)
{
    static const badm_op op = { BADM_I_TEXT("affine"), badm_i_affine_forward, badm_i_affine_backward };
    badm_tensor *in[3];
    badm_dim shape[BADM_MAX_RANK];
    unsigned i;
    size_t rows = 1;
    if (x->rank < 1 || weight->rank != 2 || x->shape[x->rank - 1] != weight->shape[1])
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a with weight %b: the last dimension must be the weight's second"), x, weight);
    if (bias && (bias->rank != 1 || bias->shape[0] != weight->shape[0]))
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("bias %a with weight %b: one number a row of the weight is expected"),
                                  bias, weight);
    for (i = 0; i + 1 < x->rank; i++) { shape[i] = x->shape[i]; rows *= shape[i]; }
    shape[x->rank - 1] = weight->shape[0];
    in[0] = x;
    in[1] = weight;
    in[2] = bias;
    badm_i_multiply_reserve(t, rows, weight->shape[0], weight->shape[1]);
    return badm_record(t, &op, x->rank, shape, bias ? 3 : 2, in, NULL, 0);
}

/* ---- softmax and log_softmax over the last dimension ---- */

static size_t badm_i_last(const badm_tensor *x) { return x->rank ? x->shape[x->rank - 1] : 1; }

/* to = x - c */
BADM_I_INLINE void badm_i_less_body(size_t n, const float *x, float c, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = x[i] - c;
}
BADM_I_LOOP(badm_i_less, (n, x, c, to), size_t n, const float *x, float c, float *to)

/* log sum exp of each row is most + rest. Kept apart: where all logits are large, their sum would lose the digits that
   x - most - rest still has. Several short rows go through exp together. */
static void badm_i_log_sum_exp(int level, size_t rows, size_t n, const float *x, float *most, float *rest)
{
    float space[BADM_I_RUN];
    size_t r, i, done, part, together = n < BADM_I_RUN ? BADM_I_RUN / n : 1;
    for (done = 0; done < rows; done += together) {
        if (together > rows - done) together = rows - done;
        for (r = done; r < done + together; r++) badm_i_largest(level, n, x + r * n, most + r);
        if (n > BADM_I_RUN) {
            float lane[BADM_I_LANES] = { 0 };
            for (i = 0; i < n; i += part) {
                part = n - i < BADM_I_RUN ? n - i : BADM_I_RUN;
                badm_i_less(level, part, x + done * n + i, most[done], space);
                badm_i_exp_values(level, part, space, space);
                badm_i_sum_to_lanes(level, part, space, lane + i % BADM_I_LANES);
            }
            rest[done] = badm_i_fold_lanes(lane);
            continue;
        }
        for (r = 0; r < together; r++) {
            const float *row = x + (done + r) * n;
            for (i = 0; i < n; i++) space[r * n + i] = row[i] - most[done + r];
        }
        badm_i_exp_values(level, together * n, space, space);
        for (r = 0; r < together; r++) {
            float lane[BADM_I_LANES] = { 0 };
            badm_i_sum_to_lanes(level, n, space + r * n, lane);
            rest[done + r] = badm_i_fold_lanes(lane);
        }
    }
    badm_i_log_values(level, rows, rest, rest);
}

/* dx[i] = what is kept of it + scale * p[i] */
BADM_I_INLINE void badm_i_add_kept_body(size_t n, uint32_t kept, float scale, const float *p, float *dx)
{
    size_t i;
    BADM_I_EACH(i, n) dx[i] = badm_i_masked(dx[i], kept) + scale * p[i];
}
BADM_I_LOOP(badm_i_add_kept, (n, kept, scale, p, dx), size_t n, uint32_t kept, float scale, const float *p, float *dx)

/* scale exp((x - most) - rest) of each row, added to what is kept of `to`. Short rows go through exp together. */
static void badm_i_add_softmax(int level, size_t rows, size_t n, const float *most, const float *rest, float scale, uint32_t kept,
                               const float *x, float *to)
{
    float space[BADM_I_RUN];
    size_t all = rows * n, row = 0, column = 0, i, j, part;
    for (i = 0; i < all; i += part) {
        part = all - i < BADM_I_RUN ? all - i : BADM_I_RUN;
        for (j = 0; j < part; j++) {
            space[j] = (x[i + j] - most[row]) - rest[row];
            if (++column == n) { column = 0; row++; }
        }
        badm_i_exp_values(level, part, space, space);
        badm_i_add_kept(level, part, kept, scale, space, to + i);
    }
}

static void badm_i_softmax_forward(badm_tape *t, badm_tensor *y)
{
    const float *x = y->in[0]->data;
    float *out = y->data, most;
    size_t n = badm_i_last(y), rows = badm_size(y) / n, r, i;
    for (r = 0; r < rows; r++) {
        badm_i_largest(t->level, n, x + r * n, &most);
        badm_i_less(t->level, n, x + r * n, most, out + r * n);
    }
    badm_i_exp_values(t->level, rows * n, out, out);
    for (r = 0; r < rows; r++, out += n) {
        float lane[BADM_I_LANES] = { 0 }, sum;
        badm_i_sum_to_lanes(t->level, n, out, lane);
        sum = badm_i_fold_lanes(lane);
        for (i = 0; i < n; i++) out[i] /= sum;
    }
}

static void badm_i_softmax_backward(badm_tape *t, badm_tensor *y)
{
    const float *p = badm_data(t, y), *dy = badm_grad(t, y);
    float *dx = badm_grad(t, y->in[0]);
    size_t n = badm_i_last(y), rows = badm_size(y) / (n ? n : 1), i;
    if (!dx) return;
    for (; rows > 0; rows--, p += n, dy += n, dx += n) {
        float inner = badm_i_dot(t->level, p, dy, n);
        for (i = 0; i < n; i++) dx[i] += p[i] * (dy[i] - inner);
    }
}

BADM_API badm_tensor *badm_softmax(badm_tape *t, badm_tensor *x)
{
    static const badm_op op = { BADM_I_TEXT("softmax"), badm_i_softmax_forward, badm_i_softmax_backward };
    if (x->rank < 1) return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a: at least one dimension is expected"), x, NULL);
    return badm_i_unary(t, &op, x, NULL, 0);
}

static void badm_i_log_softmax_forward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]);
    float *out = badm_data(t, y);
    size_t n = badm_i_last(y), rows = badm_size(y) / (n ? n : 1), i;
    for (; rows > 0; rows--, x += n, out += n) {
        float most, rest;
        badm_i_log_sum_exp(t->level, 1, n, x, &most, &rest);
        for (i = 0; i < n; i++) out[i] = (x[i] - most) - rest;
    }
}

static void badm_i_log_softmax_backward(badm_tape *t, badm_tensor *y)
{
    const float *logp = badm_data(t, y), *dy = badm_grad(t, y);
    float *dx = badm_grad(t, y->in[0]);
    size_t n = badm_i_last(y), rows = badm_size(y) / (n ? n : 1), i;
    if (!dx) return;
    for (; rows > 0; rows--, logp += n, dy += n, dx += n) {
        badm_i_sum s = { 0, 0 };
        float sum;
        badm_i_sum_dot(t->level, &s, dy, NULL, n);
        sum = badm_i_sum_value(&s);
        for (i = 0; i < n; i++) dx[i] += dy[i] - badm_expf(logp[i]) * sum;
    }
}

BADM_API badm_tensor *badm_log_softmax(badm_tape *t, badm_tensor *x)
{
    static const badm_op op = { BADM_I_TEXT("log_softmax"), badm_i_log_softmax_forward, badm_i_log_softmax_backward };
    if (x->rank < 1) return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a: at least one dimension is expected"), x, NULL);
    return badm_i_unary(t, &op, x, NULL, 0);
}

/* ---- cross entropy: mean over counted rows of logsumexp(x) - x[label]; dx = (softmax - onehot)/counted ---- */

typedef struct badm_i_cross_entropy { const int32_t *label; float *most, *rest; int32_t ignore; uint32_t counted; } badm_i_cross_entropy;

static void badm_i_cross_entropy_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_cross_entropy *c = (badm_i_cross_entropy *)y->args;
    const float *x = badm_data(t, y->in[0]);
    size_t n = badm_i_last(y->in[0]), rows = badm_size(y->in[0]) / n, i, j;
    badm_i_sum loss = { 0, 0 };
    uint32_t hits = 0;
    c->counted = 0;
    badm_i_log_sum_exp(t->level, rows, n, x, c->most, c->rest);
    for (i = 0; i < rows; i++, x += n) {
        size_t label = (size_t)c->label[i];
        if (c->label[i] == c->ignore) continue;
        if (c->label[i] < 0 || (size_t)c->label[i] >= n) {
            badm_fail(t, BADM_ERR_LABEL, y->op->name, c->label[i] < 0
                ? BADM_I_TEXT("label -%0 of row %1: 0 up to the number of classes is expected, logits are %a")
                : BADM_I_TEXT("label %0 of row %1 is not below the number of classes, logits are %a"),
                y->in[0], NULL, (unsigned long)(c->label[i] < 0 ? 0u - (uint32_t)c->label[i]
                                                : (uint32_t)c->label[i]), (unsigned long)i);
            return;
        }
        badm_i_sum_add(&loss, (c->most[i] - x[label]) + c->rest[i]);
        if (x[label] == c->most[i]) {
            for (j = 0; x[j] != c->most[i]; j++) { }            /* the first of equals counts */
            hits += j == label;
        }
        c->counted++;
    }
    badm_count(t, c->counted);
    badm_hits(t, hits, c->counted);
    badm_data(t, y)[0] = c->counted ? badm_i_sum_value(&loss) / (float)c->counted : 0.0f;
}

static void badm_i_cross_entropy_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_cross_entropy *c = (const badm_i_cross_entropy *)y->args;
    const float *x = y->in[0]->data;
    int fresh;
    float *dx = badm_i_grad_start(t, y->in[0], &fresh), each;
    size_t n = badm_i_last(y->in[0]), rows = badm_size(y->in[0]) / n, i, end;
    if (!dx) return;
    each = c->counted ? y->grad[0] / (float)c->counted : 0.0f;
    for (i = 0; i < rows; i = end) {            /* runs of rows that count */
        for (end = i; end < rows && c->label[end] != c->ignore; end++) { }
        badm_i_add_softmax(t->level, end - i, n, c->most + i, c->rest + i, each, fresh ? 0 : BADM_I_KEPT, x + i * n, dx + i * n);
        for (; i < end; i++) dx[i * n + (size_t)c->label[i]] -= each;
        for (; end < rows && c->label[end] == c->ignore; end++) if (fresh) memset(dx + end * n, 0, n * sizeof(float));
    }
}

BADM_API badm_tensor *badm_cross_entropy_ignore(badm_tape *t, badm_tensor *logits, const badm_ints *labels, int32_t ignore)
{
    static const badm_op op = { BADM_I_TEXT("cross_entropy"), badm_i_cross_entropy_forward, badm_i_cross_entropy_backward };
    badm_i_cross_entropy c;
    size_t count = labels->rank > 1 ? badm_i_times(labels->shape[0], labels->shape[1]) : labels->shape[0], rows;
    if (logits->rank < 1 || badm_i_last(logits) == 0 || count == 0 || count != (rows = badm_size(logits) / badm_i_last(logits)))
        return badm_fail(t, BADM_ERR_SHAPE, op.name, BADM_I_TEXT("logits %a with %0 labels: one label a row is expected"), logits,
                         NULL, (unsigned long)count, 0);
    memset(&c, 0, sizeof c);
    c.label = labels->data;
    c.ignore = ignore;
    c.most = (float *)badm_i_arena(t, badm_i_times(rows, 2 * sizeof *c.most), BADM_I_ALIGN, 1);
    c.rest = c.most ? c.most + rows : NULL;
    badm_i_count_work(t, 20u * (uint64_t)badm_size(logits));
    return badm_record(t, &op, 0, NULL, 1, &logits, &c, sizeof c);
}

BADM_API badm_tensor *badm_cross_entropy(badm_tape *t, badm_tensor *logits, const badm_ints *labels)
{
    return badm_cross_entropy_ignore(t, logits, labels, BADM_IGNORE);
}

/* ---- losses that are means over all elements ---- */

static badm_tensor *badm_i_loss_of_two(badm_tape *t, const badm_op *op, badm_tensor *x, badm_tensor *target, const void *args,
                                       size_t args_bytes)
{
    badm_tensor *in[2];
    if (!badm_i_same_shape(x->rank, x->shape, target->rank, target->shape) || badm_size(x) == 0)
        return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a and target %b: equal shapes are expected"), x, target);
    in[0] = x;
    in[1] = target;
    return badm_record(t, op, 0, NULL, 2, in, args, args_bytes);
}

/* A mean over pairs: terms run by run, added up in lanes. kept [n]: what `terms` leaves for backward. */
static void badm_i_loss_forward(badm_tape *t, badm_tensor *y,
                                void (*terms)(int level, size_t n, const float *from, const float *target, float *to, float *kept),
                                float *kept)
{
    const float *x = y->in[0]->data, *z = y->in[1]->data;
    size_t n = badm_size(y->in[0]), i, part;
    float space[BADM_I_FULL ? BADM_I_RUN : 1], lane[BADM_I_LANES] = { 0 };
    badm_i_sum sum = { 0, 0 };
    for (i = 0; i < n; i += part) {
        part = !BADM_I_FULL ? 1 : n - i < BADM_I_RUN ? n - i : BADM_I_RUN;
        terms(t->level, part, x + i, z + i, space, kept ? kept + i : NULL);
        badm_i_sum_to_lanes(t->level, part, space, lane + i % BADM_I_LANES);
        if ((i + part) % BADM_I_BLOCK != 0 && i + part < n) continue;
        badm_i_sum_add(&sum, badm_i_fold_lanes(lane));
        memset(lane, 0, sizeof lane);
    }
    y->data[0] = badm_i_sum_value(&sum) / (float)n;
}

BADM_I_INLINE void badm_i_mse_terms_body(size_t n, const float *from, const float *target, float *to, float *kept)
{
    size_t i;
    (void)kept;
    BADM_I_EACH(i, n) { float x = from[i], z = target[i]; to[i] = (x - z) * (x - z); }
}
BADM_I_LOOP(badm_i_mse_terms, (n, from, target, to, kept), size_t n, const float *from, const float *target, float *to, float *kept)

static void badm_i_mse_forward(badm_tape *t, badm_tensor *y) { badm_i_loss_forward(t, y, badm_i_mse_terms, NULL); }

static void badm_i_mse_backward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]), *z = badm_data(t, y->in[1]);
    float *dx = badm_grad(t, y->in[0]), *dz = badm_grad(t, y->in[1]);
    size_t n = badm_size(y->in[0]), i;
    float each = 2.0f * badm_grad(t, y)[0] / (float)n;
    for (i = 0; i < n; i++) {
        float d = each * (x[i] - z[i]);
        if (dx) dx[i] += d;
        if (dz) dz[i] -= d;
    }
}

BADM_API badm_tensor *badm_mse(badm_tape *t, badm_tensor *x, badm_tensor *target)
{
    static const badm_op op = { BADM_I_TEXT("mse"), badm_i_mse_forward, badm_i_mse_backward };
    return badm_i_loss_of_two(t, &op, x, target, NULL, 0);
}

/* max(x,0) - x z + log(1 + e) with e = e^-|x|, and the sigmoid of x for backward. */
BADM_I_INLINE void badm_i_bce_lanes(uint32_t lanes, size_t n, const float *x, const float *z, float *term, float *s)
{
    float a[BADM_I_MOST], b[BADM_I_MOST], e[BADM_I_MOST], v[BADM_I_MOST];
    uint32_t i, part = lanes;
    for (; n > 0; n -= part, x += part, z += part, term += part, s += part) {
        if (n < lanes) part = (uint32_t)n;
        badm_i_take(lanes, part, x, a);
        badm_i_take(lanes, part, z, b);
        BADM_I_LANE(i, lanes) e[i] = badm_i_exp(-badm_i_abs(a[i]));
        BADM_I_LANE(i, lanes) v[i] = badm_i_log(1.0f + e[i]);
        BADM_I_LANE(i, lanes)
            v[i] = badm_i_choose(a[i] < 0, 0.0f, a[i]) - a[i] * b[i] + badm_i_log1p_of(e[i], 1.0f + e[i], v[i]);
        BADM_I_LANE(i, lanes) e[i] = badm_i_sigmoid_of(a[i], e[i]);
        badm_i_give(lanes, part, v, term);
        badm_i_give(lanes, part, e, s);
    }
}
BADM_I_INLINE void badm_i_bce_terms_body(size_t n, const float *x, const float *z, float *term, float *s)
{
    badm_i_bce_lanes(BADM_I_SOME, n, x, z, term, s);
}
BADM_I_INLINE void badm_i_bce_terms_wide(size_t n, const float *x, const float *z, float *term, float *s)
{
    badm_i_bce_lanes(16, n, x, z, term, s);
}
BADM_I_LONG_LOOP(badm_i_bce_terms, (n, x, z, term, s), size_t n, const float *x, const float *z, float *term, float *s)

static void badm_i_bce_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_loss_forward(t, y, badm_i_bce_terms, *(float **)y->args);
}

BADM_I_INLINE void badm_i_bce_slopes_body(size_t n, float each, uint32_t kept, const float *s, const float *z, float *dx)
{
    size_t i;
    BADM_I_EACH(i, n) dx[i] = badm_i_masked(dx[i], kept) + each * (s[i] - z[i]);
}
BADM_I_LOOP(badm_i_bce_slopes, (n, each, kept, s, z, dx), size_t n, float each, uint32_t kept, const float *s, const float *z, float *dx)

static void badm_i_bce_backward(badm_tape *t, badm_tensor *y)
{
    int fresh;
    size_t n = badm_size(y->in[0]);
    float *dx = badm_i_grad_start(t, y->in[0], &fresh);
    if (dx) badm_i_bce_slopes(t->level, n, y->grad[0] / (float)n, fresh ? 0 : BADM_I_KEPT, *(float **)y->args, y->in[1]->data, dx);
}

BADM_API badm_tensor *badm_bce_with_logits(badm_tape *t, badm_tensor *logits, badm_tensor *target)
{
    static const badm_op op = { BADM_I_TEXT("bce_with_logits"), badm_i_bce_forward, badm_i_bce_backward };
    float *sigmoid = BADM_I_NUMBERS(t, badm_size(logits));
    return badm_i_loss_of_two(t, &op, logits, target, &sigmoid, sizeof sigmoid);
}

/* ---- sums ---- */

static void badm_i_sum_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_sum s = { 0, 0 };
    badm_i_sum_dot(t->level, &s, badm_data(t, y->in[0]), NULL, badm_size(y->in[0]));
    badm_data(t, y)[0] = badm_i_sum_value(&s);
}

static void badm_i_sum_backward(badm_tape *t, badm_tensor *y)
{
    float *dx = badm_grad(t, y->in[0]), dy = badm_grad(t, y)[0];
    size_t n = badm_size(y->in[0]), i;
    if (dx) for (i = 0; i < n; i++) dx[i] += dy;
}

BADM_API badm_tensor *badm_sum(badm_tape *t, badm_tensor *x)
{
    static const badm_op op = { BADM_I_TEXT("sum"), badm_i_sum_forward, badm_i_sum_backward };
    return badm_record(t, &op, 0, NULL, 1, &x, NULL, 0);
}

BADM_API badm_tensor *badm_mean(badm_tape *t, badm_tensor *x)
{
    size_t n = badm_size(x);
    if (n == 0) return badm_i_shape_error(t, BADM_I_TEXT("mean"), BADM_I_TEXT("%a has no elements"), x, NULL);
    return badm_scale(t, badm_sum(t, x), 1.0f / (float)n);
}

/* x seen as [outer, middle, inner] around an axis. */
typedef struct badm_i_around { size_t outer, middle, inner; } badm_i_around;

static badm_i_around badm_i_around_axis(const badm_tensor *x, unsigned axis)
{
    badm_i_around a = { 1, 1, 1 };
    unsigned i;
    for (i = 0; i < x->rank; i++) *(i < axis ? &a.outer : i == axis ? &a.middle : &a.inner) *= x->shape[i];
    return a;
}

static badm_tensor *badm_i_axis_error(badm_tape *t, const char *operation, const badm_tensor *x, unsigned axis)
{
    return badm_fail(t, BADM_ERR_SHAPE, operation, BADM_I_TEXT("%a has no axis %0"), x, NULL, axis, 0);
}

static void badm_i_sum_axis_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_around a = badm_i_around_axis(y->in[0], *(const unsigned *)y->args);
    const float *x = badm_data(t, y->in[0]);
    float *out = badm_data(t, y);
    size_t i, j, k;
    memset(out, 0, badm_size(y) * sizeof(float));
    for (i = 0; i < a.outer; i++, out += a.inner)
        for (j = 0; j < a.middle; j++, x += a.inner)
            for (k = 0; k < a.inner; k++) out[k] += x[k];
}

static void badm_i_sum_axis_backward(badm_tape *t, badm_tensor *y)
{
    badm_i_around a = badm_i_around_axis(y->in[0], *(const unsigned *)y->args);
    const float *dy = badm_grad(t, y);
    float *dx = badm_grad(t, y->in[0]);
    size_t i, j, k;
    if (!dx) return;
    for (i = 0; i < a.outer; i++, dy += a.inner)
        for (j = 0; j < a.middle; j++, dx += a.inner)
            for (k = 0; k < a.inner; k++) dx[k] += dy[k];
}

BADM_API badm_tensor *badm_sum_axis(badm_tape *t, badm_tensor *x, unsigned axis)
{
    static const badm_op op = { BADM_I_TEXT("sum_axis"), badm_i_sum_axis_forward, badm_i_sum_axis_backward };
    badm_dim shape[BADM_MAX_RANK];
    unsigned i, n = 0;
    if (axis >= x->rank) return badm_i_axis_error(t, op.name, x, axis);
    for (i = 0; i < x->rank; i++) if (i != axis) shape[n++] = x->shape[i];
    return badm_record(t, &op, n, shape, 1, &x, &axis, sizeof axis);
}

BADM_API badm_tensor *badm_mean_axis(badm_tape *t, badm_tensor *x, unsigned axis)
{
    if (axis >= x->rank || x->shape[axis] == 0) return badm_i_axis_error(t, BADM_I_TEXT("mean_axis"), x, axis);
    return badm_scale(t, badm_sum_axis(t, x, axis), 1.0f / (float)x->shape[axis]);
}

/* ---- moving numbers ---- */

static void badm_i_reshape_backward(badm_tape *t, badm_tensor *y)
{
    const float *dy = badm_grad(t, y);
    float *dx;
    if (badm_i_grad_hand_on(t, y, y->in[0])) return;
    dx = badm_grad(t, y->in[0]);
    if (dx) badm_i_add(t->level, badm_size(y), dy, dx);
}

BADM_API badm_tensor *badm_reshape(badm_tape *t, badm_tensor *x, unsigned rank, const badm_dim *shape)
{
    static const badm_op op = { BADM_I_TEXT("reshape"), NULL, badm_i_reshape_backward };
    badm_tensor wish;
    unsigned i;
    memset(&wish, 0, sizeof wish);
    if (rank > BADM_MAX_RANK)
        return badm_fail(t, BADM_ERR_SHAPE, op.name, BADM_I_TEXT("%a to rank %0, at most 4 expected"), x, NULL, rank, 0);
    wish.rank = (uint8_t)rank;
    wish.size = 1;
    for (i = 0; i < rank; i++) {
        wish.shape[i] = shape[i];
        wish.size = badm_i_times(wish.size, shape[i]);
    }
    if (wish.size != x->size)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a to %b: the numbers of elements differ"), x, &wish);
    return badm_i_record_op(t, &op, rank, shape, 1, &x, NULL, 0, 1);
}

/* Both directions of permute: for every element of y in order, where in x it comes from. */
typedef struct badm_i_permute { unsigned axes[BADM_MAX_RANK]; } badm_i_permute;

static void badm_i_permute_walk(const badm_tensor *y, const float *from, float *to, int back)
{
    const badm_i_permute *p = (const badm_i_permute *)y->args;
    const badm_tensor *x = y->in[0];
    size_t stride[BADM_MAX_RANK], extent[4] = { 1, 1, 1, 1 }, step[4] = { 0, 0, 0, 0 }, i, j, k, l, n = 0, s = 1;
    unsigned d;
    for (d = x->rank; d > 0; d--) { stride[d - 1] = s; s *= x->shape[d - 1]; }
    for (d = 0; d < y->rank; d++) {
        extent[4 - y->rank + d] = y->shape[d];
        step[4 - y->rank + d] = stride[p->axes[d]];
    }
    for (i = 0; i < extent[0]; i++)
        for (j = 0; j < extent[1]; j++)
            for (k = 0; k < extent[2]; k++)
                for (l = 0; l < extent[3]; l++, n++) {
                    size_t at = i * step[0] + j * step[1] + k * step[2] + l * step[3];
                    if (back) to[at] += from[n]; else to[n] = from[at];
                }
}

static void badm_i_permute_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_permute_walk(y, badm_data(t, y->in[0]), badm_data(t, y), 0);
}

static void badm_i_permute_backward(badm_tape *t, badm_tensor *y)
{
    float *dx = badm_grad(t, y->in[0]);
    if (dx) badm_i_permute_walk(y, badm_grad(t, y), dx, 1);
}

BADM_API badm_tensor *badm_permute(badm_tape *t, badm_tensor *x, const unsigned *axes)
{
    static const badm_op op = { BADM_I_TEXT("permute"), badm_i_permute_forward, badm_i_permute_backward };
    badm_i_permute p;
    badm_dim shape[BADM_MAX_RANK];
    unsigned i, seen = 0;
    memset(&p, 0, sizeof p);
    for (i = 0; i < x->rank; i++) {
        if (axes[i] >= x->rank || (seen & (1u << axes[i])))
            return badm_fail(t, BADM_ERR_SHAPE, op.name, BADM_I_TEXT("%a: axes must name every dimension once, %0 does not fit"),
                             x, NULL, axes[i], 0);
        seen |= 1u << axes[i];
        p.axes[i] = axes[i];
        shape[i] = x->shape[axes[i]];
    }
    return badm_record(t, &op, x->rank, shape, 1, &x, &p, sizeof p);
}

static void badm_i_concat_forward(badm_tape *t, badm_tensor *y)
{
    unsigned axis = *(const unsigned *)y->args, i;
    badm_i_around whole = badm_i_around_axis(y, axis);
    size_t start = 0, o;
    for (i = 0; i < y->inputs; i++) {
        size_t run = badm_i_around_axis(y->in[i], axis).middle * whole.inner;
        const float *x = badm_data(t, y->in[i]);
        for (o = 0; o < whole.outer; o++)
            memcpy(badm_data(t, y) + o * whole.middle * whole.inner + start, x + o * run, run * sizeof(float));
        start += run;
    }
}

static void badm_i_concat_backward(badm_tape *t, badm_tensor *y)
{
    unsigned axis = *(const unsigned *)y->args, i;
    badm_i_around whole = badm_i_around_axis(y, axis);
    size_t start = 0, o, j;
    for (i = 0; i < y->inputs; i++) {
        size_t run = badm_i_around_axis(y->in[i], axis).middle * whole.inner;
        float *dx = badm_grad(t, y->in[i]);
        for (o = 0; dx && o < whole.outer; o++) {
            const float *dy = badm_grad(t, y) + o * whole.middle * whole.inner + start;
            for (j = 0; j < run; j++) dx[o * run + j] += dy[j];
        }
        start += run;
    }
}

BADM_API badm_tensor *badm_concat(badm_tape *t, unsigned n, badm_tensor *const *x, unsigned axis)
{
    static const badm_op op = { BADM_I_TEXT("concat"), badm_i_concat_forward, badm_i_concat_backward };
    badm_dim shape[BADM_MAX_RANK];
    unsigned i, d;
    if (n < 1 || n > BADM_MAX_INPUTS)
        return badm_fail(t, BADM_ERR_ARGUMENT, op.name, BADM_I_TEXT("%0 tensors, 1 to %1 expected"), NULL, NULL, n,
                         BADM_MAX_INPUTS);
    if (axis >= x[0]->rank) return badm_i_axis_error(t, op.name, x[0], axis);
    memcpy(shape, x[0]->shape, sizeof shape);
    for (i = 1; i < n; i++) {
        int fits = x[i]->rank == x[0]->rank;
        for (d = 0; fits && d < x[0]->rank; d++) if (d != axis && x[i]->shape[d] != x[0]->shape[d]) fits = 0;
        if (!fits || (badm_dim)(shape[axis] + x[i]->shape[axis]) < shape[axis])
            return badm_fail(t, BADM_ERR_SHAPE, op.name,
                             BADM_I_TEXT("%a and %b along axis %0: all other dimensions must be equal"), x[0], x[i], axis, 0);
        shape[axis] = (badm_dim)(shape[axis] + x[i]->shape[axis]);
    }
    return badm_record(t, &op, x[0]->rank, shape, n, x, &axis, sizeof axis);
}

typedef struct badm_i_slice { unsigned axis; badm_dim from; } badm_i_slice;

static void badm_i_slice_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_slice *s = (const badm_i_slice *)y->args;
    badm_i_around whole = badm_i_around_axis(y->in[0], s->axis), part = badm_i_around_axis(y, s->axis);
    size_t o, run = part.middle * part.inner;
    for (o = 0; o < whole.outer; o++)
        memcpy(badm_data(t, y) + o * run, badm_data(t, y->in[0]) + (o * whole.middle + s->from) * whole.inner, run * sizeof(float));
}

static void badm_i_slice_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_slice *s = (const badm_i_slice *)y->args;
    badm_i_around whole = badm_i_around_axis(y->in[0], s->axis), part = badm_i_around_axis(y, s->axis);
    size_t o, i, run = part.middle * part.inner;
    const float *dy = badm_grad(t, y);
    float *dx = badm_grad(t, y->in[0]);
    for (o = 0; dx && o < whole.outer; o++)
        for (i = 0; i < run; i++) dx[(o * whole.middle + s->from) * whole.inner + i] += dy[o * run + i];
}

BADM_API badm_tensor *badm_slice(badm_tape *t, badm_tensor *x, unsigned axis, badm_dim from, badm_dim to)
{
    static const badm_op op = { BADM_I_TEXT("slice"), badm_i_slice_forward, badm_i_slice_backward };
    badm_i_slice s;
    badm_dim shape[BADM_MAX_RANK];
    if (axis >= x->rank) return badm_i_axis_error(t, op.name, x, axis);
    if (from >= to || to > x->shape[axis])
        return badm_fail(t, BADM_ERR_SHAPE, op.name, BADM_I_TEXT("%a from %0 to %1: a part that is not empty is expected"), x,
                         NULL, from, to);
    memset(&s, 0, sizeof s);
    s.axis = axis;
    s.from = from;
    memcpy(shape, x->shape, sizeof shape);
    shape[axis] = (badm_dim)(to - from);
    return badm_record(t, &op, x->rank, shape, 1, &x, &s, sizeof s);
}

/* ---- gather_rows ---- */

static void badm_i_gather_rows_forward(badm_tape *t, badm_tensor *y)
{
    const badm_ints *index = (const badm_ints *)y->args;
    const float *table = badm_data(t, y->in[0]);
    size_t width = badm_i_last(y), rows = badm_size(y) / width, i;
    for (i = 0; i < rows; i++) {
        if (index->data[i] < 0 || (badm_dim)index->data[i] >= y->in[0]->shape[0]) {
            badm_fail(t, BADM_ERR_LABEL, y->op->name, index->data[i] < 0
                ? BADM_I_TEXT("index -%0 at place %1 of a table %a") : BADM_I_TEXT("index %0 at place %1 of a table %a"), y->in[0], NULL,
                (unsigned long)(index->data[i] < 0 ? 0u - (uint32_t)index->data[i] : (uint32_t)index->data[i]), (unsigned long)i);
            return;
        }
        memcpy(badm_data(t, y) + i * width, table + (size_t)index->data[i] * width, width * sizeof(float));
    }
}

static void badm_i_gather_rows_backward(badm_tape *t, badm_tensor *y)
{
    const badm_ints *index = (const badm_ints *)y->args;
    const float *dy = badm_grad(t, y);
    float *dx = badm_grad(t, y->in[0]);
    size_t width = badm_i_last(y), rows = badm_size(y) / width, i, j;
    for (i = 0; dx && i < rows; i++, dy += width) {
        float *row = dx + (size_t)index->data[i] * width;
        for (j = 0; j < width; j++) row[j] += dy[j];
    }
}

BADM_API badm_tensor *badm_gather_rows(badm_tape *t, badm_tensor *table, const badm_ints *index)
{
    static const badm_op op = { BADM_I_TEXT("gather_rows"), badm_i_gather_rows_forward, badm_i_gather_rows_backward };
    badm_dim shape[3];
    unsigned i;
    if (table->rank != 2 || table->shape[1] == 0 || index->rank < 1)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a: a matrix of rows is expected"), table, NULL);
    for (i = 0; i < index->rank; i++) shape[i] = index->shape[i];
    shape[i] = table->shape[1];
    return badm_record(t, &op, i + 1u, shape, 1, &table, index, sizeof *index);
}

/* ---- dropout: the factor of element i is a function of (seed, step, slot, piece, place in the tape, i) ---- */

typedef struct badm_i_dropout { float p; uint32_t operation; } badm_i_dropout;

/* Where in Philox's numbers an operation's begin: counter[0] counts from there. */
static void badm_i_counters(const badm_tape *t, uint32_t what, uint32_t operation, uint32_t key[2], uint32_t counter[4])
{
    key[0] = (uint32_t)t->seed ^ what;
    key[1] = (uint32_t)(t->seed >> 32) ^ (uint32_t)(t->step >> 32);
    counter[0] = 0;
    counter[1] = operation ^ (t->piece * 0x9E3779B9u);
    counter[2] = t->slot;
    counter[3] = (uint32_t)t->step;
}

#define BADM_I_DROPS 64             /* elements whose random numbers, four a counter, are made together */

/* to = from times 0 or `keep`, added to what stands there where `added` says so; element 0 has counter[0]. */
BADM_I_INLINE void badm_i_drop_body(size_t n, const uint32_t *counter, const uint32_t *key, uint32_t limit, float keep, uint32_t added,
                                    const float *from, float *to)
{
    uint32_t c[4][BADM_I_DROPS / 4], kept[BADM_I_DROPS], first = counter[0], round;
    size_t i, j, part;
    for (; n > 0; n -= part, from += part, to += part, first += BADM_I_DROPS / 4) {
        uint32_t k0 = key[0], k1 = key[1];
        part = n < BADM_I_DROPS ? n : BADM_I_DROPS;
        for (i = 0; i < BADM_I_DROPS / 4; i++) {
            c[0][i] = first + (uint32_t)i;
            for (j = 1; j < 4; j++) c[j][i] = counter[j];
        }
        for (round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)      /* badm_i_philox of each */
            BADM_I_EACH(i, BADM_I_DROPS / 4) {
                uint64_t p = (uint64_t)0xD2511F53u * c[0][i], q = (uint64_t)0xCD9E8D57u * c[2][i];
                c[0][i] = (uint32_t)(q >> 32) ^ c[1][i] ^ k0;
                c[2][i] = (uint32_t)(p >> 32) ^ c[3][i] ^ k1;
                c[1][i] = (uint32_t)q;
                c[3][i] = (uint32_t)p;
            }
        BADM_I_EACH(i, BADM_I_DROPS / 4) {
            kept[4 * i] = c[0][i] >> 8 < limit ? 0 : 0xFFFFFFFFu;
            kept[4 * i + 1] = c[1][i] >> 8 < limit ? 0 : 0xFFFFFFFFu;
            kept[4 * i + 2] = c[2][i] >> 8 < limit ? 0 : 0xFFFFFFFFu;
            kept[4 * i + 3] = c[3][i] >> 8 < limit ? 0 : 0xFFFFFFFFu;
        }
        BADM_I_EACH(i, part) to[i] = badm_i_masked(to[i], added) + badm_i_masked(from[i] * keep, kept[i]);
    }
}
BADM_I_LOOP(badm_i_drop, (n, counter, key, limit, keep, added, from, to), size_t n, const uint32_t *counter, const uint32_t *key,
            uint32_t limit, float keep, uint32_t added, const float *from, float *to)

typedef struct badm_i_drops { const badm_i_dropout *d; const float *from; float *to; size_t n, each; uint32_t added; } badm_i_drops;

static void badm_i_dropout_part(const badm_tape *t, void *arg, uint32_t part)
{
    const badm_i_drops *a = (const badm_i_drops *)arg;
    size_t first = a->each * part, n = a->n - first < a->each ? a->n - first : a->each;
    uint32_t key[2], counter[4];
    badm_i_counters(t, 0x64726F70u, a->d->operation, key, counter);
    counter[0] = (uint32_t)(first / 4);
    badm_i_drop(t->level, n, counter, key, (uint32_t)(a->d->p * 16777216.0f), 1.0f / (1.0f - a->d->p), a->added, a->from + first,
                a->to + first);
}

/* to[i] (+)= from[i] times 0 or 1/(1-p). */
static void badm_i_dropout_apply(badm_tape *t, const badm_i_dropout *d, const float *from, float *to, size_t n, int add)
{
    badm_i_drops a;
    size_t parts = badm_i_parts(t, n, 16384);
    a.d = d;
    a.from = from;
    a.to = to;
    a.n = n;
    a.each = badm_i_round_up((n + parts - 1) / parts, BADM_I_DROPS);
    a.added = add ? BADM_I_KEPT : 0;
    badm_i_spread(t, (uint32_t)((n + a.each - 1) / a.each), badm_i_dropout_part, &a);
}

static void badm_i_dropout_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_dropout_apply(t, (const badm_i_dropout *)y->args, badm_data(t, y->in[0]), badm_data(t, y), badm_size(y), 0);
}

static void badm_i_dropout_backward(badm_tape *t, badm_tensor *y)
{
    int fresh;
    float *dx = badm_i_grad_start(t, y->in[0], &fresh);
    if (dx) badm_i_dropout_apply(t, (const badm_i_dropout *)y->args, badm_grad(t, y), dx, badm_size(y), !fresh);
}

BADM_API badm_tensor *badm_dropout(badm_tape *t, badm_tensor *x, float p)
{
    static const badm_op op = { BADM_I_TEXT("dropout"), badm_i_dropout_forward, badm_i_dropout_backward };
    badm_i_dropout d;
    if (!(p >= 0) || !(p < 1))
        return badm_fail(t, BADM_ERR_ARGUMENT, op.name, BADM_I_TEXT("%a: a probability in 0..1, 1 excluded, is expected"), x, NULL,
                         0, 0);
    if (!t->training || p == 0) return x;
    d.p = p;
    d.operation = t->operations;
    return badm_i_unary(t, &op, x, &d, sizeof d);
}

/* ---- randn: pairs of numbers from pairs of words, by the same counters under another key ---- */

BADM_API badm_tensor *badm_randn(badm_tape *t, unsigned rank, const badm_dim *shape)
{
    badm_tensor *y = badm_i_leaf(t, rank, shape, NULL, 0);
    uint32_t key[2], counter[4], r[4];
    size_t i, n = badm_size(y);
    badm_i_counters(t, 0x6E6F726Du, t->operations++, key, counter);         /* two in a row differ */
    if (!y->data || !t->training) return y;
    for (i = 0; i < n; i++) {
        float angle;
        if (i % 4 == 0) {
            counter[0] = (uint32_t)(i / 4);
            badm_i_philox(counter, key, r);
        }
        angle = 6.28318531f * ((float)(r[i % 4 | 1] >> 8) * (1.0f / 16777216.0f));
        y->data[i] = badm_sqrtf(-2.0f * badm_logf((float)((r[i % 4 & 2] >> 8) + 1u) * (1.0f / 16777216.0f)))
            * badm_cosf(i % 2 ? angle - 1.57079633f : angle);
    }
    return y;
}

/* =====================================================================================================================
   >>convolution  Convolutions as matrix products, pooling, upsampling.

   Every convolution joins two sides: images, and maps of where its windows lie on them. conv2d goes from the images to the maps,
   conv_transpose2d from the maps to the images, and each one's gradient goes the other's way; weights are [maps,images/groups,kh,kw]
   for both. All is done image by image in scratch, whatever the batch, in the order of the images.
   ===================================================================================================================== */

BADM_API badm_conv badm_conv_of(badm_dim stride, badm_dim padding)
{
    badm_conv c;
    memset(&c, 0, sizeof c);
    c.stride[0] = c.stride[1] = stride;
    c.padding[0] = c.padding[1] = padding;
    c.dilation[0] = c.dilation[1] = c.groups = 1;
    c.bias = 1;
    return c;
}

BADM_API badm_conv badm_conv_defaults(void) { return badm_conv_of(1, 0); }

/* Sizes of both sides; images and maps: channels of a group; [0] of the height, [1] of the width. */
typedef struct badm_i_windows {
    size_t n, groups, images, maps, size[2], places[2], kernel[2], stride[2], padding[2], dilation[2];
} badm_i_windows;

/* Of one side of what is computed: number i of `count` takes source numbers i*step + offset + k*delta for its taps k; there,
   weight number first + k*every. Outside of 0..size-1 the source is zero. */
typedef struct badm_i_taps { size_t size, count, step, taps, first, every; ptrdiff_t offset, delta; } badm_i_taps;

/* Sums over a window for every place: out channels of [count,count] from `channels` of the source, for each group and image.
   Element (o,c,ky,kx) of the weight is at o*weight_out + c*weight_channel + ky*weight_row + kx. What results goes to every
   step-th row and column of the destination from `first` on. */
typedef struct badm_i_scan {
    badm_i_taps side[2];
    size_t n, groups, channels, out, weight_out, weight_channel, weight_row;
    size_t plane, row, step[2], first[2];               /* of the destination */
    /* how: `rows` of places and `images` at a time; a copy of the source for each horizontal tap, with the places' width, so that
       places are adjacent; of its lines `lines` for all vertical taps, or `rows` for each where they are not shared */
    size_t rows, images, lines, copy, copies;
    ptrdiff_t low;
    int shared;
} badm_i_scan;

/* Floats of copies made at a time: within the second-level cache. */
#if UINTPTR_MAX > 0xFFFFFFFFu
#define BADM_I_COPIES 49152u
#else
#define BADM_I_COPIES 1024u
#endif

/* share: whether lines may be shared. */
static void badm_i_scan_plan(badm_i_scan *s, int share)
{
    const badm_i_taps *y = &s->side[0], *x = &s->side[1];
    size_t span = y->taps ? (size_t)(y->delta < 0 ? -y->delta : y->delta) * (y->taps - 1) : 0, line = s->channels * x->taps * x->count;
    s->low = y->delta < 0 ? y->offset + y->delta * (ptrdiff_t)(y->taps - 1) : y->offset;
    s->rows = y->count;
    s->shared = share && y->step == 1 && s->rows + span <= s->rows * y->taps;
    if (line * (s->shared ? s->rows + span : s->rows * y->taps) > BADM_I_COPIES) {
        size_t most = BADM_I_COPIES / (line ? line : 1);
        s->rows = s->shared ? (most > span ? most - span : 1) : most / (y->taps ? y->taps : 1);
        if (s->rows < 1) s->rows = 1;
        if (s->rows > y->count) s->rows = y->count;
        if (s->rows + span > s->rows * y->taps) s->shared = 0;
    }
    s->lines = s->shared ? s->rows + span : s->rows * y->taps;
    s->copy = s->lines * x->count;
    s->copies = s->channels * x->taps * s->copy;
    s->images = s->copies ? BADM_I_COPIES / s->copies : 1;
    if (s->images < 1) s->images = 1;
    if (s->images > s->n) s->images = s->n;
}

/* rows of n numbers, `step` apart in the source. */
BADM_I_INLINE void badm_i_copy_rows_body(size_t rows, size_t n, const float *from, size_t from_row, size_t step, float *to, size_t to_row)
{
    size_t i, j;
    if (step == 1 && from_row == n && to_row == n) { n *= rows; rows = 1; }
    if (step == 1 && n >= 8 && n <= 16) {
        for (; rows > 0; rows--, from += from_row, to += to_row) {
            memcpy(to, from, 8 * sizeof(float));
            memcpy(to + n - 8, from + n - 8, 8 * sizeof(float));
        }
        return;
    }
    for (i = 0; i < rows; i++, from += from_row, to += to_row) {
        if (step != 1) for (j = 0; j < n; j++) to[j] = from[j * step];
        else if (n >= 8) {              /* the last eight may overlap those before */
            for (j = 0; j + 8 < n; j += 8) memcpy(to + j, from + j, 8 * sizeof(float));
            memcpy(to + n - 8, from + n - 8, 8 * sizeof(float));
        } else for (j = 0; j < n; j++) to[j] = from[j];
    }
}
BADM_I_LOOP(badm_i_copy_rows, (rows, n, from, from_row, step, to, to_row), size_t rows, size_t n, const float *from, size_t from_row,
            size_t step, float *to, size_t to_row)

/* Which of numbers begin, begin + step, ... (n of them) are within 0..size-1: from *first to *last - 1. */
static void badm_i_within(ptrdiff_t begin, size_t step, size_t n, size_t size, size_t *first, size_t *last)
{
    size_t from = begin < 0 ? ((size_t)-begin + step - 1) / step : 0, to;
    to = begin >= (ptrdiff_t)size ? 0 : ((size_t)((ptrdiff_t)size - begin) + step - 1) / step;
    if (to > n) to = n;
    *first = from < to ? from : to;
    *last = to;
}

/* The copies of one image for `rows` rows of places from row i0 on. What lies outside is zero: columns from the beginning, which
   nothing overwrites, lines here. */
static void badm_i_scan_copy(int level, const badm_i_scan *s, const float *source, size_t i0, size_t rows, float *to)
{
    const badm_i_taps *y = &s->side[0], *x = &s->side[1];
    size_t c, kx, ky, j0, j1, r0, r1, pieces = s->shared ? 1 : y->taps, lines = s->shared ? s->lines - (s->rows - rows) : rows;
    for (c = 0; c < s->channels; c++, source += y->size * x->size)
        for (kx = 0; kx < x->taps; kx++, to += s->copy) {
            ptrdiff_t at = x->offset + (ptrdiff_t)kx * x->delta;
            badm_i_within(at, x->step, x->count, x->size, &j0, &j1);
            for (ky = 0; ky < pieces; ky++) {
                float *line = to + ky * s->rows * x->count;
                ptrdiff_t top = (ptrdiff_t)(i0 * y->step) + (s->shared ? s->low : y->offset + (ptrdiff_t)ky * y->delta);
                badm_i_within(top, y->step, lines, y->size, &r0, &r1);
                if (s->rows < y->count) {
                    memset(line, 0, r0 * x->count * sizeof(float));
                    memset(line + r1 * x->count, 0, (lines - r1) * x->count * sizeof(float));
                }
                if (r1 > r0 && j1 > j0)
                    badm_i_copy_rows(level, r1 - r0, j1 - j0,
                                     source + (top + (ptrdiff_t)(r0 * y->step)) * (ptrdiff_t)x->size + at + (ptrdiff_t)(j0 * x->step),
                                     y->step * x->size, x->step, line + r0 * x->count + j0, x->count);
            }
        }
}

/* ---- kernels: sums of k terms for two blocks of adjacent places, each chain as those of a matrix product ---- */

/* a: first what each row begins with, then its factor of each term; a term's numbers are at b + its place. */
typedef void (*badm_i_scan_run)(size_t k, const float *a, const float *b0, const float *b1, const uint32_t *place, float *c0, float *c1,
                                size_t c_row);
/* Places a block, rows a kernel, the taller first. */
typedef struct badm_i_scanner { unsigned block, height[2]; badm_i_scan_run run[2]; } badm_i_scanner;

#ifdef BADM_I_VECTORS
#define BADM_I_SCAN_KERNEL(NAME, TARGET, LANES, ROWS, MULTIPLY_ADD)                                                     \
    TARGET BADM_I_O3 static void NAME##_##ROWS(size_t k, const float *a, const float *b0, const float *b1, const uint32_t *place, \
                                               float *c0, float *c1, size_t c_row)                                       \
    {                                                                                                                    \
        typedef float vector __attribute__((vector_size(LANES * 4)));                                                    \
        typedef float loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));                              \
        vector acc0[ROWS], acc1[ROWS], product, zero = { 0 };                                                            \
        int i, l = 0;                                                                                                    \
        (void)product; (void)l;                                                                                          \
        for (i = 0; i < ROWS; i++) acc0[i] = acc1[i] = a[i] - zero;                                                      \
        for (; k > 0; k--, place++) {                                                                                    \
            vector y0 = *(const loose *)(b0 + *place), y1 = *(const loose *)(b1 + *place);                               \
            a += ROWS;                                                                                                   \
            for (i = 0; i < ROWS; i++) {                                                                                 \
                float x = a[i];                                                                                          \
                MULTIPLY_ADD(acc0[i], x, y0, LANES);                                                                     \
                MULTIPLY_ADD(acc1[i], x, y1, LANES);                                                                     \
            }                                                                                                            \
        }                                                                                                                \
        for (i = 0; i < ROWS; i++) {                                                                                     \
            *(loose *)(c0 + (size_t)i * c_row) = acc0[i];                                                                \
            *(loose *)(c1 + (size_t)i * c_row) = acc1[i];                                                                \
        }                                                                                                                \
    }
#if defined(BADM_I_CLANG_ATTRIBUTE)
#pragma clang attribute pop
#endif
#if defined(BADM_I_X86)
BADM_I_SCAN_KERNEL(badm_i_scan_sse2, , 4, 4, BADM_I_UNFUSED)
BADM_I_SCAN_KERNEL(badm_i_scan_sse2, , 4, 2, BADM_I_UNFUSED)
BADM_I_SCAN_KERNEL(badm_i_scan_avx2, BADM_I_AVX2_FMA, 8, 6, BADM_I_MULTIPLY_ADD)
BADM_I_SCAN_KERNEL(badm_i_scan_avx2, BADM_I_AVX2_FMA, 8, 2, BADM_I_MULTIPLY_ADD)
BADM_I_SCAN_KERNEL(badm_i_scan_avx512, BADM_I_AVX512, 16, 8, BADM_I_MULTIPLY_ADD)
BADM_I_SCAN_KERNEL(badm_i_scan_avx512, BADM_I_AVX512, 16, 2, BADM_I_MULTIPLY_ADD)
#elif defined(__aarch64__)
BADM_I_SCAN_KERNEL(badm_i_scan_neon, , 4, 8, BADM_I_MULTIPLY_ADD)
BADM_I_SCAN_KERNEL(badm_i_scan_neon, , 4, 2, BADM_I_MULTIPLY_ADD)
#else
BADM_I_SCAN_KERNEL(badm_i_scan_wasm, , 4, 4, BADM_I_UNFUSED)
BADM_I_SCAN_KERNEL(badm_i_scan_wasm, , 4, 2, BADM_I_UNFUSED)
#endif
#if defined(BADM_I_CLANG_ATTRIBUTE)
#pragma clang attribute push(__attribute__((target("no-fma,no-avx512f"))), apply_to = function)
#endif

static const badm_i_scanner *badm_i_scanner_of(int level)
{
#if defined(BADM_I_X86)
    static const badm_i_scanner avx512 = { 16, { 8, 2 }, { badm_i_scan_avx512_8, badm_i_scan_avx512_2 } };
    static const badm_i_scanner avx2 = { 8, { 6, 2 }, { badm_i_scan_avx2_6, badm_i_scan_avx2_2 } };
    static const badm_i_scanner sse2 = { 4, { 4, 2 }, { badm_i_scan_sse2_4, badm_i_scan_sse2_2 } };
    return level == 2 ? &avx512 : level == 1 ? &avx2 : &sse2;
#else
#ifdef __aarch64__
    static const badm_i_scanner set = { 4, { 8, 2 }, { badm_i_scan_neon_8, badm_i_scan_neon_2 } };
#else
    static const badm_i_scanner set = { 4, { 4, 2 }, { badm_i_scan_wasm_4, badm_i_scan_wasm_2 } };
#endif
    (void)level;
    return &set;
#endif
}

#else
#if defined(BADM_I_CLANG_ATTRIBUTE) && defined(BADM_I_PLAIN_FUSED)
#pragma clang attribute pop
#endif
static void badm_i_scan_plain(size_t k, const float *a, const float *b0, const float *b1, const uint32_t *place, float *c0, float *c1,
                              size_t c_row)
{
    size_t p, j;
    (void)c_row;
    for (j = 0; j < 4; j++) c0[j] = c1[j] = a[0];
    for (p = 0; p < k; p++) {
        float x = a[p + 1];
        for (j = 0; j < 4; j++) {
            c0[j] = BADM_I_PLAIN_MULTIPLY_ADD(x, b0[place[p] + j], c0[j]);
            c1[j] = BADM_I_PLAIN_MULTIPLY_ADD(x, b1[place[p] + j], c1[j]);
        }
    }
}
#if defined(BADM_I_CLANG_ATTRIBUTE) && defined(BADM_I_PLAIN_FUSED)
#pragma clang attribute push(__attribute__((target("no-fma,no-avx512f"))), apply_to = function)
#endif

static const badm_i_scanner *badm_i_scanner_of(int level)
{
    static const badm_i_scanner set = { 4, { 1, 1 }, { badm_i_scan_plain, badm_i_scan_plain } };
    (void)level;
    return &set;
}
#endif

#define BADM_I_SCAN_TALLEST 8
#define BADM_I_SCAN_BLOCK 16            /* the largest of any set */

/* How tall the kernel for the next rows is; a tall one may have rows too many. */
static unsigned badm_i_scan_height(const badm_i_scanner *set, size_t rows) { return 2 * rows > set->height[0] ? 0 : 1; }

/* The weights of one group, kernel after kernel; rows too many are zero. */
static void badm_i_scan_weights(const badm_i_scanner *set, const badm_i_scan *s, const float *weight, const float *bias, float *to)
{
    const badm_i_taps *y = &s->side[0], *x = &s->side[1];
    size_t o, c, ky, kx, r, h;
    for (o = 0; o < s->out; o += h) {
        h = set->height[badm_i_scan_height(set, s->out - o)];
        for (r = 0; r < h; r++) *to++ = bias && o + r < s->out ? bias[o + r] : 0.0f;
        for (c = 0; c < s->channels; c++)
            for (ky = 0; ky < y->taps; ky++)
                for (kx = 0; kx < x->taps; kx++) {
                    const float *w = weight + o * s->weight_out + c * s->weight_channel + (y->first + ky * y->every) * s->weight_row
                        + x->first + kx * x->every;
                    for (r = 0; r < h; r++) *to++ = o + r < s->out ? w[r * s->weight_out] : 0.0f;
                }
    }
}

/* n places from place q of rows i0.. on, of `rows` channels, to where they belong: set, or added. */
static void badm_i_scan_deliver(const badm_i_scan *s, const float *from, size_t from_row, size_t rows, size_t i0, size_t q, size_t n,
                                int fresh, float *to)
{
    size_t r, l, width = s->side[1].count;
    for (r = 0; r < rows; r++, from += from_row, to += s->plane) {
        size_t j = q % width, at = ((i0 + q / width) * s->step[0] + s->first[0]) * s->row + j * s->step[1] + s->first[1];
        for (l = 0; l < n; l++) {
            if (fresh) to[at] = from[l]; else to[at] += from[l];
            at += s->step[1];
            if (++j == width) { j = 0; at += s->step[0] * s->row - width * s->step[1]; }
        }
    }
}

/* A source [n,groups*channels,size,size], a destination [n,groups*out,...]; fresh: written, not added to. In a dry run scratch is
   announced. */
static void badm_i_scan_all(badm_tape *t, badm_i_scan *s, const float *source, const float *weight, size_t weight_group, const float *bias,
                            int fresh, float *to)
{
    const badm_i_scanner *set = badm_i_scanner_of(t->level);
    const badm_i_taps *y = &s->side[0], *x = &s->side[1];
    size_t terms = badm_i_times(s->channels, y->taps * x->taps), source_image = s->channels * y->size * x->size, g, n0, i0, i, b;
    size_t width = x->count, block = set->block, bytes, weights, copies;
    int whole = s->step[0] == 1 && s->step[1] == 1 && width == s->row && fresh;
    float *strips, *copy, edge[2 * BADM_I_SCAN_BLOCK * BADM_I_SCAN_TALLEST];
    uint32_t *place;
    badm_i_scan_plan(s, 1);
    weights = badm_i_times(badm_i_plus(s->out, BADM_I_SCAN_TALLEST), badm_i_plus(terms, 1));
    copies = badm_i_plus(badm_i_times(s->images, s->copies), BADM_I_SCAN_BLOCK);
    bytes = badm_i_times(badm_i_plus(badm_i_plus(weights, copies), terms), 4);
    if (t->dry) { badm_scratch_reserve(t, bytes); return; }
    copy = (float *)badm_scratch(t, bytes);
    if (!copy) return;
    strips = copy + copies;
    place = (uint32_t *)(void *)(strips + weights);
    for (i = 0; i < terms; i++) {
        size_t kx = i % x->taps, ky = i / x->taps % y->taps, c = i / x->taps / y->taps;
        size_t line = s->shared ? (size_t)(y->offset + (ptrdiff_t)ky * y->delta - s->low) : ky * s->rows;
        place[i] = (uint32_t)((c * x->taps + kx) * s->copy + line * width);
    }
    memset(copy, 0, copies * sizeof(float));
    for (g = 0; g < s->groups; g++) {
        badm_i_scan_weights(set, s, weight + g * weight_group, bias ? bias + g * s->out : NULL, strips);
        for (n0 = 0; n0 < s->n; n0 += s->images) {
            size_t images = s->n - n0 < s->images ? s->n - n0 : s->images;
            for (i0 = 0; i0 < y->count; i0 += s->rows) {
                size_t rows = y->count - i0 < s->rows ? y->count - i0 : s->rows, places = rows * width;
                size_t blocks = (places + block - 1) / block;
                for (i = 0; i < images; i++)
                    badm_i_scan_copy(t->level, s, source + ((n0 + i) * s->groups + g) * source_image, i0, rows, copy + i * s->copies);
                for (b = 0; b < images * blocks; b += 2) {
                    size_t image[2], q[2], count[2], o, h, k;
                    const float *from[2], *a = strips;
                    float *out[2];
                    for (k = 0; k < 2; k++) {
                        size_t which = b + k < images * blocks ? b + k : b;
                        image[k] = which / blocks;
                        q[k] = which % blocks * block;
                        count[k] = b + k > which ? 0 : places - q[k] < block ? places - q[k] : block;
                        from[k] = copy + image[k] * s->copies + q[k];
                        out[k] = to + ((n0 + image[k]) * s->groups + g) * s->out * s->plane;
                    }
                    for (o = 0; o < s->out; o += h, a += h * (terms + 1)) {
                        unsigned tall = badm_i_scan_height(set, s->out - o);
                        h = set->height[tall];
                        if (whole && count[0] == block && count[1] == block && o + h <= s->out) {
                            set->run[tall](terms, a, from[0], from[1], place, out[0] + o * s->plane + i0 * width + q[0],
                                           out[1] + o * s->plane + i0 * width + q[1], s->plane);
                            continue;
                        }
                        set->run[tall](terms, a, from[0], from[1], place, edge, edge + block, 2 * block);
                        for (k = 0; k < 2; k++)
                            badm_i_scan_deliver(s, edge + k * block, 2 * block, s->out - o < h ? s->out - o : h, i0, q[k], count[k], fresh,
                                                out[k] + o * s->plane);
                    }
                }
            }
        }
    }
}

/* What the windows of each map's places see of the images. */
static void badm_i_scan_windows(const badm_i_windows *v, badm_i_scan *s)
{
    int i;
    memset(s, 0, sizeof *s);
    for (i = 0; i < 2; i++) {
        s->side[i].size = v->size[i];
        s->side[i].count = v->places[i];
        s->side[i].step = v->stride[i];
        s->side[i].taps = v->kernel[i];
        s->side[i].every = 1;
        s->side[i].offset = -(ptrdiff_t)v->padding[i];
        s->side[i].delta = (ptrdiff_t)v->dilation[i];
        s->step[i] = 1;
    }
    s->n = v->n;
    s->groups = v->groups;
    s->channels = v->images;
    s->out = v->maps;
    s->weight_row = v->kernel[1];
    s->weight_channel = v->kernel[0] * v->kernel[1];
    s->weight_out = v->images * s->weight_channel;
    s->plane = v->places[0] * v->places[1];
    s->row = v->places[1];
}

/* maps (+)= weight over the images' windows. bias: one number a map; NULL: 0. */
static void badm_i_images_to_maps(badm_tape *t, const badm_i_windows *v, const float *images, const float *weight, const float *bias,
                                  int fresh, float *maps)
{
    badm_i_scan s;
    badm_i_scan_windows(v, &s);
    badm_i_scan_all(t, &s, images, weight, v->maps * s.weight_out, bias, fresh, maps);
}

/* The side of images that lies r past a multiple of the stride: the taps that reach it, and where from. */
static void badm_i_scan_phase(const badm_i_windows *v, int i, size_t r, badm_i_taps *side)
{
    size_t stride = v->stride[i], first = 0, every = 1;
    memset(side, 0, sizeof *side);
    side->size = v->places[i];
    side->count = r < v->size[i] ? (v->size[i] - r + stride - 1) / stride : 0;
    side->step = 1;
    while (first < stride && first * v->dilation[i] % stride != (r + v->padding[i]) % stride) first++;
    while (every * v->dilation[i] % stride) every++;
    if (first == stride || first >= v->kernel[i]) return;           /* none does */
    side->taps = (v->kernel[i] - 1 - first) / every + 1;
    side->first = first;
    side->every = every;
    side->offset = ((ptrdiff_t)(r + v->padding[i]) - (ptrdiff_t)(first * v->dilation[i])) / (ptrdiff_t)stride;
    side->delta = -(ptrdiff_t)(every * v->dilation[i] / stride);
}

/* images (+)= the maps spread over the windows. */
static void badm_i_maps_to_images(badm_tape *t, const badm_i_windows *v, const float *maps, const float *weight, const float *bias,
                                  int fresh, float *images)
{
    size_t r[2], area = v->kernel[0] * v->kernel[1], before = t->scratch_used;
    for (r[0] = 0; r[0] < v->stride[0]; r[0]++)
        for (r[1] = 0; r[1] < v->stride[1]; r[1]++) {
            badm_i_scan s;
            int i;
            badm_i_scan_windows(v, &s);
            for (i = 0; i < 2; i++) {
                badm_i_scan_phase(v, i, r[i], &s.side[i]);
                s.step[i] = v->stride[i];
                s.first[i] = r[i];
            }
            if (s.side[0].count == 0 || s.side[1].count == 0) continue;
            s.channels = v->maps;
            s.out = v->images;
            s.weight_channel = s.weight_out;
            s.weight_out = area;
            s.plane = v->size[0] * v->size[1];
            s.row = v->size[1];
            badm_i_scan_all(t, &s, maps, weight, v->maps * v->images * area, bias, fresh, images);
            t->scratch_used = before;
        }
}

/* dw (+)= the sum over all places of maps times what their windows see, as products of the copies' lines with the maps turned: for
   each vertical tap, or for all together where lines are not shared, as few are not. db (+)= the
   sums of the maps. Either may be NULL. */
#define BADM_I_FEW_LINES 12
static void badm_i_windows_weight(badm_tape *t, const badm_i_windows *v, const float *images, const float *maps, int fresh, float *dw,
                                  int db_fresh, float *db)
{
    badm_i_scan s;
    const badm_i_taps *y = &s.side[0], *x = &s.side[1];
    size_t g, n, i0, c, o, kx, ky, lanes = badm_i_round_up(v->maps, 8), rows, sums, copies, bytes, places = v->places[0] * v->places[1];
    float *copy, *turned, *sum, *lane;
    badm_i_scan_windows(v, &s);
    rows = badm_i_times(s.channels, x->taps);
    badm_i_scan_plan(&s, rows >= BADM_I_FEW_LINES);
    sums = badm_i_times(badm_i_times(rows, y->taps) + 3, lanes);
    copies = badm_i_plus(s.copies, badm_i_times(badm_i_times(s.rows, x->count), 3));        /* some rows more, of zeros */
    bytes = badm_i_plus(badm_i_plus(sums, copies), badm_i_times(badm_i_times(s.rows, x->count), lanes));
    bytes = badm_i_plus(bytes, badm_i_times(v->maps, BADM_I_LANES));
    bytes = badm_i_round_up(badm_i_times(bytes, sizeof(float)), BADM_I_ALIGN);
    if (t->dry) {
        badm_scratch_reserve(t, badm_i_plus(bytes, badm_i_gemm_scratch(t->full.kernels, 1, 1, BADM_I_PACK_TERMS, 0, 0)));
        return;
    }
    copy = (float *)badm_scratch(t, bytes);
    if (!copy) return;
    sum = copy + copies;
    turned = sum + sums;
    lane = turned + s.rows * x->count * lanes;
    memset(copy, 0, copies * sizeof(float));
    for (g = 0; g < s.groups; g++) {
        memset(lane, 0, v->maps * BADM_I_LANES * sizeof(float));
        for (n = 0; n < s.n; n++)
            for (i0 = 0; i0 < y->count; i0 += s.rows) {
                size_t lines = y->count - i0 < s.rows ? y->count - i0 : s.rows, terms = lines * x->count, m = rows, apart = s.copy;
                const float *from = maps + (n * s.groups + g) * v->maps * places + i0 * x->count;
                size_t pieces = y->taps;
                int begun = n > 0 || i0 > 0;
                if (!s.shared) { pieces = 1; apart = s.rows * x->count; m = badm_i_round_up(rows * y->taps, 4); }
                for (o = 0; db && o < v->maps; o++)
                    badm_i_sum_to_lanes(t->level, terms, from + o * places, lane + o * BADM_I_LANES);
                if (!dw) continue;
                badm_i_scan_copy(t->level, &s, images + (n * s.groups + g) * s.channels * y->size * x->size, i0, lines, copy);
                for (o = 0; o < terms; o += 128)
                    badm_i_pack_turned(t->level, from + o, places, terms - o < 128 ? terms - o : 128, v->maps, lanes, turned + o * lanes);
                for (ky = 0; ky < pieces; ky++) {
                    size_t line = s.shared ? (size_t)(y->offset + (ptrdiff_t)ky * y->delta - s.low) : 0;
                    float *to = sum + ky * rows * lanes;
                    badm_i_multiply(t, m, lanes, terms, copy + line * x->count, apart, 1, turned, lanes, 1, begun ? to : NULL, lanes, to,
                                    lanes);
                }
            }
        for (o = 0; db && o < v->maps; o++) {
            float value = badm_i_fold_lanes(lane + o * BADM_I_LANES), *to = db + g * v->maps + o;
            *to = db_fresh ? value : *to + value;
        }
        for (o = 0; dw && o < v->maps; o++)
            for (c = 0; c < s.channels; c++)
                for (ky = 0; ky < y->taps; ky++)
                    for (kx = 0; kx < x->taps; kx++) {
                        size_t row = s.shared ? (ky * s.channels + c) * x->taps + kx : (c * x->taps + kx) * y->taps + ky;
                        float *to = dw + (g * v->maps + o) * s.weight_out + c * s.weight_channel + ky * s.weight_row + kx;
                        float value = sum[row * lanes + o];
                        *to = fresh ? value : *to + value;
                    }
    }
}

/* db (+)= the sum of each channel of dy [n,channels,area]. */
static void badm_i_channel_sums(badm_tape *t, size_t n, size_t channels, size_t area, const float *dy, int fresh, float *db)
{
    size_t c, i;
    for (c = 0; c < channels; c++) {
        badm_i_sum s = { 0, 0 };
        for (i = 0; i < n; i++) badm_i_sum_dot(t->level, &s, dy + (i * channels + c) * area, NULL, area);
        db[c] = (fresh ? 0.0f : db[c]) + badm_i_sum_value(&s);
    }
}

static void badm_i_conv_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_images_to_maps(t, (const badm_i_windows *)y->args, y->in[0]->data, y->in[1]->data, y->inputs > 2 ? y->in[2]->data : NULL, 1,
                          y->data);
}

static void badm_i_conv_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_windows *v = (const badm_i_windows *)y->args;
    int dx_fresh, dw_fresh, db_fresh = 0;
    float *dx = badm_i_grad_start(t, y->in[0], &dx_fresh), *dw = badm_i_grad_start(t, y->in[1], &dw_fresh);
    float *db = y->inputs > 2 ? badm_i_grad_start(t, y->in[2], &db_fresh) : NULL;
    if (dx) badm_i_maps_to_images(t, v, y->grad, y->in[1]->data, NULL, dx_fresh, dx);
    t->scratch_used = 0;
    if (dw || db) badm_i_windows_weight(t, v, y->in[0]->data, y->grad, dw_fresh, dw, db_fresh, db);
}

static void badm_i_conv_transpose_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_maps_to_images(t, (const badm_i_windows *)y->args, y->in[0]->data, y->in[1]->data, y->inputs > 2 ? y->in[2]->data : NULL, 1,
                          y->data);
}

static void badm_i_conv_transpose_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_windows *v = (const badm_i_windows *)y->args;
    int dx_fresh, dw_fresh, db_fresh = 0;
    float *dx = badm_i_grad_start(t, y->in[0], &dx_fresh), *dw = badm_i_grad_start(t, y->in[1], &dw_fresh);
    float *db = y->inputs > 2 ? badm_i_grad_start(t, y->in[2], &db_fresh) : NULL;
    if (dx) badm_i_images_to_maps(t, v, y->grad, y->in[1]->data, NULL, dx_fresh, dx);
    t->scratch_used = 0;
    if (dw) badm_i_windows_weight(t, v, y->grad, y->in[0]->data, dw_fresh, dw, 0, NULL);
    if (db) badm_i_channel_sums(t, v->n, v->groups * v->images, v->size[0] * v->size[1], y->grad, db_fresh, db);
}

/* Shapes of all convolutions; transposed: x is the maps' side. sides: 2, or 1 of signals, which are images one number high. */
static badm_tensor *badm_i_conv(badm_tape *t, const badm_op *op, badm_tensor *x, badm_tensor *weight, badm_tensor *bias,
                                const badm_conv *c, unsigned sides, int transposed)
{
    badm_i_windows v;
    badm_tensor *in[3];
    badm_dim shape[BADM_MAX_RANK];
    size_t out;
    unsigned i, rank = sides + 2;
    memset(&v, 0, sizeof v);
    if (x->rank != rank || weight->rank != rank)
        return badm_fail(t, BADM_ERR_SHAPE, op->name, BADM_I_TEXT("%a with weight %b: %0 dimensions of each are expected"), x, weight,
                         rank, 0);
    v.n = x->shape[0];
    v.groups = c->groups;
    if (v.groups == 0) return badm_fail(t, BADM_ERR_ARGUMENT, op->name, BADM_I_TEXT("0 groups, at least 1 expected"), x, weight, 0, 0);
    if (transposed ? x->shape[1] != weight->shape[0] || x->shape[1] % v.groups
                   : badm_i_times(v.groups, weight->shape[1]) != x->shape[1] || weight->shape[0] % v.groups)
        return badm_fail(t, BADM_ERR_SHAPE, op->name, BADM_I_TEXT("%a with weight %b in groups of %0: the channels do not fit"), x,
                         weight, c->groups, 0);
    v.maps = weight->shape[0] / v.groups;
    v.images = weight->shape[1];
    out = transposed ? badm_i_times(v.images, v.groups) : weight->shape[0];
    if (bias && (bias->rank != 1 || bias->shape[0] != out))
        return badm_fail(t, BADM_ERR_SHAPE, op->name, BADM_I_TEXT("bias %a with weight %b: %0 numbers are expected"), bias, weight,
                         (unsigned long)out, 0);
    v.size[0] = v.places[0] = v.kernel[0] = v.stride[0] = v.dilation[0] = 1;
    shape[0] = x->shape[0];
    shape[1] = (badm_dim)out;
    for (i = 0; i < sides; i++) {
        unsigned side = i + 2 - sides;
        size_t window, given = x->shape[2 + i], more = c->output_padding[i], whole;
        v.kernel[side] = weight->shape[2 + i];
        v.stride[side] = c->stride[i];
        v.padding[side] = c->padding[i];
        v.dilation[side] = c->dilation[i];
        if (c->stride[i] == 0 || c->dilation[i] == 0)
            return badm_fail(t, BADM_ERR_ARGUMENT, op->name, BADM_I_TEXT("stride %0 and dilation %1, at least 1 expected"), x, weight,
                             c->stride[i], c->dilation[i]);
        if (transposed && more >= c->stride[i] && more >= c->dilation[i])
            return badm_fail(t, BADM_ERR_ARGUMENT, op->name,
                             BADM_I_TEXT("output_padding %0 with stride %1: less than the stride or the dilation is expected"), x, weight,
                             c->output_padding[i], c->stride[i]);
        window = badm_i_plus(badm_i_times(v.dilation[side], v.kernel[side] - 1), 1);
        whole = transposed ? badm_i_plus(badm_i_plus(badm_i_times(given - 1, v.stride[side]), window), more)
                           : badm_i_plus(given, badm_i_times(2, v.padding[side]));
        if (transposed ? whole <= 2 * v.padding[side] : whole < window)
            return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a with weight %b: nothing is left between the padding"), x, weight);
        v.size[side] = transposed ? whole - 2 * v.padding[side] : given;
        v.places[side] = transposed ? given : (whole - window) / v.stride[side] + 1;
        out = transposed ? v.size[side] : v.places[side];
        if (whole == BADM_I_NONE || out > (badm_dim)-1)
            return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a with weight %b: the result is too large"), x, weight);
        shape[2 + i] = (badm_dim)out;
    }
    if (t->dry) {                       /* nothing runs: scratch is announced */
        badm_i_images_to_maps(t, &v, NULL, NULL, NULL, 1, NULL);
        badm_i_maps_to_images(t, &v, NULL, NULL, NULL, 1, NULL);
        badm_i_windows_weight(t, &v, NULL, NULL, 1, NULL, 1, NULL);
        badm_i_count_work(t, (uint64_t)v.n * v.groups * v.maps * v.images * v.kernel[0] * v.kernel[1] * v.places[0] * v.places[1]);
    }
    in[0] = x;
    in[1] = weight;
    in[2] = bias;
    return badm_record(t, op, rank, shape, bias ? 3 : 2, in, &v, sizeof v);
}

BADM_API badm_tensor *badm_conv2d(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_conv c)
{
    static const badm_op op = { BADM_I_TEXT("conv2d"), badm_i_conv_forward, badm_i_conv_backward };
    return badm_i_conv(t, &op, x, weight, bias, &c, 2, 0);
}

BADM_API badm_tensor *badm_conv1d(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_conv c)
{
    static const badm_op op = { BADM_I_TEXT("conv1d"), badm_i_conv_forward, badm_i_conv_backward };
    return badm_i_conv(t, &op, x, weight, bias, &c, 1, 0);
}

BADM_API badm_tensor *badm_conv_transpose2d(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_conv c)
{
    static const badm_op op = { BADM_I_TEXT("conv_transpose2d"), badm_i_conv_transpose_forward, badm_i_conv_transpose_backward };
    return badm_i_conv(t, &op, x, weight, bias, &c, 2, 1);
}

/* ---- pooling: windows of kernel x kernel over [planes,h,w] ---- */

typedef struct badm_i_pooling { size_t planes, h, w, oh, ow, kernel, stride, padding; } badm_i_pooling;

/* Where a window begins and ends within `size`. */
static size_t badm_i_pool_from(const badm_i_pooling *p, size_t i)
{
    return i * p->stride > p->padding ? i * p->stride - p->padding : 0;
}
static size_t badm_i_pool_to(const badm_i_pooling *p, size_t i, size_t size)
{
    size_t to = i * p->stride + p->kernel - p->padding;
    return to < size ? to : size;
}

static badm_tensor *badm_i_pool2d(badm_tape *t, const badm_op *op, badm_tensor *x, badm_dim kernel, badm_dim stride, badm_dim padding)
{
    badm_i_pooling p;
    badm_dim shape[4];
    if (x->rank != 4) return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a: [n,channels,height,width] is expected"), x, NULL);
    if (kernel == 0 || stride == 0 || padding > kernel / 2)
        return badm_fail(t, BADM_ERR_ARGUMENT, op->name,
                         BADM_I_TEXT("kernel %0, padding %1: a stride and a kernel over 0, padding of at most half the kernel expected"), x,
                         NULL, kernel, padding);
    p.planes = (size_t)x->shape[0] * x->shape[1];
    p.h = x->shape[2];
    p.w = x->shape[3];
    p.kernel = kernel;
    p.stride = stride;
    p.padding = padding;
    if (badm_i_plus(p.h, 2 * p.padding) < kernel || badm_i_plus(p.w, 2 * p.padding) < kernel)
        return badm_fail(t, BADM_ERR_SHAPE, op->name, BADM_I_TEXT("%a: a window of %0 does not fit with padding %1"), x, NULL, kernel,
                         padding);
    p.oh = (p.h + 2 * p.padding - kernel) / stride + 1;
    p.ow = (p.w + 2 * p.padding - kernel) / stride + 1;
    shape[0] = x->shape[0];
    shape[1] = x->shape[1];
    shape[2] = (badm_dim)p.oh;
    shape[3] = (badm_dim)p.ow;
    return badm_record(t, op, 4, shape, 1, &x, &p, sizeof p);
}

/* The place of the first maximum of a window; not a number is the largest of all. */
static size_t badm_i_pool_first(const badm_i_pooling *p, const float *x, size_t i, size_t j)
{
    size_t top = badm_i_pool_from(p, i), left = badm_i_pool_from(p, j), r, c, best = top * p->w + left;
    size_t bottom = badm_i_pool_to(p, i, p->h), right = badm_i_pool_to(p, j, p->w);
    for (r = top; r < bottom; r++)
        for (c = left; c < right; c++)
            if (x[r * p->w + c] > x[best] || x[r * p->w + c] != x[r * p->w + c]) best = r * p->w + c;
    return best;
}

/* The commonest windows, 2 x 2 without overlap or padding, as `rows` rows of n windows over rows of x `width` apart; eight or four
   at a time, the last of which may overlap those before. Five to seven that fill their rows of x are done as eight where a row
   follows: what was written too far is written again by that. */
#ifdef BADM_I_VECTORS
/* Of two vectors the even and the odd numbers, each half by itself; their order of pairs, turned there and back; and both again. */
#ifdef __clang__
#define BADM_I_EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14)
#define BADM_I_ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15)
#define BADM_I_SWAP(a) __builtin_shufflevector(a, a, 0, 1, 4, 5, 2, 3, 6, 7)
#define BADM_I_LOWER(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define BADM_I_UPPER(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define BADM_I_POOL_ORDERS
#else
#define BADM_I_EVEN(a, b) __builtin_shuffle(a, b, even)
#define BADM_I_ODD(a, b) __builtin_shuffle(a, b, odd)
#define BADM_I_SWAP(a) __builtin_shuffle(a, swap)
#define BADM_I_LOWER(a, b) __builtin_shuffle(a, b, lower)
#define BADM_I_UPPER(a, b) __builtin_shuffle(a, b, upper)
#define BADM_I_POOL_ORDERS                                                                                          \
    const mask even = { 0, 2, 8, 10, 4, 6, 12, 14 }, odd = { 1, 3, 9, 11, 5, 7, 13, 15 }, swap = { 0, 1, 4, 5, 2, 3, 6, 7 }; \
    const mask lower = { 0, 8, 1, 9, 4, 12, 5, 13 }, upper = { 2, 10, 3, 11, 6, 14, 7, 15 };                       \
    (void)even; (void)odd; (void)swap; (void)lower; (void)upper;
#endif
#define BADM_I_POOL_PAST 1              /* eight are read before any is written, and rows are written in their order */
BADM_I_INLINE void badm_i_pool_largest_eight(const float *p, const float *q, float *out)
{
    typedef float eight __attribute__((vector_size(32)));
    typedef float loose __attribute__((vector_size(32), aligned(4), may_alias));
    typedef int mask __attribute__((vector_size(32)));
    BADM_I_POOL_ORDERS
    eight p0 = *(const loose *)p, p1 = *(const loose *)(p + 8), q0 = *(const loose *)q, q1 = *(const loose *)(q + 8);
    eight a = BADM_I_EVEN(p0, p1), b = BADM_I_ODD(p0, p1), c = BADM_I_EVEN(q0, q1), d = BADM_I_ODD(q0, q1);
    mask m = (mask)(b > a) | (mask)(b != b);
    a = (eight)(((mask)b & m) | ((mask)a & ~m));
    m = (mask)(d > c) | (mask)(d != d);
    c = (eight)(((mask)d & m) | ((mask)c & ~m));
    m = (mask)(c > a) | (mask)(c != c);
    a = (eight)(((mask)c & m) | ((mask)a & ~m));
    *(loose *)out = BADM_I_SWAP(a);
}
BADM_I_INLINE void badm_i_pool_back_eight(const float *p, const float *q, const float *y, const float *dy, float *dp, float *dq)
{
    typedef float eight __attribute__((vector_size(32)));
    typedef float loose __attribute__((vector_size(32), aligned(4), may_alias));
    typedef int mask __attribute__((vector_size(32)));
    BADM_I_POOL_ORDERS
    eight p0 = *(const loose *)p, p1 = *(const loose *)(p + 8), q0 = *(const loose *)q, q1 = *(const loose *)(q + 8);
    eight most = *(const loose *)y, g = *(const loose *)dy, da, db, dc, dd;
    mask a, b, c;
    most = BADM_I_SWAP(most);
    g = BADM_I_SWAP(g);
    a = (mask)(BADM_I_EVEN(p0, p1) == most);
    b = (mask)(BADM_I_ODD(p0, p1) == most) & ~a;
    c = (mask)(BADM_I_EVEN(q0, q1) == most) & ~(a | b);
    da = (eight)((mask)g & a);
    db = (eight)((mask)g & b);
    dc = (eight)((mask)g & c);
    dd = (eight)((mask)g & ~(a | b | c));
    *(loose *)dp = BADM_I_LOWER(da, db);
    *(loose *)(dp + 8) = BADM_I_UPPER(da, db);
    *(loose *)dq = BADM_I_LOWER(dc, dd);
    *(loose *)(dq + 8) = BADM_I_UPPER(dc, dd);
}
#else
#define BADM_I_POOL_PAST 0
#endif
BADM_I_INLINE void badm_i_pool_largest_part(size_t n, const float *p, const float *q, float *out)
{
    size_t j;
    BADM_I_EACH(j, n) {
        float a = p[2 * j], b = p[2 * j + 1], c = q[2 * j], d = q[2 * j + 1];
        a = badm_i_choose((b > a) | (b != b), b, a);
        c = badm_i_choose((d > c) | (d != d), d, c);
        out[j] = badm_i_choose((c > a) | (c != c), c, a);
    }
}
#if !BADM_I_POOL_PAST
BADM_I_INLINE void badm_i_pool_largest_eight(const float *p, const float *q, float *out) { badm_i_pool_largest_part(8, p, q, out); }
#endif
BADM_I_INLINE void badm_i_pool_largest_body(size_t rows, size_t n, const float *x, size_t width, float *y)
{
    size_t j, at;
    for (; BADM_I_POOL_PAST && rows > 1 && n >= 5 && n < 8 && width == 2 * n; rows--, x += 2 * width, y += n)
        badm_i_pool_largest_eight(x, x + width, y);
    for (; rows > 0; rows--, x += 2 * width, y += n)
        for (j = 0; j < n; j += n >= 8 ? 8 : n >= 4 ? 4 : 1) {
            if (n >= 8) { at = j < n - 8 ? j : n - 8; badm_i_pool_largest_eight(x + 2 * at, x + 2 * at + width, y + at); }
            else if (n >= 4) { at = j < n - 4 ? j : n - 4; badm_i_pool_largest_part(4, x + 2 * at, x + 2 * at + width, y + at); }
            else badm_i_pool_largest_part(1, x + 2 * j, x + 2 * j + width, y + j);
        }
}
BADM_I_LOOP(badm_i_pool_largest, (rows, n, x, width, y), size_t rows, size_t n, const float *x, size_t width, float *y)

/* dx := dy where a window's first maximum is; a window with a number that is none gives it to the last. */
BADM_I_INLINE void badm_i_pool_back_part(size_t n, const float *p, const float *q, const float *y, const float *dy, float *dp, float *dq)
{
    size_t j;
    BADM_I_EACH(j, n) {
        float most = y[j], g = dy[j];
        int a = p[2 * j] == most, b = (p[2 * j + 1] == most) & !a, c = (q[2 * j] == most) & !(a | b);
        dp[2 * j] = badm_i_choose(a, g, 0.0f);
        dp[2 * j + 1] = badm_i_choose(b, g, 0.0f);
        dq[2 * j] = badm_i_choose(c, g, 0.0f);
        dq[2 * j + 1] = badm_i_choose(a | b | c, 0.0f, g);
    }
}
#if !BADM_I_POOL_PAST
BADM_I_INLINE void badm_i_pool_back_eight(const float *p, const float *q, const float *y, const float *dy, float *dp, float *dq)
{
    badm_i_pool_back_part(8, p, q, y, dy, dp, dq);
}
#endif
BADM_I_INLINE void badm_i_pool_back_body(size_t rows, size_t n, const float *x, size_t width, const float *y, const float *dy, float *dx)
{
    size_t j, at;
    for (; BADM_I_POOL_PAST && rows > 1 && n >= 5 && n < 8 && width == 2 * n; rows--, x += 2 * width, dx += 2 * width, y += n, dy += n)
        badm_i_pool_back_eight(x, x + width, y, dy, dx, dx + width);
    for (; rows > 0; rows--, x += 2 * width, dx += 2 * width, y += n, dy += n)
        for (j = 0; j < n; j += n >= 8 ? 8 : n >= 4 ? 4 : 1) {
            at = j;
            if (n >= 8) {
                if (at > n - 8) at = n - 8;
                badm_i_pool_back_eight(x + 2 * at, x + 2 * at + width, y + at, dy + at, dx + 2 * at, dx + 2 * at + width);
            } else if (n >= 4) {
                if (at > n - 4) at = n - 4;
                badm_i_pool_back_part(4, x + 2 * at, x + 2 * at + width, y + at, dy + at, dx + 2 * at, dx + 2 * at + width);
            } else badm_i_pool_back_part(1, x + 2 * at, x + 2 * at + width, y + at, dy + at, dx + 2 * at, dx + 2 * at + width);
        }
}
BADM_I_LOOP(badm_i_pool_back, (rows, n, x, width, y, dy, dx), size_t rows, size_t n, const float *x, size_t width, const float *y,
            const float *dy, float *dx)

static int badm_i_pool_is_pairs(const badm_i_pooling *p) { return p->kernel == 2 && p->stride == 2 && p->padding == 0; }

static void badm_i_max_pool_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_pooling *p = (const badm_i_pooling *)y->args;
    const float *x = y->in[0]->data;
    float *out = y->data;
    size_t c, i, j;
    for (c = 0; badm_i_pool_is_pairs(p) && c < p->planes; c++)
        badm_i_pool_largest(t->level, p->oh, p->ow, x + c * p->h * p->w, p->w, out + c * p->oh * p->ow);
    if (badm_i_pool_is_pairs(p)) return;
    for (c = 0; c < p->planes; c++, x += p->h * p->w)
        for (i = 0; i < p->oh; i++)
            for (j = 0; j < p->ow; j++) *out++ = x[badm_i_pool_first(p, x, i, j)];
}

static void badm_i_max_pool_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_pooling *p = (const badm_i_pooling *)y->args;
    const float *x = y->in[0]->data, *dy = y->grad;
    int fresh;
    float *dx = badm_i_grad_start(t, y->in[0], &fresh);
    size_t c, i, j;
    if (!dx) return;
    if (fresh && badm_i_pool_is_pairs(p) && p->h == 2 * p->oh && p->w == 2 * p->ow) {
        badm_i_pool_back(t->level, p->planes * p->oh, p->ow, x, p->w, y->data, dy, dx);
        return;
    }
    if (fresh) memset(dx, 0, badm_size(y->in[0]) * sizeof(float));
    for (c = 0; c < p->planes; c++, x += p->h * p->w, dx += p->h * p->w)
        for (i = 0; i < p->oh; i++)
            for (j = 0; j < p->ow; j++) dx[badm_i_pool_first(p, x, i, j)] += *dy++;
}

BADM_API badm_tensor *badm_max_pool2d(badm_tape *t, badm_tensor *x, badm_dim kernel, badm_dim stride, badm_dim padding)
{
    static const badm_op op = { BADM_I_TEXT("max_pool2d"), badm_i_max_pool_forward, badm_i_max_pool_backward };
    return badm_i_pool2d(t, &op, x, kernel, stride, padding);
}

static void badm_i_avg_pool_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_pooling *p = (const badm_i_pooling *)y->args;
    const float *x = y->in[0]->data;
    float *out = y->data, share = 1.0f / ((float)p->kernel * (float)p->kernel);
    size_t n, i, j, r, c;
    (void)t;
    for (n = 0; n < p->planes; n++, x += p->h * p->w)
        for (i = 0; i < p->oh; i++)
            for (j = 0; j < p->ow; j++) {
                size_t bottom = badm_i_pool_to(p, i, p->h), right = badm_i_pool_to(p, j, p->w);
                float sum = 0;
                for (r = badm_i_pool_from(p, i); r < bottom; r++)
                    for (c = badm_i_pool_from(p, j); c < right; c++) sum += x[r * p->w + c];
                *out++ = sum * share;
            }
}

static void badm_i_avg_pool_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_pooling *p = (const badm_i_pooling *)y->args;
    const float *dy = y->grad;
    float *dx = badm_grad(t, y->in[0]), share = 1.0f / ((float)p->kernel * (float)p->kernel);
    size_t n, i, j, r, c;
    for (n = 0; dx && n < p->planes; n++, dx += p->h * p->w)
        for (i = 0; i < p->oh; i++)
            for (j = 0; j < p->ow; j++, dy++) {
                size_t bottom = badm_i_pool_to(p, i, p->h), right = badm_i_pool_to(p, j, p->w);
                for (r = badm_i_pool_from(p, i); r < bottom; r++)
                    for (c = badm_i_pool_from(p, j); c < right; c++) dx[r * p->w + c] += *dy * share;
            }
}

BADM_API badm_tensor *badm_avg_pool2d(badm_tape *t, badm_tensor *x, badm_dim kernel, badm_dim stride, badm_dim padding)
{
    static const badm_op op = { BADM_I_TEXT("avg_pool2d"), badm_i_avg_pool_forward, badm_i_avg_pool_backward };
    return badm_i_pool2d(t, &op, x, kernel, stride, padding);
}

static void badm_i_global_avg_pool_forward(badm_tape *t, badm_tensor *y)
{
    size_t i, n = badm_size(y), area = badm_size(y->in[0]) / n;
    for (i = 0; i < n; i++) y->data[i] = badm_i_dot(t->level, y->in[0]->data + i * area, NULL, area) / (float)area;
}

static void badm_i_global_avg_pool_backward(badm_tape *t, badm_tensor *y)
{
    float *dx = badm_grad(t, y->in[0]);
    size_t i, j, n = badm_size(y), area = badm_size(y->in[0]) / n;
    for (i = 0; dx && i < n; i++, dx += area)
        for (j = 0; j < area; j++) dx[j] += y->grad[i] / (float)area;
}

BADM_API badm_tensor *badm_global_avg_pool2d(badm_tape *t, badm_tensor *x)
{
    static const badm_op op = { BADM_I_TEXT("global_avg_pool2d"), badm_i_global_avg_pool_forward, badm_i_global_avg_pool_backward };
    if (x->rank != 4) return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a: [n,channels,height,width] is expected"), x, NULL);
    return badm_record(t, &op, 2, x->shape, 1, &x, NULL, 0);
}

/* ---- upsampling ---- */

static badm_tensor *badm_i_upsample(badm_tape *t, const badm_op *op, badm_tensor *x, badm_dim factor)
{
    badm_dim shape[4];
    unsigned i;
    if (x->rank != 4) return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a: [n,channels,height,width] is expected"), x, NULL);
    if (factor == 0 || factor > (badm_dim)-1 / x->shape[2] || factor > (badm_dim)-1 / x->shape[3])
        return badm_fail(t, BADM_ERR_ARGUMENT, op->name, BADM_I_TEXT("%a times %0: at least 1 and no more than fits is expected"), x, NULL,
                         factor, 0);
    for (i = 0; i < 4; i++) shape[i] = (badm_dim)(i < 2 ? x->shape[i] : x->shape[i] * factor);
    return badm_record(t, op, 4, shape, 1, &x, &factor, sizeof factor);
}

static void badm_i_upsample_nearest_forward(badm_tape *t, badm_tensor *y)
{
    size_t factor = *(const badm_dim *)y->args, w = y->in[0]->shape[3], rows = badm_size(y->in[0]) / w, r, i, j;
    const float *x = y->in[0]->data;
    float *out = y->data;
    (void)t;
    for (r = 0; r < rows; r++, x += w, out += factor * factor * w) {
        for (j = 0; j < w; j++) for (i = 0; i < factor; i++) out[j * factor + i] = x[j];
        for (i = 1; i < factor; i++) memcpy(out + i * factor * w, out, factor * w * sizeof(float));
    }
}

static void badm_i_upsample_nearest_backward(badm_tape *t, badm_tensor *y)
{
    size_t factor = *(const badm_dim *)y->args, w = y->in[0]->shape[3], rows = badm_size(y->in[0]) / w, r, i, j, k;
    const float *dy = y->grad;
    float *dx = badm_grad(t, y->in[0]);
    for (r = 0; dx && r < rows; r++, dx += w, dy += factor * factor * w)
        for (j = 0; j < w; j++) {
            float sum = 0;
            for (i = 0; i < factor; i++) for (k = 0; k < factor; k++) sum += dy[(i * w + j) * factor + k];
            dx[j] += sum;
        }
}

BADM_API badm_tensor *badm_upsample_nearest2d(badm_tape *t, badm_tensor *x, badm_dim factor)
{
    static const badm_op op = { BADM_I_TEXT("upsample_nearest2d"), badm_i_upsample_nearest_forward, badm_i_upsample_nearest_backward };
    return badm_i_upsample(t, &op, x, factor);
}

/* Output i of a side lies at (i + 1/2)/factor - 1/2 of the input, which is kept inside: between numbers `from` and `to`. */
typedef struct badm_i_between { size_t from, to; float share; } badm_i_between;

static badm_i_between badm_i_between_of(size_t i, size_t factor, size_t size)
{
    badm_i_between b;
    float at = ((float)i + 0.5f) / (float)factor - 0.5f;
    if (at < 0) at = 0;
    b.from = (size_t)at;
    if (b.from > size - 1) b.from = size - 1;
    b.to = b.from + 1 < size ? b.from + 1 : b.from;
    b.share = at - (float)b.from;
    return b;
}

static void badm_i_upsample_bilinear_walk(const badm_tensor *y, const float *x, float *out, const float *dy, float *dx)
{
    size_t factor = *(const badm_dim *)y->args, h = y->in[0]->shape[2], w = y->in[0]->shape[3], planes = badm_size(y->in[0]) / (h * w);
    size_t c, i, j;
    for (c = 0; c < planes; c++, x += dx ? 0 : h * w, dx += dx ? h * w : 0)
        for (i = 0; i < h * factor; i++) {
            badm_i_between v = badm_i_between_of(i, factor, h);
            for (j = 0; j < w * factor; j++) {
                badm_i_between u = badm_i_between_of(j, factor, w);
                size_t a = v.from * w + u.from, b = v.from * w + u.to, d = v.to * w + u.from, e = v.to * w + u.to;
                if (dx) {
                    float g = *dy++;
                    dx[a] += (1.0f - v.share) * (1.0f - u.share) * g;
                    dx[b] += (1.0f - v.share) * u.share * g;
                    dx[d] += v.share * (1.0f - u.share) * g;
                    dx[e] += v.share * u.share * g;
                } else
                    *out++ = (1.0f - v.share) * ((1.0f - u.share) * x[a] + u.share * x[b])
                        + v.share * ((1.0f - u.share) * x[d] + u.share * x[e]);
            }
        }
}

static void badm_i_upsample_bilinear_forward(badm_tape *t, badm_tensor *y)
{
    (void)t;
    badm_i_upsample_bilinear_walk(y, y->in[0]->data, y->data, NULL, NULL);
}

static void badm_i_upsample_bilinear_backward(badm_tape *t, badm_tensor *y)
{
    float *dx = badm_grad(t, y->in[0]);
    if (dx) badm_i_upsample_bilinear_walk(y, y->in[0]->data, NULL, y->grad, dx);
}

BADM_API badm_tensor *badm_upsample_bilinear2d(badm_tape *t, badm_tensor *x, badm_dim factor)
{
    static const badm_op op = { BADM_I_TEXT("upsample_bilinear2d"), badm_i_upsample_bilinear_forward, badm_i_upsample_bilinear_backward };
    return badm_i_upsample(t, &op, x, factor);
}

/* =====================================================================================================================
   >>normalisation  Layer, root mean square, group and batch norm; state that layers hand to the trainer.

   Forward keeps two numbers of each set of values that is normalised together: its mean and scale = 1/sqrt(var + eps). With
   h = (x - mean) scale and g = dy weight, backward is  dx = scale (g - mean of g - h mean of g h),  dweight = sum of dy h,
   dbias = sum of dy. Layer and RMS norm work on rows, with a weight a column; the others on runs of one channel, each with a single
   weight; batch norm of [n,c], whose runs would be single numbers, on whole rows with a mean, scale and weight a column.
   ===================================================================================================================== */

/* The inputs behind x are weight and bias, those there are. A row of layer norm is a set: n numbers. Group and batch norm see x as
   [images,channels,inner]; a set is `set_channels` neighbouring channels of `set_images` images. */
typedef struct badm_i_norm {
    size_t sets, n, images, channels, inner, set_images, set_channels;
    float *mean, *scale, *next_mean, *next_var;         /* of each set; of each channel, NULL where none are kept */
    badm_param running_mean, running_var;
    float eps, momentum;
    uint8_t centred, given, weighted, shifted;          /* given: mean and variance are no function of x */
} badm_i_norm;

static badm_tensor *badm_i_norm_weight(const badm_tensor *y)
{
    return ((const badm_i_norm *)y->args)->weighted ? y->in[1] : NULL;
}

static badm_tensor *badm_i_norm_bias(const badm_tensor *y)
{
    return ((const badm_i_norm *)y->args)->shifted ? y->in[y->inputs - 1] : NULL;
}

static badm_tensor *badm_i_norm_record(badm_tape *t, const badm_op *op, badm_tensor *x, badm_tensor *weight, badm_tensor *bias,
                                       badm_i_norm *d)
{
    badm_tensor *in[3];
    unsigned inputs = 1;
    in[0] = x;
    if (weight) in[inputs++] = weight;
    if (bias) in[inputs++] = bias;
    d->weighted = weight != NULL;
    d->shifted = bias != NULL;
    d->mean = BADM_I_NUMBERS(t, badm_i_times(d->sets, 2));
    d->scale = d->mean ? d->mean + d->sets : NULL;
    if (t->dry) badm_i_count_work(t, 4u * (uint64_t)badm_size(x));
    return badm_record(t, op, x->rank, x->shape, inputs, in, d, sizeof *d);
}

static void badm_i_norm_scales(size_t sets, float eps, float *var)
{
    for (; sets > 0; sets--, var++) *var = 1.0f / badm_sqrtf(*var + eps);
}

/* ---- layer_norm, rms_norm ---- */

/* Sum over a set, of x - m or its square: lanes, emptied into others after each block, so that long sums stay accurate. */
BADM_I_INLINE float badm_i_norm_total(size_t runs, size_t n, size_t step, const float *x, float m, int squares)
{
    float lane[BADM_I_LANES], total[BADM_I_LANES];
    size_t i, j, from, part, since = 0;
    for (j = 0; j < BADM_I_LANES; j++) lane[j] = total[j] = 0;
    for (; runs > 0; runs--, x += step)
        for (from = 0; from < n; from += part) {
            part = n - from < BADM_I_BLOCK ? n - from : BADM_I_BLOCK;
            if (since + part > BADM_I_BLOCK) {
                for (j = 0; j < BADM_I_LANES; j++) { total[j] += lane[j]; lane[j] = 0; }
                since = 0;
            }
            since += part;
            for (i = from; i + BADM_I_LANES <= from + part; i += BADM_I_LANES)
                for (j = 0; j < BADM_I_LANES; j++) lane[j] += squares ? (x[i + j] - m) * (x[i + j] - m) : x[i + j] - m;
            for (j = 0; i < from + part; i++, j++) lane[j] += squares ? (x[i] - m) * (x[i] - m) : x[i] - m;
        }
    for (j = 0; j < BADM_I_LANES; j++) total[j] += lane[j];
    return badm_i_fold_lanes(total);
}

/* Mean (0 unless centred) and variance of sets that begin n apart, each of `runs` runs of n numbers, `step` apart. */
BADM_I_INLINE void badm_i_norm_moments_body(size_t sets, size_t runs, size_t n, size_t step, const float *x, int centred,
                                            float *mean, float *var)
{
    float count = (float)runs * (float)n, m = 0;
    for (; sets > 0; sets--, x += n, mean++, var++) {
        if (centred) m = badm_i_norm_total(runs, n, step, x, 0.0f, 0) / count;
        *mean = m;
        *var = badm_i_norm_total(runs, n, step, x, m, 1) / count;
    }
}
BADM_I_LOOP(badm_i_norm_moments, (sets, runs, n, step, x, centred, mean, var), size_t sets, size_t runs, size_t n, size_t step,
            const float *x, int centred, float *mean, float *var)

/* w and b: a number a column, or NULL. */
BADM_I_INLINE void badm_i_norm_rows_body(size_t rows, size_t n, const float *x, const float *mean, const float *scale,
                                         const float *w, const float *b, float *y)
{
    size_t i;
    for (; rows > 0; rows--, x += n, y += n, mean++, scale++) {
        float m = *mean, s = *scale;
        if (w && b) BADM_I_EACH(i, n) y[i] = (x[i] - m) * s * w[i] + b[i];
        else if (w) BADM_I_EACH(i, n) y[i] = (x[i] - m) * s * w[i];
        else if (b) BADM_I_EACH(i, n) y[i] = (x[i] - m) * s + b[i];
        else BADM_I_EACH(i, n) y[i] = (x[i] - m) * s;
    }
}
BADM_I_LOOP(badm_i_norm_rows, (rows, n, x, mean, scale, w, b, y), size_t rows, size_t n, const float *x, const float *mean,
            const float *scale, const float *w, const float *b, float *y)

/* dw, db and dx may be NULL; dw and db are added to. */
BADM_I_INLINE void badm_i_norm_rows_back_body(size_t rows, size_t n, const float *x, const float *mean, const float *scale,
                                              const float *w,
                                              const float *dy, int centred, float *dw, float *db, uint32_t kept, float *dx)
{
    for (; rows > 0; rows--, x += n, dy += n, mean++, scale++) {
        float plain[BADM_I_LANES], by_h[BADM_I_LANES], m = *mean, s = *scale, p, q;
        size_t i, j;
        if (dw) BADM_I_EACH(i, n) dw[i] += dy[i] * ((x[i] - m) * s);
        if (db) BADM_I_EACH(i, n) db[i] += dy[i];
        if (!dx) continue;
        for (j = 0; j < BADM_I_LANES; j++) plain[j] = by_h[j] = 0;
        if (w) {
            for (i = 0; i + BADM_I_LANES <= n; i += BADM_I_LANES)
                for (j = 0; j < BADM_I_LANES; j++) {
                    float g = dy[i + j] * w[i + j];
                    plain[j] += g;
                    by_h[j] += g * ((x[i + j] - m) * s);
                }
        } else {
            for (i = 0; i + BADM_I_LANES <= n; i += BADM_I_LANES)
                for (j = 0; j < BADM_I_LANES; j++) {
                    plain[j] += dy[i + j];
                    by_h[j] += dy[i + j] * ((x[i + j] - m) * s);
                }
        }
        for (j = 0; i < n; i++, j++) {
            float g = w ? dy[i] * w[i] : dy[i];
            plain[j] += g;
            by_h[j] += g * ((x[i] - m) * s);
        }
        p = centred ? badm_i_fold_lanes(plain) / (float)n : 0.0f;
        q = badm_i_fold_lanes(by_h) / (float)n;
        if (w) BADM_I_EACH(i, n) dx[i] = badm_i_masked(dx[i], kept) + s * (dy[i] * w[i] - (p + (x[i] - m) * s * q));
        else BADM_I_EACH(i, n) dx[i] = badm_i_masked(dx[i], kept) + s * (dy[i] - (p + (x[i] - m) * s * q));
        dx += n;
    }
}
BADM_I_LOOP(badm_i_norm_rows_back, (rows, n, x, mean, scale, w, dy, centred, dw, db, kept, dx), size_t rows, size_t n,
            const float *x,
            const float *mean, const float *scale, const float *w, const float *dy, int centred, float *dw, float *db, uint32_t kept,
            float *dx)

static void badm_i_layer_norm_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_norm *d = (const badm_i_norm *)y->args;
    const badm_tensor *w = badm_i_norm_weight(y), *b = badm_i_norm_bias(y);
    const float *x = y->in[0]->data;
    size_t n = d->n, row, part = n < BADM_I_BLOCK ? BADM_I_BLOCK / n : 1;           /* rows that stay in the cache */
    for (row = 0; row < d->sets; row += part) {
        if (part > d->sets - row) part = d->sets - row;
        badm_i_norm_moments(t->level, part, 1, n, n, x + row * n, d->centred, d->mean + row, d->scale + row);
        badm_i_norm_scales(part, d->eps, d->scale + row);
        badm_i_norm_rows(t->level, part, n, x + row * n, d->mean + row, d->scale + row, w ? w->data : NULL, b ? b->data : NULL,
                         y->data + row * n);
    }
}

static void badm_i_layer_norm_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_norm *d = (const badm_i_norm *)y->args;
    badm_tensor *w = badm_i_norm_weight(y), *b = badm_i_norm_bias(y);
    float *dw = w ? badm_grad(t, w) : NULL, *db = b ? badm_grad(t, b) : NULL, *dx;
    int fresh;
    dx = badm_i_grad_start(t, y->in[0], &fresh);
    badm_i_norm_rows_back(t->level, d->sets, d->n, y->in[0]->data, d->mean, d->scale, w ? w->data : NULL, y->grad, d->centred, dw,
                          db, fresh ? 0 : BADM_I_KEPT, dx);
}

/* Whether s is x's last s->rank dimensions. */
static int badm_i_is_tail(const badm_tensor *x, const badm_tensor *s)
{
    unsigned i;
    if (s->rank < 1 || s->rank > x->rank) return 0;
    for (i = 0; i < s->rank; i++) if (s->shape[i] != x->shape[x->rank - s->rank + i]) return 0;
    return 1;
}

static badm_tensor *badm_i_norm_over_tail(badm_tape *t, const badm_op *op, badm_tensor *x, badm_tensor *weight, badm_tensor *bias,
                                          float eps, int centred)
{
    badm_i_norm d;
    badm_tensor *s = weight ? weight : bias;
    memset(&d, 0, sizeof d);
    if (x->rank < 1 || badm_size(x) == 0)
        return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a: at least one dimension is expected"), x, NULL);
    if (s && !badm_i_is_tail(x, s))
        return badm_i_shape_error(t, op->name, BADM_I_TEXT("%a with weight or bias %b: the last dimensions must be those of the weight"),
                                  x, s);
    if (weight && bias && (bias->rank != weight->rank || !badm_i_is_tail(x, bias)))
        return badm_i_shape_error(t, op->name, BADM_I_TEXT("weight %a and bias %b: equal shapes are expected"), weight, bias);
    d.n = s ? badm_size(s) : badm_i_last(x);
    d.sets = badm_size(x) / d.n;
    d.eps = eps;
    d.centred = (uint8_t)centred;
    return badm_i_norm_record(t, op, x, weight, bias, &d);
}

BADM_API badm_tensor *badm_layer_norm(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, float eps)
{
    static const badm_op op = { BADM_I_TEXT("layer_norm"), badm_i_layer_norm_forward, badm_i_layer_norm_backward };
    return badm_i_norm_over_tail(t, &op, x, weight, bias, eps, 1);
}

BADM_API badm_tensor *badm_rms_norm(badm_tape *t, badm_tensor *x, badm_tensor *weight, float eps)
{
    static const badm_op op = { BADM_I_TEXT("rms_norm"), badm_i_layer_norm_forward, badm_i_layer_norm_backward };
    if (weight && weight->rank != 1)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a with weight %b: one number a column is expected"), x, weight);
    return badm_i_norm_over_tail(t, &op, x, weight, NULL, eps, 0);
}

/* ---- group_norm, batch_norm ---- */

/* y = (x - m) a + b on `rows` rows of n, `step` apart. Here and in the next two: columns: m, a, b and the like have a number a
   column, else one for all. */
BADM_I_INLINE void badm_i_norm_apply_body(size_t rows, size_t n, size_t step, int columns, const float *x, const float *m,
                                          const float *a, const float *b, float *y)
{
    float m0 = *m, a0 = *a, b0 = *b;
    size_t i;
    for (; rows > 0; rows--, x += step, y += step) {
        if (columns) BADM_I_EACH(i, n) y[i] = (x[i] - m[i]) * a[i] + b[i];
        else BADM_I_EACH(i, n) y[i] = (x[i] - m0) * a0 + b0;
    }
}
BADM_I_LOOP(badm_i_norm_apply, (rows, n, step, columns, x, m, a, b, y), size_t rows, size_t n, size_t step, int columns,
            const float *x, const float *m, const float *a, const float *b, float *y)

/* plain += dy, by_x += dy (x - m) */
BADM_I_INLINE void badm_i_norm_sums_body(size_t rows, size_t n, size_t step, int columns, const float *x, const float *m,
                                         const float *dy, float *plain, float *by_x)
{
    float p[BADM_I_LANES], q[BADM_I_LANES], all_p[BADM_I_LANES], all_q[BADM_I_LANES], m0 = *m;
    size_t i, j, from, part, since = 0;
    if (columns) {
        for (; rows > 0; rows--, x += step, dy += step) {
            BADM_I_EACH(i, n) plain[i] += dy[i];
            BADM_I_EACH(i, n) by_x[i] += dy[i] * (x[i] - m[i]);
        }
        return;
    }
    for (j = 0; j < BADM_I_LANES; j++) p[j] = q[j] = all_p[j] = all_q[j] = 0;
    for (; rows > 0; rows--, x += step, dy += step)
        for (from = 0; from < n; from += part) {            /* as badm_i_norm_total */
            part = n - from < BADM_I_BLOCK ? n - from : BADM_I_BLOCK;
            if (since + part > BADM_I_BLOCK) {
                for (j = 0; j < BADM_I_LANES; j++) { all_p[j] += p[j]; all_q[j] += q[j]; p[j] = q[j] = 0; }
                since = 0;
            }
            since += part;
            for (i = from; i + BADM_I_LANES <= from + part; i += BADM_I_LANES)
                for (j = 0; j < BADM_I_LANES; j++) {
                    p[j] += dy[i + j];
                    q[j] += dy[i + j] * (x[i + j] - m0);
                }
            for (j = 0; i < from + part; i++, j++) {
                p[j] += dy[i];
                q[j] += dy[i] * (x[i] - m0);
            }
        }
    for (j = 0; j < BADM_I_LANES; j++) { all_p[j] += p[j]; all_q[j] += q[j]; }
    *plain += badm_i_fold_lanes(all_p);
    *by_x += badm_i_fold_lanes(all_q);
}
BADM_I_LOOP(badm_i_norm_sums, (rows, n, step, columns, x, m, dy, plain, by_x), size_t rows, size_t n, size_t step, int columns,
            const float *x, const float *m, const float *dy, float *plain, float *by_x)

/* dx (+)= a dy - (p + q (x - m)) */
BADM_I_INLINE void badm_i_norm_slopes_body(size_t rows, size_t n, size_t step, int columns, const float *x, const float *m,
                                           const float *dy,
                                           const float *a, const float *p, const float *q, uint32_t kept, float *dx)
{
    float m0 = *m, a0 = *a, p0 = *p, q0 = *q;
    size_t i;
    for (; rows > 0; rows--, x += step, dy += step, dx += step) {
        if (columns) BADM_I_EACH(i, n) dx[i] = badm_i_masked(dx[i], kept) + (a[i] * dy[i] - (p[i] + q[i] * (x[i] - m[i])));
        else BADM_I_EACH(i, n) dx[i] = badm_i_masked(dx[i], kept) + (a0 * dy[i] - (p0 + q0 * (x[i] - m0)));
    }
}
BADM_I_LOOP(badm_i_norm_slopes, (rows, n, step, columns, x, m, dy, a, p, q, kept, dx), size_t rows, size_t n, size_t step,
            int columns,
            const float *x, const float *m, const float *dy, const float *a, const float *p, const float *q, uint32_t kept, float *dx)

/* Batch norm of [n,c]. */
static int badm_i_norm_by_columns(const badm_i_norm *d) { return d->inner == 1 && d->set_images > 1; }

/* Where set s begins, in numbers; its first channel. */
static size_t badm_i_norm_set(const badm_i_norm *d, size_t s, size_t *channel)
{
    size_t across = d->channels / d->set_channels;          /* sets of one image */
    *channel = s % across * d->set_channels;
    return (s / across * d->channels + *channel) * d->inner;
}

/* The running averages' next values, from means and variances over `count` numbers each. */
static void badm_i_norm_track(const badm_i_norm *d, float count)
{
    size_t c;
    for (c = 0; d->next_mean && d->next_var && c < d->channels; c++) {
        d->next_mean[c] = (1.0f - d->momentum) * d->next_mean[c] + d->momentum * d->mean[c];
        d->next_var[c] = (1.0f - d->momentum) * d->next_var[c] + d->momentum * (d->scale[c] * (count / (count - 1.0f)));
    }
}

/* Means and scales of columns; y is left as x - mean. space: two numbers a column. */
static void badm_i_norm_columns(int level, const badm_i_norm *d, const float *x, float *space, float *y)
{
    float *zero = space, *one = space + d->channels, each = 1.0f / (float)d->images;
    size_t c;
    badm_i_sum_rows(level, d->images, d->channels, x, 1, d->mean);
    for (c = 0; c < d->channels; c++) { d->mean[c] *= each; d->scale[c] = zero[c] = 0; one[c] = 1.0f; }
    badm_i_norm_apply(level, d->images, d->channels, d->channels, 1, x, d->mean, one, zero, y);
    for (c = 0; c < d->channels; c++) one[c] = 0;           /* now the sum of what is left of the mean, not needed */
    badm_i_norm_sums(level, d->images, d->channels, d->channels, 1, y, zero, y, one, d->scale);
    for (c = 0; c < d->channels; c++) d->scale[c] *= each;
}

static void badm_i_norm_channels_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_norm *d = (const badm_i_norm *)y->args;
    const badm_tensor *wt = badm_i_norm_weight(y), *bt = badm_i_norm_bias(y);
    const float *x = y->in[0]->data, *w = wt ? wt->data : NULL, *b = bt ? bt->data : NULL;
    size_t run = d->channels * d->inner, s, c, first;
    int columns = badm_i_norm_by_columns(d);
    float *space = columns ? (float *)badm_scratch(t, 2 * d->channels * sizeof(float)) : NULL;
    if (columns && !space) return;
    if (d->given) {
        memcpy(d->mean, badm_param_values(d->running_mean), d->sets * sizeof(float));
        memcpy(d->scale, badm_param_values(d->running_var), d->sets * sizeof(float));
    } else if (columns) badm_i_norm_columns(t->level, d, x, space, y->data);
    else badm_i_norm_moments(t->level, d->sets, d->set_images, d->set_channels * d->inner, run, x, 1, d->mean, d->scale);
    badm_i_norm_track(d, (float)d->images * (float)d->inner);
    badm_i_norm_scales(d->sets, d->eps, d->scale);
    if (columns) {
        for (c = 0; c < d->channels; c++) {
            space[c] = w ? d->scale[c] * w[c] : d->scale[c];
            space[run + c] = b ? b[c] : 0.0f;
        }
        badm_i_norm_apply(t->level, d->images, run, run, 1, x, d->mean, space, space + run, y->data);
        return;
    }
    for (s = 0; s < d->sets; s++) {
        size_t at = badm_i_norm_set(d, s, &first);
        for (c = 0; c < d->set_channels; c++, at += d->inner) {
            float scale = w ? d->scale[s] * w[first + c] : d->scale[s], shift = b ? b[first + c] : 0.0f;
            badm_i_norm_apply(t->level, d->set_images, d->inner, run, 0, x + at, d->mean + s, &scale, &shift, y->data + at);
        }
    }
}

/* Batch norm of [n,c]: dw and db of all columns, then dx. space: five numbers a column. */
static void badm_i_norm_columns_back(int level, const badm_i_norm *d, const float *x, const float *w, const float *dy, float *space,
                                     float *dw, float *db, uint32_t kept, float *dx)
{
    size_t n = d->channels, c;
    float *plain = space, *by_x = space + n, *a = space + 2 * n, *p = space + 3 * n, *q = space + 4 * n;
    float each = d->given ? 0.0f : 1.0f / (float)d->images;
    memset(space, 0, 2 * n * sizeof(float));
    badm_i_norm_sums(level, d->images, n, n, 1, x, d->mean, dy, plain, by_x);
    for (c = 0; c < n; c++) {
        if (dw) dw[c] += by_x[c] * d->scale[c];
        if (db) db[c] += plain[c];
        a[c] = w ? d->scale[c] * w[c] : d->scale[c];
        p[c] = a[c] * (plain[c] * each);
        q[c] = a[c] * (by_x[c] * each) * (d->scale[c] * d->scale[c]);
    }
    if (dx) badm_i_norm_slopes(level, d->images, n, n, 1, x, d->mean, dy, a, p, q, kept, dx);
}

static void badm_i_norm_channels_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_norm *d = (const badm_i_norm *)y->args;
    badm_tensor *wt = badm_i_norm_weight(y), *bt = badm_i_norm_bias(y);
    const float *x = y->in[0]->data, *w = wt ? wt->data : NULL, *dy = y->grad;
    float *dw = wt ? badm_grad(t, wt) : NULL, *db = bt ? badm_grad(t, bt) : NULL, *dx;
    size_t run = d->channels * d->inner, s, c, first;
    int fresh;
    uint32_t kept;
    dx = badm_i_grad_start(t, y->in[0], &fresh);
    kept = fresh ? 0 : BADM_I_KEPT;
    if (badm_i_norm_by_columns(d)) {
        float *space = (float *)badm_scratch(t, 5 * d->channels * sizeof(float));
        if (space) badm_i_norm_columns_back(t->level, d, x, w, dy, space, dw, db, kept, dx);
        return;
    }
    for (s = 0; s < d->sets; s++) {
        size_t at = badm_i_norm_set(d, s, &first);
        float scale = d->scale[s], each = d->given ? 0.0f : 1.0f / ((float)d->set_images * (float)d->set_channels * (float)d->inner), p, q;
        badm_i_sum all = { 0, 0 }, all_by_x = { 0, 0 };
        for (c = 0; c < d->set_channels; c++) {
            float weight = w ? w[first + c] : 1.0f, sum = 0, by_x = 0;
            size_t o = at + c * d->inner;
            badm_i_norm_sums(t->level, d->set_images, d->inner, run, 0, x + o, d->mean + s, dy + o, &sum, &by_x);
            if (dw) dw[first + c] += by_x * scale;
            if (db) db[first + c] += sum;
            badm_i_sum_add(&all, weight * sum);
            badm_i_sum_add(&all_by_x, weight * by_x);
        }
        p = scale * (badm_i_sum_value(&all) * each);
        q = scale * (badm_i_sum_value(&all_by_x) * each) * (scale * scale);
        for (c = 0; dx && c < d->set_channels; c++, at += d->inner) {
            float a = w ? scale * w[first + c] : scale;
            badm_i_norm_slopes(t->level, d->set_images, d->inner, run, 0, x + at, d->mean + s, dy + at, &a, &p, &q, kept, dx + at);
        }
    }
}

/* x as [images,channels,inner]. 0: the tape has the error. */
static int badm_i_norm_channels(badm_tape *t, const char *operation, const badm_tensor *x, const badm_tensor *weight,
                                const badm_tensor *bias, float eps, badm_i_norm *d)
{
    const badm_tensor *wrong = NULL;
    unsigned i;
    memset(d, 0, sizeof *d);
    if (x->rank < 2 || badm_size(x) == 0) {
        badm_i_shape_error(t, operation, BADM_I_TEXT("%a: [n,channels,...] is expected"), x, NULL);
        return 0;
    }
    d->images = x->shape[0];
    d->channels = x->shape[1];
    d->inner = 1;
    for (i = 2; i < x->rank; i++) d->inner *= x->shape[i];
    d->eps = eps;
    if (bias && (bias->rank != 1 || bias->shape[0] != x->shape[1])) wrong = bias;
    if (weight && (weight->rank != 1 || weight->shape[0] != x->shape[1])) wrong = weight;
    if (wrong) badm_i_shape_error(t, operation, BADM_I_TEXT("%a with weight or bias %b: one number a channel is expected"), x, wrong);
    return wrong == NULL;
}

BADM_API badm_tensor *badm_group_norm(badm_tape *t, badm_tensor *x, badm_dim groups, badm_tensor *weight, badm_tensor *bias,
                                      float eps)
{
    static const badm_op op = { BADM_I_TEXT("group_norm"), badm_i_norm_channels_forward, badm_i_norm_channels_backward };
    badm_i_norm d;
    if (!badm_i_norm_channels(t, op.name, x, weight, bias, eps, &d)) return badm_i_empty();
    if (groups == 0 || d.channels % groups)
        return badm_fail(t, BADM_ERR_SHAPE, op.name, BADM_I_TEXT("%a: %0 groups do not divide the channels"), x, NULL, groups, 0);
    d.sets = d.images * groups;
    d.set_images = 1;
    d.set_channels = d.channels / groups;
    return badm_i_norm_record(t, &op, x, weight, bias, &d);
}

BADM_API badm_tensor *badm_batch_norm(badm_tape *t, badm_tensor *x, badm_tensor *weight, badm_tensor *bias, badm_param running_mean,
                                      badm_param running_var, float momentum, float eps)
{
    static const badm_op op = { BADM_I_TEXT("batch_norm"), badm_i_norm_channels_forward, badm_i_norm_channels_backward };
    badm_i_norm d;
    if (!badm_i_norm_channels(t, op.name, x, weight, bias, eps, &d)) return badm_i_empty();
    if (!running_mean.model != !running_var.model || (running_mean.model
        && (badm_param_size(running_mean) != d.channels || badm_param_size(running_var) != d.channels)))
        return badm_fail(t, BADM_ERR_SHAPE, op.name, BADM_I_TEXT("%a with a running mean of %0 and a running variance of %1 numbers: "
                         "one number a channel is expected"), x, NULL, (unsigned long)badm_param_size(running_mean),
                         (unsigned long)badm_param_size(running_var));
    d.given = running_mean.model && !t->training;
    if (!d.given && d.images * d.inner < 2)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a: more than one value a channel is expected when training"), x, NULL);
    d.sets = d.channels;
    d.set_images = d.images;
    d.set_channels = 1;
    d.momentum = momentum;
    d.running_mean = running_mean;
    d.running_var = running_var;
    if (!d.given && running_mean.model) {
        d.next_mean = badm_buffer_next(t, running_mean);
        d.next_var = badm_buffer_next(t, running_var);
    }
    if (badm_i_norm_by_columns(&d)) badm_scratch_reserve(t, badm_i_times(d.channels, 5 * sizeof(float)));
    return badm_i_norm_record(t, &op, x, weight, bias, &d);
}

/* ---- layer state ---- */

/* What a tape will make of a buffer. */
struct badm_i_next { badm_i_next *before; badm_param buffer; float *values; };

BADM_API float *badm_buffer_next(badm_tape *t, badm_param buffer)
{
    badm_i_record *r = badm_i_record_of(buffer);
    badm_i_next *next;
    size_t n;
    if (t->error.code) return NULL;
    if (!r || !r->buffer) {
        badm_fail(t, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_buffer_next"), BADM_I_TEXT("a buffer of a model is expected"), NULL,
                  NULL, 0, 0);
        return NULL;
    }
    if (!t->training || t->buffers == BADM_I_BUFFERS_NONE || r->mapped
        || (t->buffers == BADM_I_BUFFERS_TRAINED && buffer.model != t->model)) return NULL;
    for (next = t->next; next; next = next->before)
        if (next->buffer.model == buffer.model && next->buffer.index == buffer.index) return next->values;
    next = (badm_i_next *)badm_i_arena(t, sizeof *next, sizeof(void *) < 8 ? 8 : sizeof(void *), 0);
    if (!next) return NULL;
    n = badm_i_shape_size(&r->shape);
    next->buffer = buffer;
    next->values = BADM_I_NUMBERS(t, n);
    if (t->error.code) return NULL;
    if (next->values) memcpy(next->values, badm_i_record_values(buffer.model, r), n * sizeof(float));
    next->before = t->next;
    t->next = next;
    return next->values;
}

BADM_API badm_result badm_buffers_commit(badm_tape *t)
{
    const badm_i_next *next;
    if (t->error.code || t->buffers == BADM_I_BUFFERS_TRAINED) return BADM_ERR_STATE;
    for (next = t->next; next; next = next->before)
        if (next->values) memcpy(badm_param_data(next->buffer), next->values, badm_param_size(next->buffer) * sizeof(float));
    return BADM_OK;
}

/* =====================================================================================================================
   >>attention  Scaled dot-product attention and positions.
   ===================================================================================================================== */

/* ---- attention: y = softmax(q k^T/sqrt(d)) v of each head ----

   Rows go in strips, and strips of so many rows that memory stays linear in the length: probabilities are kept for backward
   where they are few, else they are computed again. A strip of a causal mask leaves out the columns that none of its rows sees;
   what is computed beyond a row's own end becomes 0. k and v are turned once a head, so that no product packs anything. */

#define BADM_I_STRIP 16u            /* rows of a causal strip; columns of a strip of dk and dv */
#define BADM_I_STRIPS 64u           /* rows at a time: a multiple of it */
#define BADM_I_ATTENTION_KEPT 256u  /* columns up to which probabilities are kept */

/* Heads come `together` next to each other in a row. Row steps of q, k, v and y; line: of a row of probabilities. */
typedef struct badm_i_attention {
    size_t heads, together, l, m, d, e, q_row, k_row, v_row, y_row, line;
    float *kept;
    float scale;
    uint8_t causal, whole;          /* whole: q, k and v are parts of one tensor */
} badm_i_attention;

static size_t badm_i_least(size_t a, size_t b) { return a < b ? a : b; }

/* Scratch for n lines. */
static float *badm_i_attention_space(badm_tape *t, const badm_i_attention *a, size_t n)
{
    return (float *)badm_scratch(t, badm_i_times(badm_i_times(n, a->line), sizeof(float)));
}

/* Where head h begins, of rows that are `row` apart. */
static size_t badm_i_head(const badm_i_attention *a, size_t h, size_t rows, size_t row, size_t width)
{
    return h / a->together * rows * row + h % a->together * width;
}

/* Rows of a strip, and the columns that any row of the strip at `row` sees. */
static size_t badm_i_strip(const badm_i_attention *a) { return a->causal ? BADM_I_STRIP : BADM_I_STRIPS; }
static size_t badm_i_seen(const badm_i_attention *a, size_t row)
{
    return a->causal ? badm_i_least(a->m, badm_i_round_up(row + BADM_I_STRIP + a->m - a->l, BADM_I_STRIP)) : a->m;
}

/* Rows of scores become probabilities: the first row sees `seen` columns of n, each following one `more` than the one before. */
BADM_I_INLINE void badm_i_attend_body(size_t rows, size_t seen, size_t more, size_t n, float scale, size_t line, float *p)
{
    for (; rows > 0; rows--, p += line, seen += more) {
        float lane[BADM_I_LANES] = { 0 }, most;
        size_t i;
        badm_i_largest_body(seen, p, &most);
        BADM_I_EACH(i, n) p[i] = badm_i_exp(scale * (p[i] - most));
        for (i = seen; i < n; i++) p[i] = 0;
        badm_i_sum_to_lanes_body(n, p, lane);
        badm_i_set_scaled_body(n, 1.0f / badm_i_fold_lanes(lane), p, p);
    }
}
BADM_I_LOOP(badm_i_attend, (rows, seen, more, n, scale, line, p), size_t rows, size_t seen, size_t more, size_t n, float scale,
            size_t line, float *p)

/* d = scale p (d - inner) */
BADM_I_INLINE void badm_i_attend_back_body(size_t n, float scale, float inner, const float *p, float *d)
{
    size_t i;
    BADM_I_EACH(i, n) d[i] = scale * (p[i] * (d[i] - inner));
}
BADM_I_LOOP(badm_i_attend_back, (n, scale, inner, p, d), size_t n, float scale, float inner, const float *p, float *d)

/* Probabilities of `rows` rows from `row` on, q being the first of them, k turned. */
static void badm_i_attention_strip(badm_tape *t, const badm_i_attention *a, size_t row, size_t rows, const float *q, const float *k,
                                   float *p)
{
    size_t n = badm_i_seen(a, row);
    badm_i_multiply(t, rows, n, a->d, q, a->q_row, 1, k, a->line, 1, NULL, 0, p, a->line);
    badm_i_attend(t->level, rows, a->causal ? row + 1 + a->m - a->l : a->m, a->causal, n, a->scale, a->line, p);
}

static const float *badm_i_attention_part(const badm_i_attention *a, const badm_tensor *y, unsigned i)
{
    return a->whole ? y->in[0]->data + i * a->together * a->d : y->in[i]->data;
}

static void badm_i_attention_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_attention *a = (const badm_i_attention *)y->args;
    size_t h, i, rows, strip = badm_i_strip(a);
    float *turned = badm_i_attention_space(t, a, a->d), *space = a->kept;
    if (!space) space = badm_i_attention_space(t, a, badm_i_least(strip, a->l));
    for (h = 0; turned && space && h < a->heads; h++) {
        const float *q = badm_i_attention_part(a, y, 0) + badm_i_head(a, h, a->l, a->q_row, a->d);
        const float *k = badm_i_attention_part(a, y, 1) + badm_i_head(a, h, a->m, a->k_row, a->d);
        const float *v = badm_i_attention_part(a, y, 2) + badm_i_head(a, h, a->m, a->v_row, a->e);
        float *out = y->data + badm_i_head(a, h, a->l, a->y_row, a->e);
        badm_i_pack_turned(t->level, k, a->k_row, a->d, a->m, a->line, turned);
        for (i = 0; i < a->l; i += rows) {
            rows = badm_i_least(strip, a->l - i);
            badm_i_attention_strip(t, a, i, rows, q + i * a->q_row, turned, space);
            badm_i_multiply(t, rows, a->e, badm_i_seen(a, i), space, a->line, 1, v, a->v_row, 1, NULL, 0, out + i * a->y_row,
                            a->y_row);
            if (a->kept) space += rows * a->line;
        }
    }
}

/* Gradients of one head; NULL where none is wanted. */
typedef struct badm_i_attention_grads { float *q, *k, *v; int q_fresh, k_fresh, v_fresh; } badm_i_attention_grads;

/* Of rows from..to-1, ds being d loss/d scores: dq, and what these rows add to dk and dv. */
static void badm_i_attention_rows_back(badm_tape *t, const badm_i_attention *a, size_t from, size_t to, const float *q,
                                       const float *k, const float *dy, const float *p, const float *ds,
                                       const badm_i_attention_grads *g)
{
    size_t i, j, first, rows, cols, line = a->line, strip = badm_i_strip(a), before = from ? badm_i_seen(a, from - strip) : 0;
    size_t seen = badm_i_seen(a, to - 1 - (to - 1 - from) % strip);
    for (i = from; g->q && i < to; i += rows) {
        float *dq = g->q + i * a->q_row;
        rows = badm_i_least(strip, to - i);
        badm_i_multiply(t, rows, a->d, badm_i_seen(a, i), ds + (i - from) * line, line, 1, k, a->k_row, 1,
                        g->q_fresh ? NULL : dq, a->q_row, dq, a->q_row);
    }
    for (j = 0; j < seen; j += cols) {          /* rows before these have added to columns below `before` */
        cols = a->causal ? badm_i_least(BADM_I_STRIP, a->m - j) : a->m;
        for (first = from; badm_i_seen(a, first) <= j; first += strip) { }              /* the first strip that sees column j */
        if (g->k) {
            float *dk = g->k + j * a->k_row;
            badm_i_multiply(t, cols, a->d, to - first, ds + (first - from) * line + j, 1, line, q + first * a->q_row, a->q_row, 1,
                            g->k_fresh && j >= before ? NULL : dk, a->k_row, dk, a->k_row);
        }
        if (g->v) {
            float *dv = g->v + j * a->v_row;
            badm_i_multiply(t, cols, a->e, to - first, p + (first - from) * line + j, 1, line, dy + first * a->y_row, a->y_row, 1,
                            g->v_fresh && j >= before ? NULL : dv, a->v_row, dv, a->v_row);
        }
    }
}

static void badm_i_attention_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_attention *a = (const badm_i_attention *)y->args;
    badm_i_attention_grads whole = { NULL, NULL, NULL, 0, 0, 0 };
    size_t h, i, r, from, to, rows, strip = badm_i_strip(a), most = badm_i_least(BADM_I_STRIPS, a->l);
    float *k_turned = NULL, *v_turned, *space = NULL, *ds;
    if (a->whole) {
        whole.q = badm_i_grad_start(t, y->in[0], &whole.q_fresh);
        if (!whole.q) return;
        whole.k = whole.q + a->together * a->d;
        whole.v = whole.k + a->together * a->d;
        whole.k_fresh = whole.v_fresh = whole.q_fresh;
    } else if (y->in[0] == y->in[1] || y->in[0] == y->in[2] || y->in[1] == y->in[2]) {
        whole.q = badm_grad(t, y->in[0]);
        whole.k = badm_grad(t, y->in[1]);
        whole.v = badm_grad(t, y->in[2]);
    } else {
        whole.q = badm_i_grad_start(t, y->in[0], &whole.q_fresh);
        whole.k = badm_i_grad_start(t, y->in[1], &whole.k_fresh);
        whole.v = badm_i_grad_start(t, y->in[2], &whole.v_fresh);
    }
    v_turned = badm_i_attention_space(t, a, a->e);
    ds = badm_i_attention_space(t, a, most);
    if (!a->kept) {
        k_turned = badm_i_attention_space(t, a, a->d);
        space = badm_i_attention_space(t, a, most);
    }
    if (t->error.code) return;
    for (h = 0; h < a->heads; h++) {
        size_t q_at = badm_i_head(a, h, a->l, a->q_row, a->d), k_at = badm_i_head(a, h, a->m, a->k_row, a->d);
        size_t v_at = badm_i_head(a, h, a->m, a->v_row, a->e), y_at = badm_i_head(a, h, a->l, a->y_row, a->e);
        const float *q = badm_i_attention_part(a, y, 0) + q_at, *k = badm_i_attention_part(a, y, 1) + k_at;
        const float *v = badm_i_attention_part(a, y, 2) + v_at, *dy = y->grad + y_at, *out = y->data + y_at;
        badm_i_attention_grads g = whole;
        if (g.q) g.q += q_at;
        if (g.k) g.k += k_at;
        if (g.v) g.v += v_at;
        badm_i_pack_turned(t->level, v, a->v_row, a->e, a->m, a->line, v_turned);
        if (k_turned) badm_i_pack_turned(t->level, k, a->k_row, a->d, a->m, a->line, k_turned);
        for (from = 0; from < a->l; from = to) {
            float *p = a->kept ? a->kept + (h * a->l + from) * a->line : space;
            to = badm_i_least(from + BADM_I_STRIPS, a->l);
            for (i = from; i < to; i += rows) {
                size_t n = badm_i_seen(a, i);
                rows = badm_i_least(strip, to - i);
                if (k_turned) badm_i_attention_strip(t, a, i, rows, q + i * a->q_row, k_turned, p + (i - from) * a->line);
                badm_i_multiply(t, rows, n, a->e, dy + i * a->y_row, a->y_row, 1, v_turned, a->line, 1, NULL, 0,
                                ds + (i - from) * a->line, a->line);
                for (r = i; r < i + rows; r++)
                    badm_i_attend_back(t->level, n, a->scale, badm_i_dot(t->level, dy + r * a->y_row, out + r * a->y_row, a->e),
                                       p + (r - from) * a->line, ds + (r - from) * a->line);
            }
            badm_i_attention_rows_back(t, a, from, to, q, k, dy, p, ds, &g);
        }
    }
}

/* Records attention of `heads` heads: sizes and steps are filled in, the rest is found here. */
static badm_tensor *badm_i_attention_record(badm_tape *t, const badm_op *op, badm_i_attention *a, unsigned rank,
                                            const badm_dim *shape, unsigned inputs, badm_tensor *const *in)
{
    size_t rows = badm_i_least(BADM_I_STRIPS, a->l), widest = a->d > a->e ? a->d : a->e, scratch, block;
    unsigned i, wanted = 0;
    a->scale = 1.0f / badm_sqrtf((float)a->d);
    a->line = badm_i_round_up(a->m, BADM_I_STRIP);
    if (a->line % 256 == 0) a->line += BADM_I_STRIP;            /* lines a power of two apart compete for places of the cache */
    for (i = 0; i < inputs; i++) wanted |= in[i]->wants_grad;
    if (t->recording && wanted && a->m <= BADM_I_ATTENTION_KEPT)
        a->kept = BADM_I_NUMBERS(t, badm_i_times(badm_i_times(a->heads, a->l), a->line));
    if (t->dry) {
        /* k and v turned, probabilities and their gradients, and what a product takes */
        scratch = badm_i_times(2 * sizeof(float), badm_i_times(badm_i_plus(widest, rows), a->line));
        block = badm_i_gemm_scratch(t->full.kernels, 0, a->m > rows ? a->m : rows, a->m > widest ? a->m : widest, 1, 0);
        badm_scratch_reserve(t, badm_i_plus(badm_i_plus(scratch, block), 8 * BADM_I_ALIGN));
        badm_i_count_work(t, (uint64_t)a->heads * a->l * a->m * (a->d + a->e + 8) / (a->causal ? 2 : 1));
    }
    return badm_record(t, op, rank, shape, inputs, in, a, sizeof *a);
}

BADM_API badm_tensor *badm_attention(badm_tape *t, badm_tensor *q, badm_tensor *k, badm_tensor *v, int causal)
{
    static const badm_op op = { BADM_I_TEXT("attention"), badm_i_attention_forward, badm_i_attention_backward };
    badm_i_attention a;
    badm_tensor *in[3];
    badm_dim shape[BADM_MAX_RANK];
    unsigned i, r = q->rank;
    if (r < 2 || k->rank != r || v->rank != r)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("q %a, k %b: q, k and v of equal rank, two at least, are expected"), q,
                                  k);
    memset(&a, 0, sizeof a);
    a.heads = a.together = 1;
    for (i = 0; i + 2 < r; i++) {
        if (q->shape[i] != k->shape[i])
            return badm_i_shape_error(t, op.name, BADM_I_TEXT("q %a, k %b: leading dimensions differ"), q, k);
        if (q->shape[i] != v->shape[i])
            return badm_i_shape_error(t, op.name, BADM_I_TEXT("q %a, v %b: leading dimensions differ"), q, v);
        shape[i] = q->shape[i];
        a.heads *= shape[i];
    }
    a.l = q->shape[r - 2];
    a.m = k->shape[r - 2];
    a.d = a.q_row = a.k_row = q->shape[r - 1];
    a.e = a.v_row = a.y_row = v->shape[r - 1];
    if (k->shape[r - 1] != a.d)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("q %a, k %b: last dimensions differ"), q, k);
    if (v->shape[r - 2] != a.m)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("k %a, v %b: one row of v for every row of k is expected"), k, v);
    if (causal && a.m < a.l)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("q %a, k %b: a causal mask wants at least as many rows of k"), q, k);
    a.causal = (uint8_t)(causal != 0);
    shape[r - 2] = q->shape[r - 2];
    shape[r - 1] = v->shape[r - 1];
    in[0] = q;
    in[1] = k;
    in[2] = v;
    return badm_i_attention_record(t, &op, &a, r, shape, 3, in);
}

BADM_API badm_tensor *badm_self_attention(badm_tape *t, badm_tensor *x, badm_dim heads, int causal)
{
    static const badm_op op = { BADM_I_TEXT("self_attention"), badm_i_attention_forward, badm_i_attention_backward };
    badm_i_attention a;
    badm_dim shape[3], each = x->rank == 3 ? (badm_dim)(x->shape[2] / 3) : 0;
    if (heads == 0 || each == 0 || x->shape[2] % 3 || each % heads)
        return badm_fail(t, BADM_ERR_SHAPE, op.name,
                         BADM_I_TEXT("%a with %0 heads: [n,length,3*heads*d], q, k and v of all heads, is expected"), x,
                         NULL, heads, 0);
    memset(&a, 0, sizeof a);
    a.together = heads;
    a.heads = badm_i_times(x->shape[0], heads);
    a.l = a.m = x->shape[1];
    a.d = a.e = each / heads;
    a.q_row = a.k_row = a.v_row = x->shape[2];
    a.y_row = each;
    a.causal = (uint8_t)(causal != 0);
    a.whole = 1;
    shape[0] = x->shape[0];
    shape[1] = x->shape[1];
    shape[2] = each;
    return badm_i_attention_record(t, &op, &a, 3, shape, 1, &x);
}

/* ---- positions ---- */

/* base^(-2i/width) for pair i */
static float badm_i_frequency(float base, size_t i, size_t width)
{
    return badm_expf(-(2.0f * (float)i / (float)width) * badm_logf(base));
}

BADM_API badm_tensor *badm_sinusoidal(badm_tape *t, badm_dim length, badm_dim width)
{
    badm_dim shape[2];
    badm_tensor *y;
    size_t i, j;
    shape[0] = length;
    shape[1] = width;
    y = badm_i_leaf(t, 2, shape, NULL, 0);
    for (j = 0; y->data && j < width; j++) {
        float frequency = badm_i_frequency(10000.0f, j / 2, width);
        for (i = 0; i < length; i++) y->data[i * width + j] = badm_i_cos_less((float)i * frequency, j % 2 ? 0 : 1);
    }
    return y;
}

/* (to0,to1) = what is kept of it + the pair (x0,x1) turned; turn: cosines of n pairs, then sines */
BADM_I_INLINE void badm_i_turn_body(size_t n, const float *turn, float sign, uint32_t kept, const float *x, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) {
        float c = turn[i], s = sign * turn[n + i], x0 = x[i], x1 = x[n + i];
        to[i] = badm_i_masked(to[i], kept) + (x0 * c - x1 * s);
        to[n + i] = badm_i_masked(to[n + i], kept) + (x1 * c + x0 * s);
    }
}
BADM_I_LOOP(badm_i_turn, (n, turn, sign, kept, x, to), size_t n, const float *turn, float sign, uint32_t kept, const float *x,
            float *to)

typedef struct badm_i_rotary { float base; badm_dim first; float *turns; } badm_i_rotary;

static void badm_i_rotary_forward(badm_tape *t, badm_tensor *y)
{
    const badm_i_rotary *r = (const badm_i_rotary *)y->args;
    size_t d = badm_i_last(y), l = y->shape[y->rank - 2], n = badm_size(y) / d, i, j;
    for (j = 0; j < d / 2; j++) {
        float frequency = badm_i_frequency(r->base, j, d);
        for (i = 0; i < l; i++) {
            float angle = ((float)r->first + (float)i) * frequency;
            r->turns[i * d + j] = badm_i_cos_less(angle, 0);
            r->turns[i * d + d / 2 + j] = badm_i_cos_less(angle, 1);
        }
    }
    for (i = 0; i < n; i++) badm_i_turn(t->level, d / 2, r->turns + i % l * d, 1.0f, 0, y->in[0]->data + i * d, y->data + i * d);
}

static void badm_i_rotary_backward(badm_tape *t, badm_tensor *y)
{
    const badm_i_rotary *r = (const badm_i_rotary *)y->args;
    size_t d = badm_i_last(y), l = y->shape[y->rank - 2], n = badm_size(y) / d, i;
    int fresh;
    float *dx = badm_i_grad_start(t, y->in[0], &fresh);
    if (!dx) return;
    for (i = 0; i < n; i++)
        badm_i_turn(t->level, d / 2, r->turns + i % l * d, -1.0f, fresh ? 0 : BADM_I_KEPT, y->grad + i * d, dx + i * d);
}

BADM_API badm_tensor *badm_rotary(badm_tape *t, badm_tensor *x, float base, badm_dim first)
{
    static const badm_op op = { BADM_I_TEXT("rotary"), badm_i_rotary_forward, badm_i_rotary_backward };
    badm_i_rotary r;
    if (x->rank < 2 || x->shape[x->rank - 1] % 2)
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a: rows of an even number of columns are expected"), x, NULL);
    if (!(base > 0) || !badm_i_is_finite(base))
        return badm_fail(t, BADM_ERR_ARGUMENT, op.name, BADM_I_TEXT("%a: a base above 0 is expected"), x, NULL, 0, 0);
    memset(&r, 0, sizeof r);
    r.base = base;
    r.first = first;
    r.turns = BADM_I_NUMBERS(t, badm_i_times(x->shape[x->rank - 2], badm_i_last(x)));
    return badm_i_unary(t, &op, x, &r, sizeof r);
}

/* =====================================================================================================================
   >>sparse     Compressed rows.

   Making is done by counting: entries are dealt out by column, then by row, so that each row's columns ascend and equal places come
   in the order given. A product's row is one worker's, its sum in the order of the entries.
   ===================================================================================================================== */

BADM_I_SELDOM

/* Counts, which stand one place further on, become beginnings. */
static void badm_i_csr_begin(uint32_t *start, uint32_t rows)
{
    uint32_t i;
    for (i = 0; i < rows; i++) start[i + 1] += start[i];
}

/* Entries have been dealt out by start[row]++: back to the beginnings. */
static void badm_i_csr_rewind(uint32_t *start, uint32_t rows)
{
    uint32_t i;
    for (i = rows; i > 0; i--) start[i] = start[i - 1];
    start[0] = 0;
}

/* Memory for `matrices` of them and `words` numbers of 4 bytes behind them. NULL: *e says why. */
static badm_csr *badm_i_csr_alloc(badm_memory *mem, const char *operation, uint32_t rows, uint32_t cols, size_t n, size_t matrices,
                                  size_t words, badm_i_fault *e)
{
    size_t bytes = badm_i_plus(matrices * sizeof(badm_csr), badm_i_times(words, sizeof(uint32_t)));
    badm_csr *a = NULL;
    if (rows == 0 || cols == 0)
        badm_i_error(e, BADM_ERR_ARGUMENT, operation, BADM_I_TEXT("%0 rows and %1 columns: at least one of each is expected"), NULL,
                     rows, cols);
    else if (rows != (badm_dim)rows || cols != (badm_dim)cols || badm_i_over_32_bits(n) || bytes == BADM_I_NONE)
        badm_i_error(e, BADM_ERR_MEMORY, operation, BADM_I_TEXT("%0 rows and %1 entries are more than this machine can count"),
                     NULL, rows, (unsigned long)n);
    else if ((a = (badm_csr *)badm_i_alloc(mem, bytes)) == NULL)
        badm_i_error(e, BADM_ERR_MEMORY, operation, BADM_I_TEXT("%0 bytes for %1 entries are not to be had"), NULL,
                     (unsigned long)bytes, (unsigned long)n);
    if (!a) return NULL;
    memset(a, 0, matrices * sizeof *a);
    a->rows = rows;
    a->cols = cols;
    a->memory = mem;
    return a;
}

/* Equal neighbours within rows become one, their values added up, or with `replace` the last of them; value may be NULL. */
static void badm_i_csr_merge(uint32_t rows, uint32_t *start, uint32_t *column, float *value, int replace)
{
    uint32_t i, k, end, out = 0;
    for (i = 0, k = 0; i < rows; i++) {
        uint32_t first = out;
        for (end = start[i + 1]; k < end; k++) {
            if (out > first && column[out - 1] == column[k]) {
                if (value) value[out - 1] = replace ? value[k] : value[out - 1] + value[k];
                continue;
            }
            column[out] = column[k];
            if (value) value[out] = value[k];
            out++;
        }
        start[i + 1] = out;
    }
}

/* replace: of entries of the same place the last one counts, not their sum. */
static badm_result badm_i_csr_build(badm_csr **out, badm_memory *mem, uint32_t rows, uint32_t cols, size_t n, const uint32_t *row,
                                    const uint32_t *column, const float *value, int replace, badm_i_fault *e)
{
    const char *operation = BADM_I_TEXT("badm_csr_new");
    badm_csr *a;
    uint32_t *start, *turned_start, *columns, *turned_columns, *origin, i, k;
    float *values, *turned_values;
    size_t at;
    *out = NULL;
    badm_i_error(e, BADM_OK, "", "", NULL, 0, 0);
    a = badm_i_csr_alloc(mem, operation, rows, cols, n, 2,
                         badm_i_plus(badm_i_plus(rows, cols), badm_i_plus(badm_i_times(n, 5), 2)), e);
    if (!a) return e->code;
    start = (uint32_t *)(void *)(a + 2);
    turned_start = start + rows + 1;
    columns = turned_start + cols + 1;
    turned_columns = columns + n;
    origin = turned_columns + n;
    values = (float *)(void *)(origin + n);
    turned_values = values + n;
    memset(start, 0, ((size_t)rows + 1) * sizeof *start);
    memset(turned_start, 0, ((size_t)cols + 1) * sizeof *start);
    for (at = 0; at < n; at++) {
        int outside = row[at] >= rows;
        if (outside || column[at] >= cols) {
            badm_csr_free(a);
            return badm_i_error(e, BADM_ERR_LABEL, operation, outside ? BADM_I_TEXT("row %0 of a matrix of %1 rows")
                : BADM_I_TEXT("column %0 of a matrix of %1 columns"), NULL, outside ? row[at] : column[at], outside ? rows : cols);
        }
        start[row[at] + 1]++;
        turned_start[column[at] + 1]++;
    }
    badm_i_csr_begin(start, rows);
    badm_i_csr_begin(turned_start, cols);
    for (at = 0; at < n; at++) turned_columns[turned_start[column[at]]++] = (uint32_t)at;       /* entries by column */
    for (at = 0; at < n; at++) {
        uint32_t entry = turned_columns[at], to = start[row[entry]]++;
        columns[to] = column[entry];
        values[to] = value ? value[entry] : 1.0f;
    }
    badm_i_csr_rewind(start, rows);
    badm_i_csr_merge(rows, start, columns, values, replace);
    for (k = 0; k < start[rows]; k++)
        if (!badm_i_is_finite(values[k])) {
            badm_i_error(e, BADM_ERR_NONFINITE, operation, BADM_I_TEXT("a value in column %0 is infinite or not a number"), NULL,
                         columns[k], 0);
            badm_csr_free(a);
            return e->code;
        }
    memset(turned_start, 0, ((size_t)cols + 1) * sizeof *start);
    for (k = 0; k < start[rows]; k++) turned_start[columns[k] + 1]++;
    badm_i_csr_begin(turned_start, cols);
    for (i = 0, k = 0; i < rows; i++)
        for (; k < start[i + 1]; k++) {
            uint32_t to = turned_start[columns[k]]++;
            turned_columns[to] = i;
            turned_values[to] = values[k];
            origin[to] = k;
        }
    badm_i_csr_rewind(turned_start, cols);
    a->start = start;
    a->column = columns;
    a->value = values;
    a->turned = a + 1;
    a[1].rows = cols;
    a[1].cols = rows;
    a[1].start = turned_start;
    a[1].column = turned_columns;
    a[1].value = turned_values;
    a[1].turned = a;
    a[1].origin = origin;
    *out = a;
    return BADM_OK;
}

BADM_API badm_result badm_csr_new(badm_csr **out, badm_memory *mem, uint32_t rows, uint32_t cols, size_t n, const uint32_t *row,
                                  const uint32_t *column, const float *value, badm_error *err)
{
    badm_i_fault e;
    badm_i_csr_build(out, mem, rows, cols, n, row, column, value, 0, &e);
    return badm_i_error_out(&e, err);
}

static badm_result badm_i_csr_graph(badm_csr **out, badm_memory *mem, uint32_t nodes, size_t edges, const uint32_t *from,
                                    const uint32_t *to, badm_i_fault *e)
{
    const char *operation = BADM_I_TEXT("badm_csr_graph");
    badm_csr *a;
    uint32_t *start, *place, *columns, *unsorted, i, k;
    float *values;
    size_t at, n = badm_i_plus(badm_i_times(edges, 2), nodes);
    *out = NULL;
    badm_i_error(e, BADM_OK, "", "", NULL, 0, 0);
    a = badm_i_csr_alloc(mem, operation, nodes, nodes, n, 1,
                         badm_i_plus(badm_i_plus(nodes, nodes), badm_i_plus(badm_i_times(n, 2), 1)), e);
    if (!a) return e->code;
    start = (uint32_t *)(void *)(a + 1);
    place = start + nodes + 1;
    columns = place + nodes;
    unsorted = columns + n;                     /* where the values will be */
    values = (float *)(void *)unsorted;
    memset(start, 0, ((size_t)nodes + 1) * sizeof *start);
    for (i = 0; i < nodes; i++) start[i + 1]++;
    for (at = 0; at < edges; at++) {
        if (from[at] >= nodes || to[at] >= nodes) {
            badm_csr_free(a);
            return badm_i_error(e, BADM_ERR_LABEL, operation, BADM_I_TEXT("node %0 of a graph of %1 nodes"), NULL,
                                from[at] >= nodes ? from[at] : to[at], nodes);
        }
        if (from[at] == to[at]) continue;
        start[from[at] + 1]++;
        start[to[at] + 1]++;
    }
    badm_i_csr_begin(start, nodes);
    memcpy(place, start, nodes * sizeof *place);
    for (i = 0; i < nodes; i++) unsorted[place[i]++] = i;
    for (at = 0; at < edges; at++) {
        if (from[at] == to[at]) continue;
        unsorted[place[from[at]]++] = to[at];
        unsorted[place[to[at]]++] = from[at];
    }
    memcpy(place, start, nodes * sizeof *place);
    for (i = 0, k = 0; i < nodes; i++)          /* every node to its neighbours' rows, in ascending order */
        for (; k < start[i + 1]; k++) columns[place[unsorted[k]]++] = i;
    badm_i_csr_merge(nodes, start, columns, NULL, 0);
    for (i = 0, k = 0; i < nodes; i++)
        for (; k < start[i + 1]; k++) {
            uint32_t other = columns[k];
            values[k] = 1.0f / badm_sqrtf((float)(start[i + 1] - start[i]) * (float)(start[other + 1] - start[other]));
        }
    a->start = start;
    a->column = columns;
    a->value = values;
    a->turned = a;
    *out = a;
    return BADM_OK;
}

BADM_API badm_result badm_csr_graph(badm_csr **out, badm_memory *mem, uint32_t nodes, size_t edges, const uint32_t *from,
                                    const uint32_t *to, badm_error *err)
{
    badm_i_fault e;
    badm_i_csr_graph(out, mem, nodes, edges, from, to, &e);
    return badm_i_error_out(&e, err);
}

BADM_API void badm_csr_free(badm_csr *a) { if (a) badm_i_free(a->memory, a); }

/* Whether every entry has a place: a matrix of the caller's own is looked at in dry runs. */
static int badm_i_csr_fits(const badm_csr *a)
{
    uint32_t i, k;
    if (a->start[0] != 0) return 0;
    for (i = 0; i < a->rows; i++) if (a->start[i] > a->start[i + 1]) return 0;
    for (k = 0; k < a->start[a->rows]; k++) if (a->column[k] >= a->cols) return 0;
    return 1;
}

BADM_I_OFTEN

/* ---- products ---- */

/* `width` columns of one row of the product, those before `skip` left out. */
BADM_I_INLINE void badm_i_sparse_columns(size_t width, uint32_t first, uint32_t end, const uint32_t *column, const float *value,
                                         size_t n, const float *x, size_t skip, int add, float *y)
{
    float sum[BADM_I_LANES];
    size_t j;
    uint32_t k;
    for (j = 0; j < width; j++) sum[j] = 0;
    for (k = first; k < end; k++) {
        const float *from = x + column[k] * n;
        float v = value ? value[k] : 1.0f;
        for (j = 0; j < width; j++) sum[j] += v * from[j];
    }
    if (add) for (j = skip; j < width; j++) y[j] += sum[j];
    else for (j = skip; j < width; j++) y[j] = sum[j];
}

/* Rows first..end-1 of y [rows,n]. What is left of a row is its last 16, 8 or 4 columns: some a second time, with the same sums. */
BADM_I_INLINE void badm_i_sparse_rows_body(uint32_t first, uint32_t end, const uint32_t *start, const uint32_t *column,
                                           const float *value, size_t n, const float *x, int add, float *y)
{
    uint32_t i;
    size_t j;
    for (i = first; i < end; i++) {
        uint32_t from = start[i], to = start[i + 1];
        float *row = y + i * n;
        for (j = 0; j + 16 <= n; j += 16) badm_i_sparse_columns(16, from, to, column, value, n, x + j, 0, add, row + j);
        if (j == n) continue;
        if (j > 0) badm_i_sparse_columns(16, from, to, column, value, n, x + n - 16, 16 - (n - j), add, row + n - 16);
        else if (n >= 8) {
            badm_i_sparse_columns(8, from, to, column, value, n, x, 0, add, row);
            if (n > 8) badm_i_sparse_columns(8, from, to, column, value, n, x + n - 8, 16 - n, add, row + n - 8);
        } else if (n >= 4) {
            badm_i_sparse_columns(4, from, to, column, value, n, x, 0, add, row);
            if (n > 4) badm_i_sparse_columns(4, from, to, column, value, n, x + n - 4, 8 - n, add, row + n - 4);
        } else for (; j < n; j++) badm_i_sparse_columns(1, from, to, column, value, n, x + j, 0, add, row + j);
    }
}
BADM_I_LOOP(badm_i_sparse_rows, (first, end, start, column, value, n, x, add, y), uint32_t first, uint32_t end,
            const uint32_t *start, const uint32_t *column, const float *value, size_t n, const float *x, int add, float *y)

typedef struct badm_i_sparse_product {
    const badm_csr *a;
    const float *x;
    float *y;
    size_t n;
    uint32_t parts;
    int add;
} badm_i_sparse_product;

/* Where part `part` of equal work begins: the first row before which there is as much. */
static uint32_t badm_i_sparse_cut(const badm_csr *a, uint32_t part, uint32_t parts)
{
    uint64_t work = ((uint64_t)a->start[a->rows] + a->rows) * part / parts;
    uint32_t low = 0, high = a->rows;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uint64_t)a->start[middle] + middle < work) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void badm_i_sparse_part(const badm_tape *t, void *arg, uint32_t part)
{
    const badm_i_sparse_product *p = (const badm_i_sparse_product *)arg;
    badm_i_sparse_rows(t->level, badm_i_sparse_cut(p->a, part, p->parts), badm_i_sparse_cut(p->a, part + 1, p->parts), p->a->start,
                       p->a->column, p->a->value, p->n, p->x, p->add, p->y);
}

/* y (+)= a x */
static void badm_i_sparse_multiply(badm_tape *t, const badm_csr *a, const float *x, size_t n, int add, float *y)
{
    badm_i_sparse_product p;
    p.a = a;
    p.x = x;
    p.y = y;
    p.n = n;
    p.add = add;
    p.parts = badm_i_parts(t, ((uint64_t)a->start[a->rows] + a->rows) * n, 60000);
    badm_i_spread(t, p.parts, badm_i_sparse_part, &p);
}

static void badm_i_sparse_matmul_forward(badm_tape *t, badm_tensor *y)
{
    badm_i_sparse_multiply(t, *(const badm_csr *const *)y->args, y->in[0]->data, badm_i_last(y), 0, y->data);
}

static void badm_i_sparse_matmul_backward(badm_tape *t, badm_tensor *y)
{
    const badm_csr *a = *(const badm_csr *const *)y->args;
    int fresh = 0;
    float *dx = a->turned ? badm_i_grad_start(t, y->in[0], &fresh) : NULL;
    if (dx) badm_i_sparse_multiply(t, a->turned, y->grad, badm_i_last(y), !fresh, dx);
}

static badm_tensor *badm_i_sparse_fail(badm_tape *t, const char *message, const badm_csr *a, const badm_tensor *x, badm_result code)
{
    badm_tensor shape;
    memset(&shape, 0, sizeof shape);
    shape.rank = 2;
    shape.shape[0] = (badm_dim)a->rows;
    shape.shape[1] = (badm_dim)a->cols;
    return badm_fail(t, code, BADM_I_TEXT("sparse_matmul"), message, &shape, x, a->cols, x && x->rank ? x->shape[0] : 0);
}

BADM_API badm_tensor *badm_sparse_matmul(badm_tape *t, const badm_csr *a, badm_tensor *x)
{
    static const badm_op op = { BADM_I_TEXT("sparse_matmul"), badm_i_sparse_matmul_forward, badm_i_sparse_matmul_backward };
    const badm_csr *turned = a->turned;
    badm_dim shape[2];
    if (x->rank != 2) return badm_i_sparse_fail(t, BADM_I_TEXT("%a x %b: a matrix is expected"), a, x, BADM_ERR_SHAPE);
    if (x->shape[0] != a->cols)
        return badm_i_sparse_fail(t, BADM_I_TEXT("%a x %b: inner dimensions differ (%0, %1)"), a, x, BADM_ERR_SHAPE);
    if (turned && (turned->rows != a->cols || turned->cols != a->rows))
        return badm_i_sparse_fail(t, BADM_I_TEXT("%a: its transpose `turned` is of another shape"), a, x, BADM_ERR_SHAPE);
    if (t->dry) {
        if (!badm_i_csr_fits(a) || (turned && turned != a && !badm_i_csr_fits(turned)))
            return badm_i_sparse_fail(t, BADM_I_TEXT("%a: a row's beginning or a column is out of range"), a, x, BADM_ERR_LABEL);
        badm_i_count_work(t, (uint64_t)a->start[a->rows] * badm_i_last(x));
    }
    shape[0] = (badm_dim)a->rows;
    shape[1] = x->shape[1];
    return badm_record(t, &op, 2, shape, 1, &x, &a, sizeof a);
}

/* ---- dropout of entries ---- */

/* The place in `a` of entry k of its transpose, which stands in row `row` there; start[rows] where there is none. */
static uint32_t badm_i_csr_place(const badm_csr *a, uint32_t row, uint32_t k)
{
    const badm_csr *turned = a->turned;
    uint32_t i = turned->column[k], low, high;
    if (turned->origin) return turned->origin[k];
    low = a->start[i];
    high = a->start[i + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (a->column[middle] < row) low = middle + 1;
        else high = middle;
    }
    return low < a->start[i + 1] && a->column[low] == row ? low : a->start[a->rows];
}

static int badm_i_csr_is_turned(const badm_csr *a)
{
    uint32_t j, k, n = a->start[a->rows];
    if (a->turned->start[a->turned->rows] != n) return 0;
    for (j = 0, k = 0; j < a->turned->rows; j++)
        for (; k < a->turned->start[j + 1]; k++) if (badm_i_csr_place(a, j, k) >= n) return 0;
    return 1;
}

/* Fills the copy's values: of the matrix by the random numbers of its entries, of the transpose from there. */
static void badm_i_csr_drop(badm_tape *t, const badm_csr *a, const badm_i_dropout *d, float *value, float *turned_value)
{
    const badm_csr *turned = a->turned;
    uint32_t j, k, n = a->start[a->rows];
    if (!a->value) for (k = 0; k < n; k++) value[k] = 1.0f;
    badm_i_dropout_apply(t, d, a->value ? a->value : value, value, n, 0);
    if (!turned_value) return;
    if (turned->origin) for (k = 0; k < n; k++) turned_value[k] = value[turned->origin[k]];
    else for (j = 0, k = 0; j < turned->rows; j++)
        for (; k < turned->start[j + 1]; k++) turned_value[k] = value[badm_i_csr_place(a, j, k)];
}

BADM_API const badm_csr *badm_csr_dropout(badm_tape *t, const badm_csr *a, float p)
{
    badm_csr *copy;
    badm_i_dropout d;
    float *value, *turned_value = NULL;
    size_t n = a->start[a->rows];
    if (!(p >= 0) || !(p < 1)) {
        badm_fail(t, BADM_ERR_ARGUMENT, BADM_I_TEXT("csr_dropout"), BADM_I_TEXT("a probability in 0..1, 1 excluded, is expected"),
                  NULL, NULL, 0, 0);
        return a;
    }
    if (!t->training || p == 0 || n == 0 || t->error.code) return a;
    if (t->dry && a->turned && (!badm_i_csr_fits(a) || !badm_i_csr_fits(a->turned) || !badm_i_csr_is_turned(a))) {
        badm_fail(t, BADM_ERR_ARGUMENT, BADM_I_TEXT("csr_dropout"), BADM_I_TEXT("`turned` is not the transpose"), NULL, NULL, 0, 0);
        return a;
    }
    copy = (badm_csr *)badm_i_arena(t, 2 * sizeof *copy, sizeof(void *), 0);
    value = BADM_I_NUMBERS(t, n);
    if (a->turned) turned_value = BADM_I_NUMBERS(t, n);
    d.p = p;
    d.operation = t->operations++;
    if (t->dry || t->error.code) return a;
    badm_i_csr_drop(t, a, &d, value, turned_value);
    copy[0] = *a;
    copy[0].value = value;
    copy[0].memory = NULL;
    if (a->turned) {
        copy[1] = *a->turned;
        copy[1].value = turned_value;
        copy[1].turned = copy;
        copy[1].memory = NULL;
        copy[0].turned = copy + 1;
    }
    return copy;
}

/* =====================================================================================================================
   >>recurrent  Cells of one time step.
   ===================================================================================================================== */

/* ---- gru_gates: r = s(a0 + b0), z = s(a1 + b1), new = tanh(a2 + r b2), y = new + z (h - new) ---- */

/* Rows of three parts; `gate` keeps r, z and new. */
BADM_I_INLINE void badm_i_gru_values_body(size_t rows, size_t n, const float *a, const float *b, const float *h, float *gate,
                                          float *y)
{
    size_t i;
    for (; rows > 0; rows--, a += 3 * n, b += 3 * n, gate += 3 * n, h += n, y += n) {
        BADM_I_EACH(i, 2 * n) gate[i] = badm_i_sigmoid(a[i] + b[i]);
        BADM_I_EACH(i, n) gate[2 * n + i] = badm_i_tanh(a[2 * n + i] + gate[i] * b[2 * n + i]);
        BADM_I_EACH(i, n) y[i] = gate[2 * n + i] + gate[n + i] * (h[i] - gate[2 * n + i]);
    }
}
BADM_I_LOOP(badm_i_gru_values, (rows, n, a, b, h, gate, y), size_t rows, size_t n, const float *a, const float *b, const float *h,
            float *gate, float *y)

/* sums: what reaches the three sums, and behind them b2, of one row. da, db, dh may be NULL; *_kept: what stands there is kept. */
BADM_I_INLINE void badm_i_gru_slopes_body(size_t rows, size_t n, const float *b, const float *h, const float *gate, const float *dy,
                                          float *sums, float *da, uint32_t da_kept, float *db, uint32_t db_kept, float *dh,
                                          uint32_t dh_kept)
{
    size_t row, i;
    for (row = 0; row < rows; row++, b += 3 * n, gate += 3 * n, h += n, dy += n) {
        BADM_I_EACH(i, n) {
            float r = gate[i], z = gate[n + i], v = gate[2 * n + i], dv = dy[i] * (1.0f - z) * (1.0f - v * v);
            sums[i] = dv * b[2 * n + i] * (r * (1.0f - r));
            sums[n + i] = dy[i] * (h[i] - v) * (z * (1.0f - z));
            sums[2 * n + i] = dv;
            sums[3 * n + i] = dv * r;
        }
        if (da) BADM_I_EACH(i, 3 * n) da[row * 3 * n + i] = badm_i_masked(da[row * 3 * n + i], da_kept) + sums[i];
        if (db) BADM_I_EACH(i, 2 * n) db[row * 3 * n + i] = badm_i_masked(db[row * 3 * n + i], db_kept) + sums[i];
        if (db) BADM_I_EACH(i, n)
            db[row * 3 * n + 2 * n + i] = badm_i_masked(db[row * 3 * n + 2 * n + i], db_kept) + sums[3 * n + i];
        if (dh) BADM_I_EACH(i, n) dh[row * n + i] = badm_i_masked(dh[row * n + i], dh_kept) + dy[i] * gate[n + i];
    }
}
BADM_I_LOOP(badm_i_gru_slopes, (rows, n, b, h, gate, dy, sums, da, da_kept, db, db_kept, dh, dh_kept), size_t rows, size_t n,
            const float *b, const float *h, const float *gate, const float *dy, float *sums, float *da, uint32_t da_kept, float *db,
            uint32_t db_kept, float *dh, uint32_t dh_kept)

static void badm_i_gru_gates_forward(badm_tape *t, badm_tensor *y)
{
    size_t n = badm_i_last(y);
    badm_i_gru_values(t->level, badm_size(y) / n, n, y->in[0]->data, y->in[1]->data, y->in[2]->data, *(float **)y->args, y->data);
}

static void badm_i_gru_gates_backward(badm_tape *t, badm_tensor *y)
{
    size_t n = badm_i_last(y);
    int fresh[3], i;
    float *to[3], *sums = (float *)badm_scratch(t, 4 * n * sizeof(float));
    if (!sums) return;
    for (i = 0; i < 3; i++) to[i] = badm_i_grad_start(t, y->in[i], &fresh[i]);
    if (t->error.code) return;
    badm_i_gru_slopes(t->level, badm_size(y) / n, n, y->in[1]->data, y->in[2]->data, *(float **)y->args, y->grad, sums,
                      to[0], fresh[0] ? 0 : BADM_I_KEPT, to[1], fresh[1] ? 0 : BADM_I_KEPT, to[2], fresh[2] ? 0 : BADM_I_KEPT);
}

BADM_API badm_tensor *badm_gru_gates(badm_tape *t, badm_tensor *from_input, badm_tensor *from_hidden, badm_tensor *hidden)
{
    static const badm_op op = { BADM_I_TEXT("gru_gates"), badm_i_gru_gates_forward, badm_i_gru_gates_backward };
    badm_tensor *in[3];
    float *gates;
    const badm_dim *a = from_input->shape;
    if (!badm_i_same_shape(from_input->rank, a, from_hidden->rank, from_hidden->shape))
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("%a and %b: projections of equal shapes are expected"), from_input, from_hidden);
    if (hidden->rank != 2 || from_input->rank != 2 || a[0] != hidden->shape[0] || (uint64_t)hidden->shape[1] * 3 != a[1])
        return badm_i_shape_error(t, op.name, BADM_I_TEXT("projections %a with state %b: [n,3*hidden] and [n,hidden] are expected"),
                                  from_input, hidden);
    in[0] = from_input;
    in[1] = from_hidden;
    in[2] = hidden;
    gates = BADM_I_NUMBERS(t, badm_size(from_input));
    badm_scratch_reserve(t, badm_i_times(hidden->shape[1], 4 * sizeof(float)));
    if (t->dry) badm_i_count_work(t, 20u * (uint64_t)badm_size(from_input));
    return badm_record(t, &op, 2, hidden->shape, 3, in, &gates, sizeof gates);
}

/* =====================================================================================================================
   >>diversity  |g_i|^2, the gradients of single samples, while the gradient of all of them is made.

   The first dimension of what an operation takes and gives is the samples'. A linear layer's g_i is the product of what comes in and
   what comes back, whose square needs no product where a sample is one row. Of others the backward function is called for one
   sample after another, on a view of its numbers, with room for that sample's gradient alone. What else uses parameters, or
   uses one twice, is left to a tape for each sample (badm_i_slot_norms in >>workers).
   ===================================================================================================================== */

#ifndef BADM_NO_GROWTH

/* |sum of x_r dy_r^T|^2 over the rows of each sample. */
static void badm_i_norms_of_product(badm_tape *t, size_t rows, size_t in, size_t out, const float *x, const float *dy, int turned,
                                    float *space)
{
    size_t i, each = rows / t->full.norms->samples;
    for (i = 0; i < t->full.norms->samples; i++, x += each * in, dy += each * out) {
        if (each == 1) {
            badm_i_sum_add(&t->full.norms->sum, badm_i_dot(t->level, x, x, in) * badm_i_dot(t->level, dy, dy, out));
            continue;
        }
        if (turned) badm_i_multiply(t, out, in, each, dy, 1, out, x, in, 1, NULL, in, space, in);
        else badm_i_multiply(t, in, out, each, x, 1, in, dy, out, 1, NULL, out, space, out);
        badm_i_sum_add(&t->full.norms->sum, badm_i_dot(t->level, space, space, in * out));
    }
}

/* |sum of dy_r|^2 over the rows of each sample. */
static void badm_i_norms_of_rows(badm_tape *t, size_t rows, size_t out, const float *dy, float *space)
{
    size_t i, each = rows / t->full.norms->samples;
    for (i = 0; i < t->full.norms->samples; i++, dy += each * out) {
        badm_i_sum_rows(t->level, each, out, dy, 1, space);
        badm_i_sum_add(&t->full.norms->sum, badm_i_dot(t->level, space, space, out));
    }
}

/* Rows of a table: those of one sample that are the same row add up. */
static void badm_i_norms_of_table(badm_tape *t, size_t rows, size_t width, const int32_t *index, const float *dy)
{
    size_t i, j, k, each = rows / t->full.norms->samples;
    for (i = 0; i < rows; i += each)
        for (j = i; j < i + each; j++)
            for (k = i; k <= j; k++) {
                float product;
                if (index[j] != index[k]) continue;
                product = badm_i_dot(t->level, dy + j * width, dy + k * width, width);
                badm_i_sum_add(&t->full.norms->sum, j == k ? product : 2.0f * product);
            }
}

/* Sample after sample through y's own backward function. args: y's, made for one sample; 0: there is no such view. */
static int badm_i_norms_by_views(badm_tape *t, const badm_tensor *y, int (*args)(const badm_tensor *y, uint32_t samples, uint32_t i, void *to))
{
    badm_i_norms *norms = t->full.norms;
    badm_tensor view = *y, inputs[BADM_MAX_INPUTS], *in[BADM_MAX_INPUTS];
    union { badm_i_windows windows; badm_i_norm norm; } own;
    uint32_t i, j, n = norms->samples;
    for (i = 0; i < n; i++) {
        view.size = y->size / n;
        view.shape[0] = y->shape[0] / n;
        view.data = y->data + i * view.size;
        view.grad = y->grad + i * view.size;
        view.in = in;
        for (j = 0; j < y->inputs; j++) {
            const badm_tensor *x = y->in[j];
            inputs[j] = *x;
            in[j] = &inputs[j];
            inputs[j].args = NULL;
            if (badm_i_is_trainers(x)) {
                inputs[j].grad = norms->space + (x->grad - t->grads);
                memset(inputs[j].grad, 0, x->size * sizeof(float));
                continue;
            }
            inputs[j].wants_grad = 0;
            if (x->rank == 0 || x->shape[0] != y->shape[0]) continue;       /* the same for all samples */
            inputs[j].size = x->size / n;
            inputs[j].shape[0] = x->shape[0] / n;
            inputs[j].data = x->data + i * inputs[j].size;
        }
        if (args) {
            if (!args(y, n, i, &own)) return 0;
            view.args = &own;
        }
        t->scratch_used = 0;
        y->op->backward(t, &view);
        for (j = 0; j < y->inputs; j++)
            if (badm_i_is_trainers(y->in[j])) badm_i_sum_add(&norms->sum, badm_i_dot(t->level, inputs[j].grad, inputs[j].grad, inputs[j].size));
    }
    return 1;
}

static int badm_i_view_of_windows(const badm_tensor *y, uint32_t samples, uint32_t i, void *to)
{
    badm_i_windows *v = (badm_i_windows *)to;
    (void)i;
    *v = *(const badm_i_windows *)y->args;
    v->n /= samples;
    return 1;
}

static int badm_i_view_of_norm(const badm_tensor *y, uint32_t samples, uint32_t i, void *to)
{
    badm_i_norm *d = (badm_i_norm *)to;
    *d = *(const badm_i_norm *)y->args;
    if (d->sets % samples) return 0;
    d->sets /= samples;
    d->images /= samples;
    d->mean += i * d->sets;
    d->scale += i * d->sets;
    return 1;
}

static int badm_i_is_binary(void (*back)(badm_tape *t, badm_tensor *y))
{
    return back == badm_i_add_backward || back == badm_i_sub_backward || back == badm_i_mul_backward || back == badm_i_div_backward;
}

/* Before y's backward, on a trainer's tape: parameters' gradients have their places. */
static void badm_i_norms_of(badm_tape *t, badm_tensor *y)
{
    badm_i_norms *norms = t->full.norms;
    void (*back)(badm_tape *t, badm_tensor *y) = y->op->backward;
    size_t rows, out;
    unsigned i, trained = 0;
    if (back == badm_i_norm_channels_backward && ((const badm_i_norm *)y->args)->set_images > 1)
        badm_fail(t, BADM_ERR_STATE, y->op->name,
                  BADM_I_TEXT("%a: its samples depend on one another, so none has a gradient of its own; group_norm's have"), y, NULL, 0, 0);
    for (i = 0; i < y->inputs; i++) {
        const badm_tensor *x = y->in[i];
        if (!badm_i_is_trainers(x)) continue;
        trained |= 1u << i;
        if (norms->seen[x - t->full.kept]) norms->missing = 1;
        norms->seen[x - t->full.kept] = 1;
    }
    if (!trained || norms->missing) return;
    norms->missing = y->rank == 0 || y->shape[0] % norms->samples != 0;
    if (norms->missing) return;
    if (back == badm_i_affine_backward && !(trained & 1u) && y->rank > 1) {
        out = y->in[1]->shape[0];
        rows = badm_size(y) / out;
        if (trained & 2u)
            badm_i_norms_of_product(t, rows, y->in[1]->shape[1], out, y->in[0]->data, y->grad, 1, norms->space + (y->in[1]->grad - t->grads));
        if (trained & 4u) badm_i_norms_of_rows(t, rows, out, y->grad, norms->space + (y->in[2]->grad - t->grads));
    } else if (back == badm_i_matmul_backward && trained == 2u && y->in[1]->rank == 2 && !((const badm_i_product *)y->args)->a_turned
               && !((const badm_i_product *)y->args)->b_turned)
        badm_i_norms_of_product(t, badm_size(y) / y->in[1]->shape[1], y->in[1]->shape[0], y->in[1]->shape[1], y->in[0]->data, y->grad, 0,
                                norms->space + (y->in[1]->grad - t->grads));
    else if (back == badm_i_gather_rows_backward && trained == 1u)
        badm_i_norms_of_table(t, badm_size(y) / y->in[0]->shape[1], y->in[0]->shape[1], ((const badm_ints *)y->args)->data, y->grad);
    else if ((back == badm_i_conv_backward || back == badm_i_conv_transpose_backward) && !(trained & 1u))
        norms->missing = !badm_i_norms_by_views(t, y, badm_i_view_of_windows);
    else if ((back == badm_i_layer_norm_backward || back == badm_i_norm_channels_backward) && !(trained & 1u))
        norms->missing = !badm_i_norms_by_views(t, y, badm_i_view_of_norm);
    else if (badm_i_is_binary(back) && trained != 3u && y->in[trained & 1u ? 0 : 1]->rank < y->rank)
        norms->missing = !badm_i_norms_by_views(t, y, NULL);
    else norms->missing = 1;
    t->scratch_used = 0;
}
#endif

/* =====================================================================================================================
   >>layers     Handles by value over named parameters. Nothing here holds memory.
   ===================================================================================================================== */

static badm_linear badm_i_linear(badm_model *m, const char *name, badm_dim in, badm_dim out, int with_bias)
{
    badm_linear layer;
    badm_dim shape[2];
    /* torch.nn.Linear: kaiming_uniform(a = sqrt 5) is this too */
    float bound = in ? 1.0f / badm_sqrtf((float)in) : 0.0f;
    badm_init init = badm_init_uniform(-bound, bound);
    shape[0] = out;
    shape[1] = in;
    layer.weight = badm_i_param_add(m, name, ".weight", 2, shape, &init, 0);
    layer.bias.model = NULL;
    layer.bias.index = (badm_dim)-1;
    if (with_bias) layer.bias = badm_i_param_add(m, name, ".bias", 1, shape, &init, 0);
    return layer;
}

BADM_API badm_linear badm_linear_new(badm_model *m, const char *name, badm_dim in, badm_dim out)
{
    return badm_i_linear(m, name, in, out, 1);
}
BADM_API badm_linear badm_linear_new_without_bias(badm_model *m, const char *name, badm_dim in, badm_dim out)
{
    return badm_i_linear(m, name, in, out, 0);
}

BADM_API badm_tensor *badm_linear_forward(badm_tape *t, badm_linear layer, badm_tensor *x)
{
    badm_tensor *w = badm_param_use(t, layer.weight), *b = layer.bias.model ? badm_param_use(t, layer.bias) : NULL;
    return badm_affine(t, x, w, b);
}

BADM_API badm_embedding badm_embedding_new(badm_model *m, const char *name, badm_dim n, badm_dim dim)
{
    badm_embedding layer;
    badm_i_record *r;
    badm_dim shape[2];
    badm_init init = badm_init_normal(0, 1);
    shape[0] = n;
    shape[1] = dim;
    layer.weight = badm_i_param_add(m, name, ".weight", 2, shape, &init, 0);
    r = badm_i_record_of(layer.weight);
    if (r) r->table = 1;
    return layer;
}

BADM_API badm_tensor *badm_embedding_forward(badm_tape *t, badm_embedding layer, const badm_ints *index)
{
    return badm_gather_rows(t, badm_param_use(t, layer.weight), index);
}

/* weight [first,second,kernel...]; its fan_in is `second` kernels for transposed ones too, as torch has it. */
static badm_conv_layer badm_i_conv_layer(badm_model *m, const char *name, badm_dim first, badm_dim second, badm_dim out,
                                         badm_dim kernel, unsigned rank, const badm_conv *conv)
{
    badm_conv_layer layer;
    badm_dim shape[4];
    float fan = (float)second * (float)kernel * (rank > 3 ? (float)kernel : 1.0f), bound = fan > 0 ? 1.0f / badm_sqrtf(fan) : 0.0f;
    badm_init init = badm_init_uniform(-bound, bound);
    shape[0] = first;
    shape[1] = second;
    shape[2] = shape[3] = kernel;
    layer.conv = *conv;
    layer.weight = badm_i_param_add(m, name, ".weight", rank, shape, &init, 0);
    layer.bias.model = NULL;
    layer.bias.index = (badm_dim)-1;
    if (conv->bias) layer.bias = badm_i_param_add(m, name, ".bias", 1, &out, &init, 0);
    return layer;
}

/* A share of the channels; 0, which sticks as an error in the model, where groups do not divide them. */
static badm_dim badm_i_share(badm_dim in, badm_dim out, badm_dim groups, badm_dim of)
{
    return (badm_dim)(groups == 0 || in % groups || out % groups ? 0 : of / groups);
}

BADM_API badm_conv_layer badm_conv2d_new(badm_model *m, const char *name, badm_dim in, badm_dim out, badm_dim kernel, badm_conv conv)
{
    return badm_i_conv_layer(m, name, out, badm_i_share(in, out, conv.groups, in), out, kernel, 4, &conv);
}
BADM_API badm_conv_layer badm_conv1d_new(badm_model *m, const char *name, badm_dim in, badm_dim out, badm_dim kernel, badm_conv conv)
{
    return badm_i_conv_layer(m, name, out, badm_i_share(in, out, conv.groups, in), out, kernel, 3, &conv);
}
BADM_API badm_conv_layer badm_conv_transpose2d_new(badm_model *m, const char *name, badm_dim in, badm_dim out, badm_dim kernel,
                                                   badm_conv conv)
{
    return badm_i_conv_layer(m, name, in, badm_i_share(in, out, conv.groups, out), out, kernel, 4, &conv);
}

static badm_tensor *badm_i_conv_bias(badm_tape *t, const badm_conv_layer *layer)
{
    return layer->bias.model ? badm_param_use(t, layer->bias) : NULL;
}

BADM_API badm_tensor *badm_conv2d_forward(badm_tape *t, badm_conv_layer layer, badm_tensor *x)
{
    return badm_conv2d(t, x, badm_param_use(t, layer.weight), badm_i_conv_bias(t, &layer), layer.conv);
}
BADM_API badm_tensor *badm_conv1d_forward(badm_tape *t, badm_conv_layer layer, badm_tensor *x)
{
    return badm_conv1d(t, x, badm_param_use(t, layer.weight), badm_i_conv_bias(t, &layer), layer.conv);
}
BADM_API badm_tensor *badm_conv_transpose2d_forward(badm_tape *t, badm_conv_layer layer, badm_tensor *x)
{
    return badm_conv_transpose2d(t, x, badm_param_use(t, layer.weight), badm_i_conv_bias(t, &layer), layer.conv);
}

/* weight 1 and, unless it is left out, bias 0. */
static badm_norm badm_i_norm_new(badm_model *m, const char *name, badm_dim width, int with_bias)
{
    badm_norm layer;
    badm_init one = badm_init_constant(1.0f), zero = badm_init_constant(0.0f);
    memset(&layer, 0, sizeof layer);
    layer.weight = badm_i_param_add(m, name, ".weight", 1, &width, &one, 0);
    if (with_bias) layer.bias = badm_i_param_add(m, name, ".bias", 1, &width, &zero, 0);
    layer.groups = 1;
    layer.eps = 1e-5f;
    return layer;
}

BADM_API badm_norm badm_layer_norm_new(badm_model *m, const char *name, badm_dim width)
{
    return badm_i_norm_new(m, name, width, 1);
}
BADM_API badm_norm badm_rms_norm_new(badm_model *m, const char *name, badm_dim width) { return badm_i_norm_new(m, name, width, 0); }

BADM_API badm_tensor *badm_layer_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x)
{
    return badm_layer_norm(t, x, badm_param_use(t, layer.weight), badm_param_use(t, layer.bias), layer.eps);
}

BADM_API badm_tensor *badm_rms_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x)
{
    return badm_rms_norm(t, x, badm_param_use(t, layer.weight), layer.eps);
}

BADM_API badm_norm badm_group_norm_new(badm_model *m, const char *name, badm_dim groups, badm_dim channels)
{
    badm_norm layer = badm_i_norm_new(m, name, channels, 1);
    layer.groups = groups;
    if (groups == 0 || channels % groups)
        badm_i_model_fail(m, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_group_norm_new"),
                          BADM_I_TEXT("\"%n\": %0 groups do not divide %1 channels"), name, groups, channels);
    return layer;
}

BADM_API badm_norm badm_batch_norm_new(badm_model *m, const char *name, badm_dim channels)
{
    badm_norm layer = badm_i_norm_new(m, name, channels, 1);
    badm_init one = badm_init_constant(1.0f), zero = badm_init_constant(0.0f);
    layer.running_mean = badm_i_param_add(m, name, ".running_mean", 1, &channels, &zero, 1);
    layer.running_var = badm_i_param_add(m, name, ".running_var", 1, &channels, &one, 1);
    layer.batches = badm_i_param_add(m, name, ".num_batches_tracked", 0, NULL, &zero, 2);
    layer.momentum = 0.1f;
    return layer;
}

BADM_API badm_tensor *badm_group_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x)
{
    return badm_group_norm(t, x, layer.groups, badm_param_use(t, layer.weight), badm_param_use(t, layer.bias), layer.eps);
}

BADM_API badm_tensor *badm_batch_norm_forward(badm_tape *t, badm_norm layer, badm_tensor *x)
{
    badm_tensor *y = badm_batch_norm(t, x, badm_param_use(t, layer.weight), badm_param_use(t, layer.bias), layer.running_mean,
                                     layer.running_var, layer.momentum, layer.eps);
    float *batches = badm_buffer_next(t, layer.batches);
    if (batches) *batches += 1.0f;
    return y;
}

BADM_API badm_multihead badm_multihead_new(badm_model *m, const char *name, badm_dim width, badm_dim heads)
{
    badm_multihead layer;
    badm_dim shape[2];
    float bound = width ? 1.0f / badm_sqrtf((float)width) : 0.0f;
    badm_init xavier = badm_init_xavier_uniform(1.0f), uniform = badm_init_uniform(-bound, bound), zero = badm_init_constant(0.0f);
    if (heads == 0 || width == 0 || width % heads || width > (badm_dim)-1 / 3)
        badm_i_model_fail(m, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_multihead_new"),
                          BADM_I_TEXT("\"%n\": %1 heads of equal width are expected in a width of %0"), name, width, heads);
    layer.heads = heads;
    shape[0] = (badm_dim)(3 * width);
    shape[1] = width;
    layer.in_weight = badm_i_param_add(m, name, ".in_proj_weight", 2, shape, &xavier, 0);
    layer.in_bias = badm_i_param_add(m, name, ".in_proj_bias", 1, shape, &zero, 0);
    shape[0] = width;
    layer.out.weight = badm_i_param_add(m, name, ".out_proj.weight", 2, shape, &uniform, 0);
    layer.out.bias = badm_i_param_add(m, name, ".out_proj.bias", 1, shape, &zero, 0);
    return layer;
}

BADM_API badm_tensor *badm_multihead_forward(badm_tape *t, badm_multihead layer, badm_tensor *x, int causal)
{
    badm_tensor *qkv = badm_affine(t, x, badm_param_use(t, layer.in_weight), badm_param_use(t, layer.in_bias));
    return badm_linear_forward(t, layer.out, badm_self_attention(t, qkv, layer.heads, causal));
}

/* Weights and biases as torch.nn.GRUCell's: uniform within 1/sqrt(hidden). */
BADM_API badm_gru badm_gru_new(badm_model *m, const char *name, badm_dim in, badm_dim hidden)
{
    badm_gru layer;
    badm_dim shape[2];
    float bound = hidden ? 1.0f / badm_sqrtf((float)hidden) : 0.0f;
    badm_init init = badm_init_uniform(-bound, bound);
    if (hidden > (badm_dim)-1 / 3)
        badm_i_model_fail(m, BADM_ERR_MEMORY, BADM_I_TEXT("badm_gru_new"),
                          BADM_I_TEXT("\"%n\": a state of %0 is more than this machine can "
                          "address"), name, hidden, 0);
    shape[0] = (badm_dim)(3 * hidden);
    shape[1] = in;
    layer.weight_ih = badm_i_param_add(m, name, ".weight_ih", 2, shape, &init, 0);
    shape[1] = hidden;
    layer.weight_hh = badm_i_param_add(m, name, ".weight_hh", 2, shape, &init, 0);
    layer.bias_ih = badm_i_param_add(m, name, ".bias_ih", 1, shape, &init, 0);
    layer.bias_hh = badm_i_param_add(m, name, ".bias_hh", 1, shape, &init, 0);
    return layer;
}

BADM_API badm_tensor *badm_gru_forward(badm_tape *t, badm_gru layer, badm_tensor *x, badm_tensor *hidden)
{
    badm_tensor *a = badm_affine(t, x, badm_param_use(t, layer.weight_ih), badm_param_use(t, layer.bias_ih));
    return badm_gru_gates(t, a, badm_affine(t, hidden, badm_param_use(t, layer.weight_hh), badm_param_use(t, layer.bias_hh)),
                          hidden);
}

/* =====================================================================================================================
   >>data       Rows, labels and tokens of a batch, copied into the tape.
   ===================================================================================================================== */

/* [count,width] without values; NULL when there is nothing to copy (dry run, error). */
static badm_tensor *badm_i_rows(badm_tape *t, badm_dim width, const badm_batch *b, float **out)
{
    badm_dim shape[2];
    badm_tensor *x;
    shape[0] = (badm_dim)b->count;
    shape[1] = width;
    *out = NULL;
    x = badm_i_tensor(t, NULL, 2, shape, 0, 0, 1);
    if (!x) return badm_i_empty();
    if (b->index) *out = x->data;
    return x;
}

/* The largest magnitude of the first step's inputs is remembered, for diagnosis. */
static void badm_i_note_inputs(badm_tape *t, const badm_tensor *x)
{
    size_t i, n;
    if (t->dry || t->step != 0 || !t->training || !x->data) return;
    n = badm_size(x);
    for (i = 0; BADM_I_FULL && i < n; i++) if (badm_i_abs(x->data[i]) > t->full.input_max) t->full.input_max = badm_i_abs(x->data[i]);
}

BADM_API badm_tensor *badm_rows(badm_tape *t, const float *table, badm_dim width, const badm_batch *b)
{
    float *out;
    badm_tensor *x = badm_i_rows(t, width, b, &out);
    const uint32_t *index = b->index;
    size_t i, j, n = out ? b->count : 0;
    if (width >= 8) for (i = 0; i < n; i++) memcpy(out + i * width, table + (size_t)index[i] * width, width * sizeof(float));
    else for (j = 0; j < width; j++) for (i = 0; i < n; i++) out[i * width + j] = table[(size_t)index[i] * width + j];
    badm_i_note_inputs(t, x);
    return x;
}

#define BADM_I_ROWS_OF(NAME, TYPE)                                                                              \
    BADM_API badm_tensor *NAME(badm_tape *t, const TYPE *table, badm_dim width, float scale, float offset, const badm_batch *b) \
    {                                                                                                           \
        float *out;                                                                                             \
        badm_tensor *x = badm_i_rows(t, width, b, &out);                                                        \
        size_t i, j;                                                                                            \
        for (i = 0; out && i < b->count; i++, out += width) {                                                   \
            const TYPE *row = table + (size_t)b->index[i] * width;                                              \
            for (j = 0; j < width; j++) out[j] = (float)row[j] * scale + offset;                                \
        }                                                                                                       \
        badm_i_note_inputs(t, x);                                                                               \
        return x;                                                                                               \
    }

BADM_I_ROWS_OF(badm_rows_u8, uint8_t)
BADM_I_ROWS_OF(badm_rows_i16, int16_t)

BADM_API badm_tensor *badm_rows_fill(badm_tape *t, badm_fill_fn fill, void *user, badm_dim width, const badm_batch *b)
{
    float *out;
    badm_tensor *x = badm_i_rows(t, width, b, &out);
    size_t i;
    for (i = 0; out && i < b->count; i++) fill(out + i * width, width, b->index[i], user);
    badm_i_note_inputs(t, x);
    return x;
}

/* Integers of a shape in the arena; *out is NULL in a dry run. After an error an empty record. */
static const badm_ints *badm_i_ints(badm_tape *t, unsigned rank, badm_dim rows, badm_dim width, int32_t **out)
{
    static const badm_ints empty = { NULL, { 0, 0 }, 1 };
    badm_ints *x = t->error.code ? NULL : (badm_ints *)badm_i_arena(t, sizeof *x, sizeof(void *), 0);
    *out = NULL;
    if (!x) return &empty;
    *out = (int32_t *)badm_i_arena(t, badm_i_times(badm_i_times(rows, width), sizeof(int32_t)), sizeof(int32_t), 1);
    if (t->error.code) return &empty;
    x->data = *out;
    x->shape[0] = rows;
    x->shape[1] = width;
    x->rank = (uint8_t)rank;
    return x;
}

BADM_API const badm_ints *badm_labels(badm_tape *t, const int32_t *labels, const badm_batch *b)
{
    int32_t *out;
    const badm_ints *x = badm_i_ints(t, 1, (badm_dim)b->count, 1, &out);
    size_t i;
    for (i = 0; out && b->index && i < b->count; i++) out[i] = labels[b->index[i]];
    return x;
}

BADM_API const badm_ints *badm_labels_u8(badm_tape *t, const uint8_t *labels, const badm_batch *b)
{
    int32_t *out;
    const badm_ints *x = badm_i_ints(t, 1, (badm_dim)b->count, 1, &out);
    size_t i;
    for (i = 0; out && b->index && i < b->count; i++) out[i] = labels[b->index[i]];
    return x;
}

BADM_API const badm_ints *badm_tokens(badm_tape *t, const int32_t *table, badm_dim width, const badm_batch *b)
{
    int32_t *out;
    const badm_ints *x = badm_i_ints(t, 2, (badm_dim)b->count, width, &out);
    size_t i;
    for (i = 0; out && b->index && i < b->count; i++) memcpy(out + i * width, table + (size_t)b->index[i] * width,
                                                             width * sizeof(int32_t));
    return x;
}

BADM_API const badm_ints *badm_ints_input(badm_tape *t, unsigned rank, const badm_dim *shape, const int32_t *values)
{
    int32_t *out;
    const badm_ints *x;
    if (rank < 1 || rank > 2) {
        badm_fail(t, BADM_ERR_SHAPE, BADM_I_TEXT("badm_ints_input"), BADM_I_TEXT("rank %0, 1 or 2 expected"), NULL, NULL, rank, 0);
        rank = 1;
    }
    x = badm_i_ints(t, rank, shape[0], rank > 1 ? shape[1] : 1, &out);
    if (out) memcpy(out, values, (size_t)shape[0] * (rank > 1 ? shape[1] : 1) * sizeof(int32_t));
    return x;
}

/* =====================================================================================================================
   >>workers    A trainer's memory, its pool, and the gradient of one slot.

   A step's phases are jobs handed to badm_i_parallel(). Who runs a job must not show in its result: a job writes only its own
   slot, its own range of parameters, or waits for the job before it where an order is needed (badm_i_await): such jobs are taken in
   ascending order, so that cannot deadlock. The model is only read while slots run, and only written range by range afterwards.
   ===================================================================================================================== */

#define BADM_I_MUON 10              /* the method's id */
#define BADM_I_REST 0.05f           /* of a step, for what is not orthogonalised beside what is: best of 0.02 to 0.5 on a small GPT */
#define BADM_I_RANGE 16384          /* elements of a job over parameters, at most; a multiple of BADM_I_RUN */

/* A piece of one parameter. Ranges that lie behind one another, and that a step treats alike, are a span: the first of them has
   its elements, with the zeros that fill places, and its number of ranges. */
typedef struct badm_i_range { const badm_i_record *param; size_t start, n, span; uint32_t ranges; } badm_i_range;

/* Consecutive ranges with equal metric and step scale, for one job. */
typedef struct badm_i_group { uint32_t first, count; } badm_i_group;

/* What a group adds to the monitors: squares of the norms that the names say. q is the metric, f the step scale. */
enum {
    BADM_I_GRADIENT,                /* |G|^2 */
    BADM_I_GRADIENT_METRIC,         /* f^2 |G|^2 in the inverse metric of the step before */
    BADM_I_STEP,                    /* |w'-w|^2 */
    BADM_I_STEP_METRIC,             /* |w'-w|_Q^2/f^2 */
    BADM_I_PRIMAL,                  /* collapsed: f^2 |m'-m|^2 in Q^-1; per slot: sum alpha_s |w_s-w|_Q^2 */
    BADM_I_AGAINST,                 /* G.m */
    BADM_I_MOMENTUM,                /* |m|^2 */
    BADM_I_WEIGHTS,                 /* |w|^2 */
    BADM_I_SUMS
};
typedef struct badm_i_partial { float sum[BADM_I_SUMS]; } badm_i_partial;
typedef float badm_i_lanes[BADM_I_SUMS][BADM_I_LANES];

/* What one slot found. norm: |g_s|^2; square: f^2 |g_s|^2 in the inverse metric of the step before. */
typedef struct badm_i_slot {
    float loss;
    uint32_t first, samples, count, hits, hits_of;
    badm_result result;
    BADM_I_MEMBERS {
        uint32_t folded;            /* pieces of its gradient that are in the mean, where slots share buffers */
        float norm, square, alpha;
        float squares;              /* sum of |g_i|^2 of its samples, where that is measured */
    } full;
} badm_i_slot;

typedef struct badm_i_worker {
    badm_tape tape;
    float *gradient;                /* NULL where the form needs none */
    uint32_t *index;                /* a piece's samples, evaluating */
    uint8_t *written;               /* of each parameter: its part of the slot's gradient has been begun */
    badm_i_fault error;             /* of the lowest slot that failed here */
    uint32_t error_slot;
    BADM_I_MEMBERS {
        float *local;               /* NULL where the form needs none */
        badm_tensor *kept;          /* parameters as tensors: at the weights kept_local, with gradients at kept_gradient */
        const float *kept_local;
        float *kept_gradient;
        uint32_t *present;          /* of each row of tables that go by presence: this step's samples that look it up */
        badm_i_norms *norms;        /* NULL where they are not measured */
    } full;
} badm_i_worker;

/* `of`: what the pool works for. worker: number of the thread that runs the job, 0 is the caller's. */
typedef void (*badm_i_job)(void *of, uint32_t worker, uint32_t job);

#ifndef BADM_I_SERIAL
typedef struct badm_i_member {
    badm_i_pool *pool;
    uint32_t number;
    uint32_t next_job, end_job;     /* its own part of jobs that need no order */
    badm_i_thread thread;
} badm_i_member;
#endif

/* Threads that wait for jobs; the first member is the caller's thread. */
struct badm_i_pool {
    void *of;
    uint32_t turn;
#ifndef BADM_I_SERIAL
    badm_i_job run;
    uint32_t jobs, next, done;
    uint8_t anywhere;               /* jobs need no order */
    badm_tape *tape;                /* an operation's parts as jobs */
    badm_i_part part;
    void *arg;
    uint32_t takers;                /* members 0..takers-1 take jobs of this run */
    badm_i_member *member;
    badm_i_mutex mutex;
    badm_i_condition start, progress;
    uint32_t generation, threads, ready;
    uint32_t misses;                /* of the caller's waiting for the others */
    uint8_t stop, spins;            /* spins: there are processors enough for it */
#endif
};

/* What diagnosis remembers from step to step. */
typedef struct badm_i_memory_of_steps {
    float against;                  /* average of cos(G, m) */
    float motion;                   /* average of |w'-w|/|w| */
    float first_gradient, first_loss, low, high;
    uint32_t window, zeros;
    float input_max;
} badm_i_memory_of_steps;

/* Evaluation and prediction in progress. */
typedef struct badm_i_evaluation {
    badm_loss_fn graph;
    void *user;
    float *out;
    uint32_t n, piece;
    badm_dim width;
    badm_i_sum loss, count;
    uint32_t hits, hits_of;
    badm_result result;
    badm_i_fault error;
} badm_i_evaluation;

/* What a trainer keeps of its desc, beside what is in `full`; of the same names. */
typedef struct badm_i_desc {
    badm_loss_fn loss;
    void *user;
    uint64_t seed;
    uint32_t max_batch, micro_batch;
    void (*rates)(badm_rates *r, uint64_t step, void *rates_user);
    void *rates_user;
    float weight_decay, sigma, rho, beta2, eps, lr, beta1, momentum_decay;
    const volatile int *cancel;
    int (*on_sub_batch)(uint32_t slot, uint32_t of, void *user);
    void *on_sub_batch_user;
} badm_i_desc;

struct badm_trainer {
    badm_model *model;
    badm_memory *memory;
    const badm_method *method;
    size_t n;                       /* floats of a gradient vector */
    uint32_t layout, slots, workers, piece;
    uint8_t level, has_moments;     /* level: of the loops */
    uint8_t mean_ready;             /* tr->mean is the mean gradient; otherwise what it is made of */
    size_t tape_bytes, bytes, vector_count, memory_wanted;
    badm_i_worker *worker;
    badm_i_slot *slot;
    float **vector;                 /* the method's state, each of n floats */
    float *mean;
    uint32_t *index;
    badm_i_pool pool;
    badm_i_evaluation *evaluation;
    badm_i_desc d;
    /* the step in progress */
    const uint32_t *batch;
    uint32_t count, active;
    badm_rates rates;
    float beta, correction1, correction2, mu, mu_next, share;
    /* state that a checkpoint carries */
    uint64_t step;
    uint32_t epoch, position;
    float rho_factor, mu_product;
    /* */
    badm_i_fault error;
    char sentence[BADM_I_SENTENCE];
    BADM_I_MEMBERS {
        badm_form form;             /* as in the desc, to log_user */
        badm_metric metric;
        uint32_t local_steps, workers;
        const badm_schedule *schedule;
        float clip, ridge, balance;
        float clip_factor;
        int second_moment_of_slots, monitors;
        badm_newton_schulz newton_schulz;
        badm_diversity diversity;
        int (*allreduce)(float *buf, size_t n, void *user);
        void *allreduce_user;
        void (*log)(badm_result r, const char *text, void *user);
        void *log_user;
        uint32_t helpers;           /* threads besides the workers, without tapes: they share loops and updates of the only slot's */
        int directions;             /* updates want a worker's arena */
        uint64_t work;              /* multiply-adds of one slot's forward, roughly */
        uint32_t trained;           /* parameters */
        badm_i_range *range;
        badm_i_group *group;
        badm_i_partial *partial;    /* of each group */
        size_t range_count;
        uint32_t group_count, settings;
        float **gradient;           /* a slot's own buffer, where slots have one */
        float *mean_square;
        float *buffers;             /* of each slot: the model's buffers, of each samples times change behind the samples */
        float *total;               /* per slot: the aggregate, and behind it with allreduce the primal residual's square */
        float *drift;               /* diversity: sum of all samples' gradients since measuring began */
        badm_i_sum squares;         /* and of their squares */
        void (*norms_of)(badm_tape *t, badm_tensor *y);     /* badm_i_norms_of, where it is wanted */
        uint32_t measured;          /* samples */
        int measuring;
        float correction2_before;
        float spread;               /* collapsed: sum alpha_s of the slots' `square`, over all machines */
        float dispersion;           /* and D of the residual's recursion (see THE METHOD); a checkpoint carries it */
        badm_i_memory_of_steps *seen;               /* and this */
        uint32_t tape_growths;
    } full;
};

/* A run of up to BADM_I_RUN elements of a range: w and g there, o their place in gradient-shaped vectors, d the step to add. */
typedef struct badm_i_run {
    const badm_i_record *param;
    const float *w, *g, *square;    /* square: what feeds a second moment */
    size_t o, n;
    float *d, *q;                   /* q: BADM's diagonal metric of each element, written with d */
    badm_metric metric;
    float (*lanes)[BADM_I_LANES];   /* NULL: nobody watches */
} badm_i_run;

/* `delta` fills run->d and moves the method's state; for an orthogonal tensor d is the direction, which the caller orthogonalises.
   */
struct badm_method {
    const char *name;
    uint8_t id, vectors, decoupled;
    void (*delta)(badm_trainer *tr, badm_i_run *run);
    void (*begin)(badm_trainer *tr);        /* once before a step's deltas; NULL: nothing to do */
    badm_result (*check)(const badm_trainer_desc *d, badm_i_fault *e);      /* before a trainer is made; NULL: nothing to do */
};

/* ---- the pool ---- */

#ifndef BADM_I_SERIAL

/* Waits a little, awake, for something that other threads do; `misses` counts how often in vain, and after many that is tried
   rarely: on a busy machine it only takes time from those waited for. */
#define BADM_I_WAIT_AWAKE(p, misses, limit, condition)                                          \
    do {                                                                                        \
        int spin_;                                                                              \
        if (!(p)->spins || ((misses) >= 32 && (misses)++ % 8 != 0)) break;                      \
        for (spin_ = 0; spin_ < (limit) && !(condition); spin_++) badm_i_pause();               \
        if (spin_ < (limit)) (misses) = 0;                                                      \
        else (misses)++;                                                                        \
    } while (0)

/* The next job of a member, the lock held: in ascending order; or its own part first, which it had the last time too and whose
   numbers are in its cache, then the end of another's. */
static uint32_t badm_i_next_job(badm_i_pool *p, uint32_t worker)
{
    uint32_t i;
    p->next++;
    if (!p->anywhere) return p->next - 1;
    if (p->member[worker].next_job < p->member[worker].end_job) return p->member[worker].next_job++;
    for (i = 0; p->member[i].next_job == p->member[i].end_job; i++) { }
    return --p->member[i].end_job;
}

static void badm_i_take_jobs(badm_i_pool *p, uint32_t worker)
{
    badm_i_lock(&p->mutex);
    while (p->next < p->jobs && worker < p->takers) {
        badm_i_job run = p->run;
        uint32_t job = badm_i_next_job(p, worker);
        badm_i_unlock(&p->mutex);
        run(p->of, worker, job);
        badm_i_lock(&p->mutex);
        BADM_I_SET(p->done, p->done + 1);
        if (p->done == p->jobs) badm_i_wake_all(&p->progress);
    }
    badm_i_unlock(&p->mutex);
}

static badm_i_thread_result BADM_I_THREAD_CALL badm_i_thread_main(void *arg)
{
    badm_i_member *m = (badm_i_member *)arg;
    badm_i_pool *p = m->pool;
    uint32_t seen = 0, misses = 0;
    badm_i_fpu_enter();
    badm_i_lock(&p->mutex);
    while (!p->stop) {
        if (p->generation == seen) {
            badm_i_unlock(&p->mutex);
            BADM_I_WAIT_AWAKE(p, misses, BADM_I_SPINS, BADM_I_GLANCE(p->generation) != seen);
            badm_i_lock(&p->mutex);
            if (p->generation == seen && !p->stop) badm_i_wait(&p->start, &p->mutex);
            continue;
        }
        seen = p->generation;
        badm_i_unlock(&p->mutex);
        badm_i_take_jobs(p, m->number);
        badm_i_lock(&p->mutex);
    }
    badm_i_unlock(&p->mutex);
    return (badm_i_thread_result)0;
}

/* On members 0..takers-1. */
BADM_I_APART static void badm_i_pool_run(badm_i_pool *p, badm_i_job run, uint32_t jobs, uint32_t takers, int anywhere)
{
    uint32_t i;
    badm_i_lock(&p->mutex);
    p->run = run;
    p->jobs = jobs;
    p->anywhere = (uint8_t)anywhere;
    p->takers = takers;
    for (i = 0; i < takers; i++) {
        p->member[i].next_job = (uint32_t)((uint64_t)jobs * i / takers);
        p->member[i].end_job = (uint32_t)((uint64_t)jobs * (i + 1) / takers);
    }
    p->next = 0;
    BADM_I_SET(p->done, 0);
    BADM_I_SET(p->generation, p->generation + 1);
    badm_i_wake_all(&p->start);
    badm_i_unlock(&p->mutex);
    badm_i_take_jobs(p, 0);
    BADM_I_WAIT_AWAKE(p, p->misses, 2 * BADM_I_SPINS, BADM_I_GLANCE(p->done) == jobs);
    badm_i_lock(&p->mutex);
    while (p->done < jobs) badm_i_wait(&p->progress, &p->mutex);
    badm_i_unlock(&p->mutex);
}

#endif

/* Runs jobs 0..jobs-1 on up to `takers` threads. Returns when all are done. anywhere: in no order. */
BADM_I_INLINE void badm_i_jobs(badm_i_pool *p, badm_i_job run, uint32_t jobs, uint32_t takers, int anywhere)
{
    uint32_t job;
    p->turn = 0;
#ifndef BADM_I_SERIAL
    if (p->threads > 0 && jobs > 1 && takers > 1) { badm_i_pool_run(p, run, jobs, takers, anywhere); return; }
#endif
    (void)takers; (void)anywhere;
    for (job = 0; job < jobs; job++) run(p->of, 0, job);
}

/* Waits until *counter, which another job raises by badm_i_raise, is at least `least`. That job was taken before. */
static void badm_i_await(badm_i_pool *p, const uint32_t *counter, uint32_t least)
{
#ifndef BADM_I_SERIAL
    uint32_t misses = 0;
    if (p->threads == 0) return;
    BADM_I_WAIT_AWAKE(p, misses, BADM_I_SPINS, BADM_I_GLANCE(*counter) >= least);
    badm_i_lock(&p->mutex);
    while (*counter < least) badm_i_wait(&p->progress, &p->mutex);
    badm_i_unlock(&p->mutex);
#else
    (void)p; (void)counter; (void)least;
#endif
}

static void badm_i_raise(badm_i_pool *p, uint32_t *counter, uint32_t to)
{
#ifndef BADM_I_SERIAL
    if (p->threads > 0) {
        badm_i_lock(&p->mutex);
        BADM_I_SET(*counter, to);
        badm_i_wake_all(&p->progress);
        badm_i_unlock(&p->mutex);
        return;
    }
#else
    (void)p;
#endif
    *counter = to;
}

static void badm_i_pool_stop(badm_i_pool *p)
{
#ifndef BADM_I_SERIAL
    uint32_t i;
    if (!p->ready) return;
    badm_i_lock(&p->mutex);
    p->stop = 1;
    badm_i_wake_all(&p->start);
    badm_i_unlock(&p->mutex);
    for (i = 0; i < p->threads; i++) badm_i_thread_join(p->member[i + 1].thread);
    badm_i_condition_destroy(&p->start);
    badm_i_condition_destroy(&p->progress);
    badm_i_mutex_destroy(&p->mutex);
    p->ready = p->threads = 0;
#else
    (void)p;
#endif
}

/* Memory for `members` threads, the caller's among them. */
static void badm_i_pool_carve(badm_i_pool *p, badm_i_carver *c, uint32_t members)
{
#ifndef BADM_I_SERIAL
    p->member = (badm_i_member *)badm_i_carve(c, members, sizeof *p->member);
    if (c->base) memset(p->member, 0, members * sizeof *p->member);
#else
    (void)p; (void)c; (void)members;
#endif
}

/* p is zero but for its members' memory. 0: all threads of a pool of `members` are there. */
static badm_result badm_i_pool_start(badm_i_pool *p, void *of, uint32_t members)
{
    p->of = of;
#ifndef BADM_I_SERIAL
    if (members < 2) return BADM_OK;
    if (badm_i_mutex_init(&p->mutex)) return BADM_ERR_THREAD;
    if (badm_i_condition_init(&p->start)) { badm_i_mutex_destroy(&p->mutex); return BADM_ERR_THREAD; }
    if (badm_i_condition_init(&p->progress)) {
        badm_i_condition_destroy(&p->start);
        badm_i_mutex_destroy(&p->mutex);
        return BADM_ERR_THREAD;
    }
    p->ready = 1;
    p->spins = members <= badm_cpu_count();
    while (p->threads + 1 < members) {
        badm_i_member *m = &p->member[p->threads + 1];
        m->pool = p;
        m->number = p->threads + 1;
        if (badm_i_thread_start(&m->thread, badm_i_thread_main, m)) { badm_i_pool_stop(p); return BADM_ERR_THREAD; }
        p->threads++;
    }
#else
    (void)members;
#endif
    return BADM_OK;
}

/* ---- a trainer's jobs ---- */

/* On all workers or, when there is little to do, here. anywhere: in no order, and helpers take them too. */
BADM_I_INLINE void badm_i_parallel(badm_trainer *tr, badm_i_job run, uint32_t jobs, int little, int anywhere)
{
    badm_i_jobs(&tr->pool, run, jobs, little ? 1 : tr->workers + (anywhere && !tr->full.directions ? tr->full.helpers : 0u), anywhere);
}

#ifndef BADM_I_SERIAL
static void badm_i_job_part(void *of, uint32_t worker, uint32_t job)
{
    badm_i_pool *p = &((badm_trainer *)of)->pool;
    (void)worker;
    p->part(p->tape, p->arg, job);
}

/* Inside the only slot at work, which runs on the caller's thread: the pool is idle. */
static void badm_i_spread_parts(badm_tape *t, uint32_t parts, badm_i_part run, void *arg)
{
    t->full.pool->tape = t;
    t->full.pool->part = run;
    t->full.pool->arg = arg;
    badm_i_pool_run(t->full.pool, badm_i_job_part, parts, t->full.pool->threads + 1, 1);
}
#endif

/* alone: nothing else runs while this tape is in use, so all threads may share its operations' loops. */
static void badm_i_tape_team(badm_trainer *tr, badm_tape *t, int alone)
{
#ifndef BADM_I_SERIAL
    t->full.pool = &tr->pool;
    t->full.team = alone ? tr->workers + tr->full.helpers : 1;
    t->full.spread = badm_i_spread_parts;
#else
    (void)tr; (void)t; (void)alone;
#endif
}

/* ---- one slot ---- */

/* Whether orthogonalising makes sense: matrices that map one space to another, not tables whose rows are looked up. */
static int badm_i_is_map(const badm_i_record *r)
{
    return r->shape.rank == 2 && (!r->table || r->metric == BADM_ORTHOGONAL);
}

static badm_metric badm_i_metric(const badm_trainer *tr, const badm_i_record *r)
{
    badm_metric m = r->metric == BADM_METRIC_OF_TRAINER ? tr->full.metric : (badm_metric)r->metric;
    if (!BADM_I_FULL) return BADM_PLAIN;
    return m == BADM_ORTHOGONAL && !badm_i_is_map(r) ? BADM_DIAGONAL : m;
}

/* The step scale of a tensor's group. Where a trainer orthogonalises, each entry of the other tensors moves by BADM_I_REST of the step. */
static float badm_i_scale(const badm_trainer *tr, const badm_i_record *r)
{
    int orthogonalises = tr->method->id == BADM_I_MUON || (tr->method->id == 0 && tr->full.metric == BADM_ORTHOGONAL);
    return BADM_I_FULL && orthogonalises && r->metric == BADM_METRIC_OF_TRAINER && !badm_i_is_map(r) ? BADM_I_REST * r->scale : r->scale;
}

/* Keeps the error of the lowest slot. */
BADM_I_ASIDE static badm_result badm_i_worker_fail(badm_i_worker *w, uint32_t slot, const badm_i_fault *e)
{
    if (w->error.code == BADM_OK || slot < w->error_slot) {
        w->error = *e;
        w->error_slot = slot;
    }
    return e->code;
}

/* Builds the graph of one piece; NULL, and e filled, unless it is there and finite where a loss is wanted. */
static badm_tensor *badm_i_forward(badm_i_worker *w, badm_loss_fn graph, void *user, const badm_batch *b, int is_loss,
                                   badm_i_fault *e)
{
    badm_tape *t = &w->tape;
    badm_tensor *y = graph(t, b, user);
    if (t->error.code) { *e = t->error; return NULL; }
    if (!y || badm_size(y) == 0) {
        badm_i_error(e, BADM_ERR_ARGUMENT, BADM_I_TEXT("loss callback"), BADM_I_TEXT("it returned no tensor"), NULL, 0, 0);
        return NULL;
    }
    if (!is_loss) return y;
    if (badm_size(y) != 1) {
        badm_i_error(e, BADM_ERR_SHAPE, BADM_I_TEXT("loss callback"), BADM_I_TEXT("it returned %a, a scalar is expected"), NULL, 0,
                     0);
        badm_i_error_tensors(e, y, NULL);
        return NULL;
    }
    if (y->data && !badm_i_is_finite(y->data[0])) {
        badm_i_error(e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_step"), BADM_I_TEXT("the loss of sub-batch %0 is not finite"), NULL,
                     b->slot, 0);
        return NULL;
    }
    return y;
}

static uint32_t badm_i_local_steps(const badm_trainer *tr) { return BADM_I_FULL ? tr->full.local_steps : 1; }

/* One slot on a machine alone is its own mean. */
static int badm_i_is_alone(const badm_trainer *tr) { return tr->active == 1 && !(BADM_I_FULL && tr->full.allreduce); }

/* Elements of a range with the zeros that fill its place: loops then have no tails. */
static size_t badm_i_range_size(const badm_i_range *r) { return badm_i_round_up(r->n, BADM_I_PAD); }

/* |g|^2, group by group; not finite if an element is not. keep: as the mean gradient's. */
static float badm_i_norm_square(const badm_trainer *tr, const float *g, int keep)
{
    badm_i_sum sum = { 0, 0 };
    uint32_t i;
    for (i = 0; i < tr->full.group_count; i++) {
        const badm_i_range *r = tr->full.range + tr->full.group[i].first, *end = r + tr->full.group[i].count;
        float lane[BADM_I_LANES] = { 0 }, norm;
        for (; r < end; r += r->ranges) {
            const float *from = g + r->param->gradient + r->start;
            badm_i_add_to_lanes(tr->level, r->span, from, from, lane);
        }
        norm = badm_i_fold_lanes(lane);
        if (keep) tr->full.partial[i].sum[BADM_I_GRADIENT] = norm;
        badm_i_sum_add(&sum, norm);
    }
    return badm_i_sum_value(&sum);
}

/* Zeros for parameters that the loss did not use. */
static void badm_i_fill_unwritten(const badm_trainer *tr, const badm_i_worker *w, float *grads)
{
    size_t i;
    if (BADM_I_FULL && w->tape.full.begun == tr->full.trained) return;
    for (i = 0; i < tr->model->count; i++) {
        const badm_i_record *r = badm_i_record_at(tr->model, i);
        if (r->gradient != BADM_I_NONE && !w->written[i]) memset(grads + r->gradient, 0, badm_i_shape_size(&r->shape) * sizeof(float));
    }
}

/* Begins a slot: its tape records, parameters are at `local` (NULL: the model's), gradients go to grads. */
static void badm_i_worker_watches(const badm_trainer *tr, badm_i_worker *w, const float *local, float *grads)
{
    badm_tape *t = &w->tape;
    badm_tape_mode(t, 1, tr->d.seed);
    badm_tape_watch(t, tr->model, grads);
    t->written = w->written;
    if (!BADM_I_FULL) return;
    t->full.begun = 0;
    t->full.local = local;
    if (w->full.kept_gradient != grads || w->full.kept_local != local) {
        badm_i_param_keep(t, w->full.kept);
        w->full.kept_gradient = grads;
        w->full.kept_local = local;
    }
    t->full.kept = w->full.kept;
}

/* Adds what a piece makes of the model's buffers to the slot's. */
static void badm_i_slot_buffers(const badm_trainer *tr, const badm_tape *t, uint32_t number, float samples)
{
    const badm_i_next *next;
    for (next = t->next; next; next = next->before) {
        const badm_i_record *r = badm_i_record_of(next->buffer);
        const float *now = tr->model->slab + r->offset;
        float *to = tr->full.buffers + number * tr->model->buffers + r->place;
        size_t i, n = badm_i_shape_size(&r->shape);
        to[0] += samples;
        for (i = 0; i < n; i++) to[i + 1] += samples * (next->values[i] - now[i]);
    }
}

/* Counts the samples of a piece that look up the rows of a table. */
static void badm_i_count_present(const badm_ints *index, size_t lookups, uint32_t samples, uint32_t *count)
{
    size_t each = lookups / samples, i, j;
    const int32_t *sample = index->data;
    for (; samples > 0; samples--, sample += each)
        for (i = 0; i < each; i++) {
            for (j = 0; j < i && sample[j] != sample[i]; j++) { }
            count[sample[i]] += j == i;
        }
}

static badm_result badm_i_slot_present(const badm_trainer *tr, badm_i_worker *w, uint32_t samples)
{
    badm_tape *t = &w->tape;
    const badm_tensor *y;
    unsigned i;
    for (y = t->last; y; y = y->previous)
        for (i = 0; i < y->inputs; i++) {
            const badm_tensor *x = y->in[i];
            const badm_i_record *r;
            if (!badm_i_is_trainers(x)) continue;
            r = badm_i_record_at(tr->model, (size_t)((const uint8_t *)x->args - t->written));
            if (!r->by_presence) continue;
            if (y->op->backward != badm_i_gather_rows_backward)
                badm_fail(t, BADM_ERR_STATE, y->op->name, BADM_I_TEXT("%a is a table whose gradient goes by presence: only looking up is expected"),
                          x, NULL, 0, 0);
            else if (badm_size(y) / x->shape[1] % samples)
                badm_fail(t, BADM_ERR_SHAPE, y->op->name, BADM_I_TEXT("%0 rows for %1 samples: as many for each are expected by presence"),
                          NULL, NULL, (unsigned long)(badm_size(y) / x->shape[1]), samples);
            else badm_i_count_present((const badm_ints *)y->args, badm_size(y) / x->shape[1], samples, w->full.present + r->place);
        }
    return t->error.code;
}

/* The mean gradient's rows, so far over all samples: over those that look them up. */
static void badm_i_divide_by_presence(badm_trainer *tr)
{
    size_t i, j, k;
    for (i = 0; i < tr->model->count; i++) {
        const badm_i_record *r = badm_i_record_at(tr->model, i);
        if (r->gradient == BADM_I_NONE || !r->by_presence) continue;
        for (j = 0; j < r->shape.dim[0]; j++) {
            float *row = tr->mean + r->gradient + j * r->shape.dim[1];
            uint32_t w, present = 0;
            for (w = 0; w < tr->workers; w++) present += tr->worker[w].full.present[r->place + j];
            for (k = 0; present > 0 && k < r->shape.dim[1]; k++) row[k] *= (float)tr->count / (float)present;
        }
    }
}

/* sum |g_i|^2 of a piece's samples, each times the terms it counts, by a tape for each; the piece's own tape is gone then. */
static badm_result badm_i_slot_norms(badm_trainer *tr, badm_i_worker *w, uint32_t number, const badm_batch *piece, const float *local,
                                     float *grads)
{
    badm_tape *t = &w->tape;
    badm_i_fault e;
    uint32_t i, begun = t->full.begun;
    uint8_t buffers = t->buffers;
    badm_result result = BADM_OK;
    memset(&w->full.norms->sum, 0, sizeof w->full.norms->sum);
    for (i = 0; i < piece->count && !result; i++) {
        badm_batch b = *piece;
        badm_tensor *y;
        b.index = piece->index + i;
        b.count = 1;
        badm_tape_reset(t);
        badm_tape_watch(t, tr->model, w->full.norms->space);
        t->written = NULL;
        t->full.kept = NULL;
        t->full.local = local;
        t->buffers = BADM_I_BUFFERS_NONE;
        memset(w->full.norms->space, 0, tr->n * sizeof(float));
        y = badm_i_forward(w, tr->d.loss, tr->d.user, &b, 1, &e);
        if (!y) result = badm_i_worker_fail(w, number, &e);
        else if (badm_i_backward(t, y, t->counted ? (float)t->count : 1.0f)) result = badm_i_worker_fail(w, number, &t->error);
        else badm_i_sum_add(&w->full.norms->sum, badm_i_norm_square(tr, w->full.norms->space, 0));
    }
    badm_i_worker_watches(tr, w, local, grads);
    t->full.begun = begun;
    t->buffers = buffers;
    return result;
}

/* The mean gradient of a slot's samples of local step k at `local` weights (NULL: the model's) into grads; fills *s on k = 0. */
static badm_result badm_i_slot_gradient(badm_trainer *tr, badm_i_worker *w, uint32_t number, uint32_t k, const float *local,
                                        float *grads)
{
    badm_i_slot *s = &tr->slot[number];
    badm_tape *t = &w->tape;
    uint32_t done = 0, pieces = (s->samples + tr->piece - 1) / tr->piece, counted = 0, hits = 0, hits_of = 0, piece;
    badm_i_sum loss = { 0, 0 }, squares = { 0, 0 };
    badm_i_fault e;
    size_t i;
    float each, norm;
    int measures = BADM_I_FULL && tr->full.measuring && tr->full.diversity == BADM_DIVERSITY_EXACT && k == 0;
    memset(w->written, 0, tr->model->count);
    badm_i_worker_watches(tr, w, local, grads);
    badm_i_tape_team(tr, t, tr->active == 1);
    t->step = tr->step;
    t->slot = number | (k << 16);
    t->buffers = k == 0 ? BADM_I_BUFFERS_TRAINED : BADM_I_BUFFERS_NONE;
    if (BADM_I_FULL && k == 0 && tr->full.buffers) memset(tr->full.buffers + number * tr->model->buffers, 0, tr->model->buffers * sizeof(float));
    for (piece = 0; piece < pieces; piece++) {
        badm_batch b;
        badm_tensor *y;
        if (tr->d.cancel && *tr->d.cancel) {
            badm_i_error(&e, BADM_ERR_CANCELLED, BADM_I_TEXT("badm_step"), BADM_I_TEXT("cancelled by the flag"), NULL, 0, 0);
            return badm_i_worker_fail(w, number, &e);
        }
        badm_tape_reset(t);
        t->piece = piece;
        b.count = s->samples - done < tr->piece ? s->samples - done : tr->piece;
        b.index = tr->batch + (size_t)k * tr->count + s->first + done;
        b.slot = number;
        b.local_step = k;
        b.step = tr->step;
        y = badm_i_forward(w, tr->d.loss, tr->d.user, &b, 1, &e);
        if (!y) return badm_i_worker_fail(w, number, &e);
        if (BADM_I_FULL && w->full.present && badm_i_slot_present(tr, w, b.count)) return badm_i_worker_fail(w, number, &t->error);
        if (!t->counted) t->count = b.count;
        if (measures) {
            memset(&w->full.norms->sum, 0, sizeof w->full.norms->sum);
            memset(w->full.norms->seen, 0, tr->model->count);
            w->full.norms->of = tr->full.norms_of;
            w->full.norms->samples = b.count;
            w->full.norms->missing = 0;
            t->full.norms = w->full.norms;
        }
        badm_i_backward(t, y, pieces > 1 ? (float)t->count : 1.0f);
        if (BADM_I_FULL) t->full.norms = NULL;
        if (t->error.code) return badm_i_worker_fail(w, number, &t->error);
        if (BADM_I_FULL) badm_i_slot_buffers(tr, t, number, (float)b.count);
        badm_i_sum_add(&loss, pieces > 1 ? y->data[0] * (float)t->count : y->data[0]);
        counted += t->count;
        hits += t->hits;
        hits_of += t->hits_of;
        done += b.count;
        if (measures) {                     /* of the sum over the terms that count; with one piece a mean came back */
            float back = pieces > 1 || w->full.norms->missing ? 1.0f : (float)t->count;
            if (w->full.norms->missing) {
                badm_result failed = badm_i_slot_norms(tr, w, number, &b, local, grads);
                if (failed) return failed;
            }
            badm_i_sum_add(&squares, badm_i_sum_value(&w->full.norms->sum) * (back * back));
        }
    }
    badm_i_fill_unwritten(tr, w, grads);
    each = pieces > 1 && counted ? 1.0f / (float)counted : 1.0f;
    if (pieces > 1) badm_i_set_scaled(tr->level, tr->n, each, grads, grads);
    norm = BADM_I_FULL ? badm_i_norm_square(tr, grads, k == 0 && badm_i_is_alone(tr)) : BADM_I_INFINITY;
    if (!badm_i_is_finite(norm) && !badm_i_all_finite(tr->level, grads, tr->n)) {
        badm_i_error(&e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_step"), BADM_I_TEXT("a gradient of sub-batch %0 is not finite"),
                     NULL, number, 0);
        for (i = 0; BADM_I_FULL && i < tr->full.range_count; i++) {
            const badm_i_range *r = &tr->full.range[i];
            if (badm_i_all_finite(tr->level, grads + r->param->gradient + r->start, r->n)) continue;
            badm_i_error(&e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_step"),
                         BADM_I_TEXT("the gradient of \"%n\" in sub-batch %0 is not finite"), r->param->name, number, 0);
            break;
        }
        return badm_i_worker_fail(w, number, &e);
    }
    if (k == 0) {
        s->loss = badm_i_sum_value(&loss) * each;
        if (BADM_I_FULL) s->full.norm = norm;
        if (BADM_I_FULL) s->full.squares = badm_i_sum_value(&squares);
        s->count = counted;
        s->hits = hits;
        s->hits_of = hits_of;
    }
    return BADM_OK;
}

/* Starts the state of a step's slots: sizes that differ by at most one. */
static void badm_i_divide(badm_trainer *tr, uint32_t count, uint32_t active)
{
    uint32_t i, first = 0;
    tr->count = count;
    tr->active = active;
    for (i = 0; i < tr->slots; i++) {
        badm_i_slot *s = &tr->slot[i];
        memset(s, 0, sizeof *s);
        s->first = first;
        s->samples = i < active ? count / active + (i < count % active ? 1u : 0u) : 0;
        first += s->samples;
    }
    for (i = 0; i < tr->workers; i++) {
        tr->worker[i].error.code = BADM_OK;
        tr->worker[i].tape.wanted = 0;
        if (tr->worker[i].full.present) memset(tr->worker[i].full.present, 0, tr->model->present * sizeof(uint32_t));
    }
}

/* After each sub-batch: the watchdog's callback. */
static badm_result badm_i_slot_report(badm_trainer *tr, badm_i_worker *w, uint32_t number)
{
    badm_i_fault e;
    if (!tr->d.on_sub_batch || !tr->d.on_sub_batch(number, tr->active, tr->d.on_sub_batch_user)) return BADM_OK;
    badm_i_error(&e, BADM_ERR_CANCELLED, BADM_I_TEXT("badm_step"), BADM_I_TEXT("cancelled by on_sub_batch"), NULL, 0, 0);
    return badm_i_worker_fail(w, number, &e);
}

/* =====================================================================================================================
   >>methods    From gradients to parameters. BADM first, then what it is compared with.

   A method is a record with one function over a short run of elements. It reads tr->rates, the group's factors and the mean
   gradient (clipped), moves its own state vectors, and says by how much the parameters move. Applying that, decay and ridge is
   common to all (badm_i_job_update).
   ===================================================================================================================== */

/* ---- what a desc may say ---- */

static badm_result badm_i_refuse(badm_i_fault *e, const char *message, unsigned long n0, unsigned long n1)
{
    return badm_i_error(e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_trainer_desc"), message, NULL, n0, n1);
}

static int badm_i_at_least(float x, float least) { return x >= least && badm_i_is_finite(x); }

/* Numbers that BADM or another method may read. */
static badm_result badm_i_check_numbers(const badm_trainer_desc *d, badm_i_fault *e)
{
    if (!badm_i_at_least(d->clip, 0)) return badm_i_refuse(e, BADM_I_TEXT("clip: a number >= 0 is expected"), 0, 0);
    if (!badm_i_at_least(d->ridge, 0)) return badm_i_refuse(e, BADM_I_TEXT("ridge: a number >= 0 is expected"), 0, 0);
    if (!badm_i_at_least(d->balance, 0) || (d->balance > 0 && d->balance < 1))
        return badm_i_refuse(e, BADM_I_TEXT("balance: 0 or a number >= 1 is expected"), 0, 0);
    if (!badm_i_at_least(d->beta1, 0) || !(d->beta1 < 1))
        return badm_i_refuse(e, BADM_I_TEXT("beta1: 0 <= beta1 < 1 is expected"), 0, 0);
    if (!badm_i_at_least(d->beta2, 0) || !(d->beta2 < 1))
        return badm_i_refuse(e, BADM_I_TEXT("beta2: 0 <= beta2 < 1 is expected"), 0, 0);
    if (!badm_i_at_least(d->eps, 0)) return badm_i_refuse(e, BADM_I_TEXT("eps: a number >= 0 is expected"), 0, 0);
    if (!badm_i_at_least(d->momentum_decay, 0))
        return badm_i_refuse(e, BADM_I_TEXT("momentum_decay: a number >= 0 is expected"), 0, 0);
    if ((unsigned)d->metric >= BADM_METRIC_OF_TRAINER)
        return badm_i_refuse(e, BADM_I_TEXT("metric: plain, diagonal, orthogonal or SISA is expected"), 0, 0);
    if ((unsigned)d->form > BADM_PER_SLOT)
        return badm_i_refuse(e, BADM_I_TEXT("form: BADM_COLLAPSED or BADM_PER_SLOT is expected"), 0, 0);
    return BADM_OK;
}

#ifdef BADM_SMALL
#define BADM_I_CHECK_BADM NULL          /* its two numbers are checked at every step; the others nobody may set */
#else
#define BADM_I_CHECK_BADM badm_i_check_badm

static int badm_i_uses_metric(const badm_trainer_desc *d, badm_metric metric)
{
    size_t i;
    if (d->metric == metric) return 1;
    for (i = 0; i < d->model->count; i++) {
        const badm_i_record *r = badm_i_record_at(d->model, i);
        if (r->gradient != BADM_I_NONE && r->metric == metric) return 1;
    }
    return 0;
}

static badm_result badm_i_check_badm(const badm_trainer_desc *d, badm_i_fault *e)
{
    if (badm_i_check_numbers(d, e)) return e->code;
    if (d->local_steps > 1 && d->form != BADM_PER_SLOT)
        return badm_i_refuse(e, BADM_I_TEXT("local_steps is %0: more than 1 needs form = BADM_PER_SLOT"), d->local_steps, 0);
    if (d->local_steps > 1 && badm_i_uses_metric(d, BADM_ORTHOGONAL))
        return badm_i_refuse(e, BADM_I_TEXT("local_steps is %0: the orthogonal metric allows 1"), d->local_steps, 0);
    if (d->local_steps > 1 && d->metric == BADM_SISA)
        return badm_i_refuse(e, BADM_I_TEXT("local_steps is %0: SISA allows 1"), d->local_steps, 0);
    if (d->metric == BADM_SISA && d->form != BADM_PER_SLOT)
        return badm_i_refuse(e, BADM_I_TEXT("the SISA metric needs form = BADM_PER_SLOT"), 0, 0);
    if (d->metric == BADM_SISA && (badm_i_uses_metric(d, BADM_PLAIN) || badm_i_uses_metric(d, BADM_DIAGONAL)
                                   || badm_i_uses_metric(d, BADM_ORTHOGONAL)))
        return badm_i_refuse(e, BADM_I_TEXT("the SISA metric does not mix with others"), 0, 0);
    if (d->ridge > 0 && (badm_i_uses_metric(d, BADM_DIAGONAL) || badm_i_uses_metric(d, BADM_ORTHOGONAL)))
        return badm_i_refuse(e, BADM_I_TEXT("ridge needs the plain metric or SISA"), 0, 0);
    return BADM_OK;
}
#endif

static badm_result badm_i_check_baseline(const badm_trainer_desc *d, badm_i_fault *e)
{
    if (badm_i_check_numbers(d, e)) return e->code;
    if (d->form != BADM_COLLAPSED || d->local_steps > 1)
        return badm_i_refuse(e, BADM_I_TEXT("form and local_steps are BADM's; another method is set"), 0, 0);
    return BADM_OK;
}

/* 1/sigma of a group, or lr: the step's length per unit. */
static float badm_i_step_length(const badm_trainer *tr, const badm_i_record *r)
{
    return tr->method->id == 0 ? badm_i_scale(tr, r) / tr->rates.sigma : badm_i_scale(tr, r) * tr->rates.lr;
}

/* Averages that decay for want of gradients would end as subnormal numbers, which many processors handle a hundred times slower,
   and so would the steps made of them. What is below 1e-36 becomes 0. */
BADM_I_INLINE float badm_i_settle(float x) { return badm_i_choose(badm_i_abs(x) < 1e-36f, 0.0f, x); }

/* eps; where it is 0, 0/0 shall be 0, and what has vanished from v (below 1e-36) shall not make a long step. */
static float badm_i_eps(const badm_trainer *tr) { return tr->d.eps > 0 ? tr->d.eps : 1e-17f; }

/* v := beta2 v + (1-beta2) square, and q = sqrt(v/correction)+eps. */
BADM_I_INLINE void badm_i_moment_loop_body(size_t n, float beta2, float correction, const float *square, float *v, float *q)
{
    size_t i;
    BADM_I_EACH(i, n) {
        float next = badm_i_settle(beta2 * v[i] + (1.0f - beta2) * square[i]);
        v[i] = next;
        q[i] = next / correction;
    }
}
BADM_I_LOOP(badm_i_moment_loop, (n, beta2, correction, square, v, q), size_t n, float beta2, float correction, const float *square,
            float *v, float *q)

BADM_I_INLINE void badm_i_shift_loop_body(size_t n, float c, float *x)
{
    size_t i;
    BADM_I_EACH(i, n) x[i] += c;
}
BADM_I_LOOP(badm_i_shift_loop, (n, c, x), size_t n, float c, float *x)

/* v_to may be v: the moved moments of a run, and their metric. */
static void badm_i_moments(const badm_trainer *tr, size_t n, float correction, const float *square, float *v, float *q)
{
    badm_i_moment_loop(tr->level, n, tr->d.beta2, correction, square, v, q);
    badm_i_sqrt_each(tr->level, n, q, q);
    badm_i_shift_loop(tr->level, n, badm_i_eps(tr), q);
}

BADM_I_INLINE void badm_i_squares_body(size_t n, const float *x, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = x[i] * x[i];
}
BADM_I_LOOP(badm_i_squares, (n, x, to), size_t n, const float *x, float *to)

BADM_I_INLINE void badm_i_divide_each_body(size_t n, const float *x, const float *y, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = x[i] / y[i];
}
BADM_I_LOOP(badm_i_divide_each, (n, x, y, to), size_t n, const float *x, const float *y, float *to)

/* to = a x/c: what monitors need. a NULL: 1 */
BADM_I_INLINE void badm_i_ratio_body(size_t n, const float *a, const float *x, float c, float *to)
{
    size_t i;
    if (a) BADM_I_EACH(i, n) to[i] = a[i] * x[i] / c;
    else BADM_I_EACH(i, n) to[i] = x[i] / c;
}
BADM_I_LOOP(badm_i_ratio, (n, a, x, c, to), size_t n, const float *a, const float *x, float c, float *to)

/* g of a run in the inverse metric of the step before; 0 while it has seen nothing. */
static void badm_i_in_metric(const badm_trainer *tr, const badm_i_range *r, size_t at, size_t n, const float *g, float *to)
{
    const float *v = tr->vector[tr->full.form == BADM_PER_SLOT ? 0 : 1] + r->param->gradient + r->start + at;
    if (tr->step == 0) { memset(to, 0, n * sizeof(float)); return; }
    badm_i_ratio(tr->level, n, NULL, v, tr->full.correction2_before, to);
    badm_i_sqrt_each(tr->level, n, to, to);
    badm_i_shift_loop(tr->level, n, badm_i_eps(tr), to);
    badm_i_divide_each(tr->level, n, g, to, to);
}

/* ---- the mean gradient ---- */

/* The usual numbers of slots at once: the same sums. */
BADM_I_INLINE void badm_i_fold_two_body(size_t n, float a, const float *x, float b, const float *y, float share, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = (a * x[i] + b * y[i]) * share;
}
BADM_I_LOOP(badm_i_fold_two, (n, a, x, b, y, share, to), size_t n, float a, const float *x, float b, const float *y, float share, float *to)

BADM_I_INLINE void badm_i_fold_four_body(size_t n, float a, const float *x, float b, const float *y, float c, const float *u, float d,
                                         const float *v, float share, float *to)
{
    size_t i;
    BADM_I_EACH(i, n) to[i] = (((a * x[i] + b * y[i]) + c * u[i]) + d * v[i]) * share;
}
BADM_I_LOOP(badm_i_fold_four, (n, a, x, b, y, c, u, d, v, share, to), size_t n, float a, const float *x, float b, const float *y, float c,
            const float *u, float d, const float *v, float share, float *to)

/* Of n elements from place o on, before clipping: in place where it stands, else put together in `space`: in slot order, each slot
   times its count, the whole times 1/all. squares: the mean of the squares instead. n is at most BADM_I_RUN. */
static const float *badm_i_mean_at(const badm_trainer *tr, size_t o, size_t n, int squares, float *space)
{
    float *folded = (squares ? tr->full.mean_square : tr->mean);
    uint32_t s;
    if (tr->mean_ready || (badm_i_is_alone(tr) && (!BADM_I_FULL || !tr->full.gradient[0]))) return folded + o;
    if (BADM_I_FULL && badm_i_is_alone(tr)) {
        if (!squares) return tr->full.gradient[0] + o;
        badm_i_squares(tr->level, n, tr->full.gradient[0] + o, space);
        return space;
    }
    if (!BADM_I_FULL || !tr->full.gradient[0]) {     /* added up while the slots ran */
        badm_i_set_scaled(tr->level, n, tr->share, folded + o, space);
        return space;
    }
    for (s = 0; s < tr->active; s++) {
        float weight = (float)tr->slot[s].count, square[BADM_I_RUN];
        const float *g = tr->full.gradient[s] + o;
        if (squares) { badm_i_squares(tr->level, n, g, square); g = square; }
        else if (s == 0 && tr->active == 2) {
            badm_i_fold_two(tr->level, n, weight, g, (float)tr->slot[1].count, tr->full.gradient[1] + o, tr->share, space);
            return space;
        } else if (s == 0 && tr->active == 4) {
            badm_i_fold_four(tr->level, n, weight, g, (float)tr->slot[1].count, tr->full.gradient[1] + o, (float)tr->slot[2].count,
                             tr->full.gradient[2] + o, (float)tr->slot[3].count, tr->full.gradient[3] + o, tr->share, space);
            return space;
        }
        if (s == 0) badm_i_set_scaled(tr->level, n, weight, g, space);
        else badm_i_add_scaled(tr->level, n, weight, g, space);
    }
    badm_i_set_scaled(tr->level, n, tr->share, space, space);
    return space;
}

/* ---- BADM, collapsed: m' = beta m + (1-beta) G, step -Q^-1 (2m'-m)/sigma (see THE METHOD) ---- */

BADM_I_INLINE float badm_i_badm_step(float before, float after, float length)
{
    return -(2.0f * after - before) * length;
}

/* d = -(2m'-m) length, moved = m'-m. */
BADM_I_INLINE void badm_i_badm_loop_body(size_t n, float beta, float length, const float *g, float *m, float *d, float *moved)
{
    size_t i;
    BADM_I_EACH(i, n) {
        float before = m[i], after;
        BADM_I_ONCE(before);
        after = badm_i_settle(beta * before + (1.0f - beta) * g[i]);
        m[i] = after;
        moved[i] = after - before;
        d[i] = badm_i_badm_step(before, after, length);
    }
}
BADM_I_LOOP(badm_i_badm_loop, (n, beta, length, g, m, d, moved), size_t n, float beta, float length, const float *g, float *m, float *d,
            float *moved)

/* The same with what monitors sum: g m and m m, m as it was, and the squares of what it moved by. `lanes` elements, each to sums of
   its own. */
BADM_I_INLINE void badm_i_badm_lanes(size_t lanes, float beta, float length, const float *g, float *m, float *d, float *moved,
                                     float *against, float *momentum, float *square)
{
    size_t i;
    BADM_I_EACH(i, lanes) {
        float before = m[i], after, change;
        BADM_I_ONCE(before);
        after = badm_i_settle(beta * before + (1.0f - beta) * g[i]);
        change = after - before;
        against[i] += g[i] * before;
        momentum[i] += before * before;
        square[i] += change * change;
        m[i] = after;
        moved[i] = change;
        d[i] = badm_i_badm_step(before, after, length);
    }
}

BADM_I_INLINE void badm_i_badm_watched_body(size_t n, float beta, float length, const float *g, float *m, float *d, float *moved,
                                            float *against, float *momentum, float *square)
{
    float a[BADM_I_LANES], b[BADM_I_LANES], c[BADM_I_LANES];
    size_t i, j;
    for (j = 0; j < BADM_I_LANES; j++) a[j] = against[j];
    for (j = 0; j < BADM_I_LANES; j++) b[j] = momentum[j];
    for (j = 0; j < BADM_I_LANES; j++) c[j] = square[j];
    for (i = 0; i + BADM_I_LANES <= n; i += BADM_I_LANES) {         /* by halves: loops that need no counter */
        badm_i_badm_lanes(8, beta, length, g + i, m + i, d + i, moved + i, a, b, c);
        badm_i_badm_lanes(8, beta, length, g + i + 8, m + i + 8, d + i + 8, moved + i + 8, a + 8, b + 8, c + 8);
    }
    for (j = 0; j < BADM_I_LANES; j++) against[j] = a[j];
    for (j = 0; j < BADM_I_LANES; j++) momentum[j] = b[j];
    for (j = 0; j < BADM_I_LANES; j++) square[j] = c[j];
    if (i < n) badm_i_badm_lanes(n - i, beta, length, g + i, m + i, d + i, moved + i, against, momentum, square);
}
BADM_I_LOOP(badm_i_badm_watched, (n, beta, length, g, m, d, moved, against, momentum, square), size_t n, float beta, float length,
            const float *g, float *m, float *d, float *moved, float *against, float *momentum, float *square)

static void badm_i_badm_delta(badm_trainer *tr, badm_i_run *run)
{
    float *m = tr->vector[0] + run->o, length = run->metric == BADM_ORTHOGONAL ? 1.0f : badm_i_step_length(tr, run->param);
    float moved[BADM_I_RUN];
    int diagonal = BADM_I_FULL && run->metric == BADM_DIAGONAL;
    if (BADM_I_FULL && run->lanes) {
        float unused[BADM_I_LANES] = { 0 };
        badm_i_badm_watched(tr->level, run->n, tr->beta, length, run->g, m, run->d, moved, run->lanes[BADM_I_AGAINST],
                            run->lanes[BADM_I_MOMENTUM], diagonal ? unused : run->lanes[BADM_I_PRIMAL]);
    } else badm_i_badm_loop(tr->level, run->n, tr->beta, length, run->g, m, run->d, moved);
    if (!diagonal) return;
    badm_i_moments(tr, run->n, tr->correction2, run->square, tr->vector[1] + run->o, run->q);
    badm_i_divide_each(tr->level, run->n, run->d, run->q, run->d);
    if (run->lanes) {
        float inverse[BADM_I_RUN];
        badm_i_divide_each(tr->level, run->n, moved, run->q, inverse);
        badm_i_add_to_lanes(tr->level, run->n, moved, inverse, run->lanes[BADM_I_PRIMAL]);
    }
}

/* What averages of the step to come are to be divided by. */
static void badm_i_corrections(badm_trainer *tr)
{
    if (!tr->has_moments) return;
    tr->correction1 = badm_i_one_less_power(tr->d.beta1, tr->step + 1);
    tr->correction2 = badm_i_one_less_power(tr->d.beta2, tr->step + 1);
    if (BADM_I_FULL) tr->full.correction2_before = badm_i_one_less_power(tr->d.beta2, tr->step);
}

#ifdef BADM_SMALL
#define BADM_I_BADM_BEGIN NULL          /* no moments */
#else
#define BADM_I_BADM_BEGIN badm_i_corrections
#endif

static const badm_method *badm_i_method_badm(void)
{
    static const badm_method method = { "badm", 0, 1, 1, badm_i_badm_delta, BADM_I_BADM_BEGIN, BADM_I_CHECK_BADM };
    return &method;
}

/* ---- BADM, per slot: the equations as the paper writes them, in displacements d_s = w_s - w ----

   vector layout: [0] v when some tensor is diagonal; then pi_s for every slot; then v_s for every slot with SISA. */

static size_t badm_i_first_dual(const badm_trainer *tr)
{
    return tr->vector_count - (tr->full.metric == BADM_SISA ? 2u : 1u) * tr->slots;
}
static float *badm_i_dual(const badm_trainer *tr, uint32_t s) { return tr->vector[badm_i_first_dual(tr) + s]; }
static float *badm_i_slot_moment(const badm_trainer *tr, uint32_t s) { return tr->vector[badm_i_first_dual(tr) + tr->slots + s]; }

/* q of a run: 1, or the diagonal metric with this step's mean gradient taken in (v itself is moved only by the commit). */
static void badm_i_run_metric(const badm_trainer *tr, badm_metric metric, size_t o, size_t n, float *q, float *v_next)
{
    size_t i;
    if (metric == BADM_DIAGONAL) {
        float space[BADM_I_RUN], clip = tr->full.clip_factor;
        const float *mean = badm_i_mean_at(tr, o, n, tr->full.mean_square != NULL, space);
        for (i = 0; i < n; i++) space[i] = tr->full.mean_square ? mean[i] * (clip * clip) : (mean[i] * clip) * (mean[i] * clip);
        memcpy(v_next, tr->vector[0] + o, n * sizeof(float));
        badm_i_moments(tr, n, tr->correction2, space, v_next, q);
    } else for (i = 0; i < n; i++) q[i] = 1.0f;
}

/* Primal, first local step: d_s = -(g_s + pi_s)/(Q (rho + s_)); SISA: -(g_s + pi_s)/(s_ + rho (sqrt(v_s^)+eps)). */
static void badm_i_first_move(const badm_trainer *tr, uint32_t s, const badm_i_record *r, size_t o, size_t n, const float *q,
                              float *d, float *moment)
{
    float penalty = tr->rates.sigma / (float)tr->full.local_steps / badm_i_scale(tr, r), rho = tr->rates.rho / badm_i_scale(tr, r);
    const float *g = tr->full.gradient[s] + o, *pi = badm_i_dual(tr, s) + o;
    size_t i;
    float pull[BADM_I_RUN], square[BADM_I_RUN], root[BADM_I_RUN];
    for (i = 0; i < n; i++) pull[i] = g[i] * tr->full.clip_factor + pi[i];
    if (moment && tr->full.metric == BADM_SISA) {
        memcpy(moment, badm_i_slot_moment(tr, s) + o, n * sizeof(float));
        badm_i_squares(tr->level, n, pull, square);
        badm_i_moments(tr, n, tr->correction2, square, moment, root);
        for (i = 0; i < n; i++) d[i] = -pull[i] / (penalty + rho * root[i]);
    } else for (i = 0; i < n; i++) d[i] = -pull[i] / (q[i] * (rho + penalty));
}

/* K > 1: the slot's gradient becomes its displacement after the first local step. */
static void badm_i_job_first_move(void *of, uint32_t worker, uint32_t job)
{
    badm_trainer *tr = (badm_trainer *)of;
    const badm_i_group *group = &tr->full.group[job];
    const badm_i_range *r = tr->full.range + group->first, *end = r + group->count;
    size_t i, n;
    uint32_t s;
    (void)worker;
    for (; r < end; r++)
        for (i = 0; i < r->n; i += n) {
            float q[BADM_I_RUN], v_next[BADM_I_RUN], d[BADM_I_RUN];
            size_t o = r->param->gradient + r->start + i;
            n = r->n - i < BADM_I_RUN ? r->n - i : BADM_I_RUN;
            badm_i_run_metric(tr, badm_i_metric(tr, r->param), o, n, q, v_next);
            for (s = 0; s < tr->active; s++) {
                badm_i_first_move(tr, s, r->param, o, n, q, d, NULL);
                memcpy(tr->full.gradient[s] + o, d, n * sizeof(float));
            }
        }
}

/* K > 1: local steps 2..K of one slot: d_s -= [Q^-1 (grad F_{s,k}(w + d_s) + pi_s) + s_ d_s]/(rho + s_). */
static void badm_i_job_local_steps(void *of, uint32_t worker, uint32_t s)
{
    badm_trainer *tr = (badm_trainer *)of;
    badm_i_worker *w = &tr->worker[worker];
    float *d = tr->full.gradient[s];
    uint32_t k;
    size_t j, i, n;
    for (k = 1; k < tr->full.local_steps; k++) {
        float clip = 1.0f;
        memset(w->full.local, 0, tr->n * sizeof(float));
        for (j = 0; j < tr->full.range_count; j++) {
            const badm_i_range *r = &tr->full.range[j];
            const float *from = tr->model->slab + r->param->offset + r->start;
            size_t o = r->param->gradient + r->start;
            for (i = 0; i < r->n; i++) w->full.local[o + i] = from[i] + d[o + i];
        }
        tr->slot[s].result = badm_i_slot_gradient(tr, w, s, k, w->full.local, w->gradient);
        if (tr->slot[s].result) return;
        if (tr->full.clip > 0) {               /* the mean over slots is not known here: by the slot's own norm */
            float norm = badm_sqrtf(badm_i_norm_square(tr, w->gradient, 0));
            if (norm > tr->full.clip) clip = tr->full.clip / norm;
        }
        for (j = 0; j < tr->full.range_count; j++) {
            const badm_i_range *r = &tr->full.range[j];
            badm_metric metric = badm_i_metric(tr, r->param);
            float scale = badm_i_scale(tr, r->param);
            float penalty = tr->rates.sigma / (float)tr->full.local_steps / scale, rho = tr->rates.rho / scale;
            for (i = 0; i < r->n; i += n) {
                float q[BADM_I_RUN], v_next[BADM_I_RUN];
                size_t o = r->param->gradient + r->start + i, e;
                const float *pi = badm_i_dual(tr, s) + o, *g = w->gradient + o;
                n = r->n - i < BADM_I_RUN ? r->n - i : BADM_I_RUN;
                badm_i_run_metric(tr, metric, o, n, q, v_next);
                for (e = 0; e < n; e++) d[o + e] -= ((g[e] * clip + pi[e]) / q[e] + penalty * d[o + e]) / (rho + penalty);
            }
        }
        if (!badm_i_all_finite(tr->level, d, tr->n)) {
            badm_i_fault e;
            badm_i_error(&e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_step"), BADM_I_TEXT("local steps of sub-batch %0 diverge"),
                         NULL, s, 0);
            tr->slot[s].result = badm_i_worker_fail(w, s, &e);
            return;
        }
    }
}

/* Dual and aggregate: pi_s += s_ Q d_s, and sum_s alpha_s (d_s + Q^-1 pi_s/s_) into tr->full.total. On one machine both at once; on
   several first the aggregate of the new duals, for the exchange that may fail, then, without it, the duals. */
static void badm_i_move_range(badm_trainer *tr, const badm_i_range *r, badm_i_partial *sums, int aggregate, int commit)
{
    badm_metric metric = badm_i_metric(tr, r->param);
    float penalty = tr->rates.sigma / (float)tr->full.local_steps / badm_i_scale(tr, r->param);
    badm_i_lanes lanes;
    size_t i, e, n;
    uint32_t s;
    memset(lanes, 0, sizeof lanes);
    for (i = 0; i < r->n; i += n) {
        float q[BADM_I_RUN], v_next[BADM_I_RUN], d[BADM_I_RUN], moment[BADM_I_RUN], total[BADM_I_RUN], m[BADM_I_RUN], norm[BADM_I_RUN];
        size_t o = r->param->gradient + r->start + i;
        n = r->n - i < BADM_I_RUN ? r->n - i : BADM_I_RUN;
        badm_i_run_metric(tr, metric, o, n, q, v_next);
        for (e = 0; e < n; e++) total[e] = m[e] = norm[e] = 0;
        for (s = 0; s < tr->active; s++) {
            float *pi = badm_i_dual(tr, s) + o, alpha = tr->slot[s].full.alpha;
            if (tr->full.local_steps > 1) memcpy(d, tr->full.gradient[s] + o, n * sizeof(float));
            else badm_i_first_move(tr, s, r->param, o, n, q, d, moment);
            if (commit && tr->full.metric == BADM_SISA) memcpy(badm_i_slot_moment(tr, s) + o, moment, n * sizeof(float));
            for (e = 0; e < n; e++) {
                float next = badm_i_settle(pi[e] + penalty * q[e] * d[e]);
                m[e] -= alpha * pi[e];
                total[e] += alpha * (d[e] + next / (penalty * q[e]));
                norm[e] += alpha * d[e] * d[e] * q[e];
                if (commit) pi[e] = next;
            }
        }
        if (sums && aggregate) badm_i_sum_to_lanes(tr->level, n, norm, lanes[BADM_I_PRIMAL]);
        if (aggregate) memcpy(tr->full.total + o, total, n * sizeof(float));
        if (commit && metric == BADM_DIAGONAL) memcpy(tr->vector[0] + o, v_next, n * sizeof(float));
        if (sums && commit) {
            badm_i_add_to_lanes(tr->level, n, tr->mean + o, m, lanes[BADM_I_AGAINST]);
            badm_i_add_to_lanes(tr->level, n, m, m, lanes[BADM_I_MOMENTUM]);
        }
    }
    if (!sums) return;
    sums->sum[BADM_I_PRIMAL] += badm_i_fold_lanes(lanes[BADM_I_PRIMAL]);
    sums->sum[BADM_I_AGAINST] += badm_i_fold_lanes(lanes[BADM_I_AGAINST]) * tr->full.clip_factor;
    sums->sum[BADM_I_MOMENTUM] += badm_i_fold_lanes(lanes[BADM_I_MOMENTUM]);
}

static void badm_i_move_slots(badm_trainer *tr, uint32_t job, int aggregate, int commit)
{
    const badm_i_group *group = &tr->full.group[job];
    uint32_t i;
    for (i = group->first; i < group->first + group->count; i++)
        badm_i_move_range(tr, &tr->full.range[i], tr->full.monitors ? &tr->full.partial[job] : NULL, aggregate, commit);
}

static void badm_i_job_aggregate(void *of, uint32_t worker, uint32_t job)
{
    badm_trainer *tr = (badm_trainer *)of;
    (void)worker;
    badm_i_move_slots(tr, job, 1, 0);
}
static void badm_i_job_commit(void *of, uint32_t worker, uint32_t job)
{
    badm_trainer *tr = (badm_trainer *)of;
    (void)worker;
    badm_i_move_slots(tr, job, !tr->full.allreduce, 1);
}

static void badm_i_per_slot_delta(badm_trainer *tr, badm_i_run *run)
{
    memcpy(run->d, tr->full.total + run->o, run->n * sizeof(float));
    if (run->lanes && run->metric == BADM_DIAGONAL) {
        size_t i;
        for (i = 0; i < run->n; i++) run->q[i] = tr->vector[0][run->o + i] / tr->correction2;
        badm_i_sqrt_each(tr->level, run->n, run->q, run->q);
        badm_i_shift_loop(tr->level, run->n, badm_i_eps(tr), run->q);
    }
}

/* ---- baselines, as torch.optim defines them ---- */

/* Factor of the weights in the gradient: L2 decay. */
static float badm_i_l2(const badm_trainer *tr, const badm_i_run *run) { return tr->rates.weight_decay * run->param->decay; }

BADM_I_INLINE void badm_i_sgd_loop_body(size_t n, float lr, float l2, const float *w, const float *g, float *d)
{
    size_t i;
    BADM_I_EACH(i, n) d[i] = -lr * (g[i] + l2 * w[i]);
}
BADM_I_LOOP(badm_i_sgd_loop, (n, lr, l2, w, g, d), size_t n, float lr, float l2, const float *w, const float *g, float *d)

static void badm_i_sgd_delta(badm_trainer *tr, badm_i_run *run)
{
    badm_i_sgd_loop(tr->level, run->n, badm_i_step_length(tr, run->param), badm_i_l2(tr, run), run->w, run->g, run->d);
}

/* first: the buffer begins as the gradient. ahead: 0, or Nesterov's look ahead by one step. */
BADM_I_INLINE void badm_i_momentum_loop_body(size_t n, float lr, float l2, float mu, int first, int ahead, const float *w, const float *g,
                                             float *buf, float *d)
{
    float keep = first ? 0.0f : mu;
    size_t i;
    if (ahead) BADM_I_EACH(i, n) {
        float x = g[i] + l2 * w[i], next = badm_i_settle(keep * buf[i] + x);
        buf[i] = next;
        d[i] = -lr * (x + mu * next);
    }
    else BADM_I_EACH(i, n) {
        float next = badm_i_settle(keep * buf[i] + (g[i] + l2 * w[i]));
        buf[i] = next;
        d[i] = -lr * next;
    }
}
BADM_I_LOOP(badm_i_momentum_loop, (n, lr, l2, mu, first, ahead, w, g, buf, d), size_t n, float lr, float l2, float mu, int first, int ahead,
            const float *w, const float *g, float *buf, float *d)

static void badm_i_momentum_run(badm_trainer *tr, badm_i_run *run, int ahead)
{
    badm_i_momentum_loop(tr->level, run->n, badm_i_step_length(tr, run->param), badm_i_l2(tr, run), tr->d.beta1, tr->step == 0, ahead,
                         run->w, run->g, tr->vector[0] + run->o, run->d);
}

static void badm_i_momentum_delta(badm_trainer *tr, badm_i_run *run) { badm_i_momentum_run(tr, run, 0); }
static void badm_i_nesterov_delta(badm_trainer *tr, badm_i_run *run) { badm_i_momentum_run(tr, run, 1); }

/* d = -lr (of_m m + of_g g)/q */
BADM_I_INLINE void badm_i_quotient_loop_body(size_t n, float lr, float of_m, float of_g, const float *m, const float *g, const float *q,
                                             float *d)
{
    size_t i;
    BADM_I_EACH(i, n) d[i] = -lr * ((of_m * m[i] + of_g * g[i]) / q[i]);
}
BADM_I_LOOP(badm_i_quotient_loop, (n, lr, of_m, of_g, m, g, q, d), size_t n, float lr, float of_m, float of_g, const float *m,
            const float *g, const float *q, float *d)

/* The gradient with L2 decay, and its squares. */
static void badm_i_with_l2(badm_trainer *tr, const badm_i_run *run, float l2, float *x, float *square)
{
    memcpy(x, run->g, run->n * sizeof(float));
    if (l2 > 0) badm_i_add_scaled(tr->level, run->n, l2, run->w, x);
    badm_i_squares(tr->level, run->n, x, square);
}

static void badm_i_rmsprop_delta(badm_trainer *tr, badm_i_run *run)
{
    float x[BADM_I_RUN], q[BADM_I_RUN];
    badm_i_with_l2(tr, run, badm_i_l2(tr, run), x, q);
    badm_i_moments(tr, run->n, 1.0f, q, tr->vector[0] + run->o, q);
    badm_i_quotient_loop(tr->level, run->n, badm_i_step_length(tr, run->param), 0, 1, x, x, q, run->d);
}

static void badm_i_adagrad_delta(badm_trainer *tr, badm_i_run *run)
{
    float *v = tr->vector[0] + run->o, x[BADM_I_RUN], q[BADM_I_RUN];
    badm_i_with_l2(tr, run, badm_i_l2(tr, run), x, q);
    badm_i_add(tr->level, run->n, q, v);
    badm_i_sqrt_each(tr->level, run->n, v, q);
    badm_i_shift_loop(tr->level, run->n, badm_i_eps(tr), q);
    badm_i_quotient_loop(tr->level, run->n, badm_i_step_length(tr, run->param), 0, 1, x, x, q, run->d);
}

/* x := settle(keep x + add y) */
BADM_I_INLINE void badm_i_average_loop_body(size_t n, float keep, float add, const float *y, float *x)
{
    size_t i;
    BADM_I_EACH(i, n) x[i] = badm_i_settle(keep * x[i] + add * y[i]);
}
BADM_I_LOOP(badm_i_average_loop, (n, keep, add, y, x), size_t n, float keep, float add, const float *y, float *x)

/* Adam's moments of g; the share of m and of g in the step distinguish Adam from NAdam. */
static void badm_i_adam_run(badm_trainer *tr, badm_i_run *run, float l2, float of_m, float of_g)
{
    float *m = tr->vector[0] + run->o, b1 = tr->d.beta1, x[BADM_I_RUN], q[BADM_I_RUN];
    badm_i_with_l2(tr, run, l2, x, q);
    badm_i_average_loop(tr->level, run->n, b1, 1.0f - b1, x, m);
    badm_i_moments(tr, run->n, tr->correction2, q, tr->vector[1] + run->o, q);
    badm_i_quotient_loop(tr->level, run->n, badm_i_step_length(tr, run->param), of_m, of_g, m, x, q, run->d);
}

/* NAdam's momentum at step t (from 1): beta1 (1 - 0.96^(t decay)/2). */
static float badm_i_nadam_mu(const badm_trainer *tr, uint64_t t)
{
    return tr->d.beta1 * (1.0f - 0.5f * badm_expf((float)t * tr->d.momentum_decay * -0.0408219945f));
}

static void badm_i_nadam_begin(badm_trainer *tr)
{
    badm_i_corrections(tr);
    tr->mu = badm_i_nadam_mu(tr, tr->step + 1);
    tr->mu_next = badm_i_nadam_mu(tr, tr->step + 2);
}

static float badm_i_nadam_of_g(const badm_trainer *tr) { return (1.0f - tr->mu) / (1.0f - tr->mu_product * tr->mu); }
static float badm_i_nadam_of_m(const badm_trainer *tr) { return tr->mu_next / (1.0f - tr->mu_product * tr->mu * tr->mu_next); }

static void badm_i_adam_delta(badm_trainer *tr, badm_i_run *run)
{
    badm_i_adam_run(tr, run, badm_i_l2(tr, run), 1.0f / tr->correction1, 0);
}
static void badm_i_adamw_delta(badm_trainer *tr, badm_i_run *run) { badm_i_adam_run(tr, run, 0, 1.0f / tr->correction1, 0); }
static void badm_i_nadam_delta(badm_trainer *tr, badm_i_run *run)
{
    badm_i_adam_run(tr, run, badm_i_l2(tr, run), badm_i_nadam_of_m(tr), badm_i_nadam_of_g(tr));
}
static void badm_i_nadamw_delta(badm_trainer *tr, badm_i_run *run)
{
    badm_i_adam_run(tr, run, 0, badm_i_nadam_of_m(tr), badm_i_nadam_of_g(tr));
}

static void badm_i_muon_delta(badm_trainer *tr, badm_i_run *run)
{
    float *buf = tr->vector[0] + run->o, mu = tr->d.beta1;
    size_t i;
    if (run->metric != BADM_ORTHOGONAL) { badm_i_adamw_delta(tr, run); return; }
    badm_i_average_loop(tr->level, run->n, mu, 1.0f - mu, run->g, buf);
    for (i = 0; i < run->n; i++) run->d[i] = -((1.0f - mu) * run->g[i] + mu * buf[i]);
}

#define BADM_I_METHOD(NAME, ID, VECTORS, DECOUPLED, BEGIN)                                      \
    BADM_API const badm_method *badm_method_##NAME(void)                                        \
    {                                                                                           \
        static const badm_method method = { #NAME, ID, VECTORS, DECOUPLED, badm_i_##NAME##_delta, BEGIN, badm_i_check_baseline }; \
        return &method;                                                                         \
    }

BADM_I_METHOD(sgd, 1, 0, 0, NULL)
BADM_I_METHOD(momentum, 2, 1, 0, NULL)
BADM_I_METHOD(nesterov, 3, 1, 0, NULL)
BADM_I_METHOD(rmsprop, 4, 1, 0, NULL)
BADM_I_METHOD(adagrad, 5, 1, 0, NULL)
BADM_I_METHOD(adam, 6, 2, 0, badm_i_corrections)
BADM_I_METHOD(adamw, 7, 2, 1, badm_i_corrections)
BADM_I_METHOD(nadam, 8, 2, 0, badm_i_nadam_begin)
BADM_I_METHOD(nadamw, 9, 2, 1, badm_i_nadam_begin)
BADM_I_METHOD(muon, BADM_I_MUON, 2, 1, badm_i_corrections)

/* ---- orthogonalisation: all singular values of u[rows,cols] to about 1 ---- */

static size_t badm_i_orthogonal_bytes(const badm_i_kernels *set, size_t rows, size_t cols)
{
    size_t r = rows < cols ? rows : cols, c = rows < cols ? cols : rows;
    return (2 * badm_i_round_up(rows * cols, BADM_I_PAD) + 4 * badm_i_round_up(r * r, BADM_I_PAD)) * sizeof(float)
        + badm_i_round_up(badm_i_gemm_scratch(set, BADM_I_TURNED / c + 1, c, c, 1, 1), BADM_I_ALIGN);
}

/* What orthogonalising needs at hand. */
typedef struct badm_i_products { const badm_i_kernels *set; int level; float *scratch; size_t scratch_bytes; } badm_i_products;

/* c[m,n] = a[m,k] b[k,n] */
static void badm_i_product_into(const badm_i_products *o, size_t m, size_t n, size_t k, const float *a, const float *b, size_t b_term,
                                size_t b_col, float *c)
{
    badm_i_gemm(o->set, o->level, o->scratch, o->scratch_bytes, m, n, k, a, k, 1, b, b_term, b_col, NULL, 0, c, n);
}

/* c[n,n] = a b: polynomials of one symmetric matrix, so they commute and the product is symmetric too. */
static void badm_i_square_product(const badm_i_products *o, size_t n, const float *a, const float *b, float *c)
{
    badm_i_gemm_symmetric(o->set, o->level, o->scratch, n, n, a, n, 1, b, n, 1, c);
}

/* p = a I + b x + c x^2. */
static void badm_i_quintic(const badm_i_products *o, size_t n, const float *x, const float coefficient[3], float *p)
{
    size_t i;
    badm_i_square_product(o, n, x, x, p);
    for (i = 0; i < n * n; i++) p[i] = coefficient[1] * x[i] + coefficient[2] * p[i];
    for (i = 0; i < n; i++) p[i * n + i] += coefficient[0];
}

/* u is replaced. `space` holds badm_i_orthogonal_bytes less one rows*cols.
   gram3: on A = u u^T/(1.01 |u u^T|_F), three times P = aI + bA + cA^2, Y := P Y, A := P A P; the result is Y u/sqrt(1.01 |u
   u^T|_F). five: Newton-Schulz (Jordan et al. 2024) x := a x + (b A + c A^2) x with A = x x^T. */
static void badm_i_orthogonalise(const badm_i_kernels *set, int level, badm_newton_schulz how, size_t rows, size_t cols, float *u,
                                 float *space)
{
    static const float gram3[3][3] = { { 8.0934f, -23.6204f, 17.4462f }, { 3.6366f, -2.7219f, 0.5365f }, { 2.6613f, -1.9772f, 0.4526f } };
    static const float five[3] = { 3.4445f, -4.7750f, 2.0315f };
    size_t turned = rows > cols, r = turned ? cols : rows, c = turned ? rows : cols, n = rows * cols, i;
    size_t row = turned ? 1 : cols, col = turned ? cols : 1, square = badm_i_round_up(r * r, BADM_I_PAD);
    float *out = space, *a = out + badm_i_round_up(n, BADM_I_PAD), *p = a + square, *y = p + square, *w = y + square;
    float scale, largest = 0, *swap;
    badm_i_products o;
    int step;
    o.set = set;
    o.level = level;
    o.scratch = w + square;
    o.scratch_bytes = badm_i_gemm_scratch(set, BADM_I_TURNED / c + 1, c, c, 1, 1);
    if (how == BADM_NS_FIVE) {
        scale = badm_sqrtf(badm_i_dot(level, u, u, n));
        if (!(scale > 0)) return;                   /* u is zero */
        for (i = 0; i < n; i++) u[i] /= scale;
        for (step = 0; step < 5; step++) {
            badm_i_gemm_symmetric(set, level, o.scratch, r, c, u, row, col, u, col, row, a);
            badm_i_quintic(&o, r, a, five, p);
            if (turned) badm_i_product_into(&o, c, r, r, u, p, r, 1, out);          /* (P x)^T = x^T P, P symmetric */
            else badm_i_product_into(&o, r, c, r, p, u, c, 1, out);
            memcpy(u, out, n * sizeof(float));
        }
        return;
    }
    for (i = 0; i < n; i++) if (badm_i_abs(u[i]) > largest) largest = badm_i_abs(u[i]);
    if (!(largest > 0)) return;
    for (i = 0; i < n; i++) u[i] /= largest;            /* the sum of fourth powers below must neither vanish nor overflow */
    badm_i_gemm_symmetric(set, level, o.scratch, r, c, u, row, col, u, col, row, a);
    scale = 1.01f * badm_sqrtf(badm_i_dot(level, a, a, r * r));
    for (i = 0; i < r * r; i++) a[i] /= scale;
    for (step = 0; step < 3; step++) {
        badm_i_quintic(&o, r, a, gram3[step], p);
        if (step == 0) memcpy(y, p, r * r * sizeof(float));
        else {
            /* all of P Y: were one half mirrored, the rounding of Y's largest directions, where u nearly vanishes, would reach the
               others */
            badm_i_product_into(&o, r, r, r, p, y, r, 1, w);
            swap = y; y = w; w = swap;
        }
        if (step == 2) break;
        badm_i_square_product(&o, r, p, a, w);
        badm_i_square_product(&o, r, w, p, a);
    }
    if (turned) badm_i_product_into(&o, c, r, r, u, y, 1, r, out);
    else badm_i_product_into(&o, r, c, r, y, u, c, 1, out);
    scale = 1.0f / badm_sqrtf(scale);
    for (i = 0; i < n; i++) u[i] = out[i] * scale;
}

/* ---- applying a step ---- */

/* Whether the spread of the slots' gradients matters: it is 0 where there is one. */
static int badm_i_wants_spread(const badm_trainer *tr)
{
    return tr->full.monitors && tr->method->id == 0 && tr->full.form == BADM_COLLAPSED && !badm_i_is_alone(tr);
}

static int badm_i_is_orthogonal(const badm_trainer *tr, const badm_i_record *r)
{
    if (!BADM_I_FULL) return 0;
    if (tr->method->id == BADM_I_MUON) return badm_i_is_map(r);
    return tr->method->id == 0 && badm_i_metric(tr, r) == BADM_ORTHOGONAL;
}

/* w' = (keep w + d) shrink; d becomes w' - w, without the rounding of w'. */
BADM_I_INLINE void badm_i_apply_body(size_t n, float keep, float shrink, float *d, float *w)
{
    size_t i;
    if (keep == 1.0f && shrink == 1.0f) BADM_I_EACH(i, n) w[i] += d[i];
    else BADM_I_EACH(i, n) {
        float before = w[i];
        w[i] = (before * keep + d[i]) * shrink;
        d[i] = (keep * shrink - 1.0f) * before + d[i] * shrink;
    }
}
BADM_I_LOOP(badm_i_apply, (n, keep, shrink, d, w), size_t n, float keep, float shrink, float *d, float *w)

/* The same with what monitors sum: the squares of w, as it was, and of d, as it becomes. */
BADM_I_INLINE void badm_i_apply_lanes(size_t lanes, int plain, float keep, float shrink, float *d, float *w, float *weights,
                                      float *step)
{
    size_t i;
    if (plain) BADM_I_EACH(i, lanes) {
        float before = w[i], by = d[i];
        w[i] = before + by;
        weights[i] += before * before;
        step[i] += by * by;
    }
    else BADM_I_EACH(i, lanes) {
        float before = w[i], by = (keep * shrink - 1.0f) * before + d[i] * shrink;
        w[i] = (before * keep + d[i]) * shrink;
        d[i] = by;
        weights[i] += before * before;
        step[i] += by * by;
    }
}

BADM_I_INLINE void badm_i_apply_watched_body(size_t n, float keep, float shrink, float *d, float *w, float *weights, float *step)
{
    float a[BADM_I_LANES], b[BADM_I_LANES];
    int plain = keep == 1.0f && shrink == 1.0f;
    size_t i, j;
    for (j = 0; j < BADM_I_LANES; j++) a[j] = weights[j];
    for (j = 0; j < BADM_I_LANES; j++) b[j] = step[j];
    for (i = 0; i + BADM_I_LANES <= n; i += BADM_I_LANES) {
        badm_i_apply_lanes(8, plain, keep, shrink, d + i, w + i, a, b);
        badm_i_apply_lanes(8, plain, keep, shrink, d + i + 8, w + i + 8, a + 8, b + 8);
    }
    for (j = 0; j < BADM_I_LANES; j++) weights[j] = a[j];
    for (j = 0; j < BADM_I_LANES; j++) step[j] = b[j];
    if (i < n) badm_i_apply_lanes(n - i, plain, keep, shrink, d + i, w + i, weights, step);
}
BADM_I_LOOP(badm_i_apply_watched, (n, keep, shrink, d, w, weights, step), size_t n, float keep, float shrink, float *d, float *w,
            float *weights, float *step)

/* keep and shrink of a range's weights: decoupled decay and ridge. */
static void badm_i_decay_of(const badm_trainer *tr, const badm_i_record *p, float *keep, float *shrink)
{
    float sigma = tr->rates.sigma / badm_i_scale(tr, p);
    *keep = tr->method->decoupled ? 1.0f - tr->rates.weight_decay * p->decay * badm_i_step_length(tr, p) : 1.0f;
    *shrink = BADM_I_FULL && tr->method->id == 0 && tr->full.ridge > 0 ? sigma / (sigma + tr->full.ridge) : 1.0f;
}

/* Brings what the next run will read and write near: on several workers much of it is in other processors' caches. */
static void badm_i_fetch_run(const badm_trainer *tr, size_t o, const float *w)
{
    size_t i, v;
    uint32_t s;
    for (i = 0; i < BADM_I_RUN; i += BADM_I_PAD) {
        for (s = 0; tr->full.gradient[0] && s < tr->active; s++) BADM_I_FETCH(tr->full.gradient[s] + o + i);
        for (v = 0; v < tr->vector_count && v < 2; v++) BADM_I_CLAIM(tr->vector[v] + o + i);
        BADM_I_CLAIM(w + i);
    }
}

/* The runs of `size` elements from a range on through the method. direction: where an orthogonal tensor's is gathered instead of being applied. */
static void badm_i_update_span(badm_trainer *tr, const badm_i_range *r, size_t size, float *direction, float (*lanes)[BADM_I_LANES])
{
    const badm_i_record *p = r->param;
    int per_slot = BADM_I_FULL && tr->full.form == BADM_PER_SLOT;
    float *w = tr->model->slab + p->offset + r->start, keep, shrink;
    float d[BADM_I_RUN], g[BADM_I_RUN], q[BADM_I_FULL ? BADM_I_RUN : 1], square[BADM_I_FULL ? BADM_I_RUN : 1], clip = tr->full.clip_factor;
    size_t i, e;
    badm_i_run run;
    badm_i_decay_of(tr, p, &keep, &shrink);
    run.param = p;
    run.metric = direction ? BADM_ORTHOGONAL : badm_i_metric(tr, p);
    run.lanes = per_slot ? NULL : lanes;
    run.square = square;
    run.q = q;
    for (i = 0; i < size; i += run.n) {
        run.n = size - i < BADM_I_RUN ? size - i : BADM_I_RUN;
        run.o = p->gradient + r->start + i;
        run.w = w + i;
        run.d = direction ? direction + i : d;
        if (BADM_I_FULL && i + 2 * BADM_I_RUN <= size) badm_i_fetch_run(tr, run.o + BADM_I_RUN, run.w + BADM_I_RUN);
        if (per_slot) {
            run.lanes = lanes;
            badm_i_per_slot_delta(tr, &run);
        } else {
            run.g = badm_i_mean_at(tr, run.o, run.n, 0, g);
            if (BADM_I_FULL && clip != 1.0f) {
                badm_i_set_scaled(tr->level, run.n, clip, run.g, g);
                run.g = g;
            }
            if (BADM_I_FULL && lanes && !tr->mean_ready && !badm_i_is_alone(tr)) badm_i_add_to_lanes(tr->level, run.n, run.g, run.g, lanes[BADM_I_GRADIENT]);
            if (BADM_I_FULL && run.metric == BADM_DIAGONAL && tr->method->id == 0) {
                if (lanes && badm_i_wants_spread(tr)) {
                    badm_i_in_metric(tr, r, i, run.n, run.g, q);
                    badm_i_add_to_lanes(tr->level, run.n, run.g, q, lanes[BADM_I_GRADIENT_METRIC]);
                }
                if (tr->full.mean_square) {
                    const float *mean = badm_i_mean_at(tr, run.o, run.n, 1, square);
                    for (e = 0; e < run.n; e++) square[e] = mean[e] * (clip * clip);
                } else badm_i_squares(tr->level, run.n, run.g, square);
            }
            tr->method->delta(tr, &run);
        }
        if (direction) continue;
        if (!BADM_I_FULL || !lanes) { badm_i_apply(tr->level, run.n, keep, shrink, d, w + i); continue; }
        badm_i_apply_watched(tr->level, run.n, keep, shrink, d, w + i, lanes[BADM_I_WEIGHTS], lanes[BADM_I_STEP]);
        if (run.metric != BADM_DIAGONAL || tr->method->id) continue;
        badm_i_ratio(tr->level, run.n, q, d, 1.0f, q);
        badm_i_add_to_lanes(tr->level, run.n, d, q, lanes[BADM_I_STEP_METRIC]);
    }
}

/* The direction, gathered in the worker's arena, orthogonalised and applied. */
static void badm_i_update_orthogonal(badm_trainer *tr, uint32_t worker, const badm_i_range *r, float (*lanes)[BADM_I_LANES])
{
    const badm_i_record *p = r->param;
    float *w = tr->model->slab + p->offset, *direction = (float *)(void *)tr->worker[worker].tape.arena, keep, shrink;
    float scale = badm_i_step_length(tr, p);
    size_t i;
    if (p->shape.dim[0] > p->shape.dim[1]) scale *= badm_sqrtf((float)p->shape.dim[0] / (float)p->shape.dim[1]);
    badm_i_update_span(tr, r, badm_i_range_size(r), direction, lanes);
    badm_i_orthogonalise(tr->worker[worker].tape.full.kernels, tr->level, tr->full.newton_schulz, p->shape.dim[0], p->shape.dim[1], direction,
                         direction + badm_i_round_up(r->n, BADM_I_PAD));
    badm_i_decay_of(tr, p, &keep, &shrink);
    for (i = 0; i < r->n; i++) direction[i] *= scale;
    if (lanes) lanes[BADM_I_WEIGHTS][0] = badm_i_dot(tr->level, w, w, r->n);
    badm_i_apply(tr->level, r->n, keep, shrink, direction, w);
    if (lanes) lanes[BADM_I_STEP][0] = badm_i_dot(tr->level, direction, direction, r->n);
}

static void badm_i_update_group(badm_trainer *tr, uint32_t worker, const badm_i_group *group, float (*lanes)[BADM_I_LANES])
{
    const badm_i_range *r = tr->full.range + group->first, *end = r + group->count;
    if (badm_i_is_orthogonal(tr, r->param)) badm_i_update_orthogonal(tr, worker, r, lanes);
    else for (; r < end; r += r->ranges) badm_i_update_span(tr, r, r->span, NULL, lanes);
}

/* BADM_SMALL keeps no ranges: each parameter is one, on the caller's thread. */
BADM_I_APART static void badm_i_update_all(badm_trainer *tr)
{
    badm_i_range r;
    size_t i;
    r.start = 0;
    for (i = 0; i < tr->model->count; i++) {
        r.param = badm_i_record_at(tr->model, i);
        if (r.param->gradient != BADM_I_NONE) badm_i_update_span(tr, &r, badm_i_shape_size(&r.param->shape), NULL, NULL);
    }
}

static void badm_i_job_update(void *of, uint32_t worker, uint32_t job)
{
    badm_trainer *tr = (badm_trainer *)of;
    const badm_i_group *group = &tr->full.group[job];
    float *sum = tr->full.partial[job].sum, f = badm_i_scale(tr, tr->full.range[group->first].param);
    badm_i_lanes lanes;
    unsigned i, used = 1u << BADM_I_STEP | 1u << BADM_I_WEIGHTS;
    int diagonal = badm_i_metric(tr, tr->full.range[group->first].param) == BADM_DIAGONAL && tr->method->id == 0;
    if (!tr->full.monitors) { badm_i_update_group(tr, worker, group, NULL); return; }
    /* the mean's norm, and what the slots' moves added, are there already */
    if (!tr->mean_ready && !badm_i_is_alone(tr)) used |= 1u << BADM_I_GRADIENT;
    if (diagonal) used |= 1u << BADM_I_GRADIENT_METRIC | 1u << BADM_I_STEP_METRIC;
    if (tr->method->id == 0 && tr->full.form == BADM_COLLAPSED)
        used |= 1u << BADM_I_PRIMAL | 1u << BADM_I_AGAINST | 1u << BADM_I_MOMENTUM;
    for (i = 0; i < BADM_I_SUMS; i++) if (used >> i & 1u) memset(lanes[i], 0, sizeof lanes[i]);
    badm_i_update_group(tr, worker, group, lanes);
    for (i = 0; i < BADM_I_SUMS; i++) if (used >> i & 1u) sum[i] = badm_i_fold_lanes(lanes[i]);
    if (!diagonal) {
        sum[BADM_I_GRADIENT_METRIC] = sum[BADM_I_GRADIENT] * tr->full.clip_factor * tr->full.clip_factor;
        sum[BADM_I_STEP_METRIC] = sum[BADM_I_STEP];
    }
    sum[BADM_I_GRADIENT_METRIC] *= f * f;
    sum[BADM_I_STEP_METRIC] /= f * f;
    if (used >> BADM_I_PRIMAL & 1u) sum[BADM_I_PRIMAL] *= f * f;
}

/* =====================================================================================================================
   >>monitors   Norms and residuals of a step, balancing, and what diagnosis makes of them. Parameters depend on this section only
   through the norm that clips and, when asked for, the balancing of rho.
   ===================================================================================================================== */

/* f^2 |g_s|^2 in the inverse metric of the step before; a diagonal metric that has seen nothing counts as 0. */
static float badm_i_slot_square(const badm_trainer *tr, const float *g)
{
    badm_i_sum sum = { 0, 0 };
    uint32_t i, j;
    size_t at, n;
    for (i = 0; i < tr->full.group_count; i++) {
        const badm_i_group *group = &tr->full.group[i];
        const badm_i_record *p = tr->full.range[group->first].param;
        int diagonal = badm_i_metric(tr, p) == BADM_DIAGONAL;
        float lane[BADM_I_LANES] = { 0 }, space[BADM_I_RUN];
        for (j = group->first; j < group->first + group->count; j++) {
            const badm_i_range *r = &tr->full.range[j];
            const float *from = g + r->param->gradient + r->start;
            size_t size = badm_i_range_size(r);
            for (at = 0; at < size; at += n) {
                n = size - at < BADM_I_RUN ? size - at : BADM_I_RUN;
                if (diagonal) badm_i_in_metric(tr, r, at, n, from + at, space);
                badm_i_add_to_lanes(tr->level, n, from + at, diagonal ? space : from + at, lane);
            }
        }
        badm_i_sum_add(&sum, badm_i_scale(tr, p) * badm_i_scale(tr, p) * badm_i_fold_lanes(lane));
    }
    return badm_i_sum_value(&sum);
}

BADM_I_APART static float badm_i_total_of_groups(const badm_trainer *tr, int which)
{
    badm_i_sum sum = { 0, 0 };
    uint32_t i;
    for (i = 0; i < tr->full.group_count; i++) badm_i_sum_add(&sum, tr->full.partial[i].sum[which]);
    return badm_i_sum_value(&sum);
}

/* Adds one of the groups' sums up, in their order. */
BADM_I_INLINE float badm_i_total(const badm_trainer *tr, int which)
{
    return tr->full.group_count == 1 ? tr->full.partial[0].sum[which] : badm_i_total_of_groups(tr, which);
}

/* Primal and dual residual of the step just taken.
   Per slot both are exact. Collapsed: with V = sum alpha_s |g_s-G|^2 the spread of the gradients and D that of the multipliers,
   r^2 = |m'-m|^2/sigma^2 + (V+D)/(rho+sigma)^2 and D' = beta^2 D + (1-beta)^2 V, all in the inverse metric (V and D uncorrelated).
   */
static void badm_i_residuals(badm_trainer *tr, badm_report *out)
{
    float sigma = tr->rates.sigma, sum = tr->rates.rho + sigma, primal = badm_i_total(tr, BADM_I_PRIMAL);
    if (tr->full.form == BADM_PER_SLOT && tr->full.allreduce) primal = tr->full.total[tr->n];
    if (tr->full.form == BADM_COLLAPSED) {
        float v = 0;
        if (badm_i_wants_spread(tr)) v = tr->full.spread * tr->full.clip_factor * tr->full.clip_factor - badm_i_total(tr, BADM_I_GRADIENT_METRIC);
        if (!(v > 0)) v = 0;
        primal = primal / (sigma * sigma) + (v + tr->full.dispersion) / (sum * sum);
        tr->full.dispersion = tr->beta * tr->beta * tr->full.dispersion + (1.0f - tr->beta) * (1.0f - tr->beta) * v;
    }
    out->primal_residual = badm_sqrtf(primal);
    out->dual_residual = sigma * badm_sqrtf(badm_i_total(tr, BADM_I_STEP_METRIC));
}

/* Residual balancing (Boyd et al. 2011, 3.4.1), at fixed sigma because 1/sigma is the step: a large primal residual asks for a
   larger proximal weight, a large dual one for a smaller; by 2 % a step, within a factor of ten. */
static void badm_i_balance(badm_trainer *tr, const badm_report *r)
{
    float primal = tr->rates.sigma * r->primal_residual;
    if (!(tr->full.balance > 0)) return;
    if (primal > tr->full.balance * r->dual_residual) tr->rho_factor *= 1.02f;
    else if (r->dual_residual > tr->full.balance * primal) tr->rho_factor /= 1.02f;
    if (tr->rho_factor > 10.0f) tr->rho_factor = 10.0f;
    if (tr->rho_factor < 0.1f) tr->rho_factor = 0.1f;
}

static void badm_i_average(float *average, float value, uint64_t step)
{
    float share = step < 20 ? 1.0f / (float)(step + 1) : 0.05f;
    *average += share * (value - *average);
}

#define BADM_I_WINDOW 20

static void badm_i_remember(badm_trainer *tr, const badm_report *r)
{
    badm_i_memory_of_steps *s = tr->full.seen;
    float weights = badm_sqrtf(badm_i_total(tr, BADM_I_WEIGHTS)), momentum = badm_sqrtf(badm_i_total(tr, BADM_I_MOMENTUM));
    uint32_t i;
    if (tr->step == 0) {
        s->first_gradient = r->grad_norm;
        s->first_loss = badm_i_abs(r->loss);
    }
    for (i = 0; i < tr->workers; i++)
        if (tr->worker[i].tape.full.input_max > s->input_max) s->input_max = tr->worker[i].tape.full.input_max;
    badm_i_average(&s->motion, weights > 0 ? r->step_norm / weights : r->step_norm, tr->step);
    if (tr->step > 0)
        badm_i_average(&s->against, momentum > 0 && r->grad_norm > 0
            ? badm_i_total(tr, BADM_I_AGAINST) / (momentum * r->grad_norm * r->clip_factor) : 0.0f, tr->step - 1);
    s->zeros = r->grad_norm == 0 ? s->zeros + 1 : 0;
    /* the loss has stayed in low..high for `window` steps; leaving by more than one part in a million begins anew */
    if (s->window == 0) s->low = s->high = r->loss;
    if (r->loss < s->low) s->low = r->loss;
    if (r->loss > s->high) s->high = r->loss;
    s->window++;
    if (s->high - s->low > 1e-6f * badm_i_abs(s->high)) s->window = 0;
}

/* Finds what it sees and, with text, says so. */
static unsigned badm_i_diagnose(const badm_trainer *tr, badm_i_text *o)
{
    const badm_i_memory_of_steps *s = tr->full.seen;
    unsigned set = 0;
    uint64_t steps = tr->step;
    float now = 0;
    int settled;
    if (!BADM_I_FULL) return 0;
    if (tr->full.monitors && steps > 0) now = badm_sqrtf(badm_i_total(tr, BADM_I_GRADIENT));
    settled = steps > 0 && (now < 1e-2f * s->first_gradient || badm_i_abs(s->high) < 1e-3f * s->first_loss);
    if (tr->method->id == 0 && steps >= BADM_I_WINDOW && s->against < -0.3f && !settled) {
        set |= BADM_SEES_OSCILLATION;
        badm_i_put(o, BADM_I_TEXT("oscillation: successive gradients point against each other; the step is too long: double sigma and "
                                  "rho\n"));
    }
    if (steps >= BADM_I_WINDOW && s->motion < 1e-5f && now > 0.1f * s->first_gradient && s->first_gradient > 0) {
        set |= BADM_SEES_CRAWL;
        badm_i_put(o, BADM_I_TEXT("crawl: the parameters hardly move though the gradient is as large as at first; the step is too short: "
                                  "divide sigma and rho by ten (lr: times ten)\n"));
    }
    if (tr->memory_wanted) {
        set |= BADM_SEES_MEMORY;
        badm_i_put(o, BADM_I_TEXT("not enough memory: a step needs at least "));
        badm_i_put_number(o, tr->memory_wanted);
        badm_i_put(o, BADM_I_TEXT(" bytes of tape a worker and has "));
        badm_i_put_number(o, tr->worker[0].tape.capacity);
        badm_i_put(o, BADM_I_TEXT(": set tape_bytes, or a smaller micro_batch\n"));
    }
    if (tr->full.workers > tr->slots && !tr->full.helpers) {
        set |= BADM_SEES_IDLE_WORKERS;
        badm_i_put_number(o, tr->slots);
        badm_i_put(o, BADM_I_TEXT(" sub-batches limit you to "));
        badm_i_put_number(o, tr->slots);
        badm_i_put(o, BADM_I_TEXT(" of "));
        badm_i_put_number(o, tr->full.workers);
        badm_i_put(o, BADM_I_TEXT(" workers: raise sub_batches\n"));
    }
    if (s->input_max > 30.0f) {
        set |= BADM_SEES_UNSCALED_INPUT;
        badm_i_put(o, BADM_I_TEXT("inputs are not scaled: one reaches "));
        badm_i_put_number(o, s->input_max < 1e18f ? (uint64_t)s->input_max : 1000000000000000000u);
        badm_i_put(o, BADM_I_TEXT("; bring inputs and targets to about -1..1\n"));
    }
    if (s->window >= BADM_I_WINDOW && !settled && !(set & BADM_SEES_CRAWL)) {
        set |= BADM_SEES_CONSTANT_LOSS;
        badm_i_put(o, BADM_I_TEXT("the loss is constant: does it depend on the samples and on trained parameters?\n"));
    }
    if (s->zeros >= 5 && !(badm_i_abs(s->high) <= 1e-6f * s->first_loss)) {
        set |= BADM_SEES_ZERO_GRADIENT;
        badm_i_put(o, BADM_I_TEXT("gradients are zero: dead ReLUs, a detached tensor, or a loss without trained parameters\n"));
    }
    return set;
}

BADM_API unsigned badm_diagnose(badm_trainer *tr, char *buf, size_t n)
{
    badm_i_text o = badm_i_text_into(buf, n);
    return badm_i_diagnose(tr, &o);
}

/* =====================================================================================================================
   >>trainer    Plan, step, epoch, evaluation.

   A step: slots (gradients, in parallel) -> fold in slot order -> norms, clip -> update, range by range -> report. Nothing of the
   state is touched before every slot has passed; then nothing can fail. With local steps the slots run a second time, before the
   commit. ===================================================================================================================== */

#define BADM_I_FILLED 0x4241444Du

BADM_API void badm_trainer_defaults(badm_trainer_desc *d)
{
    memset(d, 0, sizeof *d);
    d->filled = BADM_I_FILLED;
    d->max_batch = 1;
    d->sub_batches = 4;
    d->workers = badm_cpu_count();
    d->sigma = 1.0f;
    d->rho = 9.0f;
    d->local_steps = 1;
    d->beta1 = 0.9f;
    d->beta2 = 0.999f;
    d->eps = 1e-8f;
    d->lr = 1e-3f;
    d->momentum_decay = 4e-3f;
    d->monitors = 1;
}

BADM_API float badm_schedule_factor(const badm_schedule *s, uint64_t step)
{
    float f = 1.0f, x;
    uint64_t t;
    if (step < s->warmup) return (float)(step + 1) / (float)s->warmup;
    t = step - s->warmup;
    switch (s->kind) {
        case BADM_LINEAR_DECAY: case BADM_COSINE_DECAY:
            if (s->total > s->warmup) {
                uint32_t length = s->total - s->warmup;
                x = t >= length ? 1.0f : (float)t / (float)length;
                f = s->kind == BADM_LINEAR_DECAY ? 1.0f - x : 0.5f * (1.0f + badm_cosf(3.14159265f * x));
                f = s->last + (1.0f - s->last) * f;
            }
            break;
        case BADM_STEP_DECAY:
            if (s->every) f = badm_i_power(s->gamma, step / s->every);
            break;
        case BADM_CONSTANT_RATE: default: break;
    }
    return f > 1e-6f ? f : 1e-6f;
}

/* ---- checking a desc: what all methods want; the rest is in their records' `check` (>>methods) ---- */

static badm_result badm_i_check_rates(const badm_rates *r, int is_badm, badm_i_fault *e)
{
    if (is_badm && !(r->sigma > 0 && badm_i_is_finite(r->sigma)))
        return badm_i_refuse(e, BADM_I_TEXT("sigma: a number > 0 is expected"), 0, 0);
    if (is_badm && !badm_i_at_least(r->rho, 0)) return badm_i_refuse(e, BADM_I_TEXT("rho: a number >= 0 is expected"), 0, 0);
    if (!is_badm && !badm_i_at_least(r->lr, 0)) return badm_i_refuse(e, BADM_I_TEXT("lr: a number >= 0 is expected"), 0, 0);
    if (!badm_i_at_least(r->weight_decay, 0)) return badm_i_refuse(e, BADM_I_TEXT("weight_decay: a number >= 0 is expected"), 0, 0);
    return BADM_OK;
}

static badm_result badm_i_check_diversity(const badm_trainer_desc *d, badm_i_fault *e)
{
    if (d->diversity == BADM_DIVERSITY_OFF) return BADM_OK;
#ifdef BADM_NO_GROWTH
    return badm_i_error(e, BADM_ERR_BUILD, BADM_I_TEXT("badm_trainer_new"), BADM_I_TEXT("BADM_NO_GROWTH leaves diversity out"), NULL, 0, 0);
#else
    if ((unsigned)d->diversity > BADM_DIVERSITY_OF_SLOTS) return badm_i_refuse(e, BADM_I_TEXT("diversity: there is no such"), 0, 0);
    if (d->diversity == BADM_DIVERSITY_OF_SLOTS && d->sub_batches < 2)
        return badm_i_refuse(e, BADM_I_TEXT("diversity of slots needs at least 2 sub_batches"), 0, 0);
    if (d->local_steps > 1 || d->allreduce)
        return badm_i_refuse(e, BADM_I_TEXT("diversity is measured without local steps, on one machine"), 0, 0);
    return BADM_OK;
#endif
}

static badm_result badm_i_check_presence(const badm_trainer_desc *d, badm_i_fault *e)
{
    if (!d->model->present) return BADM_OK;
    if (d->allreduce || d->local_steps > 1 || d->form == BADM_PER_SLOT || d->second_moment_of_slots || d->balance > 0)
        return badm_i_refuse(e, BADM_I_TEXT("a table by presence: no allreduce, local steps, per-slot form, second moments of slots or "
                                            "balance are expected"), 0, 0);
    return BADM_OK;
}

/* What BADM_SMALL leaves out of trainers. */
static badm_result badm_i_check_small(const badm_trainer_desc *d, badm_i_fault *e)
{
    if (BADM_I_FULL || (d->form == BADM_COLLAPSED && d->metric == BADM_PLAIN && d->local_steps == 1 && d->diversity == BADM_DIVERSITY_OFF
                        && d->schedule.kind == BADM_CONSTANT_RATE && !d->schedule.warmup && !(d->clip > 0) && !(d->ridge > 0)
                        && !(d->balance > 0) && !d->second_moment_of_slots && !d->allreduce && !d->log && !d->model->buffers
                        && !d->model->present && d->memory && d->memory->block)) return BADM_OK;
    return badm_i_error(e, BADM_ERR_BUILD, BADM_I_TEXT("badm_trainer_new"),
                        BADM_I_TEXT("BADM_SMALL leaves out what is not collapsed, plain and without schedule, clipping or buffers, in one block"),
                        NULL, 0, 0);
}

static badm_result badm_i_check_desc(const badm_trainer_desc *d, badm_i_fault *e)
{
    const badm_method *method = d->method ? d->method : badm_i_method_badm();
    badm_rates rates;
    size_t indices;
    if (d->model->error.code) { *e = d->model->error; return e->code = BADM_ERR_STATE; }
    if (!d->loss) return badm_i_refuse(e, BADM_I_TEXT("there is no loss callback"), 0, 0);
    if (d->model->trainable == 0)
        return badm_i_error(e, BADM_ERR_STATE, BADM_I_TEXT("badm_trainer_new"), BADM_I_TEXT("the model has no parameter to train"),
                            NULL, 0, 0);
    if (d->max_batch == 0) return badm_i_refuse(e, BADM_I_TEXT("max_batch is 0"), 0, 0);
    if (d->sub_batches == 0 || d->sub_batches > d->max_batch)
        return badm_i_refuse(e, BADM_I_TEXT("sub_batches is %0: 1 to max_batch (%1) is expected"), d->sub_batches, d->max_batch);
    if (d->sub_batches > 65535u)
        return badm_i_refuse(e, BADM_I_TEXT("sub_batches is %0: at most 65535 is expected"), d->sub_batches, 0);
    if (d->workers == 0 || d->workers > 4096u)
        return badm_i_refuse(e, BADM_I_TEXT("workers is %0: 1 to 4096 is expected"), d->workers, 0);
    if (BADM_I_FULL && (d->local_steps == 0 || d->local_steps > 65535u))
        return badm_i_refuse(e, BADM_I_TEXT("local_steps is %0: 1 to 65535 is expected"), d->local_steps, 0);
    indices = badm_i_times(badm_i_times(d->max_batch, d->local_steps), sizeof(uint32_t));
    if (indices == BADM_I_NONE || badm_i_over_32_bits(indices))
        return badm_i_refuse(e, BADM_I_TEXT("max_batch (%0) times local_steps (%1) is too large"), d->max_batch, d->local_steps);
    if (badm_i_check_small(d, e)) return e->code;
    if (BADM_I_FULL && (badm_i_check_diversity(d, e) || badm_i_check_presence(d, e))) return e->code;
    rates.lr = d->lr;
    rates.sigma = d->sigma;
    rates.rho = d->rho;
    rates.weight_decay = d->weight_decay;
    if (badm_i_check_rates(&rates, method->id == 0, e)) return e->code;
    return method->check ? method->check(d, e) : BADM_OK;
}

/* ---- the plan: what a trainer needs, found before anything is taken ---- */

#define BADM_I_WORTH_HELP 200000u   /* multiply-adds of a slot's forward below which no loop is worth sharing */

/* Whether some tensor has the running second moment v. */
static int badm_i_has_moment(const badm_trainer *tr)
{
    size_t i;
    for (i = 0; i < tr->model->count; i++) {
        const badm_i_record *r = badm_i_record_at(tr->model, i);
        if (r->gradient != BADM_I_NONE && badm_i_metric(tr, r) == BADM_DIAGONAL) return 1;
    }
    return 0;
}

static size_t badm_i_count_ranges(const badm_trainer *tr, badm_i_range *out)
{
    size_t i, n = 0, at, size;
    for (i = 0; i < tr->model->count; i++) {
        badm_i_record *r = badm_i_record_at(tr->model, i);
        if (r->gradient == BADM_I_NONE) continue;
        size = badm_i_shape_size(&r->shape);
        for (at = 0; at < size; n++) {
            size_t part = size - at < BADM_I_RANGE || badm_i_is_orthogonal(tr, r) ? size - at : BADM_I_RANGE;
            if (out) { out[n].param = r; out[n].start = at; out[n].n = part; }
            at += part;
        }
    }
    return n;
}

/* Joins small neighbours with equal settings. Depends on shapes and settings alone: sums begin anew with each group. */
static void badm_i_make_groups(badm_trainer *tr)
{
    badm_i_group *group = tr->full.group;
    badm_i_range *first = tr->full.range;                /* of the span */
    size_t i, size = 0;
    tr->full.settings = tr->model->settings;
    for (i = 0; i < tr->full.range_count; i++) {
        badm_i_range *r = &tr->full.range[i], *before = i > 0 ? r - 1 : r;
        const badm_i_record *p = r->param, *last = before->param;
        int joins = i > 0 && size + tr->full.range[i].n <= BADM_I_RANGE && badm_i_scale(tr, p) == badm_i_scale(tr, last)
            && badm_i_metric(tr, p) == badm_i_metric(tr, last) && !badm_i_is_orthogonal(tr, p) && !badm_i_is_orthogonal(tr, last);
        /* where places fill whole lanes, to handle several as one changes no bit */
        if (!(joins && BADM_I_PAD % BADM_I_LANES == 0 && p->decay == last->decay
            && p->offset + r->start == last->offset + before->start + badm_i_range_size(before)
            && p->gradient + r->start == last->gradient + before->start + badm_i_range_size(before))) {
            first = r;
            first->span = first->ranges = 0;
        }
        first->span += badm_i_range_size(r);
        first->ranges++;
        if (badm_i_is_orthogonal(tr, p)) tr->full.directions = 1;
        if (joins) group->count++;
        else {
            if (i > 0) group++;
            group->first = (uint32_t)i;
            group->count = 1;
            size = 0;
        }
        size += tr->full.range[i].n;
    }
    tr->full.group_count = (uint32_t)(group - tr->full.group) + 1;
}

static void badm_i_take_desc(badm_trainer *tr, const badm_trainer_desc *d)
{
    badm_i_desc *to = &tr->d;
    to->loss = d->loss;
    to->user = d->user;
    to->seed = d->seed;
    to->max_batch = d->max_batch;
    to->micro_batch = d->micro_batch;
    to->rates = d->rates;
    to->rates_user = d->rates_user;
    to->weight_decay = d->weight_decay;
    to->sigma = d->sigma;
    to->rho = d->rho;
    to->beta2 = d->beta2;
    to->eps = d->eps;
    to->lr = d->lr;
    to->beta1 = d->beta1;
    to->momentum_decay = d->momentum_decay;
    to->cancel = d->cancel;
    to->on_sub_batch = d->on_sub_batch;
    to->on_sub_batch_user = d->on_sub_batch_user;
    if (!BADM_I_FULL) return;
    tr->full.form = d->form;
    tr->full.metric = d->metric;
    tr->full.local_steps = d->local_steps;
    tr->full.workers = d->workers;
    tr->full.schedule = &d->schedule;               /* until the trainer has memory of its own */
    tr->full.clip = d->clip;
    tr->full.ridge = d->ridge;
    tr->full.balance = d->balance;
    tr->full.second_moment_of_slots = d->second_moment_of_slots;
    tr->full.monitors = d->monitors;
    tr->full.newton_schulz = d->newton_schulz;
    tr->full.diversity = d->diversity;
    tr->full.allreduce = d->allreduce;
    tr->full.allreduce_user = d->allreduce_user;
    tr->full.log = d->log;
    tr->full.log_user = d->log_user;
}

/* Sets everything that follows from the desc; no memory yet. */
static void badm_i_derive(badm_trainer *tr, const badm_trainer_desc *d)
{
    uint32_t sub = (d->max_batch + d->sub_batches - 1) / d->sub_batches;
    size_t i;
    memset(tr, 0, sizeof *tr);
    badm_i_take_desc(tr, d);
    tr->model = d->model;
    tr->memory = d->memory;
    tr->method = d->method ? d->method : badm_i_method_badm();
    tr->layout = d->model->layout;
    tr->level = (uint8_t)badm_i_simd_level();
    tr->n = d->model->trainable;
    tr->slots = d->sub_batches;
#ifdef BADM_I_SERIAL
    tr->workers = 1;
#else
    tr->workers = d->workers < d->sub_batches ? d->workers : d->sub_batches;
#endif
    tr->piece = d->micro_batch && d->micro_batch < sub ? d->micro_batch : sub;
    tr->rho_factor = tr->mu_product = 1.0f;
    if (BADM_I_FULL) tr->full.range_count = badm_i_count_ranges(tr, NULL);
    for (i = 0; BADM_I_FULL && i < d->model->count; i++) tr->full.trained += badm_i_record_at(d->model, i)->gradient != BADM_I_NONE;
    tr->has_moments = tr->method->id ? tr->method->vectors > 1 : BADM_I_FULL && (badm_i_has_moment(tr) || d->metric == BADM_SISA);
    if (tr->method->id) tr->vector_count = tr->method->vectors;
    else if (!BADM_I_FULL) tr->vector_count = 1;
    else if (d->form == BADM_COLLAPSED) tr->vector_count = badm_i_has_moment(tr) ? 2 : 1;
    else tr->vector_count = (badm_i_has_moment(tr) ? 1u : 0u) + (size_t)tr->slots * (d->metric == BADM_SISA ? 2u : 1u);
}

/* Every slot has a gradient of its own when the form needs all of them at once, or when with the method's vectors they are no more
   than four and one for each worker and the sum. Otherwise slots share buffers and are added up as they finish. */
static int badm_i_slots_own_gradients(const badm_trainer *tr)
{
    size_t least = tr->slots < tr->workers + 1 ? tr->slots : tr->workers + 1;
    return BADM_I_FULL && (tr->full.form == BADM_PER_SLOT || tr->vector_count + tr->slots <= 4 + least);
}

/* A gradient-shaped vector of zeros: what fills parameters' places is never written again. */
static float *badm_i_carve_vector(badm_i_carver *c, const badm_trainer *tr)
{
    float *v = (float *)badm_i_carve(c, tr->n, sizeof(float));
    if (c->base) memset(v, 0, tr->n * sizeof(float));
    return v;
}

static void badm_i_carve_trainer(badm_trainer *tr, badm_i_carver *c)
{
    size_t i;
    int own = badm_i_slots_own_gradients(tr), local = BADM_I_FULL && tr->full.local_steps > 1;
    badm_i_worker *workers = (badm_i_worker *)badm_i_carve(c, tr->workers, sizeof *workers);
    float **vectors, **gradients = NULL;
    badm_i_pool_carve(&tr->pool, c, tr->workers + tr->full.helpers);
    tr->worker = workers;
    tr->slot = (badm_i_slot *)badm_i_carve(c, tr->slots, sizeof *tr->slot);
    tr->index = (uint32_t *)badm_i_carve(c, badm_i_times(tr->d.max_batch, badm_i_local_steps(tr)), sizeof *tr->index);
    tr->vector = vectors = (float **)badm_i_carve(c, tr->vector_count, sizeof *vectors);
    if (BADM_I_FULL) {
        badm_schedule *schedule = (badm_schedule *)badm_i_carve(c, 1, sizeof *schedule);
        tr->full.seen = (badm_i_memory_of_steps *)badm_i_carve(c, 1, sizeof *tr->full.seen);
        tr->full.range = (badm_i_range *)badm_i_carve(c, tr->full.range_count, sizeof *tr->full.range);
        tr->full.group = (badm_i_group *)badm_i_carve(c, tr->full.range_count, sizeof *tr->full.group);
        tr->full.partial = (badm_i_partial *)badm_i_carve(c, tr->full.range_count, sizeof *tr->full.partial);
        tr->full.gradient = gradients = (float **)badm_i_carve(c, tr->slots, sizeof *gradients);
        if (c->base) {
            memset(tr->full.seen, 0, sizeof *tr->full.seen);
            *schedule = *tr->full.schedule;
            tr->full.schedule = schedule;
        }
    }
    if (c->base) memset(workers, 0, tr->workers * sizeof *workers);
    for (i = 0; i < tr->vector_count; i++) {
        float *v = badm_i_carve_vector(c, tr);
        if (c->base) vectors[i] = v;
    }
    for (i = 0; BADM_I_FULL && i < tr->slots; i++) {
        float *g = own ? badm_i_carve_vector(c, tr) : NULL;
        if (c->base) gradients[i] = g;
    }
    if (BADM_I_FULL && tr->full.form == BADM_PER_SLOT && tr->full.allreduce) tr->full.total = (float *)badm_i_carve(c, badm_i_plus(tr->n, 1), sizeof(float));
    else if (BADM_I_FULL && c->base) tr->full.total = gradients[0];             /* no longer needed there when the aggregate is made */
    if (!BADM_I_FULL || tr->full.form == BADM_PER_SLOT || !own) tr->mean = badm_i_carve_vector(c, tr);
    else if (c->base) tr->mean = gradients[0];              /* folded in place */
    if (BADM_I_FULL && tr->full.second_moment_of_slots) tr->full.mean_square = badm_i_carve_vector(c, tr);
    if (BADM_I_FULL && tr->full.diversity != BADM_DIVERSITY_OFF) tr->full.drift = badm_i_carve_vector(c, tr);
    if (BADM_I_FULL && tr->model->buffers) tr->full.buffers = (float *)badm_i_carve(c, badm_i_times(tr->slots, tr->model->buffers), sizeof(float));
    for (i = 0; i < tr->workers; i++) {
        float *g = (BADM_I_FULL ? !own || local : tr->slots > 1) ? badm_i_carve_vector(c, tr) : NULL, *w = local ? badm_i_carve_vector(c, tr) : NULL;
        uint32_t *index = BADM_I_FULL ? (uint32_t *)badm_i_carve(c, tr->piece, sizeof *index) : tr->index;
        badm_tensor *kept = (badm_tensor *)badm_i_carve(c, BADM_I_FULL ? tr->model->count : 0, sizeof *kept);
        uint8_t *written = (uint8_t *)badm_i_carve(c, tr->model->count, 1);
        int exact = BADM_I_FULL && tr->full.diversity == BADM_DIVERSITY_EXACT;
        badm_i_norms *norms = exact ? (badm_i_norms *)badm_i_carve(c, 1, sizeof *norms) : NULL;
        float *space = exact ? badm_i_carve_vector(c, tr) : NULL;
        uint8_t *seen = exact ? (uint8_t *)badm_i_carve(c, tr->model->count, 1) : NULL;
        uint32_t *present = BADM_I_FULL && tr->model->present ? (uint32_t *)badm_i_carve(c, tr->model->present, sizeof *present) : NULL;
        if (!c->base) continue;
        workers[i].index = index;
        workers[i].written = written;
        workers[i].gradient = g;
        if (!BADM_I_FULL) continue;
        if (norms) {
            memset(norms, 0, sizeof *norms);
            norms->space = space;
            norms->seen = seen;
        }
        workers[i].full.norms = norms;
        workers[i].full.local = w;
        workers[i].full.kept = kept;
        workers[i].full.present = present;
    }
}

/* With one slot its operations may be shared by as many threads as there are workers. */
static uint32_t badm_i_most_threads(const badm_trainer *tr)
{
#ifdef BADM_I_SERIAL
    (void)tr;
    return 1;
#else
    return tr->slots == 1 ? tr->full.workers : 1;       /* helpers of more slots would look on more often than help */
#endif
}

/* Runs the loss callback without numbers on the largest piece and fills in what a tape needs; the tape itself stands in the space too,
   as stacks are small where memory is. Where it fails for want of space, memory_wanted says what it has come to want, otherwise 0. */
static badm_result badm_i_dry_run(badm_trainer *tr, unsigned char *space, size_t bytes, badm_i_fault *e)
{
    size_t head = badm_i_round_up(sizeof(badm_tape), BADM_I_ALIGN);
    badm_tape *t = (badm_tape *)(void *)space;
    badm_batch b;
    badm_tensor *y;
    tr->memory_wanted = head;
    if (bytes < head)
        return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("tape"), BADM_I_TEXT("the arena of %0 bytes is full: at least %1 are needed"),
                            NULL, (unsigned long)bytes, (unsigned long)head);
    badm_i_tape_init(t, space + head, bytes - head);
    memset(&b, 0, sizeof b);
    t->dry = t->training = t->recording = 1;
    t->buffers = BADM_I_BUFFERS_TRAINED;
    t->model = tr->model;
    if (BADM_I_FULL) t->full.team = badm_i_most_threads(tr);
    b.count = tr->piece;
    y = tr->d.loss(t, &b, tr->d.user);
    tr->memory_wanted = t->wanted;
    if (t->error.code) { *e = t->error; return e->code; }
    if (!y || badm_size(y) != 1) {
        badm_i_error(e, BADM_ERR_SHAPE, BADM_I_TEXT("loss callback"), BADM_I_TEXT("it returned %a, a scalar is expected"), NULL, 0,
                     0);
        badm_i_error_tensors(e, y, NULL);
        return e->code;
    }
    tr->tape_bytes = badm_i_round_up(badm_i_plus(badm_i_plus(t->planned, t->gradient_bytes), badm_i_plus(t->scratch_needed,
            BADM_I_ALIGN)), BADM_I_ALIGN);
    if (BADM_I_FULL) tr->full.work = t->full.work;
    return tr->tape_bytes == BADM_I_NONE ? badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("tape"),
                                                        BADM_I_TEXT("the graph is more than this machine can address"), NULL, 0, 0) : BADM_OK;
}

/* The dry run in whatever memory there is for the moment: the free part of a block, or pieces that grow. */
static badm_result badm_i_measure_tape(badm_trainer *tr, badm_i_fault *e)
{
    badm_memory *mem = tr->memory;
    size_t bytes;
    if (badm_i_in_block(mem)) {
        size_t low = badm_i_round_up(mem->low, BADM_I_ALIGN) + (BADM_I_FULL ? 0 : badm_i_round_up(sizeof *tr, BADM_I_ALIGN));
        size_t high = mem->high, low_before = mem->low;
        badm_result r;
        if (low > high) low = high;
        mem->low = mem->high;                       /* nobody else takes it meanwhile */
        r = badm_i_dry_run(tr, mem->block + low, high - low, e);
        mem->low = low_before;
        return r;
    }
    for (bytes = 16384; ; bytes *= 4) {
        unsigned char *space = (unsigned char *)badm_i_alloc(mem, bytes);
        badm_result r;
        if (!space)
            return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_trainer_new"),
                                BADM_I_TEXT("no memory for a dry run of %0 bytes"), NULL, (unsigned long)bytes, 0);
        r = badm_i_dry_run(tr, space, bytes, e);
        badm_i_free(mem, space);
        if (r != BADM_ERR_MEMORY || !tr->memory_wanted || bytes >= ((size_t)1 << (sizeof(size_t) * 8 - 5))) return r;
    }
}

/* Bytes of the memory's that an allocation takes. */
static size_t badm_i_cost(const badm_memory *mem, size_t bytes)
{
    return badm_i_in_block(mem) ? badm_i_plus(badm_i_round_up(bytes, BADM_I_ALIGN), BADM_I_HEAD) : badm_i_alloc_cost(bytes);
}

static badm_result badm_i_plan(badm_trainer *tr, const badm_trainer_desc *d, badm_i_fault *e)
{
    badm_i_carver count = { NULL, 0 };
    badm_result r;
    size_t i;
    if (!d || d->filled != BADM_I_FILLED)
        return badm_i_refuse(e, BADM_I_TEXT("it is not filled: call badm_trainer_defaults first"), 0, 0);
    if (!d->model) return badm_i_refuse(e, BADM_I_TEXT("there is no model"), 0, 0);
    r = badm_i_check_desc(d, e);
    if (r) return r;
    if (!tr) return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_trainer_new"), BADM_I_TEXT("the block is too small for a trainer"), NULL, 0, 0);
    badm_i_derive(tr, d);
    if (d->tape_bytes) {
        tr->tape_bytes = badm_i_round_up(d->tape_bytes, BADM_I_ALIGN);
        if (BADM_I_FULL) tr->full.work = (uint64_t)1 << 40;
    } else {
        r = badm_i_measure_tape(tr, e);
        if (r) return r;
    }
    if (BADM_I_FULL && tr->full.work >= BADM_I_WORTH_HELP) tr->full.helpers = badm_i_most_threads(tr) - 1u;
    for (i = 0; BADM_I_FULL && i < d->model->count; i++) {  /* the arena is where directions are orthogonalised */
        const badm_i_record *p = badm_i_record_at(d->model, i);
        size_t need;
        if (p->gradient == BADM_I_NONE || !badm_i_is_orthogonal(tr, p)) continue;
        need = badm_i_orthogonal_bytes(badm_i_kernels_of(tr->level), p->shape.dim[0], p->shape.dim[1]);
        if (need > tr->tape_bytes) tr->tape_bytes = badm_i_round_up(need, BADM_I_ALIGN);
    }
    badm_i_carve(&count, 1, sizeof *tr);
    badm_i_carve_trainer(tr, &count);
    tr->bytes = count.used;
    count.used = badm_i_plus(badm_i_cost(tr->memory, tr->bytes), badm_i_times(tr->workers, badm_i_cost(tr->memory,
            tr->tape_bytes)));
    if (count.used == BADM_I_NONE)
        return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_trainer_new"), BADM_I_TEXT("more than this machine can address"),
                            NULL, 0, 0);
    tr->memory_wanted = count.used;
    return BADM_OK;
}

/* Where a trainer is planned that does not exist yet: `own`, or, on small machines, whose stacks are small, in the free part of the
   block it will be in. NULL: there is no such room. */
#ifdef BADM_SMALL
typedef char badm_i_plan_space;
static badm_trainer *badm_i_plan_in(const badm_trainer_desc *d, badm_i_plan_space *own)
{
    badm_memory *mem = d && d->filled == BADM_I_FILLED ? d->memory : NULL;
    size_t low = mem ? badm_i_round_up(mem->low, BADM_I_ALIGN) : 0;
    (void)own;
    if (!mem || !mem->block || low > mem->high || mem->high - low < sizeof(badm_trainer)) return NULL;
    return (badm_trainer *)(void *)(mem->block + low);
}
#else
typedef badm_trainer badm_i_plan_space;
static badm_trainer *badm_i_plan_in(const badm_trainer_desc *d, badm_i_plan_space *own) { (void)d; return own; }
#endif

BADM_API badm_result badm_trainer_bytes(const badm_trainer_desc *d, size_t *bytes)
{
    badm_i_plan_space space;
    badm_trainer *plan = badm_i_plan_in(d, &space);
    badm_i_fault e;
    badm_result r = badm_i_plan(plan, d, &e);
    *bytes = r ? 0 : plan->memory_wanted;
    if (r && d && d->filled == BADM_I_FILLED && d->model) badm_i_model_report(d->model, &e);
    return r;
}

static void badm_i_log_error(const badm_trainer *tr, const badm_i_fault *e)
{
    char text[BADM_I_SENTENCE];
    if (!BADM_I_FULL || !tr->full.log) return;
    tr->full.log(e->code, badm_i_sentence(e, text), tr->full.log_user);
}

BADM_API void badm_trainer_free(badm_trainer *tr)
{
    uint32_t i;
    badm_memory *mem;
    if (!tr) return;
    mem = tr->memory;
    badm_i_pool_stop(&tr->pool);
    for (i = tr->workers; i > 0; i--) badm_i_free(mem, tr->worker[i - 1].tape.arena);
    badm_i_free(mem, tr);
}

static badm_result badm_i_trainer_build(badm_trainer **out, const badm_trainer *plan, badm_i_fault *e)
{
    badm_i_carver take;
    badm_trainer *tr;
    uint32_t i, threads = plan->workers + plan->full.helpers - 1;
    take.base = (unsigned char *)badm_i_alloc(plan->memory, plan->bytes);
    take.used = 0;
    if (!take.base) return BADM_ERR_MEMORY;
    tr = (badm_trainer *)badm_i_carve(&take, 1, sizeof *tr);
    memmove(tr, plan, sizeof *tr);          /* in a block it may stand in the way of what follows, and is not looked at again */
    tr->memory_wanted = 0;
    badm_i_carve_trainer(tr, &take);
    if (BADM_I_FULL) {
        badm_i_count_ranges(tr, tr->full.range);
        badm_i_make_groups(tr);
    }
    if (BADM_I_FULL && tr->full.form == BADM_PER_SLOT) memset(tr->full.total, 0, tr->n * sizeof(float));         /* what fills places stays 0 */
    if (BADM_I_FULL) memset(tr->full.partial, 0, tr->full.range_count * sizeof *tr->full.partial);
    for (i = 0; i < tr->workers; i++) {
        badm_i_worker *w = &tr->worker[i];
        void *arena = badm_i_alloc(tr->memory, tr->tape_bytes);
        if (!arena) { badm_trainer_free(tr); return BADM_ERR_MEMORY; }
        badm_i_tape_init(&w->tape, arena, tr->tape_bytes);
    }
#ifndef BADM_I_SERIAL
    if (tr->workers > 1) badm_i_blas_on_one_thread();           /* helpers do not call it */
#endif
    if (badm_i_pool_start(&tr->pool, tr, tr->workers + tr->full.helpers)) {
        badm_trainer_free(tr);
        return badm_i_error(e, BADM_ERR_THREAD, BADM_I_TEXT("badm_trainer_new"), BADM_I_TEXT("%0 threads cannot be started"), NULL,
                            threads, 0);
    }
    *out = tr;
    return BADM_OK;
}

/* (Apart, so that a caller's stack does not hold both what this needs and what it needs before.) */
BADM_I_APART BADM_API badm_result badm_trainer_new(badm_trainer **out, const badm_trainer_desc *d)
{
    badm_i_plan_space space;
    badm_trainer *plan = badm_i_plan_in(d, &space);
    badm_i_fault e;
    badm_result r;
    *out = NULL;
    badm_i_error(&e, BADM_OK, "", "", NULL, 0, 0);
    r = badm_i_plan(plan, d, &e);
    if (!r) {
        size_t wanted = plan->memory_wanted;
        r = badm_i_trainer_build(out, plan, &e);
        if (r == BADM_ERR_MEMORY)
            badm_i_error(&e, r, BADM_I_TEXT("badm_trainer_new"), badm_i_in_block(d->memory)
                ? BADM_I_TEXT("%0 bytes are needed, the block has %1") : BADM_I_TEXT("%0 bytes are needed, the allocator refused"), NULL,
                (unsigned long)wanted, d->memory ? (unsigned long)badm_memory_left(d->memory) : 0);
    } else if (r == BADM_ERR_MEMORY && badm_i_in_block(d->memory)) {
        badm_i_error(&e, r, BADM_I_TEXT("badm_trainer_new"),
                     BADM_I_TEXT("the block's %1 bytes are too few even to measure the graph; more than %0 are needed"), NULL,
                     (unsigned long)(plan ? plan->memory_wanted : sizeof *plan), (unsigned long)badm_memory_left(d->memory));
    }
    if (r && d && d->filled == BADM_I_FILLED && d->model) {
        badm_i_model_report(d->model, &e);
        if (BADM_I_FULL && d->log) { badm_i_derive(plan, d); badm_i_log_error(plan, &e); }
    }
    return r;
}

static badm_result badm_i_trainer_report(badm_trainer *tr, const badm_i_fault *e)
{
    tr->error.code = e->code;
    if (e->code) {
        tr->error = *e;
        badm_i_log_error(tr, e);
    }
    return e->code;
}

BADM_API const char *badm_trainer_error(badm_trainer *tr)
{
    return badm_i_sentence(&tr->error, tr->sentence);
}

BADM_API badm_model *badm_trainer_model(badm_trainer *tr) { return tr->model; }
BADM_API uint64_t badm_trainer_step(const badm_trainer *tr) { return tr->step; }
BADM_API uint32_t badm_trainer_epoch(const badm_trainer *tr) { return tr->epoch; }

BADM_API size_t badm_trainer_memory(const badm_trainer *tr)
{
    size_t bytes = badm_i_cost(tr->memory, tr->bytes);
    uint32_t i;
    for (i = 0; i < tr->workers; i++) bytes += badm_i_cost(tr->memory, tr->worker[i].tape.capacity);
    return bytes;
}

/* ---- the jobs of a step ---- */

/* Too little work to wake anybody for: a few tens of microseconds. */
static int badm_i_little_work(const badm_trainer *tr) { return !BADM_I_FULL || tr->full.work * tr->active < 60000u; }
static int badm_i_little_update(const badm_trainer *tr) { return tr->n < 32768u; }

/* The sum of the slots' gradients times their counts, while slots run one after another through few buffers: piece by piece, each
   behind the slot before. The first slot's is where the sum will be. */
static void badm_i_fold_slot(badm_trainer *tr, uint32_t s, const float *g)
{
    float weight = badm_i_is_alone(tr) ? 1.0f : (float)tr->slot[s].count, square[BADM_I_RUN];
    size_t at, i, n, part;
    uint32_t piece = 1;
    for (at = 0; at < tr->n; at += part, piece++) {
        part = !BADM_I_FULL || tr->n - at < BADM_I_RANGE ? tr->n - at : BADM_I_RANGE;
        if (BADM_I_FULL && s > 0) badm_i_await(&tr->pool, &tr->slot[s - 1].full.folded, piece);
        if (s > 1) badm_i_add_scaled(tr->level, part, weight, g + at, tr->mean + at);
        else if (s == 1) badm_i_join_scaled(tr->level, part, (float)tr->slot[0].count, tr->mean + at, weight, g + at);
        else if (tr->active == 1 && weight != 1.0f) badm_i_set_scaled(tr->level, part, weight, g + at, tr->mean + at);
        for (i = at; BADM_I_FULL && tr->full.mean_square && i < at + part; i += n) {
            n = at + part - i < BADM_I_RUN ? at + part - i : BADM_I_RUN;
            badm_i_squares(tr->level, n, g + i, square);
            if (s == 0) badm_i_set_scaled(tr->level, n, weight, square, tr->full.mean_square + i);
            else badm_i_add_scaled(tr->level, n, weight, square, tr->full.mean_square + i);
        }
        if (BADM_I_FULL) badm_i_raise(&tr->pool, &tr->slot[s].full.folded, piece);
    }
}

static void badm_i_job_slot(void *of, uint32_t worker, uint32_t s)
{
    badm_trainer *tr = (badm_trainer *)of;
    badm_i_worker *w = &tr->worker[worker];
    int own = BADM_I_FULL && tr->full.gradient[0] != NULL;
    float *g = own ? tr->full.gradient[s] : s == 0 ? tr->mean : w->gradient;
    badm_result r = badm_i_slot_gradient(tr, w, s, 0, NULL, g);
    if (BADM_I_FULL && !r && badm_i_wants_spread(tr)) tr->slot[s].full.square = badm_i_slot_square(tr, g);
    if (!r) r = badm_i_slot_report(tr, w, s);
    tr->slot[s].result = r;
    if (own) return;
    if (!r) badm_i_fold_slot(tr, s, g);
    else if (BADM_I_FULL) {             /* the step will be refused; nobody shall wait, nor write where a slot before still does */
        if (s > 0) badm_i_await(&tr->pool, &tr->slot[s - 1].full.folded, (uint32_t)((tr->n - 1) / BADM_I_RANGE + 1));
        badm_i_raise(&tr->pool, &tr->slot[s].full.folded, 0xFFFFFFFFu);
    }
}

/* Where the mean gradient is needed before the update: it is written out, over the first slot's where that has a buffer. */
static void badm_i_job_mean(void *of, uint32_t worker, uint32_t job)
{
    badm_trainer *tr = (badm_trainer *)of;
    const badm_i_group *group = &tr->full.group[job];
    const badm_i_range *r = tr->full.range + group->first, *end = r + group->count;
    size_t i, n;
    (void)worker;
    for (; r < end; r++)
        for (i = 0; i < badm_i_range_size(r); i += n) {
            size_t o = r->param->gradient + r->start + i;
            const float *mean;
            n = badm_i_range_size(r) - i < BADM_I_RUN ? badm_i_range_size(r) - i : BADM_I_RUN;
            if (tr->full.mean_square) {
                mean = badm_i_mean_at(tr, o, n, 1, tr->full.mean_square + o);
                if (mean != tr->full.mean_square + o) memcpy(tr->full.mean_square + o, mean, n * sizeof(float));
            }
            mean = badm_i_mean_at(tr, o, n, 0, tr->mean + o);
            if (mean != tr->mean + o) memcpy(tr->mean + o, mean, n * sizeof(float));
        }
}

/* A step whose numbers are far from overflowing, and whose mean gradient nobody needs before the update, makes it there. */
static int badm_i_wants_mean(const badm_trainer *tr)
{
    uint32_t s;
    if (!BADM_I_FULL) return 0;
    if (tr->full.allreduce || tr->full.clip > 0 || tr->full.form == BADM_PER_SLOT || tr->full.measuring || tr->model->present) return 1;
    for (s = 0; s < tr->active; s++) if (!(tr->slot[s].full.norm < 1e24f)) return 1;
    return 0;
}

/* ---- the step ---- */

static badm_result badm_i_exchange(badm_trainer *tr, float *buf, size_t n, badm_i_fault *e)
{
    if (!BADM_I_FULL || !tr->full.allreduce || !tr->full.allreduce(buf, n, tr->full.allreduce_user)) return BADM_OK;
    return badm_i_error(e, BADM_ERR_EXCHANGE, BADM_I_TEXT("badm_step"), BADM_I_TEXT("allreduce reported a failure"), NULL, 0, 0);
}

/* The first failed slot's error; a tape that was too small is enlarged and 1 returned, when that is possible. */
static int badm_i_slots_failed(badm_trainer *tr, badm_i_fault *e)
{
    uint32_t i, first = tr->active, grown = 0;
    for (i = tr->active; i > 0; i--) if (tr->slot[i - 1].result) first = i - 1;
    e->code = BADM_OK;
    if (first == tr->active) return 0;
    for (i = 0; i < tr->workers; i++)
        if (tr->worker[i].error.code && tr->worker[i].error_slot == first) *e = tr->worker[i].error;
    if (!BADM_I_FULL || e->code != BADM_ERR_MEMORY) return 0;          /* a block has no more */
    for (i = 0; i < tr->workers; i++) {
        badm_tape *t = &tr->worker[i].tape;
        size_t want = badm_i_times(t->capacity, 2);
        if (tr->worker[i].error.code != BADM_ERR_MEMORY || t->wanted <= t->capacity) continue;
        if (want < t->wanted) want = badm_i_round_up(t->wanted, BADM_I_ALIGN);
        if (t->wanted > tr->memory_wanted) tr->memory_wanted = t->wanted;
        if (!badm_i_in_block(tr->memory) && want != BADM_I_NONE) {
            void *arena = badm_i_alloc(tr->memory, want);
            if (!arena) continue;
            badm_i_free(tr->memory, t->arena);
            t->arena = (unsigned char *)arena;
            t->capacity = want;
            grown = 1;
        }
    }
    if (!grown) return 0;
    tr->memory_wanted = 0;
    tr->full.tape_growths++;
    e->code = BADM_OK;
    if (tr->full.log) tr->full.log(BADM_OK, BADM_I_TEXT("tape: enlarged; set tape_bytes to avoid repeating steps"), tr->full.log_user);
    return 1;
}

enum { BADM_I_COUNTED, BADM_I_LOSS, BADM_I_HITS, BADM_I_OF, BADM_I_SQUARE, BADM_I_FAILED, BADM_I_GATHERED };

/* Success over machines, and their sums. */
static badm_result badm_i_gather_machines(badm_trainer *tr, badm_i_fault *e, float all[BADM_I_GATHERED])
{
    badm_i_fault other;
    if (e->code) memset(all, 0, BADM_I_GATHERED * sizeof *all);
    all[BADM_I_FAILED] = e->code ? 1.0f : 0.0f;
    if (badm_i_exchange(tr, all, BADM_I_GATHERED, &other) && !e->code) *e = other;
    if (!e->code && all[BADM_I_FAILED] > 0)
        badm_i_error(e, BADM_ERR_EXCHANGE, BADM_I_TEXT("badm_step"), BADM_I_TEXT("another machine refused the step"), NULL, 0, 0);
    return e->code;
}

/* Loss, counts and success over slots and machines; sets alpha_s and tr->share = 1/all samples that counted. */
static badm_result badm_i_gather(badm_trainer *tr, badm_i_fault *e, float *mean_loss, float *accuracy)
{
    float all[BADM_I_FULL ? BADM_I_GATHERED : BADM_I_SQUARE] = { 0 }, alone = badm_i_is_alone(tr) ? 1.0f : 0.0f;
    badm_i_sum loss = { 0, 0 }, square = { 0, 0 };
    uint32_t s;
    for (s = 0; s < tr->active; s++) {
        const badm_i_slot *slot = &tr->slot[s];
        float weight = alone > 0 ? 1.0f : (float)slot->count;
        all[BADM_I_COUNTED] += (float)slot->count;
        badm_i_sum_add(&loss, slot->loss * weight);
        if (BADM_I_FULL) badm_i_sum_add(&square, slot->full.square * weight);
        all[BADM_I_HITS] += (float)slot->hits;
        all[BADM_I_OF] += (float)slot->hits_of;
    }
    all[BADM_I_LOSS] = badm_i_sum_value(&loss);
    if (BADM_I_FULL) all[BADM_I_SQUARE] = badm_i_sum_value(&square);
    if (BADM_I_FULL ? badm_i_gather_machines(tr, e, all) : e->code) return e->code;
    tr->share = all[BADM_I_COUNTED] > 0 ? 1.0f / all[BADM_I_COUNTED] : 0.0f;
    for (s = 0; BADM_I_FULL && s < tr->active; s++)
        tr->slot[s].full.alpha = alone > 0 ? 1.0f : (float)tr->slot[s].count * tr->share;
    *mean_loss = all[BADM_I_LOSS] * (alone > 0 ? 1.0f : tr->share);
    if (BADM_I_FULL) tr->full.spread = all[BADM_I_SQUARE] * (alone > 0 ? 1.0f : tr->share);
    *accuracy = all[BADM_I_OF] > 0 ? all[BADM_I_HITS] / all[BADM_I_OF] : -1.0f;
    if (!badm_i_is_finite(*mean_loss))
        return badm_i_error(e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_step"), BADM_I_TEXT("the loss is not finite"), NULL, 0, 0);
    return BADM_OK;
}

/* What slots and machines have made of the model's buffers becomes their new values, in slot 0's place until the step is
   accepted. */
static badm_result badm_i_merge_buffers(badm_trainer *tr, badm_i_fault *e)
{
    size_t i, j, n;
    uint32_t s;
    if (!BADM_I_FULL || !tr->full.buffers) return BADM_OK;
    for (s = 1; s < tr->active; s++) badm_i_add(tr->level, tr->model->buffers, tr->full.buffers + s * tr->model->buffers, tr->full.buffers);
    if (badm_i_exchange(tr, tr->full.buffers, tr->model->buffers, e)) return e->code;
    for (i = 0; i < tr->model->count; i++) {
        const badm_i_record *r = badm_i_record_at(tr->model, i);
        float *to = tr->full.buffers + r->place;
        if (!r->buffer || !(to[0] > 0)) continue;
        n = badm_i_shape_size(&r->shape);
        for (j = 0; j < n; j++) to[j + 1] = tr->model->slab[r->offset + j] + to[j + 1] / to[0];
        if (!badm_i_all_finite(tr->level, to + 1, n))
            return badm_i_error(e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_step"),
                                BADM_I_TEXT("the buffer \"%n\" would not be finite"), r->name, 0, 0);
    }
    return BADM_OK;
}

static void badm_i_commit_buffers(badm_trainer *tr)
{
    size_t i;
    for (i = 0; BADM_I_FULL && tr->full.buffers && i < tr->model->count; i++) {
        const badm_i_record *r = badm_i_record_at(tr->model, i);
        const float *from = tr->full.buffers + r->place;
        if (r->buffer && from[0] > 0) memcpy(tr->model->slab + r->offset, from + 1, badm_i_shape_size(&r->shape) * sizeof(float));
    }
}

/* sigma, rho and lr of this step. */
static badm_result badm_i_rates_now(badm_trainer *tr, badm_i_fault *e)
{
    badm_rates *r = &tr->rates;
    float factor = BADM_I_FULL ? badm_schedule_factor(tr->full.schedule, tr->step) : 1.0f;
    r->lr = tr->d.lr * factor;
    r->sigma = tr->d.sigma / factor;
    r->rho = tr->d.rho / factor * tr->rho_factor;
    r->weight_decay = tr->d.weight_decay;
    if (tr->d.rates) tr->d.rates(r, tr->step, tr->d.rates_user);
    if (badm_i_check_rates(r, tr->method->id == 0, e)) return e->code;
    tr->beta = r->rho / (r->rho + r->sigma);
    if (tr->method->begin) tr->method->begin(tr);
    return BADM_OK;
}

/* Adds what a step's gradients say about their diversity; square: |mean gradient|^2. Of S sub-batches of n_s samples with gradients
   g_s and mean G, sum n_s |g_s - G|^2/(S-1) estimates the trace of a sample's covariance. */
static void badm_i_measure(badm_trainer *tr, uint32_t count, float square)
{
    float squares = 0, samples = (float)count;
    uint32_t s;
    badm_i_add_scaled(tr->level, tr->n, samples, tr->mean, tr->full.drift);
    tr->full.measured += count;
    if (tr->full.diversity == BADM_DIVERSITY_EXACT) {
        float each = samples * tr->share;           /* samples for a term that counts */
        for (s = 0; s < tr->active; s++) squares += tr->slot[s].full.squares;
        squares *= each * each;
    } else if (tr->active > 1) {
        float spread = -square, signal;
        for (s = 0; s < tr->active; s++) spread += tr->slot[s].full.alpha * tr->slot[s].full.norm;
        spread *= samples / ((float)tr->active - 1.0f);
        if (!(spread > 0)) spread = 0;
        signal = square - spread / samples;
        squares = samples * (spread + (signal > 0 ? signal : 0.0f));
    } else squares = square;                        /* the batch is one sample */
    badm_i_sum_add(&tr->full.squares, squares);
}

static void badm_i_monitor(badm_trainer *tr, badm_report *r)
{
    r->grad_norm = badm_sqrtf(badm_i_total(tr, BADM_I_GRADIENT));
    r->step_norm = badm_sqrtf(badm_i_total(tr, BADM_I_STEP));
    if (tr->method->id == 0) {
        badm_i_residuals(tr, r);
        badm_i_balance(tr, r);
    }
    badm_i_remember(tr, r);
}

/* out: may be NULL; what was there stays when the step fails. */
BADM_I_APART static badm_result badm_i_step(badm_trainer *tr, const uint32_t *index, uint32_t count, uint32_t active, badm_report *out,
                                            badm_i_fault *e)
{
    uint32_t i, total;
    int per_slot = BADM_I_FULL && tr->full.form == BADM_PER_SLOT, common = !tr->full.allreduce || !per_slot || badm_i_has_moment(tr) || tr->full.clip > 0;
    float square, grad_norm = 0, loss, accuracy;
    badm_i_fault other;
    if (tr->layout != tr->model->layout)
        return badm_i_error(e, BADM_ERR_STATE, BADM_I_TEXT("badm_step"),
                            BADM_I_TEXT("parameters were added, frozen, unfrozen or given a metric after the trainer was made"), NULL, 0, 0);
    if (count == 0 || count > tr->d.max_batch)
        return badm_i_error(e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_step"),
                            BADM_I_TEXT("a batch of %0 samples: 1 to max_batch (%1) is expected"), NULL, count, tr->d.max_batch);
    if (badm_i_rates_now(tr, e)) return e->code;
    if (!index) {
        total = count * badm_i_local_steps(tr);
        for (i = 0; i < total; i++) tr->index[i] = i;
        index = tr->index;
    }
    tr->batch = index;
    if (BADM_I_FULL && tr->full.settings != tr->model->settings) badm_i_make_groups(tr);
again:
    tr->mean_ready = 0;
    if (BADM_I_FULL) tr->full.clip_factor = 1.0f;
    for (i = 0; BADM_I_FULL && i < tr->full.group_count; i++) memset(&tr->full.partial[i], 0, sizeof tr->full.partial[i]);
    do {
        badm_i_divide(tr, count, active);
        badm_i_parallel(tr, badm_i_job_slot, active, badm_i_little_work(tr), 0);
    } while (badm_i_slots_failed(tr, e));
    if (badm_i_gather(tr, e, &loss, &accuracy) || badm_i_merge_buffers(tr, e)) return e->code;
    if (badm_i_wants_mean(tr)) {
        badm_i_parallel(tr, badm_i_job_mean, tr->full.group_count, badm_i_little_update(tr), 1);
        if (tr->full.allreduce && common) {
            if (badm_i_exchange(tr, tr->mean, tr->n, e)) return e->code;
            if (tr->full.mean_square && badm_i_exchange(tr, tr->full.mean_square, tr->n, e)) return e->code;
        }
        tr->mean_ready = 1;
        square = badm_i_norm_square(tr, tr->mean, 1);
        if (tr->full.measuring) badm_i_measure(tr, count, square);
        if (tr->model->present) {
            badm_i_divide_by_presence(tr);
            square = badm_i_norm_square(tr, tr->mean, 1);
        }
        if (common && !badm_i_is_finite(square))        /* a norm that machines do not share must not part them */
            return badm_i_error(e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_step"), BADM_I_TEXT("the mean gradient's norm is not finite"),
                                NULL, 0, 0);
        grad_norm = badm_sqrtf(square);
        if (tr->full.clip > 0 && grad_norm > tr->full.clip) tr->full.clip_factor = tr->full.clip / grad_norm;
    }
    if (BADM_I_FULL && tr->full.local_steps > 1) {
        badm_i_parallel(tr, badm_i_job_first_move, tr->full.group_count, badm_i_little_update(tr), 1);
        badm_i_parallel(tr, badm_i_job_local_steps, active, badm_i_little_work(tr), 0);
        if (badm_i_slots_failed(tr, e)) {
            if (!tr->full.allreduce) goto again;
            badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_step"),
                         BADM_I_TEXT("a tape had to be enlarged in the middle of the step: repeat it"), NULL, 0, 0);
        }
        if (tr->full.allreduce) {
            float failed = e->code ? 1.0f : 0.0f;
            if (badm_i_exchange(tr, &failed, 1, &other)) { if (!e->code) *e = other; }
            else if (failed > 0 && !e->code) badm_i_error(e, BADM_ERR_EXCHANGE, BADM_I_TEXT("badm_step"),
                                                          BADM_I_TEXT("another machine refused the step"), NULL, 0, 0);
        }
        if (e->code) return e->code;
    }
    if (per_slot && tr->full.allreduce) {
        badm_i_parallel(tr, badm_i_job_aggregate, tr->full.group_count, badm_i_little_update(tr), 1);
        tr->full.total[tr->n] = badm_i_total(tr, BADM_I_PRIMAL);
        if (badm_i_exchange(tr, tr->full.total, tr->n + 1, e)) return e->code;
    }
    if (per_slot) badm_i_parallel(tr, badm_i_job_commit, tr->full.group_count, badm_i_little_update(tr), 1);
    if (BADM_I_FULL) badm_i_parallel(tr, badm_i_job_update, tr->full.group_count, badm_i_little_update(tr), 1);
    else badm_i_update_all(tr);
    badm_i_commit_buffers(tr);
    if (BADM_I_FULL || out) {
        badm_report own, *r = BADM_I_FULL ? &own : out;
        memset(r, 0, sizeof *r);
        r->loss = loss;
        r->accuracy = accuracy;
        r->step = tr->step;
        r->epoch = tr->epoch;
        r->samples = count * badm_i_local_steps(tr);
        r->rates = tr->rates;
        r->clip_factor = BADM_I_FULL ? tr->full.clip_factor : 1.0f;
        r->grad_norm = grad_norm;
        r->tape_growths = tr->full.tape_growths;
        if (BADM_I_FULL && tr->full.monitors) badm_i_monitor(tr, r);
        if (BADM_I_FULL && out) *out = own;
    }
    tr->mu_product *= tr->mu;
    tr->step++;
    return BADM_OK;
}

static badm_result badm_i_step_and_report(badm_trainer *tr, const uint32_t *index, uint32_t count, uint32_t active,
                                          badm_report *report)
{
    badm_i_fault e;
    badm_i_fpu before = badm_i_fpu_enter();
    e.code = BADM_OK;
    badm_i_step(tr, index, count, active, report, &e);
    badm_i_fpu_set(before);
    return badm_i_trainer_report(tr, &e);
}

BADM_API badm_result badm_step(badm_trainer *tr, const uint32_t *index, uint32_t count, badm_report *report)
{
    badm_i_fault e;
    if (count > 0 && count < tr->slots) {
        badm_i_error(&e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_step"),
                     BADM_I_TEXT("%0 slots but %1 samples; badm_epoch() shortens the last batch by itself"), NULL, tr->slots, count);
        return badm_i_trainer_report(tr, &e);
    }
    return badm_i_step_and_report(tr, index, count, tr->slots, report);
}

BADM_API badm_result badm_epoch(badm_trainer *tr, uint32_t n, uint32_t batch, badm_progress_fn progress, void *user)
{
    badm_progress p;
    badm_i_sum loss = { 0, 0 }, hits = { 0, 0 };
    uint32_t counted = 0;
    badm_i_fpu before;
    badm_i_fault e;
    memset(&p, 0, sizeof p);
    badm_i_error(&e, BADM_OK, "", "", NULL, 0, 0);
    if (n == 0 || batch == 0 || batch > tr->d.max_batch) {
        badm_i_error(&e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_epoch"), n == 0 ? BADM_I_TEXT("there are no samples")
            : BADM_I_TEXT("batches of %0 samples: 1 to max_batch (%1) is expected"), NULL, batch, tr->d.max_batch);
        return badm_i_trainer_report(tr, &e);
    }
    p.samples = n;
    while (tr->position < n) {
        uint32_t left = n - tr->position, whole = badm_i_local_steps(tr), count, total, i;
        badm_result r;
        /* K batches a step; what is left at the end is K equal, shorter ones, or one batch of what does not divide */
        count = left / whole < batch ? left / whole : batch;
        if (count == 0) count = 1;
        total = count * whole;
        for (i = 0; i < total; i++)         /* fewer samples than local steps: the first ones again */
            tr->index[i] = badm_shuffle(tr->d.seed, tr->epoch, n, tr->position + (i < left ? i : i % left));
        r = badm_i_step_and_report(tr, tr->index, count, count < tr->slots ? count : tr->slots, &p.last);
        if (r) return r;
        tr->position += total < left ? total : left;
        before = badm_i_fpu_enter();
        counted += count;                   /* batches weigh as many samples as they have */
        badm_i_sum_add(&loss, p.last.loss * (float)count);
        badm_i_sum_add(&hits, p.last.accuracy * (float)count);
        p.epoch = tr->epoch;
        p.sample = tr->position;
        p.loss = badm_i_sum_value(&loss) / (float)counted;
        p.accuracy = p.last.accuracy < 0 ? -1.0f : badm_i_sum_value(&hits) / (float)counted;
        badm_i_fpu_set(before);
        if (tr->position >= n) { tr->epoch++; tr->position = 0; }
        if (progress && progress(&p, user)) {
            badm_i_error(&e, BADM_ERR_CANCELLED, BADM_I_TEXT("badm_epoch"),
                         BADM_I_TEXT("cancelled by the progress callback after %0 of %1 samples"), NULL, p.sample, n);
            return badm_i_trainer_report(tr, &e);
        }
        if (tr->position == 0) break;
    }
    if (tr->position >= n) { tr->epoch++; tr->position = 0; }     /* a checkpoint of a larger data set */
    return BADM_OK;
}

/* ---- evaluation and prediction: pieces in parallel, results put together in order ---- */

static void badm_i_job_evaluate(void *of, uint32_t worker, uint32_t job)
{
    badm_trainer *tr = (badm_trainer *)of;
    badm_i_evaluation *v = tr->evaluation;
    badm_i_worker *w = &tr->worker[worker];
    badm_tape *t = &w->tape;
    badm_batch b;
    badm_tensor *y;
    badm_i_fault e;
    uint32_t i, first = job * v->piece;
    memset(&b, 0, sizeof b);
    b.count = v->n - first < v->piece ? v->n - first : v->piece;
    for (i = 0; i < b.count; i++) w->index[i] = first + i;
    b.index = w->index;
    badm_tape_reset(t);
    badm_tape_mode(t, 0, tr->d.seed);
    badm_tape_watch(t, NULL, NULL);
    badm_i_tape_team(tr, t, tr->workers == 1 || v->n <= v->piece);
    if (BADM_I_FULL) t->full.local = NULL;
    badm_i_error(&e, BADM_OK, "", "", NULL, 0, 0);
    y = badm_i_forward(w, v->graph, v->user, &b, v->out == NULL, &e);
    if (y && v->out && badm_size(y) != (size_t)b.count * v->width) {
        badm_i_error(&e, BADM_ERR_SHAPE, BADM_I_TEXT("badm_predict"),
                     BADM_I_TEXT("the graph returned %a, %0 samples of %1 numbers are expected"), NULL, b.count, v->width);
        badm_i_error_tensors(&e, y, NULL);
    }
    if (e.code) { w->error = e; w->error_slot = job; }
    else if (v->out) memcpy(v->out + (size_t)first * v->width, y->data, badm_size(y) * sizeof(float));
    badm_i_await(&tr->pool, &tr->pool.turn, job);
    if (e.code && !v->result) { v->result = e.code; v->error = e; }
    if (!v->result && !v->out) {
        float counted = (float)(t->counted ? t->count : b.count);
        badm_i_sum_add(&v->loss, y->data[0] * counted);
        badm_i_sum_add(&v->count, counted);
    }
    v->hits += t->hits;
    v->hits_of += t->hits_of;
    badm_i_raise(&tr->pool, &tr->pool.turn, job + 1);
}

static badm_result badm_i_evaluate(badm_trainer *tr, badm_i_evaluation *v)
{
    badm_i_fpu before = badm_i_fpu_enter();
    badm_i_fault e;
    v->piece = tr->piece;
    do {
        memset(&v->loss, 0, sizeof v->loss);
        memset(&v->count, 0, sizeof v->count);
        v->hits = v->hits_of = 0;
        v->result = BADM_OK;
        tr->evaluation = v;
        badm_i_divide(tr, tr->slots, tr->slots);
        badm_i_parallel(tr, badm_i_job_evaluate, (v->n - 1) / v->piece + 1, tr->full.work * (v->n / v->piece + 1) < 60000u, 0);
        tr->evaluation = NULL;
        if (v->result) { tr->slot[0].result = v->result; tr->worker[0].error = v->error; tr->worker[0].error_slot = 0; }
    } while (badm_i_slots_failed(tr, &e));
    badm_i_fpu_set(before);
    if (!v->result) badm_i_error(&v->error, BADM_OK, "", "", NULL, 0, 0);
    return badm_i_trainer_report(tr, &v->error);
}

BADM_API badm_result badm_evaluate(badm_trainer *tr, badm_loss_fn loss, void *user, uint32_t n, badm_score *out)
{
    badm_i_evaluation v;
    badm_i_fpu before;
    badm_result r;
    memset(&v, 0, sizeof v);
    memset(out, 0, sizeof *out);
    v.graph = loss ? loss : tr->d.loss;
    v.user = user ? user : tr->d.user;
    v.n = n;
    if (n == 0) {
        badm_i_error(&v.error, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_evaluate"), BADM_I_TEXT("there are no samples"), NULL, 0, 0);
        return badm_i_trainer_report(tr, &v.error);
    }
    r = badm_i_evaluate(tr, &v);
    if (r) return r;
    before = badm_i_fpu_enter();
    out->samples = n;
    out->loss = badm_i_sum_value(&v.count) > 0 ? badm_i_sum_value(&v.loss) / badm_i_sum_value(&v.count) : 0.0f;
    out->accuracy = v.hits_of ? (float)v.hits / (float)v.hits_of : -1.0f;
    badm_i_fpu_set(before);
    return BADM_OK;
}

BADM_API badm_result badm_predict(badm_trainer *tr, badm_loss_fn graph, void *user, uint32_t n, badm_dim width, float *out)
{
    badm_i_evaluation v;
    memset(&v, 0, sizeof v);
    v.graph = graph;
    v.user = user;
    v.n = n;
    v.width = width;
    v.out = out;
    if (n == 0 || !graph || !out || !width) {
        badm_i_error(&v.error, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_predict"),
                     BADM_I_TEXT("%0 samples, a graph and room for the output are expected"), NULL, n, 0);
        return badm_i_trainer_report(tr, &v.error);
    }
    return badm_i_evaluate(tr, &v);
}

/* ---- early stopping ---- */

struct badm_best {
    badm_model *model;
    float *copy, value;
    size_t used;
    uint32_t patience, waited;
    uint8_t any;
};

BADM_API badm_result badm_best_new(badm_best **out, badm_model *m, uint32_t patience)
{
    size_t head = badm_i_round_up(sizeof(badm_best), BADM_I_ALIGN), bytes = badm_i_plus(head, badm_i_times(m->used, sizeof(float)));
    unsigned char *p = bytes == BADM_I_NONE ? NULL : (unsigned char *)badm_i_alloc(m->memory, bytes);
    *out = NULL;
    if (!p) return BADM_ERR_MEMORY;
    *out = (badm_best *)(void *)p;
    memset(*out, 0, sizeof **out);
    (*out)->model = m;
    (*out)->copy = (float *)(void *)(p + head);
    (*out)->used = m->used;
    (*out)->patience = patience;
    (*out)->value = BADM_I_INFINITY;
    return BADM_OK;
}

BADM_API int badm_best_update(badm_best *b, float value)
{
    if (value < b->value && b->used == b->model->used) {
        b->value = value;
        b->waited = 0;
        b->any = 1;
        if (b->used) memcpy(b->copy, b->model->slab, b->used * sizeof(float));
        return 1;
    }
    b->waited++;
    return b->patience && b->waited >= b->patience ? -1 : 0;
}

BADM_API float badm_best_value(const badm_best *b) { return b->value; }

BADM_API badm_result badm_best_restore(badm_best *b)
{
    if (!b->any || b->used != b->model->used) return BADM_ERR_STATE;
    if (b->used) memcpy(b->model->slab, b->copy, b->used * sizeof(float));
    return BADM_OK;
}

BADM_API void badm_best_free(badm_best *b) { if (b) badm_i_free(b->model->memory, b); }

/* ---- what a checkpoint carries (written and read by >>files) ---- */

static size_t badm_i_state_vectors(const badm_trainer *tr) { return tr->vector_count; }
static float *badm_i_state_vector(badm_trainer *tr, size_t i) { return tr->vector[i]; }

static void badm_i_state_name(const badm_trainer *tr, size_t i, char out[24])
{
    badm_i_text o = badm_i_text_into(out, 24);
    size_t first;
    if (tr->method->id || tr->full.form == BADM_COLLAPSED) {
        badm_i_put(&o, i ? "v" : tr->method->id == 4 || tr->method->id == 5 ? "v" : "m");      /* rmsprop, adagrad: v alone */
        return;
    }
    first = badm_i_first_dual(tr);
    if (i < first) { badm_i_put(&o, "v"); return; }
    badm_i_put(&o, i - first < tr->slots ? "pi." : "v.");
    badm_i_put_number(&o, (i - first) % tr->slots);
}

#define BADM_I_WORDS 48
#define BADM_I_SETTINGS 16

/* Both directions in one list, so that they cannot differ. */
static void badm_i_state_move(badm_trainer *tr, uint32_t words[BADM_I_WORDS], int set)
{
    uint32_t low = (uint32_t)tr->step, high = (uint32_t)(tr->step >> 32), *u[6], i;
    float *f[9], no_dispersion = 0;
    badm_i_memory_of_steps nothing, *seen = BADM_I_FULL ? tr->full.seen : &nothing;
    memset(&nothing, 0, sizeof nothing);
    u[0] = &low; u[1] = &high; u[2] = &tr->epoch; u[3] = &tr->position; u[4] = &seen->window; u[5] = &seen->zeros;
    f[0] = &tr->rho_factor; f[1] = BADM_I_FULL ? &tr->full.dispersion : &no_dispersion; f[2] = &tr->mu_product; f[3] = &seen->against;
    f[4] = &seen->motion; f[5] = &seen->first_gradient; f[6] = &seen->first_loss; f[7] = &seen->low; f[8] = &seen->high;
    for (i = 0; i < 6; i++) { if (set) *u[i] = words[i]; else words[i] = *u[i]; }
    for (i = 0; i < 9; i++) { if (set) *f[i] = badm_i_float(words[8 + i]); else words[8 + i] = badm_i_bits(*f[i]); }
    if (set) {
        tr->step = ((uint64_t)high << 32) | low;
        seen->input_max = badm_i_float(words[17]);
    } else words[17] = badm_i_bits(seen->input_max);
}

static void badm_i_state_get(const badm_trainer *tr, uint32_t words[BADM_I_WORDS])
{
    memset(words, 0, BADM_I_WORDS * sizeof *words);
    badm_i_state_move((badm_trainer *)(uintptr_t)tr, words, 0);
}

static void badm_i_state_set(badm_trainer *tr, const uint32_t words[BADM_I_WORDS])
{
    uint32_t copy[BADM_I_WORDS];
    memcpy(copy, words, sizeof copy);
    badm_i_state_move(tr, copy, 1);
    /* no file makes a trainer unusable */
    if (!(tr->rho_factor >= 0.1f && tr->rho_factor <= 10.0f)) tr->rho_factor = 1.0f;
    if (!(tr->mu_product >= 0 && tr->mu_product <= 1)) tr->mu_product = 1.0f;
    if (BADM_I_FULL && !(tr->full.dispersion >= 0 && badm_i_is_finite(tr->full.dispersion))) tr->full.dispersion = 0;
}

static void badm_i_settings(const badm_trainer *tr, uint32_t words[BADM_I_SETTINGS])
{
    memset(words, 0, BADM_I_SETTINGS * sizeof *words);
    words[0] = tr->method->id;
    words[1] = (uint32_t)tr->full.form;
    words[2] = (uint32_t)tr->full.metric;
    words[3] = tr->slots;
    words[4] = badm_i_local_steps(tr);
    words[5] = (uint32_t)tr->d.seed;
    words[6] = (uint32_t)(tr->d.seed >> 32);
    words[7] = tr->full.second_moment_of_slots != 0;
    words[8] = tr->d.micro_batch;
}

static const char *badm_i_setting_name(size_t i)
{
#ifdef BADM_NO_TEXT
    (void)i;
    return "";
#else
    static const char *const name[] = { "method", "form", "metric", "sub_batches", "local_steps", "seed", "seed (high half)",
                                        "second_moment_of_slots", "micro_batch" };
    return i < sizeof name / sizeof *name ? name[i] : "unknown";
#endif
}

/* =====================================================================================================================
   >>growth     Batches that grow during training, by a plan or by the diversity of gradients.
   ===================================================================================================================== */

#ifndef BADM_NO_GROWTH
BADM_API void badm_growth_defaults(badm_growth *g, badm_growth_kind kind, uint32_t batch, uint32_t max_batch)
{
    memset(g, 0, sizeof *g);
    g->kind = kind;
    g->batch = batch;
    g->max_batch = max_batch;
    g->every = 20;
    g->factor = 2.0f;
    g->decay = 0.75f;
    g->delta = 0.1f;
    g->step = 1.0f;
}

BADM_API void badm_growth_rates(badm_rates *r, uint64_t step, void *growth)
{
    const badm_growth *g = (const badm_growth *)growth;
    float factor = g->step;
    (void)step;
    if (g->epoch < g->warmup && g->baseline > 0 && g->baseline < g->batch) {
        float first = (float)g->baseline / (float)g->batch;
        factor *= first + (1.0f - first) * ((float)g->epoch / (float)g->warmup);
    }
    r->lr *= factor;
    r->sigma /= factor;
}

static badm_result badm_i_growth_refuse(badm_trainer *tr, const char *message, unsigned long n0, unsigned long n1)
{
    badm_i_fault e;
    badm_i_error(&e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_growth"), message, NULL, n0, n1);
    return badm_i_trainer_report(tr, &e);
}

static badm_result badm_i_growth_check(const badm_growth *g, badm_trainer *tr)
{
    if ((unsigned)g->kind > BADM_GROWTH_DIVERSE) return badm_i_growth_refuse(tr, BADM_I_TEXT("kind: there is no such"), 0, 0);
    if (g->batch < 1 || g->batch > g->max_batch)
        return badm_i_growth_refuse(tr, BADM_I_TEXT("a batch of %0: 1 to max_batch (%1) is expected"), g->batch, g->max_batch);
    if (g->max_batch > tr->d.max_batch)
        return badm_i_growth_refuse(tr, BADM_I_TEXT("max_batch is %0, the trainer's is %1"), g->max_batch, tr->d.max_batch);
    if (!badm_i_at_least(g->step, 1e-30f)) return badm_i_growth_refuse(tr, BADM_I_TEXT("step: a number > 0 is expected"), 0, 0);
    if (g->kind == BADM_GROWTH_NONE) return BADM_OK;
    if (g->every < 1) return badm_i_growth_refuse(tr, BADM_I_TEXT("every is 0: a number of epochs is expected"), 0, 0);
    if (g->kind == BADM_GROWTH_PERIODIC && (!badm_i_at_least(g->factor, 1.0f) || !badm_i_at_least(g->decay, 1e-6f)))
        return badm_i_growth_refuse(tr, BADM_I_TEXT("factor and decay: numbers >= 1 and > 0 are expected"), 0, 0);
    if (g->kind == BADM_GROWTH_DIVERSE && !badm_i_at_least(g->delta, 0))
        return badm_i_growth_refuse(tr, BADM_I_TEXT("delta: a number >= 0 is expected"), 0, 0);
    if (g->kind == BADM_GROWTH_DIVERSE && tr->full.diversity == BADM_DIVERSITY_OFF)
        return badm_i_growth_refuse(tr, BADM_I_TEXT("the trainer's desc says nothing about diversity"), 0, 0);
    return BADM_OK;
}

/* The batch after growth, given what it would be; not a number counts as much. */
static uint32_t badm_i_growth_batch(const badm_growth *g, float wanted)
{
    if (!(wanted < (float)g->max_batch)) return g->max_batch;
    return wanted > (float)g->batch ? (uint32_t)wanted : g->batch;
}

BADM_API badm_result badm_growth_epoch(badm_growth *g, badm_trainer *tr, uint32_t n, badm_progress_fn fn, void *user)
{
    int due, measures;
    uint32_t batch = g->batch, epoch = tr->epoch;
    badm_result r = badm_i_growth_check(g, tr);
    if (r) return r;
    due = g->kind != BADM_GROWTH_NONE && (g->epoch + 1) % g->every == 0;
    measures = due && g->kind == BADM_GROWTH_DIVERSE && g->batch < g->max_batch;
    if (measures) {
        memset(tr->full.drift, 0, tr->n * sizeof(float));
        memset(&tr->full.squares, 0, sizeof tr->full.squares);
        tr->full.norms_of = badm_i_norms_of;
        tr->full.measured = 0;
        tr->full.measuring = 1;
    }
    r = badm_epoch(tr, n, g->batch, fn, user);
    tr->full.measuring = 0;
    if (tr->epoch == epoch) return r;               /* cancelled behind the last batch, it is over */
    g->epoch++;
    if (measures && tr->full.measured == n) {            /* the rest of an epoch that was interrupted would say something else */
        badm_i_fpu before = badm_i_fpu_enter();
        g->diversity = badm_i_sum_value(&tr->full.squares) / (badm_i_norm_square(tr, tr->full.drift, 0) + 1e-30f);
        batch = badm_i_growth_batch(g, g->delta * g->diversity * (float)n);
        if (g->scale_step) g->step *= (float)batch / (float)g->batch;
        badm_i_fpu_set(before);
    } else if (due && g->kind == BADM_GROWTH_PERIODIC) {
        float wanted = (float)g->batch * g->factor;
        batch = badm_i_growth_batch(g, wanted);
        g->step *= g->decay * ((float)batch / wanted);
    }
    g->batch = batch;
    return r;
}
#endif

/* =====================================================================================================================
   >>pdadmm     Layers trained side by side by alternating directions.

   A layer's two jobs of an iteration: `fit` moves its p, W, b and z, `link` its q and u; all fits are done before the first link.
   A fit reads q and u of the layer before it, a link p of the layer behind it, and neither writes these.

   r = W p + b - z is computed once a fit and then follows every move. Along minus its gradient g each subproblem is a parabola of
   known curvature c - for p, (nu |W g|^2 + rho |g|^2)/|g|^2 - so that a step 1/tau passes the backtracking test exactly for
   tau >= c, and doubling tau until it does costs nothing.
   ===================================================================================================================== */

#ifndef BADM_NO_PDADMM

#define BADM_I_FISTA_STEP 2.0f      /* 1/L: the Hessian of a softmax's log is at most 1/2 */
/* What passes through at a time is part of the result: a number of its own, on all machines. */
#define BADM_I_PD_LOGITS 64         /* logits of z_L that FISTA moves together: whole rows, at least one */
#define BADM_I_PD_ROWS 256          /* rows of a mean */

typedef struct badm_i_pd_layer {
    badm_linear linear;
    size_t in, out;
    float *w, *b, *p, *z, *q, *u;   /* w [out,in]; p [samples,in]; the last layer has no q and u */
    float *moved;                   /* [out,in]: W's direction */
    /* of the last iteration */
    badm_i_sum fit, link, inner, apart, loss, change;   /* |r|^2, |q - relu(z)|^2, <u,p-q>, |p-q|^2, cross entropy, |moves|^2 */
    double fit_seconds, link_seconds;
} badm_i_pd_layer;

/* A worker's own: r and what a direction does to it [samples,out]; a direction of p [samples,in]. */
typedef struct badm_i_pd_space { float *r, *effect, *direction, *columns, *logits, *scratch; } badm_i_pd_space;
enum { BADM_I_PD_A, BADM_I_PD_Y, BADM_I_PD_NEXT, BADM_I_PD_LAST, BADM_I_PD_SOFT, BADM_I_PD_MOST, BADM_I_PD_REST, BADM_I_PD_ARRAYS };

struct badm_pdadmm {
    badm_pdadmm_desc d;
    const badm_i_kernels *kernels;
    int level;
    badm_i_pd_layer *layer;
    uint32_t *order;                /* of the fits: the longest first */
    badm_i_pd_space *space;
    unsigned char *block;           /* what layers and workers have */
    size_t scratch_bytes, bytes;
    uint64_t iteration;
    badm_i_pool pool;
    uint8_t broken;
    badm_i_fault error;
    char sentence[BADM_I_SENTENCE];
};

static badm_result badm_i_pd_refuse(badm_i_fault *e, const char *message, unsigned long n0, unsigned long n1)
{
    return badm_i_error(e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_pdadmm_desc"), message, NULL, n0, n1);
}

BADM_API void badm_pdadmm_defaults(badm_pdadmm_desc *d)
{
    memset(d, 0, sizeof *d);
    d->filled = BADM_I_FILLED;
    d->nu = 1e-4f;
    d->rho = 4e-4f;
    d->doublings = 40;
    d->fista = 500;
    d->tolerance = 1e-4f;
    d->workers = badm_cpu_count();
}

/* ---- loops ---- */

/* r -= z */
BADM_I_INLINE void badm_i_pd_less_body(size_t n, const float *z, float *r)
{
    size_t i;
    BADM_I_EACH(i, n) r[i] -= z[i];
}
BADM_I_LOOP(badm_i_pd_less, (n, z, r), size_t n, const float *z, float *r)

/* The gradient of p: g = nu g + u + rho (p - q), where g was r W. */
BADM_I_INLINE void badm_i_pd_slope_body(size_t n, float nu, float rho, const float *u, const float *p, const float *q, float *g)
{
    size_t i;
    BADM_I_EACH(i, n) g[i] = nu * g[i] + u[i] + rho * (p[i] - q[i]);
}
BADM_I_LOOP(badm_i_pd_slope, (n, nu, rho, u, p, q, g), size_t n, float nu, float rho, const float *u, const float *p, const float *q,
            float *g)

/* z of a hidden layer, a = z + r being W p + b. Each side of relu has its minimiser of (z - a)^2 + (q - relu(z))^2 + (z - old)^2; the
   better one is taken, the last term counted. r becomes a - z; moved: the change of z. */
BADM_I_INLINE void badm_i_pd_z_body(size_t n, const float *q, float *z, float *r, float *moved)
{
    size_t i;
    BADM_I_EACH(i, n) {
        float old = z[i], a = old + r[i], below = 0.5f * (a + old), above = (a + old + q[i]) * (1.0f / 3.0f), f, g, chosen;
        below = badm_i_choose(below > 0.0f, 0.0f, below);
        above = badm_i_choose(above < 0.0f, 0.0f, above);
        f = (below - a) * (below - a) + (below - old) * (below - old) + q[i] * q[i];
        g = (above - a) * (above - a) + (above - old) * (above - old) + (q[i] - above) * (q[i] - above);
        chosen = badm_i_choose(g < f, above, below);
        z[i] = chosen;
        r[i] = a - chosen;
        moved[i] = chosen - old;
    }
}
BADM_I_LOOP(badm_i_pd_z, (n, q, z, r, moved), size_t n, const float *q, float *z, float *r, float *moved)

/* q = (rho p + u + nu relu(z))/(rho + nu), then u += rho (p - q). What the sums are made of: q's and u's moves, q - relu(z), p - q. */
BADM_I_INLINE void badm_i_pd_q_body(size_t n, float nu, float rho, const float *p, const float *z, float *q, float *u, float *q_moved,
                                    float *u_moved, float *off, float *apart)
{
    float each = 1.0f / (rho + nu);
    size_t i;
    BADM_I_EACH(i, n) {
        float h = badm_i_choose(z[i] > 0.0f, z[i], 0.0f), next = (rho * p[i] + u[i] + nu * h) * each, step = rho * (p[i] - next);
        q_moved[i] = next - q[i];
        u_moved[i] = step;
        off[i] = next - h;
        apart[i] = p[i] - next;
        q[i] = next;
        u[i] += step;
    }
}
BADM_I_LOOP(badm_i_pd_q, (n, nu, rho, p, z, q, u, q_moved, u_moved, off, apart), size_t n, float nu, float rho, const float *p,
            const float *z, float *q, float *u, float *q_moved, float *u_moved, float *off, float *apart)

/* ---- z of the last layer: FISTA (Beck and Teboulle 2009) with restarts (O'Donoghue and Candes 2015) ---- */

/* sum of CE(z) + nu/2 |z - a|^2 over rows; most and rest: of their logarithms. */
static float badm_i_pd_cost(const badm_pdadmm *p, size_t rows, size_t n, const float *z, const float *a, const int32_t *label,
                            float *most, float *rest, float *loss)
{
    float away = 0;
    size_t i;
    *loss = 0;
    badm_i_log_sum_exp(p->level, rows, n, z, most, rest);
    for (i = 0; i < rows; i++) *loss += (most[i] - z[i * n + (size_t)label[i]]) + rest[i];
    for (i = 0; i < rows * n; i++) away += (z[i] - a[i]) * (z[i] - a[i]);
    return *loss + 0.5f * p->d.nu * away;
}

/* Logits that are moved together. */
static size_t badm_i_pd_together(size_t classes) { return classes < BADM_I_PD_LOGITS ? BADM_I_PD_LOGITS / classes * classes : classes; }

/* Rows of z, given a in space, whose arrays have room for `room`; keeps the old z where the new one is no better. Returns their cross
   entropy. */
static float badm_i_pd_logits(const badm_pdadmm *p, size_t rows, size_t n, float *space, size_t room, const int32_t *label, float *z)
{
    const float *a = space + BADM_I_PD_A * room;
    float *y = space + BADM_I_PD_Y * room, *next = space + BADM_I_PD_NEXT * room, *last = space + BADM_I_PD_LAST * room;
    float *soft = space + BADM_I_PD_SOFT * room, *most = space + BADM_I_PD_MOST * room, *rest = space + BADM_I_PD_REST * room;
    float nu = p->d.nu, each = 1.0f / (nu + 1.0f / BADM_I_FISTA_STEP);
    float loss, new_loss, cost = badm_i_pd_cost(p, rows, n, z, a, label, most, rest, &loss), t = 1;
    size_t i, all = rows * n;
    uint32_t k;
    memcpy(y, z, all * sizeof *y);
    memcpy(last, z, all * sizeof *last);
    for (k = 0; k < p->d.fista; k++) {
        float worst = 0, against = 0, grown = 0.5f * (1.0f + badm_sqrtf(1.0f + 4.0f * t * t)), momentum = (t - 1.0f) / grown;
        badm_i_log_sum_exp(p->level, rows, n, y, most, rest);
        badm_i_add_softmax(p->level, rows, n, most, rest, 1.0f, 0, y, soft);
        for (i = 0; i < rows; i++) soft[i * n + (size_t)label[i]] -= 1.0f;
        for (i = 0; i < all; i++) {
            next[i] = (nu * a[i] + (y[i] - BADM_I_FISTA_STEP * soft[i]) * (1.0f / BADM_I_FISTA_STEP)) * each;
            against += (y[i] - next[i]) * (next[i] - last[i]);
            if (badm_i_abs(next[i] - last[i]) > worst) worst = badm_i_abs(next[i] - last[i]);
        }
        if (against > 0) { momentum = 0; grown = 1; }
        for (i = 0; i < all; i++) {
            y[i] = next[i] + momentum * (next[i] - last[i]);
            last[i] = next[i];
        }
        t = grown;
        if (worst <= p->d.tolerance) break;
    }
    if (badm_i_pd_cost(p, rows, n, last, a, label, most, rest, &new_loss) > cost) return loss;
    memcpy(z, last, all * sizeof *last);
    return new_loss;
}

/* ---- an iteration ---- */

static void badm_i_pd_product(const badm_pdadmm *p, const badm_i_pd_space *s, size_t m, size_t n, size_t k, const float *a, size_t a_row,
                              size_t a_term, const float *b, size_t b_term, size_t b_col, const float *from, float *c)
{
    badm_i_gemm(p->kernels, p->level, s->scratch, p->scratch_bytes, m, n, k, a, a_row, a_term, b, b_term, b_col, from, 0, c, n);
}

/* The first of start, 2 start, ... that is no less than the curvature; 0: none of those allowed is. */
static float badm_i_pd_backtrack(const badm_pdadmm *p, float start, float curvature)
{
    uint32_t k;
    for (k = 0; k <= p->d.doublings; k++, start *= 2) if (start >= curvature) return start;
    return 0;
}

/* x -= direction/by, r -= effect/by; x's change counts. */
static void badm_i_pd_move(const badm_pdadmm *p, badm_i_pd_layer *l, float by, float square, size_t n, const float *direction, float *x,
                           size_t rows, const float *effect, float *r)
{
    badm_i_add_scaled(p->level, n, -1.0f / by, direction, x);
    badm_i_add_scaled(p->level, rows * l->out, -1.0f / by, effect, r);
    badm_i_sum_add(&l->change, square / (by * by));
}

static void badm_i_pd_move_p(const badm_pdadmm *p, const badm_i_pd_space *s, badm_i_pd_layer *l, const badm_i_pd_layer *before)
{
    size_t n = p->d.samples, all = n * l->in;
    float square, curvature, tau;
    badm_i_pd_product(p, s, n, l->in, l->out, s->r, l->out, 1, l->w, l->in, 1, NULL, s->direction);
    badm_i_pd_slope(p->level, all, p->d.nu, p->d.rho, before->u, l->p, before->q, s->direction);
    square = badm_i_dot(p->level, s->direction, s->direction, all);
    if (!(square > 0)) return;
    badm_i_pd_product(p, s, n, l->out, l->in, s->direction, l->in, 1, l->w, 1, l->in, NULL, s->effect);
    curvature = p->d.rho + p->d.nu * (badm_i_dot(p->level, s->effect, s->effect, n * l->out) / square);
    tau = badm_i_pd_backtrack(p, p->d.tau > 0 ? p->d.tau : p->d.rho, curvature);
    if (tau > 0) badm_i_pd_move(p, l, tau, square, all, s->direction, l->p, n, s->effect, s->r);
}

static void badm_i_pd_move_w(const badm_pdadmm *p, const badm_i_pd_space *s, badm_i_pd_layer *l)
{
    size_t n = p->d.samples, all = l->out * l->in, i;
    float square, curvature, theta;
    badm_i_pd_product(p, s, l->out, l->in, n, s->r, 1, l->out, l->p, l->in, 1, NULL, l->moved);
    for (i = 0; i < all; i++) l->moved[i] *= p->d.nu;
    square = badm_i_dot(p->level, l->moved, l->moved, all);
    if (!(square > 0)) return;
    badm_i_pd_product(p, s, n, l->out, l->in, l->p, l->in, 1, l->moved, 1, l->in, NULL, s->effect);
    curvature = p->d.nu * (badm_i_dot(p->level, s->effect, s->effect, n * l->out) / square);
    theta = badm_i_pd_backtrack(p, p->d.theta > 0 ? p->d.theta : p->d.nu, curvature);
    if (theta > 0) badm_i_pd_move(p, l, theta, square, all, l->moved, l->w, n, s->effect, s->r);
}

/* b -= the mean of r over the samples. */
static void badm_i_pd_move_b(const badm_pdadmm *p, const badm_i_pd_space *s, badm_i_pd_layer *l)
{
    size_t n = p->d.samples, i, j, run;
    float *mean = s->columns, *part = s->columns + l->out, each = -1.0f / (float)n;
    for (j = 0; j < l->out; j++) mean[j] = 0;
    for (i = 0; i < n; i += run) {          /* sums of some rows, then of these: short chains */
        size_t k;
        run = n - i < BADM_I_PD_ROWS ? n - i : BADM_I_PD_ROWS;
        memcpy(part, s->r + i * l->out, l->out * sizeof(float));
        for (k = 1; k < run; k++) badm_i_add_scaled(p->level, l->out, 1.0f, s->r + (i + k) * l->out, part);
        badm_i_add_scaled(p->level, l->out, each, part, mean);
    }
    badm_i_add_scaled(p->level, l->out, 1.0f, mean, l->b);
    for (i = 0; i < n; i++) badm_i_add_scaled(p->level, l->out, 1.0f, mean, s->r + i * l->out);
    badm_i_sum_dot(p->level, &l->change, mean, mean, l->out);
}

static void badm_i_pd_move_z(const badm_pdadmm *p, const badm_i_pd_space *s, badm_i_pd_layer *l, int last)
{
    size_t all = (size_t)p->d.samples * l->out, room = badm_i_pd_together(l->out), i, part;
    if (!last) badm_i_pd_z(p->level, all, l->q, l->z, s->r, s->effect);
    for (i = 0; last && i < all; i += part) {
        float *z = l->z + i, *r = s->r + i, *moved = s->effect + i, *a = s->logits + BADM_I_PD_A * room;
        size_t k;
        part = all - i < room ? all - i : room;
        for (k = 0; k < part; k++) { a[k] = z[k] + r[k]; moved[k] = z[k]; }
        badm_i_sum_add(&l->loss, badm_i_pd_logits(p, part / l->out, l->out, s->logits, room, p->d.label + i / l->out, z));
        for (k = 0; k < part; k++) { r[k] = a[k] - z[k]; moved[k] = z[k] - moved[k]; }
    }
    badm_i_sum_dot(p->level, &l->change, s->effect, s->effect, all);
    badm_i_sum_dot(p->level, &l->fit, s->r, s->r, all);
}

static void badm_i_pd_clear(badm_i_pd_layer *l)
{
    memset(&l->fit, 0, sizeof l->fit);
    l->link = l->inner = l->apart = l->loss = l->change = l->fit;
}

static void badm_i_pd_fit(void *of, uint32_t worker, uint32_t job)
{
    badm_pdadmm *p = (badm_pdadmm *)of;
    uint32_t number = p->order[job];
    badm_i_pd_layer *l = &p->layer[number];
    const badm_i_pd_space *s = &p->space[worker];
    size_t n = p->d.samples;
    double began = p->d.clock ? p->d.clock() : 0;
    badm_i_pd_clear(l);
    badm_i_pd_product(p, s, n, l->out, l->in, l->p, l->in, 1, l->w, 1, l->in, l->b, s->r);
    badm_i_pd_less(p->level, n * l->out, l->z, s->r);
    if (number > 0) badm_i_pd_move_p(p, s, l, l - 1);
    badm_i_pd_move_w(p, s, l);
    badm_i_pd_move_b(p, s, l);
    badm_i_pd_move_z(p, s, l, number + 1 == p->d.layers);
    l->fit_seconds = p->d.clock ? p->d.clock() - began : 0;
}

/* Lanes of a block, which begin again. */
static void badm_i_take_lanes(badm_i_sum *s, float *lane)
{
    badm_i_sum_add(s, badm_i_fold_lanes(lane));
    memset(lane, 0, BADM_I_LANES * sizeof *lane);
}

static void badm_i_pd_link(void *of, uint32_t worker, uint32_t job)
{
    badm_pdadmm *p = (badm_pdadmm *)of;
    badm_i_pd_layer *l = &p->layer[job];
    size_t all = (size_t)p->d.samples * l->out, i, n;
    float change[BADM_I_LANES] = { 0 }, link[BADM_I_LANES] = { 0 }, inner[BADM_I_LANES] = { 0 }, apart[BADM_I_LANES] = { 0 };
    double began = p->d.clock ? p->d.clock() : 0;
    (void)worker;
    for (i = 0; i < all; i += n) {
        float q_moved[BADM_I_RUN], u_moved[BADM_I_RUN], off[BADM_I_RUN], between[BADM_I_RUN];
        n = all - i < BADM_I_RUN ? all - i : BADM_I_RUN;
        badm_i_pd_q(p->level, n, p->d.nu, p->d.rho, l[1].p + i, l->z + i, l->q + i, l->u + i, q_moved, u_moved, off, between);
        badm_i_add_to_lanes(p->level, n, q_moved, q_moved, change);
        badm_i_add_to_lanes(p->level, n, u_moved, u_moved, change);
        badm_i_add_to_lanes(p->level, n, off, off, link);
        badm_i_add_to_lanes(p->level, n, l->u + i, between, inner);
        badm_i_add_to_lanes(p->level, n, between, between, apart);
        if ((i + n) % BADM_I_BLOCK && i + n < all) continue;
        badm_i_take_lanes(&l->change, change);
        badm_i_take_lanes(&l->link, link);
        badm_i_take_lanes(&l->inner, inner);
        badm_i_take_lanes(&l->apart, apart);
    }
    l->link_seconds = p->d.clock ? p->d.clock() - began : 0;
}

static void badm_i_pd_add(badm_i_sum *s, float weight, const badm_i_sum *x)
{
    badm_i_sum_add(s, weight * x->value);
    badm_i_sum_add(s, weight * x->lost);
}

BADM_API badm_result badm_pdadmm_step(badm_pdadmm *p, badm_pdadmm_report *report)
{
    badm_i_fpu before;
    badm_i_sum lagrangian = { 0, 0 }, loss = { 0, 0 }, apart = { 0, 0 }, change = { 0, 0 };
    uint32_t i;
    if (p->broken)
        return badm_i_error(&p->error, BADM_ERR_STATE, BADM_I_TEXT("badm_pdadmm_step"),
                            BADM_I_TEXT("an iteration before failed; the model has what came before it"), NULL, 0, 0);
    if (p->d.cancel && *p->d.cancel)
        return badm_i_error(&p->error, BADM_ERR_CANCELLED, BADM_I_TEXT("badm_pdadmm_step"), "", NULL, 0, 0);
    badm_i_error(&p->error, BADM_OK, "", "", NULL, 0, 0);
    before = badm_i_fpu_enter();
    badm_i_jobs(&p->pool, badm_i_pd_fit, p->d.layers, p->d.workers, 0);
    badm_i_jobs(&p->pool, badm_i_pd_link, p->d.layers - 1, p->d.workers, 0);
    for (i = 0; i < p->d.layers; i++) {
        const badm_i_pd_layer *l = &p->layer[i];
        badm_i_pd_add(&lagrangian, 1.0f, &l->loss);
        badm_i_pd_add(&lagrangian, 0.5f * p->d.nu, &l->fit);
        badm_i_pd_add(&lagrangian, 0.5f * p->d.nu, &l->link);
        badm_i_pd_add(&lagrangian, 1.0f, &l->inner);
        badm_i_pd_add(&lagrangian, 0.5f * p->d.rho, &l->apart);
        badm_i_pd_add(&loss, 1.0f, &l->loss);
        badm_i_pd_add(&apart, 1.0f, &l->apart);
        badm_i_pd_add(&change, 1.0f, &l->change);
    }
    if (!badm_i_is_finite(badm_i_sum_value(&lagrangian))) {
        p->broken = 1;
        badm_i_fpu_set(before);
        return badm_i_error(&p->error, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_pdadmm_step"),
                            BADM_I_TEXT("the Lagrangian is not finite: a smaller nu or rho is expected; the model keeps what the iteration "
                                        "before left"), NULL, 0, 0);
    }
    for (i = 0; i < p->d.layers; i++) {
        const badm_i_pd_layer *l = &p->layer[i];
        memcpy(badm_param_data(l->linear.weight), l->w, l->out * l->in * sizeof(float));
        memcpy(badm_param_data(l->linear.bias), l->b, l->out * sizeof(float));
    }
    if (report) {
        report->iteration = p->iteration;
        report->lagrangian = badm_i_sum_value(&lagrangian);
        report->loss = badm_i_sum_value(&loss) / (float)p->d.samples;
        report->primal = badm_sqrtf(badm_i_sum_value(&apart));
        report->change = badm_sqrtf(badm_i_sum_value(&change));
    }
    p->iteration++;
    badm_i_fpu_set(before);
    return BADM_OK;
}

/* ---- memory ---- */

/* Gives layers whose sizes are known, and workers, their numbers. */
static void badm_i_pd_carve(badm_pdadmm *p, badm_i_pd_layer *layer, uint32_t layers, badm_i_carver *c)
{
    size_t n = p->d.samples, most_in = 1, most_out = 1, i;
    for (i = 0; i < layers; i++) {
        badm_i_pd_layer *l = &layer[i];
        size_t weights = badm_i_times(l->in, l->out), outputs = badm_i_times(n, l->out);
        if (l->in > most_in) most_in = l->in;
        if (l->out > most_out) most_out = l->out;
        l->w = (float *)badm_i_carve(c, weights, sizeof(float));
        l->moved = (float *)badm_i_carve(c, weights, sizeof(float));
        l->b = (float *)badm_i_carve(c, l->out, sizeof(float));
        l->z = (float *)badm_i_carve(c, outputs, sizeof(float));
        l->p = i > 0 ? (float *)badm_i_carve(c, badm_i_times(n, l->in), sizeof(float)) : (float *)(uintptr_t)p->d.x;     /* only read */
        if (i + 1 == layers) { l->q = l->u = NULL; continue; }
        l->q = (float *)badm_i_carve(c, outputs, sizeof(float));
        l->u = (float *)badm_i_carve(c, outputs, sizeof(float));
    }
    p->scratch_bytes = badm_i_gemm_scratch(p->kernels, n, most_out, most_in > n ? most_in : n, 1, 1);
    for (i = 0; i < p->d.workers; i++) {
        badm_i_pd_space *s = &p->space[i];
        s->r = (float *)badm_i_carve(c, badm_i_times(n, most_out), sizeof(float));
        s->effect = (float *)badm_i_carve(c, badm_i_times(n, most_out), sizeof(float));
        s->direction = (float *)badm_i_carve(c, badm_i_times(n, most_in), sizeof(float));
        s->columns = (float *)badm_i_carve(c, badm_i_times(2, most_out), sizeof(float));
        s->logits = (float *)badm_i_carve(c, badm_i_times(BADM_I_PD_ARRAYS, badm_i_pd_together(layer[layers - 1].out)), sizeof(float));
        s->scratch = (float *)badm_i_carve(c, 1, p->scratch_bytes);
    }
}

static void badm_i_pd_order(badm_pdadmm *p)
{
    uint32_t i, j;
    for (i = 0; i < p->d.layers; i++) {
        const badm_i_pd_layer *l = &p->layer[i];
        for (j = i; j > 0 && p->layer[p->order[j - 1]].in * p->layer[p->order[j - 1]].out < l->in * l->out; j--)
            p->order[j] = p->order[j - 1];
        p->order[j] = i;
    }
}

/* Memory for layers whose records have sizes; the block that was there is the caller's to free. */
static badm_result badm_i_pd_room(badm_pdadmm *p, badm_i_pd_layer *layer, uint32_t layers, badm_i_fault *e)
{
    badm_i_carver c = { NULL, 0 };
    unsigned char *block;
    badm_i_pd_carve(p, layer, layers, &c);
    block = c.used == BADM_I_NONE ? NULL : (unsigned char *)badm_i_alloc(p->d.memory, c.used);
    if (!block)
        return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_pdadmm"), BADM_I_TEXT("%0 bytes are needed, the allocator refused"),
                            NULL, (unsigned long)c.used, 0);
    p->bytes = c.used;
    p->block = block;
    c.base = block;
    c.used = 0;
    badm_i_pd_carve(p, layer, layers, &c);
    return BADM_OK;
}

/* Every way in which a desc can be wrong. */
static badm_result badm_i_pd_check(const badm_pdadmm_desc *d, badm_i_fault *e)
{
    const badm_i_record *before = NULL;
    uint32_t i, classes;
    size_t at;
    if (!d || d->filled != BADM_I_FILLED)
        return badm_i_pd_refuse(e, BADM_I_TEXT("it is not filled: call badm_pdadmm_defaults first"), 0, 0);
    if (!d->model || !d->layer || d->layers < 2)
        return badm_i_pd_refuse(e, BADM_I_TEXT("a model and at least two of its linear layers are expected, %0 are given"), d->layers, 0);
    if (!badm_i_at_least(d->nu, 1e-30f) || !badm_i_at_least(d->rho, 1e-30f))
        return badm_i_pd_refuse(e, BADM_I_TEXT("nu and rho: numbers > 0 are expected"), 0, 0);
    if (!badm_i_at_least(d->tau, 0) || !badm_i_at_least(d->theta, 0) || !badm_i_at_least(d->tolerance, 0))
        return badm_i_pd_refuse(e, BADM_I_TEXT("tau, theta and tolerance: numbers >= 0 are expected"), 0, 0);
    if (d->workers < 1 || d->samples < 1 || !d->x || !d->label)
        return badm_i_pd_refuse(e, BADM_I_TEXT("%0 workers, %1 samples: at least one of each, x and label are expected"), d->workers,
                                d->samples);
    for (i = 0; i < d->layers; i++) {
        const badm_i_record *w = badm_i_record_of(d->layer[i].weight), *b = badm_i_record_of(d->layer[i].bias);
        if (!w || !b || d->layer[i].weight.model != d->model || d->layer[i].bias.model != d->model || w->shape.rank != 2 || w->mapped
            || b->mapped)
            return badm_i_pd_refuse(e, BADM_I_TEXT("layer %0: a linear layer of the model, with a bias, in memory is expected"), i, 0);
        if (before && before->shape.dim[0] != w->shape.dim[1])
            return badm_i_pd_refuse(e, BADM_I_TEXT("layer %0 takes %1 inputs, not as many as the layer before gives"), i, w->shape.dim[1]);
        before = w;
    }
    classes = before->shape.dim[0];
    for (i = 0; i < d->samples; i++)
        if (d->label[i] < 0 || (uint32_t)d->label[i] >= classes)
            return badm_i_error(e, BADM_ERR_LABEL, BADM_I_TEXT("badm_pdadmm_desc"), BADM_I_TEXT("the label of sample %0 is none of %1 classes"),
                                NULL, i, classes);
    at = badm_i_times(d->samples, badm_i_record_of(d->layer[0].weight)->shape.dim[1]);
    if (!badm_i_all_finite(badm_i_simd_level(), d->x, at))
        return badm_i_error(e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_pdadmm_desc"), BADM_I_TEXT("x has a value that is not finite"), NULL,
                            0, 0);
    return BADM_OK;
}

BADM_API void badm_pdadmm_free(badm_pdadmm *p)
{
    badm_memory *mem;
    if (!p) return;
    mem = p->d.memory;
    badm_i_pool_stop(&p->pool);
    badm_i_free(mem, p->block);
    badm_i_free(mem, p->layer);
    badm_i_free(mem, p);
}

static void badm_i_pd_layer_of(badm_i_pd_layer *l, badm_linear linear)
{
    const badm_i_record *w = badm_i_record_of(linear.weight);
    memset(l, 0, sizeof *l);
    l->linear = linear;
    l->out = w->shape.dim[0];
    l->in = w->shape.dim[1];
}

/* The records of `layers` layers and a place for each in the order, or NULL. */
static badm_i_pd_layer *badm_i_pd_records(badm_memory *mem, uint32_t layers)
{
    return (badm_i_pd_layer *)badm_i_alloc(mem, badm_i_times(layers, sizeof(badm_i_pd_layer) + sizeof(uint32_t)));
}

static badm_result badm_i_pd_new(badm_pdadmm **out, const badm_pdadmm_desc *d, badm_i_fault *e)
{
    badm_i_carver c = { NULL, 0 };
    badm_i_fpu before;
    badm_pdadmm *p = NULL, plan;
    uint32_t i, pass;
    size_t j;
    *out = NULL;
    badm_i_error(e, BADM_OK, "", "", NULL, 0, 0);
    if (badm_i_pd_check(d, e)) return e->code;
    memset(&plan, 0, sizeof plan);
    for (pass = 0; pass < 2; pass++) {
        c.used = 0;
        p = (badm_pdadmm *)badm_i_carve(&c, 1, sizeof *p);
        if (p) { *p = plan; p->d = *d; }
        else p = &plan;
        p->space = (badm_i_pd_space *)badm_i_carve(&c, d->workers, sizeof *p->space);
        badm_i_pool_carve(&p->pool, &c, d->workers);
        if (pass == 0) c.base = (unsigned char *)badm_i_alloc(d->memory, c.used);
        if (!c.base) break;
    }
    if (c.base) p->layer = badm_i_pd_records(d->memory, d->layers);
    if (!c.base || !p->layer) {
        badm_i_free(d->memory, c.base);
        return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_pdadmm_new"), BADM_I_TEXT("no memory for %0 layers"), NULL, d->layers, 0);
    }
    p->d.layer = NULL;                              /* the records have them */
    p->order = (uint32_t *)(void *)(p->layer + d->layers);
    p->level = badm_i_simd_level();
    p->kernels = badm_i_kernels_of(p->level);
    for (i = 0; i < d->layers; i++) badm_i_pd_layer_of(&p->layer[i], d->layer[i]);
    if (badm_i_pd_room(p, p->layer, d->layers, e)) { badm_pdadmm_free(p); return e->code; }
    badm_i_pd_order(p);
    before = badm_i_fpu_enter();
    for (i = 0; i < d->layers; i++) {
        badm_i_pd_layer *l = &p->layer[i];
        size_t all = d->samples * l->out;
        memcpy(l->w, badm_param_values(l->linear.weight), l->out * l->in * sizeof(float));
        memcpy(l->b, badm_param_values(l->linear.bias), l->out * sizeof(float));
        badm_i_pd_product(p, p->space, d->samples, l->out, l->in, l->p, l->in, 1, l->w, 1, l->in, l->b, l->z);
        if (!l->q) continue;
        for (j = 0; j < all; j++) l->q[j] = l->z[j] > 0 ? l->z[j] : 0.0f;
        memset(l->u, 0, all * sizeof(float));
        memcpy(l[1].p, l->q, all * sizeof(float));
    }
    badm_i_fpu_set(before);
    if (badm_i_pool_start(&p->pool, p, d->workers)) {
        badm_pdadmm_free(p);
        return badm_i_error(e, BADM_ERR_THREAD, BADM_I_TEXT("badm_pdadmm_new"), BADM_I_TEXT("%0 threads cannot be started"), NULL,
                            d->workers - 1, 0);
    }
    *out = p;
    return BADM_OK;
}

BADM_API badm_result badm_pdadmm_new(badm_pdadmm **out, const badm_pdadmm_desc *d, badm_error *err)
{
    badm_i_fault e;
    badm_i_pd_new(out, d, &e);
    return badm_i_error_out(&e, err);
}

BADM_API badm_result badm_pdadmm_grow(badm_pdadmm *p, const badm_linear *added, uint32_t count)
{
    uint32_t layers = p->d.layers + count, last = p->d.layers - 1, i;
    size_t width = p->layer[last].in, n = p->d.samples, j;
    badm_i_pd_layer *layer;
    unsigned char *block = p->block;
    badm_i_fault *e = &p->error;
    badm_i_error(e, BADM_OK, "", "", NULL, 0, 0);
    for (i = 0; i < count; i++) {
        const badm_i_record *w = badm_i_record_of(added[i].weight), *b = badm_i_record_of(added[i].bias);
        if (!w || !b || added[i].weight.model != p->d.model || added[i].bias.model != p->d.model || w->mapped || b->mapped
            || w->shape.rank != 2 || w->shape.dim[0] != width || w->shape.dim[1] != width)
            return badm_i_error(e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_pdadmm_grow"),
                                BADM_I_TEXT("layer %0: a linear layer [%1,%1] of the model, with a bias, is expected"), NULL, i,
                                (unsigned long)width);
    }
    layer = layers < count ? NULL : badm_i_pd_records(p->d.memory, layers);
    if (!layer)
        return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_pdadmm_grow"), BADM_I_TEXT("no memory for %0 layers"), NULL, layers, 0);
    for (i = 0; i < layers; i++) {
        if (i >= last && i < last + count) badm_i_pd_layer_of(&layer[i], added[i - last]);
        else layer[i] = p->layer[i < last ? i : i - count];
    }
    if (badm_i_pd_room(p, layer, layers, e)) {
        badm_i_carver old = { NULL, 0 };
        badm_i_free(p->d.memory, layer);
        old.base = block;                           /* workers' places as they were */
        badm_i_pd_carve(p, p->layer, p->d.layers, &old);
        return e->code;
    }
    for (i = 0; i < layers; i++) {
        badm_i_pd_layer *l = &layer[i];
        if (i >= last && i < last + count) {
            memset(l->w, 0, width * width * sizeof(float));
            for (j = 0; j < width; j++) l->w[j * width + j] = 1.0f;
            memset(l->b, 0, width * sizeof(float));
            memcpy(l->p, l[-1].q, n * width * sizeof(float));
            memcpy(l->z, l[-1].q, n * width * sizeof(float));
            memcpy(l->q, l[-1].q, n * width * sizeof(float));
            memset(l->u, 0, n * width * sizeof(float));
            memcpy(badm_param_data(l->linear.weight), l->w, width * width * sizeof(float));
            memcpy(badm_param_data(l->linear.bias), l->b, width * sizeof(float));
        } else {
            const badm_i_pd_layer *from = &p->layer[i < last ? i : i - count];
            memcpy(l->w, from->w, l->in * l->out * sizeof(float));
            memcpy(l->b, from->b, l->out * sizeof(float));
            memcpy(l->z, from->z, n * l->out * sizeof(float));
            if (i > 0) memcpy(l->p, from->p, n * l->in * sizeof(float));
            if (l->q) memcpy(l->q, from->q, n * l->out * sizeof(float));
            if (l->u) memcpy(l->u, from->u, n * l->out * sizeof(float));
        }
    }
    badm_i_free(p->d.memory, block);
    badm_i_free(p->d.memory, p->layer);
    p->layer = layer;
    p->order = (uint32_t *)(void *)(layer + layers);
    p->d.layers = layers;
    badm_i_pd_order(p);
    return BADM_OK;
}

BADM_API const float *badm_pdadmm_variable(const badm_pdadmm *p, char which, uint32_t layer)
{
    const badm_i_pd_layer *l = &p->layer[layer];
    if (layer >= p->d.layers) return NULL;
    return which == 'p' ? l->p : which == 'z' ? l->z : which == 'q' ? l->q : which == 'u' ? l->u : NULL;
}

BADM_API void badm_pdadmm_seconds(const badm_pdadmm *p, uint32_t layer, double *fit, double *link)
{
    *fit = layer < p->d.layers ? p->layer[layer].fit_seconds : 0;
    *link = layer + 1 < p->d.layers ? p->layer[layer].link_seconds : 0;
}

BADM_API size_t badm_pdadmm_memory(const badm_pdadmm *p) { return p->bytes; }

BADM_API const char *badm_pdadmm_error(badm_pdadmm *p)
{
    return badm_i_sentence(&p->error, p->sentence);
}

#undef BADM_I_FISTA_STEP

#endif

/* =====================================================================================================================
   >>sparse_sgd  Linear models on compressed rows.

   A batch is four phases, each done before the next begins: features the batch has catch up with l2 and SVRG's mean gradient; the
   samples' margins and slopes; sums over the batch by feature, which move w. The first and last are split by features - a worker
   owns a slice of them and looks at its part of every row of the batch, in the batch's order - and the margins by samples: so
   every number is made in one order whatever the number of workers.
   ===================================================================================================================== */

#ifndef BADM_NO_SPARSE_SGD

/* Features first..end-1, and those of them that the batch has. */
/* A feature in the batch: what its samples' gradients sum up to, and how many of them have it. */
typedef struct badm_i_sparse_cell { float sum; uint32_t present; } badm_i_sparse_cell;

typedef struct badm_i_slice_of { uint32_t first, end, *touched; } badm_i_slice_of;

struct badm_sparse_sgd {
    badm_sparse_desc d;
    uint32_t features, slices;
    float *w, *before;              /* [features + 1]; before: at the epoch's beginning, SVRG's anchor */
    badm_i_sparse_cell *cell;       /* of each feature */
    uint32_t *seen;                 /* of each feature: steps it knows of */
    float *weight;                  /* D_k; 1 where the mean is taken */
    float *mean, *anchor;           /* SVRG: gradient at `before`, of the loss alone [features + 1]; its slopes [samples] */
    float *gradient, *all;          /* as much of the objective's */
    float *slopes, *means;          /* of the sum over all samples in progress */
    float *slope;                   /* [batch] */
    uint32_t *index, *next;         /* the batch's samples; the one's after it, numbered while it is worked at */
    uint32_t *cut;                  /* [samples,slices - 1]: where in a row a slice ends */
    uint32_t *touched;
    badm_i_slice_of *slice;
    uint32_t count, next_count;     /* samples of these batches */
    uint32_t from, step, epoch;     /* the next batch's place in the epoch; batches of it done; epochs done */
    badm_i_sum *part;               /* of sums over samples, by runs of BADM_I_SPARSE_RUN */
    badm_i_pool pool;
    badm_i_fault error;
    char sentence[BADM_I_SENTENCE];
};

#define BADM_I_SPARSE_RUN 1024      /* samples */

BADM_API void badm_sparse_defaults(badm_sparse_desc *d)
{
    memset(d, 0, sizeof *d);
    d->filled = BADM_I_FILLED;
    d->batch = d->workers = 1;
    d->lr = 0.1f;
    d->intercept = 1;
}

/* 1 - exp(-x) for x >= 0, without the digits that the difference would lose. */
static float badm_i_decay(float x)
{
    return x < 0.03125f ? x * (1.0f - x * (0.5f - x * (0.166666667f - x * 0.0416666667f))) : 1.0f - badm_i_exp(-x);
}

/* <x_i,w> without b: four chains, so that additions need not wait for each other. */
static float badm_i_row_dot(const badm_csr *x, uint32_t i, const float *w)
{
    float sum[4] = { 0, 0, 0, 0 };
    uint32_t k = x->start[i], end = x->start[i + 1];
    for (; k + 4 <= end; k += 4) {
        sum[0] += x->value[k] * w[x->column[k]];
        sum[1] += x->value[k + 1] * w[x->column[k + 1]];
        sum[2] += x->value[k + 2] * w[x->column[k + 2]];
        sum[3] += x->value[k + 3] * w[x->column[k + 3]];
    }
    for (; k < end; k++) sum[0] += x->value[k] * w[x->column[k]];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* The loss's derivative by the margin. */
static float badm_i_sparse_slope(badm_sparse_loss loss, float margin, float y)
{
    if (loss == BADM_SQUARED) return margin - y;
    return y > 0 ? -badm_i_sigmoid(-margin) : badm_i_sigmoid(margin);
}

static float badm_i_sparse_value(badm_sparse_loss loss, float margin, float y)
{
    float m = y > 0 ? margin : -margin;
    if (loss == BADM_SQUARED) return 0.5f * (margin - y) * (margin - y);
    return (m < 0 ? -m : 0.0f) + badm_log1pf(badm_i_exp(m < 0 ? m : -m));
}

/* A feature after `steps` more steps in which no sample had it: w's l2 and SVRG's mean gradient. */
static void badm_i_sparse_catch_up(badm_sparse_sgd *s, uint32_t k, uint32_t step)
{
    float reach = s->d.lr * s->weight[k] * (float)(step - s->seen[k]);
    s->seen[k] = step;
    if (s->d.l2 > 0) s->w[k] -= badm_i_decay(s->d.l2 * reach) * (s->mean ? s->w[k] + s->mean[k] / s->d.l2 : s->w[k]);
    else if (s->mean) s->w[k] -= reach * s->mean[k];
}

/* Entries of sample i that belong to a slice. */
static void badm_i_sparse_within(const badm_sparse_sgd *s, uint32_t i, uint32_t slice, uint32_t *first, uint32_t *end)
{
    const uint32_t *cut = s->cut + (size_t)i * (s->slices - 1);
    *first = slice > 0 ? cut[slice - 1] : s->d.x->start[i];
    *end = slice + 1 < s->slices ? cut[slice] : s->d.x->start[i + 1];
}

static void badm_i_job_catch_up(void *of, uint32_t worker, uint32_t job)
{
    badm_sparse_sgd *s = (badm_sparse_sgd *)of;
    uint32_t b, k, end;
    (void)worker;
    for (b = 0; b < s->count; b++)
        for (badm_i_sparse_within(s, s->index[b], job, &k, &end); k < end; k++)
            if (s->seen[s->d.x->column[k]] != s->step) badm_i_sparse_catch_up(s, s->d.x->column[k], s->step);
}

static void badm_i_job_slopes(void *of, uint32_t worker, uint32_t job)
{
    badm_sparse_sgd *s = (badm_sparse_sgd *)of;
    uint32_t b = (uint32_t)((uint64_t)s->count * job / s->slices), end = (uint32_t)((uint64_t)s->count * (job + 1) / s->slices);
    float intercept = s->w[s->features];
    (void)worker;
    for (; b < end; b++) {
        uint32_t i = s->index[b];
        s->slope[b] = badm_i_sparse_slope(s->d.loss, badm_i_row_dot(s->d.x, i, s->w) + intercept, s->d.y[i]);
        if (s->anchor) s->slope[b] -= s->anchor[i];
    }
}

/* Part `job` of the next batch's samples. */
static void badm_i_sparse_number(badm_sparse_sgd *s, uint32_t job)
{
    uint32_t b = (uint32_t)((uint64_t)s->next_count * job / s->slices), end = (uint32_t)((uint64_t)s->next_count * (job + 1) / s->slices);
    for (; b < end; b++) s->next[b] = badm_shuffle(s->d.seed, s->epoch, s->d.x->rows, s->from + b);
}

static void badm_i_job_features(void *of, uint32_t worker, uint32_t job)
{
    badm_sparse_sgd *s = (badm_sparse_sgd *)of;
    badm_i_slice_of *slice = &s->slice[job];
    const badm_csr *x = s->d.x;
    badm_i_sparse_cell *cell = s->cell;
    float rate = s->d.lr / (float)s->count, *w = s->w;
    uint32_t b, k, end, *touched = slice->touched, count = 0;
    (void)worker;
    for (b = 0; b < s->count; b++) {
        float slope = s->slope[b];
        for (badm_i_sparse_within(s, s->index[b], job, &k, &end); k < end; k++) {
            badm_i_sparse_cell *c = &cell[x->column[k]];
            if (c->present++ == 0) touched[count++] = x->column[k];
            c->sum += slope * x->value[k];
        }
    }
    for (b = 0; b < count; b++) {
        badm_i_sparse_cell *c = &cell[touched[b]];
        float each = s->d.aggregation == BADM_BY_PRESENCE ? s->d.lr / (float)c->present : rate * s->weight[touched[b]];
        w[touched[b]] -= each * c->sum;
        memset(c, 0, sizeof *c);
    }
    badm_i_sparse_number(s, job);
}

static void badm_i_sparse_batch(badm_sparse_sgd *s)
{
    int lazy = s->d.l2 > 0 || s->mean;
    if (lazy) badm_i_jobs(&s->pool, badm_i_job_catch_up, s->slices, s->slices, 0);
    badm_i_jobs(&s->pool, badm_i_job_slopes, s->slices, s->slices, 0);
    badm_i_jobs(&s->pool, badm_i_job_features, s->slices, s->slices, 0);
    if (s->d.intercept) {
        float sum = 0;
        uint32_t b;
        for (b = 0; b < s->count; b++) sum += s->slope[b];
        s->w[s->features] -= s->d.lr * (sum / (float)s->count + (s->mean ? s->mean[s->features] : 0.0f));
    }
    s->step++;
}

/* ---- sums over all samples ---- */

/* Slopes of all samples, to `slopes`; or their losses, summed up by runs. */
static void badm_i_job_samples(void *of, uint32_t worker, uint32_t job)
{
    badm_sparse_sgd *s = (badm_sparse_sgd *)of;
    uint32_t i = job * BADM_I_SPARSE_RUN, end = s->d.x->rows - i < BADM_I_SPARSE_RUN ? s->d.x->rows : i + BADM_I_SPARSE_RUN;
    (void)worker;
    memset(&s->part[job], 0, sizeof s->part[job]);
    for (; i < end; i++) {
        float margin = badm_i_row_dot(s->d.x, i, s->w) + s->w[s->features];
        if (s->slopes) s->slopes[i] = badm_i_sparse_slope(s->d.loss, margin, s->d.y[i]);
        else badm_i_sum_add(&s->part[job], badm_i_sparse_value(s->d.loss, margin, s->d.y[i]));
    }
}

/* sum_i slopes_i x_ik / n of a slice's features; the turned matrix has the samples of each in order. */
static void badm_i_job_means(void *of, uint32_t worker, uint32_t job)
{
    badm_sparse_sgd *s = (badm_sparse_sgd *)of;
    const badm_csr *turned = s->d.x->turned;
    uint32_t k, at;
    (void)worker;
    for (k = s->slice[job].first; k < s->slice[job].end; k++) {
        badm_i_sum sum = { 0, 0 };
        for (at = turned->start[k]; at < turned->start[k + 1]; at++)
            badm_i_sum_add(&sum, s->slopes[turned->column[at]] * turned->value[at]);
        s->means[k] = badm_i_sum_value(&sum) / (float)s->d.x->rows;
    }
}

/* The loss's gradient at w, without l2, to means [features + 1]; slopes [samples] are left. */
static void badm_i_sparse_gradient(badm_sparse_sgd *s, float *slopes, float *means)
{
    badm_i_sum sum = { 0, 0 };
    s->slopes = slopes;
    s->means = means;
    badm_i_jobs(&s->pool, badm_i_job_samples, (s->d.x->rows - 1) / BADM_I_SPARSE_RUN + 1, s->slices, 0);
    badm_i_jobs(&s->pool, badm_i_job_means, s->slices, s->slices, 0);
    badm_i_sum_dot(badm_i_simd_level(), &sum, slopes, NULL, s->d.x->rows);
    means[s->features] = s->d.intercept ? badm_i_sum_value(&sum) / (float)s->d.x->rows : 0.0f;
}

BADM_API void badm_sparse_objective(badm_sparse_sgd *s, double *value, double *gradient_norm)
{
    badm_i_fpu before = badm_i_fpu_enter();
    uint32_t i, runs = (s->d.x->rows - 1) / BADM_I_SPARSE_RUN + 1;
    if (value) {
        double all = 0, square = 0;
        s->slopes = NULL;
        badm_i_jobs(&s->pool, badm_i_job_samples, runs, s->slices, 0);
        for (i = 0; i < runs; i++) all += (double)s->part[i].value + (double)s->part[i].lost;
        for (i = 0; i < s->features; i++) square += (double)s->w[i] * (double)s->w[i];
        *value = all / (double)s->d.x->rows + 0.5 * (double)s->d.l2 * square;
    }
    if (gradient_norm) {
        double square = 0;
        badm_i_sparse_gradient(s, s->all, s->gradient);
        for (i = 0; i <= s->features; i++) {
            double g = (double)s->gradient[i] + (i < s->features ? (double)s->d.l2 * (double)s->w[i] : 0);
            square += g * g;
        }
        *gradient_norm = square > 0 ? (double)badm_sqrtf((float)square) : 0;
    }
    badm_i_fpu_set(before);
}

BADM_API badm_result badm_sparse_margins(badm_sparse_sgd *s, const badm_csr *x, float *margin)
{
    badm_i_fpu before;
    uint32_t i;
    badm_i_error(&s->error, BADM_OK, "", "", NULL, 0, 0);
    if (x->cols > s->features)
        return badm_i_error(&s->error, BADM_ERR_SHAPE, BADM_I_TEXT("badm_sparse_margins"),
                            BADM_I_TEXT("rows of %0 features, at most the %1 that it was made for are expected"), NULL, x->cols, s->features);
    if (!x->value)
        return badm_i_error(&s->error, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_sparse_margins"), BADM_I_TEXT("a matrix with values is expected"),
                            NULL, 0, 0);
    before = badm_i_fpu_enter();
    for (i = 0; i < x->rows; i++) margin[i] = badm_i_row_dot(x, i, s->w) + s->w[s->features];
    badm_i_fpu_set(before);
    return BADM_OK;
}

/* ---- an epoch ---- */

static void badm_i_job_all_catch_up(void *of, uint32_t worker, uint32_t job)
{
    badm_sparse_sgd *s = (badm_sparse_sgd *)of;
    uint32_t k;
    (void)worker;
    for (k = s->slice[job].first; k < s->slice[job].end; k++) {
        badm_i_sparse_catch_up(s, k, s->step);
        s->seen[k] = 0;
    }
}

BADM_API badm_result badm_sparse_epoch(badm_sparse_sgd *s)
{
    uint32_t left = s->d.x->rows, i;
    badm_i_fpu before = badm_i_fpu_enter();
    badm_i_fault *e = &s->error;
    badm_i_error(e, BADM_OK, "", "", NULL, 0, 0);
    memcpy(s->before, s->w, ((size_t)s->features + 1) * sizeof(float));
    s->step = 0;
    if (s->d.svrg) badm_i_sparse_gradient(s, s->anchor, s->mean);
    s->from = 0;
    s->next_count = left < s->d.batch ? left : s->d.batch;
    for (i = 0; i < s->slices; i++) badm_i_sparse_number(s, i);
    while (left > 0) {
        uint32_t *done = s->index;
        if (s->d.cancel && *s->d.cancel) {
            badm_i_error(e, BADM_ERR_CANCELLED, BADM_I_TEXT("badm_sparse_epoch"), "", NULL, 0, 0);
            break;
        }
        s->index = s->next;
        s->next = done;
        s->count = s->next_count;
        s->from += s->count;
        left -= s->count;
        s->next_count = left < s->d.batch ? left : s->d.batch;
        badm_i_sparse_batch(s);
    }
    if (s->d.l2 > 0 || s->mean) badm_i_jobs(&s->pool, badm_i_job_all_catch_up, s->slices, s->slices, 0);
    if (!badm_i_all_finite(badm_i_simd_level(), s->w, (size_t)s->features + 1)) {
        memcpy(s->w, s->before, ((size_t)s->features + 1) * sizeof(float));
        badm_i_error(e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_sparse_epoch"),
                     BADM_I_TEXT("a weight is not finite: a smaller lr is expected; the weights are as before the epoch"), NULL, 0, 0);
    } else if (e->code == BADM_OK) s->epoch++;
    badm_i_fpu_set(before);
    return e->code;
}

/* ---- memory ---- */

static void badm_i_sparse_carve(badm_sparse_sgd *s, badm_i_carver *c)
{
    size_t features = (size_t)s->features + 1, rows = s->d.x->rows;
    badm_i_slice_of *slices;
    uint32_t i;
    s->w = (float *)badm_i_carve(c, features, sizeof(float));
    s->before = (float *)badm_i_carve(c, features, sizeof(float));
    s->cell = (badm_i_sparse_cell *)badm_i_carve(c, features, sizeof *s->cell);
    s->weight = (float *)badm_i_carve(c, features, sizeof(float));
    s->gradient = (float *)badm_i_carve(c, features, sizeof(float));
    s->seen = (uint32_t *)badm_i_carve(c, features, sizeof(uint32_t));
    s->touched = (uint32_t *)badm_i_carve(c, features, sizeof(uint32_t));
    s->all = (float *)badm_i_carve(c, rows, sizeof(float));
    if (s->d.svrg) {
        s->anchor = (float *)badm_i_carve(c, rows, sizeof(float));
        s->mean = (float *)badm_i_carve(c, features, sizeof(float));
    }
    s->slope = (float *)badm_i_carve(c, s->d.batch, sizeof(float));
    s->index = (uint32_t *)badm_i_carve(c, s->d.batch, sizeof(uint32_t));
    s->next = (uint32_t *)badm_i_carve(c, s->d.batch, sizeof(uint32_t));
    s->cut = (uint32_t *)badm_i_carve(c, badm_i_times(rows, s->slices - 1), sizeof(uint32_t));
    s->part = (badm_i_sum *)badm_i_carve(c, (rows - 1) / BADM_I_SPARSE_RUN + 1, sizeof *s->part);
    s->slice = slices = (badm_i_slice_of *)badm_i_carve(c, s->slices, sizeof *slices);
    badm_i_pool_carve(&s->pool, c, s->slices);
    for (i = 0; slices && i < s->slices; i++) memset(&slices[i], 0, sizeof slices[i]);
}

/* Slices of about as many entries each, and where they end in each row. */
static void badm_i_sparse_slices(badm_sparse_sgd *s)
{
    const badm_csr *x = s->d.x;
    uint32_t i, j, k = 0;
    for (i = 0; i < s->slices; i++) {
        uint64_t least = (uint64_t)x->start[x->rows] * (i + 1) / s->slices;
        s->slice[i].first = k;
        s->slice[i].touched = s->touched + k;
        while (k < s->features && (i + 1 == s->slices || x->turned->start[k + 1] <= least)) k++;
        s->slice[i].end = k;
    }
    for (i = 0; i < x->rows; i++)
        for (k = x->start[i], j = 0; j + 1 < s->slices; j++) {
            while (k < x->start[i + 1] && x->column[k] < s->slice[j].end) k++;
            s->cut[(size_t)i * (s->slices - 1) + j] = k;
        }
}

static badm_result badm_i_sparse_refuse(badm_i_fault *e, const char *message, unsigned long n0, unsigned long n1)
{
    return badm_i_error(e, BADM_ERR_ARGUMENT, BADM_I_TEXT("badm_sparse_desc"), message, NULL, n0, n1);
}

static badm_result badm_i_sparse_check(const badm_sparse_desc *d, badm_i_fault *e)
{
    if (!d || d->filled != BADM_I_FILLED)
        return badm_i_sparse_refuse(e, BADM_I_TEXT("it is not filled: call badm_sparse_defaults first"), 0, 0);
    if (!d->x || !d->y || !d->x->value || !d->x->turned || !d->x->turned->value || d->x->rows < 1)
        return badm_i_sparse_refuse(e, BADM_I_TEXT("y and a matrix x made by badm_csr_new are expected"), 0, 0);
    if (d->batch < 1 || d->workers < 1)
        return badm_i_sparse_refuse(e, BADM_I_TEXT("a batch of %0, %1 workers: at least one of each is expected"), d->batch, d->workers);
    if ((unsigned)d->loss > BADM_SQUARED || (unsigned)d->aggregation > BADM_BY_FREQUENCY)
        return badm_i_sparse_refuse(e, BADM_I_TEXT("loss %0, aggregation %1: there is no such"), (unsigned long)d->loss,
                                    (unsigned long)d->aggregation);
    if (!badm_i_at_least(d->lr, 0) || !badm_i_at_least(d->l2, 0))
        return badm_i_sparse_refuse(e, BADM_I_TEXT("lr and l2: numbers >= 0 are expected"), 0, 0);
    if (!badm_i_all_finite(badm_i_simd_level(), d->y, d->x->rows))
        return badm_i_error(e, BADM_ERR_NONFINITE, BADM_I_TEXT("badm_sparse_desc"), BADM_I_TEXT("a label is not finite"), NULL, 0, 0);
    return BADM_OK;
}

static badm_result badm_i_sparse_new(badm_sparse_sgd **out, const badm_sparse_desc *d, badm_i_fault *e)
{
    badm_i_carver c = { NULL, 0 };
    badm_sparse_sgd plan, *s;
    uint32_t k;
    *out = NULL;
    badm_i_error(e, BADM_OK, "", "", NULL, 0, 0);
    if (badm_i_sparse_check(d, e)) return e->code;
    memset(&plan, 0, sizeof plan);
    plan.d = *d;
    if (plan.d.batch > d->x->rows) plan.d.batch = d->x->rows;
    plan.features = d->x->cols;
    plan.slices = d->workers;
    badm_i_carve(&c, 1, sizeof plan);
    badm_i_sparse_carve(&plan, &c);
    c.base = c.used == BADM_I_NONE ? NULL : (unsigned char *)badm_i_alloc(d->memory, c.used);
    if (!c.base)
        return badm_i_error(e, BADM_ERR_MEMORY, BADM_I_TEXT("badm_sparse_new"), BADM_I_TEXT("%0 bytes are needed, the allocator refused"),
                            NULL, (unsigned long)c.used, 0);
    memset(c.base, 0, c.used);
    c.used = 0;
    s = (badm_sparse_sgd *)badm_i_carve(&c, 1, sizeof *s);
    *s = plan;
    badm_i_sparse_carve(s, &c);
    badm_i_sparse_slices(s);
    for (k = 0; k <= s->features; k++) {
        float p = k < s->features ? (float)(d->x->turned->start[k + 1] - d->x->turned->start[k]) / (float)d->x->rows : 1.0f;
        s->weight[k] = 1.0f;
        if (d->aggregation != BADM_BY_MEAN && p > 0 && p < 1.0f)
            s->weight[k] = badm_i_decay(-(float)s->d.batch * badm_log1pf(-p)) / p;
    }
    if (badm_i_pool_start(&s->pool, s, s->slices)) {
        badm_i_free(d->memory, s);
        return badm_i_error(e, BADM_ERR_THREAD, BADM_I_TEXT("badm_sparse_new"), BADM_I_TEXT("%0 threads cannot be started"), NULL,
                            d->workers - 1, 0);
    }
    *out = s;
    return BADM_OK;
}

BADM_API badm_result badm_sparse_new(badm_sparse_sgd **out, const badm_sparse_desc *d, badm_error *err)
{
    badm_i_fault e;
    badm_i_sparse_new(out, d, &e);
    return badm_i_error_out(&e, err);
}

BADM_API void badm_sparse_free(badm_sparse_sgd *s)
{
    if (!s) return;
    badm_i_pool_stop(&s->pool);
    badm_i_free(s->d.memory, s);
}

BADM_API float *badm_sparse_weights(badm_sparse_sgd *s) { return s->w; }
BADM_API void badm_sparse_set_lr(badm_sparse_sgd *s, float lr) { if (badm_i_at_least(lr, 0)) s->d.lr = lr; }

BADM_API const char *badm_sparse_error(badm_sparse_sgd *s)
{
    return badm_i_sentence(&s->error, s->sentence);
}

#undef BADM_I_SPARSE_RUN

#endif

/* =====================================================================================================================
   >>checks     What a user runs on code of their own, or on a new target.
   ===================================================================================================================== */

BADM_I_SELDOM

/* One run of the loss on a tape made for the purpose. */
static badm_result badm_i_check_loss(badm_tape *t, badm_model *m, badm_loss_fn loss, void *user, const badm_batch *b, float *grads,
                                     float *value)
{
    badm_tensor *y;
    badm_tape_reset(t);
    badm_tape_mode(t, 1, 1);
    badm_tape_watch(t, m, grads);
    y = loss(t, b, user);
    if (t->error.code) return t->error.code;
    if (!y || badm_size(y) != 1) {
        badm_fail(t, BADM_ERR_SHAPE, BADM_I_TEXT("badm_check_gradients"), BADM_I_TEXT("the loss is %a, a scalar is expected"), y,
                  NULL, 0, 0);
        return t->error.code;
    }
    *value = y->data[0];
    return grads ? badm_backward(t, y) : BADM_OK;
}

static badm_result badm_i_check_all(badm_tape *t, badm_model *m, badm_loss_fn loss, void *user, const badm_batch *b,
                                    size_t per_tensor, float eps, float *grads, badm_gradient_check *out)
{
    float value, up = 0, down = 0;
    size_t i, j;
    badm_result r;
    memset(grads, 0, m->trainable * sizeof(float));
    r = badm_i_check_loss(t, m, loss, user, b, grads, &value);
    if (r) return r;
    for (i = 0; i < m->count; i++) {
        badm_i_record *p = badm_i_record_at(m, i);
        size_t n = badm_i_shape_size(&p->shape), step = per_tensor && per_tensor < n ? n / per_tensor : 1;
        float floor = 0, *w = m->slab + p->offset;
        const float *g = grads + p->gradient;
        if (p->gradient == BADM_I_NONE) continue;
        for (j = 0; j < n; j++) if (badm_i_abs(g[j]) > floor) floor = badm_i_abs(g[j]);
        floor = floor * 1e-2f + 1e-6f;
        for (j = 0; j < n; j += step) {
            float before = w[j], h = eps * (badm_i_abs(before) > 1.0f ? badm_i_abs(before) : 1.0f), high, low, most, error;
            w[j] = high = before + h;
            r = badm_i_check_loss(t, m, loss, user, b, NULL, &up);
            w[j] = low = before - h;
            if (!r) r = badm_i_check_loss(t, m, loss, user, b, NULL, &down);
            w[j] = before;
            if (r) return r;
            value = (up - down) / (high - low);
            most = badm_i_abs(value) > badm_i_abs(g[j]) ? badm_i_abs(value) : badm_i_abs(g[j]);
            error = badm_i_abs(value - g[j]) / (most > floor ? most : floor);
            if (error > out->worst || badm_i_is_nan(error)) {
                out->worst = error;
                out->analytic = g[j];
                out->numeric = value;
                out->param = badm_param_at(m, i);
                out->entry = j;
                if (badm_i_is_nan(error)) return BADM_ERR_NONFINITE;
            }
        }
    }
    return BADM_OK;
}

BADM_API badm_result badm_check_gradients(badm_model *m, badm_loss_fn loss, void *user, uint32_t count, size_t per_tensor,
                                          float eps, badm_gradient_check *out)
{
    badm_trainer plan;
    badm_trainer_desc d;
    badm_tape *t = NULL;
    badm_batch b;
    badm_i_fault e;
    badm_result r;
    uint32_t *index, i;
    float *grads;
    badm_i_fpu before = badm_i_fpu_enter();
    memset(out, 0, sizeof *out);
    badm_trainer_defaults(&d);
    d.model = m;
    d.loss = loss;
    d.user = user;
    d.memory = m->memory;
    d.max_batch = count;
    d.sub_batches = d.workers = 1;
    badm_i_error(&e, BADM_OK, "", "", NULL, 0, 0);
    r = badm_i_plan(&plan, &d, &e);
    if (r) { badm_i_fpu_set(before); return badm_i_model_report(m, &e); }
    index = (uint32_t *)badm_i_alloc(m->memory, badm_i_times(count, sizeof *index));
    grads = index ? (float *)badm_i_alloc(m->memory, m->trainable * sizeof(float)) : NULL;
    r = grads ? badm_tape_new(&t, m->memory, plan.tape_bytes * 2) : BADM_ERR_MEMORY;
    if (r) badm_i_error(&e, r, BADM_I_TEXT("badm_check_gradients"), BADM_I_TEXT("%0 bytes are needed"), NULL,
                        (unsigned long)(plan.tape_bytes * 2 + m->trainable * sizeof(float)), 0);
    else {
        for (i = 0; i < count; i++) index[i] = i;
        memset(&b, 0, sizeof b);
        b.index = index;
        b.count = count;
        r = badm_i_check_all(t, m, loss, user, &b, per_tensor, eps > 0 ? eps : 1e-2f, grads, out);
        if (t->error.code) e = t->error;
        else if (r) badm_i_error(&e, r, BADM_I_TEXT("badm_check_gradients"), BADM_I_TEXT("a gradient of \"%n\" is not a number"),
                                 badm_param_name(out->param), 0, 0);
    }
    badm_tape_free(t);
    badm_i_free(m->memory, grads);
    badm_i_free(m->memory, index);
    badm_i_fpu_set(before);
    return r ? badm_i_model_report(m, &e) : BADM_OK;
}

#ifdef BADM_SELF_TEST

typedef struct badm_i_self { badm_linear hidden, output; } badm_i_self;

static badm_tensor *badm_i_self_loss(badm_tape *t, const badm_batch *b, void *user)
{
    static const float x[8] = { 0, 0, 0, 1, 1, 0, 1, 1 }, y[4] = { 0, 1, 1, 0 };
    const badm_i_self *s = (const badm_i_self *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, s->hidden, badm_rows(t, x, 2, b)));
    return badm_bce_with_logits(t, badm_linear_forward(t, s->output, h), badm_rows(t, y, 1, b));
}

/* Trains XOR for `steps` steps with S = 2 and so many workers; the loss before the last step, or -1. */
static float badm_i_self_train(badm_memory *mem, uint32_t workers, uint32_t steps, uint64_t *hash, float *gradient_error)
{
    badm_model *m = badm_model_new_in(mem, 3);
    badm_i_self s;
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    badm_report r;
    badm_gradient_check c;
    uint32_t i;
    r.loss = -1.0f;
    if (!m) return -1.0f;
    s.hidden = badm_linear_new(m, "hidden", 2, 8);
    s.output = badm_linear_new(m, "output", 8, 1);
    badm_trainer_defaults(&d);
    d.model = m;
    d.loss = badm_i_self_loss;
    d.user = &s;
    d.memory = mem;
    d.max_batch = 4;
    d.sub_batches = 2;
    d.workers = workers;
    d.sigma = 0.5f;
    d.rho = 4.5f;
    *gradient_error = badm_check_gradients(m, badm_i_self_loss, &s, 4, 0, 0, &c) ? 1.0f : c.worst;
    if (!badm_trainer_new(&tr, &d)) {
        for (i = 0; i < steps; i++) if (badm_step(tr, NULL, 4, &r)) { r.loss = -1.0f; break; }
    }
    *hash = badm_model_hash(m);
    badm_trainer_free(tr);
    badm_model_free(m);
    return r.loss;
}

static int badm_i_near(float x, float y, float relative) { return badm_i_abs(x - y) <= relative * badm_i_abs(y); }

BADM_API int badm_self_test(badm_memory *mem)
{
    uint32_t counter[4] = { 0, 0, 0, 0 }, key[2] = { 0, 0 }, out[4];
    uint64_t one, two;
    float error, loss;
    badm_i_philox(counter, key, out);
    if (out[0] != 0x6627E8D5u || out[3] != 0x9B00DBD8u) return 1;
    if (!badm_i_near(badm_expf(1.0f), 2.71828183f, 3e-7f) || !badm_i_near(badm_logf(10.0f), 2.30258509f, 3e-7f)) return 2;
    if (!badm_i_near(badm_tanhf(0.5f), 0.462117157f, 5e-7f) || !badm_i_near(badm_erff(0.5f), 0.520499878f, 5e-7f)) return 3;
    if (badm_sqrtf(2.0f) != 1.41421354f || !badm_i_near(badm_cosf(1.0f), 0.540302306f, 3e-7f)) return 4;
    loss = badm_i_self_train(mem, 1, 300, &one, &error);
    if (!(error < 2e-2f)) return 5;
    if (!(loss >= 0 && loss < 0.1f)) return 6;
    badm_i_self_train(mem, 2, 300, &two, &error);
    return one == two ? 0 : 7;
}

#else

BADM_API int badm_self_test(badm_memory *mem) { (void)mem; return BADM_ERR_BUILD; }

#endif

BADM_I_OFTEN

/* =====================================================================================================================
   >>files       safetensors for models and checkpoints, C arrays, .npy, IDX, CSV, LIBSVM.

   Every format is one body that works on a badm_i_file: a reader or writer, a small buffer, and the error it ends with.
   The public functions only choose where the bytes come from or go to. Nothing is trusted: sizes are checked for
   overflow before they are used, memory follows what has really been read, never what a header claims, and there is no
   recursion. What is loaded is staged in a buffer and copied to the model after the last check. On disk all is
   little-endian (IDX: big), put together from bytes, so that the machine's own order does not matter.
   ===================================================================================================================== */

BADM_I_SELDOM

#if UINTPTR_MAX <= 0xFFFFu
#define BADM_I_CHUNK 64u
#else
#define BADM_I_CHUNK 1024u
#endif
#define BADM_I_HEADER_LIMIT 16777216u       /* bytes of a safetensors header; the largest models have a tenth of that */
#define BADM_I_FIRST_PIECE 1048576u         /* bytes taken for an array before any of it has arrived */

/* A stream and where its errors go. As reader, chunk[at..have-1] is still to be given out; as writer,
   chunk[0..have-1] is still to be written. */
typedef struct badm_i_file {
    badm_reader *reader;
    badm_writer *writer;
    badm_memory *memory;
    const char *operation;          /* the public function */
    const char *name;               /* last part of the path; "" without one */
    const int *reason;              /* of a path: errno of a failed read or write, 0 if none; else NULL */
    badm_i_fault error;               /* the first error */
    uint64_t bytes;                 /* moved so far */
    size_t at, have;
    int counting;                   /* writing only counts */
    int ended;
    unsigned char chunk[BADM_I_CHUNK];
} badm_i_file;

typedef void (*badm_i_file_body)(badm_i_file *f, void *argument);

static void badm_i_file_init(badm_i_file *f, const char *operation, badm_memory *memory)
{
    memset(f, 0, sizeof *f);
    f->operation = operation;
    f->name = "";
    f->memory = memory;
}

static size_t badm_i_append(char *out, size_t at, size_t room, const char *s, size_t n)
{
    size_t i;
    for (i = 0; i < n && at + 1 < room; i++) out[at++] = (unsigned char)s[i] < 32 ? '?' : s[i];
    out[at] = 0;
    return at;
}

/* Sets the stream's error, unless it has one. %n becomes the beginning of the sentence,
   `digits.safetensors: tensor "fc1.weight": `, without the file where both do not fit. prefix and tensor (n bytes) make
   the tensor's name; NULL tensor: none. */
static int badm_i_file_fail(badm_i_file *f, badm_result code, const char *message, const char *prefix,
                            const char *tensor, size_t n, uint64_t n0, uint64_t n1)
{
    static const char quote[] = "tensor \"", close[] = "\": ";
    char name[BADM_ERROR_NAME];
    size_t file = badm_i_length(f->name), at = 0, need = 1, p = tensor ? badm_i_length(prefix) : 0;
    if (f->error.code != BADM_OK) return 0;
    name[0] = 0;
    if (tensor) need += sizeof quote - 1 + p + n + sizeof close - 1;
    if (file && need + file + 2 <= sizeof name) {
        at = badm_i_append(name, at, sizeof name, f->name, file);
        at = badm_i_append(name, at, sizeof name, ": ", 2);
    } else if (file && !tensor) {
        at = badm_i_append(name, at, sizeof name - 2, f->name, file);
        at = badm_i_append(name, at, sizeof name, ": ", 2);
    }
    if (tensor) {
        if (sizeof name > 32) at = badm_i_append(name, at, sizeof name - 3, quote, sizeof quote - 1);
        else at = badm_i_append(name, at, sizeof name - 3, "\"", 1);
        at = badm_i_append(name, at, sizeof name - 3, prefix, p);
        at = badm_i_append(name, at, sizeof name - 3, tensor, n);
        badm_i_append(name, at, sizeof name, close, 3);
    }
    badm_i_error(&f->error, code, f->operation, message, name, (unsigned long)n0, (unsigned long)n1);
    return 0;
}

static int badm_i_file_error(badm_i_file *f, badm_result code, const char *message, uint64_t n0, uint64_t n1)
{
    return badm_i_file_fail(f, code, message, NULL, NULL, 0, n0, n1);
}

static int badm_i_damaged(badm_i_file *f, const char *message, uint64_t n0, uint64_t n1)
{
    return badm_i_file_error(f, BADM_ERR_FORMAT, message, n0, n1);
}

static int badm_i_file_no_memory(badm_i_file *f, uint64_t bytes)
{
    return badm_i_file_error(f, BADM_ERR_MEMORY, BADM_I_TEXT("%nno memory for %0 bytes"), bytes, 0);
}

/* "no such file" and the like, where the system has said so. */
static const char *badm_i_reason(const int *reason, const char *otherwise)
{
    (void)reason;
#ifndef BADM_NO_STDIO
    switch (reason ? *reason : 0) {
#ifdef ENOENT
    case ENOENT: return BADM_I_TEXT("%nno such file or folder");
#endif
#ifdef EACCES
    case EACCES: return BADM_I_TEXT("%nno permission");
#endif
#ifdef EISDIR
    case EISDIR: return BADM_I_TEXT("%nis a folder");
#endif
#ifdef ENOSPC
    case ENOSPC: return BADM_I_TEXT("%nthe disk is full");
#endif
    default: break;
    }
#endif
    return otherwise;
}

static int badm_i_read_broken(badm_i_file *f)
{
    return badm_i_file_error(f, BADM_ERR_FILE,
                             badm_i_reason(f->reason, BADM_I_TEXT("%ncannot be read after byte %0")), f->bytes, 0);
}

/* Exactly n bytes, or an error. */
static int badm_i_read(badm_i_file *f, void *buf, size_t n)
{
    size_t got;
    if (!n) return 1;
    got = f->reader->read(buf, n, f->reader->user);
    if (got == n) { f->bytes += n; return 1; }
    if (got > n || (f->reason && *f->reason)) return badm_i_read_broken(f);
    return badm_i_damaged(f, BADM_I_TEXT("%nends early, after %0 bytes"), f->bytes + got, 0);
}

/* Nothing follows, or an error. */
static int badm_i_read_end(badm_i_file *f)
{
    unsigned char more;
    if (f->reader->read(&more, 1, f->reader->user))
        return badm_i_damaged(f, BADM_I_TEXT("%ngoes on after byte %0, where it should end"), f->bytes, 0);
    return f->reason && *f->reason ? badm_i_read_broken(f) : 1;
}

/* The next character of a text, -1 at its end. Every kind of line end is '\n'. */
static int badm_i_read_byte(badm_i_file *f)
{
    if (f->at == f->have) {
        if (f->ended) return -1;
        f->at = 0;
        f->have = f->reader->read(f->chunk, BADM_I_CHUNK, f->reader->user);
        f->ended = f->have < BADM_I_CHUNK;
        if (f->have > BADM_I_CHUNK || (f->reason && *f->reason)) { badm_i_read_broken(f); f->have = 0; f->ended = 1; }
        if (!f->have) return -1;
    }
    f->bytes++;
    return f->chunk[f->at++];
}

static int badm_i_read_char(badm_i_file *f)
{
    int c = badm_i_read_byte(f);
    if (c != '\r') return c;
    c = badm_i_read_byte(f);
    if (c != '\n' && c >= 0) { f->at--; f->bytes--; }
    return '\n';
}

static void badm_i_flush(badm_i_file *f)
{
    size_t n = f->have;
    f->have = 0;
    if (!n || f->error.code != BADM_OK) return;
    if (f->writer->write(f->chunk, n, f->writer->user) != n)
        badm_i_file_error(f, BADM_ERR_FILE,
                          badm_i_reason(f->reason, BADM_I_TEXT("%ncannot be written after byte %0")), f->bytes - n, 0);
}

/* Writing goes on after an error without effect: the end of a body is the one place to look. */
static void badm_i_write(badm_i_file *f, const void *p, size_t n)
{
    const unsigned char *from = (const unsigned char *)p;
    f->bytes += n;
    if (f->counting) return;
    while (n) {
        size_t k = BADM_I_CHUNK - f->have;
        if (k > n) k = n;
        memcpy(f->chunk + f->have, from, k);
        f->have += k;
        from += k;
        n -= k;
        if (f->have == BADM_I_CHUNK) badm_i_flush(f);
    }
}

static void badm_i_write_text(badm_i_file *f, const char *s) { badm_i_write(f, s, badm_i_length(s)); }

static void badm_i_write_number(badm_i_file *f, uint64_t v)
{
    char digits[20];
    size_t n = sizeof digits;
    do { digits[--n] = (char)('0' + (int)(v % 10)); v /= 10; } while (v);
    badm_i_write(f, digits + n, sizeof digits - n);
}

static uint64_t badm_i_bytes_value(const unsigned char *p, size_t n, int big)
{
    uint64_t v = 0;
    size_t i;
    for (i = 0; i < n; i++) v = v << 8 | p[big ? i : n - 1 - i];
    return v;
}

static void badm_i_write_words(badm_i_file *f, const void *words, size_t n)
{
    const unsigned char *from = (const unsigned char *)words;
    size_t i;
    for (i = 0; i < n; i++) {
        unsigned char b[4];
        uint32_t v;
        memcpy(&v, from + 4 * i, 4);
        b[0] = (unsigned char)(v & 255u); b[1] = (unsigned char)(v >> 8 & 255u);
        b[2] = (unsigned char)(v >> 16 & 255u); b[3] = (unsigned char)(v >> 24);
        badm_i_write(f, b, 4);
    }
}

/* The first of n floats that is not finite; n if all are. */
static size_t badm_i_first_nonfinite(const void *values, size_t n)
{
    const unsigned char *from = (const unsigned char *)values;
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t v;
        memcpy(&v, from + 4 * i, 4);
        if (!badm_i_is_finite(badm_i_float(v))) return i;
    }
    return n;
}

/* a*b, or 0 with *overflow set. By halves: compilers make a call of a 128-bit product of the usual test, which may not be there. */
static uint64_t badm_i_checked_product(uint64_t a, uint64_t b, int *overflow)
{
    uint64_t a_high = a >> 32, b_high = b >> 32, low = (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
    uint64_t middle = a_high * (b & 0xFFFFFFFFu) + b_high * (a & 0xFFFFFFFFu), product = (middle << 32) + low;
    if ((a_high && b_high) || middle >> 32 || product < low) { *overflow = 1; return 0; }
    return product;
}

/* An array that grows by doubling. */
typedef struct badm_i_vec { unsigned char *data; size_t count, capacity, size; } badm_i_vec;

static int badm_i_vec_reserve(badm_i_file *f, badm_i_vec *v, size_t capacity)
{
    unsigned char *p;
    if (capacity <= v->capacity) return 1;
    if (capacity > SIZE_MAX / v->size) return badm_i_file_no_memory(f, UINT64_MAX);
    p = (unsigned char *)badm_i_alloc(f->memory, capacity * v->size);
    if (!p) return badm_i_file_no_memory(f, (uint64_t)capacity * v->size);
    if (v->data) {
        memcpy(p, v->data, v->count * v->size);
        badm_i_free(f->memory, v->data);
    }
    v->data = p;
    v->capacity = capacity;
    return 1;
}

static void *badm_i_vec_push(badm_i_file *f, badm_i_vec *v)
{
    size_t twice = v->capacity > SIZE_MAX / 2 ? SIZE_MAX : 2 * v->capacity;
    if (v->count == v->capacity && !badm_i_vec_reserve(f, v, twice ? twice : 64)) return NULL;
    return v->data + v->size * v->count++;
}

static void badm_i_vec_free(badm_i_file *f, badm_i_vec *v)
{
    if (v->data) badm_i_free(f->memory, v->data);
    v->data = NULL;
    v->count = v->capacity = 0;
}

/* n bytes claimed by a header: memory grows with what arrives. */
static int badm_i_read_claimed(badm_i_file *f, badm_i_vec *v, uint64_t n)
{
    v->size = 1;
    while (v->count < n) {
        uint64_t left = n - v->count;
        size_t piece;
        if (v->count == v->capacity) {
            uint64_t more = v->capacity ? (uint64_t)v->capacity : BADM_I_FIRST_PIECE;
            if (more > left) more = left;
            if (more > SIZE_MAX - v->capacity) return badm_i_file_no_memory(f, n);
            if (!badm_i_vec_reserve(f, v, v->capacity + (size_t)more)) return 0;
        }
        piece = v->capacity - v->count;
        if (!badm_i_read(f, v->data + v->count, piece)) return 0;
        v->count += piece;
    }
    return 1;
}

/* ---- paths ---- */

#ifndef BADM_NO_STDIO
static const char *badm_i_last_part(const char *path)
{
    const char *p, *name = path;
    for (p = path; *p; p++)
        if ((*p == '/' || *p == '\\') && p[1]) name = p + 1;
    return name;
}

typedef struct badm_i_stdio { FILE *file; int reason; } badm_i_stdio;

static size_t badm_i_stdio_read(void *buf, size_t bytes, void *user)
{
    badm_i_stdio *s = (badm_i_stdio *)user;
    size_t got;
    errno = 0;
    got = fread(buf, 1, bytes, s->file);
    if (got < bytes && ferror(s->file)) s->reason = errno ? errno : -1;
    return got;
}

static void badm_i_read_path(badm_i_file *f, const char *path, badm_i_file_body body, void *argument)
{
    badm_i_stdio s;
    badm_reader r;
    f->name = badm_i_last_part(path);
    f->reason = &s.reason;
    errno = 0;
    s.file = fopen(path, "rb");
    s.reason = errno;
    if (!s.file) {
        badm_i_file_error(f, BADM_ERR_FILE, badm_i_reason(f->reason, BADM_I_TEXT("%ncannot be opened")), 0, 0);
        return;
    }
    s.reason = 0;
    r.read = badm_i_stdio_read;
    r.user = &s;
    f->reader = &r;
    body(f, argument);
    fclose(s.file);
    f->reader = NULL;
    f->reason = NULL;
}

/* Where saving goes: a file of another name in the same folder, renamed at the end. What is no ordinary file (a pipe, a
   terminal) is written directly: renaming would replace it. */
#ifdef BADM_I_POSIX_FILES
typedef struct badm_i_out { int file, reason, direct; } badm_i_out;

static size_t badm_i_out_write(const void *buf, size_t bytes, void *user)
{
    badm_i_out *o = (badm_i_out *)user;
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = write(o->file, (const char *)buf + done, bytes - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) { o->reason = n ? errno : -1; break; }
        done += (size_t)n;
    }
    return done;
}

static int badm_i_out_open(badm_i_out *o, const char *path, char *temporary, char *number)
{
    struct stat st;
    mode_t mode = 0666;
    int k;
    o->direct = 0;
    if (stat(path, &st) == 0) {
        o->direct = !S_ISREG(st.st_mode);
        mode = st.st_mode & 0777;
    }
    if (o->direct) o->file = open(path, O_WRONLY);
    else for (k = 0, o->file = -1, errno = EEXIST; k < 1000 && o->file < 0 && errno == EEXIST; k++) {
        number[0] = (char)('0' + k / 100); number[1] = (char)('0' + k / 10 % 10); number[2] = (char)('0' + k % 10);
        o->file = open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    }
    o->reason = o->file < 0 ? errno : 0;
    return o->file >= 0;
}

/* A file system that cannot sync says EINVAL, which is no failure to write. */
static int badm_i_out_close(badm_i_out *o, int sync)
{
    int ok = !sync || o->direct || fsync(o->file) == 0 || errno == EINVAL;
    if (!ok) o->reason = errno;
    if (close(o->file) != 0 && ok) { o->reason = errno; ok = 0; }
    return ok;
}
#else
typedef struct badm_i_out { FILE *file; int reason, direct; } badm_i_out;

static size_t badm_i_out_write(const void *buf, size_t bytes, void *user)
{
    badm_i_out *o = (badm_i_out *)user;
    size_t done;
    errno = 0;
    done = fwrite(buf, 1, bytes, o->file);
    if (done < bytes) o->reason = errno ? errno : -1;
    return done;
}

static int badm_i_out_open(badm_i_out *o, const char *path, char *temporary, char *number)
{
    (void)path; (void)number;
    o->direct = 0;
    errno = 0;
    o->file = fopen(temporary, "wb");
    o->reason = o->file ? 0 : errno;
    return o->file != NULL;
}

static int badm_i_out_close(badm_i_out *o, int sync)
{
    int ok;
    errno = 0;
    ok = fflush(o->file) == 0;
#ifdef _WIN32
    if (ok && sync) ok = _commit(_fileno(o->file)) == 0;
#else
    (void)sync;
#endif
    if (fclose(o->file) != 0) ok = 0;
    if (!ok) o->reason = errno ? errno : -1;
    return ok;
}
#endif

static int badm_i_rename(const char *from, const char *to)
{
#ifdef _WIN32
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0;
#else
    return rename(from, to) == 0;
#endif
}

static void badm_i_write_path(badm_i_file *f, const char *path, badm_i_file_body body, void *argument)
{
    static const char suffix[] = ".tmp000";
    size_t n = badm_i_length(path);
    char *temporary;
    badm_i_out o;
    badm_writer w;
    f->name = badm_i_last_part(path);
    f->reason = &o.reason;
    temporary = (char *)badm_i_alloc(f->memory, n + sizeof suffix);
    if (!temporary) { badm_i_file_no_memory(f, n + sizeof suffix); return; }
    memcpy(temporary, path, n);
    memcpy(temporary + n, suffix, sizeof suffix);
    if (badm_i_out_open(&o, path, temporary, temporary + n + 4)) {
        w.write = badm_i_out_write;
        w.user = &o;
        f->writer = &w;
        body(f, argument);
        badm_i_flush(f);
        if (!badm_i_out_close(&o, f->error.code == BADM_OK))
            badm_i_file_error(f, BADM_ERR_FILE, badm_i_reason(f->reason, BADM_I_TEXT("%ncannot be written")), 0, 0);
        if (!o.direct && f->error.code == BADM_OK && !badm_i_rename(temporary, path)) {
            o.reason = errno;
            badm_i_file_error(f, BADM_ERR_FILE, badm_i_reason(f->reason, BADM_I_TEXT("%ncannot be replaced")), 0, 0);
        }
        if (!o.direct && f->error.code != BADM_OK) remove(temporary);
        f->writer = NULL;
    } else badm_i_file_error(f, BADM_ERR_FILE, badm_i_reason(f->reason, BADM_I_TEXT("%ncannot be created")), 0, 0);
    badm_i_free(f->memory, temporary);
    f->reason = NULL;
}
#else
static void badm_i_read_path(badm_i_file *f, const char *path, badm_i_file_body body, void *argument)
{
    (void)path; (void)body; (void)argument;
    badm_i_file_error(f, BADM_ERR_BUILD, BADM_I_TEXT("BADM_NO_STDIO leaves file names out: use a reader"), 0, 0);
}

static void badm_i_write_path(badm_i_file *f, const char *path, badm_i_file_body body, void *argument)
{
    (void)path; (void)body; (void)argument;
    badm_i_file_error(f, BADM_ERR_BUILD, BADM_I_TEXT("BADM_NO_STDIO leaves file names out: use a writer"), 0, 0);
}
#endif

static void badm_i_read_from(badm_i_file *f, badm_reader *r, badm_i_file_body body, void *argument)
{
    f->reader = r;
    body(f, argument);
}

static void badm_i_write_to(badm_i_file *f, badm_writer *w, badm_i_file_body body, void *argument)
{
    f->writer = w;
    body(f, argument);
    badm_i_flush(f);
}

/* ---- numbers: 64-bit integers alone, so that no locale and no floating-point state matters ---- */

/* The bits of the float nearest to m 2^e, ties to even; infinity when there is none. The highest bit of m is set
   (m = 0: zero); its lowest stands for all that was cut off. */
static uint32_t badm_i_float_nearest(uint64_t m, int e)
{
    int exponent = e + 63, shift = 40;
    uint64_t q, rest, half;
    if (!m) return 0;
    if (exponent > 127) return 0x7f800000u;
    if (exponent < -126) shift += -126 - exponent;
    if (shift > 64) return 0;
    q = shift == 64 ? 0 : m >> shift;
    rest = shift == 64 ? m : m & (((uint64_t)1 << shift) - 1);
    half = (uint64_t)1 << (shift - 1);
    if (rest > half || (rest == half && (q & 1))) q++;
    if (exponent >= -126) q += (uint64_t)(exponent + 126) << 23;    /* the highest bit adds one, and so does a carry */
    return (uint32_t)q;
}

static void badm_i_normalise(uint64_t *m, int *e)
{
    while (!(*m >> 63)) { *m <<= 1; --*e; }
}

static void badm_i_times_ten(uint64_t *m, int *e)
{
    uint64_t cut = *m & 15;
    *m = (*m >> 4) * 10;
    *e += 4;
    badm_i_normalise(m, e);
    if (cut) *m |= 1;
}

static void badm_i_over_ten(uint64_t *m, int *e)
{
    uint64_t cut = *m % 10;
    *m /= 10;
    badm_i_normalise(m, e);
    if (cut) *m |= 1;
}

typedef enum badm_i_number { BADM_I_NUMBER, BADM_I_NO_NUMBER, BADM_I_NOT_FINITE, BADM_I_TOO_LARGE } badm_i_number;

static int badm_i_is_digit(char c) { return c >= '0' && c <= '9'; }

/* s[0..n-1] as a decimal number: sign, digits with at most one point, exponent. The nearest float, but for one case in
   some hundred million, which is its neighbour. */
static badm_i_number badm_i_parse_float(const char *s, size_t n, float *out)
{
    size_t i = 0, digits = 0;
    uint64_t m = 0;
    uint32_t bits, sign = 0;
    int ten = 0, point = 0, e = 0;
    if (i < n && (s[i] == '+' || s[i] == '-')) sign = s[i++] == '-' ? 0x80000000u : 0;
    if (n - i >= 3) {
        char a = (char)(s[i] | 32), b = (char)(s[i + 1] | 32), c = (char)(s[i + 2] | 32);
        if ((a == 'n' && b == 'a' && c == 'n') || (a == 'i' && b == 'n' && c == 'f')) return BADM_I_NOT_FINITE;
    }
    for (; i < n && (badm_i_is_digit(s[i]) || (s[i] == '.' && !point)); i++) {
        if (s[i] == '.') { point = 1; continue; }
        digits++;
        if (m < UINT64_MAX / 10 - 1) { m = m * 10 + (uint64_t)(s[i] - '0'); ten -= point; }
        else { m |= s[i] != '0'; ten += !point; }
    }
    if (!digits) return BADM_I_NO_NUMBER;
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        int minus = 0, x = 0;
        i++;
        if (i < n && (s[i] == '+' || s[i] == '-')) minus = s[i++] == '-';
        if (i == n) return BADM_I_NO_NUMBER;
        for (; i < n && badm_i_is_digit(s[i]); i++)
            if (x < 10000) x = x * 10 + (s[i] - '0');
        ten += minus ? -x : x;
    }
    if (i < n) return BADM_I_NO_NUMBER;
    if (m && ten > 60) return BADM_I_TOO_LARGE;
    if (ten < -100) m = 0;
    if (m) badm_i_normalise(&m, &e);
    for (; m && ten > 0; ten--) badm_i_times_ten(&m, &e);
    for (; m && ten < 0; ten++) badm_i_over_ten(&m, &e);
    bits = badm_i_float_nearest(m, e);
    if (!badm_i_is_finite(badm_i_float(bits))) return BADM_I_TOO_LARGE;
    bits |= sign;
    memcpy(out, &bits, 4);
    return BADM_I_NUMBER;
}

/* The float as C source with as many of 9 digits as it needs: reading it gives the same bits. */
static void badm_i_write_float(badm_i_file *f, uint32_t bits)
{
    uint64_t m = bits & 0x7fffffu, value;
    int e = (int)(bits >> 23 & 255u), k = 8, digit;
    char text[9];
    if (bits >> 31) badm_i_write_text(f, "-");
    if (e) m |= 0x800000u;
    else e = 1;
    if (!m) { badm_i_write_text(f, "0.0f"); return; }
    e -= 150;
    badm_i_normalise(&m, &e);
    for (;;) {                                      /* until the integer part has 9 digits */
        value = e + 63 > 29 || e + 63 < 0 ? 0 : m >> -e;
        if (e + 63 > 29 || value >= 1000000000u) { badm_i_over_ten(&m, &e); k++; }
        else if (value < 100000000u) { badm_i_times_ten(&m, &e); k--; }
        else break;
    }
    value += m >> (-e - 1) & 1;
    if (value == 1000000000u) { value /= 10; k++; }
    for (digit = 9; digit-- > 0; value /= 10) text[digit] = (char)('0' + (int)(value % 10));
    for (digit = 9; digit > 1 && text[digit - 1] == '0'; digit--) continue;
    badm_i_write(f, text, 1);
    if (digit > 1) { badm_i_write_text(f, "."); badm_i_write(f, text + 1, (size_t)digit - 1); }
    badm_i_write_text(f, k < 0 ? "e-" : "e");
    badm_i_write_number(f, (uint64_t)(k < 0 ? -k : k));
    badm_i_write_text(f, "f");
}

/* The float nearest to a float64 given by its bits; 0 when it is finite but no float is near. */
static int badm_i_float_of_double(uint64_t bits, uint32_t *out)
{
    uint64_t m = bits & 0xfffffffffffffu;
    uint32_t sign = (uint32_t)(bits >> 32) & 0x80000000u;
    int e = (int)(bits >> 52 & 2047u);
    if (e == 2047) {
        *out = sign | 0x7f800000u | (m ? 0x400000u : 0);
        return 1;
    }
    if (!e) m = 0;                                  /* below 1e-307: no float is nearer than 0 */
    else { m = (m | (uint64_t)1 << 52) << 11; e -= 1086; }
    *out = badm_i_float_nearest(m, e);
    if (!badm_i_is_finite(badm_i_float(*out))) return 0;
    *out |= sign;
    return 1;
}

/* ---- safetensors ---- */

/* One tensor of 4-byte numbers, as this program knows it. Its name in the file is prefix + name. Counts are float here and 64-bit
   integers in the file, as PyTorch has them; they stand first there, so that all numbers are aligned. */
typedef struct badm_i_item {
    char prefix[32];
    const char *name;
    badm_shape shape;
    size_t count;               /* 0: nothing to save or load under this number */
    const void *from;           /* saved from here */
    void *to;                   /* loaded to here; NULL: cannot be */
    int integer, counts;        /* I32; I64; else F32 */
    int found;                  /* loading: it was in the file; */
    size_t at;                  /* its place in the stage, counted in numbers */
} badm_i_item;

/* What a file holds: numbers 0..n-1 of it are asked for one after another. */
typedef struct badm_i_source badm_i_source;
struct badm_i_source {
    badm_model *model;
    size_t n;
    void (*item)(badm_i_source *s, size_t i, badm_i_item *item);
    /* A checkpoint compares its first item before it says anything about others. NULL: a model, which knows nothing
       of "badm." tensors. */
    int (*check)(badm_i_file *f, badm_i_source *s, const uint32_t *first);
};

static void badm_i_item_of_param(badm_param p, badm_i_item *item)
{
    memset(item, 0, sizeof *item);
    item->name = badm_param_name(p);
    item->shape = badm_param_shape(p);
    item->count = badm_param_size(p);
    item->from = badm_param_values(p);
    item->to = badm_param_data(p);
    item->counts = badm_i_record_of(p)->buffer == 2;
}

static const char *badm_i_item_type(const badm_i_item *item) { return item->integer ? "I32" : item->counts ? "I64" : "F32"; }

static void badm_i_model_item(badm_i_source *s, size_t i, badm_i_item *item)
{
    badm_i_item_of_param(badm_param_at(s->model, i), item);
}

static void badm_i_model_source(badm_i_source *s, badm_model *m)
{
    s->model = m;
    s->n = badm_param_count(m);
    s->item = badm_i_model_item;
    s->check = NULL;
}

static int badm_i_item_fail(badm_i_file *f, badm_result code, const char *message, const badm_i_item *item,
                            uint64_t n0, uint64_t n1)
{
    return badm_i_file_fail(f, code, message, item->prefix, item->name, badm_i_length(item->name), n0, n1);
}

static void badm_i_write_json_text(badm_i_file *f, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 32) {
            char escape[6];
            memcpy(escape, "\\u00", 4);
            escape[4] = hex[c >> 4]; escape[5] = hex[c & 15];
            badm_i_write(f, escape, 6);
        } else {
            if (c == '"' || c == '\\') badm_i_write_text(f, "\\");
            badm_i_write(f, s, 1);
        }
    }
}

/* Item i in the order of the file: counts, then the rest. 0: it is not there, or comes in the other round. */
static int badm_i_item_of_file(badm_i_source *s, size_t i, badm_i_item *item)
{
    s->item(s, i < s->n ? i : i - s->n, item);
    return item->count && (item->counts != 0) == (i < s->n);
}

static void badm_i_write_header(badm_i_file *f, badm_i_source *s)
{
    uint64_t begin = 0;
    size_t i;
    unsigned d;
    badm_i_write_text(f, "{\"__metadata__\":{\"format\":\"pt\",\"badm_version\":\"" BADM_VERSION_STRING "\"}");
    for (i = 0; i < 2 * s->n; i++) {
        badm_i_item item;
        if (!badm_i_item_of_file(s, i, &item)) continue;
        badm_i_write_text(f, ",\"");
        badm_i_write_json_text(f, item.prefix);
        badm_i_write_json_text(f, item.name);
        badm_i_write_text(f, "\":{\"dtype\":\"");
        badm_i_write_text(f, badm_i_item_type(&item));
        badm_i_write_text(f, "\",\"shape\":[");
        for (d = 0; d < item.shape.rank; d++) {
            if (d) badm_i_write_text(f, ",");
            badm_i_write_number(f, item.shape.dim[d]);
        }
        badm_i_write_text(f, "],\"data_offsets\":[");
        badm_i_write_number(f, begin);
        badm_i_write_text(f, ",");
        begin += (item.counts ? 8 : 4) * (uint64_t)item.count;
        badm_i_write_number(f, begin);
        badm_i_write_text(f, "]}");
    }
    badm_i_write_text(f, "}");
}

static void badm_i_write_counts(badm_i_file *f, const void *values, size_t n)
{
    size_t i, k;
    for (i = 0; i < n; i++) {
        float x;
        uint64_t count;
        memcpy(&x, (const unsigned char *)values + 4 * i, 4);
        count = x > 0 ? (uint64_t)(x < 9e18f ? x : 9e18f) : 0;
        for (k = 0; k < 8; k++) {
            unsigned char byte = (unsigned char)(count >> 8 * k & 255u);
            badm_i_write(f, &byte, 1);
        }
    }
}

static void badm_i_safetensors_save(badm_i_file *f, void *argument)
{
    badm_i_source *s = (badm_i_source *)argument;
    uint64_t length;
    unsigned char b[8];
    size_t i;
    for (i = 0; i < s->n; i++) {
        badm_i_item item;
        size_t bad;
        s->item(s, i, &item);
        if (!item.count || item.integer) continue;
        bad = badm_i_first_nonfinite(item.from, item.count);
        if (bad < item.count) {
            badm_i_item_fail(f, BADM_ERR_NONFINITE,
                             BADM_I_TEXT("%nvalue %0 is infinite or not a number; nothing was saved"), &item, bad, 0);
            return;
        }
    }
    f->counting = 1;
    badm_i_write_header(f, s);
    length = (f->bytes + 8 + 63) / 64 * 64 - 8;
    f->counting = 0;
    f->bytes = 0;
    for (i = 0; i < 8; i++) b[i] = (unsigned char)(length >> 8 * i & 255u);
    badm_i_write(f, b, 8);
    badm_i_write_header(f, s);
    while (f->bytes < length + 8) badm_i_write_text(f, " ");
    for (i = 0; i < 2 * s->n && f->error.code == BADM_OK; i++) {
        badm_i_item item;
        if (!badm_i_item_of_file(s, i, &item)) continue;
        if (item.counts) badm_i_write_counts(f, item.from, item.count);
        else badm_i_write_words(f, item.from, item.count);
    }
}

/* One tensor as the file's header describes it. */
typedef struct badm_i_entry {
    const char *name;           /* in the header; not ended by a 0 */
    size_t length;
    uint64_t shape[BADM_MAX_RANK], begin, end;
    uint32_t rank;              /* may be more than BADM_MAX_RANK */
    uint32_t bytes;             /* of one number */
    char dtype[8];
    badm_i_item *item;          /* NULL: read past */
} badm_i_entry;

typedef struct badm_i_json { badm_i_file *file; char *start, *at, *end; } badm_i_json;

static int badm_i_json_fail(badm_i_json *j)
{
    return badm_i_damaged(j->file, BADM_I_TEXT("%nno safetensors header, or a damaged one (byte %0)"),
                             8 + (uint64_t)(j->at - j->start), 0);
}

static void badm_i_json_blanks(badm_i_json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')) j->at++;
}

/* Past blanks and c, if c is next. */
static int badm_i_json_next(badm_i_json *j, char c)
{
    badm_i_json_blanks(j);
    if (j->at == j->end || *j->at != c) return 0;
    j->at++;
    return 1;
}

static int badm_i_json_expect(badm_i_json *j, char c)
{
    return badm_i_json_next(j, c) || badm_i_json_fail(j);
}

static int badm_i_json_hex(badm_i_json *j, uint32_t *v)
{
    int i;
    if (j->end - j->at < 4) return badm_i_json_fail(j);
    for (*v = 0, i = 0; i < 4; i++, j->at++) {
        char c = *j->at;
        uint32_t digit = badm_i_is_digit(c) ? (uint32_t)(c - '0') :
                         (c | 32) >= 'a' && (c | 32) <= 'f' ? (uint32_t)((c | 32) - 'a') + 10 : 16;
        if (digit > 15) return badm_i_json_fail(j);
        *v = *v << 4 | digit;
    }
    return 1;
}

/* A string, decoded to UTF-8 in place: no escape is shorter than what it stands for. */
static int badm_i_json_string(badm_i_json *j, const char **s, size_t *n)
{
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *out;
    if (!badm_i_json_expect(j, '"')) return 0;
    *s = out = j->at;
    for (;;) {
        char c;
        size_t k;
        uint32_t u, low;
        if (j->at == j->end || (unsigned char)*j->at < 32) return badm_i_json_fail(j);
        c = *j->at++;
        if (c == '"') break;
        if (c != '\\') { *out++ = c; continue; }
        if (j->at == j->end) return badm_i_json_fail(j);
        c = *j->at++;
        if (c != 'u') {
            for (k = 0; plain[k] && plain[k] != c; k++) continue;
            if (!plain[k]) return badm_i_json_fail(j);
            *out++ = meant[k];
            continue;
        }
        if (!badm_i_json_hex(j, &u)) return 0;
        if (u >= 0xd800u && u < 0xe000u) {          /* the first half of a pair, or nonsense */
            if (u >= 0xdc00u || j->end - j->at < 2 || j->at[0] != '\\' || j->at[1] != 'u') return badm_i_json_fail(j);
            j->at += 2;
            if (!badm_i_json_hex(j, &low)) return 0;
            if (low < 0xdc00u || low >= 0xe000u) return badm_i_json_fail(j);
            u = 0x10000u + ((u - 0xd800u) << 10) + (low - 0xdc00u);
        }
        if (u < 0x80u) *out++ = (char)u;
        else {
            if (u < 0x800u) *out++ = (char)(0xc0u | u >> 6);
            else {
                if (u < 0x10000u) *out++ = (char)(0xe0u | u >> 12);
                else { *out++ = (char)(0xf0u | u >> 18); *out++ = (char)(0x80u | (u >> 12 & 63u)); }
                *out++ = (char)(0x80u | (u >> 6 & 63u));
            }
            *out++ = (char)(0x80u | (u & 63u));
        }
    }
    *n = (size_t)(out - *s);
    return 1;
}

static int badm_i_json_number(badm_i_json *j, uint64_t *v)
{
    const char *first;
    badm_i_json_blanks(j);
    first = j->at;
    for (*v = 0; j->at < j->end && badm_i_is_digit(*j->at); j->at++) {
        uint64_t digit = (uint64_t)(*j->at - '0');
        if (*v > (UINT64_MAX - digit) / 10) return badm_i_json_fail(j);
        *v = *v * 10 + digit;
    }
    return (j->at > first && (*first != '0' || j->at == first + 1)) || badm_i_json_fail(j);
}

static int badm_i_same_text(const char *s, size_t n, const char *text)
{
    return badm_i_length(text) == n && memcmp(s, text, n) == 0;
}

static int badm_i_entry_fail(badm_i_file *f, badm_result code, const char *message, const badm_i_entry *e,
                             uint64_t n0, uint64_t n1)
{
    return badm_i_file_fail(f, code, message, "", e->name, e->length, n0, n1);
}

/* {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]} with its name read already. Unknown keys are refused, so
   nothing nests. */
static int badm_i_json_entry(badm_i_json *j, badm_i_entry *e)
{
    static const struct { char name[8]; uint32_t bytes; } dtypes[] = {
        { "F32", 4 }, { "I32", 4 }, { "F64", 8 }, { "F16", 2 }, { "BF16", 2 }, { "I64", 8 }, { "I16", 2 }, { "I8", 1 },
        { "U8", 1 }, { "BOOL", 1 }, { "U16", 2 }, { "U32", 4 }, { "U64", 8 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 } };
    unsigned seen = 0;
    int overflow = 0;
    uint64_t v, size = 1;
    size_t n, k;
    const char *s;
    if (!badm_i_json_expect(j, '{')) return 0;
    do {
        if (!badm_i_json_string(j, &s, &n) || !badm_i_json_expect(j, ':')) return 0;
        if (badm_i_same_text(s, n, "dtype") && !(seen & 1)) {
            seen |= 1;
            if (!badm_i_json_string(j, &s, &n)) return 0;
            for (k = 0; k < sizeof dtypes / sizeof dtypes[0] && !badm_i_same_text(s, n, dtypes[k].name); k++) continue;
            if (k == sizeof dtypes / sizeof dtypes[0])
                return badm_i_entry_fail(j->file, BADM_ERR_FORMAT, BADM_I_TEXT("%nunknown type of numbers"), e, 0, 0);
            e->bytes = dtypes[k].bytes;
            memcpy(e->dtype, dtypes[k].name, sizeof e->dtype);
        } else if (badm_i_same_text(s, n, "shape") && !(seen & 2)) {
            seen |= 2;
            if (!badm_i_json_expect(j, '[')) return 0;
            if (!badm_i_json_next(j, ']')) {
                do {
                    if (!badm_i_json_number(j, &v)) return 0;
                    if (e->rank < BADM_MAX_RANK) e->shape[e->rank] = v;
                    e->rank++;
                    size = badm_i_checked_product(size, v, &overflow);
                } while (badm_i_json_next(j, ','));
                if (!badm_i_json_expect(j, ']')) return 0;
            }
        } else if (badm_i_same_text(s, n, "data_offsets") && !(seen & 4)) {
            seen |= 4;
            if (!badm_i_json_expect(j, '[') || !badm_i_json_number(j, &e->begin) || !badm_i_json_expect(j, ',') ||
                !badm_i_json_number(j, &e->end) || !badm_i_json_expect(j, ']')) return 0;
        } else return badm_i_json_fail(j);
    } while (badm_i_json_next(j, ','));
    if (seen != 7) return badm_i_json_fail(j);
    size = badm_i_checked_product(size, e->bytes, &overflow);
    if (overflow || e->begin > e->end || e->end - e->begin != size)
        return badm_i_entry_fail(j->file, BADM_ERR_FORMAT, BADM_I_TEXT("%nits shape does not take bytes %0..%1"), e,
                                 e->begin, e->end);
    return badm_i_json_expect(j, '}');
}

static int badm_i_json_metadata(badm_i_json *j)
{
    const char *s;
    size_t n;
    if (!badm_i_json_expect(j, '{')) return 0;
    if (badm_i_json_next(j, '}')) return 1;
    do {
        if (!badm_i_json_string(j, &s, &n) || !badm_i_json_expect(j, ':') || !badm_i_json_string(j, &s, &n)) return 0;
    } while (badm_i_json_next(j, ','));
    return badm_i_json_expect(j, '}');
}

/* The whole header into entries. */
static int badm_i_json_header(badm_i_json *j, badm_i_vec *entries)
{
    int metadata = 0;
    if (j->at == j->end || *j->at != '{') return badm_i_json_fail(j);
    j->at++;
    if (!badm_i_json_next(j, '}')) {
        do {
            badm_i_entry e;
            memset(&e, 0, sizeof e);
            if (!badm_i_json_string(j, &e.name, &e.length) || !badm_i_json_expect(j, ':')) return 0;
            if (badm_i_same_text(e.name, e.length, "__metadata__")) {
                if (metadata++) return badm_i_json_fail(j);
                if (!badm_i_json_metadata(j)) return 0;
            } else {
                void *place;
                if (!badm_i_json_entry(j, &e)) return 0;
                place = badm_i_vec_push(j->file, entries);
                if (!place) return 0;
                memcpy(place, &e, sizeof e);
            }
        } while (badm_i_json_next(j, ','));
        if (!badm_i_json_expect(j, '}')) return 0;
    }
    badm_i_json_blanks(j);
    return j->at == j->end || badm_i_json_fail(j);
}

static int badm_i_by_name(const badm_i_entry *a, const badm_i_entry *b)
{
    int c = memcmp(a->name, b->name, a->length < b->length ? a->length : b->length);
    return c ? c < 0 : a->length < b->length;
}

static int badm_i_by_place(const badm_i_entry *a, const badm_i_entry *b)
{
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
}

/* Heapsort: n log n whatever the file's order, and no recursion. */
static void badm_i_sort(badm_i_entry *e, size_t n, int (*less)(const badm_i_entry *, const badm_i_entry *))
{
    size_t start = n / 2, end = n, i, child;
    badm_i_entry x;
    while (end > 1) {
        if (start) x = e[--start];
        else { x = e[--end]; e[end] = e[0]; }
        for (i = start; (child = 2 * i + 1) < end; i = child) {
            if (child + 1 < end && less(&e[child], &e[child + 1])) child++;
            if (!less(&x, &e[child])) break;
            e[i] = e[child];
        }
        e[i] = x;
    }
}

/* The item of this name, looked for from *next on, where a file in the model's order has it. */
static badm_i_item *badm_i_find_item(badm_i_item *items, size_t n, size_t *next, const char *name, size_t length)
{
    size_t i, k;
    for (i = 0; i < n; i++) {
        size_t p;
        k = *next + i < n ? *next + i : *next + i - n;
        p = badm_i_length(items[k].prefix);
        if (length > p && memcmp(name, items[k].prefix, p) == 0 &&
            badm_i_same_text(name + p, length - p, items[k].name)) {
            *next = k + 1 < n ? k + 1 : 0;
            return &items[k];
        }
    }
    return NULL;
}

static int badm_i_same_shape_in_file(badm_i_file *f, const badm_i_entry *e, const badm_shape *shape)
{
    int same = e->rank == shape->rank, fits = e->rank <= BADM_MAX_RANK;
    badm_shape found;
    unsigned d;
    for (d = 0; d < e->rank && d < BADM_MAX_RANK; d++) {
        same = same && e->shape[d] == shape->dim[d];
        fits = fits && e->shape[d] <= (badm_dim)-1;
    }
    if (same || f->error.code != BADM_OK) return same;
    badm_i_entry_fail(f, BADM_ERR_MODEL, fits ? BADM_I_TEXT("%nis %a in the file, %b in the model")
        : BADM_I_TEXT("%nhas another shape than the model's %b"), e, 0, 0);
    memset(&found, 0, sizeof found);
    for (d = 0; fits && d < e->rank; d++) found.dim[d] = (badm_dim)e->shape[d];
    found.rank = (uint8_t)(fits ? e->rank : 0);
    badm_i_error_shapes(&f->error, &found, shape);
    return 0;
}

/* What the file has for this model: entries get their items. 0 with an error: damaged (BADM_ERR_FORMAT) or of
   another model. */
static int badm_i_match(badm_i_file *f, const badm_i_source *s, badm_i_entry *e, size_t entries, badm_i_item *items,
                        size_t n)
{
    uint64_t at = 0;
    size_t i, next = 0;
    badm_i_sort(e, entries, badm_i_by_name);
    for (i = 1; i < entries; i++)
        if (e[i].length == e[i - 1].length && memcmp(e[i].name, e[i - 1].name, e[i].length) == 0)
            return badm_i_entry_fail(f, BADM_ERR_FORMAT, BADM_I_TEXT("%nis there twice"), &e[i], 0, 0);
    badm_i_sort(e, entries, badm_i_by_place);
    for (i = 0; i < entries; at = e[i++].end)
        if (e[i].begin != at)
            return badm_i_entry_fail(f, BADM_ERR_FORMAT,
                                     BADM_I_TEXT("%nbegins at byte %0, but the tensor before ends at %1"),
                                     &e[i], e[i].begin, at);
    for (i = 0; i < entries; i++) {     /* all of them: a checkpoint's settings are found whatever else is wrong */
        badm_i_item *item = badm_i_find_item(items, n, &next, e[i].name, e[i].length);
        if (!item) {
            if (s->check)
                badm_i_entry_fail(f, BADM_ERR_MODEL, BADM_I_TEXT("%nthe trainer has none of this name"), &e[i], 0, 0);
            else if (e[i].length < 5 || memcmp(e[i].name, "badm.", 5) != 0)
                badm_i_entry_fail(f, BADM_ERR_MODEL, BADM_I_TEXT("%nthe model has none of this name"), &e[i], 0, 0);
            continue;
        }
        item->found = 1;
        if (!badm_i_same_text(badm_i_item_type(item), 3, e[i].dtype)) {
            badm_i_entry_fail(f, BADM_ERR_MODEL, item->integer ? BADM_I_TEXT("%nis not of type I32")
                : item->counts ? BADM_I_TEXT("%nis not of type I64 (int64)") : BADM_I_TEXT("%nis not of type F32 (float32): convert it"), &e[i], 0, 0);
            continue;
        }
        if (!badm_i_same_shape_in_file(f, &e[i], &item->shape)) continue;
        e[i].item = item;
    }
    for (i = 0; i < n; i++)
        if (!items[i].found) return badm_i_item_fail(f, BADM_ERR_MODEL, BADM_I_TEXT("%nis missing in the file"),
                                                     &items[i], 0, 0);
    return f->error.code == BADM_OK;
}

/* The data of one entry to its place in the stage. */
static int badm_i_read_entry(badm_i_file *f, const badm_i_entry *e, unsigned char *stage)
{
    uint64_t left;
    unsigned char *p;
    size_t i;
    if (!e->item) {
        for (left = e->end - e->begin; left; ) {
            size_t n = left < BADM_I_CHUNK ? (size_t)left : BADM_I_CHUNK;
            if (!badm_i_read(f, f->chunk, n)) return 0;
            left -= n;
        }
        return 1;
    }
    p = stage + 4 * e->item->at;
    for (i = 0; e->item->counts && i < e->item->count; i++) {
        unsigned char b[8];
        uint64_t value;
        float x;
        if (!badm_i_read(f, b, 8)) return 0;
        if (b[7] > 127)
            return badm_i_item_fail(f, BADM_ERR_FORMAT, BADM_I_TEXT("%nvalue %0 is negative, a count is expected"), e->item, i, 0);
        value = badm_i_bytes_value(b, 8, 0);
        x = (float)value;
        memcpy(p + 4 * i, &x, 4);
    }
    if (e->item->counts) return 1;
    if (!badm_i_read(f, p, 4 * e->item->count)) return 0;
    for (i = 0; i < e->item->count; i++) {
        uint32_t v = (uint32_t)badm_i_bytes_value(p + 4 * i, 4, 0);
        memcpy(p + 4 * i, &v, 4);
    }
    if (e->item->integer) return 1;
    i = badm_i_first_nonfinite(p, e->item->count);
    return i == e->item->count ||
           badm_i_item_fail(f, BADM_ERR_NONFINITE, BADM_I_TEXT("%nvalue %0 is infinite or not a number"),
                            e->item, i, 0);
}

static int badm_i_read_header(badm_i_file *f, badm_i_vec *header, badm_i_vec *entries)
{
    unsigned char b[8];
    uint64_t length;
    badm_i_json j;
    if (!badm_i_read(f, b, 8)) return 0;
    length = badm_i_bytes_value(b, 8, 0);
    if (length < 2 || length > BADM_I_HEADER_LIMIT)
        return badm_i_damaged(f, BADM_I_TEXT("%nno safetensors file: a header of %0 bytes"), length, 0);
    if (!badm_i_read_claimed(f, header, length)) return 0;
    j.file = f;
    j.start = j.at = (char *)header->data;
    j.end = j.start + header->count;
    return badm_i_json_header(&j, entries);
}

static int badm_i_load_items(badm_i_file *f, badm_i_source *s, badm_i_vec *header, badm_i_vec *entries,
                             badm_i_vec *items, badm_i_vec *stage)
{
    badm_i_item *item;
    badm_i_entry *e;
    size_t i, n = 0;
    badm_i_fault late;
    for (i = 0; i < s->n; i++) {
        badm_i_item one;
        s->item(s, i, &one);
        if (!one.count) continue;
        if (!one.to) return badm_i_item_fail(f, BADM_ERR_STATE,
                                             BADM_I_TEXT("%nis mapped to an array that cannot be written"), &one, 0, 0);
        one.at = n;
        if (one.count > SIZE_MAX - n) return badm_i_file_no_memory(f, UINT64_MAX);
        n += one.count;
        item = (badm_i_item *)badm_i_vec_push(f, items);
        if (!item) return 0;
        *item = one;
    }
    item = (badm_i_item *)(void *)items->data;
    if (!badm_i_read_header(f, header, entries)) return 0;
    e = (badm_i_entry *)(void *)entries->data;
    badm_i_match(f, s, e, entries->count, item, items->count);
    late = f->error;
    if (late.code != BADM_OK) {
        if (late.code != BADM_ERR_MODEL || !s->check) return 0;
        for (i = 0; i < entries->count && e[i].item != item; i++) continue;
        if (i == entries->count) return 0;
    }
    if (!badm_i_vec_reserve(f, stage, n ? n : 1)) return 0;
    f->error.code = BADM_OK;
    for (i = 0; i < entries->count; i++) {
        if (!badm_i_read_entry(f, &e[i], stage->data)) return 0;
        if (s->check && e[i].item == item) {
            if (!s->check(f, s, (const uint32_t *)(const void *)stage->data)) return 0;
            if (late.code != BADM_OK) { f->error = late; return 0; }
        }
    }
    if (!badm_i_read_end(f)) return 0;
    for (i = 0; i < items->count; i++) memcpy(item[i].to, stage->data + 4 * item[i].at, 4 * item[i].count);
    return 1;
}

static void badm_i_safetensors_load(badm_i_file *f, void *argument)
{
    badm_i_vec header, entries, items, stage;
    memset(&header, 0, sizeof header);
    memset(&entries, 0, sizeof entries);
    memset(&items, 0, sizeof items);
    memset(&stage, 0, sizeof stage);
    entries.size = sizeof(badm_i_entry);
    items.size = sizeof(badm_i_item);
    stage.size = 4;
    badm_i_load_items(f, (badm_i_source *)argument, &header, &entries, &items, &stage);
    badm_i_vec_free(f, &stage);
    badm_i_vec_free(f, &items);
    badm_i_vec_free(f, &entries);
    badm_i_vec_free(f, &header);
}

BADM_API badm_result badm_save(badm_model *m, const char *path)
{
    badm_i_source s;
    badm_i_file f;
    BADM_I_ASSERT(m && path);
    if (badm_model_result(m) != BADM_OK) return BADM_ERR_STATE;
    badm_i_file_init(&f, BADM_I_TEXT("badm_save"), m->memory);
    badm_i_model_source(&s, m);
    badm_i_write_path(&f, path, badm_i_safetensors_save, &s);
    return badm_i_model_report(m, &f.error);
}

BADM_API badm_result badm_save_to(badm_model *m, badm_writer *w)
{
    badm_i_source s;
    badm_i_file f;
    BADM_I_ASSERT(m && w);
    if (badm_model_result(m) != BADM_OK) return BADM_ERR_STATE;
    badm_i_file_init(&f, BADM_I_TEXT("badm_save_to"), m->memory);
    badm_i_model_source(&s, m);
    badm_i_write_to(&f, w, badm_i_safetensors_save, &s);
    return badm_i_model_report(m, &f.error);
}

BADM_API badm_result badm_load(badm_model *m, const char *path)
{
    badm_i_source s;
    badm_i_file f;
    BADM_I_ASSERT(m && path);
    if (badm_model_result(m) != BADM_OK) return BADM_ERR_STATE;
    badm_i_file_init(&f, BADM_I_TEXT("badm_load"), m->memory);
    badm_i_model_source(&s, m);
    badm_i_read_path(&f, path, badm_i_safetensors_load, &s);
    return badm_i_model_report(m, &f.error);
}

BADM_API badm_result badm_load_from(badm_model *m, badm_reader *r)
{
    badm_i_source s;
    badm_i_file f;
    BADM_I_ASSERT(m && r);
    if (badm_model_result(m) != BADM_OK) return BADM_ERR_STATE;
    badm_i_file_init(&f, BADM_I_TEXT("badm_load_from"), m->memory);
    badm_i_model_source(&s, m);
    badm_i_read_from(&f, r, badm_i_safetensors_load, &s);
    return badm_i_model_report(m, &f.error);
}

/* ---- checkpoints: the model's tensors, and the trainer's as "badm.<vector>.<parameter>" of the parameter's shape, so
        that the file does not know how vectors are padded. "badm.settings" comes first: what differs is said before
        what is therefore missing. ---- */

typedef struct badm_i_checkpoint {
    badm_i_source source;           /* first: the callbacks cast to it and back */
    badm_trainer *trainer;
    uint32_t settings[BADM_I_SETTINGS], state[BADM_I_WORDS], loaded[BADM_I_WORDS];
} badm_i_checkpoint;

static void badm_i_checkpoint_item(badm_i_source *s, size_t i, badm_i_item *item)
{
    badm_i_checkpoint *c = (badm_i_checkpoint *)(void *)s;
    size_t params = badm_param_count(s->model), offset;
    badm_param p;
    if (i < 2) {
        memset(item, 0, sizeof *item);
        memcpy(item->prefix, "badm.", 6);
        item->name = i ? "state" : "settings";
        item->integer = 1;
        item->count = i ? BADM_I_WORDS : BADM_I_SETTINGS;
        item->shape.rank = 1;
        item->shape.dim[0] = (badm_dim)item->count;
        item->from = i ? c->state : c->settings;
        item->to = i ? c->loaded : c->settings;
        return;
    }
    i -= 2;
    p = badm_param_at(s->model, i % params);
    badm_i_item_of_param(p, item);
    if (i >= params) {
        size_t vector = i / params - 1, n;
        offset = badm_i_param_offset(p);
        if (offset == (size_t)-1) { item->count = 0; return; }
        memcpy(item->prefix, "badm.", 5);
        badm_i_state_name(c->trainer, vector, item->prefix + 5);
        n = badm_i_length(item->prefix);
        memcpy(item->prefix + n, ".", 2);
        item->to = badm_i_state_vector(c->trainer, vector) + offset;
        item->from = item->to;
    }
}

static int badm_i_checkpoint_check(badm_i_file *f, badm_i_source *s, const uint32_t *first)
{
    const badm_i_checkpoint *c = (const badm_i_checkpoint *)(const void *)s;
    size_t i;
    for (i = 0; i < BADM_I_SETTINGS; i++)
        if (first[i] != c->settings[i]) {
            badm_i_error(&f->error, BADM_ERR_MODEL, f->operation,
                         BADM_I_TEXT("the checkpoint has %n %0, the trainer %1"),
                         badm_i_setting_name(i), (unsigned long)first[i], (unsigned long)c->settings[i]);
            return 0;
        }
    return 1;
}

static int badm_i_checkpoint_source(badm_i_checkpoint *c, badm_i_file *f, const char *operation, badm_trainer *tr)
{
    badm_i_file_init(f, operation, tr->memory);
    if (tr->layout != tr->model->layout)
        return badm_i_file_error(f, BADM_ERR_STATE,
                                 BADM_I_TEXT("parameters were added, frozen, unfrozen or given a metric after the trainer was made"), 0, 0);
    memset(c, 0, sizeof *c);
    c->trainer = tr;
    c->source.model = tr->model;
    c->source.n = 2 + badm_param_count(tr->model) * (1 + badm_i_state_vectors(tr));
    c->source.item = badm_i_checkpoint_item;
    c->source.check = badm_i_checkpoint_check;
    badm_i_settings(tr, c->settings);
    badm_i_state_get(tr, c->state);
    return 1;
}

/* The model and the vectors have been copied to their places; the rest follows. */
static badm_result badm_i_checkpoint_loaded(badm_i_checkpoint *c, const badm_i_file *f)
{
    if (f->error.code == BADM_OK) badm_i_state_set(c->trainer, c->loaded);
    return badm_i_trainer_report(c->trainer, &f->error);
}

BADM_API badm_result badm_checkpoint_save(badm_trainer *tr, const char *path)
{
    badm_i_checkpoint c;
    badm_i_file f;
    BADM_I_ASSERT(tr && path);
    if (!badm_i_checkpoint_source(&c, &f, BADM_I_TEXT("badm_checkpoint_save"), tr))
        return badm_i_trainer_report(tr, &f.error);
    badm_i_write_path(&f, path, badm_i_safetensors_save, &c.source);
    return badm_i_trainer_report(tr, &f.error);
}

BADM_API badm_result badm_checkpoint_save_to(badm_trainer *tr, badm_writer *w)
{
    badm_i_checkpoint c;
    badm_i_file f;
    BADM_I_ASSERT(tr && w);
    if (!badm_i_checkpoint_source(&c, &f, BADM_I_TEXT("badm_checkpoint_save_to"), tr))
        return badm_i_trainer_report(tr, &f.error);
    badm_i_write_to(&f, w, badm_i_safetensors_save, &c.source);
    return badm_i_trainer_report(tr, &f.error);
}

BADM_API badm_result badm_checkpoint_load(badm_trainer *tr, const char *path)
{
    badm_i_checkpoint c;
    badm_i_file f;
    BADM_I_ASSERT(tr && path);
    if (!badm_i_checkpoint_source(&c, &f, BADM_I_TEXT("badm_checkpoint_load"), tr))
        return badm_i_trainer_report(tr, &f.error);
    badm_i_read_path(&f, path, badm_i_safetensors_load, &c.source);
    return badm_i_checkpoint_loaded(&c, &f);
}

BADM_API badm_result badm_checkpoint_load_from(badm_trainer *tr, badm_reader *r)
{
    badm_i_checkpoint c;
    badm_i_file f;
    BADM_I_ASSERT(tr && r);
    if (!badm_i_checkpoint_source(&c, &f, BADM_I_TEXT("badm_checkpoint_load_from"), tr))
        return badm_i_trainer_report(tr, &f.error);
    badm_i_read_from(&f, r, badm_i_safetensors_load, &c.source);
    return badm_i_checkpoint_loaded(&c, &f);
}

/* ---- weights as C source ---- */

typedef struct badm_i_c_source { badm_model *model; const char *name; } badm_i_c_source;

static int badm_i_is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static void badm_i_c_save(badm_i_file *f, void *argument)
{
    const badm_i_c_source *c = (const badm_i_c_source *)argument;
    size_t i, k, params = badm_param_count(c->model), column = 0;
    const char *s;
    for (s = c->name; badm_i_is_letter(*s) || (s > c->name && badm_i_is_digit(*s)); s++) continue;
    if (*s || s == c->name) {
        badm_i_error(&f->error, BADM_ERR_ARGUMENT, f->operation, BADM_I_TEXT("\"%n\" is no C identifier"),
                     c->name, 0, 0);
        return;
    }
    for (i = 0; i < params; i++) {
        badm_i_item item;
        badm_i_item_of_param(badm_param_at(c->model, i), &item);
        k = badm_i_first_nonfinite(item.from, item.count);
        if (k < item.count) {
            badm_i_item_fail(f, BADM_ERR_NONFINITE,
                             BADM_I_TEXT("%nvalue %0 is infinite or not a number; nothing was saved"), &item, k, 0);
            return;
        }
    }
    badm_i_write_text(f, "/* Weights for badm_model_map(), written by badm.h " BADM_VERSION_STRING ". */\nenum { ");
    badm_i_write_text(f, c->name);
    badm_i_write_text(f, "_count = ");
    badm_i_write_number(f, badm_model_size(c->model));
    badm_i_write_text(f, " };\nstatic const float ");
    badm_i_write_text(f, c->name);
    badm_i_write_text(f, "_weights[");
    badm_i_write_number(f, badm_model_size(c->model));
    badm_i_write_text(f, "] = {");
    for (i = 0; i < params && f->error.code == BADM_OK; i++) {
        badm_param p = badm_param_at(c->model, i);
        const float *values = badm_param_values(p);
        size_t n = badm_param_size(p);
        for (k = 0; k < n; k++) {
            uint32_t bits;
            memcpy(&bits, values + k, 4);
            badm_i_write_text(f, column++ % 8 ? " " : "\n    ");
            badm_i_write_float(f, bits);
            badm_i_write_text(f, ",");
        }
    }
    badm_i_write_text(f, "\n};\n");
}

BADM_API badm_result badm_save_c(badm_model *m, const char *name, const char *path)
{
    badm_i_c_source c;
    badm_i_file f;
    BADM_I_ASSERT(m && name && path);
    if (badm_model_result(m) != BADM_OK) return BADM_ERR_STATE;
    badm_i_file_init(&f, BADM_I_TEXT("badm_save_c"), m->memory);
    c.model = m;
    c.name = name;
    badm_i_write_path(&f, path, badm_i_c_save, &c);
    return badm_i_model_report(m, &f.error);
}

BADM_API badm_result badm_save_c_to(badm_model *m, const char *name, badm_writer *w)
{
    badm_i_c_source c;
    badm_i_file f;
    BADM_I_ASSERT(m && name && w);
    if (badm_model_result(m) != BADM_OK) return BADM_ERR_STATE;
    badm_i_file_init(&f, BADM_I_TEXT("badm_save_c_to"), m->memory);
    c.model = m;
    c.name = name;
    badm_i_write_to(&f, w, badm_i_c_save, &c);
    return badm_i_model_report(m, &f.error);
}

/* ---- arrays of numbers from .npy and IDX ---- */

/* An element as it is in the file: f float, i signed, u unsigned, of so many bytes. */
typedef struct badm_i_element { char kind; uint8_t bytes, big; } badm_i_element;

static badm_type badm_i_element_type(badm_i_element e)
{
    if (e.kind == 'f') return BADM_F32;
    if (e.kind == 'u') return BADM_U8;
    return e.bytes == 1 ? BADM_I8 : e.bytes == 2 ? BADM_I16 : BADM_I32;
}

/* One element into out; 0 when its value does not fit. */
static int badm_i_convert(badm_i_element e, const unsigned char *p, unsigned char *out)
{
    uint64_t v = badm_i_bytes_value(p, e.bytes, e.big);
    uint32_t v32 = (uint32_t)v;
    uint16_t v16 = (uint16_t)v;
    switch (e.bytes) {
    case 1: *out = *p; return 1;
    case 2: memcpy(out, &v16, 2); return 1;
    case 8:
        if (e.kind == 'f') { if (!badm_i_float_of_double(v, &v32)) return 0; }
        else if (v + 0x80000000u > 0xffffffffu) return 0;
        break;
    default: break;
    }
    memcpy(out, &v32, 4);
    return 1;
}

/* The rest of the file: the elements of an array whose shape is known, then nothing. */
static void badm_i_read_elements(badm_i_file *f, badm_i_element e, badm_array *out)
{
    badm_i_vec v;
    uint64_t count = 1, done = 0;
    unsigned d;
    int overflow = 0;
    memset(&v, 0, sizeof v);
    out->type = badm_i_element_type(e);
    v.size = e.bytes < 4 ? e.bytes : 4;
    for (d = 0; d < out->rank; d++) count = badm_i_checked_product(count, out->shape[d], &overflow);
    if (overflow || count > SIZE_MAX / v.size) { badm_i_file_no_memory(f, UINT64_MAX); return; }
    if (!count) badm_i_vec_reserve(f, &v, 1);       /* an empty array has an address too */
    while (done < count && f->error.code == BADM_OK) {
        size_t n = BADM_I_CHUNK / e.bytes, i;
        if (count - done < n) n = (size_t)(count - done);
        if (v.capacity - v.count < n) {
            uint64_t more = v.capacity ? (uint64_t)v.capacity : BADM_I_FIRST_PIECE / v.size;
            if (more > count - v.capacity) more = count - v.capacity;
            if (!badm_i_vec_reserve(f, &v, v.capacity + (size_t)more)) break;
        }
        if (!badm_i_read(f, f->chunk, n * e.bytes)) break;
        for (i = 0; i < n; i++, v.count++)
            if (!badm_i_convert(e, f->chunk + i * e.bytes, v.data + v.count * v.size)) {
                badm_i_damaged(f, e.kind == 'f' ? BADM_I_TEXT("%nvalue %0 does not fit in float32")
                                                : BADM_I_TEXT("%nvalue %0 does not fit in int32"), v.count, 0);
                break;
            }
        done += n;
    }
    if (f->error.code == BADM_OK) badm_i_read_end(f);
    if (f->error.code != BADM_OK) { badm_i_vec_free(f, &v); return; }
    out->data = v.data;
}

static void badm_i_array_start(badm_i_file *f, badm_array *out, const char *operation, badm_memory *mem)
{
    BADM_I_ASSERT(out);
    memset(out, 0, sizeof *out);
    out->memory = mem;
    badm_i_file_init(f, operation, mem);
}

static badm_result badm_i_array_done(badm_i_file *f, badm_array *out, badm_error *err)
{
    if (f->error.code != BADM_OK) badm_array_free(out);
    return badm_i_error_out(&f->error, err);
}

BADM_API void badm_array_free(badm_array *a)
{
    badm_memory *mem;
    if (!a) return;
    mem = a->memory;
    if (a->data) badm_i_free(mem, a->data);
    memset(a, 0, sizeof *a);
    a->memory = mem;
}

/* The header is a Python dictionary of three known keys: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } */
typedef struct badm_i_python { const char *at, *end; } badm_i_python;

static int badm_i_python_next(badm_i_python *p, const char *text)
{
    size_t n = badm_i_length(text);
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t')) p->at++;
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, text, n) != 0) return 0;
    p->at += n;
    return 1;
}

static int badm_i_python_string(badm_i_python *p, const char **s, size_t *n)
{
    char quote;
    if (!badm_i_python_next(p, "'") && !badm_i_python_next(p, "\"")) return 0;
    quote = p->at[-1];
    for (*s = p->at; p->at < p->end && *p->at != quote; p->at++) continue;
    if (p->at == p->end) return 0;
    *n = (size_t)(p->at++ - *s);
    return 1;
}

/* 0: no tuple of at most 4 dimensions of 32 bits. */
static int badm_i_python_shape(badm_i_python *p, badm_array *out)
{
    if (!badm_i_python_next(p, "(")) return 0;
    while (!badm_i_python_next(p, ")")) {
        uint64_t v = 0;
        const char *first = p->at;                  /* blanks are behind it now */
        for (; p->at < p->end && badm_i_is_digit(*p->at) && v <= 0xffffffffu; p->at++)
            v = v * 10 + (uint64_t)(*p->at - '0');
        if (p->at == first || v > 0xffffffffu || out->rank == BADM_MAX_RANK) return 0;
        out->shape[out->rank++] = (uint32_t)v;
        if (badm_i_python_next(p, ",")) continue;
        if (out->rank == 1 || !badm_i_python_next(p, ")")) return 0;      /* (3) is no tuple, (3,) is */
        break;
    }
    return 1;
}

static int badm_i_npy_header(badm_i_file *f, const char *text, size_t n, badm_array *out, badm_i_element *e)
{
    badm_i_python p;
    const char *s;
    size_t length;
    unsigned seen = 0;
    p.at = text;
    p.end = text + n;
    if (!badm_i_python_next(&p, "{")) goto damaged;
    while (!badm_i_python_next(&p, "}")) {
        if (!badm_i_python_string(&p, &s, &length) || !badm_i_python_next(&p, ":")) goto damaged;
        if (badm_i_same_text(s, length, "descr") && !(seen & 1)) {
            seen |= 1;
            if (badm_i_python_next(&p, "["))
                return badm_i_damaged(f, BADM_I_TEXT("%nan array of records, not of numbers"), 0, 0);
            if (!badm_i_python_string(&p, &s, &length)) goto damaged;
            e->big = (uint8_t)(length == 3 && s[0] == '>');
            e->kind = length == 3 ? s[1] : 0;
            e->bytes = (uint8_t)(length == 3 && badm_i_is_digit(s[2]) ? s[2] - '0' : 0);
            if (!(length == 3 && (s[0] == '<' || s[0] == '>' || (s[0] == '|' && e->bytes == 1))) ||
                !((e->kind == 'f' && (e->bytes == 4 || e->bytes == 8)) || (e->kind == 'u' && e->bytes == 1) ||
                  (e->kind == 'i' && (e->bytes == 1 || e->bytes == 2 || e->bytes == 4 || e->bytes == 8))))
                return badm_i_damaged(f, BADM_I_TEXT("%nnumbers of another type than f4 f8 u1 i1 i2 i4 i8"), 0, 0);
        } else if (badm_i_same_text(s, length, "fortran_order") && !(seen & 2)) {
            seen |= 2;
            if (badm_i_python_next(&p, "True"))
                return badm_i_damaged(f, BADM_I_TEXT("%nin Fortran order: save numpy.ascontiguousarray(x)"), 0, 0);
            if (!badm_i_python_next(&p, "False")) goto damaged;
        } else if (badm_i_same_text(s, length, "shape") && !(seen & 4)) {
            seen |= 4;
            if (!badm_i_python_shape(&p, out))
                return badm_i_damaged(f, BADM_I_TEXT("%nits shape is not one of at most %0 dimensions"),
                                      BADM_MAX_RANK, 0);
        } else goto damaged;
        if (badm_i_python_next(&p, ",")) continue;
        if (!badm_i_python_next(&p, "}")) goto damaged;
        break;
    }
    badm_i_python_next(&p, "");
    if (seen == 7 && p.at == p.end) return 1;
damaged:
    return badm_i_damaged(f, BADM_I_TEXT("%ndamaged .npy header"), 0, 0);
}

static void badm_i_npy_read(badm_i_file *f, void *argument)
{
    badm_array *out = (badm_array *)argument;
    badm_i_element e;
    badm_i_vec header;
    unsigned char b[10];
    uint64_t length;
    int ok;
    if (!badm_i_read(f, b, 8)) return;
    if (memcmp(b, "\x93NUMPY", 6) != 0) { badm_i_damaged(f, BADM_I_TEXT("%nno .npy file"), 0, 0); return; }
    if (b[6] < 1 || b[6] > 3 || b[7]) {
        badm_i_damaged(f, BADM_I_TEXT("%n.npy version %0.%1 is not known"), b[6], b[7]);
        return;
    }
    if (!badm_i_read(f, b, b[6] == 1 ? 2 : 4)) return;
    length = badm_i_bytes_value(b, f->bytes == 10 ? 2 : 4, 0);
    if (!length || length > 65536u) {
        badm_i_damaged(f, BADM_I_TEXT("%na .npy header of %0 bytes"), length, 0);
        return;
    }
    memset(&header, 0, sizeof header);
    memset(&e, 0, sizeof e);
    ok = badm_i_read_claimed(f, &header, length) &&
         badm_i_npy_header(f, (const char *)header.data, header.count, out, &e);
    badm_i_vec_free(f, &header);
    if (!ok) return;
    if (!out->rank) out->shape[0] = 1;
    badm_i_read_elements(f, e, out);
}

BADM_API badm_result badm_npy_load(badm_array *out, const char *path, badm_memory *mem, badm_error *err)
{
    badm_i_file f;
    BADM_I_ASSERT(path);
    badm_i_array_start(&f, out, BADM_I_TEXT("badm_npy_load"), mem);
    badm_i_read_path(&f, path, badm_i_npy_read, out);
    return badm_i_array_done(&f, out, err);
}

BADM_API badm_result badm_npy_load_from(badm_array *out, badm_reader *r, badm_memory *mem, badm_error *err)
{
    badm_i_file f;
    BADM_I_ASSERT(r);
    badm_i_array_start(&f, out, BADM_I_TEXT("badm_npy_load_from"), mem);
    badm_i_read_from(&f, r, badm_i_npy_read, out);
    return badm_i_array_done(&f, out, err);
}

typedef struct badm_i_npy_source { const float *data; unsigned rank; const badm_dim *shape; } badm_i_npy_source;

static void badm_i_write_npy_header(badm_i_file *f, const badm_i_npy_source *s)
{
    unsigned d;
    badm_i_write_text(f, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (d = 0; d < s->rank; d++) {
        if (d) badm_i_write_text(f, " ");
        badm_i_write_number(f, s->shape[d]);
        if (d + 1 < s->rank || s->rank == 1) badm_i_write_text(f, ",");
    }
    badm_i_write_text(f, "), }");
}

static void badm_i_npy_write(badm_i_file *f, void *argument)
{
    const badm_i_npy_source *s = (const badm_i_npy_source *)argument;
    unsigned char b[10];
    uint64_t count = 1, length;
    unsigned d;
    int overflow = 0;
    if (s->rank > BADM_MAX_RANK) {
        badm_i_file_error(f, BADM_ERR_ARGUMENT, BADM_I_TEXT("%n%0 dimensions; at most %1 are possible"),
                          s->rank, BADM_MAX_RANK);
        return;
    }
    for (d = 0; d < s->rank; d++) count = badm_i_checked_product(count, s->shape[d], &overflow);
    if (overflow || count > SIZE_MAX / 4) {
        badm_i_file_error(f, BADM_ERR_ARGUMENT, BADM_I_TEXT("%nthe shape's size overflows"), 0, 0);
        return;
    }
    f->counting = 1;
    badm_i_write_npy_header(f, s);
    length = (10 + f->bytes + 1 + 63) / 64 * 64 - 10;
    f->counting = 0;
    f->bytes = 0;
    memcpy(b, "\x93NUMPY\x01", 8);
    b[8] = (unsigned char)(length & 255u);
    b[9] = (unsigned char)(length >> 8);
    badm_i_write(f, b, 10);
    badm_i_write_npy_header(f, s);
    while (f->bytes < 10 + length - 1) badm_i_write_text(f, " ");
    badm_i_write_text(f, "\n");
    badm_i_write_words(f, s->data, (size_t)count);
}

BADM_API badm_result badm_npy_save(const float *data, unsigned rank, const badm_dim *shape, const char *path,
                                   badm_error *err)
{
    badm_i_npy_source s;
    badm_i_file f;
    BADM_I_ASSERT(data && path);
    badm_i_file_init(&f, BADM_I_TEXT("badm_npy_save"), NULL);
    s.data = data;
    s.rank = rank;
    s.shape = shape;
    badm_i_write_path(&f, path, badm_i_npy_write, &s);
    return badm_i_error_out(&f.error, err);
}

BADM_API badm_result badm_npy_save_to(const float *data, unsigned rank, const badm_dim *shape, badm_writer *w,
                                      badm_error *err)
{
    badm_i_npy_source s;
    badm_i_file f;
    BADM_I_ASSERT(data && w);
    badm_i_file_init(&f, BADM_I_TEXT("badm_npy_save_to"), NULL);
    s.data = data;
    s.rank = rank;
    s.shape = shape;
    badm_i_write_to(&f, w, badm_i_npy_write, &s);
    return badm_i_error_out(&f.error, err);
}

static void badm_i_idx_read(badm_i_file *f, void *argument)
{
    static const struct { uint8_t code; char kind; uint8_t bytes; } types[] = {
        { 0x08, 'u', 1 }, { 0x09, 'i', 1 }, { 0x0B, 'i', 2 }, { 0x0C, 'i', 4 }, { 0x0D, 'f', 4 }, { 0x0E, 'f', 8 } };
    badm_array *out = (badm_array *)argument;
    badm_i_element e;
    unsigned char b[4];
    size_t k;
    unsigned d, rank;
    if (!badm_i_read(f, b, 4)) return;
    if (b[0] == 0x1f && b[1] == 0x8b) { badm_i_damaged(f, BADM_I_TEXT("%ngzipped: gunzip it first"), 0, 0); return; }
    for (k = 0; k < sizeof types / sizeof types[0] && types[k].code != b[2]; k++) continue;
    if (b[0] || b[1] || k == sizeof types / sizeof types[0]) {
        badm_i_damaged(f, BADM_I_TEXT("%nno IDX file"), 0, 0);
        return;
    }
    rank = b[3];
    if (rank < 1 || rank > BADM_MAX_RANK) {
        badm_i_damaged(f, BADM_I_TEXT("%n%0 dimensions; 1 to %1 are possible"), rank, BADM_MAX_RANK);
        return;
    }
    for (d = 0; d < rank; d++) {
        if (!badm_i_read(f, b, 4)) return;
        out->shape[d] = (uint32_t)badm_i_bytes_value(b, 4, 1);
    }
    out->rank = (uint8_t)rank;
    e.kind = types[k].kind;
    e.bytes = types[k].bytes;
    e.big = 1;
    badm_i_read_elements(f, e, out);
}

BADM_API badm_result badm_idx_load(badm_array *out, const char *path, badm_memory *mem, badm_error *err)
{
    badm_i_file f;
    BADM_I_ASSERT(path);
    badm_i_array_start(&f, out, BADM_I_TEXT("badm_idx_load"), mem);
    badm_i_read_path(&f, path, badm_i_idx_read, out);
    return badm_i_array_done(&f, out, err);
}

BADM_API badm_result badm_idx_load_from(badm_array *out, badm_reader *r, badm_memory *mem, badm_error *err)
{
    badm_i_file f;
    BADM_I_ASSERT(r);
    badm_i_array_start(&f, out, BADM_I_TEXT("badm_idx_load_from"), mem);
    badm_i_read_from(&f, r, badm_i_idx_read, out);
    return badm_i_array_done(&f, out, err);
}

/* ---- CSV and LIBSVM: one character ahead, one token at a time ---- */

typedef struct badm_i_lines {
    badm_i_file *file;
    int next;                       /* the character after the token; -1 at the end */
    uint64_t line;
    size_t length;                  /* of the token; one too long to be a number is cut to the whole room */
    char token[128];
} badm_i_lines;

static void badm_i_lines_start(badm_i_lines *t, badm_i_file *f)
{
    t->file = f;
    t->line = 1;
    t->length = 0;
    t->next = badm_i_read_char(f);
    if (t->next == 0xEF) {                          /* a byte order mark, as spreadsheets write it */
        if (badm_i_read_byte(f) == 0xBB && badm_i_read_byte(f) == 0xBF) t->next = badm_i_read_char(f);
        else t->next = '?';
    }
}

static void badm_i_lines_blanks(badm_i_lines *t)
{
    while (t->next == ' ' || t->next == '\t') t->next = badm_i_read_char(t->file);
}

/* Up to a blank, a line end or one of two separators; then past blanks. */
static void badm_i_lines_token(badm_i_lines *t, char a, char b)
{
    t->length = 0;
    while (t->next >= 0 && t->next != ' ' && t->next != '\t' && t->next != '\n' && t->next != a && t->next != b) {
        if (t->length < sizeof t->token) t->token[t->length++] = (char)t->next;
        t->next = badm_i_read_char(t->file);
    }
    badm_i_lines_blanks(t);
}

static void badm_i_lines_skip_line(badm_i_lines *t)
{
    while (t->next >= 0 && t->next != '\n') t->next = badm_i_read_char(t->file);
}

/* Past the line end. */
static void badm_i_lines_next_line(badm_i_lines *t)
{
    if (t->next == '\n') { t->next = badm_i_read_char(t->file); t->line++; }
}

static badm_i_number badm_i_lines_number(const badm_i_lines *t, float *out)
{
    return t->length == sizeof t->token ? BADM_I_NO_NUMBER : badm_i_parse_float(t->token, t->length, out);
}

static int badm_i_lines_fail(badm_i_lines *t, const char *message, uint64_t number)
{
    return badm_i_damaged(t->file, message, t->line, number);
}

/* The token as a number, or an error that names line and place. */
static int badm_i_lines_float(badm_i_lines *t, float *out, uint64_t place)
{
    switch (badm_i_lines_number(t, out)) {
    case BADM_I_NUMBER: return 1;
    case BADM_I_NOT_FINITE:
        return badm_i_file_error(t->file, BADM_ERR_NONFINITE,
                                 BADM_I_TEXT("%nline %0: value %1 is infinite or not a number"), t->line, place);
    case BADM_I_TOO_LARGE:
        return badm_i_lines_fail(t, BADM_I_TEXT("%nline %0: value %1 does not fit in float32"), place);
    default: return badm_i_lines_fail(t, BADM_I_TEXT("%nline %0: value %1 is no number"), place);
    }
}

static int badm_i_push_float(badm_i_file *f, badm_i_vec *v, float value)
{
    float *p = (float *)badm_i_vec_push(f, v);
    if (p) *p = value;
    return p != NULL;
}

/* One line of numbers; the first token is read already. */
static int badm_i_csv_row(badm_i_lines *t, badm_i_vec *values, int *separator, uint64_t *columns)
{
    float value = 0;
    for (*columns = 0; ; badm_i_lines_token(t, ',', ';')) {
        ++*columns;
        if (!badm_i_lines_float(t, &value, *columns) || !badm_i_push_float(t->file, values, value)) return 0;
        if (t->next == ',' || t->next == ';') {
            if (*separator && *separator != t->next)
                return badm_i_lines_fail(t, BADM_I_TEXT("%nline %0: both , and ; between numbers: decimal commas?"), 0);
            *separator = t->next;
            t->next = badm_i_read_char(t->file);
            badm_i_lines_blanks(t);
        } else if (t->next < 0 || t->next == '\n') return 1;
    }
}

static void badm_i_csv_read(badm_i_file *f, void *argument)
{
    badm_array *out = (badm_array *)argument;
    badm_i_lines t;
    badm_i_vec values;
    uint64_t rows = 0, columns = 0, n;
    int separator = 0, first = 1;
    float ignored;
    memset(&values, 0, sizeof values);
    values.size = sizeof(float);
    for (badm_i_lines_start(&t, f); t.next >= 0; badm_i_lines_next_line(&t)) {
        badm_i_lines_blanks(&t);
        if (t.next < 0 || t.next == '\n') continue;
        badm_i_lines_token(&t, ',', ';');
        if (first && badm_i_lines_number(&t, &ignored) == BADM_I_NO_NUMBER) {
            first = 0;
            badm_i_lines_skip_line(&t);
            continue;
        }
        first = 0;
        if (!badm_i_csv_row(&t, &values, &separator, &n)) break;
        if (!rows) columns = n;
        if (n != columns) badm_i_lines_fail(&t, BADM_I_TEXT("%nline %0: %1 numbers, unlike the rows before"), n);
        if (++rows > 0xffffffffu || n > 0xffffffffu)
            badm_i_lines_fail(&t, BADM_I_TEXT("%nline %0: too many numbers"), 0);
        if (f->error.code != BADM_OK) break;
    }
    if (!rows) badm_i_damaged(f, BADM_I_TEXT("%nthere are no numbers in it"), 0, 0);
    if (f->error.code != BADM_OK) { badm_i_vec_free(f, &values); return; }
    out->data = values.data;
    out->type = BADM_F32;
    out->rank = 2;
    out->shape[0] = (uint32_t)rows;
    out->shape[1] = (uint32_t)columns;
}

BADM_API badm_result badm_csv_load(badm_array *out, const char *path, badm_memory *mem, badm_error *err)
{
    badm_i_file f;
    BADM_I_ASSERT(path);
    badm_i_array_start(&f, out, BADM_I_TEXT("badm_csv_load"), mem);
    badm_i_read_path(&f, path, badm_i_csv_read, out);
    return badm_i_array_done(&f, out, err);
}

BADM_API badm_result badm_csv_load_from(badm_array *out, badm_reader *r, badm_memory *mem, badm_error *err)
{
    badm_i_file f;
    BADM_I_ASSERT(r);
    badm_i_array_start(&f, out, BADM_I_TEXT("badm_csv_load_from"), mem);
    badm_i_read_from(&f, r, badm_i_csv_read, out);
    return badm_i_array_done(&f, out, err);
}

typedef struct badm_i_libsvm { badm_array *x, *y; badm_csr **csr; uint32_t features; } badm_i_libsvm;
typedef struct badm_i_sparse { uint32_t row, index; float value; } badm_i_sparse;

/* One line after its label: index:value ... */
static int badm_i_libsvm_row(badm_i_lines *t, badm_i_vec *sparse, uint32_t row, uint32_t features, uint32_t *largest)
{
    uint64_t place;
    for (place = 1; t->next >= 0 && t->next != '\n' && t->next != '#'; place++) {
        badm_i_sparse *s;
        float value = 0;
        uint64_t index = 0;
        size_t i;
        badm_i_lines_token(t, ':', '#');
        for (i = 0; i < t->length && badm_i_is_digit(t->token[i]) && index <= 0xffffffffu; i++)
            index = index * 10 + (uint64_t)(t->token[i] - '0');
        if (!i || i < t->length || t->next != ':')
            return badm_i_lines_fail(t, BADM_I_TEXT("%nline %0: feature %1 is not of the form index:value"), place);
        if (index < 1 || index > (features ? features : 0xffffffffu))
            return badm_i_lines_fail(t, BADM_I_TEXT("%nline %0: index %1 is out of range (the first is 1)"), index);
        t->next = badm_i_read_char(t->file);
        badm_i_lines_token(t, ':', '#');
        if (!badm_i_lines_float(t, &value, place)) return 0;
        s = (badm_i_sparse *)badm_i_vec_push(t->file, sparse);
        if (!s) return 0;
        s->row = row;
        s->index = (uint32_t)index;
        s->value = value;
        if (index > *largest) *largest = (uint32_t)index;
    }
    if (t->next == '#') badm_i_lines_skip_line(t);
    return 1;
}

static void badm_i_libsvm_rows(badm_i_lines *t, badm_i_vec *sparse, badm_i_vec *labels, uint32_t features,
                               uint32_t *largest)
{
    float label = 0;
    for (; t->next >= 0; badm_i_lines_next_line(t)) {
        badm_i_lines_blanks(t);
        if (t->next == '#') badm_i_lines_skip_line(t);
        if (t->next < 0 || t->next == '\n') continue;
        badm_i_lines_token(t, ':', '#');
        if (t->next == ':') {
            badm_i_lines_fail(t, BADM_I_TEXT("%nline %0: no label before the first index:value"), 0);
            return;
        }
        if (badm_i_over_32_bits(labels->count + 1)) { badm_i_lines_fail(t, BADM_I_TEXT("%nline %0: too many rows"), 0); return; }
        if (!badm_i_lines_float(t, &label, 0) ||
            !badm_i_libsvm_row(t, sparse, (uint32_t)labels->count, features, largest) ||
            !badm_i_push_float(t->file, labels, label)) return;
    }
}

/* [rows,columns] of all entries, a later one of the same place replacing the earlier. guessed: the file gave the columns. */
static void badm_i_libsvm_dense(badm_i_file *f, badm_i_vec *dense, size_t rows, uint32_t columns, int guessed, const badm_i_vec *sparse)
{
    const badm_i_sparse *s = (const badm_i_sparse *)(const void *)sparse->data;
    int overflow = 0;
    size_t i;
    uint64_t size = badm_i_checked_product(rows, columns, &overflow);
    if (!size) badm_i_damaged(f, BADM_I_TEXT("%nthere are no numbers in it"), 0, 0);
    if (overflow || size > SIZE_MAX / sizeof(float)) badm_i_file_no_memory(f, UINT64_MAX);
    /* One large index in a small file must not take all memory. Who gives the number of features asks for what it takes. */
    if (guessed && size > 4194304u && (size - 4194304u) / 4096u > sparse->count)
        badm_i_damaged(f, BADM_I_TEXT("%n%0 rows of %1 features, nearly all zero: if they are right, give their number"), rows, columns);
    if (f->error.code == BADM_OK && badm_i_vec_reserve(f, dense, (size_t)size)) {
        float *x = (float *)(void *)dense->data;
        memset(x, 0, (size_t)size * sizeof(float));
        for (i = 0; i < sparse->count; i++) x[(size_t)s[i].row * (size_t)columns + (s[i].index - 1)] = s[i].value;
    }
}

static void badm_i_libsvm_csr(badm_i_file *f, badm_csr **out, uint32_t rows, uint32_t columns, const badm_i_vec *sparse)
{
    const badm_i_sparse *s = (const badm_i_sparse *)(const void *)sparse->data;
    size_t n = sparse->count, i;
    uint32_t *row, *column;
    float *value;
    badm_i_vec places;
    memset(&places, 0, sizeof places);
    places.size = 3 * sizeof(uint32_t);
    if (!rows || !columns) badm_i_damaged(f, BADM_I_TEXT("%nthere are no numbers in it"), 0, 0);
    if (f->error.code != BADM_OK || !badm_i_vec_reserve(f, &places, n > 0 ? n : 1)) return;
    row = (uint32_t *)(void *)places.data;
    column = row + n;
    value = (float *)(void *)(column + n);
    for (i = 0; i < n; i++) {
        row[i] = s[i].row;
        column[i] = s[i].index - 1;
        value[i] = s[i].value;
    }
    badm_i_csr_build(out, f->memory, rows, columns, n, row, column, value, 1, &f->error);
    badm_i_vec_free(f, &places);
}

static void badm_i_libsvm_read(badm_i_file *f, void *argument)
{
    const badm_i_libsvm *out = (const badm_i_libsvm *)argument;
    badm_i_lines t;
    badm_i_vec sparse, labels, dense;
    uint32_t largest = 0;
    memset(&sparse, 0, sizeof sparse);
    memset(&labels, 0, sizeof labels);
    memset(&dense, 0, sizeof dense);
    sparse.size = sizeof(badm_i_sparse);
    labels.size = dense.size = sizeof(float);
    badm_i_lines_start(&t, f);
    badm_i_libsvm_rows(&t, &sparse, &labels, out->features, &largest);
    if (f->error.code == BADM_OK && out->csr)
        badm_i_libsvm_csr(f, out->csr, (uint32_t)labels.count, out->features ? out->features : largest, &sparse);
    else if (f->error.code == BADM_OK)
        badm_i_libsvm_dense(f, &dense, labels.count, out->features ? out->features : largest, !out->features, &sparse);
    badm_i_vec_free(f, &sparse);
    if (f->error.code != BADM_OK) { badm_i_vec_free(f, &labels); return; }
    if (out->x) {
        out->x->data = dense.data;
        out->x->type = BADM_F32;
        out->x->rank = 2;
        out->x->shape[0] = (uint32_t)labels.count;
        out->x->shape[1] = out->features ? out->features : largest;
    }
    out->y->type = BADM_F32;
    out->y->data = labels.data;
    out->y->rank = 1;
    out->y->shape[0] = (uint32_t)labels.count;
}

/* From a path or, where that is NULL, a reader; into x or csr. */
static badm_result badm_i_libsvm_load(const char *operation, badm_array *x, badm_csr **csr, badm_array *y, uint32_t features,
                                      const char *path, badm_reader *r, badm_memory *mem, badm_error *err)
{
    badm_i_libsvm out;
    badm_i_file f;
    BADM_I_ASSERT(path || r);
    badm_i_array_start(&f, y, operation, mem);
    if (csr) *csr = NULL;
    else badm_i_array_start(&f, x, operation, mem);
    out.x = x;
    out.y = y;
    out.csr = csr;
    out.features = features;
    if (path) badm_i_read_path(&f, path, badm_i_libsvm_read, &out);
    else badm_i_read_from(&f, r, badm_i_libsvm_read, &out);
    if (f.error.code != BADM_OK && !csr) badm_array_free(x);
    if (f.error.code != BADM_OK && csr) {
        badm_csr_free(*csr);
        *csr = NULL;
    }
    return badm_i_array_done(&f, y, err);
}

BADM_API badm_result badm_libsvm_load(badm_array *x, badm_array *y, uint32_t features, const char *path, badm_memory *mem,
                                      badm_error *err)
{
    return badm_i_libsvm_load(BADM_I_TEXT("badm_libsvm_load"), x, NULL, y, features, path, NULL, mem, err);
}

BADM_API badm_result badm_libsvm_load_from(badm_array *x, badm_array *y, uint32_t features, badm_reader *r, badm_memory *mem,
                                           badm_error *err)
{
    return badm_i_libsvm_load(BADM_I_TEXT("badm_libsvm_load_from"), x, NULL, y, features, NULL, r, mem, err);
}

BADM_API badm_result badm_libsvm_load_csr(badm_csr **x, badm_array *y, uint32_t features, const char *path, badm_memory *mem,
                                          badm_error *err)
{
    return badm_i_libsvm_load(BADM_I_TEXT("badm_libsvm_load_csr"), NULL, x, y, features, path, NULL, mem, err);
}

BADM_API badm_result badm_libsvm_load_csr_from(badm_csr **x, badm_array *y, uint32_t features, badm_reader *r, badm_memory *mem,
                                               badm_error *err)
{
    return badm_i_libsvm_load(BADM_I_TEXT("badm_libsvm_load_csr_from"), NULL, x, y, features, NULL, r, mem, err);
}

BADM_I_OFTEN

#ifdef __cplusplus
}
#endif

#if defined(__clang__)
#ifdef BADM_I_CLANG_ATTRIBUTE
#pragma clang attribute pop
#endif
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#undef BADM_I_ALIGN
#undef BADM_I_ASSERT
#undef BADM_I_AVX2
#undef BADM_I_AVX2_FMA
#undef BADM_I_AVX512
#undef BADM_I_BASE
#undef BADM_I_BINARY
#undef BADM_I_BLAS_INT
#undef BADM_I_BLOCK
#undef BADM_I_CHUNK
#undef BADM_I_CLAIM
#undef BADM_I_CLANG_ATTRIBUTE
#undef BADM_I_EACH
#undef BADM_I_ELEMENTWISE
#undef BADM_I_ELEMENTWISE_WITH
#undef BADM_I_FAST
#undef BADM_I_FETCH
#undef BADM_I_FILLED
#undef BADM_I_FIRST_PIECE
#undef BADM_I_FPU_DEFAULT
#undef BADM_I_FREE
#undef BADM_I_FUSED
#undef BADM_I_GATED
#undef BADM_I_GLANCE
#undef BADM_I_HASH
#undef BADM_I_HEAD
#undef BADM_I_HEADER_LIMIT
#undef BADM_I_HEIGHTS
#undef BADM_I_HIGH
#undef BADM_I_INFINITY
#undef BADM_I_INLINE
#undef BADM_I_KEPT
#undef BADM_I_DROPS
#undef BADM_I_WORTH_PRODUCT
#undef BADM_I_WORTH_HELP
#undef BADM_I_LANES
#undef BADM_I_LONG_LOOP
#undef BADM_I_LOOP
#undef BADM_I_LOW
#undef BADM_I_MALLOC
#undef BADM_I_MAP
#undef BADM_I_METHOD
#undef BADM_I_BADM_BEGIN
#undef BADM_I_CHECK_BADM
#undef BADM_I_MICRO
#undef BADM_I_MULTIPLY_ADD
#undef BADM_I_APART
#undef BADM_I_ASIDE
#undef BADM_I_ATTENTION_KEPT
#undef BADM_I_COPIES
#undef BADM_I_EVEN
#undef BADM_I_FEW_LINES
#undef BADM_I_LOWER
#undef BADM_I_ODD
#undef BADM_I_POOL_ORDERS
#undef BADM_I_POOL_PAST
#undef BADM_I_SCAN_BLOCK
#undef BADM_I_SCAN_KERNEL
#undef BADM_I_SCAN_TALLEST
#undef BADM_I_SPARES
#undef BADM_I_SPARE_LEAST
#undef BADM_I_STRIP
#undef BADM_I_STRIPS
#undef BADM_I_SWAP
#undef BADM_I_UPPER
#undef BADM_I_MUON
#undef BADM_I_REST
#undef BADM_I_NAME_LIMIT
#undef BADM_I_NAN
#undef BADM_I_MSAN
#undef BADM_I_NARROW
#undef BADM_I_NARROW_MOST
#undef BADM_I_NARROW_TERMS
#undef BADM_I_NONE
#undef BADM_I_NUMBERS
#undef BADM_I_O3
#undef BADM_I_BEGIN
#undef BADM_I_TERM
#undef BADM_I_END
#undef BADM_I_ROWS_1
#undef BADM_I_ROWS_2
#undef BADM_I_ROWS_3
#undef BADM_I_ROWS_4
#undef BADM_I_ROWS_6
#undef BADM_I_ROWS_8
#undef BADM_I_ROWS_12
#undef BADM_I_PACK_COLUMNS
#undef BADM_I_PACK_TERMS
#undef BADM_I_PAD
#undef BADM_I_PLACE
#undef BADM_I_PAIRS
#undef BADM_I_PAIRS_BACK
#undef BADM_I_PLAIN_FUSED
#undef BADM_I_PLAIN_MULTIPLY_ADD
#undef BADM_I_POSIX_FILES
#undef BADM_I_RANGE
#undef BADM_I_RECORDS
#undef BADM_I_ROWS_OF
#undef BADM_I_RUN
#undef BADM_I_PD_LOGITS
#undef BADM_I_PD_ROWS
#undef BADM_I_SENTENCE
#undef BADM_I_SERIAL
#undef BADM_I_SET
#undef BADM_I_SETTINGS
#undef BADM_I_OFTEN
#undef BADM_I_SELDOM
#undef BADM_I_ONCE
#undef BADM_I_SHORTCUT
#undef BADM_I_SIMPLE
#undef BADM_I_SLOPES
#undef BADM_I_SPINS
#undef BADM_I_TALLEST
#undef BADM_I_TEXT
#undef BADM_I_FULL
#undef BADM_I_MEMBERS
#undef BADM_I_THREAD_CALL
#undef BADM_I_TILE
#undef BADM_I_TILE_RECORD
#undef BADM_I_TURNED
#undef BADM_I_UNDEF_LEAN
#undef BADM_I_UNFUSED
#undef BADM_I_VECTORS
#undef BADM_I_WAIT_AWAKE
#undef BADM_I_LANE
#undef BADM_I_SOME
#undef BADM_I_MOST
#undef BADM_I_WIDEST
#undef BADM_I_WINDOW
#undef BADM_I_WORDS
#undef BADM_I_X86

#endif /* BADM_IMPLEMENTATION */

/* =====================================================================================================================
   CHANGELOG (in full: CHANGELOG.md)

   0.2.0  2026-11-21  convolutions, norms, attention, sparse matrices, GRU; examples of four kinds of task; one step size for all tensors
                      of a trainer that orthogonalises
   0.1.0  2026-11-20  first version: tensors, autodiff, workers, BADM in all its forms, ten baselines, files

   LICENCE

   This file is available under either of two licences: choose whichever you prefer.

   ------------------------------------------------------------------------------
   ALTERNATIVE A - MIT License

   Copyright (c) 2026 badm.h contributors

   Permission is hereby granted, free of charge, to any person obtaining a copy of
   this software and associated documentation files (the "Software"), to deal in
   the Software without restriction, including without limitation the rights to
   use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies
   of the Software, and to permit persons to whom the Software is furnished to do
   so, subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all
   copies or substantial portions of the Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
   IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
   FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
   AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
   SOFTWARE.

   ------------------------------------------------------------------------------
   ALTERNATIVE B - Public Domain (www.unlicense.org)

   This is free and unencumbered software released into the public domain.

   Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
   software, either in source code form or as a compiled binary, for any purpose,
   commercial or non-commercial, and by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this
   software dedicate any and all copyright interest in the software to the public
   domain. We make this dedication for the benefit of the public at large and to
   the detriment of our heirs and successors. We intend this dedication to be an
   overt act of relinquishment in perpetuity of all present and future rights to
   this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
   IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
   FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
   AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
   ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
   WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
   ===================================================================================================================== */
