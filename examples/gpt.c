/* A language model of single characters: a small GPT (Radford et al. 2019; arXiv 1706.03762) that learns to continue a text,
   trained with BADM's orthogonal metric. Shows losses while it learns, writes some text of its own, saves the model.

       cc -O2 -I. examples/gpt.c -o build/gpt -lpthread && build/gpt TEXT

   TEXT is any text file, or a folder with tinyshakespeare.txt (plain or .gz; in it or in text/ below it). Without it the program
   learns from sums in words that it makes itself. Afterwards, from the model's file alone:

       build/gpt --load build/gpt.safetensors --generate 1000 --prompt "ROMEO:" --temperature 0.8

   Sections: options, text, network, saved models, generating, training, main. */

#define PROGRAM "gpt"
#define BADM_IMPLEMENTATION
#include "example_program.h"        /* first: it asks for POSIX; includes badm.h */

enum { MAX_LAYERS = 48, HELD_OUT = 10 /* one part in so many is held out for validation */ };

/* ------------------------------------------------------------------------------------------------------------------
   Options
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct options {
    const char *text, *load, *out, *prompt, *method;
    uint32_t layers, heads, width, context, batch, steps, sub_batches, workers, seed, generate, top_k, every;
    float step, temperature;
    int help, method_index;
} options;

/* Step sizes (BADM's is 1/sigma) and momenta when nothing else is asked for. */
typedef struct method_of {
    const char *name;
    badm_metric metric;
    const badm_method *(*method)(void);
    float step, momentum;
} method_of;
static const method_of methods[] = {
    { "orthogonal", BADM_ORTHOGONAL, NULL,              0.02f,  0.95f },
    { "diagonal",   BADM_DIAGONAL,   NULL,              0.002f, 0.9f },
    { "adamw",      BADM_PLAIN,      badm_method_adamw, 0.002f, 0.9f },
    { "muon",       BADM_PLAIN,      badm_method_muon,  0.02f,  0.95f }
};
enum { METHODS = sizeof methods / sizeof methods[0] };

