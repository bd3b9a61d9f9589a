// What libtorch throws, in words that the rest of the program knows.
#pragma once

#include <exception>

namespace hone {

// std::bad_alloc where memory ran out, on a processor or a GPU; Error(kInternal) without a stack
// trace for any other failure of libtorch; what is not libtorch's comes back as it is.
std::exception_ptr without_torch(std::exception_ptr failure);

}  // namespace hone
