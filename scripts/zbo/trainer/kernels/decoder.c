/* pyroVED's spatial decoder under tanh: log-likelihood and gradient of sum_k q_k log p(x|z,k) in
 * one pass over small tiles of pixel rows. See zbo/decoder.py, which builds, loads and calls this,
 * and whose torch version says the same in forty lines.
 *
 * A tile's activations stay in the second-level cache and are overwritten by their own gradients.
 * Single-threaded: the caller hands out ranges of images, each with sums of its own.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define ROWS 8 /* rows of C held in registers: ROWS x 2 vectors and a little more must fit */
#elif defined(__AVX__)
#define LANES 8
#define ROWS 4
#else
#define LANES 4
#define ROWS 4
#endif
#define PANEL (2 * LANES)
#define TILE 112 /* pixel rows of a tile, a multiple of ROWS */
#define UNROLL _Pragma("GCC unroll 8")
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(4 * LANES)));

typedef struct {
    long pixels, classes, h0, h1, h2;
    float sigma; /* of the Gaussian decoder; 0: Bernoulli */
    /* images (n, P), coords (n, P, 2), latents (n, K, h0), q (n, K); weight of each pixel in its
     * image's sum, (P) or NULL; active (n, K) or NULL */
    const float *images, *coords, *latents, *q, *share;
    const unsigned char *active;
    /* wc (2, h0); forward and backward weights in panels (columns / PANEL, rows, PANEL) */
    const float *wc, *bc, *w1_forward, *w1_backward, *b1, *w2_forward, *w2_backward, *b2, *w3, *b3;
    /* log p (n, K) and gradients for coords, latents: zero before where not active */
    float *logp, *d_coords, *d_latents;
} Batch;

int zbo_panel(void) { return PANEL; }

/* Floats of one range's sums: dwc (2, h0), dw1 (h1, h0), db1, dw2 (h2, h1), db2, dw3, db3. */
long zbo_sums(const Batch *s) {
    return 2 * s->h0 + s->h1 * (s->h0 + 1) + s->h2 * (s->h1 + 2) + 1;
}

INLINE vec load(const float *p) { return *(const vec *)p; }
INLINE void store(float *p, vec v) { *(vec *)p = v; }
INLINE vec fill(float x) { return x - (vec){0}; }
INLINE vec choose(mask m, vec a, vec b) { return (vec)(((mask)a & m) | ((mask)b & ~m)); }

INLINE float total(vec v) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += v[i];
    return sum;
}

/* Odd rational minimax fit (the coefficients of Eigen and XLA), within 4 units in the last place;
 * +-1 in float32 beyond 7.9. The comparisons let NaN through. */
INLINE vec vtanh(vec x) {
    const vec most = fill(7.90531110763549805f);
    x = choose(x > most, most, x);
    x = choose(x < -most, -most, x);
    vec y = x * x;
    vec p = y * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = p * y + -8.60467152213735e-11f;
    p = p * y + 5.12229709037114e-08f;
    p = p * y + 1.48572235717979e-05f;
    p = p * y + 6.37261928875436e-04f;
    p = p * y + 4.89352455891786e-03f;
    vec r = y * 1.19825839466702e-06f + 1.18534705686654e-04f;
    r = r * y + 2.26843463243900e-03f;
    r = r * y + 4.89352518554385e-03f;
    return x * p / r;
}

/* acc += A B for ROWS rows and PANEL columns; element (m, k) of A is a[m * a_row + k * a_step]. */
INLINE void multiply(const float *a, long a_row, long a_step, const float *b, long b_step,
                     long depth, vec acc[ROWS][2]) {
    for (long k = 0; k < depth; k++) {
        vec b0 = load(b + k * b_step), b1 = load(b + k * b_step + LANES);
        UNROLL for (int m = 0; m < ROWS; m++) {
            vec x = fill(a[m * a_row + k * a_step]);
            acc[m][0] += x * b0;
            acc[m][1] += x * b1;
        }
    }
}

