"""Plugins as they are really installed, working and broken ones."""

import signal
import sys
import warnings
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
import pytest
from torch import nn

import segreg
from segreg import OptionError, PluginError, Registry, UnknownNameError
from segreg.cli.stop import stoppable
from segreg.kinds import FACTS, KINDS
from segreg.registry import higher_is_better
from tests.conftest import Site

GOOD = """
import segreg
from segreg import Architecture, Loss, hookimpl

class Model:
    '''Does nothing.'''
    def __init__(self, *, size: int = 1) -> None:
        self.size = size

@hookimpl
def segreg_architectures():
    yield Architecture(name="Model_A", target=f"{__name__}:Model", summary="A model", aliases=["first"])
    yield Architecture(name="unet", target=f"{__name__}:Model", summary="Another", options={"size": 5})

@hookimpl
def segreg_losses():
    return [Loss(name="model-a", target=f"{__name__}:Model", summary="A loss with a model's name")]
"""
ALONE = GOOD.replace("def segreg_losses", "def nothing").replace("@hookimpl\ndef nothing", "def nothing")


def own() -> list[EntryPoint]:
    """The entry points of segreg itself."""
    return [point for point in entry_points(group="segreg.v1") if point.dist and point.dist.name == "segreg"]


def keys(registry: Registry, kind: Any = "architecture") -> list[str]:
    return [entry.key for entry in registry.components(kind)]


def test_a_plugin_is_found_in_the_environment(site: Site) -> None:
    site.install("good", GOOD)
    registry = Registry()
    assert keys(registry)[:5] == ["segnet", "segnet-basic", "unet", "unet-upsample", "unet-convpool"]
    assert [key for key in keys(registry) if key.startswith("good/")] == ["good/model-a", "good/unet"]
    assert registry.build("architecture", "good/unet").size == 5
    assert [plugin.origin for plugin in registry.plugins if plugin.namespace == "good"] == ["good 1.0"]


