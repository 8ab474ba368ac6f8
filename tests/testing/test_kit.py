"""Every check of the conformance kit can fail, and does so for the fault that it is meant to detect."""

import re

import pytest

from segreg import OptionError, UnknownNameError
from segreg.registry import components, registry
from segreg.testing import Case, CheckFailed, ConformanceWarning, conformance_cases
from segreg.testing.checks import CHECKS
from segreg.testing.plugins import CHECKS as CHECKS_OF_PLUGINS
from tests.conftest import Site
from tests.testing.test_harmful import HARMFUL

# What each check reports on the component with its name.
OBJECTIONS = {
    "architecture": {
        "target-is-found": "has no attribute 'Nowhere'",
        "options-are-documented": "does not describe 'in_channels'",
        "defaults-are-of-their-types": "width is 1.5: expected int",
        "unknown-options-are-refused": r"remove \*\*kwargs",
        "has-a-reference": "it has no reference",
        "any-channels-and-classes": "expected input.* to have 1 channels, but got 3",
        "any-size": r"images \[1, 3, 5, 19\] give \[1, 1, 4, 18\], not \[1, 1, 5, 19\]",
        "batch-of-one": "ValueError: Expected more than 1 value per channel",
        "evaluation-is-deterministic": "two calls with the same images give different logits",
        "images-of-a-batch-are-independent": "the first image beside others: off by",
        "images-are-not-modified": "changes the images in place",
        "every-parameter-learns": "no gradient reaches the parameter dead.weight",
        "logits-are-not-activated": "between 0 and 1: leave the activation to the loss",
        "weights-survive-a-file": "logits after a round trip of the weights: off by",
        "copies-are-separate": "logits after a change to a deep copy: off by",
        "channels-last-agrees": "logits with channels last: off by",
        "bfloat16-agrees": "logits in bfloat16: off by .* is allowed",
        "predicts-as-it-was-trained": "logits with batch normalisation folded: off by",
        "runs-without-values": "meta",
        "can-be-exported": "data-dependent|Data dependent|data dependent",
        "can-be-compiled": "logits of the compiled model: off by",
    },
    "loss": {
        "is-a-scalar-with-a-gradient": "not a scalar tensor",
        "extremes-stay-finite": "not finite for logits of ±10,000",
        "ignored-pixels-have-no-influence": "with 1 logit.* the logits of ignored pixels change the value",
        "nothing-but-ignored-is-finite": "all pixels ignored gives nan",
        "right-beats-wrong": "right gives -0.1.*, undecided -0.69.*, wrong -2",
        "order-of-the-batch-does-not-matter": "the images in another order give",
        "gradient-is-the-slope": "the slope is .*, the gradient says",
        "input-is-not-modified": "its input is changed in place",
        "runs-without-values": "meta",
    },
    "metric": {
        "batches-do-not-matter": "split in batches, it gives",
        "states-add-up": "two states added up, it gives",
        "reset-forgets": "reset, it gives",
        "nothing-is-nan": "without an image it gives 0.0, not nan",
        "ignored-pixels-have-no-influence": "other logits on ignored pixels, it gives",
        "right-beats-wrong": "right gives 0, wrong 1",
        "agrees-with-its-definition": "averaged by image, it gives",
        "update-does-not-wait": "meta",
    },
    "dataset": {
        "has-classes-and-splits": "the split 'valid' is missing",
        "samples-have-their-form": r"train\[0\]: the image is float64 \[4, 5, 3\]",
        "masks-name-classes": r"the mask has \[254\]: expected 0 to 1, or 255",
        "access-is-repeatable": "differs when the dataset is opened a second time",
        "splits-end": r"train\[3\] returns a sample",
        "splits-are-disjoint": r"valid\[0\] is also in the split 'train'",
        "splits-go-to-workers": "pickle",
    },
    "augmentation": {
        "has-one-of-three-methods": "none of the methods matrix, displacement and change",
        "results-have-their-form": r"change returns torch.float32 \[1, 3, 14, 14\]: expected torch.float32 \[1, 3, 16",
        "values-stay-in-range": "it returns values from -0.2.* to .*: expected 0 to 1",
        "any-channels": r"for images \[2, 1, 9, 8\], change returns torch.float32 \[2, 3, 9, 8\]",
        "something-changes": "it changes none of 64 images",
        "images-of-a-batch-are-independent": "something else where the batch is in another order",
        "randomness-follows-from-what-it-is-given": "something else when it is called again",
        "input-is-not-modified": "changes the images in place",
        "runs-without-values": "meta",
    },
    "optimizer": {
        "is-an-optimizer": "it is of type IsAnOptimizer, not a torch.optim.Optimizer",
        "descends": "100 steps on a quadratic function take it from 85.2 to 4.*e",
        "learning-rate-is-followed": "with lr 0, step 1 moves weights by 1.55; with its own lr, by 1.55",
        "resumes-where-it-stopped": "restored from a checkpoint after 7 steps, it does something else in step 8",
        "parameters-without-gradient-are-left-alone": "it changes a parameter that has no gradient",
        "zero-gradients-stay-finite": "gradients of zero make weights that are not finite",
    },
    "schedule": {
        "factors-are-finite": "its factor is -0.33.* at step 2 of 3: expected a finite number, 0 or more",
        "something-is-learnt": "its factor is 0 at all of 10 steps",
        "is-a-pure-function": "step 0 of 1 has the factor 1.*e-05 when it is asked again, not 0.99",
    },
    "tracker": {
        "tracks-a-run": "TypeError: float",
        "tracks-a-resumed-run": "FileExistsError",
        "closes-before-it-begins": "no attribute 'folder'",
        "leaves-the-run-alone": r"changes runs/this/history\.csv, of the run",
    },
}
COMMON = {"target-is-found", "options-are-documented", "defaults-are-of-their-types", "unknown-options-are-refused"}