static const char usage[] =
    "usage: gpt [options] [TEXT]\n"
    "Learns to continue a text, character by character, and writes some.\n"
    "TEXT: a text file, or a folder with tinyshakespeare.txt in it or in text/ below it. Without it: sums in words.\n"
    "\n"
    "  --load FILE       no training: the model of an earlier run, which then writes\n"
    "  --generate N      characters to write (500)\n"
    "  --prompt TEXT     what to continue (a new line)\n"
    "  --temperature X   0 always takes the likeliest character, 1 draws as the model believes (0.8)\n"
    "  --top-k K         draw among the K likeliest alone; 0: among all (0)\n"
    "  --steps N         training steps (1000)\n"
    "  --batch N         pieces of text in a step (12)\n"
    "  --context N       characters the model looks back at (64)\n"
    "  --layers N        blocks (4)\n"
    "  --heads N         attention heads of a block (4)\n"
    "  --width N         numbers that stand for a character: a multiple of the heads (128)\n"
    "  --method NAME     orthogonal or diagonal (BADM's metrics), adamw, muon (orthogonal)\n"
    "  --step X          step size, 1/sigma for BADM (by method)\n"
    "  --sub-batches N   parts a batch is split into for the workers (2)\n"
    "  --workers N       threads; any number gives the same result (one a core)\n"
    "  --every N         steps between two validation losses (100)\n"
    "  --seed N          initial weights, order of the pieces, and what is drawn (1)\n"
    "  --out DIR         where gpt.safetensors and gpt.txt go (build if there is one, else .)\n"
    "  --help            this text\n";

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--layers", COUNT, &o->layers },           { "--heads", COUNT, &o->heads },
        { "--width", COUNT, &o->width },             { "--context", COUNT, &o->context },
        { "--batch", COUNT, &o->batch },             { "--steps", COUNT, &o->steps },
        { "--sub-batches", COUNT, &o->sub_batches }, { "--workers", COUNT, &o->workers },
        { "--seed", COUNT, &o->seed },               { "--generate", COUNT, &o->generate },
        { "--top-k", COUNT, &o->top_k },             { "--every", COUNT, &o->every },
        { "--step", POSITIVE, &o->step },            { "--temperature", NUMBER, &o->temperature },
        { "--method", TEXT, &o->method },            { "--load", TEXT, &o->load },
        { "--prompt", TEXT, &o->prompt },            { "--out", TEXT, &o->out },
        { "--help", FLAG, &o->help },                { "-h", FLAG, &o->help },
        { NULL, FLAG, NULL }
    };
    int m = 0;
    memset(o, 0, sizeof *o);
    o->method = "orthogonal"; o->prompt = "\n"; o->out = default_out();
    o->layers = o->heads = 4; o->width = 128; o->context = 64;
    o->batch = 12; o->steps = 1000; o->sub_batches = 2; o->workers = badm_cpu_count();
    o->seed = 1; o->generate = 500; o->every = 100; o->temperature = 0.8f;
    if (!read_arguments(known, argc, argv, &o->text)) return 0;
    while (m < METHODS && strcmp(o->method, methods[m].name)) m++;
    if (m == METHODS) return complain("--method needs orthogonal, diagonal, adamw or muon");
    o->method_index = m;
    if (!(o->step > 0)) o->step = methods[m].step;
    if (!o->layers || o->layers > MAX_LAYERS) return complain("--layers needs 1 to 48");
    if (!o->heads || !o->width || o->width % o->heads || o->width > 8192)
        return complain("--width needs a multiple of --heads, at most 8192");
    if (o->context < 2 || o->context > 4096) return complain("--context needs 2 to 4096");
    if (!o->batch || !o->steps || !o->every || !o->workers || !o->sub_batches || o->sub_batches > o->batch)
        return complain("--batch, --steps, --every, --workers and --sub-batches need at least 1, --batch at least --sub-batches");
    if (!*o->out) return complain("--out needs a folder");
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   Text
   ----------------------------------------------------------------------------------------------------------------- */

/* The bytes of a text, and the same as numbers of the bytes that occur. */
typedef struct text {
    unsigned char *bytes, alphabet[256];
    size_t length, room;
    int32_t *token, number[256];
    badm_dim letters;               /* in the alphabet */
} text;

static int text_add(text *t, const void *bytes, size_t n)
{
    if (t->length + n > t->room) {
        size_t room = 2 * (t->length + n) + 4096;
        unsigned char *larger = (unsigned char *)realloc(t->bytes, room);
        if (!larger) return complain("not enough memory for the text");
        t->bytes = larger;
        t->room = room;
    }
    memcpy(t->bytes + t->length, bytes, n);
    t->length += n;
    return 1;
}

static int text_read(text *t, const char *path)
{
    static const char *const names[] = { "tinyshakespeare.txt", "text/tinyshakespeare.txt", NULL };
    char why[EXAMPLE_SENTENCE];
    char part[4096];
    badm_error none;
    example_file f;
    size_t n;
    int fine = 1;
    memset(&none, 0, sizeof none);
    memset(&f, 0, sizeof f);
    if (example_readable(path)) {
        snprintf(f.path, sizeof f.path, "%.1000s", path);
        f.stream = fopen(path, "rb");
    } else if (!example_open(&f, path, names, why)) {
        snprintf(part, sizeof part, "%.1000s is no file that can be read, and as a folder: %s", path, why);
        return complain(part);
    }
    while (fine && f.stream && (n = fread(part, 1, sizeof part, f.stream)) > 0) fine = text_add(t, part, n);
    if (f.stream && !example_close(&f, BADM_OK, &none, why)) return complain(why);
    if (fine && t->length == 0) return complain("the text is empty");
    if (fine) printf("%s: %lu characters\n", f.path, (unsigned long)t->length);
    return fine;
}

