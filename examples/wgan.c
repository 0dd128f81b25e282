/* Image generation: a Wasserstein GAN with clipped weights (arXiv 1701.07875). A generator, 64-256-512-784, learns to draw digits
   or pieces of clothing from noise, against a critic, 784-512-256-1, that learns to tell them from real ones. Two models, two
   trainers: a trainer moves its own model only, whatever else its loss runs through. How good the drawings are is measured by a
   third network, a classifier trained first: the Frechet distance between its features of drawn and of real images (0: alike).

       cc -O2 -I. examples/wgan.c -o build/wgan -lpthread -lm && build/wgan [DATA]

   DATA is a folder with the four IDX files of MNIST or Fashion-MNIST (plain or .gz; in the folder or in mnist/ below it).
   Without it the program draws its own digits. Saves the generator, the distances, and a picture: rows from the beginning to the
   end of the training, each of the same noise.

   Sections: options, networks, training, results, main. */

#define PROGRAM "wgan"
#define BADM_IMPLEMENTATION
#include "example_images.h"         /* first: it asks for POSIX; includes badm.h */
#include "example_frechet.h"

enum { NOISE = 64, FEATURES = 128, ROWS = 8, COLUMNS = 20 };

/* ------------------------------------------------------------------------------------------------------------------
   Options
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct options {
    const char *data, *out, *method_name, *schedule_name, *classifier;
    uint32_t epochs, batch, sub_batches, workers, images, held_out, seed, critic_steps;
    float lr, sigma, rho, beta1, beta2, clip, generator_step, seconds;
    const badm_method *method;      /* NULL: BADM */
    badm_metric metric;
    badm_schedule_kind schedule;
    int help;
} options;

/* What each method uses when nothing else is asked for. */
static const struct { const char *name; badm_metric metric; const badm_method *(*method)(void); float sigma, lr; } methods[] = {
    { "diagonal",   BADM_DIAGONAL,   NULL,                210.0f, 0 },
    { "orthogonal", BADM_ORTHOGONAL, NULL,                100.0f, 0 },
    { "plain",      BADM_PLAIN,      NULL,                1.0f,   0 },
    { "rmsprop",    BADM_PLAIN,      badm_method_rmsprop, 1,      0.0032f },
    { "adam",       BADM_PLAIN,      badm_method_adam,    1,      0.0032f }
};
enum { METHODS = sizeof methods / sizeof methods[0] };

static const char usage[] =
    "usage: wgan [options] [DATA]\n"
    "Trains a generator of images against a critic (Wasserstein GAN).\n"
    "DATA: a folder with MNIST's or Fashion-MNIST's IDX files, plain or .gz, in it or in mnist/ below it. Without it, digits are\n"
    "drawn.\n"
    "\n"
    "  --method NAME     diagonal, orthogonal or plain (BADM's metrics), rmsprop or adam, for both networks (diagonal)\n"
    "  --sigma X         BADM's consensus weight; 1/sigma is the long-run step size (by method)\n"
    "  --rho X           BADM's proximal weight; rho/(rho+sigma) is the momentum (sigma)\n"
    "  --lr X            step size of rmsprop and adam (by method)\n"
    "  --beta1 X         adam's momentum (0.5)\n"
    "  --beta2 X         of the averages of squares (0.9)\n"
    "  --generator X     the generator's step, times the critic's (1)\n"
    "  --clip X          the critic's weights stay within -X..X (0.02)\n"
    "  --critic-steps N  steps of the critic for one of the generator (5)\n"
    "  --schedule NAME   of the steps: constant or linear (linear)\n"
    "  --epochs N        passes of the critic over the training images (16)\n"
    "  --seconds X       stop after so many seconds of training (all epochs)\n"
    "  --batch N         images in a batch (64)\n"
    "  --sub-batches N   parts a batch is split into for the workers (2)\n"
    "  --workers N       threads; any number gives the same result (one a core)\n"
    "  --seed N          initial weights, order of the images and noise (1)\n"
    "  --images N        learn from the first N training images only, for a quick look (all)\n"
    "  --held-out N      compare with the last N training images, which are not learned from; 0: with the test images (0)\n"
    "  --classifier FILE use this classifier, as an earlier run saved it, instead of training one\n"
    "  --out DIR         where the results go (build if there is one, else .)\n"
    "  --help            this text\n";

