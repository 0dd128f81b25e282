/* Steps, epochs, evaluation and prediction never call malloc, whoever might do so for them. This program has its own malloc, which
   hands out a static block and counts; that works with glibc and without sanitizers. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "problems.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif

#if defined(__GLIBC__) && (defined(__GNUC__) || defined(__clang__)) && !defined(__TINYC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(SANITIZED)
#include <errno.h>

#define HEAP_BYTES ((size_t)128 << 20)
static union { unsigned char bytes[HEAP_BYTES]; long double align; } heap;
static size_t heap_used;
static long calls;

/* Blocks are never reused; 16 bytes before each hold its size. */
static void *take(size_t bytes, size_t align)
{
    size_t start;
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (bytes > HEAP_BYTES / 2) return NULL;
    start = __atomic_fetch_add(&heap_used, bytes + align + 32, __ATOMIC_SEQ_CST);
    if (start + bytes + align + 32 > HEAP_BYTES) return NULL;
    start = (start + 16 + align - 1) / align * align;
    memcpy(heap.bytes + start - 16, &bytes, sizeof bytes);
    return heap.bytes + start;
}

void *malloc(size_t bytes) { return take(bytes, 16); }
void free(void *p) { (void)p; }
void *calloc(size_t n, size_t size) { return size && n > HEAP_BYTES / size ? NULL : take(n * size, 16); }     /* the block is zero */
void *aligned_alloc(size_t align, size_t bytes) { return take(bytes, align < 16 ? 16 : align); }
void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes) { return take(bytes, align < 16 ? 16 : align); }
int posix_memalign(void **out, size_t align, size_t bytes);
int posix_memalign(void **out, size_t align, size_t bytes)
{
    *out = take(bytes, align < 16 ? 16 : align);
    return *out ? 0 : ENOMEM;
}

void *realloc(void *p, size_t bytes)
{
    void *q = take(bytes, 16);
    size_t old;
    if (!p || !q) return q;
    memcpy(&old, (unsigned char *)p - 16, sizeof old);
    memcpy(q, p, old < bytes ? old : bytes);
    return q;
}

static long count_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }
static int counts_calls(void)
{
    /* volatile: compilers remove a malloc whose result is not used, and valgrind sees no call of a free put in place */
    void *(*volatile take_one)(size_t) = malloc;
    void (*volatile release)(void *) = free;
    release(take_one(1));
    return count_calls() > 0;
}
#else
static long count_calls(void) { return 0; }
static int counts_calls(void) { return 0; }
#endif

/* Every so many of the ways of training. */
static void train(problem_kind kind, unsigned steps, unsigned every)
{
    static float out[PROBLEM_SAMPLES * 3];
    const problem_variant *all;
    unsigned count, i, j;
    all = problem_variants(&count);
    for (i = 0; i < count; i += every) {
        badm_trainer_desc d;
        badm_trainer *tr;
        badm_report r;
        badm_score score;
        problem p;
        long before;
        problem_new(&p, kind, NULL, 1);
        p.dropout = 0.25f;
        problem_desc(&p, &d);
        problem_use(&d, all + i);
        d.sub_batches = 4;
        d.workers = 3;
        d.max_batch = 12;
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        before = count_calls();
        for (j = 0; j < steps; j++) CHECK_INT(badm_step(tr, NULL, 12, &r), BADM_OK);
        for (j = 0; j < 3; j++) CHECK_INT(badm_epoch(tr, PROBLEM_SAMPLES, 11, NULL, NULL), BADM_OK);
        CHECK_INT(count_calls(), before);
        CHECK_INT(badm_evaluate(tr, NULL, NULL, PROBLEM_SAMPLES, &score), BADM_OK);
        CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 3, out), BADM_OK);
        before = count_calls();
        for (j = 0; j < 3; j++) {
            CHECK_INT(badm_evaluate(tr, NULL, NULL, PROBLEM_SAMPLES, &score), BADM_OK);
            CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 3, out), BADM_OK);
        }
        (void)badm_diagnose(tr, NULL, 0);
        CHECK_INT(count_calls(), before);
        badm_trainer_free(tr);
        problem_free(&p);
    }
}

TEST(a_thousand_steps_call_malloc_never)
{
    if (!counts_calls()) SKIP("malloc cannot be replaced here");
    train(PROBLEM_BLOBS, 1000, 1);
}

TEST(steps_on_all_workers_call_malloc_never)
{
    if (!counts_calls()) SKIP("malloc cannot be replaced here");
    train(PROBLEM_WIDE, 10, 4);
}

TEST_MAIN(
    RUN(a_thousand_steps_call_malloc_never)
    RUN(steps_on_all_workers_call_malloc_never)
)
