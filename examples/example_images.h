/* For the examples about images: MNIST's files or digits that the program draws, and pictures (PNG).

   Define PROGRAM, the name that sentences begin with, and BADM_IMPLEMENTATION, and include this before any other header.
   Sections: pictures, images, drawn digits. */
#ifndef EXAMPLE_IMAGES_H
#define EXAMPLE_IMAGES_H

#include "example_program.h"        /* first: it asks for POSIX */

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10 };

/* ------------------------------------------------------------------------------------------------------------------
   Pictures: images in a grid, as a PNG of shades of grey
   ----------------------------------------------------------------------------------------------------------------- */

enum { ZOOM = 2, GAP = 4 };         /* an image's pixel is ZOOM x ZOOM; GAP between images */

typedef struct grid { uint8_t *pixels; uint32_t width, height; } grid;

static inline int new_grid(grid *p, uint32_t columns, uint32_t rows)
{
    p->width = GAP + columns * (SIDE * ZOOM + GAP);
    p->height = GAP + rows * (SIDE * ZOOM + GAP);
    p->pixels = (uint8_t *)malloc((size_t)p->width * p->height);
    if (!p->pixels) return complain("there is not enough memory for the picture");
    memset(p->pixels, 255, (size_t)p->width * p->height);
    return 1;
}

/* Either bytes or, where bytes is NULL, numbers of 0..1. */
static inline void put_image(grid *p, uint32_t column, uint32_t row, const uint8_t *bytes, const float *numbers)
{
    uint8_t *to = p->pixels + (size_t)(GAP + row * (SIDE * ZOOM + GAP)) * p->width + GAP + column * (SIDE * ZOOM + GAP);
    uint32_t x, y;
    for (y = 0; y < SIDE * ZOOM; y++, to += p->width)
        for (x = 0; x < SIDE * ZOOM; x++) {
            uint32_t i = y / ZOOM * SIDE + x / ZOOM;
            to[x] = bytes ? bytes[i] : (uint8_t)(255 * numbers[i] + 0.5f);
        }
}

/* A PNG is written in chunks, each with the checksum of its type and content; numbers have their high byte first. */
typedef struct png { FILE *f; uint32_t checksum; } png;

static inline void png_bytes(png *p, const uint8_t *bytes, size_t n)
{
    size_t i;
    int k;
    fwrite(bytes, 1, n, p->f);
    for (i = 0; i < n; i++) {
        p->checksum ^= bytes[i];
        for (k = 0; k < 8; k++) p->checksum = p->checksum >> 1 ^ (p->checksum & 1u ? 0xEDB88320u : 0);
    }
}

static inline void png_number(png *p, uint32_t v)
{
    uint8_t b[4];
    b[0] = (uint8_t)(v >> 24); b[1] = (uint8_t)(v >> 16 & 255u); b[2] = (uint8_t)(v >> 8 & 255u); b[3] = (uint8_t)(v & 255u);
    png_bytes(p, b, 4);
}

static inline void png_begin(png *p, const char *type, uint32_t bytes)
{
    png_number(p, bytes);
    p->checksum = 0xFFFFFFFFu;
    png_bytes(p, (const uint8_t *)type, 4);
}

static inline void png_end(png *p) { png_number(p, ~p->checksum); }

/* Rows are stored, not compressed: one block of zlib's format for each, of a filter byte 0 and the row. channels: 1, or 3 where a
   pixel is red, green and blue. */
static inline void write_png_of(FILE *f, const grid *of, uint32_t channels)
{
    uint8_t rest[5] = { 8, 0, 0, 0, 0 };                    /* 8 bits of grey; the usual compression, filter, no interlace */
    uint32_t bytes = channels * of->width, row = bytes + 1, a = 1, b = 0, x, y;
    png p;
    p.f = f;
    p.checksum = 0;
    if (channels == 3) rest[1] = 2;
    fwrite("\211PNG\r\n\032\n", 1, 8, f);
    png_begin(&p, "IHDR", 13);
    png_number(&p, of->width);
    png_number(&p, of->height);
    png_bytes(&p, rest, 5);
    png_end(&p);
    png_begin(&p, "IDAT", 2 + of->height * (row + 5) + 4);
    png_bytes(&p, (const uint8_t *)"\x78\x01", 2);
    for (y = 0; y < of->height; y++) {
        const uint8_t *pixel = of->pixels + (size_t)y * bytes;
        uint8_t head[6] = { 0 };
        head[0] = y + 1 == of->height;                 /* the last block */
        head[1] = (uint8_t)(row & 255u);
        head[2] = (uint8_t)(row >> 8);
        head[3] = (uint8_t)~head[1];
        head[4] = (uint8_t)~head[2];
        png_bytes(&p, head, 6);
        png_bytes(&p, pixel, bytes);
        b = (b + a) % 65521u;                               /* Adler's checksum, of the filter byte and the row */
        for (x = 0; x < bytes; x++) {
            a = (a + pixel[x]) % 65521u;
            b = (b + a) % 65521u;
        }
    }
    png_number(&p, b << 16 | a);
    png_end(&p);
    png_begin(&p, "IEND", 0);
    png_end(&p);
}