/* After all options are read: what was left to the method, and values that only make sense together. NULL, or what is wrong. */
static const char *complete_options(options *o)
{
    size_t i = 0;
    while (i < METHODS && strcmp(o->method_name, methods[i].name)) i++;
    if (i == METHODS) return "--method needs diagonal, orthogonal, plain, rmsprop or adam";
    o->metric = methods[i].metric;
    o->method = methods[i].method ? methods[i].method() : NULL;
    if (!(o->sigma > 0)) o->sigma = methods[i].sigma;
    if (!(o->rho > 0)) o->rho = o->sigma;
    if (!(o->lr > 0)) o->lr = methods[i].lr;
    if (!strcmp(o->schedule_name, "linear")) o->schedule = BADM_LINEAR_DECAY;
    else if (!strcmp(o->schedule_name, "constant")) o->schedule = BADM_CONSTANT_RATE;
    else return "--schedule needs constant or linear";
    if (!o->epochs || !o->batch || !o->sub_batches || !o->critic_steps)
        return "--epochs, --batch, --sub-batches and --critic-steps need at least 1";
    if (o->epochs > 10000) return "--epochs needs at most 10000";
    if (o->sub_batches > o->batch) return "--sub-batches cannot be more than the images in a --batch";
    if (o->beta1 >= 1 || o->beta2 >= 1) return "--beta1 and --beta2 need less than 1";
    if (!*o->out) return "--out needs a folder";
    return NULL;
}

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--epochs", COUNT, &o->epochs },               { "--batch", COUNT, &o->batch },                 { "--sub-batches", COUNT, &o->sub_batches },
        { "--workers", COUNT, &o->workers },             { "--seed", COUNT, &o->seed },                   { "--images", COUNT, &o->images },
        { "--held-out", COUNT, &o->held_out },           { "--critic-steps", COUNT, &o->critic_steps },   { "--lr", POSITIVE, &o->lr },
        { "--sigma", POSITIVE, &o->sigma },              { "--rho", POSITIVE, &o->rho },                  { "--beta1", POSITIVE, &o->beta1 },
        { "--beta2", POSITIVE, &o->beta2 },
        { "--clip", POSITIVE, &o->clip },                { "--generator", POSITIVE, &o->generator_step }, { "--seconds", POSITIVE, &o->seconds },
        { "--method", TEXT, &o->method_name },           { "--schedule", TEXT, &o->schedule_name },       { "--classifier", TEXT, &o->classifier },
        { "--out", TEXT, &o->out },                      { "--help", FLAG, &o->help },                    { NULL, FLAG, NULL }
    };
    const char *wrong;
    memset(o, 0, sizeof *o);
    o->epochs = 16; o->batch = 64; o->sub_batches = 2; o->seed = 1; o->critic_steps = 5;
    o->beta1 = 0.5f; o->beta2 = 0.9f; o->clip = 0.02f; o->generator_step = 1;
    o->method_name = "diagonal"; o->schedule_name = "linear"; o->out = default_out();
    if (!read_arguments(known, argc, argv, &o->data)) return 0;
    wrong = complete_options(o);
    return wrong ? complain(wrong) : 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   Networks
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct network { badm_linear layer[3]; } network;

/* What the losses and graphs need: the three networks and the real images. */
typedef struct task { network generator, critic, classifier; images data; } task;

static network new_network(badm_model *m, badm_dim in, badm_dim first, badm_dim second, badm_dim out)
{
    network net;
    net.layer[0] = badm_linear_new(m, "fc1", in, first);
    net.layer[1] = badm_linear_new(m, "fc2", first, second);
    net.layer[2] = badm_linear_new(m, "fc3", second, out);
    return net;
}

/* The second hidden layer's output. */
static badm_tensor *hidden(badm_tape *t, const network *net, badm_tensor *x)
{
    x = badm_leaky_relu(t, badm_linear_forward(t, net->layer[0], x), 0.2f);
    return badm_leaky_relu(t, badm_linear_forward(t, net->layer[1], x), 0.2f);
}

