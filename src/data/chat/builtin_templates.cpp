#include "data/chat/builtin_templates.h"

namespace hone {
namespace {

// Turns between <|im_start|> and <|im_end|>, with the role on the first line.
constexpr const char* kChatMl = R"({%- for message in messages %}
{{- '<|im_start|>' ~ message['role'] ~ '\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}{{ message['content'] ~ '<|im_end|>' }}{% endgeneration %}
{%- else %}
{{- message['content'] ~ '<|im_end|>' }}
{%- endif %}
{{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{%- endif %}
)";

// The headings of Stanford Alpaca (Taori et al. 2023), for models without tokens of their own for
// turns. An answer ends with the model's eos_token.
constexpr const char* kAlpaca = R"({%- for message in messages %}
{%- if message['role'] == 'system' %}
{{- message['content'] ~ '\n\n' }}
{%- elif message['role'] == 'user' %}
{{- '### Instruction:\n' ~ message['content'] ~ '\n\n' }}
{%- elif message['role'] == 'assistant' %}
{{- '### Response:\n' }}
{%- generation %}{{ message['content'] ~ eos_token }}{% endgeneration %}
{{- '\n\n' }}
{%- else %}
{{- raise_exception('the template alpaca knows the roles system, user and assistant') }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '### Response:\n' }}
{%- endif %}
)";

}  // namespace

const std::vector<BuiltinTemplate>& builtin_templates() {
  static const std::vector<BuiltinTemplate> kTemplates = {{"alpaca", kAlpaca}, {"chatml", kChatMl}};
  return kTemplates;
}

}  // namespace hone