static inline void write_png(FILE *f, const grid *of) { write_png_of(f, of, 1); }

static inline void free_grid(grid *p) { free(p->pixels); }

/* Writes the picture, at most 60,000 pixels wide, and frees it. */
static inline int save_grid(grid *p, const char *dir, const char *name)
{
    output_file out;
    int open = open_output(&out, dir, name);
    if (open) write_png(out.f, p);
    free_grid(p);
    return open && close_output(&out);
}

/* ------------------------------------------------------------------------------------------------------------------
   Images
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct images { const uint8_t *pixels, *labels; uint32_t n; } images;

/* Training and test images, and what owns them: four arrays from files, or one piece of memory. */
typedef struct dataset {
    images train, test;
    badm_array file[4];
    uint8_t *drawn;
    char title[EXAMPLE_PATH + 64];
} dataset;

static inline int check_images(const badm_array *pixels, const badm_array *labels, const char *which, images *out)
{
    char sentence[256];
    uint32_t i;
    out->pixels = (const uint8_t *)pixels->data;
    out->labels = (const uint8_t *)labels->data;
    out->n = pixels->shape[0];
    if (pixels->type != BADM_U8 || pixels->rank != 3 || pixels->shape[1] != SIDE || pixels->shape[2] != SIDE) {
        snprintf(sentence, sizeof sentence, "the %s images are not bytes of %d x %d", which, SIDE, SIDE);
        return complain(sentence);
    }
    if (labels->type != BADM_U8 || labels->rank != 1 || labels->shape[0] != out->n || !out->n) {
        snprintf(sentence, sizeof sentence, "the %s labels are not one byte for each image", which);
        return complain(sentence);
    }
    for (i = 0; i < out->n; i++)
        if (out->labels[i] >= CLASSES) {
            snprintf(sentence, sizeof sentence, "label %lu of the %s images is %d, not 0..9", (unsigned long)i, which,
                     out->labels[i]);
            return complain(sentence);
        }
    return 1;
}

static inline int load_mnist(dataset *d, const char *dir)
{
    static const char *const which[4] = { "train-images", "train-labels", "t10k-images", "t10k-labels" };
    char why[EXAMPLE_SENTENCE];
    int i;
    if (!is_folder(dir)) {
        snprintf(why, sizeof why, "there is no folder %s", dir);
        return complain(why);
    }
    for (i = 0; i < 4; i++)
        if (!example_load_mnist(&d->file[i], dir, which[i], why)) return complain(why);
    snprintf(d->title, sizeof d->title, "MNIST from %s", dir);
    return check_images(&d->file[0], &d->file[1], "training", &d->train)
        && check_images(&d->file[2], &d->file[3], "test", &d->test);
}

/* ------------------------------------------------------------------------------------------------------------------
   Drawn digits: strokes of a pen in several styles, turned, slanted, stretched, moved, bent, then disturbed. Image i
   is a function of i alone, so that every run draws the same ones.
   ----------------------------------------------------------------------------------------------------------------- */

enum { DRAWN_TRAIN = 40000, DRAWN_TEST = 4000, DRAWN = DRAWN_TRAIN + DRAWN_TEST, STYLES = 4, MAX_POINTS = 32 };

/* Points "xy" on a grid of 0..6 by 0..9, y downwards, joined by a smooth curve; a point given twice is a corner;
   "/" lifts the pen. */