static badm_tensor *output_of(badm_tape *t, const network *net, badm_tensor *x)
{
    return badm_linear_forward(t, net->layer[2], hidden(t, net, x));
}

static badm_tensor *real_images(badm_tape *t, const task *k, const badm_batch *b)
{
    return badm_rows_u8(t, k->data.pixels, PIXELS, 1.0f / 255, 0, b);
}

/* Noise number `index`: the same whenever it is asked for. */
static void numbered_noise(float *row, badm_dim width, uint32_t index, void *user)
{
    badm_rng r;
    badm_dim i;
    (void)user;
    badm_rng_init(&r, 64, index);
    for (i = 0; i < width; i++) row[i] = badm_rng_normal(&r);
}

/* [count,784]: of new noise while training, else of the noise of these numbers. */
static badm_tensor *drawn_images(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    badm_dim shape[2];
    shape[0] = (badm_dim)b->count;
    shape[1] = NOISE;
    return badm_sigmoid(t, output_of(t, &k->generator, badm_training(t) ? badm_randn(t, 2, shape)
                                                                       : badm_rows_fill(t, numbered_noise, NULL, NOISE, b)));
}

/* The critic's loss: high for drawn images, low for real ones. The generator, of another model, gets no gradient. */
static badm_tensor *critic_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    badm_tensor *drawn = badm_mean(t, output_of(t, &k->critic, drawn_images(t, b, user)));
    return badm_sub(t, drawn, badm_mean(t, output_of(t, &k->critic, real_images(t, k, b))));
}

/* The generator's: what the critic makes of its images. The gradient comes through the critic, which keeps none. */
static badm_tensor *generator_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return badm_scale(t, badm_mean(t, output_of(t, &k->critic, drawn_images(t, b, user))), -1);
}

static badm_tensor *classifier_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return badm_cross_entropy(t, output_of(t, &k->classifier, real_images(t, k, b)), badm_labels_u8(t, k->data.labels, b));
}

static badm_tensor *real_features(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return hidden(t, &k->classifier, real_images(t, k, b));
}

static badm_tensor *drawn_features(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return hidden(t, &k->classifier, drawn_images(t, b, user));
}

/* ------------------------------------------------------------------------------------------------------------------
   Training
   ----------------------------------------------------------------------------------------------------------------- */

/* After an epoch: seconds of training up to here, and the Frechet distance of what the generator then draws. */
typedef struct point { double seconds, distance; } point;

typedef struct run {
    const options *o;
    const dataset *data;
    terminal term;
    badm_model *generator, *critic, *classifier;
    badm_trainer *generators, *critics;
    task train, test;
    gaussian real, drawn;           /* of the features */
    float *features;
    grid rows;
    point *curve;
    uint32_t done, drawn_rows;      /* epochs completed and measured; rows of the picture */
    double seconds, started;        /* of training, before this epoch; when this epoch began */
    int failed;
} run;

static int new_trainer(badm_trainer **out, run *r, badm_model *m, badm_loss_fn loss, uint32_t steps, float factor)
{
    const options *o = r->o;
    badm_trainer_desc d;
    badm_trainer_defaults(&d);
    d.model = m;
    d.loss = loss;
    d.user = &r->train;
    d.seed = o->seed;
    d.max_batch = o->batch;
    d.sub_batches = o->sub_batches;
    if (o->workers) d.workers = o->workers;
    d.method = o->method;
    d.metric = o->metric;
    d.sigma = o->sigma / factor;
    d.rho = o->rho / factor;
    d.lr = o->lr * factor;
    d.beta1 = o->beta1;
    d.beta2 = o->beta2;
    d.schedule.kind = o->schedule;
    d.schedule.total = steps;
    d.monitors = 0;
    d.cancel = &cancelled;
    return badm_trainer_new(out, &d) == BADM_OK ? 1 : complain(badm_model_error(m));
}

