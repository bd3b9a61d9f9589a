// Correlation and error of numbers. A weight says how often each pair counts (all 1 for a plain
// score, the draws of a bootstrap otherwise).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hone::metrics {

// 0 where either side is constant.
double pearson(std::span<const double> x, std::span<const double> y,
               std::span<const int32_t> weights);

// Rank correlation with ties at their mean rank. Ranks under weights cost one pass over an order
// that is sorted once.
class Spearman {
 public:
  Spearman(std::span<const double> x, std::span<const double> y);
  double operator()(std::span<const int32_t> weights) const;  // 0 where either side is constant

 private:
  std::vector<double> x_, y_;
  std::vector<int32_t> x_order_, y_order_;
};

double mean_squared_error(std::span<const double> x, std::span<const double> y,
                          std::span<const int32_t> weights);
double mean_absolute_error(std::span<const double> x, std::span<const double> y,
                           std::span<const int32_t> weights);

}  // namespace hone::metrics
