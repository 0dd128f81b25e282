/* For the examples: the Frechet distance (arXiv 1706.08500) between two sets of feature vectors, each taken for a normal
   distribution:  |a - b|^2 + tr(A + B - 2 (A B)^(1/2)),  a and b their means, A and B their covariances. In double. */
#ifndef EXAMPLE_FRECHET_H
#define EXAMPLE_FRECHET_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Mean and covariance of `width` features; `covariance` is [width,width]. */
typedef struct gaussian { size_t width; double *mean, *covariance; } gaussian;

static inline int gaussian_new(gaussian *g, size_t width)
{
    g->width = width;
    g->mean = (double *)calloc(width * (width + 1), sizeof(double));
    g->covariance = g->mean ? g->mean + width : NULL;
    return g->mean != NULL;
}

static inline void gaussian_free(gaussian *g) { free(g->mean); }

/* Of n rows, n at least 2. The features are small numbers of one size, so one pass for the means and one for the products do. */
static inline void gaussian_fit(gaussian *g, const float *row, size_t n)
{
    size_t i, j, k, w = g->width;
    memset(g->mean, 0, w * (w + 1) * sizeof(double));
    for (k = 0; k < n; k++)
        for (i = 0; i < w; i++) g->mean[i] += (double)row[k * w + i];
    for (i = 0; i < w; i++) g->mean[i] /= (double)n;
    for (k = 0; k < n; k++)
        for (i = 0; i < w; i++) {
            double d = (double)row[k * w + i] - g->mean[i], *to = g->covariance + i * w;
            for (j = 0; j <= i; j++) to[j] += d * ((double)row[k * w + j] - g->mean[j]);
        }
    for (i = 0; i < w; i++)
        for (j = 0; j <= i; j++) g->covariance[j * w + i] = g->covariance[i * w + j] /= (double)(n - 1);
}

/* Turns rows and columns p and q of the symmetric a so that a[p,q] becomes 0 (Jacobi); rows p and q of v turn with them. */
static inline void jacobi_turn(double *a, double *v, size_t n, size_t p, size_t q)
{
    double apq = a[p * n + q], app = a[p * n + p], aqq = a[q * n + q];
    double ratio = (aqq - app) / (2 * apq), t = (ratio < 0 ? -1 : 1) / (fabs(ratio) + sqrt(ratio * ratio + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    size_t i;
    for (i = 0; i < n; i++) {
        double x = a[p * n + i], y = a[q * n + i], vx = v[p * n + i], vy = v[q * n + i];
        a[p * n + i] = a[i * n + p] = c * x - s * y;
        a[q * n + i] = a[i * n + q] = s * x + c * y;
        v[p * n + i] = c * vx - s * vy;
        v[q * n + i] = s * vx + c * vy;
    }
    a[p * n + p] = app - t * apq;
    a[q * n + q] = aqq + t * apq;
    a[p * n + q] = a[q * n + p] = 0;
}

/* Eigenvalues of the symmetric a[n,n], which is left as a diagonal, and eigenvectors as the rows of v. */
static inline void jacobi(double *a, double *v, size_t n)
{
    size_t p, q, sweep, turned = 1;
    double size = 0;
    for (p = 0; p < n * n; p++) { size += a[p] * a[p]; v[p] = 0; }
    for (p = 0; p < n; p++) v[p * n + p] = 1;
    for (sweep = 0; sweep < 50 && turned; sweep++)
        for (turned = 0, p = 0; p + 1 < n; p++)
            for (q = p + 1; q < n; q++) {
                if (a[p * n + q] * a[p * n + q] <= 1e-32 * size) continue;
                jacobi_turn(a, v, n, p, q);
                turned++;
            }
}

/* to = v m v^T, rows scaled: to[i,j] = scale[i] scale[j] v_i m v_j. space: n numbers. */
static inline void in_basis(const double *v, const double *m, const double *scale, size_t n, double *space, double *to)
{
    size_t i, j, k;
    for (i = 0; i < n; i++) {
        memset(space, 0, n * sizeof(double));
        for (k = 0; k < n; k++)
            for (j = 0; j < n; j++) space[j] += v[i * n + k] * m[k * n + j];
        for (j = 0; j < n; j++) {
            double sum = 0;
            for (k = 0; k < n; k++) sum += space[k] * v[j * n + k];
            to[i * n + j] = scale[i] * scale[j] * sum;
        }
    }
}

/* (A B)^(1/2) has the trace of (A^(1/2) B A^(1/2))^(1/2), whose inside is symmetric. -1: not enough memory. */
static inline double frechet_distance(const gaussian *a, const gaussian *b)
{
    size_t n = a->width, i;
    double *m = (double *)malloc((3 * n * n + 2 * n) * sizeof(double)), *v, *inner, *root, distance = 0;
    if (!m) return -1;
    v = m + n * n;
    inner = v + n * n;
    root = inner + n * n;
    memcpy(m, a->covariance, n * n * sizeof(double));
    jacobi(m, v, n);
    for (i = 0; i < n; i++) root[i] = m[i * n + i] > 0 ? sqrt(m[i * n + i]) : 0;
    in_basis(v, b->covariance, root, n, root + n, inner);
    jacobi(inner, v, n);
    for (i = 0; i < n; i++) {
        double d = a->mean[i] - b->mean[i], e = inner[i * n + i];
        distance += d * d + a->covariance[i * n + i] + b->covariance[i * n + i] - 2 * (e > 0 ? sqrt(e) : 0);
    }
    free(m);
    return distance > 0 ? distance : 0;
}

#endif