/* The critic is to be a function of limited slope: its weights, all its parameters, are kept small. */
static void clip_weights(badm_model *m, float limit)
{
    size_t i, k, n;
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        float *w = badm_param_data(p);
        for (k = 0, n = badm_param_size(p); k < n; k++) w[k] = w[k] > limit ? limit : w[k] < -limit ? -limit : w[k];
    }
}

/* After every step of the critic: clips it, and lets the generator take its step when it is its turn. */
static int on_critic_step(const badm_progress *p, void *user)
{
    run *r = (run *)user;
    const options *o = r->o;
    double t;
    clip_weights(r->critic, o->clip);
    if (p->last.step % o->critic_steps == o->critic_steps - 1 && badm_step(r->generators, NULL, o->batch, NULL) != BADM_OK) {
        r->failed = !cancelled;
        if (r->failed) complain(badm_trainer_error(r->generators));
        return 1;
    }
    t = now();
    if (o->seconds > 0 && r->seconds + t - r->started > (double)o->seconds) return 1;
    if (r->term.live && t - r->term.last > 0.1) {
        char line[128];
        snprintf(line, sizeof line, "epoch %lu of %lu  %5lu of %lu  critic tells them apart by %.4f", (unsigned long)p->epoch + 1,
                 (unsigned long)o->epochs, (unsigned long)p->sample, (unsigned long)p->samples, -(double)p->loss);
        r->term.last = t;
        show_line(&r->term, line);
    }
    return cancelled;
}

/* Features of as many images as are held out. */
static int fit_features(run *r, badm_loss_fn graph, gaussian *g)
{
    uint32_t n = r->test.data.n;
    if (badm_predict(r->generators, graph, &r->test, n, FEATURES, r->features) != BADM_OK)
        return complain(badm_trainer_error(r->generators));
    gaussian_fit(g, r->features, n);
    return 1;
}

static int measure(run *r, double *distance)
{
    if (!fit_features(r, drawn_features, &r->drawn)) return 0;
    *distance = frechet_distance(&r->real, &r->drawn);
    return *distance >= 0 ? 1 : complain("there is not enough memory for the distance");
}

/* Before training, after the last epoch, and between them as evenly as epochs allow. */
static uint32_t rows_of_picture(const options *o) { return o->epochs < ROWS ? o->epochs + 1 : (uint32_t)ROWS; }

/* The next row of the picture. */
static int draw_row(run *r)
{
    float drawn[COLUMNS * PIXELS];
    uint32_t i;
    if (badm_predict(r->generators, drawn_images, &r->test, COLUMNS, PIXELS, drawn) != BADM_OK)
        return complain(badm_trainer_error(r->generators));
    for (i = 0; i < COLUMNS; i++) put_image(&r->rows, i, r->drawn_rows, NULL, drawn + (size_t)i * PIXELS);
    r->drawn_rows++;
    return 1;
}

static int train_classifier(run *r)
{
    uint32_t epoch, epochs = 4, steps = (r->train.data.n + 127) / 128;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    badm_result result = BADM_OK;
    badm_trainer_defaults(&d);
    d.model = r->classifier;
    d.loss = classifier_loss;
    d.user = &r->train;
    d.max_batch = 128;
    d.sub_batches = 2;
    if (r->o->workers) d.workers = r->o->workers;
    d.metric = BADM_DIAGONAL;
    d.sigma = 500;
    d.rho = 4500;
    d.schedule.kind = BADM_LINEAR_DECAY;
    d.schedule.total = epochs * steps;
    d.cancel = &cancelled;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return complain(badm_model_error(r->classifier));
    for (epoch = 0; epoch < epochs && result == BADM_OK; epoch++)
        result = badm_epoch(tr, r->train.data.n, r->train.data.n < 128 ? r->train.data.n : 128, NULL, NULL);
    if (result == BADM_OK) result = badm_evaluate(tr, NULL, &r->test, r->test.data.n, &score);
    if (result != BADM_OK && !cancelled) complain(badm_trainer_error(tr));
    badm_trainer_free(tr);
    if (result == BADM_OK) printf("classifier: %.2f %% of the images held out\n\n", 100 * (double)score.accuracy);
    return result == BADM_OK;
}

