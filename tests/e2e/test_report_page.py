"""The report as people see it: in Chromium, on a desktop and on a phone, light and dark."""

import json
import shutil

import pytest
from conftest import write_jsonl, write_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGES = ["two", "twelve", "many", "multi", "number", "entities"]
VIEWS = [(width, scheme) for width in (1280, 390, 320) for scheme in ("light", "dark")]

LABELS = [
    "billing_question",
    "cancel_subscription_and_refund_everything",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "card lost or stolen while travelling abroad",
    "投诉与退款申请",
    "שאלה על חיוב",
    "refund.status/late",
    "x",
    "complaint",
    "delivery",
    "discount_code",
    "track_order",
]
TEXTS = [
    "good film",
    "the plot was fine and the actor was good but it is not my card " * 6,
    "这是一段很长的中文文本没有任何空格用来检查换行是否正确并且不会超出屏幕的宽度" * 3,
    "אני רוצה לבטל את ההזמנה שלי ולקבל החזר כספי בהקדם האפשרי",
    "https://example.org/" + "averylongaddress" * 8,
    "bad <b>plot</b> & more",
]


def rows_of(count, target):
    return [
        {"text": f"{TEXTS[i % len(TEXTS)]} {chr(97 + i % 26)} {i}", **target(i)}
        for i in range(count)
    ]


