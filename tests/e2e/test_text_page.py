"""The page of generated texts beside their references, in Chromium: hostile texts, narrow screens, any direction."""

import json

import pytest
from conftest import write_jsonl
from test_report_page import FAULTS, VIEWS, browser  # noqa: F401

# What was asked, what is right, what was written. The last rows share most words: they stand last.
ROWS = [
    (
        "Say <b>it</b>",
        "plain words",
        "<script>window.hit = 1</script><img src=x onerror=window.hit=1>",
    ),
    ("Escape", "none & all", "\x1b[31mred\x1b[0m \u202egnp.exe\u2066 \x00 end"),
    ("A line of a megabyte", "short", "megabyte" * 131_072),
    ("Words of a megabyte", "long " * 200_000, "word " * 200_000),
    ("An answer without end", "yes", "no\n" * 5_000),
    ("Nothing", "something", ""),
    ("Something", "?", "nothing was asked"),
    ("ניסיון", "אני רוצה לבטל את ההזמנה שלי", "אני מבקש לבטל את ההזמנה, please"),
    ("محاولة", "أريد إلغاء طلبي من فضلك", "أود إلغاء الطلب"),
    ("中文", "这是一段很长的中文文本没有任何空格" * 4, "这是一段很短的中文文字沒有任何空白" * 4),
    ("Marks", "e" + "\u0301" * 60 + " café", "e" + "\u0300" * 60 + " cafe\u0301"),
    ("Pictures", "👩‍👩‍👧‍👦 family 🇩🇪", "👨‍👩‍👦 family 🇫🇷"),
    (
        "https://example.org/" + "averylongaddress" * 20,
        "Donaudampfschifffahrtsgesellschaft",
        "Donau",
    ),
    ("Quotes", '"it\'s" <br> &amp; ok', "'its' <br> &lt; ok"),
    ("Lines", "first line\nsecond line\nthird line", "first line\nanother line\nthird line"),
    (
        "Nearly",
        "the plot was fine and the actor was good",
        "the plot was fine and an actor was good",
    ),
]
RIGHT = [(f"Right {i}", f"answer {i}", f"answer {i}") for i in range(30)]


@pytest.fixture(scope="module")
def scored(hone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rows = ROWS + RIGHT
    gold = write_jsonl(
        folder / "gold.jsonl", [{"prompt": asked, "completion": right} for asked, right, _ in rows]
    )
    predicted = write_jsonl(folder / "predicted.jsonl", [{"answer": text} for *_, text in rows])
    done = hone(
        "score",
        "causal_lm",
        gold,
        predicted,
        "form=completion",
        "metrics=[rouge, bleu, chrf, token_f1, distinct, length]",
        "rouge_words=unicode",
        "--report",
        folder / "report",
    )
    return folder / "report", done.stdout


@pytest.fixture
def open_page(browser, scored):  # noqa: F811
    opened = []

    def open_one(width, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(f"file://{scored[0]}/report.html")
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return page

    yield open_one
    for page in opened:
        page.close()


def item(page, asked):
    return page.locator(".generated>li", has_text=asked).first


def test_everything_can_be_read(open_page):
    for width, scheme in VIEWS:
        assert open_page(width, scheme).evaluate(FAULTS) == [], (width, scheme)


def test_a_text_is_never_more_than_text(open_page):
    page = open_page(1280)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.hit") is None
    assert len(page.asked) == 1
    assert "<script>window.hit = 1</script>" in item(page, "Say <b>it</b>").inner_text()
    text = item(page, "Escape").inner_text()
    assert "\\x1b[31m" in text and "\\u202e" in text and "\\x00" in text


def test_long_texts_are_cut_and_their_lengths_told(open_page, scored):
    page = open_page(1280)
    assert "1,048,576 characters" in item(page, "A line of a megabyte").inner_text()
    assert (scored[0] / "report.html").stat().st_size < 500_000
    assert (scored[0] / "report.json").stat().st_size < 500_000
    assert len(scored[1]) < 20_000
    shown = item(page, "Words of a megabyte").locator(".side .text").all_inner_texts()
    assert all(len(text) < 2_100 and text.endswith("…") for text in shown)


def test_differences_are_marked_by_words_and_by_characters(open_page):
    page = open_page(390)
    nearly = item(page, "Nearly")
    assert nearly.locator("del").all_inner_texts() == ["the"]
    assert nearly.locator("ins").all_inner_texts() == ["an"]
    chinese = item(page, "中文")
    assert chinese.locator("del").all_inner_texts()[:3] == ["长", "本没", "格"]
    assert item(page, "Pictures").locator("ins").all_inner_texts() == ["👨‍👩‍👦", "🇫🇷"]
    assert item(page, "Lines").locator("ins").all_inner_texts() == ["another"]
    assert "(empty)" in item(page, "Nothing").inner_text()


def test_direction_is_the_texts_own(open_page):
    page = open_page(390)
    for asked, direction in (("ניסיון", "rtl"), ("محاولة", "rtl"), ("Nearly", "ltr")):
        texts = item(page, asked).locator(".side .text")
        found = texts.evaluate_all("all => all.map(e => getComputedStyle(e).direction)")
        assert found == [direction, direction]


def test_the_worst_stand_first_with_their_places(open_page, scored):
    report = json.loads((scored[0] / "report.json").read_text())
    scores = [row["score"] for row in report["texts"]]
    assert scores == sorted(scores)
    assert len(scores) == len(ROWS)  # none that is right
    assert report["texts"][-1]["source"] == "Pictures"  # their words are right
    assert report["text_measure"] == "rougeL"
    text = open_page(1280).inner_text("main")
    for row in report["texts"]:
        assert f"gold.jsonl:{row['line']}" in text
    assert "texts and references" in scored[1]
    assert "\x1b" not in scored[1] and "\u202e" not in scored[1]


def test_sides_stand_below_each_other_on_a_phone(open_page):
    for width, same_line in ((1280, True), (390, False)):
        boxes = [
            side.bounding_box() for side in item(open_page(width), "Nearly").locator(".side").all()
        ]
        assert (boxes[0]["y"] == boxes[1]["y"]) == same_line