static int get_classifier(run *r)
{
    if (!r->o->classifier) {
        if (!train_classifier(r)) return 0;
    } else if (badm_load(r->classifier, r->o->classifier) != BADM_OK) return complain(badm_model_error(r->classifier));
    return fit_features(r, real_features, &r->real);
}

static int new_run(run *r, const options *o, const dataset *data)
{
    uint32_t steps = (data->train.n + o->batch - 1) / o->batch * o->epochs;
    memset(r, 0, sizeof *r);
    r->o = o;
    r->data = data;
    r->term = find_terminal();
    r->generator = badm_model_new(o->seed);
    r->critic = badm_model_new(o->seed + 1u);
    r->classifier = badm_model_new(1);
    r->curve = (point *)calloc(o->epochs, sizeof *r->curve);
    r->features = (float *)malloc((size_t)data->test.n * FEATURES * sizeof *r->features);
    if (!r->generator || !r->critic || !r->classifier || !r->curve || !r->features || !gaussian_new(&r->real, FEATURES)
        || !gaussian_new(&r->drawn, FEATURES))
        return complain("there is not enough memory");
    if (!new_grid(&r->rows, COLUMNS, rows_of_picture(o))) return 0;
    r->train.generator = new_network(r->generator, NOISE, 256, 512, PIXELS);
    r->train.critic = new_network(r->critic, PIXELS, 512, 256, 1);
    r->train.classifier = new_network(r->classifier, PIXELS, 256, FEATURES, CLASSES);
    r->train.data = data->train;
    r->test = r->train;
    r->test.data = data->test;
    clip_weights(r->critic, o->clip);
    if (!new_trainer(&r->critics, r, r->critic, critic_loss, steps, 1)) return 0;
    return new_trainer(&r->generators, r, r->generator, generator_loss, steps / o->critic_steps, o->generator_step);
}

static void free_run(run *r)
{
    if (r->generators) badm_trainer_free(r->generators);
    if (r->critics) badm_trainer_free(r->critics);
    if (r->generator) badm_model_free(r->generator);
    if (r->critic) badm_model_free(r->critic);
    if (r->classifier) badm_model_free(r->classifier);
    gaussian_free(&r->real);
    gaussian_free(&r->drawn);
    free(r->features);
    free(r->curve);
}

/* One epoch of the critic and where the generator then stands. 0: stopped, by the user, by an error, or the time is over. */
static int run_epoch(run *r)
{
    point *p = &r->curve[r->done];
    badm_result result;
    int in_time = 1;
    r->started = now();
    result = badm_epoch(r->critics, r->train.data.n, r->o->batch, on_critic_step, r);
    r->seconds += now() - r->started;
    clear_line(&r->term);
    if (r->failed || cancelled) return 0;
    if (result == BADM_ERR_CANCELLED) in_time = 0;
    else if (result != BADM_OK) return r->failed = 1, complain(badm_trainer_error(r->critics));
    if (!measure(r, &p->distance)) return r->failed = 1, 0;
    p->seconds = r->seconds;
    r->done++;
    printf("%5lu   %8.2f s   %8.2f\n", (unsigned long)r->done, p->seconds, p->distance);
    fflush(stdout);
    if (r->done * (rows_of_picture(r->o) - 1) / r->o->epochs >= r->drawn_rows && !draw_row(r)) return r->failed = 1, 0;
    return in_time;
}

/* ------------------------------------------------------------------------------------------------------------------
   Results
   ----------------------------------------------------------------------------------------------------------------- */

static int write_csv(const run *r)
{
    output_file out;
    uint32_t i;
    if (!open_output(&out, r->o->out, "wgan.csv")) return 0;
    fprintf(out.f, "epoch,seconds,frechet_distance\n");
    for (i = 0; i < r->done; i++)
        fprintf(out.f, "%lu,%.3f,%.6f\n", (unsigned long)i + 1, r->curve[i].seconds, r->curve[i].distance);
    return close_output(&out);
}