def class_rows(labels, count):
    return rows_of(count, lambda i: {"label": labels[(i * i + i // 3) % len(labels)]})


def entity_row(i):
    tags = ["B-PER", "O", "O", "B-a_very_long_type_of_entity_with_many_parts", "O"]
    return {"tokens": ["anna", "lives", "in", ["paris", "berlin"][i % 2], "late"], "tags": tags}


DATA = {
    "two": ("name: classify", class_rows(["spam", "ham"], 60)),
    "twelve": ("name: classify", class_rows(LABELS, 240)),
    "many": (
        "name: classify",
        rows_of(590, lambda i: {"label": f"{LABELS[i % 118 % 12]}_{i % 118}"}),
    ),
    "multi": ("name: classify", rows_of(90, lambda i: {"label": LABELS[i % 5 : i % 5 + i % 3]})),
    "number": ("name: classify, type: regression", rows_of(60, lambda i: {"label": i % 7 / 2})),
    "entities": ("name: ner", [entity_row(i) for i in range(40)]),
}


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no chromium here (scripts/setup peers installs it)")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def run_of(hone, tiny_model, tmp_path_factory):
    """The folder of a short run on a page's data."""
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            task, rows = DATA[name]
            third = len(rows) // 3
            parts = {"train": rows, "validation": rows[:third], "test": rows[third : 2 * third]}
            for split, part in parts.items():
                write_jsonl(folder / f"{split}.jsonl", part)
            sources = "\n".join(f"  {s}: {{path: {folder}/{s}.jsonl}}" for s in parts)
            epochs = 1 if name == "two" else 3
            (folder / "config.yaml").write_text(
                f"model: {{path: {tiny_model}}}\ntask: {{{task}}}\ndata:\n{sources}\n"
                f"train: {{num_train_epochs: {epochs}, logging_steps: 1, device: cpu}}\n"
                f"output: {{dir: {folder}/a-run-with-a-rather-long-name-{name}}}\n"
            )
            hone("train", folder / "config.yaml")
            made[name] = folder / f"a-run-with-a-rather-long-name-{name}"
        return made[name]

    return make


@pytest.fixture
def open_page(browser, run_of):
    opened = []

    def open_one(name, width, scheme="light", unfolded=False):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.goto(f"file://{run_of(name)}/report.html")
        if unfolded:
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return page

    yield open_one
    for page in opened:
        page.close()


# What a page shows, as lists of faults. Texts wider than a view may scroll in a box of their own.
FAULTS = r"""() => {
  const faults = [];
  const tell = (what, node, more) =>
    faults.push(`${what}: ${(node.textContent || "").trim().slice(0, 60)} ${more || ""}`);
  const shown = e => e.checkVisibility() && e.getClientRects().length > 0;
  if (document.documentElement.scrollWidth > innerWidth)
    faults.push(`page is ${document.documentElement.scrollWidth} wide`);

  const luminance = rgb => rgb.map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = text => text.match(/[\d.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = colour(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const contrast = e => {
    const style = getComputedStyle(e), svg = e.closest("svg");
    const a = luminance(colour(svg ? style.fill : style.color).slice(0, 3)) + 0.05;
    const b = luminance(behind(svg ? svg.parentElement : e).slice(0, 3)) + 0.05;
    return Math.max(a, b) / Math.min(a, b);
  };

  for (const e of document.querySelectorAll("main *:not(svg *)")) {
    const card = e.closest(".card"), box = e.getBoundingClientRect();
    if (!shown(e) || e.closest(".scroll") !== null && !e.matches(".scroll")) continue;
    if (box.right > innerWidth + 0.5) tell("runs out of the page", e);
    if (card && box.right > card.getBoundingClientRect().right + 0.5) tell("runs out of its card", e);
  }

  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement, svg = parent.closest("svg");
    if (!node.data.trim() || parent.closest("title") || !shown(parent)) continue;
    let size = parseFloat(getComputedStyle(parent).fontSize);
    if (svg) {
      const m = parent.getScreenCTM();
      size *= Math.hypot(m.a, m.b);
    }
    if (size < 11) tell("is too small", parent, size.toFixed(1));
    if (contrast(parent) < 4.5) tell("has little contrast", parent, contrast(parent).toFixed(2));
    if (svg) continue;
    const word = /(?<![\p{Script=Latin}\d.])[\p{Script=Latin}\d.]{2,20}(?![\p{Script=Latin}\d.])/gu;
    for (const found of node.data.matchAll(word)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const lines = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
      if (lines.size > 1) tell("is broken", parent, found[0]);
    }
  }
  for (const cell of document.querySelectorAll("td, th"))
    if (shown(cell) && cell.textContent.trim().length > 3 && cell.getBoundingClientRect().width < 30)
      tell("is a narrow cell", cell);
  return faults;
}"""


@pytest.mark.parametrize("name", PAGES)
def test_everything_can_be_read(open_page, name):
    for width, scheme in VIEWS:
        page = open_page(name, width, scheme, unfolded=True)
        assert page.evaluate(FAULTS) == [], (width, scheme)


@pytest.fixture(scope="module")
def sweep_page(hone, tiny_model, tmp_path_factory):
    """Axes of a rate, of sections, of one value only, and of the score."""
    folder = tmp_path_factory.mktemp("sweep")
    config = write_run(folder, tiny_model, output="swept", num_train_epochs=1)
    keys = (
        "{train.learning_rate: [1e-5, 2e-3], regularise: [{}, {fgm: {epsilon: 0.1}}], "
        "train.per_device_train_batch_size: [4]}"
    )
    path = folder / "sweep.yaml"
    path.write_text(config.read_text() + f"sweep: {{keys: {keys}}}\n")
    hone("sweep", path)
    return folder / "swept/sweep.html"


# Labels that lines may cross, or that lie over each other; and how much of its card the picture has.
PICTURE = r"""() => {
  const svg = document.querySelector("svg.parallel"), faults = [];
  const axes = [...svg.querySelectorAll(".axis")].map(e => e.getBoundingClientRect());
  const top = axes[0].top, bottom = axes[0].bottom;
  const texts = [...svg.querySelectorAll("text")].map(e => [e, e.getBoundingClientRect()]);
  texts.forEach(([text, box], i) => {
    const has_ground = getComputedStyle(text).paintOrder.startsWith("stroke");
    if (!has_ground && box.bottom > top && box.top < bottom)
      faults.push(`${text.textContent} stands among the lines`);
    for (const [other, its] of texts.slice(i + 1))
      if (box.left < its.right && its.left < box.right && box.top < its.bottom && its.top < box.bottom)
        faults.push(`${text.textContent} lies over ${other.textContent}`);
  });
  return [faults, axes.length, svg.getBoundingClientRect().width / svg.closest(".scroll").clientWidth];
}"""


def test_a_sweeps_picture_can_be_read(browser, sweep_page):
    for width, scheme in VIEWS:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.goto(f"file://{sweep_page}")
        assert page.evaluate(FAULTS) == [], (width, scheme)
        faults, axes, share = page.evaluate(PICTURE)
        assert faults == [] and axes == 4 and share >= 0.99, (width, scheme)
        best = json.loads(sweep_page.with_suffix(".json").read_text())["trials"][0]["trial"]
        assert f"the best one, {best}" in page.inner_text("main")
        page.close()


def test_title_is_the_run(open_page, run_of):
    page = open_page("twelve", 390)
    assert page.inner_text("h1") == run_of("twelve").name
    assert page.title().startswith(run_of("twelve").name + ": accuracy ")


def test_a_path_stands_once(open_page, run_of):
    text = open_page("twelve", 1280, unfolded=True).inner_text("main")
    facts, configuration = text.split("configuration in force")
    path = str(run_of("twelve").parent / "test.jsonl")
    assert facts.count(path) == 1 and "test.jsonl:" in facts


def test_what_to_know_first_stands_before_the_scores(open_page, run_of):
    text = open_page("twelve", 1280).inner_text("main")
    first, _ = text.split("\nScores\n", 1)
    assert "80 texts of test stand in train too" in first
    assert TEXTS[3][:20] in first or TEXTS[1][:20] in first or TEXTS[2][:20] in first
    report = json.loads((run_of("twelve") / "report.json").read_text())
    never = [row["label"] for row in report["per_class"] if row["support"] and not row["predicted"]]
    assert never and f"{len(never)} of 12 classes are never predicted" in first
    for label in never:
        assert label in first
    share = report["data"]["test"]["unknown_tokens"] / report["data"]["test"]["text_tokens"]
    assert f"{100 * share:.1f} % of the tokens of test are unknown to the model" in first
    for finding in report["findings"]:
        assert finding["text"] in first


def test_bars_stand_at_their_confidence(open_page):
    for name in ("two", "twelve"):
        bars = open_page(name, 1280).evaluate(
            r"""() => {
              const chart = document.querySelector("svg[aria-label='accuracy over confidence']");
              const ticks = [...chart.querySelectorAll("text[text-anchor=middle]")];
              const at = value => {
                const box = ticks.find(t => t.textContent === value).getBoundingClientRect();
                return (box.left + box.right) / 2;
              };
              const zero = at("0"), one = at("1");
              return [...chart.querySelectorAll("rect")].map(bar => {
                const box = bar.getBoundingClientRect();
                return [(box.left - zero) / (one - zero), (box.right - zero) / (one - zero),
                        parseFloat(bar.textContent.match(/confidence ([\d.]+)/)[1])];
              });
            }"""
        )
        assert bars
        for left, right, confidence in bars:
            assert left - 0.015 <= confidence <= right + 0.015 and right - left < 0.08


def test_one_evaluation_is_numbers_and_many_are_charts(open_page):
    def points(name):
        page = open_page(name, 1280, unfolded=True)
        return page.evaluate(
            "[...document.querySelectorAll('path.line')].map(p => p.getTotalLength())"
        )

    assert points("two") and min(points("two")) > 5
    assert "validation accuracy" in open_page("two", 1280).inner_text("main")
    assert len(points("twelve")) > len(points("two"))


def test_many_classes_are_folded_and_sort_by_column(open_page):
    page = open_page("many", 1280)
    assert page.locator("tbody tr:visible").count() < 60
    page.get_by_text("show all 118 classes").first.click()
    table = page.locator("table.sortable:visible")
    for _ in range(2):  # the second time the other way
        table.get_by_role("button", name="rows").focus()
        page.keyboard.press("Enter")
        counts = [int(text) for text in table.locator("tbody tr td:last-child").all_inner_texts()]
        assert len(counts) == 118
        direction = table.locator("th[aria-sort]").get_attribute("aria-sort")
        assert counts == sorted(counts, reverse=direction == "descending")


def test_page_reads_the_same_without_script(browser, run_of):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{run_of('many')}/report.html")
    assert "show all 118 classes" in page.inner_text("main")
    assert page.locator("button").count() == 0
    context.close()


def test_page_asks_for_nothing_from_outside(browser, run_of):
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{run_of('twelve')}/report.html")
    page.wait_for_load_state("networkidle")
    assert len(asked) == 1
    page.close()


def test_print_is_light_and_open(open_page):
    page = open_page("many", 1280, "dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
