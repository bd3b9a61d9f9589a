#include "tasks/html.h"

#include <fmt/format.h>

namespace hone::html {
namespace {

const char* entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return nullptr;
  }
}

// A page may not hold these; lines and tabs it may.
bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (const char* named = entity(c)) {
      out += named;
    } else if (is_control(c)) {
      out += "\uFFFD";
    } else {
      out += c;
    }
  }
  return out;
}

std::string name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += escape({&c, 1});
    if (std::string_view("_/.-:|,+").find(c) != std::string_view::npos) out += "<wbr>";
  }
  return "<bdi class='name'>" + out + "</bdi>";
}

std::string text(std::string_view text) {
  return fmt::format("<span class='text' dir='auto'>{}</span>", escape(text));
}

std::string card(const std::string& body, const char* classes) {
  return fmt::format("<div class='card {}'>{}</div>", classes, body);
}

std::string section(const std::string& title, const std::string& body) {
  return body.empty() ? "" : fmt::format("<section><h2>{}</h2>{}</section>", escape(title), body);
}

std::string fold(const std::string& summary, const std::string& body) {
  return fmt::format("<details><summary>{}</summary>{}</details>", escape(summary), body);
}

std::string scroller(const std::string& label, const std::string& body) {
  return fmt::format("<div class='scroll' tabindex='0' role='region' aria-label='{}'>{}</div>",
                     escape(label), body);
}

}  // namespace hone::html
