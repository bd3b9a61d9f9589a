// How data named outside of a configuration are read, and their rows cleaned.
#pragma once

#include "data/clean.h"
#include "data/reader.h"

namespace hone {

struct Reading {
  SourceOptions source;
  CleanOptions clean;
};

}  // namespace hone
