/* One small training run, for test_workers.c and for the build without threads (workers_no_threads.c). Include after badm.h and problems.h. */
#ifndef TEST_WORKERS_H
#define TEST_WORKERS_H

typedef struct workers_run {
    unsigned variant;               /* of problem_variants() */
    uint32_t sub_batches, workers, micro_batch;
    int extras;                     /* dropout, clipping, weight decay, and balancing where there is a rho */
} workers_run;

/* The hash after two epochs of the blobs, whose last batches are short; 0 on any error. */
static inline uint64_t workers_train(const workers_run *run)
{
    unsigned count;
    const problem_variant *v = problem_variants(&count) + run->variant;
    badm_trainer_desc d;
    badm_trainer *tr;
    problem p;
    uint64_t hash = 0;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    problem_use(&d, v);
    d.sub_batches = run->sub_batches;
    d.workers = run->workers;
    d.micro_batch = run->micro_batch;
    d.max_batch = 20;
    if (run->extras) {
        p.dropout = 0.25f;
        d.clip = 0.1f;
        d.weight_decay = 0.01f;
        d.balance = v->method ? 0 : 2;
    }
    if (badm_trainer_new(&tr, &d) == BADM_OK) {
        if (badm_epoch(tr, PROBLEM_SAMPLES, 20, NULL, NULL) == BADM_OK && badm_epoch(tr, PROBLEM_SAMPLES, 19, NULL, NULL) == BADM_OK)
            hash = badm_model_hash(p.model);
        badm_trainer_free(tr);
    }
    problem_free(&p);
    return hash;
}

uint64_t workers_no_threads(const workers_run *run);

#endif