/* "forty-two plus seven is forty-nine." and so on: easy to learn the spelling of, and easy to see what else was learned. */
static const char *in_words(char *out, size_t n, uint32_t number)
{
    static const char *const small[] = { "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen" };
    static const char *const tens[] = { "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety" };
    if (number < 20) snprintf(out, n, "%s", small[number]);
    else if (number % 10) snprintf(out, n, "%s-%s", tens[number / 10 % 10], small[number % 10]);
    else snprintf(out, n, "%s", tens[number / 10 % 10]);
    return out;
}

static int text_make(text *t)
{
    badm_rng r;
    int i;
    badm_rng_init(&r, 1, 0);
    for (i = 0; i < 6000; i++) {
        uint32_t a = badm_rng_below(&r, 50), b = badm_rng_below(&r, 50);
        char line[128], x[32], y[32], z[32];
        int n = snprintf(line, sizeof line, "%s plus %s is %s.\n", in_words(x, sizeof x, a), in_words(y, sizeof y, b),
                         in_words(z, sizeof z, a + b));
        if (n < 0 || !text_add(t, line, (size_t)n)) return 0;
    }
    printf("No text was given: learning from %lu characters of sums in words, made here. For Shakespeare give a file.\n",
           (unsigned long)t->length);
    return 1;
}

/* Finds the alphabet (0: takes the one that is there) and writes the numbers. */
static int text_number(text *t, int find)
{
    size_t i;
    int c, seen[256];
    if (find) {
        memset(seen, 0, sizeof seen);
        for (i = 0; i < t->length; i++) seen[t->bytes[i]] = 1;
        for (t->letters = 0, c = 0; c < 256; c++) if (seen[c]) t->alphabet[t->letters++] = (unsigned char)c;
    }
    for (c = 0; c < 256; c++) t->number[c] = -1;
    for (c = 0; c < (int)t->letters; c++) t->number[t->alphabet[c]] = c;
    free(t->token);
    t->token = (int32_t *)malloc((t->length + 1) * sizeof *t->token);
    if (!t->token) return complain("not enough memory for the text");
    for (i = 0; i < t->length; i++) t->token[i] = t->number[t->bytes[i]];
    return 1;
}

static void text_free(text *t) { free(t->bytes); free(t->token); }

/* ------------------------------------------------------------------------------------------------------------------
   Network: blocks of attention and a small perceptron, each after a norm and beside a residual
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct block { badm_norm before_attention, before_mlp; badm_multihead attention; badm_linear wide, narrow; } block;

/* The network, and the text that it looks at. */
typedef struct gpt {
    badm_param token, position, alphabet, heads;
    block blocks[MAX_LAYERS];
    badm_norm last;
    badm_linear head;
    badm_dim layers, width, context, letters;
    const int32_t *text;            /* piece i begins at text[i*context] */
} gpt;

static void scale_values(badm_param p, float factor)
{
    float *w = badm_param_data(p);
    size_t i, n = badm_param_size(p);
    for (i = 0; w && i < n; i++) w[i] *= factor;
}

static badm_param table_new(badm_model *m, const char *name, badm_dim rows, badm_dim width)
{
    badm_dim shape[2];
    shape[0] = rows;
    shape[1] = width;
    return badm_param_new(m, name, 2, shape, badm_init_normal(0, 0.02f));
}

