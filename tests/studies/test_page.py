"""The report in a browser: it opens from disk, and its table, sliders, curves and layout work."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from playwright.sync_api import Browser, Page, sync_playwright

from segreg.studies.compare import compare
from segreg.studies.study import Study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

EVIL = 'trial/dot:note="</script><script>document.title=\\"owned\\"</script>"'
LOSSES = ["bce", "dice", "focal", "trial/broken"]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of four configurations with two seeds, the last of which failed."""
    settings: dict[str, Any] = {"size": (12, 8), "epochs": 3, "batch": 4, "lr": 0.1, "device": "cpu", "quiet": True}
    folder = tmp_path_factory.mktemp("page")
    # Models differ, so that the evil one is part of the labels.
    grid = [{"models": [EVIL], "losses": LOSSES[:3]}, {"models": ["trial/dot"], "losses": LOSSES[3:]}]
    file = folder / "quick.toml"
    file.write_text(tomli_w.dumps({"seeds": [0, 1], "grid": grid}), encoding="utf-8")
    return compare(file, data="trial/bands:test=3", out=folder / "study", **settings)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, study: Study) -> Iterator[Page]:
    """The report in a browser; any error or request of the page fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("data:") else problems.append(request.url))
    url = (study.path / "report.html").as_uri()
    page.goto(url)
    yield page
    context.close()
    assert problems == [url]


def column(page: Page, title: str) -> list[str]:
    """The first line of each cell below a title, from the top."""
    titles = page.locator("#results thead th").all_inner_texts()
    rows = page.locator("#results tbody tr")
    cells = [rows.nth(number).locator("> *").all_inner_texts() for number in range(rows.count())]
    place = titles.index(title)
    return [line[place].split("\n")[0] if len(line) == len(titles) else "failed" for line in cells]


def test_it_opens_without_an_error_and_runs_no_script_from_a_name(page: Page) -> None:
    assert page.title() == "quick · segreg"
    assert page.locator("#results tbody tr").count() == 4
    assert page.locator(".legend tbody th").all_inner_texts() == [f"{EVIL} · {loss}" for loss in LOSSES[:3]]


def test_the_table_sorts_by_click_and_by_key(page: Page) -> None:
    before = column(page, "iou valid")
    page.get_by_role("button", name="iou valid").click()
    header = page.locator("#results th", has_text="iou valid")
    assert header.get_attribute("aria-sort") == "descending"
    best_first = column(page, "iou valid")
    assert best_first[3:] == ["failed"]
    values = [float(text.split()[0]) for text in best_first[:3]]
    assert values == sorted(values, reverse=True)
    assert sorted(best_first) == sorted(before)
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(page, "iou valid") == [*best_first[2::-1], "failed"]
    page.get_by_role("button", name="loss", exact=True).press("Space")
    losses = [row.locator("> *").nth(1).inner_text() for row in page.locator("#results tbody tr").all()]
    assert losses == ["bce", "dice", "focal", "trial/broken"]
    page.keyboard.press("Space")
    assert page.locator("#results tbody tr").first.locator("> *").nth(1).inner_text() == "trial/broken"
    assert page.locator("th[aria-sort]").count() == 1


def test_the_best_row_is_marked_and_the_differences_are_put_into_words(page: Page, study: Study) -> None:
    best = [row.behind_best is None and bool(row.runs) for row in study.configurations]
    assert [line == "BEST" for line in column(page, "behind best")] == best
    for row, cell in zip(study.configurations, page.locator("#results tbody tr").all(), strict=True):
        if row.behind_best:
            text = cell.inner_text()
            assert "significant" in text
            assert ("not significant" in text) == (not row.behind_best.beyond_chance)
    sentence = page.locator(".conclusion").inner_text()
    assert sentence.startswith(f"{study.configurations[best.index(True)].label} is best on valid, with iou 0.")
    assert "Significantly worse: " in sentence or "Not significantly different on these " in sentence


def test_the_slider_goes_from_image_to_ground_truth_to_prediction(page: Page) -> None:
    gallery = page.locator(".gallery").first
    slider = gallery.get_by_role("slider")
    ground_truth, prediction = (
        gallery.locator("use.ground-truth").first,
        gallery.locator("image.prediction").first,
    )

    def opacities() -> tuple[float, float]:
        return tuple(
            float(each.evaluate("(each) => getComputedStyle(each).opacity")) for each in (ground_truth, prediction)
        )

    assert opacities() == (0, 1)
    with_prediction = gallery.screenshot()
    slider.press("Home")
    assert opacities() == (0, 0)
    assert slider.get_attribute("aria-valuetext") == "image"
    assert gallery.screenshot() != with_prediction
    gallery.get_by_role("button", name="ground truth").click()
    assert opacities() == (1, 0)
    for _ in range(2):
        slider.press("ArrowRight")
    assert opacities() == (0.5, 0.5)
    assert slider.get_attribute("aria-valuetext") == "between ground truth and prediction"
    # The other images have their own slider.
    assert page.get_by_role("slider").last.input_value() == "2"


def test_the_curves_show_the_values_of_the_epoch_under_the_pointer(page: Page, study: Study) -> None:
    finished = [row for row in study.configurations if row.runs]

    def expected(epoch: int, name: str) -> list[str]:
        values = [[run.history[epoch - 1][name] for run in row.runs] for row in finished]
        return [f"{sum(each) / len(each):.3f}" for each in values]

    def shown(place: int) -> list[str]:
        return page.locator(f".legend tbody td:nth-child({place})").all_inner_texts()

    assert shown(3) == expected(3, "valid_iou")
    plot = page.locator(".plot").last
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + box["height"] / 2)
    assert page.locator("#epoch-shown").inner_text() == "2"
    assert shown(2) == expected(2, "valid_loss")
    assert shown(3) == expected(2, "valid_iou")
    # The nearest curve is labelled with its value.
    named = plot.locator("text.named").text_content() or ""
    assert named.split()[-1] in expected(2, "valid_iou")
    page.get_by_label("Epoch").press("Home")
    assert shown(3) == expected(1, "valid_iou")


def test_a_tap_shows_the_values_under_the_finger(page: Page) -> None:
    plot = page.locator(".plot").last
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    place = {"clientX": box["x"] + 0.55 * box["width"], "clientY": box["y"] + box["height"] / 2}
    for _ in range(2):
        plot.dispatch_event("pointerdown", place)
        assert page.locator("#epoch-shown").inner_text() == "2"
        assert plot.locator("text.named").count() == 1
        plot.dispatch_event("pointerleave")
        assert plot.locator("text.named").count() == 0


def test_every_image_has_its_own_label_and_scrollable_parts_are_focusable(page: Page) -> None:
    labels = page.locator(".gallery svg[role=img]").evaluate_all("(all) => all.map((each) => each.ariaLabel)")
    assert len(labels) == len(set(labels)) == 4 * 3 + 4
    assert f"image 2: {EVIL} · dice" in labels
    scrolled = page.locator(".scroll").evaluate_all("(all) => all.map((each) => [each.tabIndex, each.role])")
    assert scrolled == [[0, "region"]] * 2
    # The slider announces its epoch itself.
    assert page.locator("output").count() == 0


def test_curves_can_be_hidden_and_training_curves_shown(page: Page) -> None:
    def lines() -> int:
        return page.locator(".plot").last.locator("path:not(.seed)").count()

    assert lines() == 3
    button = page.locator(".legend button").first
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert lines() == 2
    page.get_by_label("Show training").check()
    assert lines() == 4
    button.click()
    assert lines() == 6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_overflows_and_the_contrast_suffices(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    # Wider content scrolls within itself.
    wide = """[...document.querySelectorAll("body *")]
      .filter((each) => !each.closest(".scroll, svg, pre") && each.getBoundingClientRect().right > 391)
      .map((each) => each.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []
    contrast = """() => {
      const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).map((each) => each / 255)
          .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const paper = light(getComputedStyle(document.body).backgroundColor);
      const against = (color) => Math.max(light(color), paper) / Math.min(light(color), paper);
      const texts = [...document.querySelectorAll("p, td, small, dt, dd, li, figcaption, h2, button")];
      const keys = [...document.querySelectorAll(".legend .key")];
      return [
        Math.min(...texts.map((each) => against(getComputedStyle(each).color))),
        Math.min(...keys.map((each) => against(getComputedStyle(each).borderTopColor))),
      ];
    }"""
    text, lines = page.evaluate(contrast)
    # WCAG 2.2, 1.4.3 and 1.4.11.
    assert text >= 4.5
    assert lines >= 3


def test_every_control_is_reachable_by_keyboard(page: Page) -> None:
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 160)"))
    for what in (
        '<div class="scroll" role="region"',
        '<button type="button">iou valid',
        '<input id="epoch"',
        '<input id="training"',
        "<summary>",
    ):
        assert any(each.startswith(what) for each in reached), what
    assert any('type="range"' in each and "aria-label" in each for each in reached)


def test_the_results_are_shown_without_javascript(browser: Browser, study: Study) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((study.path / "report.html").as_uri())
    assert page.locator("#results tbody tr").count() == 4
    assert page.locator(".tiles figure").first.is_visible()
    assert not page.locator(".curves").is_visible()
    assert not page.locator(".stops").first.is_visible()
    context.close()