static const char *const glyphs[CLASSES][STYLES] = {
    { "30 11 03 06 18 39 58 66 63 51 30", "41 20 03 06 29 48 65 62 41 20",
      "30 12 04 05 17 39 57 55 54 52 30", "50 20 02 07 29 49 67 63 40 20" },
    { "30 39", "12 30 30 39",
      "12 30 30 39 39/19 59", "21 40 40 29" },
    { "02 10 40 62 53 26 09 09 69", "12 30 51 53 27 09 18 28 49 68",
      "01 30 62 44 08 08 38 69", "01 20 50 63 35 09 09 59 68" },
    { "01 30 52 34 24 24 45 67 39 08", "00 60 60 33 33 55 67 39 08",
      "02 20 51 53 34 34 65 67 39 07", "11 40 62 44 34 34 56 47 28 09" },
    { "10 05 05 65/42 49", "59 50 50 06 06 66",
      "40 06 06 66/43 49", "20 14 25 54/60 54 49" },
    { "60 10 10 04 04 34 66 48 29 08", "10 04 04 34 66 48 29 08/10 60",
      "60 20 20 13 34 56 48 19 08", "61 11 11 15 15 43 65 58 39 09" },
    { "50 21 04 07 29 58 66 44 14 06", "40 13 06 18 39 57 55 34 06",
      "61 30 03 07 39 67 65 34 05", "30 12 06 29 49 67 55 25 07" },
    { "00 60 60 29", "00 60 60 29/15 55",
      "02 00 00 60 60 34 29", "01 20 41 60 60 43 39" },
    { "51 20 02 14 45 67 39 07 15 44 62 51", "30 12 34 52 30/34 07 39 67 34",
      "60 20 12 45 67 39 07 34 61", "40 21 23 44 57 29 07 25 52 40" },
    { "61 20 03 25 54 61 61 58 39", "62 30 02 25 54 62 62 59",
      "51 20 03 25 62 51 51 59 39 18", "50 20 03 24 52 50 50 39" }
};

/* How one image differs from the glyph: a matrix and a shift, two waves that bend it, and the pen. */
typedef struct hand {
    float xx, xy, yx, yy, x, y;
    struct { float x, y, phase, dx, dy; } wave[2];
    float radius, ink;
} hand;

static inline float between(badm_rng *r, float low, float high) { return low + (high - low) * badm_rng_uniform(r); }
static inline float sine(float x) { return badm_cosf(x - 1.57079633f); }

static inline hand new_hand(badm_rng *r)
{
    hand h;
    float angle = 0.2f * badm_rng_normal(r), slant = 0.25f * badm_rng_normal(r);
    float wide = between(r, 1.6f, 2.3f), tall = between(r, 1.6f, 2.3f);         /* pixels for one step of the grid */
    int i;
    h.xx = wide * badm_cosf(angle);
    h.yx = wide * sine(angle);
    h.xy = tall * (-sine(angle) - slant * badm_cosf(angle));
    h.yy = tall * (badm_cosf(angle) - slant * sine(angle));
    h.x = 13.5f + between(r, -1.25f, 1.25f);
    h.y = 13.5f + between(r, -1.25f, 1.25f);
    for (i = 0; i < 2; i++) {
        h.wave[i].x = between(r, -0.35f, 0.35f);
        h.wave[i].y = between(r, -0.35f, 0.35f);
        h.wave[i].phase = between(r, 0, 6.2831853f);
        h.wave[i].dx = 0.8f * badm_rng_normal(r);
        h.wave[i].dy = 0.8f * badm_rng_normal(r);
    }
    h.radius = between(r, 0.7f, 1.9f);
    h.ink = between(r, 0.6f, 1.0f);
    return h;
}

/* From the grid to pixels. */
static inline void place(const hand *h, float *x, float *y)
{
    float u = *x - 3.0f, v = *y - 4.5f;
    int i;
    *x = h->x + h->xx * u + h->xy * v;
    *y = h->y + h->yx * u + h->yy * v;
    for (i = 0; i < 2; i++) {
        float bend = badm_cosf(h->wave[i].x * *x + h->wave[i].y * *y + h->wave[i].phase);
        *x += h->wave[i].dx * bend;
        *y += h->wave[i].dy * bend;
    }
}

static inline float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