static void gpt_new(gpt *g, badm_model *m, badm_dim letters, badm_dim layers, badm_dim heads, badm_dim width, badm_dim context)
{
    float each = 1.0f / badm_sqrtf(2.0f * (float)layers);          /* what is added so often should begin small */
    badm_dim i, one = 1;
    memset(g, 0, sizeof *g);
    g->layers = layers;
    g->width = width;
    g->context = context;
    g->letters = letters;
    g->token = table_new(m, "token.weight", letters, width);
    g->position = table_new(m, "position.weight", context, width);
    for (i = 0; i < layers; i++) {
        block *b = &g->blocks[i];
        char name[64];
#define PART(part) (snprintf(name, sizeof name, "block.%u." part, (unsigned)i), name)
        b->before_attention = badm_layer_norm_new(m, PART("norm1"), width);
        b->attention = badm_multihead_new(m, PART("attention"), width, heads);
        b->before_mlp = badm_layer_norm_new(m, PART("norm2"), width);
        b->wide = badm_linear_new(m, PART("wide"), width, (badm_dim)(4 * width));
        b->narrow = badm_linear_new(m, PART("narrow"), (badm_dim)(4 * width), width);
#undef PART
        if (badm_model_result(m) != BADM_OK) return;
        scale_values(b->attention.out.weight, each);
        scale_values(b->narrow.weight, each);
    }
    g->last = badm_layer_norm_new(m, "norm", width);
    g->head = badm_linear_new_without_bias(m, "head", width, letters);
    g->alphabet = badm_buffer_new(m, "alphabet", 1, &letters, 0);
    g->heads = badm_buffer_new(m, "heads", 1, &one, (float)heads);
}

/* Scores of the character after each of the tokens [n,l], or after the last of each row. */
static badm_tensor *gpt_forward(badm_tape *t, const gpt *g, const badm_ints *tokens, int last)
{
    badm_dim l = tokens->shape[1], i;
    badm_tensor *x = badm_gather_rows(t, badm_param_use(t, g->token), tokens), *y;
    x = badm_add(t, x, badm_slice(t, badm_param_use(t, g->position), 0, 0, l));
    for (i = 0; i < g->layers; i++) {
        const block *b = &g->blocks[i];
        y = badm_multihead_forward(t, b->attention, badm_layer_norm_forward(t, b->before_attention, x), 1);
        x = badm_add(t, x, y);
        y = badm_gelu(t, badm_linear_forward(t, b->wide, badm_layer_norm_forward(t, b->before_mlp, x)));
        x = badm_add(t, x, badm_linear_forward(t, b->narrow, y));
    }
    if (last) x = badm_slice(t, x, 1, (badm_dim)(l - 1), l);
    return badm_linear_forward(t, g->head, badm_layer_norm_forward(t, g->last, x));
}

static badm_tensor *gpt_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const gpt *g = (const gpt *)user;
    badm_tensor *scores = gpt_forward(t, g, badm_tokens(t, g->text, g->context, b), 0);
    return badm_cross_entropy(t, scores, badm_tokens(t, g->text + 1, g->context, b));
}

/* ------------------------------------------------------------------------------------------------------------------
   Saved models: sizes are read off the shapes in the file, so that it is enough by itself
   ----------------------------------------------------------------------------------------------------------------- */

static int gpt_load(gpt *g, badm_model *m, text *t, const char *path)
{
    char sentence[EXAMPLE_SENTENCE], name[64], *header;
    badm_dim tokens[2], positions[2], any[2], layers = 0, i;
    int fine;
    if (!example_readable(path)) {
        snprintf(sentence, sizeof sentence, "%.1000s cannot be read", path);
        return complain(sentence);
    }
    header = read_header(path);
    for (fine = header != NULL; fine && layers <= MAX_LAYERS; layers++) {
        snprintf(name, sizeof name, "block.%u.attention.in_proj_weight", (unsigned)layers);
        if (!shape_in(header, name, any)) break;
    }
    fine = fine && layers > 0 && layers <= MAX_LAYERS && shape_in(header, "token.weight", tokens)
        && shape_in(header, "position.weight", positions) && tokens[0] <= 256;
    free(header);
    if (!fine) {
        snprintf(sentence, sizeof sentence, "%.1000s is no model of this program", path);
        return complain(sentence);
    }
    gpt_new(g, m, tokens[0], layers, 1, tokens[1], positions[0]);
    if (badm_model_result(m) != BADM_OK || badm_load(m, path) != BADM_OK) return complain(badm_model_error(m));
    t->letters = tokens[0];
    for (i = 0; i < tokens[0]; i++) t->alphabet[i] = (unsigned char)badm_param_values(g->alphabet)[i];
    i = (badm_dim)badm_param_values(g->heads)[0];
    if (i < 1 || g->width % i) return complain("the model's number of heads does not divide its width");
    for (tokens[0] = 0; tokens[0] < layers; tokens[0]++) g->blocks[tokens[0]].attention.heads = i;
    return text_number(t, 0);
}

