// SPDX-License-Identifier: Apache-2.0
// The yardsticks of thread_grid.py: the same loops, spread over threads by OpenMP.

#include <stdint.h>

void saxpy(float *out, float a, const float *x, const float *y, int64_t n, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n; i++)
        out[i] = a * x[i] + y[i];
}

void mandelbrot(int32_t *out, int64_t width, int64_t height, int64_t most, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            double cr = 3.0 * x / width - 2, ci = 2.0 * y / height - 1, zr = 0, zi = 0;
            int64_t count = 0;
            while (count < most && zr * zr + zi * zi < 4) {
                double next = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = next;
                count++;
            }
            out[y * width + x] = (int32_t)count;
        }
}

void triangle(int64_t *out, int64_t n, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic, 16)
    for (int64_t i = 0; i < n; i++) {
        uint64_t value = i;
        for (int64_t j = 0; j < i; j++)
            value = (value ^ (value >> 7)) * 0x9E3779B97F4A7C15u;
        out[i] = (int64_t)value;
    }
}
