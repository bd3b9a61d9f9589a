#include "tasks/metrics/regression.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hone::metrics {
namespace {

std::vector<int32_t> sorted_order(std::span<const double> values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return values[a] < values[b]; });
  return order;
}

// The mean rank of each value among the weighted values.
std::vector<double> ranks(std::span<const double> values, std::span<const int32_t> order,
                          std::span<const int32_t> weights) {
  std::vector<double> result(values.size());
  double below = 0;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    double tied = 0;
    for (; end < order.size() && values[order[end]] == values[order[begin]]; ++end)
      tied += weights[order[end]];
    for (size_t i = begin; i < end; ++i) result[order[i]] = below + (tied + 1) / 2;
    below += tied;
    begin = end;
  }
  return result;
}

double weighted_mean(std::span<const double> values, std::span<const int32_t> weights,
                     double total) {
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
  return total == 0 ? 0 : sum / total;
}

template <typename Cost>
double mean_cost(std::span<const double> x, std::span<const double> y,
                 std::span<const int32_t> weights, Cost cost) {
  double sum = 0, total = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += cost(x[i] - y[i]) * weights[i];
    total += weights[i];
  }
  return total == 0 ? 0 : sum / total;
}

}  // namespace

double pearson(std::span<const double> x, std::span<const double> y,
               std::span<const int32_t> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double mean_x = weighted_mean(x, weights, total), mean_y = weighted_mean(y, weights, total);
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mean_x, dy = y[i] - mean_y;
    xx += weights[i] * dx * dx;
    yy += weights[i] * dy * dy;
    xy += weights[i] * dx * dy;
  }
  // A constant column leaves rounding noise of its mean, not zero.
  const double noise = 1e-13;
  if (xx <= noise * noise * total * mean_x * mean_x ||
      yy <= noise * noise * total * mean_y * mean_y)
    return 0;
  return std::clamp(xy / (std::sqrt(xx) * std::sqrt(yy)), -1.0, 1.0);
}

Spearman::Spearman(std::span<const double> x, std::span<const double> y)
    : x_(x.begin(), x.end()),
      y_(y.begin(), y.end()),
      x_order_(sorted_order(x)),
      y_order_(sorted_order(y)) {}

double Spearman::operator()(std::span<const int32_t> weights) const {
  return pearson(ranks(x_, x_order_, weights), ranks(y_, y_order_, weights), weights);
}

double mean_squared_error(std::span<const double> x, std::span<const double> y,
                          std::span<const int32_t> weights) {
  return mean_cost(x, y, weights, [](double d) { return d * d; });
}

double mean_absolute_error(std::span<const double> x, std::span<const double> y,
                           std::span<const int32_t> weights) {
  return mean_cost(x, y, weights, [](double d) { return std::abs(d); });
}

}  // namespace hone::metrics
