"""What segreg declares is true: every target exists, typed and documented."""

import inspect

import docstring_parser
import pytest

import segreg
from segreg.builtins import plugin
from segreg.kinds import KINDS
from segreg.options import REQUIRED, structure
from segreg.plugins import Entry

ENTRIES = [entry for entry in segreg.components() if entry.plugin.distribution == "segreg"]

every_component = pytest.mark.parametrize("entry", ENTRIES, ids=[f"{entry.kind} {entry.key}" for entry in ENTRIES])


def test_every_declared_component_is_registered() -> None:
    declared = [record for kind in KINDS.values() for record in getattr(plugin, kind.hook)()]
    assert [entry.record for entry in ENTRIES] == declared
    assert {entry.kind for entry in ENTRIES} == set(KINDS)


@every_component
def test_a_component_is_in_the_folder_of_its_kind(entry: Entry) -> None:
    assert entry.record.target.startswith(f"segreg.builtins.{KINDS[entry.kind].plural}.")


@every_component
def test_the_target_is_a_class_of_its_module_with_a_docstring(entry: Entry) -> None:
    target = entry.target()
    assert inspect.isclass(target)
    assert f"{target.__module__}:{target.__qualname__}" == entry.record.target
    assert target.__doc__
    first = target.__doc__.splitlines()[0]
    assert first.endswith((".", ":"))
    assert segreg.describe(entry.kind, entry.key).docstring.startswith(first)


@every_component
def test_every_option_is_typed_and_documented(entry: Entry) -> None:
    for option in segreg.describe(entry.kind, entry.key).options.values():
        assert "Any" not in option.type_name
        assert option.meaning.rstrip(")").endswith("."), f"{option.name} is not explained by a sentence in Args"
        if option.default is not REQUIRED:
            assert structure(option.name, option.default, option.type) == option.default


@every_component
def test_the_docstring_documents_no_option_that_does_not_exist(entry: Entry) -> None:
    options = segreg.describe(entry.kind, entry.key).options
    explained = docstring_parser.parse(
        entry.target().__doc__ or "", style=docstring_parser.DocstringStyle.GOOGLE
    ).params
    assert [parameter.arg_name for parameter in explained] == [*KINDS[entry.kind].given, *options]


@every_component
def test_the_record_can_be_listed(entry: Entry) -> None:
    assert 0 < len(entry.record.summary) <= 80
    assert not entry.record.summary.endswith(".")


@every_component
def test_what_every_kind_must_take(entry: Entry) -> None:
    options = segreg.describe(entry.kind, entry.key).options
    assert set(KINDS[entry.kind].facts or ()) <= set(options)
    if entry.kind == "architecture":
        assert options["in_channels"].default == 3
        assert options["num_classes"].default == 1
    if entry.kind == "metric":
        assert options["num_classes"].default is REQUIRED
    if entry.kind in ("architecture", "loss"):
        assert all(option.default is not REQUIRED for option in options.values())
