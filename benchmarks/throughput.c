/* SPDX-License-Identifier: Apache-2.0
 * The yardsticks of throughput.py: what the kernels compute, as one would write it in C, on one core or, with -fopenmp, on all. */
#include <math.h>
#include <stdint.h>

void saxpy(int64_t n, float *restrict out, float a, const float *restrict x, const float *restrict y)
{
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++)
        out[i] = a * x[i] + y[i];
}

void stencil(int64_t height, int64_t width, float *restrict out, const float *restrict u)
{
#pragma omp parallel for
    for (int64_t y = 1; y < height - 1; y++)
        for (int64_t x = 1; x < width - 1; x++)
            out[y * width + x] = 0.5f * u[y * width + x] + 0.125f * (u[y * width + x - 1] + u[y * width + x + 1]
                + u[(y - 1) * width + x] + u[(y + 1) * width + x]);
}

void matmul(int64_t n, float *restrict c, const float *restrict a, const float *restrict b)
{
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            float s = 0;
            for (int64_t k = 0; k < n; k++)
                s += a[i * n + k] * b[k * n + j];
            c[i * n + j] = s;
        }
}

void mandelbrot(int64_t height, int64_t width, int32_t *restrict out, int64_t limit)
{
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            double cr = -2.0 + 3.0 * (double)x / (double)width, ci = -1.5 + 3.0 * (double)y / (double)height;
            double zr = 0, zi = 0;
            int64_t count = 0;
            while (count < limit && zr * zr + zi * zi <= 4.0) {
                double t = zr * zr - zi * zi + cr;
                zi = 2.0 * zr * zi + ci;
                zr = t;
                count++;
            }
            out[y * width + x] = (int32_t)count;
        }
}

void nbody(int64_t n, float *restrict ax, float *restrict ay, float *restrict az, const float *restrict x,
           const float *restrict y, const float *restrict z, const float *restrict mass)
{
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        float sx = 0, sy = 0, sz = 0;
        for (int64_t j = 0; j < n; j++) {
            float dx = x[j] - x[i], dy = y[j] - y[i], dz = z[j] - z[i];
            float square = dx * dx + dy * dy + dz * dz + 1e-4f;
            float force = mass[j] / (square * sqrtf(square));
            sx += force * dx;
            sy += force * dy;
            sz += force * dz;
        }
        ax[i] = sx;
        ay[i] = sy;
        az[i] = sz;
    }
}

static inline float normal(float x)
{
    return 0.5f + 0.5f * erff(x * 0.70710678f);
}

void black_scholes(int64_t n, float *restrict call, float *restrict put, const float *restrict price,
                   const float *restrict strike, const float *restrict years, float rate, float volatility)
{
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        float spread = volatility * sqrtf(years[i]);
        float d1 = (logf(price[i] / strike[i]) + (rate + 0.5f * volatility * volatility) * years[i]) / spread;
        float d2 = d1 - spread, discounted = strike[i] * expf(-rate * years[i]);
        call[i] = price[i] * normal(d1) - discounted * normal(d2);
        put[i] = discounted * normal(-d2) - price[i] * normal(-d1);
    }
}

void histogram(int64_t n, int32_t *restrict counts, const uint8_t *restrict values)
{
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++)
        __atomic_fetch_add(&counts[values[i]], 1, __ATOMIC_RELAXED);
}

/* Counts that others add to meanwhile are lost: on one core only. */
void histogram_plain(int64_t n, int32_t *restrict counts, const uint8_t *restrict values)
{
    for (int64_t i = 0; i < n; i++)
        counts[values[i]]++;
}

/* Groups of 256 threads: what the barriers of the kernel separate are loops here. */
void reduction(int64_t groups, float *restrict out, const float *restrict x)
{
#pragma omp parallel for
    for (int64_t group = 0; group < groups; group++) {
        float shared[256];
        for (int64_t i = 0; i < 256; i++)
            shared[i] = x[group * 256 + i];
        for (int64_t step = 128; step > 0; step /= 2)
            for (int64_t i = 0; i < step; i++)
                shared[i] += shared[i + step];
        out[group] = shared[0];
    }
}

void tiled_matmul(int64_t n, float *restrict c, const float *restrict a, const float *restrict b)
{
#pragma omp parallel for collapse(2)
    for (int64_t row = 0; row < n; row += 16)
        for (int64_t column = 0; column < n; column += 16) {
            float left[16][16], right[16][16], sums[16][16] = {{0}};
            for (int64_t tile = 0; tile < n; tile += 16) {
                for (int64_t i = 0; i < 16; i++)
                    for (int64_t j = 0; j < 16; j++) {
                        left[i][j] = a[(row + i) * n + tile + j];
                        right[i][j] = b[(tile + i) * n + column + j];
                    }
                for (int64_t i = 0; i < 16; i++)
                    for (int64_t j = 0; j < 16; j++)
                        for (int64_t k = 0; k < 16; k++)
                            sums[i][j] += left[i][k] * right[k][j];
            }
            for (int64_t i = 0; i < 16; i++)
                for (int64_t j = 0; j < 16; j++)
                    c[(row + i) * n + column + j] = sums[i][j];
        }
}
