/* libFuzzer harnesses of the readers, one a build: -DFUZZ_SAFETENSORS, FUZZ_CHECKPOINT, FUZZ_NPY, FUZZ_IDX, FUZZ_CSV or
   FUZZ_LIBSVM.

       clang -g -O1 -fsanitize=fuzzer,address,undefined -DFUZZ_NPY -I. tests/fuzz_readers.c -lpthread
       ./a.out -runs=1000000 -seed=1 corpus

   What is refused must have a reason and change nothing; what is accepted must be whole. Anything else aborts.
   tests/fuzz.sh runs all of them. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include <stdlib.h>
#include <string.h>
#include "files.h"

#define FUZZ_BYTES 4096     /* longer inputs find nothing new */
#define FUZZ_MEMORY 67108864u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct { const uint8_t *data; size_t left; } input;

static inline size_t input_read(void *buf, size_t bytes, void *user)
{
    input *in = (input *)user;
    size_t n = bytes < in->left ? bytes : in->left;
    memcpy(buf, in->data, n);
    in->data += n;
    in->left -= n;
    return n;
}

static inline void must(int holds) { if (!holds) abort(); }

/* A refusal has a code of its own and a sentence. */
static inline void must_explain(badm_result code, const char *sentence)
{
    must(code == BADM_ERR_FORMAT || code == BADM_ERR_MODEL || code == BADM_ERR_NONFINITE || code == BADM_ERR_MEMORY);
    must(strlen(sentence) > 20);
}

#if defined(FUZZ_SAFETENSORS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static badm_model *m;
    static small_net net;
    badm_reader r;
    input in;
    uint64_t before;
    badm_result code;
    if (size > FUZZ_BYTES) return 0;
    if (!m) m = small_model(1, &net);
    in.data = data;
    in.left = size;
    r.read = input_read;
    r.user = &in;
    before = badm_model_hash(m);
    code = badm_load_from(m, &r);
    if (code == BADM_OK) must(in.left == 0 && model_is_finite(m));
    else {
        must_explain(code, badm_model_error(m));
        must(badm_model_hash(m) == before);
    }
    return 0;
}

#elif defined(FUZZ_CHECKPOINT)

/* Per-slot and diagonal: the state with the most vectors. What is accepted is trained on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static badm_model *m;
    static badm_trainer *tr;
    static small_net net;
    badm_reader r;
    input in;
    uint64_t before, step;
    badm_result code;
    if (size > FUZZ_BYTES) return 0;
    if (!tr) {
        badm_trainer_desc d;
        m = small_model(1, &net);
        small_desc(&d, m, &net);
        d.form = BADM_PER_SLOT;
        d.metric = BADM_DIAGONAL;
        must(badm_trainer_new(&tr, &d) == BADM_OK);
    }
    in.data = data;
    in.left = size;
    r.read = input_read;
    r.user = &in;
    before = badm_model_hash(m);
    step = badm_trainer_step(tr);
    code = badm_checkpoint_load_from(tr, &r);
    if (code == BADM_OK) {
        must(in.left == 0 && model_is_finite(m));
        badm_epoch(tr, 8, 4, NULL, NULL);
    } else {
        must_explain(code, badm_trainer_error(tr));
        must(badm_model_hash(m) == before && badm_trainer_step(tr) == step);
    }
    return 0;
}

#else

static volatile unsigned bytes_seen;

/* Arrays come from an allocator that refuses what no input of this size can need, and every number is looked at. */
static void *limited_alloc(size_t bytes, void *user) { (void)user; return bytes > FUZZ_MEMORY ? NULL : malloc(bytes); }
static void limited_free(void *p, void *user) { (void)user; free(p); }

static void must_be_whole(badm_array *a, int finite)
{
    static const size_t size[] = { 4, 1, 1, 2, 4 };
    size_t n = 1, i;
    must(a->data != NULL && a->rank <= BADM_MAX_RANK);
    for (i = 0; i < a->rank; i++) n *= a->shape[i];
    for (i = 0; i < n * size[a->type]; i++) bytes_seen += ((const unsigned char *)a->data)[i];
    for (i = 0; finite && i < n; i++) must(((const float *)a->data)[i] - ((const float *)a->data)[i] == 0.0f);
}

#if defined(FUZZ_LIBSVM)
/* Compressed rows: columns ascend and are there, every row has its label. */
static void read_rows(badm_reader *r, badm_memory *mem, uint32_t features)
{
    badm_csr *x = NULL;
    badm_array y;
    badm_error e;
    char sentence[300];
    badm_result code;
    uint32_t i, k;
    memset(&y, 0, sizeof y);
    code = badm_libsvm_load_csr_from(&x, &y, features, r, mem, &e);
    if (code == BADM_OK) {
        must_be_whole(&y, 1);
        must(x->rows == y.shape[0]);
        for (i = 0; i < x->rows; i++)
            for (k = x->start[i]; k < x->start[i + 1]; k++) {
                must(x->column[k] < x->cols && x->value[k] - x->value[k] == 0);
                must(k == x->start[i] || x->column[k - 1] < x->column[k]);
            }
    } else {
        badm_error_text(&e, sentence, sizeof sentence);
        must_explain(code, sentence);
        must(x == NULL && y.data == NULL);
    }
    badm_csr_free(x);
    badm_array_free(&y);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    badm_memory mem;
    badm_array x, y;
    badm_reader r;
    badm_error e;
    badm_result code;
    char sentence[300];
    input in;
    int round;
    if (size > FUZZ_BYTES) return 0;
    memset(&mem, 0, sizeof mem);
    mem.alloc = limited_alloc;
    mem.free = limited_free;
    r.read = input_read;
    r.user = &in;
    memset(&y, 0, sizeof y);
#if defined(FUZZ_LIBSVM)
    for (round = 0; round < 2; round++) {
        in.data = data;
        in.left = size;
        read_rows(&r, &mem, round ? 5 : 0);
    }
#endif
    for (round = 0; round < 2; round++) {
        in.data = data;
        in.left = size;
#if defined(FUZZ_NPY)
        code = badm_npy_load_from(&x, &r, &mem, &e);
#elif defined(FUZZ_IDX)
        code = badm_idx_load_from(&x, &r, &mem, &e);
#elif defined(FUZZ_CSV)
        code = badm_csv_load_from(&x, &r, &mem, &e);
#elif defined(FUZZ_LIBSVM)
        code = badm_libsvm_load_from(&x, &y, round ? 5 : 0, &r, &mem, &e);
#else
#error "define one of FUZZ_SAFETENSORS FUZZ_CHECKPOINT FUZZ_NPY FUZZ_IDX FUZZ_CSV FUZZ_LIBSVM"
#endif
        if (code == BADM_OK) {
#if defined(FUZZ_CSV) || defined(FUZZ_LIBSVM)
            must_be_whole(&x, 1);
#else
            must_be_whole(&x, 0);
#endif
#if defined(FUZZ_LIBSVM)
            must_be_whole(&y, 1);
            must(x.shape[0] == y.shape[0]);
#endif
        } else {
            badm_error_text(&e, sentence, sizeof sentence);
            must_explain(code, sentence);
            must(x.data == NULL && y.data == NULL);
        }
        badm_array_free(&x);
        badm_array_free(&y);
#if !defined(FUZZ_LIBSVM)
        break;                                      /* only LIBSVM has an argument to vary */
#endif
    }
    return 0;
}

#endif