def test_installing_a_plugin_changes_no_name(site: Site) -> None:
    before = [(entry.kind, entry.key, entry.record) for entry in Registry(own()).components()]
    site.install("aaa", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    after = [(entry.kind, entry.key, entry.record) for entry in registry.components() if "/" not in entry.key]
    assert after == before
    assert isinstance(registry.build("architecture", "unet", width=1), nn.Module)


def test_components_come_kind_by_kind_with_segreg_first(site: Site) -> None:
    site.install("aaa", GOOD)
    site.install("bbb", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    everything = registry.components()
    assert keys(registry)[-4:] == ["aaa/model-a", "aaa/unet", "bbb/model-a", "bbb/unet"]
    assert keys(registry, "loss")[-2:] == ["aaa/model-a", "bbb/model-a"]
    assert [entry.key for entry in everything] == [key for kind in KINDS for key in keys(registry, kind)]
    assert list(dict.fromkeys(entry.kind for entry in everything)) == list(KINDS)


@pytest.mark.parametrize("name", ["good/model-a", "GOOD/Model_A", "good/FIRST", " Good/model_a "])
def test_case_and_underscores_in_names_do_not_matter(site: Site, name: str) -> None:
    site.install("good", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    assert registry.find("architecture", name).key == "good/model-a"
    assert registry.find("architecture", "UNet_ConvPool").key == "unet-convpool"
    assert registry.find("loss", "CE").key == "cross-entropy"


def test_a_namespace_is_normalised_as_names_are(site: Site) -> None:
    site.install("good", GOOD, namespace="My_Models")
    assert keys(Registry(site.entry_points())) == ["my-models/model-a", "my-models/unet"]


def test_only_the_plugin_that_is_named_is_imported(site: Site) -> None:
    first, second = site.install("first", GOOD), site.install("second", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    assert not {first, second} & sys.modules.keys()
    registry.build("architecture", "unet", width=1)
    assert not {first, second} & sys.modules.keys()
    registry.build("architecture", "second/unet:size=2")
    assert {first, second} & sys.modules.keys() == {second}


@pytest.mark.parametrize(
    ("kind", "name", "message", "imported"),
    [
        ("architecture", "unett", "unknown architecture 'unett' (did you mean 'unet'?); available: segnet, ", []),
        ("loss", "dcie", "unknown loss 'dcie' (did you mean 'dice'?); ", []),
        ("metric", "iuo", "unknown metric 'iuo' (did you mean 'iou'?); available: iou, ", []),
        ("architecture", "first/unett", "(did you mean 'first/unet'?)", ["first"]),
        ("architecture", "fist/unet", "(did you mean 'first/unet'?); no installed plugin has the namespace", ["first"]),
        ("architecture", "model-a", "(did you mean 'first/model-a'?)", ["first", "second"]),
        ("architecture", "zzzz", "unknown architecture 'zzzz'; available: segnet, ", ["first", "second"]),
    ],
)
def test_a_typo_imports_other_plugins_only_if_nothing_known_is_near(
    site: Site, kind: Any, name: str, message: str, imported: list[str]
) -> None:
    modules = {each: site.install(each, GOOD) for each in ("first", "second")}
    registry = Registry([*site.entry_points(), *own()])
    with pytest.raises(UnknownNameError) as caught:
        registry.find(kind, name)
    assert message in str(caught.value)
    assert [each for each, module in modules.items() if module in sys.modules] == imported
    # What is listed is not all, where plugins were not asked.
    listed, asked = "available: " in str(caught.value), len(imported) == len(modules)
    assert str(caught.value).endswith(f"; more in `segreg list {kind}`") == (listed and not asked)


def test_names_of_any_kind_are_found_in_the_plugin_that_they_name(site: Site) -> None:
    first, second = site.install("first", GOOD), site.install("second", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    assert [entry.kind for entry in registry.named("dice")] == ["loss", "metric"]
    assert registry.named("no-such-name") == registry.named("third/unet") == []
    assert not {first, second} & sys.modules.keys()
    assert [(entry.kind, entry.key) for entry in registry.named("second/model_a")] == [
        ("architecture", "second/model-a"),
        ("loss", "second/model-a"),
    ]
    assert {first, second} & sys.modules.keys() == {second}


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("raise BaseException('a panic')", "BaseException: a panic"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import sys\nsys.exit('\\x1b[31mnot licensed')", r"SystemExit: \x1b[31mnot licensed"),
    ],
)
def test_a_plugin_that_ends_the_process_when_a_hint_is_searched_is_named(site: Site, source: str, cause: str) -> None:
    site.install("bad-plugin", source, namespace="bad", version="1.2")
    for name in ("model-a", "zzzz"):
        registry = Registry([*site.entry_points(), *own()])
        with pytest.raises(UnknownNameError) as caught:
            registry.find("architecture", name)
        assert f"; broken plugins: 'bad' of bad-plugin 1.2 ({cause}); " in str(caught.value)


ENDLESS = """
from itertools import count
from segreg import {record}, hookimpl

@hookimpl
def {hook}():
    return ({record}(name=f"m{{number}}", target="module:Class", summary="") for number in count())
"""


@pytest.mark.parametrize("kind", ["architecture", "metric", "tracker"])
def test_records_without_end_break_only_their_plugin(site: Site, kind: Any) -> None:
    site.install("endless", ENDLESS.format(record=KINDS[kind].record.__name__, hook=KINDS[kind].hook))
    site.install("good", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    assert keys(registry) == [*keys(Registry(own())), "good/model-a", "good/unet"]
    plugin = next(plugin for plugin in registry.plugins if plugin.namespace == "endless")
    assert plugin.cause == f"{KINDS[kind].hook} returns more than 10,000 records: is it an endless loop?"


def test_many_records_are_accepted(site: Site) -> None:
    site.install("many", ENDLESS.format(record="Loss", hook="segreg_losses").replace("count()", "range(10_000)"))
    assert len(Registry(site.entry_points()).components("loss")) == 10_000


def test_the_target_is_imported_at_its_first_use(site: Site) -> None:
    (site.path / "heavy.py").write_text("class Model:\n    '''A model.'''\n    def __init__(self) -> None: ...\n")
    site.install("good", GOOD.replace('f"{__name__}:Model"', '"heavy:Model"'))
    registry = Registry(site.entry_points())
    registry.components()
    registry.find("architecture", "good/model-a")
    assert "heavy" not in sys.modules
    registry.build("architecture", "good/model-a")
    assert "heavy" in sys.modules


def hook(body: str, declaration: str = "segreg_architectures()") -> str:
    return f"""
import sys
from segreg import Architecture, Loss, hookimpl

@hookimpl
def {declaration}:
    {body}
"""


def record(more: str = "", kind: str = "Architecture") -> str:
    return f"{kind}(name='model-a', target='module:Class', summary='', {more})"


BROKEN = {
    "import error": ("import module_that_is_not_there", ModuleNotFoundError, "No module named 'module_that_is_not"),
    "syntax error": ("def :", SyntaxError, "invalid syntax"),
    "exit": ("import sys\nsys.exit(3)", SystemExit, "SystemExit: 3"),
    "endless recursion": ("def f():\n    f()\nf()", RecursionError, "maximum recursion depth"),
    "error of many lines": ("raise ValueError('one\\n  two')", ValueError, "ValueError: one two"),
    "empty module": ("", PluginError, "has no function marked with segreg.hookimpl"),
    "hook that takes an argument": (
        hook("return []", "segreg_architectures(config)"),
        pluggy.PluginValidationError,
        "Argument(s) {'config'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "misspelt hook": (
        hook("return []", "segreg_architecture()"),
        pluggy.PluginValidationError,
        "unknown hook 'segreg_architecture'",
    ),
    "hook without a mark": (
        hook("return []") + "\ndef segreg_losses():\n    return []\n",
        PluginError,
        "segreg_losses returns nothing: mark it with segreg.hookimpl and return a list",
    ),
    "hook that forgets to return": (hook("[]"), PluginError, "segreg_architectures returns nothing: mark it"),
    "hook that fails": (hook("return 1 / 0"), ZeroDivisionError, "ZeroDivisionError: division by zero"),
    "hook that exits": (hook("sys.exit('bye')"), SystemExit, "SystemExit: bye"),
    "hook that fails half-way": (hook(f"yield {record()}; 1 / 0"), ZeroDivisionError, "division by zero"),
    "one record, no list": (hook(f"return {record()}"), TypeError, "not iterable"),
    "record of another kind": (
        hook(f"return [{record(kind='Loss')}]"),
        PluginError,
        "expected records of type Architecture",
    ),
    "no record at all": (
        hook("return ['model-a']"),
        PluginError,
        "segreg_architectures returns 'model-a': expected records of type Architecture",
    ),
    "bad record": (
        hook(f"return [{record('min_size=0')}]"),
        ValueError,
        "Architecture 'model-a': min_size is 0: expected a whole number from 1 up",
    ),
    "record with a misspelt field": (
        hook(f"return [{record('alias=()')}]"),
        TypeError,
        "unexpected keyword argument 'alias'",
    ),
    "one name twice": (
        hook(f"return [{record()}, {record()}]"),
        PluginError,
        "segreg_architectures declares the name 'model-a' twice",
    ),
    "an alias that is a name": (
        hook("return [" + record("aliases=['Model_A']") + "]"),
        PluginError,
        "segreg_architectures declares the name 'model-a' twice",
    ),
}


@pytest.mark.parametrize(("source", "error", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_breaks_only_its_own_names(
    site: Site, source: str, error: type[BaseException], message: str
) -> None:
    site.install("bad-plugin", source, namespace="bad", version="1.2")
    site.install("good", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    assert keys(registry) == [*keys(Registry(own())), "good/model-a", "good/unet"]
    registry.build("architecture", "good/model-a")

    plugin = next(plugin for plugin in registry.plugins if plugin.namespace == "bad")
    assert plugin.entries == []
    assert message in plugin.cause
    assert "\n" not in plugin.cause
    with pytest.raises(PluginError) as caught:
        registry.build("architecture", "bad/model-a")
    assert str(caught.value) == f"architecture 'bad/model-a' needs the plugin 'bad' of bad-plugin 1.2: {plugin.cause}"
    assert isinstance(caught.value.__cause__, error)
    assert caught.value.__cause__ is plugin.error


@pytest.mark.parametrize("target", ["module_that_is_not_there:Model", "fine:Missing", "exits:Model", "fails:Model"])
def test_a_target_that_cannot_be_imported_is_listed_and_named_on_use(site: Site, target: str) -> None:
    (site.path / "fine.py").write_text("")
    (site.path / "exits.py").write_text("import sys\nsys.exit()")
    (site.path / "fails.py").write_text("raise RuntimeError('first\\nsecond')")
    site.install("good", GOOD.replace('name="unet", target=f"{__name__}:Model"', f'name="unet", target="{target}"'))
    registry = Registry(site.entry_points())
    assert keys(registry) == ["good/model-a", "good/unet"]
    registry.build("architecture", "good/model-a")
    for use in (registry.build, registry.describe, registry.resolve):
        with pytest.raises(PluginError) as caught:
            use("architecture", "good/unet")
        begin = f"architecture 'good/unet' of good 1.0 cannot be imported from {target!r}: "
        assert str(caught.value).startswith(begin)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value.__cause__, ImportError | AttributeError | SystemExit | RuntimeError)


def test_an_interrupt_is_not_swallowed(site: Site) -> None:
    site.install("slow", "raise KeyboardInterrupt")
    registry = Registry(site.entry_points())
    with pytest.raises(KeyboardInterrupt):
        registry.components()
    with pytest.raises(KeyboardInterrupt):
        registry.find("architecture", "slow/model-a")

    (site.path / "later.py").write_text("raise KeyboardInterrupt")
    site.install("good", GOOD.replace('f"{__name__}:Model"', '"later:Model"'))
    with pytest.raises(KeyboardInterrupt):
        Registry(site.entry_points()).build("architecture", "good/unet")


@pytest.mark.parametrize("then", ["raise", "pass", "sys.exit(0)", "raise ImportError('interrupted')"])
@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_is_not_taken_for_an_error_of_the_plugin_that_is_imported(
    site: Site, handlers: None, number: int, kind: type[BaseException], then: str
) -> None:
    source = f"import signal, sys\ntry:\n    signal.raise_signal({int(number)})\nexcept BaseException:\n    {then}\n"
    (site.path / "later.py").write_text(source)
    site.install("good", GOOD.replace('f"{__name__}:Model"', '"later:Model"'))
    site.install("slow", source)
    for use in (Registry.components, lambda registry: registry.build("architecture", "good/unet")):
        with pytest.raises(kind) as caught, stoppable():
            use(Registry(site.entry_points()))
        if kind is SystemExit:
            assert caught.value.code == 128 + number
        sys.modules.pop("slow_plugin", None)


PRINTING = [
    "print('\\x1b]0;owned\\x07 text')",
    "import sys; sys.stderr.write('\\x1b]0;owned\\x07 text\\n')",
    "import sys; sys.stdout.writelines(['\\x1b]0;owned\\x07', ' text\\n'])",
    "import sys; sys.stdout.buffer.write(b'\\x1b]0;owned\\x07 text\\n')",
    "import sys; sys.__stdout__.write('\\x1b]0;owned\\x07 text\\n')",
    "import warnings; warnings.showwarning = lambda text, *_: print(text); warnings.warn('\\x1b]0;owned\\x07 text')",
]


@pytest.mark.parametrize("source", PRINTING)
def test_what_a_plugin_prints_at_import_has_no_escape_codes(
    site: Site, source: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    (site.path / "loud.py").write_text(f"{source}\nclass Model:\n    def __init__(self) -> None: ...\n")
    site.install("good", f"{source}\n" + GOOD.replace('f"{__name__}:Model"', '"loud:Model"'))
    Registry(site.entry_points()).describe("architecture", "good/model-a")
    assert capsys.readouterr() == ("", "\\x1b]0;owned\\x07 text\n" * 2)


def test_streams_that_a_plugin_closes_at_import_stay_open(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("good", "import sys\nsys.stdout.close()\nsys.stderr.close()\n" + GOOD)
    assert keys(Registry(site.entry_points())) == ["good/model-a", "good/unet"]
    print("still open")
    assert capsys.readouterr() == ("still open\n", "")


def test_two_distributions_with_one_namespace_are_both_left_out(site: Site) -> None:
    modules = {
        site.install("one", GOOD, namespace="shared"),
        site.install("two", GOOD, namespace="Shared", version="2"),
    }
    registry = Registry([*site.entry_points(), *own()])
    assert keys(registry) == keys(Registry(own()))
    assert not modules & sys.modules.keys()
    assert {plugin.origin: plugin.cause for plugin in registry.plugins[1:]} == {
        "one 1.0": "the namespace 'shared' is also claimed by two 2: uninstall one",
        "two 2": "the namespace 'shared' is also claimed by one 1.0: uninstall one",
    }
    with pytest.raises(PluginError) as caught:
        registry.find("architecture", "shared/unet")
    assert "one 1.0" in str(caught.value)
    assert "two 2" in str(caught.value)


@pytest.mark.parametrize("namespace", ["segreg", "SegReg"])
def test_no_other_distribution_can_claim_the_namespace_segreg(site: Site, namespace: str) -> None:
    module = site.install("imposter", GOOD, namespace=namespace)
    for points in ([*site.entry_points(), *own()], [*own(), *site.entry_points()]):
        registry = Registry(points)
        assert keys(registry) == keys(Registry(own()))
        assert registry.find("architecture", "unet").plugin.distribution == "segreg"
        assert [plugin.cause for plugin in registry.plugins] == [
            "",
            "the namespace 'segreg' is segreg's own: rename the entry point",
        ]
        assert module not in sys.modules


@pytest.mark.parametrize("namespace", ["my models", "my.models", "a/b", "-"])
def test_a_namespace_that_cannot_be_written_is_refused(site: Site, namespace: str) -> None:
    module = site.install("odd", GOOD, namespace=namespace)
    registry = Registry(site.entry_points())
    assert keys(registry) == []
    assert [plugin.cause for plugin in registry.plugins] == [
        f"the namespace {namespace!r} must be letters and digits, in words joined by -: rename the entry point"
    ]
    assert module not in sys.modules


def test_a_distribution_without_metadata_works(site: Site) -> None:
    site.install("half-removed", GOOD, namespace="half", metadata=False)
    registry = Registry(site.entry_points())
    assert registry.build("architecture", "half/unet").size == 5
    assert [plugin.origin for plugin in registry.plugins] == ["an unknown distribution"]


@pytest.mark.parametrize("value", ["no such module", "a:b:c", "", "tests.conftest:missing", "tests.conftest:Site"])
def test_a_broken_entry_point_is_isolated(value: str) -> None:
    registry = Registry([EntryPoint("odd", value, "segreg.v1"), *own()])
    assert keys(registry) == keys(Registry(own()))
    with pytest.raises(PluginError, match="needs the plugin 'odd' of an unknown distribution: "):
        registry.find("architecture", "odd/unet")


def test_what_a_plugin_prints_is_not_part_of_any_output(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    printing = GOOD.replace("def segreg_architectures():", "def segreg_architectures():\n    print('in the hook')")
    (site.path / "loud.py").write_text("print('in the target')\nclass Model:\n    def __init__(self) -> None: ...\n")
    site.install("good", "print('at import')\n" + printing.replace('f"{__name__}:Model"', '"loud:Model"'))
    registry = Registry(site.entry_points())
    registry.components()
    registry.describe("architecture", "good/model-a")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == ["at import", "in the hook", "in the target"]


@pytest.mark.parametrize(
    ("disabled", "left"),
    [
        ("", ["aaa", "bbb-c"]),
        ("aaa", ["bbb-c"]),
        (" BBB_c , nothing", ["aaa"]),
        ("aaa,bbb-c", []),
        ("*", []),
        ("segreg", ["aaa", "bbb-c"]),
    ],
)
def test_plugins_can_be_disabled(site: Site, monkeypatch: pytest.MonkeyPatch, disabled: str, left: list[str]) -> None:
    modules = {"aaa": site.install("aaa", GOOD), "bbb-c": site.install("bbb-c", GOOD)}
    always = keys(Registry(own()))
    monkeypatch.setenv("SEGREG_DISABLE_PLUGINS", disabled)
    points = [*site.entry_points(), *own()]
    for registry in (Registry(points), Registry(points, disabled=disabled.split(","))):
        assert keys(registry) == [
            *always,
            *(f"{each}/{m}" for each in left for m in ("model-a", "unet")),
        ]
        for namespace in modules.keys() - set(left):
            with pytest.raises(PluginError, match=f"of {namespace} 1.0: disabled by SEGREG_DISABLE_PLUGINS$"):
                registry.find("architecture", f"{namespace}/unet")
    assert modules.keys() & {name for name, module in modules.items() if module in sys.modules} == set(left)


def test_an_unknown_name_is_named_with_the_closest_match(site: Site) -> None:
    site.install("good", GOOD)
    registry = Registry([*site.entry_points(), *own()])
    for kind, name, message in [
        (
            "metric",
            "iuo",
            "unknown metric 'iuo' (did you mean 'iou'?); available: iou, dice, accuracy, precision, rec",
        ),
        ("metric", "f_1", "unknown metric 'f_1' (did you mean 'f1'?); available: iou"),
        (
            "architecture",
            "model-a",
            "unknown architecture 'model-a' (did you mean 'good/model-a'?); available: segnet",
        ),
        (
            "architecture",
            "good/frist",
            "unknown architecture 'good/frist' (did you mean 'good/first'?); available: ",
        ),
        (
            "architecture",
            "god/unet",
            "(did you mean 'good/unet'?); no installed plugin has the namespace 'god' (did you",
        ),
        ("architecture", "zzzz", "unknown architecture 'zzzz'; available: segnet, segnet-basic, unet, "),
        ("loss", "unet", "unknown loss 'unet'"),
        ("model", "unet", "unknown kind of component 'model'; available: architecture, loss, metric, dataset"),
        ("los", "bce", "unknown kind of component 'los' (did you mean 'loss'?)"),
    ]:
        with pytest.raises(UnknownNameError) as caught:
            registry.find(kind, name)  # type: ignore[arg-type]
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownNameError, match="unknown kind"):
        registry.components("model")  # type: ignore[arg-type]


def test_a_long_list_is_left_to_the_command(site: Site) -> None:
    for number in range(4):
        site.install(f"plugin{number}", GOOD)
    with pytest.raises(UnknownNameError, match=r"see `segreg list architecture`$"):
        Registry([*site.entry_points(), *own()]).find("architecture", "zzzz")


def test_without_segreg_installed_the_namespace_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no installed plugin has the namespace 'segreg'"):
        Registry([]).find("architecture", "unet")


def test_a_plugin_has_its_distribution_and_version(site: Site) -> None:
    site.install("good", ALONE, version="3.1")
    entry = Registry(site.entry_points()).find("architecture", "good/first")
    assert (entry.kind, entry.key, entry.keys) == ("architecture", "good/model-a", ["good/model-a", "good/first"])
    assert (entry.plugin.namespace, entry.plugin.distribution, entry.plugin.version) == ("good", "good", "3.1")
    assert entry.plugin.cause == ""


def test_a_description_is_complete(site: Site) -> None:
    site.install("good", GOOD.replace("'''Does nothing.'''", "'''Does nothing.\n\n        At all.\n        '''"))
    description = Registry(site.entry_points()).describe("architecture", "good/unet")
    assert description.entry.record.summary == "Another"
    assert description.options["size"].default == 5
    assert description.docstring == "Does nothing.\n\nAt all."


def test_errors_have_the_expected_base_classes() -> None:
    assert issubclass(segreg.UnknownNameError, LookupError)
    assert issubclass(segreg.OptionError, ValueError)
    assert issubclass(segreg.ExpressionError, ValueError)
    assert all(
        issubclass(getattr(segreg, name), segreg.SegregError) for name in segreg.__all__ if name.endswith("Error")
    )


def test_a_metric_declares_which_direction_is_better(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from segreg import Metric, hookimpl

@hookimpl
def segreg_metrics():
    return [Metric(name="distance", target="module:Distance", summary="", higher_is_better=False)]
"""
    site.install("good", source)
    installed = Registry([*site.entry_points(), *own()])
    monkeypatch.setattr("segreg.registry.registry", lambda: installed)
    assert higher_is_better("iou:average=dataset")
    assert not higher_is_better("good/distance:unit=mm")


PARTICULAR = """
from typing import Literal
from segreg import Architecture, Dataset, Loss, hookimpl

class Model:
    def __init__(self, *, in_channels: Literal[1, 3] = 3, num_classes: int = 1, widths: list[int] = [4, 8]) -> None:
        widths.insert(0, in_channels)
        self.widths = widths

class Weighted:
    def __init__(self, *, num_classes: int = 1, power: float = 1.0) -> None:
        self.weights = [power] * num_classes

class Called:
    __hash__ = None
    def __call__(self, *, in_channels: int = 3, num_classes: int = 1) -> str:
        return f"{in_channels} to {num_classes}"

called = Called()

@hookimpl
def segreg_architectures():
    yield Architecture(name="model", target=f"{__name__}:Model", summary="Changes a list that it is given")
    yield Architecture(name="open", target=f"{__name__}:Weighted", summary="Takes no channels")
    yield Architecture(name="called", target=f"{__name__}:called", summary="Cannot be hashed")

class Drawn:
    def __init__(self, *, root: str | None = None, num_classes: int = 2) -> None:
        self.classes = [str(number) for number in range(num_classes)]

@hookimpl
def segreg_datasets():
    yield Dataset(name="drawn", target=f"{__name__}:Drawn", summary="Has as many classes as one likes")

@hookimpl
def segreg_losses():
    yield Loss(name="weighted", target=f"{__name__}:Weighted", summary="Needs the number of classes")
"""


@pytest.fixture
def particular(site: Site) -> Registry:
    site.install("p", PARTICULAR)
    return Registry()


def test_options_determined_by_the_data_are_checked_like_any_other(particular: Registry) -> None:
    resolved = particular.resolve("architecture", "p/model", FACTS)
    with pytest.raises(OptionError, match=r"p/model: in_channels is 4: expected 1 \| 3"):
        resolved.build(in_channels=4, num_classes=1)
    with pytest.raises(OptionError, match="p/open has no option 'in_channels'"):
        particular.resolve("architecture", "p/open", FACTS)


def test_a_component_that_changes_its_options_does_not_affect_others(particular: Registry) -> None:
    resolved = particular.resolve("architecture", "p/model:widths=[2]", FACTS)
    facts = {"in_channels": 3, "num_classes": 1}
    assert [resolved.build(**facts).widths for _ in range(3)] == [[3, 2]] * 3
    assert resolved.every_option(**facts) == {**facts, "widths": [2]}


def test_any_component_that_declares_a_fact_receives_it(particular: Registry) -> None:
    [resolved] = particular.resolve_sum("loss", "p/weighted:power=2", FACTS)
    assert resolved.build(in_channels=3, num_classes=4).weights == [2.0] * 4
    with pytest.raises(OptionError, match="sets 'num_classes', which the data decide: leave it out"):
        particular.resolve_sum("loss", "p/weighted:num_classes=4", FACTS)


def test_a_dataset_may_use_such_options_for_itself(particular: Registry) -> None:
    [resolved] = particular.resolve_sum("dataset", "p/drawn:num_classes=3", KINDS["dataset"].decided)
    assert resolved.build().classes == ["0", "1", "2"]


def test_a_target_need_not_be_hashable(particular: Registry) -> None:
    assert particular.build("architecture", "p/called", num_classes=2) == "3 to 2"
