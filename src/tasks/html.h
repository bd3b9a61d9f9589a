// Pieces of a page: text that came from data is escaped here and nowhere else.
#pragma once

#include <string>
#include <string_view>

namespace hone::html {

std::string escape(std::string_view text);  // for text and attributes
// A name in which lines may break after separators ("cancel_subscription"), kept apart from the
// direction of the text around it.
std::string name(std::string_view text);
std::string text(std::string_view text);  // a longer text; its direction is its own

std::string card(const std::string& body, const char* classes = "");
std::string section(const std::string& title, const std::string& body);  // nothing without a body
std::string fold(const std::string& summary, const std::string& body);   // opens without script
// Scrolls sideways by itself where it must, with the keyboard too.
std::string scroller(const std::string& label, const std::string& body);

}  // namespace hone::html