/* Inks a straight piece from a to b with a round pen; ink does not add up where strokes cross. */
static inline void ink_line(float *canvas, float ax, float ay, float bx, float by, float radius, float ink)
{
    float dx = bx - ax, dy = by - ay, length2 = dx * dx + dy * dy + 1e-6f, reach = radius + 1;
    int left = (int)clamp((ax < bx ? ax : bx) - reach, 0, SIDE);
    int right = (int)clamp((ax > bx ? ax : bx) + reach + 1, 0, SIDE);
    int top = (int)clamp((ay < by ? ay : by) - reach, 0, SIDE);
    int bottom = (int)clamp((ay > by ? ay : by) + reach + 1, 0, SIDE);
    int x, y;
    for (y = top; y < bottom; y++)
        for (x = left; x < right; x++) {
            float px = (float)x - ax, py = (float)y - ay, along = clamp((px * dx + py * dy) / length2, 0, 1);
            float ex = px - along * dx, ey = py - along * dy;
            float covered = ink * clamp(radius + 0.5f - badm_sqrtf(ex * ex + ey * ey), 0, 1);
            if (covered > canvas[y * SIDE + x]) canvas[y * SIDE + x] = covered;
        }
}

/* The smooth curve (Catmull-Rom) between p[1] and p[2], t in 0..1. */
static inline float curve(float p0, float p1, float p2, float p3, float t)
{
    return p1 + 0.5f * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
}

static inline void ink_stroke(float *canvas, const hand *h, const float *x, const float *y, int n)
{
    enum { PIECES = 5 };
    float ax = x[0], ay = y[0];
    int i, k;
    place(h, &ax, &ay);
    for (i = 0; i + 1 < n; i++) {
        int before = i > 0 ? i - 1 : i, after = i + 2 < n ? i + 2 : i + 1;
        for (k = 1; k <= PIECES; k++) {
            float t = (float)k / PIECES;
            float bx = curve(x[before], x[i], x[i + 1], x[after], t);
            float by = curve(y[before], y[i], y[i + 1], y[after], t);
            place(h, &bx, &by);
            ink_line(canvas, ax, ay, bx, by, h->radius, h->ink);
            ax = bx;
            ay = by;
        }
    }
}

static inline void ink_glyph(float *canvas, const hand *h, const char *glyph, badm_rng *r)
{
    float x[MAX_POINTS], y[MAX_POINTS];
    int n = 0;
    for (;; glyph++) {
        if (*glyph >= '0' && *glyph <= '9') {
            int corner = n > 0 && glyph[0] == glyph[-3] && glyph[1] == glyph[-2];
            x[n] = corner ? x[n - 1] : (float)(glyph[0] - '0') + 0.2f * badm_rng_normal(r);
            y[n] = corner ? y[n - 1] : (float)(glyph[1] - '0') + 0.2f * badm_rng_normal(r);
            n++;
            glyph++;
        } else if (*glyph == '/' || !*glyph) {
            ink_stroke(canvas, h, x, y, n);
            n = 0;
            if (!*glyph) return;
        }
    }
}

/* A patch without ink, a stray line, grain. */
static inline void disturb(float *canvas, badm_rng *r)
{
    float grain = between(r, 0, 0.1f);
    int i;
    if (badm_rng_below(r, 12) == 0) {
        int wide = 3 + (int)badm_rng_below(r, 6), tall = 3 + (int)badm_rng_below(r, 6);
        int left = 4 + (int)badm_rng_below(r, 15), top = 4 + (int)badm_rng_below(r, 15), x, y;
        for (y = top; y < top + tall && y < SIDE; y++)
            for (x = left; x < left + wide && x < SIDE; x++) canvas[y * SIDE + x] = 0;
    }
    if (badm_rng_below(r, 12) == 0) {
        float x = between(r, 0, SIDE), dx = between(r, -9, 9);
        float y = between(r, 0, SIDE), dy = between(r, -9, 9), ink = between(r, 0.3f, 0.9f);
        ink_line(canvas, x, y, x + dx, y + dy, 0.6f, ink);
    }
    for (i = 0; i < PIXELS; i++) canvas[i] += between(r, -grain, grain);
}

static inline void draw_digit(uint8_t *pixels, int digit, uint32_t number)
{
    enum { SEED = 28 };
    float canvas[PIXELS] = { 0 };
    badm_rng r;
    hand h;
    int i;
    badm_rng_init(&r, SEED, number);
    h = new_hand(&r);
    ink_glyph(canvas, &h, glyphs[digit][badm_rng_below(&r, STYLES)], &r);
    disturb(canvas, &r);
    for (i = 0; i < PIXELS; i++) pixels[i] = (uint8_t)(255 * clamp(canvas[i], 0, 1) + 0.5f);
}

