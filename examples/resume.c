/* Stop in the middle of an epoch, go on later, end with the same bits.
       cc -O2 -I. examples/resume.c -o build/resume -lpthread && build/resume [checkpoint file]

   One run trains without interruption. A second one stops in the middle of its third epoch and saves a checkpoint. A
   third one, as after a reboot - a new model with other first weights, a new trainer, another number of workers - loads
   the checkpoint and goes on. The first and the third must end with the same parameters, bit for bit: the same hash. */
#include <stdio.h>
#define BADM_IMPLEMENTATION
#include "badm.h"

enum { POINTS = 1200, CLASSES = 3, BATCH = 50, EPOCHS = 8, STOP_EPOCH = 2, STOP_SAMPLE = 450 };

/* Three interleaved spiral arms in the plane. */
static float points[POINTS][2];
static int32_t arms[POINTS];

typedef struct { badm_linear in, middle, out; } net;

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *h = badm_rows(t, points[0], 2, b);
    h = badm_relu(t, badm_linear_forward(t, n->in, h));
    h = badm_dropout(t, h, 0.05f);                      /* random, and still the same bits */
    h = badm_relu(t, badm_linear_forward(t, n->middle, h));
    return badm_cross_entropy(t, badm_linear_forward(t, n->out, h), badm_labels(t, arms, b));
}

typedef struct { badm_model *model; badm_trainer *trainer; net layers; } run;

static int start(run *r, uint64_t model_seed, uint32_t workers)
{
    badm_trainer_desc d;
    r->model = badm_model_new(model_seed);
    r->trainer = NULL;
    if (!r->model) return 0;
    r->layers.in = badm_linear_new(r->model, "in", 2, 48);
    r->layers.middle = badm_linear_new(r->model, "middle", 48, 48);
    r->layers.out = badm_linear_new(r->model, "out", 48, CLASSES);
    badm_trainer_defaults(&d);
    d.model = r->model; d.loss = loss; d.user = &r->layers;
    d.max_batch = BATCH; d.sub_batches = 4; d.workers = workers;
    d.metric = BADM_DIAGONAL; d.sigma = 100; d.rho = 900;
    d.schedule.kind = BADM_COSINE_DECAY; d.schedule.total = EPOCHS * POINTS / BATCH; d.schedule.last = 0.05f;
    return badm_trainer_new(&r->trainer, &d) == BADM_OK;
}

static void end(run *r)
{
    if (r->trainer) badm_trainer_free(r->trainer);
    if (r->model) badm_model_free(r->model);
}

static int stop_here(const badm_progress *p, void *user)
{
    (void)user;
    return p->epoch == STOP_EPOCH && p->sample >= STOP_SAMPLE;
}

/* Trains until EPOCHS epochs are done, wherever the trainer stands. */
static badm_result finish(run *r)
{
    badm_result result = BADM_OK;
    while (result == BADM_OK && badm_trainer_epoch(r->trainer) < EPOCHS)
        result = badm_epoch(r->trainer, POINTS, BATCH, NULL, NULL);
    return result;
}

static int report(const char *name, run *r)
{
    badm_score s;
    if (badm_evaluate(r->trainer, NULL, &r->layers, POINTS, &s) != BADM_OK) return 0;
    printf("%-16s step %4lu   loss %.4f   accuracy %.3f   hash %016llx\n", name,
           (unsigned long)badm_trainer_step(r->trainer), (double)s.loss, (double)s.accuracy,
           (unsigned long long)badm_model_hash(r->model));
    return 1;
}

static int failed(run *r)
{
    const char *why = r->model ? badm_model_error(r->model) : "not enough memory";
    if (r->trainer && badm_trainer_error(r->trainer)[0]) why = badm_trainer_error(r->trainer);
    fprintf(stderr, "resume: %s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "resume.safetensors";
    run whole, stopped, resumed;
    badm_result r = BADM_OK;
    badm_rng g;
    uint64_t expected, got;
    int i;

    badm_rng_init(&g, 7, 0);
    for (i = 0; i < POINTS; i++) {
        float radius = badm_rng_uniform(&g), angle;
        arms[i] = i % CLASSES;
        angle = 4 * radius + 2.0944f * (float)arms[i] + 0.15f * badm_rng_normal(&g);
        points[i][0] = radius * badm_cosf(angle);
        points[i][1] = radius * badm_cosf(angle - 1.5707964f);         /* the sine */
    }

    if (!start(&whole, 1, 2) || finish(&whole) != BADM_OK || !report("not interrupted", &whole)) return failed(&whole);

    if (!start(&stopped, 1, 1)) return failed(&stopped);
    while (r == BADM_OK) r = badm_epoch(stopped.trainer, POINTS, BATCH, stop_here, NULL);
    if (r != BADM_ERR_CANCELLED || !report("stopped", &stopped)) return failed(&stopped);
    if (badm_checkpoint_save(stopped.trainer, path) != BADM_OK) return failed(&stopped);
    end(&stopped);

    if (!start(&resumed, 99, 3)) return failed(&resumed);
    if (badm_checkpoint_load(resumed.trainer, path) != BADM_OK) return failed(&resumed);
    if (!report("loaded", &resumed)) return failed(&resumed);
    if (finish(&resumed) != BADM_OK || !report("went on", &resumed)) return failed(&resumed);

    expected = badm_model_hash(whole.model);
    got = badm_model_hash(resumed.model);
    end(&whole);
    end(&resumed);
    remove(path);
    puts(got == expected ? "The same bits, as if it had never stopped." : "The bits differ.");
    return got == expected ? 0 : 1;
}
