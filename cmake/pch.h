// Precompiled for every room that sees tensors. torch/torch.h itself stays out: it costs twice as
// much.
#pragma once
#ifndef _OPENMP
#error "at::parallel_for is a plain loop in a file compiled without OpenMP"
#endif
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