/* ------------------------------------------------------------------------------------------------------------------
   Generating: the last characters through the network once more for every new one
   ----------------------------------------------------------------------------------------------------------------- */

/* A number drawn by softmax(score/temperature) among the k largest. */
static int32_t draw(const float *score, int32_t n, float temperature, uint32_t k, badm_rng *r)
{
    float p[256], most = score[0], least, sum = 0, left;
    int32_t i, j, best = 0;
    for (i = 1; i < n; i++) if (score[i] > most) { most = score[i]; best = i; }
    if (!(temperature > 0)) return best;
    for (i = 0; i < n; i++) {
        uint32_t above = 0;
        for (j = 0; k && j < n; j++) above += score[j] > score[i];
        least = (score[i] - most) / temperature;
        p[i] = k && above >= k ? 0.0f : badm_expf(least);
        sum += p[i];
    }
    left = badm_rng_uniform(r) * sum;
    for (i = 0; i < n; i++) {
        if (p[i] > 0) best = i;
        if (left < p[i]) return i;
        left -= p[i];
    }
    return best;                    /* rounding left a little over */
}

/* Scores after window[0..l-1], on a tape that is enlarged when it must be. NULL: no memory. */
static const float *score_next(badm_tape **t, size_t *bytes, const gpt *g, const int32_t *window, badm_dim l)
{
    badm_dim shape[2];
    shape[0] = 1;
    shape[1] = l;
    for (;;) {
        badm_tensor *y;
        if (!*t && badm_tape_new(t, NULL, *bytes) != BADM_OK) return NULL;
        badm_tape_reset(*t);
        y = gpt_forward(*t, g, badm_ints_input(*t, 2, shape, window), 1);
        if (badm_tape_error(*t)->code == BADM_OK) return badm_data(*t, y);
        if (badm_tape_error(*t)->code != BADM_ERR_MEMORY || *bytes > (size_t)1 << 30) return NULL;
        badm_tape_free(*t);
        *t = NULL;
        *bytes *= 2;
    }
}

static int generate(const gpt *g, const text *letters, const options *o, FILE *copy)
{
    int32_t *window = (int32_t *)malloc(g->context * sizeof *window);
    badm_tape *t = NULL;
    badm_rng r;
    badm_dim l = 0;
    size_t bytes = (size_t)1 << 20;
    uint32_t i;
    const char *p = *o->prompt ? o->prompt : "\n";
    int fine = window != NULL;
    badm_rng_init(&r, o->seed, 1);
    for (; fine && *p; p++) {
        int32_t n = letters->number[(unsigned char)*p];
        char sentence[96];
        if (n < 0) {
            snprintf(sentence, sizeof sentence, "the model has never seen the character \"%c\" (%d) of the prompt", *p,
                     (unsigned char)*p);
            fine = *p == '\n' && !p[1] && l == 0;       /* a text without lines: begin with any character */
            if (!fine) complain(sentence);
            n = 0;
        }
        if (l == g->context) memmove(window, window + 1, --l * sizeof *window);
        if (fine) window[l++] = n;
    }
    if (fine && strcmp(o->prompt, "\n")) {
        fputs(o->prompt, stdout);
        if (copy) fputs(o->prompt, copy);
    }
    for (i = 0; fine && i < o->generate && !cancelled; i++) {
        const float *score = score_next(&t, &bytes, g, window, l);
        int32_t next;
        if (!score) {
            fine = complain("not enough memory to generate");
            break;
        }
        next = draw(score, (int32_t)g->letters, o->temperature, o->top_k, &r);
        putchar(letters->alphabet[next]);
        fflush(stdout);
        if (copy) fputc(letters->alphabet[next], copy);
        if (l == g->context) memmove(window, window + 1, --l * sizeof *window);
        window[l++] = next;
    }
    if (fine && o->generate) putchar('\n');
    badm_tape_free(t);
    free(window);
    return fine;
}

