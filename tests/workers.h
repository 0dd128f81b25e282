/* One small training run, for test_workers.c and for the build without threads (workers_no_threads.c). Include
   after badm.h and problems.h. */
#ifndef TEST_WORKERS_H
#define TEST_WORKERS_H

typedef struct workers_run {
    unsigned variant;               /* of problem_variants() */
    uint32_t sub_batches, workers, micro_batch;
    int extras;                     /* dropout, clipping, weight decay, and balancing where there is a rho */
    int wide;                       /* the wide problem, whose update is shared by the workers too */
} workers_run;

/* The hash after two epochs of the blobs, whose last batches are short; 0 on any error. With tape_bytes set a
   trainer does not know how small the work is, and gives every slot to the workers. */
static inline uint64_t workers_train(const workers_run *run)
{
    unsigned count;
    const problem_variant *v = problem_variants(&count) + run->variant;
    badm_trainer_desc d;
    badm_trainer *tr;
    problem p;
    uint64_t hash = 0;
    uint32_t n = run->wide ? 22 : PROBLEM_SAMPLES, batch = run->wide ? 9 : 20;
    problem_new(&p, run->wide ? PROBLEM_WIDE : PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    problem_use(&d, v);
    d.tape_bytes = run->wide ? 0 : 50000;
    d.sub_batches = run->sub_batches;
    d.workers = run->workers;
    d.micro_batch = run->micro_batch;
    d.max_batch = batch;
    if (run->extras) {
        p.dropout = 0.25f;
        d.clip = 0.1f;
        d.weight_decay = 0.01f;
        d.balance = v->method ? 0 : 2;
    }
    if (badm_trainer_new(&tr, &d) == BADM_OK) {
        if (badm_epoch(tr, n, batch, NULL, NULL) == BADM_OK && badm_epoch(tr, n, batch - 1, NULL, NULL) == BADM_OK)
            hash = badm_model_hash(p.model);
        badm_trainer_free(tr);
    }
    problem_free(&p);
    return hash;
}

uint64_t workers_no_threads(const workers_run *run);

#endif
