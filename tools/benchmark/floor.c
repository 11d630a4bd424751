/* SPDX-License-Identifier: MIT
 *
 * The floor: a log-Mel stream as one writes it in C when nothing else matters. One frame at
 * a time as it completes, sparse bands, single precision. Built by `floor.py` with
 * -O3 -march=native -ffast-math, and with -DWITH_FFTW where FFTW is installed.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef WITH_FFTW
#include <fftw3.h>
#endif

typedef struct {
    int n_fft, win_length, hop_length, n_mels;
    int filled, capacity;
    float offset;
    const float *window;  /* (win_length) */
    const int *first;     /* (n_mels) first bin of each band */
    const int *count;     /* (n_mels) bins of each band */
    const float *weights; /* the bands' weights, one after the other */
    float *samples;       /* (capacity) what the next frames need */
    float *frame;         /* (n_fft) */
    float *spectrum;      /* (n_fft + 2) interleaved */
    float *power;         /* (n_fft / 2 + 1) */
#ifdef WITH_FFTW
    fftwf_plan plan;
#else
    float *twiddle; /* (n_fft) cos, -sin of 2 pi k / n_fft, interleaved, k < n_fft / 2 */
    int *reversed;  /* (n_fft / 2) bit reversal */
#endif
} stream_t;

#ifndef WITH_FFTW
/* Real FFT of n samples as a complex one of n / 2 (radix 2, in place) and its unfolding. */
static void real_fft(const stream_t *s) {
    const int n = s->n_fft, half = n / 2;
    float *z = s->spectrum;
    const float *w = s->twiddle;
    for (int k = 0; k < half; k++) {
        const int j = s->reversed[k];
        z[2 * j] = s->frame[2 * k];
        z[2 * j + 1] = s->frame[2 * k + 1];
    }
    for (int span = 1; span < half; span *= 2) {
        const int step = n / span; /* twiddle of span: floats from one k to the next */
        for (int start = 0; start < half; start += 2 * span) {
            for (int k = 0; k < span; k++) {
                const float wr = w[k * step], wi = w[k * step + 1];
                float *a = z + 2 * (start + k), *b = a + 2 * span;
                const float re = b[0] * wr - b[1] * wi, im = b[0] * wi + b[1] * wr;
                b[0] = a[0] - re, b[1] = a[1] - im;
                a[0] += re, a[1] += im;
            }
        }
    }
    const float first = z[0], second = z[1];
    for (int k = 1; k <= half / 2; k++) {
        float *a = z + 2 * k, *b = z + 2 * (half - k);
        const float er = 0.5f * (a[0] + b[0]), ei = 0.5f * (a[1] - b[1]);
        const float dr = 0.5f * (a[1] + b[1]), di = 0.5f * (b[0] - a[0]);
        const float tr = dr * w[2 * k] - di * w[2 * k + 1];
        const float ti = dr * w[2 * k + 1] + di * w[2 * k];
        a[0] = er + tr, a[1] = ei + ti;
        b[0] = er - tr, b[1] = ti - ei;
    }
    z[0] = first + second, z[1] = 0.0f;
    z[n] = first - second, z[n + 1] = 0.0f;
}
#endif

stream_t *stream_new(int n_fft, int win_length, int hop_length, int n_mels, int max_samples,
                     float offset, const float *window, const int *first, const int *count,
                     const float *weights) {
    stream_t *s = calloc(1, sizeof *s);
    s->n_fft = n_fft, s->win_length = win_length, s->hop_length = hop_length;
    s->n_mels = n_mels, s->offset = offset, s->capacity = win_length + max_samples;
    s->window = window, s->first = first, s->count = count, s->weights = weights;
    s->samples = calloc(s->capacity, sizeof(float));
    s->power = calloc(n_fft / 2 + 1, sizeof(float));
#ifdef WITH_FFTW
    s->frame = fftwf_alloc_real(n_fft);
    s->spectrum = fftwf_alloc_real(n_fft + 2);
    s->plan = fftwf_plan_dft_r2c_1d(n_fft, s->frame, (fftwf_complex *)s->spectrum, FFTW_PATIENT);
#else
    s->frame = calloc(n_fft, sizeof(float));
    s->spectrum = calloc(n_fft + 2, sizeof(float));
    s->twiddle = calloc(n_fft, sizeof(float));
    s->reversed = calloc(n_fft / 2, sizeof(int));
    for (int k = 0; k < n_fft / 2; k++) {
        s->twiddle[2 * k] = (float)cos(2.0 * M_PI * k / n_fft);
        s->twiddle[2 * k + 1] = (float)-sin(2.0 * M_PI * k / n_fft);
        for (int bit = 1, top = n_fft / 4; bit < n_fft / 2; bit *= 2, top /= 2)
            if (k & bit) s->reversed[k] |= top;
    }
#endif
    memset(s->frame, 0, n_fft * sizeof(float));
    return s;
}

static void one_frame(const stream_t *s, const float *samples, float *mel) {
    for (int k = 0; k < s->win_length; k++) s->frame[k] = samples[k] * s->window[k];
#ifdef WITH_FFTW
    fftwf_execute(s->plan);
#else
    real_fft(s);
#endif
    for (int k = 0; k <= s->n_fft / 2; k++) {
        const float re = s->spectrum[2 * k], im = s->spectrum[2 * k + 1];
        s->power[k] = re * re + im * im;
    }
    const float *weight = s->weights;
    for (int band = 0; band < s->n_mels; band++) {
        float sum = 0.0f;
        const float *power = s->power + s->first[band];
        for (int k = 0; k < s->count[band]; k++) sum += weight[k] * power[k];
        weight += s->count[band];
        mel[band] = sum + s->offset;
    }
    for (int band = 0; band < s->n_mels; band++) mel[band] = logf(mel[band]);
}

/* Take n samples, write the frames they complete, return how many. */
int stream_process(stream_t *s, const float *x, int n, float *mel) {
    memcpy(s->samples + s->filled, x, n * sizeof(float));
    s->filled += n;
    int done = 0, at = 0;
    for (; at + s->win_length <= s->filled; at += s->hop_length)
        one_frame(s, s->samples + at, mel + s->n_mels * done++);
    s->filled -= at;
    if (at) memmove(s->samples, s->samples + at, s->filled * sizeof(float));
    return done;
}

void stream_reset(stream_t *s) { s->filled = 0; }

void stream_free(stream_t *s) {
#ifdef WITH_FFTW
    fftwf_destroy_plan(s->plan);
    fftwf_free(s->frame);
    fftwf_free(s->spectrum);
#else
    free(s->frame);
    free(s->spectrum);
    free(s->twiddle);
    free(s->reversed);
#endif
    free(s->samples);
    free(s->power);
    free(s);
}