/* ------------------------------------------------------------------------------------------------------------------
   Training
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct run {
    const options *o;
    const gpt *g;
    badm_trainer *tr;
    gpt held_out;
    uint32_t held_out_pieces;
    double started, asked, loss;    /* asked: seconds spent on validation; loss: sum since the last line */
    uint32_t losses;
} run;

static int on_step(const badm_progress *p, void *user)
{
    run *r = (run *)user;
    uint64_t step = badm_trainer_step(r->tr);
    r->loss += (double)p->last.loss;
    r->losses++;
    return cancelled || step >= r->o->steps || step % r->o->every == 0;
}

/* A line of the table: mean loss since the last one, and that of the beginning of the text held out. */
static int show_progress(run *r)
{
    uint64_t step = badm_trainer_step(r->tr);
    uint32_t pieces = r->held_out_pieces > 200 ? 200 : r->held_out_pieces;
    double before = now(), seconds = before - r->started - r->asked;
    badm_score score;
    if (badm_evaluate(r->tr, NULL, &r->held_out, pieces, &score) != BADM_OK)
        return cancelled ? 1 : complain(badm_trainer_error(r->tr));
    r->asked += now() - before;
    if (step == 0) printf("%6d %10s %12.4f\n", 0, "", (double)score.loss);
    else printf("%6lu %10.4f %12.4f %13.0f %8.1f\n", (unsigned long)step, r->losses ? r->loss / r->losses : 0.0, (double)score.loss,
                (double)step * r->o->batch * r->g->context / (seconds > 0 ? seconds : 1e-9), seconds);
    fflush(stdout);
    r->loss = 0;
    r->losses = 0;
    return 1;
}

