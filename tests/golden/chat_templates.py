"""Writes chat_templates.json: templates and what Jinja2 renders of them, in the environment that
Transformers gives chat templates. A text of None means that Jinja2 refuses.

.venv-peers/bin/python tests/golden/chat_templates.py
"""

import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

VARIABLES = {
    "messages": [
        {"role": "system", "content": "  Be brief.\n"},
        {"role": "user", "content": "Hi «you»\nthere", "n": 3},
        {"role": "assistant", "content": "<think>hm</think>\n\nHello 🙂!", "tool_calls": None},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_time",
                "description": 'The "time" in Zürich\\n',
                "parameters": {
                    "type": "object",
                    "properties": {"zone": {"type": "string", "items": [1, 2.5, None, True]}},
                    "required": ["zone"],
                },
            },
        }
    ],
    "words": ["b", "A", "c", "a", "B"],
    "numbers": [3, 1, 2, 1.5, -7],
    "nested": {"b": {"x": 1}, "A": [1, 2, {"y": None}], "c": "text"},
    "people": [
        {"name": "Ann", "age": 30, "tags": {"x": 1}},
        {"name": "bob", "age": 25},
        {"name": "Cid", "age": 30, "tags": {"x": 2}},
    ],
    "tree": [{"v": 1, "sub": [{"v": 2, "sub": [{"v": 3}]}]}, {"v": 4}],
    "text": " \tGrüße, ΣΑΣ straße ǆ \n",
    "empty": "",
    "zero": 0,
    "none_value": None,
    "add_generation_prompt": True,
    "eos_token": "</s>",
}

