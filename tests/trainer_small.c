/* The library as BADM_SMALL, for test_trainer.c: what it leaves out is refused as such, and what remains trains. */
#ifndef BADM_SMALL
#define BADM_SMALL
#endif
#include "other_build.h"
#include "badm.h"
#include "buffer.h"
#include "problems.h"

static union { unsigned char bytes[32 * 1024]; double aligned; } small_block;

static void small_begin(badm_memory *mem, problem *p, badm_trainer_desc *d)
{
    badm_memory_block(mem, small_block.bytes, sizeof small_block.bytes);
    problem_new(p, PROBLEM_XOR, mem, 1);
    badm_trainer_defaults(d);
    d->model = p->model; d->loss = problem_loss; d->user = p; d->memory = mem; d->max_batch = 4; d->sub_batches = 2;
    d->sigma = 0.5f;
    d->rho = 4.5f;
}

static int small_exchange(float *buf, size_t n, void *user) { (void)buf; (void)n; (void)user; return 0; }
static void small_log(badm_result r, const char *text, void *user) { (void)r; (void)text; (void)user; }

int trainer_small_refuses(int which, badm_result *found);
float trainer_small_learns(int adam);
float trainer_small_continues(buffer *checkpoint, uint32_t steps);

/* Tries thing number `which` that is left out; 0 where there are no more. */
int trainer_small_refuses(int which, badm_result *found)
{
    badm_memory mem;
    badm_trainer_desc d;
    badm_trainer *tr;
    problem p;
    static const badm_dim shape[2] = { 2, 2 };
    small_begin(&mem, &p, &d);
    switch (which) {
    case 0: d.form = BADM_PER_SLOT; break;
    case 1: d.metric = BADM_DIAGONAL; break;
    case 2: d.metric = BADM_ORTHOGONAL; break;
    case 3: d.metric = BADM_SISA; break;
    case 4: d.local_steps = 2; break;
    case 5: d.diversity = BADM_DIVERSITY_EXACT; break;
    case 6: d.schedule.kind = BADM_COSINE_DECAY; break;
    case 7: d.schedule.warmup = 3; break;
    case 8: d.clip = 1; break;
    case 9: d.ridge = 1; break;
    case 10: d.balance = 10; break;
    case 11: d.second_moment_of_slots = 1; break;
    case 12: d.allreduce = small_exchange; break;
    case 13: d.log = small_log; break;
    case 14: badm_buffer_new(p.model, "b", 2, shape, 0); break;
    case 15:
        badm_param_new(p.model, "n", 2, shape, badm_init_normal(0, 1));
        *found = badm_model_result(p.model);
        return 1;
    case 16: d.memory = NULL; break;
    case 17:
        badm_set_metric(p.model, "", BADM_DIAGONAL);
        *found = badm_model_result(p.model);
        return 1;
    case 18:                                        /* there is no memory but a block's */
        d.model = badm_model_new(1);
        *found = d.model ? BADM_OK : badm_trainer_new(&tr, &d) == BADM_ERR_ARGUMENT ? BADM_ERR_BUILD : BADM_OK;
        return 1;
    default: return 0;
    }
    *found = badm_trainer_new(&tr, &d);
    if (tr) badm_trainer_free(tr);
    return 1;
}

/* XOR's loss after 500 steps; 1e9: an error. */
float trainer_small_learns(int adam)
{
    badm_memory mem;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    problem p;
    size_t left;
    int i;
    small_begin(&mem, &p, &d);
    if (adam) d.method = badm_method_adam();
    d.lr = 0.05f;
    r.loss = 0;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return 1e9f;
    left = badm_memory_left(&mem);
    for (i = 0; i < 500; i++) if (badm_step(tr, NULL, 4, &r) != BADM_OK) return 1e9f;
    return left == badm_memory_left(&mem) && badm_diagnose(tr, NULL, 0) == 0 ? r.loss : 1e9f;
}

/* The loss of the last of so many steps from a checkpoint on, which is then written as it is after them; 1e9: an error. */
float trainer_small_continues(buffer *checkpoint, uint32_t steps)
{
    badm_memory mem;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    problem p;
    badm_reader from = buffer_reader(checkpoint);
    badm_writer to;
    small_begin(&mem, &p, &d);
    r.loss = 0;
    if (badm_trainer_new(&tr, &d) != BADM_OK || badm_checkpoint_load_from(tr, &from) != BADM_OK) return 1e9f;
    for (; steps > 0; steps--) if (badm_step(tr, NULL, 4, &r) != BADM_OK) return 1e9f;
    to = buffer_writer(checkpoint);
    return badm_checkpoint_save_to(tr, &to) == BADM_OK ? r.loss : 1e9f;
}
