"""Components that would harm a run do not pass: hidden state, own randomness, a changed process, blind spots."""

import pytest

from segreg.testing import CheckFailed, conformance_cases

# What the check says, by specimen; most of these pass every other check.
HARMFUL = {
    "architecture": {
        "resumes-where-it-stopped": {
            "counts-calls": "into a new instance, it gives something else in step 3",
            "counts-calls-of-all": "something else in step 3",
            "warms-up": "into the same instance, it gives something else in step 4",
            "remembers-features": "something else in step 3",
            "freezes-itself": "a step of training changes whether body.weight is trained",
            "leaves-training": "a step of training changes whether the model is in training mode",
            "own-dropout": "its random numbers from the global generators",
            "own-numpy-dropout": "something else in step 4",
        },
        "randomness-follows-the-seed": {
            "draws-from-the-system": "building it twice with one seed gives two things",
            "draws-from-the-clock": "building it twice with one seed gives two things",
            "draws-the-same": "with two seeds it starts from the same weights",
            "reseeds": "calling it in training mode seeds torch's random number generator",
            "reseeds-by-calls": "calling it in training mode seeds torch's",
            "reseeds-numpy": "building it seeds NumPy's random number generator and Python's",
            "reseeds-from-the-system": "calling it in training mode twice with one seed gives two things",
        },
        "global-state-is-not-modified": {
            "sets-threads": "calling it in training mode modifies the number of threads, from 3 to 1",
            "sets-precision": "building it modifies the precision of matrix products, from highest to medium",
            "sets-default-dtype": "the default dtype, from torch.float32 to torch.float64",
            "sets-benchmark": r"cuDNN's settings \(benchmark\)",
            "switches-gradients-off": "calling it in evaluation mode modifies the gradient mode, from True to False",
            "switches-gradients-on": "calling it without gradients switches them on",
            "silences-warnings": r"the environment \(OMP_NUM_THREADS\); building it modifies the warning filters",
            "hooks-into-every-module": "torch's global hooks",
        },
        "large-images-are-seen": {
            "blank-when-large": r"images \[1, 3, 257, 289\] give logits that are constant in a part of them",
            "blank-when-wide": r"images \[1, 3, 4, 545\] give logits that are constant",
            "sees-the-corner": "give logits that are constant in a part of them",
            "sees-the-middle": r"a part of images \[1, 3, 129, 145\] has no influence on the logits",
            "not-a-number-when-large": "give logits that are not finite",
        },
        "constant-images-stay-finite": {
            "not-a-number-when-constant": "in evaluation mode, images without contrast give logits that are not finite",
            "slope-not-a-number-when-constant": "images without contrast give a gradient of body.weight that is not",
            "not-a-number-when-black": "in evaluation mode, images without contrast",
            "not-a-number-in-training": "images without contrast give a logit that is not finite",
        },
        "any-channels-and-classes": {"forgets-the-third-class": "give .*, not"},
        "logits-are-not-activated": {"activates-two-classes": "between 0 and 1: leave the activation to the loss"},
        "evaluation-is-deterministic": {"learns-in-evaluation": "a call in evaluation mode changes mean"},
        "images-are-not-modified": {"modifies-in-evaluation": "the model changes the images in place"},
    },
    "loss": {
        "every-region-counts": {
            "looks-at-the-corner": "with 1 logit.* the object in row 1, column 2 of 3x3 misplaced gives .*, all right",
            "looks-at-a-large-corner": "no gradient reaches row 200 of 216",
            "looks-at-every-other-row": "no gradient reaches row 1 of 216",
            "looks-at-small-images": "misplaced gives 0, all right 0",
        },
        "every-class-counts": {
            "swaps-two-classes": "with 2 logit.* class 1 taken for class 0 gives",
            "forgets-the-last-class": "with 3 logit.* no gradient reaches the logits of class 2",
            "confuses-two-classes": "with 3 logit.* class 1 taken for class 2 gives",
        },
        "right-beats-wrong": {"swaps-two-classes": "with 2 logit.* right gives 2.127, undecided"},
        "bfloat16-agrees": {
            "not-a-number-in-bfloat16": "in bfloat16 the value nan or its gradient is not finite",
            "infinite-in-bfloat16": "in bfloat16 the value .* is not finite",
            "refuses-bfloat16": "TypeError: no bfloat16",
            "rounds-in-bfloat16": "in bfloat16 the value is",
        },
        "resumes-where-it-stopped": {
            "anneals": "saved after 60 steps and loaded into a new instance",
            "anneals-slowly": "something else in step 61",
            "anneals-with-others": "something else in step 61",
            "switches": "something else in step 61",
            "switches-late": "into the same instance, it gives something else",
            "smooths-itself": "its state must be in parameters and buffers",
            "draws-its-own": "its random numbers from the global generators",
        },
        "randomness-follows-the-seed": {
            "draws-weights": "calling it twice with one seed gives two things",
            "reseeds": "calling it seeds torch's random number generator",
            "reseeds-to-the-seed": "calling it seeds torch's random number generator",
            "reseeds-python": "building it seeds Python's random number generator",
        },
        "global-state-is-not-modified": {
            "sets-determinism": "building it modifies the deterministic mode, from 0 to 1",
            "switches-gradients-on": "calling it without gradients switches them on",
        },
    },
    "metric": {
        "counts-stay-exact": {
            "counts-in-float32": "after 4,096 images of 1024x1024 the buffer wrong, torch.float32, does not count",
            "counts-in-int32": "the buffer pixels, torch.int32, has no room for 4,096 images of 1024x1024",
            "counts-half-in-float32": "the buffer wrong, torch.float32",
            "counts-through-float32": "the buffer pixels, torch.float64, does not count",
        },
        "every-region-counts": {
            "looks-at-the-corner": "the object in row 1, column 2 of 3x3 misplaced gives 0, all right 0",
            "looks-at-the-left": "the object in row 1, column 3 of 3x3 misplaced",
        },
        "every-class-counts": {
            "blind-for-three": "with num_classes=3: class 1 taken for class 0 gives 0, all right 0",
            "forgets-the-last-class": "with num_classes=3: class 1 taken for class 2",
            "ignores-the-last-class": "with num_classes=3: class 2 taken for class 1",
        },
        "resumes-where-it-stopped": {"remembers-that-it-started": "with its buffers copied to a new one, it gives nan"},
        "bfloat16-agrees": {"wrong-in-bfloat16": "in bfloat16, it gives"},
        "global-state-is-not-modified": {
            "reseeds": r"compute\(\) modifies NumPy's random number generator",
            "draws-from-torch": r"update\(\) modifies torch's random number generator",
            "changes-the-directory": r"compute\(\) modifies the current directory, from .* to /",
        },
    },
    "dataset": {
        "splits-are-disjoint": {
            "validates-on-the-last": r"valid\[30\] is also in the split 'train'",
            "validates-on-the-seventeenth": r"valid\[16\] is also in the split 'train'",
        },
        "samples-have-their-form": {
            "has-a-bad-shape": r"train\[38\]: the mask is uint8 \[3, 5\], not uint8 \[4, 5\]",
            "has-a-grey-image": r"images have \[1, 3\] channels",
            "fails-on-one": "OSError: the disk is gone",
        },
        "masks-name-classes": {"has-a-bad-mask": r"train\[21\]: the mask has \[7\]"},
        "every-sample-has-a-name": {
            "has-two-names": "train has 2 names for 40 samples",
            "has-a-name-twice": "train has the name '0-0' twice",
            "has-numbers-for-names": "train has the name 0: expected text",
        },
        "access-is-repeatable": {"reuses-a-buffer": r"train\[0\] differs once other samples are read"},
        "threads-agree": {
            "remembers-the-index": "differs when 4 threads read at once",
            "shares-a-file": "differs when 4 threads read at once|ValueError: cannot reshape|buffer size",
            "reads-one-at-a-time": "RuntimeError: the reader is busy",
            "fills-its-table-late": "KeyError",
        },
        "processes-agree": {
            "depends-on-the-process": r"train\[0\] differs in another process",
            "orders-classes-by-hash": "classes differs in another process",
            "depends-on-its-number": r"train\[0\] differs in another process",
        },
        "global-state-is-not-modified": {
            "reseeds-when-opened": "opening it modifies NumPy's random number generator",
            "reseeds-when-read": "reading samples of train modifies torch's random number generator",
            "shuffles-for-all": "opening it modifies Python's random number generator",
            "loads-truncated-images": "opening it modifies Pillow's settings",
        },
    },
    "augmentation": {
        "randomness-follows-from-what-it-is-given": {
            "fades-in": "something else when it is called again",
            "fades-in-late": "something else after 60 other calls",
            "fades-out-with-others": "something else when it is called again",
            "differs-by-instance": "something else from another instance",
        },
        "global-state-is-not-modified": {
            "draws-from-torch": "calling it modifies torch's random number generator",
            "draws-from-numpy": "calling it modifies NumPy's random number generator",
            "reseeds": "calling it modifies Python's random number generator",
        },
        "images-of-a-batch-are-independent": {
            "mixes-images": "something else where the batch is in another order",
            "rarely-mixes-images": "something else where the batch is in another order",
            "standardizes-the-batch": "something else in a batch of one",
        },
        "something-changes": {"treats-all-alike": "it treats 64 images alike, whatever u"},
        "results-have-their-form": {
            "not-a-number-at-zero": "change returns numbers that are not finite",
            "computes-in-float64": r"change returns torch.float64 \[1, 3, 16, 16\]",
            "has-perspective": r"the last row of a matrix is \[0.0.*, 0.0, 1.0\], not \[0, 0, 1\]",
            "collapses": "a matrix maps all pixels to a line or a point",
            "swaps-height-and-width": r"displacement returns torch.float32 \[1, 20, 9, 2\]",
        },
        "values-stay-in-range": {"overshoots-on-white": "it returns values from 0 to 1.2: expected 0 to 1"},
        "input-is-not-modified": {"modifies-its-numbers": "it changes u in place"},
        "runs-without-values": {"stays-on-the-cpu": "displacement returns a tensor on the cpu, not where u is"},
    },
    "optimizer": {
        "learning-rate-is-followed": {
            "reads-its-rate-once": "with lr 0, step 8 moves weights by 0.533; with its own lr, by 0.533",
            "decays-regardless": "with lr 0, step 1 moves weights by 0.02",
            "normalizes-its-rate": "with a tenth of its lr, step 1 moves weights by 1.55; with its own lr, by 1.55",
        },
        "resumes-where-it-stopped": {
            "counts-steps-of-all": "after 7 steps, it does something else in step",
            "averages-late": "a checkpoint after 7 steps cannot be restored: the optimizer: its keys",
            "adapts-its-group": "after 7 steps, it does something else in step 8",
            "keeps-a-function": "its state dict has other objects than tensors and plain values",
            "keeps-a-record": "its state dict has other objects than tensors and plain values",
        },
        "is-an-optimizer": {
            "forgets-rates-of-groups": "a group with an lr of 0.015625 gets 0.1",
            "loses-a-generator": "built from a generator, it does not hold the parameters given",
            "loses-a-group": "built from groups, it does not hold the parameters given",
            "keeps-gradients": "zero_grad leaves gradients behind",
            "has-no-rate": "the lr of a group is None: expected a number above 0",
        },
        "descends": {"diverges": "100 steps on a quadratic function take it from 85.2 to nan"},
        "zero-gradients-stay-finite": {"not-a-number-later": "gradients of zero make weights that are not finite"},
        "parameters-without-gradient-are-left-alone": {"decays-frozen-weights": "changes a parameter that has no"},
        "randomness-follows-the-seed": {
            "draws-from-the-system": "a step twice with one seed gives two things",
            "reseeds": "a step seeds torch's random number generator",
        },
        "global-state-is-not-modified": {
            "switches-gradients-off": "a step modifies the gradient mode, from True to False",
            "sets-threads": "building it modifies the number of threads, from 3 to 1",
        },
    },
    "schedule": {
        "factors-are-finite": {
            "divides-by-zero": "ZeroDivisionError",
            "returns-a-tensor": r"its factor is tensor\(1.\) at step 0 of 1",
            "is-infinite-at-first": "its factor is inf at step 0 of 1",
            "is-complex-at-last": "at step 501 of 1000: expected a finite number",
        },
        "something-is-learnt": {"warms-up-forever": "its factor is 0 at all of 10 steps"},
        "is-a-pure-function": {
            "counts-its-calls": "when it is asked again, not 1.0",
            "remembers-the-longest": "step 1 of 2 has the factor 0.999 when it is asked again, not 0.5",
            "only-moves-on": "step 998 of 1000 has the factor .* when it is asked in another order",
            "differs-by-instance": "step 0 of 1 has the factor .* from another instance",
        },
        "global-state-is-not-modified": {
            "draws-its-factor": "calling it modifies Python's random number generator",
            "reseeds": "calling it modifies Python's random number generator",
            "changes-the-environment": r"calling it modifies the environment \(TRAINING_STEP\)",
        },
    },
    "tracker": {
        "leaves-the-run-alone": {
            "deletes-samples": r"finish\(\) changes runs/this/samples.png, of the run",
            "deletes-notes": r"begin\(\) changes runs/this/.*, of the run",
            "deletes-the-run": r"close\(\) changes runs/this, of the run",
            "deletes-on-resuming": r"close\(\) changes runs/this/checkpoint.*, of the run",
            "deletes-other-runs": r"begin\(\) changes runs/other/.*, which is not of the run",
            "clears-the-directory": r"epoch\(\) changes here/notes.txt, which is not of the run",
            "renames-the-history": r"finish\(\) changes runs/this/history.csv, of the run",
        },
        "global-state-is-not-modified": {
            "switches-gradients-off": r"begin\(\) modifies the gradient mode, from True to False",
            "switches-gradients-off-when-built": "building it modifies the gradient mode",
            "sets-the-device": r"epoch\(\) modifies the default device, from cpu to meta",
            "reseeds": "modifies NumPy's random number generator; .* modifies Python's random number generator",
            "closes-the-output": r"close\(\) modifies standard output",
            "changes-the-directory": r"begin\(\) modifies the current directory",
            "changes-the-environment": r"the environment \(TQDM_DISABLE\)",
        },
    },
}


@pytest.mark.parametrize(
    ("kind", "check", "name", "objection"),
    [
        (kind, check, name, words)
        for kind, checks in HARMFUL.items()
        for check, names in checks.items()
        for name, words in names.items()
    ],
)
def test_what_would_harm_a_run_does_not_pass(kind: str, check: str, name: str, objection: str) -> None:
    [case] = [
        case
        for case in conformance_cases(f"harmful/{name}")
        if (case.subject.label, case.check.name) == (f"{kind} harmful/{name}", check)
    ]
    # Threads do not get in each other's way every time.
    attempts = 8 if check == "threads-agree" else 1
    with pytest.raises(CheckFailed, match=f"{check}: .*(?:{objection})"):  # noqa: PT012
        for _ in range(attempts):
            case.run()


def test_every_harmful_component_is_in_the_list() -> None:
    for kind, checks in HARMFUL.items():
        labels = {case.subject.label for case in conformance_cases("harmful")}
        names = {label.partition("/")[2] for label in labels if label.startswith(kind)}
        assert names == {name for specimens in checks.values() for name in specimens}
