/* Draws by Zipf's law. */
#include "bench/zipfian.h"

#include <math.h>

#include "base/check.h"

static double density(const struct zipfian *zipfian, double x)
{
    return pow(x, -zipfian->exponent);
}

/* The integral of the density from 1 to x. */
static double integral(const struct zipfian *zipfian, double x)
{
    double rest = 1 - zipfian->exponent;
    return (pow(x, rest) - 1) / rest;
}

static double integral_inverse(const struct zipfian *zipfian, double area)
{
    double rest = 1 - zipfian->exponent;
    return pow(1 + area * rest, 1 / rest);
}

void zipfian_init(struct zipfian *zipfian, uint64_t count, double exponent)
{
    CHECK(count >= 1 && exponent > 0 && fabs(exponent - 1) > 1e-6);
    *zipfian = (struct zipfian){.exponent = exponent};
    zipfian->low = integral(zipfian, 1.5) - 1;
    zipfian->certain = 2 - integral_inverse(zipfian, integral(zipfian, 2.5) - density(zipfian, 2));
    zipfian_resize(zipfian, count);
}

void zipfian_resize(struct zipfian *zipfian, uint64_t count)
{
    CHECK(count >= 1);
    zipfian->count = count;
    zipfian->high = integral(zipfian, (double)count + 0.5);
}

uint64_t zipfian_draw(const struct zipfian *zipfian, struct random *random)
{
    for (;;) {
        double area = zipfian->high + random_unit(random) * (zipfian->low - zipfian->high);
        double x = integral_inverse(zipfian, area);
        double number = floor(x + 0.5);
        number = number < 1 ? 1 : number;
        number = number > (double)zipfian->count ? (double)zipfian->count : number;
        if (number - x <= zipfian->certain ||
            area >= integral(zipfian, number + 0.5) - density(zipfian, number))
            return (uint64_t)number - 1;
    }
}
