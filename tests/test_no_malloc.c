/* Steps, epochs, evaluation and prediction never call malloc, whoever might do so for them. Linked with
   no_malloc_heap.c, which has its own malloc. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "problems.h"

/* Calls of malloc and its kin so far, from no_malloc_heap.c. */
long no_malloc_calls(void);

static int counts_calls(void)
{
    /* volatile: compilers remove a malloc whose result is not used */
    void *(*volatile take_one)(size_t) = malloc;
    void (*volatile release)(void *) = free;
    release(take_one(1));
    return no_malloc_calls() > 0;
}

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
        before = no_malloc_calls();
        for (j = 0; j < steps; j++) CHECK_INT(badm_step(tr, NULL, 12, &r), BADM_OK);
        for (j = 0; j < 3; j++) CHECK_INT(badm_epoch(tr, PROBLEM_SAMPLES, 11, NULL, NULL), BADM_OK);
        CHECK_INT(no_malloc_calls(), before);
        CHECK_INT(badm_evaluate(tr, NULL, NULL, PROBLEM_SAMPLES, &score), BADM_OK);
        CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 3, out), BADM_OK);
        before = no_malloc_calls();
        for (j = 0; j < 3; j++) {
            CHECK_INT(badm_evaluate(tr, NULL, NULL, PROBLEM_SAMPLES, &score), BADM_OK);
            CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 3, out), BADM_OK);
        }
        (void)badm_diagnose(tr, NULL, 0);
        CHECK_INT(no_malloc_calls(), before);
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