/* out = tanh(in W^T + bias) */
static void layer(long rows, long ld, const float *in, long n_in, const float *panels,
                  const float *bias, long n_out, float *out) {
    for (long j = 0; j < n_out; j += PANEL)
        for (long r = 0; r < rows; r += ROWS) {
            vec acc[ROWS][2];
            UNROLL for (int m = 0; m < ROWS; m++) {
                acc[m][0] = load(bias + j);
                acc[m][1] = load(bias + j + LANES);
            }
            multiply(in + r * ld, ld, 1, panels + j * n_in, PANEL, n_in, acc);
            UNROLL for (int m = 0; m < ROWS; m++) {
                store(out + (r + m) * ld + j, vtanh(acc[m][0]));
                store(out + (r + m) * ld + j + LANES, vtanh(acc[m][1]));
            }
        }
}

/* act = (d W) (1 - act^2), in place; its column sums are added to d_bias, itself to d_sum. */
static void layer_back(long rows, long ld, const float *d, long n_out, const float *panels,
                       long n_in, float *act, float *d_bias, float *d_sum) {
    for (long i = 0; i < n_in; i += PANEL)
        for (long r = 0; r < rows; r += ROWS) {
            vec acc[ROWS][2] = {0};
            multiply(d + r * ld, ld, 1, panels + i * n_out, PANEL, n_out, acc);
            for (int half = 0; half < 2; half++) {
                vec sum = {0};
                UNROLL for (int m = 0; m < ROWS; m++) {
                    float *at = act + (r + m) * ld + i + half * LANES;
                    vec h = load(at), g = acc[m][half] * (1 - h * h);
                    store(at, g);
                    sum += g;
                    if (d_sum) {
                        float *s = d_sum + (r + m) * ld + i + half * LANES;
                        store(s, load(s) + g);
                    }
                }
                store(d_bias + i + half * LANES, load(d_bias + i + half * LANES) + sum);
            }
        }
}

/* dw (n_out, n_in) += d^T act */
static void weight_gradient(long rows, long ld, const float *d, long n_out, const float *act,
                            long n_in, float *dw) {
    for (long i = 0; i < n_in; i += PANEL)
        for (long j = 0; j < n_out; j += ROWS) {
            vec acc[ROWS][2] = {0}; /* a tile's own sum first: it rounds less */
            multiply(d + j, 1, ld, act + i, ld, rows, acc);
            UNROLL for (int m = 0; m < ROWS; m++) {
                float *at = dw + (j + m) * n_in + i;
                store(at, load(at) + acc[m][0]);
                store(at + LANES, load(at + LANES) + acc[m][1]);
            }
        }
}

/* Log-likelihood of one pixel and, in *g, its derivative at the logit. */
INLINE float pixel(float x, float logit, float sigma, float *g) {
    float e = expf(-fabsf(logit));
    float mean = (logit < 0 ? e : 1.0f) / (1 + e);
    if (sigma == 0) {
        *g = x - mean;
        return x * logit - (logit > 0 ? logit : 0) - log1pf(e);
    }
    float error = (x - mean) / sigma;
    *g = error / sigma * mean * (1 - mean);
    return -0.5f * error * error - logf(sigma) - 0.918938533f;
}

/* As many multiply-adds as a processor can make: those of multiply(), of registers alone. Returns
 * how many floating-point operations they were; *sum keeps them from being left out. */
double zbo_peak(long repeats, float *sum) {
    const vec x = fill(*sum), b = x * 0.5f;
    vec acc[ROWS][2]; /* no two alike, or a compiler sees that one sum will do */
    for (int m = 0; m < ROWS; m++) {
        acc[m][0] = fill(m);
        acc[m][1] = fill(m + 0.5f);
    }
    for (long k = 0; k < repeats; k++)
        UNROLL for (int m = 0; m < ROWS; m++) {
            acc[m][0] = acc[m][0] * b + x;
            acc[m][1] = acc[m][1] * b + x;
        }
    for (int m = 0; m < ROWS; m++) *sum += total(acc[m][0]) + total(acc[m][1]);
    return 2.0 * repeats * ROWS * 2 * LANES;
}