/* Every file is tried, whatever became of the others. */
static int save_all(run *r)
{
    const char *out = r->o->out;
    int model = save_model(r->generator, out, "wgan.safetensors"), csv = write_csv(r);
    int last = r->drawn_rows == rows_of_picture(r->o) || draw_row(r);       /* stopped early: as it is now */
    int classifier = r->o->classifier || save_model(r->classifier, out, "wgan_classifier.safetensors");
    int drawn;
    r->rows.height = GAP + r->drawn_rows * (SIDE * ZOOM + GAP);             /* without the rows that were not reached */
    drawn = save_grid(&r->rows, out, "wgan.png");
    if (model) printf("saved %s/wgan.safetensors: the generator\n", out);
    if (classifier && !r->o->classifier) printf("saved %s/wgan_classifier.safetensors: for --classifier\n", out);
    if (csv) printf("saved %s/wgan.csv: the distances\n", out);
    if (drawn) printf("saved %s/wgan.png: drawings while it learned\n", out);
    return model && classifier && csv && last && drawn;
}

static void print_setup(const run *r)
{
    const options *o = r->o;
    uint32_t workers = o->workers ? o->workers : badm_cpu_count();
    printf("badm " BADM_VERSION_STRING ": Wasserstein GAN, generator 64-256-512-784, critic 784-512-256-1\n");
    printf("images  %s: %lu to train, %lu %s\n", r->data->title, (unsigned long)r->data->train.n, (unsigned long)r->data->test.n,
           o->held_out ? "more, held out, to compare with" : "to compare with");
    if (o->method) printf("method  %s, step size %g\n", o->method_name, (double)o->lr);
    else
        printf("method  BADM, %s metric, sigma %g, rho %g (momentum %.2f)\n", o->method_name, (double)o->sigma, (double)o->rho,
               (double)(o->rho / (o->rho + o->sigma)));
    printf("        %lu critic steps for one of the generator, clip %g, %s schedule\n", (unsigned long)o->critic_steps,
           (double)o->clip, o->schedule_name);
    printf("        epochs %lu, batch %lu, sub-batches %lu, seed %lu, workers %lu\n\n", (unsigned long)o->epochs,
           (unsigned long)o->batch, (unsigned long)o->sub_batches, (unsigned long)o->seed, (unsigned long)workers);
    fflush(stdout);
}

/* ------------------------------------------------------------------------------------------------------------------
   main
   ----------------------------------------------------------------------------------------------------------------- */

/* The exit code: 0 done, 1 an error, 130 ended by Ctrl-C (as shells count it). */
static int run_and_report(run *r)
{
    const point *last;
    int saved, interrupted;
    print_setup(r);
    signal(SIGINT, on_interrupt);
    if (!get_classifier(r) || !draw_row(r)) return cancelled ? 130 : 1;
    printf("epoch      seconds   distance\n");
    while (r->done < r->o->epochs && run_epoch(r)) { }
    if (r->failed || cancelled)
        printf("\nStopped by %s after %lu of %lu epochs. %s\n", cancelled ? "Ctrl-C" : "the error above", (unsigned long)r->done,
               (unsigned long)r->o->epochs, r->done ? "What there is so far is kept:" : "Nothing is saved.");
    interrupted = cancelled;
    if (!r->done) return interrupted ? 130 : 1;
    cancelled = 0;                      /* the last row of the picture is made by a trainer */
    printf("\n");
    saved = save_all(r);
    last = &r->curve[r->done - 1];
    printf("RESULT wgan_distance %.3f\nRESULT wgan_epochs %lu\nRESULT wgan_seconds %.2f\n", last->distance, (unsigned long)r->done,
           last->seconds);
    return interrupted ? 130 : r->failed || !saved;
}

int main(int argc, char **argv)
{
    options o;
    dataset data;
    run r;
    int code = 1;
    if (!read_options(&o, argc, argv)) return 1;
    if (o.help) {
        printf("%s", usage);
        return 0;
    }
    if (!can_write_to(o.out)) return 1;
    if (get_images(&data, o.data, o.images, o.held_out, o.batch)) {
        if (new_run(&r, &o, &data)) code = run_and_report(&r);
        free_run(&r);
    }
    free_images(&data);
    return code;
}