CASES = [
    # white space around tags
    "{% if true %}\n  a\n{% endif %}\n  {% if true %}\nb\n  {% endif %}\nc\n",
    "x  {%- if true -%}  \n y \n {%- endif -%} \n z",
    "  {%+ if true +%}\n a {%+ endif +%}\n b",
    "  {{ 1 }}  \n  {{- 2 -}}  \n 3 {{ 4 }}\n",
    "a {# one #} b\n  {# two #}\nc {#- three -#} d {#+ x +#}\ne",
    "{% raw %}{{ a }} {% if %}{% endraw %}|\n  {%- raw -%}  x {{ y  {%- endraw -%}  z\n {% raw %}\n q\n {% endraw %}\nr",
    "line\r\nwith{% set x = 'a\r\nb' %}\r{{ x }}\r\n",
    "no newline at the end\n\n",
    "\n  {% for i in [1, 2] %}\n  {{ i }}\n  {% endfor %}\n",
    "{{ '}}' }}{{ '%}' }}{{ {'a': {'b': 1}}['a']['b'] }}{{ \"{{\" }}",
    "\u00a0{%- if 1 %}a{% endif -%}\u3000b",
    "{{'a'}}{%if 1%}b{%endif%}{{-'c'}}{{'d'-}} e",
    # literals
    "{{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e3 }} {{ 2e-7 }} {{ 1.0 }} {{ 1e16 }} {{ 1e22 }} {{ 123456789.125 }}",
    "{{ 0.1 + 0.2 }} {{ 1e300 * 10 }} {{ -0.0 }} {{ 1 / 3 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }}",
    "{{ 'a\\n\\t\\x41\\u00e9\\U0001F600\\101\\q\\'\\\"' }}{{ 'one' \"two\" 'three' }}",
    "{{ [1, 'two', 3.0, None, true, [], {}, (1,), (), 'it\\'s', \"q\\\"'\"] }}",
    "{{ {'a': 1, 2: 'b', none: [1], true: {}} }} {{ {'a': 1, 'a': 2} }}",
    "{{ (1, 2) }} {{ 1, 2 }} {{ () }} {{ [1, 2, ] }}",
    "{{ none }}{{ None }}{{ true }}{{ False }}{{ missing }}|{{ missing is defined }}",
    "{{ ['é', '\\x07', '\\u200b', '\\u00a0', '\\n', '中', '🙂', '\\\\', '\\x7f'] }}",
    # operators
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}",
    "{{ 2 ** 3 ** 2 }} {{ 1 + 2 * 3 - 4 / 2 }} {{ (1 + 2) * 3 }} {{ 1 ~ 2 + 3 ~ 4 }} {{ 10 - 3 - 2 }}",
    "{{ 'a' ~ 1 + 2 }}",
    "{{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 + [3] }} {{ (1,) + (2,) }} {{ 'ab' * -1 }} {{ true + 1 }} {{ +true }} {{ -5 }} {{ - - 5 }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 != 2 }} {{ 3 >= 3 > 2 }}",
    "{{ 1 in [1, 2] }} {{ 'a' in 'cat' }} {{ 'x' not in {'x': 1} }} {{ 3 not in (1, 2) }} {{ 'b' in nested }} {{ 1 in missing }}",
    "{{ not true }} {{ not not 1 }} {{ 1 and 0 }} {{ 0 or 'x' }} {{ '' or none or [] }} {{ 1 and 'y' }} {{ not 1 == 2 }} {{ true or missing.x }}",
    "{{ 'yes' if 1 else 'no' }} {{ 'yes' if 0 }}| {{ 1 if 0 else 2 if 0 else 3 }} {{ (1 if true) + 1 }} {{ [1 if true else 2] }}",
    "{{ 1 is not none }} {{ not 1 is none }} {{ 2 is even and 3 is odd }} {{ 4 is divisibleby 2 }} {{ 4 is divisibleby(3) }} {{ 2 is in [1, 2] }} {{ 2 is not in [1] }}",
    "{{ 'a' ~ none ~ 1.5 ~ true ~ [1] ~ missing }}",
    # attributes, items, slices
    "{{ nested.b.x }} {{ nested['A'][2].y }} {{ nested.A.0 }} {{ nested.A[-1] }} {{ words[1] }} {{ words.0 }} {{ nested.zzz }}| {{ words[9] }}| {{ 'abc'[1] }} {{ 'añb'[-2] }}",
    "{{ words[1:3] }} {{ words[:-1] }} {{ words[::-1] }} {{ words[::2] }} {{ words[-2:] }} {{ words[5:] }} {{ 'hello'[1:4] }} {{ 'hello'[::-1] }} {{ 'é中🙂x'[1:3] }} {{ (1, 2, 3)[1:] }} {{ words[10:0:-2] }}",
    "{{ nested.items is defined }} {{ nested['items'] is defined }} {{ tools[0].function.parameters.properties.zone['items'] }} {{ {'items': 1}.items is callable }} {{ {'keys': 5}['keys'] }}",
    "{{ words[none:2] }} {{ words[0:99] }} {{ range(10)[2:8:3] | list }} {{ range(5)[-1] }} {{ words[true] }}",
    "{{ missing.x }}",
    "{{ none_value.x }}|{{ nested.b.x.y }}",
    "{{ none_value.x.y }}",
    "{{ nested.zzz.y }}",
    "{{ 'abc'.nothing }}|{{ words.nothing }}|{{ nested.nothing }}|{{ words['x'] }}",
    "{{ words.append }}|{{ nested.update is defined }}|{{ nested.pop }}",
    "{{ words.append(1) }}",
    "{{ nested.update({'a': 1}) }}",
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    # loops
    "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}|{% endfor %}",
    "{% for m in messages %}{{ loop.previtem.role if not loop.first }}-{{ m.role }}-{{ loop.nextitem.role if not loop.last }};{% endfor %}",
    "{% for m in messages %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for w in words if w is lower %}{{ w }}{{ loop.index }}{{ loop.last }}{{ loop.length }}{% else %}none{% endfor %}",
    "{% for w in [] %}x{% else %}empty{% endfor %}{% for w in words if w == 'z' %}x{% else %}filtered{% endfor %}",
    "{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}{% for k in nested %}{{ k }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }};{% endfor %}",
    "{% for (a, b) in [[1, 2]] %}{{ a + b }}{% endfor %}",
    "{% for a, in [[1], [2]] %}{{ a }}{% endfor %}",
    "{% for i in range(3) %}{% for j in range(i) %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for w in words %}{{ loop.cycle('odd', 'even') }}{{ loop.changed(w | lower) }} {% endfor %}",
    "{% for n in tree recursive %}[{{ n.v }}:{{ loop.depth }}{% if n.sub %}{{ loop(n.sub) }}{% endif %}]{% endfor %}",
    "{% for c in 'añ🙂' %}{{ c }},{% endfor %}{% for x in missing %}x{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}",
    "{% set ns = namespace(found=false) %}{% for m in messages if not ns.found %}{{ m.role }}{% set ns.found = true %}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for i in range(6) if ns.n < 3 %}{{ i }}{{ loop.last }}{% set ns.n = ns.n + 1 %}{% endfor %}",
    "{% for m in none_value %}{% endfor %}",
    "{% for a, b in [1, 2] %}{% endfor %}",
    "{% for a, b in [[1, 2, 3]] %}{% endfor %}",
    "{% for i in range(2) %}{{ loop(1) }}{% endfor %}",
    "{% for m in messages %}{% if loop.last and add_generation_prompt %}{{ m.content }}{% endif %}{% endfor %}",
    # set and scopes
    "{% set x = 1 %}{% for i in range(3) %}{{ x }}{% set x = x + 1 %}{{ x }};{% endfor %}{{ x }}",
    "{% if true %}{% set y = 5 %}{% endif %}{{ y }}{% if false %}{% set z = 1 %}{% endif %}{{ z is defined }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = [3, 4] %}{{ c }}{{ d }}{% set t = 1, %}{{ t }}",
    "{% set ns = namespace(x=1, y='a') %}{% for i in range(3) %}{% set ns.x = ns.x * 2 %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z is defined }}{{ ns['x'] }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns }}",
    "{% set b %}  block {{ 1 + 1 }}\n{% endset %}[{{ b }}]{% set c | trim | upper %} x {% endset %}[{{ c }}]",
    "{% set x %}{% set inner = 1 %}{% endset %}{{ inner is defined }}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% set c = 3 %}{{ c }}{% endwith %}{{ a is defined }}{{ c is defined }}",
    "{% set x = 1 %}{% with x = 2, y = x %}{{ x }}{{ y }}{% endwith %}{{ x }}",
    "{% set words.x = 1 %}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set text = 'mine' %}{{ text }}{% set missing2 = missing %}{{ missing2 is defined }}",
    "{% filter upper | replace('A', 'b') %}abc {{ 'xa' }}{% endfilter %}",
    # macros
    "{% macro f(a, b='x', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 2) }}|{{ f(c=3, a=1) }}|{{ f(*[1, 2], **{'c': 4}) }}|{{ f() }}",
    "{% macro outer(x) %}<{{ inner(x) }}>{% endmacro %}{% macro inner(x) %}{{ x }}{{ y }}{% endmacro %}{% set y = 7 %}{{ outer(1) }}",
    "{% macro rest(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ rest(1, 2, 3, k=4) }}",
    "{% macro list_of(items) %}<ul>{% for i in items %}{{ caller(i, loop.index) }}{% endfor %}</ul>{% endmacro %}{% call(item, n) list_of(['a', 'b']) %}<li>{{ n }}{{ item }}</li>{% endcall %}",
    "{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}in{% endcall %}{% set x = 3 %}{% call box() %}{{ x }}{% endcall %}",
    "{% macro fact(n) %}{% if n <= 1 %}1{% else %}{{ n * (fact(n - 1) | int) }}{% endif %}{% endmacro %}{{ fact(10) }}",
    "{% macro d(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ d(1) }}{{ d(1, 2) }}{{ d.name }}",
    "{%- macro t(x) -%}\n  {{ x }}\n{%- endmacro -%}\n[{{ t('a') }}]{{ t('b') | length }}",
    "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
    "{{ missing() }}",
    "{{ words() }}",
    "{% for i in range(2) %}{% macro m() %}{{ i }}{{ loop.index }}{% endmacro %}{{ m() }}{% endfor %}",
    # filters
    "[{{ text | trim }}] {{ text | upper }} {{ text | lower }} {{ text | title }} {{ text | capitalize }} {{ 'xxaxx' | trim('x') }} {{ 5 | trim }}",
    "{{ 'hello wORLD-foo (bar' | title }} {{ 'hELLO wORLD' | capitalize }} {{ \"they're bill's\" | title }} {{ \"they're bill's\".title() }}",
    "{{ words | length }} {{ text | length }} {{ nested | length }} {{ words | count }} {{ range(4) | length }} {{ missing | length }}",
    "{{ words | join }} {{ words | join(', ') }} {{ people | join('; ', attribute='name') }} {{ [1, none, 'x', 2.0] | join('-') }} {{ 'abc' | join('.') }}",
    "{{ words | first }} {{ words | last }} {{ [] | first }}| {{ [] | last }}| {{ 'xyz' | first }} {{ words | reverse | list }} {{ 'abc' | reverse }} {{ nested | first }}",
    "{{ words | sort }} {{ words | sort(reverse=true) }} {{ words | sort(case_sensitive=true) }} {{ people | sort(attribute='age,name') | map(attribute='name') | list }} {{ numbers | sort }}",
    "{{ words | unique | list }} {{ words | unique(case_sensitive=true) | list }} {{ people | unique(attribute='age') | map(attribute='name') | join(',') }}",
    "{{ numbers | min }} {{ numbers | max }} {{ numbers | sum }} {{ people | sum(attribute='age') }} {{ people | max(attribute='age') }} {{ [] | min }}| {{ words | min }} {{ words | max(case_sensitive=true) }}",
    "{{ people | map(attribute='name') | list }} {{ people | map(attribute='tags.x', default=0) | list }} {{ words | map('upper') | join }} {{ ['a b', 'c'] | map('replace', ' ', '_') | list }} {{ [[1, 2], [3]] | map('length') | list }}",
    "{{ numbers | select('gt', 1) | list }} {{ numbers | reject('odd') | list if false else 'x' }} {{ [0, 1, '', 'a'] | select | list }} {{ [0, 1, '', 'a'] | reject | list }} {{ words | select('in', ['a', 'b']) | list }}",
    "{{ people | selectattr('tags') | map(attribute='name') | list }} {{ people | selectattr('age', 'equalto', 30) | list | length }} {{ people | rejectattr('age', '==', 30) | map(attribute='name') | first }} {{ people | selectattr('tags', 'defined') | list | length }} {{ messages | selectattr('role', 'eq', 'user') | first }}",
    "{% if messages | selectattr('role', 'equalto', 'nobody') %}a generator is true{% endif %}{% set g = words | map('upper') %}{{ g | list }}{{ g | list }}",
    "{{ words | map('upper') | length }}",
    "{{ (words | select('lower') | list)[0] }}",
    "{{ missing | default('d') }} {{ none_value | default('d') }} {{ empty | default('d', true) }} {{ zero | d(5, boolean=true) }} {{ missing | default }}|",
    "{{ '3' | int }} {{ '3.9' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 3.9 | int }} {{ '0x1f' | int(0, 16) }} {{ ' 42 ' | int }} {{ none | int }} {{ true | int }} {{ '1_000' | int }} {{ '-5' | int }} {{ 'ff' | int(base=16) }}",
    "{{ '3.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ '1e3' | float }} {{ 'inf' | float }} {{ 'x' | float(2) }} {{ '  7 ' | float }}",
    "{{ 42.55 | round }} {{ 42.55 | round(1, 'floor') }} {{ 42.45 | round(1) }} {{ 2.5 | round }} {{ 3.5 | round | int }} {{ 42.1 | round(0, 'ceil') }} {{ 1234.5 | round(-2) }} {{ 5 | round }} {{ 2.675 | round(2) }}",
    "{{ -3 | abs }} {{ (-3) | abs }} {{ -2.5 | abs }}",
    "{{ 'a<b>&\"\\'' | escape }} {{ 'a<b' | e }} {{ 'a<b' | safe }} {{ 5 | string }} {{ [1] | string }} {{ none | string }}",
    "{{ 'aXbXc' | replace('X', '-') }} {{ 'aXbXc' | replace('X', '-', 1) }} {{ 'abc' | replace('', '.') }} {{ 112 | replace(1, 'x') }}",
    "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb\n\nc' | indent(2, true) }}|{{ 'a\nb\n\nc' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ') }}|{{ 'a\n' | indent }}|{{ '' | indent(first=true) }}",
    "{{ nested | dictsort }} {{ nested | dictsort(true) }} {{ {'a': 2, 'b': 1} | dictsort(by='value') }} {{ nested | dictsort(reverse=true) | map('first') | list }}",
    "{{ nested | items | list }} {{ nested.items() | list }} {{ nested.keys() | list }} {{ nested.values() | list | length }} {% for k, v in nested | items %}{{ k }}{% endfor %} {{ missing | items | list }}",
    "{{ words | batch(2) | list }} {{ words | batch(2, '-') | list }} {{ words | slice(2) | list }} {{ words | slice(3, 'x') | list }}",
    "{% for age, group in people | groupby('age') %}{{ age }}:{{ group | map(attribute='name') | join(',') }};{% endfor %}",
    "{{ 'abcdef ghi jkl mno' | truncate(9, leeway=0) }} {{ 'abcdef ghi jkl' | truncate(9, true, '..', 0) }} {{ 'short' | truncate }}",
    "{{ '%s is %d, %.2f %5s|%-5s|%05d %r %%' | format('x', 5, 1.5, 'ab', 'cd', 42, 'q') }} {{ '%(a)s-%(b)s' | format(a=1, b=2) }} {{ '%s' % 'z' }} {{ '%s,%s' % (1, 2) }}",
    "{{ 'ab' | center(7) }}| {{ 'one two-three' | wordcount }} {{ words | list }} {{ 'añ' | list }} {{ nested | list }} {{ {'x': {'y': 1}} | attr('nothing') is defined }}",
    "{{ missing | upper }}| {{ missing | trim }}| {{ missing | join }}| {{ missing | list }} {{ missing | string }}|",
    "{{ none | length }}",
    "{{ 5 | length }}",
    "{{ words | nosuchfilter }}",
    "{{ words is nosuchtest }}",
    "{{ words | join(1, 2, 3, 4) }}",
    "{{ words | replace }}",
    # tojson
    "{{ tools | tojson }}\n{{ tools[0] | tojson(indent=2) }}\n{{ nested | tojson(sort_keys=true) }}",
    "{{ tools | tojson(ensure_ascii=true) }} {{ nested | tojson(separators=(',', ':')) }} {{ nested | tojson(indent=1, separators=(', ', ' = ')) }}",
    "{{ [] | tojson(indent=2) }}{{ {} | tojson(indent=2) }}{{ [[], {}] | tojson(indent=4) }}{{ (1, 2) | tojson }}{{ 'a\\b\"\n\t\\x07é🙂\\x7f' | tojson }}{{ 1.0 | tojson }}{{ {1: 2, none: 3, true: 4} | tojson }}",
    "{{ missing | tojson }}",
    "{{ (words | map('upper')) | tojson }}",
    "{{ {'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(indent='  ', sort_keys=True) }}",
    # tests
    "{{ 1 is defined }}{{ missing is undefined }}{{ none is none }}{{ 'x' is string }}{{ nested is mapping }}{{ words is mapping }}{{ words is iterable }}{{ 5 is iterable }}{{ words is sequence }}{{ nested is sequence }}{{ 'x' is sequence }}{{ 5 is sequence }}",
    "{{ 5 is number }}{{ 5.5 is number }}{{ true is number }}{{ 5 is integer }}{{ true is integer }}{{ 5.0 is integer }}{{ 5.0 is float }}{{ true is boolean }}{{ 1 is boolean }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ 0 is false }}",
    "{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ 'Abc' is lower }}{{ '1' is upper }}{{ 3 is gt 2 }}{{ 3 is ge(3) }}{{ 3 is lt 2 }}{{ 3 is le 3 }}{{ 3 is ne 3 }}{{ 3 is eq 3 }}{{ 'a' is equalto 'a' }}{{ 3 is greaterthan 2 }}{{ 3 is lessthan 2 }}",
    "{{ range is callable }}{{ 'x'.upper is callable }}{{ 5 is callable }}{{ none is sameas none }}{{ true is sameas true }}{{ 1 is sameas true }}{{ 'upper' is filter }}{{ 'nosuch' is filter }}{{ 'odd' is test }}{{ 'a' is escaped }}",
    "{{ missing is none }}{{ missing is string }}{{ missing is iterable }}{{ missing is sequence }}{{ missing is mapping }}{{ (words | map('upper')) is iterable }}{{ (words | map('upper')) is sequence }}{{ range(3) is sequence }}{{ nested.items() is sequence }}",
    "{{ 'x' is odd }}",
    # methods
    "{{ ' a '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'abcba'.lstrip('ab') }}|{{ 'ab\\n'.rstrip('\\n') }}",
    "{{ 'a b  c'.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.split(none, 1) }} {{ ' a b c '.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'aXXbXXc'.split('XX')[-1] }} {{ 'a b c'.split(maxsplit=1) }}",
    "{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'abc'.startswith('b', 1) }}{{ 'abc'.endswith('b', 0, 2) }}{{ 'abc'.startswith('') }}",
    "{{ 'hello'.find('l') }}{{ 'hello'.rfind('l') }}{{ 'hello'.find('z') }}{{ 'é中l'.find('l') }}{{ 'hello'.index('e') }}{{ 'hello'.count('l') }}{{ 'hello'.find('l', 3) }}",
    "{{ 'aXb'.replace('X', '-') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ '-'.join(['a', 'b']) }} {{ 'Ab'.upper() }}{{ 'Ab'.lower() }} {{ 'ab cd'.title() }} {{ 'ab CD'.capitalize() }} {{ 'ß'.upper() }} {{ 'ΑΣ'.lower() }}",
    "{{ '{} {}'.format(1, 'x') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{name}'.format(name='n') }} {{ '{{}}'.format() }} {{ '{!r}'.format('q') }}",
    "{{ 'a\\nb\\r\\nc'.splitlines() }} {{ 'a\\n'.splitlines(true) }} {{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('z') }} {{ 'prefix_x'.removeprefix('prefix_') }} {{ 'x.py'.removesuffix('.py') }}",
    "{{ '5'.isdigit() }}{{ 'a5'.isalnum() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}{{ 'AB'.isupper() }}{{ 'ab'.islower() }}{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ '½'.isnumeric() }}{{ ''.isdigit() }}",
    "{{ 'ab'.ljust(5) }}|{{ 'ab'.rjust(5, '.') }}|{{ 'ab'.center(5, '*') }}|{{ 'abc'.center(6) }}|",
    "{{ nested.get('c') }} {{ nested.get('zzz') }} {{ nested.get('zzz', 5) }} {{ messages[0].get('role') }} {{ nested.keys() | list }} {{ [1, 2, 1].index(2) }} {{ [1, 2, 1].count(1) }} {{ nested.copy() == nested }}",
    "{{ nested.items() }} {{ nested.keys() }} {{ {}.values() }}",
    "{{ 'a'.join([1]) }}",
    "{{ 'hello'.index('z') }}",
    "{{ 'x'.split('') }}",
    "{% set parts = messages[2].content.split('</think>') %}{{ parts[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}|{{ parts[-1].lstrip('\\n') }}",
    # functions
    "{{ range(3) | list }}{{ range(1, 4) | list }}{{ range(5, 1, -2) | list }}{{ dict(a=1, b=2) }}{{ dict({'x': 1}, y=2) }}{{ dict([(1, 2)]) }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}{% set j = joiner('; ') %}{{ j() }}{{ j() }}",
    "{{ raise_exception('no ' ~ 'way') }}",
    "{% if messages[0].role != 'user' %}{{ raise_exception('first must be user') }}{% endif %}",
    "{{ range(100001) | length }}",
    "{{ range(100000) | length }}",
    "{{ strftime_now('%%') }}",
    # generation and how templates are written
    "{% for m in messages %}<|{{ m['role'] }}|>\n{% generation %}{{ m.content | trim }}{{ eos_token }}{% endgeneration %}\n{% endfor %}",
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{%- set loop_messages = messages[1:] %}{%- set system = messages[0].content | trim %}{% for m in loop_messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles') }}{% endif %}{% if loop.index0 == 0 %}{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m.content %}{% else %}{% set content = m.content %}{% endif %}{{ content }}{% endfor %}",
    "{%- macro render(t) -%}{%- for k, v in t.properties | dictsort -%}{{ k }}: {{ v.type }}{% if not loop.last %}, {% endif %}{%- endfor -%}{%- endmacro -%}{{ render(tools[0].function.parameters) }}",
    "{%- set ns = namespace(multi=true, last=messages | length - 1) %}{%- for message in messages[::-1] %}{%- set index = (messages | length - 1) - loop.index0 %}{%- if ns.multi and message.role == 'user' and message.content is string and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}{%- set ns.multi = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}{{ ns.multi }}",
    # errors of syntax
    "{% if %}{% endif %}",
    "{% if true %}",
    "{% for %}{% endfor %}",
    "{{ 1 + }}",
    "{{ (1 }}",
    "{{ 'a }}",
    "{% endif %}",
    "{% nosuchtag %}",
    "{# never closed",
    "{% raw %} never closed",
    "{{ 1 $ 2 }}",
    "{% set 5 = 1 %}",
    "{% set true = 1 %}",
    "{% break %}",
    "{{ a b }}",
    "{% macro f(a=1, b) %}{% endmacro %}",
    "{{ f(a=1, 2) }}",
    "{{ 1 is defined is none }}",
    "{{ [1, 2 }}",
    "{{ ) }}",
    "{% for x in y %}{% else %}{% else %}{% endfor %}",
    "{{ 'x' if }}",
    # errors when it runs
    "{{ 1 + 'a' }}",
    "{{ 'a' + 1 }}",
    "{{ 1 / 0 }}",
    "{{ 1 % 0 }}",
    "{{ none + 1 }}",
    "{{ missing + 1 }}",
    "{{ 1 < 'a' }}",
    "{{ 'a' in 5 }}",
    "{{ 1 in 'a' }}",
    "{{ [1] + (2,) }}",
    "{{ -'a' }}",
    "{{ 5['x'] }}|{{ 5.x }}",
    "{{ missing[0] }}",
    "{{ messages[0].content.foo() }}",
    "{{ [3, 'a'] | sort }}",
    "{{ words[::0] }}",
]


def render(template):
    try:
        return _compile_jinja_template(template).render(**VARIABLES)
    except Exception:
        return None


def main():
    cases = [{"template": template, "text": render(template)} for template in CASES]
    path = pathlib.Path(__file__).with_suffix(".json")
    golden = {"variables": VARIABLES, "cases": cases}
    path.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
    print(len(cases), "templates,", sum(case["text"] is None for case in cases), "of them refused")


if __name__ == "__main__":
    main()