/* Images begin..end; sums as laid out at zbo_sums, added to. Returns 0, or 1 without memory. */
int zbo_decode(const Batch *s, long begin, long end, float *sums) {
    const long h0 = s->h0, h1 = s->h1, h2 = s->h2, P = s->pixels, K = s->classes;
    /* 16 more than the widest layer: rows a power of two apart would share cache sets. */
    const long widest = h0 > h1 ? (h0 > h2 ? h0 : h2) : (h1 > h2 ? h1 : h2), ld = widest + 16;
    const long tile = TILE * ld;
    float *first = aligned_alloc(64, sizeof(float) * 5 * tile);
    if (!first) return 1;
    float *a0 = first + tile, *a1 = a0 + tile, *a2 = a1 + tile, *d_first = a2 + tile;
    float *dwc = sums, *dw1 = dwc + 2 * h0, *db1 = dw1 + h1 * h0, *dw2 = db1 + h1;
    float *db2 = dw2 + h2 * h1, *dw3 = db2 + h2, *db3 = dw3 + h2;

    for (long n = begin; n < end; n++)
        for (long start = 0; start < P; start += TILE) {
            const long real = P - start < TILE ? P - start : TILE;
            const long rows = (real + ROWS - 1) / ROWS * ROWS; /* those added get zero gradient */
            const float *xy = s->coords + (n * P + start) * 2, *x = s->images + n * P + start;
            for (long r = 0; r < rows; r++) {
                float cx = r < real ? xy[2 * r] : 0, cy = r < real ? xy[2 * r + 1] : 0;
                for (long j = 0; j < h0; j += LANES)
                    store(first + r * ld + j,
                          load(s->bc + j) + cx * load(s->wc + j) + cy * load(s->wc + h0 + j));
            }
            memset(d_first, 0, sizeof(float) * rows * ld);

            for (long k = 0; k < K; k++) {
                const long pair = n * K + k;
                if (s->active && !s->active[pair]) continue;
                for (long r = 0; r < rows; r++)
                    for (long j = 0; j < h0; j += LANES)
                        store(a0 + r * ld + j,
                              vtanh(load(first + r * ld + j) + load(s->latents + pair * h0 + j)));
                layer(rows, ld, a0, h0, s->w1_forward, s->b1, h1, a1);
                layer(rows, ld, a1, h1, s->w2_forward, s->b2, h2, a2);

                double logp = 0;
                float g[TILE] = {0};
                for (long r = 0; r < real; r++) {
                    vec dot = {0};
                    for (long j = 0; j < h2; j += LANES)
                        dot += load(a2 + r * ld + j) * load(s->w3 + j);
                    float share = s->share ? s->share[start + r] : 1;
                    logp += share * pixel(x[r], total(dot) + *s->b3, s->sigma, g + r);
                    g[r] *= share * s->q[pair];
                    *db3 += g[r];
                }
                for (long j = 0; j < h2; j += LANES) {
                    vec w = load(s->w3 + j), sum_w = {0}, sum_b = {0};
                    for (long r = 0; r < rows; r++) {
                        vec h = load(a2 + r * ld + j), d = g[r] * w * (1 - h * h);
                        sum_w += g[r] * h;
                        sum_b += d;
                        store(a2 + r * ld + j, d); /* a2 now holds its gradient */
                    }
                    store(dw3 + j, load(dw3 + j) + sum_w);
                    store(db2 + j, load(db2 + j) + sum_b);
                }
                s->logp[pair] += logp;

                weight_gradient(rows, ld, a2, h2, a1, h1, dw2);
                layer_back(rows, ld, a2, h2, s->w2_backward, h1, a1, db1, NULL);
                weight_gradient(rows, ld, a1, h1, a0, h0, dw1);
                layer_back(rows, ld, a1, h1, s->w1_backward, h0, a0, s->d_latents + pair * h0,
                           d_first);
            }

            for (long r = 0; r < real; r++) {
                vec dx = {0}, dy = {0};
                for (long j = 0; j < h0; j += LANES) {
                    vec d = load(d_first + r * ld + j);
                    dx += d * load(s->wc + j);
                    dy += d * load(s->wc + h0 + j);
                    store(dwc + j, load(dwc + j) + xy[2 * r] * d);
                    store(dwc + h0 + j, load(dwc + h0 + j) + xy[2 * r + 1] * d);
                }
                s->d_coords[(n * P + start + r) * 2] = total(dx);
                s->d_coords[(n * P + start + r) * 2 + 1] = total(dy);
            }
        }
    free(first);
    return 0;
}