/* 0: nothing was learned. */
static int train(gpt *g, badm_model *m, text *t, const options *o)
{
    const method_of *how = &methods[o->method_index];
    size_t learned = t->length - t->length / HELD_OUT;
    uint32_t pieces = (uint32_t)((learned - 1) / g->context) - 1;           /* one less, so that they can be moved */
    badm_trainer_desc d;
    run r;
    badm_result result = BADM_OK;
    badm_score whole;
    int fine;
    badm_trainer_defaults(&d);
    d.model = m;
    d.loss = gpt_loss;
    d.user = g;
    d.seed = o->seed;
    d.max_batch = o->batch;
    d.sub_batches = o->sub_batches;
    d.workers = o->workers;
    d.method = how->method ? how->method() : NULL;
    d.metric = how->metric;
    d.sigma = 1.0f / o->step;
    d.rho = d.sigma * how->momentum / (1.0f - how->momentum);
    d.lr = o->step;
    d.beta1 = how->momentum;
    d.beta2 = 0.99f;
    d.clip = 1.0f;
    d.schedule.kind = BADM_COSINE_DECAY;
    d.schedule.total = o->steps;
    d.schedule.warmup = o->steps / 20;
    d.schedule.last = 0.02f;
    d.cancel = &cancelled;
    memset(&r, 0, sizeof r);
    r.o = o;
    r.g = g;
    r.held_out = *g;
    r.held_out.text = t->token + learned;
    r.held_out_pieces = (uint32_t)((t->length - learned - 1) / g->context);
    g->text = t->token;
    if (badm_trainer_new(&r.tr, &d) != BADM_OK) return complain(badm_model_error(m));
    printf("%lu parameters, %u letters, method %s, step %g, %u sub-batches, %u workers, %.0f MB\n\n"
           "  step       loss   validation  characters/s  seconds\n", (unsigned long)badm_model_size(m), (unsigned)g->letters,
           how->name, (double)o->step, (unsigned)o->sub_batches, (unsigned)o->workers, (double)badm_trainer_memory(r.tr) / 1e6);
    r.started = now();
    fine = show_progress(&r);
    while (fine && !cancelled && badm_trainer_step(r.tr) < o->steps) {
        /* Pieces begin elsewhere in every pass over the text. */
        g->text = t->token + badm_shuffle(o->seed, badm_trainer_epoch(r.tr), g->context, 0);
        result = badm_epoch(r.tr, pieces, o->batch, on_step, &r);
        if (result != BADM_OK && result != BADM_ERR_CANCELLED) fine = complain(badm_trainer_error(r.tr));
        else if (!cancelled && result == BADM_ERR_CANCELLED) fine = show_progress(&r);
    }
    if (fine && !cancelled && badm_evaluate(r.tr, NULL, &r.held_out, r.held_out_pieces, &whole) == BADM_OK)
        printf("\nAll of the text held out: loss %.4f, %.1f %% of characters foreseen\n", (double)whole.loss,
               100 * (double)whole.accuracy);
    fine = badm_trainer_step(r.tr) > 0;
    if (cancelled) printf("\nStopped by Ctrl-C after %lu of %lu steps.\n", (unsigned long)badm_trainer_step(r.tr),
                          (unsigned long)o->steps);
    badm_trainer_free(r.tr);
    return fine;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static int learn(gpt *g, badm_model *m, text *t, const options *o)
{
    float *alphabet;
    badm_dim i;
    if (!can_write_to(o->out)) return 0;
    if (!(o->text ? text_read(t, o->text) : text_make(t)) || !text_number(t, 1)) return 0;
    if (t->length / HELD_OUT < o->context + 2 || t->length / o->context < o->batch + 2u)
        return complain("the text is too short: ten times --context, and --batch times --context, are the least");
    gpt_new(g, m, t->letters, (badm_dim)o->layers, (badm_dim)o->heads, (badm_dim)o->width, (badm_dim)o->context);
    if (badm_model_result(m) != BADM_OK) return complain(badm_model_error(m));
    alphabet = badm_param_data(g->alphabet);
    for (i = 0; i < t->letters; i++) alphabet[i] = (float)t->alphabet[i];
    if (!train(g, m, t, o)) return 0;
    if (!save_model(m, o->out, "gpt.safetensors")) return 0;
    printf("\n%s/gpt.safetensors: the model\n\n", o->out);
    return 1;
}

int main(int argc, char **argv)
{
    options o;
    gpt g;
    text t;
    badm_model *m;
    output_file copy;
    int fine, stopped;
    if (!read_options(&o, argc, argv)) return 2;
    if (o.help) { fputs(usage, stdout); return 0; }
    memset(&t, 0, sizeof t);
    m = badm_model_new(o.seed);
    if (!m) return complain("not enough memory") + 1;
    signal(SIGINT, on_interrupt);
    fine = o.load ? gpt_load(&g, m, &t, o.load) : learn(&g, m, &t, &o);
    stopped = cancelled;
    cancelled = 0;                  /* what was learned until then may still write something */
    signal(SIGINT, on_interrupt);
    copy.f = NULL;
    if (fine && !o.load && o.generate) fine = open_output(&copy, o.out, "gpt.txt");
    if (fine) fine = generate(&g, &t, &o, copy.f);
    if (copy.f) {
        fine = close_output(&copy) && fine;
        if (fine) printf("\n%s: this text\n", copy.path);
    }
    badm_model_free(m);
    text_free(&t);
    return !fine ? 1 : stopped || cancelled ? 130 : 0;
}