def cases_of(kind: str, name: str) -> dict[str, Case]:
    cases = conformance_cases(f"faulty/{name}", slow=True)
    return {case.check.name: case for case in cases if case.subject.label.startswith(kind)}


def test_every_check_has_a_fault() -> None:
    for kind, objections in OBJECTIONS.items():
        shared = set() if kind == "architecture" else COMMON | {"has-a-reference"}
        assert {check.name for check in CHECKS[kind]} - shared == set(objections) | HARMFUL[kind].keys()


@pytest.mark.parametrize(
    ("kind", "check", "objection"),
    [(kind, check, words) for kind, checks in OBJECTIONS.items() for check, words in checks.items()],
)
def test_a_check_detects_its_fault(kind: str, check: str, objection: str) -> None:
    case = cases_of(kind, check)[check]
    if case.check.advisory:
        with pytest.warns(ConformanceWarning, match=objection):
            case.run()
    else:
        with pytest.raises(CheckFailed, match=objection) as caught:
            case.run()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"{kind} faulty/{check}: {check}: ")


@pytest.mark.parametrize("check", [check.name for check in CHECKS["architecture"]])
def test_a_sound_model_passes(check: str) -> None:
    cases_of("architecture", "sound")[check].run()


def test_a_known_failure_is_expected_and_has_to_fail() -> None:
    cases = cases_of("architecture", "excused")
    outcome = cases["every-parameter-learns"].outcome()
    assert (outcome.status, outcome.reason) == ("failed as expected", "one layer is dead")
    cases["every-parameter-learns"].run()
    with pytest.raises(CheckFailed, match="passes now: remove it from the record's known_failures"):
        cases["batch-of-one"].run()


def test_random_state_outside_is_left_alone() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    cases_of("architecture", "sound")["any-size"].run()
    assert torch.equal(torch.rand(2), expected)


def test_the_checks_are_frozen() -> None:
    # A plugin that passed must keep passing: a new check starts as an advisory one.
    frozen = {kind: [check.name for check in checks if not check.advisory] for kind, checks in CHECKS.items()}
    assert [check.name for check in CHECKS_OF_PLUGINS] == [
        "works",
        "declares-the-same-twice",
        "hook-module-is-light",
        "global-state-is-not-modified",
        "known-failures-name-checks",
    ]
    for kind, objections in OBJECTIONS.items():
        assert set(frozen[kind]) == (set(objections) | HARMFUL[kind].keys() | COMMON) - {"has-a-reference"}