/* All of them; with `first`, only so many of those to learn from, and all of the test. */
static inline int draw_digits(dataset *d, uint32_t first)
{
    uint8_t *labels;
    uint32_t i;
    d->drawn = (uint8_t *)malloc((size_t)DRAWN * (PIXELS + 1));
    if (!d->drawn) return complain("there is not enough memory for the images");
    labels = d->drawn + (size_t)DRAWN * PIXELS;
    for (i = 0; i < DRAWN; i++) {
        labels[i] = (uint8_t)(i % CLASSES);
        if (first && i >= first && i < DRAWN_TRAIN) continue;
        draw_digit(d->drawn + (size_t)i * PIXELS, labels[i], i);
    }
    d->train.pixels = d->drawn;
    d->train.labels = labels;
    d->train.n = DRAWN_TRAIN;
    d->test.pixels = d->drawn + (size_t)DRAWN_TRAIN * PIXELS;
    d->test.labels = labels + DRAWN_TRAIN;
    d->test.n = DRAWN_TEST;
    snprintf(d->title, sizeof d->title, "digits drawn by this program");
    return 1;
}

/* From the folder `dir`, or drawn where it is NULL. first, unless 0: so many training images. held_out, unless 0: so many of the
   last training images take the test images' place. 0: a sentence has been printed. */
static inline int get_images(dataset *d, const char *dir, uint32_t first, uint32_t held_out, uint32_t batch)
{
    memset(d, 0, sizeof *d);
    if (!(dir ? load_mnist(d, dir) : draw_digits(d, first))) return 0;
    if (first && first < d->train.n) d->train.n = first;
    if (held_out) {
        if (held_out >= d->train.n) return complain("--held-out leaves no training images");
        d->train.n -= held_out;
        d->test.pixels = d->train.pixels + (size_t)d->train.n * PIXELS;
        d->test.labels = d->train.labels + d->train.n;
        d->test.n = held_out;
    }
    return batch <= d->train.n ? 1 : complain("--batch is larger than the number of training images");
}

static inline void free_images(dataset *d)
{
    int i;
    for (i = 0; i < 4; i++) badm_array_free(&d->file[i]);
    free(d->drawn);
}

/* Images of 14 x 14, each pixel the mean of four. */
enum { HALF = SIDE / 2, HALF_PIXELS = HALF * HALF };
typedef struct samples { float *x; int32_t *label; uint32_t n; } samples;

static inline int halve(samples *s, const images *from)
{
    uint32_t i, r, c;
    s->n = from->n;
    s->x = (float *)malloc((size_t)from->n * HALF_PIXELS * sizeof *s->x);
    s->label = (int32_t *)malloc(from->n * sizeof *s->label);
    if (!s->x || !s->label) return complain("not enough memory");
    for (i = 0; i < from->n; i++) {
        const uint8_t *p = from->pixels + (size_t)i * PIXELS;
        s->label[i] = from->labels[i];
        for (r = 0; r < HALF; r++)
            for (c = 0; c < HALF; c++) {
                const uint8_t *at = p + 2 * r * SIDE + 2 * c;
                s->x[(size_t)i * HALF_PIXELS + r * HALF + c] = (float)(at[0] + at[1] + at[SIDE] + at[SIDE + 1]) / 1020.0f;
            }
    }
    return 1;
}

/* Every pixel less its mean over the training images: what all images share would hide what tells them apart. */
static inline void centre(samples *train, samples *test)
{
    uint32_t i, k;
    for (k = 0; k < HALF_PIXELS; k++) {
        double sum = 0;
        float mean;
        for (i = 0; i < train->n; i++) sum += (double)train->x[(size_t)i * HALF_PIXELS + k];
        mean = (float)(sum / train->n);
        for (i = 0; i < train->n; i++) train->x[(size_t)i * HALF_PIXELS + k] -= mean;
        for (i = 0; i < test->n; i++) test->x[(size_t)i * HALF_PIXELS + k] -= mean;
    }
}

static inline void free_samples(samples *s)
{
    free(s->x);
    free(s->label);
}

#endif