@pytest.mark.parametrize(
    ("check", "source", "objection"),
    [
        ("works", "import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("works", "{head}\n@hookimpl\ndef segreg_losses():\n    return []", "declares no components|returns nothing"),
        (
            "declares-the-same-twice",
            "{head}\nimport itertools\ncount = itertools.count()\n@hookimpl\ndef segreg_losses():\n"
            "    return [Loss(name=f'l{{next(count)}}', target='a:B', summary='')]",
            "two calls of the hooks give Loss",
        ),
        (
            "hook-module-is-light",
            "{head}\nimport numpy\n@hookimpl\ndef segreg_losses():\n"
            "    return [Loss(name='l', target='a:B', summary='')]",
            "imports numpy: name classes by import strings",
        ),
        (
            "known-failures-name-checks",
            "{head}\n@hookimpl\ndef segreg_losses():\n"
            "    return [Loss(name='l', target='a:B', summary='', known_failures={{'right-beats-wron': 'so'}})]",
            r"lists 'right-beats-wron' in known_failures: unknown check .* \(did you mean 'right-beats-wrong'\?\)",
        ),
    ],
)
def test_a_check_of_the_plugin_detects_its_fault(site: Site, check: str, source: str, objection: str) -> None:
    site.install("ill", source.format(head="from segreg import Loss, hookimpl"))
    registry.cache_clear()
    cases = {case.check.name: case for case in conformance_cases("ill") if case.subject.label == "plugin ill"}
    with pytest.raises(CheckFailed, match=f"^plugin ill: {check}: .*(?:{objection})"):
        cases[check].run()
    registry.cache_clear()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=re.escape("unknown plugin or component 'fault' (did you mean")):
        conformance_cases("fault")


# At their full width the results are the same, and take a minute.
NARROW = [entry.key for entry in components("architecture") if entry.plugin.builtin]
BROUGHT = [case for case in conformance_cases("segreg") if case.subject.label.split()[-1] not in NARROW]
BROUGHT += conformance_cases(*(f"{name}:width=8" for name in NARROW))
# Options that change the formula of a loss.
BROUGHT += conformance_cases(
    "bce:pos_weight=3", "cross-entropy:label_smoothing=0.1", "focal:gamma=0.5", "focal-tversky:gamma=3"
)
BROUGHT += conformance_cases(
    "affine:degrees=180,translate=0.3,scale=[0.2,5],shear=40,p=1",
    "zoom:area=[0.05,0.1],ratio=[0.2,5],p=1",
    "elastic:sigma=0.2,grid=8,p=1",
    "brightness:limit=1,p=1",
    "contrast:limit=1,p=1",
    "gamma:limit=9,p=1",
    "noise:sigma=1,p=1",
    "adamw:lr=0.1,weight_decay=0.5",
    "sgd:momentum=0",
    "sgd:lr=0.05,nesterov=true",
    "onecycle:warmup=0.9",
    "cosine:warmup=0.3",
    "poly:power=3",
    "step:milestones=[0.01,0.99]",
)


@pytest.mark.parametrize("case", BROUGHT)
def test_what_segreg_provides_conforms(case: Case) -> None:
    on_the_host = ("metric hausdorff95", "metric surface-dice")
    assert set(case.subject.known_failures) == (
        {"update-does-not-wait"} if case.subject.label in on_the_host else set()
    )
    case.run()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unet:widht=4", r"unet has no option 'widht' \(did you mean 'width'\?\)"),
        (
            "unet:in_channels=1",
            "'unet:in_channels=1' sets in_channels, which the checks choose themselves: leave it out",
        ),
    ],
)
def test_options_that_cannot_be_checked_are_a_one_line_error(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        conformance_cases(name)


def test_an_option_selects_between_components_of_the_same_name() -> None:
    assert {case.subject.label for case in conformance_cases("dice")} == {"loss dice", "metric dice"}
    assert {case.subject.label for case in conformance_cases("dice:average=dataset")} == {"metric dice:average=dataset"}


def test_a_metric_without_a_definition_is_not_reported_to_agree_with_it() -> None:
    names = [case.check.name for case in conformance_cases("faulty/nothing-is-nan")]
    assert "agrees-with-its-definition" not in names
    assert len(names) > 10


def test_a_tracker_that_changes_its_arguments_is_detected() -> None:
    with pytest.raises(CheckFailed, match="leaves-the-run-alone: it changes its arguments"):
        cases_of("tracker", "leaves-what-it-is-given")["leaves-the-run-alone"].run()


def test_an_initial_option_must_exist() -> None:
    with pytest.raises(CheckFailed, match="the record's pretrained_options have 'in_chanels', which is not an option"):
        cases_of("architecture", "initially")["target-is-found"].run()
